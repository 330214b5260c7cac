//! A disk without room (D-07), and a disk that the kernel has made read-only (D-08): changes are
//! refused, people who are signed in go on, nothing acknowledged is lost, and a start with room or
//! a whole disk goes on.

use std::sync::atomic::AtomicBool;

use reqwest::Method;

use super::disk::Disk;
use super::person::{End, Person, patient};
use crate::harness::{Browser, Gateway, Upstream};

const ROOM_BYTES: u64 = 24 << 20;
const DISK_BYTES: u64 = 64 << 20;
/// The changes before the disk fails.
const CHANGES: usize = 60;

/// A gateway on a disk, the person who set it up, and a user in front of an application.
struct Trouble {
    disk: Disk,
    gateway: Gateway,
    person: Person,
    /// Where they work.
    page: String,
    _application: Upstream,
}

impl Trouble {
    async fn on(disk: Disk) -> Self {
        let application = Upstream::start();
        let mut gateway = disk.gateway(|config| {
            patient(config);
            // The route is on another host, because a change needs no fresh passkey where no
            // application shares the auth host.
            config.route("app", application.port).host("localhost.localhost");
        });
        gateway.launch().await;
        let mut person = Person::first(&gateway, 1).await;
        let end = person.live_for(CHANGES).await;
        assert!(matches!(end, End::Asked), "{end:?}");
        let page = format!("{}/page", gateway.origin_of("localhost.localhost"));
        let (arrived, _) = person.browser.arrive(&page).await;
        arrived.expect(200);
        Self { disk, gateway, person, page, _application: application }
    }

    /// Changes fail with the documented answer, and keep failing.
    async fn refuses_changes(&mut self) {
        let End::Failing(reply) = self.person.live(&AtomicBool::new(false)).await else {
            panic!("changes succeed, or no answer comes")
        };
        let problem = reply.expect_problem(503);
        assert_eq!(problem["code"], "unavailable", "{problem}");
        let end = self.person.live_for(CHANGES).await;
        assert!(matches!(end, End::Failing(_)), "{end:?}: an earlier failure is forgotten");
        let nobody = Browser::new(&self.gateway);
        assert_eq!(nobody.get("ready").await.expect_problem(503)["code"], "unavailable");
    }

    /// Requests that need no change go on.
    async fn serves_who_is_signed_in(&self) {
        assert!(self.person.browser.is_signed_in().await);
        assert!(!self.person.browser.passkeys().await.is_empty());
        self.person.browser.fetch(Method::GET, &self.page, None).await.expect(200);
        Browser::new(&self.gateway).fetch(Method::GET, &self.page, None).await.expect(401);
    }

    /// Starts again, and finds everything; and everything can be changed again.
    async fn goes_on(&mut self, context: &str) {
        self.gateway.launch().await;
        self.person.check(context).await;
        let end = self.person.live_for(CHANGES).await;
        assert!(matches!(end, End::Asked), "{end:?}");
        self.person.check(context).await;
    }

    /// A start that cannot succeed says why, and changes nothing.
    fn refuses_to_start(&mut self, said: &str) {
        let before = self.gateway.log().len();
        self.gateway.spawn(&[]);
        let code = self.gateway.wait_for_end();
        let log = self.gateway.log()[before..].to_owned();
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains(said) && !log.contains("panicked"), "{log}");
    }
}

#[tokio::test]
async fn d_07_recovers_from_a_full_disk() {
    let Some(disk) = Disk::tmpfs("D-07", ROOM_BYTES) else { return };
    let mut trouble = Trouble::on(disk).await;
    trouble.disk.fill();
    trouble.refuses_changes().await;
    trouble.serves_who_is_signed_in().await;
    trouble.gateway.stop();
    assert!(!trouble.gateway.log().contains("panicked"), "{}", trouble.gateway.log());
    trouble.disk.make_room();
    trouble.goes_on("with room again").await;
    trouble.gateway.kill9();
}

/// As above, and the first start that is tried comes too early.
#[tokio::test]
async fn d_07_start_on_a_full_disk_is_reported() {
    let Some(disk) = Disk::tmpfs("D-07", ROOM_BYTES) else { return };
    let mut trouble = Trouble::on(disk).await;
    trouble.disk.fill();
    trouble.refuses_changes().await;
    trouble.gateway.kill9();
    // A store that was left in the middle of a change has to be put in order first.
    trouble.refuses_to_start("No space left on device");
    trouble.disk.make_room();
    trouble.goes_on("with room again").await;
    trouble.gateway.kill9();
}

#[tokio::test]
async fn d_08_recovers_from_a_read_only_disk() {
    let Some(disk) = Disk::ext4("D-08", DISK_BYTES) else { return };
    let mut trouble = Trouble::on(disk).await;
    trouble.disk.freeze();
    trouble.refuses_changes().await;
    trouble.serves_who_is_signed_in().await;
    trouble.gateway.stop();
    assert!(!trouble.gateway.log().contains("panicked"), "{}", trouble.gateway.log());
    trouble.refuses_to_start("Read-only file system");
    trouble.disk.remount();
    trouble.goes_on("mounted again").await;
    trouble.gateway.kill9();
}
