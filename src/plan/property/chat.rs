//! A chat that changes while it is walked. The model server serves it.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use crate::chat_time::ChatTime;
use crate::cursor::Key;
use crate::fingerprint::fingerprint;
use crate::id::MessageId;
use crate::plan::Fetched;
use crate::testing::rulebook::{LimitReading, MinTime, SessionFilter, TieOrder};
use crate::timestamp::Timestamp;
use crate::walk::model::{Model, ModelMessage, largest_tie};
use crate::walk::{Ask, Bounds, oracle};

/// The chat as the server has it, and all messages that it ever held.
pub(super) struct Chat {
    pub(super) model: Model,
    latest: ChatTime,
    number: u64,
    pub(super) times: BTreeMap<MessageId, i64>,
    /// Messages that were there from the first request on and were not deleted.
    pub(super) lasting: BTreeSet<MessageId>,
    pub(super) changed: bool,
    deleted: bool,
    /// Whether the server hid messages or gave a wrong start of the chat.
    pub(super) odd: bool,
    pub(super) largest_tie: usize,
    pub(super) unreadable: BTreeSet<MessageId>,
}

impl Chat {
    pub(super) fn new(model: Model, rng: &mut Rng) -> Self {
        let newest = model.messages.last().map(|message| message.time);
        let at = |time| ChatTime::At(Timestamp::from_millis(time));
        let all_readable = model.messages.iter().all(|message| message.readable);
        let latest = match (newest, if all_readable { rng.u8(..10) } else { 9 }) {
            (None, _) => ChatTime::Empty,
            (_, 0) => ChatTime::Unknown,
            (Some(newest), 1) => at(newest - rng.i64(0..100)),
            (Some(newest), 2) => at(newest + rng.i64(0..100)),
            (Some(newest), _) => at(newest),
        };
        let id = |message: &ModelMessage| MessageId::from(message.id.as_str());
        Self {
            times: model.messages.iter().map(|message| (id(message), message.time)).collect(),
            lasting: model.messages.iter().filter(|m| !m.hidden).map(id).collect(),
            unreadable: model.messages.iter().filter(|m| !m.readable).map(id).collect(),
            largest_tie: largest_tie(&model.messages),
            odd: model.hides()
                || model.rules.empty_answer.is_some()
                || matches!(model.rules.min_time, MinTime::Fixed(_)),
            model,
            latest,
            number: 0,
            changed: false,
            deleted: false,
        }
    }

    /// Answers one request, or returns a status if the server refuses the `limit`.
    pub(super) fn answer(
        &mut self,
        ask: &Ask,
        in_session: bool,
    ) -> Result<Fetched<MessageId>, u16> {
        self.number += 1;
        let page = self.model.answer(ask, self.number)?;
        let of_other_session =
            if in_session { self.model.of_other_session(&page) } else { Vec::new() };
        Ok(Fetched {
            keys: page.iter().map(|index| self.key(*index)).collect(),
            messages: page.iter().map(|i| self.model.messages[*i].id.as_str().into()).collect(),
            of_other_session,
            chat_start: self.model.times().0,
            chat_latest: self.latest,
            span: None,
            bytes: 10 * page.len() as u64,
        })
    }

    /// The model's fingerprints are indices into its list, and they move when the list changes.
    fn key(&self, index: usize) -> Key {
        match self.model.key(index) {
            Key::Unplaced(_) => {
                Key::Unplaced(fingerprint(self.model.messages[index].id.as_bytes()))
            }
            placed @ Key::Placed(_) => placed,
        }
    }

    fn insert(&mut self, time: i64, rng: &mut Rng) {
        // The walk cannot tell a small cap from the beginning of a chat whose first messages share a timestamp.
        let first = self.model.messages.first().map(|message| message.time);
        let hard = match self.model.rules.limit_reading {
            LimitReading::Capped(cap) => cap < 50,
            reading => reading == LimitReading::OneShort,
        };
        if first == Some(time) && (hard || self.model.hides()) {
            return;
        }
        let id = format!("{}{:x}n{}", rng.lowercase(), rng.u32(..), self.times.len());
        self.times.insert(id.as_str().into(), time);
        let at = self.model.messages.partition_point(|message| message.time <= time);
        let message =
            ModelMessage { time, id, in_session: rng.bool(), readable: true, hidden: false };
        self.model.messages.insert(at, message);
        self.changed = true;
        self.largest_tie = self.largest_tie.max(largest_tie(&self.model.messages));
    }

    /// Adds a message, adds a late one, or deletes one.
    pub(super) fn change(&mut self, rng: &mut Rng) {
        let Some(last) = self.model.messages.last() else { return };
        let newest = last.time;
        let some = rng.usize(..self.model.messages.len());
        match rng.u8(..3) {
            0 => self.insert(newest + rng.i64(0..20), rng),
            1 => self.insert(self.model.messages[some].time + rng.i64(0..3), rng),
            _ => {
                let gone = self.model.messages.remove(some);
                self.deleted = true;
                self.lasting.remove(gone.id.as_str());
                self.changed = true;
            }
        }
    }
}

/// Whether the server shows everything to a patient walk. If not, a stall is a correct end.
pub(super) fn is_passable(chat: &Chat, bounds: &Bounds) -> bool {
    let model = &chat.model;
    let cursor_applies =
        bounds.bot_session.is_none() || model.rules.session_filter != SessionFilter::CursorIgnored;
    // The walk asks for a window at a time at which there may be no message.
    let room = model.most_on_a_page() > chat.largest_tie + 1;
    oracle::is_passable(model, bounds)
        && room
        && model.all_readable()
        && !chat.deleted
        && cursor_applies
}

/// Makes unreadable messages readable unless they stand alone between readable ones. A run of them may be
/// longer than an answer.
///
/// If each request shows a group of equal timestamps in another order, an unreadable message cannot be
/// recognised there. Then all messages are made readable.
pub(super) fn sparse(model: &mut Model) {
    let shuffled =
        matches!(model.rules.tie_order, TieOrder::Shuffled(_) | TieOrder::ShuffledByLimit(_));
    let mut before = false;
    for message in &mut model.messages {
        message.readable |= !before || shuffled;
        before = message.readable;
    }
    if let Some(last) = model.messages.last_mut() {
        last.readable = true;
    }
}
