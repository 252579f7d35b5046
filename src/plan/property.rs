//! The plan against the model, through many histories: each message once, in order, whatever the order of the
//! answers, the size of the buffer, and what happens to the chat meanwhile.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use fastrand::Rng;

use super::{Chunk, Fetched, Horizon, Plan, Settings, Start, SyncPosition};
use crate::checkpoint::{Key, Position};
use crate::fingerprint::fingerprint;
use crate::id::MessageId;
use crate::timestamp::Timestamp;
use crate::walk::model::{Filter, Model, ModelMessage, Oddity, Order, Reading, largest_tie, pick};
use crate::walk::{Ask, Bounds, ChatTime, End};
use crate::window::WindowId;

/// How many histories are gone through.
const HISTORIES: u64 = 100_000;

/// The chat as the server has it, and all that was ever in it.
struct Chat {
    model: Model,
    latest: ChatTime,
    number: u64,
    times: HashMap<MessageId, i64>,
    /// What was there from the first request on, and was not deleted.
    lasting: HashSet<MessageId>,
    changed: bool,
    deleted: bool,
    largest_tie: usize,
    unreadable: HashSet<MessageId>,
}

impl Chat {
    fn new(model: Model, rng: &mut Rng) -> Self {
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
            lasting: model.messages.iter().map(id).collect(),
            unreadable: model.messages.iter().filter(|m| !m.readable).map(id).collect(),
            largest_tie: largest_tie(&model.messages),
            model,
            latest,
            number: 0,
            changed: false,
            deleted: false,
        }
    }

    /// The one question that a server answers; `None` when it refuses the `limit`.
    fn answer(&mut self, ask: &Ask, in_session: bool) -> Option<Fetched<MessageId>> {
        self.number += 1;
        let page = self.model.answer(ask, self.number)?;
        let of_other_session =
            if in_session { self.model.of_other_session(&page) } else { Vec::new() };
        Some(Fetched {
            keys: page.iter().map(|index| self.key(*index)).collect(),
            messages: page.iter().map(|i| self.model.messages[*i].id.as_str().into()).collect(),
            of_other_session,
            chat_start: self.model.chat_start,
            chat_latest: self.latest,
            bytes: 10 * page.len() as u64,
        })
    }

    /// The model's fingerprints are places in its list, and move when that changes.
    fn key(&self, index: usize) -> Key {
        match self.model.key(index) {
            Key::Unplaced(_) => {
                Key::Unplaced(fingerprint(self.model.messages[index].id.as_bytes()))
            }
            placed @ Key::Placed(_) => placed,
        }
    }

    fn insert(&mut self, time: i64, rng: &mut Rng) {
        // A small cap is not told from the end of a chat that begins with equal timestamps.
        let first = self.model.messages.first().map(|message| message.time);
        if first == Some(time) && self.model.cap.is_some_and(|cap| cap < 50) {
            return;
        }
        let id = format!("{}{:x}n{}", rng.lowercase(), rng.u32(..), self.times.len());
        self.times.insert(id.as_str().into(), time);
        let at = self.model.messages.partition_point(|message| message.time <= time);
        let message = ModelMessage { time, id, in_session: rng.bool(), readable: true };
        self.model.messages.insert(at, message);
        self.changed = true;
        self.largest_tie = self.largest_tie.max(largest_tie(&self.model.messages));
    }

    /// A message comes, comes late, or is deleted.
    fn change(&mut self, rng: &mut Rng) {
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

/// Where the stream stands: what a checkpoint would hold.
#[derive(Clone, Debug)]
enum Place {
    Newest(Position),
    Oldest(SyncPosition),
}

const HORIZON: Horizon =
    Horizon { now: Timestamp::from_millis(i64::MAX), lookback: Duration::ZERO };

impl Place {
    fn advance(&mut self, handed_out: &[Key]) {
        match self {
            Self::Newest(position) => position.advance(handed_out),
            Self::Oldest(position) => position.advance(handed_out, HORIZON),
        }
    }

    fn start(&self) -> Start {
        match self.clone() {
            Self::Newest(position) => Start::NewestFirst(position),
            Self::Oldest(position) => {
                Start::OldestFirst { position, horizon: HORIZON, again: false }
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Stop {
    End(End),
    Stalled(&'static str),
    /// As many as were wanted have been handed out.
    Enough,
}

#[derive(Debug, Default)]
struct Walked {
    handed_out: Vec<MessageId>,
    requests: usize,
    most_held: usize,
    failures: usize,
    /// How many plans were begun.
    plans: usize,
}

/// What may happen on the way.
struct Weather {
    changes: bool,
    failures: bool,
}

enum Pending {
    Ask(Ask),
    Answer(Ask, Option<Fetched<MessageId>>),
}

/// Carries a plan out until it ends, or `enough` messages have been handed out.
fn carry_out(
    chat: &mut Chat,
    settings: &Settings,
    place: &mut Place,
    enough: usize,
    weather: &Weather,
    rng: &mut Rng,
    walked: &mut Walked,
) -> Stop {
    walked.plans += 1;
    let in_session = settings.bounds.bot_session.is_some();
    let mut plan: Plan<MessageId> = Plan::new(settings.clone(), place.start());
    let mut pending: Vec<(WindowId, Pending)> = Vec::new();
    let mut left = enough;
    let mut stalled: HashMap<WindowId, &'static str> = HashMap::new();
    loop {
        while let Some(Chunk { keys, mut messages }) = plan.take() {
            assert_eq!(keys.len(), messages.len());
            let count = left.min(messages.len());
            place.advance(&keys[keys.len() - count..]);
            walked.handed_out.extend(messages.drain(messages.len() - count..).rev());
            left -= count;
            if left == 0 {
                return Stop::Enough;
            }
        }
        if let Some(end) = plan.end() {
            return Stop::End(end);
        }
        if let Some(failed) = plan.failure() {
            if let Some(why) = stalled.get(&failed) {
                return Stop::Stalled(why);
            }
            walked.failures += 1;
            plan.resume();
        }
        // The stream may be polled at any time.
        while (pending.is_empty() || rng.u8(..8) > 0)
            && let Some((id, ask)) = plan.ask()
        {
            assert!(ask.limit > 0);
            assert!(pending.iter().all(|(other, _)| *other != id), "two requests for a window");
            walked.requests += 1;
            let answer = if rng.bool() {
                let answer = chat.answer(&ask, in_session);
                Pending::Answer(ask, answer)
            } else {
                Pending::Ask(ask)
            };
            pending.push((id, answer));
        }
        assert_eq!(plan.under_way(), pending.len());
        assert!(pending.len() <= settings.concurrency);
        assert!(!pending.is_empty(), "it neither ends nor asks\n{plan:?}");
        if weather.changes && rng.u8(..4) == 0 {
            chat.change(rng);
        }
        let (id, answer) = pending.swap_remove(rng.usize(..pending.len()));
        if weather.failures && rng.u8(..16) == 0 {
            if rng.bool() {
                plan.failed(id)
            } else {
                plan.abandon(id)
            }
            continue;
        }
        let (ask, answer) = match answer {
            Pending::Answer(ask, answer) => (ask, answer),
            Pending::Ask(ask) => {
                let answer = chat.answer(&ask, in_session);
                (ask, answer)
            }
        };
        match answer {
            Some(page) => {
                if let Some(why) = plan.receive(id, &ask, page).stalled {
                    stalled.insert(id, why);
                }
            }
            None => {
                if !plan.refused(id, &ask) {
                    stalled.insert(id, "413");
                }
            }
        }
        walked.most_held = walked.most_held.max(plan.held());
        assert!(walked.requests < 20_000, "it does not end\n{plan:?}");
    }
}

/// Whether the server shows everything to a patient walk. If not, a stall is an honest end.
fn is_passable(chat: &Chat, bounds: &Bounds) -> bool {
    let model = &chat.model;
    let most = [model.cap, model.largest_limit.map(|limit| limit as usize)];
    let most = most.into_iter().flatten().min().unwrap_or(usize::MAX);
    let keyset = model.reading == Reading::StrictKeyset && model.page_order == Order::Ascending;
    let all_readable = model.messages.iter().all(|message| message.readable);
    let small_enough = model.largest_limit.is_none_or(|limit| bounds.page_size <= limit);
    let room = keyset || most > chat.largest_tie + usize::from(model.oddity != Oddity::None);
    let cursor_applies = bounds.bot_session.is_none() || model.filter != Filter::CursorIgnored;
    room && all_readable
        && small_enough
        && model.oddity != Oddity::Newer
        && !chat.deleted
        && (cursor_applies || most > model.messages.len())
}

#[derive(Debug)]
struct Case {
    settings: Settings,
    oldest_first: bool,
    changes: bool,
    failures: bool,
    stops: bool,
}

fn case(model: &Model, rng: &mut Rng) -> Case {
    let bounds = model.seeded_bounds();
    let page = bounds.page_size as usize;
    let buffer = match rng.u8(..4) {
        0 => None,
        1 => Some(page * rng.usize(2..4)),
        _ => Some(page * rng.usize(4..20)),
    };
    let concurrency = if rng.u8(..3) == 0 { 1 } else { rng.usize(1..=16) };
    // A keyset that shows a group of equal timestamps in another order than its own contradicts itself.
    let in_order = model.page_order == Order::Ascending || model.reading != Reading::StrictKeyset;
    let most_bytes = if rng.u8(..5) == 0 { rng.u64(..2_000) } else { u64::MAX };
    Case {
        oldest_first: rng.bool(),
        changes: rng.u8(..3) == 0,
        failures: rng.u8(..3) == 0,
        stops: in_order && bounds.max_messages.is_none() && rng.bool(),
        settings: Settings { bounds, concurrency, most_bytes, buffer },
    }
}

/// The stated bound of requests.
fn most_requests(chat: &Chat, case: &Case, walked: &Walked) -> usize {
    let (model, bounds) = (&chat.model, &case.settings.bounds);
    let most = [model.cap, model.largest_limit.map(|limit| limit as usize)];
    let most = most.into_iter().flatten().min().unwrap_or(usize::MAX);
    let page = most.min(bounds.page_size as usize);
    let log = |number: usize| (usize::BITS - number.leading_zeros()) as usize;
    let groups = model.messages.chunk_by(|a, b| a.time == b.time);
    let in_groups: usize =
        groups.map(|group| if group.len() >= page { 2 * log(group.len()) + 2 } else { 0 }).sum();
    let count = chat.times.len();
    let walk = 2 * count.div_ceil(page) + in_groups + 2 * log(count) + 6;
    // Messages without a readable timestamp stand at no place; a buffer of a few pages is too small for several
    // requests at once.
    let tiny = case.settings.buffer.is_some_and(|buffer| buffer < 4 * bounds.page_size as usize);
    let factor = if tiny || !chat.unreadable.is_empty() { 4 } else { 2 };
    // A stop loses what was held; a request that failed is sent again.
    factor * walk * walked.plans + 2 * walked.failures
}

/// Whether one history was walked to its end; an error says what went wrong.
fn check(chat: &Chat, case: &Case, walked: &Walked, stop: &Stop) -> Result<bool, String> {
    let bounds = &case.settings.bounds;
    let time = |id: &MessageId| chat.times[id];
    let unique: HashSet<&MessageId> = walked.handed_out.iter().collect();
    // When its neighbours change, a message without a readable timestamp is not known again for certain.
    let certain = |id: &&MessageId| !chat.changed || !chat.unreadable.contains(*id);
    let count = walked.handed_out.iter().filter(certain).count();
    if unique.iter().filter(|id| certain(id)).count() < count {
        return Err("a message came twice".into());
    }
    let unreadable = &chat.unreadable;
    let readable = |id: &&MessageId| !unreadable.contains(*id);
    let mut times: Vec<i64> = walked.handed_out.iter().filter(readable).map(time).collect();
    if !case.oldest_first {
        times.reverse();
    }
    if !times.is_sorted() {
        return Err(format!("out of order: {times:?}"));
    }
    let (since, until) = (
        bounds.since.map_or(i64::MIN, Timestamp::as_millis),
        bounds.until.map_or(i64::MAX, Timestamp::as_millis),
    );
    if times.iter().any(|time| *time < since || *time > until) {
        return Err("a message is out of bounds".into());
    }
    let in_session: HashSet<&str> =
        chat.model.messages.iter().filter(|m| m.in_session).map(|m| m.id.as_str()).collect();
    if let Stop::End(end) = stop {
        let mut reached = (since, until);
        if *end == End::ReachedMax {
            if Some(walked.handed_out.len() as u64) != bounds.max_messages {
                return Err("not as many as `max_messages` says".into());
            }
            match (case.oldest_first, times.first(), times.last()) {
                (true, _, Some(last)) => reached.1 = last - 1,
                (false, Some(first), _) => reached.0 = first + 1,
                (_, None, _) | (_, _, None) => reached = (0, -1),
            }
        }
        let bounded =
            bounds.since.is_some() || bounds.until.is_some() || bounds.max_messages.is_some();
        for id in &chat.lasting {
            let wanted = (reached.0..=reached.1).contains(&time(id))
                && (bounds.bot_session.is_none() || in_session.contains(id.as_str()))
                && (readable(&id) || !bounded);
            if wanted && !unique.contains(id) {
                return Err(format!(
                    "lost {}: {id} at {}",
                    if unreadable.is_empty() { "readable" } else { "unreadable" },
                    time(id)
                ));
            }
        }
        let stable = chat.model.page_order == Order::Ascending
            && (chat.model.tie_order != Order::Shuffled
                || chat.model.reading == Reading::StrictKeyset);
        if stable && !chat.changed && unreadable.is_empty() {
            let descending = chat.model.tie_order == Order::Descending
                && chat.model.reading == Reading::ExcludesOneId;
            let mut sorted = walked.handed_out.clone();
            sorted.sort_by(|a, b| {
                let by_id = if descending { b.cmp(a) } else { a.cmp(b) };
                time(a).cmp(&time(b)).then(by_id)
            });
            if !case.oldest_first {
                sorted.reverse();
            }
            if sorted != walked.handed_out {
                return Err("within one timestamp, not in the server's order".into());
            }
        }
    } else if is_passable(chat, bounds) {
        return Err(format!("it stalled: {stop:?}"));
    }
    let buffer = case.settings.buffer.unwrap_or(usize::MAX / 4);
    let whole = bounds.bot_session.is_some();
    if !whole
        && unreadable.is_empty()
        && walked.most_held > buffer.max(bounds.max_page_size as usize) + 2 * chat.largest_tie
    {
        return Err(format!("it held {}", walked.most_held));
    }
    if walked.requests > most_requests(chat, case, walked) {
        return Err(format!("more than {} requests", most_requests(chat, case, walked)));
    }
    Ok(matches!(stop, Stop::End(_)))
}

/// Leaves unreadable messages only between readable ones: a run of them may be longer than what a server shows.
///
/// Nor is one known again where each request shows a group of equal timestamps in another order.
fn sparse(model: &mut Model) {
    let shuffled = model.tie_order == Order::Shuffled && model.reading == Reading::ExcludesOneId;
    let mut before = false;
    for message in &mut model.messages {
        message.readable |= !before || shuffled;
        before = message.readable;
    }
    if let Some(last) = model.messages.last_mut() {
        last.readable = true;
    }
}

fn try_one(seed: u64) -> Result<bool, String> {
    let mut rng = Rng::with_seed(seed ^ 0x9a11);
    let rng = &mut rng;
    let mut model = Model::seeded(seed);
    sparse(&mut model);
    let case = case(&model, rng);
    if case.stops && !case.oldest_first {
        // A walk that goes on from the middle of a page may show one again.
        model.messages.iter_mut().for_each(|message| message.readable = true);
    }
    let mut chat = Chat::new(model, rng);
    let mut walked = Walked::default();
    let mut place = if case.oldest_first {
        Place::Oldest(SyncPosition::default())
    } else {
        Place::Newest(Position::default())
    };
    let weather = Weather { changes: case.changes, failures: case.failures };
    let mut settings = case.settings.clone();
    let stop = loop {
        let most = chat.model.messages.len().max(1);
        let enough = if case.stops { rng.usize(1..=most) } else { usize::MAX };
        let stop = carry_out(&mut chat, &settings, &mut place, enough, &weather, rng, &mut walked);
        if stop != Stop::Enough {
            break stop;
        }
        settings.concurrency = rng.usize(1..=16);
    };
    check(&chat, &case, &walked, &stop).map_err(|why| {
        format!(
            "{} {why}\nseed {seed}\n{case:?}\n{:?}\n{walked:?}",
            if chat.times.len() > 0 && chat.model.messages.iter().any(|m| !m.readable) {
                "UNR"
            } else {
                "ok"
            },
            chat.model
        )
    })
}

#[test]
fn every_message_once_whatever_comes() {
    let complete: u64 = (0..HISTORIES).map(|seed| u64::from(try_one(seed).unwrap())).sum();
    // The check must not run dry.
    assert!(complete > HISTORIES * 4 / 5, "only {complete} walks were complete");
}
