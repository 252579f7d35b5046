//! Which windows of time are read, in which order, and how many requests at once. No I/O, no async, no clock
//! but what is passed in.
#![cfg_attr(not(test), allow(dead_code, reason = "the streams do not use it yet"))]

#[cfg(test)]
mod figures;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod property;
mod room;
mod split;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::checkpoint::{Key, Position};
use crate::timestamp::Timestamp;
use crate::walk::{Answer, Ask, Bounds, ChatTime, End, Kept, Server, Walk};
use crate::window::{Density, Part, Window, WindowId, share};

pub(crate) use sync::{Horizon, SyncPosition};

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
    /// Of its body.
    pub(crate) bytes: u64,
}

/// What an answer meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Messages dropped because they had been handed out, or are newer than where the walk stood.
    pub(crate) duplicates: u64,
    /// The server cannot be got past; the text says why. The window has failed.
    pub(crate) stalled: Option<&'static str>,
}

/// What can be handed out: the last message first. In either direction `advance` of the stream's position takes
/// the keys of what has gone out.
#[derive(Debug)]
pub(crate) struct Chunk<M> {
    pub(crate) keys: Vec<Key>,
    pub(crate) messages: Vec<M>,
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
    again: bool,
    /// Why it will end.
    end: End,
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
        self.end = None;
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
                self.order =
                    Order::OldestFirst(Look { known: position, again, end: End::ReachedNewest });
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
        let mut expected = 0.0;
        let mut index = 0;
        while let Some(window) = self.row.get(index) {
            let enough = self.remaining.is_some_and(|remaining| expected >= remaining as f64);
            if window.is_failed() || enough {
                return None;
            }
            if !window.is_complete() {
                let at = self.place_to_split(index);
                if at.is_some() || !window.is_under_way() {
                    if !(self.has_room(index == 0) || (index == 0 && self.make_room(at.is_some())))
                    {
                        return None;
                    }
                    let index = at.map_or(index, |at| self.split(index, at));
                    return self.send(index);
                }
            }
            let window = self.row.get(index)?;
            expected += (window.held() + window.may_bring()) as f64;
            expected += self.pages_left(window).unwrap_or(0.0).max(0.0) * self.page() as f64;
            index += 1;
        }
        None
    }

    fn send(&mut self, index: usize) -> Option<(WindowId, Ask)> {
        let first_limit = self.first_limit();
        let window = self.row.get_mut(index)?;
        let ask = window.send(self.server, first_limit);
        self.under_way += 1;
        self.may_bring += window.may_bring();
        Some((window.id(), ask))
    }

    /// The `limit` of the first request of a look: enough to show what is known, and one message before it.
    fn first_limit(&self) -> Option<u32> {
        let Order::OldestFirst(look) = &self.order else { return None };
        if self.answers > 0 || look.known.newest.is_none() {
            return None;
        }
        let known = look.known.ids.len() + look.known.unplaced.len();
        let page = usize::try_from(self.settings.bounds.page_size).unwrap_or(usize::MAX);
        let least = (known + 1).min(LONGEST_FIRST).max(page);
        let limit = if look.again { least.min(known + NEW_PER_LOOK) } else { least };
        u32::try_from(limit).ok()
    }

    fn window(&mut self, id: WindowId) -> Option<(usize, &mut Window<M>)> {
        self.row.iter_mut().enumerate().find(|(_, window)| window.id() == id)
    }

    /// Takes the request of this window out of those under way.
    fn arrived(&mut self, id: WindowId) -> Option<usize> {
        let (index, window) = self.window(id)?;
        let limit = window.may_bring();
        self.may_bring -= limit;
        self.under_way -= 1;
        Some(index)
    }

    /// Takes the answer to `ask`, which `id` had sent.
    pub(crate) fn receive(&mut self, id: WindowId, ask: &Ask, page: Fetched<M>) -> Outcome {
        let nothing = Outcome { duplicates: 0, stalled: None };
        let Some(index) = self.arrived(id) else { return nothing };
        self.answers += 1;
        if let ChatTime::At(start) = page.chat_start {
            self.chat_start = Some(start);
        }
        self.fix_end(index, &page);
        let page_size = self.page();
        let Some(window) = self.row.get_mut(index) else { return nothing };
        let lowest =
            window.from().max(self.chat_start.filter(|start| Some(*start) <= window.bottom()));
        let answer = Answer {
            keys: &page.keys,
            of_other_session: &page.of_other_session,
            chat_start: page.chat_start,
        };
        let (kept, change) = window.receive(ask, answer, lowest, page_size);
        self.server = window.walk().server();
        let Fetched { mut keys, mut messages, bytes, .. } = page;
        let received = messages.len().max(1);
        let mean = bytes as f64 / received as f64;
        self.bytes_per_message = mean.max(0.9 * self.bytes_per_message).max(1.0);
        if let Kept::Only(indices) = kept {
            (keys, messages) = pick(keys, messages, &indices);
        }
        let mut duplicates = change.duplicates;
        if let Order::OldestFirst(look) = &self.order
            && let Some(known) = look.known.known(&keys)
        {
            duplicates += known.iter().filter(|known| **known).count() as u64;
            let new: Vec<usize> = (0..known.len()).filter(|index| !known[*index]).collect();
            (keys, messages) = pick(keys, messages, &new);
        }
        let bytes = share(bytes, messages.len(), received);
        self.held += messages.len();
        let before = window.bytes();
        window.hold(Part { keys, messages, bytes });
        self.bytes += window.bytes() - before;
        if window.is_complete() {
            let end = window.end();
            let is_empty = window.parts() == 0;
            self.empty = if is_empty && window.read() == 0 { self.empty + 1 } else { 0 };
            if self.newest_first() && index + 1 == self.row.len() {
                self.oldest_end = end.unwrap_or(self.oldest_end);
            }
            if is_empty && index > 0 {
                self.row.remove(index);
            }
        }
        // A long answer, such as one that shows a large group of equal timestamps, may bring too much.
        while self.held > self.buffer() && self.drop_some() {}
        let per_request = 0.8_f64.powf(1.0 / self.settings.concurrency.max(1) as f64);
        let decay = per_request.powf(change.new as f64 / page_size as f64);
        self.density.add(change.millis, change.new as f64, decay);
        self.settle();
        Outcome { duplicates, stalled: change.stalled }
    }

    /// Oldest first, the first answer says where the walk ends, so that a chat that grows meanwhile does not
    /// make it endless.
    fn fix_end(&mut self, index: usize, page: &Fetched<M>) {
        let Order::OldestFirst(look) = &mut self.order else { return };
        let is_top = index + 1 == self.row.len();
        let Some(top) = self.row.back_mut().filter(|_| is_top) else {
            return;
        };
        if self.answers > 1 && top.has_begun() {
            return;
        }
        let latest = match page.chat_latest {
            ChatTime::At(time) => Some(time),
            ChatTime::Empty | ChatTime::Unknown => None,
        };
        // What the page shows is true, whatever the server says of it.
        let newest = page.keys.iter().filter_map(Key::timestamp).max().max(latest);
        if self.settings.bounds.until.is_some_and(|until| Some(until) <= newest) {
            look.end = End::ReachedUntil;
            return;
        }
        if newest.is_some() && (self.answers == 1 || top.until() < newest) {
            top.set_until(newest);
        }
    }

    /// The server refused a `limit`. Whether a smaller request is worth a try: the next `ask` gives it.
    /// If not, the window has failed.
    pub(crate) fn refused(&mut self, id: WindowId, ask: &Ask) -> bool {
        let first_limit = self.first_limit();
        let Some(index) = self.arrived(id) else { return false };
        let Some(window) = self.row.get_mut(index) else { return false };
        let of_ours = first_limit == Some(ask.limit) && ask.limit > self.settings.bounds.page_size;
        let smaller = window.refused(ask) || of_ours;
        self.server = window.walk().server();
        if of_ours {
            // An answer like any other: it says that the first request is to be an ordinary one.
            self.answers += 1;
        }
        if !smaller {
            window.fail();
        }
        smaller
    }

    /// A request failed for good. What stands before its window is still handed out; nothing behind it is
    /// asked for or handed out until `resume`.
    pub(crate) fn failed(&mut self, id: WindowId) {
        if let Some(index) = self.arrived(id)
            && let Some(window) = self.row.get_mut(index)
        {
            window.fail();
        }
    }

    /// A request was dropped before its answer came: `ask` gives it again.
    pub(crate) fn abandon(&mut self, id: WindowId) {
        if let Some(index) = self.arrived(id)
            && let Some(window) = self.row.get_mut(index)
        {
            window.abandon();
        }
    }

    /// The window that failed, once everything before it has been taken and nothing more will come there.
    pub(crate) fn failure(&self) -> Option<WindowId> {
        let front = self.row.front()?;
        let taken = !self.newest_first() || front.parts() == 0;
        (front.is_failed() && taken).then(|| front.id())
    }

    /// Lets what failed be asked again.
    pub(crate) fn resume(&mut self) {
        for window in &mut self.row {
            window.resume();
        }
    }

    /// What can be handed out now, in order.
    pub(crate) fn take(&mut self) -> Option<Chunk<M>> {
        let newest_first = self.newest_first();
        loop {
            if self.end.is_some() {
                return None;
            }
            let front = self.row.front_mut()?;
            if !newest_first && !front.is_complete() {
                return None;
            }
            let (Part { mut keys, mut messages, bytes }, first) = front.take(newest_first)?;
            self.held -= messages.len();
            self.bytes -= bytes;
            if !newest_first {
                keys.reverse();
                messages.reverse();
            }
            if first {
                self.drop_unplaced_again(&mut keys, &mut messages);
            }
            self.trim(&mut keys, &mut messages);
            self.note_unplaced(&keys);
            self.settle();
            if !messages.is_empty() {
                self.begun = true;
                return Some(Chunk { keys, messages });
            }
        }
    }

    /// Lets go of the windows that are done with, from the first on, and of everything at the end.
    fn settle(&mut self) {
        while let Some(front) = self.row.front()
            && front.is_complete()
            && front.parts() == 0
        {
            if front.read() > 0 {
                self.target *= 2.0;
            }
            let reached_max = front.end() == Some(End::ReachedMax);
            self.row.pop_front();
            if self.row.is_empty() || reached_max {
                let end = match &self.order {
                    _ if reached_max => End::ReachedMax,
                    Order::NewestFirst => self.oldest_end,
                    Order::OldestFirst(look) => look.end,
                };
                self.finish(end);
            }
        }
    }

    fn finish(&mut self, end: End) {
        self.end = Some(end);
        self.row.clear();
        (self.under_way, self.may_bring, self.held, self.bytes) = (0, 0, 0, 0);
    }

    /// Leaves off what is more than `max_messages`.
    fn trim(&mut self, keys: &mut Vec<Key>, messages: &mut Vec<M>) {
        let Some(remaining) = &mut self.remaining else { return };
        let surplus =
            messages.len().saturating_sub(usize::try_from(*remaining).unwrap_or(usize::MAX));
        keys.drain(..surplus);
        messages.drain(..surplus);
        *remaining -= messages.len() as u64;
        let is_last = self.row.len() == 1
            && self.row.front().is_some_and(|front| front.is_complete() && front.parts() == 0);
        if *remaining == 0 && (surplus > 0 || !is_last) {
            self.finish(End::ReachedMax);
        }
    }

    /// A message without a readable timestamp that stands where two windows meet may be in both.
    fn drop_unplaced_again(&self, keys: &mut Vec<Key>, messages: &mut Vec<M>) {
        while let Some(Key::Unplaced(fingerprint)) = keys.last()
            && self.unplaced.contains(fingerprint)
        {
            keys.pop();
            messages.pop();
        }
    }

    fn note_unplaced(&mut self, keys: &[Key]) {
        if keys.iter().any(|key| key.timestamp().is_some()) {
            self.unplaced.clear();
        }
        let last = keys.iter().map_while(|key| match key {
            Key::Unplaced(fingerprint) => Some(*fingerprint),
            Key::Placed(_) => None,
        });
        self.unplaced.extend(last);
    }

    /// Why it is over, once everything has been taken.
    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// How many messages have been received and not yet taken.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// How many pages wait to be taken.
    pub(crate) fn waiting(&self) -> usize {
        let front = self.row.front();
        front.filter(|front| self.newest_first() || front.is_complete()).map_or(0, Window::parts)
    }

    /// How many requests are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }

    /// The request that will follow if the answer to `ask`, whose first message is known already, turns out as
    /// expected (see [`Walk::foresee`](crate::walk::Walk::foresee)). `ask` may give another one.
    pub(crate) fn foresee(&self, id: WindowId, ask: &Ask, first: &crate::Cursor) -> Option<Ask> {
        self.row.iter().find(|window| window.id() == id)?.walk().foresee(ask, first)
    }

    /// Oldest first, the newest time that will be handed out, once it is known.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.row.back().and_then(Window::until)
    }
}

fn pick<M>(keys: Vec<Key>, messages: Vec<M>, indices: &[usize]) -> (Vec<Key>, Vec<M>) {
    let mut all: Vec<Option<(Key, M)>> = keys.into_iter().zip(messages).map(Some).collect();
    indices.iter().filter_map(|index| all.get_mut(*index)?.take()).unzip()
}
