//! The order of system calls: an fsync lies between a change and its answer (D-04).

use serde_json::json;

use crate::harness::{Authenticator, Browser, Gateway};

/// One system call of the trace, once it has returned.
struct Call {
    name: String,
    /// Arguments, as far as they are printed.
    text: String,
    /// Lines of the trace on which it began and returned.
    began: usize,
    returned: usize,
}

/// Reads what strace wrote, putting calls together that others interrupted.
fn calls(trace: &str) -> Vec<Call> {
    let mut unfinished = std::collections::HashMap::<&str, (String, String, usize)>::new();
    let mut calls = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let (pid, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            if let Some((name, mut text, began)) = unfinished.remove(pid) {
                text.push_str(resumed);
                calls.push(Call { name, text, began, returned: number });
            }
            continue;
        }
        let Some((name, text)) = rest.split_once('(') else { continue };
        let (name, text) = (name.to_owned(), text.to_owned());
        if text.ends_with("<unfinished ...>") {
            unfinished.insert(pid, (name, text, number));
        } else {
            calls.push(Call { name, text, began: number, returned: number });
        }
    }
    calls
}

/// Texts in the heads of requests that change something if they succeed. A head is read in two
/// parts, of which the first is as long as the preface of HTTP/2.
const CHANGES: [&str; 4] = ["/verify HTTP/1.1", "edeem HTTP/1.1", "\"PATCH ", "\"DELETE "];

impl Call {
    /// The subject of the call: a file or a connection.
    fn subject(&self) -> &str {
        self.text.split(", ").next().unwrap_or_default()
    }

    fn is_on_database(&self) -> bool {
        self.subject().contains("/data/db>")
    }
}

/// Checks every acknowledgement in the trace; returns their number. Other code writes meanwhile
/// (the audit trail is written after the answer), so the check is that something was written and
/// synchronised in between.
fn check_acknowledgements(trace: &str) -> usize {
    let calls = calls(trace);
    let is_write = |call: &&Call| call.is_on_database() && call.name.starts_with("pwrite");
    let is_sync = |call: &&Call| {
        call.is_on_database()
            && ["fsync", "fdatasync"].contains(&call.name.as_str())
            && call.text.contains("= 0")
    };
    let is_answer = |call: &&Call| call.text.contains("HTTP/1.1 20");
    let mut acknowledged = 0;
    for answer in calls.iter().filter(is_answer) {
        let before = || calls.iter().filter(|it| it.subject() == answer.subject() && it.began < answer.began);
        let since = before().rfind(is_answer).map_or(0, |last| last.began);
        let asks = |it: &&Call| it.began >= since && CHANGES.iter().any(|change| it.text.contains(change));
        let Some(request) = before().find(asks) else { continue };
        let mut writes = calls.iter().filter(is_write).filter(|call| call.began > request.began);
        let durable = writes.any(|write| {
            let mut syncs = calls.iter().filter(is_sync);
            syncs.any(|sync| sync.began > write.returned && sync.returned < answer.began)
        });
        assert!(
            durable,
            "what line {} asks for was acknowledged on line {} without fsync",
            request.began + 1,
            answer.began + 1
        );
        acknowledged += 1;
    }
    acknowledged
}

#[test]
fn acknowledgement_check_detects_a_missing_fsync() {
    let request = "8 recvfrom(12<TCP:[1->2]>, \"PATCH /auth/passkeys/x HTTP/1.1\"..., 9, 0, NULL, 0) = 9";
    let other = "8 recvfrom(12<TCP:[1->2]>, \"GET /auth/passkeys HTTP/1.1\"..., 9, 0, NULL, 0) = 9";
    let write = "7 pwrite64(9</tmp/x/data/db>, \"..\", 512, 0) = 512";
    let answer = "8 sendto(12<TCP:[1->2]>, \"HTTP/1.1 201 Created\"..., 9, 0, NULL, 0) = 9";
    let sync = "7 fsync(9</tmp/x/data/db>) = 0";
    let split = "7 fsync(9</tmp/x/data/db> <unfinished ...>\n8 read(1) = 1\n7 <... fsync resumed>) = 0";
    for good in [[write, sync, answer].join("\n"), [write, split, answer].join("\n")] {
        assert_eq!(check_acknowledgements(&format!("{request}\n{good}")), 1);
        assert_eq!(check_acknowledgements(&format!("{other}\n{good}")), 0);
    }
    // Other code writes as well.
    assert_eq!(check_acknowledgements(&[request, write, sync, write, answer].join("\n")), 1);
    assert_eq!(check_acknowledgements(&[other, write, answer].join("\n")), 0);
    for bad in [[write, answer, sync], [sync, write, answer], [other, answer, answer]] {
        let trace = format!("{request}\n{}", bad.join("\n")).replace(other, sync);
        assert!(std::panic::catch_unwind(|| check_acknowledgements(&trace)).is_err(), "{trace}");
    }
}

#[tokio::test]
async fn d_04_an_fsync_lies_between_the_last_write_and_the_answer() {
    let strace = std::process::Command::new("strace").arg("-V").output();
    assert!(strace.is_ok(), "D-04 needs strace: tests/run installs it");
    let mut gateway = Gateway::prepare(|_| {});
    let trace = gateway.directory().join("trace");
    let traced = "trace=pwrite64,pwritev,fsync,fdatasync,write,writev,sendto,sendmsg,read,recvfrom";
    // -D: the gateway stays our child, and strace ends with it.
    gateway.spawn(&["strace", "-D", "-f", "-y", "-s", "48", "-e", traced, "-o", trace.to_str().unwrap()]);
    gateway.wait_until_ready().await;
    let alice = Browser::new(&gateway);
    let mut device = Authenticator::new(1);
    alice.enrol(&gateway.setup_link(), "alice@example.com", "Alice", &mut device).await;
    for round in 0..5 {
        alice.sign_in(&mut device).await.expect(201);
        let id = alice.passkeys().await[0]["id"].as_str().unwrap().to_owned();
        alice
            .patch(&format!("passkeys/{id}"), &json!({ "name": format!("renamed {round}") }))
            .await
            .expect(200);
    }
    alice.delete("sessions/").await.expect(204);
    gateway.stop();
    let text = std::fs::read_to_string(trace).unwrap();
    let acknowledged = check_acknowledgements(&text);
    // The link, the passkey, five sign-ins, five names, and the sign-out.
    assert_eq!(acknowledged, 13, "in {} lines", text.lines().count());
}
