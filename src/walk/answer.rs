//! What one answer means for the walk.

use std::collections::{HashMap, HashSet};

use super::{Ask, ChatTime, DEFAULT_LIMIT, End, Filters, MOST_TIED, Next, Probe, Walk};
use crate::checkpoint::Key;
use crate::id::MessageId;
use crate::timestamp::Timestamp;

/// What came back, as far as the walk needs to know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    /// Where each message stands, in the order of the body.
    pub(crate) keys: &'a [Key],
    /// Which messages belong to another session than the walk's; empty when none can.
    pub(crate) of_other_session: &'a [bool],
    pub(crate) chat_start: ChatTime,
}

/// Which messages of an answer are to be handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// All of them, and they came in ascending order.
    AllAsTheyCame,
    /// Those at these indices, in ascending order of the chat.
    Only(Vec<usize>),
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) kept: Kept,
    /// Messages dropped because they had been handed out, or are newer than where the walk stands.
    pub(crate) duplicates: u64,
    pub(crate) next: Next,
}

/// An answer sorted out message by message, as indices in ascending order of the chat.
#[derive(Debug, Default)]
struct Sorted {
    /// New messages within the bounds.
    kept: Vec<usize>,
    /// How many of those kept, the oldest, have no place and nothing older with one before them.
    leading: usize,
    /// What the cursor moves over: those kept, those of other sessions and those before `since`.
    passed: Vec<usize>,
    /// Whether a message with a place is among those passed.
    progress: bool,
    duplicates: u64,
    /// Whether a message newer than the walk's position stood in the answer.
    newer: bool,
    /// The oldest timestamp that is not newer than the walk's position.
    oldest: Option<Timestamp>,
    /// How many messages handed out earlier stood in the answer, at the cursor's timestamp.
    held: usize,
    /// How many messages say nothing of a cap: there twice, newer than the walk stands, or the cursor's own.
    surplus: usize,
    /// How many messages without a place stood in the answer.
    unplaced: usize,
    reached_since: bool,
    /// Whether the message that the request named as its cursor stood in the answer.
    holds_cursor: bool,
}

impl Walk {
    /// Takes the answer to `ask`: says what is new in it, moves the position on, decides what follows.
    pub(crate) fn receive(&mut self, ask: &Ask, answer: Answer<'_>) -> Verdict {
        self.chat_start = answer.chat_start;
        if let Some(probe) = self.probe.take() {
            return self.judge(probe, ask, answer);
        }
        let mut sorted = self.sort_out(ask, answer);
        let mut next = self.decide(ask, answer, &sorted);
        self.longest_answer = self.longest_answer.max(answer.keys.len() - sorted.surplus);
        // Behind a probe there is nothing more to come.
        if next == Next::Ask && sorted.leading > 0 && self.probe.is_none() {
            // Nothing with a place comes before these, so their place is only certain once their elders
            // are here. Under either reading of the cursor the next answer holds them again.
            let leading: HashSet<usize> = sorted.kept.drain(..sorted.leading).collect();
            sorted.passed.retain(|index| !leading.contains(index));
        }
        if let Some(remaining) = &mut self.remaining {
            let surplus =
                sorted.kept.len().saturating_sub(usize::try_from(*remaining).unwrap_or(usize::MAX));
            sorted.kept.drain(..surplus);
            *remaining -= sorted.kept.len() as u64;
            if surplus > 0 || (*remaining == 0 && !matches!(next, Next::End(_))) {
                next = Next::End(End::ReachedMax);
            }
        }
        let in_order = |indices: &[usize]| {
            indices.len() == answer.keys.len()
                && indices.iter().enumerate().all(|(place, index)| place == *index)
        };
        if in_order(&sorted.passed) {
            self.position.advance(answer.keys);
        } else {
            let passed: Vec<Key> =
                sorted.passed.iter().map(|index| answer.keys[*index].clone()).collect();
            self.position.advance(&passed);
        }
        if self.position.ids.len() + self.position.unplaced.len() > MOST_TIED {
            next = Next::Stalled("more messages share one timestamp than a chat can have");
        }
        let kept =
            if in_order(&sorted.kept) { Kept::AllAsTheyCame } else { Kept::Only(sorted.kept) };
        Verdict { kept, duplicates: sorted.duplicates, next }
    }

    fn sort_out(&self, ask: &Ask, answer: Answer<'_>) -> Sorted {
        let order = ascending(answer.keys);
        let index_at = |place: usize| order.as_ref().map_or(place, |order| order[place]);
        let here = self.position.timestamp();
        let newest = here.or(self.bounds.until);
        let held: HashSet<&MessageId> = self.position.ids.iter().collect();
        // Only behind everything older than the cursor can a message without a place be one sent again.
        let older = |key: &Key| matches!(key, Key::Placed(cursor) if Some(cursor.timestamp) < here);
        let mut resent: HashMap<u64, usize> = HashMap::new();
        for unplaced in &self.position.unplaced {
            *resent.entry(unplaced.fingerprint).or_default() += 1;
        }
        let resent_from = if resent.is_empty() {
            0
        } else {
            let last = (0..answer.keys.len()).rev().find(|p| older(&answer.keys[index_at(*p)]));
            last.map_or(0, |place| place + 1)
        };

        let mut sorted = Sorted {
            kept: Vec::with_capacity(answer.keys.len()),
            passed: Vec::with_capacity(answer.keys.len()),
            ..Sorted::default()
        };
        // The ids of the group of equal timestamps that is being gone through, from its second on.
        let mut group: HashSet<&MessageId> = HashSet::new();
        let mut previous: Option<&crate::checkpoint::Cursor> = None;
        let mut behind_newer = false;
        for place in 0..answer.keys.len() {
            let index = index_at(place);
            let foreign = answer.of_other_session.get(index) == Some(&true);
            let key = match &answer.keys[index] {
                Key::Placed(key) => key,
                Key::Unplaced(fingerprint) => {
                    // The next older message is newer than where the walk stands, so this one is too.
                    if behind_newer {
                        sorted.duplicates += 1;
                        continue;
                    }
                    sorted.unplaced += 1;
                    let known = resent.get_mut(fingerprint).filter(|count| **count > 0);
                    if let Some(count) = known.filter(|_| place >= resent_from) {
                        *count -= 1;
                        sorted.duplicates += 1;
                    } else if !foreign {
                        sorted.kept.push(index);
                        sorted.passed.push(index);
                    }
                    continue;
                }
            };
            if self.names_cursor(ask, key) && !std::mem::replace(&mut sorted.holds_cursor, true) {
                sorted.surplus += 1;
            }
            behind_newer = newest.is_some_and(|newest| key.timestamp > newest);
            if behind_newer {
                sorted.duplicates += 1;
                sorted.surplus += 1;
                sorted.newer = true;
                continue;
            }
            if sorted.oldest.is_none() {
                sorted.oldest = Some(key.timestamp);
                sorted.leading = sorted.kept.len();
            }
            let repeated = match previous.replace(key) {
                Some(last) if last.timestamp == key.timestamp => {
                    group.insert(&last.id);
                    !group.insert(&key.id)
                }
                _ => {
                    group.clear();
                    false
                }
            };
            if repeated {
                sorted.surplus += 1;
                sorted.duplicates += 1;
            } else if here == Some(key.timestamp) && held.contains(&key.id) {
                sorted.held += 1;
                sorted.duplicates += 1;
            } else {
                sorted.progress = true;
                sorted.passed.push(index);
                if self.bounds.since.is_some_and(|since| key.timestamp < since) {
                    // What was kept so far has no place and is older still.
                    sorted.kept.clear();
                    sorted.leading = 0;
                    sorted.reached_since = true;
                } else if !foreign {
                    sorted.kept.push(index);
                }
            }
        }
        if sorted.oldest.is_none() {
            sorted.leading = sorted.kept.len();
        }
        sorted
    }

    fn names_cursor(&self, ask: &Ask, key: &crate::checkpoint::Cursor) -> bool {
        !self.confirming
            && ask.cursor.as_ref() == Some(key)
            && self.position.cursor.as_ref() == Some(key)
    }

    fn decide(&mut self, ask: &Ask, answer: Answer<'_>, sorted: &Sorted) -> Next {
        let count = answer.keys.len();
        if count == 0 {
            return Next::End(End::ReachedStart);
        }
        if sorted.reached_since {
            return Next::End(End::ReachedSince);
        }
        let in_session = self.bounds.bot_session.is_some();
        let short = count < usize::try_from(ask.limit).unwrap_or(usize::MAX);
        let full = !short || count >= self.cap.unwrap_or(DEFAULT_LIMIT as usize);
        let oldest = sorted.oldest.or(self.position.timestamp());
        let (reached_start, goes_on) = match answer.chat_start {
            ChatTime::At(start) => {
                (oldest == Some(start), oldest.is_some_and(|oldest| oldest > start))
            }
            ChatTime::Empty | ChatTime::Unknown => (false, false),
        };
        // Inside a group of equal timestamps that is larger than a page, the group's end and a cap look
        // alike: that is confirmed first.
        if !full && reached_start && self.widened.is_none() {
            return Next::End(End::ReachedStart);
        }
        if short && goes_on && !in_session && !self.confirming {
            let gave = count - sorted.surplus;
            self.cap = Some(self.cap.map_or(gave, |cap| cap.max(gave)));
            self.growing = false;
            self.limit = self.limit.min(limit_from(gave)).max(self.bounds.page_size);
        }
        match self.filters {
            Filters::CursorAlone { suspected_cap } if count - sorted.surplus > suspected_cap => {
                return Next::End(End::ReachedStart);
            }
            Filters::AllApply if in_session && sorted.holds_cursor => {
                self.filters = Filters::CursorIgnored;
            }
            _ => {}
        }
        if self.filters == Filters::CursorIgnored && short {
            if reached_start && !full {
                return Next::End(End::ReachedStart);
            }
            if sorted.leading > 0 {
                return self.probe_cap(count, answer.chat_start);
            }
            return self.ask_without_session(count);
        }
        if sorted.progress {
            return self.after_progress(ask, sorted, short);
        }
        let too_new = self.position.cursor.is_none() && sorted.unplaced == 0;
        if too_new && !self.exactly_until && (short || self.widened.is_some()) {
            let times = answer.keys.iter().filter_map(Key::timestamp);
            if !full && times.min().map(ChatTime::At) == Some(answer.chat_start) {
                // The chat began after `until`.
                return Next::End(End::ReachedStart);
            }
            self.exactly_until = true;
            self.widened = None;
            return Next::Ask;
        }
        if !short {
            return self.widen(ask);
        }
        if self.position.cursor.is_none() {
            return self.without_a_place(ask, answer, sorted, full);
        }
        if !self.confirming {
            self.confirming = true;
            self.confirming_unplaced = sorted.unplaced > 0;
            let more_than_held = limit_from(self.position.ids.len()).saturating_add(1);
            self.widened = Some((self.position.timestamp(), ask.limit.max(more_than_held)));
            return Next::Ask;
        }
        let shorter = count < self.longest_answer;
        if sorted.held < self.position.ids.len() {
            return match answer.chat_start {
                ChatTime::At(start) if goes_on && !in_session => {
                    self.probe = Some(Probe::Start(start));
                    Next::Ask
                }
                // An answer that is shorter than another was is no cap's doing: some have been deleted.
                _ if shorter => Next::End(End::ReachedStart),
                _ => self.probe_cap(count, ChatTime::Unknown),
            };
        }
        if sorted.newer && !reached_start {
            return Next::Stalled("the server sends the same messages whatever the cursor");
        }
        let unplaced = sorted.unplaced > 0 || self.confirming_unplaced;
        if unplaced && (!shorter || (goes_on && !in_session)) {
            if ask.bot_session {
                return self.probe_cap(count, answer.chat_start);
            }
            // The rest has no place. Is that where the chat begins, or as far as a cap lets see?
            match answer.chat_start {
                ChatTime::At(start) if goes_on => {
                    self.probe = Some(Probe::Start(start));
                    return Next::Ask;
                }
                _ if self.cap.is_some_and(|cap| count >= cap) && !reached_start => {
                    return Next::Stalled(NO_WAY_PAST);
                }
                _ => {}
            }
        }
        Next::End(End::ReachedStart)
    }

    /// A short answer that showed no place to go on from: the end, or a cap that hides what is older?
    fn without_a_place(
        &mut self,
        ask: &Ask,
        answer: Answer<'_>,
        sorted: &Sorted,
        full: bool,
    ) -> Next {
        if ask.bot_session && sorted.unplaced > 0 {
            return self.probe_cap(answer.keys.len(), answer.chat_start);
        }
        if ask.bot_session && sorted.newer {
            return self.ask_without_session(answer.keys.len());
        }
        if sorted.unplaced == 0 {
            return Next::Stalled(NOT_OF_THAT_TIME);
        }
        match answer.chat_start {
            ChatTime::At(start) => {
                self.probe = Some(Probe::Start(start));
                Next::Ask
            }
            ChatTime::Empty if !full => Next::End(End::ReachedStart),
            _ => Next::Stalled(NO_WAY_PAST),
        }
    }

    fn probe_cap(&mut self, count: usize, start: ChatTime) -> Next {
        let start = match start {
            ChatTime::At(start) => Some(start),
            ChatTime::Empty | ChatTime::Unknown => None,
        };
        self.probe = Some(Probe::Cap { count, start });
        Next::Ask
    }

    /// The answer to a probe: an end, or more than can be reached.
    fn judge(&mut self, probe: Probe, ask: &Ask, answer: Answer<'_>) -> Verdict {
        // A text that came more than once proves nothing of yet another message with it.
        let mut known: HashMap<u64, usize> = HashMap::new();
        for unplaced in &self.position.unplaced {
            *known.entry(unplaced.fingerprint).or_default() += 1;
        }
        // What has a place there is older than the cursor, so it has not been; unless it is too new for `until`.
        let mut handed_out = |key: &&Key| match key {
            Key::Placed(cursor) => self.bounds.until.is_some_and(|until| cursor.timestamp > until),
            Key::Unplaced(fingerprint) => known.remove(fingerprint) == Some(1),
        };
        let (is_end, otherwise) = match probe {
            // The very messages that have no place, again, are all that there is.
            Probe::Start(time) => {
                let most = self.cap.unwrap_or(DEFAULT_LIMIT as usize).max(self.longest_answer);
                let limit = usize::try_from(ask.limit).unwrap_or(usize::MAX);
                // It was asked for a millisecond late.
                let of_start: Vec<&Key> =
                    answer.keys.iter().filter(|key| key.timestamp() <= Some(time)).collect();
                let is_whole = answer.keys.len() < limit && (1..most).contains(&of_start.len());
                let stalled = if self.confirming_unplaced { NO_WAY_PAST } else { TOO_MANY_TIE };
                (is_whole && of_start.iter().all(&mut handed_out), stalled)
            }
            Probe::Cap { count, start } => {
                let (mut ids, mut unplaced) = (HashSet::new(), 0);
                for key in answer.keys {
                    match key {
                        Key::Placed(cursor) => drop(ids.insert(&cursor.id)),
                        Key::Unplaced(_) => unplaced += 1,
                    }
                }
                let no_cap = ids.len() + unplaced > count;
                self.probe = start.filter(|_| !no_cap).map(Probe::Start);
                (no_cap, TOO_MANY_TIE)
            }
        };
        let next = match (is_end, self.probe) {
            (true, _) => Next::End(End::ReachedStart),
            (false, Some(_)) => Next::Ask,
            (false, None) => Next::Stalled(otherwise),
        };
        let duplicates = answer.keys.len() as u64;
        Verdict { kept: Kept::Only(Vec::new()), duplicates, next }
    }

    fn after_progress(&mut self, ask: &Ask, sorted: &Sorted, short: bool) -> Next {
        self.confirming = false;
        if self.filters == Filters::CursorIgnored {
            return self.widen(ask);
        }
        match self.widened {
            // Still inside the group that was too large: twice what is held of it, so that few steps do.
            Some((Some(time), _)) if sorted.oldest == Some(time) => {
                let held = limit_from(self.position.ids.len() + sorted.passed.len());
                self.widened = Some((Some(time), self.more_than(held)));
            }
            _ => self.widened = None,
        }
        if self.growing && !short && self.widened.is_none() && ask.limit == self.limit {
            self.limit = self.grown();
        }
        Next::Ask
    }

    /// Asks for more at the same cursor: the answer was as long as asked, and only a longer one can show
    /// something new.
    fn widen(&mut self, ask: &Ask) -> Next {
        let limit = self.more_than(limit_from(self.position.ids.len()).max(ask.limit));
        if limit <= ask.limit {
            return Next::Stalled("the server refuses a page large enough to show what comes next");
        }
        self.widened = Some((self.position.timestamp(), limit));
        Next::Ask
    }

    /// Twice `held`, or half the way to what was refused.
    fn more_than(&self, held: u32) -> u32 {
        let limit = held.saturating_mul(2).max(held.saturating_add(self.bounds.page_size));
        match self.too_large {
            Some(refused) if limit >= refused => halfway(held, refused),
            _ => limit,
        }
    }

    /// The server gave `count` messages of the session and ignores the cursor. That is the session's end,
    /// or a cap on pages; an answer without the session tells which.
    fn ask_without_session(&mut self, count: usize) -> Next {
        self.filters = Filters::CursorAlone { suspected_cap: count };
        self.limit = self.limit.max(limit_from(count).saturating_add(1));
        self.growing = false;
        self.widened = None;
        self.confirming = false;
        Next::Ask
    }
}

const NO_WAY_PAST: &str = "a whole page of messages has no readable `_id` and `timestamp`, so there is no \
                           cursor to go on from";
const NOT_OF_THAT_TIME: &str = "the answer holds no message of the time that was asked for";
pub(super) const TOO_MANY_TIE: &str =
    "more messages share one timestamp than the server puts on a page";

/// The middle between a `limit` that was answered and one that was refused, nearer to the former.
pub(super) fn halfway(answered: u32, refused: u32) -> u32 {
    answered.saturating_add(refused.saturating_sub(answered) / 2)
}

pub(super) fn limit_from(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The order that makes the keys ascending by time, or `None` when they are so already. Equal timestamps
/// keep the server's order; a message without a place stays behind its neighbour.
fn ascending(keys: &[Key]) -> Option<Vec<usize>> {
    let placed = || keys.iter().filter_map(Key::timestamp);
    if placed().is_sorted() {
        return None;
    }
    if placed().rev().is_sorted() {
        return Some((0..keys.len()).rev().collect());
    }
    let mut neighbour = placed().next();
    let mut order: Vec<(Option<Timestamp>, usize)> = Vec::with_capacity(keys.len());
    for (index, key) in keys.iter().enumerate() {
        neighbour = key.timestamp().or(neighbour);
        order.push((neighbour, index));
    }
    order.sort_by_key(|(time, _)| *time);
    Some(order.into_iter().map(|(_, index)| index).collect())
}
