//! The table of transitions in `DESIGN.md`, one test for each row, with the row's name. These rows are for any
//! goal, and for requests of a page or of a longer answer.

use super::*;

/// A walk behind one message of 5,000, with pages of 10.
pub(super) fn behind_one() -> Told {
    Told::behind(bounds(10), &[key(5_000, "m")])
}

/// The same walk while it confirms the end.
pub(super) fn confirming() -> Told {
    let mut told = behind_one();
    assert_eq!(told.hears(&[], ChatTime::Unknown), Next::Ask);
    assert!(matches!(told.goal(), Goal::Confirm(_)));
    told
}

/// A walk behind three messages of 5,000, in a chat of which nothing is known. One message comes again, and
/// then the walk confirms the end.
pub(super) fn confirming_three() -> (Told, Vec<Key>) {
    let three = group(5_000, "m", 3);
    let mut told = Told::behind(bounds(10), &three);
    assert_eq!(told.hears(&three[1..], ChatTime::Unknown), Next::Ask);
    assert!(matches!(told.goal(), Goal::Confirm(_)));
    (told, three)
}

/// The server says that the chat begins at 1,000, but nothing older than 5,000 comes.
pub(super) fn at_start() -> Told {
    let mut told = behind_one();
    for _ in 0..2 {
        assert_eq!(told.hears(&[], at(1_000)), Next::Ask);
    }
    assert!(matches!(told.goal(), Goal::AtStart { .. }));
    told
}

/// The same walk after it has found a message of 1,000.
pub(super) fn beyond() -> Told {
    let mut told = at_start();
    assert_eq!(told.hears(&[key(1_000, "a")], at(1_000)), Next::Ask);
    assert!(matches!(told.goal(), Goal::Beyond(_)));
    told
}

// Any goal.

#[test]
fn older_than_since_is_the_end() {
    let since = Some(Timestamp::from_millis(5_000));
    let mut told = Told::new(Bounds { since, ..bounds(10) });
    let verdict = told.verdict(&[key(4_999, "a"), key(5_000, "b")], at(1_000));
    assert_eq!(verdict.next, Next::End(End::ReachedSince));
    assert_eq!(verdict.kept, Kept::Only(vec![1]));
}

#[test]
fn as_many_as_may_be_handed_out_is_the_end() {
    for most in [2, 3] {
        let mut told = Told::new(Bounds { max_messages: Some(most), ..bounds(10) });
        assert_eq!(told.asks().limit, u32::try_from(most).unwrap());
        let verdict = told.verdict(&run(5_000, 3), at(1_000));
        assert_eq!(verdict.next, Next::End(End::ReachedMax), "{most}");
        let newest = Kept::Only(vec![1, 2]);
        assert_eq!(verdict.kept, if most == 2 { newest } else { Kept::AllAsTheyCame });
    }
}

#[test]
fn a_chat_that_goes_on_behind_the_first_request_is_asked_for_from_there() {
    let latest = FAR_FUTURE.next_milli();
    let answer = |keys| Answer {
        keys,
        of_other_session: &[],
        chat_start: at(1_000),
        chat_latest: ChatTime::At(latest),
    };
    let mut walk = Walk::new(bounds(10), Position::default());
    let old = [key(1_000, "a")];
    let verdict = walk.receive(&walk.ask(), answer(&old));
    assert_eq!((verdict.kept, verdict.next), (Kept::Only(Vec::new()), Next::Ask));
    assert_eq!(walk.ask().cursor.unwrap().timestamp, latest.next_milli());
    let all = [key(1_000, "a"), key(latest.as_millis(), "b")];
    let verdict = walk.receive(&walk.ask(), answer(&all));
    assert_eq!((verdict.kept, verdict.next), (Kept::AllAsTheyCame, REACHED_START));
    // The chat's newest messages are not within `until`.
    let until = Some(FAR_FUTURE);
    let mut walk = Walk::new(Bounds { until, ..bounds(10) }, Position::default());
    assert_eq!(walk.receive(&walk.ask(), answer(&old)).next, REACHED_START);
}

#[test]
fn more_of_one_time_than_are_remembered_is_stalled() {
    for (count, next) in [(65_536, Next::Ask), (65_537, Next::Stalled(Stall::TooManyTies))] {
        let mut told = Told::new(bounds(65_536));
        assert_eq!(told.hears(&group(5_000, "m", count), at(1_000)), next, "{count}");
    }
}

// Something new.

#[test]
fn something_new_down_to_the_start_is_the_end() {
    for count in 1..9 {
        assert_eq!(Told::new(bounds(10)).hears(&run(1_000, count), at(1_000)), REACHED_START);
    }
}

#[test]
fn something_new_down_to_the_start_that_may_be_cut_off_asks_for_the_next_page() {
    // As many messages as asked, or as many as the documented default.
    for (page_size, count) in [(10, 10), (60, 50), (60, 59)] {
        let mut told = Told::new(bounds(page_size));
        assert_eq!(told.hears(&run(1_000, count), at(1_000)), Next::Ask);
        assert_eq!(told.goal(), Goal::Page);
        assert_eq!(told.asks_for(), (page_size, 1_000, "r1000".into()));
    }
    // Behind a cursor, one message less is enough, because the cursor may have been counted.
    let mut told = Told::behind(bounds(10), &[key(5_000, "m")]);
    assert_eq!(told.hears(&run(1_000, 9), at(1_000)), Next::Ask);
    // As many messages as the cap that the server has shown.
    let mut told = Told::behind(bounds(10), &[key(5_000, "m")]);
    assert_eq!(told.hears(&run(4_000, 7), at(1_000)), Next::Ask);
    assert_eq!(told.hears(&run(1_000, 7), at(1_000)), Next::Ask);
    assert_eq!(told.goal(), Goal::Page);
}

#[test]
fn something_new_asks_for_the_next_page() {
    let mut told = Told::new(Bounds { max_page_size: 15, ..bounds(10) });
    assert_eq!(told.hears(&run(5_000, 10), at(1_000)), Next::Ask);
    // The limit doubles, up to the largest page size.
    assert_eq!((told.goal(), told.asks_for()), (Goal::Page, (15, 5_000, "r5000".into())));
    assert_eq!(told.hears(&run(4_000, 14), at(1_000)), Next::Ask);
    // The limit falls to the number of messages that came, but not below the page size.
    assert_eq!((told.goal(), told.asks_for()), (Goal::Page, (14, 4_000, "r4000".into())));
    assert_eq!(told.hears(&run(3_000, 2), at(1_000)), Next::Ask);
    assert_eq!((told.goal(), told.asks_for()), (Goal::Page, (10, 3_000, "r3000".into())));
}

#[test]
fn something_new_of_a_group_that_was_too_large_is_widened_on() {
    let all = group(5_000, "m", 40);
    let behind_some_of_it = |start| {
        let mut told = Told::behind(bounds(10), &all[29..]);
        assert_eq!(told.hears(&all[30..], start), Next::Ask);
        assert_eq!(told.goal(), widen(22, 10, Stall::Ties));
        assert_eq!(told.hears(&[&all[18..29], &all[30..]].concat(), start), Next::Ask);
        // The limit is twice the number seen of the group.
        assert_eq!(told.goal(), widen(44, 21, Stall::Ties));
        told
    };
    // The group may be the chat's first.
    behind_some_of_it(at(5_000));
    let mut told = behind_some_of_it(at(1_000));
    let rest = [&run(4_000, 5)[..], &all].concat();
    assert_eq!(told.hears(&rest, at(1_000)), Next::Ask);
    assert_eq!((told.goal(), told.asks().limit), (Goal::Page, 10));
}

fn widen(limit: u32, count: usize, why: Stall) -> Goal {
    Goal::Widen(super::super::Stuck { limit, count, why })
}

// Nothing new.

#[test]
fn nothing_new_as_long_as_asked_is_widened() {
    let held = group(5_000, "m", 11);
    let mut told = Told::behind(bounds(10), &held);
    assert_eq!(told.hears(&held[1..], at(1_000)), Next::Ask);
    assert_eq!(told.goal(), widen(22, 10, Stall::Ties));
    assert_eq!(told.asks_for(), (22, 5_000, "m00000".into()));
    // An answer with one message less may be as long as asked, too, if the cursor is counted and then left out.
    let mut told = Told::behind(bounds(10), &held[1..]);
    assert_eq!(told.hears(&held[2..], at(1_000)), Next::Ask);
    assert_eq!(told.goal(), widen(20, 9, Stall::Ties));
}

#[test]
fn nothing_new_and_the_chat_further_back_is_widened_once() {
    let mut told = behind_one();
    assert_eq!(told.hears(&[], at(1_000)), Next::Ask);
    assert_eq!(told.goal(), widen(20, 0, Stall::Empty));
    assert_eq!(told.asks_for(), (20, 5_000, "m".into()));
    // The first answer, too.
    let mut told = Told::new(bounds(10));
    assert_eq!(told.hears(&[], at(1_000)), Next::Ask);
    assert_eq!(told.goal(), widen(20, 0, Stall::Empty));
}

#[test]
fn nothing_new_widened_and_the_chat_further_back_is_asked_for_at_the_start() {
    let told = at_start();
    assert_eq!(told.asks_for(), (10, 1_001, "f".repeat(24)));
    // One millisecond later would be the cursor's own time.
    let mut told = Told::behind(bounds(10), &[key(1_001, "m")]);
    for _ in 0..2 {
        assert_eq!(told.hears(&[], at(1_000)), Next::Ask);
    }
    assert_eq!(told.asks_for(), (10, 1_000, "z".repeat(24)));
}

#[test]
fn nothing_new_with_the_start_reached_is_the_end() {
    let held = group(5_000, "m", 3);
    assert_eq!(Told::behind(bounds(10), &held).hears(&held[1..], at(5_000)), REACHED_START);
    // The chat has nothing older than `until`.
    let until = Some(Timestamp::from_millis(999));
    let mut told = Told::new(Bounds { until, ..bounds(10) });
    assert_eq!(told.hears(&[key(1_000, "a")], at(1_000)), REACHED_START);
}

#[test]
fn nothing_new_with_the_start_unknown_is_confirmed() {
    for start in [ChatTime::Unknown, at(5_001), at(i64::MAX)] {
        let mut told = behind_one();
        assert_eq!(told.hears(&[], start), Next::Ask);
        assert!(matches!(told.goal(), Goal::Confirm(_)), "{start:?}");
        // An id that excludes nothing.
        assert_eq!(told.asks_for(), (10, 5_000, "z".repeat(24)), "{start:?}");
    }
}

#[test]
fn an_empty_chat_is_the_end() {
    assert_eq!(Told::new(bounds(10)).hears(&[], ChatTime::Empty), REACHED_START);
}

#[test]
fn an_empty_chat_behind_until_is_confirmed() {
    // Messages a millisecond newer may have been counted and left out.
    let until = Some(Timestamp::from_millis(5_000));
    let mut told = Told::new(Bounds { until, ..bounds(10) });
    assert_eq!(told.hears(&[], ChatTime::Empty), Next::Ask);
    assert_eq!(told.asks_for(), (10, 5_000, "z".repeat(24)));
    assert_eq!(told.hears(&[], ChatTime::Empty), REACHED_START);
}

#[test]
fn a_chat_called_empty_after_messages_is_confirmed_before_it_is_believed() {
    let mut told = behind_one();
    assert_eq!(told.hears(&[], ChatTime::Empty), Next::Ask);
    assert!(matches!(told.goal(), Goal::Confirm(_)));
    // The chat was cleared.
    assert_eq!(told.hears(&[], ChatTime::Empty), REACHED_START);
    // The chat was not cleared: one answer was wrong.
    let mut told = behind_one();
    assert_eq!(told.hears(&[], ChatTime::Empty), Next::Ask);
    assert_eq!(told.hears(&run(4_000, 3), at(4_000)), REACHED_START);
}
