//! How many requests and rounds made-up histories take.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;

use super::histories::{Kind, times};
use super::{Fetched, Horizon, Plan, Settings, Start, SyncPosition};
use crate::checkpoint::{Cursor, Key, Position};
use crate::timestamp::Timestamp;
use crate::walk::{Ask, Bounds, ChatTime};
use crate::window::WindowId;

/// A server that does as documented, fast enough for long histories.
struct Chat {
    times: Vec<i64>,
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
        // A keyset: of the cursor's own time, those with a smaller id.
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
            chat_start: at(self.times.first()),
            chat_latest: at(self.times.last()),
            bytes: 0,
        }
    }
}

#[derive(Debug, Default)]
struct Run {
    requests: usize,
    /// In round trips.
    time: f64,
    /// How many requests it took until the first message went out.
    first: usize,
    most_held: usize,
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
    let horizon =
        Horizon { now: Timestamp::from_millis(i64::MAX), lookback: std::time::Duration::ZERO };
    Start::OldestFirst { position: SyncPosition::default(), horizon, again: false }
}

fn newest_first() -> Start {
    Start::NewestFirst(Position::default())
}

/// Carries a plan out; each request takes about one round trip.
fn run(chat: &Chat, mut plan: Plan<usize>, first: usize) -> Run {
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
        while let Some(chunk) = plan.take() {
            for message in chunk.messages.iter().rev() {
                let next = first + run.handed_out;
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
    assert_eq!(first + run.handed_out, chat.times.len());
    run.time = now as f64 / 1_000.0;
    run
}

const SHOW: bool = true;

#[test]
fn oldest_first_one_at_a_time() {
    use Kind::*;
    for page_size in [50, 200] {
        for count in std::env::var("NS").map_or(vec![1_000, 10_000, 200_000], |k| {
            k.split(',').map(|k| k.parse().unwrap()).collect()
        }) {
            for kind in [Uniform, Daily, Growing, Bursts, Realistic, BulkDays, TwoBursts] {
                let seeds = if count > 100_000 { 1 } else { 24 };
                let (mut requests, mut firsts, mut newest) = (0, Vec::new(), 0);
                for seed in 0..seeds {
                    let chat = Chat { times: times(kind, count, seed) };
                    let plan = Plan::new(settings(page_size, 1), oldest_first());
                    let run1 = run(&chat, plan, 0);
                    requests += run1.requests;
                    firsts.push(run1.first);
                    newest +=
                        run(&chat, Plan::new(settings(page_size, 1), newest_first()), 0).requests;
                    assert!(run1.most_held <= 3_200, "{}", run1.most_held);
                }
                let cost = requests as f64 / newest as f64;
                if SHOW {
                    println!("{page_size} {count} {kind:?}: {cost:.3} {firsts:?}");
                }
            }
        }
    }
}

#[test]
fn several_at_once() {
    use Kind::*;
    for (name, start) in [("newest", newest_first as fn() -> Start), ("oldest", oldest_first)] {
        for concurrency in std::env::var("KS")
            .map_or(vec![2, 4, 8, 16], |k| k.split(',').map(|k| k.parse().unwrap()).collect())
        {
            let mut line = format!("{name} {concurrency}:");
            for kind in [Uniform, Growing, Realistic, Bursts, Daily, BulkDays] {
                let (mut requests, mut time, count) = (0, 0.0, 100_000);
                let seeds = 2;
                let mut held = 0;
                for seed in 0..seeds {
                    let chat = Chat { times: times(kind, count, seed) };
                    let run = run(&chat, Plan::new(settings(50, concurrency), start()), 0);
                    requests += run.requests;
                    time += run.time;
                    held = held.max(run.most_held);
                }
                let pages = count as f64 / 50.0 * seeds as f64;
                line += &format!(
                    " {kind:?} {:.1} ({:.3}) {held}",
                    pages / time,
                    requests as f64 / pages
                );
            }
            println!("{line}");
        }
    }
}
