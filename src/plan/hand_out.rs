//! What the plan hands out, in order, and when the plan is over.

use super::{Chunk, Order, Plan};
use crate::cursor::Key;
use crate::walk::End;
use crate::window::Part;

impl<M> Plan<M> {
    /// Takes the next messages that can be handed out.
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
            let first = !front.is_going_out();
            let Part { mut keys, mut messages, bytes, span } = front.take(newest_first)?;
            self.held -= messages.len();
            self.bytes -= bytes;
            if !newest_first {
                keys.reverse();
                messages.reverse();
            }
            if first {
                self.drop_unplaced_again(&mut keys, &mut messages);
            }
            if let Some(front) = self.row.front_mut().filter(|_| !messages.is_empty()) {
                front.goes_out();
            }
            self.trim(&mut keys, &mut messages);
            self.note_unplaced(&keys);
            self.settle();
            if !messages.is_empty() {
                self.begun = true;
                return Some(Chunk { keys, messages, span });
            }
        }
    }

    /// Removes the windows that are done, from the first on. After the last one, removes everything.
    pub(super) fn settle(&mut self) {
        while let Some(front) =
            self.row.front().filter(|front| front.is_complete() && front.parts() == 0)
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

    /// Removes messages beyond `max_messages`.
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

    /// Removes messages that were handed out at the end of the window before. A message without a readable
    /// timestamp may be in both of two neighbouring windows.
    fn drop_unplaced_again(&self, keys: &mut Vec<Key>, messages: &mut Vec<M>) {
        let is_again =
            |key: &Key| matches!(key, Key::Unplaced(print) if self.unplaced.contains(print));
        while keys.last().is_some_and(is_again) {
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
}
