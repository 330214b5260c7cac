//! The addresses behind the names of upstreams.
//!
//! A name is looked up again after a few seconds, because containers change their address when
//! they restart. Requests do not wait for that: the old answer is used meanwhile, unless it is so
//! old that its address may long belong to another container. What always holds: one name is
//! looked up once at a time, however many requests ask and however long the system takes; and an
//! old answer is used while no other is to be had.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use papaya::HashMap;
use tokio::sync::watch;

use super::connection_quota::Elapsed;

/// How long an answer is good for.
const FRESH_FOR: Duration = Duration::from_secs(10);
/// How long an answer is used without waiting for a newer one.
const USED_FOR: Duration = Duration::from_mins(1);

/// Asks the system for the addresses of a name; none when there is no answer.
pub(super) type LookUp =
    Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = Vec<IpAddr>> + Send>> + Send + Sync>;

/// The hosts in use: at most as many as the configuration has.
pub(super) struct DnsCache {
    known: HashMap<String, Arc<HostAddresses>>,
    look_up: LookUp,
    elapsed: Elapsed,
}

#[derive(Default)]
struct HostAddresses {
    answer: watch::Sender<Answer>,
    being_looked_up: AtomicBool,
    /// The address whose turn it is.
    turn: AtomicUsize,
}

#[derive(Default)]
struct Answer {
    addresses: Arc<[IpAddr]>,
    /// When the last look-up ended, and how many there were.
    at: Duration,
    look_ups: u64,
}

impl DnsCache {
    pub(super) fn new(elapsed: Elapsed) -> Self {
        Self::asking(Arc::new(|host| Box::pin(ask_system(host))), elapsed)
    }

    /// Hosts that are looked up by `look_up`.
    pub(super) fn asking(look_up: LookUp, elapsed: Elapsed) -> Self {
        Self { known: HashMap::new(), look_up, elapsed }
    }

    /// The address of `host` that has its turn. Waits for at most `limit`.
    pub(super) async fn address(&self, host: &str, limit: Duration) -> Option<IpAddr> {
        let name = Arc::clone(self.known.pin().get_or_insert_with(host.to_owned(), Arc::default));
        let mut answers = name.answer.subscribe();
        let (addresses, at, look_ups) = {
            let answer = answers.borrow_and_update();
            (Arc::clone(&answer.addresses), answer.at, answer.look_ups)
        };
        let age = (self.elapsed)().saturating_sub(at);
        if addresses.is_empty() || age >= FRESH_FOR {
            self.refresh(&name, host);
        }
        if !addresses.is_empty() && age < USED_FOR {
            return name.choose(&addresses);
        }
        let newer = answers.wait_for(|answer| answer.look_ups != look_ups);
        match tokio::time::timeout(limit, newer).await {
            Ok(Ok(answer)) => name.choose(&answer.addresses),
            _ => name.choose(&addresses),
        }
    }

    /// `address` could not be connected to. Several requests may report the same address, and only
    /// the first report moves on to the next.
    pub(super) fn skip_address(&self, host: &str, address: IpAddr) {
        let known = self.known.pin();
        let Some(name) = known.get(host) else { return };
        let turn = name.turn.load(Ordering::Relaxed);
        if address_at_turn(&name.answer.borrow().addresses, turn) == Some(address) {
            let next = turn.wrapping_add(1);
            let _ = name.turn.compare_exchange(turn, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// How many addresses `host` is known to have; 1 when it is an address or unknown.
    pub(super) fn count(&self, host: &str) -> usize {
        self.known.pin().get(host).map_or(1, |name| name.answer.borrow().addresses.len().max(1))
    }

    /// Looks `host` up in the background, unless that is being done.
    fn refresh(&self, name: &Arc<HostAddresses>, host: &str) {
        if name.being_looked_up.swap(true, Ordering::AcqRel) {
            return;
        }
        let (name, asked) = (Arc::clone(name), (self.look_up)(host.to_owned()));
        let elapsed = Arc::clone(&self.elapsed);
        tokio::spawn(async move {
            let found = asked.await;
            // Before the answer is told, so that no waiter finds both it and its look-up gone.
            name.being_looked_up.store(false, Ordering::Release);
            name.answer.send_modify(|answer| {
                if !found.is_empty() {
                    answer.addresses = found.into();
                }
                answer.at = elapsed();
                answer.look_ups = answer.look_ups.wrapping_add(1);
            });
        });
    }
}

impl HostAddresses {
    fn choose(&self, addresses: &[IpAddr]) -> Option<IpAddr> {
        address_at_turn(addresses, self.turn.load(Ordering::Relaxed))
    }
}

fn address_at_turn(addresses: &[IpAddr], turn: usize) -> Option<IpAddr> {
    turn.checked_rem(addresses.len()).and_then(|index| addresses.get(index)).copied()
}

/// The addresses are sorted, so that a turn means the same address in every answer.
async fn ask_system(host: String) -> Vec<IpAddr> {
    let Ok(found) = tokio::net::lookup_host((host.as_str(), 0)).await else { return Vec::new() };
    let mut addresses: Vec<_> = found.map(|address| address.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicU64;

    use tokio::sync::Semaphore;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A cache whose look-ups wait to be let go, and a clock that is moved by hand.
    struct Rig {
        cache: Arc<DnsCache>,
        let_go: Arc<Semaphore>,
        asked: Arc<AtomicUsize>,
        seconds: Arc<AtomicU64>,
        addresses: Arc<Mutex<Vec<IpAddr>>>,
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    fn rig(addresses: &[IpAddr]) -> Rig {
        let (let_go, asked) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (seconds, addresses) =
            (Arc::new(AtomicU64::new(1_000)), Arc::new(Mutex::new(addresses.to_vec())));
        let clock = Arc::clone(&seconds);
        let look_up: LookUp = Arc::new({
            let (let_go, asked, addresses) =
                (Arc::clone(&let_go), Arc::clone(&asked), Arc::clone(&addresses));
            move |_| {
                let (let_go, addresses) = (Arc::clone(&let_go), Arc::clone(&addresses));
                asked.fetch_add(1, Ordering::SeqCst);
                Box::pin(async move {
                    let_go.acquire().await.unwrap().forget();
                    addresses.lock().unwrap().clone()
                })
            }
        });
        let elapsed: Elapsed = Arc::new(move || Duration::from_secs(clock.load(Ordering::SeqCst)));
        let cache = Arc::new(DnsCache::asking(look_up, elapsed));
        Rig { cache, let_go, asked, seconds, addresses }
    }

    impl Rig {
        async fn address(&self) -> Option<IpAddr> {
            self.cache.address("app", PATIENCE).await
        }

        fn pass(&self, seconds: u64) {
            self.seconds.fetch_add(seconds, Ordering::SeqCst);
        }

        async fn look_ups_have_ended(&self, count: u64) {
            let mut answers = self.cache.known.pin_owned().get("app").unwrap().answer.subscribe();
            let ended = answers.wait_for(|answer| answer.look_ups == count);
            let _ = tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn p_36_many_requests_look_a_name_up_once() {
        let rig = rig(&[ip(1)]);
        let requests: Vec<_> = (0..50)
            .map(|_| {
                let cache = Arc::clone(&rig.cache);
                tokio::spawn(async move { cache.address("app", PATIENCE).await })
            })
            .collect();
        rig.let_go.add_permits(1);
        for request in requests {
            assert_eq!(request.await.unwrap(), Some(ip(1)));
        }
        assert_eq!(rig.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn p_36_serves_the_old_answer_during_a_refresh() {
        let rig = rig(&[ip(1)]);
        rig.let_go.add_permits(1);
        assert_eq!(rig.address().await, Some(ip(1)));
        *rig.addresses.lock().unwrap() = vec![ip(2)];
        rig.pass(11);
        assert_eq!(rig.address().await, Some(ip(1)), "the look-up has not been let go");
        assert_eq!(rig.address().await, Some(ip(1)));
        assert_eq!(rig.asked.load(Ordering::SeqCst), 2);
        rig.let_go.add_permits(1);
        rig.look_ups_have_ended(2).await;
        assert_eq!(rig.address().await, Some(ip(2)));

        rig.addresses.lock().unwrap().clear();
        rig.pass(11);
        rig.let_go.add_permits(1);
        assert_eq!(rig.address().await, Some(ip(2)));
        rig.look_ups_have_ended(3).await;
        assert_eq!(rig.address().await, Some(ip(2)), "no answer is no reason to forget the old one");
    }

    #[tokio::test]
    async fn p_36_an_answer_that_is_very_old_is_renewed_first() {
        let rig = rig(&[ip(1)]);
        rig.let_go.add_permits(2);
        assert_eq!(rig.address().await, Some(ip(1)));
        *rig.addresses.lock().unwrap() = vec![ip(2)];
        rig.pass(61);
        assert_eq!(rig.address().await, Some(ip(2)));
        rig.pass(61);
        assert_eq!(rig.cache.address("app", Duration::ZERO).await, Some(ip(2)), "unless that takes too long");
    }

    #[tokio::test]
    async fn p_36_addresses_take_turns_when_one_cannot_be_connected_to() {
        let rig = rig(&[ip(1), ip(2)]);
        rig.let_go.add_permits(1);
        assert_eq!(rig.cache.count("app"), 1);
        assert_eq!(rig.address().await, Some(ip(1)));
        assert_eq!(rig.cache.count("app"), 2);
        for _ in 0..3 {
            rig.cache.skip_address("app", ip(1));
            assert_eq!(rig.address().await, Some(ip(2)), "only the first to say so moves on");
        }
        rig.cache.skip_address("app", ip(2));
        assert_eq!(rig.address().await, Some(ip(1)));
    }

    #[tokio::test]
    async fn p_36_an_answer_is_used_for_a_minute_and_not_longer() {
        for (seconds, address) in [(59, ip(1)), (60, ip(2))] {
            let rig = rig(&[ip(1)]);
            rig.let_go.add_permits(1);
            assert_eq!(rig.address().await, Some(ip(1)));
            *rig.addresses.lock().unwrap() = vec![ip(2)];
            rig.pass(seconds);
            // Only a caller that waits for the look-up gets a new answer.
            let asking = rig.address();
            let (found, ()) = tokio::join!(asking, async { rig.let_go.add_permits(1) });
            assert_eq!(found, Some(address), "{seconds}");
        }
    }
}
