//! The cursor's rules as pure code: what to ask next, which messages of an answer are new, and when the
//! walk is over. No I/O, no async, no clock.
//!
//! The endpoint's reference (page "Get Messages of a Chat") leaves open whether only the cursor message is
//! left out or everything not before it, how equal timestamps are ordered, what the largest `limit` is and
//! how a session filter combines with a cursor. The rules here are right under every reading, and each
//! answered request brings a new message, widens a stuck `limit`, or ends the walk.

mod answer;
#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;

use crate::checkpoint::{Cursor, Position};
use crate::id::{BotSessionId, MessageId};
use crate::timestamp::Timestamp;

pub(crate) use answer::{Answer, Kept};

/// The end of the year 9999: a `beforeTime` after every message, and still a date.
pub(crate) const FAR_FUTURE: Timestamp = Timestamp::from_millis(253_402_300_799_999);

/// A well-formed id that no message has: as a cursor it leaves out nothing.
pub(crate) const NO_MESSAGE: &str = "ffffffffffffffffffffffff";

/// Sorts behind every id of that length, hexadecimal or not. A server that takes only hexadecimal ones
/// refuses it, so it stands in where `NO_MESSAGE` may not do.
const LAST_ID: &str = "zzzzzzzzzzzzzzzzzzzzzzzz";

/// The documented default of `limit`. A server that gave this many may have more, whatever was asked.
pub(crate) const DEFAULT_LIMIT: u32 = 50;

/// The most ids remembered at one timestamp. No chat has so many messages in one millisecond; a server
/// that makes up new ones for ever is stopped here.
pub(crate) const MOST_TIED: usize = 65_536;

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

/// When the chat's first or latest message was created, as an answer states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChatTime {
    /// `false`: the chat has no messages.
    Empty,
    /// Missing or `null`.
    Unknown,
    At(Timestamp),
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

/// What follows an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Ask,
    End(End),
    /// The server cannot be got past; the text says why.
    Stalled(&'static str),
}

/// How the server treats the cursor of a walk through one bot session; that the two filters may be
/// combined is not documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filters {
    /// As far as can be seen, every filter sent applies.
    AllApply,
    /// An answer held its own cursor message: the cursor was ignored. Only a larger `limit` shows more.
    CursorIgnored,
    /// The widened answers stopped at this many messages, the session's end or a cap. Asked without the
    /// session, a longer answer proves that it was the end; otherwise the walk goes on like this.
    CursorAlone { suspected_cap: usize },
}

/// A request that is to tell an end from a cap. What it brings is not handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    /// Nothing that came has a place further on: is there anything, at the time when the chat is said to
    /// have begun, that has not been handed out?
    Start(Timestamp),
    /// A short answer may have been cut off by a cap: does the server give more than that many of the chat's
    /// newest messages? If not, `Start` may still tell.
    Cap { count: usize, start: Option<Timestamp> },
}

/// What the server has shown of itself: as true of every other walk through the same chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// The most messages that it has shown to give, when it gave fewer than asked.
    pub(crate) cap: Option<usize>,
    /// The `limit` of an ordinary request.
    pub(crate) limit: u32,
    growing: bool,
    too_large: Option<u32>,
    longest_answer: usize,
}

/// The walk between two answers. What it keeps does not grow with the history.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    bounds: Bounds,
    position: Position,
    /// The `limit` of an ordinary request; grows up to the largest page size.
    limit: u32,
    growing: bool,
    /// The `limit` that got, or is to get, past a group of equal timestamps, and the group's time.
    widened: Option<(Option<Timestamp>, u32)>,
    /// The most messages that the server has shown to give, when it gave fewer than asked.
    cap: Option<usize>,
    /// The smallest `limit` answered with 413.
    too_large: Option<u32>,
    /// The last answer brought nothing new and was short: the next asks with an id that excludes nothing.
    confirming: bool,
    /// The first answer held nothing but what is a millisecond newer than `until`: the next asks at that very
    /// time.
    exactly_until: bool,
    /// Whether the answer that is being confirmed held messages without a place.
    confirming_unplaced: bool,
    /// What the next request is to tell, in place of going on.
    probe: Option<Probe>,
    /// The most messages that an answer held, those repeated within it not counted.
    longest_answer: usize,
    filters: Filters,
    /// How many messages may still be handed out.
    remaining: Option<u64>,
    chat_start: ChatTime,
}

impl Walk {
    pub(crate) fn new(bounds: Bounds, position: Position) -> Self {
        Self {
            limit: bounds.page_size,
            growing: bounds.max_page_size > bounds.page_size,
            remaining: bounds.max_messages,
            bounds,
            position,
            widened: None,
            cap: None,
            too_large: None,
            confirming: false,
            exactly_until: false,
            confirming_unplaced: false,
            probe: None,
            longest_answer: 0,
            filters: Filters::AllApply,
            chat_start: ChatTime::Unknown,
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
        Server {
            cap: self.cap,
            limit: self.limit,
            growing: self.growing,
            too_large: self.too_large,
            longest_answer: self.longest_answer,
        }
    }

    /// Takes over what another walk through the same chat has learned.
    pub(crate) fn know(&mut self, server: Server) {
        self.cap = server.cap;
        self.limit = server.limit;
        self.growing = server.growing;
        self.too_large = server.too_large;
        self.longest_answer = server.longest_answer;
    }

    /// The next request.
    pub(crate) fn ask(&self) -> Ask {
        if let Some(probe) = self.probe {
            return self.ask_to_tell(probe);
        }
        let bot_session = self.bounds.bot_session.is_some()
            && !matches!(self.filters, Filters::CursorAlone { .. });
        let cursor = match &self.position.cursor {
            Some(cursor) if self.confirming => {
                Some(Cursor { timestamp: cursor.timestamp, id: self.id_excluding_nothing() })
            }
            Some(cursor) => Some(cursor.clone()),
            // A session's newest page needs no cursor (the filter that is required is the session).
            None if bot_session && self.bounds.until.is_none() => None,
            None => Some(match self.bounds.until {
                Some(timestamp) if self.exactly_until => Cursor { timestamp, id: LAST_ID.into() },
                Some(until) => before_anything_newer_than(until),
                None => Cursor { timestamp: FAR_FUTURE, id: NO_MESSAGE.into() },
            }),
        };
        Ask { limit: self.next_limit(self.limit, self.remaining), cursor, bot_session }
    }

    fn ask_to_tell(&self, probe: Probe) -> Ask {
        let (limit, cursor) = match probe {
            Probe::Start(time) => {
                // One more than all that may have been handed out of it.
                let known = self.position.unplaced.len() + self.position.ids.len();
                let more = answer::limit_from(known.max(self.longest_answer)).saturating_add(1);
                (more.max(self.bounds.page_size), before_anything_newer_than(time))
            }
            Probe::Cap { count, .. } => {
                let more = answer::limit_from(count).saturating_add(1);
                let newest = Cursor { timestamp: FAR_FUTURE, id: NO_MESSAGE.into() };
                (more.max(self.bounds.page_size), newest)
            }
        };
        Ask { limit, cursor: Some(cursor), bot_session: false }
    }

    /// The request that will follow if the answer to `ask`, whose first message is known already, turns
    /// out ascending, as long as asked, and not the last; `None` when there may be no such request.
    pub(crate) fn foresee(&self, ask: &Ask, first: &Cursor) -> Option<Ask> {
        let ChatTime::At(chat_start) = self.chat_start else {
            return None;
        };
        let last = first.timestamp <= chat_start
            || self.bounds.since.is_some_and(|since| first.timestamp < since)
            || self.position.timestamp().is_some_and(|time| first.timestamp >= time)
            || self.bounds.until.is_some_and(|until| first.timestamp > until);
        let ordinary = self.widened.is_none()
            && !self.confirming
            && self.probe.is_none()
            && self.filters == Filters::AllApply;
        if last || !ordinary {
            return None;
        }
        let limit = if self.growing && ask.limit == self.limit { self.grown() } else { self.limit };
        let remaining = match self.remaining {
            None => None,
            Some(remaining) => {
                Some(remaining.checked_sub(u64::from(ask.limit)).filter(|left| *left > 0)?)
            }
        };
        Some(Ask {
            limit: self.next_limit(limit, remaining),
            cursor: Some(first.clone()),
            bot_session: ask.bot_session,
        })
    }

    /// The server answered 413. Whether a smaller request is worth a try, which `ask` then gives.
    pub(crate) fn too_large(&mut self, ask: &Ask) -> bool {
        if self.probe.is_some() {
            // It asks for no more than it has to.
            return false;
        }
        self.growing = false;
        self.too_large = Some(self.too_large.map_or(ask.limit, |least| least.min(ask.limit)));
        if let Some((time, _)) = self.widened {
            // Less would show nothing new.
            let held = u32::try_from(self.position.ids.len()).unwrap_or(u32::MAX);
            let least = held.saturating_add(1).max(self.bounds.page_size);
            let smaller = answer::halfway(least, ask.limit);
            self.widened = Some((time, smaller));
            return smaller < ask.limit;
        }
        self.limit = (ask.limit / 2).max(self.bounds.page_size);
        self.ask().limit < ask.limit
    }

    fn next_limit(&self, ordinary: u32, remaining: Option<u64>) -> u32 {
        match self.widened {
            Some((_, limit)) => limit,
            None => remaining
                .and_then(|left| u32::try_from(left).ok())
                .map_or(ordinary, |l| l.min(ordinary)),
        }
    }

    fn grown(&self) -> u32 {
        self.limit.saturating_mul(2).min(self.bounds.max_page_size)
    }

    /// As long as `NO_MESSAGE` and, under a strict keyset, after every id held at the cursor's time.
    fn id_excluding_nothing(&self) -> MessageId {
        if self.position.ids.iter().all(|id| id.as_str() < NO_MESSAGE) {
            NO_MESSAGE.into()
        } else {
            LAST_ID.into()
        }
    }
}

/// A cursor that leaves out nothing of this time. NOTE: it stands a millisecond later, because a strict
/// keyset would leave out those of the very time whose ids sort behind `NO_MESSAGE`, and an id that is not
/// hexadecimal may be refused; what comes too new is dropped.
fn before_anything_newer_than(time: Timestamp) -> Cursor {
    Cursor { timestamp: time.next_milli(), id: NO_MESSAGE.into() }
}
