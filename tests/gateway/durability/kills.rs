//! Kills at random moments, start-up included: two hundred of them (D-05), and fewer of a gateway
//! that several clients change at the same time, an operator among them, or that is asked to end
//! (D-01).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;

use super::person::{End, Person, patient};
use crate::harness::{Gateway, Scene, SeededRandom};

const ROUNDS: u32 = 200;
/// The least number of changes of each kind; otherwise the kills show little.
const ACKNOWLEDGED_MIN: usize = 15;
const SEED: u64 = 20_261_122;

const CROWD: u64 = 4;
const ROUNDS_OF_CROWD: usize = 16;
const ACKNOWLEDGED_OF_CROWD_MIN: usize = 60;

fn micros(random: &mut SeededRandom, below: usize) -> Duration {
    Duration::from_micros(u64::try_from(random.roll(below)).unwrap())
}

#[tokio::test]
async fn d_05_kills_lose_no_acknowledged_change() {
    println!("seed {SEED}");
    let mut gateway = Gateway::start(patient).await;
    let mut alice = Person::first(&gateway, 1).await;
    gateway.kill9();
    let mut random = SeededRandom::new(SEED);
    let (mut in_start_up, began) = (0, Instant::now());
    for round in 0..ROUNDS {
        gateway.spawn(&[]);
        let context = format!("seed {SEED}, round {round}");
        if random.roll(3) == 0 {
            tokio::time::sleep(micros(&mut random, 40_000)).await;
            gateway.kill9();
            in_start_up += 1;
            continue;
        }
        gateway.wait_until_ready().await;
        alice.check(&context).await;
        let (span, never) = (micros(&mut random, 40_000), AtomicBool::new(false));
        let _ = tokio::time::timeout(span, alice.live(&never)).await;
        gateway.kill9();
    }
    gateway.launch().await;
    alice.check("after the last").await;
    let kinds = ["sign-in", "sign-out", "rename"];
    let acknowledged = kinds.map(|what| alice.history.acknowledged(what));
    println!(
        "{acknowledged:?} of {} acknowledged, {in_start_up} kills in start-up, {:?}",
        alice.history.asked(),
        began.elapsed()
    );
    for (what, count) in kinds.into_iter().zip(acknowledged) {
        assert!(count >= ACKNOWLEDGED_MIN, "only {count} of {what} were acknowledged: {acknowledged:?}");
    }
    assert!(!gateway.setup_file().exists(), "the first-administrator door is open again");
}

#[tokio::test]
async fn d_05_starts_with_a_truncated_snapshot() {
    let mut scene = Scene::set().await;
    let cookie = scene.alice.session().unwrap();
    scene.gateway.kill9();
    std::fs::write(scene.gateway.data().join("snap.FFFFFFFFFFFFFFFF.generating"), b"").unwrap();
    scene.gateway.launch().await;
    let again = scene.alice.another();
    again.jar().plant("localhost", "vestibule", &cookie);
    assert!(again.is_signed_in().await);
    scene.alice.fetch(Method::GET, &scene.url("/page"), None).await.expect(200);
}

#[tokio::test]
async fn d_01_concurrent_acknowledged_changes_survive_kills() {
    println!("seed {SEED}");
    let mut gateway = Gateway::start(patient).await;
    let mut people = vec![Person::first(&gateway, 1).await.with_guest(&gateway).await];
    for seed in 2..=CROWD {
        people.push(Person::invited(&gateway, seed).await.with_guest(&gateway).await);
    }
    let mut random = SeededRandom::new(SEED);
    for round in 0..ROUNDS_OF_CROWD {
        let stop = Arc::new(AtomicBool::new(false));
        let living = people.into_iter().map(|mut person| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let end = person.live(&stop).await;
                assert!(!matches!(end, End::Failing(_)), "{end:?}");
                person
            })
        });
        let living: Vec<_> = living.collect();
        tokio::time::sleep(Duration::from_millis(20) + micros(&mut random, 400_000)).await;
        // A gateway that is asked to end answers what it has begun.
        if random.roll(4) == 0 {
            gateway.stop();
        } else {
            gateway.kill9();
        }
        stop.store(true, Ordering::Relaxed);
        people = join_all(living).await.into_iter().map(Result::unwrap).collect();
        gateway.launch().await;
        for (number, person) in people.iter_mut().enumerate() {
            person.check(&format!("seed {SEED}, round {round}, person {number}")).await;
        }
    }
    let acknowledged: usize = people.iter().map(|it| it.history.acknowledged_in_all()).sum();
    println!("{acknowledged} of {} acknowledged", people.iter().map(|it| it.history.asked()).sum::<usize>());
    assert!(acknowledged >= ACKNOWLEDGED_OF_CROWD_MIN, "only {acknowledged}");
    for what in ["sign-out", "removal", "disabling"] {
        let count: usize = people.iter().map(|it| it.history.acknowledged(what)).sum();
        assert!(count > 0, "{what}: none was acknowledged");
    }
}
