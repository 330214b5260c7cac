//! Uploads whose length is not known beforehand, with the programs that showed the fault: curl over
//! HTTP/2, and uvicorn behind us over HTTP/1 (F25, cloudflare/pingora#935).

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Gateway, port, raw};

/// How long uvicorn may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(20);
const UPLOADS: usize = 5;

/// Ends with the test.
struct Uvicorn(Child);

impl Drop for Uvicorn {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Uvicorn {
    fn start(port: u16) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support");
        let mut command = Command::new("uvicorn");
        command.args(["--log-level", "error", "--port", &port.to_string(), "--app-dir"]).arg(folder);
        let child = command.arg("asgi_echo:application").env("PYTHONDONTWRITEBYTECODE", "1").spawn();
        let started = Self(child.expect("uvicorn is missing: tests/run installs it"));
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "uvicorn does not listen");
            std::thread::sleep(STEP);
        }
        started
    }
}

/// The answer to `curl -T -`, which reads the body from its standard input and cannot know its
/// length.
fn uploaded(url: &str, body: &[u8]) -> String {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--max-time",
        "20",
        "--http2-prior-knowledge",
        "--upload-file",
        "-",
    ]);
    let mut curl = command
        .args([url, "--write-out", "%{http_version} %{http_code}"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl is missing: tests/run installs it");
    curl.stdin.take().unwrap().write_all(body).unwrap();
    let output = curl.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn f_25_an_upload_of_unknown_length_leaves_the_pooled_connection_to_the_next_client() {
    let application = port::free();
    let _uvicorn = Uvicorn::start(application);
    let gateway = Gateway::start(|config| {
        config.route("app", application).public(&["/*"]);
    })
    .await;
    let url = gateway.url("/upload");
    for n in 0..UPLOADS {
        let body = vec![b'x'; 1 + n * 10_000];
        assert_eq!(uploaded(&url, &body), format!("PUT /upload {}\n2 200", body.len()));
        // Another client's request, on the connection to the application that the upload has left.
        let next = raw::get(gateway.port, "localhost", "/page", &[]);
        assert_eq!(next.status(), 200, "{}", next.0);
        assert!(next.0.ends_with("GET /page 0\n"), "{}", next.0);
    }
}
