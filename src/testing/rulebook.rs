//! Which messages a request gets, under every reading that the reference allows. The fake server and the
//! property tests share these rules.

use crate::fingerprint::fingerprint;

/// What `beforeTime` and `beforeId` leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CursorReading {
    /// As documented: messages up to and including `beforeTime`, without the message of `beforeId`.
    #[default]
    ExcludesOneId,
    /// As `ExcludesOneId`, but the message of `beforeId` is counted to `limit` before it is left out. So a page
    /// comes one message short.
    CountsTheCursor,
    /// Only messages before the pair `(beforeTime, beforeId)`. Equal timestamps are ordered by `_id`.
    StrictKeyset,
    /// As `StrictKeyset`, but the messages left out at the cursor's time are counted to `limit` first. So a
    /// page comes short by their number.
    StrictKeysetAfterCounting,
}

impl CursorReading {
    /// Whether equal timestamps are ordered by `_id`. A keyset with another order would contradict itself.
    pub(crate) fn orders_by_id(self) -> bool {
        matches!(self, Self::StrictKeyset | Self::StrictKeysetAfterCounting)
    }
}

/// The order among messages of one timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TieOrder {
    /// The order in which they were given to the chat.
    #[default]
    AsGiven,
    /// Ascending by `_id`.
    ById,
    /// Descending by `_id`.
    ByIdDescending,
    /// Another order for every request, by this seed.
    Shuffled(u64),
    /// Another order for every `limit`, by this seed.
    ShuffledByLimit(u64),
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
    /// In random order, by this seed.
    Shuffled(u64),
}

/// How a session filter and a cursor combine. The reference does not document this.
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

/// What an answer says of the time of the chat's first message (`minTime`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MinTime {
    /// Its timestamp.
    #[default]
    Stated,
    /// The field is missing.
    Missing,
    /// `null`.
    Null,
    /// `false`, as for a chat without messages.
    False,
    /// This number of epoch milliseconds, right or wrong.
    Fixed(i64),
}

/// How many messages an answer holds, compared with `limit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitReading {
    /// As many as asked.
    #[default]
    AsAsked,
    /// At most this many.
    Capped(u64),
    /// One less than asked.
    OneShort,
    /// As many as asked. A `limit` larger than `above` is answered with the status.
    Refused {
        /// The largest `limit` that is answered.
        above: u64,
        /// The status of the refusal, such as 400, 413 or 422.
        status: u16,
    },
}

/// How the server reads what the reference leaves open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) cursor_reading: CursorReading,
    pub(crate) tie_order: TieOrder,
    pub(crate) page_order: PageOrder,
    pub(crate) session_filter: SessionFilter,
    pub(crate) min_time: MinTime,
    pub(crate) limit_reading: LimitReading,
    /// The number of a request that is answered without messages, although there are some.
    pub(crate) empty_answer: Option<u64>,
    /// Whether a page holds one of its messages twice.
    pub(crate) repeats: bool,
}

/// A message as the server knows it.
pub(crate) trait Row {
    fn timestamp(&self) -> i64;
    fn id(&self) -> &str;
    fn bot_session(&self) -> Option<&str>;
    /// Whether the message is counted to `limit` and then left out.
    fn is_hidden(&self) -> bool;
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) limit: u64,
    pub(crate) before: Option<(i64, &'a str)>,
    pub(crate) bot_session: Option<&'a str>,
    /// How many requests came before.
    pub(crate) number: u64,
}

/// The default of `limit`, as documented.
pub(crate) const DEFAULT_LIMIT: u64 = 50;

impl Rules {
    /// The messages of a page, as indices into the rows, or the status of a refusal. The rows are ascending by
    /// time.
    pub(crate) fn page<R: Row>(&self, rows: &[R], asked: Asked<'_>) -> Result<Vec<usize>, u16> {
        let asked = self.in_effect(asked);
        let limit = match self.limit_reading {
            LimitReading::AsAsked => asked.limit,
            LimitReading::Capped(cap) => asked.limit.min(cap),
            LimitReading::OneShort => asked.limit.saturating_sub(1),
            LimitReading::Refused { above, status } if asked.limit > above => return Err(status),
            LimitReading::Refused { .. } => asked.limit,
        };
        if self.empty_answer == Some(asked.number) {
            return Ok(Vec::new());
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut counted = self.counted(rows, &asked, limit);
        self.order_ties(rows, &mut counted, &asked);
        let mut page = counted.split_off(counted.len().saturating_sub(limit));
        page.retain(|index| !rows[*index].is_hidden() && self.is_shown(&rows[*index], &asked));
        let mut rng = fastrand::Rng::with_seed(asked.number);
        if self.repeats && !page.is_empty() {
            let twice = rng.usize(..page.len());
            page.insert(twice, page[twice]);
        }
        match self.page_order {
            PageOrder::Ascending => {}
            PageOrder::Descending => page.reverse(),
            PageOrder::Shuffled(seed) => {
                fastrand::Rng::with_seed(seed ^ asked.number).shuffle(&mut page);
            }
        }
        Ok(page)
    }

    /// The request without the filter that the server ignores.
    fn in_effect<'a>(&self, asked: Asked<'a>) -> Asked<'a> {
        match (self.session_filter, asked.before, asked.bot_session) {
            (SessionFilter::CursorIgnored, _, Some(_)) => Asked { before: None, ..asked },
            (SessionFilter::SessionIgnored, Some(_), _) => Asked { bot_session: None, ..asked },
            _ => asked,
        }
    }

    /// The newest rows that count to `limit`, ascending, and all rows that share a timestamp with the oldest of
    /// them. The order among equal timestamps decides which of those are taken.
    fn counted<R: Row>(&self, rows: &[R], asked: &Asked<'_>, limit: usize) -> Vec<usize> {
        let Asked { before, bot_session: session, .. } = *asked;
        let end = before
            .map_or(rows.len(), |(time, _)| rows.partition_point(|row| row.timestamp() <= time));
        let counts = |row: &R| {
            (session.is_none() || row.bot_session() == session)
                && before.is_none_or(|(time, id)| match self.cursor_reading {
                    CursorReading::ExcludesOneId => row.id() != id,
                    CursorReading::StrictKeyset => (row.timestamp(), row.id()) < (time, id),
                    CursorReading::CountsTheCursor | CursorReading::StrictKeysetAfterCounting => {
                        true
                    }
                })
        };
        let in_stored_order =
            !self.cursor_reading.orders_by_id() && self.tie_order == TieOrder::AsGiven;
        let mut counted: Vec<usize> = Vec::new();
        for index in (0..end).rev() {
            let row = &rows[index];
            let ties =
                counted.last().is_some_and(|last| rows[*last].timestamp() == row.timestamp());
            if counted.len() >= limit && (!ties || in_stored_order) {
                break;
            }
            if counts(row) {
                counted.push(index);
            }
        }
        counted.reverse();
        counted
    }

    /// Whether the cursor does not leave the row out, before or after counting.
    fn is_shown<R: Row>(&self, row: &R, asked: &Asked<'_>) -> bool {
        asked.before.is_none_or(|(time, id)| {
            if self.cursor_reading.orders_by_id() {
                (row.timestamp(), row.id()) < (time, id)
            } else {
                row.id() != id
            }
        })
    }

    fn order_ties<R: Row>(&self, rows: &[R], counted: &mut [usize], asked: &Asked<'_>) {
        for ties in counted.chunk_by_mut(|a, b| rows[*a].timestamp() == rows[*b].timestamp()) {
            let id = |index: &usize| rows[*index].id();
            let mut shuffle = |salt: u64| {
                ties.sort_by_cached_key(|index| {
                    fingerprint(&[&salt.to_le_bytes(), id(index).as_bytes()].concat())
                });
            };
            match self.tie_order {
                _ if self.cursor_reading.orders_by_id() => ties.sort_by(|a, b| id(a).cmp(id(b))),
                TieOrder::ById => ties.sort_by(|a, b| id(a).cmp(id(b))),
                TieOrder::AsGiven => {}
                TieOrder::ByIdDescending => ties.sort_by(|a, b| id(b).cmp(id(a))),
                TieOrder::Shuffled(seed) => shuffle(seed ^ asked.number.rotate_left(32)),
                TieOrder::ShuffledByLimit(seed) => shuffle(seed ^ asked.limit.rotate_left(32)),
            }
        }
    }

    /// `minTime` and `maxTime` as JSON. `minTime` is `None` when it is missing.
    pub(crate) fn times<R: Row>(&self, rows: &[R]) -> (Option<String>, String) {
        let time =
            |row: Option<&R>| row.map_or("false".to_owned(), |row| row.timestamp().to_string());
        let min_time = match self.min_time {
            MinTime::Stated => Some(time(rows.iter().find(|row| !row.is_hidden()))),
            MinTime::Missing => None,
            MinTime::Null => Some("null".to_owned()),
            MinTime::False => Some("false".to_owned()),
            MinTime::Fixed(millis) => Some(millis.to_string()),
        };
        (min_time, time(rows.iter().rev().find(|row| !row.is_hidden())))
    }
}
