//! The walk against the model, through many histories. Each message comes once, never a newer one after an
//! older one, and within a stated number of requests.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::model::{Model, largest_tie};
use super::{Answer, Bounds, End, Kept, Next, Stall, Walk, oracle};
use crate::cursor::Key;
use crate::position::{MOST_TIED, Position};
use crate::testing::rulebook::{CursorReading, LimitReading, Rules, SessionFilter};

/// How many histories are tested, unless the environment variable `HISTORIES` says otherwise.
const HISTORIES: u64 = 120_000;

#[derive(Debug)]
struct Walked {
    /// The messages in the order in which they were handed out.
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
            // On this page, the foreseen request must be the next one.
            let times: Vec<_> = keys.iter().map(Key::timestamp).collect();
            let as_asked = keys.len() == ask.limit as usize && times.is_sorted();
            let filters = bounds.bot_session.is_none()
                || model.rules.session_filter == SessionFilter::BothApply;
            if as_asked && filters && matches!(verdict.kept, Kept::AllAsTheyCame) {
                // If the last `limit` is trimmed, the number of messages that share the first one's timestamp
                // cannot be foreseen.
                let trimmed = bounds.max_messages.is_some() && walk.position().seen.len() > 1;
                assert!(trimmed || foreseen == walk.ask(), "{bounds:?}\n{model:?}");
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

/// The stated bound of requests for a walk from the beginning.
///
/// A page brings `page` messages, or the walk is in a group of equal timestamps that is larger than a page.
/// There the limit doubles. A few more requests find the end. Where messages have no place, are hidden or cut
/// off, a message may cost some requests of its own.
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
    // In the end, the walk asks for longer and longer answers that bring nothing.
    let in_vain = log(MOST_TIED / page) + 1;
    pages + 2 * log(count) + log(bounds.max_page_size as usize) + 8 + refused + in_vain
}

/// Whether the walk came to the end of its history. The error says what went wrong.
fn check(model: &Model, bounds: &Bounds, walked: &Walked) -> Result<bool, &'static str> {
    let end = match walked.next {
        Next::Ask => return Err("it does not end"),
        Next::End(end) => Some(end),
        Next::Stalled(_) => None,
    };
    oracle::check(model, bounds, &walked.handed_out, end)?;
    if walked.requests > most_requests(model, bounds) {
        return Err("it took too many requests");
    }
    Ok(end.is_some())
}

/// A history that went wrong.
struct Failure {
    why: &'static str,
    messages: usize,
    details: String,
}

/// Tests one history. Returns whether the walk came to its end, and how many requests were foreseen.
fn try_history(model: &Model) -> Result<(bool, usize), Failure> {
    let seed = model.seed;
    let bounds = model.seeded_bounds();
    let walked = walk(model, &bounds, Position::default(), 3_000);
    match check(model, &bounds, &walked) {
        Ok(complete) => Ok((complete, walked.foreseen)),
        Err(why) => {
            let most = most_requests(model, &bounds);
            let details =
                format!("at most {most} requests\nseed {seed}\n{bounds:?}\n{model:?}\n{walked:?}");
            Err(Failure { why, messages: model.messages.len(), details })
        }
    }
}

/// Tests so many histories. Returns how many walks came to their end, and how many requests were foreseen.
fn try_histories(histories: u64, model: fn(u64) -> Model) -> (u64, u64) {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (complete, foreseen) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..threads {
            let (complete, foreseen, failures) = (&complete, &foreseen, &failures);
            scope.spawn(move || {
                for seed in (0..histories).skip(worker).step_by(threads) {
                    match try_history(&model(seed)) {
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
        // The shortest history is the easiest to understand.
        if let Some(shortest) = failures.iter().min_by_key(|failure| failure.messages) {
            eprintln!("{why}, {} times: {}\n", failures.len(), shortest.details);
        }
    }
    assert!(kinds.is_empty(), "{:?}", kinds.keys());
    (complete.into_inner() as u64, foreseen.into_inner() as u64)
}

#[test]
fn every_message_once_whatever_the_server() {
    let histories = std::env::var("HISTORIES").map_or(HISTORIES, |number| number.parse().unwrap());
    let (complete, foreseen) = try_histories(histories, Model::seeded);
    // Enough histories must reach each check, or the check proves nothing.
    assert!(complete > histories / 2, "only {complete} walks were complete");
    assert!(foreseen > histories, "only {foreseen} requests were foreseen");
}

/// A server that differs from the documented one in one thing alone.
fn odd_in_one_thing(seed: u64) -> Model {
    let mut model = Model::seeded(seed);
    let (odd, plain) = (model.rules.clone(), Rules::default());
    let hides = model.hides();
    model.rules = match seed % 9 {
        0 => Rules { cursor_reading: odd.cursor_reading, ..plain },
        1 => Rules { tie_order: odd.tie_order, ..plain },
        2 => Rules { page_order: odd.page_order, ..plain },
        3 => Rules { session_filter: odd.session_filter, ..plain },
        4 => Rules { min_time: odd.min_time, ..plain },
        5 => Rules { limit_reading: odd.limit_reading, ..plain },
        6 => Rules { empty_answer: Some(seed % 6).filter(|_| model.all_readable()), ..plain },
        7 => Rules { repeats: odd.repeats, ..plain },
        _ => plain,
    };
    for message in model.messages.iter_mut().filter(|_| hides && seed % 9 < 8) {
        message.hidden = false;
    }
    model
}

#[test]
fn every_message_once_whatever_one_thing_the_server_does_otherwise() {
    let (complete, _) = try_histories(18_000, odd_in_one_thing);
    assert!(complete > 12_000, "only {complete} walks were complete");
}
