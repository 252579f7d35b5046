//! How far a forward walk has come, and which messages it must recognise when they come again.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::cursor::Key;
use crate::id::MessageId;
use crate::timestamp::Timestamp;

/// The most ids remembered at one timestamp, or within a lookback. It is also the largest `limit` that the walk
/// asks for after answers that show nothing new. No chat has so many messages in one millisecond. A server that
/// invents new messages for ever is stopped here.
pub(crate) const MOST_TIED: usize = 65_536;

/// Which messages have been handed out, oldest first: everything older than `floor`, and the listed messages
/// from `floor` on. The lists do not grow with the history.
///
/// Without a lookback, `floor` is the newest timestamp handed out that is not dated in the future. The endpoint cannot
/// be asked only for newer messages. So the messages of that time come again, and their ids tell that they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SyncPosition {
    pub(crate) newest: Option<Timestamp>,
    /// The time from which the next look reads. The floor never moves back, even for a longer lookback, because
    /// the ids before it are not known. A look always begins at the floor, however late the look begins,
    /// because messages may have come since the last one.
    pub(crate) floor: Option<Timestamp>,
    pub(crate) ids: BTreeSet<(Timestamp, MessageId)>,
    pub(crate) unplaced: Vec<UnplacedAt>,
}

/// A message without a readable `_id` and `timestamp` that was handed out as an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnplacedAt {
    pub(crate) fingerprint: u64,
    /// The timestamp of the next newer message handed out, once there is one. When that timestamp lies before
    /// the floor, this message cannot come again.
    pub(crate) not_after: Option<Timestamp>,
}

/// How far the floor may rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Horizon {
    /// When the look began. A message dated later does not move the floor, or what comes now would be lost.
    pub(crate) now: Timestamp,
    pub(crate) lookback: Duration,
}

impl Horizon {
    /// The floor behind these messages. Time passes between two looks, so nothing but what has been handed out tells how
    /// far it may rise: never `now` itself.
    fn floor(self, handed_out: &[Key]) -> Option<Timestamp> {
        let times = handed_out.iter().filter_map(Key::timestamp);
        times.filter(|time| *time <= self.now).max().map(|newest| self.before(newest))
    }

    /// As long before this time as a message may be late.
    fn before(self, newest: Timestamp) -> Timestamp {
        let lookback = i64::try_from(self.lookback.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(newest.as_millis().saturating_sub(lookback))
    }
}

impl SyncPosition {
    /// Moves on over messages that were handed out. The last of these keys was handed out first.
    pub(crate) fn advance(&mut self, handed_out: &[Key], horizon: Horizon) {
        let newest = handed_out.iter().filter_map(Key::timestamp).max();
        self.newest = self.newest.max(newest);
        if let Some(floor) = horizon.floor(handed_out) {
            self.raise_floor(floor);
        }
        self.remember_unplaced(handed_out);
        for key in handed_out {
            match key {
                Key::Placed(cursor) if Some(cursor.timestamp) >= self.floor => {
                    self.ids.insert((cursor.timestamp, cursor.id.clone()));
                }
                _ => {}
            }
        }
        // If there are more ids, the oldest timestamps are forgotten, each with all its ids.
        while self.ids.len() > MOST_TIED {
            let Some((oldest, _)) = self.ids.first() else { break };
            self.raise_floor(oldest.next_milli());
        }
    }

    /// Moves on at the end of a look, which has handed out all that was there when it began. What was dated in the
    /// future when it was handed out may be dated in the past now.
    pub(crate) fn caught_up(&mut self, horizon: Horizon) {
        let newest = self.ids.iter().rev().map(|(time, _)| *time).find(|time| *time <= horizon.now);
        if let Some(newest) = newest {
            self.raise_floor(horizon.before(newest));
        }
    }

    fn raise_floor(&mut self, floor: Timestamp) {
        if self.floor >= Some(floor) {
            return;
        }
        self.floor = Some(floor);
        while self.ids.first().is_some_and(|(time, _)| *time < floor) {
            self.ids.pop_first();
        }
        self.unplaced.retain(|unplaced| unplaced.not_after.is_none_or(|time| time >= floor));
    }

    fn remember_unplaced(&mut self, handed_out: &[Key]) {
        if self.unplaced.is_empty() && handed_out.iter().all(|key| key.timestamp().is_some()) {
            return;
        }
        for key in handed_out.iter().rev() {
            match key {
                Key::Placed(cursor) => {
                    let waiting = self.unplaced.iter_mut().rev();
                    for unplaced in waiting.take_while(|last| last.not_after.is_none()) {
                        unplaced.not_after = Some(cursor.timestamp);
                    }
                }
                Key::Unplaced(fingerprint) => {
                    self.unplaced.push(UnplacedAt { fingerprint: *fingerprint, not_after: None });
                }
            }
        }
        let floor = self.floor;
        self.unplaced.retain(|unplaced| unplaced.not_after.is_none_or(|time| Some(time) >= floor));
        let surplus = self.unplaced.len().saturating_sub(MOST_TIED);
        self.unplaced.drain(..surplus);
    }

    /// Which of these ascending messages have been handed out before, or `None` if none has.
    pub(crate) fn known(&self, keys: &[Key]) -> Option<Vec<bool>> {
        if self.newest.is_none() && self.unplaced.is_empty() {
            return None;
        }
        let mut behind = true;
        let is_known = |key: &Key| match key {
            Key::Placed(cursor) => {
                behind = Some(cursor.timestamp) <= self.newest;
                behind && self.ids.contains(&(cursor.timestamp, cursor.id.clone()))
            }
            Key::Unplaced(fingerprint) => {
                behind && self.unplaced.iter().any(|last| last.fingerprint == *fingerprint)
            }
        };
        let known: Vec<bool> = keys.iter().map(is_known).collect();
        known.contains(&true).then_some(known)
    }
}
