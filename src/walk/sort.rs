//! Sorts an answer out, message by message: which messages are new, handed out already, or out of bounds.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Ask, Goal, Walk};
use crate::cursor::{Cursor, Key};
use crate::id::MessageId;
use crate::timestamp::Timestamp;

/// An answer sorted out. Messages are indices, in ascending order of the chat.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// New messages within the bounds.
    pub(super) kept: Vec<usize>,
    /// The messages that the cursor moves over: those kept, those of other sessions, and those before `since`.
    pub(super) passed: Vec<usize>,
    /// Messages without a place that no older message with a place precedes, and whether each belongs to the
    /// session. Their position in the chat is certain only once older messages have come.
    pub(super) leading: Vec<(usize, bool)>,
    pub(super) duplicates: u64,
    /// How many messages the answer held. A message that came twice counts once.
    pub(super) count: usize,
    /// Whether a message with a place is among `passed`. If so, the cursor moves on.
    pub(super) new: bool,
    /// Whether the answer held a message with a place that is not too new. It need not be new to the walk.
    shows_place: bool,
    /// How many of the ids that the position remembers were in the answer.
    pub(super) held: usize,
    /// How many messages handed out before were not in the answer. The server may have counted them to `limit`.
    pub(super) left_out: usize,
    /// Whether an unreadable message that was handed out before was not in the answer.
    pub(super) text_missing: bool,
    /// Whether the answer held a message without a place.
    pub(super) unreadable: bool,
    /// Whether the answer held a message older than `since`.
    pub(super) reached_since: bool,
    /// Whether the server ignored the cursor. Then the answer held the cursor's own message, or a newer one.
    pub(super) cursor_ignored: bool,
    /// Whether the answer held a message of another session.
    pub(super) foreign: bool,
}

/// The messages that were handed out and may come again, and the group that is being read.
struct Known<'a> {
    /// The newest time that may still hold new messages.
    newest: Option<Timestamp>,
    ids: BTreeSet<&'a MessageId>,
    texts: BTreeMap<u64, usize>,
    /// From this index on, a message without a place may be one that was handed out before.
    texts_from: usize,
    /// The ids of the group, once it has a second message.
    group: BTreeSet<&'a MessageId>,
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
                // The messages kept so far have no place and are older than this one.
                sorted.kept.clear();
                sorted.leading.clear();
                sorted.reached_since = true;
            } else if !foreign {
                sorted.kept.push(index);
            }
        }
        let texts: usize = known.texts.values().sum();
        sorted.text_missing = texts > 0;
        // Only these requests have a cursor that leaves something out. Other answers show everything.
        if matches!(self.goal, Goal::Page | Goal::Widen(_)) {
            sorted.left_out = texts + known.ids.len().saturating_sub(sorted.held);
        }
        sorted
    }

    fn known<'a>(&'a self, keys: &[Key], index_at: impl Fn(usize) -> usize) -> Known<'a> {
        let here = self.position.timestamp();
        let mut texts = BTreeMap::new();
        for text in self.position.texts() {
            *texts.entry(text).or_default() += 1;
        }
        let texts_from = if texts.is_empty() {
            0
        } else {
            // The remembered messages share a timestamp with the newest message that is older than the cursor,
            // or are newer.
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
        // No message with a place has been read yet, so the first newer one decides.
        let first = (0..keys.len()).find_map(|place| keys[index_at(place)].timestamp());
        let behind_newer = newest.is_some_and(|newest| first.is_some_and(|first| first > newest));
        Known {
            newest,
            ids: self.position.ids().collect(),
            texts,
            texts_from,
            group: BTreeSet::new(),
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

/// Whether the message is new. Only its text and its neighbours tell.
fn sort_unplaced(text: u64, place: usize, known: &mut Known<'_>, sorted: &mut Sorted) -> bool {
    sorted.count += 1;
    if known.behind_newer {
        // The next older message is newer than the walk's position, so this one is too.
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

/// The order that makes the keys ascending by time, or `None` when they are ascending already. Equal timestamps
/// keep the server's order. A message without a place stays behind its neighbour.
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
