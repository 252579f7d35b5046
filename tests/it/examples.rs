//! The examples as programs, where their output on made-up messages is not enough: against a server that
//! the environment names.

use std::process::Stdio;
use std::time::Duration;

use texter_history::Timestamp;
use texter_history::testing::{FakeChat, FakeMessage, FakeTexter, Fault};
use tokio::process::Command;

use super::export::example;
use super::{CHAT, conversation, server_with};

struct Ended {
    success: bool,
    stdout: String,
    stderr: String,
}

async fn run(name: &str, server: &FakeTexter, arguments: &[&str]) -> Ended {
    let output = Command::new(example(name))
        .args(arguments)
        .env("TEXTER_BASE_URL", server.base_url())
        .env("TEXTER_TOKEN", server.token())
        // A proxy for plain http would be shown the token.
        .env("http_proxy", "http://127.0.0.1:9")
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("all_proxy", "http://127.0.0.1:9")
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the examples are built: cargo build --examples");
    Ended {
        success: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn the_token_goes_to_no_proxy_over_plain_http() {
    let server = server_with(5).start().await.unwrap();
    let ended = run("history", &server, &[CHAT]).await;
    assert!(ended.success, "{}", ended.stderr);
    assert!(ended.stdout.ends_with("5 messages in 1 pages, 1 requests\n"), "{}", ended.stdout);
}

#[tokio::test]
async fn a_failure_is_told_in_words_with_what_to_do() {
    let server = server_with(5).start().await.unwrap();
    for name in ["history", "many"] {
        let ended = run(name, &server, &["00"]).await;
        assert!(!ended.success);
        assert!(ended.stderr.contains("check the chat id"), "{name}: {}", ended.stderr);
        assert!(!ended.stderr.contains("Inner"), "{name}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_number_is_no_time() {
    let server = server_with(5).start().await.unwrap();
    for number in ["1757055477", "1757055477000", "0"] {
        let ended = run("history", &server, &[CHAT, "--since", number]).await;
        assert!(!ended.success, "{number}: {}", ended.stdout);
        assert!(ended.stderr.contains("write it as RFC 3339"), "{number}: {}", ended.stderr);
        assert!(ended.stderr.contains("2025-01-31"), "{number}: {}", ended.stderr);
    }
    assert_eq!(server.request_count(), 0);
}

#[tokio::test]
async fn history_reads_a_session_and_lets_no_text_steer_the_terminal() {
    let at = |millis| Timestamp::from_millis(millis);
    let messages = [
        FakeMessage::text(at(1_000), "a", "before"),
        FakeMessage::text(at(2_000), "b", "\u{1b}[2Jred\nline\u{7}").bot_session("s1"),
    ];
    let chat = FakeChat::new(CHAT).messages(messages);
    let server = FakeTexter::builder().chat(chat).start().await.unwrap();
    let ended = run("history", &server, &[CHAT, "--session", "s1"]).await;
    assert!(ended.success, "{}", ended.stderr);
    assert_eq!(
        ended.stdout.lines().next().unwrap(),
        r"1970-01-01T00:00:02Z  ◀ customer    \u{1b}[2Jred ⏎ line\u{7}"
    );
    assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);
    assert_eq!(server.requests()[0].bot_session.as_deref(), Some("s1"));
}

#[tokio::test]
async fn find_goes_on_behind_a_message_that_cannot_be_read() {
    let mut messages = conversation(60);
    let wanted = messages[..20]
        .iter()
        .rev()
        .find_map(|message| message.to_value()["channelInfo"]["id"].as_str().map(str::to_owned));
    let wanted = wanted.unwrap();
    let odd = r#"{"_id":"odd","timestamp":4000000000000,"status":"odd"}"#;
    messages.push(FakeMessage::placed(Timestamp::from_millis(4_000_000_000_000), "odd", odd));
    let chat = FakeChat::new(CHAT).messages(messages);
    let server = FakeTexter::builder().chat(chat).start().await.unwrap();
    let ended = run("find", &server, &[&wanted, CHAT]).await;
    assert!(ended.success, "{}", ended.stderr);
    assert!(ended.stdout.starts_with(&format!("found {wanted} after ")), "{}", ended.stdout);
    assert!(ended.stderr.contains("cannot be read: 1 messages"), "{}", ended.stderr);
}

#[tokio::test]
async fn export_tells_how_far_it_is_where_there_is_no_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.jsonl");
    let server = server_with(200).latency(Duration::from_millis(150)).start().await.unwrap();
    let arguments = [CHAT, "--page-size", "10", "-o", output.to_str().unwrap()];
    let ended = run("export", &server, &arguments).await;
    assert!(ended.success, "{}", ended.stderr);
    let told = ended.stderr.lines().find(|line| line.contains("messages, ")).unwrap();
    assert!(
        told.contains('%') && told.contains("/s, about ") && told.ends_with(" s left"),
        "{told}"
    );
}

#[tokio::test]
async fn an_export_that_is_refused_leaves_what_there_is() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.jsonl");
    let output = output.to_str().unwrap();
    let server = server_with(50).start().await.unwrap();
    // Starts that write nothing: a chat that is not there, an id that none can have.
    for chat in ["00", "A b"] {
        assert!(!run("export", &server, &[chat, "-o", output]).await.success);
    }
    // A walk that stops half way. How many requests come before depends on what is asked for ahead.
    let messages = conversation(50);
    let (middle, end) =
        (messages[30].timestamp().as_millis(), messages[49].timestamp().as_millis());
    let failing = server_with(50).faults(move |request, _| {
        let (time, _) = request.before.as_ref()?;
        (middle..=end).contains(time).then(|| Fault::status(404))
    });
    let failing = failing.start().await.unwrap();
    let arguments = [CHAT, "-o", output, "--page-size", "10"];
    assert!(!run("export", &failing, &arguments).await.success);
    let so_far = std::fs::read_to_string(output).unwrap().lines().count();
    assert!(so_far > 0 && so_far < 50, "{so_far}");
    for arguments in [&[CHAT, "-o", output, "--page-size", "0"][..], &["another", "-o", output]] {
        let ended = run("export", &server, arguments).await;
        assert!(!ended.success, "{arguments:?}");
    }
    for _ in 0..2 {
        assert!(run("export", &server, &[CHAT, "-o", output]).await.success);
        let text = std::fs::read_to_string(output).unwrap();
        let lines: std::collections::HashSet<&str> = text.lines().collect();
        assert_eq!((text.lines().count(), lines.len()), (50, 50));
        assert!(!run("export", &server, &[CHAT, "-o", output, "--page-size", "0"]).await.success);
    }
}

#[tokio::test]
async fn a_closed_pipe_is_no_error() {
    let server = server_with(3_000).start().await.unwrap();
    for name in ["history", "many"] {
        let mut child = Command::new(example(name))
            .args([CHAT, "--page-size", "1000"])
            .env("TEXTER_BASE_URL", server.base_url())
            .env("TEXTER_TOKEN", server.token())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().await.unwrap();
        assert!(ended.status.success(), "{name}");
        assert_eq!(String::from_utf8(ended.stderr).unwrap(), "", "{name}");
    }
}
