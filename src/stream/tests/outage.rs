//! Servers that do not answer for a while, and connections that close at the wrong moment.

use std::time::Duration;

use tokio::time::Instant;

use super::{all, drain};
use crate::error::ErrorKind;
use crate::retry::RetryPolicy;
use crate::transport::scripted::{Reply, Scripted, answer};
use crate::walk::End;
use crate::walk::model::{CHAT, Model};

#[tokio::test(start_paused = true)]
async fn ten_seconds_without_a_connection_cost_no_walk_whatever_the_jitter() {
    const OUTAGE: Duration = Duration::from_secs(10);
    for seed in 0..400 {
        let model = Model::documented(30);
        let expected = all(&model);
        // The outage begins with the second page.
        let ends = std::sync::OnceLock::new();
        let retry = RetryPolicy::default().jitter_seed(seed);
        let (client, transport) = Scripted::with_retry(retry, move |ask, number| {
            let is_over = Instant::now() >= *ends.get_or_init(|| Instant::now() + OUTAGE);
            match number {
                0 => answer(&model, ask, number),
                _ if is_over => answer(&model, ask, number),
                // Every connection closes, a new one too.
                _ => Reply::Closed,
            }
        });
        let mut stream = client.messages(CHAT).page_size(20).stream();
        let (messages, errors) = drain(&mut stream).await;
        assert_eq!((messages, errors.len()), (expected, 0), "seed {seed}");
        assert_eq!(stream.end(), Some(End::ReachedStart));
        assert_eq!(stream.stats().requests, transport.count() as u64);
        assert!(transport.count() < 20, "seed {seed}: {} requests", transport.count());
    }
}

/// ```text
/// request  0  1               2
///          |  | closed at once | the same page
/// ```
#[tokio::test(start_paused = true)]
async fn a_connection_that_closed_meanwhile_is_no_attempt() {
    let model = Model::documented(30);
    let expected = all(&model);
    let (client, transport) = Scripted::with_retry(RetryPolicy::none(), move |ask, number| {
        if number == 1 { Reply::Closed } else { answer(&model, ask, number) }
    });
    let mut stream = client.messages(CHAT).page_size(20).stream();
    let (messages, errors) = drain(&mut stream).await;
    assert_eq!((messages, errors.len()), (expected, 0));
    let (urls, times) = (transport.urls(), transport.times());
    assert_eq!(urls.len(), 3);
    assert_eq!(urls[1], urls[2]);
    assert_eq!(times[1], times[2], "at once");
    assert_eq!((stream.stats().requests, stream.stats().retries), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_always_closes_is_sent_once_more_an_attempt_and_no_oftener() {
    for (attempts, requests) in [(1, 2), (3, 6)] {
        let policy = RetryPolicy::default().max_attempts(attempts).jitter_seed(1);
        let (client, transport) = Scripted::with_retry(policy, |_, _| Reply::Closed);
        let mut stream = client.messages(CHAT).stream();
        let (_, errors) = drain(&mut stream).await;
        assert_eq!((errors[0].kind(), errors[0].attempts()), (ErrorKind::Transport, requests));
        assert!(errors[0].is_retryable());
        assert_eq!(stream.stats().requests, u64::from(requests));
        let times = transport.times();
        assert_eq!(times.len(), requests as usize);
        for pair in times.chunks(2) {
            assert_eq!(pair[0], pair[1]);
        }
        for pair in times.windows(2).skip(1).step_by(2) {
            assert!(pair[1] - pair[0] >= Duration::from_millis(50), "{times:?}");
        }
    }
}

/// A request that is sent again has the time left of its attempt, not more.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_sent_again_at_once_gets_what_is_left_of_its_attempt() {
    let second = Duration::from_secs(1);
    let (client, transport) = Scripted::new(move |_, number| match number {
        0 => Reply::Late(45 * second, Box::new(Reply::Closed)),
        _ => Reply::Silence,
    });
    let began = Instant::now();
    let (_, errors) = drain(&mut client.messages(CHAT).stream()).await;
    assert_eq!((errors[0].kind(), transport.count()), (ErrorKind::Timeout, 2));
    assert_eq!(began.elapsed().as_secs(), 60);
}
