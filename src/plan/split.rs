//! Where to split a window that is too long.

use super::{Order, Plan};
use crate::position::Position;
use crate::timestamp::Timestamp;
use crate::walk::Bounds;
use crate::window::Window;

/// The fewest messages that the buffer can hold. A smaller buffer costs many more requests.
const FEWEST_MESSAGES: usize = 1_600;
const FEWEST_MESSAGES_AT_ONCE: usize = 6_400;
const FEWEST_PER_REQUEST: usize = 800;

/// Which part of the buffer is filled by a sync before it guesses where to split.
const SYNC_PART: f64 = 0.65;

impl<M> Plan<M> {
    /// How many messages a page is expected to bring.
    pub(super) fn page(&self) -> usize {
        self.server.page()
    }

    /// How many messages the buffer may hold. Their bodies must also fit into the bytes that may wait.
    pub(super) fn buffer(&self) -> usize {
        let several = self.settings.concurrency;
        let messages = match several {
            0 | 1 => self.page().saturating_mul(16).max(FEWEST_MESSAGES),
            _ => {
                let fewest =
                    FEWEST_MESSAGES_AT_ONCE.max(several.saturating_mul(FEWEST_PER_REQUEST));
                self.page().saturating_mul(8).saturating_mul(several).max(fewest)
            }
        };
        #[cfg(test)]
        let messages = self.settings.buffer.unwrap_or(messages);
        let in_bytes = self.settings.most_bytes as f64 / self.bytes_per_message;
        messages.min(in_bytes as usize)
    }

    /// How many pages of a window are still to be asked for, as far as can be told.
    pub(super) fn pages_left(&self, window: &Window<M>) -> Option<f64> {
        if window.is_complete() {
            return Some(0.0);
        }
        let asked = f64::from(u8::from(window.is_under_way()));
        if window.is_one_page() {
            return Some(1.0 - asked);
        }
        let (low, bottom) = self.rest(window)?;
        let millis = bottom.as_millis().saturating_sub(low.as_millis()) as f64;
        Some(self.rate(window) * millis / self.page() as f64 - asked)
    }

    /// How many messages of a window are expected, those that it holds included.
    pub(super) fn expected(&self, window: &Window<M>) -> f64 {
        let pages = self.pages_left(window).unwrap_or(0.0).max(0.0);
        (window.held() + window.may_bring()) as f64 + pages * self.page() as f64
    }

    /// The part of a window's time that has not been read: its lower and its upper end.
    fn rest(&self, window: &Window<M>) -> Option<(Timestamp, Timestamp)> {
        let bottom = window.bottom()?;
        let start = self.chat_start.filter(|start| *start <= bottom);
        let low = window.from().max(start)?;
        (low < bottom).then_some((low, bottom))
    }

    /// Messages per millisecond. Once much of the window has been read, this is the window's own rate. Before,
    /// it is the rate of the last answers.
    fn rate(&self, window: &Window<M>) -> f64 {
        let general = self.density.rate().unwrap_or(0.0);
        let enough = if self.settings.concurrency > 1 {
            16.0 * self.page() as f64
        } else {
            self.buffer() as f64 / 2.0
        };
        let weight = (window.read() as f64 / enough).min(1.0);
        match window.density().rate() {
            Some(own) if weight > 0.0 => general.powf(1.0 - weight) * own.powf(weight),
            _ => general,
        }
    }

    /// Where to split a window, or `None` if it is not too long. Everything up to that time, inclusive, becomes
    /// a new window.
    pub(super) fn place_to_split(&self, index: usize) -> Option<Timestamp> {
        let one_walk = self.settings.bounds.bot_session.is_some()
            || (self.newest_first() && self.settings.concurrency <= 1);
        let window = self.row.get(index)?;
        if one_walk || self.answers == 0 || window.is_complete() || window.is_one_page() {
            return None;
        }
        let (low, bottom) = self.rest(window)?;
        let left = self.pages_left(window)?;
        let part = match (&self.order, self.settings.concurrency) {
            (Order::NewestFirst, _) => self.part_newest_first(index, window, left),
            (Order::OldestFirst(_), 0 | 1) => self.part_one_at_a_time(window, left),
            (Order::OldestFirst(_), _) => self.part_oldest_first(index, window, left),
        }?;
        let millis = bottom.as_millis().saturating_sub(low.as_millis());
        let at = low.as_millis().saturating_add((millis as f64 * part.clamp(0.0, 1.0)) as i64);
        Some(Timestamp::from_millis(at)).filter(|at| *at < bottom)
    }

    /// How many pages each of several windows may hold.
    fn share(&self) -> f64 {
        let pages = self.buffer() as f64 / self.page() as f64;
        (pages / (2.0 * self.settings.concurrency as f64)).max(3.0)
    }

    /// How many pages make one part of a window that is too long. It is half of the pages that are left. For
    /// the last window, it is one share.
    fn piece(&self, index: usize, left: f64, share: f64) -> Option<f64> {
        if index + 1 == self.row.len() {
            (left > share).then_some(share)
        } else {
            (left > 2.0 * share).then_some(left / 2.0)
        }
    }

    /// Newest first, the window keeps the piece and the page under way.
    fn part_newest_first(&self, index: usize, window: &Window<M>, left: f64) -> Option<f64> {
        if !window.is_under_way() {
            return None;
        }
        let piece = self.piece(index, left, self.share())?;
        Some(1.0 - ((piece + 1.0) / (left + 1.0)).min(0.95))
    }

    /// Oldest first, the piece becomes the new window. The part of the last window before its newest page is
    /// read last.
    fn part_oldest_first(&self, index: usize, window: &Window<M>, left: f64) -> Option<f64> {
        let is_last = index + 1 == self.row.len();
        if !window.is_under_way() && !is_last {
            return None;
        }
        let piece = self.piece(index, left, self.share().min(self.target))?;
        let asked = f64::from(u8::from(window.is_under_way()));
        Some((piece / (left + asked)).min(0.95))
    }

    /// Oldest first with one request at a time, the new window is as long as the free buffer is expected to
    /// hold.
    fn part_one_at_a_time(&self, window: &Window<M>, left: f64) -> Option<f64> {
        let page = self.page() as f64;
        let free = self.buffer().saturating_sub(self.held) as f64 / page;
        let free = free.min(self.target);
        let Order::OldestFirst(look) = &self.order else { return None };
        let is_sync = look.known.newest.is_some();
        // What has come since the last look often lies behind a long silence, where a guess finds nothing.
        if is_sync
            && self.row.len() == 1
            && window.read() as f64 <= SYNC_PART * self.buffer() as f64
        {
            return None;
        }
        let early = !is_sync && !self.begun;
        let again = early && window.read() as f64 > 1.5 * page;
        if left <= free + 1.0 && !again {
            return None;
        }
        let part = (0.75 * free).max(1.0) / left * 4_f64.powi(self.empty);
        Some(part.min(if early { (4_f64.powi(self.empty) / 16.0).min(0.7) } else { 0.7 }))
    }

    /// Splits the window in two. Returns the index of the older one.
    pub(super) fn split(&mut self, index: usize, at: Timestamp) -> usize {
        let from = self.row.get(index).and_then(Window::from);
        let older = self.new_window(from, Some(at), false);
        if let Some(window) = self.row.get_mut(index) {
            window.raise_from(at.next_milli());
        }
        let older_at = if self.newest_first() { index + 1 } else { index };
        self.row.insert(older_at, older);
        older_at
    }

    pub(super) fn new_window(
        &mut self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        one_page: bool,
    ) -> Window<M> {
        let bounds = Bounds { since, until, max_messages: None, ..self.settings.bounds.clone() };
        Window::new(self.next_id(), bounds, Position::default(), one_page)
    }
}
