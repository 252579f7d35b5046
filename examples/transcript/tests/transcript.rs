//! The transcript as a program, against a server that the environment names.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A helper that cannot go on fails its test.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use texter_history::testing::{
    Conversation, FakeChat, FakeMessage, FakeTexter, FakeTexterBuilder, Fault,
};
use tokio::process::{Child, Command};

const CHAT: &str = "67bf11038b24880cc966f799";

fn command(program: &str, server: &FakeTexter) -> Command {
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

const TRANSCRIPT: &str = env!("CARGO_BIN_EXE_transcript");

fn transcript(server: &FakeTexter, output: &Path, flags: &[&str]) -> Child {
    command(TRANSCRIPT, server).arg(CHAT).arg("-o").arg(output).args(flags).spawn().unwrap()
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

fn server_with(messages: impl IntoIterator<Item = impl Into<FakeMessage>>) -> FakeTexterBuilder {
    FakeTexter::builder().chat(FakeChat::new(CHAT).messages(messages))
}

fn names_in(directory: &Path) -> Vec<String> {
    let files = std::fs::read_dir(directory).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

/// The page of these messages.
async fn page_of(messages: Vec<FakeMessage>, flags: &[&str]) -> String {
    let server = server_with(messages).start().await.unwrap();
    let run = ended(transcript(&server, Path::new("-"), flags)).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.stdout
}

#[tokio::test]
async fn no_part_of_a_message_gets_out_of_its_place() {
    let evil = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'&";
    let message = json!({
        "_id": "a1", "timestamp": 1000, "direction": "outgoing", "agent": evil, "type": evil, "text": evil,
        "channelInfo": { "id": evil }, "context": { "id": evil }, "reactions": [{ "emoji": evil }],
        "chatChannelInfo": { "name": evil, "id": evil, "accountId": evil }, "status": 2,
        "media": [{ "mediaType": evil, "fileId": evil, "caption": evil, "fileName": evil }],
        "buttons": [{ "title": evil }], "postback": { "title": evil, "description": evil },
        "list": { "button": evil, "sections": [{ "title": evil, "rows": [{ "title": evil, "description": evil }] }] },
        "contacts": [{ "name": { "formatted_name": evil }, "phones": [{ "phone": evil }] }],
        "location": { "latitude": 1, "longitude": 2, "name": evil, "address": evil },
        "special": { "template": { "name": evil } },
    });
    let mut answer = message.clone();
    answer["_id"] = "a2".into();
    answer["text"] = format!("https://a.example/{evil} javascript:alert(1)").into();
    let system = json!({ "_id": "a3", "timestamp": 2000, "systemMessage": true, "newChatStatus": 2, "text": evil,
        "assignedTo": { "name": evil } });
    let odd = json!({ "_id": "a4", "timestamp": 3000, "status": evil });
    let other = json!({ "_id": "a5", "timestamp": 4000, "direction": "incoming", "type": evil,
        "location": { "pluscode": evil }, "special": { "odd": [evil] } });
    let page = page_of(
        [message, answer, system, odd, other].map(Into::into).into(),
        &["--customer", evil],
    )
    .await;
    assert!(page.matches("&lt;script&gt;alert(1)").count() > 40, "{page}");
    // Not one element or attribute but the page's own.
    for forbidden in ["<script", "<img", "href=\"javascript", " onerror=alert(1)>\""] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    for tag in page.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let outside_of_values: String = tag.split('"').step_by(2).collect();
        assert!(!outside_of_values.contains("onerror"), "{tag}");
    }
    assert!(page.contains("A message that cannot be read, for its <code>status</code>"), "{page}");
    assert!(page.contains("<p>4 messages, and 1 that cannot be read"), "{page}");
    // The second message answers the first: the link leads to what is there.
    let place =
        page.split("<article class=\"out\" id=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(page.contains(&format!("<a class=\"reply\" href=\"#{place}\">")), "{place}");
}

#[tokio::test]
async fn days_are_those_of_the_time_zone() {
    let at = |time: &str, id: &str| FakeMessage::text(time.parse().unwrap(), id, id);
    let messages = || {
        vec![
            at("2025-11-02T21:30:00Z", "a1"),
            at("2025-11-02T22:30:00Z", "a2"),
            at("2025-11-05T08:00:00Z", "a3"),
        ]
    };
    let utc = page_of(messages(), &[]).await;
    assert_eq!(utc.matches("<h2>").count(), 2);
    assert!(utc.contains("<h2><time datetime=\"2025-11-02\">Sunday, 2 November 2025</time></h2>"));
    assert!(utc.contains(">21:30</time>") && utc.contains("times are of UTC"));
    let there = page_of(messages(), &["--time-zone", "Asia/Jerusalem"]).await;
    assert_eq!(there.matches("<h2>").count(), 3);
    assert!(there.contains(">Monday, 3 November 2025<") && there.contains(">00:30</time>"));
    assert!(there.contains("times are of Asia/Jerusalem"));
    let bounded = page_of(messages(), &["--since", "2025-11-03"]).await;
    assert_eq!(bounded.matches("<article").count(), 1);
}

#[tokio::test]
async fn every_message_is_there_once_and_in_order() {
    let conversation: Vec<_> = Conversation::seeded(5).messages(700).collect();
    for flags in [&[][..], &["--concurrency", "4", "--page-size", "30"]] {
        let page = page_of(conversation.clone(), flags).await;
        // Each of them has a place, in the order of the conversation.
        let place = |message: &FakeMessage| match message.to_value()["channelInfo"]["id"].as_str() {
            Some(id) => format!("id=\"p-{id}\""),
            None => format!("id=\"m-{}\"", message.id()),
        };
        let mut rest = &page[..];
        for message in &conversation {
            rest = rest
                .split_once(&place(message))
                .unwrap_or_else(|| panic!("{} is missing", message.id()))
                .1;
        }
        let messages =
            page.matches("<article ").count() + page.matches("<p class=\"system\"").count();
        assert_eq!(messages, 700);
        assert_eq!(page.matches("<section").count(), page.matches("</section>").count());
    }
    let empty = page_of(Vec::new(), &[]).await;
    assert!(empty.contains("<p>0 messages") && empty.ends_with("</html>\n"));
}

/// The memory that a process has had at most, in KiB.
#[cfg(target_os = "linux")]
fn peak_of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_messages_need_little_memory() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.html");
    let conversation = Conversation::seeded(6).messages(100_000);
    let server = server_with(conversation).start().await.unwrap();
    let mut child = transcript(&server, &output, &[]);
    let pid = child.id().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak_of(pid).unwrap_or(0).max(peak);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ended(child).await.code, Some(0));
    let page = std::fs::read_to_string(&output).unwrap();
    let messages = page.matches("<article ").count() + page.matches("<p class=\"system\"").count();
    assert_eq!(messages, 100_000);
    println!("{} MiB of HTML, {} MiB of memory", page.len() >> 20, peak >> 10);
    assert!(peak > 0 && peak < 64 << 10, "{peak} KiB");
}

#[tokio::test]
async fn a_failure_leaves_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.html");
    let server = server_with(Conversation::seeded(5).messages(300)).start().await.unwrap();
    for status in [401, 404] {
        server.push_fault(Fault::status(status));
        assert_eq!(ended(transcript(&server, &output, &[])).await.code, Some(1));
        assert_eq!(names_in(directory.path()), [""; 0]);
    }
    assert_eq!(ended(transcript(&server, &output, &[])).await.code, Some(0));
    let first = std::fs::read(&output).unwrap();
    // A run that fails half way.
    let failing = server_with(Conversation::seeded(5).messages(300))
        .faults(|_, number| (number == 4).then(|| Fault::status(404)))
        .start()
        .await
        .unwrap();
    let run = ended(transcript(&failing, &output, &["--page-size", "20"])).await;
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert_eq!(std::fs::read(&output).unwrap(), first);
    assert_eq!(names_in(directory.path()), ["chat.html"]);
    // A transcript is replaced, whatever else it is is not.
    assert_eq!(ended(transcript(&server, &output, &["--until", "2025-01-03"])).await.code, Some(0));
    assert!(std::fs::read(&output).unwrap().len() < first.len());
    std::fs::write(&output, "my own notes").unwrap();
    let run = ended(transcript(&server, &output, &[])).await;
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("chat.html is there already and is no transcript"),
        "{}",
        run.stderr
    );
    assert_eq!(std::fs::read(&output).unwrap(), b"my own notes");
    for wrong in [&["--time-zone", "Mars/Olympus"][..], &["--since", "0"], &["--page-size", "0"]] {
        let run = ended(transcript(&server, &directory.path().join("new.html"), wrong)).await;
        assert!(matches!(run.code, Some(1 | 2)), "{wrong:?}");
        assert_eq!(names_in(directory.path()), ["chat.html"]);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn two_runs_an_interrupt_a_closed_pipe_and_a_full_disk_do_as_the_words_say() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.html");
    let server = server_with(Conversation::seeded(5).messages(3_000)).start().await.unwrap();
    server.push_fault(Fault::Hang { after: 10 });
    let first = transcript(&server, &output, &[]);
    while server.request_count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = ended(transcript(&server, &output, &[])).await;
    assert_eq!(second.code, Some(1));
    assert!(
        second.stderr.contains("chat.html.new: another run is writing it"),
        "{}",
        second.stderr
    );

    let pid = first.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let first = ended(first).await;
    assert_eq!(first.code, Some(130), "{}", first.stderr);
    assert_eq!(names_in(directory.path()), [""; 0]);

    let mut child = transcript(&server, Path::new("-"), &[]);
    drop(child.stdout.take());
    let run = ended(child).await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));

    let limited = "trap '' XFSZ; ulimit -f 50; exec \"$@\"";
    let full = command("sh", &server)
        .args(["-c", limited, "sh", TRANSCRIPT, CHAT, "-o", output.to_str().unwrap()])
        .spawn()
        .unwrap();
    let full = ended(full).await;
    assert_eq!(full.code, Some(1));
    assert!(full.stderr.contains("chat.html.new: File too large"), "{}", full.stderr);
    assert_eq!(names_in(directory.path()), [""; 0]);
}
