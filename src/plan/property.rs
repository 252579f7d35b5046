//! The plan against the model server, through many histories. Each message must come once and in order,
//! whatever the order of the answers, the size of the buffer, and the changes in the chat.

mod chat;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use fastrand::Rng;

use super::{Chunk, Fetched, Plan, Settings, Start};
use crate::cursor::Key;
use crate::id::MessageId;
use crate::position::{Horizon, Position, SyncPosition};
use crate::testing::rulebook::{CursorReading, LimitReading, PageOrder, TieOrder};
use crate::timestamp::Timestamp;
use crate::walk::model::Model;
use crate::walk::oracle::is_knowable;
use crate::walk::{Ask, End, Next, Stall};
use crate::window::WindowId;
use chat::{Chat, is_passable, sparse};

/// How many histories are tested.
const HISTORIES: u64 = 100_000;

/// Where the stream stands, as a checkpoint would hold it.
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
            Self::Oldest(position) => Start::OldestFirst { position, again: false },
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Stop {
    End(End),
    Stalled(Option<Stall>),
    /// As many messages as the test wanted have been handed out.
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
    Answer(Ask, Result<Fetched<MessageId>, u16>),
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
    let mut stalled: HashMap<WindowId, Option<Stall>> = HashMap::new();
    loop {
        while let Some(Chunk { keys, mut messages, .. }) = plan.take() {
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
                return Stop::Stalled(*why);
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
            let (Pending::Ask(ask) | Pending::Answer(ask, _)) = answer;
            if rng.bool() {
                assert_eq!(plan.failed(id, &ask, None), None);
            } else {
                plan.abandon(id);
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
            Ok(page) => {
                if let Some(why) = plan.receive(id, &ask, page).stalled {
                    stalled.insert(id, Some(why));
                }
            }
            Err(status) => match plan.failed(id, &ask, Some(status)) {
                Some(Next::Stalled(why)) => drop(stalled.insert(id, Some(why))),
                Some(Next::Ask | Next::End(_)) => {}
                None => drop(stalled.insert(id, None)),
            },
        }
        walked.most_held = walked.most_held.max(plan.held());
        assert!(walked.requests < 20_000, "it does not end\n{plan:?}");
    }
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
    // A keyset that shows a group of equal timestamps in another order than the keyset's own contradicts
    // itself.
    let in_order = model.rules.page_order == PageOrder::Ascending
        || !model.rules.cursor_reading.orders_by_id();
    let most_bytes = if rng.u8(..5) == 0 { rng.u64(..2_000) } else { u64::MAX };
    Case {
        oldest_first: rng.bool(),
        // When some messages have been deleted, the walk cannot know how many were counted and left out.
        changes: rng.u8(..3) == 0
            && model.rules.cursor_reading != CursorReading::StrictKeysetAfterCounting,
        failures: rng.u8(..3) == 0,
        stops: in_order && bounds.max_messages.is_none() && rng.bool(),
        settings: Settings { bounds, concurrency, most_bytes, buffer },
    }
}

/// The stated bound of requests.
fn most_requests(chat: &Chat, case: &Case, walked: &Walked) -> usize {
    let (model, bounds) = (&chat.model, &case.settings.bounds);
    let page = model.most_on_a_page().min(bounds.page_size as usize);
    let log = |number: usize| (usize::BITS - number.leading_zeros()) as usize;
    let groups = model.messages.chunk_by(|a, b| a.time == b.time);
    let in_groups: usize =
        groups.map(|group| if group.len() >= page { 2 * log(group.len()) + 2 } else { 0 }).sum();
    let count = chat.times.len();
    let walk = 2 * count.div_ceil(page) + in_groups + 2 * log(count) + 6;
    // Messages without a readable timestamp stand at no known time. A buffer of a few pages is too small for
    // several requests at once.
    let tiny = case.settings.buffer.is_some_and(|buffer| buffer < 4 * bounds.page_size as usize);
    let some_unreadable = !chat.unreadable.is_empty();
    // Each window finds out for itself that the chat's start is stale, or that the cursor is counted.
    let odd = chat.odd || chat.model.rules.cursor_reading == CursorReading::CountsTheCursor;
    let factor = 2 << (u32::from(tiny) + u32::from(some_unreadable) + u32::from(odd));
    // A stop loses the messages held. A request that failed is sent again.
    factor * walk * walked.plans + 2 * walked.failures + 6 * case.settings.concurrency
}

/// Whether one history was walked to its end. The error says what went wrong.
fn check(chat: &Chat, case: &Case, walked: &Walked, stop: &Stop) -> Result<bool, String> {
    let bounds = &case.settings.bounds;
    let time = |id: &MessageId| chat.times[id];
    let unique: BTreeSet<&MessageId> = walked.handed_out.iter().collect();
    // A message without a readable timestamp is not recognised for certain when its neighbours change.
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
    let in_session: BTreeSet<&str> =
        chat.model.messages.iter().filter(|m| m.in_session).map(|m| m.id.as_str()).collect();
    // To get past hidden messages, the walk asks for a longer answer. That answer may bring more than a page.
    let widens = chat.model.hides() || chat.model.rules.empty_answer.is_some();
    if let Stop::End(end) = stop {
        // A page this small, less one message, shows nothing at all where a window begins.
        let shows_nothing =
            chat.model.rules.limit_reading == LimitReading::OneShort && bounds.page_size < 3;
        // A message that was hidden may have been deleted since.
        let was_odd = chat.odd && chat.changed;
        let knowable = is_knowable(&chat.model, bounds) && !shows_nothing && !was_odd;
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
            if knowable && wanted && !unique.contains(id) {
                return Err(format!(
                    "lost {}: {id} at {}",
                    if unreadable.is_empty() { "readable" } else { "unreadable" },
                    time(id)
                ));
            }
        }
        let keyset = chat.model.rules.cursor_reading.orders_by_id();
        let stable = chat.model.rules.page_order == PageOrder::Ascending
            && (keyset
                || matches!(chat.model.rules.tie_order, TieOrder::ById | TieOrder::ByIdDescending));
        if stable && !chat.changed && unreadable.is_empty() && !widens {
            let descending = chat.model.rules.tie_order == TieOrder::ByIdDescending && !keyset;
            let mut ascending: Vec<(i64, &MessageId)> =
                walked.handed_out.iter().map(|id| (time(id), id)).collect();
            if !case.oldest_first {
                ascending.reverse();
            }
            let in_order = |(time, id): &(i64, &MessageId), (next, behind): &(i64, &MessageId)| {
                let by_id = if descending { id >= behind } else { id <= behind };
                time < next || (time == next && by_id)
            };
            if !ascending.is_sorted_by(in_order) {
                return Err("within one timestamp, not in the server's order".into());
            }
        }
    } else if is_passable(chat, bounds) {
        return Err(format!("it stalled: {stop:?}"));
    }
    let buffer = case.settings.buffer.unwrap_or(usize::MAX / 4);
    let whole = bounds.bot_session.is_some();
    if !whole
        && !widens
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

fn try_one(seed: u64) -> Result<bool, String> {
    let mut rng = Rng::with_seed(seed ^ 0x9a11);
    let rng = &mut rng;
    let mut model = Model::seeded(seed);
    sparse(&mut model);
    let case = case(&model, rng);
    if case.stops && !case.oldest_first {
        // A walk that goes on from the middle of a page may show an unreadable message again.
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
    check(&chat, &case, &walked, &stop)
        .map_err(|why| format!("{why}\nseed {seed}\n{case:?}\n{:?}\n{walked:?}", chat.model))
}

#[test]
fn every_message_once_whatever_comes() {
    let (mut complete, mut failures) = (0, Vec::new());
    for seed in 0..HISTORIES {
        match try_one(seed) {
            Ok(ended) => complete += u64::from(ended),
            Err(why) => failures.push(why),
        }
    }
    // The shortest history is the easiest to understand.
    let shortest = failures.iter().min_by_key(|why| why.len());
    assert!(failures.is_empty(), "{} failures: {}", failures.len(), shortest.unwrap());
    // Enough histories must be complete, or the check proves nothing.
    assert!(complete > HISTORIES * 4 / 5, "only {complete} walks were complete");
}
