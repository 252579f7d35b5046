//! The walk against the model, through many histories: each message once, never newer after older, within
//! a stated number of requests.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::model::{Filter, Model, Oddity, Order, Reading, largest_tie};
use super::{Answer, Bounds, ChatTime, End, Kept, Next, Walk};
use crate::checkpoint::{Key, Position};
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
        let Some(page) = model.answer(&ask, walked.requests as u64) else {
            walked.requests += 1;
            if !walk.too_large(&ask) {
                walked.next = Next::Stalled("413");
            } else {
                assert!(walk.ask().limit < ask.limit);
            }
            continue;
        };
        walked.requests += 1;
        let keys = model.keys(&page);
        let of_other_session =
            if bounds.bot_session.is_some() { model.of_other_session(&page) } else { Vec::new() };
        let answer = Answer {
            keys: &keys,
            of_other_session: &of_other_session,
            chat_start: model.chat_start,
        };
        let first = match keys.first() {
            Some(Key::Placed(first)) => walk.foresee(&ask, first),
            _ => None,
        };
        let verdict = walk.receive(&ask, answer);
        if let Some(foreseen) = first.filter(|_| verdict.next == Next::Ask) {
            // On such a page, a guess is no guess.
            let times: Vec<_> = keys.iter().map(Key::timestamp).collect();
            let as_asked = keys.len() == ask.limit as usize && times.is_sorted();
            if as_asked && matches!(verdict.kept, Kept::AllAsTheyCame) {
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

/// Whether the server shows everything to a patient walk. If not, `Stalled` is the only honest end.
fn is_passable(model: &Model, bounds: &Bounds) -> bool {
    let most = [model.cap, model.largest_limit.map(|limit| limit as usize)];
    let most = most.into_iter().flatten().min().unwrap_or(usize::MAX);
    // One place may go to the oddity. A keyset gets past any group, if its pages show its order.
    let keyset = model.reading == Reading::StrictKeyset && model.page_order == Order::Ascending;
    let room_for_ties =
        keyset || most > largest_tie(&model.messages) + usize::from(model.oddity != Oddity::None);
    let cursor_applies = bounds.bot_session.is_none() || model.filter != Filter::CursorIgnored;
    // Without a place there is no cursor: a run of unreadable messages must fit on a page, and if nothing
    // else is there, the documented default of `limit` may be a cap.
    let count = model.messages.len();
    let all_readable = model.messages.iter().all(|message| message.readable);
    let until = bounds.until.map_or(i64::MAX, Timestamp::as_millis);
    let within = || model.messages.iter().filter(|message| message.time <= until);
    let one_readable = within().any(|message| message.readable);
    let first = model.messages.first().map(|message| Timestamp::from_millis(message.time));
    let start_is_true = first.map(ChatTime::At) == Some(model.chat_start);
    // At the chat's old end, they are told from a cap by `minTime` alone.
    let first_group = model.messages.chunk_by(|a, b| a.time == b.time).next().unwrap_or_default();
    let first_readable = first_group.iter().all(|message| message.readable);
    let start_is_lower = !start_is_true
        && matches!((first, model.chat_start), (Some(first), ChatTime::At(start)) if start < first);
    let room_for_unreadable = all_readable
        || (most > count
            && (one_readable || (count < 50 && start_is_true && bounds.until.is_none()))
            && (first_readable || !(start_is_lower || bounds.bot_session.is_some())));
    // Messages newer than the cursor, and no `minTime` that was reached: the cursor may be ignored.
    let honest = model.oddity != Oddity::Newer || start_is_true;
    let small_enough = model.largest_limit.is_none_or(|limit| bounds.page_size <= limit);
    room_for_ties
        && (cursor_applies || most > count)
        && room_for_unreadable
        && honest
        && small_enough
}

/// The stated bound of requests for a walk from the beginning.
///
/// A page brings `page` messages, or the walk is in a group of equal timestamps that is larger than a page,
/// where the limit doubles; and a few more find the end. Where messages have no place or the server cuts
/// such a group off, every second request brings a message.
fn most_requests(model: &Model, bounds: &Bounds) -> usize {
    let most = [model.cap, model.largest_limit.map(|limit| limit as usize)];
    let most = most.into_iter().flatten().min().unwrap_or(usize::MAX);
    let page = most.min(bounds.page_size as usize);
    let log = |number: usize| (usize::BITS - number.leading_zeros()) as usize;
    let count = model.messages.len();
    let all_readable = model.messages.iter().all(|message| message.readable);
    let pages = if all_readable && most > largest_tie(&model.messages) {
        let groups = model.messages.chunk_by(|a, b| a.time == b.time);
        let in_groups = groups.map(|g| if g.len() >= page { 2 * log(g.len()) + 2 } else { 0 });
        count.div_ceil(page) * 2 + in_groups.sum::<usize>()
    } else {
        2 * count
    };
    pages + 2 * log(count) + log(bounds.max_page_size as usize) + 6
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
    require(none_lost || !complete, "a message was lost in silence")?;
    require(complete || !is_passable(model, bounds), "it stalled")?;
    require(walked.requests <= most_requests(model, bounds), "it took too many requests")?;
    Ok(complete)
}

#[test]
fn every_message_once_whatever_the_server() {
    let try_one = |seed: u64| {
        let model = Model::seeded(seed);
        let bounds = model.seeded_bounds();
        let walked = walk(&model, &bounds, Position::default(), 10_000);
        let complete = check(&model, &bounds, &walked).map_err(|why| {
            let most = most_requests(&model, &bounds);
            format!(
                "{why} (at most {most} requests)\nseed {seed}\n{bounds:?}\n{model:?}\n{walked:?}"
            )
        })?;
        Ok::<_, String>((complete, walked.foreseen))
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let foreseen = AtomicUsize::new(0);
    let try_one = |seed| {
        let (complete, requests) = try_one(seed).unwrap();
        foreseen.fetch_add(requests, Ordering::Relaxed);
        u64::from(complete)
    };
    let complete: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let seeds = (0..HISTORIES).skip(worker).step_by(threads);
                let try_one = &try_one;
                scope.spawn(move || seeds.map(try_one).sum::<u64>())
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    // Neither check must run dry.
    assert!(complete > HISTORIES / 2, "only {complete} walks were complete");
    let foreseen = foreseen.into_inner();
    assert!(foreseen as u64 > HISTORIES, "only {foreseen} requests were foreseen");
}
