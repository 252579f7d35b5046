//! A stream that follows a chat, and what waits when several pages are read early, under a paused clock.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, advance};

use super::index_of;
use crate::transport::scripted::{Reply, Scripted, answer};
use crate::walk::model::{CHAT, Model};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_look_that_finds_nothing_is_one_request_a_hundred_thousand_times() {
    const LOOKS: usize = 100_000;
    let (client, transport) = Scripted::model(Model::documented(1));
    let mut stream = client.messages(CHAT).follow(SECOND).stream();
    let began = Instant::now();
    // The first poll looks at once.
    assert_eq!(index_of(&stream.next().await.unwrap().unwrap()), 0);
    assert!(stream.is_caught_up());
    assert_eq!((transport.count(), began.elapsed()), (1, Duration::ZERO));
    let until = SECOND * u32::try_from(LOOKS).unwrap() + SECOND / 2;
    assert!(tokio::time::timeout(until, stream.next()).await.is_err());
    assert_eq!(transport.count(), 1 + LOOKS);
    assert_eq!((stream.in_hand(), stream.stats().messages), (0, 1));
    // The stream's checkpoint has not grown.
    assert!(stream.checkpoint().to_string().len() < 250);
    let times = transport.times();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == SECOND));
}

#[tokio::test(start_paused = true)]
async fn the_rest_counts_from_the_end_of_the_look_and_nothing_is_sent_but_by_a_poll() {
    let model = Model::documented(3);
    let (client, transport) = Scripted::new(move |ask, number| {
        Reply::Late(5 * SECOND, Box::new(answer(&model, ask, number)))
    });
    let mut stream = client.messages(CHAT).follow(10 * SECOND).stream();
    for index in 0..3 {
        assert_eq!(index_of(&stream.next().await.unwrap().unwrap()), index);
    }
    assert!(stream.next().now_or_never().is_none());
    // A stream that was not polled for an hour looks once when it is polled again.
    advance(3_600 * SECOND).await;
    assert_eq!(transport.count(), 1);
    assert!(stream.next().now_or_never().is_none());
    assert_eq!(transport.count(), 2);
    assert!(tokio::time::timeout(14 * SECOND, stream.next()).await.is_err());
    assert_eq!(transport.count(), 2);
    assert!(tokio::time::timeout(2 * SECOND, stream.next()).await.is_err());
    assert_eq!(transport.count(), 3);
}

#[tokio::test]
async fn no_more_bodies_wait_than_a_body_may_be_long() {
    for (prefetch, concurrency) in [(1_000, 1), (0, 8), (1_000, 8)] {
        let model = Model::documented(5_000);
        let page = model.body(&(0..50).collect::<Vec<_>>()).len() as u64;
        let (client, transport) = Scripted::model(model);
        let client = client.with_max_body_bytes(3 * page);
        let query = client.messages(CHAT).prefetch(prefetch).concurrency(concurrency);
        let mut stream = query.stream();
        let mut count = 0;
        while let Some(message) = stream.next().await {
            message.unwrap();
            count += 1;
            // The page in hand, the pages that wait, and the page that filled the room.
            assert!(stream.in_hand() <= 5 * 50, "{} {prefetch} {concurrency}", stream.in_hand());
        }
        assert_eq!(count, 5_000);
        assert!(transport.count() < 200, "{}", transport.count());
    }
}
