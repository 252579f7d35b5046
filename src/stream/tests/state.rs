//! What a stream reports about itself, and what happens when it is left alone or dropped.

use std::time::Duration;

use futures_core::FusedStream;
use futures_util::{FutureExt, Stream, StreamExt};

use super::{all, drain, index_of};
use crate::checkpoint::Checkpoint;
use crate::error::ErrorKind;
use crate::query::Messages;
use crate::testing::rulebook::{CursorReading, Rules};
use crate::timestamp::Timestamp;
use crate::transport::scripted::{Reply, Scripted};
use crate::walk::End;
use crate::walk::model::{CHAT, Model};

const PAUSE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn it_says_how_far_it_is() {
    let (client, _) = Scripted::model(Model::documented(101));
    let mut stream = client.messages(CHAT).stream();
    assert_eq!((stream.progress(), stream.chat_span()), (None, None));
    assert_eq!(stream.size_hint(), (0, None));
    let mut last = 0.0;
    let mut count = 0;
    while let Some(message) = stream.next().await {
        message.unwrap();
        count += 1;
        let progress = stream.progress().unwrap();
        assert!((progress - (count - 1) as f64 / 100.0).abs() < 1e-9, "{count}: {progress}");
        assert!(progress >= last);
        last = progress;
        let ended = count == 101;
        assert_eq!((stream.is_terminated(), stream.end().is_some()), (ended, ended), "{count}");
        assert_eq!(stream.in_hand(), stream.size_hint().0);
    }
    let span = stream.chat_span().unwrap();
    assert_eq!((span.oldest.as_millis(), span.newest.as_millis()), (1_000, 2_000));
    assert_eq!((stream.progress(), stream.size_hint()), (Some(1.0), (0, Some(0))));
}

#[tokio::test]
async fn the_last_page_is_not_behind_before_it_is_handed_out() {
    let (client, _) = Scripted::model(Model::documented(11));
    let mut stream = client.messages(CHAT).stream();
    for handed_out in 1..=10 {
        stream.next().await.unwrap().unwrap();
        assert_eq!(stream.progress(), Some(f64::from(handed_out - 1) / 10.0));
    }
}

#[tokio::test]
async fn progress_is_that_of_the_range_being_walked() {
    let at = |index: i64| Timestamp::from_millis(1_000 + 10 * index);
    let (client, _) = Scripted::model(Model::documented(1_000));
    let mut stream = client.messages(CHAT).since(at(100)).until(at(200)).stream();
    stream.next().await.unwrap().unwrap();
    assert_eq!(stream.progress(), Some(0.0));
    let half: Vec<_> = stream.by_ref().take(50).collect().await;
    assert_eq!((half.len(), stream.progress()), (50, Some(0.5)));
}

#[tokio::test]
async fn a_range_of_one_moment_lies_behind_with_its_first_message() {
    let (client, _) = Scripted::new(move |_, _| {
        Reply::body(
            r#"{"messages":[{"_id":"a","timestamp":7},{"_id":"b","timestamp":7}],"minTime":7,"maxTime":7}"#,
        )
    });
    let mut stream = client.messages(CHAT).stream();
    stream.next().await.unwrap().unwrap();
    assert_eq!((stream.in_hand(), stream.progress()), (1, Some(1.0)));
}

#[tokio::test]
async fn an_empty_chat_has_no_span() {
    let (client, _) = Scripted::model(Model::documented(0));
    let mut stream = client.messages(CHAT).stream();
    assert!(stream.next().await.is_none());
    assert_eq!((stream.chat_span(), stream.end()), (None, Some(End::ReachedStart)));
    assert_eq!(stream.progress(), Some(1.0));
}

#[tokio::test]
async fn debug_shows_the_state_and_no_text() {
    let body = r#"{"messages":[{"_id":"a1","timestamp":7,"text":"private words"},
        {"_id":"b2","timestamp":8,"text":"private words","extra":"private words"}]}"#;
    let (client, _) = Scripted::new(move |_, _| Reply::body(body));
    let query = client.messages(CHAT);
    let mut stream = query.clone().stream();
    let mut pages = query.clone().pages();
    stream.next().await.unwrap().unwrap();
    let _ = pages.next().now_or_never();
    let shown = format!("{stream:?} {pages:?} {query:?} {client:?}");
    assert!(!shown.contains("private"), "{shown}");
    for told in ["in_hand: 1", CHAT, "requests: 1", "cursor"] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_one_error_and_no_request() {
    let (client, transport) = Scripted::model(Model::documented(10));
    let mut other = client.messages("another").stream();
    let of_another_chat: Checkpoint = other.checkpoint();
    let of_a_session = client.messages(CHAT).bot_session("s1").stream().checkpoint();
    let of_a_time = client.messages(CHAT).since(Timestamp::from_millis(5)).stream().checkpoint();
    assert!(!other.is_terminated());
    other.resume();

    let query = || client.messages(CHAT);
    let time = Timestamp::from_millis;
    let refused: Vec<(&str, Messages)> = vec![
        ("page size", query().page_size(0)),
        ("largest page size", query().page_size(50).max_page_size(20)),
        ("chat id", client.messages("")),
        ("chat id", client.messages("A/b")),
        ("chat id", client.messages("a".repeat(1_000))),
        ("session", query().bot_session("")),
        ("session", query().bot_session("x&y=z")),
        ("since", query().since(time(7)).until(time(6))),
        ("until", query().until(time(-1))),
        ("another chat", query().resume_from(of_another_chat)),
        ("another bot session", query().bot_session("s2").resume_from(of_a_session)),
        ("another since", query().since(time(6)).resume_from(of_a_time)),
    ];
    for (what, query) in refused {
        let mut stream = query.clone().stream();
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidRequest, 0), "{what}");
        assert!(error.to_string().contains(what), "{what}: {error}");
        assert!(stream.is_terminated());
        // Nothing could be asked again.
        stream.resume();
        assert!(stream.next().await.is_none(), "{what}");
        assert_eq!(stream.end(), Some(End::Failed));
        let mut pages = query.pages();
        assert!(pages.next().await.unwrap().is_err());
        assert!(pages.next().await.is_none());
    }
    assert_eq!(transport.count(), 0);
}

#[tokio::test]
async fn a_checkpoint_fills_in_the_bounds_that_are_unset() {
    let (client, transport) = Scripted::model(Model::documented(100));
    let since = Timestamp::from_millis(1_505);
    let mut stream = client.messages(CHAT).since(since).page_size(20).stream();
    let first: Vec<_> = stream.by_ref().take(30).map(|m| index_of(&m.unwrap())).collect().await;
    let checkpoint = stream.checkpoint();
    assert_eq!(checkpoint.since(), Some(since));
    assert_eq!(checkpoint.chat(), CHAT);
    assert_eq!(checkpoint.cursor().unwrap().timestamp.as_millis(), 1_700);

    let mut rest = client.messages(CHAT).resume_from(checkpoint).stream();
    assert_eq!(rest.checkpoint(), stream.checkpoint());
    let (second, _) = drain(&mut rest).await;
    assert_eq!([first, second].concat(), (51..100).rev().collect::<Vec<_>>());
    assert_eq!(rest.end(), Some(End::ReachedSince));
    assert_eq!(transport.limits(), [20, 20, 50]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_next_loses_nothing_and_sends_nothing_twice() {
    let model = Model::documented(30);
    let expected = all(&model);
    let (client, transport) = Scripted::new(move |ask, number| {
        let page = model.answer(ask, number as u64).unwrap();
        Reply::Late(PAUSE, Box::new(Reply::in_pieces(&model.body(&page), 40, PAUSE)))
    });
    let mut stream = client.messages(CHAT).page_size(10).stream();
    let (mut messages, mut dropped) = (Vec::new(), 0);
    loop {
        // The future is dropped at every await point: each poll makes a new one.
        match stream.next().now_or_never() {
            Some(Some(message)) => messages.push(index_of(&message.unwrap())),
            Some(None) => break,
            None => {
                dropped += 1;
                tokio::time::advance(PAUSE).await;
            }
        }
    }
    assert_eq!(messages, expected);
    assert_eq!(transport.count(), 4);
    assert!(dropped > 50, "{dropped}");
}

#[tokio::test]
async fn pages_are_the_same_walk_at_page_grain() {
    let (client, transport) = Scripted::model(Model::documented(25));
    let mut pages = client.messages(CHAT).page_size(10).pages();
    let mut sizes = Vec::new();
    let mut indices = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        sizes.push(page.messages.len());
        assert_eq!(page.chat_span.unwrap().oldest.as_millis(), 1_000);
        assert!(page.malformed.is_empty());
        indices.extend(page.messages.iter().map(index_of));
        let cursor = pages.checkpoint().cursor().cloned().unwrap();
        assert_eq!(cursor.id, page.messages.last().unwrap().id);
    }
    assert_eq!(sizes, [10, 10, 5]);
    assert_eq!(indices, (0..25).rev().collect::<Vec<_>>());
    assert_eq!((pages.end(), transport.count()), (Some(End::ReachedStart), 3));
    assert_eq!((pages.stats().messages, pages.stats().requests), (25, 3));
    assert!(pages.is_terminated());
}

#[tokio::test]
async fn progress_never_falls_when_the_ends_of_the_chat_move() {
    let page = |id: &str, time: i64, rest: &str| {
        format!(r#"{{"messages":[{{"_id":"{id}","timestamp":{time}}}]{rest}}}"#)
    };
    let (client, _) = Scripted::new(move |_, number| {
        Reply::body(match number {
            0 => page("c", 50, r#","minTime":0,"maxTime":100"#),
            // The newest message was deleted, then an older one turned up.
            1 => page("b", 49, r#","minTime":0,"maxTime":60"#),
            2 => page("a", 48, r#","minTime":-1000,"maxTime":60"#),
            _ => r#"{"messages":[],"minTime":0,"maxTime":60}"#.to_owned(),
        })
    });
    let mut stream = client.messages(CHAT).page_size(1).stream();
    let mut last = 0.0;
    while let Some(message) = stream.next().await {
        message.unwrap();
        let progress = stream.progress().unwrap();
        assert!(progress >= 0.5 && progress >= last, "{progress} after {last}");
        last = progress;
    }
    assert_eq!(stream.progress(), Some(1.0));
}

#[tokio::test]
async fn a_page_that_says_nothing_of_the_chat_keeps_its_span_and_an_empty_chat_has_none() {
    let (client, _) = Scripted::new(|_, number| {
        Reply::body(match number {
            0 => r#"{"messages":[{"_id":"b","timestamp":9}],"minTime":1,"maxTime":9}"#,
            1 => r#"{"messages":[{"_id":"a","timestamp":1}]}"#,
            _ => r#"{"messages":[],"minTime":false,"maxTime":false}"#,
        })
    });
    let mut pages = client.messages(CHAT).page_size(1).pages();
    let first = pages.next().await.unwrap().unwrap().chat_span;
    assert_eq!(first.unwrap().newest.as_millis(), 9);
    assert_eq!(pages.next().await.unwrap().unwrap().chat_span, first);
    let mut stream = client.messages(CHAT).stream();
    assert!(stream.next().await.is_none());
    assert_eq!(stream.chat_span(), None);
}

#[tokio::test]
async fn a_refused_query_keeps_its_checkpoint() {
    let (client, transport) = Scripted::model(Model::documented(100));
    let mut stream = client.messages(CHAT).stream();
    let _: Vec<_> = stream.by_ref().take(30).collect().await;
    let saved = stream.checkpoint();
    for query in [
        client.messages(CHAT).page_size(0),
        client.messages("another"),
        client.messages(CHAT).bot_session("s1"),
        client.messages(CHAT).since(Timestamp::from_millis(9)).until(Timestamp::from_millis(8)),
    ] {
        let mut refused = query.resume_from(saved.clone()).stream();
        assert_eq!(refused.checkpoint(), saved);
        assert_eq!(refused.next().await.unwrap().unwrap_err().kind(), ErrorKind::InvalidRequest);
        assert_eq!(refused.checkpoint(), saved);
    }
    assert_eq!(transport.count(), 1);
}

#[tokio::test]
async fn until_keeps_what_stands_at_that_very_time_whatever_its_id() {
    for cursor_reading in [CursorReading::ExcludesOneId, CursorReading::StrictKeyset] {
        let mut model = Model::with(Rules { cursor_reading, ..Rules::default() }, 10);
        model.messages[6].id = "zz".into();
        let until = Timestamp::from_millis(model.messages[6].time);
        let (client, transport) = Scripted::model(model);
        let (messages, errors) = drain(&mut client.messages(CHAT).until(until).stream()).await;
        assert_eq!((messages, errors.len()), ((0..7).rev().collect(), 0));
        assert_eq!(transport.count(), 1);
    }
}
