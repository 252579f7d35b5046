//! Messages that share one timestamp, and pages that come short.

use super::*;
use crate::testing::rulebook::{CursorReading, LimitReading, MinTime, PageOrder, TieOrder};

#[test]
fn a_group_of_ties_larger_than_the_page_is_widened_past() {
    let walked = walk_model(bounds(4), &tied(Rules::default(), 20));
    assert_eq!(walked.outcome(), (20, REACHED_START));
    // Only the cursor is left out of each answer, so a limit of 8 brings what 4 did not.
    let limits = walked.limits();
    assert_eq!(limits[..2], [4, 4]);
    assert!(limits.len() <= 8 && limits.last() > Some(&20), "{limits:?}");
}

#[test]
fn a_keyset_needs_no_widening() {
    let cursor_reading = CursorReading::StrictKeyset;
    let rules = Rules { cursor_reading, ..Rules::default() };
    let walked = walk_model(bounds(4), &around_a_group(rules.clone(), 2, 20, 0));
    assert_eq!((walked.count, walked.limits()), (22, vec![4; 6]));
    // At the chat's beginning, the walk asks once more for messages that may have been counted and left out.
    let walked = walk_model(bounds(4), &tied(rules, 20));
    assert_eq!((walked.count, walked.limits()), (20, vec![4, 4, 4, 4, 4, 4, 40]));
}

#[test]
fn ties_in_any_order_are_all_read() {
    for tie_order in [
        TieOrder::AsGiven,
        TieOrder::ById,
        TieOrder::ByIdDescending,
        TieOrder::Shuffled(3),
        TieOrder::ShuffledByLimit(3),
    ] {
        let rules = Rules { tie_order, ..Rules::default() };
        let walked = walk_model(bounds(20), &around_a_group(rules, 30, 120, 30));
        assert_eq!(walked.outcome(), (180, REACHED_START), "{tie_order:?}");
    }
}

#[test]
fn a_group_larger_than_the_cap_is_stalled_where_it_stands() {
    let rules = Rules { limit_reading: LimitReading::Capped(5), ..Rules::default() };
    let model = around_a_group(rules, 1, 19, 0);
    let walked = walk_model(bounds(5), &model);
    assert_eq!(walked.next, Next::Stalled(Stall::Ties));
    assert_eq!(walked.position.timestamp().unwrap().as_millis(), model.messages[1].time);
    // Under the cap, an answer shows one message more than the cursor, at each size asked for.
    assert!((5..=7).contains(&walked.count) && walked.asks.len() < 20, "{walked:?}");
}

#[test]
fn two_that_tie_at_the_start_do_not_exclude_each_other_for_ever() {
    for min_time in [MinTime::Stated, MinTime::Fixed(900), MinTime::Missing, MinTime::False] {
        let model = tied(Rules { min_time, ..Rules::default() }, 2);
        for page_size in [1, 2, 3, 50] {
            let walked = walk_model(bounds(page_size), &model);
            assert_eq!(walked.outcome(), (2, REACHED_START), "{min_time:?} {page_size}");
            assert!(walked.asks.len() <= 7, "{:?}", walked.limits());
        }
    }
}

#[test]
fn a_group_at_the_start_is_whole_whatever_the_page_size() {
    for cursor_reading in [
        CursorReading::ExcludesOneId,
        CursorReading::CountsTheCursor,
        CursorReading::StrictKeyset,
        CursorReading::StrictKeysetAfterCounting,
    ] {
        for limit_reading in [LimitReading::AsAsked, LimitReading::Capped(100)] {
            for page_size in 1..12 {
                for tied in 1..14 {
                    let rules = Rules { cursor_reading, limit_reading, ..Rules::default() };
                    let walked = walk_model(bounds(page_size), &around_a_group(rules, 0, tied, 30));
                    let told = format!("{cursor_reading:?} {limit_reading:?} {page_size} {tied}");
                    assert_eq!(walked.outcome(), (30 + tied, REACHED_START), "{told}");
                }
            }
        }
    }
}

#[test]
fn a_short_page_is_not_the_end() {
    let rules = Rules { limit_reading: LimitReading::Capped(7), ..Rules::default() };
    let walked = walk_model(bounds(20), &Model::with(rules, 30));
    assert_eq!((walked.outcome(), walked.asks.len()), ((30, REACHED_START), 5));
}

#[test]
fn out_of_order_pages_are_sorted() {
    for page_order in [PageOrder::Descending, PageOrder::Shuffled(5)] {
        let walked =
            walk_model(bounds(20), &Model::with(Rules { page_order, ..Rules::default() }, 30));
        assert_eq!((walked.count, walked.asks.len()), (30, 2));
    }
}

#[test]
fn ever_new_ids_at_one_time() {
    let mut made = 0;
    let walked = walk_answers(bounds(1_000), at(7), |ask, _| {
        (0..ask.limit)
            .map(|_| {
                made += 1;
                key(5_000, &format!("m{made}"))
            })
            .collect()
    });
    assert_eq!(walked.next, Next::Stalled(Stall::TooManyTies));
    assert!(walked.asks.len() <= 66 && walked.count <= 66_000, "{:?}", walked.limits());
}

#[test]
fn more_than_was_asked_for_is_taken() {
    let model = Model::documented(30);
    let all = model.keys(&(0..30).collect::<Vec<_>>());
    let walked =
        walk_answers(
            bounds(5),
            at(1_000),
            |_, number| {
                if number == 0 { all.clone() } else { Vec::new() }
            },
        );
    assert_eq!((walked.limits(), walked.outcome()), (vec![5, 5], (30, REACHED_START)));
}

#[test]
fn behind_a_large_group_the_pages_are_as_long_as_before() {
    let walked = walk_model(bounds(4), &around_a_group(Rules::default(), 30, 20, 0));
    assert_eq!(walked.outcome(), (50, REACHED_START));
    let limits = walked.limits();
    assert!(limits.iter().any(|limit| *limit > 20), "{limits:?}");
    assert!(limits.iter().rev().take(4).all(|limit| *limit == 4), "{limits:?}");
}

#[test]
fn a_cap_that_only_a_longer_answer_met_is_not_the_end() {
    // 100 of 150 that tie at the start are all that the server gives; pages of 50 never showed that.
    let rules = Rules { limit_reading: LimitReading::Capped(100), ..Rules::default() };
    let walked = walk_model(bounds(50), &around_a_group(rules, 0, 150, 30));
    assert_eq!(walked.next, Next::Stalled(Stall::Ties));
}

#[test]
fn what_is_kept_does_not_grow_with_the_history() {
    let model = Model::documented(3_000);
    let mut walk = Walk::new(bounds(100), Position::default());
    let mut largest = 0;
    for number in 0.. {
        let ask = walk.ask();
        let keys = model.keys(&model.answer(&ask, number).unwrap());
        let (chat_start, chat_latest) = model.times();
        let answer = Answer { keys: &keys, of_other_session: &[], chat_start, chat_latest };
        let verdict = walk.receive(&ask, answer);
        largest = largest.max(walk.position().seen.len());
        if verdict.next != Next::Ask {
            break;
        }
    }
    assert_eq!(largest, 1);
}
