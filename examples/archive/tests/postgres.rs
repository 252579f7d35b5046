//! The archive in PostgreSQL, shared by processes that are killed and stopped. `scripts/postgres` starts the server:
//!
//! ```text
//! scripts/postgres cargo test -p archive --test postgres
//! ```
#![allow(clippy::expect_used, clippy::unwrap_used)] // A helper that cannot go on fails its test.

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use support::{CHAT, archive, done, err, expected, failed, message, out, signal};
use tempfile::{TempDir, tempdir};
use texter_history::Timestamp;
use texter_history::testing::{Conversation, FakeChat, FakeMessage, FakeTexter};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// A database of its own on the test's server.
struct Database {
    url: String,
    connection: PgConnection,
    folder: TempDir,
}

impl Database {
    async fn new(name: &'static str, make: &'static str) -> Self {
        let server = std::env::var("ARCHIVE_TEST_POSTGRES")
            .expect("scripts/postgres cargo test … starts a server and sets ARCHIVE_TEST_POSTGRES");
        let options = PgConnectOptions::from_str(&server).unwrap();
        let mut connection = options.connect().await.unwrap();
        sqlx::query(make).execute(&mut connection).await.unwrap();
        let connection = options.database(name).connect().await.unwrap();
        let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
        Self { url, connection, folder: tempdir().unwrap() }
    }

    fn archive(&self, server: &FakeTexter) -> Command {
        let mut command = archive(server, self.folder.path());
        command.env("ARCHIVE_DATABASE", &self.url);
        command
    }

    async fn rows<T>(&mut self, query: &'static str) -> Vec<T>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
    {
        sqlx::query_as(query).fetch_all(&mut self.connection).await.unwrap()
    }

    async fn number(&mut self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut self.connection).await.unwrap()
    }

    async fn table(&mut self) -> Vec<(String, String)> {
        self.rows("SELECT id, json FROM messages ORDER BY chat, timestamp, id").await
    }

    /// Makes the tables, and triggers that note every write of a message and every change of hands.
    async fn watch(&mut self, server: &FakeTexter) {
        failed(self.archive(server).arg("none")).await;
        let watch = "
            CREATE TABLE writes (chat text, id text);
            CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                INSERT INTO writes VALUES (new.chat, new.id);
                RETURN NULL;
            END $$;
            CREATE TRIGGER note_write AFTER INSERT OR UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION note_write();
            CREATE TABLE hands (chat text, taken_over boolean, midway boolean, too_early boolean);
            CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF new.claim <> old.claim THEN
                    INSERT INTO hands VALUES (new.id, old.holder IS NOT NULL,
                        old.holder IS NOT NULL AND old.synced_at IS NULL
                            AND EXISTS (SELECT 1 FROM checkpoints WHERE chat = new.id),
                        old.lease_until > clock_timestamp());
                END IF;
                RETURN NULL;
            END $$;
            CREATE TRIGGER note_claim AFTER UPDATE ON chats FOR EACH ROW EXECUTE FUNCTION note_claim();";
        sqlx::raw_sql(watch).execute(&mut self.connection).await.unwrap();
    }
}

/// One request: which process asked for which chat, and when.
type Log = Arc<Mutex<Vec<(usize, String, Instant)>>>;

const LATENCY: Duration = Duration::from_millis(40);

/// A process and the server that it alone reads from.
struct Worker {
    number: usize,
    server: FakeTexter,
    process: Child,
}

impl Worker {
    async fn start(
        number: usize,
        database: &Database,
        chats: &[(String, Vec<FakeMessage>)],
        log: &Log,
    ) -> Self {
        let log = Arc::clone(log);
        let mut server = FakeTexter::builder().latency(LATENCY).faults(move |request, _| {
            let chat = request.chat_id.clone().unwrap();
            log.lock().unwrap().push((number, chat, Instant::now()));
            None
        });
        for (chat, messages) in chats {
            server = server.chat(FakeChat::new(chat).messages(messages.clone()));
        }
        let server = server.start().await.unwrap();
        let mut command = database.archive(&server);
        command.args(chats.iter().map(|(chat, _)| chat));
        command.args(["--page-size", "10", "--at-once", "2", "--lease", "2s"]);
        let process = command.spawn().unwrap();
        Self { number, server, process }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_of_which_one_is_killed_every_second() {
    let mut database = Database::new("shared", "CREATE DATABASE shared").await;
    let chats: Vec<(String, Vec<FakeMessage>)> = (0..200)
        .map(|number| {
            let id = format!("67bf11038b24880cc966f{number:03}");
            let conversation = Conversation::seeded(number).messages(100);
            (id.clone(), conversation.chat_id(id).collect())
        })
        .collect();
    let empty = FakeTexter::builder().start().await.unwrap();
    database.watch(&empty).await;

    let log = Log::default();
    let mut workers = Vec::new();
    for number in 0..3 {
        workers.push(Worker::start(number, &database, &chats, &log).await);
    }
    let mut killed: HashMap<usize, Instant> = HashMap::new();
    while database.number("SELECT count(*) FROM chats WHERE synced_at IS NOT NULL").await < 200 {
        assert!(killed.len() < 150, "it goes on for ever");
        sleep(Duration::from_secs(1)).await;
        // The first of the three, and its place at the end is the next one's: each has its turn.
        let mut worker = workers.remove(0);
        worker.process.kill().await.unwrap();
        killed.insert(worker.number, Instant::now());
        drop(worker.server);
        workers.push(Worker::start(killed.len() + 2, &database, &chats, &log).await);
    }
    for worker in workers {
        let output = worker.process.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{}", err(&output));
    }

    // No message is lost, and none was written twice.
    let mut rows: Vec<(String, String)> = Vec::new();
    for (_, messages) in &chats {
        rows.extend(expected(messages));
    }
    assert_eq!(rows.len(), 20_000);
    assert!(database.table().await == rows, "the tables equal the chats");
    assert_eq!(database.number("SELECT count(*) FROM writes").await, 20_000);

    // Nobody took over a chat whose lease had not run out; chats were taken over in their middle.
    assert_eq!(
        database.number("SELECT count(*) FROM hands WHERE taken_over AND too_early").await,
        0
    );
    let midway = database.number("SELECT count(*) FROM hands WHERE midway").await;
    eprintln!("{} kills, {midway} chats taken over in their middle", killed.len());
    assert!(midway >= 3, "{midway}");

    // As the servers saw it: whoever begins to read a chat begins after the one before has ended, who never comes back.
    let log = log.lock().unwrap();
    for (chat, _) in &chats {
        let requests: Vec<_> = log.iter().filter(|(_, asked, _)| asked == chat).collect();
        let mut readers: Vec<usize> = requests.iter().map(|(number, _, _)| *number).collect();
        readers.dedup();
        let mut distinct = readers.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(readers.len(), distinct.len(), "{chat} was read by {readers:?}");
        for pair in requests.windows(2) {
            let ((before, _, asked), (after, _, next)) = (pair[0], pair[1]);
            let ended =
                killed.get(before).map_or(*asked + LATENCY, |kill| (*asked + LATENCY).min(*kill));
            assert!(
                before == after || *next >= ended,
                "{chat} was read by {before} and {after} at once"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_stopped_writes_nothing_after_its_lease() {
    let mut database = Database::new("stopped", "CREATE DATABASE stopped").await;
    let chat: Vec<FakeMessage> = Conversation::seeded(5).messages(400).collect();
    let server = FakeTexter::builder().latency(Duration::from_millis(30));
    let server = server.chat(FakeChat::new(CHAT).messages(chat.clone())).start().await.unwrap();
    database.watch(&server).await;
    let run = || {
        let mut command = database.archive(&server);
        command.args([CHAT, "--page-size", "10", "--lease", "1s"]);
        command
    };
    let first = run().spawn().unwrap();
    let mut second = run();
    let process = first.id().unwrap();
    while database.number("SELECT count(*) FROM messages").await == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    signal("STOP", process).await;
    let before = database.number("SELECT count(*) FROM messages").await;
    assert!(before < 400);

    let second = second.output().await.unwrap();
    assert!(second.status.success(), "{}", err(&second));
    let waits = format!("waiting for chats that are read by 127.0.0.1, process {process}\n");
    assert!(err(&second).starts_with(&waits), "{}", err(&second));
    assert!(out(&second).contains(&format!("{} new, 0 changed", 400 - before)), "{}", out(&second));

    signal("CONT", process).await;
    let first = first.wait_with_output().await.unwrap();
    assert!(first.status.success());
    assert!(
        err(&first).contains(&format!("{CHAT}  taken over by another process")),
        "{}",
        err(&first)
    );
    assert_eq!(database.table().await, expected(&chat));
    assert_eq!(database.number("SELECT count(*) FROM writes").await, 400);
}

/// The test itself takes the chat over, at the very moment at which the process writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_comes_too_late_leaves_nothing() {
    let mut database = Database::new("fenced", "CREATE DATABASE fenced").await;
    let chat: Vec<FakeMessage> = Conversation::seeded(6).messages(400).collect();
    let server = FakeTexter::builder().latency(Duration::from_millis(30));
    let server = server.chat(FakeChat::new(CHAT).messages(chat.clone())).start().await.unwrap();
    database.watch(&server).await;
    let mut process = database.archive(&server).args([CHAT, "--page-size", "10"]).spawn().unwrap();
    let mut told = BufReader::new(process.stderr.take().unwrap()).lines();
    while database.number("SELECT count(*) FROM messages").await == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let take_over = "BEGIN; UPDATE chats SET claim = claim + 1, holder = 'the test', lease_until = now() + interval '1h'";
    sqlx::raw_sql(take_over).execute(&mut database.connection).await.unwrap();
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))";
    while database.number(waiting).await == 0 {
        sqlx::raw_sql("SELECT pg_stat_clear_snapshot()")
            .execute(&mut database.connection)
            .await
            .unwrap();
    }
    let before = database.number("SELECT count(*) FROM messages").await;
    assert!(before < 400);
    sqlx::raw_sql("COMMIT").execute(&mut database.connection).await.unwrap();
    let line = told.next_line().await.unwrap().unwrap();
    assert_eq!(line, format!("{CHAT}  taken over by another process"));
    let line = told.next_line().await.unwrap().unwrap();
    assert_eq!(line, "waiting for chats that are read by the test");
    assert_eq!(database.number("SELECT count(*) FROM messages").await, before);

    let give_back = "UPDATE chats SET lease_until = now() - interval '1s'";
    sqlx::raw_sql(give_back).execute(&mut database.connection).await.unwrap();
    assert!(process.wait().await.unwrap().success());
    assert_eq!(database.table().await, expected(&chat));
    assert_eq!(database.number("SELECT count(*) FROM writes").await, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_what_sqlite_keeps() {
    let mut database = Database::new("single", "CREATE DATABASE single").await;
    let without_id = r#"{"timestamp":2000,"text":"secret"}"#;
    let odd = r#"{"_id":"c","timestamp":3000,"text":"a\u0000b \ud83d","type":7,"deep":[[[{}]]]}"#;
    let placed = |millis, id: &str, json: &str| {
        FakeMessage::placed(Timestamp::from_millis(millis), id, json)
    };
    let mut chat = vec![
        placed(3_000, "c", odd),
        message("d1", 60, "שָׁלוֹם, 'קיבלתי'"),
        message("d2", 50, "شُكْرًا جزيلا"),
        message("d3", 40, "apples & pears"),
    ];
    let server = FakeTexter::builder().chat(
        FakeChat::new(CHAT).messages(chat.clone()).messages([placed(2_000, "b", without_id)]),
    );
    let server = server.start().await.unwrap();
    let first = done(database.archive(&server).arg(CHAT)).await;
    assert!(first.contains("4 new, 0 changed"), "{first}");
    assert_eq!(database.table().await, expected(&chat));
    let unreadable: Vec<(String,)> = database.rows("SELECT json FROM unreadable").await;
    assert_eq!(unreadable, [(without_id.to_owned(),)]);

    let mut deleted = chat[3].to_value();
    deleted["status"] = 6.into();
    deleted["text"] = "figs".into();
    chat[3] = FakeMessage::from(deleted);
    server.remove_message(CHAT, "d3");
    server.add_message(CHAT, chat[3].clone());
    let second = done(database.archive(&server).args(["--refresh", "7d"])).await;
    assert!(second.contains("0 new, 1 changed"), "{second}");
    assert_eq!(database.table().await, expected(&chat));

    for (word, found) in [
        ("שלום", "◀ שָׁלוֹם, 'קיבלתי'\n"),
        ("قيب", ""),
        ("شكر", "◀ شُكْرًا جزيلا\n"),
        ("pears", ""),
        ("FIGS'", "◀ (deleted) figs\n"),
    ] {
        let told = done(database.archive(&server).args(["search", word])).await;
        assert!(told.ends_with(found) && told.is_empty() == found.is_empty(), "{word}: {told}");
    }

    let nobody = "postgres://test:secret@127.0.0.1:1/postgres";
    let told = failed(archive(&server, Path::new(".")).args([CHAT, "--database", nobody])).await;
    assert!(
        told.contains("database postgres at 127.0.0.1: ") && !told.contains("secret"),
        "{told}"
    );
}
