//! Pages asked for early: how many, in what order, and what happens after a wrong guess.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};

use super::{all, drain, index_of};
use crate::error::ErrorKind;
use crate::testing::rulebook::{PageOrder, Rules};
use crate::transport::scripted::{Reply, Scripted, answer};
use crate::walk::model::{CHAT, Model};

const PAUSE: Duration = Duration::from_millis(100);

/// Takes the next message, so that everything that needs no waiting arrives.
async fn settle(stream: &mut crate::MessageStream) -> Option<usize> {
    stream.next().await.map(|message| index_of(&message.unwrap()))
}

#[tokio::test]
async fn at_most_so_many_pages_wait() {
    for prefetch in [0, 1, 2, 5] {
        let (client, transport) = Scripted::model(Model::documented(1_000));
        let mut stream = client.messages(CHAT).page_size(10).prefetch(prefetch).stream();
        assert_eq!(transport.count(), 0);
        for handed_out in 1..=100 {
            settle(&mut stream).await;
            // One page in hand, and the pages that wait.
            let pages = (handed_out - 1) / 10 + 1 + prefetch;
            assert!(transport.count() <= pages, "{} of {pages}", transport.count());
            assert!(stream.in_hand() <= 10 * (prefetch + 1));
        }
        assert_eq!(transport.count(), 10 + prefetch);
        assert_eq!(stream.in_hand(), 10 * prefetch);
        drop(stream);
        assert_eq!(transport.count(), 10 + prefetch);
    }
}

#[tokio::test]
async fn it_costs_no_request_more_than_a_walk_without() {
    for (count, requests) in [(0, 1), (95, 10), (100, 11), (1, 1)] {
        let model = Model::documented(count);
        let expected = all(&model);
        let (client, transport) = Scripted::model(model);
        let mut stream = client.messages(CHAT).page_size(10).prefetch(2).stream();
        assert_eq!(drain(&mut stream).await.0, expected);
        assert_eq!(transport.count(), requests, "{count}");
    }
}

/// A server whose pages arrive in pieces, a message or so each.
fn slow(model: Model) -> impl Fn(&crate::walk::Ask, usize) -> Reply + Send + Sync {
    move |ask, number| {
        let page = model.answer(ask, number as u64).unwrap();
        Reply::Late(PAUSE, Box::new(Reply::in_pieces(&model.body(&page), 80, PAUSE)))
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_request_leaves_when_the_first_message_has_arrived() {
    let model = Model::documented(100);
    let expected = all(&model);
    let (client, transport) = Scripted::new(slow(model.clone()));
    let mut stream = client.messages(CHAT).page_size(20).prefetch(1).stream();
    let (messages, errors) = drain(&mut stream).await;
    assert_eq!((messages, errors.len(), stream.stats().discarded), (expected, 0, 0));
    assert_eq!(transport.count(), 6);
    let times = transport.times();
    // Nothing is known of the chat before the first answer.
    let page = times[1] - times[0];
    assert!(page > 10 * PAUSE, "{page:?}");
    assert!(times[2] - times[1] <= 4 * PAUSE, "{times:?}, a page takes {page:?}");

    let (client, plain) = Scripted::new(slow(model));
    drain(&mut client.messages(CHAT).page_size(20).stream()).await;
    let (early, plain) = (times[5] - times[0], plain.times()[5] - plain.times()[0]);
    assert!(early < plain.mul_f64(0.7), "{early:?} {plain:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_guess_is_discarded_and_counted() {
    for page_order in [PageOrder::Descending, PageOrder::Shuffled(7)] {
        let model = Model::with(Rules { page_order, ..Rules::default() }, 100);
        let expected = all(&model);
        let (client, transport) = Scripted::new(slow(model));
        let mut stream = client.messages(CHAT).page_size(20).prefetch(1).stream();
        let (messages, errors) = drain(&mut stream).await;
        assert_eq!((messages, errors.len()), (expected, 0), "{page_order:?}");
        let stats = stream.stats();
        assert!(stats.discarded > 0);
        assert_eq!(stats.requests, transport.count() as u64);
        assert_eq!(stats.requests, 6 + stats.discarded);
    }
}

#[tokio::test(start_paused = true)]
async fn no_head_start_without_room_for_its_page() {
    let (client, transport) = Scripted::new(slow(Model::documented(100)));
    let mut stream = client.messages(CHAT).page_size(20).stream();
    drain(&mut stream).await;
    let times = transport.times();
    for index in 0..4 {
        assert!(times[index + 1] - times[index] > 10 * PAUSE);
    }
}

#[tokio::test(start_paused = true)]
async fn no_head_start_while_its_page_would_be_one_too_many() {
    for prefetch in [1, 2] {
        let (client, transport) = Scripted::new(slow(Model::documented(400)));
        let mut stream = client.messages(CHAT).page_size(20).prefetch(prefetch).stream();
        for handed_out in 1..=300_usize {
            // Enough time for much of a page to arrive while there are messages in hand.
            tokio::time::sleep(10 * PAUSE).await;
            settle(&mut stream).await;
            let pages = handed_out.div_ceil(20) + prefetch;
            assert!(transport.count() <= pages, "{} of {pages}", transport.count());
        }
        assert_eq!(transport.count(), 15 + prefetch);
    }
}

#[tokio::test]
async fn a_page_stream_has_pages_waiting_too() {
    for prefetch in [0, 2] {
        let (client, transport) = Scripted::model(Model::documented(100));
        let mut pages = client.messages(CHAT).page_size(10).prefetch(prefetch).pages();
        for handed_out in 1..=5 {
            assert_eq!(pages.next().await.unwrap().unwrap().messages.len(), 10);
            assert_eq!(transport.count(), handed_out + prefetch);
        }
    }
}

#[tokio::test]
async fn an_early_page_s_error_waits_behind_the_messages_in_hand() {
    let model = Model::documented(100);
    let (client, transport) = Scripted::new(move |ask, number| match number {
        2 => Reply::Status(404, None),
        _ => answer(&model, ask, number),
    });
    let mut stream = client.messages(CHAT).page_size(10).prefetch(5).stream();
    for handed_out in 1..=20 {
        assert_eq!(settle(&mut stream).await, Some(100 - handed_out));
    }
    assert_eq!(transport.count(), 3, "nothing is asked for behind a failure");
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(stream.next().await.is_none());
    stream.resume();
    assert_eq!(drain(&mut stream).await.0, (0..80).rev().collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn the_checkpoint_does_not_run_ahead() {
    let model = Model::documented(60);
    let (client, _) = Scripted::new(slow(model));
    let mut stream = client.messages(CHAT).page_size(10).prefetch(3).stream();
    for handed_out in 1..=25 {
        settle(&mut stream).await;
        let checkpoint = stream.checkpoint();
        let cursor = checkpoint.cursor().unwrap();
        assert_eq!(cursor.timestamp.as_millis(), 1_000 + 10 * (60 - handed_out));
    }
    let checkpoint = stream.checkpoint();
    // Dropping the stream aborts what is under way.
    assert!(stream.next().now_or_never().is_some());
    drop(stream);
    let mut rest = client.messages(CHAT).resume_from(checkpoint).stream();
    assert_eq!(drain(&mut rest).await.0, (0..35).rev().collect::<Vec<_>>());
}
