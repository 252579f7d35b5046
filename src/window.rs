//! One window of time: the walk through it, its request under way, and what of it is held.
//!
//! No I/O, no async, no clock.

use std::collections::VecDeque;

use crate::chat_time::Span;
use crate::cursor::Key;
use crate::position::Position;
use crate::timestamp::Timestamp;
use crate::walk::{Answer, Ask, Bounds, End, Kept, Next, Server, Stall, Walk};

/// Names one window for as long as there is a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WindowId(pub(crate) u64);

/// Messages per millisecond: a sum in which what came last weighs most.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Density {
    millis: f64,
    messages: f64,
}

impl Density {
    /// Adds `messages` seen in `millis`; what was there before counts `decay` times as much.
    pub(crate) fn add(&mut self, millis: f64, messages: f64, decay: f64) {
        self.millis = self.millis * decay + millis;
        self.messages = self.messages * decay + messages;
    }

    /// Messages per millisecond; `None` while no message was seen.
    pub(crate) fn rate(self) -> Option<f64> {
        (self.messages > 0.0).then(|| self.messages / self.millis.max(1.0))
    }
}

/// How far the reading of a window has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was read, or nothing of it is held any more. `one_page`: it was read, held less than a page
    /// and was dropped, so that one request reads it again and shows that it is whole.
    Unread {
        one_page: bool,
    },
    Reading,
    /// Its walk has ended.
    Complete(End),
    /// A request failed for good.
    Failed,
}

/// What one answer brought, keys and messages ascending.
#[derive(Debug)]
pub(crate) struct Part<M> {
    pub(crate) keys: Vec<Key>,
    pub(crate) messages: Vec<M>,
    /// Their share of the body that they came in.
    pub(crate) bytes: u64,
    /// Of the whole chat, as far as was known then.
    pub(crate) span: Option<Span>,
}

/// Both ends of time are inclusive. `from` is `None` when the window begins where the chat does, `until`
/// when it is the newest and nobody knows yet how new that is.
#[derive(Debug)]
pub(crate) struct Window<M> {
    id: WindowId,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    walk: Walk,
    /// Where the walk began, if that is a time of its own.
    starts_at: Option<Timestamp>,
    state: State,
    /// The `limit` of the request under way.
    under_way: Option<u32>,
    /// In the order of the answers, so the newest messages come first.
    parts: VecDeque<Part<M>>,
    held: usize,
    bytes: u64,
    /// How many messages were read in it, and how densely they lie where it was read last.
    read: usize,
    density: Density,
    going_out: bool,
}

/// How an answer changed a window.
pub(crate) struct Change {
    /// How many messages are new, and how much time was read to find them.
    pub(crate) new: usize,
    pub(crate) millis: f64,
    pub(crate) duplicates: u64,
    pub(crate) stalled: Option<Stall>,
}

impl<M> Window<M> {
    /// The window within the `since` and `until` of these bounds.
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

    /// How new the newest message can be is known now.
    pub(crate) fn set_until(&mut self, until: Option<Timestamp>) {
        self.until = until;
    }

    /// Whether its walk, which began at no time that is known, has come upon a message.
    pub(crate) fn has_begun(&self) -> bool {
        self.starts_at.is_some() || self.walk.position().timestamp().is_some()
    }

    /// How far down it was read: what is older is still to come.
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

    /// Whether one request is expected to read it whole.
    pub(crate) fn is_one_page(&self) -> bool {
        self.state == State::Unread { one_page: true }
    }

    /// Whether its walk has a next request and none under way.
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

    /// The next request, from now on under way. `first_limit` stands in for the page size.
    pub(crate) fn send(&mut self, server: Server, first_limit: Option<u32>) -> Ask {
        self.walk.know(server);
        let mut ask = self.walk.ask();
        ask.limit = first_limit.unwrap_or(ask.limit);
        self.under_way = Some(ask.limit);
        ask
    }

    /// What another window has learned of the server since this one asked.
    pub(crate) fn know(&mut self, server: Server) {
        self.walk.know(server);
    }

    /// The request under way is no more, and brought nothing.
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

    /// The server refused the request under way with this status. What follows, or `None` if the refusal has
    /// nothing to do with a `limit` of the walk's own choice.
    pub(crate) fn refused(&mut self, ask: &Ask, status: u16) -> Option<Next> {
        self.under_way = None;
        self.walk.refused(ask, status)
    }

    /// Takes the answer to the request under way. `known` says which messages are not to be handed out,
    /// because they have been.
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

    /// The newest part held, or the oldest.
    pub(crate) fn take(&mut self, newest_first: bool) -> Option<Part<M>> {
        let part = if newest_first { self.parts.pop_front() } else { self.parts.pop_back() }?;
        self.held -= part.messages.len();
        self.bytes -= part.bytes;
        Some(part)
    }

    /// Whether a message of it has gone out.
    pub(crate) fn is_going_out(&self) -> bool {
        self.going_out
    }

    pub(crate) fn goes_out(&mut self) {
        self.going_out = true;
    }

    /// The window begins later from now on: what lies before it is another's to read.
    pub(crate) fn raise_from(&mut self, from: Timestamp) {
        self.from = Some(from);
        self.walk.raise_since(from);
    }

    /// Drops about `count` of the messages held, those that would be handed out last, never all, and cuts at
    /// whole timestamps only. The window ends there from now on; returns the rest of its time, and how many
    /// messages went.
    ///
    /// NOTE: newest first this leaves the walk behind, so it must have no request under way.
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

/// What was held of some time and no longer is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropped {
    pub(crate) from: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) count: usize,
    /// Whether those were all the messages of that time.
    pub(crate) whole: bool,
}

/// What of so many bytes belongs to some of the messages.
pub(crate) fn share(bytes: u64, part: usize, whole: usize) -> u64 {
    (bytes as f64 * part as f64 / whole.max(1) as f64) as u64
}

/// How many of these keys, from the first on, can go when about `count` are to: what goes and what stays
/// have no timestamp in common. With it, the timestamp of the first that stays. A message without a readable
/// timestamp may share that of either neighbour, so there is no cut beside it.
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
