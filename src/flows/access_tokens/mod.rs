//! Access tokens: making, listing and revoking them. `admission/by_token.rs` says what one opens,
//! `index.rs` is what admission reads.
//!
//! What does not live here: what a token is (`domain/access_token/`).
//!
//! What always holds: making one costs what adding a passkey costs, or an operator's authority; the
//! token itself is told once and kept nowhere; a token that is revoked, or whose user is disabled,
//! deleted or expired, opens nothing from then on, and its streams end.

pub mod index;

use std::sync::Arc;
use std::time::Duration;

use self::index::LiveToken;
use crate::domain::access_token::grant::{Grant, GrantText};
use crate::domain::access_token::sealed::Unsigned;
use crate::domain::access_token::{AccessToken, LAST_USED_GRANULARITY, MalformedToken, TokenName};
use crate::domain::event::{End, Kind, Origin, TokenEvent};
use crate::domain::id::{AccessTokenId, UserId};
use crate::domain::policy::route::HostPattern;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::flows::FlowError;
use crate::flows::access_tokens::index::TokenIndex;
use crate::flows::attempts::Attempts;
use crate::flows::authority::Authority;
use crate::flows::commit::ATTEMPTS_MAX;
use crate::flows::ground::Ground;
use crate::flows::sessions::Ended;
use crate::flows::sessions::Sessions;
use crate::flows::visit::Visit;
use crate::ports::{Batch, entropy};
use crate::records::{self, keys};

/// The terms of a token to make.
#[derive(Debug, Clone)]
pub struct NewToken {
    pub name: TokenName,
    pub grant: Grant,
    pub lifetime: Duration,
}

impl NewToken {
    /// Reads what a user has written. `lifetime` is in seconds.
    pub fn parse(name: &str, grant: &GrantText, lifetime: u64) -> Result<Self, MalformedToken> {
        let (name, grant) = (TokenName::parse(name)?, Grant::parse(grant)?);
        if grant.routes.is_empty() {
            return Err(MalformedToken::NoRoute);
        }
        Ok(Self { name, grant, lifetime: Duration::from_secs(lifetime) })
    }
}

/// A token that was made, and its text, which is told once.
pub struct MadeToken {
    pub token: AccessToken,
    pub text: String,
}

/// Every access token.
pub struct AccessTokens {
    ground: Arc<Ground>,
    attempts: Arc<Attempts>,
    sessions: Arc<Sessions>,
    pub(in crate::flows) index: Arc<TokenIndex>,
}

impl AccessTokens {
    pub(in crate::flows) fn new(
        ground: Arc<Ground>,
        attempts: Arc<Attempts>,
        sessions: Arc<Sessions>,
        index: Arc<TokenIndex>,
    ) -> Self {
        Self { ground, attempts, sessions, index }
    }

    /// Makes a token for the owner of `session`, who has shown a passkey a short time ago.
    pub async fn make_own_token(
        &self,
        session: &Session,
        new: NewToken,
        visit: &Visit,
    ) -> Result<MadeToken, FlowError> {
        self.attempts.spend(visit)?;
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.sessions.spend_freshness(session, visit).await?;
            let (owner, unchanged) = self.ground.owner_of(session).await?;
            let (made, batch) = self.making(&owner, &new).await?;
            if self.ground.is_committed(batch.and(unchanged).and(spent)).await? {
                return Ok(self.report_created(made, visit.origin()));
            }
        }
        Err(FlowError::Busy)
    }

    /// Makes a token for a user.
    pub async fn make_token(
        &self,
        authority: &Authority,
        owner: &UserId,
        new: NewToken,
    ) -> Result<MadeToken, FlowError> {
        let key = keys::user(owner);
        for _ in 0..ATTEMPTS_MAX {
            let found = self.ground.records.get_exact::<User>(&key).await?;
            let (owner, stored) = found.ok_or(FlowError::NotFound)?;
            if !owner.is_active(self.ground.clock.now()) {
                return Err(FlowError::AccountClosed);
            }
            let (made, batch) = self.making(&owner, &new).await?;
            let spent = self.sessions.spend_freshness_of(authority, &Ended::new()).await?;
            if self.ground.is_committed(batch.expect(key.clone(), stored).and(spent)).await? {
                return Ok(self.report_created(made, authority.origin()));
            }
        }
        Err(FlowError::Busy)
    }

    async fn making(&self, owner: &User, new: &NewToken) -> Result<(MadeToken, Batch), FlowError> {
        let limits = self.ground.rules().access_tokens;
        if new.lifetime.is_zero() || new.lifetime > limits.lifetime_max {
            return Err(MalformedToken::Lifetime(limits.lifetime_max).into());
        }
        if self.kept_of(&owner.id).await?.len() >= limits.per_user_max.get() {
            return Err(MalformedToken::TooManyOfOne(limits.per_user_max.get()).into());
        }
        self.must_be_enterable(owner, &new.grant)?;
        let now = self.ground.clock.now();
        // In whole seconds, as the token says it.
        let expires_at = Timestamp::from_millis(now.plus(new.lifetime).as_seconds() * 1_000);
        let token = AccessToken {
            id: AccessTokenId(entropy::bytes(&*self.ground.entropy)),
            user: owner.id,
            name: new.name.clone(),
            grant: new.grant.clone(),
            created_at: now,
            expires_at,
            last_used_at: None,
        };
        let signed = self.ground.open_keys.load().access_tokens.sign(&token, &self.ground.issuer);
        let text = signed.map_err(|why| match why {
            Unsigned::TooLong => FlowError::from(MalformedToken::TooLong),
            Unsigned::Failed => FlowError::Signing,
        })?;
        let key = keys::access_token(&token.id);
        let batch = Batch::default()
            .expect_absent(key.clone())
            .put(key, records::encode(&token)?)
            .put(keys::access_token_of(&token.user, &token.id), records::encode(&())?);
        Ok((MadeToken { token, text }, batch))
    }

    /// Refuses a token for a route that is not there or that its user may not enter; the answer
    /// does not tell which of the two.
    fn must_be_enterable(&self, owner: &User, grant: &Grant) -> Result<(), FlowError> {
        let (rules, now) = (self.ground.rules(), self.ground.clock.now());
        let enterable = |name: &&String| {
            rules.routes.all().any(|route| route.name == **name && route.may_be_entered_by(owner, now))
        };
        match grant.routes.iter().find(|name| !enterable(name)) {
            Some(unknown) => Err(MalformedToken::UnknownRoute(unknown.clone()).into()),
            None => Ok(()),
        }
    }

    /// An address that a token with this grant opens; `None` where its first route has none that
    /// can be named.
    pub fn example_url(&self, grant: &Grant) -> Option<String> {
        let rules = self.ground.rules();
        let route = rules.routes.all().find(|route| grant.routes.first() == Some(&route.name))?;
        let HostPattern::Exact(host) = &route.host else { return None };
        let path = grant.paths.first().map_or_else(|| route.path.clone(), ToString::to_string);
        Some(format!("{}{path}", self.ground.place.origin_of(host)))
    }

    /// The names of the routes that a user may enter, for choosing a token's routes.
    pub fn routes_of(&self, user: &User) -> Vec<String> {
        let (rules, now) = (self.ground.rules(), self.ground.clock.now());
        let enterable = rules.routes.all().filter(|route| route.may_be_entered_by(user, now));
        enterable.map(|route| route.name.clone()).collect()
    }

    /// A user as they are now.
    pub fn user_now(&self, id: &UserId) -> Option<Arc<User>> {
        self.sessions.index.user(id)
    }

    fn report_created(&self, made: MadeToken, origin: Origin) -> MadeToken {
        self.ground.report(
            origin,
            Kind::AccessToken(TokenEvent::Created { user: made.token.user, token: made.token.id }),
        );
        made
    }

    /// The public keys of tokens, the signing key first.
    pub fn token_keys(&self) -> Vec<(u32, String)> {
        self.ground.open_keys.load().access_tokens.published()
    }

    /// A user's tokens that can still be used, newest first.
    pub fn tokens_of(&self, user: &UserId) -> Vec<Arc<LiveToken>> {
        let now = self.ground.clock.now();
        let mut live = self.index.tokens_of(user);
        live.retain(|token| token.is_live(now));
        live.reverse();
        live
    }

    /// Revokes a token of the owner of `session`. A token that does not exist, or belongs to
    /// another user, looks the same.
    pub async fn revoke_own_token(
        &self,
        session: &Session,
        id: &AccessTokenId,
        visit: &Visit,
    ) -> Result<(), FlowError> {
        for _ in 0..ATTEMPTS_MAX {
            let spent = self.sessions.spend_freshness_beside_applications(session, visit).await?;
            let token = self.kept(id).await?.filter(|token| token.record().user == session.user);
            let token = token.ok_or(FlowError::NotFound)?;
            if self.is_ended(&visit.origin(), &token, End::EndedByOwner, spent).await? {
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    /// Revokes a token of any user.
    pub async fn revoke_token(&self, authority: &Authority, id: &AccessTokenId) -> Result<(), FlowError> {
        for _ in 0..ATTEMPTS_MAX {
            let token = self.kept(id).await?.ok_or(FlowError::NotFound)?;
            let spent = self.sessions.spend_freshness_of(authority, &Ended::new()).await?;
            if self.is_ended(&authority.origin(), &token, End::EndedByOperator, spent).await? {
                return Ok(());
            }
        }
        Err(FlowError::Busy)
    }

    /// Whether the end of `token` and the change `with` could be committed; if so, it is reported.
    async fn is_ended(
        &self,
        origin: &Origin,
        token: &LiveToken,
        why: End,
        with: Batch,
    ) -> Result<bool, FlowError> {
        let is_ended =
            self.ground.is_committed(with.and(records::delete_access_token(&token.record()))).await?;
        if is_ended {
            self.report_revoked(origin, token, why);
        }
        Ok(is_ended)
    }

    /// A token as the store has it.
    async fn kept(&self, id: &AccessTokenId) -> Result<Option<Arc<LiveToken>>, FlowError> {
        let record = self.ground.records.get::<AccessToken>(&keys::access_token(id)).await?;
        Ok(record.map(|record| self.index.token(id).unwrap_or_else(|| Arc::new(LiveToken::new(record)))))
    }

    /// A user's tokens as the store has them: another gateway may have made a token that is not
    /// known here yet.
    pub(in crate::flows) async fn kept_of(&self, user: &UserId) -> Result<Vec<Arc<LiveToken>>, FlowError> {
        let mut ids = self.ground.records.access_token_ids_of(user).await?;
        // Tokens made by earlier versions are in no list of the store.
        ids.extend(self.index.tokens_of(user).iter().map(|token| token.record().id));
        ids.sort_unstable_by_key(|id| id.0);
        ids.dedup();
        let mut kept = Vec::with_capacity(ids.len());
        for id in ids {
            kept.extend(self.kept(&id).await?);
        }
        Ok(kept)
    }

    /// Reports the end of a token, and ends it in memory without waiting for the feed.
    pub(in crate::flows) fn report_revoked(&self, origin: &Origin, token: &LiveToken, why: End) {
        token.end();
        let AccessToken { id, user, .. } = *token.record();
        self.ground.report(origin.clone(), Kind::AccessToken(TokenEvent::Revoked { user, token: id, why }));
    }

    /// Removes tokens that are over, or whose user is, and writes down when the others were last
    /// used. No decision depends on this having run.
    pub(in crate::flows) async fn sweep_access_tokens(&self) {
        for token in self.index.all() {
            if let Err(error) = self.sweep_access_token(&token).await {
                tracing::warn!(%error, "an access token could not be swept; if it is over it is refused all the same");
            }
        }
    }

    async fn sweep_access_token(&self, token: &Arc<LiveToken>) -> Result<(), FlowError> {
        let (record, now) = (token.record(), self.ground.clock.now());
        let user = match self.sessions.index.user(&record.user) {
            Some(user) => Some(user),
            // Another gateway may have made them, and the token.
            None => self.ground.records.user(&record.user).await?.map(Arc::new),
        };
        let why = match user {
            None => Some(End::AccountDeleted),
            Some(user) if user.has_expired(now) => Some(End::AccountExpired),
            Some(_) => (!record.is_live(now)).then_some(End::Expired),
        };
        if let Some(why) = why {
            // Open streams end even when the store takes no changes.
            token.end();
            return self.is_ended(&Origin::default(), token, why, Batch::default()).await.map(drop);
        }
        let last = token.last_used_at();
        let written = record.last_used_at.unwrap_or(Timestamp::from_millis(0));
        if last.is_none_or(|last| last.since(written) < LAST_USED_GRANULARITY) {
            return Ok(());
        }
        let touched = AccessToken { last_used_at: last, ..(*record).clone() };
        let key = keys::access_token(&record.id);
        // A token that was revoked meanwhile stays revoked.
        let batch = Batch::default().expect(key.clone(), records::encode(&*record)?);
        self.ground.is_committed(batch.put(key, records::encode(&touched)?)).await.map(drop)
    }
}
