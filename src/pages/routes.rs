//! The addresses of pages: each loads its data and renders it.
//!
//! A page decides nothing: it asks the flows for the user and the next step. A GET changes nothing,
//! except that a hand-off code is used up.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{FromRef, Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use http::StatusCode;
use serde::Deserialize;

use super::access_tokens::TokenRow;
use super::account::{
    Account, CodesLeft, Doorway, EventRow, PasskeyRow, RecoveryRow, SessionRow, Suggestion,
};
use super::admin::settings::Settings;
use super::attributes::AttributeField;
use super::device::NewDevice;
use super::docs::{Docs, DocsPage};
use super::enroll::Enroll;
use super::notice::{CookieSeen, LoopSeen, Notice};
use super::recovery::Recovery;
use super::sign_in::SignIn;
use super::sign_out::{SignOut, Stage};
use super::sign_up::SignUp;
use super::{Site, admin, assets};
use crate::domain::cookie::Cookie;
use crate::domain::return_target::{ReturnTargetName, Target};
use crate::domain::session::{Scope, Session};
use crate::domain::signup::SignUpMode;
use crate::domain::user::{Role, Standing};
use crate::flows::Gateway;
use crate::flows::administration::trail::TrailQuery;
use crate::flows::sessions::caller::Caller;
use crate::flows::sign_in::return_target::{HandOffError, Intent, NextStep};
use crate::web::call::Call;
use crate::web::navigation::{self, Kind};
use crate::web::{Problem, cookies, headers};

/// How many events the account page shows.
const EVENTS_SHOWN: usize = 10;

/// The parts that pages need.
#[derive(Clone)]
pub struct Desk {
    pub gateway: Arc<Gateway>,
    pub site: Arc<Site>,
    /// For administrators to look at.
    pub settings: Settings,
}

impl FromRef<Desk> for Arc<Gateway> {
    fn from_ref(desk: &Desk) -> Self {
        Self::clone(&desk.gateway)
    }
}

/// The pages of the auth host, relative to the prefix.
pub fn auth_host(desk: Desk) -> Router {
    let assets = assets::router(Arc::clone(&desk.site));
    Router::new()
        .route("/", get(front))
        .route("/login", get(login).post(go_on))
        .route("/enroll", get(enroll))
        .route("/account", get(account))
        .route("/device", get(device))
        .route("/logout", get(ask_sign_out).post(sign_out))
        .route("/recovery", get(recovery))
        .route("/signup", get(sign_up))
        .fallback(not_found)
        .with_state(desk.clone())
        .merge(admin::routes::pages(desk))
        .merge(assets)
}

/// The page that describes the APIs, relative to the prefix.
pub fn docs(desk: Desk, docs: Docs) -> Router {
    let docs = Arc::new(docs);
    let show = move || {
        let (site, docs) = (Arc::clone(&desk.site), Arc::clone(&docs));
        async move { page(StatusCode::OK, &DocsPage { site: &site, docs: &docs }) }
    };
    Router::new().route("/docs", get(show))
}

/// The pages that a browser needs on the host of an application, relative to the prefix.
pub fn application_host(desk: Desk) -> Router {
    let assets = assets::router(Arc::clone(&desk.site));
    Router::new()
        .route("/hand-off", get(hand_off))
        .route("/login", get(login_elsewhere))
        .route("/account", get(account_elsewhere))
        .route("/logout", get(ask_sign_out).post(sign_out))
        .fallback(not_found)
        .with_state(desk)
        .merge(assets)
}

/// Renders a page.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => Problem::internal(&error).into_response(),
    }
}

/// Renders a notice, whose status is its own.
pub(super) fn notice(notice: &Notice<'_>) -> Response {
    page(StatusCode::from_u16(notice.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), notice)
}

/// Redirects to another page of ours on the same host.
pub(super) fn to_page(desk: &Desk, below: &str) -> Response {
    Redirect::to(&format!("{}{below}", desk.site.prefix())).into_response()
}

async fn front(State(desk): State<Desk>) -> Response {
    to_page(&desk, "/account")
}

#[derive(Deserialize)]
struct Login {
    to: Option<String>,
    /// Present when the page comes back to itself after a passkey was accepted.
    done: Option<String>,
}

/// The session that a browser shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    /// An invalid or ended session.
    Invalid,
    Known,
}

/// `GET /login`: the sign-in page, or straight on for a signed-in user.
async fn login(
    State(desk): State<Desk>,
    call: Call,
    Query(query): Query<Login>,
) -> Result<Response, Problem> {
    let return_target = query.to.as_deref().and_then(ReturnTargetName::parse);
    let shown = match call.caller_by_cookie()? {
        Caller::Known(session, _) if session.record().scope == Scope::Full => {
            if !desk.gateway.sign_in.must_show_again(&session.record(), return_target.as_ref()).await? {
                return next_step(&desk, &session.record(), return_target.as_ref(), Intent::Followed).await;
            }
            Shown::Known
        }
        Caller::Known(..) => {
            return Ok(to_page(&desk, "/enroll"));
        }
        Caller::Anonymous { showed_token: true } => Shown::Invalid,
        Caller::Anonymous { showed_token: false } => Shown::Nothing,
    };
    let mut response = if query.done.is_some() && shown != Shown::Known {
        notice(&going_in_circles(&desk, &call, shown == Shown::Invalid))
    } else {
        let host = desk.gateway.sign_in.return_host(return_target.as_ref()).await?;
        let codes = desk.gateway.sign_in.email_code();
        page(
            StatusCode::OK,
            &SignIn {
                site: &desk.site,
                host: host.as_deref(),
                codes,
                signs_up: desk.gateway.sign_in.sign_up().is_on(),
                again: shown == Shown::Known,
                return_target,
            },
        )
    };
    if shown == Shown::Invalid {
        let expired = cookies::expire(desk.gateway.ground.place(), Cookie::Session);
        cookies::append(response.headers_mut(), expired);
    }
    Ok(response)
}

/// `POST /login`: a signed-in user confirms where they are going.
async fn go_on(
    State(desk): State<Desk>,
    call: Call,
    Query(query): Query<Login>,
) -> Result<Response, Problem> {
    call.own_form()?;
    let return_target = query.to.as_deref().and_then(ReturnTargetName::parse);
    match call.caller_by_cookie()? {
        Caller::Known(session, _) if session.record().scope == Scope::Full => {
            next_step(&desk, &session.record(), return_target.as_ref(), Intent::Confirmed).await
        }
        Caller::Known(..) | Caller::Anonymous { .. } => Ok(to_page(&desk, "/login")),
    }
}

async fn next_step(
    desk: &Desk,
    session: &Session,
    return_target: Option<&ReturnTargetName>,
    intent: Intent,
) -> Result<Response, Problem> {
    let url = match desk.gateway.sign_in.next_step(session, return_target, intent).await? {
        NextStep::Here(target) => target.url(),
        NextStep::HandOff { url } => url,
        NextStep::Account => desk.gateway.ground.place().url("/account"),
        NextStep::Ask { host } => {
            let here = return_target.map_or_else(String::new, |id| format!("?to={id}"));
            let confirm = format!("{}/login{here}", desk.site.prefix());
            let mut asked = notice(&Notice::ask_to_continue(&desk.site, &host, confirm));
            if let Some(policy) = headers::with_form_to(&desk.gateway.ground.place().origin_of(&host)) {
                asked.headers_mut().insert(http::header::CONTENT_SECURITY_POLICY, policy);
            }
            return Ok(asked);
        }
    };
    Ok(Redirect::to(&url).into_response())
}

/// The page that ends a redirect loop.
pub(super) fn going_in_circles<'a>(desk: &'a Desk, call: &'a Call, showed_token: bool) -> Notice<'a> {
    let cookie = if showed_token { CookieSeen::Refused } else { CookieSeen::Missing };
    let seen = LoopSeen {
        cookie,
        host: &call.visit.host,
        scheme: call.visit.scheme,
        expected: desk.gateway.ground.place().scheme,
        now: desk.gateway.ground.clock().now(),
    };
    Notice::redirect_loop(&desk.site, &seen).with_request_id(&call.visit.request_id)
}

async fn enroll(State(desk): State<Desk>, call: Call) -> Result<Response, Problem> {
    let unfinished = match call.caller_by_cookie()? {
        Caller::Known(session, user) if session.record().scope == Scope::Enrol => Some(user),
        Caller::Known(..) | Caller::Anonymous { .. } => None,
    };
    let unfinished = unfinished.as_ref().map(|user| user.email.as_str());
    Ok(page(StatusCode::OK, &Enroll { site: &desk.site, unfinished }))
}

#[derive(Deserialize)]
struct AccountQuery {
    /// Present when a user comes from enrolment: they are redirected to the application, if they
    /// may enter just one.
    welcome: Option<String>,
}

async fn account(
    State(desk): State<Desk>,
    call: Call,
    Query(query): Query<AccountQuery>,
) -> Result<Response, Problem> {
    let (record, user) = match call.caller_by_cookie()? {
        Caller::Known(session, user) if session.record().scope == Scope::Full => (session.record(), user),
        Caller::Known(..) => {
            return Ok(to_page(&desk, "/enroll"));
        }
        Caller::Anonymous { .. } => {
            return Ok(to_page(&desk, "/login"));
        }
    };
    let applications = desk.gateway.accounts.applications_of(&user);
    if let ([only], Some(_)) = (applications.as_slice(), &query.welcome) {
        return Ok(Redirect::to(&only.target.url()).into_response());
    }
    let credentials = desk.gateway.accounts.credentials_of(&user.id).await?;
    let sessions = desk.gateway.sessions.sessions_of(&user.id);
    let trail = TrailQuery { user: Some(user.id), limit: EVENTS_SHOWN, ..TrailQuery::default() };
    let trail = desk.gateway.administration.read_trail(&trail).await?.items;
    let recoveries = desk.gateway.sign_in.recoveries_of(&user.id).await?;
    let recoveries = recoveries.iter().filter(|it| it.session != record.id);
    let codes = desk.gateway.sign_in.recovery_codes_of(&user.id).await?;
    let tokens = desk.gateway.access_tokens.tokens_of(&user.id);
    let logouts = desk.gateway.accounts.logouts_of(&user);
    let account = Account {
        logouts: urls_of(&logouts),
        tokens: tokens.iter().map(|token| TokenRow::from(&**token)).collect(),
        token_routes: desk.gateway.access_tokens.routes_of(&user),
        token_days_max: (desk.gateway.ground.rules().access_tokens.lifetime_max.as_secs() / DAY_SECONDS)
            .max(1),
        codes: codes.as_ref().map(CodesLeft::from).unwrap_or_default(),
        recoveries: recoveries.map(RecoveryRow::from).collect(),
        events: trail.iter().map(|kept| EventRow::of(&kept.entry)).collect(),
        attributes: AttributeField::all(&desk.gateway.ground.rules().attributes, &user),
        username: user.username.as_str(),
        username_change: desk.gateway.accounts.username_change(),
        has_mail: desk.gateway.ground.has_mail(),
        device_url: desk.gateway.ground.place().url("/device"),
        applications: applications.iter().map(|it| Doorway::of(it, &desk.site)).collect(),
        suggestion: if credentials.len() == 1 { Suggestion::SecondPasskey } else { Suggestion::Nothing },
        passkeys: credentials.iter().map(|credential| PasskeyRow::of(credential, &record)).collect(),
        sessions: sessions.iter().map(|session| SessionRow::of(session, &record)).collect(),
        site: &desk.site,
        user: user.id,
        name: user.display_name.as_str(),
        email: user.email.as_str(),
        is_administrator: user.role == Role::Administrator,
        waits: user.standing == Standing::Pending,
    };
    Ok(calling(page(StatusCode::OK, &account), &logouts))
}

/// Seconds of one day.
const DAY_SECONDS: u64 = 86_400;

async fn sign_up(State(desk): State<Desk>, call: Call) -> Result<Response, Problem> {
    let sign_up = desk.gateway.sign_in.sign_up();
    let domains: &[String] = match &sign_up.mode {
        SignUpMode::Invite => return Ok(nothing_here(&desk, &call)),
        SignUpMode::Domain(domains) => domains,
        SignUpMode::Open => &[],
    };
    Ok(match call.caller_by_cookie()? {
        Caller::Known(session, _) if session.record().scope == Scope::Enrol => to_page(&desk, "/enroll"),
        Caller::Known(..) => to_page(&desk, "/account"),
        Caller::Anonymous { .. } => page(StatusCode::OK, &SignUp { site: &desk.site, domains }),
    })
}

async fn device(State(desk): State<Desk>) -> Response {
    page(StatusCode::OK, &NewDevice { site: &desk.site })
}

async fn recovery(State(desk): State<Desk>) -> Response {
    page(StatusCode::OK, &Recovery { site: &desk.site })
}

async fn ask_sign_out(State(desk): State<Desk>, call: Call) -> Result<Response, Problem> {
    let (stage, targets) = match call.caller_by_cookie()? {
        Caller::Known(_, user) => (Stage::Ask, desk.gateway.accounts.logouts_of(&user)),
        Caller::Anonymous { .. } => (Stage::Done, Vec::new()),
    };
    let applications = urls_of(&targets);
    let asked = page(StatusCode::OK, &SignOut { site: &desk.site, stage, applications });
    Ok(calling(asked, &targets))
}

/// The addresses of `targets`, separated by spaces.
fn urls_of(targets: &[Target]) -> String {
    targets.iter().map(Target::url).collect::<Vec<_>>().join(" ")
}

/// Lets the script of a page call `targets`.
fn calling(mut page: Response, targets: &[Target]) -> Response {
    let origins = targets.iter().map(|target| target.origin.as_str());
    if let Some(policy) = headers::with_calls_to(origins).filter(|_| !targets.is_empty()) {
        page.headers_mut().insert(http::header::CONTENT_SECURITY_POLICY, policy);
    }
    page
}

/// `POST /logout`: the form of our own pages, on whichever host they are.
async fn sign_out(State(desk): State<Desk>, call: Call) -> Result<Response, Problem> {
    call.own_form()?;
    let ended = match call.caller_by_cookie()? {
        Caller::Known(session, _) => desk.gateway.sessions.sign_out(&[session], &call.visit).await,
        Caller::Anonymous { .. } => Ok(()),
    };
    let mut response = match ended {
        Ok(()) => to_page(&desk, "/logout"),
        Err(error) => Problem::from(error).into_response(),
    };
    call.clear_session_cookie(response.headers_mut());
    Ok(response)
}

#[derive(Deserialize)]
struct HandOffQuery {
    #[serde(default)]
    code: String,
}

/// `GET /hand-off` on an application's host: a sign-in arrives.
async fn hand_off(
    State(desk): State<Desk>,
    call: Call,
    Query(query): Query<HandOffQuery>,
) -> Result<Response, Problem> {
    let place = desk.gateway.ground.place();
    let nonce = call.cookie(Cookie::Nonce);
    match desk.gateway.sign_in.arrive(&call.visit, &query.code, nonce).await? {
        Ok(arrived) => {
            let mut response = Redirect::to(&arrived.target.url()).into_response();
            let lifetime = desk.gateway.sessions.cookie_lifetime(&arrived.session);
            let cookie = cookies::session(place, &arrived.token, lifetime);
            cookies::append(response.headers_mut(), cookie);
            Ok(response)
        }
        Err(HandOffError::NoNonce) => Ok(notice(&going_in_circles(&desk, &call, false))),
        // A used or late code must not stop a user: the front page starts afresh.
        Err(HandOffError::NoSuchCode) => {
            Ok(Redirect::to(&format!("{}/", place.origin_of(&call.visit.host))).into_response())
        }
    }
}

async fn login_elsewhere(State(desk): State<Desk>) -> Redirect {
    Redirect::to(&desk.gateway.ground.place().url("/login"))
}

async fn account_elsewhere(State(desk): State<Desk>) -> Redirect {
    Redirect::to(&desk.gateway.ground.place().url("/account"))
}

pub(super) async fn not_found(State(desk): State<Desk>, call: Call) -> Response {
    nothing_here(&desk, &call)
}

/// The answer for an unknown address.
pub(super) fn nothing_here(desk: &Desk, call: &Call) -> Response {
    match navigation::kind(&call.method, &call.headers) {
        Kind::Navigation | Kind::Submission => {
            notice(&Notice::not_found(&desk.site).with_request_id(&call.visit.request_id))
        }
        Kind::Program => Problem::not_found().into_response(),
    }
}
