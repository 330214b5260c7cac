//! Corbado's Frontend API. It has no names of passkeys.

use reqwest::Method;
use serde_json::{Value, json};

use super::native;
use crate::harness::{Browser, Reply};

/// Where this front end keeps the id of its process: with the cookies, under a name that the
/// gateway does not know.
const PROCESS: &str = "kept-by-the-front-end";

async fn ask(browser: &Browser, method: Method, below: &str, body: Option<&Value>) -> Reply {
    browser.call(method, &format!("/v2/{below}"), body).await
}

/// This API sends options as a text.
pub(super) async fn begin_adding(browser: &Browser) -> Reply {
    let asked = json!({ "clientInformation": {} });
    let reply = ask(browser, Method::POST, "me/passkeys/append/start", Some(&asked)).await;
    reply.opened(|answer| answer["attestationOptions"].as_str().unwrap().as_bytes().to_vec())
}

pub(super) async fn finish_adding(browser: &Browser, answer: &Value, label: &str) -> Reply {
    let finish = json!({ "attestationResponse": answer.to_string(), "clientInformation": {} });
    let reply = ask(browser, Method::POST, "me/passkeys/append/finish", Some(&finish)).await;
    if reply.status == 200 {
        native::rename(browser, answer["id"].as_str().unwrap(), label).await.expect(200);
    }
    reply
}

pub(super) async fn begin_sign_in(browser: &Browser) -> Reply {
    let reply =
        ask(browser, Method::POST, "auth/process/init", Some(&json!({ "clientInformation": {} }))).await;
    let host = browser.origin().split("//").nth(1).unwrap().split(':').next().unwrap();
    if reply.status == 200 {
        browser.jar().plant(host, PROCESS, reply.json()["token"].as_str().unwrap());
    }
    reply.opened(|answer| {
        let data = &answer["processResponse"]["blockBody"]["data"];
        data["conditionalUIChallenge"].as_str().unwrap().as_bytes().to_vec()
    })
}

pub(super) async fn finish_sign_in(browser: &Browser, answer: &Value) -> Reply {
    let url = format!("{}/v2/auth/passkey/mediation/finish", browser.origin());
    let host = browser.origin().split("//").nth(1).unwrap().split(':').next().unwrap();
    let process = browser.jar().get(host, PROCESS).unwrap_or_default();
    let finish = json!({ "signedChallenge": answer.to_string() });
    let request = browser.fetching(Method::POST, &url, Some(&finish));
    browser.send(request.header("x-corbado-process-id", process)).await
}

pub(super) async fn list(browser: &Browser) -> Reply {
    ask(browser, Method::GET, "me/passkeys", None).await
}

pub(super) async fn rename(browser: &Browser, id: &str, label: &str) -> Reply {
    let listed = list(browser).await;
    let at = match listed.status {
        200 => listed.json()["passkeys"].as_array().and_then(|all| all.iter().position(|it| it["id"] == id)),
        _ => None,
    };
    native::rename_at(browser, at, id, label).await
}

pub(super) async fn delete(browser: &Browser, id: &str) -> Reply {
    ask(browser, Method::DELETE, &format!("me/passkeys/{id}"), None).await
}

pub(super) async fn sign_out(browser: &Browser) -> Reply {
    ask(browser, Method::POST, "me/logout", None).await
}
