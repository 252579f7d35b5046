//! Why a plan ends, and what it promises before.

use super::{Chat, NO_LOOKBACK, oldest_first, settings};
use crate::plan::{Plan, Settings, Start};
use crate::position::{Position, SyncPosition};
use crate::walk::End;

/// Asks until all is over. What is ready is what can be taken. Returns how many messages went out.
fn finish(chat: &mut Chat, plan: &mut Plan<String>) -> usize {
    let mut handed_out = 0;
    loop {
        let (ready, mut taken) = (plan.ready().count(), 0);
        while let Some(chunk) = plan.take() {
            taken += chunk.messages.len();
        }
        assert_eq!((taken, plan.ready().count()), (ready, 0));
        handed_out += taken;
        let Some((id, ask)) = plan.ask() else { return handed_out };
        let first = plan.is_first_request();
        assert_eq!(first, chat.requests == 0);
        let page = chat.answer(&ask);
        let oldest = page.keys.first().cloned();
        assert_eq!(plan.receive(id, &ask, page).stalled, None);
        // While the window is there, it says where it was read down to.
        if let (Some(stopped), Some(oldest)) = (plan.stopped_at(id), oldest) {
            assert!(Some(stopped.timestamp) <= oldest.timestamp());
        }
    }
}

#[test]
fn an_end_is_named_by_what_ended_it() {
    for page_size in [5, 7, 50] {
        for concurrency in [1, 4] {
            for most in 1..=22 {
                let settings = || {
                    let mut settings = settings(page_size, concurrency);
                    settings.bounds.max_messages = Some(most);
                    settings
                };
                for (start, natural) in [
                    (Start::NewestFirst(Position::default()), End::ReachedStart),
                    (oldest_first(SyncPosition::default()), End::ReachedNewest),
                ] {
                    let (mut chat, mut plan) = (Chat::regular(20), Plan::new(settings(), start));
                    let count = finish(&mut chat, &mut plan) as u64;
                    assert_eq!(count, most.min(20));
                    let end = plan.end().unwrap();
                    // Whether the last of them was the last of all may not be known yet.
                    let ends = [if most < 20 { End::ReachedMax } else { natural }, End::ReachedMax];
                    assert!(
                        ends[..if most == 20 { 2 } else { 1 }].contains(&end),
                        "{most}: {end:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_comes_again_in_a_look_is_counted() {
    let mut chat = Chat::regular(20);
    for index in 0..3 {
        chat.add(5_000, format!("f{index}"));
    }
    let mut position = SyncPosition::default();
    let mut plan = Plan::new(settings(50, 1), oldest_first(position.clone()));
    let (id, ask) = plan.ask().unwrap();
    let page = chat.answer(&ask);
    assert_eq!(plan.receive(id, &ask, page).duplicates, 0);
    while let Some(chunk) = plan.take() {
        position.advance(&chunk.keys, NO_LOOKBACK);
    }
    let mut plan = Plan::new(settings(50, 1), oldest_first(position));
    let (id, ask) = plan.ask().unwrap();
    let page = chat.answer(&ask);
    // The three of the last timestamp. What is older lies before the look.
    assert_eq!((plan.receive(id, &ask, page).duplicates, plan.ready().count()), (3, 0));
}

#[test]
fn what_waits_is_counted_in_bytes() {
    let mut chat = Chat::regular(20);
    let settings = Settings { most_bytes: 1_000, ..settings(5, 1) };
    let mut plan = Plan::new(settings, Start::NewestFirst(Position::default()));
    for bytes in [5, 10, 15] {
        let (id, ask) = plan.ask().unwrap();
        let page = chat.answer(&ask);
        plan.receive(id, &ask, page);
        assert_eq!(plan.bytes(), bytes);
    }
    for bytes in [10, 5, 0] {
        plan.take().unwrap();
        assert_eq!(plan.bytes(), bytes);
    }
}
