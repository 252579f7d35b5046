//! A model of the server: every reading that the reference allows, and some that it does not.

use fastrand::Rng;

use super::{Ask, Bounds, ChatTime};
use crate::checkpoint::{Cursor, Key};
use crate::timestamp::Timestamp;

pub(crate) const SESSION: &str = "session1";
pub(crate) const CHAT: &str = "chat1";

#[derive(Clone, Debug)]
pub(crate) struct ModelMessage {
    pub(crate) time: i64,
    pub(crate) id: String,
    pub(crate) in_session: bool,
    /// Whether a client can tell its `_id` and `timestamp`.
    pub(crate) readable: bool,
}

impl ModelMessage {
    fn place(&self) -> (i64, &str) {
        (self.time, &self.id)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    ExcludesOneId,
    StrictKeyset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
    /// Another one for every request.
    Shuffled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    BothApply,
    CursorIgnored,
    SessionIgnored,
}

/// What is done to a page that the reference does not speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    None,
    /// One message stands in it twice.
    Repeats,
    /// A message newer than the cursor stands in it.
    Newer,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// Ascending.
    pub(crate) messages: Vec<ModelMessage>,
    pub(crate) reading: Reading,
    /// Among equal timestamps, by id.
    pub(crate) tie_order: Order,
    pub(crate) page_order: Order,
    pub(crate) filter: Filter,
    pub(crate) oddity: Oddity,
    pub(crate) cap: Option<usize>,
    /// A larger `limit` is answered with 413.
    pub(crate) largest_limit: Option<u32>,
    pub(crate) chat_start: ChatTime,
    pub(crate) seed: u64,
}

/// What an answer says of the chat's first message.
fn chat_start(rng: &mut Rng, messages: &[ModelMessage]) -> ChatTime {
    let Some(first) = messages.first() else {
        return ChatTime::Empty;
    };
    let at = |millis| ChatTime::At(Timestamp::from_millis(millis));
    match rng.u8(..10) {
        0 => ChatTime::Empty,
        1 => ChatTime::Unknown,
        // The first message was deleted.
        2 => at(first.time - 7),
        // Nonsense.
        3 => at(i64::MAX),
        _ => at(first.time),
    }
}

impl Model {
    /// A server that does as documented, and a chat without ties.
    pub(crate) fn documented(count: usize) -> Self {
        let messages: Vec<ModelMessage> = (0..count)
            .map(|index| ModelMessage {
                time: 1_000 + 10 * index as i64,
                id: format!("{index:024x}"),
                in_session: index % 3 == 0,
                readable: true,
            })
            .collect();
        let chat_start = messages
            .first()
            .map_or(ChatTime::Empty, |m| ChatTime::At(Timestamp::from_millis(m.time)));
        Self {
            messages,
            reading: Reading::ExcludesOneId,
            tie_order: Order::Ascending,
            page_order: Order::Ascending,
            filter: Filter::BothApply,
            oddity: Oddity::None,
            cap: None,
            largest_limit: None,
            chat_start,
            seed: 0,
        }
    }

    /// Any server and any chat, the same for the same seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let count = match rng.u8(..8) {
            0 => rng.usize(..4),
            1..=5 => rng.usize(..60),
            _ => rng.usize(..400),
        };
        // From hardly any ties to nothing but ties.
        let tie_share = *pick(rng, &[0.0, 0.1, 0.5, 0.9, 0.99, 1.0]);
        let huge_tie_at_start = rng.u8(..6) == 0;
        let unreadable_share = *pick(rng, &[0.0, 0.0, 0.0, 0.05, 0.5, 1.0]);
        let session_share = *pick(rng, &[0.0, 0.1, 0.5, 1.0]);
        let mut time = 1_000;
        let messages: Vec<ModelMessage> = (0..count)
            .map(|index| {
                let tied = (huge_tie_at_start && index < count / 2) || rng.f64() < tie_share;
                time += if tied { 0 } else { rng.i64(1..50) };
                ModelMessage {
                    time,
                    // Opaque: not every id is hexadecimal.
                    id: format!("{}{:x}{index:04}", rng.lowercase(), rng.u32(..)),
                    in_session: rng.f64() < session_share,
                    readable: rng.f64() >= unreadable_share,
                }
            })
            .collect();
        let order = |rng: &mut Rng| {
            *pick(rng, &[Order::Ascending, Order::Ascending, Order::Descending, Order::Shuffled])
        };
        let chat_start = chat_start(rng, &messages);
        let first_ties = matches!(messages.as_slice(), [a, b, ..] if a.time == b.time);
        let all_readable = messages.iter().all(|message| message.readable);
        // A server that gives fewer than the documented default of `limit` cannot be told from one that has
        // no more, as long as its answers reach `minTime` or hold nothing to go on from.
        // Nor can it be told how many of a group that a cap cuts off have no place.
        let caps: &[Option<usize>] = match (all_readable, first_ties, chat_start) {
            (true, true, ChatTime::At(_)) => &[None, None, Some(50), Some(100)],
            (true, ..) => &[None, None, Some(1), Some(7), Some(50), Some(100)],
            (false, false, ChatTime::At(start)) if start.as_millis() <= messages[0].time => {
                &[None, None, Some(1), Some(7), Some(50), Some(100)]
            }
            (false, ..) if largest_tie(&messages) < 50 => &[None, None, Some(50), Some(100)],
            (false, ..) => &[None],
        };
        // Where a message without a place belongs cannot be told on a page that is out of order, or begins
        // with the newest whatever the cursor.
        let filters: &[Filter] = if all_readable {
            &[Filter::BothApply, Filter::CursorIgnored, Filter::SessionIgnored]
        } else {
            &[Filter::BothApply, Filter::SessionIgnored]
        };
        let oddities: &[Oddity] = if all_readable {
            &[Oddity::None, Oddity::None, Oddity::Repeats, Oddity::Newer]
        } else {
            &[Oddity::None, Oddity::Repeats]
        };
        Self {
            cap: *pick(rng, caps),
            chat_start,
            messages,
            reading: *pick(rng, &[Reading::ExcludesOneId, Reading::StrictKeyset]),
            tie_order: order(rng),
            page_order: if all_readable { order(rng) } else { Order::Ascending },
            filter: *pick(rng, filters),
            oddity: *pick(rng, oddities),
            largest_limit: *pick(rng, &[None, None, None, None, Some(40), Some(200)]),
            seed,
        }
    }

    /// Any query of that chat.
    pub(crate) fn seeded_bounds(&self) -> Bounds {
        let mut rng = Rng::with_seed(self.seed ^ 0x5eed);
        let rng = &mut rng;
        let page_size = *pick(rng, &[1, 2, 3, 7, 20, 50, 100, 1_000]);
        let some_time = |rng: &mut Rng| {
            let time = self.messages.get(rng.usize(..self.messages.len().max(1)))?.time;
            (rng.u8(..4) == 0).then(|| Timestamp::from_millis(time + rng.i64(-3..4)))
        };
        let (one, other) = (some_time(rng), some_time(rng));
        let (since, until) = match (one, other) {
            (Some(one), Some(other)) => (Some(one.min(other)), Some(one.max(other))),
            times => times,
        };
        Bounds {
            // An early answer to another question is not told from a filter that was ignored.
            bot_session: (self.oddity != Oddity::Newer && rng.u8(..4) == 0).then(|| SESSION.into()),
            since,
            until,
            page_size,
            max_page_size: if rng.bool() { page_size } else { page_size * rng.u32(1..20) },
            max_messages: (rng.u8(..6) == 0).then(|| rng.u64(..150)),
        }
    }

    /// The messages of an answer, as indices; `None` for 413. Every request has another `number`.
    pub(crate) fn answer(&self, ask: &Ask, number: u64) -> Option<Vec<usize>> {
        if self.largest_limit.is_some_and(|largest| ask.limit > largest) {
            return None;
        }
        let mut rng = Rng::with_seed(self.seed ^ number.rotate_left(17));
        let mut cursor =
            ask.cursor.as_ref().map(|cursor| (cursor.timestamp.as_millis(), cursor.id.as_str()));
        let mut in_session = ask.bot_session;
        match self.filter {
            Filter::CursorIgnored if in_session => cursor = None,
            Filter::SessionIgnored if cursor.is_some() => in_session = false,
            _ => {}
        }
        let mut page: Vec<usize> = (0..self.messages.len()).collect();
        let message = |index: &usize| &self.messages[*index];
        match (self.reading, self.tie_order) {
            (Reading::StrictKeyset, _) | (_, Order::Ascending) => {
                page.sort_by(|a, b| message(a).place().cmp(&message(b).place()));
            }
            (_, Order::Descending) => {
                page.sort_by(|a, b| {
                    let by_id = message(b).id.cmp(&message(a).id);
                    message(a).time.cmp(&message(b).time).then(by_id)
                });
            }
            (_, Order::Shuffled) => {
                rng.shuffle(&mut page);
                page.sort_by_key(|index| message(index).time);
            }
        }
        let newest = page.last().copied();
        page.retain(|index| {
            let message = message(index);
            (!in_session || message.in_session)
                && cursor.is_none_or(|(time, id)| match self.reading {
                    Reading::ExcludesOneId => message.time <= time && message.id != id,
                    Reading::StrictKeyset => message.place() < (time, id),
                })
        });
        let limit = self.cap.map_or(ask.limit as usize, |cap| cap.min(ask.limit as usize));
        page.drain(..page.len().saturating_sub(limit));
        // Only what has a place can be known again for certain: equal texts without one may be two messages.
        let odd = match self.oddity {
            Oddity::Repeats if !page.is_empty() => Some(rng.usize(..page.len())),
            Oddity::Newer if !page.is_empty() => Some(page.len()),
            _ => None,
        };
        if let Some(at) = odd {
            let message = page.get(at).copied().or(newest);
            page.splice(at..at, message.filter(|index| self.messages[*index].readable));
        }
        match self.page_order {
            Order::Ascending => {}
            Order::Descending => page.reverse(),
            Order::Shuffled => rng.shuffle(&mut page),
        }
        Some(page)
    }

    pub(crate) fn key(&self, index: usize) -> Key {
        let message = &self.messages[index];
        if message.readable {
            let timestamp = Timestamp::from_millis(message.time);
            Key::Placed(Cursor { timestamp, id: message.id.as_str().into() })
        } else {
            Key::Unplaced(index as u64)
        }
    }

    pub(crate) fn keys(&self, page: &[usize]) -> Vec<Key> {
        page.iter().map(|index| self.key(*index)).collect()
    }

    pub(crate) fn of_other_session(&self, page: &[usize]) -> Vec<bool> {
        page.iter().map(|index| !self.messages[*index].in_session).collect()
    }

    /// One message as the JSON that the wire carries.
    pub(crate) fn json(&self, index: usize) -> String {
        let ModelMessage { time, id, in_session, readable } = &self.messages[index];
        let session =
            if *in_session { format!(r#","botSessionId":"{SESSION}""#) } else { String::new() };
        if *readable {
            format!(r#"{{"_id":"{id}","timestamp":{time},"text":"{index}"{session}}}"#)
        } else {
            format!(r#"{{"_id":7,"timestamp":"soon","text":"{index}"{session}}}"#)
        }
    }

    /// A whole body.
    pub(crate) fn body(&self, page: &[usize]) -> String {
        let messages: Vec<String> = page.iter().map(|index| self.json(*index)).collect();
        let min_time = match self.chat_start {
            ChatTime::Empty => "false".to_owned(),
            ChatTime::Unknown => "null".to_owned(),
            ChatTime::At(time) => time.as_millis().to_string(),
        };
        let max_time =
            self.messages.last().map_or("false".to_owned(), |last| last.time.to_string());
        format!(
            r#"{{"messages":[{}],"minTime":{min_time},"maxTime":{max_time}}}"#,
            messages.join(",")
        )
    }

    /// What a walk has to hand out, as indices, ascending; `max_messages` is left to the caller.
    pub(crate) fn expected(&self, bounds: &Bounds) -> Vec<usize> {
        let wanted = |message: &ModelMessage| {
            let time = Timestamp::from_millis(message.time);
            bounds.since.is_none_or(|since| time >= since)
                && bounds.until.is_none_or(|until| time <= until)
                && (bounds.bot_session.is_none() || message.in_session)
        };
        (0..self.messages.len()).filter(|index| wanted(&self.messages[*index])).collect()
    }
}

/// The size of the largest group of equal timestamps.
pub(crate) fn largest_tie(messages: &[ModelMessage]) -> usize {
    messages.chunk_by(|a, b| a.time == b.time).map(<[_]>::len).max().unwrap_or(0)
}

pub(crate) fn pick<'a, V>(rng: &mut Rng, choices: &'a [V]) -> &'a V {
    &choices[rng.usize(..choices.len())]
}
