//! The streams over a scripted transport: what is asked, when, and what comes out.

mod checkpoints;
mod cost;
mod failure;
mod follow;
mod malformed;
mod outage;
mod pages;
mod prefetch;
mod property;
mod runtimes;
mod state;

use futures_util::StreamExt;

use crate::error::Error;
use crate::message::Message;
use crate::stream::MessageStream;
use crate::walk::model::Model;

/// Which messages of the model came out, as indices, and the errors between them.
async fn drain(stream: &mut MessageStream) -> (Vec<usize>, Vec<Error>) {
    let (mut messages, mut errors) = (Vec::new(), Vec::new());
    while let Some(item) = stream.next().await {
        match item {
            Ok(message) => messages.push(index_of(&message)),
            Err(error) => errors.push(error),
        }
    }
    (messages, errors)
}

/// The model writes every message's index as its text.
fn index_of(message: &Message) -> usize {
    message.text.as_deref().unwrap().parse().unwrap()
}

/// All messages of a chat, newest first.
fn all(model: &Model) -> Vec<usize> {
    (0..model.messages.len()).rev().collect()
}
