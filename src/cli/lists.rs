//! Lists of invitations, sessions and access tokens: one page, or everything.
//!
//! What always holds: a command without `--limit` and `--after` prints the whole list, in JSON as an
//! array, and asks the gateway for a page at a time. A command with one of them prints one page, in
//! JSON with the cursor of the `next` page.

use serde_json::json;

use super::answers::{Form, printed};
use super::{Ask, Failure};
use crate::admin::{Answer, Request};
use crate::flows::administration::paging::PAGE_ITEMS_MAX;

/// What is printed of the answer to `request`, which need not be about a list.
pub(super) fn told(mut request: Request, form: Form, ask: &Ask<'_>) -> Result<String, Failure> {
    let Some((limit, after)) = part(&mut request) else { return printed(ask(request)?, form) };
    if limit.is_some() || after.is_some() {
        return page(ask(request)?, form);
    }
    *limit = Some(PAGE_ITEMS_MAX);
    let mut whole = ask(request.clone())?;
    while let (Some(next), Some((_, after))) = (next(&mut whole), part(&mut request)) {
        *after = Some(next);
        whole = joined(whole, ask(request.clone())?);
    }
    printed(whole, form)
}

/// Which page of a list a request names.
const fn part(request: &mut Request) -> Option<(&mut Option<usize>, &mut Option<String>)> {
    match request {
        Request::InvitationList { limit, after }
        | Request::SessionList { limit, after, .. }
        | Request::TokenList { limit, after, .. } => Some((limit, after)),
        _ => None,
    }
}

fn next(answer: &mut Answer) -> Option<String> {
    match answer {
        Answer::Invitations { next, .. } | Answer::Sessions { next, .. } | Answer::Tokens { next, .. } => {
            next.take()
        }
        _ => None,
    }
}

/// Both pages as one; a refusal in place of the second stands for both.
fn joined(whole: Answer, more: Answer) -> Answer {
    fn both<T>(mut items: Vec<T>, more: Vec<T>) -> Vec<T> {
        items.extend(more);
        items
    }
    match (whole, more) {
        (Answer::Invitations { invitations: all, .. }, Answer::Invitations { invitations, next }) => {
            Answer::Invitations { invitations: both(all, invitations), next }
        }
        (Answer::Sessions { sessions: all, .. }, Answer::Sessions { sessions, next }) => {
            Answer::Sessions { sessions: both(all, sessions), next }
        }
        (Answer::Tokens { tokens: all, .. }, Answer::Tokens { tokens, next }) => {
            Answer::Tokens { tokens: both(all, tokens), next }
        }
        (_, more) => more,
    }
}

fn page(answer: Answer, form: Form) -> Result<String, Failure> {
    let mut page = json!(answer);
    let text = printed(answer, form)?;
    if form == Form::Text {
        return Ok(text);
    }
    page.as_object_mut().and_then(|members| members.remove("answer"));
    Ok(page.to_string())
}
