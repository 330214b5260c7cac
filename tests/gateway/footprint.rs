//! What the gateway takes of a machine that it is alone on.

use crate::harness::Scene;

/// Anonymous memory after the start, an enrolment and a sign-in. The program's own pages come on top, of
/// which a test build has more than a packaged one.
const RESIDENT_KIB_MAX: u64 = 20 * 1024;

/// With 2 MiB pages, of which the allocator touches a little of many, it was 50 MiB.
#[tokio::test]
async fn a_small_gateway_takes_little_memory() {
    let mut scene = Scene::set().await;
    scene.stranger().sign_in(&mut scene.device).await.expect(201);
    let status = std::fs::read_to_string(format!("/proc/{}/status", scene.gateway.pid())).unwrap();
    let kib = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let (anonymous, all) = (kib("RssAnon:"), kib("VmRSS:"));
    println!("{anonymous} KiB anonymous, {all} KiB resident");
    assert!(anonymous <= RESIDENT_KIB_MAX, "{anonymous} KiB anonymous, {all} KiB resident");
    assert!(anonymous > 1024, "a measurement that sees nothing proves nothing: {status}");
}
