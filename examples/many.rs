//! Reads several chats at once over one client, so many at a time. The chats share the client's pace, because a rate limit
//! belongs to the token: after a refusal all of them wait, and then take turns.
//!
//! ```text
//! cargo run --example many                         # made-up chats from a built-in server
//! TEXTER_PROJECT=acme TEXTER_TOKEN=… cargo run --example many -- --requests-per-second 10 67bf… 68a1… 68b0…
//! ```

mod common;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use texter_history::testing::Conversation;
use texter_history::{Client, Stats};

/// Counts the messages of several chats at once.
#[derive(Parser)]
struct Arguments {
    /// The chats' _ids.
    chats: Vec<String>,
    /// How many chats are read at a time.
    #[arg(long, default_value_t = 4)]
    at_once: usize,
    /// How many messages a request asks for.
    #[arg(long, default_value_t = 200)]
    page_size: u32,
    /// How many requests go out in a second at the most, for all chats together; by default, as many as the server
    /// takes.
    #[arg(long)]
    requests_per_second: Option<f64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit_code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut chats = arguments.chats;
    let made_up = || {
        let made_up = (0..12usize).map(|number| {
            let id = format!("67bf11038b24880cc966f7{number:02}");
            let conversation = Conversation::seeded(number as u64).messages(100 * number);
            (id.clone(), conversation.chat_id(id).collect())
        });
        let made_up: Vec<_> = made_up.collect();
        if chats.is_empty() {
            chats = made_up.iter().map(|(id, _)| id.clone()).collect();
        }
        made_up
    };
    let service = common::connect_with(made_up, |client| match arguments.requests_per_second {
        Some(pace) => client.requests_per_second(pace),
        None => client,
    })
    .await?;
    if chats.is_empty() {
        return Err("name the chats: their _ids are the arguments".into());
    }

    let counting = chats.into_iter().map(|chat| {
        let query_size = arguments.page_size;
        let client = service.client.clone();
        async move { (count(&client, &chat, query_size).await, chat) }
    });
    let mut counted = stream::iter(counting).buffer_unordered(arguments.at_once.max(1));
    let (mut messages, mut requests, mut failed) = (0, 0, 0);
    let mut waited = Duration::ZERO;
    while let Some((outcome, chat)) = counted.next().await {
        match outcome {
            Ok(stats) => {
                let Stats { messages: read, requests: sent, .. } = stats;
                common::say(&format!("{chat}  {read:>8} messages  {sent:>5} requests"))?;
                messages += stats.messages;
                requests += stats.requests;
                waited += stats.waited;
            }
            // One chat that cannot be read costs none of the others.
            Err(error) => {
                failed += 1;
                common::tell(&format!("{chat}  {error}"));
            }
        }
    }
    if !waited.is_zero() {
        common::tell(&format!(
            "The chats waited {:.1} s for their turn, added up.",
            waited.as_secs_f64()
        ));
    }
    common::say(&format!("{messages} messages, {requests} requests, {failed} chats failed"))?;
    if failed == 0 { Ok(()) } else { Err(format!("{failed} chats could not be read").into()) }
}

async fn count(
    client: &Client,
    chat: &str,
    page_size: u32,
) -> Result<Stats, texter_history::Error> {
    let mut stream = client.messages(chat).page_size(page_size).skip_malformed().stream();
    while stream.try_next().await?.is_some() {}
    common::tell_of_malformed(&stream.stats());
    Ok(stream.stats())
}
