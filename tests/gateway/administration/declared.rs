//! Declared users: every user becomes as a file says, once; and a file that cannot be meant changes
//! nothing.

use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use vestibule::domain::declared::{DeclaredStanding, DeclaredUser, Others};
use vestibule::domain::user::{Email, Note, Role, Standing};
use vestibule::flows::FlowError;
use vestibule::flows::administration::declared::{Declaration, NotPlanned};
use vestibule::flows::administration::people::UserEdit;
use vestibule::flows::authority::Authority;
use vestibule::store::MemoryStore;

use crate::harness::{Authenticator, Gateway, Scene};
use crate::stage::Stage;

use super::told;

const ALICE: &str = "[[user]]\nemail = \"alice@example.com\"\nrole = \"administrator\"\n";
const BOB: &str = "[[user]]\nemail = \"bob@example.com\"\nusername = \"bobby\"\nname = \"Bob Roe\"\n\
                   groups = [\"staff\", \"ops\"]\nnote = \"of the night shift\"\nexpires = \"2099-01-01T00:00:00Z\"\n";

fn run(gateway: &Gateway, text: &str, options: &[&str]) -> Output {
    let file = gateway.directory().join("users.toml");
    std::fs::write(&file, text).unwrap();
    gateway.cli(&[&["apply", file.to_str().unwrap()], options].concat())
}

/// The differences.
#[track_caller]
fn apply(gateway: &Gateway, text: &str, options: &[&str]) -> Value {
    let output = run(gateway, text, &[options, &["--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["stopped"], Value::Null, "{told}");
    told["differences"].clone()
}

#[track_caller]
fn refused(gateway: &Gateway, text: &str, options: &[&str]) -> String {
    let output = run(gateway, text, options);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.contains("nothing was changed"), "{said}");
    said
}

/// All users and invitations.
fn everybody(scene: &Scene) -> Value {
    json!([told(scene, &["user", "list"]), told(scene, &["invitation", "list"])])
}

#[tokio::test]
async fn apply_reaches_the_declared_state_and_is_idempotent() {
    let scene = Scene::set().await;
    let (gateway, before) = (&scene.gateway, everybody(&scene));
    let text = format!("{ALICE}{BOB}");
    let dry = apply(gateway, &text, &["--dry-run"]);
    let invite = json!({ "action": "invite", "email": "bob@example.com", "groups": ["ops", "staff"], "role": "member" });
    assert_eq!(dry, json!([invite]));
    assert_eq!(everybody(&scene), before, "a dry run changed something");

    let real = apply(gateway, &text, &[]);
    let link = real[0]["link"].as_str().unwrap().to_owned();
    assert!(real[0]["link_expires_at"].is_string());
    let mut without_link = real[0].clone();
    without_link.as_object_mut().unwrap().retain(|key, _| !key.starts_with("link"));
    assert_eq!(without_link, invite);
    assert_eq!(apply(gateway, &text, &[]), json!([]), "an invitation that waits is no difference");

    let (bob, mut device) = (scene.anonymous(), Authenticator::new(41));
    bob.enrol(&link, "bob@example.com", "", &mut device).await;
    let user = told(&scene, &["user", "show", "bobby"]);
    assert_eq!((&user["name"], &user["groups"]), (&json!("Bob Roe"), &json!(["ops", "staff"])));
    assert_eq!(
        (&user["note"], &user["expires_at"]),
        (&json!("of the night shift"), &json!("2099-01-01T00:00:00.000Z"))
    );
    assert_eq!(apply(gateway, &text, &[]), json!([]), "a user who came in as declared is no difference");

    // A line that is taken out takes the right away; a name that is not declared stays.
    let less =
        format!("{ALICE}[[user]]\nemail = \"bob@example.com\"\ngroups = [\"staff\"]\nusername = \"rob\"\n");
    let changes = json!([
        { "key": "username", "from": "bobby", "to": "rob" },
        { "key": "groups", "from": ["ops", "staff"], "to": ["staff"] },
        { "key": "expires", "from": "2099-01-01T00:00:00.000Z", "to": null },
    ]);
    let expected = json!([{ "action": "change", "email": "bob@example.com", "changes": changes }]);
    assert_eq!(apply(gateway, &less, &["--dry-run"]), expected);
    assert_eq!(apply(gateway, &less, &[]), expected);
    assert_eq!(apply(gateway, &less, &[]), json!([]));
    // Bob's open session feels it at once.
    bob.navigate(&scene.url("/")).await.expect(200);
    let seen = scene.app.take_one();
    assert_eq!(
        (seen.value("remote-user"), seen.value("remote-groups")),
        ("rob".to_owned(), "staff".to_owned())
    );
    let said = run(gateway, &text, &["--dry-run"]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(
        said.starts_with("~ bob@example.com: username \"rob\" -> \"bobby\"; groups staff -> ops, staff; "),
        "{said}"
    );
    assert!(said.ends_with("1 difference; 1 users are as declared.\n"), "{said}");
}

#[tokio::test]
async fn apply_prunes_only_when_asked() {
    let scene = Scene::set().await;
    let gateway = &scene.gateway;
    let (carol, mut device) = scene.invited("carol@example.com", 42).await;
    let link = gateway.invite("dave@example.com", &[]);
    assert_eq!(apply(gateway, ALICE, &[]), json!([]));
    carol.get("sessions").await.expect(200);

    let pruned = json!([
        { "action": "disable", "email": "carol@example.com" },
        { "action": "revoke", "email": "dave@example.com" },
    ]);
    assert_eq!(apply(gateway, ALICE, &["--prune", "--dry-run"]), pruned);
    carol.get("sessions").await.expect(200);
    assert_eq!(apply(gateway, ALICE, &["--prune"]), pruned);
    carol.get("sessions").await.expect_problem(401);
    carol.sign_in(&mut device).await.expect_problem(401);
    scene.anonymous().redeem(&link, None, "Dave").await.expect(410);
    assert_eq!(apply(gateway, ALICE, &["--prune"]), json!([]));

    // The passkey is there still, for a user who is declared again.
    let again = format!("{ALICE}[[user]]\nemail = \"carol@example.com\"\n");
    let changes = json!([{ "key": "standing", "from": "disabled", "to": "active" }]);
    let enabled = json!([{ "action": "change", "email": "carol@example.com", "changes": changes }]);
    assert_eq!(apply(gateway, &again, &["--prune"]), enabled);
    carol.sign_in(&mut device).await.expect(201);
    // An invitation whose terms have changed is replaced; an invitation for no declared user is
    // taken back.
    let first = apply(gateway, &format!("{again}{BOB}"), &[])[0]["link"].as_str().unwrap().to_owned();
    let member = format!("{again}[[user]]\nemail = \"bob@example.com\"\n");
    let second = apply(gateway, &member, &[])[0]["link"].as_str().unwrap().to_owned();
    scene.anonymous().redeem(&first, None, "Bob").await.expect(410);
    let disabled = format!("{member}standing = \"disabled\"\n");
    assert_eq!(apply(gateway, &disabled, &[]), json!([{ "action": "revoke", "email": "bob@example.com" }]));
    scene.anonymous().redeem(&second, None, "Bob").await.expect(410);
}

#[tokio::test]
async fn apply_refuses_an_implausible_file() {
    let scene = Scene::set().await;
    let gateway = &scene.gateway;
    scene.invited("carol@example.com", 42).await;
    let before = everybody(&scene);

    let said = refused(gateway, &format!("{ALICE}\n[[user]]\nemail = \"bob\"\ngroup = [\"x\"]\n{BOB}"), &[]);
    for part in ["users.toml:6: user.email", "users.toml:7: user.group", "2 mistakes in the file."] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // A mistake that only the gateway can find is told by line as well.
    let said = refused(gateway, &format!("{ALICE}{}", BOB.replace("bobby", "carol")), &[]);
    assert!(
        said.contains("users.toml:6: user.username") && said.contains("has the username carol"),
        "{said}"
    );

    // Each of these would leave no user who can sign in and administer.
    let bob = format!("{BOB}role = \"administrator\"\n");
    let carol = "[[user]]\nemail = \"carol@example.com\"\nrole = \"administrator\"\n";
    let closed = format!("{ALICE}standing = \"disabled\"\n");
    let ending = format!("{ALICE}expires = \"2099-01-01T00:00:00Z\"\n");
    let member = ALICE.replace("administrator", "member");
    for (text, options) in [
        (format!("{member}{bob}"), &[][..]),
        (format!("{closed}{bob}"), &[]),
        (format!("{ending}{bob}"), &[]),
        (format!("{carol}expires = \"2099-01-01T00:00:00Z\"\n"), &["--prune"]),
        (String::new(), &["--prune"]),
    ] {
        let said = refused(gateway, &text, options);
        assert!(
            said.contains("no administrator would be left") && said.contains("alice@example.com"),
            "{said}"
        );
        assert_eq!(everybody(&scene), before, "{text}");
    }
    // With a user who takes over, in whatever order they are named, it is done.
    apply(gateway, &format!("{member}{carol}"), &[]);
    assert_eq!(told(&scene, &["user", "show", "alice"])["role"], "member");
    assert_eq!(told(&scene, &["user", "show", "carol"])["role"], "administrator");
}

#[tokio::test]
async fn apply_keeps_concurrent_changes_and_the_last_administrator() {
    let stage = Stage::set(Arc::new(MemoryStore::new())).await.unwrap();
    let operator = Authority::of_operator();
    let enrol = async |name: &str, seed: u64| {
        stage.enrol(&format!("{name}@example.com"), &mut Authenticator::new(seed)).await.unwrap().user.id
    };
    let (alice, bob) = (enrol("alice", 1).await, enrol("bob", 2).await);
    let edit = async |user, edit: UserEdit| {
        stage.gateway.administration.edit_user(&operator, user, &edit).await.unwrap()
    };
    for user in [&alice, &bob] {
        edit(user, UserEdit { role: Some(Role::Administrator), ..UserEdit::default() }).await;
    }
    let declared = |name: &str, role| DeclaredUser {
        email: Email::parse(&format!("{name}@example.com")).unwrap(),
        username: None,
        name: None,
        groups: [].into(),
        role,
        standing: DeclaredStanding::Active,
        note: None,
        expires: None,
    };
    let users = vec![declared("alice", Role::Member), declared("bob", Role::Administrator)];
    let declaration = Declaration { users, others: Others::Stay };
    let plan = stage.gateway.administration.plan(&operator, &declaration).await.unwrap();
    let late = stage.gateway.administration.plan(&operator, &declaration).await.unwrap();

    // Between the plan and its steps, Bob's account is closed and Alice's gets a note.
    stage.disable(&bob).await;
    let note = Note::parse("on leave").unwrap();
    edit(&alice, UserEdit { note: Some(note.clone()), ..UserEdit::default() }).await;
    let applied = stage.gateway.administration.apply(&operator, plan).await.unwrap();
    let (email, why) = applied.stopped.unwrap();
    assert_eq!((email.as_str(), applied.done.len()), ("alice@example.com", 0));
    assert!(matches!(why, FlowError::LastAdministrator), "{why}");
    let user = stage.gateway.administration.user(&alice).await.unwrap();
    assert_eq!((user.role, &user.note), (Role::Administrator, &note));
    // A new plan opens Bob's account again first.
    stage.enable(&bob).await;
    let applied = stage.gateway.administration.apply(&operator, late).await.unwrap();
    assert!(applied.stopped.is_none() && applied.done.len() == 1, "{applied:?}");
    let user = stage.gateway.administration.user(&alice).await.unwrap();
    assert_eq!((user.role, user.standing, &user.note), (Role::Member, Standing::Active, &note));
    let nobody = Declaration { users: vec![], others: Others::Pruned };
    assert!(matches!(
        stage.gateway.administration.plan(&operator, &nobody).await,
        Err(NotPlanned::NoAdministrator(_))
    ));

    // An invitation is good for its time, and then declared people are invited again.
    let users = vec![declared("bob", Role::Administrator), declared("carol", Role::Member)];
    let declaration = Declaration { users, others: Others::Stay };
    for after in [Duration::ZERO, Duration::from_hours(71), Duration::from_hours(2)] {
        stage.clock.forward(after);
        let plan = stage.gateway.administration.plan(&operator, &declaration).await.unwrap();
        let expected = usize::from(after != Duration::from_hours(71));
        assert_eq!(
            stage.gateway.administration.apply(&operator, plan).await.unwrap().done.len(),
            expected,
            "{after:?}"
        );
    }
}

#[tokio::test]
async fn thousands_are_declared_with_and_without_a_gateway() {
    const MANY: usize = 2_000;
    let mut scene = Scene::set().await;
    let text = (0..MANY).fold(ALICE.to_owned(), |text, n| {
        format!(
            "{text}[[user]]\nemail = \"user{n}@example.com\"\nname = \"User {n}\"\ngroups = [\"staff\"]\n"
        )
    });
    let invited = apply(&scene.gateway, &text, &[]);
    let links: std::collections::HashSet<_> =
        invited.as_array().unwrap().iter().map(|it| it["link"].as_str().unwrap()).collect();
    assert_eq!(links.len(), MANY);
    scene.gateway.stop();
    assert_eq!(apply(&scene.gateway, &text, &[]), json!([]));
    let pruned = apply(&scene.gateway, ALICE, &["--prune"]);
    assert_eq!(pruned.as_array().unwrap().len(), MANY);
    scene.gateway.launch().await;
    assert_eq!(told(&scene, &["invitation", "list"]), json!([]));
    // The change is in the trail, a page of which has at most 500 entries.
    let trail = scene.gateway.operate(&["audit", "--json", "--event", "invited", "--limit", "500"]);
    assert_eq!(trail.lines().count(), 500);
}
