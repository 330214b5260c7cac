//! The parts of a sign-in, measured in this process: checking a signature, beginning a ceremony and
//! finishing it, signing a token, and making changes durable, alone and together.
//!
//! Each part is done again and again for a moment, all of its threads on one core. What does not
//! live here: HTTP, JSON of requests and the scheduling between threads, which is the rest of a
//! sign-in.

use std::hint::black_box;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use vestibule::domain::ceremony::{PendingAuthentication, read_assertion};
use vestibule::domain::keyring::Keyring;
use vestibule::domain::session::token::{Carrier, Claims, Signer};
use vestibule::ports::{Batch, KeyValue as _};
use vestibule::records;
use vestibule::store::SledStore;

use crate::authenticator::Authenticator;
use crate::filling;
use crate::passkeys;
use crate::process::own_cpu_s;

const LENGTH: Duration = Duration::from_secs(1);
const ORIGIN: &str = "http://localhost:8080";
/// The store's cache by default.
const CACHE_BYTES: u64 = 64 << 20;
/// About as many bytes as a pending ceremony has.
const CEREMONY_BYTES: usize = 400;
/// How many commits wait for the disk together.
const GROUPS: [usize; 3] = [1, 16, 64];

/// A part of a sign-in.
pub struct Part {
    pub name: String,
    /// Microseconds of processor time, and of time.
    pub cpu_us: f64,
    pub us: f64,
}

pub fn measure() -> Vec<Part> {
    let mut parts = vec![signature(), beginning(), finishing(), token()];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = filling::open(folder.path(), CACHE_BYTES);
    parts.extend(GROUPS.map(|group| commits(&runtime, &store, group)));
    parts
}

/// Does `act` `count` times at once, for a while.
fn timed(name: &str, count: usize, mut act: impl FnMut()) -> Part {
    act();
    let (began, before) = (Instant::now(), own_cpu_s());
    let mut done = 0_u32;
    while began.elapsed() < LENGTH {
        act();
        done += 1;
    }
    let each = |seconds: f64| seconds * 1e6 / f64::from(done) / count as f64;
    Part {
        name: name.to_owned(),
        cpu_us: each(own_cpu_s() - before),
        us: each(began.elapsed().as_secs_f64()),
    }
}

fn signature() -> Part {
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let (public, message) = (VerifyingKey::from(&key), [9; 69]);
    let signature: Signature = key.sign(&message);
    timed("a P-256 signature, checked", 1, || public.verify(black_box(&message), &signature).unwrap())
}

fn beginning() -> Part {
    let party = passkeys::relying_party(ORIGIN);
    timed("a ceremony, begun and written down", 1, || {
        let (options, pending) = party.begin_authentication(None, filling::now()).unwrap();
        black_box((options.0.to_string(), serde_json::to_vec(&pending).unwrap()));
    })
}

fn finishing() -> Part {
    let party = passkeys::relying_party(ORIGIN);
    let mut device = Authenticator::new(1);
    let passkey = records::encode(&passkeys::register(&mut device, ORIGIN, 1)).unwrap();
    let (options, pending) = party.begin_authentication(None, filling::now()).unwrap();
    let (answer, pending) = (device.get(&options.0, ORIGIN), serde_json::to_vec(&pending).unwrap());
    timed("a ceremony, read and finished (with its signature)", 1, || {
        let pending: PendingAuthentication = serde_json::from_slice(&pending).unwrap();
        let assertion = read_assertion(&answer).unwrap();
        let passkey = records::decode(&passkey).unwrap();
        let proof = party.finish_authentication(pending, &assertion, &passkey, filling::now()).unwrap();
        black_box(records::encode(proof.credential()).unwrap());
    })
}

fn token() -> Part {
    let signer = Signer::from(Keyring::generate(&[7; 32], filling::now()).unwrap().open().unwrap());
    let session = filling::session(1, 1);
    let claims = Claims {
        session: session.id,
        user: session.user,
        audience: ORIGIN.to_owned(),
        carrier: Carrier::Cookie("localhost".to_owned()),
        issued_at: session.created_at,
        expires_at: session.expires_at,
    };
    timed("a token, signed", 1, || {
        black_box(signer.sign(black_box(&claims)).unwrap());
    })
}

/// Changes as small as those of a sign-in, from several callers at once.
fn commits(runtime: &tokio::runtime::Runtime, store: &SledStore, group: usize) -> Part {
    let mut number = 0;
    let name = format!("a change made durable, {group} at a time");
    timed(&name, group, || {
        let batches = (0..group).map(|_| {
            number += 1;
            let key = [b"bench/".as_slice(), &filling::random(number, "change")].concat();
            store.commit(Batch::default().put(key, vec![b'x'; CEREMONY_BYTES]))
        });
        runtime.block_on(try_join_all(batches)).unwrap();
    })
}
