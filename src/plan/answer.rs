//! What an answer, a refusal or a failure means for the windows.

use super::{Fetched, Order, Outcome, Plan};
use crate::chat_time::ChatTime;
use crate::cursor::Key;
use crate::walk::{Answer, Ask, End, Kept, Next};
use crate::window::{Part, WindowId, share};

impl<M> Plan<M> {
    /// Takes this window's request off the list of requests under way.
    fn arrived(&mut self, id: WindowId) -> Option<usize> {
        let index = self.row.iter().position(|window| window.id() == id)?;
        self.may_bring -= self.row.get(index)?.may_bring();
        self.under_way -= 1;
        Some(index)
    }

    /// Takes the answer to `ask`, which the window `id` had sent.
    pub(crate) fn receive(&mut self, id: WindowId, ask: &Ask, page: Fetched<M>) -> Outcome {
        let nothing = Outcome { duplicates: 0, stalled: None };
        let Some(index) = self.arrived(id) else { return nothing };
        self.answers += 1;
        if let ChatTime::At(start) = page.chat_start {
            self.chat_start = Some(start);
        }
        self.fix_end(index, &page);
        if let Order::OldestFirst(look) = &mut self.order {
            look.first_limit = None;
        }
        let page_size = self.page();
        let Some(window) = self.row.get_mut(index) else { return nothing };
        let lowest =
            window.from().max(self.chat_start.filter(|start| Some(*start) <= window.bottom()));
        let answer = Answer {
            keys: &page.keys,
            of_other_session: &page.of_other_session,
            chat_start: page.chat_start,
            chat_latest: page.chat_latest,
        };
        window.know(self.server);
        let (kept, change) = window.receive(ask, answer, lowest, page_size);
        self.server = window.walk().server();
        let Fetched { mut keys, mut messages, bytes, span, .. } = page;
        let received = messages.len().max(1);
        let mean = bytes as f64 / received as f64;
        self.bytes_per_message = mean.max(0.9 * self.bytes_per_message).max(1.0);
        if let Kept::Only(indices) = kept {
            (keys, messages) = pick(keys, messages, &indices);
        }
        let mut duplicates = change.duplicates;
        let known = match &self.order {
            Order::OldestFirst(look) => look.known.known(&keys),
            Order::NewestFirst => None,
        };
        if let Some(known) = known {
            duplicates += known.iter().filter(|known| **known).count() as u64;
            let new: Vec<usize> = (0..known.len()).filter(|index| !known[*index]).collect();
            (keys, messages) = pick(keys, messages, &new);
        }
        let bytes = share(bytes, messages.len(), received);
        self.held += messages.len();
        let before = window.bytes();
        window.hold(Part { keys, messages, bytes, span });
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
        self.drop_surplus();
        let per_request = 0.8_f64.powf(1.0 / self.settings.concurrency.max(1) as f64);
        let decay = per_request.powf(change.new as f64 / page_size as f64);
        self.density.add(change.millis, change.new as f64, decay);
        self.settle();
        Outcome { duplicates, stalled: change.stalled }
    }

    /// Sets where an oldest-first walk ends, from the first answer. So the walk ends even if the chat grows
    /// meanwhile.
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
        // The messages on the page count, whatever the server says of its newest message.
        let newest = page.keys.iter().filter_map(Key::timestamp).max().max(latest);
        match self.settings.bounds.until {
            Some(until) if Some(until) <= newest => look.end = End::ReachedUntil,
            _ if newest.is_some() && (self.answers == 1 || top.until() < newest) => {
                top.set_until(newest);
            }
            _ => {}
        }
        look.newest = top.until();
    }

    /// A request failed for good, with this status if there was an answer. Returns what follows:
    ///
    /// - `Ask`: the server refused a `limit` that the caller did not choose. The plan asks again.
    /// - Another value: the walk cannot get past what the server sends. The window has failed.
    /// - `None`: the request itself failed, and the window with it.
    ///
    /// What stands before a failed window is still handed out. Nothing behind it is asked for or handed out
    /// until `resume`.
    pub(crate) fn failed(&mut self, id: WindowId, ask: &Ask, status: Option<u16>) -> Option<Next> {
        let index = self.arrived(id)?;
        let window = self.row.get_mut(index)?;
        window.know(self.server);
        let next = status.and_then(|status| window.refused(ask, status));
        self.server = window.walk().server();
        if next != Some(Next::Ask) {
            window.fail();
        } else if let Order::OldestFirst(look) = &mut self.order {
            // A first request of ordinary length may succeed.
            look.first_limit = None;
        }
        next
    }

    /// A request was dropped before its answer came. `ask` returns it again.
    #[cfg(test)]
    pub(crate) fn abandon(&mut self, id: WindowId) {
        let index = self.arrived(id);
        if let Some(window) = index.and_then(|index| self.row.get_mut(index)) {
            window.abandon();
        }
    }

    /// The window that failed, once everything before it has been taken and nothing more can come from before
    /// it.
    pub(crate) fn failure(&self) -> Option<WindowId> {
        let front = self.row.front()?;
        let taken = !self.newest_first() || front.parts() == 0;
        (front.is_failed() && taken).then(|| front.id())
    }

    /// Allows failed windows to ask again.
    pub(crate) fn resume(&mut self) {
        for window in &mut self.row {
            window.resume();
        }
    }
}

fn pick<M>(keys: Vec<Key>, messages: Vec<M>, indices: &[usize]) -> (Vec<Key>, Vec<M>) {
    let mut all: Vec<Option<(Key, M)>> = keys.into_iter().zip(messages).map(Some).collect();
    indices.iter().filter_map(|index| all.get_mut(*index)?.take()).unzip()
}
