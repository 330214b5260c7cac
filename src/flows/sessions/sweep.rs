//! Sessions that are over by themselves, and when the others were last used. No decision depends on
//! this having run.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::Sessions;
use crate::domain::event::{End, Origin};
use crate::domain::session::{LAST_SEEN_GRANULARITY, Session};
use crate::flows::FlowError;
use crate::flows::index::LiveSession;
use crate::ports::Batch;
use crate::records::{self, keys};

/// How many sessions are swept at the same time, so that the store can commit them together.
const SWEPT_AT_ONCE_MAX: usize = 64;
/// How many are looked at before others have a turn: there may be a million, and that takes a second.
const SWEPT_WITHOUT_PAUSE: usize = 1_000;

/// The work of the sweep on a session.
#[derive(Clone, Copy)]
enum Due {
    Ends(End),
    /// The time of its last use has to be written.
    Seen,
}

impl Sessions {
    /// Removes sessions that have expired, and writes down when the rest was last seen. A failure
    /// concerns one session only.
    pub(in crate::flows) async fn sweep(&self) {
        for some in self.index.all().chunks(SWEPT_WITHOUT_PAUSE) {
            let due = some.iter().filter_map(|session| Some((session, self.due(session)?)));
            stream::iter(due)
                .for_each_concurrent(SWEPT_AT_ONCE_MAX, |(session, due)| self.sweep_session(session, due))
                .await;
            // The sweep yields because the same threads serve requests.
            tokio::task::yield_now().await;
        }
    }

    /// The work to do on a session now; nearly all sessions need none.
    fn due(&self, session: &LiveSession) -> Option<Due> {
        let (record, now) = (session.record(), self.ground.clock.now());
        if session.is_held() {
            session.touch(now);
        }
        let has_owner_expired = self.index.user(&record.user).is_some_and(|user| user.has_expired(now));
        if has_owner_expired {
            Some(Due::Ends(End::AccountExpired))
        } else if !session.is_live(&self.ground.lifetimes(), now) {
            Some(Due::Ends(End::Expired))
        } else {
            let is_seen = session.last_seen_at().since(record.last_seen_at) >= LAST_SEEN_GRANULARITY;
            is_seen.then_some(Due::Seen)
        }
    }

    async fn sweep_session(&self, session: &Arc<LiveSession>, due: Due) {
        let swept = match due {
            Due::Ends(why) => self.sweep_away(session, why).await,
            Due::Seen => self.write_last_seen(session, &session.record()).await,
        };
        if let Err(error) = swept {
            tracing::warn!(%error, "a session could not be swept; if it has expired it is refused all the same");
        }
    }

    /// Ends a session whose time is over, unless it was used on another gateway meanwhile.
    async fn sweep_away(&self, session: &Arc<LiveSession>, why: End) -> Result<(), FlowError> {
        let (id, now) = (session.record().id, self.ground.clock.now());
        let kept = self.ground.records.get::<Session>(&keys::session(&id)).await;
        if let Ok(Some(record)) = &kept
            && why == End::Expired
            && record.is_live(record.last_seen_at, &self.ground.lifetimes(), now)
        {
            session.touch(record.last_seen_at);
            return Ok(());
        }
        // Open streams end even when the store takes no changes.
        session.end();
        kept?;
        self.end_all(&Origin::default(), vec![(Arc::clone(session), why)], Batch::default()).await
    }

    async fn write_last_seen(&self, session: &LiveSession, record: &Session) -> Result<(), FlowError> {
        let seen = Session { last_seen_at: session.last_seen_at(), ..record.clone() };
        // A change or an end that was committed meanwhile stays.
        let batch = records::put_session(&seen)?.expect(keys::session(&record.id), records::encode(record)?);
        self.ground.is_committed(batch).await.map(drop)
    }
}
