//! Seeded chats and servers for the property tests: every reading of the rulebook, alone and together.

use fastrand::Rng;

use super::{Ask, Bounds};
use crate::chat_time::ChatTime;
use crate::cursor::{Cursor, Key};
use crate::testing::rulebook::{
    Asked, CursorReading, LimitReading, MinTime, PageOrder, Row, Rules, SessionFilter, TieOrder,
};
use crate::timestamp::Timestamp;

pub(crate) const SESSION: &str = "session1";
pub(crate) const CHAT: &str = "chat1";

#[derive(Clone, Debug)]
pub(crate) struct ModelMessage {
    pub(crate) time: i64,
    pub(crate) id: String,
    pub(crate) in_session: bool,
    /// Whether a client can read its `_id` and `timestamp`.
    pub(crate) readable: bool,
    pub(crate) hidden: bool,
}

impl Row for ModelMessage {
    fn timestamp(&self) -> i64 {
        self.time
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn bot_session(&self) -> Option<&str> {
        self.in_session.then_some(SESSION)
    }

    fn is_hidden(&self) -> bool {
        self.hidden
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// Ascending.
    pub(crate) messages: Vec<ModelMessage>,
    pub(crate) rules: Rules,
    pub(crate) seed: u64,
}

impl Model {
    /// A server that behaves as documented, and a chat without equal timestamps.
    pub(crate) fn documented(count: usize) -> Self {
        let messages = (0..count)
            .map(|index| ModelMessage {
                time: 1_000 + 10 * index as i64,
                id: format!("{index:024x}"),
                in_session: index % 3 == 0,
                readable: true,
                hidden: false,
            })
            .collect();
        Self { messages, rules: Rules::default(), seed: 0 }
    }

    pub(crate) fn with(rules: Rules, count: usize) -> Self {
        Self { rules, ..Self::documented(count) }
    }

    /// Any server and any chat. The same seed gives the same ones.
    pub(crate) fn seeded(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let mut messages = seeded_messages(rng);
        // On some pages, nothing tells where a message without a place belongs. These pages are out of order,
        // begin with the newest message whatever the cursor, or leave out the message's neighbours.
        let all_readable = messages.iter().all(|message| message.readable);
        let rules = seeded_rules(rng, seed, &messages, all_readable);
        if all_readable && rng.u8(..4) == 0 {
            hide_some(rng, &mut messages);
        }
        Self { messages, rules, seed }
    }

    /// Any query of that chat.
    pub(crate) fn seeded_bounds(&self) -> Bounds {
        let mut rng = Rng::with_seed(self.seed ^ 0x5eed);
        let rng = &mut rng;
        // The end is hardest to recognise when the page is about as large as the first group.
        let near_first_group = u32::try_from(self.first_group().len()).unwrap() + rng.u32(..3);
        let page_size = *pick(rng, &[1, 2, 3, 7, 20, 50, 100, 1_000, near_first_group.max(1)]);
        let some_time = |rng: &mut Rng| {
            let time = self.messages.get(rng.usize(..self.messages.len().max(1)))?.time;
            (rng.u8(..4) == 0).then(|| Timestamp::from_millis(time + rng.i64(-3..4)))
        };
        let (one, other) = (some_time(rng), some_time(rng));
        let (since, until) = match (one, other) {
            (Some(one), Some(other)) => (Some(one.min(other)), Some(one.max(other))),
            times => times,
        };
        // Among other sessions' messages, a message without a place cannot be recognised again.
        let session_is_certain =
            self.all_readable() || self.rules.limit_reading == LimitReading::AsAsked;
        Bounds {
            bot_session: (session_is_certain && rng.u8(..4) == 0).then(|| SESSION.into()),
            since,
            until,
            page_size,
            max_page_size: if rng.bool() { page_size } else { page_size * rng.u32(1..20) },
            max_messages: (rng.u8(..6) == 0).then(|| rng.u64(..150)),
        }
    }

    /// The messages of an answer, as indices, or the status of a refusal. Each request has its own `number`.
    pub(crate) fn answer(&self, ask: &Ask, number: u64) -> Result<Vec<usize>, u16> {
        let asked = Asked {
            limit: u64::from(ask.limit),
            before: ask
                .cursor
                .as_ref()
                .map(|cursor| (cursor.timestamp.as_millis(), cursor.id.as_str())),
            bot_session: ask.bot_session.then_some(SESSION),
            number,
        };
        self.rules.page(&self.messages, asked)
    }

    /// What an answer says of the chat's first and latest message.
    pub(crate) fn times(&self) -> (ChatTime, ChatTime) {
        let read = |text: &str| match text {
            "false" => ChatTime::Empty,
            "null" => ChatTime::Unknown,
            millis => ChatTime::At(Timestamp::from_millis(millis.parse().unwrap())),
        };
        let (start, latest) = self.rules.times(&self.messages);
        (start.as_deref().map_or(ChatTime::Unknown, read), read(&latest))
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
        let ModelMessage { time, id, in_session, readable, .. } = &self.messages[index];
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
        let (min_time, max_time) = self.rules.times(&self.messages);
        let min_time = min_time.map(|time| format!(r#""minTime":{time},"#)).unwrap_or_default();
        format!(r#"{{"messages":[{}],{min_time}"maxTime":{max_time}}}"#, messages.join(","))
    }

    /// What a walk has to hand out, as ascending indices. The caller applies `max_messages`.
    pub(crate) fn expected(&self, bounds: &Bounds) -> Vec<usize> {
        let wanted = |message: &ModelMessage| {
            let time = Timestamp::from_millis(message.time);
            !message.hidden
                && bounds.since.is_none_or(|since| time >= since)
                && bounds.until.is_none_or(|until| time <= until)
                && (bounds.bot_session.is_none() || message.in_session)
        };
        (0..self.messages.len()).filter(|index| wanted(&self.messages[*index])).collect()
    }

    /// The messages that share the chat's first timestamp.
    pub(crate) fn first_group(&self) -> &[ModelMessage] {
        self.messages.chunk_by(|a, b| a.time == b.time).next().unwrap_or_default()
    }

    pub(crate) fn hides(&self) -> bool {
        self.messages.iter().any(|message| message.hidden)
    }

    pub(crate) fn all_readable(&self) -> bool {
        self.messages.iter().all(|message| message.readable)
    }

    /// The most rows from which an answer can be made.
    pub(crate) fn most_on_a_page(&self) -> usize {
        match self.rules.limit_reading {
            LimitReading::AsAsked | LimitReading::OneShort => usize::MAX,
            LimitReading::Capped(cap) => usize::try_from(cap).unwrap(),
            LimitReading::Refused { above, .. } => usize::try_from(above).unwrap(),
        }
    }
}

fn seeded_messages(rng: &mut Rng) -> Vec<ModelMessage> {
    let count = match rng.u8(..8) {
        0 => rng.usize(..4),
        1..=5 => rng.usize(..60),
        _ => rng.usize(..400),
    };
    // From no equal timestamps to nothing but equal timestamps.
    let tie_share = *pick(rng, &[0.0, 0.1, 0.5, 0.9, 0.99, 1.0]);
    let huge_tie_at_start = rng.u8(..6) == 0;
    let unreadable_share = *pick(rng, &[0.0, 0.0, 0.0, 0.0, 0.05, 0.5, 1.0]);
    let session_share = *pick(rng, &[0.0, 0.1, 0.5, 1.0]);
    let mut time = 1_000;
    (0..count)
        .map(|index| {
            let tied = (huge_tie_at_start && index < count / 2) || rng.f64() < tie_share;
            time += if tied { 0 } else { rng.i64(1..50) };
            ModelMessage {
                time,
                // Ids are opaque: not every id is hexadecimal.
                id: format!("{}{:x}{index:04}", rng.lowercase(), rng.u32(..)),
                in_session: rng.f64() < session_share,
                readable: rng.f64() >= unreadable_share,
                hidden: false,
            }
        })
        .collect()
}

fn seeded_min_time(rng: &mut Rng, first: i64) -> MinTime {
    match rng.u8(..12) {
        0 => MinTime::Missing,
        1 => MinTime::Null,
        2 => MinTime::False,
        // The first message was deleted.
        3 => MinTime::Fixed(first - 7),
        4 => MinTime::Fixed(first - 1),
        5 => MinTime::Fixed(-4),
        _ => MinTime::Stated,
    }
}

/// If the server gives fewer messages than the documented default of `limit`, the walk cannot tell a cap from the
/// end, as long as the answers reach `minTime`. `short`: the server may give fewer.
fn limit_readings(rng: &mut Rng, short: bool) -> Vec<LimitReading> {
    let mut readings = vec![
        LimitReading::AsAsked,
        LimitReading::AsAsked,
        LimitReading::Capped(50),
        LimitReading::Capped(100),
    ];
    for above in [20, 50, 60, 200] {
        readings.push(LimitReading::Refused { above, status: *pick(rng, &[400, 413, 422]) });
    }
    if short {
        readings.extend([LimitReading::Capped(1), LimitReading::Capped(7)]);
        readings.extend([LimitReading::OneShort, LimitReading::OneShort]);
    }
    readings
}

fn seeded_rules(rng: &mut Rng, seed: u64, messages: &[ModelMessage], all_readable: bool) -> Rules {
    let min_time = seeded_min_time(rng, messages.first().map_or(1_000, |message| message.time));
    let first_ties = matches!(messages, [a, b, ..] if a.time == b.time);
    let mut limit_readings = limit_readings(rng, all_readable && !first_ties);
    let page_orders = [
        PageOrder::Ascending,
        PageOrder::Ascending,
        PageOrder::Descending,
        PageOrder::Shuffled(seed),
    ];
    let session_filters =
        [SessionFilter::BothApply, SessionFilter::SessionIgnored, SessionFilter::CursorIgnored];
    // The walk cannot know how many messages without an `_id` were counted and left out.
    let cursor_readings = [
        CursorReading::ExcludesOneId,
        CursorReading::CountsTheCursor,
        CursorReading::StrictKeyset,
        CursorReading::StrictKeysetAfterCounting,
    ];
    let cursor_reading = *pick(rng, &cursor_readings[..if all_readable { 4 } else { 3 }]);
    if cursor_reading == CursorReading::CountsTheCursor
        || cursor_reading == CursorReading::StrictKeysetAfterCounting
    {
        // With a cap of 1, an answer could hold only the cursor. With `OneShort`, the page is already one
        // short.
        let apart = [LimitReading::Capped(1), LimitReading::OneShort];
        limit_readings.retain(|reading| !apart.contains(reading));
    }
    Rules {
        cursor_reading,
        tie_order: *pick(
            rng,
            &[
                TieOrder::AsGiven,
                TieOrder::ById,
                TieOrder::ByIdDescending,
                TieOrder::Shuffled(seed),
                TieOrder::ShuffledByLimit(seed),
            ],
        ),
        // If messages at the cursor's time are counted and left out, only their place on the page tells how
        // many.
        page_order: if all_readable && cursor_reading != CursorReading::StrictKeysetAfterCounting {
            *pick(rng, &page_orders)
        } else {
            PageOrder::Ascending
        },
        session_filter: *pick(rng, &session_filters[..if all_readable { 3 } else { 1 }]),
        min_time,
        limit_reading: *pick(rng, &limit_readings),
        empty_answer: (all_readable && rng.u8(..12) == 0).then(|| rng.u64(..6)),
        // Two equal texts without a place may be two messages.
        repeats: all_readable && rng.u8(..6) == 0,
    }
}

/// Hides messages one by one, or in runs. Messages of the chat's first timestamp stay, because nothing tells
/// how many of them there are.
fn hide_some(rng: &mut Rng, messages: &mut [ModelMessage]) {
    let Some(first) = messages.first().map(|message| message.time) else { return };
    let share = *pick(rng, &[0.1, 0.5, 0.9]);
    let run = *pick(rng, &[1, 1, 20, 150]);
    let mut hidden = false;
    for (index, message) in messages.iter_mut().enumerate() {
        if index % run == 0 {
            hidden = rng.f64() < share;
        }
        message.hidden = hidden && message.time > first;
    }
}

/// The size of the largest group of equal timestamps.
pub(crate) fn largest_tie(messages: &[ModelMessage]) -> usize {
    messages.chunk_by(|a, b| a.time == b.time).map(<[_]>::len).max().unwrap_or(0)
}

pub(crate) fn pick<'a, V>(rng: &mut Rng, choices: &'a [V]) -> &'a V {
    &choices[rng.usize(..choices.len())]
}
