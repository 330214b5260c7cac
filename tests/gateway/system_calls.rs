//! The system calls of a forwarded request: an answer is sent in one write.

use crate::harness::{Authenticator, Browser, Gateway, Upstream};

const REQUESTS: usize = 100;
/// More than an answer of the application in the test has, head and body.
const SHOWN_BYTES: &str = "1400";

#[tokio::test]
async fn answer_is_sent_in_one_write() {
    let application = Upstream::start();
    let mut gateway = Gateway::prepare(|config| {
        config.route("app", application.port);
    });
    let trace = gateway.directory().join("trace");
    let traced = "trace=writev,sendto,sendmsg";
    // -D: the gateway stays our child, and strace ends with it.
    let words = ["strace", "-D", "-f", "-y", "-s", SHOWN_BYTES, "-e", traced, "-o", trace.to_str().unwrap()];
    gateway.spawn(&words);
    gateway.wait_until_ready().await;
    let alice = Browser::new(&gateway);
    let mut device = Authenticator::new(1);
    alice.enrol(&gateway.setup_link(), "alice@example.com", "Alice", &mut device).await;
    // The connection to the application is made once, before it is counted.
    alice.navigate(&gateway.url("/warm")).await.expect(200);
    for _ in 0..REQUESTS {
        let reply = alice.navigate(&gateway.url("/counted")).await.expect(200);
        assert!(reply.text().contains("hello"), "{reply}");
    }
    gateway.stop();

    let text = std::fs::read_to_string(trace).unwrap();
    // Calls that send to a socket; threads wake one another with `write`.
    let is_send = |line: &&str| ["sendto(", "sendmsg(", "writev("].iter().any(|name| line.contains(name));
    let sends: Vec<&str> = text.lines().filter(is_send).collect();
    let first = sends.iter().position(|line| line.contains("GET /counted ")).unwrap();
    let last = sends.iter().rposition(|line| line.contains("HTTP/1.1 200")).unwrap();
    let counted = &sends[first..=last];
    let answers = counted.iter().filter(|line| line.contains("HTTP/1.1 200"));
    let (whole, torn): (Vec<&str>, Vec<&str>) = answers.partition(|line| line.contains("hello"));
    assert!(torn.is_empty(), "{} answers left in pieces, such as {}", torn.len(), torn[0]);
    assert_eq!(whole.len(), REQUESTS);
    assert_eq!(counted.len(), 2 * REQUESTS, "one write to the application and one to the client each");
}
