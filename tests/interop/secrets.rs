//! The token and the words of people are in nothing that is shown. A test binary of its own, because what
//! is traced is a matter of the whole process.

#![allow(clippy::unwrap_used)] // A helper that cannot go on fails its test.

use std::error::Error as StdError;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt, future};
use texter_history::testing::{FakeChat, FakeMessage, FakeTexter, Fault};
use texter_history::{Client, RetryPolicy, Timestamp};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

const CHAT: &str = "67bf11038b24880cc966f799";
const TOKEN: &str = "s3cret-token-of-the-inbox";
const WORDS: &str = "words-of-people";

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn chain(error: &dyn StdError) -> String {
    let mut shown = format!("{error} {error:?} {error:#?}");
    if let Some(source) = error.source() {
        shown.push_str(&chain(source));
    }
    shown
}

#[test]
fn nothing_that_is_shown_holds_a_secret() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .finish();
    let shown = tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(walk_through_every_fault())
    });
    let trace = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    for (what, text) in [("shown", &shown), ("traced", &trace)] {
        assert!(!text.contains(TOKEN), "the token is {what}");
        assert!(!text.contains("s3cret"), "a part of the token is {what}");
        assert!(!text.contains(WORDS), "the words are {what}: {text}");
    }
    // The capture is one: the spans and events of every page are there, and of the layers below.
    let told = [
        "page{chat=\"67bf11038b24880cc966f799\"",
        "before_time=",
        "before_id=",
        "limit=50",
        "attempt=2",
        "status=503",
        "messages=",
        "bytes=",
        "elapsed_ms=",
        "the page is asked for again",
        "a message is left out path=\"text\"",
        "a message is left out path=\"_id\"",
        "message odd cannot be read",
        "hyper",
    ];
    for part in told {
        assert!(trace.contains(part), "{part} is not traced");
    }
    // Two by each of two streams; where they are handed out, nobody need be told.
    assert_eq!(trace.matches("a message is left out").count(), 4);
}

async fn walk_through_every_fault() -> String {
    let message =
        |n: i64| FakeMessage::text(Timestamp::from_millis(n * 1_000), format!("m{n}"), WORDS);
    let mut messages: Vec<FakeMessage> = (0..200).map(message).collect();
    let odd = format!(r#"{{"_id":"odd","timestamp":90500,"text":["{WORDS}"]}}"#);
    messages.push(FakeMessage::placed(Timestamp::from_millis(90_500), "odd", odd));
    let lost = format!(r#"{{"_id":"{WORDS}","timestamp":"{WORDS}"}}"#);
    messages.push(FakeMessage::placed(Timestamp::from_millis(91_500), "lost", lost));
    let server = FakeTexter::builder()
        .token(TOKEN)
        .chat(FakeChat::new(CHAT).messages(messages))
        .start()
        .await
        .unwrap();
    let retry = RetryPolicy::default().base_delay(Duration::ZERO).max_attempts(2);
    let builder = Client::builder()
        .base_url(server.base_url())
        .token(TOKEN)
        .timeout(Duration::from_millis(200))
        .retry(retry);
    let mut shown = format!("{builder:?}");
    let client = builder.build().unwrap();
    shown += &format!("{client:?} {:?}", client.messages(CHAT));

    let words = |status| Fault::Answer { status, headers: vec![], body: WORDS.into() };
    let faults = [
        Fault::status(503),
        Fault::Close,
        Fault::Close,
        Fault::CutBody { after: 300 },
        words(403),
        Fault::Hang { after: 200 },
        Fault::Hang { after: 0 },
        words(200),
        words(302),
        Fault::garbage(),
        Fault::body(format!(r#"{{"messages":"{WORDS}"}}"#)),
        Fault::body(format!(r#"{{"messages":["{WORDS}"#)),
        Fault::body(format!(r#"{{"messages":[],"minTime":"{WORDS}"}}"#)),
        Fault::RawBytes(WORDS.as_bytes().into()),
        Fault::RawBytes(WORDS.as_bytes().into()),
    ];
    for fault in faults {
        server.push_fault(fault);
    }
    let mut stream = client.messages(CHAT).stream();
    let mut messages = 0;
    loop {
        match stream.next().await {
            Some(Ok(_)) => messages += 1,
            Some(Err(error)) => {
                shown += &chain(&error);
                shown += &format!("{:?} {:?} {:?}", error.path(), error.chat(), error.cursor());
                shown += &format!("{stream:?} {}", stream.checkpoint());
                stream.resume();
            }
            None => break,
        }
    }
    assert_eq!(messages, 200);
    let skipping = client.messages(CHAT).skip_malformed();
    assert_eq!(
        skipping.clone().stream().filter(|read| future::ready(read.is_ok())).count().await,
        200
    );
    assert!(skipping.pages().all(|page| future::ready(page.is_ok())).await);
    let wrong = Client::builder().base_url(server.base_url()).token("wrong").build().unwrap();
    let error = wrong.messages(CHAT).stream().next().await.unwrap().unwrap_err();
    shown + &chain(&error)
}
