//! Which windows of time are read, in which order, and how many requests at once. No I/O, no async, no clock
//! but what is passed in.
//!
//! # Windows
//!
//! The endpoint only goes backwards. A *window* is a range of time, both ends inclusive, that one walk reads from
//! its newer end down. It is complete when its walk has ended: an answer showed a message older than the window,
//! or the walk came to the chat's beginning. A short answer proves nothing. Windows stand in a *row*, in the order
//! in which they are handed out, and none overlaps another, so that whatever is read in whatever order, each
//! message goes out once and in its place:
//!
//! ```text
//!            older ◀──────────────── time ────────────────▶ newer
//! newest first     [ unread   ][ reading ··▓▓▓][ reading ▓▓]▶ goes out as it comes
//! oldest first  ◀[ reading ·▓▓][ dropped ][ complete ▓▓▓▓▓▓][ the end's page ▓]
//!                  goes out once it is complete
//! ```
//!
//! The states of one window, and what leads from one to the next:
//!
//! ```text
//!               answer                     the walk ends
//! Unread ───────────────────▶ Reading ───────────────────▶ Complete ──▶ handed out
//!   ▲                         │  ▲  │ a request fails, or the walk cannot go on
//!   │        resume           │  │  ▼
//!   │ dropped for its room    │  └─ Failed: nothing behind it is asked for or handed out
//!   └─────────────────────────┴──── (from Complete, too)
//! ```
//!
//! - **Newest first, one request at a time** is one window, and the plan asks what its walk asks.
//! - **A window that is too long is split in time**: its older part becomes a window of its own and is asked for at
//!   once, at a guessed time. How long it is, is guessed from how densely messages lie: in what the last answers
//!   showed, and in the window itself once much of it has been read. What was read last counts most. A wrong guess
//!   costs about half a page, or one request if the window turns out empty. It never costs a message, because no
//!   guess decides what is complete.
//! - **Oldest first, one at a time**, the part that is split off is what three quarters of the free buffer are
//!   expected to hold. At first that is a few pages, so that the first message comes after a few requests, and twice as
//!   much after each window that was handed out. Behind an empty window, four times as much time. As long as
//!   nothing has gone out, at most a sixteenth of the time, and once more after two pages.
//! - **Several at once**, one more for each answer: from the window that is handed out next outward, each that
//!   has no request under way asks for its next page. One that is expected to take more than twice its share of
//!   the buffer is split in the middle, the last one so that one share is left. All windows are, not only the next
//!   one: that is what makes bursts fast.
//! - **The buffer** holds 16 pages and at least 1,600 messages; with `k` requests at once, 8 pages and at least 800
//!   messages for each of them, and at least 6,400. When it is full, only the window that is handed out next may
//!   ask. Room is made at the far end of the row, less than a page at a time. What was dropped is a window of its
//!   own that is unread again: one request reads it and shows that it is whole. So dropping never makes a
//!   neighbour incomplete. Whole timestamps are dropped and split, never a part of one. At most 1,024 windows are
//!   unread, then neighbours become one.
//! - **The first answer** is the newest page. It says when the chat began and where an oldest-first walk ends, so that
//!   a chat that grows meanwhile does not make that endless. It is the whole answer for a small chat and for a sync
//!   with little news, and is otherwise kept as the last window's end.
//! - **A look** for what is new is an oldest-first walk that begins at the position's floor. What comes again is
//!   known by its id. The first request asks for as many messages as are known and one more, because only a message
//!   older than the floor shows that nothing is missing.
//! - **Without `minTime`** there is no lower end, so there is nothing to split: the chat is read to its beginning, the
//!   buffer drops nearly all of it, and then it is read again forwards. **A bot session** is one walk, read whole.

mod answer;
#[cfg(test)]
mod figures;
mod hand_out;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod property;
mod room;
mod split;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::chat_time::{ChatTime, Span};
use crate::cursor::{Cursor, Key};
use crate::position::{Position, SyncPosition};
use crate::timestamp::Timestamp;
use crate::walk::{Ask, Bounds, End, Server, Stall, Walk};
use crate::window::{Density, Window, WindowId};

/// The most messages asked for by the first request of a look. Whoever knows more ids than that reads the rest
/// page by page.
const LONGEST_FIRST: usize = 500;

/// How many pages the first window is to hold, oldest first; each that was handed out doubles it. Small, so that
/// the first message comes soon, and large enough that what is new since yesterday is one window.
const FIRST_TARGET: f64 = 8.0;

/// How many new messages a later look of `follow` expects.
const NEW_PER_LOOK: usize = 8;

/// Where a plan begins, and in which direction it goes.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    NewestFirst(Position),
    OldestFirst {
        position: SyncPosition,
        /// Whether a look came before, so that not much can have come since.
        again: bool,
    },
}

/// What does not change while a plan is carried out.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) bounds: Bounds,
    /// How many requests may be under way at once; at least one.
    pub(crate) concurrency: usize,
    /// How many bytes of bodies may wait.
    pub(crate) most_bytes: u64,
    /// How many messages may be held, in place of the rule.
    #[cfg(test)]
    pub(crate) buffer: Option<usize>,
}

/// A page that came.
#[derive(Debug)]
pub(crate) struct Fetched<M> {
    /// In the order of the body, as `messages`.
    pub(crate) keys: Vec<Key>,
    pub(crate) messages: Vec<M>,
    /// Which messages belong to another session than the walk's; empty when none can.
    pub(crate) of_other_session: Vec<bool>,
    pub(crate) chat_start: ChatTime,
    pub(crate) chat_latest: ChatTime,
    /// Of the whole chat, as far as is known with this page.
    pub(crate) span: Option<Span>,
    /// Of its body.
    pub(crate) bytes: u64,
}

/// What an answer meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Messages dropped because they had been handed out, or are newer than where the walk stood.
    pub(crate) duplicates: u64,
    /// The server cannot be got past. The window has failed.
    pub(crate) stalled: Option<Stall>,
}

/// What can be handed out: the last message first. In either direction `advance` of the stream's position takes
/// the keys of what has gone out.
#[derive(Debug)]
pub(crate) struct Chunk<M> {
    pub(crate) keys: Vec<Key>,
    pub(crate) messages: Vec<M>,
    pub(crate) span: Option<Span>,
}

#[derive(Clone, Debug)]
enum Order {
    NewestFirst,
    OldestFirst(Look),
}

/// What only a walk that goes forwards has.
#[derive(Clone, Debug)]
struct Look {
    /// What had been handed out before it began.
    known: SyncPosition,
    /// The `limit` of its first request, until that was answered.
    first_limit: Option<u32>,
    /// The newest time that it will hand out, once that is known.
    newest: Option<Timestamp>,
    /// Why it will end.
    end: End,
}

impl Look {
    /// The first request is to show what is known, and one message before it; a later look expects that not much
    /// has come since.
    fn new(known: SyncPosition, again: bool, page_size: u32) -> Self {
        let ids = known.ids.len() + known.unplaced.len();
        let page = usize::try_from(page_size).unwrap_or(usize::MAX);
        let least = (ids + 1).min(LONGEST_FIRST).max(page);
        let limit = if again { least.min(ids + NEW_PER_LOOK) } else { least };
        let first_limit = known.newest.and(u32::try_from(limit).ok());
        Self { known, first_limit, newest: None, end: End::ReachedNewest }
    }
}

/// The windows between two answers.
#[derive(Debug)]
pub(crate) struct Plan<M> {
    settings: Settings,
    order: Order,
    /// In the order of handing out.
    row: VecDeque<Window<M>>,
    windows: u64,
    server: Server,
    chat_start: Option<Timestamp>,
    /// How densely messages lie in what the last answers showed.
    density: Density,
    answers: usize,
    under_way: usize,
    /// How many messages the requests under way may bring.
    may_bring: usize,
    held: usize,
    bytes: u64,
    /// The mean of a page; it falls slowly, so that a page of long messages is remembered for a while.
    bytes_per_message: f64,
    /// How many pages the next window is to hold, oldest first.
    target: f64,
    /// The empty windows in a row.
    empty: i32,
    /// Whether a message has gone out.
    begun: bool,
    /// How many messages may still be handed out.
    remaining: Option<u64>,
    /// Why the walk of the oldest window ended.
    oldest_end: End,
    end: Option<End>,
    /// What was handed out last, when those messages have no readable timestamp: the next window may hold
    /// them, too.
    unplaced: Vec<u64>,
}

impl<M> Plan<M> {
    pub(crate) fn new(settings: Settings, start: Start) -> Self {
        let mut plan = Self {
            remaining: settings.bounds.max_messages,
            end: (settings.bounds.max_messages == Some(0)).then_some(End::ReachedMax),
            server: Walk::new(settings.bounds.clone(), Position::default()).server(),
            settings,
            order: Order::NewestFirst,
            row: VecDeque::new(),
            windows: 0,
            chat_start: None,
            density: Density::default(),
            answers: 0,
            under_way: 0,
            may_bring: 0,
            held: 0,
            bytes: 0,
            bytes_per_message: 1.0,
            target: 0.0,
            empty: 0,
            begun: false,
            oldest_end: End::ReachedStart,
            unplaced: Vec::new(),
        };
        plan.begin(start);
        plan
    }

    /// The next look: from the position on, with all that is known of the server and the chat.
    pub(crate) fn look_again(&mut self, position: SyncPosition) {
        self.answers = 0;
        self.end = (self.remaining == Some(0)).then_some(End::ReachedMax);
        self.begin(Start::OldestFirst { position, again: true });
    }

    fn begin(&mut self, start: Start) {
        let bounds = &self.settings.bounds;
        self.target = FIRST_TARGET;
        let (bounds, position) = match start {
            // The first window's messages are the first to go out, so its walk can count them.
            Start::NewestFirst(position) => (bounds.clone(), position),
            Start::OldestFirst { position, again } => {
                let since = bounds.since.max(position.floor);
                self.order = Order::OldestFirst(Look::new(position, again, bounds.page_size));
                (Bounds { since, max_messages: None, ..bounds.clone() }, Position::default())
            }
        };
        let id = self.next_id();
        self.row = VecDeque::from([Window::new(id, bounds, position, false)]);
    }

    fn next_id(&mut self) -> WindowId {
        self.windows += 1;
        WindowId(self.windows)
    }

    fn newest_first(&self) -> bool {
        matches!(self.order, Order::NewestFirst)
    }

    /// The next request that may be sent now, and the window that it is for; from now on it is under way.
    /// `None` while as many are under way as may be, while nothing more fits the buffer, behind a window that
    /// failed, and when all is over.
    pub(crate) fn ask(&mut self) -> Option<(WindowId, Ask)> {
        // One more at once for each answer, so that a short walk costs no request in vain.
        let at_once = self.settings.concurrency.max(1).min(self.answers + 1);
        if self.end.is_some() || self.under_way >= at_once {
            return None;
        }
        let mut index = 0;
        let mut expected = 0.0;
        while let Some(window) = self.row.get(index) {
            let enough = self.remaining.is_some_and(|remaining| expected >= remaining as f64);
            if window.is_failed() || enough {
                return None;
            }
            let at = self.place_to_split(index);
            if at.is_some() || window.may_ask() {
                if !self.may_ask(index, at.is_some()) {
                    return None;
                }
                let index = at.map_or(index, |at| self.split(index, at));
                return self.send(index);
            }
            expected += self.expected(window);
            index += 1;
        }
        None
    }

    fn send(&mut self, index: usize) -> Option<(WindowId, Ask)> {
        let first_limit = match &self.order {
            Order::OldestFirst(look) => look.first_limit,
            Order::NewestFirst => None,
        };
        let window = self.row.get_mut(index)?;
        let ask = window.send(self.server, first_limit);
        self.under_way += 1;
        self.may_bring += window.may_bring();
        Some((window.id(), ask))
    }

    /// Why it is over, once everything has been taken.
    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// The parts that can be taken now, as far as `max_messages` lets them go out.
    pub(crate) fn ready_parts(&self) -> impl Iterator<Item = &[M]> {
        let newest_first = self.newest_first();
        let mut open = self.end.is_none();
        let in_order = self.row.iter().take_while(move |window| {
            let was_open = open;
            open &= window.is_complete();
            was_open && (newest_first || open)
        });
        let mut left =
            self.remaining.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        in_order.flat_map(move |window| window.messages(newest_first)).filter_map(move |part| {
            let count = left.min(part.len());
            left -= count;
            let going_out =
                if newest_first { part.get(part.len() - count..) } else { part.get(..count) };
            going_out.filter(|messages| !messages.is_empty())
        })
    }

    /// The messages that can be taken now.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &M> {
        self.ready_parts().flatten()
    }

    /// The last message that was read in a window.
    pub(crate) fn stopped_at(&self, id: WindowId) -> Option<&Cursor> {
        let window = self.row.iter().find(|window| window.id() == id)?;
        window.walk().position().cursor.as_ref()
    }

    /// Whether no answer has come yet.
    pub(crate) fn is_first_request(&self) -> bool {
        self.answers == 0
    }

    /// How many bytes of bodies wait.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many messages have been received and not yet taken.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// How many pages wait to be taken.
    pub(crate) fn waiting(&self) -> usize {
        let front = self.row.front();
        front.filter(|front| self.newest_first() || front.is_complete()).map_or(0, Window::parts)
    }

    /// How many requests are under way.
    #[cfg(test)]
    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }

    /// The request that will follow if the answer to `ask`, whose first message is known already, turns out as
    /// expected (see [`Walk::foresee`](crate::walk::Walk::foresee)). `ask` may give another one.
    pub(crate) fn foresee(&self, id: WindowId, ask: &Ask, first: &Cursor) -> Option<Ask> {
        self.row.iter().find(|window| window.id() == id)?.walk().foresee(ask, first)
    }

    /// Oldest first, the newest time that will be handed out, once it is known.
    #[cfg(test)]
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        match &self.order {
            Order::OldestFirst(look) => look.newest,
            Order::NewestFirst => None,
        }
    }
}
