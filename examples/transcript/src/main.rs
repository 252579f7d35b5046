//! Writes a whole chat as one HTML file that people can read.
//!
//! ```text
//! cargo run -p transcript                          # a made-up conversation from a built-in server
//! TEXTER_PROJECT=acme TEXTER_TOKEN=… cargo run -p transcript -- 67bf11038b24880cc966f799
//! ```

#[path = "../../common/mod.rs"]
mod common;
mod days;
mod demo;
mod message;
mod page;
mod parts;
mod replies;
mod text;
mod written;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use futures::StreamExt;
use jiff::tz::TimeZone;
use texter_history::{Messages, Timestamp};

use common::Interrupted;
use days::{Entry, by_day};
use page::Page;
use written::Written;

/// Writes a whole Texter chat as one HTML file: to read, to search, to print.
///
/// The file needs no network and runs no script. Messages are streamed oldest first, so a chat of any length needs
/// little memory. The file takes its place in one step, when all of it is there; a transcript of an earlier run is
/// replaced, any other file is not.
///
/// Exit codes: 0 all there, 1 something failed, 2 wrong arguments, 130 interrupted; then the file is as it was before.
#[derive(Parser)]
struct Arguments {
    /// The chat's _id.
    #[arg(value_name = "CHAT", value_parser = common::chat_id)]
    chat: Option<String>,
    /// The file to write; `-` for standard output. Default: the chat's _id and `.html`.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What the customer is called. Default: the customer's account at the channel, such as a telephone number.
    #[arg(long, value_name = "NAME")]
    customer: Option<String>,
    /// In which time zone days and times are shown, such as Asia/Jerusalem. Default: UTC.
    #[arg(long, value_name = "ZONE", value_parser = time_zone)]
    time_zone: Option<TimeZone>,
    /// Leave out older messages: an RFC 3339 time, or a day such as 2025-01-31, from its beginning on (UTC).
    #[arg(long, value_name = "TIME", value_parser = common::from_time)]
    since: Option<Timestamp>,
    /// Leave out newer messages: an RFC 3339 time, or a day, up to its end (UTC).
    #[arg(long, value_name = "TIME", value_parser = common::to_time)]
    until: Option<Timestamp>,
    /// Only the messages of this bot session.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// How many messages a request asks for.
    #[arg(long, value_name = "MESSAGES", default_value_t = 200)]
    page_size: u32,
    /// How many requests may be under way at once.
    #[arg(long, value_name = "REQUESTS", default_value_t = 1)]
    concurrency: usize,
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name)
        .map_err(|_| "write a name such as Asia/Jerusalem or Europe/Berlin".to_owned())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    common::exit_code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let service =
        common::connect(|| vec![(common::FAKE_CHAT.to_owned(), demo::conversation())]).await?;
    let chat = service.chat(arguments.chat.clone())?;
    let path = arguments.output.clone().unwrap_or_else(|| format!("{chat}.html").into());
    let query = query(service.client.messages(chat.as_str()), &arguments);
    // The built-in conversation's customer has a name.
    let demo = service.fake.as_ref().map(|_| demo::CUSTOMER.to_owned());
    let page =
        Page::new(&chat, arguments.customer.or(demo), arguments.time_zone.unwrap_or(TimeZone::UTC));

    let mut written = Written::open(&path)?;
    let interrupted = pin!(tokio::signal::ctrl_c());
    let written_all = tokio::select! {
        biased;
        _ = interrupted => Err(Interrupted("stopped; the file is as it was before").into()),
        done = write(query, page, &mut written) => done,
    };
    let said = match written_all {
        Ok(said) => said,
        Err(error) => {
            written.discard();
            return Err(error);
        }
    };
    written.keep()?;
    if path == Path::new("-") {
        common::tell(&said);
    } else {
        common::say(&format!("{}: {said}", path.display()))?;
    }
    Ok(())
}

fn query(mut query: Messages, arguments: &Arguments) -> Messages {
    query = query.oldest_first().page_size(arguments.page_size);
    query = query.prefetch(1).concurrency(arguments.concurrency);
    if let Some(since) = arguments.since {
        query = query.since(since);
    }
    if let Some(until) = arguments.until {
        query = query.until(until);
    }
    if let Some(session) = &arguments.session {
        query = query.bot_session(session.as_str());
    }
    query
}

/// The page, piece by piece. What to say of it in the end.
async fn write(
    query: Messages,
    mut page: Page,
    written: &mut Written,
) -> Result<String, Box<dyn Error>> {
    let mut stream = query.stream();
    let zone = page.time_zone().clone();
    let (mut messages, mut unreadable, mut told) = (0_u64, 0_u64, Instant::now());
    {
        let mut entries = pin!(by_day(&mut stream, &zone));
        while let Some(entry) = entries.next().await {
            let piece = match entry? {
                Entry::Message { message, begins } => {
                    messages += 1;
                    page.message(&message, begins)
                }
                Entry::Unreadable(error) => {
                    unreadable += 1;
                    page.unreadable(&error)
                }
            };
            written.write(&piece)?;
            if told.elapsed() > Duration::from_secs(2) {
                told = Instant::now();
                common::tell(&format!("{messages} messages so far"));
            }
        }
    }
    written.write(&page.end(messages, unreadable))?;
    let requests = stream.stats().requests;
    let odd = match unreadable {
        0 => String::new(),
        unreadable => format!(", {unreadable} more that cannot be read"),
    };
    Ok(format!("{messages} messages{odd}, {requests} requests"))
}
