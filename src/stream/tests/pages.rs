//! The stream's methods, for whole pages.

use futures_core::FusedStream;
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use tokio_test::{assert_ready, task};

use crate::timestamp::Timestamp;
use crate::transport::scripted::{Reply, Scripted};
use crate::walk::model::{CHAT, Model};

#[derive(Debug, Deserialize)]
struct When {
    timestamp: Timestamp,
}

#[tokio::test]
async fn pages_of_the_caller_s_own_type_say_how_far_they_are() {
    let (client, _) = Scripted::model(Model::documented(101));
    let mut pages = client.messages(CHAT).page_size(50).pages_as::<When>();
    assert_eq!((pages.progress(), pages.chat_span(), pages.in_hand()), (None, None, 0));
    let mut told = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert!(page.messages.is_sorted_by(|newer, older| newer.timestamp > older.timestamp));
        assert_eq!(pages.chat_span(), page.chat_span);
        told.push((page.messages.len(), pages.progress().unwrap()));
    }
    let near = |told: f64, expected: f64| (told - expected).abs() < 1e-9;
    let [(50, first), (50, second), (1, third)] = told[..] else { panic!("{told:?}") };
    assert!(near(first, 0.49) && near(second, 0.99) && near(third, 1.0), "{told:?}");
    assert_eq!((pages.progress(), pages.in_hand()), (Some(1.0), 0));
    assert_eq!(pages.chat_span().unwrap().oldest.as_millis(), 1_000);
}

#[tokio::test]
async fn what_waits_is_in_hand() {
    let (client, transport) = Scripted::model(Model::documented(60));
    let mut pages = task::spawn(client.messages(CHAT).page_size(20).prefetch(2).pages());
    assert_eq!(pages.size_hint(), (0, None));
    assert_ready!(pages.poll_next()).unwrap().unwrap();
    assert_eq!((pages.in_hand(), pages.size_hint().0, transport.count()), (40, 2, 3));
    assert!(!pages.is_terminated());
    assert_ready!(pages.poll_next()).unwrap().unwrap();
    assert_ready!(pages.poll_next()).unwrap().unwrap();
    assert!(assert_ready!(pages.poll_next()).is_none());
    assert_eq!((pages.in_hand(), pages.size_hint()), (0, (0, Some(0))));
}

#[tokio::test]
async fn progress_does_not_fall_and_a_failure_is_not_the_end() {
    let page = |id: &str, time: i64, rest: &str| {
        format!(r#"{{"messages":[{{"_id":"{id}","timestamp":{time}}}]{rest}}}"#)
    };
    let (client, _) = Scripted::new(move |_, number| match number {
        0 => Reply::body(page("c", 50, r#","minTime":0,"maxTime":100"#)),
        // An older message turned up.
        1 => Reply::body(page("b", 49, r#","minTime":-1000,"maxTime":60"#)),
        _ => Reply::Status(503, None),
    });
    let mut pages = client.messages(CHAT).page_size(1).pages();
    pages.next().await.unwrap().unwrap();
    assert_eq!(pages.progress(), Some(0.5));
    pages.next().await.unwrap().unwrap();
    assert_eq!(pages.progress(), Some(0.5));
    let error = pages.next().await.unwrap().unwrap_err();
    assert_eq!((error.chat().unwrap().as_str(), error.cursor().unwrap().id.as_str()), (CHAT, "b"));
    assert_eq!(pages.progress(), Some(0.5));
    assert!(pages.is_terminated());
}
