//! The walk against the model, through many histories: each message once, never newer after older, within
//! a stated number of requests.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::model::{Model, largest_tie};
use super::{Answer, Bounds, End, Kept, Next, Stall, Walk};
use crate::cursor::Key;
use crate::position::{MOST_TIED, Position};
use crate::testing::rulebook::{CursorReading, LimitReading, MinTime, PageOrder, SessionFilter};
use crate::timestamp::Timestamp;

/// How many histories are gone through.
const HISTORIES: u64 = 120_000;

#[derive(Debug)]
struct Walked {
    /// In the order in which they went out.
    handed_out: Vec<usize>,
    requests: usize,
    next: Next,
    /// How many requests were foreseen from the first message of the answer before them.
    foreseen: usize,
}

/// Walks one history to its end, or until `limit` requests have been sent.
fn walk(model: &Model, bounds: &Bounds, position: Position, limit: usize) -> Walked {
    let mut walk = Walk::new(bounds.clone(), position);
    let mut walked = Walked { handed_out: Vec::new(), requests: 0, next: Next::Ask, foreseen: 0 };
    if bounds.max_messages == Some(0) {
        walked.next = Next::End(End::ReachedMax);
    }
    while walked.next == Next::Ask && walked.requests < limit {
        let ask = walk.ask();
        assert!(ask.limit > 0);
        assert!(ask.cursor.is_some() || ask.bot_session, "a filter is required");
        let number = walked.requests as u64;
        walked.requests += 1;
        let page = match model.answer(&ask, number) {
            Ok(page) => page,
            Err(status) => {
                match walk.refused(&ask, status) {
                    Some(next) => walked.next = next,
                    None => walked.next = REFUSED,
                }
                continue;
            }
        };
        let keys = model.keys(&page);
        let of_other_session =
            if bounds.bot_session.is_some() { model.of_other_session(&page) } else { Vec::new() };
        let (chat_start, chat_latest) = model.times();
        let answer =
            Answer { keys: &keys, of_other_session: &of_other_session, chat_start, chat_latest };
        let first = match keys.first() {
            Some(Key::Placed(first)) => walk.foresee(&ask, first),
            _ => None,
        };
        let verdict = walk.receive(&ask, answer);
        if let Some(foreseen) = first.filter(|_| verdict.next == Next::Ask) {
            // On such a page, a guess is no guess.
            let times: Vec<_> = keys.iter().map(Key::timestamp).collect();
            let as_asked = keys.len() == ask.limit as usize && times.is_sorted();
            let filters = bounds.bot_session.is_none()
                || model.rules.session_filter == SessionFilter::BothApply;
            if as_asked && filters && matches!(verdict.kept, Kept::AllAsTheyCame) {
                assert_eq!(foreseen, walk.ask(), "{bounds:?}\n{model:?}");
            }
            walked.foreseen += usize::from(foreseen == walk.ask());
        }
        match verdict.kept {
            Kept::AllAsTheyCame => walked.handed_out.extend(page.iter().rev()),
            Kept::Only(indices) => walked.handed_out.extend(indices.iter().rev().map(|i| page[*i])),
        }
        walked.next = verdict.next;
    }
    walked
}

/// The server refused the caller's own page size.
const REFUSED: Next = Next::Stalled(Stall::LimitRefused { limit: 0, status: 0 });

/// Whether the server shows everything to a patient walk. If not, `Stalled` is the only honest end.
fn is_passable(model: &Model, bounds: &Bounds) -> bool {
    let most = model.most_on_a_page();
    let refuses = matches!(model.rules.limit_reading, LimitReading::Refused { .. });
    let small_enough = !refuses || bounds.page_size as usize <= most;
    // A keyset gets past any group, if its pages show its order.
    let keyset = bounds.bot_session.is_none()
        && model.rules.cursor_reading == CursorReading::StrictKeyset
        && model.rules.page_order == PageOrder::Ascending;
    // The cursor and what has been seen take up room; a run of hidden messages does, too.
    let room_for_ties = (keyset && !refuses) || most > largest_tie(&model.messages) + 1;
    let odd = model.hides() || model.rules.empty_answer.is_some();
    let room_for_hidden = !odd || (most > model.messages.len() && !refuses);
    // Without a place there is no cursor: a run of unreadable messages must fit on a page.
    // A page of nothing else may have been cut off.
    let sees_until = bounds.until.is_none() || model.rules.limit_reading == LimitReading::AsAsked;
    let room_for_unreadable = model.all_readable()
        || (sees_until && most > model.messages.len() + 1 && oldest_unreadable(model, bounds) < 49);
    small_enough && room_for_ties && room_for_hidden && room_for_unreadable
}

/// How many messages may stand on a page that begins with the oldest and has no cursor to go on from.
fn oldest_unreadable(model: &Model, bounds: &Bounds) -> usize {
    let until = bounds.until.map_or(i64::MAX, Timestamp::as_millis);
    let within = || model.messages.iter().filter(|message| message.time <= until);
    let first_readable = within().find(|message| message.readable).map_or(i64::MAX, |m| m.time);
    within().filter(|message| message.time <= first_readable).count()
}

/// Whether a server that does this can be told from one that has no more.
fn is_knowable(model: &Model, bounds: &Bounds) -> bool {
    let says_start = match model.rules.min_time {
        MinTime::Stated => true,
        MinTime::Fixed(_) => !model.hides(),
        _ => false,
    };
    let odd = model.hides()
        || model.rules.empty_answer.is_some()
        || model.rules.limit_reading == LimitReading::OneShort;
    let first_ties = model.first_group().len() > 1;
    if first_ties && (model.hides() || model.rules.empty_answer.is_some()) {
        return false;
    }
    let cuts =
        !matches!(model.rules.limit_reading, LimitReading::AsAsked | LimitReading::Refused { .. });
    if (model.hides() || cuts) && model.rules.empty_answer.is_some() {
        return false;
    }
    // Hidden messages a millisecond behind the chat's first may fill a page of a server with a cap.
    let first = model.messages.first().map_or(0, |message| message.time);
    let behind = model.messages.iter().filter(|m| m.time == first + 1 && m.hidden).count();
    if behind >= model.most_on_a_page() {
        return false;
    }
    // A page that holds as many of the oldest as a cap allows, the cursor among them, is all that there is or not.
    if let (LimitReading::Capped(cap), CursorReading::CountsTheCursor) =
        (model.rules.limit_reading, model.rules.cursor_reading)
    {
        let stated = model.rules.min_time == MinTime::Stated && bounds.bot_session.is_none();
        let group = if stated { model.first_group().len() } else { largest_tie(&model.messages) };
        if group as u64 >= cap || (!stated && cap < 50) {
            return false;
        }
    }
    // Of a session no answer says when it began.
    (says_start && bounds.bot_session.is_none()) || !odd
}

/// The stated bound of requests for a walk from the beginning.
///
/// A page brings `page` messages, or the walk is in a group of equal timestamps that is larger than a page,
/// where the limit doubles; and a few more find the end. Where messages have no place, are hidden or cut off, a
/// message may cost some requests of its own.
fn most_requests(model: &Model, bounds: &Bounds) -> usize {
    let most = model.most_on_a_page();
    let page = most.min(bounds.page_size as usize);
    let log = |number: usize| (usize::BITS - number.leading_zeros()) as usize;
    let count = model.messages.len();
    let plain = model.all_readable()
        && !model.hides()
        && model.rules.limit_reading != LimitReading::OneShort
        && model.rules.cursor_reading != CursorReading::CountsTheCursor
        && most > largest_tie(&model.messages);
    let pages = if plain {
        let groups = model.messages.chunk_by(|a, b| a.time == b.time);
        let in_groups = groups.map(|g| if g.len() >= page { 2 * log(g.len()) + 2 } else { 0 });
        count.div_ceil(page) * 2 + in_groups.sum::<usize>()
    } else {
        4 * count
    };
    let refused = match model.rules.limit_reading {
        LimitReading::Refused { above, .. } => 2 * log(above as usize) + pages,
        _ => 0,
    };
    // At last, a longer and longer answer is asked for in vain.
    let in_vain = log(MOST_TIED / page) + 1;
    pages + 2 * log(count) + log(bounds.max_page_size as usize) + 8 + refused + in_vain
}

/// Whether the walk through one history came to the end of it; an error says what went wrong.
fn check(model: &Model, bounds: &Bounds, walked: &Walked) -> Result<bool, &'static str> {
    let require =
        |holds: bool, otherwise: &'static str| if holds { Ok(()) } else { Err(otherwise) };
    require(walked.next != Next::Ask, "it does not end")?;
    let unique: HashSet<usize> = walked.handed_out.iter().copied().collect();
    require(unique.len() == walked.handed_out.len(), "a message came twice")?;
    let readable: Vec<usize> =
        walked.handed_out.iter().copied().filter(|index| model.messages[*index].readable).collect();
    let mut times = readable.iter().map(|index| model.messages[*index].time).rev();
    require(times.by_ref().is_sorted(), "a newer message came after an older one")?;

    let mut expected = model.expected(bounds);
    // Whether a message without a place lies within bounds of time cannot be known.
    let bounded = bounds.since.is_some() || bounds.until.is_some();
    let mut in_bounds = walked.handed_out.iter().map(|index| {
        expected.binary_search(index).is_ok() || (bounded && !model.messages[*index].readable)
    });
    require(in_bounds.all(|in_bounds| in_bounds), "a message came that is out of bounds")?;
    if walked.next == Next::End(End::ReachedMax) {
        let exactly = Some(walked.handed_out.len() as u64) == bounds.max_messages;
        require(exactly, "the most that was asked for did not come")?;
        let oldest = readable.last().map_or(i64::MAX, |index| model.messages[*index].time);
        expected.retain(|index| model.messages[*index].time > oldest);
    }
    let complete = matches!(walked.next, Next::End(_));
    let certain = |index: &usize| {
        model.messages[*index].readable || !(bounded || bounds.max_messages.is_some())
    };
    let none_lost =
        expected.iter().filter(|index| certain(index)).all(|index| unique.contains(index));
    let silent = complete && is_knowable(model, bounds);
    require(none_lost || !silent, "a message was lost in silence")?;
    require(complete || !is_passable(model, bounds), "it stalled")?;
    require(walked.requests <= most_requests(model, bounds), "it took too many requests")?;
    Ok(complete)
}

/// What a history that went wrong is known by.
struct Failure {
    why: &'static str,
    messages: usize,
    details: String,
}

/// Goes through one history: whether it came to its end, and how many requests were foreseen.
fn try_history(seed: u64) -> Result<(bool, usize), Failure> {
    let model = Model::seeded(seed);
    let bounds = model.seeded_bounds();
    let walked = walk(&model, &bounds, Position::default(), 3_000);
    match check(&model, &bounds, &walked) {
        Ok(complete) => Ok((complete, walked.foreseen)),
        Err(why) => {
            let most = most_requests(&model, &bounds);
            let details =
                format!("at most {most} requests\nseed {seed}\n{bounds:?}\n{model:#?}\n{walked:?}");
            Err(Failure { why, messages: model.messages.len(), details })
        }
    }
}

#[test]
fn every_message_once_whatever_the_server() {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (complete, foreseen) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..threads {
            let (complete, foreseen, failures) = (&complete, &foreseen, &failures);
            scope.spawn(move || {
                for seed in (0..HISTORIES).skip(worker).step_by(threads) {
                    match try_history(seed) {
                        Ok((ended, requests)) => {
                            complete.fetch_add(usize::from(ended), Ordering::Relaxed);
                            foreseen.fetch_add(requests, Ordering::Relaxed);
                        }
                        Err(failure) => failures.lock().unwrap().push(failure),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    let mut kinds: BTreeMap<&str, Vec<&Failure>> = BTreeMap::new();
    for failure in &failures {
        kinds.entry(failure.why).or_default().push(failure);
    }
    for (why, failures) in &kinds {
        // The shortest history tells most.
        if let Some(shortest) = failures.iter().min_by_key(|failure| failure.messages) {
            eprintln!("{why}, {} times: {}\n", failures.len(), shortest.details);
        }
    }
    assert!(kinds.is_empty(), "{:?}", kinds.keys());
    // Neither check must run dry.
    let (complete, foreseen) = (complete.into_inner() as u64, foreseen.into_inner() as u64);
    assert!(complete > HISTORIES / 2, "only {complete} walks were complete");
    assert!(foreseen > HISTORIES, "only {foreseen} requests were foreseen");
}
