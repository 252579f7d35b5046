//! SQLite in one file, which one process writes at a time.

use std::error::Error;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use texter_history::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

use super::records::{Batch, Claim, Due, Found, FoundColumns, Result, Written};
use crate::common::files::is_still;
use crate::row::Row;

pub(crate) struct Sqlite {
    name: String,
    connection: Mutex<SqliteConnection>,
    /// The file, if it was not there before.
    made: Option<PathBuf>,
    _lock: Option<Lock>,
}

impl Sqlite {
    pub(super) async fn open(path: &Path) -> std::result::Result<Self, Box<dyn Error>> {
        if path.is_dir() {
            return Err(format!("{} is a folder; name a file in it", path.display()).into());
        }
        let lock = lock(path)?;
        let made = (!path.exists()).then(|| path.to_owned());
        let options = options(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A cut of the power may cost the last transactions, each of them whole: they are read again.
            .synchronous(SqliteSynchronous::Normal);
        let database = Self { made, ..Self::connect(path, options, Some(lock)).await? };
        database.make_tables().await.map_err(|error| named(path, &error))?;
        Ok(database)
    }

    async fn make_tables(&self) -> Result<()> {
        let mut connection = self.lock().await;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(include_str!("sqlite.sql")).execute(&mut *transaction).await?;
        transaction.commit().await
    }

    pub(super) async fn open_to_read(path: &Path) -> std::result::Result<Self, Box<dyn Error>> {
        if !path.exists() {
            return Err(format!("{} is not there; name another --database", path.display()).into());
        }
        Self::connect(path, options(path), None).await
    }

    async fn connect(
        path: &Path,
        options: SqliteConnectOptions,
        lock: Option<Lock>,
    ) -> std::result::Result<Self, Box<dyn Error>> {
        let connection = options.connect().await.map_err(|error| named(path, &error))?;
        Ok(Self {
            name: path.display().to_string(),
            connection: Mutex::new(connection),
            made: None,
            _lock: lock,
        })
    }

    /// Puts all of it into the one file. A file that this run made and read nothing into is taken away again.
    pub(super) async fn close(self) -> Result<()> {
        let is_empty = self.made.is_some() && self.is_empty().await?;
        self.connection.into_inner().close().await?;
        if let Some(path) = self.made.filter(|_| is_empty) {
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    async fn is_empty(&self) -> Result<bool> {
        let query = sqlx::query_scalar(
            "SELECT NOT EXISTS (SELECT 1 FROM chats WHERE synced_at IS NOT NULL)
                AND NOT EXISTS (SELECT 1 FROM messages)
                AND NOT EXISTS (SELECT 1 FROM unreadable)
                AND NOT EXISTS (SELECT 1 FROM checkpoints)",
        );
        query.fetch_one(&mut *self.lock().await).await
    }

    async fn lock(&self) -> MutexGuard<'_, SqliteConnection> {
        self.connection.lock().await
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn now(&self) -> Result<i64> {
        Ok(Timestamp::now().as_millis())
    }

    pub(super) async fn add_chats(&self, chats: &[String]) -> Result<()> {
        let mut connection = self.lock().await;
        let mut transaction = connection.begin().await?;
        for chat in chats {
            sqlx::query("INSERT INTO chats (id) VALUES (?1) ON CONFLICT DO NOTHING")
                .bind(chat)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    pub(super) async fn count_chats(&self) -> Result<i64> {
        sqlx::query_scalar("SELECT count(*) FROM chats").fetch_one(&mut *self.lock().await).await
    }

    /// Nothing is written: no other process may read, and the caller knows what it has claimed itself.
    pub(super) async fn claim(&self, due: &Due<'_>) -> Result<Option<Claim>> {
        // NOTE: what was read in the future was read by a clock that has been put right since.
        let query = sqlx::query_as(
            "SELECT id, refreshed_at, (SELECT checkpoint FROM checkpoints WHERE chat = id) FROM chats
            WHERE (?1 IS NULL OR id IN (SELECT value FROM json_each(?1)))
                AND id NOT IN (SELECT value FROM json_each(?2))
                AND (synced_at IS NULL OR synced_at < ?3 OR synced_at > ?4)
            ORDER BY synced_at LIMIT 1",
        );
        let now = self.now().await?;
        let found: Option<(String, Option<i64>, Option<String>)> = query
            .bind(due.chats.map(json_array))
            .bind(json_array(&due.except))
            .bind(due.before)
            .bind(now)
            .fetch_optional(&mut *self.lock().await)
            .await?;
        Ok(found.map(|(chat, refreshed_at, checkpoint)| Claim {
            chat,
            number: 0,
            claimed_at: now,
            refreshed_at,
            checkpoint,
            lease: None,
        }))
    }

    pub(super) async fn write(&self, claim: &Claim, batch: &Batch) -> Result<Option<Written>> {
        let mut connection = self.lock().await;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut written = Written::default();
        for row in &batch.rows {
            match write_row(&mut transaction, &claim.chat, row).await? {
                Change::New => written.new += 1,
                Change::Changed => written.changed += 1,
                Change::None => {}
            }
        }
        for unreadable in &batch.unreadable {
            let done =
                sqlx::query("INSERT INTO unreadable VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")
                    .bind(&claim.chat)
                    .bind(&unreadable.json)
                    .bind(&unreadable.reason)
                    .execute(&mut *transaction)
                    .await?;
            written.unreadable += done.rows_affected();
        }
        if let Some(checkpoint) = &batch.checkpoint {
            let query = sqlx::query(
                "INSERT INTO checkpoints VALUES (?1, ?2)
                ON CONFLICT DO UPDATE SET checkpoint = excluded.checkpoint",
            );
            query.bind(&claim.chat).bind(checkpoint).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(Some(written))
    }

    pub(super) async fn finish(&self, claim: &Claim, refreshed: bool) -> Result<()> {
        let query = sqlx::query(
            "UPDATE chats SET synced_at = ?2, refreshed_at = iif(?3, ?2, refreshed_at) WHERE id = ?1",
        );
        let query = query.bind(&claim.chat).bind(claim.claimed_at).bind(refreshed);
        query.execute(&mut *self.lock().await).await.map(|_| ())
    }

    pub(super) async fn forget_unread(&self, chat: &str) -> Result<()> {
        let query = sqlx::query(
            "DELETE FROM chats WHERE id = ?1 AND synced_at IS NULL
                AND NOT EXISTS (SELECT 1 FROM messages WHERE chat = ?1)
                AND NOT EXISTS (SELECT 1 FROM unreadable WHERE chat = ?1)
                AND NOT EXISTS (SELECT 1 FROM checkpoints WHERE chat = ?1)",
        );
        query.bind(chat).execute(&mut *self.lock().await).await.map(|_| ())
    }

    pub(super) async fn search(
        &self,
        words: &[String],
        chat: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Found>> {
        // The words are letters and digits, so there is nothing to escape.
        let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"*")).collect();
        let query = sqlx::query_as(
            "SELECT chat, timestamp, direction, status, text FROM message_words
            JOIN messages ON number = message_words.rowid
            WHERE words MATCH ?1 AND (?2 IS NULL OR chat = ?2)
            ORDER BY timestamp DESC, number DESC LIMIT ?3",
        );
        let query = query.bind(words.join(" ")).bind(chat).bind(limit);
        let found: Vec<FoundColumns> = query.fetch_all(&mut *self.lock().await).await?;
        Ok(found.into_iter().map(Found::from).collect())
    }
}

enum Change {
    New,
    Changed,
    None,
}

async fn write_row(connection: &mut SqliteConnection, chat: &str, row: &Row) -> Result<Change> {
    let query =
        sqlx::query_as("SELECT number, json = ?3 FROM messages WHERE chat = ?1 AND id = ?2");
    let query = query.bind(chat).bind(&row.id).bind(&row.json);
    let known: Option<(i64, bool)> = query.fetch_optional(&mut *connection).await?;
    let (number, change) = match known {
        Some((_, true)) => return Ok(Change::None),
        Some((number, false)) => {
            sqlx::query("DELETE FROM message_words WHERE rowid = ?1")
                .bind(number)
                .execute(&mut *connection)
                .await?;
            (Some(number), Change::Changed)
        }
        None => (None, Change::New),
    };
    let query = sqlx::query_scalar(
        "INSERT INTO messages (number, chat, id, timestamp, direction, kind, status, text, json)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        ON CONFLICT (number) DO UPDATE SET timestamp = excluded.timestamp, direction = excluded.direction,
            kind = excluded.kind, status = excluded.status, text = excluded.text, json = excluded.json
        RETURNING number",
    );
    let query = query.bind(number).bind(chat).bind(&row.id).bind(row.timestamp);
    let query = query.bind(&row.direction).bind(&row.kind).bind(row.status).bind(&row.text);
    let number: i64 = query.bind(&row.json).fetch_one(&mut *connection).await?;
    if !row.words.is_empty() {
        sqlx::query("INSERT INTO message_words (rowid, words) VALUES (?1, ?2)")
            .bind(number)
            .bind(&row.words)
            .execute(&mut *connection)
            .await?;
    }
    Ok(change)
}

fn options(path: &Path) -> SqliteConnectOptions {
    // For a program that looks into the file and writes.
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(10))
        .foreign_keys(true)
}

fn named(path: &Path, error: &sqlx::Error) -> Box<dyn Error> {
    format!("{}: {error}", path.display()).into()
}

fn json_array(chats: &[String]) -> String {
    serde_json::json!(chats).to_string()
}

/// A file beside the database, which holds the name of the process that has it. It is locked for as long as it is open;
/// the system unlocks it however the process ends.
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn lock(database: &Path) -> std::result::Result<Lock, Box<dyn Error>> {
    // By whatever name the database is called, its lock has one.
    let database = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    let mut path = database.clone().into_os_string();
    path.push(".lock");
    let path = PathBuf::from(path);
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(named)?;
    match file.try_lock() {
        // A process that ends just now has taken away the file that was opened here.
        Ok(()) if !is_still(&file, &path) => {
            Err(format!("{}: its process ends just now; start again", path.display()).into())
        }
        Ok(()) => {
            file.set_len(0).map_err(named)?;
            let (process, now) = (std::process::id(), Timestamp::now());
            write!(file, "process {process} since {now}").map_err(named)?;
            Ok(Lock { path: path.clone(), _file: file })
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Not every system lets it be read.
            if file.read_to_string(&mut holder).is_err() || holder.is_empty() {
                holder = "another process".to_owned();
            }
            let database = database.display();
            Err(format!("{database} is held by {holder}; wait until it has ended, or stop it")
                .into())
        }
        Err(TryLockError::Error(error)) => Err(named(error).into()),
    }
}
