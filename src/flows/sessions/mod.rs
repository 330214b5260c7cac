//! Sessions: minting, listing and ending them.
//!
//! What always holds: a session is minted only from [`Evidence`]. A session that may only enrol
//! takes its account with it when it ends before the first passkey, in the same commit, so that an
//! abandoned enrolment leaves nothing behind.

pub mod caller;
mod freshness;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::domain::event::{End, Kind, Origin};
use crate::domain::id::{CredentialId, SessionId, UserId};
use crate::domain::session::access;
use crate::domain::session::token::{Carrier, Claims, TokenError};
use crate::domain::session::{ENROL_LIFETIME, LAST_SEEN_GRANULARITY, Scope, Session, USER_AGENT_BYTES_MAX};
use crate::domain::time::Timestamp;
use crate::domain::user::{Email, User};
use crate::flows::FlowError;
use crate::flows::attempts::Attempts;
use crate::flows::commit::{ATTEMPTS_MAX, Parts};
use crate::flows::evidence::Evidence;
use crate::flows::ground::Ground;
use crate::flows::index::LiveSession;
use crate::flows::index::SessionIndex;
use crate::flows::sessions::caller::{Caller, CheckUnavailable};
use crate::flows::sessions::freshness::step_up_of;
use crate::flows::visit::{Device, Visit};
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

/// How many sessions are swept at the same time, so that the store can commit them together.
const SWEPT_AT_ONCE_MAX: usize = 64;
/// How many are looked at before others have a turn: there may be a million, and that takes a second.
const SWEPT_WITHOUT_PAUSE: usize = 1_000;

/// The most sessions that a new session ends because there are too many. After the limit was
/// lowered, several sign-ins may be needed to reach it.
const TOO_MANY_AT_ONCE_MAX: usize = 16;

/// The work of the sweep on a session.
#[derive(Clone, Copy)]
enum Due {
    Ends(End),
    /// The time of its last use has to be written.
    Seen,
}

/// Sessions that end, and why.
pub(in crate::flows) type Ended = Vec<(Arc<LiveSession>, End)>;

/// Every session, and its user.
pub struct Sessions {
    pub(in crate::flows) ground: Arc<Ground>,
    pub(in crate::flows) attempts: Arc<Attempts>,
    pub(in crate::flows) index: Arc<SessionIndex>,
}

impl Sessions {
    pub(in crate::flows) fn new(
        ground: Arc<Ground>,
        attempts: Arc<Attempts>,
        index: Arc<SessionIndex>,
    ) -> Self {
        Self { ground, attempts, index }
    }

    /// A token for `session` in a cookie of `host`, or for an `Authorization` header.
    pub fn token(&self, session: &Session, carrier: Carrier) -> Result<String, TokenError> {
        self.ground.open_keys.load().tokens.sign(&Claims {
            session: session.id,
            user: session.user,
            audience: self.ground.issuer.clone(),
            carrier,
            issued_at: self.ground.clock.now(),
            // The record decides; the token must only not outlive the longest session.
            expires_at: session.created_at.plus(self.ground.lifetimes().absolute),
        })
    }

    /// A short-lived JWT that points at `session`; see [`access`].
    pub fn access_token(&self, session: &Session, user: &User) -> Result<String, FlowError> {
        let (id, now) = (entropy::bytes(&*self.ground.entropy), self.ground.clock.now());
        access::sign(&self.ground.open_keys.load().assertions, &self.ground.issuer, user, session, id, now)
            .ok_or(FlowError::Signing)
    }

    /// A new record with a new id.
    pub(in crate::flows) fn mint(&self, evidence: &Evidence<'_>, visit: &Visit, device: &Device) -> Session {
        let now = self.ground.clock.now();
        let longest =
            if device.is_shared { self.ground.lifetimes().short } else { self.ground.lifetimes().absolute };
        let absolute = now.plus(longest);
        let blank = Session {
            id: SessionId(entropy::bytes(&*self.ground.entropy)),
            user: evidence.user(),
            scope: Scope::Full,
            credential: None,
            created_at: now,
            authenticated_at: None,
            fresh_since: None,
            stepped_up_at: None,
            step_up: None,
            by_mailed_code: matches!(evidence, Evidence::Code(_)),
            last_seen_at: now,
            expires_at: absolute,
            client: visit.client,
            user_agent: device.user_agent.as_deref().map(shortened),
        };
        match evidence {
            Evidence::Assertion { proof, before } => Session {
                credential: Some(proof.credential_id().clone()),
                authenticated_at: Some(proof.at()),
                fresh_since: self.freshness_of(proof, *before),
                stepped_up_at: step_up_of(proof, *before),
                ..blank
            },
            Evidence::Link(_) | Evidence::SignUp(_) | Evidence::RecoveryCode(_) | Evidence::DeviceLink(_) => {
                Session { scope: Scope::Enrol, expires_at: absolute.min(now.plus(ENROL_LIFETIME)), ..blank }
            }
            // Whatever its scope, the session is not fresh: an address is not a passkey.
            Evidence::Code(proof) => match proof.scope() {
                Scope::Full => blank,
                Scope::Enrol => Session {
                    scope: Scope::Enrol,
                    expires_at: absolute.min(now.plus(ENROL_LIFETIME)),
                    ..blank
                },
            },
            Evidence::Exchange(session) => Session {
                scope: session.scope,
                credential: session.credential.clone(),
                authenticated_at: session.authenticated_at,
                fresh_since: session.fresh_since,
                stepped_up_at: session.stepped_up_at,
                step_up: session.step_up.clone(),
                by_mailed_code: session.by_mailed_code,
                expires_at: session.expires_at,
                ..blank
            },
        }
    }

    /// The batch that adds `session`, ends `replaced`, and keeps the person's number of sessions
    /// within its limit.
    pub(in crate::flows) async fn adding(
        &self,
        session: &Session,
        replaced: impl IntoIterator<Item = Arc<LiveSession>>,
    ) -> Result<(Batch, Ended), FlowError> {
        let mut ended: Ended = Vec::new();
        for session in replaced {
            // One browser may show the same session twice: as a token and as a cookie.
            if ended.iter().all(|(known, _)| !Arc::ptr_eq(known, &session)) {
                ended.push((session, End::Replaced));
            }
        }
        let decided = self.deciding_about_all(&session.user).await?;
        let mut others = self.ids_of(&session.user).await?;
        others.retain(|id| ended.iter().all(|(gone, _)| gone.record().id != *id));
        let too_many = (others.len() + 1).saturating_sub(self.ground.lifetimes().sessions_max);
        // Nearly always there is room, and then the oldest need not be found.
        if too_many > 0 {
            let mut kept = self.kept_of(&session.user).await?;
            kept.retain(|other| others.contains(&other.record().id));
            ended.extend(
                kept.into_iter()
                    .take(too_many.min(TOO_MANY_AT_ONCE_MAX))
                    .map(|oldest| (oldest, End::TooMany)),
            );
        }
        let batch = self.ending(&ended, Some(&session.user)).await?;
        Ok((batch.and_unless_gone(decided).and(records::create_session(session)?), ended))
    }

    /// The batch that removes a few sessions; see [`Self::endings`].
    async fn ending(&self, ended: &Ended, spared: Option<&UserId>) -> Result<Batch, FlowError> {
        let parts = self.endings(ended, spared).await?;
        Ok(parts.into_iter().fold(Batch::default(), |batch, (_, part)| batch.and(part)))
    }

    /// The batches that remove each of these sessions, and the account of an enrolment that is
    /// abandoned with it. The account of `spared` stays.
    pub(in crate::flows) async fn endings(
        &self,
        ended: &Ended,
        spared: Option<&UserId>,
    ) -> Result<Parts<(Arc<LiveSession>, End)>, FlowError> {
        let mut parts = Parts::new();
        for (session, why) in ended {
            let record = session.record();
            let mut batch = records::delete_session(&record);
            if record.scope == Scope::Enrol && spared != Some(&record.user) {
                batch = batch.and(self.forgetting(&record).await?);
            }
            parts.push(((Arc::clone(session), *why), batch));
        }
        Ok(parts)
    }

    /// Whether `change` and the end of these sessions could be committed; if so, their end is
    /// reported. The account of `spared` stays.
    pub(in crate::flows) async fn is_committed_ending(
        &self,
        ended: &Ended,
        spared: Option<&UserId>,
        change: Batch,
        origin: &Origin,
    ) -> Result<bool, FlowError> {
        let parts = self.endings(ended, spared).await?;
        self.ground
            .is_committed_after(parts, change, |(session, why)| self.report_end(origin, &session, why))
            .await
    }

    /// The batch that removes the account behind an enrolment that ends before its first passkey.
    async fn forgetting(&self, enrolling: &Session) -> Result<Batch, FlowError> {
        let nothing = Ok(Batch::default());
        let key = keys::user(&enrolling.user);
        let Some((user, stored)) = self.ground.records.get_exact::<User>(&key).await? else { return nothing };
        let others = self.kept_of(&user.id).await?;
        let is_alone = others.iter().all(|other| other.record().id == enrolling.id);
        if !is_alone || !self.ground.records.credentials_of(&user.id).await?.is_empty() {
            return nothing;
        }
        // A first passkey changes the session's record; then there is nothing to forget.
        let session = records::encode(enrolling)?;
        let forgetting = records::delete_user(&user).delete(keys::sessions_revision(&user.id));
        Ok(forgetting.expect(key, stored).expect(keys::session(&enrolling.id), session))
    }

    /// Reports the end of these sessions, which the store knows of, and ends them in memory without
    /// waiting for the feed.
    pub(in crate::flows) fn report_ended(&self, origin: &Origin, ended: &Ended) {
        for (session, why) in ended {
            self.report_end(origin, session, *why);
        }
    }

    /// Reports the end of a session, and ends it in memory without waiting for the feed.
    pub(in crate::flows) fn report_end(&self, origin: &Origin, session: &LiveSession, why: End) {
        session.end();
        let record = session.record();
        let (user, session) = (record.user, record.id);
        let kind = match why {
            End::SignedOut => Kind::SignedOut { user, session },
            _ => Kind::SessionEnded { user, session, why },
        };
        self.ground.report(origin.clone(), kind);
    }

    /// Ends these sessions, durably and everywhere, before it returns, and makes the change `with`.
    pub(in crate::flows) async fn end_all(
        &self,
        origin: &Origin,
        ended: Ended,
        with: Batch,
    ) -> Result<(), FlowError> {
        if ended.is_empty() && with.changes.is_empty() {
            return Ok(());
        }
        for _ in 0..ATTEMPTS_MAX {
            if self.is_committed_ending(&ended, None, with.clone(), origin).await? {
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    /// Takes the token that a sign-in of the person with this address was answered with, and
    /// replaces its session by a new one. `before` is the session whose cookie the browser shows;
    /// it ends as well.
    pub async fn exchange_token(
        &self,
        token: &str,
        email: &str,
        before: Option<Arc<LiveSession>>,
        visit: &Visit,
        device: &Device,
    ) -> Result<(Session, Arc<User>), FlowError> {
        self.attempts.spend(visit)?;
        let email = Email::parse(email)?;
        let caller =
            self.caller_by_sign_in(token, before.as_deref()).map_err(|CheckUnavailable| FlowError::Busy)?;
        let (session, user) = match caller {
            Caller::Known(session, user) if user.email == email => (session, user),
            Caller::Known(..) | Caller::Anonymous { .. } => return Err(FlowError::WrongToken),
        };
        match self.exchange_session(&session, before, visit, device).await {
            Ok(renewed) => Ok((renewed, user)),
            Err(FlowError::NotFresh) => Err(FlowError::WrongToken),
            Err(error) => Err(error),
        }
    }

    /// Replaces a session whose person was verified a short time ago by a new one with the same
    /// evidence, whether or not that verification pays for changes. Of several callers with the same
    /// session at most one gets a new one. `before` is what the browser had until now.
    pub async fn exchange_session(
        &self,
        session: &Arc<LiveSession>,
        before: Option<Arc<LiveSession>>,
        visit: &Visit,
        device: &Device,
    ) -> Result<Session, FlowError> {
        for _ in 0..ATTEMPTS_MAX {
            let key = keys::session(&session.record().id);
            let found = self.ground.records.get_exact::<Session>(&key).await?;
            let (record, stored) = found.ok_or(FlowError::NotFresh)?;
            if !record.is_exchangeable(self.ground.clock.now()) {
                return Err(FlowError::NotFresh);
            }
            let renewed = self.mint(&Evidence::Exchange(&record), visit, device);
            let replaced = std::iter::once(Arc::clone(session)).chain(before.clone());
            let (batch, ended) = self.adding(&renewed, replaced).await?;
            if self.ground.is_committed(batch.expect(key, stored)).await? {
                self.report_ended(&visit.origin(), &ended);
                return Ok(renewed);
            }
        }
        Err(FlowError::Busy)
    }

    /// Signs out: these sessions are gone, on every host, before this returns.
    pub async fn sign_out(&self, sessions: &[Arc<LiveSession>], visit: &Visit) -> Result<(), FlowError> {
        let mut ended: Ended = Vec::new();
        for session in sessions {
            // One session may be shown twice: as a token and as a cookie.
            if ended.iter().all(|(known, _)| !Arc::ptr_eq(known, session)) {
                ended.push((Arc::clone(session), End::SignedOut));
            }
        }
        self.end_all(&visit.origin(), ended, Batch::default()).await
    }

    /// A person's sessions that can still be used, newest first.
    pub fn sessions_of(&self, user: &UserId) -> Vec<Arc<LiveSession>> {
        let now = self.ground.clock.now();
        let mut live: Vec<_> = self.index.sessions_of(user);
        live.retain(|session| session.is_live(&self.ground.lifetimes(), now));
        live.reverse();
        live
    }

    /// Ends one session of `current`'s owner. A session that does not exist, or is another user's,
    /// is left alone and looks the same.
    pub async fn end_session(
        &self,
        current: &Session,
        id: &SessionId,
        visit: &Visit,
    ) -> Result<(), FlowError> {
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.spend_freshness_beside_applications(current, visit).await?;
            let found = self.kept(id).await?.filter(|session| session.record().user == current.user);
            let ended = found.into_iter().map(|session| (session, End::EndedByOwner)).collect();
            if self.is_committed_ending(&ended, None, spent, &visit.origin()).await? {
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    /// Ends every session of `current`'s owner but `current`.
    pub async fn end_other_sessions(&self, current: &Session, visit: &Visit) -> Result<(), FlowError> {
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.spend_freshness_beside_applications(current, visit).await?;
            let (all, decided) = self.all_of(&current.user).await?;
            let others = all.into_iter().filter(|session| session.record().id != current.id);
            let ended = others.map(|session| (session, End::EndedByOwner)).collect();
            let link = self.ground.records.forgetting_own_link(&current.user).await?;
            let change = decided.and(spent).and(link);
            if self.is_committed_ending(&ended, None, change, &visit.origin()).await? {
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    /// The sessions of `user` that were opened with `credential`.
    pub(in crate::flows) async fn opened_with(
        &self,
        user: &UserId,
        credential: &CredentialId,
    ) -> Result<Vec<Arc<LiveSession>>, FlowError> {
        let mut sessions = self.kept_of(user).await?;
        sessions.retain(|session| session.record().credential.as_ref() == Some(credential));
        Ok(sessions)
    }

    /// A session as the store has it.
    pub(in crate::flows) async fn kept(&self, id: &SessionId) -> Result<Option<Arc<LiveSession>>, FlowError> {
        let record = self.ground.records.get::<Session>(&keys::session(id)).await?;
        Ok(record.map(|record| self.index.session(id).unwrap_or_else(|| Arc::new(LiveSession::new(record)))))
    }

    /// The same, if it can still be used.
    pub(in crate::flows) async fn kept_live(
        &self,
        id: &SessionId,
    ) -> Result<Option<Arc<LiveSession>>, FlowError> {
        let (lifetimes, now) = (self.ground.lifetimes(), self.ground.clock.now());
        Ok(self.kept(id).await?.filter(|session| session.is_live(&lifetimes, now)))
    }

    /// The ids of a user's sessions, as the store has them: another gateway may have made a session
    /// that is not known here yet.
    async fn ids_of(&self, user: &UserId) -> Result<Vec<SessionId>, FlowError> {
        let mut ids = self.ground.records.session_ids_of(user).await?;
        // Sessions made by earlier versions are in no list of the store.
        ids.extend(self.index.sessions_of(user).iter().map(|session| session.record().id));
        ids.sort_unstable_by_key(|id| id.0);
        ids.dedup();
        Ok(ids)
    }

    /// A user's sessions as the store has them, oldest first.
    pub(in crate::flows) async fn kept_of(&self, user: &UserId) -> Result<Vec<Arc<LiveSession>>, FlowError> {
        let mut kept = Vec::new();
        for id in self.ids_of(user).await? {
            kept.extend(self.kept(&id).await?);
        }
        kept.sort_by_key(|session| session.record().created_at);
        Ok(kept)
    }

    /// The same for a decision about all of them, and the batch that such a decision is committed
    /// with.
    pub(in crate::flows) async fn all_of(
        &self,
        user: &UserId,
    ) -> Result<(Vec<Arc<LiveSession>>, Batch), FlowError> {
        // This comes before they are read, so that a session added after it is noticed.
        let decided = self.deciding_about_all(user).await?;
        Ok((self.kept_of(user).await?, decided))
    }

    /// The batch that expects that no session of `user` was added, and that nothing else was
    /// decided about all of them, since now. It goes once into a commit.
    pub(in crate::flows) async fn deciding_about_all(&self, user: &UserId) -> Result<Batch, FlowError> {
        let key = keys::sessions_revision(user);
        let before = self.ground.records.get_exact::<u64>(&key).await?;
        let (revision, unchanged) = match before {
            Some((revision, stored)) => (revision, Batch::default().expect(key.clone(), stored)),
            None => (0, Batch::default().expect_absent(key.clone())),
        };
        Ok(unchanged.put(key, records::encode(&(revision + 1))?))
    }

    /// Removes sessions that have expired, and writes down when the rest was last seen. A failure
    /// concerns one session only.
    pub(in crate::flows) async fn sweep(&self) {
        for some in self.index.all().chunks(SWEPT_WITHOUT_PAUSE) {
            let due = some.iter().filter_map(|session| Some((session, self.due(session)?)));
            stream::iter(due)
                .for_each_concurrent(SWEPT_AT_ONCE_MAX, |(session, due)| self.sweep_session(session, due))
                .await;
            // The sweep yields because the same threads serve requests.
            tokio::task::yield_now().await;
        }
    }

    /// The work to do on a session now; nearly all sessions need none.
    fn due(&self, session: &LiveSession) -> Option<Due> {
        let (record, now) = (session.record(), self.ground.clock.now());
        if session.is_held() {
            session.touch(now);
        }
        let has_owner_expired = self.index.user(&record.user).is_some_and(|user| user.has_expired(now));
        if has_owner_expired {
            Some(Due::Ends(End::AccountExpired))
        } else if !session.is_live(&self.ground.lifetimes(), now) {
            Some(Due::Ends(End::Expired))
        } else {
            let is_seen = session.last_seen_at().since(record.last_seen_at) >= LAST_SEEN_GRANULARITY;
            is_seen.then_some(Due::Seen)
        }
    }

    async fn sweep_session(&self, session: &Arc<LiveSession>, due: Due) {
        let swept = match due {
            Due::Ends(why) => self.sweep_away(session, why).await,
            Due::Seen => self.write_last_seen(session, &session.record()).await,
        };
        if let Err(error) = swept {
            tracing::warn!(%error, "a session could not be swept; if it has expired it is refused all the same");
        }
    }

    /// Ends a session whose time is over, unless it was used on another gateway meanwhile.
    async fn sweep_away(&self, session: &Arc<LiveSession>, why: End) -> Result<(), FlowError> {
        let (id, now) = (session.record().id, self.ground.clock.now());
        let kept = self.ground.records.get::<Session>(&keys::session(&id)).await;
        if let Ok(Some(record)) = &kept
            && why == End::Expired
            && record.is_live(record.last_seen_at, &self.ground.lifetimes(), now)
        {
            session.touch(record.last_seen_at);
            return Ok(());
        }
        // Open streams end even when the store takes no changes.
        session.end();
        kept?;
        self.end_all(&Origin::default(), vec![(Arc::clone(session), why)], Batch::default()).await
    }

    async fn write_last_seen(&self, session: &LiveSession, record: &Session) -> Result<(), FlowError> {
        let seen = Session { last_seen_at: session.last_seen_at(), ..record.clone() };
        // A change or an end that was committed meanwhile stays.
        let batch = records::put_session(&seen)?.expect(keys::session(&record.id), records::encode(record)?);
        self.ground.is_committed(batch).await.map(drop)
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.index.len()
    }

    /// How long the cookie of a session is kept: as long as a session can live, or as long as a
    /// short one still does. The record decides either way.
    pub fn cookie_lifetime(&self, session: &Session) -> Duration {
        let whole = session.expires_at.since(session.created_at);
        if whole < self.ground.lifetimes().absolute && session.scope == Scope::Full {
            session.expires_at.since(self.ground.clock.now())
        } else {
            self.ground.lifetimes().absolute
        }
    }

    /// When a session that is used now would end for idleness, or end anyway.
    pub fn expires_at(&self, session: &LiveSession) -> Timestamp {
        session.record().ends_at(session.last_seen_at(), &self.ground.lifetimes())
    }
}

pub(in crate::flows) fn shortened(user_agent: &str) -> String {
    let mut text: String = user_agent.chars().filter(|c| !c.is_control()).collect();
    let mut end = text.len().min(USER_AGENT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
