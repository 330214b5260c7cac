//! Finding people: a page at a time, by the beginning of a username, an address or a name.
//!
//! What always holds: nothing here loads all users. The store is walked along an index, and a
//! request walks a bounded part of it (`paging.rs`).

use std::time::Duration;

use crate::domain::credential::Credential;
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::domain::user::{Email, Group, Role, Standing, User, Username};
use crate::flows::FlowError;
use crate::flows::administration::Administration;
use crate::flows::administration::paging::{Page, Pager, Part};
use crate::flows::commit::{Parts, packed};
use crate::ports::Batch;
use crate::ports::store::Entry;
use crate::records::{self, keys};

/// How long ago counts as recently.
const RECENTLY: Duration = Duration::from_hours(24 * 30);
/// The longest text that is searched for, in characters.
pub const SEARCH_CHARS_MAX: usize = 200;
/// People whose terms are written in one commit while the directory is made.
const MADE_AT_ONCE: usize = 16;

/// The users to list.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The beginning of what they are found by; in lower case, and not empty.
    pub search: Option<String>,
    pub standing: Option<Standing>,
    pub role: Option<Role>,
    pub group: Option<Group>,
    pub passkeys: Option<HowMany>,
    pub last_used: Option<LastUsed>,
    pub part: Part,
}

impl Query {
    /// The same for people who are found by a term that begins with `text`; all users if it is
    /// empty.
    #[must_use]
    pub fn beginning_with(self, text: &str) -> Self {
        let text: String = text.trim().to_lowercase().chars().take(SEARCH_CHARS_MAX).collect();
        Self { search: (!text.is_empty()).then_some(text), ..self }
    }

    fn lets_summary_pass(&self, summary: &Summary, now: Timestamp) -> bool {
        self.passkeys.is_none_or(|many| many == HowMany::of(summary.passkeys))
            && self.last_used.is_none_or(|last| last.fits(summary.last_used_at, now))
    }

    fn lets_pass(&self, user: &User) -> bool {
        self.standing.is_none_or(|standing| user.standing == standing)
            && self.role.is_none_or(|role| user.role == role)
            && self.group.as_ref().is_none_or(|group| user.groups.contains(group))
    }
}

/// How many passkeys a user has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HowMany {
    Nothing,
    One,
    Several,
}

impl HowMany {
    /// Reads `none`, `one` or `several`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self::Nothing),
            "one" => Some(Self::One),
            "several" => Some(Self::Several),
            _ => None,
        }
    }

    const fn of(count: usize) -> Self {
        match count {
            0 => Self::Nothing,
            1 => Self::One,
            _ => Self::Several,
        }
    }
}

/// When a user has shown a passkey last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastUsed {
    Never,
    /// Within [`RECENTLY`].
    Recently,
    /// Before that, or never.
    NotRecently,
}

impl LastUsed {
    /// Reads `never`, `month` or `longer`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "never" => Some(Self::Never),
            "month" => Some(Self::Recently),
            "longer" => Some(Self::NotRecently),
            _ => None,
        }
    }

    fn fits(self, last_used_at: Option<Timestamp>, now: Timestamp) -> bool {
        let recently = last_used_at.is_some_and(|at| now.since(at) < RECENTLY);
        match self {
            Self::Never => last_used_at.is_none(),
            Self::Recently => recently,
            Self::NotRecently => !recently,
        }
    }
}

/// A user as lists show them.
#[derive(Debug, Clone)]
pub struct Summary {
    pub user: User,
    pub passkeys: usize,
    /// When one of the passkeys was last shown.
    pub last_used_at: Option<Timestamp>,
}

impl Summary {
    /// The summary of a user who has these credentials.
    pub fn new(user: User, credentials: &[Credential]) -> Self {
        let last_used_at = credentials.iter().filter_map(|credential| credential.last_used_at).max();
        Self { user, passkeys: credentials.len(), last_used_at }
    }
}

impl Administration {
    /// A page of people: by username, or, where a text is searched for, by the term that was found.
    pub async fn list_users(&self, query: &Query) -> Result<Page<Summary>, FlowError> {
        let prefix = match &query.search {
            Some(text) => keys::terms_from(text),
            None => keys::USERNAMES.to_vec(),
        };
        let mut pager = Pager::of(&self.ground.records, &prefix, &query.part);
        while let Some((key, value)) = pager.next().await? {
            if let Some(user) = self.user_at(query.search.as_deref(), &key, &value).await?
                && query.lets_pass(&user)
            {
                let summary = self.summary_of(user).await?;
                if query.lets_summary_pass(&summary, self.ground.clock.now()) {
                    pager.take(summary);
                }
            }
        }
        Ok(pager.page())
    }

    /// The user to whom an entry of the index leads, if it is the first one of the list that does:
    /// people keep former usernames, and a search finds some by more than one term.
    async fn user_at(
        &self,
        search: Option<&str>,
        key: &[u8],
        value: &[u8],
    ) -> Result<Option<User>, FlowError> {
        let Some(text) = search else {
            let user = self.ground.records.user(&records::decode(value)?).await?;
            return Ok(user.filter(|user| keys::username(&user.username) == key));
        };
        let Some((term, id)) = keys::term_and_user(key) else { return Ok(None) };
        let user = self.ground.records.user(&id).await?;
        Ok(user.filter(|user| {
            let terms = records::terms_of(user);
            terms.iter().find(|term| term.starts_with(text)).is_some_and(|first| first == term)
        }))
    }

    async fn summary_of(&self, user: User) -> Result<Summary, FlowError> {
        let credentials = self.ground.records.credentials_of(&user.id).await?;
        Ok(Summary::new(user, &credentials))
    }

    /// A user by id, username or e-mail address.
    pub async fn find_user(&self, name: &str) -> Result<User, FlowError> {
        let found = if let Ok(id) = UserId::parse(name) {
            self.ground.records.user(&id).await?
        } else if name.contains('@') {
            self.ground.records.user_by_email(&Email::parse(name)?).await?
        } else {
            self.ground.records.user_by_username(&Username::parse(name)?).await?
        };
        found.ok_or(FlowError::NotFound)
    }

    /// A user by id.
    pub async fn user(&self, id: &UserId) -> Result<User, FlowError> {
        self.ground.records.user(id).await?.ok_or(FlowError::NotFound)
    }

    /// A user's username, from memory.
    pub fn username_of(&self, id: &UserId) -> Option<Username> {
        Some(self.sessions.index.user(id)?.username.clone())
    }

    /// How many people have an account.
    pub fn user_count(&self) -> usize {
        self.sessions.index.user_count()
    }

    /// How many accounts wait for an administrator.
    pub fn pending_count(&self) -> usize {
        self.sessions.index.pending_count()
    }

    /// How many people have the administrator's role.
    pub fn administrator_count(&self) -> usize {
        self.sessions.index.administrator_count()
    }

    /// Makes the directory for the users who are older than it. A start that ends in the middle
    /// does it again.
    pub(in crate::flows) async fn make_directory(&self) -> Result<(), FlowError> {
        let made = keys::directory_made();
        if self.ground.records.get::<()>(&made).await?.is_some() {
            return Ok(());
        }
        let mut after: Option<Vec<u8>> = None;
        loop {
            let entries =
                self.ground.records.store().scan(keys::USERS, after.as_deref(), MADE_AT_ONCE).await?;
            let Some((last, _)) = entries.last() else { break };
            after = Some(last.clone());
            for (_, batch) in packed(terms_of_all(&entries)?, 0) {
                self.ground.records.commit(batch).await?;
            }
        }
        Ok(self.ground.records.commit(Batch::default().put(made, records::encode(&())?)).await?)
    }
}

fn terms_of_all(entries: &[Entry]) -> Result<Parts<()>, FlowError> {
    let mut parts = Parts::new();
    for (_, value) in entries {
        let user: User = records::decode(value)?;
        for term in records::terms_of(&user) {
            let batch = Batch::default().put(keys::term(&term, &user.id), records::encode(&())?);
            parts.push(((), batch));
        }
    }
    Ok(parts)
}
