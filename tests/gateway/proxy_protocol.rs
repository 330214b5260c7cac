//! The PROXY protocol, as Debian's `HAProxy` sends it when it passes TLS on.

use std::net::Ipv4Addr;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::documents::Proxy;
use crate::harness::{Gateway, Upstream, port};

const AUTH: &str = "auth.example.test";
const WIKI: &str = "wiki.example.test";
/// The trusted proxy.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

async fn gateway(app: &Upstream) -> Gateway {
    let port = app.port;
    Gateway::start(|config| {
        config.tls(AUTH);
        config.server.push("trusted_proxies = [\"127.0.0.2\"]".to_owned());
        config.server.push("proxy_protocol = true".to_owned());
        config.route("wiki", port).host(WIKI).public(&["/*"]);
    })
    .await
}

/// The client address that the application is told for a client at [`CLIENT`], through `to`.
async fn forwarded_for(gateway: &Gateway, app: &Upstream, to: u16) -> reqwest::Result<String> {
    let root = reqwest::Certificate::from_pem(gateway.authority.certificate().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .local_address(std::net::IpAddr::from(CLIENT))
        .add_root_certificate(root)
        .resolve(WIKI, ([127, 0, 0, 1], to).into())
        .build()
        .unwrap();
    let url = format!("https://{WIKI}:{to}/page");
    let reply = client.get(url).header("x-forwarded-for", "203.0.113.66").send().await?;
    assert_eq!(reply.status(), 200);
    Ok(app.take().pop().unwrap().value("x-forwarded-for"))
}

#[tokio::test]
async fn p_04_the_client_behind_a_load_balancer_is_known() {
    let app = Upstream::start();
    let gateway = gateway(&app).await;
    for send in ["send-proxy", "send-proxy-v2"] {
        let (folder, public) = (TempDir::new().unwrap(), port::free());
        let file = folder.path().join("haproxy.cfg");
        let config = format!(
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
             listen tls\n  bind 127.0.0.1:{public}\n  server gateway 127.0.0.1:{} source {PROXY} {send} check\n",
            gateway.tls_port
        );
        std::fs::write(&file, config).unwrap();
        let arguments = ["-f", file.to_str().unwrap(), "-db"];
        let _proxy = Proxy::start("haproxy", &arguments, public, folder.path()).await;
        let told = forwarded_for(&gateway, &app, public).await.unwrap();
        assert_eq!(told, CLIENT.to_string(), "{send}");
    }
}

#[tokio::test]
async fn p_04_refuses_a_preface_from_untrusted_peers() {
    let app = Upstream::start();
    let gateway = gateway(&app).await;
    // A client that is no proxy speaks TLS at once, and has the socket's address.
    let told = forwarded_for(&gateway, &app, gateway.tls_port).await.unwrap();
    assert_eq!(told, CLIENT.to_string());

    let request = format!("GET / HTTP/1.1\r\nHost: {AUTH}\r\nConnection: close\r\n\r\n");
    let introduced = format!("PROXY TCP4 203.0.113.7 127.0.0.1 4386 80\r\n{request}");
    // A connection of the proxy without a preface is closed; with a preface it is answered.
    assert_eq!(answer(&gateway, PROXY, &request).await, "");
    let told = answer(&gateway, PROXY, &introduced).await;
    assert!(told.starts_with("HTTP/1.1 308 "), "{told}");
    // The same bytes from any other peer are no request.
    let told = answer(&gateway, CLIENT, &introduced).await;
    assert!(told.starts_with("HTTP/1.1 400 "), "{told}");
}

/// The plain listener's answer to `sent` from `from`.
async fn answer(gateway: &Gateway, from: Ipv4Addr, sent: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut socket = socket.connect(([127, 0, 0, 1], gateway.port).into()).await.unwrap();
    socket.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // Where the connection is closed at once, the client may get a reset.
    let _ = socket.read_to_string(&mut answer).await;
    answer
}
