//! Servers that mean harm: a clear end within a bounded number of requests, no panic, no message twice.

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt;
use texter_history::testing::{FakeTexter, Fault, RecordedRequest};
use texter_history::{End, ErrorKind};

use super::{CHAT, at_once, client_of};

/// What a walk against a server came to.
struct Outcome {
    messages: usize,
    malformed: usize,
    failure: Option<ErrorKind>,
    end: Option<End>,
    requests: u64,
}

async fn walk(answer: impl FnMut(&RecordedRequest, u64) -> Fault + Send + 'static) -> Outcome {
    let mut answer = answer;
    let server =
        FakeTexter::builder().faults(move |r, n| Some(answer(r, n))).start().await.unwrap();
    let client = client_of(&server)
        .retry(at_once().max_attempts(2))
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    let mut stream = client.messages(CHAT).page_size(20).stream();
    let (mut ids, mut malformed, mut failure) = (Vec::new(), 0, None);
    while let Some(item) = stream.next().await {
        match item {
            Ok(message) => ids.push(message.id),
            Err(error) if error.kind() == ErrorKind::MalformedMessage => malformed += 1,
            Err(error) => failure = Some(error.kind()),
        }
        assert!(server.request_count() < 200, "no end");
    }
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "a message came twice");
    Outcome {
        messages: ids.len(),
        malformed,
        failure,
        end: stream.end(),
        requests: server.request_count(),
    }
}

fn message(id: &str, timestamp: &str) -> String {
    format!(r#"{{"_id":"{id}","timestamp":{timestamp},"text":"x"}}"#)
}

fn page(messages: &[String], rest: &str) -> Fault {
    Fault::body(format!(r#"{{"messages":[{}]{rest}}}"#, messages.join(",")))
}

#[tokio::test]
async fn the_same_page_for_ever() {
    let same: Vec<String> = (100..120).map(|n| message(&format!("m{n}"), &n.to_string())).collect();
    let outcome = walk(move |_, _| page(&same, r#","minTime":1,"maxTime":999"#)).await;
    assert_eq!((outcome.messages, outcome.failure), (20, Some(ErrorKind::Stalled)));
    assert!(outcome.requests <= 5, "{}", outcome.requests);
}

#[tokio::test]
async fn two_pages_in_turn() {
    let outcome = walk(move |_, number| {
        let from = if number % 2 == 0 { 500 } else { 100 };
        let messages: Vec<String> =
            (from..from + 20).map(|n| message(&format!("m{n}"), &n.to_string())).collect();
        page(&messages, r#","minTime":1,"maxTime":999"#)
    })
    .await;
    assert_eq!((outcome.messages, outcome.failure), (40, Some(ErrorKind::Stalled)));
    assert!(outcome.requests < 20, "{}", outcome.requests);
}

#[tokio::test]
async fn ever_new_ids_at_one_time() {
    let mut made = 0;
    let outcome = walk(move |_, _| {
        let messages: Vec<String> = (0..1_000)
            .map(|_| {
                made += 1;
                message(&format!("m{made}"), "500")
            })
            .collect();
        page(&messages, r#","minTime":1,"maxTime":999"#)
    })
    .await;
    assert_eq!((outcome.messages, outcome.failure), (66_000, Some(ErrorKind::Stalled)));
    assert_eq!(outcome.requests, 66);
}

#[tokio::test]
async fn more_messages_than_asked_for_and_unsorted() {
    let messages: Vec<String> =
        (0..500).map(|n| message(&format!("m{n}"), &((n * 7919) % 500).to_string())).collect();
    let outcome = walk(move |_, number| {
        page(if number == 0 { &messages } else { &[] }, r#","minTime":0,"maxTime":999"#)
    })
    .await;
    assert_eq!((outcome.messages, outcome.failure), (500, None));
}

#[tokio::test]
async fn times_and_ids_out_of_this_world() {
    let messages = vec![
        message("zero", "0"),
        message("last", "9223372036854775807"),
        message("a1", "-1"),
        message("a2", "1.5"),
        message("a3", "\"1757055477000\""),
        message("a4", "1e400"),
        message("a5", "99999999999999999999999"),
        message(&"a".repeat(1 << 20), "5"),
        message("", "5"),
        message("../../x", "5"),
        format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
    ];
    let outcome = walk(move |_, number| {
        page(if number == 0 { &messages } else { &[] }, r#","minTime":0,"maxTime":999"#)
    })
    .await;
    // However far in the future it claims to be, a message is handed out.
    assert_eq!((outcome.messages, outcome.malformed, outcome.failure), (2, 9, None));
    assert_eq!(outcome.end, Some(End::ReachedStart));
}

#[tokio::test]
async fn a_chat_that_begins_in_the_future() {
    for rest in [
        r#","minTime":9000000000000000000,"maxTime":1"#,
        r#","minTime":999,"maxTime":-5"#,
        r#","minTime":-9223372036854775808"#,
    ] {
        let outcome = walk(move |request, _| {
            let before = request.before.as_ref().map_or(0, |(time, _)| *time);
            let newest = before.min(100);
            let messages: Vec<String> = (newest - 20..newest)
                .filter(|n| *n >= 0)
                .map(|n| message(&format!("m{n}"), &n.to_string()))
                .collect();
            page(&messages, rest)
        })
        .await;
        assert_eq!((outcome.messages, outcome.failure), (100, None), "{rest}");
        assert!(outcome.requests <= 8);
    }
}

#[tokio::test]
async fn statuses_that_are_no_answer() {
    for (status, kind) in [
        (100, ErrorKind::Transport),
        (199, ErrorKind::Transport),
        (204, ErrorKind::Status),
        (206, ErrorKind::Status),
        (301, ErrorKind::Status),
        (307, ErrorKind::Status),
        (418, ErrorKind::Status),
        (599, ErrorKind::Server),
    ] {
        let outcome = walk(move |_, _| {
            let head =
                format!("HTTP/1.1 {status} Odd\r\ncontent-length: 0\r\nlocation: /x\r\n\r\n");
            Fault::RawBytes(head.into_bytes().into())
        })
        .await;
        assert_eq!((outcome.messages, outcome.failure), (0, Some(kind)), "{status}");
        assert_eq!(outcome.end, Some(End::Failed));
        assert!(outcome.requests <= 2);
    }
}

#[tokio::test]
async fn headers_of_a_megabyte_and_bytes_of_no_meaning() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    for bytes in [
        long.into_bytes(),
        b"\0\0\0".to_vec(),
        b"HTTP/1.1 200 OK\r\ncontent-length: -7\r\n\r\n{}".to_vec(),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}".to_vec(),
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nxyz".to_vec(),
        Vec::new(),
    ] {
        let outcome = walk(move |_, _| Fault::RawBytes(bytes.clone().into())).await;
        assert_eq!(outcome.messages, 0);
        let kind = outcome.failure.unwrap();
        assert!(matches!(kind, ErrorKind::Transport | ErrorKind::MalformedPage), "{kind:?}");
        assert!(outcome.requests <= 2);
    }
}
