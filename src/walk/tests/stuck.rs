//! The table of transitions in `DESIGN.md`, one test for each row, with the row's name. These rows are for
//! answers that brought nothing new.

use super::rows::{at_start, beyond, confirming, confirming_three};
use super::*;

// Confirming.

#[test]
fn a_confirmed_answer_that_is_whole_is_the_end() {
    let (mut told, three) = confirming_three();
    assert_eq!(told.hears(&three, ChatTime::Unknown), REACHED_START);
    // An empty answer was not cut off by a cap.
    assert_eq!(confirming().hears(&[], ChatTime::Unknown), REACHED_START);
}

#[test]
fn a_confirmed_answer_that_lacks_what_was_handed_out_is_looked_beyond() {
    let (mut told, three) = confirming_three();
    assert_eq!(told.hears(&three[1..], ChatTime::Unknown), Next::Ask);
    assert!(matches!(told.goal(), Goal::Beyond(_)));
    assert_eq!(told.asks_for(), (20, 5_000, "z".repeat(24)));
}

#[test]
fn a_confirmed_answer_newer_than_asked_for_is_stalled() {
    let mut told = confirming();
    let stalled = Next::Stalled(Stall::CursorIgnored);
    assert_eq!(told.hears(&[key(5_001, "n")], ChatTime::Unknown), stalled);
    // A walk that is resumed asks for the next page.
    assert_eq!((told.goal(), told.asks_for()), (Goal::Page, (10, 5_000, "m".into())));
}

#[test]
fn a_confirmed_answer_while_the_chat_goes_on_is_asked_for_at_the_start() {
    let mut told = confirming();
    assert_eq!(told.hears(&[], at(1_000)), Next::Ask);
    assert!(matches!(told.goal(), Goal::AtStart { .. }));
    assert_eq!(told.asks_for(), (10, 1_001, "f".repeat(24)));
}

// At the time when the chat is said to have begun.

#[test]
fn nothing_at_the_start_means_that_it_is_stale() {
    for keys in [&[][..], &[key(1_001, "n")]] {
        let mut told = at_start();
        assert_eq!(told.hears(keys, at(1_000)), Next::Ask);
        if keys.is_empty() {
            assert!(matches!(told.goal(), Goal::Confirm(_)));
            assert_eq!(told.hears(&[key(5_000, "m")], at(1_000)), REACHED_START);
        } else {
            // A message one millisecond later is older than the walk's cursor, too.
            assert!(matches!(told.goal(), Goal::Beyond(_)));
        }
    }
    // A changed start counts again.
    let mut told = at_start();
    assert_eq!(told.hears(&[], at(1_000)), Next::Ask);
    assert_eq!(told.hears(&[], at(900)), Next::Ask);
    assert!(matches!(told.goal(), Goal::AtStart { .. }));
}

#[test]
fn something_at_the_start_is_looked_for() {
    let mut told = beyond();
    // The limit is larger than in any answer that showed nothing, and the id excludes nothing.
    assert_eq!(told.asks_for(), (40, 5_000, "z".repeat(24)));
    assert_eq!(told.hears(&run(4_990, 10), at(1_000)), Next::Ask);
    assert_eq!((told.goal(), told.asks_for()), (Goal::Page, (10, 4_990, "r4990".into())));
}

#[test]
fn something_newer_than_the_start_is_stalled() {
    let mut told = at_start();
    let stalled = Next::Stalled(Stall::CursorIgnored);
    assert_eq!(told.hears(&[key(5_000, "m")], at(1_000)), stalled);
}

// Beyond answers that show nothing.

#[test]
fn beyond_a_longer_and_longer_answer_is_asked_for() {
    let mut told = beyond();
    let mut limits = vec![told.asks().limit];
    let mut next = told.hears(&[], at(1_000));
    while next == Next::Ask {
        limits.push(told.asks().limit);
        next = told.hears(&[], at(1_000));
    }
    let doubled: Vec<u32> = (2..13).map(|n| 10 << n).chain([65_536]).collect();
    assert_eq!((limits, next), (doubled, Next::Stalled(Stall::Empty)));
}

#[test]
fn beyond_an_answer_that_grows_no_longer_is_asked_for_up_to_the_most() {
    let held = group(5_000, "m", 30);
    let mut told = Told::behind(bounds(10), &held);
    for _ in 0..2 {
        assert_eq!(told.hears(&held[..5], at(1_000)), Next::Ask);
    }
    assert_eq!(told.hears(&[key(1_000, "a")], at(1_000)), Next::Ask);
    assert!(matches!(told.goal(), Goal::Beyond(_)));
    // A run of hidden messages looks like a cap, as long as it is longer than the answer.
    let mut next = Next::Ask;
    while next == Next::Ask && told.asks().limit < 65_536 {
        next = told.hears(&held[..6], at(1_000));
    }
    assert_eq!((next, told.asks().limit), (Next::Ask, 65_536));
    assert_eq!(told.hears(&held[..6], at(1_000)), Next::Stalled(Stall::Ties));
}

/// A walk behind three messages of 5,000. One of them has been deleted, or a cap hides it.
fn beyond_three() -> (Told, Vec<Key>) {
    let (mut told, three) = confirming_three();
    assert_eq!(told.hears(&three[1..], ChatTime::Unknown), Next::Ask);
    assert!(matches!(told.goal(), Goal::Beyond(_)));
    (told, three)
}

#[test]
fn beyond_a_whole_answer_with_nothing_further_back_is_the_end() {
    for start in [at(5_000), ChatTime::Unknown] {
        let (mut told, three) = beyond_three();
        assert_eq!(told.hears(&three, start), REACHED_START);
    }
}

#[test]
fn beyond_empty_answers_with_nothing_further_back_are_the_end() {
    let (mut told, _) = confirming_three();
    assert_eq!(told.hears(&[], ChatTime::Unknown), Next::Ask);
    assert!(matches!(told.goal(), Goal::Beyond(_)));
    assert_eq!(told.hears(&[], ChatTime::Unknown), REACHED_START);
}

#[test]
fn beyond_an_empty_answer_or_a_longer_one_with_nothing_further_back_is_asked_for_again() {
    // Three held, two came back, and then none: some may have been deleted meanwhile.
    let (mut told, _) = beyond_three();
    assert_eq!(told.hears(&[], ChatTime::Unknown), Next::Ask);
    assert!(matches!(told.goal(), Goal::Beyond(_)));
    // None, and then two.
    let (mut told, three) = confirming_three();
    assert_eq!(told.hears(&[], ChatTime::Unknown), Next::Ask);
    assert_eq!(told.hears(&three[1..], ChatTime::Unknown), Next::Ask);
    assert!(matches!(told.goal(), Goal::Beyond(_)));
    // Fewer than before.
    let (mut told, three) = beyond_three();
    assert_eq!(told.hears(&three[2..], ChatTime::Unknown), Next::Ask);
    assert!(matches!(told.goal(), Goal::Newest(_)));
}

#[test]
fn beyond_an_answer_that_grows_no_longer_with_nothing_further_back_is_held_against_the_newest() {
    for start in [at(5_000), ChatTime::Unknown] {
        let (mut told, three) = beyond_three();
        assert_eq!(told.hears(&three[1..], start), Next::Ask);
        assert!(matches!(told.goal(), Goal::Newest(_)));
        assert_eq!(told.asks_for(), (20, FAR_FUTURE.as_millis(), "f".repeat(24)));
    }
}

#[test]
fn beyond_an_answer_newer_than_asked_for_is_stalled() {
    let stalled = Next::Stalled(Stall::CursorIgnored);
    assert_eq!(beyond().hears(&[key(5_001, "n")], at(1_000)), stalled);
}

// The chat's newest messages.

#[test]
fn newest_messages_that_are_more_than_the_confirmed_ones_are_the_end() {
    for (count, next) in [(3, REACHED_START), (2, Next::Stalled(Stall::Ties))] {
        let (mut told, three) = beyond_three();
        assert_eq!(told.hears(&three[1..], ChatTime::Unknown), Next::Ask);
        let verdict = told.verdict(&run(9_000, count), ChatTime::Unknown);
        assert_eq!((verdict.next, verdict.duplicates), (next, count as u64));
        // None of these messages is handed out.
        assert_eq!(verdict.kept, Kept::Only(Vec::new()));
    }
}

#[test]
fn newest_messages_are_asked_for_behind_what_is_said_to_be_the_latest() {
    let latest = FAR_FUTURE.next_milli();
    let mut told = Told::behind(bounds(10), &group(5_000, "m", 3));
    for count in [2, 2, 2] {
        let keys = group(5_000, "m", count);
        let chat_latest = ChatTime::At(latest);
        let answer = Answer {
            keys: &keys,
            of_other_session: &[],
            chat_start: ChatTime::Unknown,
            chat_latest,
        };
        assert_eq!(told.0.receive(&told.asks(), answer).next, Next::Ask);
    }
    assert_eq!(told.asks_for(), (20, latest.as_millis() + 1, "f".repeat(24)));
}
