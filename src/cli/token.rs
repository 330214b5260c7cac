//! `vestibule token`: access tokens for programs.
//!
//! What does not live here: what a token is and what it opens (`domain/access_token/`,
//! `flows/access_tokens/`).
//!
//! What always holds: a token is read from standard input, never from an argument, which every user
//! of the machine could see; and the commands of a holder ask no gateway.

use std::io::Read as _;

use serde_json::json;

use super::answers::{Form, columns, with_next};
use super::arguments::Part;
use super::arguments::token::{Create, Limits, Narrowing, Token};
use super::{Ask, Failure, Outcome, lists, say};
use crate::admin::{Answer, Request, TokenLine};
use crate::domain::access_token::TOKEN_CHARS_MAX;
use crate::domain::access_token::grant::{Grant, GrantText};
use crate::domain::access_token::offline::{Inspected, attenuate, inspect};
use crate::ports::{Clock as _, entropy};
use crate::system::{SystemClock, SystemEntropy};

/// Carries a command out.
pub(super) fn run(command: Token, ask: &Ask<'_>) -> Outcome {
    let (request, form) = match command {
        Token::Create(arguments) => creation(arguments),
        Token::List { user, part: Part { limit, after, json } } => {
            (Request::TokenList { user, limit, after }, Form::of(json))
        }
        Token::Revoke { id } => (Request::TokenRevoke { id }, Form::Text),
        Token::Attenuate(arguments) => return narrow(arguments),
        Token::Inspect { json } => return show(json),
    };
    say(&lists::told(request, form, ask)?);
    Ok(())
}

fn creation(arguments: Create) -> (Request, Form) {
    let Create { user, name, routes, limits: Limits { methods, paths, networks }, expires, json } = arguments;
    let expires_in_seconds = expires.as_secs();
    let request = Request::TokenCreate { user, name, routes, methods, paths, networks, expires_in_seconds };
    (request, Form::of(json))
}

fn narrow(arguments: Narrowing) -> Outcome {
    let Narrowing { routes, limits: Limits { methods, paths, networks }, expires } = arguments;
    let grant = Grant::parse(&GrantText { routes, methods, paths, networks })?;
    let expires_at = expires.map(|length| SystemClock::default().now().plus(length));
    let seed = entropy::bytes(&SystemEntropy);
    say(&attenuate(&from_input()?, &grant, expires_at, &seed)?);
    Ok(())
}

fn show(as_json: bool) -> Outcome {
    let Inspected { id, user, issuer, blocks } = inspect(&from_input()?)?;
    if as_json {
        say(&json!({ "id": id, "user": user, "issuer": issuer, "blocks": blocks }).to_string());
        return Ok(());
    }
    say(&format!("Token {id} of user {user}, made by {issuer}. It opens what passes every line:"));
    for (at, block) in blocks.iter().enumerate() {
        say(&if at == 0 { "as made".to_owned() } else { format!("narrowed, {at}") });
        for line in block {
            say(&format!("    {line}"));
        }
    }
    Ok(())
}

/// The text that is printed for an answer about tokens.
pub(super) fn told(answer: Answer, form: Form) -> String {
    match (answer, form) {
        (Answer::TokenCreated { id, token, expires_at, .. }, Form::Json) => {
            json!({ "id": id, "token": token.reveal(), "expires_at": expires_at }).to_string()
        }
        (Answer::TokenCreated { id, token, expires_at, opens }, Form::Text) => {
            let opens = opens.unwrap_or_else(|| "https://...".to_owned());
            let token = token.reveal();
            format!(
                "Token {id} is good until {expires_at}. This is the only time that it is shown:\n\n    {token}\n\n\
                 Try it:\n\n    curl -H 'Authorization: Bearer {token}' {opens}"
            )
        }
        (Answer::Tokens { tokens, .. }, Form::Json) => json!(tokens).to_string(),
        (Answer::Tokens { tokens, next }, Form::Text) => token_table(&tokens, next.as_deref()),
        _ => String::new(),
    }
}

fn token_table(tokens: &[TokenLine], next: Option<&str>) -> String {
    if tokens.is_empty() && next.is_none() {
        return "There is no access token.".to_owned();
    }
    let row = |it: &TokenLine| {
        let user = it.username.as_ref().map_or_else(|| it.user.to_string(), ToString::to_string);
        let last = it.last_used_at.clone().unwrap_or_else(|| "never".to_owned());
        let routes = it.grant.routes.join(",");
        [it.id.to_string(), user, it.name.to_string(), routes, it.expires_at.clone(), last]
    };
    let head = ["TOKEN", "USER", "NAME", "ROUTES", "EXPIRES", "LAST USED"];
    with_next(columns(head, tokens.iter().map(row)), next)
}

/// The token, without the white space around it.
fn from_input() -> Result<String, Failure> {
    let mut text = String::new();
    let most = u64::try_from(TOKEN_CHARS_MAX).unwrap_or(u64::MAX).saturating_add(64);
    std::io::stdin().lock().take(most).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}
