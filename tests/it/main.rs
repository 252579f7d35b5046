//! The crate as its users see it: over HTTP, against the fake server.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A helper that cannot go on fails its test.

mod combinators;
mod connections;
mod directions;
mod examples;
mod export;
mod fake_texter;
mod faults;
mod hostile;
mod imports;
mod looks;
mod pace;
mod readings;
mod recipes;
mod runtimes;
mod traits;

use std::time::Duration;

use texter_history::testing::{Conversation, FakeChat, FakeMessage, FakeTexter, FakeTexterBuilder};
use texter_history::{Client, ClientBuilder, Message, RetryPolicy};

const CHAT: &str = "67bf11038b24880cc966f799";

/// So many messages, ascending.
fn conversation(count: usize) -> Vec<FakeMessage> {
    Conversation::seeded(11).messages(count).collect()
}

fn server_with(count: usize) -> FakeTexterBuilder {
    FakeTexter::builder().chat(FakeChat::new(CHAT).messages(conversation(count)))
}

fn client_of(server: &FakeTexter) -> ClientBuilder {
    Client::builder().base_url(server.base_url()).token(server.token())
}

/// Retries at once, so that tests over real sockets need not wait.
fn at_once() -> RetryPolicy {
    RetryPolicy::default().base_delay(Duration::ZERO)
}

fn ids(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.id.to_string()).collect()
}

/// The ids of a conversation, newest first, in the order of a server that keeps ties as given.
fn newest_first(conversation: &[FakeMessage]) -> Vec<String> {
    conversation.iter().rev().map(|message| message.id().to_owned()).collect()
}
