//! Keeps chats in a database: SQLite in one file, or PostgreSQL for many processes at once.
//!
//! ```text
//! cargo run -p archive                             # made-up messages from a built-in server
//! TEXTER_PROJECT=acme TEXTER_TOKEN=… cargo run -p archive -- 67bf11038b24880cc966f799
//! cargo run -p archive -- search invoice
//! ```
//!
//! Messages and the checkpoint behind them are written in the same transaction. So whenever the process dies, the table
//! holds each message up to the checkpoint, once, and the next run goes on from there.

mod archiver;
#[path = "../../common/mod.rs"]
mod common;
mod database;
mod renewal;
mod row;
mod words;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use texter_history::Timestamp;
use texter_history::testing::{Conversation, FakeMessage};
use tokio::sync::watch;

use archiver::{Archiver, Failure, Options, told};
use database::records::Found;
use database::{Database, Location};
use row::DELETED;

/// Keeps Texter chats in a database: messages, and where to go on.
///
/// A second run brings what is new since the first. Ctrl-C, a crash or a full disk at any moment loses no message and
/// writes none twice: run it again to go on.
///
/// Reads the service that TEXTER_PROJECT (or TEXTER_BASE_URL) and TEXTER_TOKEN name; without them, made-up messages from
/// a built-in server.
#[derive(Parser)]
#[command(
    after_help = "Exit codes: 0 all is there, 1 a chat or the database failed, 2 wrong arguments, 130 Ctrl-C."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The chats' _ids. Default: all chats that the archive already holds.
    #[arg(value_name = "CHAT")]
    chats: Vec<String>,
    /// A file for SQLite, or postgres://user:password@host/database, which many processes on many machines can share.
    /// Default: archive.sqlite; for made-up messages, made-up.sqlite.
    #[arg(long, global = true, env = "ARCHIVE_DATABASE", hide_env_values = true, value_parser = Location::parse)]
    database: Option<Location>,
    /// Goes on for ever: looks for new messages again so long after the last look. `--follow` alone: 30s.
    #[arg(long, value_name = "EVERY", value_parser = positive_time, num_args = 0..=1, require_equals = true,
        default_missing_value = "30s")]
    follow: Option<Duration>,
    /// How far behind the newest message to look for messages that arrive late. The server dates a message when it was
    /// written; it may appear hours later.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "1h")]
    lookback: Duration,
    /// Reads the messages of this last time again, such as 7d, and updates those that have changed: a status, an edit, a
    /// deletion (status 6). A message that the server no longer has stays as it is.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    refresh: Option<Duration>,
    /// With --follow, how often --refresh reads again.
    #[arg(long, value_name = "TIME", value_parser = positive_time, default_value = "1h")]
    refresh_every: Duration,
    /// How many chats are read at a time.
    #[arg(long, value_name = "CHATS", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    at_once: u16,
    /// How many requests of one chat may be under way at once.
    #[arg(long, value_name = "REQUESTS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// How many messages a request asks for.
    #[arg(long, value_name = "MESSAGES", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    page_size: u32,
    /// PostgreSQL only: how long after the death of a process another takes over the chats that it was reading.
    #[arg(long, value_name = "TIME", value_parser = positive_time, default_value = "30s")]
    lease: Duration,
}

#[derive(Subcommand)]
enum Command {
    /// Finds the messages that hold all of these words, newest first.
    ///
    /// A word finds those that begin with it. Capital letters, accents, Hebrew points and Arabic vowels make no
    /// difference.
    Search {
        #[arg(required = true)]
        words: Vec<String>,
        /// Only in this chat.
        #[arg(long)]
        chat: Option<String>,
        /// At most so many messages.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
}

/// Zero would be no pause at all.
fn positive_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time < Duration::from_millis(10) { Err("use at least 10ms".to_owned()) } else { Ok(time) }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Some(Command::Search { words, chat, limit }) => {
            search(arguments.database, &words, chat.as_deref(), limit).await
        }
        None => archive(arguments).await,
    };
    match outcome {
        Ok(code) => code,
        Err(error) => common::exit_code(Err(error)),
    }
}

async fn archive(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let mut chats = arguments.chats;
    let service = common::connect(|| made_up(&mut chats)).await?;
    let location = arguments.database.unwrap_or_else(|| default_location(service.fake.is_some()));
    let database = Database::open(&location, arguments.lease).await?;
    let name = database.name().to_owned();
    let failed = |error: sqlx::Error| {
        format!("{name}: {error}; what was written before is kept, run this again to go on")
    };
    if chats.is_empty() && database.count_chats().await.map_err(failed)? == 0 {
        database.close().await.map_err(failed)?;
        return Err("name the chats: their _ids are the arguments".into());
    }
    let options = Options {
        chats: Some(chats).filter(|chats| !chats.is_empty()),
        follow: arguments.follow,
        lookback: arguments.lookback,
        refresh: arguments.refresh,
        refresh_every: arguments.refresh_every,
        at_once: arguments.at_once.into(),
        page_size: arguments.page_size,
        concurrency: arguments.concurrency.into(),
    };

    let stop = watch::Sender::new(false);
    let interrupted = stop_when_interrupted(stop.clone());
    let archiver = Archiver::new(service.client, database, options, stop).await.map_err(failed)?;
    let outcome = archiver.run().await;
    let closed = archiver.close().await;
    let total = match outcome {
        Ok(total) => total,
        Err(Failure::Texter(error)) => return Err(error.into()),
        Err(Failure::Database(error)) => return Err(failed(error).into()),
    };
    closed.map_err(failed)?;
    say(&format!("{name}: {}", told(total.written, total.requests)));
    if let Some(code) = *interrupted.borrow() {
        common::tell("stopped; run it again to go on");
        return Ok(code.into());
    }
    if total.failed > 0 {
        let chats = if total.failed == 1 { "1 chat" } else { &format!("{} chats", total.failed) };
        return Err(format!("{chats} could not be read").into());
    }
    Ok(ExitCode::SUCCESS)
}

const ARCHIVE: &str = "archive.sqlite";

/// The made-up messages have a file of their own, so that they never get among real ones.
fn default_location(is_made_up: bool) -> Location {
    Location::File(if is_made_up { "made-up.sqlite" } else { ARCHIVE }.into())
}

/// Three chats for the built-in server, which are read if no other is named.
fn made_up(chats: &mut Vec<String>) -> Vec<(String, Vec<FakeMessage>)> {
    let ids = ["67bf11038b24880cc966f700", "67bf11038b24880cc966f701", "67bf11038b24880cc966f702"];
    if chats.is_empty() {
        *chats = ids.map(str::to_owned).to_vec();
    }
    let made_up = ids.into_iter().enumerate().map(|(number, id)| {
        let conversation = Conversation::seeded(number as u64).messages(1_000 * (number + 1));
        (id.to_owned(), conversation.chat_id(id).collect())
    });
    made_up.collect()
}

/// The first Ctrl-C (or SIGTERM) lets what is in hand be written and the chats be given back; a second one ends the
/// process at once, which is as safe. Holds the exit code once there was one.
fn stop_when_interrupted(stop: watch::Sender<bool>) -> watch::Receiver<Option<u8>> {
    let (told, interrupted) = watch::channel(None);
    tokio::spawn(async move {
        loop {
            let code = interruption().await;
            if stop.send_replace(true) {
                std::process::exit(code.into());
            }
            told.send_replace(Some(code));
        }
    });
    interrupted
}

/// Waits for a signal to stop and gives the exit code that it stands for.
async fn interruption() -> u8 {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            return tokio::select! {
                _ = tokio::signal::ctrl_c() => 130,
                _ = terminated.recv() => 143,
            };
        }
    }
    let _ = tokio::signal::ctrl_c().await;
    130
}

async fn search(
    database: Option<Location>,
    texts: &[String],
    chat: Option<&str>,
    limit: u32,
) -> Result<ExitCode, Box<dyn Error>> {
    let words: Vec<String> = texts.iter().flat_map(|text| words::words(text)).collect();
    if words.is_empty() {
        return Err("there is no word to search for: a word is made of letters and digits".into());
    }
    // To search one needs no token, so the variables do not tell which of the two files is meant.
    let is_made_up = !Path::new(ARCHIVE).exists();
    let location = database.unwrap_or_else(|| default_location(is_made_up));
    let database = Database::open_to_read(&location).await?;
    let found = database.search(&words, chat, limit.saturating_add(1)).await;
    let found = found.map_err(|error| format!("{}: {error}", database.name()))?;
    let _ = database.close().await;
    if found.is_empty() {
        common::tell(&format!("no message holds {}", texts.join(" ")));
    }
    if found.len() > limit as usize {
        common::tell(&format!("these are the newest {limit}; --limit shows more"));
    }
    for found in found.iter().take(limit as usize) {
        // `| head` is no error, a full disk is one.
        common::say(&line(found))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line(found: &Found) -> String {
    let arrow = match found.direction.as_deref() {
        Some("incoming") => "◀",
        Some("outgoing") => "▶",
        _ => "•",
    };
    let deleted = if found.status == Some(DELETED) { "(deleted) " } else { "" };
    let time = Timestamp::from_millis(found.timestamp);
    // What a customer wrote must not steer the terminal it is shown on.
    let shown = |letter: char| match letter {
        '\n' => " ⏎ ".to_owned(),
        letter if letter.is_control() => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    let text: String = found.text.chars().map(shown).collect();
    format!("{time}  {}  {arrow} {deleted}{text}", found.chat)
}

/// Prints a line of what was done. Where nobody reads it, what is in the database is there all the same.
fn say(line: &str) {
    let _ = common::say(line);
}
