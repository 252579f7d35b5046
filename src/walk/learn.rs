//! What an answer shows of the server: how many messages it gives, when the chat began, and whether the answer
//! may have been *cut off*. A cut-off answer stopped although there are more messages.

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
            // The answer passed the cursor's time, so the server counted all of that time and the cursor's
            // message.
            let passed_cursor = before.is_some() && self.position.timestamp() < before;
            server.page_length = match server.page_length {
                PageLength::Unproven { first: None } if passed_cursor => PageLength::AsAsked,
                PageLength::Unproven { first: Some(_) } => PageLength::Uneven,
                known => known,
            };
        } else if self.goes_on() && !sorted.reached_since {
            let count = sorted.count;
            self.server.page_length = match self.server.page_length {
                PageLength::Unproven { .. } if before.is_none() => {
                    PageLength::Unproven { first: Some(count) }
                }
                // A cap would have given as many, with or without those that the cursor leaves out.
                PageLength::Unproven { first: Some(first) }
                    if first != count && first != count + sorted.left_out =>
                {
                    PageLength::Uneven
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

    /// Remembers when the chat began and when its latest message came. An answer without these times changes
    /// nothing. Neither does an answer that calls a chat empty which was not empty before.
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

    /// Whether the server may have stopped although there are more messages.
    pub(super) fn may_be_cut_off(&self, ask: &Ask, sorted: &Sorted, short: bool) -> bool {
        let limit = usize::try_from(ask.limit).unwrap_or(usize::MAX);
        let default = usize::try_from(DEFAULT_LIMIT).unwrap_or(usize::MAX);
        if !short || self.server.page_length == PageLength::Uneven || self.is_full(sorted, limit) {
            return true;
        }
        if sorted.count == 0 {
            // A cap still shows something, so no cap made this answer empty.
            return false;
        }
        // This answer had a larger `limit` than usual. It may have met a cap that no ordinary page has met.
        matches!(self.goal, Goal::Widen(_) | Goal::Beyond(_))
            || match self.server.page_length {
                PageLength::Unproven { first: None } => self.is_full(sorted, default),
                // Two answers were shorter than asked. A cap would have made them equal, unless this is the last.
                PageLength::Unproven { first: Some(_) } => true,
                PageLength::Capped(cap) => self.is_full(sorted, cap),
                PageLength::AsAsked | PageLength::Uneven => sorted.count >= default,
            }
    }

    /// Whether the server may have counted `limit` messages: those in the answer and those left out. It may
    /// have left out the cursor, or all messages at the cursor's time that did not come back. If it had left
    /// out `limit` messages, the answer would be empty. So in an answer that is not empty, such a number counts
    /// as one.
    pub(super) fn is_full(&self, sorted: &Sorted, limit: usize) -> bool {
        let left_out = match self.server.page_length {
            PageLength::AsAsked => 0,
            _ if sorted.count > 0 && sorted.left_out >= limit => 1,
            _ => sorted.left_out,
        };
        sorted.count + left_out >= limit
    }

    /// Whether all messages with a place that were handed out at the position's time are in the answer.
    pub(super) fn all_came_back(&self, sorted: &Sorted) -> bool {
        sorted.held >= self.position.ids().count()
    }

    /// Whether an answer that excludes nothing shows that there is nothing more at its time.
    pub(super) fn is_whole(&self, sorted: &Sorted) -> bool {
        let capped =
            matches!(self.server.page_length, PageLength::Capped(cap) if sorted.count >= cap);
        let default = usize::try_from(DEFAULT_LIMIT).unwrap_or(usize::MAX);
        // Nothing tells for certain which of the unreadable messages came back, nor of which time those are that
        // did not. So there may be more than a cap shows.
        let uncertain = (sorted.unreadable || sorted.text_missing) && sorted.count >= default;
        self.all_came_back(sorted) && !capped && !uncertain
    }
}
