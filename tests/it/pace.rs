//! Many chats over one client, against a server with a rate limit, over real sockets and by the real clock. The exact
//! figures are those of the same scenes under a clock that stands still, in the library's own tests.

use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::{StreamExt, TryStreamExt};
use texter_history::testing::{FakeChat, FakeMessage, FakeTexter, FakeTexterBuilder, RateLimit};
use texter_history::{Client, ErrorKind, Message, Timestamp};

use super::client_of;

/// So many chats of three pages of ten.
fn chats(count: usize) -> FakeTexterBuilder {
    let chat = |chat: usize| {
        let text =
            |n: i64| FakeMessage::text(Timestamp::from_millis(n * 1_000), format!("m{n}"), "x");
        FakeChat::new(format!("chat{chat}")).messages((1..=25).map(text))
    };
    (0..count).fold(FakeTexter::builder(), |server, number| server.chat(chat(number)))
}

/// Reads them all at once, and tells how long each waited for its turns.
async fn read_all(client: &Client, count: usize) -> Vec<Duration> {
    let reads = (0..count).map(|chat| async move {
        let mut stream = client.messages(format!("chat{chat}")).page_size(10).stream();
        let messages: Vec<Message> = stream.by_ref().try_collect().await.unwrap();
        assert_eq!(messages.len(), 25);
        stream.stats().waited
    });
    join_all(reads).await
}

/// Reads many chats at once and counts what the server refused.
async fn figures(limit: RateLimit, burst: usize, rate: f64, count: usize) {
    let server = chats(count).rate_limited(limit.clone()).start().await.unwrap();
    let client = client_of(&server).build().unwrap();
    let began = Instant::now();
    let waited = read_all(&client, count).await;
    let took = began.elapsed().as_secs_f64();
    let requests = server.requests();
    let answered = requests.iter().filter(|request| !request.refused).count();
    assert_eq!(answered, 3 * count);
    assert!(waited.iter().any(|waited| *waited > Duration::from_secs(1)));
    // What was under way when the first refusal came: the first of each chat, and of those that were answered at once
    // the second.
    let mut later = requests.iter().skip(count + 2 * burst);
    let refused = later.by_ref().filter(|request| request.refused).count();
    let share = refused as f64 / (requests.len() - count) as f64;
    assert!(share <= 0.1, "{limit:?}: {refused} of {} refused", requests.len());
    let needed = (answered - burst) as f64 / rate;
    println!(
        "{limit:?}: {refused} refused, {took:.1} s, {:.2} times what is needed",
        took / needed
    );
    // Room for a machine that does much else.
    assert!(took <= 1.6 * needed, "{limit:?}: {took:.1} s instead of {needed:.1}");
}

#[tokio::test]
async fn many_chats_keep_the_pace_of_the_server() {
    let fast = RateLimit::per_second(20.0).burst(20);
    let slow = RateLimit::per_second(5.0).burst(1);
    tokio::join!(
        figures(fast.clone(), 20, 20.0, 50),
        figures(fast.without_retry_after(), 20, 20.0, 50),
        figures(slow.clone(), 1, 5.0, 20),
        figures(slow.without_retry_after(), 1, 5.0, 20),
    );
}

#[tokio::test]
async fn below_the_limit_nothing_is_refused() {
    let limit = RateLimit::per_second(50.0).burst(1);
    let server = chats(10).rate_limited(limit).start().await.unwrap();
    let client = client_of(&server).requests_per_second(20.0).build().unwrap();
    read_all(&client.clone(), 5).await;
    read_all(&client, 10).await;
    let requests = server.requests();
    assert_eq!(requests.len(), 45);
    assert!(requests.iter().all(|request| !request.refused));
    let took = requests[44].received - requests[0].received;
    assert!(took >= Duration::from_millis(2_100), "{took:?}");
}

#[test]
fn a_pace_is_a_number_above_zero() {
    let build =
        |pace| Client::builder().project("acme").token("t").requests_per_second(pace).build();
    for pace in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = build(pace).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{pace}");
        assert!(error.to_string().contains("requests per second"), "{error}");
    }
    for pace in [f64::MIN_POSITIVE, 0.5, 1.0, 1e9, f64::MAX] {
        assert!(build(pace).is_ok(), "{pace}");
    }
}
