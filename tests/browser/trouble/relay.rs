//! A misconfigured proxy: it tells the gateway a host that the browser never asked for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

pub struct Relay {
    pub port: u16,
}

impl Relay {
    /// Passes everything on to `gateway`, as if it had been asked for at `host`.
    pub fn start(gateway: u16, host: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = host.to_owned();
        // The threads end with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let host = host.clone();
                std::thread::spawn(move || pass_on(&stream, gateway, &host));
            }
        });
        Self { port }
    }
}

/// Passes one request on; its connection ends with the answer.
fn pass_on(browser: &TcpStream, gateway: u16, host: &str) -> Option<()> {
    let mut reader = BufReader::new(browser);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let (name, value) = line.split_once(':').unwrap_or((line.trim_end(), ""));
        match name.to_ascii_lowercase().as_str() {
            "" => break,
            "host" => line = format!("Host: {host}\r\n"),
            "origin" => line = format!("Origin: http://{host}\r\n"),
            "connection" => continue,
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut upstream = TcpStream::connect(("127.0.0.1", gateway)).ok()?;
    upstream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).ok()?;
    upstream.write_all(&body).ok()?;
    let mut answer = browser;
    std::io::copy(&mut upstream, &mut answer).ok()?;
    Some(())
}
