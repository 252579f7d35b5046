//! Many chats over one client, against a server with a rate limit, over real sockets.

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

/// How far the clock goes in one step.
const STEP: Duration = Duration::from_millis(5);

/// How often the sockets are looked at in one step: a request is answered and followed by the next one in less.
const ROUNDS: usize = 50;

/// Runs a test by a clock that takes a step each millisecond, or later on a busy machine: nothing in it depends on how
/// fast the machine is.
async fn by_a_fast_clock(test: impl Future<Output = ()>) {
    let (sender, mut steps) = tokio::sync::mpsc::channel(1);
    // While a blocking task runs, the paused clock does not jump ahead of the sockets.
    let metronome = tokio::task::spawn_blocking(move || {
        while sender.blocking_send(()).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let clock = async {
        while steps.recv().await.is_some() {
            for _ in 0..ROUNDS {
                tokio::task::yield_now().await;
            }
            tokio::time::advance(STEP).await;
        }
    };
    tokio::select! {
        () = test => {}
        () = clock => {}
    }
    drop(steps);
    metronome.await.unwrap();
}

/// Reads many chats of three pages at once and counts what the server refused.
async fn figures(limit: RateLimit, rate: f64, burst: usize, count: usize) {
    let server = chats(count).rate_limited(limit.clone()).start().await.unwrap();
    let client = client_of(&server).build().unwrap();
    let began = tokio::time::Instant::now();
    let waited = read_all(&client, count).await;
    let took = began.elapsed().as_secs_f64();
    assert!(waited.iter().any(|waited| *waited > Duration::from_secs(1)));

    let requests = server.requests();
    let answered = requests.iter().filter(|request| !request.refused).count();
    assert_eq!(answered, 3 * count);
    let first = requests.iter().find(|request| request.refused).unwrap().received;
    // What came a step later may have been under way.
    let later: Vec<_> = requests.iter().filter(|request| request.received > first + STEP).collect();
    let refused = later.iter().filter(|request| request.refused).count();
    let (share, times) =
        (refused as f64 / later.len() as f64, took * rate / (answered - burst) as f64);
    println!(
        "{count} chats, {limit:?}: {refused} of {} refused, {took:.1} s, {times:.2} times what is needed",
        later.len()
    );
    assert!(share <= 0.1, "{limit:?}: {refused} of {} refused", later.len());
    assert!(times <= 1.35, "{limit:?}: {times:.2} times what is needed");
}

/// When the server says how long to wait, nobody sends before.
async fn nobody_sends_within_a_retry_after(count: usize) {
    const ASKED: Duration = Duration::from_secs(3);
    let limit = RateLimit::per_second(20.0).burst(20).retry_after(ASKED.as_secs());
    let server = chats(count).rate_limited(limit).start().await.unwrap();
    let client = client_of(&server).build().unwrap();
    read_all(&client, count).await;
    let requests = server.requests();
    let refused: Vec<_> = requests.iter().filter(|request| request.refused).collect();
    assert!(!refused.is_empty());
    for told in refused.iter().map(|request| request.received) {
        let within = |at: Instant| at > told + STEP && at < told + ASKED;
        let early = requests.iter().filter(|request| within(request.received)).count();
        assert_eq!(early, 0, "of {} requests", requests.len());
    }
}

#[tokio::test(start_paused = true)]
async fn many_chats_keep_the_pace_of_the_server() {
    let fast = RateLimit::per_second(20.0).burst(20);
    let slow = RateLimit::per_second(5.0).burst(1);
    by_a_fast_clock(async {
        tokio::join!(
            figures(fast.clone(), 20.0, 20, 50),
            figures(fast.without_retry_after(), 20.0, 20, 50),
            figures(slow.clone(), 5.0, 1, 20),
            figures(slow.without_retry_after(), 5.0, 1, 20),
            nobody_sends_within_a_retry_after(50),
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn below_the_limit_nothing_is_refused() {
    by_a_fast_clock(async {
        let limit = RateLimit::per_second(20.0).burst(1);
        let server = chats(50).rate_limited(limit).start().await.unwrap();
        let client = client_of(&server).requests_per_second(19.0).build().unwrap();
        read_all(&client.clone(), 5).await;
        read_all(&client, 50).await;
        let requests = server.requests();
        assert_eq!(requests.len(), 165);
        assert!(requests.iter().all(|request| !request.refused));
        let took = requests[164].received - requests[0].received;
        assert!(took >= Duration::from_millis(8_600), "{took:?}");
    })
    .await;
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
