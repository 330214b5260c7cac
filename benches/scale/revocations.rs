//! How soon a session that was ended on one connection opens nothing on another one.
//!
//! One person has two sessions. With the first, requests for the application follow one another
//! without a pause; with the second, every other session of the person is ended. What always holds:
//! no request that was sent after the revocation was answered has been let through.

use std::time::{Duration, Instant};

use futures_util::future::join;

use crate::client::Connection;
use crate::lane::Lane;
use crate::spread::percentile_us;

const REVOCATIONS: u64 = 250;
/// How long requests are let through before the revocation.
const BEFORE: Duration = Duration::from_millis(3);
const ENDED: u16 = 204;
const REFUSED: u16 = 401;

/// All times are in microseconds.
#[derive(Clone, Copy)]
pub struct Revocations {
    /// From sending the revocation to the first refusal; in between it is made durable.
    pub whole: [f64; 2],
    /// From its answer to the first refusal; 0 where the refusal was first.
    pub after_answer: [f64; 2],
    /// How long the answer took.
    pub answer: [f64; 2],
}

/// Median and 99th percentile over all revocations.
pub async fn measure(lane: &Lane) -> Revocations {
    let crowd = lane.crowd();
    let (mut whole, mut after_answer, mut answer) = (Vec::new(), Vec::new(), Vec::new());
    let mut used = Connection::open(lane.address).await;
    let mut revoking = Connection::open(lane.address).await;
    for turn in 0..REVOCATIONS {
        let number = turn % lane.people;
        let first = crowd.one(&mut used, number, turn).await.cookie;
        let second = crowd.one(&mut revoking, number, turn + 1).await.cookie;
        let (refused, (sent, answered)) =
            join(until_refused(&mut used, &first), revoke(&mut revoking, &second)).await;
        assert!(refused.last_sent <= answered, "a request was let through after the revocation was answered");
        whole.push(refused.at - sent);
        after_answer.push(refused.at.saturating_duration_since(answered));
        answer.push(answered - sent);
    }
    let [whole, after_answer, answer] = [whole, after_answer, answer].map(|mut all| {
        all.sort();
        [percentile_us(&all, 50), percentile_us(&all, 99)]
    });
    Revocations { whole, after_answer, answer }
}

struct Refused {
    at: Instant,
    /// When the last request was sent that was let through.
    last_sent: Instant,
}

async fn until_refused(connection: &mut Connection, cookie: &str) -> Refused {
    let cookie = format!("Cookie: {cookie}");
    let mut last_sent = Instant::now();
    loop {
        let sent = Instant::now();
        let status = connection.ask("GET /", &[&cookie], None).await.status;
        match status {
            200 => last_sent = sent,
            REFUSED => return Refused { at: Instant::now(), last_sent },
            other => panic!("a request was answered with {other}"),
        }
    }
}

/// When the revocation was sent, and when it was answered.
async fn revoke(connection: &mut Connection, cookie: &str) -> (Instant, Instant) {
    tokio::time::sleep(BEFORE).await;
    let sent = Instant::now();
    let line = "DELETE /auth/sessions/others";
    connection.ask(line, &[&format!("Cookie: {cookie}")], None).await.expected(ENDED);
    (sent, Instant::now())
}
