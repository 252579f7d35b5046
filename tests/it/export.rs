//! The export example, killed in the middle, many times.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use texter_history::testing::{FakeTexter, FakeTexterBuilder};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::{CHAT, conversation, newest_first, server_with};

const MESSAGES: usize = 1_200;

/// An example, which `cargo test` builds beside the tests.
pub(super) fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

fn export(server: &FakeTexter, output: &Path) -> Child {
    Command::new(example("export"))
        .arg(CHAT)
        .arg("--output")
        .arg(output)
        .args(["--page-size", "20", "--save-every", "30"])
        .env("TEXTER_BASE_URL", server.base_url())
        .env("TEXTER_TOKEN", server.token())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the examples are built: cargo build --examples")
}

fn exported(output: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(output).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|message| message["_id"].as_str().unwrap().to_owned()).collect()
}

/// A server that reports each request before it answers.
fn reporting() -> (FakeTexterBuilder, mpsc::UnboundedReceiver<()>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = server_with(MESSAGES).latency(Duration::from_millis(2)).faults(move |_, _| {
        let _ = sender.send(());
        None
    });
    (server, receiver)
}

#[tokio::test]
async fn killed_many_times_the_file_holds_every_message_once() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.jsonl");
    let (server, mut requests) = reporting();
    let server = server.start().await.unwrap();
    let mut rng = fastrand::Rng::with_seed(9);
    let mut kills = 0;
    loop {
        let mut child = export(&server, &output);
        let survived = rng.usize(1..14);
        let mut seen = 0;
        let ended = loop {
            tokio::select! {
                status = child.wait() => break Some(status.unwrap()),
                _ = requests.recv() => seen += 1,
            }
            if seen == survived {
                // Wherever it is now: it is killed without a chance to tidy up.
                child.start_kill().unwrap();
                child.wait().await.unwrap();
                break None;
            }
        };
        while requests.try_recv().is_ok() {}
        match ended {
            Some(status) => {
                assert!(status.success());
                break;
            }
            None => kills += 1,
        }
        assert!(kills < 500, "it does not get on");
    }
    assert!(kills > 5, "{kills}");
    assert_eq!(exported(&output), newest_first(&conversation(MESSAGES)));
}

#[tokio::test]
async fn a_crash_at_any_byte_leaves_a_file_and_a_checkpoint_that_agree() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.jsonl");
    let checkpoint = directory.path().join("chat.jsonl.checkpoint");
    let server = server_with(60).start().await.unwrap();
    // Stopped by a failure behind some pages, it has saved where it is.
    server.push_fault(texter_history::testing::Fault::status(503));
    let failing = server_with(60)
        .faults(|_, number| (number == 2).then(|| texter_history::testing::Fault::status(404)));
    let failing = failing.start().await.unwrap();
    assert!(!export(&failing, &output).wait().await.unwrap().success());
    let (kept, saved) = (std::fs::read(&output).unwrap(), std::fs::read(&checkpoint).unwrap());
    assert_eq!(exported(&output).len(), 40);
    // Whatever was written after that checkpoint when the crash came.
    for torn in ["", "{", "{\"_id\":\"torn", "{\"_id\":\"x\"}\n", "\n\n\n"] {
        std::fs::write(&output, [&kept, torn.as_bytes()].concat()).unwrap();
        std::fs::write(&checkpoint, &saved).unwrap();
        assert!(export(&server, &output).wait().await.unwrap().success());
        assert_eq!(exported(&output), newest_first(&conversation(60)), "{torn:?}");
    }
    // A file that is too short was not written with this checkpoint.
    std::fs::write(&output, &kept[..kept.len() - 1]).unwrap();
    std::fs::write(&checkpoint, &saved).unwrap();
    let refused = export(&server, &output).wait_with_output().await.unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not of this file"));
}

#[cfg(unix)]
#[tokio::test]
async fn interrupted_it_stops_cleanly_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("chat.jsonl");
    let (server, mut requests) = reporting();
    let server = server.start().await.unwrap();
    let child = export(&server, &output);
    for _ in 0..5 {
        requests.recv().await.unwrap();
    }
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let stopped = child.wait_with_output().await.unwrap();
    assert!(stopped.status.success());
    assert!(String::from_utf8_lossy(&stopped.stdout).contains("stopped"), "{stopped:?}");
    let so_far = exported(&output).len();
    assert!(so_far > 0 && so_far < MESSAGES, "{so_far}");

    let rest = export(&server, &output).wait_with_output().await.unwrap();
    let stderr = String::from_utf8_lossy(&rest.stderr).into_owned();
    assert!(stderr.contains(&format!("going on behind {so_far} messages")), "{stderr}");
    let all = exported(&output);
    assert_eq!(all.len(), MESSAGES);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), MESSAGES);
}
