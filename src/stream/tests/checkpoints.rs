//! Each message has its checkpoint beside it, whichever combinator owns the stream.

use futures_core::{FusedStream, Stream};
use futures_util::stream::TryChunksError;
use futures_util::{StreamExt, TryStreamExt, future};

use super::{all, drain, index_of};
use crate::checkpoint::Checkpoint;
use crate::error::ErrorKind;
use crate::transport::scripted::{Reply, Scripted, answer};
use crate::walk::End;
use crate::walk::model::{CHAT, Model};

/// 60 messages, in groups of three that share a timestamp.
fn tied() -> Model {
    let mut model = Model::documented(60);
    for (index, message) in model.messages.iter_mut().enumerate() {
        message.time = 1_000 + 10 * (index as i64 / 3);
    }
    model
}

#[tokio::test]
async fn every_message_brings_the_checkpoint_behind_it() {
    let (client, _) = Scripted::model(tied());
    let query = || client.messages(CHAT).page_size(7);
    let mut plain = query().stream();
    let mut with = query().stream().with_checkpoints();
    let mut left: Vec<usize> = all(&tied());
    while let Some(next) = with.next().await {
        let (message, checkpoint) = next.unwrap();
        assert_eq!(plain.next().await.unwrap().unwrap(), message);
        assert_eq!(checkpoint, plain.checkpoint());
        assert_eq!(checkpoint, with.get_ref().checkpoint());
        assert_eq!(with.size_hint(), plain.size_hint());
        assert_eq!(with.is_terminated(), plain.is_terminated());
        assert_eq!(left.remove(0), index_of(&message));
        let rest = drain(&mut client.messages(CHAT).resume_from(checkpoint).stream()).await;
        assert_eq!((rest.0, rest.1.len()), (left.clone(), 0));
    }
    assert_eq!((left.len(), with.get_ref().end()), (0, Some(End::ReachedStart)));
    assert!(with.is_terminated() && with.next().await.is_none());
}

#[tokio::test]
async fn chunks_and_buffers_run_ahead_of_the_stream_and_not_of_its_messages() {
    let (client, _) = Scripted::model(tied());
    let mut chunks = client.messages(CHAT).stream().with_checkpoints().chunks(25);
    let first = chunks.next().await.unwrap();
    let (last, saved) = first.last().unwrap().as_ref().unwrap();
    assert_eq!(index_of(last), 35);
    let rest = drain(&mut client.messages(CHAT).resume_from(saved.clone()).stream()).await.0;
    assert_eq!(rest, all(&tied())[25..]);

    // Five messages are under way when the first is done.
    let work = |next: Result<(crate::Message, Checkpoint), _>| future::ready(next.unwrap());
    let mut buffered = client.messages(CHAT).stream().with_checkpoints().map(work).buffered(5);
    let (_, behind_first) = buffered.next().await.unwrap();
    let ahead = buffered.into_inner().into_inner();
    assert_eq!(ahead.get_ref().stats().messages, 5);
    let rest = drain(&mut client.messages(CHAT).resume_from(behind_first).stream()).await.0;
    assert_eq!(rest, all(&tied())[1..]);
}

#[tokio::test]
async fn an_error_moves_no_checkpoint_and_the_batch_before_it_is_kept() {
    let model = tied();
    let (client, _) = Scripted::new(move |ask, number| match number {
        2 => Reply::Status(503, None),
        _ => answer(&model, ask, number),
    });
    let mut batches =
        client.messages(CHAT).page_size(10).stream().with_checkpoints().try_chunks(15);
    let first = batches.next().await.unwrap().unwrap();
    assert_eq!(first.len(), 15);
    let Some(Err(TryChunksError(second, error))) = batches.next().await else {
        panic!("the third page fails");
    };
    assert_eq!(error.kind(), ErrorKind::Server);
    let (last, saved) = second.last().unwrap();
    let mut stream = batches.into_inner();
    assert_eq!(&stream.get_ref().checkpoint(), saved);
    assert_eq!(error.cursor().unwrap().id, last.id);
    stream.get_mut().resume();
    let rest: Vec<_> = stream.into_inner().try_collect().await.unwrap();
    let read: Vec<usize> = first
        .iter()
        .chain(&second)
        .map(|(message, _)| message)
        .chain(&rest)
        .map(index_of)
        .collect();
    assert_eq!(read, all(&tied()));
}

#[tokio::test]
async fn what_take_has_collected_is_dropped_by_an_error() {
    let model = tied();
    let (client, _) = Scripted::new(move |ask, number| match number {
        1 => Reply::Status(503, None),
        _ => answer(&model, ask, number),
    });
    let mut stream = client.messages(CHAT).page_size(10).stream();
    let collected: Result<Vec<_>, _> = stream.by_ref().take(20).try_collect().await;
    assert!(collected.is_err());
    // As the docs warn, the ten messages before the error count as handed out.
    stream.resume();
    assert_eq!(drain(&mut stream).await.0, all(&tied())[10..]);
}
