//! Every request of the operator's socket, and the event that it leaves in the audit trail.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use vestibule::admin::operator::GatewayOperator;
use vestibule::admin::{Answer, Operator as _, Process, Reload, Request, Upgrade};
use vestibule::domain::access_token::grant::GrantText;
use vestibule::domain::attribute::{AttributeName, Attributes, Definition, Editor};
use vestibule::domain::event::Outcome;
use vestibule::domain::network::Network;
use vestibule::domain::time::Timestamp;
use vestibule::flows::access_tokens::NewToken;
use vestibule::flows::administration::bans::NewBan;
use vestibule::flows::administration::trail::TrailQuery;
use vestibule::flows::authority::Authority;
use vestibule::flows::rules::Rules;
use vestibule::store::MemoryStore;

use super::BOB;
use super::imports::registered_elsewhere;
use crate::harness::Authenticator;
use crate::stage::{AUTH_HOST, Stage};

const BANNED: &str = "192.0.2.0/24";
const ROUTE: &str = "app on app.example.com";

/// What a request leaves in the trail.
enum Leaves {
    /// It changes nothing.
    Nothing,
    /// This event, with the operator as its actor.
    Event(&'static str),
}

/// The table. A request that is not in it does not compile.
const fn leaves(request: &Request) -> Leaves {
    match request {
        Request::InvitationList { .. }
        | Request::UserList { .. }
        | Request::UserShow { .. }
        | Request::SessionList { .. }
        | Request::Audit { .. }
        | Request::BanList
        | Request::TokenList { .. }
        | Request::PolicyExplain { .. }
        | Request::Health => Leaves::Nothing,
        Request::Invite { .. } | Request::InviteAll { .. } | Request::Apply { .. } => {
            Leaves::Event("invited")
        }
        Request::InvitationRevoke { .. } => Leaves::Event("invitation_revoked"),
        Request::Import { .. }
        | Request::UserName { .. }
        | Request::UserNote { .. }
        | Request::UserAttribute { .. }
        | Request::UserExpiry { .. }
        | Request::UserDelete { .. }
        | Request::UserReset { .. }
        | Request::UserGroups { .. }
        | Request::UserRole { .. }
        | Request::UserDisable { .. }
        | Request::UserEnable { .. } => Leaves::Event("user_changed"),
        Request::PasskeyRemove { .. } => Leaves::Event("credential_removed"),
        Request::SessionEnd { .. } => Leaves::Event("session_ended"),
        Request::BanAdd { .. } => Leaves::Event("ban_added"),
        Request::BanRemove { .. } => Leaves::Event("ban_removed"),
        Request::TokenCreate { .. } => Leaves::Event("token_created"),
        Request::TokenRevoke { .. } => Leaves::Event("token_revoked"),
        Request::KeyRotate { .. } => Leaves::Event("key_rotated"),
        Request::Backup => Leaves::Event("backed_up"),
        Request::Reload => Leaves::Event("reload"),
        Request::Upgrade => Leaves::Event("upgrade"),
    }
}

/// What there is to make requests about.
struct Scenery {
    operator: GatewayOperator,
    invitation: String,
    passkey: String,
    session: String,
    token: String,
}

/// A process that does as it is told, or refuses.
struct Pretended(Outcome);

impl Pretended {
    fn result<T>(&self, done: T) -> Result<T, String> {
        match self.0 {
            Outcome::Done => Ok(done),
            Outcome::Refused => Err("a mistake".to_owned()),
        }
    }
}

#[async_trait]
impl Reload for Pretended {
    async fn reload(&self) -> Result<Vec<String>, String> {
        self.result(Vec::new())
    }
}

#[async_trait]
impl Upgrade for Pretended {
    async fn prepare(&self) -> Result<Duration, String> {
        self.result(Duration::ZERO)
    }

    fn give_way(&self) {}
}

/// Bob with all that an account can have, an invitation, and a ban.
async fn scenery(process: Outcome) -> Scenery {
    let stage = Stage::set(Arc::new(MemoryStore::new())).await.unwrap();
    let mut device = Authenticator::new(2);
    let bob = stage.enrol(BOB, &mut device).await.unwrap();
    let session = stage.sign_in(&mut device).await.unwrap().session;
    let gateway = Arc::clone(&stage.gateway);
    let defined = Definition {
        name: AttributeName::parse("team").unwrap(),
        title: None,
        pattern: None,
        editor: Editor::Administrator,
    };
    let attributes = Arc::new(Attributes(vec![defined]));
    gateway.adopt(Rules { attributes, ..Rules::clone(&gateway.ground.rules()) });
    let authority = Authority::of_operator();
    let routes = vec![ROUTE.to_owned()];
    let grant = GrantText { routes, methods: Vec::new(), paths: Vec::new(), networks: Vec::new() };
    let new = NewToken::parse("a script", &grant, 3_600).unwrap();
    let token = gateway.access_tokens.make_token(&authority, &bob.user.id, new).await.unwrap().token;
    let ban = NewBan { network: Network::parse(BANNED).unwrap(), length: None, reason: None };
    gateway.administration.add_ban(&authority, ban).await.unwrap();
    let invited = stage.invite("carol@example.com", Duration::from_hours(1)).await.unwrap();
    let passkeys = gateway.accounts.credentials_of(&bob.user.id).await.unwrap();
    let process = Process {
        reload: Arc::new(Pretended(process)),
        upgrade: Arc::new(Pretended(process)),
        remarks: Box::new(Vec::new),
        started_at: Timestamp::from_millis(0),
    };
    Scenery {
        operator: GatewayOperator { gateway, process: Some(process) },
        invitation: invited.invitation.id.to_string(),
        passkey: passkeys[0].id.to_string(),
        session: session.id.to_string(),
        token: token.id.to_string(),
    }
}

/// One of each, at least.
fn requests(there: &Scenery) -> Vec<Value> {
    let Scenery { invitation, passkey, session, token, .. } = there;
    let guest = json!({ "email": "dora@example.com", "name": null, "username": null, "groups": [], "role": "member" });
    let declared = json!({ "email": "emil@example.com", "username": null, "name": null, "groups": [], "role": "member", "standing": "active", "note": null, "expires": null });
    let theirs = registered_elsewhere(&mut Authenticator::new(7), AUTH_HOST);
    let url_safe = |text: &Value| text.as_str().unwrap().replace('+', "-").replace('/', "_").replace('=', "");
    let foreign = json!({ "id": url_safe(&theirs["id"]), "public_key": theirs["publicKey"], "counter": 0, "aaguid": "00000000-0000-0000-0000-000000000000", "transports": [], "backup": null, "user_handle": "AQ==", "rp_id_hash": null });
    let question = json!({ "who": "anonymous", "url": "https://app.example.com/", "method": "GET", "client": null, "at": null, "auth_age_seconds": 0 });
    vec![
        json!({ "command": "invite", "email": "dora@example.com", "name": null, "username": null, "groups": [], "role": "member", "expires_in_seconds": null, "delivery": "by_hand" }),
        json!({ "command": "invite_all", "guests": [guest], "expires_in_seconds": null, "delivery": "by_hand" }),
        json!({ "command": "import", "users": [{ "email": "fred@example.com", "name": null, "passkeys": [foreign] }] }),
        json!({ "command": "apply", "users": [declared], "others": "stay", "run": "real" }),
        json!({ "command": "invitation_list" }),
        json!({ "command": "invitation_revoke", "id": invitation }),
        json!({ "command": "user_list", "search": null }),
        json!({ "command": "user_show", "user": "bob" }),
        json!({ "command": "user_name", "user": "bob", "name": "Bob Roe" }),
        json!({ "command": "user_note", "user": "bob", "note": "on leave" }),
        json!({ "command": "user_attribute", "user": "bob", "name": "team", "value": "blue" }),
        json!({ "command": "user_expiry", "user": "bob", "in_seconds": 3_600 }),
        json!({ "command": "user_delete", "user": "bob" }),
        json!({ "command": "user_reset", "user": "bob", "wipe": false, "delivery": "by_hand" }),
        json!({ "command": "user_reset", "user": "bob", "wipe": true, "delivery": "by_hand" }),
        json!({ "command": "passkey_remove", "user": "bob", "passkey": passkey }),
        json!({ "command": "session_list", "user": "bob" }),
        json!({ "command": "audit", "user": null, "event": null, "since": null }),
        json!({ "command": "user_groups", "user": "bob", "groups": ["staff"] }),
        json!({ "command": "user_role", "user": "bob", "role": "administrator" }),
        json!({ "command": "user_disable", "user": "bob" }),
        json!({ "command": "user_enable", "user": "bob" }),
        json!({ "command": "session_end", "user": "bob", "session": session }),
        json!({ "command": "session_end", "user": "bob", "session": null }),
        json!({ "command": "ban_list" }),
        json!({ "command": "ban_add", "network": "198.51.100.0/24", "length_in_seconds": null, "reason": null }),
        json!({ "command": "ban_remove", "network": BANNED }),
        json!({ "command": "token_create", "user": "bob", "name": "another", "routes": [ROUTE], "methods": [], "paths": [], "networks": [], "expires_in_seconds": 60 }),
        json!({ "command": "token_list" }),
        json!({ "command": "token_revoke", "id": token }),
        json!({ "command": "key_rotate", "burn": false }),
        json!({ "command": "key_rotate", "burn": true }),
        json!({ "command": "backup" }),
        json!({ "command": "policy_explain", "questions": [question] }),
        json!({ "command": "health" }),
        json!({ "command": "reload" }),
        json!({ "command": "upgrade" }),
    ]
}

/// The name and outcome of each event of an operator's that is in the trail, and how many are
/// there.
async fn trail(there: &Scenery) -> (usize, Vec<(String, Outcome)>) {
    let all = TrailQuery { limit: 500, ..TrailQuery::default() };
    let all = there.operator.gateway.administration.read_trail(&all).await.unwrap().items;
    let count = all.len();
    let of_operator = all.into_iter().filter(|kept| kept.entry.actor == "operator");
    (count, of_operator.map(|kept| (kept.entry.event.into_owned(), kept.entry.outcome)).collect())
}

async fn carried_out(there: &Scenery, asked: &Value) -> (Request, Answer) {
    let request: Request = serde_json::from_value(asked.clone()).unwrap_or_else(|e| panic!("{asked}: {e}"));
    if asked["command"] == "user_enable" {
        there.operator.handle(Request::UserDisable { user: "bob".to_owned() }).await;
    }
    (request.clone(), there.operator.handle(request).await)
}

#[tokio::test]
async fn s_22_every_change_of_an_operator_leaves_an_event() {
    for n in 0.. {
        let there = scenery(Outcome::Done).await;
        let Some(asked) = requests(&there).get(n).cloned() else { break };
        let (before, known) = trail(&there).await;
        let (request, answer) = carried_out(&there, &asked).await;
        assert!(!matches!(answer, Answer::Refused { .. }), "{asked}: {answer:?}");
        if answer == Answer::BackupFollows {
            there.operator.back_up(&mut tokio::io::sink()).await.unwrap();
        }
        let (after, found) = trail(&there).await;
        match leaves(&request) {
            Leaves::Nothing => assert_eq!(after, before, "{asked} changes nothing"),
            Leaves::Event(event) => {
                let new = &found[..found.len() - known.len()];
                assert!(new.contains(&(event.to_owned(), Outcome::Done)), "{asked}: {new:?}");
            }
        }
    }
}

#[tokio::test]
async fn s_22_a_refused_reload_or_upgrade_leaves_an_event_too() {
    for command in ["reload", "upgrade"] {
        let there = scenery(Outcome::Refused).await;
        let (_, answer) = carried_out(&there, &json!({ "command": command })).await;
        assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
        assert_eq!(trail(&there).await.1[0], (command.to_owned(), Outcome::Refused));
    }
}

/// The control: no request is missing above.
#[tokio::test]
async fn requests_of_the_table_are_all_there_are() {
    let there = scenery(Outcome::Done).await;
    let tried: BTreeSet<String> =
        requests(&there).iter().map(|it| it["command"].as_str().unwrap().to_owned()).collect();
    // The error names every command: unknown variant `no_such`, expected one of `invite`, ...
    let error = serde_json::from_value::<Request>(json!({ "command": "no_such" })).unwrap_err().to_string();
    let named: BTreeSet<String> = error.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert!(named.contains("invite"), "{error}");
    assert_eq!(tried, named);
}
