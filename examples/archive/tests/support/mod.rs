//! A fake server, and processes of `archive` that read from it.

#![allow(dead_code)] // No test needs all of it.

use std::path::Path;
use std::process::{Output, Stdio};

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use texter_history::Timestamp;
use texter_history::testing::{FakeMessage, FakeTexter};
use tokio::process::Command;

pub(crate) const CHAT: &str = "67bf11038b24880cc966f799";

/// `archive`, reading from the server, with its file in the folder.
pub(crate) fn archive(server: &FakeTexter, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_archive"));
    command.env("TEXTER_BASE_URL", server.base_url()).env("TEXTER_TOKEN", server.token());
    command.env_remove("TEXTER_PROJECT").env_remove("ARCHIVE_DATABASE");
    command.current_dir(folder).kill_on_drop(true).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What it printed, once it has done all it should.
pub(crate) async fn done(command: &mut Command) -> String {
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
    out(&output)
}

/// What it said of its failure.
pub(crate) async fn failed(command: &mut Command) -> String {
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}{}", out(&output), err(&output));
    err(&output)
}

/// `(id, JSON)` of all messages of the file, by chat and time.
pub(crate) async fn table(folder: &Path) -> Vec<(String, String)> {
    select(folder, "SELECT id, json FROM messages ORDER BY chat, timestamp, id").await
}

pub(crate) async fn select<T>(folder: &Path, query: &'static str) -> Vec<T>
where
    T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + Send + Unpin,
{
    let options = SqliteConnectOptions::new().filename(folder.join("archive.sqlite"));
    let mut connection = options.connect().await.unwrap();
    sqlx::query_as(query).fetch_all(&mut connection).await.unwrap()
}

/// The same of messages.
pub(crate) fn expected(messages: &[FakeMessage]) -> Vec<(String, String)> {
    let mut messages: Vec<&FakeMessage> = messages.iter().collect();
    messages.sort_by_key(|message| (message.timestamp(), message.id().to_owned()));
    let rows = messages.iter().map(|message| (message.id().to_owned(), message.json().to_owned()));
    rows.collect()
}

/// A short message of so many seconds ago.
pub(crate) fn message(id: &str, seconds_ago: i64, text: &str) -> FakeMessage {
    let now = Timestamp::now().as_millis() / 1_000 * 1_000;
    FakeMessage::text(Timestamp::from_millis(now - 1_000 * seconds_ago), id, text)
}

/// The signal of this name, such as `INT`, to a process.
pub(crate) async fn signal(name: &str, process: u32) {
    let mut kill = Command::new("kill");
    let status = kill.arg(format!("-{name}")).arg(process.to_string()).status().await.unwrap();
    assert!(status.success());
}
