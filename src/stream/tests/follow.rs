//! A stream that follows a chat, and what waits when several pages are read early, under a paused clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt};
use tokio::time::{Instant, advance};

use super::index_of;
use crate::client::Client;
use crate::stream::MessageStream;
use crate::testing::rulebook::{MinTime, Rules};
use crate::timestamp::Timestamp;
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

/// A chat whose messages the test adds while it is followed.
fn growing() -> (Client, Arc<Mutex<Vec<i64>>>, Arc<Scripted>) {
    let times = Arc::new(Mutex::new(Vec::<i64>::new()));
    let chat = Arc::clone(&times);
    let (client, transport) = Scripted::new(move |ask, _| {
        let mut times = chat.lock().unwrap().clone();
        times.sort_unstable();
        let bound = |time: Option<&i64>| time.map_or("false".to_owned(), i64::to_string);
        let span =
            format!(r#""minTime":{},"maxTime":{}"#, bound(times.first()), bound(times.last()));
        let cursor = ask.cursor.as_ref().unwrap();
        let before = cursor.timestamp.as_millis();
        times.retain(|time| *time <= before && time.to_string() != cursor.id.as_str());
        let page = times.split_off(times.len().saturating_sub(ask.limit as usize));
        let message = |time: &i64| format!(r#"{{"_id":"{time}","timestamp":{time}}}"#);
        let messages: Vec<String> = page.iter().map(message).collect();
        Reply::body(format!(r#"{{"messages":[{}],{span}}}"#, messages.join(",")))
    });
    (client, times, transport)
}

async fn next_id(stream: &mut MessageStream) -> String {
    stream.next().await.unwrap().unwrap().id.to_string()
}

#[tokio::test]
async fn a_stream_dropped_in_the_middle_of_a_look_goes_on_there_whatever_lies_in_the_future() {
    for lookback in [Duration::ZERO, 20 * SECOND] {
        let (client, chat, _) = growing();
        let query = || client.messages(CHAT).oldest_first().lookback(lookback);
        let now = Timestamp::now().as_millis();
        chat.lock().unwrap().extend([1_000, now + 3_600_000]);
        let mut stream = query().stream();
        while stream.next().await.is_some() {}
        let new: Vec<i64> = (1..5).map(|n| now - 50_000 + 10_000 * n).collect();
        chat.lock().unwrap().extend(&new);
        let mut again = query().resume_from(stream.checkpoint()).stream();
        assert_eq!(next_id(&mut again).await, new[0].to_string());
        let mut rest = query().resume_from(again.checkpoint()).stream();
        for time in &new[1..] {
            assert_eq!(next_id(&mut rest).await, time.to_string());
        }
        assert!(rest.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn what_takes_longer_than_the_rest_is_followed_by_a_look_at_once() {
    let (client, chat, transport) = growing();
    chat.lock().unwrap().push(1_000);
    let mut stream = client.messages(CHAT).follow(10 * SECOND).stream();
    assert_eq!(next_id(&mut stream).await, "1000");
    // The work on the message takes longer than the rest.
    advance(60 * SECOND).await;
    assert!(stream.next().now_or_never().is_none());
    assert_eq!(transport.count(), 2);
    // And shorter: so much of the rest is left.
    chat.lock().unwrap().push(2_000);
    assert_eq!(next_id(&mut stream).await, "2000");
    advance(4 * SECOND).await;
    let began = Instant::now();
    chat.lock().unwrap().push(3_000);
    assert_eq!(next_id(&mut stream).await, "3000");
    assert_eq!(began.elapsed(), 6 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn progress_never_falls_while_a_chat_is_followed() {
    for before in [vec![], vec![1_000, 2_000]] {
        let (client, chat, _) = growing();
        chat.lock().unwrap().extend(&before);
        let mut stream = client.messages(CHAT).follow(SECOND).stream();
        let mut least = 0.0;
        for new in [vec![], vec![9_000, 10_000, 11_000], vec![], vec![500_000, 600_000]] {
            chat.lock().unwrap().extend(&new);
            while let Ok(next) = tokio::time::timeout(SECOND / 2, stream.next()).await {
                next.unwrap().unwrap();
                let progress = stream.progress().unwrap();
                assert!(progress >= least, "{progress} after {least}");
                least = progress;
            }
            assert_eq!(stream.progress(), Some(1.0), "{new:?}");
            least = 1.0;
            // The next look.
            let _ = tokio::time::timeout(SECOND / 2, stream.next()).await;
        }
    }
}

#[tokio::test]
async fn what_may_go_out_bounds_what_is_promised() {
    for (oldest_first, concurrency, most) in
        [(true, 1, 120), (false, 8, 500), (true, 8, 60), (false, 1, 75)]
    {
        let (client, _) = Scripted::model(Model::documented(3_000));
        let query = client.messages(CHAT).concurrency(concurrency).prefetch(3).max_messages(most);
        let query = if oldest_first { query.oldest_first() } else { query };
        let (mut stream, mut pages) = (query.clone().stream(), query.pages());
        let mut left = most;
        while stream.next().await.is_some() {
            left -= 1;
            assert!(stream.size_hint().0 <= left, "{:?} of {left}", stream.size_hint());
        }
        let mut promised = Vec::new();
        while pages.next().await.is_some() {
            promised.push(pages.size_hint().0);
        }
        for (came, hint) in promised.iter().rev().enumerate() {
            assert!(*hint <= came, "{hint} promised, {came} came");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_ahead_counts_to_the_bodies_that_wait() {
    for oldest_first in [false, true] {
        let model = Model::documented(5_000);
        let page = model.body(&(0..50).collect::<Vec<_>>()).len() as u64;
        // In pieces, so that the next cursor is known before the page is there.
        let (client, _) = Scripted::new(move |ask, number| {
            let page = model.answer(ask, number as u64).unwrap();
            let body = model.body(&page);
            Reply::in_pieces(&body, body.len() / 3 + 1, SECOND / 10)
        });
        let client = client.with_max_body_bytes(3 * page);
        let query = client.messages(CHAT).prefetch(1_000);
        let mut stream = if oldest_first { query.oldest_first().stream() } else { query.stream() };
        for _ in 0..500 {
            advance(SECOND).await;
            stream.next().await.unwrap().unwrap();
            assert!(stream.in_hand() <= 6 * 50, "{}", stream.in_hand());
        }
    }
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

#[tokio::test]
async fn no_more_messages_wait_than_the_buffer_holds_where_nothing_can_be_split() {
    let rules = Rules { min_time: MinTime::Missing, ..Rules::default() };
    for concurrency in [2, 8] {
        let (client, _) = Scripted::model(Model::with(rules.clone(), 8_000));
        let mut stream = client.messages(CHAT).concurrency(concurrency).stream();
        for _ in 0..500 {
            stream.next().await.unwrap().unwrap();
            assert!(stream.in_hand() <= 6_400 + 50, "{}", stream.in_hand());
        }
        assert!(stream.in_hand() > 6_000, "{}", stream.in_hand());
        assert_eq!(stream.count().await, 7_500);
    }
}
