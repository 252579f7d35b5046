//! Streams that outlive the runtime in which they were begun.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::runtime::{Builder, Runtime};
use tokio_test::{assert_pending, assert_ready, task};

use super::{all, drain};
use crate::error::{Error, ErrorKind};
use crate::message::Message;
use crate::retry::RetryPolicy;
use crate::stream::MessageStream;
use crate::transport::scripted::{Reply, Scripted, answer};
use crate::walk::End;
use crate::walk::model::{CHAT, Model};

/// A runtime whose clock stands still until everything waits.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// Polls until the request has got as far as it can.
fn poll_for_a_while(runtime: &Runtime, stream: MessageStream) -> MessageStream {
    runtime.block_on(async {
        let mut stream = task::spawn(stream);
        for _ in 0..10 {
            assert_pending!(stream.poll_next());
            tokio::task::yield_now().await;
        }
        stream.into_inner()
    })
}

fn poll_outside(stream: MessageStream) -> (MessageStream, Error) {
    let mut stream = task::spawn(stream);
    let error = assert_ready!(stream.poll_next()).unwrap().unwrap_err();
    assert!(assert_ready!(stream.poll_next()).is_none());
    (stream.into_inner(), error)
}

/// How far the second page has got when its runtime ends.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Sending,
    Reading,
    Waiting,
}

const STAGES: [Stage; 3] = [Stage::Sending, Stage::Reading, Stage::Waiting];

/// A stream that has handed out its first page in a runtime, and has got this far with the second page.
fn begun(
    runtime: &Runtime,
    stage: Stage,
    prefetch: usize,
) -> (MessageStream, std::sync::Arc<Scripted>) {
    let model = Model::documented(30);
    let attempts = if matches!(stage, Stage::Waiting) { 2 } else { 1 };
    let retry = RetryPolicy::default().max_attempts(attempts).jitter_seed(1);
    let (client, transport) = Scripted::with_retry(retry, move |ask, number| {
        let page = model.body(&model.answer(ask, number as u64).unwrap());
        match stage {
            _ if number != 1 => answer(&model, ask, number),
            Stage::Sending => Reply::Silence,
            Stage::Reading => Reply::in_pieces(&page, 300, Duration::from_secs(10)),
            Stage::Waiting => Reply::Status(503, None),
        }
    });
    let mut stream = client.messages(CHAT).page_size(10).prefetch(prefetch).stream();
    let first: Vec<_> = runtime.block_on(stream.by_ref().take(10).collect());
    assert!(first.iter().all(Result::is_ok));
    (poll_for_a_while(runtime, stream), transport)
}

#[test]
fn what_was_under_way_is_begun_anew_in_another_runtime() {
    for stage in STAGES {
        for (prefetch, dropped) in [(0, true), (0, false), (1, true), (2, true), (2, false)] {
            let mut old = Some(runtime());
            let (mut stream, transport) = begun(old.as_ref().unwrap(), stage, prefetch);
            if dropped {
                drop(old.take());
            }
            let (messages, errors) = runtime().block_on(drain(&mut stream));
            assert_eq!(errors.len(), 0, "{stage:?}, prefetch {prefetch}: {errors:?}");
            assert_eq!(messages, all(&Model::documented(30))[10..], "{stage:?}");
            assert_eq!(stream.end(), Some(End::ReachedStart));
            let (stats, urls) = (stream.stats(), transport.urls());
            assert_eq!(stats.requests, urls.len() as u64);
            // The page that was under way is asked for once more. So is the page asked for early, if there was
            // one.
            assert_eq!(urls.iter().filter(|url| **url == urls[1]).count(), 2, "{stage:?}");
            assert!(urls.len() <= 5, "{stage:?}, prefetch {prefetch}: {} requests", urls.len());
        }
    }
}

#[test]
fn a_wait_goes_on_where_it_was() {
    let old = runtime();
    let (mut stream, transport) = begun(&old, Stage::Waiting, 0);
    drop(old);
    let (_, errors) = runtime().block_on(drain(&mut stream));
    assert_eq!(errors.len(), 0);
    let times = transport.times();
    let waited = times[2] - times[1];
    assert!(
        (Duration::from_millis(50)..Duration::from_millis(501)).contains(&waited),
        "{waited:?}"
    );
}

#[test]
fn outside_of_any_runtime_it_is_an_error_and_resume_goes_on_in_one() {
    for stage in STAGES {
        for prefetch in [0, 1, 2] {
            let old = runtime();
            let (stream, transport) = begun(&old, stage, prefetch);
            drop(old);
            let asked = transport.count();
            let (mut stream, error) = poll_outside(stream);
            assert_eq!(error.kind(), ErrorKind::Transport);
            assert!(!error.is_retryable(), "or a loop of resume() would spin");
            let told = error.to_string();
            assert!(told.contains("tokio runtime") && !told.contains("network"), "{told}");
            assert_eq!((transport.count(), stream.end()), (asked, Some(End::Failed)));
            stream.resume();
            let (mut stream, _) = poll_outside(stream);
            stream.resume();
            let (messages, errors) = runtime().block_on(drain(&mut stream));
            assert_eq!(errors.len(), 0, "{stage:?}, prefetch {prefetch}: {errors:?}");
            assert_eq!(messages, all(&Model::documented(30))[10..], "{stage:?}");
        }
    }
}

#[test]
fn the_handle_of_a_runtime_that_is_gone_is_no_runtime() {
    for stage in STAGES {
        let old = runtime();
        let handle = old.handle().clone();
        let (stream, _) = begun(&old, stage, 1);
        drop(old);
        let _entered = handle.enter();
        let (_, error) = poll_outside(stream);
        assert!(error.to_string().contains("tokio runtime"), "{error}");
    }
}

#[test]
fn many_runtimes_in_turn_read_one_walk() {
    let model = Model::documented(30);
    let expected = all(&model);
    let (client, transport) = Scripted::model(model);
    let mut stream = client.messages(CHAT).page_size(7).prefetch(1).stream();
    let mut messages: Vec<Message> = Vec::new();
    while let Some(message) = runtime().block_on(stream.next()) {
        messages.push(message.unwrap());
    }
    assert_eq!(messages.iter().map(super::index_of).collect::<Vec<_>>(), expected);
    assert!(transport.count() < 12, "{}", transport.count());
}

#[test]
fn a_place_in_the_queue_goes_from_one_runtime_to_another() {
    let model = Model::documented(5);
    let (client, transport) = Scripted::model(model);
    let client = client.with_pace(0.2);
    let old = runtime();
    let mut first = client.messages(CHAT).stream();
    old.block_on(first.next()).unwrap().unwrap();
    let mut second = poll_for_a_while(&old, client.messages(CHAT).stream());
    drop(old);
    let (messages, errors) = runtime().block_on(drain(&mut second));
    assert_eq!((messages.len(), errors.len(), transport.count()), (5, 0, 2));
    assert!(second.stats().waited > Duration::from_secs(4), "{:?}", second.stats().waited);
}
