//! The administrator's pages as views.

use askama::Template;

use super::chart::Chart;
use super::preview::Preview;
use super::text::AdminText;
use super::why::Why;
use crate::domain::audit::Entry;
use crate::domain::credential::Credential;
use crate::domain::invitation::Invitation;
use crate::domain::network::Network;
use crate::domain::policy::decide::{Policy, SHORT_FORM};
use crate::domain::policy::route::Route;
use crate::domain::policy::rule::{Effect, Rule};
use crate::domain::policy::who::Who;
use crate::domain::time::Timestamp;
use crate::domain::user::{Group, Note, Role, Standing, User};
use crate::domain::user_agent;
use crate::flows::administration::directory::Summary;
use crate::flows::administration::upkeep::CertificateEnd;
use crate::flows::index::LiveSession;
use crate::flows::trail::activity::PasskeyCounts;
use crate::pages::Site;
use crate::pages::access_tokens::TokenRow;
use crate::pages::account::TileIcon;
use crate::pages::attributes::AttributeField;

/// The highest number on a badge.
pub(super) const COUNTED_MAX: usize = 99;

fn in_words(count: usize) -> String {
    if count > COUNTED_MAX { format!("{COUNTED_MAX}+") } else { count.to_string() }
}

/// The sections of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Users,
    Invitations,
    Routes,
    Sessions,
    Bans,
    Audit,
    Settings,
}

/// The frame around every page of the administrator's.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) site: &'a Site,
    pub(super) t: &'static AdminText,
    pub(super) here: Section,
    /// Unused invitations, for the badge; counted a little beyond [`COUNTED_MAX`].
    pub(super) waiting: usize,
    /// Accounts that wait for an administrator.
    pub(super) pending: usize,
}

/// An entry of the navigation.
pub(super) struct Tab {
    pub(super) label: &'static str,
    pub(super) href: String,
    pub(super) is_here: bool,
    pub(super) badge: Option<String>,
}

impl Frame<'_> {
    pub(super) fn tabs(&self) -> Vec<Tab> {
        let t = self.t;
        let tab = |section, label, below: &str| Tab {
            label,
            href: format!("{}/admin{below}", self.site.prefix()),
            is_here: self.here == section,
            badge: Some(match section {
                Section::Invitations => self.waiting,
                Section::Users => self.pending,
                Section::Overview
                | Section::Routes
                | Section::Sessions
                | Section::Bans
                | Section::Audit
                | Section::Settings => 0,
            })
            .filter(|count| *count > 0)
            .map(in_words),
        };
        vec![
            tab(Section::Overview, t.overview, ""),
            tab(Section::Users, t.users, "/users"),
            tab(Section::Invitations, t.invitations, "/invitations"),
            tab(Section::Routes, t.routes, "/applications"),
            tab(Section::Sessions, t.sessions, "/sessions"),
            tab(Section::Bans, t.bans, "/bans"),
            tab(Section::Audit, t.audit, "/audit"),
            tab(Section::Settings, t.settings, "/settings"),
        ]
    }
}

/// `{prefix}/admin`
#[derive(Template)]
#[template(path = "admin/overview.html")]
pub(super) struct Overview<'a> {
    pub(super) site: &'a Site,
    pub(super) t: &'static AdminText,
    pub(super) frame: Frame<'a>,
    pub(super) is_ready: bool,
    pub(super) users: usize,
    pub(super) administrators: usize,
    pub(super) sessions: usize,
    pub(super) passkeys: PasskeyCounts,
    pub(super) last_backup_at: Option<Timestamp>,
    /// The certificates that end first come first.
    pub(super) certificates: Vec<CertificateEnd>,
    pub(super) charts: Vec<Chart>,
}

impl Overview<'_> {
    #[expect(clippy::unused_self, reason = "templates call methods of their view")]
    const fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

/// A user in a list.
pub(super) struct UserRow {
    pub(super) id: String,
    pub(super) username: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) groups: String,
    pub(super) is_administrator: bool,
    pub(super) is_disabled: bool,
    pub(super) is_pending: bool,
    pub(super) passkeys: usize,
    pub(super) last_used_at: Option<Timestamp>,
}

impl From<&Summary> for UserRow {
    fn from(summary: &Summary) -> Self {
        let user = &summary.user;
        Self {
            id: user.id.to_string(),
            username: user.username.to_string(),
            name: user.display_name.to_string(),
            email: user.email.to_string(),
            groups: joined(user),
            is_administrator: user.role == Role::Administrator,
            is_disabled: user.standing == Standing::Disabled,
            is_pending: user.standing == Standing::Pending,
            passkeys: summary.passkeys,
            last_used_at: summary.last_used_at,
        }
    }
}

fn joined(user: &User) -> String {
    user.groups.iter().map(Group::as_str).collect::<Vec<_>>().join(" ")
}

/// The filters of a list of users, as in the address.
#[derive(Debug, Default)]
pub(super) struct Filters {
    pub(super) search: String,
    pub(super) standing: String,
    pub(super) role: String,
    pub(super) group: String,
    pub(super) passkeys: String,
    pub(super) last: String,
    pub(super) after: String,
}

impl Filters {
    pub(super) fn is_blank(&self) -> bool {
        let Self { search, standing, role, group, passkeys, last, after } = self;
        [search, standing, role, group, passkeys, last, after].iter().all(|it| it.is_empty())
    }
}

/// `{prefix}/admin/users`
#[derive(Template)]
#[template(path = "admin/users.html")]
pub(super) struct Users<'a> {
    pub(super) site: &'a Site,
    pub(super) t: &'static AdminText,
    pub(super) frame: Frame<'a>,
    pub(super) filters: Filters,
    pub(super) rows: Vec<UserRow>,
    /// The address of the next page.
    pub(super) next: Option<String>,
}

/// A passkey of a user.
pub(super) struct PasskeyLine {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) authenticator: &'static str,
    pub(super) created_at: Timestamp,
    pub(super) last_used_at: Option<Timestamp>,
}

impl From<&Credential> for PasskeyLine {
    fn from(credential: &Credential) -> Self {
        use crate::domain::ceremony::aaguid;
        Self {
            id: credential.id.to_string(),
            name: credential.name.as_str().to_owned(),
            authenticator: aaguid::name_of(credential.aaguid).unwrap_or(aaguid::UNKNOWN_AUTHENTICATOR),
            created_at: credential.created_at,
            last_used_at: credential.last_used_at,
        }
    }
}

/// A session in a list.
pub(super) struct SessionLine {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) username: String,
    pub(super) device: String,
    pub(super) network: String,
    pub(super) created_at: Timestamp,
    pub(super) last_seen_at: Timestamp,
    pub(super) is_this_one: bool,
}

impl SessionLine {
    pub(super) fn of(session: &LiveSession, username: &str, own: &LiveSession) -> Self {
        let record = session.record();
        Self {
            id: record.id.to_string(),
            user: record.user.to_string(),
            username: username.to_owned(),
            device: user_agent::in_words(record.user_agent.as_deref()),
            network: record.client.map(|client| Network::of(client).to_string()).unwrap_or_default(),
            created_at: record.created_at,
            last_seen_at: session.last_seen_at(),
            is_this_one: record.id == own.record().id,
        }
    }
}

/// A rule of a route.
pub(super) struct RuleLine {
    /// `None`: the short form, which has none.
    pub(super) name: Option<String>,
    pub(super) lets_in: bool,
    pub(super) who: Vec<String>,
    pub(super) when: String,
}

impl RuleLine {
    fn of(rule: &Rule) -> Self {
        let who = match &rule.who {
            Who::Anyone => vec![rule.who.to_string()],
            Who::People(lines) => lines.iter().map(ToString::to_string).collect(),
        };
        let name = (rule.name != SHORT_FORM).then(|| rule.name.clone());
        // The short form without a line lets no user in, which the page says.
        Self { name, lets_in: rule.effect == Effect::Allow, who, when: rule.when.to_string() }
    }

    /// Rules, or the clauses of a policy in Datalog.
    fn all(policy: &Policy) -> Vec<Self> {
        let rules = policy.rules().iter().map(Self::of).filter(|rule| !rule.who.is_empty());
        let clause = |clause: &String| Self {
            name: None,
            lets_in: true,
            who: vec![clause.clone()],
            when: String::new(),
        };
        rules.chain(policy.clauses().iter().map(clause)).collect()
    }
}

/// An application, and whether a user may enter it.
pub(super) struct RouteLine {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) rules: Vec<RuleLine>,
    pub(super) public: Vec<String>,
    pub(super) may_enter: bool,
}

impl RouteLine {
    pub(super) fn of(route: &Route, user: &User, now: Timestamp) -> Self {
        Self {
            name: route.name.clone(),
            address: format!("{}{}", route.host, route.path),
            rules: RuleLine::all(&route.policy),
            public: route.public.iter().map(ToString::to_string).collect(),
            may_enter: route.may_be_entered_by(user, now),
        }
    }
}

/// An event.
pub(super) struct EventLine {
    pub(super) at: Timestamp,
    pub(super) event: String,
    pub(super) is_refusal: bool,
    pub(super) outcome: &'static str,
    pub(super) actor: String,
    pub(super) user: Option<String>,
    pub(super) client: String,
    pub(super) details: String,
}

impl EventLine {
    /// The line of an entry; `names` gives people's usernames for their ids.
    pub(super) fn of(entry: &Entry, names: impl Fn(&str) -> Option<String>) -> Self {
        let details =
            [&entry.route, &entry.rule, &entry.subject, &entry.request].into_iter().flatten().cloned();
        let reason = entry.reason.as_ref().map(ToString::to_string);
        Self {
            at: entry.at,
            event: entry.event.replace('_', " "),
            is_refusal: entry.outcome == crate::domain::event::Outcome::Refused,
            outcome: entry.outcome.label(),
            actor: names(&entry.actor).unwrap_or_else(|| entry.actor.to_string()),
            user: entry.user.map(|user| {
                let id = user.to_string();
                names(&id).unwrap_or(id)
            }),
            client: entry.client.clone().unwrap_or_default(),
            details: reason.into_iter().chain(details).collect::<Vec<_>>().join(" · "),
        }
    }
}

/// `{prefix}/admin/users/{id}`
#[derive(Template)]
#[template(path = "admin/user.html")]
pub(super) struct OneUser<'a> {
    pub(super) site: &'a Site,
    pub(super) t: &'static AdminText,
    pub(super) frame: Frame<'a>,
    pub(super) user: &'a User,
    pub(super) attributes: Vec<AttributeField>,
    pub(super) passkeys: Vec<PasskeyLine>,
    pub(super) sessions: Vec<SessionLine>,
    pub(super) tokens: Vec<TokenRow>,
    pub(super) routes: Vec<RouteLine>,
    pub(super) why: Why,
    pub(super) events: Vec<EventLine>,
}

impl OneUser<'_> {
    fn is_disabled(&self) -> bool {
        self.user.standing == Standing::Disabled
    }

    fn is_pending(&self) -> bool {
        self.user.standing == Standing::Pending
    }

    fn is_administrator(&self) -> bool {
        self.user.role == Role::Administrator
    }

    fn groups(&self) -> String {
        joined(self.user)
    }

    fn note(&self) -> &str {
        self.user.note.as_ref().map_or("", Note::as_str)
    }

    /// The day on which the account ends, as a date field takes it.
    fn end_day(&self) -> String {
        let end = self.user.expires_at.map(Timestamp::to_rfc3339).unwrap_or_default();
        end.split_once('T').map(|(day, _)| day.to_owned()).unwrap_or_default()
    }
}

/// An invitation that waits.
pub(super) struct InvitationLine {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) groups: String,
    pub(super) has_account: bool,
    pub(super) is_administrator: bool,
    pub(super) by: String,
    pub(super) expires_at: Timestamp,
}

impl From<&Invitation> for InvitationLine {
    fn from(invitation: &Invitation) -> Self {
        Self {
            id: invitation.id.to_string(),
            email: invitation.email.to_string(),
            groups: invitation.groups.iter().map(Group::as_str).collect::<Vec<_>>().join(" "),
            has_account: invitation.account.is_some(),
            is_administrator: invitation.role == Role::Administrator,
            by: invitation.invited_by.clone(),
            expires_at: invitation.expires_at,
        }
    }
}

/// `{prefix}/admin/invitations`
#[derive(Template)]
#[template(path = "admin/invitations.html")]
pub(super) struct Invitations<'a> {
    pub(super) site: &'a Site,
    pub(super) t: &'static AdminText,
    pub(super) frame: Frame<'a>,
    pub(super) has_mail: bool,
    pub(super) rows: Vec<InvitationLine>,
    pub(super) next: Option<String>,
}

impl Invitations<'_> {
    fn count(&self) -> String {
        in_words(self.frame.waiting)
    }
}

/// `{prefix}/admin/applications`
#[derive(Template)]
#[template(path = "admin/routes.html")]
pub(super) struct Routes<'a> {
    pub(super) site: &'a Site,
    pub(super) t: &'static AdminText,
    pub(super) frame: Frame<'a>,
    /// Whether other proxies may ask about requests.
    pub(super) asks: bool,
    /// The user for whom `rows` says whether they may enter.
    pub(super) preview: Preview,
    pub(super) rows: Vec<RouteLine>,
}

/// `{prefix}/admin/sessions`
#[derive(Template)]
#[template(path = "admin/sessions.html")]
pub(super) struct Sessions<'a> {
    pub(super) site: &'a Site,
    pub(super) t: &'static AdminText,
    pub(super) frame: Frame<'a>,
    pub(super) rows: Vec<SessionLine>,
    pub(super) next: Option<String>,
}

/// `{prefix}/admin/audit`
#[derive(Template)]
#[template(path = "admin/audit.html")]
pub(super) struct Audit<'a> {
    pub(super) site: &'a Site,
    pub(super) t: &'static AdminText,
    pub(super) frame: Frame<'a>,
    pub(super) event: String,
    pub(super) user: String,
    pub(super) rows: Vec<EventLine>,
    pub(super) next: Option<String>,
}

/// A day in words, in UTC; the script replaces it by the reader's own time.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
pub(super) fn day(at: &Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| String::new(), |moment| moment.strftime("%-d %B %Y").to_string())
}
