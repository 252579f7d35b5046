//! Where a walk stands, in either direction: what has been handed out and what may come again. A message has a
//! *place* if its `_id` and `timestamp` can be read.

mod sync;

use crate::cursor::{Cursor, Key};
use crate::id::MessageId;
use crate::timestamp::Timestamp;

pub(crate) use sync::{Horizon, MOST_TIED, SyncPosition, UnplacedAt};

/// Which messages have been handed out, and in which direction the walk goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    NewestFirst {
        position: Position,
        /// Where a forward walk can begin: right behind the newest message handed out.
        top: SyncPosition,
    },
    OldestFirst {
        position: SyncPosition,
        /// The last message handed out.
        last: Option<Cursor>,
    },
}

impl Standing {
    pub(crate) fn newest_first(position: Position) -> Self {
        Self::NewestFirst { position, top: SyncPosition::default() }
    }

    /// Moves on over messages that were handed out. The last of these keys was handed out first.
    pub(crate) fn advance(&mut self, handed_out: &[Key], horizon: Horizon) {
        match self {
            Self::NewestFirst { position, top } => {
                position.advance(handed_out);
                let newest = handed_out.iter().rev().find_map(Key::timestamp);
                if newest.is_some() && newest >= top.floor {
                    top.advance(handed_out, horizon);
                }
            }
            Self::OldestFirst { position, last } => {
                position.advance(handed_out, horizon);
                let placed = handed_out.iter().find_map(|key| match key {
                    Key::Placed(cursor) => Some(cursor),
                    Key::Unplaced(_) => None,
                });
                *last = placed.cloned().or(last.take());
            }
        }
    }

    /// The last message handed out.
    pub(crate) fn cursor(&self) -> Option<&Cursor> {
        match self {
            Self::NewestFirst { position, .. } => position.cursor.as_ref(),
            Self::OldestFirst { last, .. } => last.as_ref(),
        }
    }
}

/// A message that was handed out and that the server may send again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Id(MessageId),
    /// The message has no readable `_id` or `timestamp`. This is the fingerprint of its text.
    Text(u64),
}

/// Which messages of the chat have been handed out, newest first. These are all messages newer than the cursor,
/// and those listed in `seen`, which stand at the cursor's own timestamp. The list does not grow with the
/// history.
///
/// A message without a place counts as having the timestamp of the next older message with a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) cursor: Option<Cursor>,
    /// The messages handed out at the cursor's timestamp, in the order of handing out. Behind them stand
    /// messages without a place whose older neighbour has not come yet. The cursor's own id is the last of the
    /// ids.
    pub(crate) seen: Vec<Seen>,
}

impl Position {
    /// Moves on over messages that were handed out. The keys are ascending, and the last of them was handed out
    /// first.
    pub(crate) fn advance(&mut self, handed_out: &[Key]) {
        let start = match self.seen.last() {
            Some(Seen::Text(_)) => handed_out.len(),
            _ => last_run(handed_out),
        };
        for key in handed_out.get(..start).unwrap_or(handed_out).iter().rev() {
            match key {
                Key::Placed(cursor) => {
                    if self.timestamp() != Some(cursor.timestamp) {
                        let last_id =
                            self.seen.iter().rposition(|seen| matches!(seen, Seen::Id(_)));
                        self.seen.drain(..last_id.map_or(0, |last| last + 1));
                    }
                    self.seen.push(Seen::Id(cursor.id.clone()));
                    self.cursor = Some(cursor.clone());
                }
                Key::Unplaced(fingerprint) => self.seen.push(Seen::Text(*fingerprint)),
            }
        }
    }

    pub(crate) fn timestamp(&self) -> Option<Timestamp> {
        self.cursor.as_ref().map(|cursor| cursor.timestamp)
    }

    /// The ids handed out at the cursor's timestamp.
    pub(crate) fn ids(&self) -> impl DoubleEndedIterator<Item = &MessageId> {
        self.seen.iter().filter_map(|seen| match seen {
            Seen::Id(id) => Some(id),
            Seen::Text(_) => None,
        })
    }

    /// The fingerprints of the messages without a place that may be sent again.
    pub(crate) fn texts(&self) -> impl Iterator<Item = u64> {
        self.seen.iter().filter_map(|seen| match seen {
            Seen::Id(_) => None,
            Seen::Text(fingerprint) => Some(*fingerprint),
        })
    }
}

/// How many keys, from the oldest on, decide where `advance` ends. They are the keys of the oldest timestamp.
/// If any of these messages has no place, all keys decide.
fn last_run(handed_out: &[Key]) -> usize {
    let Some(Key::Placed(oldest)) = handed_out.first() else {
        return handed_out.len();
    };
    let mut run = 0;
    for (index, key) in handed_out.iter().enumerate() {
        match key {
            Key::Placed(cursor) if cursor.timestamp == oldest.timestamp => run = index + 1,
            Key::Placed(_) => {}
            Key::Unplaced(_) => return handed_out.len(),
        }
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(millis: i64, id: &str) -> Key {
        Key::Placed(Cursor { timestamp: Timestamp::from_millis(millis), id: id.into() })
    }

    fn ids(position: &Position) -> Vec<&str> {
        position.ids().map(MessageId::as_str).collect()
    }

    #[test]
    fn advancing_keeps_only_the_ids_at_the_cursor_s_timestamp() {
        let mut position = Position::default();
        position.advance(&[placed(5, "b"), placed(7, "a")]);
        assert_eq!(ids(&position), ["b"]);
        position.advance(&[placed(5, "c")]);
        assert_eq!(ids(&position), ["b", "c"]);
        assert_eq!(position.cursor.as_ref().unwrap().id, "c");
        position.advance(&[placed(3, "f"), placed(3, "e"), placed(4, "d")]);
        assert_eq!(ids(&position), ["e", "f"]);
        position.advance(&[]);
        assert_eq!(ids(&position), ["e", "f"]);
    }

    #[test]
    fn a_message_without_a_place_ties_with_its_older_neighbour() {
        let texts = |position: &Position| position.texts().collect::<Vec<_>>();
        let mut position = Position::default();
        position.advance(&[Key::Unplaced(1), placed(9, "a")]);
        assert_eq!(texts(&position), [1]);
        // The message without a place may share the timestamp of the next older message. So the server can
        // still send it again.
        position.advance(&[placed(7, "b")]);
        assert_eq!((texts(&position), ids(&position)), (vec![1], vec!["b"]));
        position.advance(&[placed(7, "c")]);
        assert_eq!(texts(&position), [1]);
        position.advance(&[placed(6, "d")]);
        assert_eq!((texts(&position), ids(&position)), (vec![], vec!["d"]));
    }

    #[test]
    fn advancing_in_one_go_or_message_by_message_is_the_same() {
        let keys = [
            placed(1, "a"),
            Key::Unplaced(3),
            placed(1, "b"),
            placed(2, "c"),
            Key::Unplaced(4),
            placed(4, "d"),
            placed(4, "e"),
        ];
        for end in 0..=keys.len() {
            for start in 0..=end {
                let mut at_once = Position::default();
                at_once.advance(&keys[start..end]);
                let mut one_by_one = Position::default();
                for index in (start..end).rev() {
                    one_by_one.advance(&keys[index..=index]);
                }
                assert_eq!(at_once, one_by_one, "{start}..{end}");
                for middle in start..end {
                    let mut in_two = Position::default();
                    in_two.advance(&keys[middle..end]);
                    in_two.advance(&keys[start..middle]);
                    assert_eq!(at_once, in_two, "{start}..{middle}..{end}");
                }
            }
        }
    }
}
