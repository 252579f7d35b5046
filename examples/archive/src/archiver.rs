//! Reads chats into the database: each as one that is claimed, read from its checkpoint to its newest message, and given
//! back. What is to be read next, and by which process, is the database's to say.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{StreamExt, future};
use serde_json::value::RawValue;
use texter_history::{Checkpoint, Client, ErrorKind, MessageStream, Messages, Timestamp};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep};

use crate::common::tell;
use crate::database::Database;
use crate::database::records::{Batch, Claim, Due, Written};
use crate::renewal::Renewal;
use crate::row::{Row, Unreadable};
use crate::say;

/// At most so many messages are written in one transaction.
const MOST_IN_BATCH: usize = 1_000;
/// How often a long read says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// How often to look whether a chat is due, or can be taken over.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Options {
    /// Without, all chats that the archive holds.
    pub(crate) chats: Option<Vec<String>>,
    pub(crate) follow: Option<Duration>,
    pub(crate) lookback: Duration,
    pub(crate) refresh: Option<Duration>,
    pub(crate) refresh_every: Duration,
    pub(crate) at_once: usize,
    pub(crate) page_size: u32,
    pub(crate) concurrency: usize,
}

pub(crate) struct Archiver {
    client: Client,
    database: Database,
    options: Options,
    /// Becomes `true` when this process is to stop.
    stop: watch::Sender<bool>,
    /// When the run began, by the database's clock, in epoch milliseconds, and by this machine's.
    began: (i64, Instant),
    chats: Mutex<Chats>,
    has_told_of_others: AtomicBool,
}

/// The chats that this process does not claim.
#[derive(Default)]
struct Chats {
    /// It has them already.
    busy: HashSet<String>,
    /// They failed, and are tried again at the given time, or not at all.
    failed: HashMap<String, Option<Instant>>,
    total: Totals,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) failed: usize,
    pub(crate) written: Written,
    pub(crate) requests: u64,
}

/// What has been read of one chat.
#[derive(Default)]
struct Read {
    written: Written,
    requests: u64,
}

enum Outcome {
    /// Up to the newest message.
    CaughtUp {
        refreshed: bool,
    },
    Stopped,
    /// Another process has the chat.
    ClaimLost,
}

/// What ends the reading of a chat, or of all of them.
pub(crate) enum Failure {
    Texter(texter_history::Error),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<texter_history::Error> for Failure {
    fn from(error: texter_history::Error) -> Self {
        Self::Texter(error)
    }
}

impl Archiver {
    pub(crate) async fn new(
        client: Client,
        database: Database,
        options: Options,
        stop: watch::Sender<bool>,
    ) -> sqlx::Result<Self> {
        database.add_chats(options.chats.as_deref().unwrap_or_default()).await?;
        let began = (database.now().await?, Instant::now());
        Ok(Self {
            client,
            database,
            options,
            stop,
            began,
            chats: Mutex::default(),
            has_told_of_others: AtomicBool::new(false),
        })
    }

    /// Reads until every chat has been read since the run began, by this process or by another; with `follow`, until it
    /// is stopped.
    pub(crate) async fn run(&self) -> Result<Totals, Failure> {
        let workers = (0..self.options.at_once.max(1)).map(|_| async {
            let worked = self.work().await;
            if worked.is_err() {
                // Whatever it is, the others have it, too; they give their chats back.
                self.stop.send_replace(true);
            }
            worked
        });
        let outcomes = future::join_all(workers).await;
        outcomes.into_iter().collect::<Result<(), Failure>>()?;
        let chats = self.chats.lock().await;
        Ok(Totals { failed: chats.failed.len(), ..chats.total })
    }

    pub(crate) async fn close(self) -> sqlx::Result<()> {
        self.database.close().await
    }

    async fn work(&self) -> Result<(), Failure> {
        while !self.is_stopped() {
            if let Some(claim) = self.claim().await? {
                self.read_claimed(&claim).await?;
            } else if self.options.follow.is_some() || self.others_are_reading().await? {
                let every = self.options.follow.unwrap_or(LOOK_EVERY).min(LOOK_EVERY);
                tokio::select! {
                    () = sleep(every) => {}
                    () = self.stopped() => {}
                }
            } else {
                break;
            }
        }
        Ok(())
    }

    async fn claim(&self) -> sqlx::Result<Option<Claim>> {
        // Held until the claim is noted, so that no sibling claims the same.
        let mut chats = self.chats.lock().await;
        let claim = self.database.claim(&self.due(&mut chats)).await?;
        if let Some(claim) = &claim {
            chats.busy.insert(claim.chat.clone());
        }
        Ok(claim)
    }

    async fn others_are_reading(&self) -> sqlx::Result<bool> {
        let due = self.due(&mut *self.chats.lock().await);
        let holders = self.database.holders(&due).await?;
        let is_anyone = !holders.is_empty();
        let named: Vec<String> = holders.into_iter().flatten().collect();
        if !named.is_empty() && !self.has_told_of_others.swap(true, Ordering::Relaxed) {
            tell(&format!("waiting for chats that are read by {}", named.join(" and ")));
        }
        Ok(is_anyone)
    }

    fn due(&self, chats: &mut Chats) -> Due<'_> {
        let (began, instant) = self.began;
        let elapsed = millis(instant.elapsed());
        // Since the run began, and then, with `follow`, once in each of its periods.
        let before = match self.options.follow {
            Some(every) => (began + elapsed).saturating_sub(millis(every)).max(began),
            None => began,
        };
        let now = Instant::now();
        chats.failed.retain(|_, again| again.is_none_or(|again| again > now));
        let except = chats.busy.iter().chain(chats.failed.keys()).cloned().collect();
        Due { chats: self.options.chats.as_deref(), except, before }
    }

    async fn read_claimed(&self, claim: &Claim) -> Result<(), Failure> {
        let mut read = Read::default();
        let outcome = self.read_chat(claim, &mut read).await;
        let settled = self.settle(claim, &read, outcome).await;
        self.chats.lock().await.busy.remove(&claim.chat);
        settled
    }

    /// First what is new, then what has changed.
    async fn read_chat(&self, claim: &Claim, read: &mut Read) -> Result<Outcome, Failure> {
        let query = |chat: &str| {
            let query = self.client.messages(chat).page_size(self.options.page_size);
            query.concurrency(self.options.concurrency)
        };
        let mut news = query(&claim.chat).oldest_first().lookback(self.options.lookback);
        match claim.checkpoint.as_ref().map(|line| line.parse::<Checkpoint>()) {
            Some(Ok(checkpoint)) => news = news.resume_from(checkpoint),
            // The table knows each message by its id, so the chat can be read anew.
            Some(Err(error)) => {
                let what = "reading it from its beginning";
                tell(&format!("{}  its checkpoint is {error}: {what}", claim.chat));
            }
            None => {}
        }
        let mut renewal = Renewal::of(claim);
        let outcome = Box::pin(self.read_stream(claim, news, true, &mut renewal, read)).await?;
        let Outcome::CaughtUp { .. } = outcome else { return Ok(outcome) };
        let Some(refresh) = self.refresh_due(claim) else { return Ok(outcome) };
        let since = Timestamp::now() - refresh;
        let since = query(&claim.chat).since(since);
        let outcome = Box::pin(self.read_stream(claim, since, false, &mut renewal, read)).await?;
        let Outcome::CaughtUp { .. } = outcome else { return Ok(outcome) };
        Ok(Outcome::CaughtUp { refreshed: true })
    }

    fn refresh_due(&self, claim: &Claim) -> Option<Duration> {
        let last = claim.refreshed_at.unwrap_or(i64::MIN);
        let every =
            if self.options.follow.is_some() { self.options.refresh_every } else { Duration::ZERO };
        // A time in the future is that of a clock that has been put right since.
        let is_due =
            claim.claimed_at.saturating_sub(millis(every)) >= last || last > claim.claimed_at;
        self.options.refresh.filter(|_| is_due)
    }

    /// Writes what a query brings, batch by batch: a batch is what is in hand, and so at most a few pages. With
    /// `keeps_checkpoint`, the checkpoint behind a batch is written in the batch's own transaction: whenever the process
    /// dies, the next one goes on right behind the last message that is in the table.
    ///
    /// It asks the stream for one checkpoint a batch, and so stands closer to the stream than `ready_chunks` over
    /// `with_checkpoints()`, which makes one a message: with a lookback, a checkpoint lists all ids within it.
    async fn read_stream(
        &self,
        claim: &Claim,
        query: Messages,
        keeps_checkpoint: bool,
        renewal: &mut Renewal,
        read: &mut Read,
    ) -> Result<Outcome, Failure> {
        let mut stream = query.stream_as::<Box<RawValue>>();
        let requests_before = read.requests;
        let mut told = Instant::now();
        loop {
            if renewal.is_due() && !renewal.renew(&self.database, claim).await? {
                return Ok(Outcome::ClaimLost);
            }
            let next = tokio::select! {
                biased;
                () = self.stopped() => return Ok(Outcome::Stopped),
                () = renewal.due() => continue,
                next = stream.next() => next,
            };
            let Some(next) = next else { break };
            let mut batch = Batch::default();
            let mut next = Some(next);
            while let Some(message) = next.take() {
                take(&mut batch, message)?;
                if batch.len() < MOST_IN_BATCH && stream.in_hand() > 0 {
                    next = stream.next().await;
                }
            }
            batch.checkpoint = keeps_checkpoint.then(|| stream.checkpoint().to_string());
            // A write renews the claim as it begins.
            renewal.is_renewed();
            let Some(written) = self.database.write(claim, &batch).await? else {
                return Ok(Outcome::ClaimLost);
            };
            read.written += written;
            read.requests = requests_before + stream.stats().requests;
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                tell_progress(&claim.chat, &stream, read);
            }
        }
        read.requests = requests_before + stream.stats().requests;
        Ok(Outcome::CaughtUp { refreshed: false })
    }

    /// Gives the chat back and says what came of it. An error is one that ends the run.
    async fn settle(
        &self,
        claim: &Claim,
        read: &Read,
        outcome: Result<Outcome, Failure>,
    ) -> Result<(), Failure> {
        let chat = &claim.chat;
        {
            let mut chats = self.chats.lock().await;
            chats.total.written += read.written;
            chats.total.requests += read.requests;
        }
        match outcome {
            Ok(Outcome::CaughtUp { refreshed }) => {
                self.database.finish(claim, refreshed).await?;
                if self.options.follow.is_none() || read.written != Written::default() {
                    say(&format!("{chat}  {}", told(read.written, read.requests)));
                }
            }
            Ok(Outcome::Stopped) => self.database.release(claim).await?,
            Ok(Outcome::ClaimLost) => tell(&format!("{chat}  taken over by another process")),
            Err(Failure::Database(error)) => {
                // It may fail for the same reason; then the lease runs out.
                let _ = self.database.release(claim).await;
                return Err(error.into());
            }
            Err(Failure::Texter(error)) => {
                self.database.release(claim).await?;
                if !error.is_retryable() {
                    self.database.forget_unread(chat).await?;
                }
                if matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Forbidden) {
                    return Err(error.into());
                }
                // One chat that cannot be read costs none of the others.
                tell(&error.to_string());
                let again = self.options.follow.filter(|_| error.is_retryable());
                let again = again.map(|every| Instant::now() + every);
                self.chats.lock().await.failed.insert(chat.clone(), again);
            }
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    async fn stopped(&self) {
        // The sender is here, so this cannot fail.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }
}

impl Batch {
    fn len(&self) -> usize {
        self.rows.len() + self.unreadable.len()
    }
}

fn take(
    batch: &mut Batch,
    message: Result<Box<RawValue>, texter_history::Error>,
) -> Result<(), texter_history::Error> {
    match message.map(|json| Row::read(&json)) {
        Ok(Ok(row)) => batch.rows.push(row),
        Ok(Err(unreadable)) => batch.unreadable.push(unreadable),
        Err(error) if error.kind() == ErrorKind::MalformedMessage => {
            let json = error.raw_message().unwrap_or("null").replace('\0', "\u{fffd}");
            batch.unreadable.push(Unreadable { json, reason: error.to_string() });
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

pub(crate) fn told(written: Written, requests: u64) -> String {
    let Written { new, changed, unreadable } = written;
    let requests = if requests == 1 { "1 request" } else { &format!("{requests} requests") };
    let mut told = format!("{new} new, {changed} changed, {requests}");
    if unreadable > 0 {
        told.push_str(&format!(", {unreadable} that cannot be read (see the table unreadable)"));
    }
    told
}

fn tell_progress(chat: &str, stream: &MessageStream<Box<RawValue>>, read: &Read) {
    let percent = stream.progress().unwrap_or(0.0) * 100.0;
    tell(&format!("{chat}  {percent:.0}%  {}", told(read.written, read.requests)));
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
