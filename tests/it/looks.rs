//! What a look for new messages costs, and when a stream that follows a chat ends.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use texter_history::testing::{FakeChat, FakeMessage, FakeTexter, Fault};
use texter_history::{Checkpoint, Client, End, Message, MessageStream, RetryPolicy, Timestamp};
use tokio::time::timeout;

use super::{CHAT, client_of};

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(5);
const HOUR: Duration = Duration::from_secs(3_600);

/// A chat of messages a minute apart, years ago.
async fn old_chat(count: i64) -> FakeTexter {
    let messages = (0..count).map(|n| text(1_500_000_000_000 + 60_000 * n, &format!("old{n:04}")));
    FakeTexter::builder().chat(FakeChat::new(CHAT).messages(messages)).start().await.unwrap()
}

fn text(millis: i64, id: &str) -> FakeMessage {
    FakeMessage::text(Timestamp::from_millis(millis), id, id)
}

/// More messages than a sync's first request asks for, a millisecond apart. The last is dated so.
fn add_many(server: &FakeTexter, last: Timestamp) -> usize {
    const MANY: i64 = 600;
    for n in 0..MANY {
        server.add_message(CHAT, text(last.as_millis() - MANY + 1 + n, &format!("new{n:04}")));
    }
    MANY as usize
}

/// Waits until the clock shows a later time.
async fn after(time: Timestamp) {
    while Timestamp::now() <= time {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn taken(stream: &mut MessageStream) -> usize {
    let messages: Vec<Message> =
        timeout(LONG, stream.by_ref().try_collect()).await.unwrap().unwrap();
    messages.len()
}

/// What a sync finds, what it costs, and where it stands.
async fn sync(client: &Client, from: Checkpoint) -> (usize, u64, Checkpoint) {
    let mut stream = client.messages(CHAT).resume_from(from).stream();
    let found = taken(&mut stream).await;
    (found, stream.stats().requests, stream.checkpoint())
}

#[tokio::test]
async fn a_look_begins_with_its_first_request_and_not_when_the_stream_is_made() {
    let server = old_chat(30).await;
    let client = client_of(&server).build().unwrap();
    let mut stream = client.messages(CHAT).oldest_first().stream();
    let made = Timestamp::now();
    after(made + Duration::from_millis(700)).await;
    let many = add_many(&server, Timestamp::now());
    assert_eq!(taken(&mut stream).await, 30 + many);
    assert_eq!(sync(&client, stream.checkpoint()).await.1, 1);
}

#[tokio::test]
async fn a_look_that_failed_begins_anew_with_the_request_that_goes_on() {
    let server = old_chat(30).await;
    let client = client_of(&server).retry(RetryPolicy::none()).build().unwrap();
    let mut stream = client.messages(CHAT).follow(SHORT).stream();
    for _ in 0..30 {
        stream.next().await.unwrap().unwrap();
    }
    server.push_fault(Fault::status(503));
    assert!(timeout(LONG, stream.next()).await.unwrap().unwrap().is_err());
    let failed = Timestamp::now();
    after(failed + Duration::from_millis(700)).await;
    let many = add_many(&server, Timestamp::now());
    stream.resume();
    for _ in 0..many {
        timeout(LONG, stream.next()).await.unwrap().unwrap().unwrap();
    }
    assert!(stream.is_caught_up());
    assert_eq!(sync(&client, stream.checkpoint()).await.1, 1);
}

#[tokio::test]
async fn what_was_dated_in_the_future_is_read_again_only_until_that_time_has_come() {
    let server = old_chat(30).await;
    let client = client_of(&server).build().unwrap();
    // As if the clock were behind the server's.
    let ahead = Timestamp::now() + Duration::from_millis(1_500);
    let many = add_many(&server, ahead);
    let mut stream = client.messages(CHAT).oldest_first().stream();
    assert_eq!(taken(&mut stream).await, 30 + many);
    after(ahead).await;
    let (found, _, checkpoint) = sync(&client, stream.checkpoint()).await;
    assert_eq!(found, 0);
    let (found, requests, checkpoint) = sync(&client, checkpoint).await;
    assert_eq!((found, requests), (0, 1));
    assert!(checkpoint.to_string().len() < 250, "{checkpoint}");
}

#[tokio::test]
async fn a_stream_that_follows_ends_with_the_last_message_that_is_wanted() {
    for wanted in [29, 30] {
        let server = old_chat(30).await;
        let client = client_of(&server).build().unwrap();
        let mut stream = client.messages(CHAT).follow(HOUR).max_messages(wanted).stream();
        assert_eq!((taken(&mut stream).await, stream.end()), (wanted, Some(End::ReachedMax)));
        assert_eq!(server.request_count(), 1);
    }
}

#[tokio::test]
async fn a_stream_that_follows_until_a_time_ends_when_that_time_is_over() {
    let server = old_chat(30).await;
    let client = client_of(&server).build().unwrap();
    let follow_until = |until| client.messages(CHAT).until(until).follow(SHORT).stream();
    // Over already, whether or not something newer is there.
    for until in [1_500_000_000_000 + 60_000 * 10, 1_600_000_000_000] {
        let mut stream = follow_until(Timestamp::from_millis(until));
        let count = taken(&mut stream).await;
        assert_eq!(stream.end(), Some(End::ReachedUntil));
        assert_eq!(count, if until < 1_600_000_000_000 { 11 } else { 30 });
    }
    // Still to come, whatever is dated later.
    server.add_message(CHAT, text((Timestamp::now() + 100 * HOUR).as_millis(), "future"));
    let mut stream = follow_until(Timestamp::now() + HOUR);
    for _ in 0..30 {
        timeout(LONG, stream.next()).await.unwrap().unwrap().unwrap();
    }
    assert_eq!((stream.end(), stream.is_caught_up()), (None, true));
    server.add_message(CHAT, text(Timestamp::now().as_millis(), "now"));
    let message = timeout(LONG, stream.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(message.id, "now");
}
