//! The streams over a scripted transport: what they ask, when, and what they hand out.

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

/// The messages that the stream handed out, as indices into the model, and the errors between them.
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

/// The index of a message. The model writes it as the message's text.
fn index_of(message: &Message) -> usize {
    message.text.as_deref().unwrap().parse().unwrap()
}

/// All messages of a chat, newest first.
fn all(model: &Model) -> Vec<usize> {
    (0..model.messages.len()).rev().collect()
}
