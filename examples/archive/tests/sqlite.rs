//! The archive in one file, written by processes that are killed, interrupted and run twice.
#![allow(clippy::expect_used, clippy::unwrap_used)] // A helper that cannot go on fails its test.

mod support;

use std::time::Duration;

use serde_json::Value;
use support::{CHAT, archive, done, err, expected, failed, message, out, select, signal, table};
use tempfile::tempdir;
use texter_history::Timestamp;
use texter_history::testing::{Conversation, FakeChat, FakeMessage, FakeTexter, Fault};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

async fn server(messages: Vec<FakeMessage>) -> FakeTexter {
    FakeTexter::builder().chat(FakeChat::new(CHAT).messages(messages)).start().await.unwrap()
}

/// Replaces a message by what it has become.
fn change(server: &FakeTexter, message: &FakeMessage, field: &str, value: Value) -> FakeMessage {
    let mut changed = message.to_value();
    changed[field] = value;
    let changed = FakeMessage::from(changed);
    server.remove_message(CHAT, message.id());
    server.add_message(CHAT, changed.clone());
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_a_hundred_times_the_table_equals_the_chat() {
    let folder = tempdir().unwrap();
    let mut news = Conversation::seeded(13).messages(100_000).tie_share(0.4);
    let mut chat: Vec<FakeMessage> = news.by_ref().take(300).collect();
    let server = FakeTexter::builder().latency(Duration::from_millis(2));
    let server = server.chat(FakeChat::new(CHAT).messages(chat.clone())).start().await.unwrap();
    let run = |number: u32| {
        let mut command = archive(&server, folder.path());
        command.args([CHAT, "--page-size", "20", "--lookback", "1h"]);
        if number.is_multiple_of(3) {
            command.args(["--refresh", "10000d"]);
        }
        command
    };

    let mut random = fastrand::Rng::with_seed(13);
    // How long a whole run takes on this machine: the kill falls anywhere within.
    let mut whole = Duration::from_millis(100);
    let (mut kills, mut kept, mut within) = (0, 0, 0);
    for number in 0.. {
        let began = Instant::now();
        let mut process = run(number).spawn().unwrap();
        tokio::select! {
            () = sleep(random.u32(..=whole.as_micros() as u32 * 11 / 10) * Duration::from_micros(1)) => {
                process.kill().await.unwrap();
                kills += 1;
            }
            status = process.wait() => {
                assert!(status.unwrap().success());
                whole = began.elapsed();
            }
        }
        if folder.path().join("archive.sqlite").exists() {
            let tables: Vec<(String,)> =
                select(folder.path(), "SELECT name FROM sqlite_master WHERE name = 'messages'")
                    .await;
            let rows = if tables.is_empty() { Vec::new() } else { table(folder.path()).await };
            assert!(rows.len() >= kept, "what was there is there");
            within += usize::from(rows.len() > kept && rows.len() < chat.len());
            kept = rows.len();
            let all = expected(&chat);
            assert!(rows.iter().all(|row| all.contains(row)), "nothing else is there");
        }
        if kills == 100 {
            break;
        }
        for _ in 0..20 {
            let message = news.next().unwrap();
            server.add_message(CHAT, message.clone());
            chat.push(message);
        }
        // One that arrives late, within the lookback.
        let newest = chat.last().unwrap().timestamp();
        let late =
            FakeMessage::text(newest - Duration::from_secs(60), format!("late{number}"), "late");
        server.add_message(CHAT, late.clone());
        chat.insert(chat.len() - 1, late);
    }
    // How many depends on how fast the machine is.
    println!("{within} kills fell into the middle of a chat");
    done(&mut run(1)).await;
    assert_eq!(table(folder.path()).await, expected(&chat));
    let again = done(&mut run(1)).await;
    assert!(again.contains("0 new, 0 changed"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_brings_what_is_new_and_what_came_late() {
    let folder = tempdir().unwrap();
    let mut chat = vec![message("a1", 7_200, "one"), message("a3", 60, "three")];
    let server = server(chat.clone()).await;
    let first = done(archive(&server, folder.path()).arg(CHAT)).await;
    assert!(first.contains(&format!("{CHAT}  2 new, 0 changed, 1 request\n")), "{first}");

    for new in [message("a2", 600, "two, late"), message("a4", 1, "four")] {
        server.add_message(CHAT, new.clone());
        chat.push(new);
    }
    // Named once, the chat is known.
    let second = done(&mut archive(&server, folder.path())).await;
    assert!(second.ends_with("archive.sqlite: 2 new, 0 changed, 1 request\n"), "{second}");
    assert_eq!(table(folder.path()).await, expected(&chat));

    let requests = server.request_count();
    let third = done(&mut archive(&server, folder.path())).await;
    assert!(third.contains("0 new, 0 changed, 1 request\n"), "{third}");
    assert_eq!(server.request_count(), requests + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_updates_what_has_changed_since() {
    let folder = tempdir().unwrap();
    let day = 86_400;
    let mut chat = vec![
        message("a1", 30 * day, "too old"),
        message("a2", 5 * day, "apples"),
        message("a3", 4 * day, "pears"),
        message("a4", 3 * day, "plums"),
    ];
    let server = server(chat.clone()).await;
    done(archive(&server, folder.path()).arg(CHAT)).await;

    change(&server, &chat[0], "status", 3.into());
    chat[1] = change(&server, &chat[1], "status", 6.into());
    chat[2] = change(&server, &chat[2], "text", "cherries".into());
    // Later than the lookback reaches.
    let late = message("a5", 6 * day, "late");
    server.add_message(CHAT, late.clone());
    chat.push(late);

    let plain = done(&mut archive(&server, folder.path())).await;
    assert!(plain.contains("0 new, 0 changed"), "{plain}");
    let refreshed = done(archive(&server, folder.path()).args(["--refresh", "7d"])).await;
    assert!(refreshed.contains("1 new, 2 changed"), "{refreshed}");
    assert_eq!(table(folder.path()).await, expected(&chat));
    let statuses: Vec<(Option<i64>,)> =
        select(folder.path(), "SELECT status FROM messages ORDER BY id").await;
    assert_eq!(statuses, [(None,), (Some(6),), (None,), (None,), (None,)]);

    let search = |word: &'static str| {
        let mut command = archive(&server, folder.path());
        command.args(["search", word]);
        command
    };
    assert!(done(&mut search("apples")).await.ends_with("◀ (deleted) apples\n"));
    assert!(done(&mut search("cherries")).await.ends_with("◀ cherries\n"));
    assert_eq!(done(&mut search("pears")).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn hebrew_and_arabic_are_found() {
    let folder = tempdir().unwrap();
    let server = server(vec![
        message("a1", 60, "שָׁלוֹם, קיבלתי את ההודעה"),
        message("a2", 50, "شُكْرًا جزيلا\n\u{1b}[31m"),
        message("a3", 40, "I was charged twice; שלום"),
    ])
    .await;
    done(archive(&server, folder.path()).arg(CHAT)).await;
    let search = async |words: &[&str]| {
        let found = done(archive(&server, folder.path()).arg("search").args(words)).await;
        found.lines().map(|line| line.split_once("◀ ").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    let greetings = ["I was charged twice; שלום", "שָׁלוֹם, קיבלתי את ההודעה"];
    assert_eq!(search(&["שלום"]).await, greetings);
    assert_eq!(search(&["--limit", "1", "שלום"]).await, greetings[..1]);
    assert_eq!(search(&["שלום", "קיבל"]).await, greetings[1..]);
    assert_eq!(search(&["شكرا"]).await, ["شُكْرًا جزيلا ⏎ \\u{1b}[31m"]);
    assert_eq!(search(&["CHARGE", "twice"]).await, greetings[..1]);
    assert!(search(&["--chat", "other", "twice"]).await.is_empty());
    let nothing = failed(archive(&server, folder.path()).args(["search", "\"*-"])).await;
    assert!(nothing.contains("no word to search for"), "{nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_kept_once() {
    let folder = tempdir().unwrap();
    let odd = |json: &str, id: &str, millis| {
        FakeMessage::placed(Timestamp::from_millis(millis), id, json)
    };
    let without_id = r#"{"timestamp":2000,"text":"secret"}"#;
    let odd_text = r#"{"_id":"c","timestamp":3000,"text":["not", 7],"new":1.50}"#;
    let messages = [odd(without_id, "b", 2_000), odd(odd_text, "c", 3_000)];
    let server = server(messages.to_vec()).await;
    let told = done(archive(&server, folder.path()).arg(CHAT)).await;
    assert!(told.contains("1 new, 0 changed, "), "{told}");
    assert!(told.contains("requests, 1 that cannot be read"), "{told}");
    done(archive(&server, folder.path()).args(["--refresh", "100000d"])).await;
    assert_eq!(table(folder.path()).await, [("c".to_owned(), odd_text.to_owned())]);
    let kept: Vec<(String,)> = select(folder.path(), "SELECT json FROM unreadable").await;
    assert_eq!(kept, [(without_id.to_owned(),)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_was_altered_costs_requests_and_no_message() {
    let folder = tempdir().unwrap();
    let chat: Vec<FakeMessage> = Conversation::seeded(3).messages(300).collect();
    let server = server(chat.clone()).await;
    done(archive(&server, folder.path()).arg(CHAT)).await;
    let alter = "UPDATE checkpoints SET checkpoint = 'x' || checkpoint RETURNING chat";
    let altered: Vec<(String,)> = select(folder.path(), alter).await;
    assert_eq!(altered, [(CHAT.to_owned(),)]);
    let output = archive(&server, folder.path()).output().await.unwrap();
    assert!(err(&output).contains("reading it from its beginning"), "{}", err(&output));
    assert!(out(&output).contains("0 new, 0 changed"), "{}", out(&output));
    assert_eq!(table(folder.path()).await, expected(&chat));
    assert!(done(&mut archive(&server, folder.path())).await.contains(" 1 request\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_says_who_holds_the_file() {
    let folder = tempdir().unwrap();
    let server = server(vec![message("a1", 60, "one")]).await;
    let mut first = archive(&server, folder.path()).args([CHAT, "--follow=10ms"]).spawn().unwrap();
    let process = first.id().unwrap();
    let mut lines = BufReader::new(first.stdout.take().unwrap()).lines();
    assert_eq!(
        lines.next_line().await.unwrap().unwrap(),
        format!("{CHAT}  1 new, 0 changed, 1 request")
    );

    let told = failed(archive(&server, folder.path()).arg(CHAT)).await;
    assert!(
        told.contains(&format!("archive.sqlite is held by process {process} since ")),
        "{told}"
    );
    // To look into it, nobody needs to wait.
    assert!(done(archive(&server, folder.path()).args(["search", "one"])).await.ends_with("one\n"));

    // It follows, and stops when it is told to.
    server.add_message(CHAT, message("a2", 0, "two"));
    assert!(lines.next_line().await.unwrap().unwrap().starts_with(&format!("{CHAT}  1 new")));
    signal("INT", process).await;
    let output = first.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(err(&output).ends_with("stopped; run it again to go on\n"), "{}", err(&output));
    done(archive(&server, folder.path()).arg(CHAT)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_chat_that_fails_costs_none_of_the_others() {
    let folder = tempdir().unwrap();
    let server = server(vec![message("a1", 60, "one")]).await;
    let output =
        archive(&server, folder.path()).args(["none", CHAT, "not/a/chat"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = err(&output);
    assert!(told.contains("chat none, the first page: the server answered 404"), "{told}");
    assert!(told.contains("not/a/chat"), "{told}");
    assert!(told.ends_with("error: 2 chats could not be read\n"), "{told}");
    assert!(out(&output).contains(&format!("{CHAT}  1 new")));
    // A slip of the pen is not asked for again.
    assert!(done(&mut archive(&server, folder.path())).await.contains("0 new"));

    let told = failed(archive(&server, folder.path()).env("TEXTER_TOKEN", "wrong")).await;
    assert!(told.contains("401"), "{told}");
    server.push_fault(Fault::status(403));
    let told = failed(&mut archive(&server, folder.path())).await;
    assert!(told.contains("View all chats"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_chat_is_named_and_none_is_known_it_says_so() {
    let folder = tempdir().unwrap();
    let server = server(Vec::new()).await;
    let told = failed(&mut archive(&server, folder.path())).await;
    assert!(told.contains("name the chats"), "{told}");
    let told =
        failed(archive(&server, folder.path()).args(["search", "x", "--database", "none"])).await;
    assert!(told.contains("none is not there"), "{told}");
    std::fs::write(folder.path().join("text"), "no database, but a text that is long enough")
        .unwrap();
    let told = failed(archive(&server, folder.path()).args([CHAT, "--database", "text"])).await;
    assert!(told.contains("text: ") && told.contains("not a database"), "{told}");
    let told = failed(archive(&server, folder.path()).args([CHAT, "--database", "."])).await;
    assert!(told.contains(". is a folder"), "{told}");
}

/// A limit on the size of a file stands in for a full disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing() {
    let folder = tempdir().unwrap();
    let chat: Vec<FakeMessage> = Conversation::seeded(3).messages(3_000).collect();
    let server = server(chat.clone()).await;
    let limited = |kilobytes: u32| {
        let mut command = Command::new("bash");
        let script = format!(r#"trap "" XFSZ; ulimit -f {kilobytes}; exec "$0" "$@""#);
        command.args(["-c", &script, env!("CARGO_BIN_EXE_archive"), CHAT]);
        command.current_dir(folder.path()).env("TEXTER_BASE_URL", server.base_url());
        command.env("TEXTER_TOKEN", server.token()).env_remove("ARCHIVE_DATABASE");
        command
    };
    let told = failed(&mut limited(1_000)).await;
    assert!(told.contains("error: archive.sqlite: "), "{told}");
    assert!(told.ends_with("what was written before is kept, run this again to go on\n"), "{told}");
    let kept = table(folder.path()).await;
    assert!(!kept.is_empty() && kept.len() < chat.len(), "{}", kept.len());
    assert!(
        expected(&chat).starts_with(&kept) || kept.iter().all(|row| expected(&chat).contains(row))
    );
    done(archive(&server, folder.path()).arg(CHAT)).await;
    assert_eq!(table(folder.path()).await, expected(&chat));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_is_no_error() {
    let folder = tempdir().unwrap();
    let chat: Vec<FakeMessage> = Conversation::seeded(3).messages(1_000).collect();
    let server = server(chat).await;
    done(archive(&server, folder.path()).arg(CHAT)).await;
    let mut search = archive(&server, folder.path());
    let mut search = search.args(["search", "OK", "--limit", "1000"]).spawn().unwrap();
    drop(search.stdout.take());
    assert!(search.wait().await.unwrap().success());
}
