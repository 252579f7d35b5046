//! The pace as the streams of one client keep it, over a scripted server with a rate limit.

mod pauses;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, advance, sleep};

use crate::client::Client;
use crate::error::ErrorKind;
use crate::retry::RetryPolicy;
use crate::stream::MessageStream;
use crate::transport::scripted::{Reply, Scripted, answer};
use crate::walk::End;
use crate::walk::model::{CHAT, Model};

const SECOND: Duration = Duration::from_secs(1);

/// How long an answer takes.
const LATENCY: Duration = Duration::from_millis(5);

/// A bucket that holds `burst` requests and is filled at `rate` a second.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    rate: f64,
    burst: f64,
    filled: f64,
    at: Option<Instant>,
}

impl Bucket {
    fn new(rate: f64, burst: f64) -> Self {
        Self { rate, burst, filled: burst, at: None }
    }

    /// Takes a request, or says after which time it could be taken.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let since = self.at.map_or(0.0, |at| (now - at).as_secs_f64());
        self.filled = (self.filled + since * self.rate).min(self.burst);
        self.at = Some(now);
        if self.filled >= 1.0 - 1e-6 {
            self.filled -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.filled) / self.rate))
    }
}

/// What a refusal says of the time to wait.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    Nothing,
    /// The time in whole seconds, as the header has it.
    WholeSeconds,
}

/// What the server saw of each request: when it came, and after which time it could come again if it was
/// refused.
type Seen = Arc<Mutex<Vec<(Instant, Option<Option<Duration>>)>>>;

/// A server whose chats have three pages and 25 messages.
fn limited(bucket: Bucket, says: Says, build: impl FnOnce(Client) -> Client) -> (Client, Seen) {
    let model = Model::documented(25);
    let (bucket, seen) = (Mutex::new(bucket), Seen::default());
    let log = Arc::clone(&seen);
    let (client, _) = Scripted::with_retry(RetryPolicy::default(), move |ask, number| {
        let now = Instant::now();
        let taken = bucket.lock().unwrap().take(now);
        let (refusal, reply) = match taken {
            Ok(()) => (None, answer(&model, ask, number)),
            Err(wait) => {
                let wait = (says == Says::WholeSeconds)
                    .then(|| Duration::from_secs(wait.as_secs_f64().ceil() as u64));
                (Some(wait), Reply::Status(429, wait))
            }
        };
        log.lock().unwrap().push((now, refusal));
        Reply::Late(LATENCY, Box::new(reply))
    });
    (build(client), seen)
}

fn chat(client: &Client) -> MessageStream {
    client.messages(CHAT).page_size(10).stream()
}

async fn read(mut stream: MessageStream) -> MessageStream {
    let mut count = 0;
    while let Some(message) = stream.next().await {
        message.unwrap();
        count += 1;
    }
    assert_eq!((count, stream.end()), (25, Some(End::ReachedStart)));
    stream
}

/// Reads this many chats at once. Returns how many requests came after those under way at the first refusal,
/// how many of them were refused, and the time taken.
async fn read_all(client: &Client, seen: &Seen, chats: usize) -> (usize, usize, f64) {
    let began = Instant::now();
    let streams = join_all((0..chats).map(|_| read(chat(client)))).await;
    let took = began.elapsed().as_secs_f64();
    let seen = seen.lock().unwrap();
    let sent: u64 = streams.iter().map(|stream| stream.stats().requests).sum();
    assert_eq!(sent, seen.len() as u64);
    let first = seen.iter().find(|(_, refusal)| refusal.is_some()).map(|(at, _)| *at + LATENCY);
    let later: Vec<_> =
        seen.iter().filter(|(at, _)| first.is_some_and(|first| *at > first)).collect();
    // No request is sent while the server has asked to wait.
    for (asked_at, wait) in seen.iter().filter_map(|(at, refusal)| Some((*at, (*refusal)??))) {
        let told = asked_at + LATENCY;
        let within = seen.iter().filter(|(at, _)| *at > told && *at < told + wait).count();
        assert_eq!(within, 0, "sent within a Retry-After");
    }
    let refused = later.iter().filter(|(_, refusal)| refusal.is_some()).count();
    (later.len(), refused, took)
}

#[tokio::test(start_paused = true)]
async fn many_chats_over_one_client_keep_the_pace_of_the_server() {
    for (rate, burst, chats) in
        [(20.0, 20.0, 50), (5.0, 1.0, 20), (2.0, 2.0, 50), (20.0, 10.0, 100)]
    {
        for says in [Says::Nothing, Says::WholeSeconds] {
            let (client, seen) = limited(Bucket::new(rate, burst), says, |client| client);
            let (requests, refused, took) = read_all(&client, &seen, chats).await;
            let needed = ((3 * chats) as f64 - burst) / rate;
            let (share, times) = (refused as f64 / requests as f64, took / needed);
            println!(
                "{chats} chats, {rate}/s, burst {burst}, {says:?}: {refused} of {requests} refused, \
                 {took:.1} s, {times:.2} times what is needed"
            );
            assert!(share <= 0.1, "{refused} of {requests} refused");
            assert!(times <= 1.35, "{times:.2} times what is needed");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn below_the_limit_nothing_is_refused() {
    for (rate, burst, chats, kept) in [
        (20.0, 20.0, 50, 19.0),
        (5.0, 1.0, 20, 4.9),
        (0.5, 1.0, 3, 0.4),
        (30.0, 1.0, 20, 29.5),
        (90.0, 1.0, 20, 85.0),
    ] {
        let (client, seen) =
            limited(Bucket::new(rate, burst), Says::Nothing, |client| client.with_pace(kept));
        let (_, _, took) = read_all(&client, &seen, chats).await;
        let seen = seen.lock().unwrap();
        assert!(seen.iter().all(|(_, refusal)| refusal.is_none()), "at {kept} a second");
        // The requests are evenly spaced, from the first on.
        let interval = Duration::from_secs_f64(1.0 / kept);
        for pair in seen.windows(2) {
            let gap = pair[1].0 - pair[0].0;
            assert!(gap >= interval && gap < interval + SECOND / 20, "{gap:?}");
        }
        // A timer is no finer than a millisecond.
        let needed = (seen.len() - 1) as f64 / kept;
        let most = (seen.len() - 1) as f64 * (1.0 / kept + 0.001) + 0.1;
        assert!((needed..most).contains(&took), "{took} instead of {needed}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_nobody_waits() {
    let (client, seen) = limited(Bucket::new(1e9, 1e9), Says::Nothing, |client| client);
    let began = Instant::now();
    let streams = join_all((0..50).map(|_| read(chat(&client)))).await;
    assert_eq!(began.elapsed(), 3 * LATENCY);
    assert!(streams.iter().all(|stream| stream.stats().waited.is_zero()));
    assert_eq!(seen.lock().unwrap().len(), 150);
}

#[tokio::test(start_paused = true)]
async fn first_come_first_served() {
    let (client, seen) =
        limited(Bucket::new(1e9, 1e9), Says::Nothing, |client| client.with_pace(10.0));
    let order = Arc::new(Mutex::new(Vec::new()));
    let streams = (0..10).map(|number| {
        let (client, order) = (client.clone(), Arc::clone(&order));
        async move {
            // The streams begin in this order, whatever the executor does.
            sleep(Duration::from_millis(number)).await;
            let stream = read(chat(&client)).await;
            order.lock().unwrap().push(number);
            stream
        }
    });
    let streams = join_all(streams).await;
    assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
    // Thirty requests in turn. No request waits longer than for one request of each other stream.
    let waited: Vec<_> = streams.iter().map(|stream| stream.stats().waited).collect();
    assert!(waited.iter().all(|waited| *waited < 3 * SECOND), "{waited:?}");
    assert!(waited[9] > SECOND);
    assert_eq!(seen.lock().unwrap().len(), 30);
}

/// Reading a chat of 10,000 pages by eight requests at once makes short chats wait at most twice their share.
#[tokio::test(start_paused = true)]
async fn a_long_chat_starves_no_short_one() {
    let model = Model::documented(100_000);
    let (client, transport) = Scripted::with_retry(RetryPolicy::default(), move |ask, number| {
        Reply::Late(LATENCY, Box::new(answer(&model, ask, number)))
    });
    let client = client.with_pace(10.0);
    let long = async {
        let mut stream = client.messages(CHAT).page_size(10).concurrency(8).stream();
        while let Some(message) = stream.next().await {
            message.unwrap();
        }
    };
    let short = async {
        // The long chat now has its eight requests under way.
        tokio::time::sleep(5 * SECOND).await;
        let (began, before) = (Instant::now(), transport.count());
        let three_pages = || client.messages(CHAT).page_size(10).max_messages(30).stream();
        let read = join_all((0..20).map(|_| three_pages().count())).await;
        assert_eq!(read, [30; 20]);
        (began.elapsed(), transport.count() - before)
    };
    tokio::select! {
        () = long => panic!("the long one was done first"),
        (took, requests) = short => {
            // Sixty requests take six seconds.
            assert!(took < 2 * 6 * SECOND, "{took:?}");
            // The long chat went on meanwhile, so the pace is fair to it, too.
            assert!(requests > 60 + 15, "{requests}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_not_taken_goes_to_the_next() {
    for dropped in [true, false] {
        let (client, seen) =
            limited(Bucket::new(1e9, 1e9), Says::Nothing, |client| client.with_pace(1.0));
        let mut first = chat(&client);
        first.next().await.unwrap().unwrap();
        let began = Instant::now();
        // Ten streams take their places and are not polled again.
        let mut idle: Vec<_> = (0..10).map(|_| chat(&client)).collect();
        for stream in &mut idle {
            assert!(stream.next().now_or_never().is_none());
        }
        if dropped {
            idle.clear();
        }
        let mut last = chat(&client);
        last.next().await.unwrap().unwrap();
        let took = began.elapsed();
        assert!(took < SECOND + SECOND / 5, "{took:?}");
        assert_eq!(seen.lock().unwrap().len(), 2);
        // When they are polled again, they come before the request that arrived after them.
        if !dropped {
            let later = async { chat(&client).next().await.unwrap().unwrap() };
            let back = async { idle[0].next().await.unwrap().unwrap() };
            tokio::select! {
                biased;
                _ = later => panic!("the later one was first"),
                _ = back => {}
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_gives_its_turn_back_at_once() {
    let (client, seen) =
        limited(Bucket::new(1e9, 1e9), Says::Nothing, |client| client.with_pace(1.0));
    chat(&client).next().await.unwrap().unwrap();
    let mut first = Box::new(chat(&client));
    assert!(first.next().now_or_never().is_none());
    let mut second = chat(&client);
    // The stream runs in a task of its own, which only its waker and its timer wake.
    let second = tokio::spawn(async move { second.next().await.unwrap().unwrap() });
    sleep(SECOND / 2).await;
    drop(first);
    second.await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!((seen.len(), seen[1].0 - seen[0].0), (2, SECOND));
}

/// A stream that is polled outside of its turn, or without need, sends no request.
#[tokio::test(start_paused = true)]
async fn waiting_is_no_attempt_and_counts_for_nothing() {
    let (client, seen) =
        limited(Bucket::new(1e9, 1e9), Says::Nothing, |client| client.with_pace(0.001));
    let (mut first, mut second) = (chat(&client), chat(&client));
    first.next().await.unwrap().unwrap();
    let began = Instant::now();
    // A thousand seconds, with two minutes for a page and one for an attempt.
    second.next().await.unwrap().unwrap();
    assert_eq!(began.elapsed().as_secs(), 1_000);
    let stats = second.stats();
    assert_eq!((stats.requests, stats.retries, stats.waited.as_secs()), (1, 0, 999));
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn time_without_polls_is_not_told_as_waited_for_a_turn() {
    let (client, _) = limited(Bucket::new(1e9, 1e9), Says::Nothing, |client| client.with_pace(0.1));
    let (mut first, mut second) = (chat(&client), chat(&client));
    first.next().await.unwrap().unwrap();
    assert!(second.next().now_or_never().is_none());
    tokio::time::advance(100 * SECOND).await;
    assert_eq!(second.stats().waited.as_secs(), 9);
    second.next().await.unwrap().unwrap();
    assert_eq!(second.stats().waited.as_secs(), 9);
}

#[tokio::test(start_paused = true)]
async fn refusals_count_by_their_time_and_not_by_their_number() {
    // There are more refusals than attempts. They use up no attempt of a request that fails later.
    let model = Model::documented(5);
    let policy = RetryPolicy::default().max_attempts(2);
    let (client, transport) = Scripted::with_retry(policy, move |ask, number| match number {
        0..5 => Reply::Status(429, Some(SECOND)),
        5 => Reply::Broken,
        _ => answer(&model, ask, number),
    });
    let mut stream = client.messages(CHAT).stream();
    assert!(stream.next().await.unwrap().is_ok());
    assert_eq!((transport.count(), stream.stats().requests), (7, 7));

    // No stream waits for ever.
    let (client, transport) =
        Scripted::with_retry(RetryPolicy::default(), |_, _| Reply::Status(429, Some(10 * SECOND)));
    let began = Instant::now();
    let error = client.messages(CHAT).stream().next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.attempts() as usize, transport.count());
    assert!((90..121).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());

    // A policy without retries gets none.
    let (client, transport) =
        Scripted::with_retry(RetryPolicy::none(), |_, _| Reply::Status(429, Some(SECOND)));
    assert!(client.messages(CHAT).stream().next().await.unwrap().is_err());
    assert_eq!(transport.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_one_is_news_for_all() {
    for status in [429, 503] {
        let model = Model::documented(25);
        let (client, transport) =
            Scripted::with_retry(RetryPolicy::default(), move |ask, number| match number {
                2 => Reply::Status(status, Some(20 * SECOND)),
                _ => answer(&model, ask, number),
            });
        let mut streams: Vec<_> = (0..3).map(|_| chat(&client)).collect();
        let began = Instant::now();
        for stream in &mut streams[..2] {
            stream.next().await.unwrap().unwrap();
        }
        join_all(streams.into_iter().map(StreamExt::collect::<Vec<_>>)).await;
        let times: Vec<_> = transport.times().iter().map(|time| *time - began).collect();
        assert!(times[..3].iter().all(|time| *time < SECOND), "{times:?}");
        // Two requests that came at the same time may have been under way.
        assert!(times[5..].iter().all(|time| *time >= 20 * SECOND), "{times:?}");
        // Then they come one by one.
        let after: Vec<_> = times.into_iter().filter(|time| *time >= 20 * SECOND).collect();
        assert!(after.windows(2).all(|pair| pair[1] > pair[0]), "{after:?}");
    }
}

/// The first stream's connection turns out to be closed while the second is told to wait. The request that is
/// sent again waits for its turn, like any other.
#[tokio::test(start_paused = true)]
async fn what_is_sent_again_waits_for_its_turn() {
    let model = Model::documented(25);
    let (client, transport) =
        Scripted::with_retry(RetryPolicy::none(), move |ask, number| match number {
            0 => Reply::Late(2 * SECOND, Box::new(Reply::Closed)),
            1 => Reply::Status(429, Some(20 * SECOND)),
            _ => answer(&model, ask, number),
        });
    let (mut first, mut second) = (chat(&client), chat(&client));
    let began = Instant::now();
    let (first, second) = tokio::join!(first.next(), second.next());
    assert!(first.unwrap().is_ok());
    assert_eq!(second.unwrap().unwrap_err().kind(), ErrorKind::RateLimited);
    let times: Vec<_> = transport.times().iter().map(|time| *time - began).collect();
    assert_eq!(times.len(), 3);
    assert!(times[2] >= 20 * SECOND, "{times:?}");
}

/// One page is told to wait for an hour. The others do not wait for so long, and nothing goes out in that hour.
#[tokio::test(start_paused = true)]
async fn a_time_that_is_too_long_ends_whoever_waits_for_it() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let model = Model::documented(25);
    let (client, transport) = Scripted::with_retry(RetryPolicy::default(), move |ask, number| {
        if number == 0 { Reply::Status(429, Some(HOUR)) } else { answer(&model, ask, number) }
    });
    let mut refused = chat(&client);
    let error = refused.next().await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.retry_after(), error.attempts()),
        (ErrorKind::RateLimited, Some(HOUR), 1)
    );
    for stream in [&mut refused, &mut chat(&client)] {
        stream.resume();
        let began = Instant::now();
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::RateLimited, 0), "{error}");
        assert!(error.is_retryable() && error.retry_after().unwrap() > 3_400 * SECOND, "{error}");
        assert_eq!(began.elapsed().as_secs(), 60, "a loop of resume() does not spin");
    }
    assert_eq!(transport.count(), 1);
    advance(HOUR).await;
    refused.resume();
    let _ = read(refused).await;
}

/// Keeps the paces that the events report.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<f64>>>);

impl tracing::field::Visit for Told {
    fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}

    fn record_f64(&mut self, field: &tracing::field::Field, value: f64) {
        if field.name() == "requests_per_second" {
            self.0.lock().unwrap().push(value);
        }
    }
}

impl tracing::Subscriber for Told {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_pace_is_told() {
    let told = Told::default();
    let _guard = tracing::subscriber::set_default(told.clone());
    let (client, seen) = limited(Bucket::new(5.0, 1.0), Says::Nothing, |client| client);
    read_all(&client, &seen, 20).await;
    let paces = told.0.lock().unwrap().clone();
    // The first guess, the values it grew to in a few steps, and the limit that was worked out.
    assert_eq!(paces[0], 2.0, "{paces:?}");
    assert!(paces[1] > 2.0 && (3..12).contains(&paces.len()), "{paces:?}");
    assert!((4.5..5.2).contains(paces.last().unwrap()), "{paces:?}");
}

/// A waker that owns a place in the queue. The waker of a task that nobody else owns may do so.
struct Holds(#[expect(dead_code, reason = "dropped with the waker")] super::Place);

impl std::task::Wake for Holds {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_is_dropped_may_hold_a_place_itself() {
    let pace = Arc::new(super::Pace::new(Some(1.0)));
    let (mut first, mut second) = (super::Place::new(&pace), super::Place::new(&pace));
    let waker = || {
        let mut place = super::Place::new(&pace);
        let _ = place.call(std::task::Waker::noop(), Instant::now());
        std::task::Waker::from(Arc::new(Holds(place)))
    };
    let now = Instant::now();
    assert!(matches!(first.call(std::task::Waker::noop(), now), super::Call::Now(_)));
    for _ in 0..3 {
        assert!(matches!(second.call(&waker(), now), super::Call::Later(_)));
    }
    advance(2 * SECOND).await;
    let mut calls = 0;
    while let super::Call::Later(at) = second.call(&waker(), Instant::now()) {
        calls += 1;
        assert!(calls < 10);
        tokio::time::sleep_until(at).await;
    }
    drop(second);
}
