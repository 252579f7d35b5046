//! Prints a conversation, newest message first.
//!
//! ```text
//! cargo run --example history                      # made-up messages from a built-in server
//! TEXTER_PROJECT=acme TEXTER_TOKEN=… cargo run --example history -- 67bf11038b24880cc966f799
//! ```

mod common;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use futures::TryStreamExt;
use texter_history::{Direction, Message, MessageKind, Stats, Timestamp};

/// Prints a Texter conversation, newest message first.
///
/// Reads the service that TEXTER_PROJECT (or TEXTER_BASE_URL) and TEXTER_TOKEN name; without them, made-up
/// messages from a built-in server.
#[derive(Parser)]
struct Arguments {
    /// The chat's _id.
    chat: Option<String>,
    /// How many messages a request asks for.
    #[arg(long, default_value_t = 50)]
    page_size: u32,
    /// Leave out older messages: an RFC 3339 time, or a day such as 2025-01-31, from its beginning on (UTC).
    #[arg(long, value_parser = common::from_time)]
    since: Option<Timestamp>,
    /// Leave out newer messages: an RFC 3339 time, or a day, up to its end (UTC).
    #[arg(long, value_parser = common::to_time)]
    until: Option<Timestamp>,
    /// Only the messages of this bot session.
    #[arg(long)]
    session: Option<String>,
    /// At most this many messages.
    #[arg(long)]
    count: Option<usize>,
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit_code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let service = common::connect(|| common::conversation(230)).await?;

    let mut query =
        service.client.messages(service.chat(arguments.chat)?).page_size(arguments.page_size);
    if let Some(since) = arguments.since {
        query = query.since(since);
    }
    if let Some(until) = arguments.until {
        query = query.until(until);
    }
    if let Some(session) = arguments.session {
        query = query.bot_session(session);
    }
    if let Some(count) = arguments.count {
        query = query.max_messages(count);
    }

    let mut stream = query.skip_malformed().stream();
    let (mut requests, mut pages) = (0, 0);
    while let Some(message) = stream.try_next().await? {
        if stream.stats().requests > requests {
            requests = stream.stats().requests;
            pages += 1;
        }
        common::say(&line(&message))?;
    }
    let stats = stream.stats();
    common::tell_of_malformed(&stats);
    let Stats { messages, requests, .. } = stats;
    common::say(&format!("{messages} messages in {pages} pages, {requests} requests"))?;
    Ok(())
}

fn line(message: &Message) -> String {
    let (arrow, who) = match &message.direction {
        Some(Direction::Incoming) => ("◀", "customer"),
        Some(Direction::Outgoing) => {
            ("▶", message.agent.as_ref().map_or("agent", |agent| agent.as_str()))
        }
        _ => ("•", if message.is_system() { "system" } else { "?" }),
    };
    let line = format!("{arrow} {who:<10}  {}", summary(message));
    format!("{}  {}", message.timestamp, without_controls(&line))
}

/// What a customer wrote must not steer the terminal it is shown on.
fn without_controls(line: &str) -> String {
    let shown = |c: char| match c {
        '\n' => " ⏎ ".to_owned(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    line.chars().map(shown).collect()
}

/// The text, or one line that says what the message is.
fn summary(message: &Message) -> String {
    let text = message.text.clone();
    let joined = |parts: Vec<&str>| parts.join(", ");
    let detail = match message.kind {
        Some(MessageKind::Media) => message.media.as_ref().map(|media| {
            joined(media.iter().filter_map(|m| Some(m.media_type.as_ref()?.as_str())).collect())
        }),
        Some(MessageKind::Buttons) => message.buttons.as_ref().map(|buttons| {
            joined(
                buttons.iter().filter_map(|button| Some(button.title.as_ref()?.as_str())).collect(),
            )
        }),
        Some(MessageKind::List) => {
            message.list.as_ref().and_then(|list| Some(list.button.as_ref()?.to_string()))
        }
        Some(MessageKind::Postback) => message
            .postback
            .as_ref()
            .and_then(|p| Some(p.title.as_ref().or(p.payload.as_ref())?.to_string())),
        Some(MessageKind::Contacts) => {
            message.contacts.as_ref().map(|contacts| format!("{} contacts", contacts.len()))
        }
        _ if message.is_system() => {
            message.new_chat_status.map(|status| format!("the chat became {status}"))
        }
        _ => None,
    };
    match (&message.kind, text, detail) {
        (Some(MessageKind::Text), Some(text), _) => text,
        (kind, text, detail) => {
            let kind = kind.as_ref().map_or("system", |kind| kind.as_str());
            let parts = [text, detail].into_iter().flatten().collect::<Vec<_>>().join(" · ");
            format!("[{kind}] {parts}").trim_end().to_owned()
        }
    }
}
