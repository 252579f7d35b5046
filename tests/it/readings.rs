//! Servers that read the reference in a way of their own, over HTTP: every message once, and no end in silence.

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt;
use texter_history::testing::{
    CursorReading, FakeChat, FakeMessage, FakeTexter, FakeTexterBuilder, LimitReading, MinTime,
};
use texter_history::{End, Error, ErrorKind, MessageStream, Messages, Timestamp};

use super::{CHAT, client_of};

fn serving(messages: impl IntoIterator<Item = FakeMessage>) -> FakeTexterBuilder {
    FakeTexter::builder().chat(FakeChat::new(CHAT).messages(messages))
}

fn message(millis: i64, index: usize) -> FakeMessage {
    FakeMessage::text(Timestamp::from_millis(millis), format!("m{index:05}"), "x")
}

/// So many messages, ten seconds apart.
fn plain(count: usize) -> Vec<FakeMessage> {
    (0..count).map(|index| message(1_000_000 + 10_000 * index as i64, index)).collect()
}

/// The same, but those of `tied` share one timestamp.
fn tied(count: usize, tied: std::ops::Range<usize>) -> Vec<FakeMessage> {
    let time = |index| if tied.contains(&index) { tied.start } else { index };
    (0..count).map(|index| message(1_000_000 + 10_000 * time(index) as i64, index)).collect()
}

/// What a walk to its end came to.
struct Outcome {
    ids: Vec<String>,
    end: Option<End>,
    error: Option<Error>,
}

async fn read(query: Messages) -> Outcome {
    let mut stream: MessageStream = query.stream();
    let (mut ids, mut failure) = (Vec::new(), None);
    while let Some(item) = stream.next().await {
        match item {
            Ok(message) => ids.push(message.id.to_string()),
            Err(error) => failure = Some(error),
        }
    }
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "a message came twice");
    Outcome { ids, end: stream.end(), error: failure }
}

/// Asserts that all came to the end, and says how many requests that took.
async fn reads_all(server: FakeTexterBuilder, page_size: u32, count: usize) -> u64 {
    let server = server.start().await.unwrap();
    let client = client_of(&server).build().unwrap();
    let outcome = read(client.messages(CHAT).page_size(page_size)).await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!((outcome.ids.len(), outcome.end), (count, Some(End::ReachedStart)));
    assert!(outcome.ids.is_sorted_by(|newer, older| newer > older));
    server.request_count()
}

#[tokio::test]
async fn one_message_less_than_asked() {
    let server = serving(tied(160, 100..150)).limit_reading(LimitReading::OneShort);
    assert!(reads_all(server, 50, 160).await <= 8);
}

#[tokio::test]
async fn the_cursor_counted_to_limit() {
    let server = serving(tied(160, 100..150)).cursor_reading(CursorReading::CountsTheCursor);
    assert!(reads_all(server, 50, 160).await <= 8);
}

#[tokio::test]
async fn hidden_messages() {
    let hide = |hidden: fn(usize) -> bool| {
        let one = move |(index, message): (usize, FakeMessage)| {
            if hidden(index) { message.hidden() } else { message }
        };
        serving(plain(500).into_iter().enumerate().map(one))
    };
    assert!(reads_all(hide(|index| (200..250).contains(&index)), 50, 450).await <= 13);
    reads_all(hide(|index| index % 2 == 1), 10, 250).await;
    reads_all(hide(|index| index % 20 >= 10), 10, 250).await;
}

#[tokio::test]
async fn an_empty_answer_though_the_chat_goes_on() {
    for number in [0, 4] {
        assert_eq!(reads_all(serving(plain(500)).empty_answer(number), 50, 500).await, 12);
    }
}

#[tokio::test]
async fn a_chat_that_is_called_empty() {
    let server = serving(plain(500)).min_time(MinTime::False);
    // ⌈500 / 50⌉, one that finds nothing, one that confirms it.
    assert_eq!(reads_all(server, 50, 500).await, 12);
}

#[tokio::test]
async fn a_min_time_that_is_stale_or_before_1970() {
    for millis in [999_000, 1, -4] {
        let server = serving(plain(120)).min_time(MinTime::Fixed(millis)).start().await.unwrap();
        let client = client_of(&server).build().unwrap();
        let outcome = read(client.messages(CHAT)).await;
        assert_eq!((outcome.ids.len(), outcome.end), (120, Some(End::ReachedStart)), "{millis}");
        // One that could not be read would have no `before`.
        assert!(server.requests().iter().all(|request| request.before.as_ref().unwrap().0 >= 0));
    }
}

#[tokio::test]
async fn messages_dated_after_the_first_request() {
    for first in [1_757_056_145_969_000, 253_402_300_799_000] {
        let messages = (0..130).map(|index| message(first + 10_000 * index as i64, index));
        assert_eq!(reads_all(serving(messages), 50, 130).await, 4);
    }
}

#[tokio::test]
async fn a_chat_that_is_cleared_during_the_walk() {
    let server = serving(plain(200)).start().await.unwrap();
    let client = client_of(&server).build().unwrap();
    let mut stream = client.messages(CHAT).stream();
    for _ in 0..70 {
        stream.next().await.unwrap().unwrap();
    }
    for message in plain(200) {
        server.remove_message(CHAT, message.id());
    }
    let mut rest = 0;
    while let Some(item) = stream.next().await {
        item.unwrap();
        rest += 1;
    }
    assert_eq!((rest, stream.end()), (30, Some(End::ReachedStart)));
}

#[tokio::test]
async fn a_limit_that_is_refused() {
    for status in [400, 413, 422] {
        let refuses = LimitReading::Refused { above: 100, status };
        let cases = [(plain(2_000), 2_000), (tied(300, 100..170), 300), (tied(300, 100..198), 300)];
        for (messages, count) in cases {
            let server = serving(messages).limit_reading(refuses).start().await.unwrap();
            let client = client_of(&server).build().unwrap();
            let outcome = read(client.messages(CHAT).page_size(50).max_page_size(1_000)).await;
            assert!(outcome.error.is_none(), "{status}: {:?}", outcome.error);
            assert_eq!((outcome.ids.len(), outcome.end), (count, Some(End::ReachedStart)));
        }
    }
}

/// Begins again before where a walk stalled, as its error advises.
async fn stalls_and_skips_nothing_but_that_time(server: FakeTexterBuilder, says: &[&str]) {
    let tied = 100..230;
    let server = server.start().await.unwrap();
    let client = client_of(&server).build().unwrap();
    let Outcome { ids, end, error } = read(client.messages(CHAT).page_size(50)).await;
    let error = error.unwrap();
    assert_eq!((error.kind(), end), (ErrorKind::Stalled, Some(End::Failed)));
    for words in says {
        assert!(error.to_string().contains(words), "{error}");
    }
    // Where the walk stopped: at the group's own time.
    let stopped = error.cursor().unwrap().timestamp;
    assert_eq!(stopped, message(1_000_000 + 10_000 * 100, 0).timestamp());
    let before = Timestamp::from_millis(stopped.as_millis() - 1);
    let older = read(client.messages(CHAT).until(before)).await;
    assert_eq!((older.ids.len(), older.end), (tied.start, Some(End::ReachedStart)));
    let read: HashSet<String> = ids.into_iter().chain(older.ids).collect();
    let skipped = (0..47_000).filter(|index| !read.contains(&format!("m{index:05}")));
    assert!(skipped.into_iter().all(|index| tied.contains(&index)));
}

#[tokio::test]
async fn more_ties_than_the_server_shows_are_stalled_where_the_walk_stands() {
    let refuses = LimitReading::Refused { above: 100, status: 400 };
    stalls_and_skips_nothing_but_that_time(
        serving(tied(47_000, 100..230)).limit_reading(refuses),
        &["refused a limit of 10", "with 400", "until()"],
    )
    .await;
    stalls_and_skips_nothing_but_that_time(
        serving(tied(47_000, 100..230)).limit_reading(LimitReading::Capped(100)),
        &["share one timestamp", "until()"],
    )
    .await;
}

#[tokio::test]
async fn oldest_first_the_advice_skips_nothing_but_that_time_either() {
    for reading in [LimitReading::Refused { above: 100, status: 400 }, LimitReading::Capped(100)] {
        let server = serving(tied(5_000, 1_000..1_130)).limit_reading(reading);
        let server = server.start().await.unwrap();
        let client = client_of(&server).build().unwrap();
        let query = || client.messages(CHAT).oldest_first();
        let Outcome { ids, error, .. } = read(query()).await;
        let error = error.unwrap();
        assert!(error.to_string().contains("since()"), "{error}");
        let stopped = error.cursor().unwrap().timestamp;
        let millisecond = Duration::from_millis(1);
        let older = read(query().until(stopped - millisecond)).await;
        let newer = read(query().since(stopped + millisecond)).await;
        assert!(older.error.is_none() && newer.error.is_none());
        assert_eq!((older.ids.len(), newer.ids.len()), (1_000, 3_870));
        assert!(ids.len() <= 1_000, "nothing behind the group goes out early");
    }
}
