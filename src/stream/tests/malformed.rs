//! Messages that cannot be read are counted, and left out on request. The test of their trace events is with
//! the other trace tests (`tests/secrets.rs`).

use futures_core::FusedStream;
use futures_util::{Stream, StreamExt};

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::query::Messages;
use crate::timestamp::Timestamp;
use crate::transport::scripted::{Reply, Scripted};
use crate::walk::End;
use crate::walk::model::CHAT;

/// Three pages of three messages. A message without text is unreadable.
fn pages() -> Client {
    let body = |from: i64, texts: [&str; 3]| {
        let message = |(index, text): (usize, &&str)| {
            let time = from + index as i64;
            let text = if text.is_empty() { "[\"private\"]".into() } else { format!("{text:?}") };
            format!(r#"{{"_id":"m{time}","timestamp":{time},"text":{text}}}"#)
        };
        let messages: Vec<String> = texts.iter().enumerate().map(message).collect();
        Reply::body(format!(r#"{{"messages":[{}],"minTime":1,"maxTime":9}}"#, messages.join(",")))
    };
    let (client, _) = Scripted::new(move |ask, _| {
        match ask.cursor.as_ref().map(|cursor| cursor.timestamp.as_millis()) {
            Some(7) => body(4, ["", "", ""]),
            Some(4) => body(1, ["", "one", ""]),
            Some(1) => Reply::body(r#"{"messages":[],"minTime":1,"maxTime":9}"#),
            _ => body(7, ["two", "", "three"]),
        }
    });
    client
}

#[tokio::test]
async fn they_are_counted_whether_or_not_they_are_left_out() {
    let mut stream = pages().messages(CHAT).page_size(3).stream();
    let mut seen = Vec::new();
    while let Some(message) = stream.next().await {
        seen.push(message.map(|message| message.text.unwrap()).map_err(|error| {
            assert_eq!((error.kind(), error.path()), (ErrorKind::MalformedMessage, Some("text")));
            error.to_string().split_whitespace().find(|word| word.starts_with('m')).map(str::len)
        }));
        let stats = stream.stats();
        assert_eq!(stats.messages + stats.malformed, seen.len() as u64);
    }
    let readable: Vec<bool> = seen.iter().map(Result::is_ok).collect();
    assert_eq!(readable, [true, false, true, false, false, false, false, true, false]);
    assert_eq!((stream.stats().messages, stream.stats().malformed), (3, 6));
}

#[tokio::test]
async fn skipped_they_do_not_come_and_nothing_else_changes() {
    for prefetch in [0, 2] {
        let query = pages().messages(CHAT).page_size(3).prefetch(prefetch).skip_malformed();
        let mut stream = query.clone().stream();
        let mut texts = Vec::new();
        loop {
            let (lower, upper) = stream.size_hint();
            assert_eq!(lower, stream.in_hand());
            let ended = stream.is_terminated();
            let Some(message) = stream.next().await else { break };
            assert!(!ended && upper.is_none_or(|upper| upper > 0));
            texts.push(message.unwrap().text.unwrap());
        }
        assert_eq!(texts, ["three", "two", "one"]);
        assert_eq!((stream.stats().messages, stream.stats().malformed), (3, 6));
        assert_eq!((stream.end(), stream.in_hand()), (Some(End::ReachedStart), 0));
        // The checkpoint has passed the unreadable messages behind the last readable one.
        assert_eq!(stream.checkpoint().cursor().unwrap().id, "m1");

        let mut at_once = query.clone().stream();
        at_once.next().await.unwrap().unwrap();
        // One message of this page is left. With `prefetch`, the next pages wait: three unreadable messages,
        // then a readable one between two unreadable ones.
        assert_eq!(at_once.in_hand(), if prefetch == 0 { 1 } else { 2 });
        // An unreadable message counts towards `max_messages`.
        let count = query.max_messages(3).stream().count().await;
        assert_eq!(count, 2);
    }
}

#[tokio::test]
async fn pages_leave_them_out_and_count_them_too() {
    for prefetch in [0, 2] {
        let query = pages().messages(CHAT).page_size(3).prefetch(prefetch);
        let mut all = query.clone().pages();
        let (mut messages, mut malformed) = (Vec::new(), Vec::new());
        while let Some(page) = all.next().await {
            let page = page.unwrap();
            messages.push(page.messages.len());
            malformed.push(page.malformed.len());
        }
        assert_eq!((messages, malformed), (vec![2, 0, 1], vec![1, 3, 2]));
        assert_eq!((all.stats().messages, all.stats().malformed), (3, 6));

        let mut readable = query.skip_malformed().pages();
        let mut sizes = Vec::new();
        while let Some(page) = readable.next().await {
            let page = page.unwrap();
            assert!(page.malformed.is_empty());
            sizes.push(page.messages.len());
        }
        // A page of only unreadable messages is not handed out.
        assert_eq!(sizes, [2, 1]);
        assert_eq!((readable.stats().messages, readable.stats().malformed), (3, 6));
        assert_eq!(readable.checkpoint(), all.checkpoint());
    }
}

#[tokio::test]
async fn an_error_says_behind_which_message_its_page_stood() {
    let mut stream = pages().messages(CHAT).page_size(3).stream();
    let mut places = Vec::new();
    while let Some(message) = stream.next().await {
        if let Err(error) = message {
            assert_eq!(error.chat().unwrap(), CHAT);
            assert!(error.elapsed().is_some());
            let first = error.to_string().contains(", the first page: ");
            assert_eq!(first, error.cursor().is_none());
            places.push(error.cursor().map_or_else(String::new, |cursor| cursor.id.to_string()));
        }
    }
    assert_eq!(places, ["", "m7", "m7", "m7", "m4", "m4"]);
}

#[tokio::test]
async fn no_made_up_cursor_is_in_an_error() {
    let body = r#"{"messages":[{"_id":"b","timestamp":9}],"minTime":1,"maxTime":9}"#;
    // How many requests get the same answer before one fails. Some requests have a cursor that is made up: the
    // first of a walk, and one that confirms that nothing new follows.
    for answered in 0..4 {
        for until in [None, Some(Timestamp::from_millis(10))] {
            let (client, transport) = Scripted::new(move |_, number| match number {
                _ if number < answered => Reply::body(body),
                _ => Reply::Status(500, None),
            });
            let query = client.messages(CHAT).page_size(1);
            let query = until.into_iter().fold(query, Messages::until);
            let all: Vec<Result<_, Error>> = query.stream().collect().await;
            let errors: Vec<Error> = all.into_iter().filter_map(Result::err).collect();
            let [error] = &errors[..] else { panic!("{errors:?}") };
            if error.kind() == ErrorKind::Server {
                assert_eq!(transport.count(), answered + 1);
            }
            let behind = (answered > 0).then_some("b");
            assert_eq!(error.cursor().map(|cursor| cursor.id.as_str()), behind, "{error}");
            let told = format!("{error} {error:?}");
            for made_up in ["ffff", "zzzz", "9999-", "253402"] {
                assert!(!told.contains(made_up), "{told}");
            }
            assert_eq!(told.contains("the first page"), behind.is_none(), "{told}");
        }
    }
}

#[tokio::test]
async fn the_stream_ends_only_when_the_last_of_them_is_counted() {
    let messages =
        r#"{"_id":"m1","timestamp":1,"text":["private"]},{"_id":"m2","timestamp":2,"text":"two"}"#;
    let body = format!(r#"{{"messages":[{messages}],"minTime":1,"maxTime":2}}"#);
    let (client, _) = Scripted::new(move |_, _| Reply::body(body.clone()));
    let mut stream = client.messages(CHAT).skip_malformed().stream();
    while !stream.is_terminated() {
        let more = stream.next().await.is_some();
        assert_eq!(stream.end().is_some(), !more);
    }
    assert_eq!((stream.stats().messages, stream.stats().malformed), (1, 1));
    assert_eq!(stream.checkpoint().cursor().unwrap().id, "m1");
}
