//! The addresses of the administrator's pages: each loads its data and renders it.

use axum::Router;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use std::sync::Arc;

use super::bans::{BanRow, Bans};
use super::chart::Chart;
use super::forward_test::{ForwardTest, Line};
use super::preview::{self, Preview};
use super::settings::SettingsPage;
use super::text::ENGLISH;
use super::views::{
    Audit, COUNTED_MAX, EventLine, Filters, Frame, InvitationLine, Invitations, OneUser, Overview,
    PasskeyLine, RouteLine, Routes, Section, SessionLine, Sessions, UserRow, Users,
};
use super::why::{Asked, Why};
use crate::domain::id::UserId;
use crate::domain::place::{FORWARD_TEST, ForwardAuth};
use crate::domain::session::Scope;
use crate::domain::user::{Group, Role, Standing, User};
use crate::flows::administration::directory::{self, HowMany, LastUsed};
use crate::flows::administration::paging::{Cursor, Part};
use crate::flows::administration::trail::{Kept, PAGE_ENTRIES, TrailQuery};
use crate::flows::index::LiveSession;
use crate::flows::sessions::caller::Caller;
use crate::pages::access_tokens::TokenRow;
use crate::pages::attributes::AttributeField;
use crate::pages::routes::{Desk, nothing_here, page, to_page};
use crate::web::Problem;
use crate::web::call::Call;

/// How many events a user's page shows.
const EVENTS_OF_USER: usize = 20;

/// The pages, relative to the prefix.
pub fn pages(desk: Desk) -> Router {
    Router::new()
        .route("/admin", get(overview))
        .route("/admin/users", get(users))
        .route("/admin/users/{id}", get(user))
        .route("/admin/invitations", get(invitations))
        .route("/admin/applications", get(applications))
        .route("/admin/sessions", get(sessions))
        .route("/admin/bans", get(bans))
        .route("/admin/audit", get(audit))
        .route("/admin/settings", get(settings))
        .route(FORWARD_TEST, get(forward_test))
        .with_state(desk)
}

/// An administrator who is signed in and loads a page. Other callers are shown the rejection
/// instead: a member finds nothing here.
struct Administrator {
    session: Arc<LiveSession>,
    user: Arc<User>,
}

impl FromRequestParts<Desk> for Administrator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Response> {
        let call = Call::from_request_parts(parts, desk).await.map_err(IntoResponse::into_response)?;
        match call.caller_by_cookie().map_err(IntoResponse::into_response)? {
            Caller::Known(session, _) if session.record().scope != Scope::Full => {
                Err(to_page(desk, "/enroll"))
            }
            Caller::Known(_, user) if user.role != Role::Administrator => Err(nothing_here(desk, &call)),
            Caller::Known(session, user) => {
                session.touch(desk.gateway.ground.clock().now());
                Ok(Self { session, user })
            }
            Caller::Anonymous { .. } => Err(to_page(desk, "/login")),
        }
    }
}

async fn frame(desk: &Desk, here: Section) -> Result<Frame<'_>, Problem> {
    let waiting = desk.gateway.administration.count_invitations(COUNTED_MAX + 1).await?;
    let pending = desk.gateway.administration.pending_count();
    Ok(Frame { site: &desk.site, t: &ENGLISH, here, waiting, pending })
}

async fn overview(State(desk): State<Desk>, _: Administrator) -> Result<Response, Problem> {
    let gateway = &desk.gateway;
    let (hours, now) = (gateway.administration.activity(), gateway.ground.clock().now());
    let view = Overview {
        site: &desk.site,
        t: &ENGLISH,
        frame: frame(&desk, Section::Overview).await?,
        is_ready: gateway.ground.health().is_ok(),
        users: gateway.administration.user_count(),
        administrators: gateway.administration.administrator_count(),
        sessions: gateway.sessions.session_count(),
        passkeys: gateway.administration.passkey_counts().await?,
        last_backup_at: gateway.administration.last_backup_at(),
        certificates: gateway.upkeep.certificate_ends(),
        charts: vec![
            Chart::of_day(ENGLISH.last_day, &hours, now),
            Chart::of_week(ENGLISH.last_week, &hours, now),
        ],
    };
    Ok(page(StatusCode::OK, &view))
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    search: String,
    #[serde(default)]
    standing: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    passkeys: String,
    #[serde(default)]
    last: String,
    #[serde(default)]
    after: String,
}

async fn users(
    State(desk): State<Desk>,
    _: Administrator,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    let Which { search, standing, role, group, passkeys, last, after } = which;
    // An unreadable filter is ignored: the form shows the filters in force.
    let query = directory::Query {
        standing: match standing.as_str() {
            "active" => Some(Standing::Active),
            "pending" => Some(Standing::Pending),
            "disabled" => Some(Standing::Disabled),
            _ => None,
        },
        role: match role.as_str() {
            "administrator" => Some(Role::Administrator),
            "member" => Some(Role::Member),
            _ => None,
        },
        group: Group::parse(&group).ok(),
        passkeys: HowMany::parse(&passkeys),
        last_used: LastUsed::parse(&last),
        part: Part { after: Cursor::parse(&after), ..Part::default() },
        search: None,
    };
    let found = desk.gateway.administration.list_users(&query.beginning_with(&search)).await?;
    let filters = Filters { search, standing, role, group, passkeys, last, after };
    let next = found.next.map(|next| address_of(&filters, &next));
    let rows = found.items.iter().map(UserRow::from).collect();
    let frame = frame(&desk, Section::Users).await?;
    Ok(page(StatusCode::OK, &Users { site: &desk.site, t: &ENGLISH, frame, filters, rows, next }))
}

/// The query of the page that goes on after `next`.
fn address_of(filters: &Filters, next: &Cursor) -> String {
    let pairs = [
        ("search", filters.search.as_str()),
        ("standing", &filters.standing),
        ("role", &filters.role),
        ("group", &filters.group),
        ("passkeys", &filters.passkeys),
        ("last", &filters.last),
    ];
    query_of(&pairs, next)
}

fn query_of(pairs: &[(&str, &str)], next: &Cursor) -> String {
    let mut query = url::form_urlencoded::Serializer::for_suffix(String::from("?"), 1);
    query.extend_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()));
    query.append_pair("after", &next.to_string());
    query.finish()
}

async fn user(
    State(desk): State<Desk>,
    own: Administrator,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let gateway = &desk.gateway;
    let id = UserId::parse(&id).map_err(|_| Problem::not_found())?;
    let user = gateway.administration.user(&id).await?;
    let trail = TrailQuery { user: Some(id), limit: EVENTS_OF_USER, ..TrailQuery::default() };
    let trail = gateway.administration.read_trail(&trail).await?.items;
    let sessions = gateway.sessions.sessions_of(&id);
    let view = OneUser {
        site: &desk.site,
        t: &ENGLISH,
        frame: frame(&desk, Section::Users).await?,
        passkeys: gateway.accounts.credentials_of(&id).await?.iter().map(PasskeyLine::from).collect(),
        sessions: sessions
            .iter()
            .map(|session| SessionLine::of(session, user.username.as_str(), &own.session))
            .collect(),
        tokens: gateway.access_tokens.tokens_of(&id).iter().map(|token| TokenRow::from(&**token)).collect(),
        routes: routes_for(&desk, &user),
        why: Why::about(&desk.gateway, &user, asked),
        events: events(&desk, &trail),
        attributes: AttributeField::all(&desk.gateway.ground.rules().attributes, &user),
        user: &user,
    };
    Ok(page(StatusCode::OK, &view))
}

fn routes_for(desk: &Desk, user: &User) -> Vec<RouteLine> {
    let (routes, now) = (desk.gateway.ground.routes(), desk.gateway.ground.clock().now());
    let mut rows: Vec<_> = routes.all().map(|route| RouteLine::of(route, user, now)).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn events(desk: &Desk, trail: &[Kept]) -> Vec<EventLine> {
    let name =
        |id: &str| Some(desk.gateway.administration.username_of(&UserId::parse(id).ok()?)?.to_string());
    trail.iter().map(|kept| EventLine::of(&kept.entry, name)).collect()
}

async fn invitations(
    State(desk): State<Desk>,
    _: Administrator,
    Query(after): Query<After>,
) -> Result<Response, Problem> {
    let found = desk.gateway.administration.list_invitations(&after.part()).await?;
    let rows = found.items.iter().map(InvitationLine::from).collect();
    let next = found.next.map(|next| query_of(&[], &next));
    let frame = frame(&desk, Section::Invitations).await?;
    let has_mail = desk.gateway.ground.has_mail();
    Ok(page(StatusCode::OK, &Invitations { site: &desk.site, t: &ENGLISH, frame, has_mail, rows, next }))
}

async fn applications(
    State(desk): State<Desk>,
    own: Administrator,
    Query(asked): Query<preview::Asked>,
) -> Result<Response, Problem> {
    let preview = Preview::of(&desk, asked).await?;
    let rows = routes_for(&desk, preview.user().unwrap_or(&own.user));
    let frame = frame(&desk, Section::Routes).await?;
    let asks = desk.gateway.ground.place().forward_auth != ForwardAuth::Off;
    Ok(page(StatusCode::OK, &Routes { site: &desk.site, t: &ENGLISH, frame, asks, preview, rows }))
}

/// The status is not 200, which would be a yes for a proxy that asks about this very path.
async fn forward_test(
    State(desk): State<Desk>,
    call: Call,
    own: Result<Administrator, Response>,
) -> Result<Response, Problem> {
    if desk.gateway.ground.place().forward_auth == ForwardAuth::Off {
        return Ok(nothing_here(&desk, &call));
    }
    if let Err(instead) = own {
        return Ok(instead);
    }
    let frame = frame(&desk, Section::Routes).await?;
    let place = desk.gateway.ground.place();
    let origin_of = |host: &str| place.origin_of(host);
    let rows = Line::all(&desk.gateway.ground.routes(), &desk.gateway.questions.all(), &ENGLISH, origin_of);
    let test = ForwardTest { site: &desk.site, t: &ENGLISH, frame, rows };
    Ok(page(StatusCode::NON_AUTHORITATIVE_INFORMATION, &test))
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: String,
}

impl After {
    fn part(&self) -> Part {
        Part { after: Cursor::parse(&self.after), ..Part::default() }
    }
}

async fn sessions(
    State(desk): State<Desk>,
    own: Administrator,
    Query(after): Query<After>,
) -> Result<Response, Problem> {
    let found = desk.gateway.administration.list_sessions(&after.part()).await?;
    let line = |(session, user): &(Arc<LiveSession>, Arc<User>)| {
        SessionLine::of(session, user.username.as_str(), &own.session)
    };
    let rows = found.items.iter().map(line).collect();
    let next = found.next.map(|next| query_of(&[], &next));
    let frame = frame(&desk, Section::Sessions).await?;
    Ok(page(StatusCode::OK, &Sessions { site: &desk.site, t: &ENGLISH, frame, rows, next }))
}

async fn bans(State(desk): State<Desk>, _: Administrator) -> Result<Response, Problem> {
    let rows = desk.gateway.administration.list_bans().iter().map(|ban| BanRow::from(&**ban)).collect();
    let frame = frame(&desk, Section::Bans).await?;
    Ok(page(StatusCode::OK, &Bans { site: &desk.site, t: &ENGLISH, frame, rows }))
}

async fn settings(State(desk): State<Desk>, own: Administrator) -> Result<Response, Problem> {
    let frame = frame(&desk, Section::Settings).await?;
    let mail_to = desk.gateway.ground.has_mail().then_some(own.user.email.as_str());
    let settings = &desk.settings;
    Ok(page(StatusCode::OK, &SettingsPage { site: &desk.site, t: &ENGLISH, frame, settings, mail_to }))
}

#[derive(Deserialize)]
struct Events {
    #[serde(default)]
    event: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    after: String,
}

async fn audit(
    State(desk): State<Desk>,
    _: Administrator,
    Query(Events { event, user, after }): Query<Events>,
) -> Result<Response, Problem> {
    let query = TrailQuery {
        user: UserId::parse(user.trim()).ok(),
        event: Some(event.trim().replace(' ', "_")).filter(|event| !event.is_empty()),
        since: None,
        after: Cursor::parse(&after),
        limit: PAGE_ENTRIES,
    };
    let found = desk.gateway.administration.read_trail(&query).await?;
    let next = found.next.map(|next| query_of(&[("event", &event), ("user", &user)], &next));
    let rows = events(&desk, &found.items);
    let frame = frame(&desk, Section::Audit).await?;
    Ok(page(StatusCode::OK, &Audit { site: &desk.site, t: &ENGLISH, frame, event, user, rows, next }))
}
