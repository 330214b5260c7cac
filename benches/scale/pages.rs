//! How long an administrator waits for a page of users.

use std::time::Instant;

use crate::client::Connection;
use crate::lane::{ADMINISTRATOR, Lane};
use crate::spread::percentile_us;

const TIMES: usize = 200;
/// The queries. Usernames begin like the second, and a 16th of the first names like the third.
const QUERIES: [(&str, &str); 3] =
    [("first page", ""), ("by username", "?search=user9"), ("by name", "?search=gor")];

/// Median and 99th percentile in microseconds, by query.
pub type Pages = [(&'static str, [f64; 2]); 3];

pub async fn measure(lane: &Lane) -> Pages {
    let mut connection = Connection::open(lane.address).await;
    let cookie = lane.crowd().one(&mut connection, ADMINISTRATOR, 0).await.cookie;
    let cookie = format!("Cookie: {cookie}");
    let mut pages = QUERIES.map(|(name, _)| (name, [0.0; 2]));
    for ((_, page), (_, query)) in pages.iter_mut().zip(QUERIES) {
        let mut all = Vec::new();
        for _ in 0..TIMES {
            let began = Instant::now();
            let answer = connection.ask(&format!("GET /auth/admin/v1/users{query}"), &[&cookie], None).await;
            all.push(began.elapsed());
            let users = answer.expected(200).json();
            assert!(users["users"].is_array(), "{users}");
        }
        all.sort();
        *page = [percentile_us(&all, 50), percentile_us(&all, 99)];
    }
    pages
}
