//! Answers that could be taken for the end while messages are missing.

use super::*;
use crate::testing::rulebook::{CursorReading, LimitReading, MinTime};

#[test]
fn one_message_less_than_asked() {
    let rules = Rules { limit_reading: LimitReading::OneShort, ..Rules::default() };
    let walked = walk_model(bounds(50), &around_a_group(rules, 100, 50, 10));
    assert_eq!(walked.outcome(), (160, REACHED_START));
    assert!(walked.asks.len() <= 8, "{:?}", walked.limits());
}

#[test]
fn the_cursor_counted_to_limit() {
    for tied in [1, 49, 50, 51, 120] {
        for page_size in [10, 49, 50, 51] {
            let cursor_reading = CursorReading::CountsTheCursor;
            let rules = Rules { cursor_reading, ..Rules::default() };
            let walked = walk_model(bounds(page_size), &around_a_group(rules, 100, tied, 10));
            assert_eq!(walked.outcome(), (110 + tied, REACHED_START), "{tied} {page_size}");
        }
    }
}

fn hiding(count: usize, hidden: impl Fn(usize) -> bool) -> Model {
    let mut model = Model::documented(count);
    for (index, message) in model.messages.iter_mut().enumerate() {
        message.hidden = hidden(index);
    }
    model
}

#[test]
fn a_run_of_hidden_messages_as_long_as_a_page() {
    let model = hiding(500, |index| (200..250).contains(&index));
    let walked = walk_model(bounds(50), &model);
    assert_eq!(walked.outcome(), (450, REACHED_START));
    assert!(walked.asks.len() <= 13, "{:?}", walked.limits());
}

#[test]
fn half_of_all_messages_hidden() {
    for model in [
        hiding(500, |index| index % 2 == 1),
        hiding(500, |index| index % 20 >= 10),
        hiding(500, |index| (index * 7_919) % 13 > 6),
    ] {
        let visible = model.messages.iter().filter(|message| !message.hidden).count();
        let walked = walk_model(bounds(10), &model);
        assert_eq!(walked.outcome(), (visible, REACHED_START));
        assert!(walked.asks.len() <= 150, "{}", walked.asks.len());
    }
}

#[test]
fn a_hidden_run_of_50_000_costs_about_ten_requests_more() {
    let without = walk_model(bounds(50), &Model::documented(1_000)).asks.len();
    let model = hiding(51_000, |index| (500..50_500).contains(&index));
    let walked = walk_model(bounds(50), &model);
    assert_eq!(walked.outcome(), (1_000, REACHED_START));
    let mut longer = walked.limits();
    longer.retain(|limit| *limit > 50);
    assert_eq!(longer, (1..=10).map(|n| 50 << n).collect::<Vec<u32>>());
    assert!(walked.asks.len() <= without + 12, "{:?}", walked.limits());
}

#[test]
fn an_empty_answer_in_the_middle_or_at_first() {
    for number in [0, 1, 4, 9] {
        let rules = Rules { empty_answer: Some(number), ..Rules::default() };
        let walked = walk_model(bounds(50), &Model::with(rules, 500));
        assert_eq!(walked.outcome(), (500, REACHED_START), "{number}");
        // After the empty answer, the walk asks once for more than ever before. Later, one request confirms the
        // end.
        let limits = walked.limits();
        assert!(limits.len() <= 13, "{limits:?}");
        assert_eq!(limits[number as usize + 1], 100);
    }
}

#[test]
fn min_time_false_after_messages() {
    let rules = Rules { min_time: MinTime::False, ..Rules::default() };
    let walked = walk_model(bounds(50), &Model::with(rules.clone(), 500));
    assert_eq!(walked.outcome(), (500, REACHED_START));
    // One empty answer among them is not the end of an empty chat.
    for number in 1..9 {
        let rules = Rules { empty_answer: Some(number), ..rules.clone() };
        let walked = walk_model(bounds(50), &Model::with(rules.clone(), 500));
        assert_eq!(walked.outcome(), (500, REACHED_START), "{number}");
        // Nor is one that answers a longer request.
        let walked = walk_model(bounds(50), &around_a_group(rules, 100, 120, 10));
        assert_eq!(walked.outcome(), (230, REACHED_START), "{number}");
    }
}

#[test]
fn what_is_hidden_behind_a_cap_is_not_told_as_ties() {
    let rules = Rules { limit_reading: LimitReading::Capped(100), ..Rules::default() };
    let mut model = Model::with(rules, 500);
    for message in &mut model.messages[100..300] {
        message.hidden = true;
    }
    assert_eq!(walk_model(bounds(50), &model).outcome(), (200, Next::Stalled(Stall::Empty)));
}

#[test]
fn a_chat_that_is_cleared_during_the_walk() {
    // The chat is cleared with and without equal timestamps at its start, whatever the server then says of the
    // start, and at any request.
    for tied in [1, 3, 120] {
        for min_time in [MinTime::Stated, MinTime::Null] {
            let whole = around_a_group(Rules { min_time, ..Rules::default() }, 0, tied, 200);
            let cleared = Model { messages: Vec::new(), ..whole.clone() };
            for asked in 1..20 {
                let mut walk = Walk::new(bounds(50), Position::default());
                let (mut next, mut requests) = (Next::Ask, 0);
                while next == Next::Ask {
                    let model = if requests < asked { &whole } else { &cleared };
                    let ask = walk.ask();
                    let keys = model.keys(&model.answer(&ask, requests).unwrap());
                    let (chat_start, chat_latest) = model.times();
                    let answer =
                        Answer { keys: &keys, of_other_session: &[], chat_start, chat_latest };
                    next = walk.receive(&ask, answer).next;
                    requests += 1;
                }
                assert_eq!(next, REACHED_START, "{tied} {min_time:?} {asked}");
                assert!(requests <= asked + 4, "{requests} {asked}");
            }
        }
    }
}

#[test]
fn a_stale_min_time() {
    for (stale, hides) in [(993, false), (999, false), (7, false), (1, true)] {
        let rules = Rules { min_time: MinTime::Fixed(stale), ..Rules::default() };
        for page_size in [7, 50, 200] {
            let mut model = Model::with(rules.clone(), 130);
            if hides {
                // Both oldest tie.
                model.messages[0].time = model.messages[1].time;
            }
            let walked = walk_model(bounds(page_size), &model);
            assert_eq!(walked.outcome(), (130, REACHED_START), "{stale} {page_size}");
            assert!(walked.asks.len() <= 130_usize.div_ceil(page_size as usize) + 6);
        }
    }
}

#[test]
fn a_negative_min_time_is_never_asked_for() {
    for millis in [-4, -1, i64::MIN] {
        let rules = Rules { min_time: MinTime::Fixed(millis), ..Rules::default() };
        let mut model = Model::with(rules, 30);
        // The walk may come down to 1970 itself.
        for oldest in [1_000, 1, 0] {
            model.messages[0].time = oldest;
            let walked = walk_model(bounds(7), &model);
            assert_eq!(walked.outcome(), (30, REACHED_START), "{millis} {oldest}");
            let times = walked.asks.iter().map(|ask| ask.cursor.as_ref().unwrap().timestamp);
            assert!(times.into_iter().all(|time| time.as_millis() >= 0), "{:?}", walked.asks);
        }
    }
}

#[test]
fn a_chat_in_microseconds_or_behind_the_year_9999() {
    for first in [1_757_056_145_969_000, 253_402_300_800_000, 253_402_300_799_000] {
        for page_size in [7, 50, 200] {
            let mut model = Model::documented(130);
            for (index, message) in model.messages.iter_mut().enumerate() {
                message.time = first + 10 * index as i64;
            }
            let walked = walk_model(bounds(page_size), &model);
            assert_eq!(walked.outcome(), (130, REACHED_START), "{first} {page_size}");
            // One request brings nothing. One more is sent because a page of more than 50 may have been cut
            // off.
            let requests = 130_usize.div_ceil(page_size as usize) + 1;
            assert_eq!(walked.asks.len(), requests + usize::from(page_size == 200));
        }
    }
}

#[test]
fn one_and_the_same_message_for_ever() {
    let months = 90 * 24 * 3_600_000;
    let same = [key(1_757_056_145_969, "m")];
    for page_size in [1, 2, 50] {
        let walked =
            walk_answers(bounds(page_size), at(1_757_056_145_969 - months), |_, _| same.to_vec());
        assert_eq!(walked.outcome(), (1, Next::Stalled(Stall::CursorIgnored)), "{page_size}");
        assert!(walked.asks.len() <= 5, "{:?}", walked.limits());
    }
}

#[test]
fn the_same_page_for_ever() {
    let page = group(5_000, "a", 1).into_iter().chain(run(5_001, 49)).collect::<Vec<_>>();
    let stalled = Next::Stalled(Stall::CursorIgnored);
    for (chat_start, page_size, next) in [
        (at(7), 50, stalled),
        (at(7), 60, stalled),
        (ChatTime::Unknown, 50, stalled),
        (ChatTime::Unknown, 60, stalled),
        (at(5_000), 50, REACHED_START),
    ] {
        let walked = walk_answers(bounds(page_size), chat_start, |_, _| page.clone());
        assert_eq!(walked.outcome(), (50, next), "{chat_start:?} {page_size}");
        assert!(walked.asks.len() <= 5, "{:?}", walked.limits());
    }
}

#[test]
fn two_pages_in_turn_for_ever() {
    let (a, b) = (run(5_000, 10), run(6_000, 10));
    let walked =
        walk_answers(
            bounds(10),
            at(7),
            |_, number| if number % 2 == 0 { b.clone() } else { a.clone() },
        );
    assert_eq!(walked.outcome(), (20, Next::Stalled(Stall::CursorIgnored)));
    assert!(walked.asks.len() < 20, "{:?}", walked.limits());
}

#[test]
fn empty_answers_for_ever() {
    for chat_start in [at(7), ChatTime::Unknown, ChatTime::Empty] {
        let walked = walk_answers(bounds(50), chat_start, |_, _| Vec::new());
        assert_eq!(walked.outcome(), (0, REACHED_START), "{chat_start:?}");
        assert!(walked.asks.len() <= 4, "{:?}", walked.limits());
    }
}

#[test]
fn nonsense_times_of_the_chat_lose_nothing() {
    for millis in [i64::MIN, -1, 0, 1_001, i64::MAX] {
        let rules = Rules { min_time: MinTime::Fixed(millis), ..Rules::default() };
        let walked = walk_model(bounds(7), &Model::with(rules, 30));
        assert_eq!(walked.outcome(), (30, REACHED_START), "{millis}");
        assert!(walked.asks.len() <= 10, "{:?}", walked.limits());
    }
}

#[test]
fn hidden_rows_that_shorten_the_last_page_do_not_hide_ties_at_the_chats_beginning() {
    // The answers hold 25 and 13 messages of the 50 that were counted. Two of the first three are still missing.
    let mut model = around_a_group(Rules::default(), 0, 3, 99);
    for (number, message) in model.messages.iter_mut().enumerate().skip(3) {
        message.hidden = number % 2 == 1 || (number < 50 && number % 4 == 0);
    }
    let visible = model.messages.iter().filter(|message| !message.hidden).count();
    let walked = walk_model(bounds(50), &model);
    assert_eq!((visible, walked.outcome()), (40, (40, REACHED_START)), "{:?}", walked.limits());
}
