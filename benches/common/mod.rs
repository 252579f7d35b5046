//! What the benches share: the loop that a user would write by hand, and a server in a process of its own.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // No bench needs all of it; any may fail.

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use texter_history::testing::{Conversation, FakeChat, FakeMessage, FakeTexter};
use texter_history::{Client, RetryPolicy, Timestamp};

pub const CHAT: &str = "67bf11038b24880cc966f799";

/// The newest message of a chat, in epoch milliseconds: none may be dated in the future, as in no chat.
const NEWEST: i64 = 1_750_000_000_000;

/// So many realistic messages; without ties, so that the hand-written loop gets them all, too.
pub fn conversation(messages: usize) -> Vec<FakeMessage> {
    let begin = Timestamp::from_millis(NEWEST / 2);
    let made = Conversation::seeded(2025).messages(messages).tie_share(0.0).starting_at(begin);
    let made: Vec<FakeMessage> = made.collect();
    let newest = made.last().map_or(NEWEST, |message| message.timestamp().as_millis());
    // A long chat takes longer than there is time. Then the messages follow each other faster.
    let faster = newest / NEWEST + 1;
    let mut last = 0;
    let moved = made.into_iter().map(|message| {
        let time = message.timestamp().as_millis();
        last = (time / faster).max(last + 1);
        let json = message.json().replace(&time.to_string(), &last.to_string());
        FakeMessage::placed(Timestamp::from_millis(last), message.id(), json)
    });
    moved.collect()
}

/// The body of a page of the newest of these.
pub fn body(messages: &[FakeMessage]) -> String {
    let texts: Vec<&str> = messages.iter().map(FakeMessage::json).collect();
    format!(r#"{{"messages":[{}],"minTime":1,"maxTime":2}}"#, texts.join(","))
}

/// The server that a bench talks to, in a process of its own, so that its work is not counted.
pub struct Server {
    child: Child,
    /// The server ends when this is closed.
    _alive: ChildStdin,
    pub base_url: String,
}

const SERVE: &str = "--serve";

impl Server {
    pub fn start(messages: usize, latency: Duration, bandwidth: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(SERVE)
            .args([messages.to_string(), latency.as_micros().to_string(), bandwidth.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let alive = child.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, _alive: alive, base_url: line.trim().to_owned() }
    }

    pub fn client(&self) -> Client {
        let client = Client::builder().base_url(&self.base_url).token("fake-token");
        client.retry(RetryPolicy::none()).build().unwrap()
    }

    /// CPU time of the server so far.
    pub fn cpu(&self) -> Duration {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let clock = nix::time::ClockId::pid_cpu_clock_id(pid).unwrap();
        clock.now().unwrap().into()
    }

    /// Becomes the server if this process was started as one.
    pub fn serve_if_asked() {
        let arguments: Vec<String> = std::env::args().collect();
        if arguments.get(1).map(String::as_str) != Some(SERVE) {
            return;
        }
        let number = |index: usize| arguments[index].parse::<u64>().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let messages = conversation(usize::try_from(number(2)).unwrap());
            let mut server = FakeTexter::builder()
                .chat(FakeChat::new(CHAT).messages(messages))
                .latency(Duration::from_micros(number(3)))
                .record_requests(false);
            if number(4) > 0 {
                server = server.bandwidth(number(4));
            }
            let server = server.start().await.unwrap();
            println!("{}", server.base_url());
            // The parent's end closes the pipe.
            tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
                .await
                .unwrap()
                .unwrap();
        });
        std::process::exit(0);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The middle of the figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Prints a row of the table that `scripts/bench` collects.
pub fn row(what: &str, bound: &str, measured: &str) {
    println!("| {what} | {bound} | {measured} |");
}

/// The page as a user would declare it: plain owned structs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandPage {
    pub messages: Vec<HandMessage>,
    pub min_time: Option<serde_json::Value>,
    pub max_time: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandMessage {
    #[serde(rename = "_id")]
    pub id: String,
    pub timestamp: i64,
    #[serde(rename = "parent_chat")]
    pub parent_chat: Option<String>,
    pub chat_channel_info: Option<HandChannel>,
    pub channel_info: Option<HandChannelInfo>,
    pub updated_at: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub text: Option<String>,
    pub media: Option<Vec<HashMap<String, serde_json::Value>>>,
    pub buttons: Option<Vec<HandButton>>,
    pub list: Option<HandList>,
    pub postback: Option<HandRow>,
    pub contacts: Option<Vec<serde_json::Value>>,
    pub location: Option<serde_json::Value>,
    pub special: Option<serde_json::Value>,
    pub direction: Option<String>,
    pub agent: Option<String>,
    pub status: Option<i64>,
    pub status_history: Option<Vec<HandStatus>>,
    pub bot_session_id: Option<String>,
    pub metadata: Option<serde_json::Value>,
    pub context: Option<serde_json::Value>,
    pub reactions: Option<serde_json::Value>,
    pub system_message: Option<bool>,
    pub new_chat_status: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandChannel {
    pub name: Option<String>,
    pub id: Option<String>,
    pub account_id: Option<String>,
}

#[derive(Deserialize)]
pub struct HandChannelInfo {
    pub id: Option<String>,
}

#[derive(Deserialize)]
pub struct HandButton {
    pub title: Option<String>,
    pub payload: Option<String>,
}

#[derive(Deserialize)]
pub struct HandList {
    pub button: Option<String>,
    pub sections: Option<Vec<HandSection>>,
}

#[derive(Deserialize)]
pub struct HandSection {
    pub title: Option<String>,
    pub rows: Option<Vec<HandRow>>,
}

#[derive(Deserialize)]
pub struct HandRow {
    pub title: Option<String>,
    pub payload: Option<String>,
    pub description: Option<String>,
}

#[derive(Deserialize)]
pub struct HandStatus {
    pub status: Option<i64>,
    pub timestamp: Option<i64>,
}

/// The loop as a user would write it, for a chat without ties and a server without a cap.
pub async fn hand_loop(http: &reqwest::Client, base_url: &str, page_size: usize) -> usize {
    let (mut time, mut id) = (253_402_300_799_999, "f".repeat(24));
    let mut messages = 0;
    loop {
        let url = format!(
            "{base_url}/messages/chat/{CHAT}?limit={page_size}&beforeTime={time}&beforeId={id}"
        );
        let response = http.get(url).bearer_auth("fake-token").send().await.unwrap();
        let page: HandPage = response.error_for_status().unwrap().json().await.unwrap();
        let count = page.messages.len();
        if let Some(oldest) = page.messages.first() {
            (time, id) = (oldest.timestamp, oldest.id.clone());
        }
        for message in page.messages.into_iter().rev() {
            black_box(message);
        }
        messages += count;
        if count < page_size {
            return messages;
        }
    }
}

/// Asks for the newest page so many times and throws the bodies away.
pub async fn download(http: &reqwest::Client, base_url: &str, page_size: usize, requests: usize) {
    let url = format!(
        "{base_url}/messages/chat/{CHAT}?limit={page_size}&beforeTime=253402300799999&beforeId=ffff"
    );
    for _ in 0..requests {
        let response = http.get(&url).bearer_auth("fake-token").send().await.unwrap();
        assert!(response.bytes().await.unwrap().len() > 400 * page_size);
    }
}
