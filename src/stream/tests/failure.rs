//! What a failure costs: one `Err`, and nothing lost or repeated.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_core::FusedStream;
use futures_util::{FutureExt, StreamExt};

use super::{all, drain, index_of};
use crate::error::ErrorKind;
use crate::retry::RetryPolicy;
use crate::testing::rulebook::{LimitReading, Rules};
use crate::transport::scripted::{Reply, Scripted, answer};
use crate::walk::End;
use crate::walk::model::{CHAT, Model};

/// The default policy, with a seed whose waits stay within its two minutes.
fn seeded() -> RetryPolicy {
    RetryPolicy::default().jitter_seed(1)
}

#[tokio::test]
async fn a_failed_page_is_one_error_behind_the_messages_in_hand() {
    for prefetch in [0, 1, 3] {
        let model = Model::documented(30);
        let (client, transport) = Scripted::new(move |ask, number| match number {
            0 => answer(&model, ask, number),
            _ => Reply::Status(403, None),
        });
        let mut stream = client.messages(CHAT).page_size(10).prefetch(prefetch).stream();
        for index in (20..30).rev() {
            assert_eq!(index_of(&stream.next().await.unwrap().unwrap()), index);
            assert!(!stream.is_terminated());
        }
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Forbidden, 1));
        assert!(error.to_string().contains("View all chats"), "{error}");
        assert!(error.to_string().contains(CHAT), "{error}");
        assert!(stream.is_terminated());
        assert_eq!(stream.end(), Some(End::Failed));
        assert!(stream.progress().unwrap() < 1.0);
        for _ in 0..5 {
            assert!(stream.next().await.is_none());
        }
        assert_eq!(transport.count(), 2);
    }
}

#[tokio::test]
async fn ignoring_errors_does_not_spin() {
    let (client, transport) = Scripted::new(|_, _| Reply::Status(403, None));
    let stream = client.messages(CHAT).stream();
    let count = stream.filter_map(|item| std::future::ready(item.ok())).count().await;
    assert_eq!((count, transport.count()), (0, 1));
}

/// Every page fails once, in every possible way, one after another.
#[tokio::test]
async fn resume_goes_on_after_a_failure_of_every_page_and_at_every_byte() {
    let mut model = Model::documented(40);
    for tied in 10..25 {
        model.messages[tied].time = 1_100;
    }
    let expected = all(&model).len();
    for cut in (0..400).step_by(3) {
        let model = model.clone();
        let fails = AtomicBool::new(false);
        let (client, _) = Scripted::new(move |ask, number| {
            let page = model.answer(ask, number as u64).unwrap();
            let body = model.body(&page);
            if fails.fetch_xor(true, Ordering::SeqCst) {
                return Reply::body(body);
            }
            match cut % 4 {
                0 => Reply::Broken,
                1 => Reply::Status(503, None),
                _ => Reply::Cut(body.as_bytes()[..cut.min(body.len())].to_vec().into()),
            }
        });
        let mut stream = client.messages(CHAT).page_size(9).stream();
        let (mut messages, mut failures) = (Vec::new(), 0);
        loop {
            let (some, errors) = drain(&mut stream).await;
            messages.extend(some);
            match stream.end() {
                Some(End::Failed) => {
                    failures += 1;
                    assert_eq!(errors.len(), 1);
                    stream.resume();
                    assert!(!stream.is_terminated());
                }
                end => {
                    assert_eq!(end, Some(End::ReachedStart));
                    break;
                }
            }
        }
        assert_eq!(messages.len(), expected);
        messages.sort_unstable();
        messages.dedup();
        assert_eq!(messages.len(), expected, "cut at {cut}");
        assert!(failures > 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_is_retried_and_its_counters_start_afresh() {
    let model = Model::documented(30);
    let expected = all(&model);
    let policy = RetryPolicy::default().max_attempts(3).jitter_seed(1);
    let (client, transport) = Scripted::with_retry(policy, move |ask, number| match number % 3 {
        0 => Reply::Status(503, None),
        1 => Reply::Broken,
        _ => answer(&model, ask, number),
    });
    let mut stream = client.messages(CHAT).page_size(20).stream();
    let (messages, errors) = drain(&mut stream).await;
    assert_eq!((messages, errors.len()), (expected, 0));
    assert_eq!(transport.limits(), [20; 6]);
    let stats = stream.stats();
    assert_eq!((stats.requests, stats.retries), (6, 4));
    let times = transport.times();
    let wait = |index: usize| times[index + 1] - times[index];
    let (base, twice) = (Duration::from_millis(501), Duration::from_millis(1_001));
    assert!(wait(0) < base && wait(1) < twice && wait(3) < base && wait(4) < twice, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_good_says_how_often_it_was_tried() {
    let (client, transport) = Scripted::with_retry(seeded(), |_, _| Reply::Status(502, None));
    let (_, errors) = drain(&mut client.messages(CHAT).stream()).await;
    assert_eq!((transport.count(), errors.len()), (10, 1));
    assert_eq!((errors[0].attempts(), errors[0].status()), (10, Some(502)));
    assert!(errors[0].is_retryable());
    assert!(errors[0].to_string().contains("10 attempts"), "{}", errors[0]);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed_up_to_its_cap() {
    let model = Model::documented(1);
    let (client, transport) =
        Scripted::with_retry(RetryPolicy::default(), move |ask, number| match number {
            0 => Reply::Status(429, Some(Duration::from_secs(37))),
            1 => Reply::Status(429, Some(Duration::from_secs(61))),
            _ => answer(&model, ask, number),
        });
    let mut stream = client.messages(CHAT).stream();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::RateLimited, 2));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(61)));
    let times = transport.times();
    let waited = times[1] - times[0];
    assert!(waited >= Duration::from_secs(37) && waited < Duration::from_secs(38), "{waited:?}");
    stream.resume();
    assert_eq!(drain(&mut stream).await.0, [0]);
}

#[tokio::test(start_paused = true)]
async fn only_what_may_be_cured_is_retried() {
    for (status, retried) in [
        (201, false),
        (204, false),
        (206, false),
        (302, false),
        (400, false),
        (401, false),
        (404, false),
        (408, true),
        (418, false),
        (429, true),
        (500, true),
        (501, false),
        (502, true),
        (503, true),
        (504, true),
        (599, false),
    ] {
        let (client, transport) =
            Scripted::with_retry(seeded(), move |_, _| Reply::Status(status, None));
        let (_, errors) = drain(&mut client.messages(CHAT).stream()).await;
        match (status, retried) {
            // Refusals count by the time they take, not as attempts.
            (429, _) => assert!((5..15).contains(&transport.count()), "{}", transport.count()),
            (_, true) => assert_eq!(transport.count(), 10, "{status}"),
            (_, false) => assert_eq!(transport.count(), 1, "{status}"),
        }
        assert_eq!((errors[0].status(), errors[0].is_retryable()), (Some(status), retried));
    }
    for body in ["<html>busy</html>", "", "{}", r#"{"messages":7}"#, r#"{"messages":[{"_id""#] {
        let (client, transport) =
            Scripted::with_retry(RetryPolicy::default(), move |_, _| Reply::body(body));
        let (_, errors) = drain(&mut client.messages(CHAT).stream()).await;
        assert_eq!((errors[0].kind(), transport.count()), (ErrorKind::MalformedPage, 1), "{body}");
        assert!(!errors[0].is_retryable());
    }
}

#[tokio::test(start_paused = true)]
async fn silence_and_dripping_are_ended_by_the_timeout() {
    let second = Duration::from_secs(1);
    for drips in [false, true] {
        let reply = move || match drips {
            true => Reply::in_pieces(&" ".repeat(1_000), 1, second),
            false => Reply::Silence,
        };
        let policy = RetryPolicy::default().max_attempts(2).max_elapsed(1_000 * second);
        let (client, transport) = Scripted::with_retry(policy, move |_, _| reply());
        let (_, errors) = drain(&mut client.messages(CHAT).stream()).await;
        assert_eq!((errors[0].kind(), transport.count()), (ErrorKind::Timeout, 2));
        let times = transport.times();
        // The attempt takes a minute, and the back-off follows.
        let between = times[1] - times[0];
        assert!(between >= 60 * second && between < 61 * second, "{between:?}");
    }
}

#[tokio::test]
async fn the_body_cap_is_counted_as_it_arrives() {
    let megabyte = || " ".repeat(1024 * 1024);
    let endless = move |_: &crate::walk::Ask, _: usize| Reply::Pieces {
        status: 200,
        pieces: vec![megabyte().into(); 100],
        pause: Duration::ZERO,
    };
    let (client, transport) = Scripted::with_retry(RetryPolicy::default(), endless);
    let mut stream = client.messages(CHAT).stream();
    let (_, errors) = drain(&mut stream).await;
    assert_eq!((errors[0].kind(), transport.count()), (ErrorKind::BodyTooLarge, 1));
    assert_eq!(stream.stats().bytes, 65 * 1024 * 1024);
}

#[tokio::test]
async fn one_bad_message_costs_itself_alone() {
    let mut model = Model::documented(40);
    for index in [3, 17, 18, 39] {
        model.messages[index].readable = false;
    }
    for page_size in [1, 2, 5, 50] {
        let (client, _) = Scripted::model(model.clone());
        let mut stream = client.messages(CHAT).page_size(page_size).stream();
        let mut order = Vec::new();
        while let Some(item) = stream.next().await {
            order.push(match item {
                Ok(message) => index_of(&message),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::MalformedMessage);
                    let raw: serde_json::Value =
                        serde_json::from_str(error.raw_message().unwrap()).unwrap();
                    let text = raw["text"].as_str().unwrap();
                    assert!(!format!("{error} {error:?}").contains(&format!("\"{text}\"")));
                    text.parse().unwrap()
                }
            });
        }
        assert_eq!(order, all(&model), "{page_size} a page");
        assert_eq!(stream.end(), Some(End::ReachedStart));
        assert_eq!(stream.stats().messages, 36);
    }
}

/// A poll finds nothing yet. Then nobody polls for a long time. Then the answer comes.
#[tokio::test(start_paused = true)]
async fn time_in_which_nobody_polls_is_not_the_server_s() {
    const AWAY: Duration = Duration::from_secs(600);
    let pause = Duration::from_millis(10);
    for breaks in [false, true] {
        let model = Model::documented(30);
        let expected = all(&model);
        let retry = RetryPolicy::default().jitter_seed(1);
        let (client, transport) = Scripted::with_retry(retry, move |ask, number| {
            let page = model.answer(ask, number as u64).unwrap();
            match number {
                0 if breaks => Reply::Late(AWAY, Box::new(Reply::Broken)),
                _ => Reply::Late(pause, Box::new(Reply::in_pieces(&model.body(&page), 99, pause))),
            }
        });
        let mut stream = client.messages(CHAT).stream();
        assert!(stream.next().now_or_never().is_none());
        tokio::time::advance(AWAY).await;
        let (messages, errors) = drain(&mut stream).await;
        assert_eq!((messages, errors.len()), (expected, 0), "breaks: {breaks}");
        assert_eq!(transport.count(), if breaks { 2 } else { 1 });
    }
}

/// Away for most of a minute, then back: the attempt's minute is not over.
///
/// ```text
/// polled   0 ... 5 s                     59.5 s ............ 95 s
/// server   |                                                 answers
/// ```
#[tokio::test(start_paused = true)]
async fn an_attempt_has_all_of_its_time_from_those_who_poll() {
    let second = Duration::from_secs(1);
    for (prefetch, concurrency, drips) in
        [(0, 1, false), (0, 1, true), (1, 1, false), (2, 1, true), (0, 4, false), (0, 4, true)]
    {
        let model = Model::documented(30);
        let expected = all(&model);
        let (client, transport) = Scripted::new(move |ask, number| {
            let body = model.body(&model.answer(ask, number as u64).unwrap());
            match (number, drips) {
                (0, false) => Reply::Late(95 * second, Box::new(Reply::body(body))),
                // Ten pieces, one every five seconds, while somebody takes them.
                (0, true) => Reply::in_pieces(&body, body.len().div_ceil(10), 5 * second),
                _ => Reply::body(body),
            }
        });
        let mut stream = client
            .messages(CHAT)
            .page_size(20)
            .prefetch(prefetch)
            .concurrency(concurrency)
            .stream();
        let polls = tokio::time::timeout(5 * second, stream.next());
        assert!(polls.await.is_err(), "nothing yet");
        tokio::time::advance(Duration::from_millis(54_500)).await;
        let (messages, errors) = drain(&mut stream).await;
        assert_eq!(
            (messages, errors.len()),
            (expected, 0),
            "prefetch {prefetch}, concurrency {concurrency}, drips {drips}"
        );
        assert_eq!(stream.stats().retries, 0);
        assert!(transport.count() <= 3);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_polls_now_and_then_makes_no_timeout() {
    let second = Duration::from_secs(1);
    let (client, transport) = Scripted::new(|_, _| Reply::Silence);
    let mut stream = client.messages(CHAT).stream();
    for _ in 0..100 {
        assert!(stream.next().now_or_never().is_none());
        tokio::time::advance(7 * second).await;
    }
    // From now on, all of the minute is left but the pieces whose end was noticed in time. None was.
    let began = tokio::time::Instant::now();
    let (_, errors) = drain(&mut stream).await;
    assert_eq!((errors[0].kind(), transport.count()), (ErrorKind::Timeout, 1));
    assert!((60..62).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_retry_gets_what_is_left_of_the_page_s_time() {
    let policy = RetryPolicy::default().max_elapsed(Duration::from_secs(90)).jitter_seed(1);
    let (client, transport) = Scripted::with_retry(policy, |_, _| Reply::Silence);
    let began = tokio::time::Instant::now();
    let (_, errors) = drain(&mut client.messages(CHAT).stream()).await;
    assert_eq!((errors[0].kind(), errors[0].attempts()), (ErrorKind::Timeout, 2));
    assert_eq!((transport.count(), began.elapsed().as_secs()), (2, 90));
}

/// A page fails, and another process goes on from the checkpoint taken after the `Err`.
#[tokio::test]
async fn a_checkpoint_taken_after_a_failure_goes_on_in_another_process() {
    for prefetch in [0, 1, 3] {
        for failing in 0..6 {
            let mut model = Model::documented(60);
            for tied in 20..33 {
                model.messages[tied].time = model.messages[20].time;
            }
            let whole = model.clone();
            let (client, _) = Scripted::new(move |ask, number| match number {
                number if number == failing => Reply::Status(403, None),
                _ => answer(&model, ask, number),
            });
            let mut stream = client.messages(CHAT).page_size(9).prefetch(prefetch).stream();
            let (mut messages, errors) = drain(&mut stream).await;
            assert_eq!((errors.len(), stream.end()), (1, Some(End::Failed)));
            let line = stream.checkpoint().to_string();

            let (client, _) = Scripted::model(whole.clone());
            let rest = client.messages(CHAT).resume_from(line.parse().unwrap()).page_size(13);
            let (rest, errors) = drain(&mut rest.stream()).await;
            messages.extend(rest);
            assert_eq!(errors.len(), 0);
            messages.sort_unstable();
            assert_eq!(
                messages,
                (0..60).collect::<Vec<_>>(),
                "page {failing}, prefetch {prefetch}"
            );
        }
    }
}

#[tokio::test]
async fn resume_goes_on_behind_whatever_failed() {
    let model = Model::documented(30);
    for bad in [
        r#"{"messages":[{"_id":"a"#.to_owned(),
        "<html>".to_owned(),
        format!(r#"{{"messages":[{}1]}}"#, "1,".repeat(20_000)),
        " ".repeat(65 * 1024 * 1024),
    ] {
        let model = model.clone();
        let (client, _) = Scripted::new(move |ask, number| match number {
            1 | 3 => Reply::body(bad.clone()),
            _ => answer(&model, ask, number),
        });
        let mut stream = client.messages(CHAT).page_size(12).prefetch(1).stream();
        let (mut messages, mut failures) = (Vec::new(), 0);
        while stream.end() != Some(End::ReachedStart) {
            let (some, errors) = drain(&mut stream).await;
            messages.extend(some);
            failures += errors.len();
            stream.resume();
        }
        assert_eq!((messages, failures), ((0..30).rev().collect(), 2));
    }
}

#[tokio::test]
async fn a_run_of_unreadable_messages_as_long_as_the_cap_is_no_end() {
    for (cap, unreadable) in [(10, 100..160), (50, 100..150), (20, 280..300)] {
        let limit_reading = LimitReading::Capped(cap);
        let mut model = Model::with(Rules { limit_reading, ..Rules::default() }, 300);
        for message in &mut model.messages[unreadable.clone()] {
            message.readable = false;
        }
        for page_size in [10, 50, 200] {
            let (client, _) = Scripted::model(model.clone());
            let mut stream = client.messages(CHAT).page_size(page_size).stream();
            let (messages, errors) = drain(&mut stream).await;
            assert_eq!(messages, (unreadable.end..300).rev().collect::<Vec<_>>());
            let last = errors.last().unwrap();
            assert_eq!(last.kind(), ErrorKind::Stalled, "cap {cap}, {page_size} a page: {last}");
            assert!(last.attempts() == 1 && last.to_string().contains("until()"), "{last}");
            assert_eq!(stream.end(), Some(End::Failed));
            // The server has not changed, so the stream stalls again.
            stream.resume();
            let (messages, errors) = drain(&mut stream).await;
            assert_eq!((messages.len(), errors.last().unwrap().kind()), (0, ErrorKind::Stalled));
        }
    }
}

#[tokio::test]
async fn an_unreadable_message_is_named_by_the_cursor_it_stands_behind() {
    let mut model = Model::documented(30);
    model.messages[5].readable = false;
    let (client, _) = Scripted::model(model);
    let (_, errors) = drain(&mut client.messages(CHAT).page_size(20).stream()).await;
    let error = &errors[0];
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::MalformedMessage, 1));
    let told = format!("chat {CHAT} before 1970-01-01T00:00:01.1Z ({:024x}): ", 10);
    assert!(error.to_string().starts_with(&told), "{error}");
}

#[tokio::test]
async fn an_announced_length_over_the_cap_is_refused_before_the_body() {
    const MOST: u64 = 64 * 1024 * 1024;
    let model = Model::documented(3);
    let (client, _) = Scripted::new(move |ask, number| {
        let length = if number == 0 { MOST + 1 } else { MOST };
        Reply::Announced(length, Box::new(answer(&model, ask, number)))
    });
    let mut stream = client.messages(CHAT).stream();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), stream.stats().bytes), (ErrorKind::BodyTooLarge, 0));
    stream.resume();
    assert_eq!(drain(&mut stream).await.0, [2, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_error_says_how_long_it_took() {
    let second = Duration::from_secs(1);
    let (client, _) =
        Scripted::new(move |_, _| Reply::Late(7 * second, Box::new(Reply::body("x"))));
    let (_, errors) = drain(&mut client.messages(CHAT).stream()).await;
    assert_eq!(errors[0].kind(), ErrorKind::MalformedPage);
    assert!(errors[0].to_string().contains("after 1 attempt in 7.0 s"), "{}", errors[0]);
}
