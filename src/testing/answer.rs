//! Which messages a request gets, under every reading that the reference allows.

use bytes::Bytes;

use super::chat::StoredChat;
use super::request::RecordedRequest;
use crate::fingerprint::fingerprint;

/// What `beforeTime` and `beforeId` leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CursorReading {
    /// Messages up to and including `beforeTime`, without the one of `beforeId`: the documented words.
    #[default]
    ExcludesOneId,
    /// Only messages before the pair `(beforeTime, beforeId)`; equal timestamps are ordered by `_id`.
    StrictKeyset,
}

/// The order among messages of one timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TieOrder {
    /// As they were given to the chat.
    #[default]
    AsGiven,
    /// Ascending by `_id`.
    ById,
    /// Descending by `_id`.
    ByIdDescending,
    /// Another one for every request, by this seed.
    Shuffled(u64),
}

/// The order of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageOrder {
    /// Earliest first, as documented.
    #[default]
    Ascending,
    /// Latest first.
    Descending,
    /// None at all, by this seed.
    Shuffled(u64),
}

/// How a session filter and a cursor combine, which is not documented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionFilter {
    /// Both apply.
    #[default]
    BothApply,
    /// With a session the cursor is ignored.
    CursorIgnored,
    /// With a cursor the session is ignored.
    SessionIgnored,
}

/// What an answer says of the chat's first message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MinTime {
    /// Its timestamp.
    #[default]
    Stated,
    /// Nothing: the field is missing.
    Missing,
    /// `null`.
    Null,
    /// This number of epoch milliseconds, right or wrong.
    Fixed(i64),
}

/// How the server reads what the reference leaves open.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) cursor_reading: CursorReading,
    pub(super) tie_order: TieOrder,
    pub(super) page_order: PageOrder,
    pub(super) session_filter: SessionFilter,
    pub(super) min_time: MinTime,
    pub(super) limit_cap: Option<u64>,
}

/// The default of `limit`, as documented.
const DEFAULT_LIMIT: u64 = 50;

impl Rules {
    /// The body of an answer, in pieces.
    pub(super) fn body(
        &self,
        chat: &StoredChat,
        request: &RecordedRequest,
        number: u64,
    ) -> Vec<Bytes> {
        let limit = request.limit.unwrap_or(DEFAULT_LIMIT).min(self.limit_cap.unwrap_or(u64::MAX));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut before = request.before.as_ref();
        let mut session = request.bot_session.as_deref();
        match self.session_filter {
            SessionFilter::CursorIgnored if session.is_some() => before = None,
            SessionFilter::SessionIgnored if before.is_some() => session = None,
            _ => {}
        }
        let page = self.page(chat, before, session, limit, number);
        let mut pieces = vec![Bytes::from_static(br#"{"messages":["#)];
        for run in runs(&page) {
            if pieces.len() > 1 {
                pieces.push(Bytes::from_static(b","));
            }
            pieces.push(chat.slice(run));
        }
        pieces.push(Bytes::from(self.tail(chat)));
        pieces
    }

    /// The messages of a page, as indices into the chat.
    fn page(
        &self,
        chat: &StoredChat,
        before: Option<&(i64, String)>,
        session: Option<&str>,
        limit: usize,
        number: u64,
    ) -> Vec<usize> {
        let entries = &chat.entries;
        let end = before
            .map_or(entries.len(), |(time, _)| entries.partition_point(|e| e.timestamp <= *time));
        let applies = |index: usize| {
            let entry = &entries[index];
            let wanted = session.is_none() || entry.bot_session.as_deref() == session;
            wanted
                && before.is_none_or(|(time, id)| match self.cursor_reading {
                    CursorReading::ExcludesOneId => *entry.id != **id,
                    CursorReading::StrictKeyset => {
                        (entry.timestamp, &*entry.id) < (*time, id.as_str())
                    }
                })
        };
        // From the newest down: as many as asked, and all that tie with the oldest of them, because the
        // order among equals decides which of those are taken.
        let mut window: Vec<usize> = Vec::new();
        for index in (0..end).rev() {
            let ties = window
                .last()
                .is_some_and(|last| entries[*last].timestamp == entries[index].timestamp);
            if window.len() >= limit && (!ties || self.orders_as_given()) {
                break;
            }
            if applies(index) {
                window.push(index);
            }
        }
        window.reverse();
        self.order_ties(chat, &mut window, number);
        let mut page = window.split_off(window.len().saturating_sub(limit));
        match self.page_order {
            PageOrder::Ascending => {}
            PageOrder::Descending => page.reverse(),
            PageOrder::Shuffled(seed) => fastrand::Rng::with_seed(seed ^ number).shuffle(&mut page),
        }
        page
    }

    fn orders_as_given(&self) -> bool {
        self.cursor_reading == CursorReading::ExcludesOneId && self.tie_order == TieOrder::AsGiven
    }

    fn order_ties(&self, chat: &StoredChat, window: &mut [usize], number: u64) {
        let entry = |index: &usize| &chat.entries[*index];
        let by_id = |a: &usize, b: &usize| {
            (entry(a).timestamp, &entry(a).id).cmp(&(entry(b).timestamp, &entry(b).id))
        };
        match (self.cursor_reading, self.tie_order) {
            // Ordered otherwise, a keyset would contradict itself.
            (CursorReading::StrictKeyset, _) | (_, TieOrder::ById) => window.sort_by(by_id),
            (_, TieOrder::AsGiven) => {}
            (_, TieOrder::ByIdDescending) => {
                window
                    .sort_by(|a, b| entry(a).timestamp.cmp(&entry(b).timestamp).then(by_id(b, a)));
            }
            (_, TieOrder::Shuffled(seed)) => window.sort_by_key(|index| {
                let salt = (seed ^ number.rotate_left(32)).to_le_bytes();
                (entry(index).timestamp, fingerprint(&[&salt, entry(index).id.as_bytes()].concat()))
            }),
        }
    }

    fn tail(&self, chat: &StoredChat) -> String {
        let time = |entry: Option<&super::chat::Entry>| {
            entry.map_or("false".to_owned(), |entry| entry.timestamp.to_string())
        };
        let max_time = time(chat.entries.last());
        match self.min_time {
            MinTime::Stated => {
                format!(r#"],"minTime":{},"maxTime":{max_time}}}"#, time(chat.entries.first()))
            }
            MinTime::Missing => format!(r#"],"maxTime":{max_time}}}"#),
            MinTime::Null => format!(r#"],"minTime":null,"maxTime":{max_time}}}"#),
            MinTime::Fixed(millis) => format!(r#"],"minTime":{millis},"maxTime":{max_time}}}"#),
        }
    }
}

/// Groups indices that follow one another.
fn runs(page: &[usize]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for index in page {
        match runs.last_mut() {
            Some(run) if run.end == *index => run.end += 1,
            _ => runs.push(*index..*index + 1),
        }
    }
    runs
}
