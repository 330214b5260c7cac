//! What a forwarded request costs in system calls: an answer leaves in one write, and a connection that
//! stays needs few calls besides.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::{Authenticator, Browser, Gateway, Upstream};

const REQUESTS: usize = 100;
/// More than an answer of the application in the test has, head and body.
const SHOWN_BYTES: &str = "1400";
/// The most calls of a request, on the connection to the client and on that to the application
/// together. There is one wait for each of the two, and pingora asks for the application's address
/// when it takes the connection from its pool.
const CALLS_MAX: [(&str, usize); 4] = [("recvfrom", 4), ("sendto", 2), ("epoll_wait", 2), ("getpeername", 1)];
/// Calls that are not for a request: chores come by every now and then.
const OTHERS_MAX: usize = 20;

/// A gateway below strace, with Alice's session, after its end.
async fn traced(traced: &[&str], workers: usize, ask: impl AsyncFnOnce(&Gateway, &Browser)) -> Vec<String> {
    let application = Upstream::start();
    let mut gateway = Gateway::prepare(|config| {
        config.route("app", application.port);
        config.workers = workers;
    });
    let trace = gateway.directory().join("trace");
    // -D: the gateway stays our child, and strace ends with it.
    let words = ["strace", "-D", "-f", "-y", "-s", SHOWN_BYTES, "-o", trace.to_str().unwrap()];
    gateway.spawn(&[&words, traced].concat());
    gateway.wait_until_ready().await;
    let alice = Browser::new(&gateway);
    alice.enrol(&gateway.setup_link(), "alice@example.com", "Alice", &mut Authenticator::new(1)).await;
    ask(&gateway, &alice).await;
    gateway.stop();
    std::fs::read_to_string(trace).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn answer_is_sent_in_one_write() {
    let text = traced(&["-e", "trace=writev,sendto,sendmsg"], 2, async |gateway, alice| {
        // The connection to the application is made once, before it is counted.
        alice.navigate(&gateway.url("/warm")).await.expect(200);
        for _ in 0..REQUESTS {
            let reply = alice.navigate(&gateway.url("/counted")).await.expect(200);
            assert!(reply.text().contains("hello"), "{reply}");
        }
    })
    .await;
    // What goes to a socket; `write` is what threads wake one another with.
    let is_send = |line: &&String| ["sendto(", "sendmsg(", "writev("].iter().any(|name| line.contains(name));
    let sends: Vec<&String> = text.iter().filter(is_send).collect();
    let first = sends.iter().position(|line| line.contains("GET /counted ")).unwrap();
    let last = sends.iter().rposition(|line| line.contains("HTTP/1.1 200")).unwrap();
    let counted = &sends[first..=last];
    let answers = counted.iter().filter(|line| line.contains("HTTP/1.1 200"));
    let (whole, torn): (Vec<&&String>, Vec<&&String>) = answers.partition(|line| line.contains("hello"));
    assert!(torn.is_empty(), "{} answers left in pieces, such as {}", torn.len(), torn[0]);
    assert_eq!(whole.len(), REQUESTS);
    assert_eq!(counted.len(), 2 * REQUESTS, "one write to the application and one to the client each");
}

/// With one thread that serves, so that none has another to wake.
#[tokio::test]
async fn request_on_a_kept_connection_makes_few_system_calls() {
    let text = traced(&[], 1, async |gateway, alice| {
        let cookie = format!("{}={}", alice.session_cookie_name(), alice.session().unwrap());
        let mut client = TcpStream::connect(("127.0.0.1", gateway.port)).unwrap();
        client.set_nodelay(true).unwrap();
        for target in ["/warm", "/counted"].into_iter().flat_map(|it| std::iter::repeat_n(it, REQUESTS)) {
            let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
            client.write_all(request.as_bytes()).unwrap();
            let (mut answer, mut read) = ([0; 2_048], 0);
            while !answer[..read].ends_with(b"hello") {
                let more = client.read(&mut answer[read..]).unwrap();
                assert!(more > 0, "{}", String::from_utf8_lossy(&answer[..read]));
                read += more;
            }
        }
    })
    .await;
    let first = text.iter().position(|line| line.contains("GET /counted ")).unwrap();
    let last = text.iter().rposition(|line| line.contains("HTTP/1.1 200")).unwrap();
    // The store and the timers have threads of their own.
    let words = |line: &'_ str| line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
    let serving = words(&text[first])[0].clone();
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    for line in &text[first..=last] {
        // A call that another thread interrupts has a second line, which is none of its own.
        if let [thread, call] = &*words(line)
            && *thread == serving
            && let Some((name, _)) = call.split_once('(')
        {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
    }
    assert!(calls["sendto"] >= 2 * REQUESTS, "something is counted: {calls:?}");
    for (name, each) in CALLS_MAX {
        let count = calls.remove(name).unwrap_or_default();
        assert!(count <= each * REQUESTS + OTHERS_MAX, "{count} {name}");
    }
    let others: usize = calls.values().sum();
    assert!(others <= OTHERS_MAX, "{calls:?}");
}
