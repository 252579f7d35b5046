//! What an answer shows of the server: how many messages it gives, when the chat began, and whether an answer may
//! have been cut off.

use super::sort::Sorted;
use super::{Answer, Ask, DEFAULT_LIMIT, Goal, PageLength, Server, Walk, limit_from};
use crate::chat_time::ChatTime;
use crate::timestamp::Timestamp;

impl Walk {
    pub(super) fn learn(
        &mut self,
        ask: &Ask,
        answer: Answer<'_>,
        sorted: &Sorted,
        short: bool,
        before: Option<Timestamp>,
    ) {
        self.learn_times(answer);
        let server = &mut self.server;
        server.answered = server.answered.max(ask.limit);
        if ask.bot_session || matches!(self.goal, Goal::Confirm(_) | Goal::Beyond(_)) {
            return;
        }
        if matches!(server.page_length, PageLength::Capped(cap) if sorted.count > cap) {
            server.page_length = PageLength::Uneven;
        }
        if !short {
            // All of the cursor's time was counted, the cursor among it.
            let passed_cursor = before.is_some() && self.position.timestamp() < before;
            server.page_length = match server.page_length {
                PageLength::Unproven { first: None } if passed_cursor => PageLength::AsAsked,
                PageLength::Unproven { first: Some(_) } if passed_cursor => PageLength::Uneven,
                known => known,
            };
        } else if self.goes_on() && !sorted.reached_since {
            let count = sorted.count;
            self.server.page_length = match self.server.page_length {
                PageLength::Unproven { .. } if before.is_none() => {
                    PageLength::Unproven { first: Some(count) }
                }
                PageLength::Unproven { .. } | PageLength::AsAsked if count > 0 => {
                    PageLength::Capped(count)
                }
                PageLength::Capped(cap) if cap == count => PageLength::Capped(cap),
                _ => PageLength::Uneven,
            };
            self.server.limit = self.server.limit.min(limit_from(count)).max(self.bounds.page_size);
        }
    }

    /// An answer that says nothing of the chat's times takes nothing back, and neither does one that calls a
    /// chat empty that was not.
    pub(super) fn learn_times(&mut self, answer: Answer<'_>) {
        let Server { start, latest, .. } = &mut self.server;
        for (known, stated) in [(start, answer.chat_start), (latest, answer.chat_latest)] {
            match stated {
                ChatTime::At(_) => *known = stated,
                ChatTime::Empty if *known == ChatTime::Unknown && answer.keys.is_empty() => {
                    *known = stated;
                }
                ChatTime::Empty | ChatTime::Unknown => {}
            }
        }
    }

    /// Whether the server may have stopped for another reason than that there is no more.
    pub(super) fn may_be_cut_off(&self, ask: &Ask, sorted: &Sorted, short: bool) -> bool {
        let limit = usize::try_from(ask.limit).unwrap_or(usize::MAX);
        let default = usize::try_from(DEFAULT_LIMIT).unwrap_or(usize::MAX);
        if !short || self.server.page_length == PageLength::Uneven || self.is_full(sorted, limit) {
            return true;
        }
        if sorted.count == 0 {
            // Not by a cap, which lets something be seen.
            return false;
        }
        // What was asked for with a larger `limit` than usual may have met a cap that no page has met.
        matches!(self.goal, Goal::Widen(_) | Goal::Beyond(_))
            || match self.server.page_length {
                PageLength::Unproven { first } => self.is_full(sorted, first.unwrap_or(default)),
                PageLength::Capped(cap) => sorted.count >= cap,
                PageLength::AsAsked | PageLength::Uneven => sorted.count >= default,
            }
    }

    /// Whether so many may have been counted: those shown, and with them the cursor, or all at its time that were
    /// left out. If as many as that had been left out alone, nothing would be shown.
    pub(super) fn is_full(&self, sorted: &Sorted, limit: usize) -> bool {
        let left_out = match self.server.page_length {
            PageLength::AsAsked => 0,
            _ if sorted.count > 0 && sorted.left_out >= limit => 1,
            _ => sorted.left_out,
        };
        sorted.count + left_out >= limit
    }

    pub(super) fn all_came_back(&self, sorted: &Sorted) -> bool {
        sorted.held >= self.position.ids().count()
    }

    /// Whether an answer that excludes nothing shows that there is nothing more at its time.
    pub(super) fn is_whole(&self, sorted: &Sorted) -> bool {
        let capped =
            matches!(self.server.page_length, PageLength::Capped(cap) if sorted.count >= cap);
        let default = usize::try_from(DEFAULT_LIMIT).unwrap_or(usize::MAX);
        // Which of the unreadable ones came back cannot be told for certain.
        let uncertain = sorted.unreadable && sorted.count >= default;
        self.all_came_back(sorted) && !capped && !uncertain
    }
}
