//! How much memory a gateway takes that has little to do.

use std::fs;

use crate::harness::Scene;

/// After a start and a sign-in, without what is mapped from the program's file: that is shared, and
/// much bigger in a program for tests.
const ANONYMOUS_KIB_MAX: u64 = 40 * 1_024;
/// What may have been handed out in pages of 2 MiB before `main`.
const HUGE_KIB_MAX: u64 = 8 * 1_024;

/// A figure of a file in `/proc`, in KiB.
fn figure(pid: u32, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_idle_gateway_takes_its_memory_in_small_pages() {
    let mut scene = Scene::set().await;
    scene.anonymous().sign_in(&mut scene.device).await.expect(201);
    let pid = scene.gateway.pid();
    let anonymous = figure(pid, "status", "RssAnon:");
    let huge = figure(pid, "smaps_rollup", "AnonHugePages:");
    println!("{anonymous} KiB, {huge} KiB of it in huge pages");
    assert!(anonymous > 1_024, "a figure that sees nothing proves nothing");
    assert!(anonymous <= ANONYMOUS_KIB_MAX, "{anonymous} KiB");
    assert!(huge <= HUGE_KIB_MAX, "{huge} KiB in huge pages");
}
