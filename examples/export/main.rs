//! Writes whole chats to files of JSON Lines, and appends what is new when it is started again.
//!
//! ```text
//! cargo run --example export                       # made-up messages from a built-in server
//! TEXTER_PROJECT=acme TEXTER_TOKEN=… cargo run --example export -- 67bf11038b24880cc966f799
//! TEXTER_PROJECT=acme TEXTER_TOKEN=… cargo run --example export -- --folder chats 67bf… 68a1… 68b0…
//! ```

#[path = "../common/mod.rs"]
mod common;
mod output;
mod progress;
mod waits;

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use futures::{StreamExt, stream};
use serde_json::value::RawValue;
use texter_history::testing::Conversation;
use texter_history::{Checkpoint, Client, End, ErrorKind, MessageStream, Messages, Timestamp};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use common::Interrupted;
use common::files::{FileError, STANDARD};
use output::Output;
use progress::{ChatProgress, Progress};
use waits::Waits;

/// Writes whole Texter chats to files of JSON Lines: one message a line, as the server gave it, oldest first.
///
/// Started again with the same file, it appends what is new, and goes on where it was stopped. Beside the file lies its
/// checkpoint, `FILE.checkpoint`; keep the two together. Ctrl-C stops it cleanly, a second one at once; a crash or
/// `kill -9` at any moment loses no message and writes none twice.
///
/// Not appended are changes of messages that were written already (a status, an edit, a deletion).
///
/// Exit codes: 0 all there, 1 something failed, 2 wrong arguments, 130 interrupted.
#[derive(Parser)]
struct Arguments {
    /// The chats' _ids. Each is written to its own file, named after the _id.
    #[arg(value_name = "CHAT", value_parser = common::chat_id)]
    chats: Vec<String>,
    /// The file to write, for one chat; `-` for standard output, which no later run goes on from. Default: the chat's
    /// _id and `.jsonl`.
    #[arg(long, short, value_name = "FILE", conflicts_with = "folder")]
    output: Option<PathBuf>,
    /// The folder to write the files into; made if it is not there. Default: the current one.
    #[arg(long, short, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Write the newest message first. A later run goes on towards older messages only: it says up to which time the
    /// file is complete, and what is newer needs a file of its own.
    #[arg(long, conflicts_with_all = ["follow", "lookback"])]
    newest_first: bool,
    /// Go on for ever: look for new messages every 30 seconds, or as often as `--follow=10s` says. A failure that may
    /// pass is told and outlasted. All chats are followed at once.
    #[arg(long, value_name = "EVERY", num_args = 0..=1, require_equals = true, default_missing_value = "30s",
        conflicts_with = "until", value_parser = common::pause)]
    follow: Option<Duration>,
    /// Append messages that arrived late, too: with a time up to so long (such as 1h or 7d) before the newest message
    /// that was written. They come out of order. Give it with every run.
    #[arg(long, value_name = "TIME", value_parser = common::duration)]
    lookback: Option<Duration>,
    /// Leave out older messages: an RFC 3339 time, or a day such as 2025-01-31, from its beginning on (UTC). It holds for
    /// all later runs of the same file, and cannot be changed.
    #[arg(long, value_name = "TIME", value_parser = common::from_time)]
    since: Option<Timestamp>,
    /// Leave out newer messages: an RFC 3339 time, or a day, up to its end (UTC). It, too, holds for all later runs.
    #[arg(long, value_name = "TIME", value_parser = common::to_time)]
    until: Option<Timestamp>,
    /// Only the messages of this bot session.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// How many messages a request asks for.
    #[arg(long, value_name = "MESSAGES", default_value_t = 200)]
    page_size: u32,
    /// How many requests of one chat may be under way at once.
    #[arg(long, value_name = "REQUESTS", default_value_t = 1)]
    concurrency: usize,
    /// How many chats are read at once.
    #[arg(long, value_name = "CHATS", default_value_t = 4)]
    at_once: usize,
    /// How many messages are written between two checkpoints.
    #[arg(long, value_name = "MESSAGES", default_value_t = 1_000)]
    save_every: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit_code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::parse();
    let mut chats = std::mem::take(&mut arguments.chats);
    // The built-in server has every chat that it is asked for.
    let made_up = |id: &String| {
        let seed = id.bytes().map(u64::from).sum();
        (id.clone(), Conversation::seeded(seed).chat_id(id.as_str()).messages(3_000).collect())
    };
    let service = common::connect(|| match chats.is_empty() {
        true => common::conversation(5_000),
        false => chats.iter().map(made_up).collect(),
    })
    .await?;
    if chats.is_empty() {
        chats.push(service.chat(None)?);
    }
    let mut named = HashSet::new();
    if let Some(twice) = chats.iter().find(|chat| !named.insert(*chat)) {
        return Err(format!("the chat {twice} is named twice; name it once").into());
    }
    if chats.len() > 1 && arguments.output.is_some() {
        return Err("--output is for one chat; use --folder for several".into());
    }
    // The folder and those around it that are not there, the innermost first.
    let around = arguments.folder.iter().flat_map(|folder| folder.ancestors());
    let is_missing = |folder: &&Path| *folder != Path::new("") && !folder.exists();
    let made_folders: Vec<&Path> = around.take_while(is_missing).collect();
    if let Some(folder) = made_folders.first() {
        fs::create_dir_all(folder).map_err(FileError::of(folder))?;
    }

    let (interrupt, interrupted) = watch::channel(false);
    let mut ctrl_c = Box::pin(tokio::signal::ctrl_c());
    // The first poll is what makes Ctrl-C ours. An error means that this system knows none.
    if futures::poll!(&mut ctrl_c).is_pending() {
        tokio::spawn(async move {
            if ctrl_c.await.is_ok() {
                let _ = interrupt.send(true);
            }
            // The work may stand in a pipe that nobody reads. To end at once is as safe.
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        });
    }
    let waits = Waits::default();
    tracing::subscriber::set_global_default(waits.clone())?;
    let progress = Progress::new(chats.len(), waits);
    let at_once = if arguments.follow.is_some() { chats.len() } else { arguments.at_once.max(1) };
    let all = chats.len();
    let exports = chats.into_iter().map(|chat| {
        let export =
            Export { client: &service.client, chat, arguments: &arguments, progress: &progress };
        export.run(interrupted.clone())
    });
    let mut exports = stream::iter(exports).buffer_unordered(at_once);
    let (mut stopped, mut failed, mut last_failure) = (false, 0, None);
    while let Some(outcome) = exports.next().await {
        progress.done();
        match outcome {
            Ok((ended, summary)) => {
                stopped |= matches!(ended, Ended::Interrupted);
                // With the messages on standard output, what is said of them goes elsewhere.
                if arguments.output.as_deref().is_some_and(is_standard) {
                    progress.tell(&summary);
                } else if let Err(error) = progress.between(|| writeln!(io::stdout(), "{summary}"))
                    && error.kind() != io::ErrorKind::BrokenPipe
                {
                    return Err(FileError::of(Path::new(STANDARD))(error).into());
                }
            }
            // One chat that cannot be read costs none of the others.
            Err(error) if all == 1 => last_failure = Some(error),
            Err(error) => {
                failed += 1;
                progress.tell(&format!("error: {}", common::in_words(&*error)));
            }
        }
    }
    drop(exports);
    progress.finish();
    for folder in made_folders {
        // Succeeds only if nothing has been written into it.
        let _ = fs::remove_dir(folder);
    }
    match last_failure {
        Some(error) => Err(error),
        None if failed > 0 => Err(format!("{failed} of {all} chats failed").into()),
        None if stopped => Err(Interrupted("stopped; start again to go on").into()),
        None => Ok(()),
    }
}

fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// One chat on its way into its file.
struct Export<'a> {
    client: &'a Client,
    chat: String,
    arguments: &'a Arguments,
    progress: &'a Progress,
}

/// Why the work on a chat is over.
enum Ended {
    AllThere,
    Interrupted,
}

impl Export<'_> {
    /// Why it is over, and the line to say so.
    async fn run(
        self,
        mut interrupted: watch::Receiver<bool>,
    ) -> Result<(Ended, String), Box<dyn Error>> {
        let path = self.path();
        if *interrupted.borrow() {
            return Ok((Ended::Interrupted, format!("{}: not begun", path.display())));
        }
        let began = Timestamp::now();
        let (mut output, checkpoint) = match is_standard(&path) {
            true => (Output::standard(), None),
            false => Output::open(&path)?,
        };
        let before = checkpoint.is_some().then_some(output.messages);
        let mut progress = self.progress.chat(&self.chat);
        let stream = self.query(checkpoint, &path).map(Messages::stream_as::<Box<RawValue>>);
        let outcome = match stream {
            Ok(mut stream) => {
                if let Some(messages) = before {
                    let path = path.display();
                    self.progress.tell(&format!("{path}: going on behind {messages} messages"));
                }
                self.write(&mut stream, &mut output, &mut progress, &mut interrupted)
                    .await
                    .map(|ended| (ended, stream))
            }
            Err(error) => Err(error),
        };
        drop(progress);
        let messages = output.messages;
        let (ended, stream) = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                output.leave_nothing();
                return Err(error);
            }
        };
        let new =
            before.map(|before| format!(", {} of them new", messages - before)).unwrap_or_default();
        let requests = stream.stats().requests;
        let how = match ended {
            Ended::Interrupted => "stopped".to_owned(),
            Ended::AllThere => complete(&stream, began),
        };
        let path = path.display();
        let summary = format!("{path}: {messages} messages{new}, {requests} requests, {how}");
        Ok((ended, summary))
    }

    fn path(&self) -> PathBuf {
        match (&self.arguments.output, &self.arguments.folder) {
            (Some(output), _) => output.clone(),
            (None, folder) => {
                let name = format!("{}.jsonl", self.chat);
                folder.as_ref().map_or_else(|| name.clone().into(), |folder| folder.join(&name))
            }
        }
    }

    fn query(
        &self,
        checkpoint: Option<Checkpoint>,
        path: &Path,
    ) -> Result<Messages, Box<dyn Error>> {
        let arguments = self.arguments;
        let mut query = self.client.messages(self.chat.as_str()).page_size(arguments.page_size);
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
        query = match (arguments.newest_first, arguments.follow) {
            (true, _) => query,
            (false, None) => query.oldest_first(),
            (false, Some(every)) => query.follow(every),
        };
        if let Some(lookback) = arguments.lookback {
            query = query.lookback(lookback);
        }
        let Some(checkpoint) = checkpoint else { return Ok(query) };
        let path = path.display();
        // The checkpoint would keep the new bound, and every later run would leave out what lies beyond it.
        let bounds = [
            ("--since", arguments.since, checkpoint.since()),
            ("--until", arguments.until, checkpoint.until()),
        ];
        for (flag, wanted, begun) in bounds {
            if wanted.is_none() || wanted == begun {
                continue;
            }
            let begun = match begun {
                Some(begun) => format!("with {flag} {begun}; give the same, or name another file"),
                None => format!("without {flag}; leave it out, or name another file"),
            };
            return Err(format!("{path} was begun {begun}").into());
        }
        match (checkpoint.is_oldest_first(), arguments.newest_first) {
            (true, true) => Err(format!(
                "{path} was begun oldest first; leave out --newest-first, or name another file"
            )
            .into()),
            (false, false) => Err(format!(
                "{path} was begun newest first; give --newest-first, too, or name another file"
            )
            .into()),
            _ => Ok(query.resume_from(checkpoint)),
        }
    }

    async fn write(
        &self,
        stream: &mut MessageStream<Box<RawValue>>,
        output: &mut Output,
        progress: &mut ChatProgress<'_>,
        interrupted: &mut watch::Receiver<bool>,
    ) -> Result<Ended, Box<dyn Error>> {
        let begun_at = stream.checkpoint();
        let follow = self.arguments.follow;
        let mut moments = interval(Duration::from_millis(100));
        moments.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            let next = tokio::select! {
                biased;
                _ = interrupted.wait_for(|interrupted| *interrupted) => break Ok(Ended::Interrupted),
                next = stream.next() => next,
                _ = moments.tick() => {
                    if stream.is_caught_up() && output.unsaved > 0 {
                        output.save(&stream.checkpoint())?;
                    }
                    progress.silence(stream, output.messages, follow);
                    continue;
                }
            };
            match next {
                Some(Ok(message)) => output.write(message.get(), &begun_at)?,
                Some(Err(error)) if error.kind() == ErrorKind::MalformedMessage => {
                    self.progress.tell(&format!("{error}; written as it came"));
                    output.write(error.raw_message().unwrap_or("null"), &begun_at)?;
                }
                Some(Err(error)) if error.is_retryable() && follow.is_some() => {
                    let wait = follow.max(error.retry_after()).unwrap_or_default();
                    self.progress.tell(&format!("{error}; looks again in {wait:?}"));
                    output.save(&stream.checkpoint())?;
                    tokio::select! {
                        _ = interrupted.wait_for(|interrupted| *interrupted) => {}
                        () = sleep(wait) => {}
                    }
                    stream.resume();
                    continue;
                }
                // What came before it is kept, so that the next start need not ask for it again.
                Some(Err(error)) => break Err(error),
                None => break Ok(Ended::AllThere),
            }
            if output.unsaved >= self.arguments.save_every {
                output.save(&stream.checkpoint())?;
            }
            progress.message(stream, output.messages);
        };
        // A start that was refused has nothing to save.
        if ended.is_ok() || output.unsaved > 0 {
            output.save(&stream.checkpoint())?;
        }
        Ok(ended?)
    }
}

/// What a walk that came to its end is sure of: never more than that.
fn complete<T>(stream: &MessageStream<T>, began: Timestamp) -> String {
    let checkpoint = stream.checkpoint();
    let from = checkpoint.since().map(|since| format!(" from {since}")).unwrap_or_default();
    let newest = stream.newest_checkpoint().and_then(|newest| newest.cursor().map(|c| c.timestamp));
    match (stream.end(), newest) {
        (Some(End::ReachedUntil), _) => {
            let until = checkpoint.until().map_or(began, |until| until.min(began));
            format!("complete{from} up to {until}")
        }
        (Some(End::ReachedNewest), _) => format!("complete{from} as of {began}"),
        (_, Some(newest)) => format!("complete{from} up to {newest}"),
        (_, None) => "there are none".to_owned(),
    }
}
