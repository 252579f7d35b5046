//! What one answer means for the walk. This is the table of transitions of `DESIGN.md` as code.

use super::sort::Sorted;
use super::{
    Answer, Ask, End, Goal, Kept, Next, PageLength, SessionFilter, Stall, Start, Stuck, Verdict,
    Walk, limit_from,
};
use crate::chat_time::ChatTime;
use crate::cursor::Key;
use crate::position::MOST_TIED;
use crate::timestamp::Timestamp;

impl Walk {
    /// Takes the answer to `ask`. Says which messages are new, moves the position on, and decides what follows.
    pub(crate) fn receive(&mut self, ask: &Ask, answer: Answer<'_>) -> Verdict {
        let mut sorted = self.sort_out(ask, answer);
        if let Some(next) = self.hands_out_nothing(ask, answer, &sorted) {
            let duplicates = answer.keys.len() as u64;
            return Verdict { kept: Kept::Only(Vec::new()), duplicates, next };
        }
        let before = self.position.timestamp();
        if in_order(&sorted.passed, answer.keys) {
            self.position.advance(answer.keys);
        } else {
            let passed: Vec<Key> =
                sorted.passed.iter().map(|index| answer.keys[*index].clone()).collect();
            self.position.advance(&passed);
        }
        let short = sorted.count < usize::try_from(ask.limit).unwrap_or(usize::MAX);
        self.learn(ask, answer, &sorted, short, before);
        let mut next = if sorted.reached_since {
            Next::End(End::ReachedSince)
        } else if sorted.new {
            self.after_something_new(ask, &sorted, short, before)
        } else {
            self.after_nothing_new(ask, &sorted, short)
        };
        // If these requests follow, the next answer holds the leading messages again, together with older ones.
        let come_again = matches!(self.goal, Goal::First | Goal::Page | Goal::Widen(_));
        if !(next == Next::Ask && come_again) {
            self.hand_out_leading(&mut sorted, answer.keys);
        }
        if self.position.seen.len() > MOST_TIED {
            next = self.stalled(Stall::TooManyTies);
        }
        let next = self.count_out(&mut sorted.kept, next);
        let kept = if in_order(&sorted.kept, answer.keys) {
            Kept::AllAsTheyCame
        } else {
            Kept::Only(sorted.kept)
        };
        Verdict { kept, duplicates: sorted.duplicates, next }
    }

    fn hand_out_leading(&mut self, sorted: &mut Sorted, keys: &[Key]) {
        let leading = std::mem::take(&mut sorted.leading);
        let passed: Vec<Key> = leading.iter().map(|(index, _)| keys[*index].clone()).collect();
        self.position.advance(&passed);
        let kept = leading.iter().filter(|(_, kept)| *kept).map(|(index, _)| *index);
        sorted.kept.splice(0..0, kept);
    }

    /// Deals with an answer that only tells something and hands out no message.
    fn hands_out_nothing(
        &mut self,
        ask: &Ask,
        answer: Answer<'_>,
        sorted: &Sorted,
    ) -> Option<Next> {
        match self.goal {
            Goal::AtStart { time, stuck } => {
                self.learn_times(answer);
                return Some(self.after_start(time, stuck, sorted));
            }
            Goal::Newest(stuck) => return Some(self.after_newest(stuck, sorted)),
            _ => {}
        }
        let asked = ask.cursor.as_ref().map(|cursor| cursor.timestamp);
        match answer.chat_latest {
            // The chat has messages after the year 9999, or the server counts in another unit.
            ChatTime::At(latest)
                if self.goal == Goal::First
                    && self.bounds.until.is_none()
                    && asked.is_some_and(|asked| asked < latest) =>
            {
                self.newest = latest.next_milli();
                self.goal = Goal::Page;
                Some(Next::Ask)
            }
            _ => None,
        }
    }

    /// Trims what is handed out to `max_messages`, and ends the walk when that number is reached.
    fn count_out(&mut self, kept: &mut Vec<usize>, next: Next) -> Next {
        let Some(remaining) = &mut self.remaining else {
            return next;
        };
        let surplus = kept.len().saturating_sub(usize::try_from(*remaining).unwrap_or(usize::MAX));
        kept.drain(..surplus);
        *remaining -= kept.len() as u64;
        if surplus > 0 || (*remaining == 0 && !matches!(next, Next::End(_))) {
            return Next::End(End::ReachedMax);
        }
        next
    }

    fn after_something_new(
        &mut self,
        ask: &Ask,
        sorted: &Sorted,
        short: bool,
        before: Option<Timestamp>,
    ) -> Next {
        if self.start() == Start::Reached && !self.may_be_cut_off(ask, sorted, short) {
            return Next::End(End::ReachedStart);
        }
        if self.must_filter(ask, sorted) {
            return self.filter_ourselves();
        }
        let inside_group = self.position.timestamp() == before;
        self.goal = match self.goal {
            // Twice the number seen of the group, so that a few requests are enough.
            Goal::Widen(_) | Goal::Beyond(_) if inside_group => {
                let limit = self.more_than(limit_from(self.position.seen.len()));
                Goal::Widen(Stuck { limit, count: sorted.count, why: Stall::Ties })
            }
            Goal::First | Goal::Page if !short && ask.limit == self.server.limit => {
                self.server.limit = self.grown();
                Goal::Page
            }
            _ => Goal::Page,
        };
        Next::Ask
    }

    /// Decides what follows an answer that brought nothing new. This is the main part of the table.
    fn after_nothing_new(&mut self, ask: &Ask, sorted: &Sorted, short: bool) -> Next {
        let stuck = Stuck { limit: ask.limit, count: sorted.count, why: why(sorted) };
        let limit = usize::try_from(ask.limit).unwrap_or(usize::MAX);
        let short = short && !self.is_full(sorted, limit);
        if self.must_filter(ask, sorted) {
            return self.filter_ourselves();
        }
        if ask.bot_session && short {
            return self.after_nothing_new_in_session(sorted, stuck);
        }
        let start = self.start();
        let said_empty = sorted.count == 0 && self.server.start == ChatTime::Empty;
        match (self.goal, start) {
            (Goal::Beyond(last), _) => self.after_beyond(last, stuck, sorted, short),
            _ if !short => self.widen(stuck),
            // The server says once that the chat is empty. The walk does not believe this if it has handed out
            // a message, or if it asked behind `until`.
            (Goal::Page | Goal::Widen(_), _) if said_empty => self.go_on(Goal::Confirm(stuck)),
            (Goal::First, _) if said_empty && self.asks_past_until() => {
                self.go_on(Goal::Confirm(stuck))
            }
            _ if said_empty => Next::End(End::ReachedStart),
            (Goal::Confirm(last), _) => self.after_confirm(start, last, stuck, sorted),
            (Goal::Widen(_), Start::FurtherBack(time)) => self.go_on(Goal::AtStart { time, stuck }),
            (_, Start::FurtherBack(_)) => self.widen(stuck),
            (_, Start::Reached) if !self.may_be_cut_off(ask, sorted, short) => {
                Next::End(End::ReachedStart)
            }
            _ => self.go_on(Goal::Confirm(stuck)),
        }
    }

    /// No answer says when a session began. So an empty answer or a confirmed one is the session's end.
    fn after_nothing_new_in_session(&mut self, sorted: &Sorted, stuck: Stuck) -> Next {
        match self.goal {
            _ if sorted.count == 0 => Next::End(End::ReachedStart),
            Goal::Confirm(_) if self.all_came_back(sorted) => Next::End(End::ReachedStart),
            // The server does say when the whole chat began, so the walk goes on through the whole chat.
            Goal::Confirm(_) => self.filter_ourselves(),
            _ => self.go_on(Goal::Confirm(stuck)),
        }
    }

    fn after_confirm(&mut self, start: Start, last: Stuck, stuck: Stuck, sorted: &Sorted) -> Next {
        match start {
            Start::FurtherBack(time) => self.go_on(Goal::AtStart { time, stuck }),
            Start::Unknown if sorted.cursor_ignored => self.stalled(Stall::CursorIgnored),
            // A cap would still have shown something.
            _ if last.count == 0 || self.is_whole(sorted) => Next::End(End::ReachedStart),
            _ => self.look_beyond(stuck),
        }
    }

    /// A longer answer here shows that no cap made the confirmed answer short. The messages that were missing
    /// from the confirmed answer have been deleted.
    fn after_newest(&mut self, stuck: Stuck, sorted: &Sorted) -> Next {
        if sorted.count > stuck.count {
            return Next::End(End::ReachedStart);
        }
        self.stalled_for_want_of_more(stuck.why)
    }

    /// Decides what follows the answer at the time when the server says that the chat began.
    fn after_start(&mut self, time: Timestamp, stuck: Stuck, sorted: &Sorted) -> Next {
        if sorted.cursor_ignored {
            return self.stalled(Stall::CursorIgnored);
        }
        if sorted.passed.is_empty() && sorted.leading.is_empty() {
            // The first message was deleted. The server's statement about the chat's beginning no longer
            // counts. What the walk concluded from that statement does not count either.
            self.server.stale_start = Some(time);
            self.server.page_length = PageLength::Unproven { first: None };
            return self.go_on(Goal::Confirm(stuck));
        }
        self.look_beyond(stuck)
    }

    fn after_beyond(&mut self, last: Stuck, stuck: Stuck, sorted: &Sorted, short: bool) -> Next {
        let grows = stuck.count == 0 || stuck.count > last.count;
        match self.goes_on() {
            _ if sorted.cursor_ignored => self.stalled(Stall::CursorIgnored),
            false if short && self.is_whole(sorted) => Next::End(End::ReachedStart),
            // Even the messages that were handed out are no longer there.
            false if stuck.count == 0 && last.count == 0 => Next::End(End::ReachedStart),
            false if !grows => self.go_on(Goal::Newest(stuck)),
            // A cap looks like this, but so does a run of hidden messages. The run can be longer than this
            // answer.
            _ => self.look_beyond(stuck),
        }
    }

    fn look_beyond(&mut self, stuck: Stuck) -> Next {
        let limit = self.more_than(stuck.limit).min(limit_from(MOST_TIED));
        if limit <= stuck.limit {
            return self.stalled_for_want_of_more(stuck.why);
        }
        self.go_on(Goal::Beyond(Stuck { limit, ..stuck }))
    }

    /// Asks for more at the same cursor, because only a longer answer can show something new.
    fn widen(&mut self, stuck: Stuck) -> Next {
        let limit = self.more_than(limit_from(self.position.seen.len()).max(stuck.limit));
        if limit <= stuck.limit {
            return self.cannot_widen(stuck);
        }
        self.go_on(Goal::Widen(Stuck { limit, ..stuck }))
    }

    /// No larger `limit` is possible. Finds out whether there is anything older at all.
    fn cannot_widen(&mut self, stuck: Stuck) -> Next {
        if self.asks_for_session() {
            return self.filter_ourselves();
        }
        if self.asks_past_until() && !matches!(self.goal, Goal::Confirm(_)) {
            return self.go_on(Goal::Confirm(stuck));
        }
        match self.start() {
            Start::FurtherBack(time) => self.go_on(Goal::AtStart { time, stuck }),
            Start::Reached | Start::Unknown => self.stalled_for_want_of_more(stuck.why),
        }
    }

    /// The server refused the `limit` of `ask` with this status. Returns what follows. Returns `None` if the
    /// walk did not choose that `limit` itself: then the refusal is the caller's error.
    pub(crate) fn refused(&mut self, ask: &Ask, status: u16) -> Option<Next> {
        let own_choice = ask.limit > self.bounds.page_size && ask.limit > self.server.answered;
        if !matches!(status, 400 | 413 | 422) || !own_choice {
            return None;
        }
        self.server.refused = Some((ask.limit, status));
        let seen = limit_from(self.position.seen.len());
        Some(match self.goal {
            Goal::First | Goal::Page => {
                self.server.limit = self.server.answered.max(self.bounds.page_size);
                Next::Ask
            }
            Goal::Widen(stuck) if stuck.count == 0 && self.goes_on() => {
                self.cannot_widen(Stuck { limit: self.server.answered, ..stuck })
            }
            Goal::Widen(stuck) => {
                // A `limit` of `least` or less cannot show more than what is known.
                let least = seen.max(limit_from(stuck.count));
                match halfway(least, ask.limit) {
                    limit if limit > least => self.go_on(Goal::Widen(Stuck { limit, ..stuck })),
                    limit => self.cannot_widen(Stuck { limit, ..stuck }),
                }
            }
            Goal::Beyond(stuck) => match halfway(self.server.answered, ask.limit) {
                limit if limit > self.server.answered => {
                    self.go_on(Goal::Beyond(Stuck { limit, ..stuck }))
                }
                _ => self.stalled_for_want_of_more(stuck.why),
            },
            Goal::Confirm(stuck) | Goal::AtStart { stuck, .. } | Goal::Newest(stuck) => {
                self.stalled_for_want_of_more(stuck.why)
            }
        })
    }

    /// Twice `limit`, or halfway to the `limit` that was refused. It is at least a page, because `limit` may
    /// have been trimmed to less.
    fn more_than(&self, limit: u32) -> u32 {
        let more = limit.saturating_mul(2).max(self.bounds.page_size);
        match self.server.refused {
            Some((refused, _)) if more >= refused => halfway(limit, refused),
            _ => more,
        }
    }

    pub(super) fn goes_on(&self) -> bool {
        matches!(self.start(), Start::FurtherBack(_))
    }

    /// Whether the next page is asked for a millisecond after `until`, where many messages may stand.
    fn asks_past_until(&self) -> bool {
        self.position.cursor.is_none() && self.bounds.until.is_some()
    }

    fn must_filter(&self, ask: &Ask, sorted: &Sorted) -> bool {
        ask.bot_session && (sorted.foreign || sorted.cursor_ignored)
    }

    fn filter_ourselves(&mut self) -> Next {
        self.server.session_filter = SessionFilter::Ourselves;
        self.go_on(Goal::Page)
    }

    fn go_on(&mut self, goal: Goal) -> Next {
        self.goal = goal;
        Next::Ask
    }

    /// Stops the walk. A walk that is resumed after a stall begins with the next page.
    fn stalled(&mut self, why: Stall) -> Next {
        self.goal = Goal::Page;
        Next::Stalled(why)
    }

    /// Stops the walk: only a larger `limit` could help, and none is possible.
    fn stalled_for_want_of_more(&mut self, why: Stall) -> Next {
        self.stalled(match self.server.refused {
            Some((limit, status)) => Stall::LimitRefused { limit, status },
            None => why,
        })
    }
}

/// What an answer that brought nothing new consisted of.
fn why(sorted: &Sorted) -> Stall {
    match sorted {
        Sorted { unreadable: true, .. } => Stall::Unreadable,
        // The last message itself says nothing of others at its time.
        Sorted { count: 0, .. } | Sorted { held: 0 | 1, .. } => Stall::Empty,
        _ => Stall::Ties,
    }
}

fn in_order(indices: &[usize], keys: &[Key]) -> bool {
    indices.len() == keys.len() && indices.iter().enumerate().all(|(place, index)| place == *index)
}

/// The middle between a `limit` that was answered and one that was refused, rounded down.
fn halfway(answered: u32, refused: u32) -> u32 {
    answered.saturating_add(refused.saturating_sub(answered) / 2)
}
