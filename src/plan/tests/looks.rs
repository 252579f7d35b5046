//! Sync and follow: what is new since the last look, and how many requests that costs.

use std::collections::HashSet;
use std::time::Duration;

use fastrand::Rng;

use super::{Chat, NO_LOOKBACK, at, oldest_first, settings};
use crate::plan::Plan;
use crate::position::{Horizon, MOST_TIED, SyncPosition};
use crate::timestamp::Timestamp;
use crate::walk::End;

const BASE: i64 = 1_600_000_000_000;

/// A chat of 3,000 messages whose last `ties` share a timestamp, and the position behind all of them.
fn known(ties: usize) -> (Chat, SyncPosition) {
    let mut chat = Chat::default();
    for index in 0..3_000 - ties as i64 {
        chat.messages.push((BASE - 1_000 * (index + 1), format!("o{index:05}")));
    }
    for index in 0..ties {
        chat.messages.push((BASE, format!("m{index:05}")));
    }
    chat.messages.sort();
    let mut position = SyncPosition::default();
    let keys: Vec<_> = {
        let mut plan = Plan::new(settings(50, 1), oldest_first(position.clone()));
        let mut keys = Vec::new();
        while let Some((id, ask)) = plan.ask() {
            let page = chat.answer(&ask);
            plan.receive(id, &ask, page);
            while let Some(chunk) = plan.take() {
                keys.push(chunk.keys);
            }
        }
        keys
    };
    for keys in keys {
        position.advance(&keys, NO_LOOKBACK);
    }
    assert_eq!((position.newest, position.ids.len()), (Some(at(BASE)), ties));
    (chat, position)
}

fn add(chat: &mut Chat, count: usize) {
    let mut rng = Rng::with_seed(count as u64);
    for index in 0..count {
        chat.add(BASE + rng.i64(1..3_000_000), format!("n{index:05}"));
    }
    (chat.requests, chat.received) = (0, 0);
}

/// So many messages, a second to a minute apart, behind a long silence.
fn add_behind_silence(chat: &mut Chat, silence: i64, count: usize, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut time = BASE + silence;
    for index in 0..count {
        time += rng.i64(1_000..60_000);
        chat.add(time, format!("n{index:05}"));
    }
}

/// What a look finds, how many requests it sends, and how many messages it receives.
fn look(
    chat: &mut Chat,
    position: &mut SyncPosition,
    horizon: Horizon,
    again: bool,
) -> (Vec<String>, usize, usize) {
    look_for(usize::MAX, chat, position, horizon, again)
}

/// The same, by somebody who stops after so many messages.
fn look_for(
    mut enough: usize,
    chat: &mut Chat,
    position: &mut SyncPosition,
    horizon: Horizon,
    again: bool,
) -> (Vec<String>, usize, usize) {
    (chat.requests, chat.received) = (0, 0);
    let mut plan = Plan::new(settings(50, 1), oldest_first(position.clone()));
    if again {
        plan.look_again(position.clone());
    }
    let mut new = Vec::new();
    loop {
        while let Some(chunk) = plan.take() {
            let count = enough.min(chunk.messages.len());
            enough -= count;
            position.advance(&chunk.keys[chunk.keys.len() - count..], horizon);
            new.extend(chunk.messages.into_iter().rev().take(count));
            if enough == 0 {
                return (new, chat.requests, chat.received);
            }
        }
        let Some((id, ask)) = plan.ask() else { break };
        let page = chat.answer(&ask);
        plan.receive(id, &ask, page);
    }
    assert_eq!(plan.end(), Some(End::ReachedNewest));
    (new, chat.requests, chat.received)
}

#[test]
fn a_look_costs_what_is_new() {
    // How many messages are new, then the requests of a sync and of a later look of `follow`.
    let table = [
        (0, 1, 1),
        (1, 1, 1),
        (7, 1, 1),
        (8, 1, 2),
        (48, 1, 2),
        (49, 2, 2),
        (50, 2, 2),
        (120, 3, 4),
        (1_000, 22, 22),
        (5_000, 108, 108),
    ];
    for (new, sync, follow) in table {
        for (again, most) in [(false, sync), (true, follow)] {
            let (mut chat, mut position) = known(1);
            add(&mut chat, new);
            let (found, requests, received) = look(&mut chat, &mut position, NO_LOOKBACK, again);
            let ids: HashSet<_> = found.iter().collect();
            assert_eq!((found.len(), ids.len()), (new, new));
            assert!(found.iter().all(|id| id.starts_with('n')));
            assert!(requests <= most, "{new} new: {requests} requests");
            if new == 0 {
                assert_eq!(received, if again { 1 + 8 } else { 50 });
            }
            // The next look finds nothing.
            assert_eq!(look(&mut chat, &mut position, NO_LOOKBACK, again).0.len(), 0);
        }
    }
}

#[test]
fn a_silence_before_what_is_new_costs_no_more() {
    const HOUR: i64 = 3_600_000;
    // More than the buffer holds is split at guessed times, and some guesses fall into the silence.
    for (new, most) in [(1, 1), (48, 1), (50, 2), (120, 3), (1_000, 22), (5_000, 125)] {
        for silence in [HOUR / 60, 12 * HOUR, 60 * HOUR, 30 * 24 * HOUR] {
            for seed in 0..4 {
                let (mut chat, mut position) = known(1);
                add_behind_silence(&mut chat, silence, new, seed);
                let (found, requests, _) = look(&mut chat, &mut position, NO_LOOKBACK, false);
                assert_eq!(found.len(), new);
                assert!(requests <= most, "{new} new after {silence} ms: {requests} requests");
            }
        }
    }
}

#[test]
fn a_later_look_asks_for_what_is_held_and_eight_more() {
    for (ties, new) in [(1, 7), (45, 7), (60, 1), (60, 7), (200, 7)] {
        let (mut chat, mut position) = known(ties);
        add(&mut chat, new);
        let (found, requests, received) = look(&mut chat, &mut position, NO_LOOKBACK, true);
        assert_eq!((found.len(), requests, received), (new, 1, ties + 8));
    }
    // Nothing is held before anything has been handed out.
    let (mut chat, _) = known(1);
    let mut position = SyncPosition::default();
    let mut plan = Plan::<String>::new(settings(50, 1), oldest_first(position.clone()));
    plan.look_again(position.clone());
    assert_eq!(plan.ask().unwrap().1.limit, 8);
    assert_eq!(look(&mut chat, &mut position, NO_LOOKBACK, true).0.len(), 3_000);
}

#[test]
fn ties_at_the_position_cost_no_more_requests() {
    for ties in [30, 60, 200] {
        for again in [false, true] {
            let (mut chat, mut position) = known(ties);
            let (found, requests, received) = look(&mut chat, &mut position, NO_LOOKBACK, again);
            assert_eq!((found.len(), requests), (0, 1));
            let most = if again { ties + 8 } else { 50.max(ties + 1) };
            assert!(received <= most, "{received}");
            // A message with the same timestamp as the known ones.
            chat.add(BASE, "m0x".to_owned());
            let found = look(&mut chat, &mut position, NO_LOOKBACK, again).0;
            assert_eq!(found, ["m0x"]);
        }
    }
}

#[test]
fn the_position_s_own_message_may_be_deleted_and_the_chat_cleared() {
    let (mut chat, mut position) = known(1);
    chat.messages.pop();
    assert_eq!(look(&mut chat, &mut position, NO_LOOKBACK, false).0.len(), 0);
    chat.add(BASE, "m1".to_owned());
    assert_eq!(look(&mut chat, &mut position, NO_LOOKBACK, false).0, ["m1"]);
    let before = position.clone();
    chat.messages.clear();
    assert_eq!(look(&mut chat, &mut position, NO_LOOKBACK, false), (Vec::new(), 1, 0));
    assert_eq!(position, before);
    chat.add(BASE + 5, "n1".to_owned());
    assert_eq!(look(&mut chat, &mut position, NO_LOOKBACK, false).0, ["n1"]);
}

#[test]
fn a_lookback_finds_what_came_late_and_nothing_twice() {
    let horizon = Horizon { now: at(BASE + 1_000_000), lookback: Duration::from_secs(40) };
    let (mut chat, _) = known(1);
    let mut position = SyncPosition::default();
    assert_eq!(look(&mut chat, &mut position, horizon, false).0.len(), 3_000);
    // The 40 messages of the 40 seconds before the newest, and the newest itself.
    assert_eq!(position.ids.len(), 41);
    assert_eq!(position.floor, Some(at(BASE - 40_000)));
    let (found, requests, received) = look(&mut chat, &mut position, horizon, false);
    assert_eq!((found.len(), requests, received), (0, 1, 50));
    chat.add(BASE - 39_999, "late".to_owned());
    chat.add(BASE - 40_001, "too late".to_owned());
    assert_eq!(look(&mut chat, &mut position, horizon, true).0, ["late"]);
    assert_eq!(look(&mut chat, &mut position, horizon, true).0.len(), 0);
    // A longer lookback does not go behind the known ids.
    let longer = Horizon { lookback: Duration::from_secs(400), ..horizon };
    assert_eq!(look(&mut chat, &mut position, longer, false).0.len(), 0);
}

#[test]
fn a_message_dated_in_the_future_does_not_hide_what_comes_now() {
    let now = |millis| Horizon { now: at(BASE + millis), lookback: Duration::ZERO };
    let (mut chat, mut position) = known(1);
    chat.add(BASE + 900_000_000, "future".to_owned());
    chat.add(BASE + 10, "n0".to_owned());
    assert_eq!(look(&mut chat, &mut position, now(20), false).0, ["n0", "future"]);
    assert_eq!(position.floor, Some(at(BASE + 10)));
    chat.add(BASE + 30, "n1".to_owned());
    chat.add(BASE + 35, "n2".to_owned());
    assert_eq!(look(&mut chat, &mut position, now(40), true).0, ["n1", "n2"]);
    chat.add(BASE + 34, "n3".to_owned());
    // NOTE: `n3` came late, by a clock that is right: it is what a lookback is for. `n4` came in time, and a clock that is
    // ahead of the server's hides it no more than a future message does.
    chat.add(BASE + 36, "n4".to_owned());
    assert_eq!(look(&mut chat, &mut position, now(50), true).0, ["n4"]);
}

#[test]
fn a_look_that_stops_behind_a_message_of_the_future_goes_on_where_it_stopped() {
    for lookback in [0, 20] {
        let lookback = Duration::from_millis(lookback);
        let now = |millis| Horizon { now: at(BASE + millis), lookback };
        let (mut chat, mut position) = known(1);
        chat.add(BASE + 900_000_000, "future".to_owned());
        assert_eq!(look(&mut chat, &mut position, now(20), false).0, ["future"]);
        for n in 1..=4 {
            chat.add(BASE + 100 * n, format!("n{n}"));
        }
        let first = look_for(1, &mut chat, &mut position, now(1_000), true).0;
        let rest = look(&mut chat, &mut position, now(2_000), false).0;
        assert_eq!(
            (first, rest),
            (vec!["n1".to_owned()], ["n2", "n3", "n4"].map(String::from).to_vec())
        );
    }
}

#[test]
fn so_many_ids_are_known_and_no_more() {
    let mut position = SyncPosition::default();
    let horizon = Horizon { now: at(BASE), lookback: Duration::from_secs(1_000_000) };
    let key = |index: usize| {
        let id = format!("{index:024x}").as_str().into();
        crate::cursor::Key::Placed(crate::Cursor { timestamp: at(BASE + index as i64 / 3), id })
    };
    // The last goes out first.
    let keys: Vec<_> = (0..MOST_TIED + 100).rev().map(key).collect();
    position.advance(&keys, horizon);
    assert!((MOST_TIED - 2..=MOST_TIED).contains(&position.ids.len()), "{}", position.ids.len());
    assert_eq!(position.floor, position.ids.first().map(|(time, _)| *time));
    // Whole timestamps were let go.
    assert_eq!(position.ids.iter().filter(|(time, _)| Some(*time) == position.floor).count(), 3);
}

#[test]
fn the_end_of_a_look_raises_the_floor_over_what_is_no_longer_in_the_future() {
    let key = |millis: i64, id: &str| {
        crate::cursor::Key::Placed(crate::Cursor { timestamp: at(millis), id: id.into() })
    };
    for (lookback, floor) in [(0, 20), (5, 15)] {
        let horizon = |now| Horizon { now: at(now), lookback: Duration::from_millis(lookback) };
        let mut position = SyncPosition::default();
        position.advance(&[key(90, "d"), key(20, "c"), key(14, "b")], horizon(10));
        position.caught_up(horizon(10));
        assert_eq!((position.floor, position.ids.len()), (None, 3));
        // Two of them are dated in the past now, and the older of these need not be known any longer.
        position.caught_up(horizon(30));
        assert_eq!((position.floor, position.ids.len()), (Some(at(floor)), 2));
        // A later look never lowers the floor.
        position.caught_up(Horizon { lookback: Duration::from_secs(9), ..horizon(30) });
        assert_eq!(position.floor, Some(at(floor)));
    }
}

#[test]
fn one_by_one_or_at_once_leads_to_the_same_position() {
    let mut rng = Rng::with_seed(3);
    for _ in 0..300 {
        let lookback = Duration::from_millis(rng.u64(0..60));
        let horizon = Horizon { now: at(rng.i64(0..120)), lookback };
        let mut times: Vec<i64> = (0..rng.usize(1..40)).map(|_| rng.i64(0..100)).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        let keys: Vec<_> = (times.iter().enumerate())
            .map(|(index, time)| {
                let id = format!("i{index}").as_str().into();
                crate::cursor::Key::Placed(crate::Cursor { timestamp: at(*time), id })
            })
            .collect();
        let (mut at_once, mut one_by_one) = <(SyncPosition, SyncPosition)>::default();
        at_once.advance(&keys, horizon);
        for key in keys.iter().rev() {
            one_by_one.advance(std::slice::from_ref(key), horizon);
        }
        assert_eq!(at_once, one_by_one);
    }
}

/// Looks while messages come, in time and late, and with equal timestamps. Each is found once.
#[test]
fn every_message_is_found_once_whatever_comes_between_the_looks() {
    for seed in 0..300 {
        let mut rng = Rng::with_seed(seed);
        let lookback = [0, 0, 5_000, 60_000][rng.usize(..4)];
        let (mut chat, mut position) = (Chat::default(), SyncPosition::default());
        let mut found = HashSet::new();
        let mut now = BASE;
        for step in 0..25 {
            now += rng.i64(1_000..100_000);
            for index in 0..[0, 0, 0, 1, 2, 7, 49, 50, 51, 130, 600][rng.usize(..11)] {
                let floor = position.floor.map_or(0, Timestamp::as_millis);
                let late = lookback > 0 && floor > 0 && rng.u8(..3) == 0;
                let ahead = if rng.u8(..50) == 0 { 10_000_000 } else { 0 };
                let time = if late { floor + rng.i64(0..lookback) } else { now - rng.i64(0..900) };
                let time = if rng.bool() { time / 1_000 * 1_000 } else { time } + ahead;
                if time >= floor {
                    chat.add(time, format!("{:08x}s{step}i{index}", rng.u32(..)));
                }
            }
            let horizon =
                Horizon { now: at(now), lookback: Duration::from_millis(lookback as u64) };
            let enough = if step < 24 && rng.bool() { rng.usize(1..100) } else { usize::MAX };
            let again = step % 2 == 1;
            let (new, ..) = look_for(enough, &mut chat, &mut position, horizon, again);
            let stopped = new.len() == enough;
            for id in new {
                assert!(found.insert(id), "seed {seed}: found twice");
            }
            assert!(
                stopped || found.len() == chat.messages.len(),
                "seed {seed}, step {step}: {} of {}",
                found.len(),
                chat.messages.len()
            );
        }
    }
}
