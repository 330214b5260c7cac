//! Keeps a certificate for every name of a plan, for as long as it is asked to.
//!
//! Each name has a task of its own; the tasks share the account, and a bound on how many orders are
//! under way. What always holds: a changed plan does not make a failing name be tried more often
//! than the authority allows.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use instant_acme::{Account, CertificateIdentifier, Error};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

use super::account::{self, AccountError, is_forgotten};
use super::order::{self, Issued, OrderError, OrderRequest};
use super::schedule::{self, RefusalKind, Validity, Window};
use super::{Authority, Name, Plan, Ports, blocking};
use crate::domain::time::Timestamp;
use crate::ports::entropy;

/// How many orders may be under way.
const ORDERS_AT_ONCE: usize = 4;
/// How many orders are placed for a name before its failure counts.
const ORDERS_IN_A_ROW: usize = 3;
/// How long getting a certificate may take. An authority validates from several places, now and
/// again.
const TRY_TIMEOUT: Duration = Duration::from_mins(5);
/// How long the authority may take to say when to renew.
const RENEWAL_INFO_TIMEOUT: Duration = Duration::from_secs(30);
/// How soon the authority is asked again when it did not answer.
const RENEWAL_INFO_RETRY: Duration = Duration::from_hours(6);
/// How often the clock is looked at, because a machine that slept may have missed the moment.
const SLEEP_MAX: Duration = Duration::from_mins(30);
/// How soon after a failure a name is tried again because the plan was taken in anew: five an hour.
const RETRY_AFTER_RELOAD: Duration = Duration::from_mins(12);

/// The name in the store of the file with the certificate of `name` and its key.
pub fn file_of(name: &Name) -> String {
    format!("{name}.pem")
}

/// Keeps certificates after the plan of the moment, until told to stop.
pub async fn keep(
    ports: Ports,
    mut plans: watch::Receiver<Option<Arc<Plan>>>,
    mut shutdown: watch::Receiver<bool>,
) {
    let failures = Arc::new(Failures::default());
    loop {
        let plan = plans.borrow_and_update().clone();
        let mut workers = spawn_workers(plan.as_deref(), &ports, &failures);
        tokio::select! {
            _ = shutdown.wait_for(|told| *told) => return,
            changed = plans.changed() => if changed.is_err() { return },
            Some(ended) = workers.join_next() => {
                let error = ended.err().map(|error| error.to_string());
                tracing::error!(?error, "a certificate is no longer renewed");
                return;
            }
        }
        workers.shutdown().await;
        failures.bring_forward(ports.clock.now());
    }
}

fn spawn_workers(plan: Option<&Plan>, ports: &Ports, failures: &Arc<Failures>) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    let Some(plan) = plan else { return workers };
    let worker = Arc::new(RenewalWorker {
        authority: plan.authority.clone(),
        ports: ports.clone(),
        account: tokio::sync::Mutex::default(),
        turns: Semaphore::new(ORDERS_AT_ONCE),
        failures: Arc::clone(failures),
    });
    for name in plan.names.clone() {
        let worker = Arc::clone(&worker);
        workers.spawn(async move { worker.keep_renewed(name).await });
    }
    workers
}

/// The state that the tasks share.
struct RenewalWorker {
    authority: Authority,
    ports: Ports,
    /// Opened when it is first needed.
    account: tokio::sync::Mutex<Option<Account>>,
    turns: Semaphore,
    failures: Arc<Failures>,
}

/// Why a try has failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Order(#[from] OrderError),
    #[error("the issued certificate cannot be used: {0}")]
    Unusable(String),
    #[error("the issued certificate cannot be stored: {0}")]
    CertificateStore(#[from] io::Error),
    #[error("there was no certificate within {} s", TRY_TIMEOUT.as_secs())]
    Timeout,
}

impl Failure {
    fn refusal_kind(&self) -> RefusalKind {
        match self {
            Self::Order(error) => error.refusal_kind(),
            Self::Account(AccountError::Authority { source, .. }) => order::refusal_kind_of(source),
            _ => RefusalKind::Refused,
        }
    }
}

/// A certificate in the store.
struct StoredCertificate {
    der: Vec<u8>,
    validity: Validity,
    suggested_window: Option<Window>,
    /// When the authority is asked again when to renew.
    ask_at: Timestamp,
    /// When it was issued to this process.
    issued: Option<Timestamp>,
}

impl StoredCertificate {
    fn read(pem: &[u8], now: Timestamp) -> Result<Self, String> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|error| error.to_string())?;
        let (_, leaf) = parse_x509_certificate(&der).map_err(|error| error.to_string())?;
        let moment = |time: ASN1Time| Timestamp::from_millis(time.timestamp().saturating_mul(1000));
        let validity = leaf.validity();
        let validity =
            Validity { not_before: moment(validity.not_before), not_after: moment(validity.not_after) };
        Ok(Self { der: der.to_vec(), validity, suggested_window: None, ask_at: now, issued: None })
    }

    /// When it is to be replaced.
    fn due(&self) -> Timestamp {
        let draw = share(Sha256::digest(&self.der).into());
        let due = match self.suggested_window {
            Some(window) => schedule::due_within(window, self.validity, draw),
            None => schedule::due(self.validity, draw),
        };
        // An authority that wants everything renewed at once must not cause orders without end.
        self.issued
            .map_or(due, |issued| due.max(issued.plus(schedule::interval_after_success(self.validity))))
    }
}

impl RenewalWorker {
    /// Never returns.
    async fn keep_renewed(&self, name: Name) {
        let mut held = self.held(&name).await;
        loop {
            let now = self.ports.clock.now();
            let due = held.as_ref().map_or(now, StoredCertificate::due).max(self.failures.next_try(&name));
            if due <= now {
                self.replace(&name, &mut held).await;
                continue;
            }
            let wake = held.as_ref().map_or(due, |held| held.ask_at.min(due));
            if wake > now {
                tokio::time::sleep(wake.since(now).min(SLEEP_MAX)).await;
            } else if let Some(held) = &mut held {
                self.refresh_renewal_info(held).await;
            }
        }
    }

    /// The certificate in the store. An unreadable one counts as none: it will be replaced.
    async fn held(&self, name: &Name) -> Option<StoredCertificate> {
        let (from, file) = (Arc::clone(&self.ports.store), file_of(name));
        let content = blocking(move || from.read(&file)).await;
        let read =
            content.map(|content| content.map(|pem| StoredCertificate::read(&pem, self.ports.clock.now())));
        match read {
            Ok(None) => None,
            Ok(Some(Ok(held))) => Some(held),
            Ok(Some(Err(error))) => {
                tracing::warn!(certificate = %name, %error, "the stored certificate is damaged");
                None
            }
            Err(error) => {
                tracing::warn!(certificate = %name, %error, "the stored certificate cannot be read");
                None
            }
        }
    }

    /// Gets a certificate in place of `held`, or says why not.
    async fn replace(&self, name: &Name, held: &mut Option<StoredCertificate>) {
        let Ok(_turn) = self.turns.acquire().await else { return };
        let replaces = held.as_ref().map(|held| held.der.as_slice());
        let tried = tokio::time::timeout(TRY_TIMEOUT, self.try_once(name, replaces)).await;
        let now = self.ports.clock.now();
        match tried.unwrap_or(Err(Failure::Timeout)) {
            Ok(fresh) => {
                self.failures.forget(name);
                tracing::info!(certificate = %name, expires = %fresh.validity.not_after, "a new certificate is in force");
                *held = Some(fresh);
            }
            Err(failure) => {
                let draw = share(entropy::bytes(&*self.ports.entropy));
                let wait = self.failures.note(name, failure.refusal_kind(), now, draw);
                let until = held.as_ref().map_or_else(
                    || "there is none yet".to_owned(),
                    |held| format!("the one in force is valid until {}", held.validity.not_after),
                );
                tracing::warn!(
                    certificate = %name, error = in_words(&failure), next_try_in_s = wait.as_secs(),
                    "no certificate could be obtained; {until}"
                );
            }
        }
    }

    async fn try_once(&self, name: &Name, replaces: Option<&[u8]>) -> Result<StoredCertificate, Failure> {
        let Issued { chain, key } = self.ordered(name, replaces).await?;
        let now = self.ports.clock.now();
        let mut fresh = StoredCertificate::read(chain.as_bytes(), now).map_err(Failure::Unusable)?;
        fresh.issued = Some(now);
        let (onto, file) = (Arc::clone(&self.ports.store), file_of(name));
        let content = zeroize::Zeroizing::new(format!("{}{chain}", key.as_str()));
        blocking(move || onto.put_in_force(&file, content.as_bytes())).await?;
        Ok(fresh)
    }

    /// Orders once, and again after a failure that does not last: the authority had forgotten the
    /// account, or refused a nonce.
    async fn ordered(&self, name: &Name, replaces: Option<&[u8]>) -> Result<Issued, Failure> {
        let request = OrderRequest { authority: &self.authority, name, replaces };
        let mut account = self.account().await?;
        for _ in 1..ORDERS_IN_A_ROW {
            match order::obtain(&account, request, &self.ports.responder).await {
                Err(OrderError::Authority(error)) if is_forgotten(&error) => {
                    account = self.new_account(account.id()).await?;
                }
                Err(OrderError::Authority(error)) if order::is_about_a_nonce(&error) => {}
                obtained => return Ok(obtained?),
            }
        }
        Ok(order::obtain(&account, request, &self.ports.responder).await?)
    }

    async fn account(&self) -> Result<Account, AccountError> {
        let mut account = self.account.lock().await;
        if let Some(account) = &*account {
            return Ok(account.clone());
        }
        let opened = account::open(&self.authority, &self.ports.store).await?;
        Ok(account.insert(opened).clone())
    }

    /// Replaces the account that the authority has forgotten, unless another task has replaced it
    /// already.
    async fn new_account(&self, forgotten: &str) -> Result<Account, AccountError> {
        let mut account = self.account.lock().await;
        match &*account {
            Some(account) if account.id() != forgotten => Ok(account.clone()),
            _ => Ok(account.insert(account::make(&self.authority, &self.ports.store).await?).clone()),
        }
    }

    /// Asks the authority when to renew. Without an answer, the certificate is renewed by its age.
    async fn refresh_renewal_info(&self, held: &mut StoredCertificate) {
        let asked = tokio::time::timeout(RENEWAL_INFO_TIMEOUT, self.renewal_info(&held.der)).await;
        let now = self.ports.clock.now();
        match asked {
            Ok(Some((window, again))) => {
                held.suggested_window = Some(window);
                held.ask_at = now.plus(again);
            }
            Ok(None) | Err(_) => held.ask_at = now.plus(RENEWAL_INFO_RETRY),
        }
    }

    async fn renewal_info(&self, der: &[u8]) -> Option<(Window, Duration)> {
        let der = CertificateDer::from(der);
        let identifier = CertificateIdentifier::try_from(&der).ok()?;
        let account = self.account().await.ok()?;
        match account.renewal_info(&identifier).await {
            Ok((info, again)) => {
                let moment = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
                let window = info.suggested_window;
                let (start, end) =
                    (moment(window.start.unix_timestamp()), moment(window.end.unix_timestamp()));
                Some((Window { start, end }, schedule::poll_after(again)))
            }
            Err(Error::Unsupported(_)) => None,
            Err(error) => {
                tracing::debug!(%error, "the authority does not say when to renew");
                None
            }
        }
    }
}

/// The names that have failed, and when they are tried again; outlives a plan.
#[derive(Default)]
struct Failures(Mutex<HashMap<Name, Failed>>);

struct Failed {
    times: usize,
    last: Timestamp,
    next: Timestamp,
}

impl Failures {
    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<Name, Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the name is tried next; long ago if it has not failed.
    fn next_try(&self, name: &Name) -> Timestamp {
        self.all().get(name).map_or(Timestamp::from_millis(0), |failed| failed.next)
    }

    fn forget(&self, name: &Name) {
        self.all().remove(name);
    }

    /// Notes a failure. Returns how long to wait.
    fn note(&self, name: &Name, refusal_kind: RefusalKind, now: Timestamp, draw: f64) -> Duration {
        let mut all = self.all();
        let times = all.get(name).map_or(0, |failed| failed.times) + 1;
        let wait = schedule::retry_after(times, refusal_kind, draw);
        all.insert(name.clone(), Failed { times, last: now, next: now.plus(wait) });
        wait
    }

    /// An administrator who has the plan taken in anew may have mended what was wrong.
    fn bring_forward(&self, now: Timestamp) {
        for failed in self.all().values_mut() {
            failed.next = failed.next.min(failed.last.plus(RETRY_AFTER_RELOAD)).max(now);
        }
    }
}

/// An error and its causes, because that of a connection says little by itself.
fn in_words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |told, cause| {
        let cause = cause.to_string();
        if told.contains(&cause) { told } else { format!("{told}: {cause}") }
    })
}

/// Some bytes as a share, from 0 to less than 1.
fn share(bytes: [u8; 32]) -> f64 {
    let [a, b, c, d, ..] = bytes;
    f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn retries_failing_names_sooner_after_a_reload() {
        let (failures, name) = (Failures::default(), Name::of_host("a.example"));
        assert!(failures.next_try(&name) < NOW);
        for _ in 0..6 {
            failures.note(&name, RefusalKind::Refused, NOW, 0.0);
        }
        assert_eq!(failures.next_try(&name), NOW.plus(Duration::from_hours(3)));
        failures.bring_forward(NOW);
        assert_eq!(failures.next_try(&name), NOW.plus(RETRY_AFTER_RELOAD));
        let later = NOW.plus(Duration::from_hours(1));
        failures.bring_forward(later);
        assert_eq!(failures.next_try(&name), later);
        failures.forget(&name);
        assert!(failures.next_try(&name) < NOW);
    }

    #[test]
    fn random_share_is_between_zero_and_one() {
        assert!(share([0; 32]).abs() < f64::EPSILON);
        let most = share([255; 32]);
        assert!(most < 1.0 && most > 0.999);
    }
}
