//! Streams, real sockets and real runtimes: a walk goes on wherever it is polled.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use texter_history::testing::{FakeTexter, FakeTexterBuilder, Fault};
use texter_history::{End, ErrorKind, MessageStream, RetryPolicy};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::{CHAT, client_of, conversation, ids, newest_first, server_with};

/// A server in a runtime and a thread of its own.
struct Elsewhere {
    server: FakeTexter,
    _stop: oneshot::Sender<()>,
}

fn elsewhere(server: FakeTexterBuilder) -> Elsewhere {
    let (started, starting) = mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        runtime(false).block_on(async {
            started.send(server.start().await.unwrap()).unwrap();
            let _ = stopped.await;
        });
    });
    Elsewhere { server: starting.recv().unwrap(), _stop: stop }
}

fn runtime(threads: bool) -> Runtime {
    let mut builder =
        if threads { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.worker_threads(1).enable_all().build().unwrap()
}

/// A page with 503 is asked for again after a quarter of an hour at the least: nobody waits for that by chance.
fn patient() -> RetryPolicy {
    let hour = Duration::from_secs(3_600);
    RetryPolicy::default()
        .max_attempts(2)
        .base_delay(10 * hour)
        .max_delay(10 * hour)
        .max_elapsed(20 * hour)
}

/// Reads one page, and polls on until the server has got `requests` in all.
async fn read_until(stream: &mut MessageStream, server: &FakeTexter, requests: u64) -> Vec<String> {
    let mut read = Vec::new();
    for _ in 0..10 {
        read.push(stream.next().await.unwrap().unwrap());
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.request_count() < requests {
        assert!(Instant::now() < deadline, "{} requests", server.request_count());
        assert!(stream.next().now_or_never().is_none());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    ids(&read)
}

async fn read_on(stream: &mut MessageStream) -> Vec<String> {
    let rest = stream.by_ref().map(Result::unwrap).collect::<Vec<_>>();
    ids(&within_limits(rest).await)
}

fn stuck() -> [Fault; 2] {
    [Fault::Hang { after: 0 }, Fault::Hang { after: 700 }]
}

#[test]
fn a_request_begun_in_one_runtime_is_begun_anew_in_another() {
    let expected = newest_first(&conversation(40));
    for fault in stuck() {
        for (prefetch, threads, dropped) in [
            (0, false, true),
            (0, true, true),
            (0, false, false),
            (1, true, true),
            (2, false, true),
        ] {
            let stuck = fault.clone();
            let faults = move |_: &_, number| (number == 1).then(|| stuck.clone());
            let place = elsewhere(server_with(40).faults(faults));
            let server = &place.server;
            let client = client_of(server).retry(RetryPolicy::none()).build().unwrap();
            let mut stream = client.messages(CHAT).page_size(10).prefetch(prefetch).stream();
            let mut old = Some(runtime(threads));
            let mut read = old.as_ref().unwrap().block_on(read_until(&mut stream, server, 2));
            if dropped {
                drop(old.take());
            }
            read.extend(runtime(!threads).block_on(read_on(&mut stream)));
            assert_eq!(read, expected, "{fault:?}, prefetch {prefetch}");
            assert_eq!(stream.end(), Some(End::ReachedStart));
            assert_eq!(stream.stats().requests, server.request_count());
            let asked = server.requests();
            assert_eq!(asked.iter().filter(|request| request.before == asked[1].before).count(), 2);
        }
    }
}

#[test]
fn outside_of_any_runtime_it_is_an_error_and_resume_goes_on_inside_one() {
    let expected = newest_first(&conversation(40));
    let faults = stuck().into_iter().chain([Fault::status(503)]);
    for fault in faults {
        for prefetch in [0, 1] {
            let played = fault.clone();
            let faults = move |_: &_, number| (number == 1).then(|| played.clone());
            let place = elsewhere(server_with(40).faults(faults));
            let client = client_of(&place.server).retry(patient()).build().unwrap();
            let mut stream = client.messages(CHAT).page_size(10).prefetch(prefetch).stream();
            let old = runtime(false);
            let mut read = old.block_on(read_until(&mut stream, &place.server, 2));
            let handle = old.handle().clone();
            drop(old);

            let error = futures::executor::block_on(stream.next()).unwrap().unwrap_err();
            assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Transport, false));
            assert!(error.to_string().contains("tokio runtime"), "{error}");
            assert!(!error.to_string().contains("network"), "{error}");
            assert!(futures::executor::block_on(stream.next()).is_none());
            // The handle of a runtime that is gone leads nowhere either.
            stream.resume();
            let error = handle.block_on(stream.next()).unwrap().unwrap_err();
            assert!(error.to_string().contains("tokio runtime"), "{error}");

            stream.resume();
            read.extend(runtime(true).block_on(read_on(&mut stream)));
            assert_eq!(read, expected, "{fault:?}, prefetch {prefetch}");
        }
    }
}

/// Connections of a runtime that is there and does not run answer nobody.
#[test]
fn a_runtime_that_stands_still_holds_no_other_up() {
    let place = elsewhere(server_with(60));
    let client = client_of(&place.server).retry(RetryPolicy::none()).build().unwrap();
    let (first, second) = (runtime(false), runtime(false));
    let mut stream = client.messages(CHAT).page_size(10).stream();
    let mut read = first.block_on(read_until(&mut stream, &place.server, 1));
    for runtime in [&second, &first].into_iter().cycle().take(5) {
        read.extend(runtime.block_on(within_limits(read_until(&mut stream, &place.server, 1))));
    }
    assert_eq!(read, newest_first(&conversation(60)));
    assert_eq!(place.server.request_count(), 6);
}

async fn within_limits<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("no request hangs")
}

/// The caller's own client has one pool for all runtimes: a request on a connection of a runtime that goes is sent
/// again at once.
#[test]
fn a_connection_that_goes_with_its_runtime_is_no_failure() {
    for _ in 0..100 {
        let faults = |_: &_, number| (number == 1).then_some(Fault::Hang { after: 0 });
        let place = elsewhere(server_with(40).faults(faults));
        let server = &place.server;
        let http = reqwest::Client::new();
        let client =
            client_of(server).http_client(http).retry(RetryPolicy::none()).build().unwrap();
        let owner = runtime(true);
        let mut stream = client.messages(CHAT).page_size(10).stream();
        let mut read = owner.block_on(read_until(&mut stream, server, 1));
        let other = runtime(false);
        other.block_on(async {
            let deadline = Instant::now() + Duration::from_secs(10);
            while server.request_count() < 2 {
                assert!(Instant::now() < deadline, "no second request");
                assert!(stream.next().now_or_never().is_none());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        // The pool opens a second connection if the first is not back in time: then it is not the owner's.
        if server.open_connections() > 1 {
            continue;
        }
        drop(owner);
        read.extend(other.block_on(read_on(&mut stream)));
        assert_eq!(read, newest_first(&conversation(40)));
        // Four pages, one more behind a full last one, and one sent again.
        assert_eq!(stream.stats().requests, 6);
        return;
    }
    panic!("the connection was never used again");
}
