//! Where the archive lies: SQLite in one file, or PostgreSQL for many processes at once.

mod postgres;
pub(crate) mod records;
mod sqlite;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use postgres::Postgres;
use records::{Batch, Claim, Due, Found, Result, Written};
use sqlite::Sqlite;

/// What `--database` names.
#[derive(Clone)]
pub(crate) enum Location {
    File(PathBuf),
    Postgres(String),
}

impl Location {
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, String> {
        match text.split_once("://") {
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(text.to_owned())),
            Some(_) => Err("this is neither postgres://… nor the path of a file".to_owned()),
            None if text.is_empty() => Err("name a file, or postgres://…".to_owned()),
            None => Ok(Self::File(text.into())),
        }
    }
}

pub(crate) enum Database {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

macro_rules! either {
    ($self:ident, $database:ident => $what:expr) => {
        match $self {
            Self::Sqlite($database) => $what,
            Self::Postgres($database) => $what,
        }
    };
}

impl Database {
    /// Opens the archive to write, and makes it where there is none.
    pub(crate) async fn open(
        location: &Location,
        lease: Duration,
    ) -> std::result::Result<Self, Box<dyn Error>> {
        Ok(match location {
            Location::File(path) => Self::Sqlite(Sqlite::open(path).await?),
            Location::Postgres(url) => Self::Postgres(Postgres::open(url, lease).await?),
        })
    }

    /// Opens an archive to look into.
    pub(crate) async fn open_to_read(
        location: &Location,
    ) -> std::result::Result<Self, Box<dyn Error>> {
        Ok(match location {
            Location::File(path) => Self::Sqlite(Sqlite::open_to_read(path).await?),
            Location::Postgres(url) => Self::Postgres(Postgres::connect(url).await?),
        })
    }

    /// Ends the work with it. Without, SQLite leaves what was written last in a file beside its own.
    pub(crate) async fn close(self) -> Result<()> {
        match self {
            Self::Sqlite(database) => database.close().await,
            Self::Postgres(database) => {
                database.close().await;
                Ok(())
            }
        }
    }

    /// What to call it in an error: never with a password.
    pub(crate) fn name(&self) -> &str {
        either!(self, database => database.name())
    }

    /// The time by the database's clock, in epoch milliseconds.
    pub(crate) async fn now(&self) -> Result<i64> {
        either!(self, database => database.now().await)
    }

    pub(crate) async fn add_chats(&self, chats: &[String]) -> Result<()> {
        either!(self, database => database.add_chats(chats).await)
    }

    pub(crate) async fn count_chats(&self) -> Result<i64> {
        either!(self, database => database.count_chats().await)
    }

    /// Takes the chat that was read the longest ago, if any is due that no other process has.
    pub(crate) async fn claim(&self, due: &Due<'_>) -> Result<Option<Claim>> {
        either!(self, database => database.claim(due).await)
    }

    /// Which processes have the chats that are due; `None` for one that has just been given back.
    pub(crate) async fn holders(&self, due: &Due<'_>) -> Result<Vec<Option<String>>> {
        match self {
            // Its file is locked, so there is no other process.
            Self::Sqlite(_) => Ok(Vec::new()),
            Self::Postgres(database) => database.holders(due).await,
        }
    }

    /// Keeps the claim for another lease; `false` if another process has taken the chat over.
    pub(crate) async fn renew(&self, claim: &Claim) -> Result<bool> {
        match self {
            Self::Sqlite(_) => Ok(true),
            Self::Postgres(database) => database.renew(claim).await,
        }
    }

    /// Writes a batch: all of it, or, on an error, nothing. `None` if another process has taken the chat over.
    pub(crate) async fn write(&self, claim: &Claim, batch: &Batch) -> Result<Option<Written>> {
        either!(self, database => database.write(claim, batch).await)
    }

    /// Gives the chat back, read up to its newest message.
    pub(crate) async fn finish(&self, claim: &Claim, refreshed: bool) -> Result<()> {
        either!(self, database => database.finish(claim, refreshed).await)
    }

    /// Gives the chat back as it stands.
    pub(crate) async fn release(&self, claim: &Claim) -> Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(database) => database.release(claim).await,
        }
    }

    /// Takes a chat of which nothing was ever read off the list: it may be a slip of the pen.
    pub(crate) async fn forget_unread(&self, chat: &str) -> Result<()> {
        either!(self, database => database.forget_unread(chat).await)
    }

    /// The messages that hold a word beginning with each of these, newest first.
    pub(crate) async fn search(
        &self,
        words: &[String],
        chat: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Found>> {
        either!(self, database => database.search(words, chat, limit).await)
    }
}
