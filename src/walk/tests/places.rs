//! Messages without a readable `_id` or `timestamp`, and messages that come twice.

use super::super::PageLength;
use super::*;
use crate::testing::rulebook::LimitReading;

/// A walk whose last message handed out is `m` of 5,000. A message without a place follows it.
fn behind_m() -> Told {
    Told::behind(bounds(50), &[Key::Unplaced(7), key(5_000, "m")])
}

#[test]
fn everything_that_is_dropped_is_counted() {
    let mut told = behind_m();
    let keys = [
        key(4_000, "a"),
        key(4_000, "a"),
        Key::Unplaced(7),
        key(5_000, "m"),
        key(6_000, "n"),
        Key::Unplaced(9),
    ];
    let verdict = told.verdict(&keys, at(1_000));
    assert_eq!((verdict.kept, verdict.duplicates), (Kept::Only(vec![0]), 5));
    // A message that came twice was counted once.
    assert_eq!(told.0.server.page_length, PageLength::Capped(5));
}

#[test]
fn one_text_sent_again_is_not_two() {
    let keys = [key(4_000, "a"), Key::Unplaced(7), Key::Unplaced(7), Key::Unplaced(7)];
    let verdict = behind_m().verdict(&keys, at(1_000));
    assert_eq!((verdict.kept, verdict.duplicates), (Kept::Only(vec![0, 2, 3]), 1));
}

#[test]
fn the_same_text_further_back_is_another_message() {
    // A message beyond the next older time cannot be the one that was handed out at 5,000.
    let keys =
        [key(2_000, "a"), Key::Unplaced(7), key(3_000, "b"), key(4_000, "c"), Key::Unplaced(7)];
    let verdict = behind_m().verdict(&keys, at(1_000));
    assert_eq!((verdict.kept, verdict.duplicates), (Kept::Only(vec![0, 1, 2, 3]), 1));
}

#[test]
fn what_stands_behind_a_message_older_than_since_is_older_still() {
    let since = Some(Timestamp::from_millis(5_000));
    let mut told = Told::new(Bounds { since, ..bounds(50) });
    let keys = [key(4_000, "a"), Key::Unplaced(1), key(5_000, "b"), Key::Unplaced(2)];
    let verdict = told.verdict(&keys, at(1_000));
    assert_eq!(verdict.kept, Kept::Only(vec![1, 2, 3]));
    assert_eq!(verdict.next, Next::End(End::ReachedSince));
}

#[test]
fn an_unreadable_first_message_is_an_end_though_the_next_is_a_millisecond_younger() {
    let whole = [Key::Unplaced(1), key(1_001, "a")];
    let mut told = Told::new(bounds(50));
    assert_eq!(told.hears(&whole, at(1_000)), Next::Ask);
    let mut next = Next::Ask;
    for _ in 0..4 {
        if next == Next::Ask {
            let at_start = told.asks().cursor.unwrap().timestamp.as_millis() == 1_000;
            let keys = if at_start { &whole[..1] } else { &whole[..] };
            next = told.hears(keys, at(1_000));
        }
    }
    assert_eq!(next, REACHED_START);
}

#[test]
fn a_page_of_unreadable_messages_is_widened_past() {
    for unreadable in [20, 49, 50, 51, 120] {
        let mut model = Model::documented(300);
        for message in &mut model.messages[100..100 + unreadable] {
            message.readable = false;
        }
        let walked = walk_model(bounds(50), &model);
        assert_eq!(walked.outcome(), (300, REACHED_START), "{unreadable}");
    }
}

#[test]
fn unreadable_messages_that_fill_a_page_at_the_beginning_are_not_taken_for_all() {
    let unreadable: Vec<Key> = (0..60).map(Key::Unplaced).collect();
    for (count, next) in [(49, REACHED_START), (50, Next::Stalled(Stall::Unreadable))] {
        let walked = walk_answers(bounds(60), ChatTime::Empty, |_, _| unreadable[..count].to_vec());
        assert_eq!(walked.outcome(), (count, next), "{count}");
    }
}

#[test]
fn an_unreadable_message_that_only_the_cursor_s_exclusion_reveals_does_not_hide_the_rest() {
    // All messages share one time. The answer that excludes nothing shows as many as the cap allows, but not the
    // unreadable message.
    for (cap, tied, unreadable) in [(50, 58, 7), (100, 120, 19), (50, 1_000, 949), (200, 250, 49)] {
        let rules = Rules { limit_reading: LimitReading::Capped(cap), ..Rules::default() };
        let mut model = around_a_group(rules, 0, tied, 0);
        model.messages[unreadable].readable = false;
        let walked = walk_model(bounds(100), &model);
        assert!(matches!(walked.next, Next::Stalled(_)), "{cap} of {tied}: {:?}", walked.outcome());
    }
}
