//! How an end is told from a cap where messages cannot be read, tie, or have been deleted.

use super::*;

/// What the answers, one after the other, lead to in the end, and how many were asked for.
fn after(mut walk: Walk, answers: &[(&[Key], ChatTime)]) -> (Next, usize) {
    for (number, (keys, chat_start)) in answers.iter().enumerate() {
        let ask = walk.ask();
        let answer = Answer { keys, of_other_session: &[], chat_start: *chat_start };
        let next = walk.receive(&ask, answer).next;
        if next != Next::Ask {
            return (next, number + 1);
        }
    }
    (Next::Ask, answers.len())
}

#[test]
fn an_unreadable_first_message_is_an_end_though_the_next_is_a_millisecond_younger() {
    let whole = [Key::Unplaced(1), key(1_001, "a")];
    let older = [Key::Unplaced(1)];
    let start = at(1_000);
    let answers: Vec<(&[Key], ChatTime)> =
        vec![(&whole, start), (&older, start), (&whole, start), (&whole, start)];
    let walk = Walk::new(bounds(50), Position::default());
    assert_eq!(after(walk, &answers), (Next::End(End::ReachedStart), 4));
}

#[test]
fn equal_texts_prove_no_end() {
    let model_start = at(1_000);
    let run: Vec<Key> = (0..20).map(|_| Key::Unplaced(1)).collect();
    let newest = [&run[1..], &[key(5_000, "m")]].concat();
    let first = [Key::Unplaced(1)];
    let answers: Vec<(&[Key], ChatTime)> = vec![
        (&newest, model_start),
        (&run, model_start),
        (&run, model_start),
        (&newest, model_start),
        (&first, model_start),
    ];
    let (next, _) = after(Walk::new(bounds(20), Position::default()), &answers);
    assert!(matches!(next, Next::Stalled(_)), "{next:?}");
}

#[test]
fn a_shorter_answer_is_no_end_while_the_chat_goes_on() {
    // The server gives fewer inside the group of equal timestamps than outside of it.
    let newer: Vec<Key> = (0..50).map(|n| key(9_000 + n, &format!("n{n}"))).collect();
    let group: Vec<Key> = (0..40).map(|n| key(9_000, &format!("g{n:02}"))).collect();
    let start = [key(1_000, "a")];
    let answers: Vec<(&[Key], ChatTime)> = vec![
        (&newer, at(1_000)),
        (&group, at(1_000)),
        (&group, at(1_000)),
        (&group, at(1_000)),
        (&start, at(1_000)),
    ];
    let (next, _) = after(Walk::new(bounds(50), Position::default()), &answers);
    assert!(matches!(next, Next::Stalled(_)), "{next:?}");
}

#[test]
fn a_probe_of_the_start_asks_for_one_more_than_may_have_been_handed_out_there() {
    let mut position = Position::default();
    let mut handed_out: Vec<Key> = (0..30).map(Key::Unplaced).collect();
    handed_out.extend((0..40).map(|n| key(5_000, &format!("a{n:02}"))));
    position.advance(&handed_out);
    assert_eq!((position.ids.len(), position.unplaced.len()), (40, 30));
    let mut walk = Walk::new(bounds(50), position);
    for limit in [50, 50] {
        let ask = walk.ask();
        assert_eq!(ask.limit, limit);
        let few = &handed_out[30..35];
        let answer = Answer { keys: few, of_other_session: &[], chat_start: at(1_000) };
        assert_eq!(walk.receive(&ask, answer).next, Next::Ask);
    }
    let probe = walk.ask();
    assert_eq!((probe.limit, probe.cursor.unwrap().timestamp.as_millis()), (71, 1_001));
}

#[test]
fn unreadable_messages_at_the_old_end_of_a_session_whose_cursor_is_ignored_go_out_before_a_probe() {
    let session = Bounds { bot_session: Some(SESSION.into()), ..bounds(50) };
    let mut walk = Walk::new(session, Position::default());
    let whole = [Key::Unplaced(1), key(5_000, "a"), key(6_000, "b")];
    for (keys, kept) in [(&whole[1..], 2), (&whole[..], 1)] {
        let ask = walk.ask();
        assert!(ask.bot_session);
        let of_other_session = vec![false; keys.len()];
        let answer = Answer { keys, of_other_session: &of_other_session, chat_start: at(1_000) };
        let verdict = walk.receive(&ask, answer);
        assert_eq!((kept_of(&verdict.kept, keys), verdict.next), (kept, Next::Ask));
    }
    // Are the chat's newest messages more than those, or is that all that a cap lets see?
    let probe = walk.ask();
    assert_eq!((probe.bot_session, probe.cursor.unwrap().timestamp), (false, FAR_FUTURE));
}

#[test]
fn a_shorter_answer_that_cannot_be_read_ends_a_session_but_not_a_chat() {
    let newest = [key(5_000, "a"), key(6_000, "b"), key(7_000, "c")];
    let answers: [&[Key]; 3] = [&newest, &[Key::Unplaced(1)], &[Key::Unplaced(1), key(5_000, "a")]];
    // Of a session nothing tells where it began; of the chat `minTime` does, and that is asked for.
    for (bot_session, end) in
        [(Some(SESSION.into()), Next::End(End::ReachedStart)), (None, Next::Ask)]
    {
        let mut walk = Walk::new(Bounds { bot_session, ..bounds(50) }, Position::default());
        for (number, keys) in answers.into_iter().enumerate() {
            let of_other_session = vec![false; keys.len()];
            let answer =
                Answer { keys, of_other_session: &of_other_session, chat_start: at(1_000) };
            let next = walk.receive(&walk.ask(), answer).next;
            assert_eq!(next, if number < 2 { Next::Ask } else { end.clone() });
        }
        assert!(end != Next::Ask || walk.ask().cursor.unwrap().timestamp.as_millis() == 1_001);
    }
}

#[test]
fn a_session_of_which_nothing_can_be_read_is_held_against_the_chat_s_newest_messages() {
    let session = Bounds { bot_session: Some(SESSION.into()), ..bounds(50) };
    let mut walk = Walk::new(session, Position::default());
    let keys = [Key::Unplaced(1), Key::Unplaced(2)];
    let answer = Answer { keys: &keys, of_other_session: &[false, false], chat_start: at(1_000) };
    assert_eq!(walk.receive(&walk.ask(), answer).next, Next::Ask);
    assert_eq!(walk.ask().cursor.unwrap().timestamp, FAR_FUTURE);
}

#[test]
fn few_unreadable_messages_of_a_chat_that_calls_itself_empty_are_all() {
    let unreadable: Vec<Key> = (0..50).map(Key::Unplaced).collect();
    let walk = || Walk::new(bounds(50), Position::default());
    let few: (&[Key], ChatTime) = (&unreadable[..49], ChatTime::Empty);
    assert_eq!(after(walk(), &[few]), (Next::End(End::ReachedStart), 1));
    // As many as a page holds may hide more. Both as many as asked and as many as a default would give.
    for limit in [50, 60] {
        let walk = Walk::new(bounds(limit), Position::default());
        let many: (&[Key], ChatTime) = (&unreadable, ChatTime::Empty);
        let (next, _) = after(walk, &[many, many, many, many]);
        assert!(matches!(next, Next::Stalled(_)), "{limit} {next:?}");
    }
}

#[test]
fn a_probe_that_is_refused_is_not_asked_for_ever() {
    let mut walk = Walk::new(bounds(50), Position::default());
    let unreadable: Vec<Key> = (0..7).map(Key::Unplaced).collect();
    let ask = walk.ask();
    let answer = Answer { keys: &unreadable, of_other_session: &[], chat_start: at(1_000) };
    assert_eq!(walk.receive(&ask, answer).next, Next::Ask);
    let probe = walk.ask();
    assert_eq!(probe.cursor.as_ref().unwrap().timestamp.as_millis(), 1_001);
    let first = Cursor { timestamp: Timestamp::from_millis(4_000), id: "x".into() };
    assert_eq!(walk.foresee(&probe, &first), None);
    assert!(!walk.too_large(&probe));
}

#[test]
fn what_is_newer_than_until_does_not_count_as_more() {
    let until = Bounds { until: Some(Timestamp::from_millis(999)), ..bounds(50) };
    let page = [Key::Unplaced(1), key(1_000, "a")];
    let answers: Vec<(&[Key], ChatTime)> = vec![(&page, at(1_000)), (&page, at(1_000))];
    let (next, asked) = after(Walk::new(until, Position::default()), &answers);
    assert_eq!((next, asked), (Next::End(End::ReachedStart), 2));

    // What stands at that very time does.
    let until = Bounds { until: Some(Timestamp::from_millis(1_000)), ..bounds(50) };
    let answers: Vec<(&[Key], ChatTime)> = vec![(&page[..1], at(1_000)), (&page, at(1_000))];
    let (next, _) = after(Walk::new(until, Position::default()), &answers);
    assert!(matches!(next, Next::Stalled(_)), "{next:?}");
}

#[test]
fn a_chat_that_began_after_until_ends_at_once() {
    let until = Bounds { until: Some(Timestamp::from_millis(999)), ..bounds(50) };
    let too_new = [key(1_000, "a")];
    let walk = || Walk::new(until.clone(), Position::default());
    assert_eq!(after(walk(), &[(&too_new, at(1_000))]), (Next::End(End::ReachedStart), 1));
    // Where that is not certain, the very time is asked for.
    for start in [at(7), at(i64::MAX), ChatTime::Unknown] {
        let answers: Vec<(&[Key], ChatTime)> = vec![(&too_new, start), (&[], start)];
        assert_eq!(after(walk(), &answers), (Next::End(End::ReachedStart), 2), "{start:?}");
    }
}

/// Every third of the newest 90 messages is one of the session; the server ignores a session's cursor.
fn late_session() -> (Model, Bounds) {
    let mut model = Model { filter: Filter::CursorIgnored, ..Model::documented(300) };
    for message in &mut model.messages[..210] {
        message.in_session = false;
    }
    (model, Bounds { bot_session: Some(SESSION.into()), ..bounds(10) })
}

#[test]
fn a_longer_answer_without_the_session_proves_the_session_s_end() {
    let (model, session) = late_session();
    let (limits, messages, next) = walk_model(session, &model);
    assert_eq!((messages, next), (30, Next::End(End::ReachedStart)));
    // Widened until the session's answer was short; then one message more than that, of the whole chat.
    assert_eq!(limits, [10, 10, 20, 40, 31]);
}

#[test]
fn a_session_s_oldest_message_comes_though_it_cannot_be_read() {
    let (mut model, session) = late_session();
    model.messages[210].readable = false;
    let (limits, messages, next) = walk_model(session, &model);
    assert_eq!((messages, next), (30, Next::End(End::ReachedStart)));
    assert_eq!(limits, [10, 10, 20, 40, 31]);
}

#[test]
fn unreadable_messages_that_fill_a_known_cap_are_no_end_either_when_min_time_goes_missing() {
    let newest: Vec<Key> = (0..3).map(|n| key(9_000 + n, &format!("n{n}"))).collect();
    let (a, b, c) = (Key::Unplaced(1), Key::Unplaced(2), Key::Unplaced(3));
    let end = Next::End(End::ReachedStart);
    for (run, capped) in [(vec![a.clone(), b.clone(), c], true), (vec![a, b], false)] {
        let confirmed = [&run[1..], &newest[..1]].concat();
        let answers: Vec<(&[Key], ChatTime)> =
            vec![(&newest, at(1_000)), (&run, ChatTime::Unknown), (&confirmed, ChatTime::Unknown)];
        let (next, asked) = after(Walk::new(bounds(50), Position::default()), &answers);
        assert_eq!((next == end, asked), (!capped, 3), "{next:?}");
    }
}

#[test]
fn an_unreadable_message_that_only_the_confirming_answer_shows_is_looked_behind() {
    let mut position = Position::default();
    position.advance(&[key(5_000, "a"), key(5_000, "b")]);
    let again = [key(5_000, "b")];
    let confirmed = [Key::Unplaced(1), key(5_000, "a"), key(5_000, "b")];
    let answers: Vec<(&[Key], ChatTime)> = vec![(&again, at(1_000)), (&confirmed, at(1_000))];
    let mut walk = Walk::new(bounds(50), position);
    for (keys, chat_start) in answers {
        let ask = walk.ask();
        let answer = Answer { keys, of_other_session: &[], chat_start };
        assert_eq!(walk.receive(&ask, answer).next, Next::Ask);
    }
    assert_eq!(walk.ask().cursor.unwrap().timestamp.as_millis(), 1_001);
}

#[test]
fn a_session_that_is_the_whole_of_a_small_chat_ends() {
    let mut position = Position::default();
    position.advance(&[key(2_000, "a")]);
    let whole = [Key::Unplaced(1), key(2_000, "a")];
    let answers: Vec<(&[Key], ChatTime)> = vec![
        (&whole[..1], at(1_000)),
        (&whole, at(1_000)),
        // The chat's newest are no more than the session's; so its beginning is looked at.
        (&whole, at(1_000)),
        (&whole[..1], at(1_000)),
    ];
    let session = Bounds { bot_session: Some(SESSION.into()), ..bounds(50) };
    assert_eq!(after(Walk::new(session, position), &answers), (Next::End(End::ReachedStart), 4));
}

#[test]
fn behind_a_large_group_the_pages_are_as_long_as_before() {
    let mut model = Model::documented(50);
    for message in &mut model.messages[30..] {
        message.time = 2_000;
    }
    let (limits, messages, next) = walk_model(bounds(4), &model);
    assert_eq!((messages, next), (50, Next::End(End::ReachedStart)));
    assert!(limits.iter().any(|limit| *limit > 20), "{limits:?}");
    assert!(limits.iter().rev().take(4).all(|limit| *limit == 4), "{limits:?}");
}

#[test]
fn a_probe_that_comes_back_as_long_as_asked_proves_no_end() {
    let page = [Key::Unplaced(1), key(1_001, "a")];
    let answers: Vec<(&[Key], ChatTime)> = vec![(&page[..1], at(1_000)), (&page, at(1_000))];
    let (next, _) = after(Walk::new(bounds(2), Position::default()), &answers);
    assert!(matches!(next, Next::Stalled(_)), "{next:?}");
    let (next, _) = after(Walk::new(bounds(3), Position::default()), &answers);
    assert_eq!(next, Next::End(End::ReachedStart));
}

#[test]
fn unreadable_messages_count_towards_what_a_server_gives() {
    let mut position = Position::default();
    position.advance(&[key(5_000, "a"), key(5_000, "b"), key(5_000, "c")]);
    let left = [key(5_000, "a"), key(5_000, "c")];
    let newest = [key(9_000, "x"), Key::Unplaced(1), Key::Unplaced(2)];
    let unknown = ChatTime::Unknown;
    let answers: Vec<(&[Key], ChatTime)> =
        vec![(&left, unknown), (&left, unknown), (&newest, unknown)];
    let (next, asked) = after(Walk::new(bounds(50), position), &answers);
    assert_eq!((next, asked), (Next::End(End::ReachedStart), 3));
}
