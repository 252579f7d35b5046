//! A window that fails, a request that is refused or dropped.

use super::{Chat, Plan, SyncPosition, oldest_first, settings};
use crate::plan::Start;
use crate::position::Position;
use crate::walk::Ask;
use crate::window::WindowId;

/// Sends all requests that may be sent.
fn send(plan: &mut Plan<String>, under_way: &mut Vec<(WindowId, Ask)>) {
    while let Some(request) = plan.ask() {
        under_way.push(request);
    }
}

#[test]
fn what_stands_before_a_failure_goes_out_and_nothing_behind_it() {
    for newest_first in [true, false] {
        let mut chat = Chat::regular(3_000);
        let start = if newest_first {
            Start::NewestFirst(Position::default())
        } else {
            oldest_first(SyncPosition::default())
        };
        let mut expected: Vec<_> = chat.messages.iter().map(|(_, id)| id.clone()).collect();
        if newest_first {
            expected.reverse();
        }
        let mut plan = Plan::new(settings(50, 8), start);
        let (mut under_way, mut handed_out, mut failures) = (Vec::new(), Vec::new(), 0);
        for number in 0.. {
            while let Some(chunk) = plan.take() {
                handed_out.extend(chunk.messages.into_iter().rev());
            }
            assert_eq!(handed_out, expected[..handed_out.len()]);
            if plan.failure().is_some() && under_way.is_empty() {
                failures += 1;
                assert!(plan.take().is_none() && plan.end().is_none());
                plan.resume();
            }
            if plan.end().is_some() {
                break;
            }
            send(&mut plan, &mut under_way);
            assert!(!under_way.is_empty() || plan.failure().is_some());
            if under_way.is_empty() {
                continue;
            }
            // Takes any of them, because answers come in any order.
            let (id, ask) = under_way.swap_remove(number * 7 % under_way.len());
            if number % 5 == 4 {
                plan.failed(id, &ask, None);
            } else {
                let page = chat.answer(&ask);
                plan.receive(id, &ask, page);
            }
        }
        assert_eq!(handed_out, expected);
        assert!(failures > 3, "{failures}");
        assert!(chat.requests < 110, "{}", chat.requests);
    }
}

#[test]
fn nothing_is_asked_behind_a_failure() {
    let mut chat = Chat::regular(3_000);
    let mut plan = Plan::new(settings(50, 4), Start::NewestFirst(Position::default()));
    let (id, ask) = plan.ask().unwrap();
    plan.receive(id, &ask, chat.answer(&ask));
    let mut under_way = Vec::new();
    send(&mut plan, &mut under_way);
    assert_eq!(under_way.len(), 2);
    plan.failed(under_way[0].0, &under_way[0].1, None);
    assert_eq!(plan.ask(), None);
    // The answer for a window behind the failed one is kept, and goes out in its turn.
    let (id, ask) = under_way.pop().unwrap();
    plan.receive(id, &ask, chat.answer(&ask));
    assert_eq!(plan.take().unwrap().messages.len(), 50);
    assert!(plan.take().is_none());
    assert_eq!(plan.failure(), Some(under_way[0].0));
    plan.resume();
    assert_eq!(plan.failure(), None);
    assert_eq!(plan.ask(), Some(under_way.remove(0)));
}

#[test]
fn a_request_that_was_dropped_is_given_again() {
    let mut plan: Plan<String> = Plan::new(settings(50, 1), oldest_first(SyncPosition::default()));
    let (id, ask) = plan.ask().unwrap();
    plan.abandon(id);
    assert_eq!(plan.under_way(), 0);
    assert_eq!(plan.ask(), Some((id, ask)));
}

#[test]
fn an_answer_to_a_window_that_is_no_more_is_left_alone() {
    let mut chat = Chat::regular(100);
    let mut plan = Plan::new(settings(50, 1), Start::NewestFirst(Position::default()));
    let (id, ask) = plan.ask().unwrap();
    let page = chat.answer(&ask);
    let unknown = WindowId(77);
    assert_eq!(plan.receive(unknown, &ask, page).duplicates, 0);
    assert_eq!((plan.held(), plan.under_way()), (0, 1));
    assert_eq!(plan.failed(unknown, &ask, Some(413)), None);
    assert_eq!(plan.failure(), None);
    plan.failed(id, &ask, None);
    assert_eq!(plan.failure(), Some(id));
}
