//! Finds the message that a status webhook speaks of, and stops at once.
//!
//! A webhook about a status change carries only the provider's id (page "Message Status Changed"); the way
//! to the message is to walk its chat until `channelInfo.id` matches.
//!
//! ```text
//! cargo run --example find                         # a made-up message from a built-in server
//! TEXTER_PROJECT=acme TEXTER_TOKEN=… cargo run --example find -- wamid.HBgM… 67bf11038b24880cc966f799
//! ```

mod common;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use futures::{StreamExt, TryStreamExt, future};
use texter_history::Message;

/// Finds a message by the provider's id, as a status webhook carries it.
#[derive(Parser)]
struct Arguments {
    /// The provider's message id, such as `wamid.HBgM…`. With the built-in server: one that it has.
    provider_id: Option<String>,
    /// The chat's _id.
    chat: Option<String>,
    /// Give up after this many messages.
    #[arg(long, default_value_t = 100_000)]
    count: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit_code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut built_in = None;
    let service = common::connect(|| {
        let chats = common::conversation(1_000);
        // The last text message among the newest 300.
        built_in = chats[0].1[700..].iter().find_map(|message| {
            message.to_value()["channelInfo"]["id"].as_str().map(str::to_owned)
        });
        chats
    })
    .await?;
    let wanted = arguments.provider_id.or(built_in).ok_or("name the provider's message id")?;
    let chat = service.chat(arguments.chat)?;

    // Pages grow, so that a message far back costs few requests and a recent one a small page.
    let query = service.client.messages(chat).page_size(50).max_page_size(500);
    let mut stream = query.max_messages(arguments.count).skip_malformed().stream();
    let is_wanted = |message: &Message| future::ready(message.provider_id() == Some(&wanted));
    let found = stream.by_ref().try_filter(is_wanted).try_next().await?;

    let stats = stream.stats();
    common::tell_of_malformed(&stats);
    let cost = format!("after {} messages, {} requests", stats.messages, stats.requests);
    match found {
        Some(message) => {
            let json = serde_json::to_string_pretty(&message)?;
            common::say(&format!("found {wanted} {cost}:\n{json}"))?;
            Ok(())
        }
        None => Err(format!("there is no message {wanted} {cost}").into()),
    }
}
