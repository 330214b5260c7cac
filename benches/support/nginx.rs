//! nginx, as the application behind a proxy or as one of the proxies.

use std::fs;
use std::path::Path;

use crate::process::Running;

/// One nginx process that stays in the foreground, so that its processor time can be read.
pub fn start(core: &str, folder: &Path, name: &str, servers: &str) -> Running {
    let here = folder.display();
    let text = format!(
        "daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 65536;\n\
         pid {here}/{name}.pid; error_log {here}/{name}.log;\n\
         events {{ worker_connections 32768; }}\n\
         http {{\n  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; client_max_body_size 0;\n\
         client_body_temp_path {here}/{name}-1; proxy_temp_path {here}/{name}-2;\n\
         fastcgi_temp_path {here}/{name}-3; uwsgi_temp_path {here}/{name}-4; scgi_temp_path {here}/{name}-5;\n\
         {servers}\n}}\n"
    );
    let file = folder.join(format!("{name}.conf"));
    fs::write(&file, text).unwrap();
    Running::start(core, &["/usr/sbin/nginx", "-c", file.to_str().unwrap()])
}
