//! The cursor's rules as pure code. They decide what to ask next, which messages of an answer are new, and when
//! the walk is over. No I/O, no async, no clock.
//!
//! The endpoint's reference leaves much open: what the cursor leaves out and when, how equal timestamps are
//! ordered, the largest `limit`, how a session filter combines with a cursor. The rules here are right under
//! every reading. Each answered request brings a new message, widens a stuck `limit`, or ends the walk.
//! `DESIGN.md` has the table of transitions, and `decide` is the code for that table.
//!
//! Words used here:
//!
//! - A message has a *place* if its `_id` and `timestamp` can be read.
//! - A *group* is all messages that share one timestamp.
//! - A *strict keyset* is a server that gives only messages whose pair of timestamp and id comes before the
//!   cursor's.
//! - The *position* is what the walk remembers of the messages handed out.

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

/// A well-formed id that no message has. A cursor with this id leaves out nothing.
pub(crate) const NO_MESSAGE: &str = "ffffffffffffffffffffffff";

/// An id that sorts behind every id of 24 characters, hexadecimal or not. A server that takes only hexadecimal
/// ids refuses it. So the walk uses it only where `NO_MESSAGE` cannot serve.
const LAST_ID: &str = "zzzzzzzzzzzzzzzzzzzzzzzz";

/// The documented default of `limit`. A server that gave this many may have more, whatever `limit` was asked
/// for.
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

/// Which part of the chat the walk reads, and in pages of what size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) bot_session: Option<BotSessionId>,
    /// The walk reads from `since` to `until`, both inclusive.
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) page_size: u32,
    pub(crate) max_page_size: u32,
    pub(crate) max_messages: Option<u64>,
}

/// One request, without its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) limit: u32,
    pub(crate) cursor: Option<Cursor>,
    /// Whether `botSessionId` is sent.
    pub(crate) bot_session: bool,
}

/// What the walk needs to know of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    /// The place of each message, in the order of the body.
    pub(crate) keys: &'a [Key],
    /// Which messages belong to another session than the walk's. Empty when no message can.
    pub(crate) of_other_session: &'a [bool],
    pub(crate) chat_start: ChatTime,
    pub(crate) chat_latest: ChatTime,
}

/// Which messages of an answer the walk hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// All messages, and they came in ascending order.
    AllAsTheyCame,
    /// The messages at these indices, in ascending order of the chat.
    Only(Vec<usize>),
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) kept: Kept,
    /// How many messages were dropped, because they had been handed out or are newer than the walk's position.
    pub(crate) duplicates: u64,
    pub(crate) next: Next,
}

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Ask,
    End(End),
    /// The walk cannot get past what the server sends.
    Stalled(Stall),
}

/// What the next request is for. *Stuck* is a walk whose last answer brought nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// The newest page. Nothing is known of the chat yet.
    First,
    /// The next page.
    Page,
    /// A longer answer at the same cursor. The last answer could not show what comes next.
    Widen(Stuck),
    /// An answer at the same time, with an id that excludes nothing. It tells whether the last answer stopped
    /// because there are no more messages.
    Confirm(Stuck),
    /// An answer at the time when the server says that the chat begins. Nothing older came before, so this
    /// tells whether a message stands there.
    AtStart { time: Timestamp, stuck: Stuck },
    /// A longer and longer answer, until one shows something new. `AtStart` or `Confirm` has left a doubt
    /// whether a message is missing.
    Beyond(Stuck),
    /// The chat's newest messages. An answer that excluded nothing was either all that there is, or all that
    /// the server's cap shows. If the server gives more messages here, it has no such cap.
    Newest(Stuck),
}

/// What is known of the answer that brought nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stuck {
    /// The `limit` to ask for next. With the goal `AtStart`, the last `limit` asked for at this cursor.
    limit: u32,
    /// How many messages the last answer held.
    count: usize,
    /// What the answer consisted of.
    why: Stall,
}

/// How many messages the server gives in one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageLength {
    /// No answer to a cursor has told yet. `first` is the length of the answer before there was a cursor. It is
    /// `None` unless that answer was shorter than asked although the chat goes on.
    Unproven { first: Option<usize> },
    /// As many as asked. The server does not count a message that the cursor leaves out.
    AsAsked,
    /// At most this many. Every answer that was shorter than asked, although the chat went on, had this length.
    Capped(usize),
    /// The lengths of the answers differ. They were shorter than asked although the chat went on.
    Uneven,
}

/// Who filters the messages of one bot session. The reference does not say whether the session filter and the
/// cursor may be combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SessionFilter {
    Server,
    /// The walk asks for the whole chat and filters the answers itself, because the server ignores one of the
    /// two filters or leaves doubt.
    Ourselves,
}

/// What the server has shown of itself. All walks through the same chat can use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// The `limit` of an ordinary request. It grows up to the largest page size.
    limit: u32,
    page_length: PageLength,
    /// The largest `limit` that was answered.
    answered: u32,
    /// The smallest `limit` of the walk's own choice that was refused, and the status.
    refused: Option<(u32, u16)>,
    session_filter: SessionFilter,
    start: ChatTime,
    /// The value of `start` at which nothing was found. The server's statement was out of date (*stale*).
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
    /// The chat begins at the position's own time.
    Reached,
    FurtherBack(Timestamp),
    /// The server does not say where the chat begins, or an answer has shown that its statement is wrong.
    Unknown,
}

/// The walk between two answers. What it keeps does not grow with the history.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    bounds: Bounds,
    position: Position,
    goal: Goal,
    server: Server,
    /// A walk without `until` begins at this time.
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

    /// Everything from the newest message down to here has been handed out, or will be handed out next.
    pub(crate) fn position(&self) -> &Position {
        &self.position
    }

    /// Tells the walk not to read below `since`: another walk reads what is older.
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
        let page = || trimmed(self.server.limit, self.left_to_ask(), self.more_than_seen());
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
                // The server may count one more message and leave it out.
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

    /// A cursor that leaves out no message of `time`, and asks for no message of the position's time.
    fn cursor_at_start(&self, time: Timestamp) -> Cursor {
        if self.position.timestamp() == Some(time.next_milli()) {
            return Cursor { timestamp: time, id: LAST_ID.into() };
        }
        before_anything_newer_than(time)
    }

    /// A cursor at the time of the last message that the walk passed, or else at `until` itself.
    fn cursor_excluding_nothing(&self) -> Option<Cursor> {
        let Some(timestamp) = self.position.timestamp().or(self.bounds.until) else {
            return self.next_cursor();
        };
        // The id must be as long as `NO_MESSAGE`. Under a strict keyset it must also sort after every id at
        // that time.
        let mut ids = self.position.ids().peekable();
        let known = ids.peek().is_some() && ids.all(|id| id.as_str() < NO_MESSAGE);
        let id = if known { NO_MESSAGE } else { LAST_ID };
        Some(Cursor { timestamp, id: id.into() })
    }

    /// The cursor for what is older than the last message that the walk passed.
    fn next_cursor(&self) -> Option<Cursor> {
        if let Some(cursor) = &self.position.cursor {
            return Some(cursor.clone());
        }
        match self.bounds.until {
            Some(until) => Some(before_anything_newer_than(until)),
            // A session's newest page needs no cursor, because the session is the filter that the server
            // requires.
            None if self.asks_for_session() => None,
            None => Some(Cursor { timestamp: self.newest, id: NO_MESSAGE.into() }),
        }
    }

    /// The request that will follow the answer to `ask`, if that answer is ascending, as long as asked, and not
    /// the last. The answer's first message is known already. Returns `None` when no such request may follow.
    pub(crate) fn foresee(&self, ask: &Ask, first: &Cursor) -> Option<Ask> {
        let ChatTime::At(chat_start) = self.server.start else {
            return None;
        };
        let last = first.timestamp <= chat_start
            || self.bounds.since.is_some_and(|since| first.timestamp < since)
            || self.position.timestamp().is_none_or(|time| first.timestamp >= time);
        if last || self.goal != Goal::Page {
            return None;
        }
        let limit = if ask.limit == self.server.limit { self.grown() } else { self.server.limit };
        let remaining = match self.left_to_ask() {
            None => None,
            Some(remaining) => {
                Some(remaining.checked_sub(u64::from(ask.limit)).filter(|left| *left > 0)?)
            }
        };
        Some(Ask {
            // Only the first message of that time is known so far.
            limit: trimmed(limit, remaining, 2),
            cursor: Some(first.clone()),
            bot_session: ask.bot_session,
        })
    }

    /// Whether `botSessionId` is sent.
    fn asks_for_session(&self) -> bool {
        self.bounds.bot_session.is_some() && self.server.session_filter == SessionFilter::Server
    }

    /// How many more messages may be handed out, if an answer holds no others. A walk that filters a session itself needs
    /// pages of the usual length, because few of their messages may belong to the session.
    fn left_to_ask(&self) -> Option<u64> {
        self.remaining.filter(|_| self.server.session_filter == SessionFilter::Server)
    }

    /// One more than the number of messages remembered as handed out at the cursor's time.
    fn more_than_seen(&self) -> u32 {
        limit_from(self.position.seen.len()).saturating_add(1)
    }

    /// Twice the ordinary `limit`, as long as the server gives as many as asked.
    fn grown(&self) -> u32 {
        match (self.server.page_length, self.server.refused) {
            (PageLength::Unproven { first: None } | PageLength::AsAsked, None) => {
                self.server.limit.saturating_mul(2).min(self.bounds.max_page_size)
            }
            _ => self.server.limit,
        }
    }

    /// Where the chat begins. No answer says when a session began: the server only says that nothing is older
    /// than the chat's beginning.
    fn start(&self) -> Start {
        let ChatTime::At(start) = self.server.start else {
            return Start::Unknown;
        };
        // The endpoint cannot be asked for a time before 1970.
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

/// A cursor that leaves out no message of this time.
///
/// NOTE: the cursor stands a millisecond later. At the exact time a strict keyset would leave out messages
/// whose ids sort behind `NO_MESSAGE`. A server may refuse an id that is not hexadecimal. The walk drops
/// messages that are too new.
fn before_anything_newer_than(time: Timestamp) -> Cursor {
    Cursor { timestamp: time.next_milli(), id: NO_MESSAGE.into() }
}

/// `limit`, trimmed to the number of messages that may still be handed out. The server may count the messages
/// handed out at the cursor's time, so room for these and one more remains.
fn trimmed(limit: u32, remaining: Option<u64>, more_than_seen: u32) -> u32 {
    let left = remaining.and_then(|left| u32::try_from(left).ok()).unwrap_or(limit);
    left.max(more_than_seen).min(limit)
}

fn limit_from(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
