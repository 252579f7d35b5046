//! Single histories, told request by request.

mod probe;

use super::answer::TOO_MANY_TIE;
use super::model::{Filter, Model, Order, Reading, SESSION};
use super::{Answer, Ask, Bounds, ChatTime, End, FAR_FUTURE, Kept, Next, Walk};
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

/// How many messages of an answer went out.
fn kept_of(kept: &Kept, keys: &[Key]) -> usize {
    match kept {
        Kept::AllAsTheyCame => keys.len(),
        Kept::Only(indices) => indices.len(),
    }
}

/// Walks until the end over any server; the limits asked for, how many messages came out, and the end.
fn walk(
    bounds: Bounds,
    chat_start: ChatTime,
    mut server: impl FnMut(&Ask, usize) -> Vec<Key>,
) -> (Vec<u32>, usize, Next) {
    walk_in_session(bounds, chat_start, |ask, number| (server(ask, number), Vec::new()))
}

/// The same with a server that tells which messages belong to another session.
fn walk_in_session(
    bounds: Bounds,
    chat_start: ChatTime,
    mut server: impl FnMut(&Ask, usize) -> (Vec<Key>, Vec<bool>),
) -> (Vec<u32>, usize, Next) {
    let mut walk = Walk::new(bounds, Position::default());
    let (mut limits, mut messages) = (Vec::new(), 0);
    loop {
        let ask = walk.ask();
        let (keys, foreign) = server(&ask, limits.len());
        limits.push(ask.limit);
        let answer = Answer { keys: &keys, of_other_session: &foreign, chat_start };
        let verdict = walk.receive(&ask, answer);
        messages += kept_of(&verdict.kept, &keys);
        if verdict.next != Next::Ask {
            return (limits, messages, verdict.next);
        }
        assert!(limits.len() < 100, "no end: {limits:?}");
    }
}

fn walk_model(bounds: Bounds, model: &Model) -> (Vec<u32>, usize, Next) {
    let in_session = bounds.bot_session.is_some();
    walk_in_session(bounds, model.chat_start, |ask, number| {
        let page = model.answer(ask, number as u64).unwrap();
        let foreign = if in_session { model.of_other_session(&page) } else { Vec::new() };
        (model.keys(&page), foreign)
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

/// A walk that has handed out the newest page of a chat that began at 1,000.
fn on_its_way(bounds: Bounds) -> (Walk, Ask) {
    let mut walk = Walk::new(bounds, Position::default());
    let ask = walk.ask();
    let keys: Vec<Key> =
        (0..i64::from(ask.limit)).map(|n| key(5_000 + n, &format!("m{n}"))).collect();
    let answer = Answer { keys: &keys, of_other_session: &[], chat_start: at(1_000) };
    assert_eq!(walk.receive(&ask, answer).next, Next::Ask);
    let ask = walk.ask();
    (walk, ask)
}

#[test]
fn the_request_after_next_is_foreseen_only_where_it_may_come() {
    let first = |millis: i64| Cursor { timestamp: Timestamp::from_millis(millis), id: "x".into() };
    let (walk, ask) = on_its_way(bounds(20));
    let foreseen = walk.foresee(&ask, &first(4_000)).unwrap();
    let cursor = Some(first(4_000));
    assert_eq!(foreseen, Ask { limit: 20, cursor, bot_session: false });
    // The chat's first message ends it; one at the cursor's time or newer is no next cursor.
    assert!(walk.foresee(&ask, &first(1_001)).is_some());
    for millis in [999, 1_000, 5_000, 5_001] {
        assert_eq!(walk.foresee(&ask, &first(millis)), None, "{millis}");
    }

    let (walk, ask) =
        on_its_way(Bounds { since: Some(Timestamp::from_millis(3_000)), ..bounds(20) });
    assert!(walk.foresee(&ask, &first(3_000)).is_some());
    assert_eq!(walk.foresee(&ask, &first(2_999)), None);

    let (walk, ask) = on_its_way(Bounds { max_messages: Some(50), ..bounds(20) });
    assert_eq!(walk.foresee(&ask, &first(4_000)).unwrap().limit, 10);
    let (walk, ask) = on_its_way(Bounds { max_messages: Some(40), ..bounds(20) });
    assert_eq!(walk.foresee(&ask, &first(4_000)), None);

    let (walk, ask) = on_its_way(Bounds { max_page_size: 70, ..bounds(20) });
    assert_eq!((ask.limit, walk.foresee(&ask, &first(4_000)).unwrap().limit), (40, 70));

    // Before the first answer nothing is known of the chat.
    let walk = Walk::new(bounds(20), Position::default());
    assert_eq!(walk.foresee(&walk.ask(), &first(4_000)), None);
}

#[test]
fn nothing_is_foreseen_while_a_limit_is_widened_or_an_end_confirmed() {
    let first = Cursor { timestamp: Timestamp::from_millis(4_000), id: "x".into() };
    for short in [false, true] {
        let (mut walk, ask) = on_its_way(bounds(20));
        // Nothing new came.
        let count = if short { 19 } else { 20 };
        let again: Vec<Key> = (0..count).map(|n| key(5_000 + n, &format!("m{n}"))).collect();
        let answer = Answer { keys: &again, of_other_session: &[], chat_start: at(1_000) };
        assert_eq!(walk.receive(&ask, answer).next, Next::Ask);
        let ask = walk.ask();
        assert_eq!(ask.limit > 20, !short);
        assert_eq!(walk.foresee(&ask, &first), None);
    }
}

#[test]
fn until_foresees_nothing_from_what_is_too_new() {
    let until = Timestamp::from_millis(5_000);
    let mut walk = Walk::new(Bounds { until: Some(until), ..bounds(2) }, Position::default());
    let ask = walk.ask();
    let too_new = [key(5_001, "m")];
    let answer = Answer { keys: &too_new, of_other_session: &[], chat_start: at(1_000) };
    assert_eq!(walk.receive(&ask, answer).next, Next::Ask);
    // Asked again at that very time, with an id that nothing sorts behind.
    let ask = walk.ask();
    let exactly = Cursor { timestamp: until, id: "z".repeat(24).into() };
    assert_eq!((ask.limit, ask.cursor.as_ref()), (2, Some(&exactly)));
    let first = |millis: i64| Cursor { timestamp: Timestamp::from_millis(millis), id: "x".into() };
    assert_eq!(walk.foresee(&ask, &first(5_001)), None);
    assert!(walk.foresee(&ask, &first(5_000)).is_some());
}

#[test]
fn an_end_is_confirmed_with_an_id_behind_every_id_that_is_held() {
    for (id, excluding_nothing) in
        [("eeeeeeeeeeeeeeeeeeeeeeee", "f"), ("ffffffffffffffffffffffff", "z"), ("g", "z")]
    {
        let mut walk = Walk::new(bounds(50), Position::default());
        let page = [key(5_000, id)];
        for keys in [&page[..], &page[..]] {
            let ask = walk.ask();
            let answer = Answer { keys, of_other_session: &[], chat_start: ChatTime::Unknown };
            assert_eq!(walk.receive(&ask, answer).next, Next::Ask);
        }
        let cursor = walk.ask().cursor.unwrap();
        assert_eq!(
            (cursor.timestamp.as_millis(), cursor.id.as_str()),
            (5_000, &*excluding_nothing.repeat(24))
        );
    }
}

#[test]
fn a_deleted_message_is_no_cap() {
    // Three tie at the start; one of them is deleted once all are held.
    let held = [key(5_000, "a"), key(5_000, "b"), key(5_000, "c")];
    let left = [key(5_000, "a"), key(5_000, "c")];
    let mut walk = Walk::new(bounds(50), Position::default());
    let mut ask_and = |keys: &[Key]| {
        let ask = walk.ask();
        let answer = Answer { keys, of_other_session: &[], chat_start: ChatTime::Unknown };
        walk.receive(&ask, answer).next
    };
    assert_eq!(ask_and(&held), Next::Ask);
    assert_eq!(ask_and(&left), Next::Ask);
    assert_eq!(ask_and(&left), Next::End(End::ReachedStart));

    // Resumed, no longer answer has been seen: whether the server gives more is asked.
    for (count, next) in [(3, Next::End(End::ReachedStart)), (2, Next::Stalled(TOO_MANY_TIE))] {
        let mut position = Position::default();
        position.advance(&held);
        let mut walk = Walk::new(bounds(50), position);
        for _ in 0..2 {
            let ask = walk.ask();
            let answer =
                Answer { keys: &left, of_other_session: &[], chat_start: ChatTime::Unknown };
            assert_eq!(walk.receive(&ask, answer).next, Next::Ask);
        }
        let ask = walk.ask();
        assert_eq!(ask.cursor.as_ref().unwrap().timestamp, FAR_FUTURE);
        let newest: Vec<Key> = (0..count).map(|n| key(9_000 + n, &format!("n{n}"))).collect();
        let answer = Answer { keys: &newest, of_other_session: &[], chat_start: ChatTime::Unknown };
        let verdict = walk.receive(&ask, answer);
        assert_eq!((verdict.next, verdict.kept), (next, super::Kept::Only(Vec::new())));
        assert_eq!(verdict.duplicates, count as u64);
    }
}

/// A walk whose last message handed out is `m` of 5,000, with one behind it that cannot be placed.
fn behind_m(bounds: Bounds) -> Walk {
    let mut position = Position::default();
    position.advance(&[Key::Unplaced(7), key(5_000, "m")]);
    Walk::new(bounds, position)
}

#[test]
fn everything_that_is_dropped_is_counted() {
    let mut walk = behind_m(bounds(50));
    let keys = [
        key(4_000, "a"),
        key(4_000, "a"),
        Key::Unplaced(7),
        key(5_000, "m"),
        key(6_000, "n"),
        Key::Unplaced(9),
    ];
    let ask = walk.ask();
    let answer = Answer { keys: &keys, of_other_session: &[], chat_start: at(1_000) };
    let verdict = walk.receive(&ask, answer);
    assert_eq!((verdict.kept, verdict.duplicates), (super::Kept::Only(vec![0]), 5));
    // What is there twice, too new, or the cursor itself says nothing of a cap.
    assert_eq!((walk.longest_answer, walk.cap), (3, Some(3)));
}

#[test]
fn one_text_sent_again_is_not_two() {
    let mut walk = behind_m(bounds(50));
    let keys = [key(4_000, "a"), Key::Unplaced(7), Key::Unplaced(7), Key::Unplaced(7)];
    let ask = walk.ask();
    let answer = Answer { keys: &keys, of_other_session: &[], chat_start: at(1_000) };
    let verdict = walk.receive(&ask, answer);
    assert_eq!((verdict.kept, verdict.duplicates), (super::Kept::Only(vec![0, 2, 3]), 1));
}

#[test]
fn what_cannot_be_placed_may_still_be_of_another_session() {
    let mut walk =
        Walk::new(Bounds { bot_session: Some(SESSION.into()), ..bounds(50) }, Position::default());
    let keys = [key(4_000, "a"), Key::Unplaced(1), Key::Unplaced(2), key(5_000, "b")];
    let ask = walk.ask();
    let of_other_session = [false, true, false, true];
    let answer = Answer { keys: &keys, of_other_session: &of_other_session, chat_start: at(1_000) };
    let verdict = walk.receive(&ask, answer);
    assert_eq!((verdict.kept, verdict.duplicates), (super::Kept::Only(vec![0, 2]), 0));
}

#[test]
fn as_many_as_65_536_messages_may_share_a_timestamp() {
    for (count, passable) in [(65_536, true), (65_537, false)] {
        let mut walk = Walk::new(bounds(65_536), Position::default());
        let ask = walk.ask();
        let keys: Vec<Key> = (0..count).map(|n| key(5_000, &format!("m{n}"))).collect();
        let answer = Answer { keys: &keys, of_other_session: &[], chat_start: at(1_000) };
        assert_eq!(walk.receive(&ask, answer).next == Next::Ask, passable, "{count}");
    }
}
