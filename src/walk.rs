//! The cursor's rules as pure code: what to ask next, which messages of an answer are new, and when the
//! walk is over. No I/O, no async, no clock.
//!
//! The endpoint's reference (page "Get Messages of a Chat") leaves much open: what the cursor leaves out and
//! when, how equal timestamps are ordered, the largest `limit`, how a session filter combines with a cursor.
//! The rules here are right under every reading. Each answered request brings a new message, widens a stuck
//! `limit`, or ends the walk. `DESIGN.md` has the table of transitions, and `decide` is that table.

mod decide;
mod learn;
#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
pub(crate) mod oracle;
#[cfg(test)]
mod property;
mod sort;
mod stall;
#[cfg(test)]
mod tests;

use crate::chat_time::ChatTime;
use crate::cursor::{Cursor, Key};
use crate::id::BotSessionId;
use crate::position::Position;
use crate::timestamp::Timestamp;

pub(crate) use stall::Stall;

/// The end of the year 9999: a `beforeTime` after every message, and still a date.
pub(crate) const FAR_FUTURE: Timestamp = Timestamp::from_millis(253_402_300_799_999);

/// A well-formed id that no message has: as a cursor it leaves out nothing.
pub(crate) const NO_MESSAGE: &str = "ffffffffffffffffffffffff";

/// Sorts behind every id of that length, hexadecimal or not. A server that takes only hexadecimal ones
/// refuses it, so it stands in where `NO_MESSAGE` may not do.
const LAST_ID: &str = "zzzzzzzzzzzzzzzzzzzzzzzz";

/// The documented default of `limit`. A server that gave this many may have more, whatever was asked.
pub(crate) const DEFAULT_LIMIT: u32 = 50;

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// The chat's first message has been handed out (or, for a bot session, the session's).
    ReachedStart,
    /// Every message not older than [`since`](crate::Messages::since) has been handed out.
    ReachedSince,
    /// As many as [`max_messages`](crate::Messages::max_messages) allows have been handed out.
    ReachedMax,
    /// Oldest first: every message up to the newest one there was when the walk began has been handed out.
    ReachedNewest,
    /// Oldest first: every message not newer than [`until`](crate::Messages::until) has been handed out.
    ReachedUntil,
    /// A page failed. [`resume`](crate::MessageStream::resume) goes on from the checkpoint.
    Failed,
}

/// What of the chat is walked, and in what pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) bot_session: Option<BotSessionId>,
    /// Both inclusive.
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) page_size: u32,
    pub(crate) max_page_size: u32,
    pub(crate) max_messages: Option<u64>,
}

/// One request: everything but the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) limit: u32,
    pub(crate) cursor: Option<Cursor>,
    /// Whether `botSessionId` is sent.
    pub(crate) bot_session: bool,
}

/// What came back, as far as the walk needs to know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    /// Where each message stands, in the order of the body.
    pub(crate) keys: &'a [Key],
    /// Which messages belong to another session than the walk's; empty when none can.
    pub(crate) of_other_session: &'a [bool],
    pub(crate) chat_start: ChatTime,
    pub(crate) chat_latest: ChatTime,
}

/// Which messages of an answer are to be handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// All of them, and they came in ascending order.
    AllAsTheyCame,
    /// Those at these indices, in ascending order of the chat.
    Only(Vec<usize>),
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) kept: Kept,
    /// Messages dropped because they had been handed out, or are newer than where the walk stands.
    pub(crate) duplicates: u64,
    pub(crate) next: Next,
}

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Ask,
    End(End),
    /// The server cannot be got past.
    Stalled(Stall),
}

/// What the next request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// The newest page, before anything is known of the chat.
    First,
    /// The next page.
    Page,
    /// The same cursor, a longer answer: the last one could not show what comes next.
    Widen(Stuck),
    /// The same time with an id that excludes nothing: did the answer stop because there is no more?
    Confirm(Stuck),
    /// Nothing older came although the chat is said to begin further back: is there anything at that time?
    AtStart { time: Timestamp, stuck: Stuck },
    /// There is. A longer and longer answer, until it shows something new.
    Beyond(Stuck),
    /// An answer that excludes nothing may be all there is, or all that a cap lets be seen. Does the server give
    /// more than that at all? The chat's newest messages tell.
    Newest(Stuck),
}

/// A cursor at which an answer brought nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stuck {
    /// The `limit` to ask for next, or, where the goal is `AtStart`, the last one asked for here.
    limit: u32,
    /// How many messages the last answer held.
    count: usize,
    /// What the answer was made of.
    why: Stall,
}

/// How many messages the server gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageLength {
    /// No answer to a cursor has told yet; `first` is how many came before there was a cursor, if these were
    /// fewer than asked although the chat goes on.
    Unproven { first: Option<usize> },
    /// As many as asked, even if the cursor had to be left out.
    AsAsked,
    /// So many at most, as every answer showed that was shorter than asked although the chat went on.
    Capped(usize),
    /// Now these, now those fewer than asked, although the chat went on.
    Uneven,
}

/// Who keeps a walk through one bot session to that session; that the two filters may be combined is not
/// documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SessionFilter {
    Server,
    /// The server ignores a filter beside the other: the whole chat is asked for.
    Ourselves,
}

/// What the server has shown of itself: as true of every other walk through the same chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// The `limit` of an ordinary request; grows up to the largest page size.
    limit: u32,
    page_length: PageLength,
    /// The largest `limit` that was answered.
    answered: u32,
    /// The smallest `limit` of the walk's own choice that was refused, and the status.
    refused: Option<(u32, u16)>,
    session_filter: SessionFilter,
    start: ChatTime,
    /// What `start` was when nothing was found there.
    stale_start: Option<Timestamp>,
    latest: ChatTime,
}

impl Server {
    /// How many messages a page is expected to bring; at least one.
    pub(crate) fn page(&self) -> usize {
        let asked = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let shown = match self.page_length {
            PageLength::Capped(cap) | PageLength::Unproven { first: Some(cap) } => cap,
            _ => asked,
        };
        shown.min(asked).max(1)
    }
}

/// Where the chat begins, as seen from the walk's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// At the position's own time.
    Reached,
    FurtherBack(Timestamp),
    /// The server does not say, or what it says is refuted.
    Unknown,
}

/// The walk between two answers. What it keeps does not grow with the history.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    bounds: Bounds,
    position: Position,
    goal: Goal,
    server: Server,
    /// The time that a walk without `until` begins before.
    newest: Timestamp,
    /// How many messages may still be handed out.
    remaining: Option<u64>,
}

impl Walk {
    pub(crate) fn new(bounds: Bounds, position: Position) -> Self {
        Self {
            remaining: bounds.max_messages,
            goal: if position.cursor.is_some() { Goal::Page } else { Goal::First },
            server: Server {
                limit: bounds.page_size,
                page_length: PageLength::Unproven { first: None },
                answered: 0,
                refused: None,
                session_filter: SessionFilter::Server,
                start: ChatTime::Unknown,
                stale_start: None,
                latest: ChatTime::Unknown,
            },
            newest: FAR_FUTURE,
            bounds,
            position,
        }
    }

    /// Everything up to here has been handed out, or is about to be.
    pub(crate) fn position(&self) -> &Position {
        &self.position
    }

    /// Nothing older than this is wanted any more: another walk reads it.
    pub(crate) fn raise_since(&mut self, since: Timestamp) {
        self.bounds.since = Some(since);
    }

    pub(crate) fn server(&self) -> Server {
        self.server
    }

    /// Takes over what another walk through the same chat has learned.
    pub(crate) fn know(&mut self, server: Server) {
        self.server = server;
    }

    /// The next request.
    pub(crate) fn ask(&self) -> Ask {
        let bot_session = self.asks_for_session();
        let page = || trimmed(self.server.limit, self.remaining, self.more_than_seen());
        match self.goal {
            Goal::First | Goal::Page => {
                Ask { limit: page(), cursor: self.next_cursor(), bot_session }
            }
            Goal::Widen(stuck) => {
                Ask { limit: stuck.limit, cursor: self.next_cursor(), bot_session }
            }
            Goal::Confirm(stuck) | Goal::Beyond(stuck) => Ask {
                limit: stuck.limit.max(self.more_than_seen()),
                cursor: self.cursor_excluding_nothing(),
                bot_session,
            },
            Goal::AtStart { time, .. } => Ask {
                // One more may be left out of what is counted.
                limit: self.bounds.page_size.max(self.more_than_seen().saturating_add(1)),
                cursor: Some(self.cursor_at_start(time)),
                bot_session: false,
            },
            Goal::Newest(stuck) => Ask {
                limit: stuck.limit.max(limit_from(stuck.count).saturating_add(2)),
                cursor: Some(self.cursor_at_newest()),
                bot_session: false,
            },
        }
    }

    fn cursor_at_newest(&self) -> Cursor {
        let timestamp = match self.server.latest {
            ChatTime::At(latest) => self.newest.max(latest.next_milli()),
            ChatTime::Empty | ChatTime::Unknown => self.newest,
        };
        Cursor { timestamp, id: NO_MESSAGE.into() }
    }

    /// A cursor that leaves out nothing of this time, and takes in nothing of the position's.
    fn cursor_at_start(&self, time: Timestamp) -> Cursor {
        if self.position.timestamp() == Some(time.next_milli()) {
            return Cursor { timestamp: time, id: LAST_ID.into() };
        }
        before_anything_newer_than(time)
    }

    /// At the time of the last message that was passed, or at `until` itself.
    fn cursor_excluding_nothing(&self) -> Option<Cursor> {
        let Some(timestamp) = self.position.timestamp().or(self.bounds.until) else {
            return self.next_cursor();
        };
        // As long as `NO_MESSAGE` and, under a strict keyset, after every id at that time.
        let mut ids = self.position.ids().peekable();
        let known = ids.peek().is_some() && ids.all(|id| id.as_str() < NO_MESSAGE);
        let id = if known { NO_MESSAGE } else { LAST_ID };
        Some(Cursor { timestamp, id: id.into() })
    }

    /// Behind the last message that was passed.
    fn next_cursor(&self) -> Option<Cursor> {
        if let Some(cursor) = &self.position.cursor {
            return Some(cursor.clone());
        }
        match self.bounds.until {
            Some(until) => Some(before_anything_newer_than(until)),
            // A session's newest page needs no cursor (the filter that is required is the session).
            None if self.asks_for_session() => None,
            None => Some(Cursor { timestamp: self.newest, id: NO_MESSAGE.into() }),
        }
    }

    /// The request that will follow if the answer to `ask`, whose first message is known already, turns
    /// out ascending, as long as asked, and not the last; `None` when there may be no such request.
    pub(crate) fn foresee(&self, ask: &Ask, first: &Cursor) -> Option<Ask> {
        let ChatTime::At(chat_start) = self.server.start else {
            return None;
        };
        let last = first.timestamp <= chat_start
            || self.bounds.since.is_some_and(|since| first.timestamp < since)
            || self.position.timestamp().is_some_and(|time| first.timestamp >= time)
            || self.bounds.until.is_some_and(|until| first.timestamp > until);
        if last || self.goal != Goal::Page {
            return None;
        }
        let limit = if ask.limit == self.server.limit { self.grown() } else { self.server.limit };
        let remaining = match self.remaining {
            None => None,
            Some(remaining) => {
                Some(remaining.checked_sub(u64::from(ask.limit)).filter(|left| *left > 0)?)
            }
        };
        Some(Ask {
            // The first message is the only one of its time that is known to come.
            limit: trimmed(limit, remaining, 2),
            cursor: Some(first.clone()),
            bot_session: ask.bot_session,
        })
    }

    /// Whether `botSessionId` is sent.
    fn asks_for_session(&self) -> bool {
        self.bounds.bot_session.is_some() && self.server.session_filter == SessionFilter::Server
    }

    /// One more than all that may have been handed out of one time.
    fn more_than_seen(&self) -> u32 {
        limit_from(self.position.seen.len()).saturating_add(1)
    }

    /// Twice the ordinary limit, as long as the server gives what is asked for.
    fn grown(&self) -> u32 {
        match (self.server.page_length, self.server.refused) {
            (PageLength::Unproven { first: None } | PageLength::AsAsked, None) => {
                self.server.limit.saturating_mul(2).min(self.bounds.max_page_size)
            }
            _ => self.server.limit,
        }
    }

    /// Where the chat begins. Of a session the server does not say when it began, only that nothing is older
    /// than the chat.
    fn start(&self) -> Start {
        let ChatTime::At(start) = self.server.start else {
            return Start::Unknown;
        };
        // Nothing before 1970 can be asked for.
        let start = start.max(Timestamp::from_millis(0));
        let nothing_there = self.bounds.until.is_some_and(|until| until < start);
        match self.position.timestamp() {
            Some(oldest) if oldest == start => Start::Reached,
            Some(oldest) if oldest < start => Start::Unknown,
            None if nothing_there => Start::Reached,
            _ if self.asks_for_session() || self.server.stale_start == Some(start) => {
                Start::Unknown
            }
            _ => Start::FurtherBack(start),
        }
    }
}

/// A cursor that leaves out nothing of this time. NOTE: it stands a millisecond later, because a strict
/// keyset would leave out those of the very time whose ids sort behind `NO_MESSAGE`, and an id that is not
/// hexadecimal may be refused; what comes too new is dropped.
fn before_anything_newer_than(time: Timestamp) -> Cursor {
    Cursor { timestamp: time.next_milli(), id: NO_MESSAGE.into() }
}

/// `limit`, trimmed to what may still be handed out, but not so far that what has been handed out of the cursor's
/// time, and may be counted, leaves no room.
fn trimmed(limit: u32, remaining: Option<u64>, more_than_seen: u32) -> u32 {
    let left = remaining.and_then(|left| u32::try_from(left).ok()).unwrap_or(limit);
    left.max(more_than_seen).min(limit)
}

fn limit_from(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
