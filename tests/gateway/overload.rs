//! One client, or one network, that takes all it can get: everyone else still gets in.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{Browser, Scene, raw};

/// How long a client waits between two parts of a body.
const PACE: Duration = Duration::from_millis(200);
/// How long a sign-in from another network may take meanwhile.
const SIGN_IN_WITHIN: Duration = Duration::from_secs(1);

/// Connects from an address of this machine's own, so from a network of the test's choosing.
async fn connect(from: [u8; 4], port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::from(from), 0)).unwrap();
    socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap()
}

fn beginning(scene: &Scene, lines: &str) -> String {
    let port = scene.gateway.port;
    format!(
        "POST /auth/passkeys/authenticate/options HTTP/1.1\r\nHost: localhost:{port}\r\n{lines}\
         Content-Length: 10\r\n\r\n"
    )
}

/// From the network in which a user is signed in, and from a network without a session.
async fn signs_in_soon(scene: &mut Scene) {
    for from in ["127.0.0.1", "127.2.0.1"] {
        let browser = Browser::on(&scene.gateway, from);
        let began = Instant::now();
        browser.sign_in(&mut scene.device).await.expect(201);
        let took = began.elapsed();
        println!("signed in from {from} within {took:?}");
        assert!(took < SIGN_IN_WITHIN, "it took {took:?} from {from}");
    }
}

#[tokio::test]
async fn f_01_idle_bodies_of_one_network_do_not_block_sign_ins() {
    let mut scene = Scene::set().await;
    let request = beginning(&scene, "");
    let mut held = Vec::new();
    for n in 0..2_000 {
        let mut stream = connect([127, 1, 0, 1], scene.gateway.port).await;
        // Every second connection sends the first byte of its body as well.
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(if n % 2 == 0 { b"{" } else { b"" }).await.unwrap();
        held.push(stream);
    }
    signs_in_soon(&mut scene).await;
    drop(held);
}

/// A body has a second to come, and a second more for each KiB that has come.
#[tokio::test]
async fn f_01_a_body_that_does_not_keep_its_pace_is_given_up() {
    let limits = ["own_body_timeout = \"1s\"", "own_body_rate = \"1KiB\""];
    let scene = Scene::with(|config| config.table("limits", &limits), |_| {}).await;
    let send = async |at_once: usize, length: usize| {
        let head =
            beginning(&scene, "Connection: close\r\n").replace("Length: 10", &format!("Length: {length}"));
        let mut stream = connect([127, 0, 0, 1], scene.gateway.port).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let began = Instant::now();
        let mut sent = 0;
        // Until it is all there, or the gateway takes no more.
        while at_once > 0 && sent < length {
            if stream.write_all(&vec![b' '; at_once]).await.is_err() {
                break;
            }
            sent += at_once;
            tokio::time::sleep(PACE).await;
        }
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        (String::from_utf8_lossy(&answer).into_owned(), began.elapsed())
    };
    let (silent, slow, steady) = tokio::join!(send(0, 4_000), send(20, 4_000), send(600, 4_200));
    for (given_up, took) in [silent, slow] {
        assert!(!given_up.starts_with("HTTP/1.1 4") || given_up.starts_with("HTTP/1.1 408"), "{given_up}");
        assert!((0.9..4.0).contains(&took.as_secs_f64()), "{took:?}");
    }
    // The steady body took longer than a second as well, and was read to its end: it is not JSON,
    // so it is refused.
    let (answer, took) = steady;
    assert!(answer.starts_with("HTTP/1.1 4") && !answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(took > Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn f_06_full_gate_closes_idle_connections_of_the_biggest_network() {
    let limits = ["connections = 300", "connections_per_network = 300"];
    let mut scene = Scene::with(|config| config.table("limits", &limits), |_| {}).await;
    let mut idle = Vec::new();
    for n in 0..400_u16 {
        idle.push(connect([127, 1, (n % 200) as u8, 1], scene.gateway.port).await);
    }
    signs_in_soon(&mut scene).await;
    let mut closed = 0;
    for stream in &mut idle {
        let read = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut [0; 1])).await;
        closed += usize::from(read.is_ok());
    }
    assert!((100..400).contains(&closed), "{closed} of 400 were closed");
}

#[tokio::test]
async fn f_07_clients_behind_a_proxy_have_shares_of_their_own() {
    let scene = Scene::with(
        |config| {
            config.server.push("trusted_proxies = [\"127.0.0.1\"]".to_owned());
            config.table("limits", &["connections_per_network = 5"]);
        },
        |_| {},
    )
    .await;
    let port = scene.gateway.port;
    let request = beginning(&scene, "X-Forwarded-For: 203.0.113.9\r\nExpect: 100-continue\r\n");
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut stream = connect([127, 0, 0, 1], port).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        // The gateway asks for the body, so the request is under way.
        let mut words = [0; 12];
        stream.read_exact(&mut words).await.unwrap();
        assert_eq!(&words, b"HTTP/1.1 100");
        held.push(stream);
    }
    let ask = |client: &str| {
        let line = format!("X-Forwarded-For: {client}");
        raw::get(port, "localhost", "/auth/health", &[line]).status()
    };
    assert_eq!(ask("203.0.113.10"), 503);
    assert_eq!(ask("198.51.100.1"), 200);
    drop(held);
}
