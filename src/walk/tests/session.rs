//! A walk through one bot session. The server combines the filters or does not. These are its rows of the
//! table.

use super::super::SessionFilter as KeptBy;
use super::*;
use crate::testing::rulebook::SessionFilter;
use crate::walk::model::SESSION;

fn session(page_size: u32) -> Bounds {
    Bounds { bot_session: Some(SESSION.into()), ..bounds(page_size) }
}

impl Told {
    fn hears_of_session(&mut self, keys: &[Key]) -> Next {
        let of_other_session = vec![false; keys.len()];
        self.verdict_in_session(keys, &of_other_session, at(1_000)).next
    }

    fn filters_for_itself(&self) -> bool {
        !self.asks().bot_session && self.0.server.session_filter == KeptBy::Ourselves
    }
}

#[test]
fn a_session_s_empty_answer_is_the_end() {
    assert_eq!(Told::new(session(10)).hears_of_session(&[]), REACHED_START);
    let mut told = Told::behind(session(10), &[key(5_000, "m")]);
    assert_eq!(told.hears_of_session(&[]), REACHED_START);
}

#[test]
fn a_session_s_answer_without_anything_new_is_confirmed() {
    let held = group(5_000, "m", 3);
    let mut told = Told::behind(session(10), &held);
    assert_eq!(told.hears_of_session(&held[1..]), Next::Ask);
    assert!(matches!(told.goal(), Goal::Confirm(_)) && told.asks().bot_session);
    assert_eq!(told.hears_of_session(&held), REACHED_START);
}

#[test]
fn a_session_s_confirmed_answer_that_lacks_what_was_handed_out_is_filtered_by_the_walk() {
    let held = group(5_000, "m", 3);
    let mut told = Told::behind(session(10), &held);
    for _ in 0..2 {
        assert!(!told.filters_for_itself());
        assert_eq!(told.hears_of_session(&held[1..]), Next::Ask);
    }
    assert!(told.filters_for_itself());
    assert_eq!(told.goal(), Goal::Page);
}

#[test]
fn a_session_s_answer_that_cannot_be_widened_is_filtered_by_the_walk() {
    let held = group(5_000, "m", 11);
    let mut told = Told::behind(session(10), &held);
    assert_eq!(told.hears_of_session(&held[1..]), Next::Ask);
    for limit in [22, 16, 13, 12] {
        assert_eq!((told.asks().limit, told.filters_for_itself()), (limit, false));
        assert_eq!(told.is_refused(400), Some(Next::Ask));
    }
    assert!(told.filters_for_itself());
}

#[test]
fn a_session_whose_filter_or_cursor_is_ignored_is_filtered_by_the_walk() {
    // A message of another session.
    let mut told = Told::new(session(10));
    let verdict = told.verdict_in_session(&run(5_000, 3), &[false, true, false], at(1_000));
    assert_eq!((verdict.kept, verdict.next), (Kept::Only(vec![0, 2]), Next::Ask));
    assert!(told.filters_for_itself());
    // The cursor's own message, with and without a new one.
    for keys in [vec![key(5_000, "m")], vec![key(4_000, "a"), key(5_000, "m")]] {
        let mut told = Told::behind(session(10), &[key(5_000, "m")]);
        assert_eq!(told.hears_of_session(&keys), Next::Ask);
        assert!(told.filters_for_itself());
        // From then on, the walk goes through the whole chat.
        let page = run(1_000, 5);
        assert_eq!(told.verdict_in_session(&page, &[true; 5], at(1_000)).next, REACHED_START);
    }
}

#[test]
fn a_session_is_whole_whichever_way_the_filters_combine() {
    for (session_filter, limits) in [
        (SessionFilter::BothApply, vec![10, 10, 10, 10]),
        (SessionFilter::SessionIgnored, vec![10; 8]),
        (SessionFilter::CursorIgnored, vec![10; 9]),
    ] {
        let rules = Rules { session_filter, ..Rules::default() };
        let walked = walk_model(session(10), &Model::with(rules, 90));
        assert_eq!(walked.outcome(), (30, REACHED_START), "{session_filter:?}");
        assert_eq!(walked.limits(), limits, "{session_filter:?}");
    }
}

#[test]
fn what_cannot_be_placed_may_still_be_of_another_session() {
    let keys = [key(4_000, "a"), Key::Unplaced(1), Key::Unplaced(2), key(5_000, "b")];
    let verdict =
        Told::new(session(50)).verdict_in_session(&keys, &[false, true, false, true], at(1_000));
    assert_eq!((verdict.kept, verdict.duplicates), (Kept::Only(vec![0, 2]), 0));
}

#[test]
fn a_session_of_which_nothing_can_be_read_is_whole() {
    let mut told = Told::new(session(50));
    let keys = [Key::Unplaced(1), Key::Unplaced(2)];
    let verdict = told.verdict_in_session(&keys, &[false, false], at(1_000));
    assert_eq!((verdict.kept, verdict.next), (Kept::AllAsTheyCame, Next::Ask));
    assert_eq!(told.hears_of_session(&keys), REACHED_START);
}

#[test]
fn a_page_that_the_walk_filters_is_as_long_as_any_whatever_max_messages_says() {
    let rules = Rules { session_filter: SessionFilter::SessionIgnored, ..Rules::default() };
    let mut model = Model::with(rules, 1_000);
    for (number, message) in model.messages.iter_mut().enumerate() {
        message.in_session = !(5..900).contains(&number);
    }
    for max_messages in [None, Some(101), Some(104)] {
        let walked = walk_model(Bounds { max_messages, ..session(100) }, &model);
        assert_eq!(walked.count as u64, max_messages.unwrap_or(105));
        assert!(walked.asks.len() < 14, "{max_messages:?}: {:?}", walked.limits());
    }
}
