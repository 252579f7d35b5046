//! Sorting an answer out, message by message: what is new, what has been handed out, what is out of bounds.

use std::collections::{HashMap, HashSet};

use super::{Answer, Ask, Goal, Walk};
use crate::cursor::{Cursor, Key};
use crate::id::MessageId;
use crate::timestamp::Timestamp;

/// An answer sorted out; messages are indices, in ascending order of the chat.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// New messages within the bounds.
    pub(super) kept: Vec<usize>,
    /// What the cursor moves over: those kept, those of other sessions and those before `since`.
    pub(super) passed: Vec<usize>,
    /// Those with nothing older with a place before them, and whether they are within the session: their place
    /// is only certain once their elders are here.
    pub(super) leading: Vec<(usize, bool)>,
    pub(super) duplicates: u64,
    /// How many messages the answer held, each counted once.
    pub(super) count: usize,
    /// Whether a message with a place is among those passed: the cursor moves on.
    pub(super) new: bool,
    /// Whether a message with a place, new or not, stood in the answer that is not too new.
    shows_place: bool,
    /// How many of the ids that the position remembers stood in the answer.
    pub(super) held: usize,
    /// How many of what has been handed out did not, and may have been counted to `limit` before.
    pub(super) left_out: usize,
    /// Whether a message without a place stood in the answer.
    pub(super) unreadable: bool,
    /// Whether a message older than `since` stood in the answer.
    pub(super) reached_since: bool,
    /// Whether the cursor was ignored: the message that it leaves out, or a newer one, stood in the answer.
    pub(super) cursor_ignored: bool,
    /// Whether a message of another session stood in the answer.
    pub(super) foreign: bool,
}

/// What has been handed out and may come again, and the group of equal timestamps that is being gone through.
struct Known<'a> {
    /// The newest time that has not been passed.
    newest: Option<Timestamp>,
    ids: HashSet<&'a MessageId>,
    texts: HashMap<u64, usize>,
    /// The place from which on a message without one may be one sent again.
    texts_from: usize,
    /// The ids of the group, from its second on.
    group: HashSet<&'a MessageId>,
    previous: Option<&'a Cursor>,
    /// Whether the last message with a place was too new.
    behind_newer: bool,
}

impl Walk {
    pub(super) fn sort_out(&self, ask: &Ask, answer: Answer<'_>) -> Sorted {
        let order = ascending(answer.keys);
        let index_at = |place: usize| order.as_ref().map_or(place, |order| order[place]);
        let mut known = self.known(answer.keys, index_at);
        let mut sorted = Sorted {
            kept: Vec::with_capacity(answer.keys.len()),
            passed: Vec::with_capacity(answer.keys.len()),
            ..Sorted::default()
        };
        for place in 0..answer.keys.len() {
            let index = index_at(place);
            let foreign = answer.of_other_session.get(index) == Some(&true);
            sorted.foreign |= foreign;
            let is_new = match &answer.keys[index] {
                Key::Placed(key) => self.sort_placed(ask, key, &mut known, &mut sorted),
                Key::Unplaced(text) => sort_unplaced(*text, place, &mut known, &mut sorted),
            };
            if !is_new {
                sorted.duplicates += 1;
                continue;
            }
            if !sorted.shows_place && answer.keys[index].timestamp().is_none() {
                sorted.leading.push((index, !foreign));
                continue;
            }
            sorted.passed.push(index);
            if answer.keys[index].timestamp().is_some_and(|time| self.bounds.since > Some(time)) {
                // What was kept so far has no place and is older still.
                sorted.kept.clear();
                sorted.leading.clear();
                sorted.reached_since = true;
            } else if !foreign {
                sorted.kept.push(index);
            }
        }
        // What a cursor leaves out; where none does, all is shown.
        if matches!(self.goal, Goal::Page | Goal::Widen(_)) {
            let texts: usize = known.texts.values().sum();
            sorted.left_out = texts + known.ids.len().saturating_sub(sorted.held);
        }
        sorted
    }

    fn known<'a>(&'a self, keys: &[Key], index_at: impl Fn(usize) -> usize) -> Known<'a> {
        let here = self.position.timestamp();
        let mut texts = HashMap::new();
        for text in self.position.texts() {
            *texts.entry(text).or_default() += 1;
        }
        let texts_from = if texts.is_empty() {
            0
        } else {
            // They tie with the newest message that is older than the cursor, or stand behind it.
            let time_at = |place: usize| keys[index_at(place)].timestamp();
            let mut older =
                (0..keys.len()).rev().filter_map(time_at).filter(|time| Some(*time) < here);
            let neighbour = older.next();
            let last = (0..keys.len()).rev().find(|place| {
                time_at(*place).is_some_and(|time| Some(time) < here && Some(time) != neighbour)
            });
            last.map_or(0, |place| place + 1)
        };
        let newest = here.or(self.bounds.until);
        // Before the first message with a place: an older neighbour is yet to come, so the newer one tells.
        let first = (0..keys.len()).find_map(|place| keys[index_at(place)].timestamp());
        let behind_newer = newest.is_some_and(|newest| first.is_some_and(|first| first > newest));
        Known {
            newest,
            ids: self.position.ids().collect(),
            texts,
            texts_from,
            group: HashSet::new(),
            previous: None,
            behind_newer,
        }
    }

    /// Whether the message is new.
    fn sort_placed<'a>(
        &self,
        ask: &Ask,
        key: &'a Cursor,
        known: &mut Known<'a>,
        sorted: &mut Sorted,
    ) -> bool {
        sorted.cursor_ignored |= ask
            .cursor
            .as_ref()
            .is_some_and(|asked| asked == key || asked.timestamp < key.timestamp);
        let repeated = match known.previous.replace(key) {
            Some(last) if last.timestamp == key.timestamp => {
                known.group.insert(&last.id);
                !known.group.insert(&key.id)
            }
            _ => {
                known.group.clear();
                false
            }
        };
        if repeated {
            return false;
        }
        sorted.count += 1;
        known.behind_newer = known.newest.is_some_and(|newest| key.timestamp > newest);
        if known.behind_newer {
            return false;
        }
        sorted.shows_place = true;
        if self.position.timestamp() == Some(key.timestamp) && known.ids.contains(&key.id) {
            sorted.held += 1;
            return false;
        }
        sorted.new = true;
        true
    }
}

/// Whether the message is new. Nothing but its text and its neighbours tell.
fn sort_unplaced(text: u64, place: usize, known: &mut Known<'_>, sorted: &mut Sorted) -> bool {
    sorted.count += 1;
    if known.behind_newer {
        // The next older message is newer than where the walk stands, so this one is too.
        return false;
    }
    sorted.unreadable = true;
    match known.texts.get_mut(&text).filter(|count| **count > 0) {
        Some(count) if place >= known.texts_from => {
            *count -= 1;
            false
        }
        _ => true,
    }
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
