//! What the answers teach a walk of its server, and what the walk makes of it.

use super::super::PageLength;
use super::*;

fn after(bounds: Bounds, answers: &[(Vec<Key>, i64)]) -> Told {
    let mut told = Told::new(bounds);
    for (keys, start) in answers {
        assert_eq!(told.hears(keys, at(*start)), Next::Ask);
    }
    told
}

#[test]
fn as_many_as_asked_behind_a_cursor_shows_that_the_cursor_is_not_counted() {
    let told = after(bounds(10), &[(run(5_000, 10), 0)]);
    assert_eq!(told.0.server.page_length, PageLength::Unproven { first: None });
    let mut told = after(bounds(10), &[(run(5_000, 10), 0), (run(4_000, 10), 0)]);
    assert_eq!(told.0.server.page_length, PageLength::AsAsked);
    // So a page that is one short is the last.
    assert_eq!(told.hears(&run(3_000, 9), at(3_000)), REACHED_START);
    // Unless nothing older than the cursor's time was shown, or that is not known yet.
    let same = after(bounds(10), &[(group(5_000, "m", 10), 0), (group(5_000, "n", 10), 0)]);
    assert_eq!(same.0.server.page_length, PageLength::Unproven { first: None });
    let mut told = after(bounds(10), &[(run(5_000, 10), 0)]);
    assert_eq!(told.hears(&run(3_000, 9), at(3_000)), Next::Ask);
}

#[test]
fn a_page_that_is_short_in_the_middle_shows_a_cap() {
    let first = after(bounds(10), &[(run(5_000, 7), 0)]);
    assert_eq!(first.0.server.page_length, PageLength::Unproven { first: Some(7) });
    assert_eq!((first.0.server().page(), first.asks().limit), (7, 10));
    let capped = after(bounds(10), &[(run(5_000, 7), 0), (run(4_000, 7), 0)]);
    assert_eq!((capped.0.server.page_length, capped.0.server().page()), (PageLength::Capped(7), 7));
    let still = after(bounds(10), &[(run(5_000, 7), 0), (run(4_000, 7), 0), (run(3_000, 7), 0)]);
    assert_eq!(still.0.server.page_length, PageLength::Capped(7));
    // Without a cap, a page is as long as asked.
    assert_eq!(after(bounds(10), &[(run(5_000, 10), 0)]).0.server().page(), 10);
}

/// The server counts messages and then leaves them out, so a page at the cap may hold fewer.
#[test]
fn a_page_that_is_short_of_the_cap_by_what_the_cursor_leaves_out_is_as_long_as_the_cap() {
    let first = [group(5_000, "m", 3), run(6_000, 5)].concat();
    let capped = after(bounds(10), &[(first.clone(), 0), (run(4_000, 5), 0)]);
    // Three of one time, and none of them came back.
    assert_eq!(capped.0.server.page_length, PageLength::Capped(5));
    let mut capped = after(bounds(10), &[(first, 0), (run(4_000, 8), 0)]);
    assert_eq!(capped.0.server.page_length, PageLength::Capped(8));
    assert_eq!(capped.hears(&[group(3_000, "n", 2), run(3_001, 6)].concat(), at(1_000)), Next::Ask);
    // Two of this time were handed out, and the server may have counted them.
    assert_eq!(capped.hears(&run(2_000, 6), at(2_000)), Next::Ask);
}

#[test]
fn pages_of_different_lengths_show_that_no_length_can_be_relied_on() {
    let short = (run(5_000, 7), 0);
    for answers in [
        vec![short.clone(), (run(4_000, 10), 0)],
        vec![short.clone(), (run(4_000, 7), 0), (run(3_000, 6), 0)],
        vec![short, (run(4_000, 7), 0), (run(3_000, 8), 0)],
        // The first page may be the one that differs.
        vec![(run(5_000, 8), 0), (run(4_000, 6), 0)],
        vec![(run(5_000, 6), 0), (run(4_000, 7), 0)],
        // An empty answer is no cap of zero.
        vec![(run(5_000, 10), 0), (run(4_000, 10), 0), (Vec::new(), 0)],
    ] {
        let mut told = after(bounds(10), &answers);
        assert_eq!(told.0.server.page_length, PageLength::Uneven, "{answers:?}");
        // Then the end is confirmed.
        assert_eq!(told.hears(&run(1_000, 3), at(1_000)), Next::Ask);
    }
}

#[test]
fn what_is_said_of_the_chat_s_times_is_kept_until_something_else_is_said() {
    let mut told = after(bounds(10), &[(run(5_000, 10), 1_000)]);
    for (keys, stated) in
        [(vec![], ChatTime::Empty), (run(4_900, 3), ChatTime::Empty), (vec![], ChatTime::Unknown)]
    {
        told.hears(&keys, stated);
        assert_eq!(told.0.server.start, at(1_000), "{stated:?}");
    }
    // A chat that shows messages is not empty, whatever it says.
    let mut told = Told::new(bounds(10));
    told.hears(&run(5_000, 10), ChatTime::Empty);
    assert_eq!(told.0.server.start, ChatTime::Unknown);
}

#[test]
fn a_chat_that_begins_at_until_itself_is_walked() {
    let until = Some(Timestamp::from_millis(5_000));
    let mut told = Told::new(Bounds { until, ..bounds(10) });
    // The message of that time may be behind those that are a millisecond newer.
    assert_eq!(told.hears(&group(5_001, "n", 10), at(5_000)), Next::Ask);
    let mut told = Told::new(Bounds { until, ..bounds(10) });
    assert_eq!(told.hears(&group(5_001, "n", 2), at(5_001)), REACHED_START);
}

#[test]
fn as_many_as_may_be_handed_out_ends_a_chat_that_has_more_on_the_same_page() {
    let mut told = Told::new(Bounds { max_messages: Some(5), ..bounds(10) });
    // The server gives more than the five that were asked for, down to the chat's first message.
    let verdict = told.verdict(&run(1_000, 8), at(1_000));
    assert_eq!(verdict.next, Next::End(End::ReachedMax));
    assert_eq!(verdict.kept, Kept::Only(vec![3, 4, 5, 6, 7]));
}

#[test]
fn a_longer_and_longer_answer_keeps_away_from_what_was_refused() {
    let mut told = Told::behind(bounds(10), &group(5_000, "m", 6));
    told.0.server.refused = Some((1_000, 400));
    assert_eq!(told.hears(&group(5_000, "m", 5), ChatTime::Unknown), Next::Ask);
    assert_eq!(told.hears(&group(5_000, "m", 5), ChatTime::Unknown), Next::Ask);
    assert!(matches!(told.goal(), Goal::Beyond(_)));
    assert_eq!(told.asks().limit, 20);
    told.0.server.refused = Some((25, 400));
    assert_eq!(told.hears(&group(5_000, "m", 6)[..5], at(1_000)), Next::Ask);
    // Half the way from 20 to 25.
    assert_eq!(told.asks().limit, 22);
}

#[test]
fn pages_grow_only_behind_full_ones() {
    let mut told = Told::new(Bounds { max_page_size: 70, ..bounds(10) });
    for (page, next_limit) in [(run(8_000, 10), 20), (run(7_000, 19), 20), (run(6_000, 20), 40)] {
        assert_eq!(told.hears(&page, ChatTime::Unknown), Next::Ask);
        assert_eq!(told.asks().limit, next_limit);
    }
}
