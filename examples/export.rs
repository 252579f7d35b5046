//! Writes a whole chat to a file of JSON Lines, newest message first, and goes on where it stopped.
//!
//! ```text
//! cargo run --example export                       # made-up messages from a built-in server
//! TEXTER_PROJECT=acme TEXTER_TOKEN=… cargo run --example export -- 67bf11038b24880cc966f799
//! ```
//!
//! Beside the output lies a checkpoint file that says how many bytes of the output it stands for. Messages
//! are on the disk before the checkpoint that counts them, and the checkpoint is replaced in one step; what
//! a crash leaves behind those bytes is cut off by the next start. So a crash at any byte loses no message
//! and writes none twice.

mod common;

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::value::RawValue;
use texter_history::{Checkpoint, ErrorKind, MessageStream};

/// Writes a whole Texter chat to a file of JSON Lines, newest message first.
///
/// Started again, it goes on where it stopped. Ctrl-C stops it cleanly.
#[derive(Parser)]
struct Arguments {
    /// The chat's _id.
    chat: Option<String>,
    /// The file to write; the checkpoint lies beside it. Default: the chat's _id and `.jsonl`.
    #[arg(long, short)]
    output: Option<PathBuf>,
    /// How many messages a request asks for.
    #[arg(long, default_value_t = 200)]
    page_size: u32,
    /// How many messages are written between two checkpoints.
    #[arg(long, default_value_t = 1_000)]
    save_every: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit_code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let service = common::connect(|| common::conversation(5_000)).await?;
    let chat = service.chat(arguments.chat)?;
    let path = arguments.output.unwrap_or_else(|| format!("{chat}.jsonl").into());
    let mut output = Output::open(&path)?;

    let mut query = service.client.messages(chat).page_size(arguments.page_size).prefetch(1);
    if let Some(checkpoint) = output.checkpoint.clone() {
        eprintln!("{}: going on behind {} messages", path.display(), output.messages);
        query = query.resume_from(checkpoint);
    }
    let mut stream = query.stream_as::<Box<RawValue>>();
    // Before the first message, so that the file is known for ours whenever a crash comes.
    output.save(&stream.checkpoint())?;
    let mut report = Report::new();
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let outcome = loop {
        let next = tokio::select! {
            biased;
            _ = &mut interrupted => break Ok("stopped; start again to go on"),
            next = stream.next() => next,
        };
        match next {
            Some(Ok(message)) => output.write(message.get())?,
            Some(Err(error)) if error.kind() == ErrorKind::MalformedMessage => {
                eprintln!("{error}; written as it came");
                output.write(error.raw_message().unwrap_or("null"))?;
            }
            // What came before it is kept, so that the next start need not ask for it again.
            Some(Err(error)) => break Err(error),
            None => break Ok("complete"),
        }
        if output.unsaved >= arguments.save_every {
            output.save(&stream.checkpoint())?;
        }
        report.show(&stream, output.messages);
    };
    output.save(&stream.checkpoint())?;
    report.finish();
    let how = outcome?;
    let requests = stream.stats().requests;
    println!("{}: {} messages, {requests} requests, {how}", path.display(), output.messages);
    Ok(())
}

/// The file of messages, and the checkpoint beside it.
struct Output {
    file: BufWriter<File>,
    bytes: u64,
    messages: u64,
    /// Messages that no checkpoint stands for yet.
    unsaved: u64,
    checkpoint: Option<Checkpoint>,
    checkpoint_path: PathBuf,
}

/// What the checkpoint file holds.
#[derive(serde::Serialize, serde::Deserialize)]
struct Saved {
    /// How much of the output the checkpoint stands for.
    bytes: u64,
    messages: u64,
    checkpoint: Checkpoint,
}

impl Output {
    fn open(path: &Path) -> Result<Self, Box<dyn Error>> {
        let mut checkpoint_path = path.as_os_str().to_owned();
        checkpoint_path.push(".checkpoint");
        let checkpoint_path = PathBuf::from(checkpoint_path);
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        let length = file.metadata()?.len();
        let json = match fs::read(&checkpoint_path) {
            Ok(json) => Some(json),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if json.is_none() && length > 0 {
            return Err(format!("{} is there already; name another file", path.display()).into());
        }
        let saved: Option<Saved> = match json.map(|json| serde_json::from_slice(&json)).transpose()
        {
            // Of a start that wrote nothing there is nothing to go on from: the next may be for another chat.
            Ok(saved) => saved.filter(|saved: &Saved| saved.bytes > 0),
            Err(_) if length == 0 => None,
            Err(error) => return Err(format!("{}: {error}", checkpoint_path.display()).into()),
        };
        let bytes = saved.as_ref().map_or(0, |saved| saved.bytes);
        if length < bytes {
            let checkpoint = checkpoint_path.display();
            return Err(format!("{checkpoint} is not of this file; remove one of the two").into());
        }
        // What follows was written after the last checkpoint and will come again.
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        Ok(Self {
            file: BufWriter::with_capacity(1 << 16, file),
            bytes,
            messages: saved.as_ref().map_or(0, |saved| saved.messages),
            unsaved: 0,
            checkpoint: saved.map(|saved| saved.checkpoint),
            checkpoint_path,
        })
    }

    fn write(&mut self, json: &str) -> io::Result<()> {
        // Outside of strings, where alone JSON has bare line ends, a space is as good.
        let line = json.replace(['\n', '\r'], " ");
        self.file.write_all(line.as_bytes())?;
        self.file.write_all(b"\n")?;
        self.bytes += line.len() as u64 + 1;
        self.messages += 1;
        self.unsaved += 1;
        Ok(())
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), Box<dyn Error>> {
        self.file.flush()?;
        self.file.get_ref().sync_data()?;
        let checkpoint = checkpoint.clone();
        let saved = Saved { bytes: self.bytes, messages: self.messages, checkpoint };
        let new = self.checkpoint_path.with_extension("checkpoint.new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&saved)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.checkpoint_path)?;
        // The new name, too, has to outlive a crash of the machine.
        #[cfg(unix)]
        File::open(
            self.checkpoint_path.parent().filter(|p| *p != Path::new("")).unwrap_or(Path::new(".")),
        )?
        .sync_all()?;
        self.unsaved = 0;
        Ok(())
    }
}

/// Shows how far it is: a bar on a terminal, else a line now and then.
struct Report {
    bar: Option<ProgressBar>,
    began: Instant,
    shown: Instant,
    since_start: u64,
    /// How far the walk was when this process first looked.
    first_share: Option<f64>,
}

impl Report {
    const EVERY: Duration = Duration::from_millis(200);

    fn new() -> Self {
        let style = "{bar:40} {percent:>3}%  {msg}";
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(10_000);
            bar.set_style(
                ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_bar()),
            );
            bar
        });
        let now = Instant::now();
        Self { bar, began: now, shown: now, since_start: 0, first_share: None }
    }

    fn show<T>(&mut self, stream: &MessageStream<T>, messages: u64) {
        self.since_start += 1;
        let share = stream.progress().unwrap_or(0.0);
        let first_share = *self.first_share.get_or_insert(share);
        let pause = if self.bar.is_some() { Self::EVERY } else { 10 * Self::EVERY };
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let elapsed = self.began.elapsed().as_secs_f64();
        let rate = self.since_start as f64 / elapsed.max(0.001);
        // The share is one of the chat's time, and so is the estimate that is made from it.
        let walked = share - first_share;
        let left = match walked > 0.0 {
            true => format!("about {:.0} s left", elapsed * (1.0 - share) / walked),
            false => "time left unknown".to_owned(),
        };
        let text = format!("{messages} messages, {rate:.0}/s, {left}");
        match &self.bar {
            Some(bar) => {
                bar.set_position((share * 10_000.0) as u64);
                bar.set_message(text);
            }
            None => eprintln!("{:.0}%  {text}", share * 100.0),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
