//! Single histories, told request by request.

use super::model::{Filter, Model, Order, Reading, SESSION};
use super::{Answer, Ask, Bounds, ChatTime, End, Next, Walk};
use crate::checkpoint::{Cursor, Key, Position};
use crate::timestamp::Timestamp;

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

fn at(millis: i64) -> ChatTime {
    ChatTime::At(Timestamp::from_millis(millis))
}

fn key(millis: i64, id: &str) -> Key {
    Key::Placed(Cursor { timestamp: Timestamp::from_millis(millis), id: id.into() })
}

/// Walks until the end over any server; the limits asked for, how many messages came out, and the end.
fn walk(
    bounds: Bounds,
    chat_start: ChatTime,
    mut server: impl FnMut(&Ask, usize) -> Vec<Key>,
) -> (Vec<u32>, usize, Next) {
    let session = bounds.bot_session.is_some();
    let mut walk = Walk::new(bounds, Position::default());
    let (mut limits, mut messages) = (Vec::new(), 0);
    loop {
        let ask = walk.ask();
        let keys = server(&ask, limits.len());
        limits.push(ask.limit);
        let foreign = vec![false; if session { keys.len() } else { 0 }];
        let answer = Answer { keys: &keys, of_other_session: &foreign, chat_start };
        let verdict = walk.receive(&ask, answer);
        messages += match verdict.kept {
            super::Kept::AllAsTheyCame => keys.len(),
            super::Kept::Only(indices) => indices.len(),
        };
        if verdict.next != Next::Ask {
            return (limits, messages, verdict.next);
        }
        assert!(limits.len() < 100, "no end: {limits:?}");
    }
}

fn walk_model(bounds: Bounds, model: &Model) -> (Vec<u32>, usize, Next) {
    walk(bounds, model.chat_start, |ask, number| {
        model.keys(&model.answer(ask, number as u64).unwrap())
    })
}

/// A chat of which all messages share one timestamp.
fn tied(count: usize) -> Model {
    let mut model = Model::documented(count);
    for message in &mut model.messages {
        message.time = 1_000;
    }
    model
}

#[test]
fn an_empty_chat_ends_at_once() {
    assert_eq!(
        walk_model(bounds(50), &Model::documented(0)),
        (vec![50], 0, Next::End(End::ReachedStart))
    );
}

#[test]
fn a_group_of_ties_larger_than_the_page_is_widened_past() {
    let (limits, messages, next) = walk_model(bounds(4), &tied(20));
    assert_eq!((messages, next), (20, Next::End(End::ReachedStart)));
    // Only the cursor is left out of each answer, so a limit of 8 brings what 4 did not; at the end, an id
    // that excludes nothing shows that nothing is missing.
    assert_eq!(limits[..2], [4, 4]);
    assert!(limits.len() <= 8, "{limits:?}");
    assert!(limits.last() > Some(&20));
}

#[test]
fn a_keyset_needs_no_widening() {
    let model = Model { reading: Reading::StrictKeyset, ..tied(20) };
    let (limits, messages, _) = walk_model(bounds(4), &model);
    assert_eq!((messages, limits), (20, vec![4; 6]));
}

#[test]
fn a_group_larger_than_the_cap_is_stalled() {
    let mut model = Model { cap: Some(5), ..tied(20) };
    // Something older waits behind the group.
    model.messages[0].time = 500;
    model.chat_start = at(500);
    let (limits, messages, next) = walk_model(bounds(5), &model);
    assert!(matches!(next, Next::Stalled(_)), "{next:?}");
    assert!(messages >= 5 && limits.len() < 10, "{limits:?}");
}

#[test]
fn two_that_tie_at_the_start_do_not_exclude_each_other_for_ever() {
    let mut model = tied(2);
    for chat_start in [at(1_000), at(900), ChatTime::Unknown, ChatTime::Empty] {
        model.chat_start = chat_start;
        for page_size in [1, 2, 3, 50] {
            let (limits, messages, next) = walk_model(bounds(page_size), &model);
            assert_eq!((messages, next), (2, Next::End(End::ReachedStart)), "{page_size}");
            assert!(limits.len() <= 6, "{limits:?}");
        }
    }
}

#[test]
fn a_short_page_is_not_the_end() {
    let model = Model { cap: Some(7), ..Model::documented(30) };
    let (limits, messages, next) = walk_model(bounds(20), &model);
    assert_eq!((messages, next, limits.len()), (30, Next::End(End::ReachedStart), 5));
}

#[test]
fn out_of_order_pages_are_sorted() {
    for page_order in [Order::Descending, Order::Shuffled] {
        let model = Model { page_order, ..Model::documented(30) };
        let (limits, messages, _) = walk_model(bounds(20), &model);
        assert_eq!((messages, limits.len()), (30, 2));
    }
}

#[test]
fn a_session_whose_cursor_is_ignored_is_widened_until_short() {
    let model = Model { filter: Filter::CursorIgnored, ..Model::documented(90) };
    let session = Bounds { bot_session: Some(SESSION.into()), ..bounds(10) };
    let (limits, messages, next) = walk_model(session, &model);
    assert_eq!((messages, next), (30, Next::End(End::ReachedStart)));
    assert_eq!(limits, [10, 10, 20, 40]);
}

#[test]
fn the_same_page_for_ever() {
    let page: Vec<Key> = (0..50).map(|index| key(5_000 + index, &format!("m{index:02}"))).collect();
    for (chat_start, page_size) in [
        (at(7), 50),
        (at(7), 60),
        (ChatTime::Unknown, 50),
        (ChatTime::Unknown, 60),
        (at(5_000), 50),
    ] {
        let (limits, messages, next) = walk(bounds(page_size), chat_start, |_, _| page.clone());
        assert_eq!(messages, 50);
        assert!(limits.len() <= 4, "{limits:?}");
        // That more is missing can be known from `minTime` alone; that the cursor is ignored, always.
        let reached_start = chat_start == at(5_000);
        assert_eq!(matches!(next, Next::Stalled(_)), !reached_start, "{chat_start:?}: {next:?}");
    }
}

#[test]
fn two_pages_in_turn_for_ever() {
    let page = |from: i64| (0..10).map(|i| key(from + i, &format!("m{}", from + i))).collect();
    let (a, b): (Vec<Key>, Vec<Key>) = (page(5_000), page(6_000));
    let (limits, messages, next) =
        walk(bounds(10), at(7), |_, number| if number % 2 == 0 { b.clone() } else { a.clone() });
    assert_eq!(messages, 20);
    assert!(matches!(next, Next::Stalled(_)), "{next:?}");
    assert!(limits.len() < 20, "{limits:?}");
}

#[test]
fn ever_new_ids_at_one_time() {
    let mut made = 0;
    let (limits, messages, next) = walk(bounds(1_000), at(7), |ask, _| {
        (0..ask.limit)
            .map(|_| {
                made += 1;
                key(5_000, &format!("m{made}"))
            })
            .collect()
    });
    assert!(matches!(next, Next::Stalled(_)), "{next:?}");
    assert!(limits.len() <= 66 && messages <= 66_000, "{limits:?} {messages}");
}

#[test]
fn more_than_was_asked_for_is_taken() {
    let model = Model::documented(30);
    let all = model.keys(&(0..30).collect::<Vec<_>>());
    let (limits, messages, next) =
        walk(bounds(5), at(1_000), |_, number| if number == 0 { all.clone() } else { Vec::new() });
    assert_eq!((limits, messages, next), (vec![5, 5], 30, Next::End(End::ReachedStart)));
}

#[test]
fn nonsense_times_of_the_chat_lose_nothing() {
    for millis in [i64::MIN, -1, 0, 1_001, i64::MAX] {
        let model = Model { chat_start: at(millis), ..Model::documented(30) };
        let (limits, messages, next) = walk_model(bounds(7), &model);
        assert_eq!((messages, next), (30, Next::End(End::ReachedStart)), "{millis}");
        assert!(limits.len() <= 7, "{limits:?}");
    }
}

#[test]
fn what_is_kept_does_not_grow_with_the_history() {
    let model = Model::documented(3_000);
    let mut walk = Walk::new(bounds(100), Position::default());
    let mut largest = 0;
    for number in 0.. {
        let ask = walk.ask();
        let keys = model.keys(&model.answer(&ask, number).unwrap());
        let answer = Answer { keys: &keys, of_other_session: &[], chat_start: model.chat_start };
        let verdict = walk.receive(&ask, answer);
        largest = largest.max(walk.position().ids.len() + walk.position().unplaced.len());
        if verdict.next != Next::Ask {
            break;
        }
    }
    assert_eq!(largest, 1);
}
