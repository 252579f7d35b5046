//! Where a walk begins and ends, and which request is foreseen.

use super::*;

/// A walk that has handed out the newest page of a chat that began at 1,000.
fn on_its_way(bounds: Bounds) -> (Walk, Ask) {
    let mut told = Told::new(bounds);
    let page = run(5_000, told.asks().limit as usize);
    assert_eq!(told.hears(&page, at(1_000)), Next::Ask);
    let ask = told.asks();
    (told.0, ask)
}

#[test]
fn the_request_after_next_is_foreseen_only_where_it_may_come() {
    let first = |millis: i64| cursor(millis, "x");
    let (walk, ask) = on_its_way(bounds(20));
    let foreseen = walk.foresee(&ask, &first(4_000)).unwrap();
    assert_eq!(foreseen, Ask { limit: 20, cursor: Some(first(4_000)), bot_session: false });
    // After the chat's first message nothing follows. A message at the cursor's time or newer is not the next
    // cursor.
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

    // Nothing is known of the chat before the first answer.
    let walk = Walk::new(bounds(20), Position::default());
    assert_eq!(walk.foresee(&walk.ask(), &first(4_000)), None);
}

#[test]
fn nothing_is_foreseen_but_behind_an_ordinary_page() {
    for (answers, goal) in [(vec![20], "Widen"), (vec![5, 5], "AtStart")] {
        let (walk, _) = on_its_way(bounds(20));
        let mut told = Told(walk);
        for count in answers {
            // Nothing new came.
            assert_eq!(told.hears(&run(5_000, 20)[20 - count..], at(1_000)), Next::Ask);
        }
        assert!(format!("{:?}", told.goal()).starts_with(goal), "{:?}", told.goal());
        assert_eq!(told.0.foresee(&told.asks(), &cursor(4_000, "x")), None);
    }
}

#[test]
fn until_is_asked_for_a_millisecond_late_and_what_is_too_new_is_dropped() {
    let until = Some(Timestamp::from_millis(5_000));
    let mut told = Told::new(Bounds { until, ..bounds(2) });
    assert_eq!(told.asks_for(), (2, 5_001, "f".repeat(24)));
    let verdict = told.verdict(&[key(5_000, "zz"), key(5_001, "m")], at(1_000));
    assert_eq!((verdict.kept, verdict.duplicates), (Kept::Only(vec![0]), 1));
}

#[test]
fn a_page_of_nothing_but_what_is_newer_than_until_is_widened() {
    let until = Some(Timestamp::from_millis(5_000));
    let mut told = Told::new(Bounds { until, ..bounds(2) });
    let too_new = group(5_001, "m", 3);
    assert_eq!(told.hears(&too_new[1..], at(1_000)), Next::Ask);
    assert_eq!(told.asks_for(), (4, 5_001, "f".repeat(24)));
    let ask = told.asks();
    assert_eq!(told.0.foresee(&ask, &cursor(5_000, "x")), None);
    let page = [&[key(5_000, "a")], &too_new[..]].concat();
    let verdict = told.verdict(&page, at(1_000));
    assert_eq!((verdict.kept, verdict.next), (Kept::Only(vec![0]), Next::Ask));
    // Only that one request had a longer page than usual.
    assert_eq!(told.asks_for(), (2, 5_000, "a".into()));
}

#[test]
fn a_chat_that_began_after_until_ends_at_once() {
    let until = Bounds { until: Some(Timestamp::from_millis(999)), ..bounds(50) };
    let too_new = [key(1_000, "a")];
    assert_eq!(Told::new(until.clone()).hears(&too_new, at(1_000)), REACHED_START);
    assert_eq!(Told::new(until.clone()).hears(&[], at(i64::MAX)), REACHED_START);
    // If the end is not certain, the walk asks at exactly that time.
    let mut told = Told::new(until);
    assert_eq!(told.hears(&too_new, ChatTime::Unknown), Next::Ask);
    assert_eq!(told.asks_for(), (50, 999, "z".repeat(24)));
    assert_eq!(told.hears(&[], ChatTime::Unknown), REACHED_START);
}

#[test]
fn an_end_is_confirmed_with_an_id_behind_every_id_that_is_held() {
    for (id, excluding_nothing) in
        [("eeeeeeeeeeeeeeeeeeeeeeee", "f"), ("ffffffffffffffffffffffff", "z"), ("g", "z")]
    {
        let mut told = Told::new(bounds(50));
        let page = [key(5_000, id)];
        for _ in 0..2 {
            assert_eq!(told.hears(&page, ChatTime::Unknown), Next::Ask);
        }
        assert_eq!(told.asks_for(), (50, 5_000, excluding_nothing.repeat(24)));
    }
}

#[test]
fn more_is_asked_for_than_may_have_been_handed_out_of_one_time() {
    let mut handed_out: Vec<Key> = (0..30).map(Key::Unplaced).collect();
    handed_out.extend(group(5_000, "a", 40));
    let mut told = Told::behind(bounds(50), &handed_out);
    for limit in [50, 140] {
        assert_eq!(told.asks().limit, limit);
        assert_eq!(told.hears(&handed_out[30..35], at(1_000)), Next::Ask);
    }
    assert_eq!(told.asks_for(), (72, 1_001, "f".repeat(24)));
    // The walk asks for as many again at the chat's beginning, to confirm the end.
    assert_eq!(told.hears(&[], at(1_000)), Next::Ask);
    assert_eq!(told.asks_for(), (140, 5_000, "f".repeat(24)));
}
