//! Measures how many requests and round trips made-up histories take.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;

use super::histories::{Kind, times};
use super::{Fetched, Plan, Settings, Start};
use crate::chat_time::ChatTime;
use crate::cursor::{Cursor, Key};
use crate::position::{Position, SyncPosition};
use crate::timestamp::Timestamp;
use crate::walk::{Ask, Bounds};
use crate::window::WindowId;

/// A server that behaves as documented, and is fast enough for long histories.
struct Chat {
    times: Vec<i64>,
    /// Whether an answer says when the chat began.
    tells_start: bool,
}

impl Chat {
    fn key(&self, index: usize) -> Key {
        let id = format!("{index:024x}").as_str().into();
        Key::Placed(Cursor { timestamp: Timestamp::from_millis(self.times[index]), id })
    }

    fn answer(&self, ask: &Ask) -> Fetched<usize> {
        let cursor = ask.cursor.as_ref().unwrap();
        let time = cursor.timestamp.as_millis();
        let mut end = self.times.partition_point(|at| *at <= time);
        // The server reads the cursor as a keyset: at the cursor's own time, it gives messages with a smaller
        // id.
        if let Ok(index) = usize::from_str_radix(cursor.id.as_str(), 16)
            && index < end
        {
            end = index;
        }
        let start = end.saturating_sub(ask.limit as usize);
        let at = |time: Option<&i64>| {
            time.map_or(ChatTime::Empty, |time| ChatTime::At(Timestamp::from_millis(*time)))
        };
        Fetched {
            keys: (start..end).map(|index| self.key(index)).collect(),
            messages: (start..end).collect(),
            of_other_session: Vec::new(),
            chat_start: if self.tells_start { at(self.times.first()) } else { ChatTime::Unknown },
            chat_latest: at(self.times.last()),
            span: None,
            bytes: 0,
        }
    }
}

#[derive(Debug, Default)]
struct Run {
    requests: usize,
    /// The time taken, in round trips.
    time: f64,
    /// How many requests it took until the first message went out.
    first: usize,
    most_held: usize,
    most_windows: usize,
    handed_out: usize,
}

fn settings(page_size: u32, concurrency: usize) -> Settings {
    let bounds = Bounds {
        bot_session: None,
        since: None,
        until: None,
        page_size,
        max_page_size: page_size,
        max_messages: None,
    };
    Settings { bounds, concurrency, most_bytes: u64::MAX, buffer: None }
}

fn oldest_first() -> Start {
    Start::OldestFirst { position: SyncPosition::default(), again: false }
}

fn newest_first() -> Start {
    Start::NewestFirst(Position::default())
}

/// Carries a plan out; each request takes about one round trip.
fn run(chat: &Chat, mut plan: Plan<usize>) -> Run {
    let oldest_first = !plan.newest_first();
    let mut rng = Rng::with_seed(7);
    let mut under_way: BinaryHeap<(Reverse<u64>, WindowId)> = BinaryHeap::new();
    let mut asks = std::collections::HashMap::new();
    let (mut run, mut now) = (Run::default(), 0_u64);
    loop {
        while let Some((id, ask)) = plan.ask() {
            run.requests += 1;
            assert!(run.requests < 20 * chat.times.len() + 200, "it does not end");
            under_way.push((Reverse(now + rng.u64(900..1_100)), id));
            assert!(asks.insert(id, ask).is_none(), "two requests for one window");
        }
        let Some((Reverse(at), id)) = under_way.pop() else { break };
        now = at;
        let ask = asks.remove(&id).unwrap();
        let outcome = plan.receive(id, &ask, chat.answer(&ask));
        assert_eq!(outcome.stalled, None);
        run.most_held = run.most_held.max(plan.held());
        run.most_windows = run.most_windows.max(plan.row.len());
        while let Some(chunk) = plan.take() {
            for message in chunk.messages.iter().rev() {
                let next = run.handed_out;
                let next = if oldest_first { next } else { chat.times.len() - 1 - next };
                assert_eq!(*message, next, "after {} requests", run.requests);
                run.handed_out += 1;
            }
            if run.first == 0 {
                run.first = run.requests;
            }
        }
    }
    assert!(plan.end().is_some());
    assert_eq!(run.handed_out, chat.times.len());
    run.time = now as f64 / 1_000.0;
    run
}

/// The tolerance for noise. The figures are means over a few seeds.
const NOISE: f64 = 1.02;

fn chat(kind: Kind, count: usize, seed: u64) -> Chat {
    Chat { times: times(kind, count, seed), tells_start: true }
}

/// Compares a walk from the oldest message with a walk from the newest. Returns the mean ratio of their
/// requests over some seeds, and the most requests until the first message went out.
fn cost_one_at_a_time(kind: Kind, page_size: u32, count: usize) -> (f64, usize) {
    let seeds = (60_000 / count).clamp(1, 12) as u64;
    let (mut requests, mut newest, mut first) = (0, 0, 0);
    for seed in 0..seeds {
        let chat = chat(kind, count, seed);
        let oldest = run(&chat, Plan::new(settings(page_size, 1), oldest_first()));
        requests += oldest.requests;
        first = first.max(oldest.first);
        newest += run(&chat, Plan::new(settings(page_size, 1), newest_first())).requests;
        let buffer = (16 * page_size as usize).max(1_600);
        assert!(oldest.most_held <= buffer, "{kind:?}: {} held", oldest.most_held);
    }
    (requests as f64 / newest as f64, first)
}

#[test]
fn oldest_first_one_at_a_time_costs_little_more_than_newest_first() {
    use Kind::{BulkDays, Bursts, Daily, Growing, Realistic, TwoBursts, Uniform};
    // The limits for 1,000, 10,000 and 200,000 messages, and the most requests until the first message.
    let table = [
        (50, vec![Uniform, Daily, Growing], [1.06, 1.05, 1.03], 5),
        (50, vec![Bursts, Realistic], [1.20, 1.10, 1.10], 6),
        (200, vec![Bursts, Realistic], [1.25, 1.10, 1.10], 6),
        (50, vec![BulkDays, TwoBursts], [1.50, 1.20, 1.15], 6),
    ];
    for (page_size, kinds, most, most_first) in table {
        for (count, most) in [1_000, 10_000, 200_000].into_iter().zip(most) {
            for kind in &kinds {
                let (cost, first) = cost_one_at_a_time(*kind, page_size, count);
                println!("{page_size} {count} {kind:?}: {cost:.3}, first after {first}");
                assert!(cost <= most * NOISE, "{page_size} {count} {kind:?}: {cost}");
                assert!(first <= most_first, "{page_size} {count} {kind:?}: first after {first}");
            }
        }
    }
}

#[test]
fn a_chat_of_one_page_or_one_instant_costs_the_same_in_both_directions() {
    for (kind, count) in [
        (Kind::Uniform, 0),
        (Kind::Uniform, 1),
        (Kind::Uniform, 10),
        (Kind::Uniform, 49),
        (Kind::OneInstant, 10),
        (Kind::OneInstant, 1_000),
    ] {
        for concurrency in [1, 8] {
            let chat = chat(kind, count, 1);
            let newest = run(&chat, Plan::new(settings(50, 1), newest_first())).requests;
            for start in [newest_first(), oldest_first()] {
                let plan = Plan::new(settings(50, concurrency), start);
                assert_eq!(run(&chat, plan).requests, newest, "{kind:?} {count} {concurrency}");
            }
        }
    }
}

#[test]
fn several_at_once_are_nearly_as_many_times_faster() {
    use Kind::{Bursts, Growing, Realistic, Uniform};
    let smooth = vec![Uniform, Growing, Realistic];
    // With 2, 4, 8 and 16 requests at once: how many times faster, and the ratio of requests to the fewest
    // possible.
    let table = [
        (newest_first as fn() -> Start, &smooth, [1.9, 3.6, 7.0, 13.0], [1.05, 1.06, 1.07, 1.08]),
        (newest_first, &vec![Bursts], [1.8, 3.4, 6.3, 11.0], [1.08, 1.10, 1.12, 1.12]),
        (oldest_first, &smooth, [1.7, 3.3, 6.8, 13.0], [1.14, 1.10, 1.10, 1.10]),
        (oldest_first, &vec![Bursts], [1.5, 3.0, 5.7, 10.0], [1.20, 1.17, 1.15, 1.15]),
    ];
    let count = 100_000;
    for (start, kinds, least_speed, most_cost) in table {
        for kind in kinds {
            let chat = chat(*kind, count, 3);
            let figures = least_speed.into_iter().zip(most_cost);
            for (concurrency, (least_speed, most_cost)) in [2, 4, 8, 16].into_iter().zip(figures) {
                let run = run(&chat, Plan::new(settings(50, concurrency), start()));
                let pages = count as f64 / 50.0;
                let (speed, cost) = (pages / run.time, run.requests as f64 / pages);
                println!("{kind:?} {concurrency}: {speed:.1} times faster, {cost:.3}");
                assert!(speed * NOISE >= least_speed, "{kind:?} {concurrency}: {speed}");
                assert!(cost <= most_cost * NOISE, "{kind:?} {concurrency}: {cost}");
                assert!(run.most_held <= 6_400.max(800 * concurrency), "{} held", run.most_held);
            }
        }
    }
}

#[test]
fn bursts_in_a_shorter_chat_cost_little_more() {
    let chat = chat(Kind::Bursts, 20_000, 3);
    let run = run(&chat, Plan::new(settings(50, 8), oldest_first()));
    let cost = run.requests as f64 / 400.0;
    assert!(cost <= 1.20 * NOISE, "{cost}");
}

#[test]
fn without_a_lower_end_the_chat_is_read_twice_and_little_is_remembered() {
    let mut chat = chat(Kind::Realistic, 150_000, 1);
    chat.tells_start = false;
    let run = run(&chat, Plan::new(settings(50, 1), oldest_first()));
    assert!(run.most_windows <= 1_024 + 64, "{} windows", run.most_windows);
    assert!(run.most_held <= 1_600, "{} held", run.most_held);
    let cost = run.requests as f64 / 3_000.0;
    assert!((1.9..2.2).contains(&cost), "{cost}");
}
