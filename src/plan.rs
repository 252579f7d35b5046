//! Decides which windows of time are read, in which order, and how many requests are sent at once. No I/O, no
//! async, no clock: the caller passes in the times that the plan needs.
//!
//! # Windows
//!
//! The endpoint only goes backwards. A *window* is a range of time, both ends inclusive, that one walk reads
//! from its newer end back to its older end. A window is complete when its walk has ended. The walk ends when
//! an answer shows a message older than the window, or when the walk has reached the chat's beginning. A short
//! answer proves nothing.
//!
//! Windows stand in a *row*, in the order in which they are handed out. No window overlaps another. So each
//! message goes out once and in its place, whatever is read in whatever order:
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
//! - **Newest first, one request at a time** is one window. The plan asks what the window's walk asks.
//! - **A window that is too long is split in time.** Its older part becomes a new window, which is asked for at
//!   once, at a guessed time. The length of a window is guessed from how densely messages lie. The plan uses
//!   the density of the last answers. Once much of the window has been read, it uses the window's own density.
//!   What was read last has the most weight. A wrong guess costs about half a page, or one request if the
//!   window turns out empty. It never costs a message, because no guess decides when a window is complete.
//! - **Oldest first, one request at a time.** The new window is as long as three quarters of the free buffer
//!   are expected to hold. At first it is only a few pages long, so that the first message comes after a few
//!   requests. After each window that was handed out, the next may hold twice as many. After an empty window,
//!   the next covers four times as much time. Before anything has gone out, the new window covers at most a
//!   sixteenth of the time. If two pages were then read in it, it is split once more.
//! - **Several requests at once.** Each answer allows one more request at once. The plan goes through the
//!   windows, beginning with the one that is handed out next. Each window without a request under way asks for
//!   its next page. A window that is expected to take more than twice its share of the buffer is split in the
//!   middle. The last window is split so that one share remains. All windows are split, not only the next,
//!   because this makes bursts fast.
//! - **The buffer** holds 16 pages and at least 1,600 messages. With `k` requests at once, it holds 8 pages and
//!   at least 800 messages for each of them, and at least 6,400. When the buffer is full, only the window that
//!   is handed out next may ask. To make room, the plan drops messages at the far end of the row, less than a
//!   page at a time. The dropped time becomes a window of its own that is unread again. One request reads it
//!   and shows that it is complete. So dropping never makes a neighbour incomplete. The plan splits and drops
//!   only whole timestamps. If more than 1,024 windows are unread, neighbours become one.
//! - **The first answer** is the newest page. It tells when the chat began and where an oldest-first walk ends.
//!   So the walk ends even if the chat grows meanwhile. For a small chat, and for a sync with little news, the
//!   first answer is all. Otherwise it is kept as the end of the last window.
//! - **A look** for what is new is an oldest-first walk that begins at the position's floor (see `position`).
//!   Messages that come again are recognised by their ids. The first request asks for as many messages as are
//!   known, and one more, because only a message older than the floor shows that nothing is missing.
//! - **Without `minTime`** the chat has no known beginning, so nothing can be split. The chat is read back to
//!   its beginning, and the buffer drops nearly all of it. Then it is read again forwards.
//! - **A bot session** is one walk, read whole.

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

/// The most messages that the first request of a look asks for. If more ids are known, the rest is read page by
/// page.
const LONGEST_FIRST: usize = 500;

/// How many pages the first window is to hold, oldest first. Each window that was handed out doubles the
/// number. It is small, so that the first message comes soon. It is large enough for all that is new since
/// yesterday.
const FIRST_TARGET: f64 = 8.0;

/// How many new messages a later look of `follow` expects.
const NEW_PER_LOOK: usize = 8;

/// Where a plan begins, and in which direction it goes.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    NewestFirst(Position),
    OldestFirst {
        position: SyncPosition,
        /// Whether there was a look before. If so, not many messages can have come since.
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
    /// How many messages may be held, in place of the usual size of the buffer.
    #[cfg(test)]
    pub(crate) buffer: Option<usize>,
}

/// A page that has arrived.
#[derive(Debug)]
pub(crate) struct Fetched<M> {
    /// The keys of `messages`, in the order of the body.
    pub(crate) keys: Vec<Key>,
    pub(crate) messages: Vec<M>,
    /// Which messages belong to another session than the walk's. Empty when no message can.
    pub(crate) of_other_session: Vec<bool>,
    pub(crate) chat_start: ChatTime,
    pub(crate) chat_latest: ChatTime,
    /// The times of the whole chat, as far as they are known with this page.
    pub(crate) span: Option<Span>,
    /// The length of the body.
    pub(crate) bytes: u64,
}

/// What an answer meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// How many messages were dropped, because they had been handed out or are newer than the walk's position.
    pub(crate) duplicates: u64,
    /// Set when the walk cannot get past what the server sends. The window has failed.
    pub(crate) stalled: Option<Stall>,
}

/// Messages that can be handed out. The last of them goes out first, in either direction.
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

/// What only a forward walk has.
#[derive(Clone, Debug)]
struct Look {
    /// What had been handed out before the look began.
    known: SyncPosition,
    /// The `limit` of the first request, until the server has answered it.
    first_limit: Option<u32>,
    /// The newest time that the look will hand out, once it is known.
    newest: Option<Timestamp>,
    /// Why the look will end.
    end: End,
}

impl Look {
    /// Makes a look. Its first request is to show the known messages and one message before them. A later look
    /// expects that few messages have come since.
    fn new(known: SyncPosition, again: bool, page_size: u32) -> Self {
        let ids = known.ids.len() + known.unplaced.len();
        let page = usize::try_from(page_size).unwrap_or(usize::MAX);
        let limit = if again { ids + NEW_PER_LOOK } else { (ids + 1).max(page) };
        let limit = u32::try_from(limit.min(LONGEST_FIRST.max(page))).ok();
        let first_limit = if again { limit } else { known.newest.and(limit) };
        Self { known, first_limit, newest: None, end: End::ReachedNewest }
    }
}

/// The windows between two answers.
#[derive(Debug)]
pub(crate) struct Plan<M> {
    settings: Settings,
    order: Order,
    /// The windows in the order of handing out.
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
    /// The mean of a page. The value falls slowly, so that a page of long messages counts for a while.
    bytes_per_message: f64,
    /// How many pages the next window is to hold, oldest first.
    target: f64,
    /// How many windows in succession were empty.
    empty: i32,
    /// Whether a message has gone out.
    begun: bool,
    /// How many messages may still be handed out.
    remaining: Option<u64>,
    /// Why the walk of the oldest window ended.
    oldest_end: End,
    end: Option<End>,
    /// The messages without a readable timestamp that were handed out last. The next window may hold them, too.
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

    /// Begins the next look at this position. The plan keeps all that it knows of the server and the chat.
    pub(crate) fn look_again(&mut self, position: SyncPosition) {
        self.answers = 0;
        self.end = (self.remaining == Some(0)).then_some(End::ReachedMax);
        self.begin(Start::OldestFirst { position, again: true });
    }

    fn begin(&mut self, start: Start) {
        let bounds = &self.settings.bounds;
        self.target = FIRST_TARGET;
        let (bounds, position) = match start {
            // The first window's messages go out first, so its walk can count them.
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

    /// The next request that may be sent now, with its window. The request is under way from now on. Returns
    /// `None` while as many requests are under way as may be, and while the buffer has no room. Behind a failed
    /// window and after the end, it returns `None` too.
    pub(crate) fn ask(&mut self) -> Option<(WindowId, Ask)> {
        // Each answer allows one more request at once. So a short walk sends no request in vain.
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

    /// Why the plan is over, once everything has been taken.
    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// Whether as many messages have been handed out as were wanted.
    pub(crate) fn has_brought_all_wanted(&self) -> bool {
        self.remaining == Some(0)
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

    /// The oldest message that was read in this window.
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

    /// The request that will follow the answer to `ask`, if that answer turns out as expected (see
    /// [`Walk::foresee`](crate::walk::Walk::foresee)). The answer's first message is known already. The next
    /// call of `ask` may return another request.
    pub(crate) fn foresee(&self, id: WindowId, ask: &Ask, first: &Cursor) -> Option<Ask> {
        self.row.iter().find(|window| window.id() == id)?.walk().foresee(ask, first)
    }

    /// The newest time that an oldest-first plan will hand out, once it is known.
    #[cfg(test)]
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        match &self.order {
            Order::OldestFirst(look) => look.newest,
            Order::NewestFirst => None,
        }
    }
}
