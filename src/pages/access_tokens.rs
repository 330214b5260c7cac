//! Rows of access tokens, as their owner and administrators see them.
//!
//! What does not live here: the pages with these rows.
//!
//! What always holds: no row has the text of a token.

use crate::domain::access_token::grant::Grant;
use crate::domain::time::Timestamp;
use crate::flows::access_tokens::index::LiveToken;

/// A token, without its text.
#[derive(Debug, Clone)]
pub struct TokenRow {
    pub id: String,
    pub name: String,
    /// Routes, methods, paths and networks, as far as it names them.
    pub opens: String,
    pub expires_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

impl From<&LiveToken> for TokenRow {
    fn from(token: &LiveToken) -> Self {
        let record = token.record();
        Self {
            id: record.id.to_string(),
            name: record.name.to_string(),
            opens: in_words(&record.grant),
            expires_at: record.expires_at,
            last_used_at: token.last_used_at(),
        }
    }
}

impl TokenRow {
    /// The row that the script clones for a new token.
    pub fn blank() -> Self {
        let expires_at = Timestamp::from_millis(0);
        Self { id: String::new(), name: String::new(), opens: String::new(), expires_at, last_used_at: None }
    }

    pub(super) fn expires_day(&self) -> String {
        super::account::day(self.expires_at)
    }

    pub(super) fn last_used_day(&self) -> String {
        self.last_used_at.map(super::account::day).unwrap_or_default()
    }
}

fn in_words(grant: &Grant) -> String {
    fn list<T: ToString>(values: &[T]) -> String {
        values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
    let lists = [list(&grant.routes), list(&grant.methods), list(&grant.paths), list(&grant.networks)];
    lists.into_iter().filter(|list| !list.is_empty()).collect::<Vec<_>>().join(" · ")
}
