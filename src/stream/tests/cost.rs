//! Which requests are sent, and when.

use futures_util::{Stream, StreamExt};
use tokio_test::{assert_pending, assert_ready, task};

use super::{all, drain, index_of};
use crate::error::Error;
use crate::testing::rulebook::{LimitReading, Rules};
use crate::timestamp::Timestamp;
use crate::transport::scripted::{Reply, Scripted};
use crate::walk::End;
use crate::walk::model::{CHAT, Model, SESSION};

#[tokio::test]
async fn nothing_is_sent_before_the_first_poll_or_while_a_message_is_in_hand() {
    let (client, transport) = Scripted::model(Model::documented(120));
    let mut stream = client.messages(CHAT).stream();
    assert_eq!((transport.count(), stream.in_hand()), (0, 0));
    for handed_out in 1..=50 {
        assert_eq!(index_of(&stream.next().await.unwrap().unwrap()), 120 - handed_out);
        assert_eq!((transport.count(), stream.in_hand()), (1, 50 - handed_out));
        assert_eq!(stream.size_hint().0, 50 - handed_out);
    }
    stream.next().await.unwrap().unwrap();
    assert_eq!((transport.count(), stream.in_hand()), (2, 49));
}

#[tokio::test]
async fn every_page_costs_one_request_and_a_full_last_one_another() {
    for (count, page_size, requests) in [
        (120, 50, 3),
        (100, 50, 3),
        (0, 50, 1),
        (1, 50, 1),
        (49, 50, 1),
        (50, 50, 2),
        (120, 7, 18),
        (119, 7, 18),
        (1_000, 1_000, 2),
        (98, 50, 2),
        // A page with one message less than asked may be full, too. A later page can show that the server does
        // not count the cursor.
        (99, 50, 3),
        (149, 50, 3),
    ] {
        let model = Model::documented(count);
        let expected = all(&model);
        let (client, transport) = Scripted::model(model);
        let mut stream = client.messages(CHAT).page_size(page_size).stream();
        let (messages, errors) = drain(&mut stream).await;
        assert_eq!((messages, errors.len()), (expected, 0));
        assert_eq!(transport.count(), requests, "{count} messages, {page_size} a page");
        assert_eq!(transport.limits(), vec![page_size; requests]);
        assert_eq!(stream.end(), Some(End::ReachedStart));
        let stats = stream.stats();
        assert_eq!((stats.requests, stats.messages), (requests as u64, count as u64));
        assert_eq!((stats.retries, stats.duplicates, stats.discarded), (0, 0, 0));
    }
}

#[tokio::test]
async fn the_cursor_is_the_oldest_message_of_the_page() {
    let (client, transport) = Scripted::model(Model::documented(5));
    drain(&mut client.messages(CHAT).page_size(2).stream()).await;
    let queries: Vec<String> =
        transport.urls().iter().map(|url| url.query().unwrap().to_owned()).collect();
    assert_eq!(
        queries,
        [
            "limit=2&beforeTime=253402300799999&beforeId=ffffffffffffffffffffffff".to_owned(),
            format!("limit=2&beforeTime=1030&beforeId={:024x}", 3),
            format!("limit=2&beforeTime=1010&beforeId={:024x}", 1),
        ]
    );
}

#[tokio::test]
async fn three_messages_of_a_long_chat_cost_one_request() {
    let (client, transport) = Scripted::model(Model::documented(10_000));
    let taken: Vec<Result<_, Error>> = client.messages(CHAT).stream().take(3).collect().await;
    assert_eq!(taken.len(), 3);
    assert_eq!(transport.count(), 1);
}

#[tokio::test]
async fn the_last_limit_is_trimmed_to_what_may_still_come() {
    let (client, transport) = Scripted::model(Model::documented(120));
    let mut stream = client.messages(CHAT).max_messages(60).stream();
    let (messages, _) = drain(&mut stream).await;
    assert_eq!(messages, (60..120).rev().collect::<Vec<_>>());
    assert_eq!(transport.limits(), [50, 10]);
    assert_eq!(stream.end(), Some(End::ReachedMax));

    let mut stream = client.messages(CHAT).max_messages(0).stream();
    assert_eq!(stream.end(), Some(End::ReachedMax));
    assert!(stream.next().await.is_none());
    assert_eq!(transport.count(), 2);

    // If `max_messages` is the number of messages in the chat, the end is the chat's beginning.
    let mut stream = client.messages(CHAT).page_size(200).max_messages(120).stream();
    drain(&mut stream).await;
    assert_eq!(transport.limits()[2..], [120]);
    assert_eq!(stream.end(), Some(End::ReachedMax));
    let mut stream = client.messages(CHAT).page_size(200).max_messages(121).stream();
    drain(&mut stream).await;
    // The answer has 120 messages of 121 asked for. No cap is known, so this long answer may have been cut off.
    // A limit of 1 might show nothing, if the server counts the cursor.
    assert_eq!(transport.limits()[3..], [121, 2]);
    assert_eq!(stream.end(), Some(End::ReachedStart));
}

#[tokio::test]
async fn since_costs_no_extra_request_and_both_bounds_are_inclusive() {
    let at = |index: i64| Timestamp::from_millis(1_000 + 10 * index);
    let (client, transport) = Scripted::model(Model::documented(120));
    let mut stream = client.messages(CHAT).since(at(75)).stream();
    assert_eq!(drain(&mut stream).await.0, (75..120).rev().collect::<Vec<_>>());
    assert_eq!((transport.count(), stream.end()), (1, Some(End::ReachedSince)));

    let mut stream = client.messages(CHAT).since(at(60)).until(at(90)).stream();
    assert_eq!(drain(&mut stream).await.0, (60..=90).rev().collect::<Vec<_>>());
    assert_eq!((transport.count(), stream.end()), (2, Some(End::ReachedSince)));
    let query = transport.urls()[1].query().unwrap().to_owned();
    // The cursor is a millisecond later. So under no reading does it leave out a message of that exact time.
    assert_eq!(query, "limit=50&beforeTime=1901&beforeId=ffffffffffffffffffffffff");
}

#[tokio::test]
async fn a_session_walk_starts_with_the_session_alone_and_pages_on_with_both() {
    let model = Model::documented(300);
    let expected: Vec<usize> = (0..300).rev().filter(|index| index % 3 == 0).collect();
    let (client, transport) = Scripted::model(model);
    let mut stream = client.messages(CHAT).bot_session(SESSION).page_size(40).stream();
    assert_eq!(drain(&mut stream).await.0, expected);
    let queries: Vec<String> =
        transport.urls().iter().map(|url| url.query().unwrap().to_owned()).collect();
    assert_eq!(
        queries,
        [
            "limit=40&botSessionId=session1".to_owned(),
            format!("limit=40&beforeTime=2800&beforeId={:024x}&botSessionId=session1", 180),
            format!("limit=40&beforeTime=1600&beforeId={:024x}&botSessionId=session1", 60),
        ]
    );
}

#[tokio::test]
async fn pages_grow_from_the_page_size_to_the_largest() {
    let (client, transport) = Scripted::model(Model::documented(100_000));
    let stream = client.messages(CHAT).page_size(50).max_page_size(1_000).stream();
    assert_eq!(stream.filter(|item| std::future::ready(item.is_ok())).count().await, 100_000);
    let limits = transport.limits();
    assert_eq!(limits[..6], [50, 100, 200, 400, 800, 1_000]);
    assert!(limits[6..].iter().all(|limit| *limit == 1_000));
    // There are 104 pages. The last is short, but long enough that a cap may have cut it off.
    assert_eq!(limits.len(), 105);
}

/// A chat without ties on a server that takes `limit` like this.
fn limited(limit_reading: LimitReading, count: usize) -> Model {
    Model::with(Rules { limit_reading, ..Rules::default() }, count)
}

#[tokio::test]
async fn growth_falls_back_for_good_to_what_the_server_gave() {
    let model = limited(LimitReading::Capped(150), 2_000);
    let expected = all(&model);
    let (client, transport) = Scripted::model(model);
    let mut stream = client.messages(CHAT).page_size(50).max_page_size(1_000).stream();
    assert_eq!(drain(&mut stream).await.0, expected);
    let limits = transport.limits();
    assert_eq!(limits[..3], [50, 100, 200]);
    assert!(limits[3..].iter().all(|limit| *limit == 150), "{limits:?}");
}

#[tokio::test]
async fn growth_halves_on_413_and_stays_there() {
    let model = limited(LimitReading::Refused { above: 300, status: 413 }, 2_000);
    let expected = all(&model);
    let (client, transport) = Scripted::model(model);
    let mut stream = client.messages(CHAT).page_size(50).max_page_size(1_000).stream();
    let (messages, errors) = drain(&mut stream).await;
    assert_eq!((messages, errors.len()), (expected, 0));
    let limits = transport.limits();
    assert_eq!(limits[..5], [50, 100, 200, 400, 200]);
    assert!(limits[5..].iter().all(|limit| *limit == 200), "{limits:?}");
}

#[tokio::test]
async fn a_413_to_the_page_size_itself_is_an_error() {
    let model = limited(LimitReading::Refused { above: 40, status: 413 }, 200);
    let (client, transport) = Scripted::model(model);
    let (messages, errors) = drain(&mut client.messages(CHAT).stream()).await;
    assert_eq!((messages.len(), transport.count()), (0, 1));
    assert_eq!(errors[0].status(), Some(413));
}

#[test]
fn a_pending_poll_sends_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let (client, transport) = Scripted::new(|_, _| Reply::Silence);
    let mut stream = task::spawn(client.messages(CHAT).stream());
    assert_eq!(transport.count(), 0);
    for _ in 0..3 {
        assert_pending!(stream.poll_next());
    }
    assert_eq!(transport.count(), 1);
}

#[test]
fn a_poll_outside_a_runtime_is_an_error_and_no_panic() {
    let (client, transport) = Scripted::new(|_, _| Reply::Silence);
    let mut stream = task::spawn(client.messages(CHAT).stream());
    let error = assert_ready!(stream.poll_next()).unwrap().unwrap_err();
    assert!(error.to_string().contains("tokio"), "{error}");
    assert_eq!(transport.count(), 0);
}
