//! One window: a range of time that one walk reads. The window has its walk, its request under way, and the
//! messages that it holds. No I/O, no async, no clock.

use std::collections::VecDeque;

use crate::chat_time::Span;
use crate::cursor::Key;
use crate::position::Position;
use crate::timestamp::Timestamp;
use crate::walk::{Answer, Ask, Bounds, End, Kept, Next, Server, Stall, Walk};

/// The name of a window. A plan never gives the same name to two windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WindowId(pub(crate) u64);

/// How densely messages lie in time. Messages seen last have the most weight.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Density {
    millis: f64,
    messages: f64,
}

impl Density {
    /// Adds `messages` seen in `millis` milliseconds. All that was added before then counts `decay` times as
    /// much.
    pub(crate) fn add(&mut self, millis: f64, messages: f64, decay: f64) {
        self.millis = self.millis * decay + millis;
        self.messages = self.messages * decay + messages;
    }

    /// Messages per millisecond; `None` while no message was seen.
    pub(crate) fn rate(self) -> Option<f64> {
        (self.messages > 0.0).then(|| self.messages / self.millis.max(1.0))
    }
}

/// How far a window has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was read, or nothing that was read is still held. `one_page` means that the window was read,
    /// held less than a page, and was dropped. Then one request reads the window again and shows that it is
    /// complete.
    Unread {
        one_page: bool,
    },
    Reading,
    /// Its walk has ended.
    Complete(End),
    /// A request failed for good.
    Failed,
}

/// The new messages of one answer, with their keys, ascending.
#[derive(Debug)]
pub(crate) struct Part<M> {
    pub(crate) keys: Vec<Key>,
    pub(crate) messages: Vec<M>,
    /// The part of the body's bytes that belongs to these messages.
    pub(crate) bytes: u64,
    /// The times of the whole chat, as far as they were known then.
    pub(crate) span: Option<Span>,
}

/// A window. `from` and `until` are inclusive. `from` is `None` when the window begins where the chat does.
/// `until` is `None` when this is the newest window and the time of the newest message is not known yet.
#[derive(Debug)]
pub(crate) struct Window<M> {
    id: WindowId,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    walk: Walk,
    /// The time at which the walk began, if the bounds named one.
    starts_at: Option<Timestamp>,
    state: State,
    /// The `limit` of the request under way.
    under_way: Option<u32>,
    /// The parts in the order of the answers, so the newest messages come first.
    parts: VecDeque<Part<M>>,
    held: usize,
    bytes: u64,
    /// How many messages were read in the window, and how densely they lie where it was read last.
    read: usize,
    density: Density,
    going_out: bool,
}

/// How an answer changed a window.
pub(crate) struct Change {
    /// How many messages are new, and how many milliseconds of the chat were read to find them.
    pub(crate) new: usize,
    pub(crate) millis: f64,
    pub(crate) duplicates: u64,
    pub(crate) stalled: Option<Stall>,
}

impl<M> Window<M> {
    /// Makes the window between the `since` and `until` of these bounds.
    pub(crate) fn new(id: WindowId, bounds: Bounds, position: Position, one_page: bool) -> Self {
        Self {
            id,
            from: bounds.since,
            starts_at: bounds.until,
            until: bounds.until,
            walk: Walk::new(bounds, position),
            state: State::Unread { one_page },
            under_way: None,
            parts: VecDeque::new(),
            held: 0,
            bytes: 0,
            read: 0,
            density: Density::default(),
            going_out: false,
        }
    }

    pub(crate) fn id(&self) -> WindowId {
        self.id
    }

    pub(crate) fn from(&self) -> Option<Timestamp> {
        self.from
    }

    pub(crate) fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Sets the newest time of the window, once it is known.
    pub(crate) fn set_until(&mut self, until: Option<Timestamp>) {
        self.until = until;
    }

    /// Whether the walk began at a known time or has found a message.
    pub(crate) fn has_begun(&self) -> bool {
        self.starts_at.is_some() || self.walk.position().timestamp().is_some()
    }

    /// How far back the window was read. Older messages are still to come.
    pub(crate) fn bottom(&self) -> Option<Timestamp> {
        self.walk.position().timestamp().or(self.until)
    }

    pub(crate) fn walk(&self) -> &Walk {
        &self.walk
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.end().is_some()
    }

    /// Why its walk ended.
    pub(crate) fn end(&self) -> Option<End> {
        match self.state {
            State::Complete(end) => Some(end),
            _ => None,
        }
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.state == State::Failed
    }

    pub(crate) fn is_unread(&self) -> bool {
        matches!(self.state, State::Unread { .. }) && !self.is_under_way()
    }

    /// Whether one request is expected to read the whole window.
    pub(crate) fn is_one_page(&self) -> bool {
        self.state == State::Unread { one_page: true }
    }

    /// Whether the walk has a next request, and no request is under way.
    pub(crate) fn may_ask(&self) -> bool {
        matches!(self.state, State::Unread { .. } | State::Reading) && !self.is_under_way()
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// How many messages the request under way may bring.
    pub(crate) fn may_bring(&self) -> usize {
        self.under_way.map_or(0, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
    }

    pub(crate) fn held(&self) -> usize {
        self.held
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The messages held, part by part, in the order of handing out.
    pub(crate) fn messages(&self, newest_first: bool) -> impl Iterator<Item = &[M]> {
        let count = self.parts.len();
        let places = (0..count).map(move |n| if newest_first { n } else { count - 1 - n });
        places.filter_map(|place| self.parts.get(place)).map(|part| part.messages.as_slice())
    }

    pub(crate) fn parts(&self) -> usize {
        self.parts.len()
    }

    pub(crate) fn read(&self) -> usize {
        self.read
    }

    pub(crate) fn density(&self) -> Density {
        self.density
    }

    /// Returns the next request, which is under way from now on. `first_limit` replaces the walk's own `limit`.
    pub(crate) fn send(&mut self, server: Server, first_limit: Option<u32>) -> Ask {
        self.walk.know(server);
        let mut ask = self.walk.ask();
        ask.limit = first_limit.unwrap_or(ask.limit);
        self.under_way = Some(ask.limit);
        ask
    }

    /// Takes over what another window has learned of the server since this window asked.
    pub(crate) fn know(&mut self, server: Server) {
        self.walk.know(server);
    }

    /// Forgets the request under way, which brought nothing.
    #[cfg(test)]
    pub(crate) fn abandon(&mut self) {
        self.under_way = None;
    }

    pub(crate) fn fail(&mut self) {
        self.under_way = None;
        self.state = State::Failed;
    }

    pub(crate) fn resume(&mut self) {
        if self.is_failed() {
            self.state = State::Reading;
        }
    }

    /// The server refused the request under way with this status. Returns what follows, or `None` if the
    /// refusal has nothing to do with a `limit` that the walk chose itself.
    pub(crate) fn refused(&mut self, ask: &Ask, status: u16) -> Option<Next> {
        self.under_way = None;
        self.walk.refused(ask, status)
    }

    /// Takes the answer to the request under way. `lowest` is the window's older end, if it is known. `page` is
    /// the number of messages expected on a page.
    pub(crate) fn receive(
        &mut self,
        ask: &Ask,
        answer: Answer<'_>,
        lowest: Option<Timestamp>,
        page: usize,
    ) -> (Kept, Change) {
        self.under_way = None;
        let before = self.bottom();
        let newest = || answer.keys.iter().filter_map(Key::timestamp).max();
        let verdict = self.walk.receive(ask, answer);
        let (state, stalled) = match verdict.next {
            Next::Ask => (State::Reading, None),
            Next::End(end) => (State::Complete(end), None),
            Next::Stalled(why) => (State::Failed, Some(why)),
        };
        self.state = state;
        let new = match &verdict.kept {
            Kept::AllAsTheyCame => answer.keys.len(),
            Kept::Only(indices) => indices.len(),
        };
        let after = if self.is_complete() { lowest } else { self.bottom() };
        let millis = match (before.or_else(newest), after) {
            (Some(before), Some(after)) => {
                before.as_millis().saturating_sub(after.as_millis()).max(0) as f64
            }
            _ => 0.0,
        };
        self.read += new;
        let decay = 0.8_f64.powf(new as f64 / page.max(1) as f64);
        self.density.add(millis, new as f64, decay);
        (verdict.kept, Change { new, millis, duplicates: verdict.duplicates, stalled })
    }

    pub(crate) fn hold(&mut self, part: Part<M>) {
        if !part.messages.is_empty() {
            self.held += part.messages.len();
            self.bytes += part.bytes;
            self.parts.push_back(part);
        }
    }

    /// Takes out the newest part that is held, or the oldest.
    pub(crate) fn take(&mut self, newest_first: bool) -> Option<Part<M>> {
        let part = if newest_first { self.parts.pop_front() } else { self.parts.pop_back() }?;
        self.held -= part.messages.len();
        self.bytes -= part.bytes;
        Some(part)
    }

    /// Whether a message of this window has been handed out.
    pub(crate) fn is_going_out(&self) -> bool {
        self.going_out
    }

    pub(crate) fn goes_out(&mut self) {
        self.going_out = true;
    }

    /// Makes the window begin later. Another window reads what lies before.
    pub(crate) fn raise_from(&mut self, from: Timestamp) {
        self.from = Some(from);
        self.walk.raise_since(from);
    }

    /// Drops about `count` of the messages held, but never all. It drops those that would be handed out last,
    /// and cuts only between two timestamps. The window ends there from now on. Returns the time that was cut
    /// off and the number of messages dropped.
    ///
    /// NOTE: newest first, the walk no longer matches the shorter window. So there must be no request under
    /// way.
    pub(crate) fn drop_last(&mut self, count: usize, newest_first: bool) -> Option<Dropped> {
        let (count, kept) = if newest_first {
            cut(self.parts.iter().rev().flat_map(|part| part.keys.iter()), count)?
        } else {
            cut(self.parts.iter().flat_map(|part| part.keys.iter().rev()), count)?
        };
        let mut left = count;
        while left > 0 {
            let part = if newest_first { self.parts.back_mut() } else { self.parts.front_mut() };
            let Some(part) = part else { break };
            let dropped = left.min(part.keys.len());
            let stays = part.keys.len() - dropped;
            let bytes = share(part.bytes, stays, part.keys.len());
            self.bytes -= part.bytes - bytes;
            part.bytes = bytes;
            left -= dropped;
            if newest_first {
                part.keys.drain(..dropped);
                part.messages.drain(..dropped);
            } else {
                part.keys.truncate(stays);
                part.messages.truncate(stays);
            }
            if stays == 0 {
                let _ = if newest_first { self.parts.pop_back() } else { self.parts.pop_front() };
            }
        }
        self.held -= count;
        let whole = !newest_first || self.is_complete();
        let dropped = if newest_first {
            let until = Timestamp::from_millis(kept.as_millis().saturating_sub(1));
            self.state = State::Complete(End::ReachedSince);
            Dropped { from: self.from.replace(kept), until: Some(until), count, whole }
        } else {
            let from = Some(kept.next_milli());
            Dropped { from, until: self.until.replace(kept), count, whole }
        };
        Some(dropped)
    }
}

/// A range of time whose messages were dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropped {
    pub(crate) from: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) count: usize,
    /// Whether the dropped messages were all messages of that time.
    pub(crate) whole: bool,
}

/// How many of `bytes` belong to `part` of `whole` messages.
pub(crate) fn share(bytes: u64, part: usize, whole: usize) -> u64 {
    (bytes as f64 * part as f64 / whole.max(1) as f64) as u64
}

/// Where to cut these keys when about `count` of them, from the first on, are to go. Returns how many go, and
/// the timestamp of the first that stays. The keys that go and the keys that stay have no timestamp in common.
/// A message without a readable timestamp may share the timestamp of either neighbour, so there is no cut
/// beside it.
fn cut<'a>(keys: impl Iterator<Item = &'a Key>, count: usize) -> Option<(usize, Timestamp)> {
    let mut best = None;
    let mut previous = None;
    for (index, key) in keys.enumerate() {
        let time = key.timestamp();
        match (previous, time) {
            (Some(one), Some(other)) if one != other => {
                if index > count && best.is_some() {
                    break;
                }
                best = Some((index, other));
            }
            _ => {}
        }
        if index > count && best.is_some() {
            break;
        }
        previous = time;
    }
    best
}
