//! What the plan drops when the buffer is full.

use super::Plan;
use crate::window::Window;

/// The most windows that may be unread. If there are more, neighbours become one.
const MOST_UNREAD: usize = 1_024;

impl<M> Plan<M> {
    /// Whether the window at `index`, or a part split off from it, may ask for a page. For the window that is
    /// handed out next, the plan makes room. If that window has nothing to hand out, it may always ask.
    pub(super) fn may_ask(&mut self, index: usize, split: bool) -> bool {
        while index == 0 && !self.has_room() && self.drop_some() {}
        let goes_out_first = index == 0 && !(self.newest_first() && (split || self.reads_ahead()));
        goes_out_first || self.has_room()
    }

    /// Whether the next page of the window that is handed out next would wait, newest first. How many pages may
    /// wait within a single window is the matter of `prefetch`.
    fn reads_ahead(&self) -> bool {
        self.settings.concurrency > 1 && self.row.front().is_some_and(|front| front.parts() > 0)
    }

    /// Whether one more page fits.
    fn has_room(&self) -> bool {
        self.held + self.may_bring + self.page() <= self.buffer()
    }

    /// Drops what no longer fits after an answer. An answer that shows a large group of equal timestamps is
    /// long.
    pub(super) fn drop_surplus(&mut self) {
        let is_too_much =
            |plan: &Self| plan.held > plan.buffer() || plan.bytes > plan.settings.most_bytes;
        while is_too_much(self) && self.drop_some() {}
    }

    /// Drops at most one message fewer than a page. One request reads them again and shows that the window is
    /// complete.
    ///
    /// NOTE: a bot session is read whole, because nothing says that a session can be asked for at a certain
    /// time.
    pub(super) fn drop_some(&mut self) -> bool {
        if self.settings.bounds.bot_session.is_some() {
            return false;
        }
        let newest_first = self.newest_first();
        let count = (self.page() - 1).max(1);
        for index in (0..self.row.len()).rev() {
            let Some(window) = self.row.get_mut(index) else { continue };
            let goes_out_now = index == 0 && (newest_first || window.is_complete());
            // NOTE: newest first, the walk no longer matches a window that was cut.
            let cannot_be_cut = newest_first && window.is_under_way();
            if window.held() == 0 || goes_out_now || cannot_be_cut {
                continue;
            }
            let (held, bytes) = (window.held(), window.bytes());
            if let Some(dropped) = window.drop_last(count, newest_first) {
                self.held -= held - window.held();
                self.bytes -= bytes - window.bytes();
                let one_page = dropped.whole && dropped.count <= count;
                let rest = self.new_window(dropped.from, dropped.until, one_page);
                self.row.insert(index + 1, rest);
                self.join_unread();
                return true;
            }
            if index > 0 && !window.is_under_way() {
                // All its messages share one timestamp, so all of them are dropped or none.
                let (from, until) = (window.from(), window.until());
                let one_page = window.is_complete() && held <= count;
                self.held -= held;
                self.bytes -= bytes;
                let unread = self.new_window(from, until, one_page);
                if let Some(window) = self.row.get_mut(index) {
                    *window = unread;
                }
                self.join_unread();
                return true;
            }
        }
        false
    }

    /// Keeps the number of unread windows within its limit by joining the last two neighbours.
    fn join_unread(&mut self) {
        let unread = |window: &Window<M>| window.is_unread();
        if self.row.iter().filter(|window| unread(window)).count() <= MOST_UNREAD {
            return;
        }
        let pair = |index: &usize| {
            [*index, index + 1].iter().all(|index| self.row.get(*index).is_some_and(unread))
        };
        let Some(index) = (1..self.row.len()).rev().find(pair) else { return };
        let (Some(one), Some(other)) = (self.row.get(index), self.row.get(index + 1)) else {
            return;
        };
        let (older, newer) = if self.newest_first() { (other, one) } else { (one, other) };
        let (from, until) = (older.from(), newer.until());
        let joined = self.new_window(from, until, false);
        self.row.remove(index + 1);
        if let Some(window) = self.row.get_mut(index) {
            *window = joined;
        }
    }
}
