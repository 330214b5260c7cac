//! Other users' access tokens, a page at a time.
//!
//! What does not live here: making and revoking them, which is in `flows/access_tokens/`.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::domain::id::UserId;
use crate::flows::FlowError;
use crate::flows::access_tokens::index::LiveToken;
use crate::flows::administration::Administration;
use crate::flows::administration::paging::{Page, Pager, Part, newest_first};
use crate::records::keys;

impl Administration {
    /// A page of the access tokens that can be used: those of a user, newest first, or those of all
    /// users, in no particular order, the newest of the page first.
    pub async fn list_tokens(
        &self,
        user: Option<&UserId>,
        part: &Part,
    ) -> Result<Page<Arc<LiveToken>>, FlowError> {
        if let Some(user) = user {
            let place =
                |token: &Arc<LiveToken>| newest_first(token.record().created_at, &token.record().id.0);
            return Ok(Page::of_few(self.access_tokens.tokens_of(user), part, place));
        }
        let now = self.ground.clock.now();
        let mut pager = Pager::of(&self.ground.records, keys::ACCESS_TOKENS, part);
        while let Some((key, _)) = pager.next().await? {
            let token = keys::access_token_id(&key).and_then(|id| self.access_tokens.index.token(&id));
            if let Some(token) = token.filter(|token| token.is_live(now)) {
                pager.take(token);
            }
        }
        let mut page = pager.page();
        page.items.sort_by_key(|token| Reverse(token.record().created_at));
        Ok(page)
    }
}
