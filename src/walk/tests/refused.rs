//! A `limit` that the server refuses. These are its rows of the table.

use super::*;
use crate::testing::rulebook::{CursorReading, LimitReading};

const STATUSES: [u16; 3] = [400, 413, 422];

fn refusing(above: u64, status: u16) -> Rules {
    Rules { limit_reading: LimitReading::Refused { above, status }, ..Rules::default() }
}

fn growing() -> Bounds {
    Bounds { max_page_size: 1_000, ..bounds(50) }
}

#[test]
fn a_refused_limit_of_the_caller_s_is_the_caller_s_to_hear_of() {
    let mut told = Told::new(growing());
    for status in STATUSES {
        assert_eq!(told.is_refused(status), None);
    }
    // Other statuses say nothing about the limit.
    assert_eq!(told.hears(&run(5_000, 50), at(1_000)), Next::Ask);
    for status in [401, 404, 414, 429, 500] {
        assert_eq!((told.asks().limit, told.is_refused(status)), (100, None), "{status}");
    }
    // After the server has answered this many, no status says anything about the limit.
    assert_eq!(told.hears(&run(4_000, 100), at(1_000)), Next::Ask);
    assert_eq!((told.asks().limit, told.is_refused(400)), (200, Some(Next::Ask)));
    assert_eq!((told.asks().limit, told.is_refused(400)), (100, None));
}

#[test]
fn a_refused_page_is_asked_for_as_long_as_the_longest_that_was_answered() {
    for status in STATUSES {
        let walked = walk_model(growing(), &Model::with(refusing(100, status), 2_000));
        assert_eq!(walked.outcome(), (2_000, REACHED_START));
        let limits = walked.limits();
        assert_eq!(limits[..4], [50, 100, 200, 100]);
        assert!(limits[4..].iter().all(|limit| *limit == 100), "{limits:?}");
        // ⌈1,850 / 100⌉ requests after the first two, the refused one, and one more because the last page held
        // 50.
        assert_eq!(limits.len(), 23);
    }
}

#[test]
fn a_refused_widening_goes_half_the_way_back() {
    let held = group(5_000, "m", 51);
    let mut told = Told::behind(bounds(50), &held);
    assert_eq!(told.hears(&held[1..], at(1_000)), Next::Ask);
    for limit in [102, 76, 63, 57, 54, 52] {
        assert!(matches!(told.goal(), Goal::Widen(_)));
        assert_eq!((told.asks().limit, told.is_refused(422)), (limit, Some(Next::Ask)));
    }
    // No smaller limit can show more than the 51 messages held. The walk checks whether there is anything
    // older.
    assert!(matches!(told.goal(), Goal::AtStart { .. }));
    assert_eq!(told.hears(&[key(1_000, "a")], at(1_000)), refused(52, 422));
}

fn refused(limit: u32, status: u16) -> Next {
    Next::Stalled(Stall::LimitRefused { limit, status })
}

#[test]
fn a_refused_widening_with_the_start_unknown_is_stalled() {
    let held = group(5_000, "m", 51);
    for start in [at(5_000), ChatTime::Unknown] {
        let mut told = Told::behind(bounds(50), &held);
        assert_eq!(told.hears(&held[1..], start), Next::Ask);
        for _ in 0..5 {
            assert_eq!(told.is_refused(400), Some(Next::Ask));
        }
        assert_eq!(told.is_refused(400), Some(refused(52, 400)));
        assert_eq!(told.goal(), Goal::Page);
    }
}

#[test]
fn a_refused_widening_of_an_empty_answer_is_asked_for_at_the_start() {
    let mut told = Told::behind(bounds(50), &[key(5_000, "m")]);
    assert_eq!(told.hears(&[], at(1_000)), Next::Ask);
    assert_eq!((told.asks().limit, told.is_refused(413)), (100, Some(Next::Ask)));
    assert_eq!(told.asks_for(), (50, 1_001, "f".repeat(24)));
}

#[test]
fn a_refused_look_beyond_goes_half_the_way_back_and_is_stalled_at_last() {
    let mut told = Told::behind(bounds(50), &[key(5_000, "m")]);
    assert_eq!(told.hears(&[], at(1_000)), Next::Ask);
    assert_eq!((told.asks().limit, told.hears(&[], at(1_000))), (100, Next::Ask));
    assert_eq!(told.hears(&[key(1_000, "a")], at(1_000)), Next::Ask);
    for limit in [200, 150, 125, 112, 106, 103] {
        assert!(matches!(told.goal(), Goal::Beyond(_)));
        assert_eq!((told.asks().limit, told.is_refused(400)), (limit, Some(Next::Ask)));
    }
    assert_eq!((told.asks().limit, told.is_refused(400)), (101, Some(refused(101, 400))));
}

#[test]
fn a_refused_confirmation_is_stalled() {
    // More messages of one time have been handed out than one page holds. The server gives as many as asked.
    let held = group(5_000, "m", 100);
    let mut told = Told::new(bounds(50));
    for keys in [&run(9_000, 50)[..], &held[50..], &held[..50], &held[70..]] {
        assert_eq!(told.hears(keys, ChatTime::Unknown), Next::Ask);
    }
    assert!(matches!(told.goal(), Goal::Confirm(_)), "{told:?}");
    assert_eq!((told.asks().limit, told.is_refused(400)), (101, Some(refused(101, 400))));
}

#[test]
fn ties_are_read_as_far_as_the_largest_limit_goes() {
    for status in STATUSES {
        for cursor_reading in [CursorReading::ExcludesOneId, CursorReading::CountsTheCursor] {
            for tied in [70, 98] {
                let rules = Rules { cursor_reading, ..refusing(100, status) };
                let model = around_a_group(rules, 40, tied, 60);
                let walked = walk_model(growing(), &model);
                assert_eq!(walked.outcome(), (100 + tied, REACHED_START), "{status} {tied}");
                // The same without growing pages.
                let walked = walk_model(bounds(50), &model);
                assert_eq!(walked.outcome(), (100 + tied, REACHED_START), "{status} {tied}");
            }
        }
    }
}

#[test]
fn more_ties_than_the_largest_limit_shows_are_stalled_by_the_size_refused() {
    for status in STATUSES {
        let model = around_a_group(refusing(100, status), 40, 130, 60);
        for bounds in [growing(), bounds(50)] {
            let walked = walk_model(bounds, &model);
            let Next::Stalled(Stall::LimitRefused { limit, status: by }) = walked.next else {
                panic!("{walked:?}");
            };
            assert!((101..=103).contains(&limit) && by == status, "{limit} {by}");
            // The newer messages, and as many as one answer may hold. The cursor comes on top if it was another
            // message.
            assert!((160..=161).contains(&walked.count), "{}", walked.count);
            // The position at which it stopped. The advice is to begin again before that time, which skips only
            // messages of exactly that time.
            let stopped = walked.position.timestamp().unwrap().as_millis();
            assert_eq!(stopped, model.messages[40].time);
        }
    }
}

#[test]
fn a_limit_trimmed_to_one_message_leaves_room_for_the_cursor() {
    // One more message may come, but the server counts the cursor and refuses more than a page's size.
    let cursor_reading = CursorReading::CountsTheCursor;
    let rules = Rules { cursor_reading, ..refusing(20, 422) };
    let walked =
        walk_model(Bounds { max_messages: Some(40), ..bounds(20) }, &Model::with(rules, 100));
    assert_eq!(walked.outcome(), (40, Next::End(End::ReachedMax)));
    assert_eq!(walked.limits(), [20, 20, 2]);
}

#[test]
fn a_refused_widening_behind_until_asks_for_the_very_time() {
    // 130 messages share the time a millisecond after `until`, where the first page is asked for.
    let model = around_a_group(refusing(100, 400), 40, 130, 60);
    let until = Timestamp::from_millis(model.messages[40].time - 1);
    let walked = walk_model(Bounds { until: Some(until), ..bounds(50) }, &model);
    assert_eq!(walked.outcome(), (40, REACHED_START));
    let very_time = cursor(until.as_millis(), &"z".repeat(24));
    assert!(walked.asks.iter().any(|ask| ask.cursor.as_ref() == Some(&very_time)));
}
