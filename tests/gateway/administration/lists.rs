//! Lists of people: a page at a time, found by the beginning of a term.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use vestibule::domain::user::DisplayName;
use vestibule::flows::administration::directory::Query;
use vestibule::flows::administration::paging::Cursor;
use vestibule::flows::administration::people::UserEdit;
use vestibule::flows::authority::Authority;
use vestibule::records::{self, keys};
use vestibule::store::MemoryStore;

use super::{id_of, told, user};
use crate::harness::{Reply, Scene, until};
use crate::stage::Stage;

fn names(page: &Value) -> Vec<String> {
    let users = page["users"].as_array().unwrap().iter();
    users.map(|user| user["username"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_list_every_user_once() {
    let mut scene = Scene::set().await;
    for n in 0..7 {
        let (_, _) = scene.invited(&format!("user{n}@example.com"), 100 + n).await;
    }
    let whole = names(&told(&scene, &["user", "list"]));
    assert_eq!(whole.len(), 8);
    let (mut seen, mut after) = (Vec::new(), String::new());
    for _ in 0..8 {
        let page = scene.alice.get(&format!("admin/v1/users?limit=3&after={after}")).await.expect(200).json();
        seen.extend(names(&page));
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, whole);
    let first = told(&scene, &["user", "list", "--limit", "3"]);
    assert_eq!(names(&first).len(), 3);
    let next = first["next"].as_str().unwrap();
    assert_eq!(names(&told(&scene, &["user", "list", "--limit", "3", "--after", next])), whole[3..6]);

    let found = scene.alice.get("admin/v1/users?role=administrator").await.expect(200).json();
    assert_eq!(names(&found), ["alice"]);
    scene.gateway.operate(&["user", "groups", "user3", "staff"]);
    let found = scene.alice.get("admin/v1/users?group=staff").await.expect(200).json();
    assert_eq!(names(&found), ["user3"]);
    // A restart changes nothing about it.
    scene.gateway.restart().await;
    assert_eq!(names(&told(&scene, &["user", "list"])), whole);
}

fn ids(list: &Value) -> Vec<String> {
    let items = list.as_array().unwrap_or_else(|| panic!("no array: {list}")).iter();
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// The query of the next page, by the `Link` header of this one.
fn next_of(answer: &Reply) -> Option<String> {
    let link = answer.header("link");
    (!link.is_empty()).then(|| {
        let query = link.strip_prefix("<").and_then(|link| link.strip_suffix(">; rel=\"next\""));
        query.unwrap_or_else(|| panic!("{link}")).to_owned()
    })
}

/// A command that names no page prints everything, as an array; one that names a page prints that,
/// and where the list goes on. The API answers with one page, and a header leads on.
#[tokio::test]
async fn invitations_sessions_and_tokens_are_paged_everywhere() {
    let mut scene = Scene::set().await;
    for n in 0..5 {
        scene.gateway.invite(&format!("guest{n}@example.com"), &[]);
        let token = ["token", "create", "--user", "alice", "--route", "app", "--expires", "1h"];
        scene.gateway.operate(&[&token[..], &["--name", &format!("script {n}")]].concat());
        scene.anonymous().sign_in(&mut scene.device).await.expect(201);
    }
    let sessions = format!("{}/sessions", user(&scene, "alice"));
    for (command, member, address) in [
        (&["invitation", "list"][..], "invitations", "admin/v1/invitations"),
        (&["token", "list"], "tokens", "admin/v1/tokens"),
        (&["token", "list", "--user", "alice"], "tokens", "admin/v1/tokens?user=ALICE"),
        (&["session", "list", "alice"], "sessions", &*sessions),
    ] {
        let whole: BTreeSet<_> = ids(&told(&scene, command)).into_iter().collect();
        assert!(whole.len() >= 5, "{command:?}: {whole:?}");
        let (mut printed, mut after) = (Vec::new(), None::<String>);
        loop {
            let going_on = after.iter().flat_map(|after| ["--after", after.as_str()]);
            let page: Vec<_> = command.iter().copied().chain(["--limit", "2"]).chain(going_on).collect();
            let page = told(&scene, &page);
            let on_page = ids(&page[member]);
            assert!(on_page.len() <= 2 && page.as_object().unwrap().len() == 2, "{page}");
            printed.extend(on_page);
            let Some(next) = page["next"].as_str() else { break };
            let text = scene.gateway.operate(&[command, &["--limit", "2"]].concat());
            assert!(text.contains("There are more: add --after "), "{text}");
            after = Some(next.to_owned());
        }
        assert_eq!(printed.len(), whole.len(), "{command:?}");
        assert_eq!(printed.into_iter().collect::<BTreeSet<_>>(), whole, "{command:?}");

        let address = address.replace("ALICE", &id_of(&scene, "alice"));
        let (path, filter) = address.split_once('?').unwrap_or((&address, ""));
        let (mut answered, mut query) = (Vec::new(), format!("?{filter}&limit=2"));
        loop {
            let page = scene.alice.get(&format!("{path}{query}")).await.expect(200);
            answered.extend(ids(&page.json()));
            let Some(next) = next_of(&page) else { break };
            query = next;
        }
        assert_eq!(answered.len(), whole.len(), "{address}");
        assert_eq!(answered.into_iter().collect::<BTreeSet<_>>(), whole, "{address}");
        for wrong in ["limit=0", "limit=201", "after=*"] {
            scene.alice.get(&format!("{path}?{wrong}")).await.expect_problem(422);
        }
    }
}

#[tokio::test]
async fn the_page_of_invitations_leads_to_the_next_one_and_its_badge_counts_to_a_hundred() {
    let scene = Scene::set().await;
    let guests: Vec<_> = (0..102).map(|n| format!("guest{n}@example.com")).collect();
    let file = scene.gateway.directory().join("guests.csv");
    std::fs::write(&file, format!("email\n{}\n", guests.join("\n"))).unwrap();
    scene.gateway.operate(&["import", "users", file.to_str().unwrap()]);
    let (mut query, mut shown) = (String::new(), Vec::new());
    for _ in 0..3 {
        let page = scene.alice.navigate(&scene.url(&format!("/auth/admin/invitations{query}"))).await;
        let page = page.expect(200).text();
        assert!(page.contains("<span class=\"badge\">99+</span>"), "{page}");
        shown.push(page.matches("data-ask=\"revoke\"").count());
        let next = page.split_once("rel=\"next\" href=\"/auth/admin/invitations");
        let next = next.and_then(|(_, next)| next.split_once('"')).map_or("", |(query, _)| query);
        next.clone_into(&mut query);
    }
    assert_eq!((shown, query), (vec![50, 50, 2], String::new()));
    let overview = scene.alice.get("admin/v1/overview").await.expect(200).json();
    assert_eq!(overview["invitations"], 102, "the overview counts all");
}

#[tokio::test]
async fn people_are_found_by_the_beginning_of_username_address_or_name() {
    let scene = Scene::set().await;
    let (_, _) = scene.invited("zoe@elsewhere.example", 7).await;
    scene.gateway.operate(&["user", "name", "zoe", "Zoë Åström"]);
    for (search, expected) in [
        ("ali", vec!["alice"]),
        ("ALICE@", vec!["alice"]),
        ("ample", vec!["alice"]),
        ("zoë", vec!["zoe"]),
        ("åst", vec!["zoe"]),
        ("zoe@else", vec!["zoe"]),
        ("z", vec!["zoe"]),
        ("lice", vec![]),
    ] {
        assert_eq!(names(&told(&scene, &["user", "list", "--search", search])), expected, "{search}");
        let query = [("search", search)];
        let request = scene.alice.fetching(reqwest::Method::GET, &scene.alice.api("admin/v1/users"), None);
        let page = scene.alice.send(request.query(&query)).await.expect(200).json();
        assert_eq!(names(&page), expected, "{search}");
    }
    // A former name finds no user.
    scene.gateway.operate(&["user", "name", "zoe", "Zoe"]);
    assert_eq!(told(&scene, &["user", "list", "--search", "åst"]), json!({ "users": [], "next": null }));
}

/// Stores of earlier versions have no directory; the first start makes it.
#[tokio::test]
async fn search_index_is_built_for_existing_users() {
    let stage = Stage::set(Arc::new(MemoryStore::new())).await.unwrap();
    let mut device = crate::harness::Authenticator::new(1);
    stage.enrol("alice@example.com", &mut device).await.unwrap();
    for (key, _) in stage.store.scan(keys::DIRECTORY, None, 100).await.unwrap() {
        stage.store.take(&key).await.unwrap();
    }
    stage.store.take(&keys::directory_made()).await.unwrap().unwrap();
    let query = Query::default().beginning_with("ali");
    assert!(stage.gateway.administration.list_users(&query).await.unwrap().items.is_empty());
    let again = stage.again().await;
    assert_eq!(again.gateway.administration.list_users(&query).await.unwrap().items.len(), 1);
}

/// Whatever changes, a user who has a record is found by every term of theirs and by no other.
#[tokio::test]
async fn search_index_follows_changes() {
    let stage = Stage::set(Arc::new(MemoryStore::new())).await.unwrap();
    let mut device = crate::harness::Authenticator::new(1);
    let user = stage.enrol("alice@example.com", &mut device).await.unwrap().user;
    for name in ["Alice B", "B Alice", "alice@example.com", "Q"] {
        let edit = UserEdit { name: Some(DisplayName::parse(name).unwrap()), ..UserEdit::default() };
        let user =
            stage.gateway.administration.edit_user(&Authority::of_operator(), &user.id, &edit).await.unwrap();
        let found = stage.store.scan(keys::DIRECTORY, None, 100).await.unwrap();
        let terms: Vec<_> =
            found.iter().map(|(key, _)| keys::term_and_user(key).unwrap().0.to_owned()).collect();
        assert_eq!(terms, records::terms_of(&user).into_iter().collect::<Vec<_>>());
    }
    assert_eq!(Cursor::parse("*"), None);
}

#[tokio::test]
async fn overview_shows_backups_and_certificate_expiry() {
    let scene = Scene::with(
        |config| config.tls("auth.example.test"),
        |route| {
            route.host("app.example.test");
        },
    )
    .await;
    let overview = async || scene.alice.get("admin/v1/overview").await.expect(200).json();
    let page = async || scene.alice.navigate(&scene.url("/auth/admin")).await.expect(200).text();
    // The certificates are looked at a moment after the start.
    let told = async || Some(overview().await).filter(|seen| seen["certificates"] != json!([]));
    let seen = until("a certificate on the overview", told).await;
    let end: jiff::Timestamp = seen["certificates"][0]["good_until"].as_str().unwrap().parse().unwrap();
    assert!(end > jiff::Timestamp::now(), "{seen}");
    assert_eq!(seen["last_backup_at"], Value::Null);
    assert!(page().await.contains("There has been no backup yet"));

    let file = scene.gateway.directory().join("backup");
    scene.gateway.operate(&["backup", file.to_str().unwrap()]);
    // The gateway notes a backup when all of it has been taken, a moment after the command has it.
    let told = async || Some(overview().await["last_backup_at"].clone()).filter(|at| *at != Value::Null);
    let made = until("the backup on the overview", told).await;
    let made: jiff::Timestamp = made.as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(made).as_secs().abs() < 600);
    let page = page().await;
    assert!(
        !page.contains("There has been no backup yet") && page.contains("Certificate valid until"),
        "{page}"
    );
}

#[tokio::test]
async fn users_are_found_by_how_many_passkeys_they_have_and_when_they_used_one() {
    let scene = Scene::set().await;
    let (bob, mut device) = scene.invited("bob@example.com", 2).await;
    bob.sign_in(&mut device).await.expect(201);
    // Carol has an account and a passkey that she has never shown; Dora has lost hers.
    scene.invited("carol@example.com", 3).await;
    scene.invited("dora@example.com", 4).await;
    let dora = told(&scene, &["user", "show", "dora"]);
    let passkey = dora["credentials"][0]["id"].as_str().unwrap();
    scene.gateway.operate(&["user", "remove-passkey", "dora", passkey]);
    for (query, expected) in [
        ("passkeys=none", &["dora"][..]),
        ("passkeys=one", &["alice", "bob", "carol"]),
        ("passkeys=several", &[]),
        ("last=month", &["bob"]),
        ("last=never", &["alice", "carol", "dora"]),
        ("last=longer", &["alice", "carol", "dora"]),
        ("last=never&passkeys=one", &["alice", "carol"]),
    ] {
        let page = scene.alice.get(&format!("admin/v1/users?{query}")).await.expect(200).json();
        assert_eq!(names(&page), expected, "{query}");
        let shown = scene.alice.navigate(&scene.url(&format!("/auth/admin/users?{query}"))).await.expect(200);
        for name in ["alice", "bob", "carol", "dora"] {
            let is_there = shown.text().contains(&format!("<bdi>{name}</bdi>"));
            assert_eq!(is_there, expected.contains(&name), "{query} {name}");
        }
    }
    scene.alice.get("admin/v1/users?passkeys=two").await.expect_problem(422);
    scene.alice.get("admin/v1/users?last=week").await.expect_problem(422);
}
