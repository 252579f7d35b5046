//! What the plan asks, case by case.

mod ends;
mod failures;
mod looks;

use std::time::Duration;

use super::{Fetched, Plan, Settings, Start};
use crate::chat_time::ChatTime;
use crate::cursor::{Cursor, Key};
use crate::position::{Horizon, Position, SyncPosition};
use crate::timestamp::Timestamp;
use crate::walk::model::Model;
use crate::walk::{Answer, Ask, Bounds, End, Kept, Next, Walk};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn bounds(page_size: u32) -> Bounds {
    Bounds {
        bot_session: None,
        since: None,
        until: None,
        page_size,
        max_page_size: page_size,
        max_messages: None,
    }
}

fn settings(page_size: u32, concurrency: usize) -> Settings {
    Settings { bounds: bounds(page_size), concurrency, most_bytes: u64::MAX, buffer: None }
}

const NO_LOOKBACK: Horizon = Horizon { now: at_the_end_of_time(), lookback: Duration::ZERO };

const fn at_the_end_of_time() -> Timestamp {
    Timestamp::from_millis(i64::MAX)
}

fn oldest_first(position: SyncPosition) -> Start {
    Start::OldestFirst { position, again: false }
}

/// A chat as a strict keyset shows it, ascending by time and id.
#[derive(Clone, Debug, Default)]
struct Chat {
    messages: Vec<(i64, String)>,
    requests: usize,
    received: usize,
}

impl Chat {
    fn regular(count: usize) -> Self {
        let messages = (0..count).map(|i| (1_000 + 10 * i as i64, format!("{i:024x}"))).collect();
        Self { messages, ..Self::default() }
    }

    fn add(&mut self, time: i64, id: String) {
        let message = (time, id);
        let at = self.messages.partition_point(|other| *other <= message);
        self.messages.insert(at, message);
    }

    fn answer(&mut self, ask: &Ask) -> Fetched<String> {
        let cursor = ask.cursor.as_ref().unwrap();
        let before = (cursor.timestamp.as_millis(), cursor.id.as_str());
        let end = self.messages.partition_point(|(time, id)| (*time, id.as_str()) < before);
        let page = &self.messages[end.saturating_sub(ask.limit as usize)..end];
        self.requests += 1;
        self.received += page.len();
        let time = |message: Option<&(i64, String)>| {
            message.map_or(ChatTime::Empty, |(time, _)| ChatTime::At(at(*time)))
        };
        let key = |(time, id): &(i64, String)| {
            Key::Placed(Cursor { timestamp: at(*time), id: id.as_str().into() })
        };
        Fetched {
            keys: page.iter().map(key).collect(),
            messages: page.iter().map(|(_, id)| id.clone()).collect(),
            of_other_session: Vec::new(),
            chat_start: time(self.messages.first()),
            chat_latest: time(self.messages.last()),
            span: None,
            bytes: page.len() as u64,
        }
    }

    /// Asks one request after the other until all is over, and returns what was handed out.
    fn finish(&mut self, plan: &mut Plan<String>) -> Vec<String> {
        let mut handed_out = Vec::new();
        loop {
            while let Some(chunk) = plan.take() {
                handed_out.extend(chunk.messages.into_iter().rev());
            }
            let Some((id, ask)) = plan.ask() else { break };
            let page = self.answer(&ask);
            assert_eq!(plan.receive(id, &ask, page).stalled, None);
        }
        handed_out
    }
}

#[test]
fn newest_first_one_at_a_time_asks_what_the_walk_asks() {
    let mut compared = 0;
    for seed in 0..3_000 {
        let model = Model::seeded(seed);
        let bounds = model.seeded_bounds();
        if bounds.max_messages == Some(0) {
            continue;
        }
        let mut walk = Walk::new(bounds.clone(), Position::default());
        let settings = Settings { bounds, concurrency: 1, most_bytes: u64::MAX, buffer: None };
        let mut plan = Plan::new(settings, Start::NewestFirst(Position::default()));
        for number in 0.. {
            let ask = walk.ask();
            let (id, same) = plan.ask().unwrap();
            assert_eq!(ask, same, "seed {seed}");
            assert_eq!(plan.ask(), None);
            compared += 1;
            let page = match model.answer(&ask, number) {
                Ok(page) => page,
                Err(status) => {
                    let next = walk.refused(&ask, status);
                    assert_eq!(plan.failed(id, &ask, Some(status)), next);
                    assert_eq!(plan.failure().is_some(), next != Some(Next::Ask));
                    if next == Some(Next::Ask) { continue } else { break }
                }
            };
            let (chat_start, chat_latest) = model.times();
            let keys = model.keys(&page);
            let of_other_session = model.of_other_session(&page);
            let answer = Answer {
                keys: &keys,
                of_other_session: &of_other_session,
                chat_start,
                chat_latest,
            };
            let verdict = walk.receive(&ask, answer);
            let expected = match verdict.kept {
                Kept::AllAsTheyCame => page.clone(),
                Kept::Only(indices) => indices.iter().map(|index| page[*index]).collect(),
            };
            let fetched = Fetched {
                keys,
                messages: page,
                of_other_session,
                chat_start,
                chat_latest,
                span: None,
                bytes: 0,
            };
            let outcome = plan.receive(id, &ask, fetched);
            assert_eq!(outcome.duplicates, verdict.duplicates);
            assert_eq!(plan.take().map(|c| c.messages).unwrap_or_default(), expected);
            assert!(plan.take().is_none());
            match verdict.next {
                Next::Ask => assert_eq!(plan.end(), None),
                Next::End(end) => assert_eq!(plan.end(), Some(end)),
                Next::Stalled(why) => assert_eq!(outcome.stalled, Some(why)),
            }
            if verdict.next != Next::Ask {
                break;
            }
        }
    }
    assert!(compared > 20_000, "{compared}");
}

#[test]
fn one_more_is_under_way_for_each_answer() {
    let mut chat = Chat::regular(10_000);
    for start in [Start::NewestFirst(Position::default()), oldest_first(SyncPosition::default())] {
        let mut plan = Plan::new(settings(50, 4), start);
        let mut under_way = std::collections::VecDeque::new();
        for most in [1, 2, 3, 4, 4, 4] {
            while let Some(request) = plan.ask() {
                under_way.push_back(request);
            }
            assert_eq!(under_way.len(), most);
            let (id, ask) = under_way.pop_front().unwrap();
            plan.receive(id, &ask, chat.answer(&ask));
            while plan.take().is_some() {}
        }
    }
}

#[test]
fn a_small_chat_costs_one_request_however_many_may_be_sent() {
    let mut chat = Chat::regular(30);
    for concurrency in [1, 2, 16] {
        for start in
            [Start::NewestFirst(Position::default()), oldest_first(SyncPosition::default())]
        {
            chat.requests = 0;
            let mut plan = Plan::new(settings(50, concurrency), start);
            assert_eq!(chat.finish(&mut plan).len(), 30);
            assert_eq!(chat.requests, 1);
        }
    }
}

#[test]
fn oldest_first_says_where_it_ended() {
    let mut chat = Chat::regular(200);
    for (until, end) in [
        (None, End::ReachedNewest),
        (Some(at(1_000_000)), End::ReachedNewest),
        (Some(at(1_995)), End::ReachedUntil),
    ] {
        let mut settings = settings(50, 1);
        settings.bounds.until = until;
        let mut plan = Plan::new(settings, oldest_first(SyncPosition::default()));
        let count = chat.finish(&mut plan).len();
        assert_eq!(plan.end(), Some(end));
        assert_eq!(count, if end == End::ReachedUntil { 100 } else { 200 });
    }
    let mut plan = Plan::new(settings(50, 1), oldest_first(SyncPosition::default()));
    assert_eq!(Chat::default().finish(&mut plan).len(), 0);
    assert_eq!(plan.end(), Some(End::ReachedNewest));
}

#[test]
fn what_grows_meanwhile_does_not_make_the_walk_endless() {
    let mut chat = Chat::regular(5_000);
    let mut settings = settings(50, 1);
    settings.buffer = Some(400);
    let mut plan = Plan::new(settings, oldest_first(SyncPosition::default()));
    let mut handed_out = 0;
    for number in 0.. {
        while let Some(chunk) = plan.take() {
            handed_out += chunk.messages.len();
        }
        let Some((id, ask)) = plan.ask() else { break };
        let page = chat.answer(&ask);
        plan.receive(id, &ask, page);
        for more in 0..60 {
            chat.add(1_000_000 + number, format!("n{number}x{more}"));
        }
    }
    assert_eq!(handed_out, 5_000);
    assert_eq!(plan.end(), Some(End::ReachedNewest));
}

#[test]
fn most_messages_are_counted_in_both_directions_and_little_is_read_beyond() {
    let mut chat = Chat::regular(5_000);
    for concurrency in [1, 8] {
        for start in
            [Start::NewestFirst(Position::default()), oldest_first(SyncPosition::default())]
        {
            let newest_first = matches!(start, Start::NewestFirst(_));
            let mut settings = settings(50, concurrency);
            settings.bounds.max_messages = Some(120);
            let mut plan = Plan::new(settings, start);
            chat.requests = 0;
            let handed_out = chat.finish(&mut plan);
            let mut expected: Vec<_> = chat.messages.iter().map(|(_, id)| id.clone()).collect();
            if newest_first {
                expected.reverse();
            }
            assert_eq!(handed_out, expected[..120]);
            assert_eq!(plan.end(), Some(End::ReachedMax));
            assert!(chat.requests <= if newest_first { 3 } else { 14 }, "{}", chat.requests);
        }
    }
}

#[test]
fn a_bot_session_is_read_whole_in_one_walk() {
    let mut settings = settings(50, 8);
    settings.bounds.bot_session = Some("session1".into());
    settings.buffer = Some(100);
    let mut chat = Chat::regular(1_000);
    let mut plan = Plan::new(settings, oldest_first(SyncPosition::default()));
    let mut handed_out = 0;
    while let Some((id, mut ask)) = plan.ask() {
        assert!(ask.bot_session);
        assert_eq!(plan.ask(), None);
        ask.cursor.get_or_insert_with(|| Cursor { timestamp: at(i64::MAX - 1), id: "z".into() });
        let page = chat.answer(&ask);
        plan.receive(id, &ask, page);
        while let Some(chunk) = plan.take() {
            handed_out += chunk.messages.len();
        }
    }
    assert_eq!((handed_out, chat.requests), (1_000, 21));
}

#[test]
fn no_more_bytes_wait_than_may() {
    let mut chat = Chat::regular(5_000);
    let mut settings = settings(50, 8);
    // The first page has 400 bytes. Each message of the other pages counts as one byte.
    settings.most_bytes = 500;
    for start in [Start::NewestFirst(Position::default()), oldest_first(SyncPosition::default())] {
        let mut plan = Plan::new(settings.clone(), start);
        let mut under_way = Vec::new();
        let mut handed_out = 0;
        loop {
            while let Some(chunk) = plan.take() {
                handed_out += chunk.messages.len();
            }
            assert!(plan.bytes() <= 500, "{} bytes wait", plan.bytes());
            while let Some(request) = plan.ask() {
                under_way.push(request);
            }
            let Some((id, ask)) = under_way.pop() else { break };
            let mut page = chat.answer(&ask);
            page.bytes += if plan.answers == 0 { 350 } else { 0 };
            plan.receive(id, &ask, page);
        }
        assert_eq!(handed_out, 5_000);
    }
}

#[test]
fn what_waits_and_what_comes_next_can_be_told() {
    let mut chat = Chat::regular(500);
    let mut plan = Plan::new(settings(50, 1), Start::NewestFirst(Position::default()));
    let (id, ask) = plan.ask().unwrap();
    // No answer has said yet where the chat begins.
    assert_eq!(plan.foresee(id, &ask, &Cursor { timestamp: at(5_500), id: "a".into() }), None);
    plan.receive(id, &ask, chat.answer(&ask));
    let (id, ask) = plan.ask().unwrap();
    let page = chat.answer(&ask);
    let Key::Placed(first) = page.keys[0].clone() else { panic!("it has a timestamp") };
    let foreseen = plan.foresee(id, &ask, &first);
    plan.receive(id, &ask, page);
    assert_eq!((plan.waiting(), plan.held()), (2, 100));
    assert_eq!(plan.ask().map(|(_, ask)| ask), foreseen);
    assert_eq!(plan.newest(), None);

    let mut plan = Plan::new(settings(50, 1), oldest_first(SyncPosition::default()));
    let (id, ask) = plan.ask().unwrap();
    plan.receive(id, &ask, chat.answer(&ask));
    // The newest page is held. No page waits to be taken, because the oldest has not come yet.
    assert_eq!((plan.waiting(), plan.held()), (0, 50));
    assert_eq!(plan.newest(), Some(at(1_000 + 10 * 499)));
}

#[test]
fn a_first_request_that_is_refused_for_its_size_becomes_an_ordinary_one() {
    let ids = (0..80).map(|index| (at(5), format!("i{index}").as_str().into())).collect();
    let position = SyncPosition { newest: Some(at(5)), floor: Some(at(5)), ids, unplaced: vec![] };
    let mut plan: Plan<String> = Plan::new(settings(50, 1), oldest_first(position));
    let (id, ask) = plan.ask().unwrap();
    assert_eq!(ask.limit, 81);
    assert_eq!(plan.failed(id, &ask, Some(413)), Some(Next::Ask));
    let (id, ask) = plan.ask().unwrap();
    assert_eq!(ask.limit, 50);
    assert_eq!(plan.failed(id, &ask, Some(413)), None);
    assert_eq!(plan.failure(), Some(id));
}

#[test]
fn follow_goes_on_from_what_is_known_of_the_server() {
    let mut chat = Chat::regular(500);
    let mut plan = Plan::new(settings(50, 4), oldest_first(SyncPosition::default()));
    let mut position = SyncPosition::default();
    for look in 0..1_000 {
        let (mut found, before) = (0, chat.requests);
        loop {
            while let Some(chunk) = plan.take() {
                position.advance(&chunk.keys, NO_LOOKBACK);
                found += chunk.messages.len();
            }
            let Some((id, ask)) = plan.ask() else { break };
            let page = chat.answer(&ask);
            plan.receive(id, &ask, page);
        }
        assert_eq!(plan.end(), Some(End::ReachedNewest));
        assert_eq!(found, if look == 0 { 500 } else { usize::from(look % 10 == 1) });
        assert!(look == 0 || chat.requests == before + 1);
        assert_eq!((plan.row.len(), plan.held(), position.ids.len()), (0, 0, 1));
        if look % 10 == 0 {
            chat.add(100_000 + look, format!("n{look}"));
        }
        plan.look_again(position.clone());
    }
}

#[test]
fn a_page_of_long_messages_counts_for_as_long_as_it_is_held() {
    let mut chat = Chat::regular(5_000);
    let mut settings = settings(50, 1);
    settings.most_bytes = 500;
    let mut plan = Plan::new(settings, oldest_first(SyncPosition::default()));
    for (bytes, held) in [(400, 50), (150, 51)] {
        // The value is as low as after many pages of short messages.
        plan.bytes_per_message = 1.0;
        let (id, ask) = plan.ask().unwrap();
        let page = Fetched { bytes, ..chat.answer(&ask) };
        plan.receive(id, &ask, page);
        assert_eq!(plan.held(), held);
        assert!(plan.bytes() <= 500);
    }
}
