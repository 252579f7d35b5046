//! The export example: killed in the middle, many times, and whatever else must not break its files.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use texter_history::testing::{FakeChat, FakeMessage, FakeTexter, FakeTexterBuilder, Fault};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::{CHAT, conversation, newest_first, server_with};

/// Oldest first, up to 1,600 messages are read before the first of them is handed out; so there are many more.
const MESSAGES: usize = 5_000;

/// An example, which `cargo test` builds beside the tests.
pub(super) fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

fn command(program: impl AsRef<std::ffi::OsStr>, server: &FakeTexter) -> Command {
    let mut command = Command::new(program);
    command
        .env("TEXTER_BASE_URL", server.base_url())
        .env("TEXTER_TOKEN", server.token())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn export(server: &FakeTexter, output: &Path, flags: &[&str]) -> Child {
    command(example("export"), server)
        .arg(CHAT)
        .arg("--output")
        .arg(output)
        .args(["--page-size", "50", "--save-every", "100"])
        .args(flags)
        .spawn()
        .expect("the examples are built: cargo build --examples")
}

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

async fn ended(child: Child) -> Ended {
    let output = child.wait_with_output().await.unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The ids in a file.
fn exported(output: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(output).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|message| message["_id"].as_str().unwrap().to_owned()).collect()
}

fn oldest_first(conversation: &[FakeMessage]) -> Vec<String> {
    conversation.iter().map(|message| message.id().to_owned()).collect()
}

fn names_in(directory: &Path) -> Vec<String> {
    let files = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A server that reports each request before it answers.
fn reporting(messages: usize) -> (FakeTexterBuilder, mpsc::UnboundedReceiver<()>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = server_with(messages).latency(Duration::from_millis(2)).faults(move |_, _| {
        let _ = sender.send(());
        None
    });
    (server, receiver)
}

/// Kills the process after so many requests, wherever it is then; its exit code if it ended before.
async fn killed_after(
    requests: usize,
    mut child: Child,
    seen: &mut mpsc::UnboundedReceiver<()>,
) -> Option<i32> {
    let mut left = requests;
    let code = loop {
        tokio::select! {
            status = child.wait() => break status.unwrap().code(),
            _ = seen.recv() => left -= 1,
        }
        if left == 0 {
            child.start_kill().unwrap();
            child.wait().await.unwrap();
            break None;
        }
    };
    while seen.try_recv().is_ok() {}
    code
}

/// How often a process is to be killed at least: a few times, or as often as `KILLS` says.
fn kills_wanted() -> usize {
    std::env::var("KILLS").map_or(2, |kills| kills.parse().unwrap())
}

/// Starts it and kills it within so many requests, again and again, until it ends by itself. How often it was killed.
async fn killed_until_done(
    mut start: impl FnMut() -> Child,
    most: usize,
    requests: &mut mpsc::UnboundedReceiver<()>,
    rng: &mut fastrand::Rng,
) -> usize {
    let mut kills = 0;
    loop {
        if let Some(code) = killed_after(rng.usize(1..most), start(), requests).await {
            assert_eq!(code, 0);
            return kills;
        }
        kills += 1;
        assert!(kills < 500, "it does not get on");
    }
}

#[tokio::test]
async fn killed_many_times_the_file_holds_every_message_once() {
    let conversation = conversation(MESSAGES);
    for (flags, most, expected) in [
        (&[][..], 60, oldest_first(&conversation)),
        // Three windows are read side by side, so that the first of them takes three times as many requests.
        (&["--concurrency", "3"], 110, oldest_first(&conversation)),
        (&["--newest-first"], 20, newest_first(&conversation)),
    ] {
        let (mut kills, mut rng) = (0, fastrand::Rng::with_seed(9));
        while kills < kills_wanted() {
            let directory = tempfile::tempdir().unwrap();
            let output = directory.path().join("chat.jsonl");
            let (server, mut requests) = reporting(MESSAGES);
            let server = server.start().await.unwrap();
            let start = || export(&server, &output, flags);
            kills += killed_until_done(start, most, &mut requests, &mut rng).await;
            assert_eq!(exported(&output), expected, "{flags:?}");
            assert_eq!(names_in(directory.path()), ["chat.jsonl", "chat.jsonl.checkpoint"]);
        }
        println!("{flags:?}: killed {kills} times");
    }
}

#[tokio::test]
async fn killed_many_times_while_it_appends_the_file_holds_every_message_once() {
    let conversation = conversation(MESSAGES);
    for flags in [&[][..], &["--lookback", "7d"]] {
        let (mut kills, mut rng) = (0, fastrand::Rng::with_seed(9));
        while kills < kills_wanted() {
            let directory = tempfile::tempdir().unwrap();
            let output = directory.path().join("chat.jsonl");
            let earlier = server_with(MESSAGES / 5).start().await.unwrap();
            assert_eq!(ended(export(&earlier, &output, flags)).await.code, Some(0));
            let begun = std::fs::read(&output).unwrap();
            let (server, mut requests) = reporting(MESSAGES);
            let server = server.start().await.unwrap();
            let start = || export(&server, &output, flags);
            kills += killed_until_done(start, 60, &mut requests, &mut rng).await;
            assert_eq!(exported(&output), oldest_first(&conversation), "{flags:?}");
            // Appended: what was there is still there, byte by byte.
            assert!(std::fs::read(&output).unwrap().starts_with(&begun));
        }
        println!("{flags:?}: killed {kills} times while it appends");
    }
}

#[tokio::test]
async fn killed_many_times_while_it_follows_the_file_holds_every_message_once() {
    let many = 600 + 20 * kills_wanted();
    let conversation = conversation(many);
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.jsonl");
    let (server, mut requests) = reporting(200);
    let server = server.start().await.unwrap();
    let (mut kills, mut rng) = (0, fastrand::Rng::with_seed(3));
    let mut coming = conversation[200..].iter();
    while coming.len() > 0 || kills < kills_wanted() {
        let child = export(&server, &output, &["--follow=10ms"]);
        for message in coming.by_ref().take(rng.usize(1..40)) {
            server.add_message(CHAT, message.clone());
        }
        // It never ends by itself.
        assert_eq!(killed_after(rng.usize(1..30), child, &mut requests).await, None);
        kills += 1;
    }
    println!("killed {kills} times while it follows");
    let child = export(&server, &output, &["--follow=10ms"]);
    requests.recv().await.unwrap();
    let all = async {
        while std::fs::read_to_string(&output).unwrap_or_default().lines().count() < many {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), all).await.unwrap();
    interrupt(&child).await;
    let stopped = ended(child).await;
    assert_eq!(stopped.code, Some(130), "{}", stopped.stderr);
    assert!(stopped.stdout.contains(&format!(": {many} messages, ")), "{}", stopped.stdout);
    assert_eq!(exported(&output), oldest_first(&conversation));
}

#[tokio::test]
async fn a_crash_at_any_byte_leaves_a_file_and_a_checkpoint_that_agree() {
    const MANY: usize = 3_000;
    for (flags, expected) in [
        (&[][..], oldest_first(&conversation(MANY))),
        (&["--newest-first"], newest_first(&conversation(MANY))),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("chat.jsonl");
        let checkpoint = directory.path().join("chat.jsonl.checkpoint");
        let server = server_with(MANY).start().await.unwrap();
        // Stopped by a failure behind some pages, it has saved where it is.
        server.push_fault(Fault::status(503));
        let failing = server_with(MANY)
            .faults(|_, number| (number == 45).then(|| Fault::status(404)))
            .start()
            .await
            .unwrap();
        assert_eq!(ended(export(&failing, &output, flags)).await.code, Some(1));
        let (kept, saved) = (std::fs::read(&output).unwrap(), std::fs::read(&checkpoint).unwrap());
        let so_far = exported(&output).len();
        assert!(so_far > 0 && so_far < MANY, "{flags:?}: {so_far}");
        // Whatever was written after that checkpoint when the crash came.
        // The last of them is longer than all that is still to come.
        let long = "{\"_id\":\"x\"}\n".repeat(1 << 18);
        for torn in ["", "{", "{\"_id\":\"torn", "\n\n\n", long.as_str()] {
            std::fs::write(&output, [&kept, torn.as_bytes()].concat()).unwrap();
            std::fs::write(&checkpoint, &saved).unwrap();
            assert_eq!(ended(export(&server, &output, flags)).await.code, Some(0));
            assert_eq!(exported(&output), expected, "{flags:?}, {} bytes torn", torn.len());
        }
        // A file that is too short was not written with this checkpoint.
        std::fs::write(&output, &kept[..kept.len() - 1]).unwrap();
        std::fs::write(&checkpoint, &saved).unwrap();
        let refused = ended(export(&server, &output, flags)).await;
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains("not of this file"), "{}", refused.stderr);
    }
}

/// Sends what Ctrl-C sends.
async fn interrupt(child: &Child) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
}

#[tokio::test]
async fn interrupted_it_stops_cleanly_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.jsonl");
    let (server, mut requests) = reporting(MESSAGES);
    let server = server.start().await.unwrap();
    let child = export(&server, &output, &[]);
    for _ in 0..60 {
        requests.recv().await.unwrap();
    }
    interrupt(&child).await;
    let stopped = ended(child).await;
    assert_eq!(stopped.code, Some(130));
    assert!(stopped.stdout.ends_with(" requests, stopped\n"), "{}", stopped.stdout);
    assert!(stopped.stderr.contains("start again to go on"), "{}", stopped.stderr);
    let so_far = exported(&output).len();
    assert!(so_far > 0 && so_far < MESSAGES, "{so_far}");

    let rest = ended(export(&server, &output, &[])).await;
    assert_eq!(rest.code, Some(0));
    assert!(rest.stderr.contains(&format!("going on behind {so_far} messages")), "{}", rest.stderr);
    assert_eq!(exported(&output), oldest_first(&conversation(MESSAGES)));
}

#[tokio::test]
async fn a_second_run_appends_what_is_new_and_says_how_much() {
    let conversation = conversation(110);
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.jsonl");
    let server = server_with(100).start().await.unwrap();
    let first = ended(export(&server, &output, &[])).await;
    assert!(first.stdout.contains(": 100 messages, "), "{}", first.stdout);
    assert!(first.stdout.contains(" requests, complete as of 20"), "{}", first.stdout);
    let asked = server.request_count();
    for message in &conversation[100..] {
        server.add_message(CHAT, message.clone());
    }
    let second = ended(export(&server, &output, &[])).await;
    assert!(
        second.stdout.contains(": 110 messages, 10 of them new, 1 requests, complete as of 20"),
        "{}",
        second.stdout
    );
    assert_eq!(server.request_count(), asked + 1);
    assert_eq!(exported(&output), oldest_first(&conversation));

    let other_way = ended(export(&server, &output, &["--newest-first"])).await;
    assert_eq!(other_way.code, Some(1));
    assert!(
        other_way.stderr.contains("chat.jsonl was begun oldest first; leave out --newest-first")
    );
    // The bounds of the first run hold for the second.
    let of_a_month = directory.path().join("month.jsonl");
    for (since, code) in [("2025-01-02", 0), ("2025-01-03", 1)] {
        let run = ended(export(&server, &of_a_month, &["--since", since])).await;
        assert_eq!(run.code, Some(code), "{}", run.stderr);
        let told = if code == 0 { &run.stdout } else { &run.stderr };
        let expected = [
            " complete from 2025-01-02T00:00:00Z as of 20",
            "was begun with --since 2025-01-02T00:00:00Z; give the same",
        ];
        assert!(told.contains(expected[code as usize]), "{told}");
    }
    // Nor does a later run bring one into a whole file, where it would stay.
    let asked = server.request_count();
    for bound in ["--since", "--until"] {
        let run = ended(export(&server, &output, &[bound, "2025-01-02"])).await;
        assert_eq!(run.code, Some(1));
        let told = format!("chat.jsonl was begun without {bound}; leave it out");
        assert!(run.stderr.contains(&told), "{}", run.stderr);
    }
    assert_eq!(server.request_count(), asked);
}

#[tokio::test]
async fn newest_first_a_second_run_is_never_just_complete() {
    let conversation = conversation(110);
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.jsonl");
    let server = server_with(100).start().await.unwrap();
    let up_to = format!("complete up to {}\n", conversation[99].timestamp());
    let first = ended(export(&server, &output, &["--newest-first"])).await;
    assert!(first.stdout.ends_with(&up_to), "{}", first.stdout);
    for message in &conversation[100..] {
        server.add_message(CHAT, message.clone());
    }
    let second = ended(export(&server, &output, &["--newest-first"])).await;
    assert_eq!(second.code, Some(0));
    assert!(second.stdout.ends_with(&up_to), "{}", second.stdout);
    assert_eq!(exported(&output), newest_first(&conversation[..100]));
    let forgotten = ended(export(&server, &output, &[])).await;
    assert!(forgotten.stderr.contains("was begun newest first; give --newest-first"));
}

#[tokio::test]
async fn a_message_that_arrives_late_is_appended_with_a_lookback() {
    let conversation = conversation(100);
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.jsonl");
    let server = server_with(100).start().await.unwrap();
    let late = &conversation[90];
    server.remove_message(CHAT, late.id());
    for expected in [99, 100] {
        let run = ended(export(&server, &output, &["--lookback", "30d"])).await;
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert_eq!(exported(&output).len(), expected);
        server.add_message(CHAT, late.clone());
    }
    assert_eq!(exported(&output)[99], late.id());
}

#[tokio::test]
async fn two_runs_on_one_file_are_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.jsonl");
    let (server, mut requests) = reporting(100);
    let server = server.start().await.unwrap();
    let first = export(&server, &output, &["--follow=1h"]);
    requests.recv().await.unwrap();
    let second = ended(export(&server, &output, &[])).await;
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("chat.jsonl: another run is writing it"), "{}", second.stderr);
    drop(first);
    // A killed run holds nothing.
    let third = async { while ended(export(&server, &output, &[])).await.code != Some(0) {} };
    timeout(Duration::from_secs(30), third).await.unwrap();
    assert_eq!(exported(&output), oldest_first(&conversation(100)));
}

#[tokio::test]
async fn what_is_refused_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let within = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let server = server_with(5).start().await.unwrap();
    for (status, advice) in [(401, "check the token"), (404, "check the chat id")] {
        for place in [["-o", &within("new.jsonl")], ["--folder", &within("new")]] {
            server.push_fault(Fault::status(status));
            let refused =
                command(example("export"), &server).arg(CHAT).args(place).spawn().unwrap();
            let refused = ended(refused).await;
            assert_eq!(refused.code, Some(1));
            assert!(refused.stderr.contains(advice), "{}", refused.stderr);
            assert_eq!(names_in(directory.path()), [""; 0]);
        }
    }
    for wrong in [
        &[CHAT, "-o", &within("new.jsonl"), "--page-size", "0"][..],
        &["../etc/passwd"],
        &["A b"],
        &[CHAT, CHAT],
        &[CHAT, "a1", "-o", &within("new.jsonl")],
        &[CHAT, "--follow=0s"],
        &[CHAT, "--lookback", "soon"],
        &[CHAT, "--newest-first", "--lookback", "1h"],
        &[CHAT, "-o", &within("there/is/none.jsonl")],
    ] {
        let requests = server.request_count();
        let mut refused = command(example("export"), &server);
        let refused = refused.current_dir(directory.path()).args(wrong).spawn().unwrap();
        let refused = ended(refused).await;
        assert!(matches!(refused.code, Some(1 | 2)), "{wrong:?}: {}", refused.stderr);
        assert_eq!(server.request_count(), requests, "{wrong:?}");
        assert_eq!(names_in(directory.path()), [""; 0], "{wrong:?}");
    }
}

#[tokio::test]
async fn several_chats_go_into_a_folder_and_one_that_fails_costs_none_of_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("chats");
    let mut server = FakeTexter::builder();
    for (id, count) in [("a1", 30), ("a2", 0), ("a3", 70)] {
        server = server.chat(FakeChat::new(id).messages(conversation(count)));
    }
    let server = server.start().await.unwrap();
    let run = command(example("export"), &server)
        .args(["a1", "a2", "a3", "a4", "--folder", folder.to_str().unwrap()])
        .spawn()
        .unwrap();
    let run = ended(run).await;
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("chat a4, the first page: the server answered 404"));
    assert!(run.stderr.ends_with("error: 1 of 4 chats failed\n"), "{}", run.stderr);
    assert_eq!(run.stdout.lines().count(), 3, "{}", run.stdout);
    for (id, count) in [("a1", 30), ("a2", 0), ("a3", 70)] {
        let name = folder.join(format!("{id}.jsonl"));
        assert_eq!(exported(&name), oldest_first(&conversation(count)));
    }
    let names =
        ["a1", "a2", "a3"].map(|id| [format!("{id}.jsonl"), format!("{id}.jsonl.checkpoint")]);
    assert_eq!(names_in(&folder), names.concat());
}

#[tokio::test]
async fn a_wait_is_told_with_its_reason_and_its_length() {
    let server = server_with(5).start().await.unwrap();
    server.push_fault(Fault::retry_after(429, "1"));
    let run = ended(export(&server, Path::new("-"), &[])).await;
    assert_eq!(run.code, Some(0));
    let told = "0 messages, the server answered 429; asked again in ";
    assert_eq!(run.stderr.matches(told).count(), 1, "{}", run.stderr);
    assert_eq!(run.stdout.lines().count(), 5);
}

#[tokio::test]
async fn while_it_follows_it_outlasts_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.jsonl");
    let server = server_with(5).start().await.unwrap();
    // So long that the library gives the page up at once.
    server.push_fault(Fault::retry_after(429, "100"));
    let mut child = export(&server, &output, &["--follow=50ms"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = lines.next_line().await.unwrap().unwrap();
    assert!(told.contains("429") && told.ends_with("; looks again in 100s"), "{told}");
    interrupt(&child).await;
    assert_eq!(ended(child).await.code, Some(130));
}

#[tokio::test]
async fn a_closed_pipe_is_no_error() {
    let server = server_with(MESSAGES).start().await.unwrap();
    let mut child = export(&server, Path::new("-"), &[]);
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).await.unwrap();
    drop(stdout);
    let run = ended(child).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(!run.stderr.contains("error"), "{}", run.stderr);
}

/// A limit on the size of files stands for a disk that is full: the system says so in the same way.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_told_with_the_file_and_breaks_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.jsonl");
    let server = server_with(MESSAGES).start().await.unwrap();
    // In blocks of 512 bytes. Once within the messages, once before the first of them.
    for (blocks, named) in [("0", "chat.jsonl.checkpoint.new"), ("200", "chat.jsonl")] {
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let full = command("sh", &server)
            .args(["-c", &limited, "sh", example("export").to_str().unwrap()])
            .args([CHAT, "--save-every", "30", "-o", output.to_str().unwrap()])
            .spawn()
            .unwrap();
        let full = ended(full).await;
        assert_eq!(full.code, Some(1));
        let told = format!("{named}: File too large");
        assert!(full.stderr.contains(&told), "{}", full.stderr);
        assert_eq!(output.exists(), blocks != "0");
        assert!(!directory.path().join("chat.jsonl.checkpoint.new").exists());
    }
    assert_eq!(ended(export(&server, &output, &[])).await.code, Some(0));
    assert_eq!(exported(&output), oldest_first(&conversation(MESSAGES)));

    let full = command("sh", &server)
        .args(["-c", "exec \"$@\" > /dev/full", "sh", example("export").to_str().unwrap()])
        .args([CHAT, "-o", "-"])
        .spawn()
        .unwrap();
    let full = ended(full).await;
    assert_eq!(full.code, Some(1));
    assert!(full.stderr.contains("standard output: No space left on device"), "{}", full.stderr);
}
