//! The allocations of a forwarded request, beside those of a pingora proxy that only forwards. The
//! counts are the same in every run, so a request that grows is noticed before a benchmark could
//! tell.
//!
//! There is one test, so that nothing else allocates in this process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a test that cannot go on stops here"
)]

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "proxy/rig.rs"]
mod rig;

#[path = "proxy/bare.rs"]
mod bare;

use std::net::SocketAddr;
use std::sync::Arc;

use bare::{Client, application};
use rig::{Rig, Tls};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const WARM_UP: u32 = 50;
const REQUESTS: u32 = 400;
/// How much more the gateway may ask for than a proxy that only forwards, and writes its headers as
/// pingora does. Budgets, so that they do not grow unnoticed: 91 blocks of 109,588 bytes were
/// measured, beside 111 of 109,627.
const OWN_BLOCKS_MAX: f64 = -15.0;
const OWN_BYTES_MAX: f64 = 512.0;

/// The allocations of one request.
#[derive(Debug, Clone, Copy)]
struct Cost {
    blocks: f64,
    bytes: f64,
}

/// Asks again and again on one connection, and counts what all of this process allocates meanwhile.
/// The client and the application do the same for either proxy.
fn cost(address: SocketAddr, request: &str) -> Cost {
    let mut client = Client::new(address, request);
    client.ask(WARM_UP);
    let before = dhat::HeapStats::get();
    client.ask(REQUESTS);
    let after = dhat::HeapStats::get();
    let each = |from: u64, to: u64| (to - from) as f64 / f64::from(REQUESTS);
    Cost {
        blocks: each(before.total_blocks, after.total_blocks),
        bytes: each(before.total_bytes, after.total_bytes),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwarded_request_stays_below_the_allocation_limit() {
    let _counting = dhat::Profiler::builder().testing().build();
    let application = application();
    let rig = Rig::before(Tls::Off, application, Arc::default()).await;
    let port = rig.url("").rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    let gateway = SocketAddr::from(([127, 0, 0, 1], port));
    let token = rig.token("app.localhost");
    let request = format!("GET / HTTP/1.1\r\nHost: app.localhost\r\nCookie: vestibule={token}\r\n\r\n");
    let measured = tokio::task::spawn_blocking(move || {
        let bare = bare::bare(application);
        [cost(gateway, &request), cost(bare, &request)]
    });
    let [ours, bare] = measured.await.unwrap();
    println!("the gateway {ours:?}, a bare proxy {bare:?}");
    let more = Cost { blocks: ours.blocks - bare.blocks, bytes: ours.bytes - bare.bytes };
    assert!(bare.blocks > 1.0, "something is counted: {bare:?}");
    assert!(more.blocks <= OWN_BLOCKS_MAX && more.bytes <= OWN_BYTES_MAX, "{more:?} more than {bare:?}");
}
