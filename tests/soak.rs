//! 200,000 messages, in either direction, through a server that fails one request in five, with restarts from the
//! checkpoint at random: exact, and in memory that does not grow. Not in the quick run:
//! `cargo test --release --test soak -- --nocapture`.

#![allow(clippy::unwrap_used)] // A helper that cannot go on fails its test.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use fastrand::Rng;
use futures::StreamExt;
use texter_history::testing::{Conversation, FakeChat, FakeMessage, FakeTexter, Fault};
use texter_history::{Checkpoint, Client, End, ErrorKind, Messages, RetryPolicy};

const CHAT: &str = "67bf11038b24880cc966f799";
const MESSAGES: usize = 200_000;
/// The walk is measured in so many parts, of which none may need much more memory than another.
const PARTS: usize = 10;

fn fault(rng: &mut Rng) -> Option<Fault> {
    if rng.u8(..5) > 0 {
        return None;
    }
    Some(match rng.u8(..10) {
        0 => Fault::status(500),
        1 => Fault::status(503),
        2 => Fault::status(408),
        3 => Fault::retry_after(429, "0"),
        4 => Fault::status(403),
        5 => Fault::Close,
        6 => Fault::CutBody { after: rng.usize(..200_000) },
        7 => Fault::Hang { after: rng.usize(..2) * rng.usize(..200_000) },
        8 => Fault::garbage(),
        _ => Fault::RawBytes(vec![rng.u8(..); rng.usize(..100)].into()),
    })
}

/// Serves until the other end of the channel is gone, on a thread of its own, so that its memory is not
/// counted with the client's.
fn serve(messages: Vec<FakeMessage>, until: mpsc::Receiver<()>) -> (String, String) {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut rng = Rng::with_seed(7);
            let server = FakeTexter::builder()
                .chat(FakeChat::new(CHAT).messages(messages))
                .record_requests(false)
                .gzip(true)
                .faults(move |_, _| fault(&mut rng))
                .start()
                .await
                .unwrap();
            sender.send((server.base_url(), server.token().to_owned())).unwrap();
            let gone = tokio::task::spawn_blocking(move || until.recv());
            assert!(gone.await.unwrap().is_err());
        });
    });
    receiver.recv().unwrap()
}

#[derive(Clone, Copy)]
enum Direction {
    NewestFirst,
    OldestFirst,
}

impl Direction {
    fn query(self, query: Messages) -> Messages {
        match self {
            Self::NewestFirst => query,
            Self::OldestFirst => query.oldest_first(),
        }
    }

    /// How a stream ends behind the last message.
    fn end(self) -> End {
        match self {
            Self::NewestFirst => End::ReachedStart,
            Self::OldestFirst => End::ReachedNewest,
        }
    }
}

struct Walk {
    base_url: String,
    token: String,
    direction: Direction,
    concurrency: usize,
    rng: Rng,
    checkpoint: Option<String>,
    restarts: usize,
    failures: usize,
    requests: u64,
}

impl Walk {
    fn client(&self) -> Client {
        let retry = RetryPolicy::default().base_delay(Duration::ZERO).max_attempts(3);
        let builder = Client::builder().base_url(&self.base_url).token(&self.token).retry(retry);
        builder.timeout(Duration::from_millis(500)).build().unwrap()
    }

    /// Walks on over these ids; whether the chat's end in this direction was reached.
    async fn walk_on(&mut self, mut expected: &[String]) -> bool {
        loop {
            let mut query = self.direction.query(self.client().messages(CHAT));
            query = query.page_size(self.rng.u32(50..400));
            query = query.prefetch(self.rng.usize(..3)).concurrency(self.concurrency);
            if let Some(line) = &self.checkpoint {
                query = query.resume_from(line.parse::<Checkpoint>().unwrap());
            }
            let mut stream = query.stream();
            let until_restart = self.rng.usize(1..6_000);
            for _ in 0..until_restart {
                match stream.next().await {
                    Some(Ok(message)) => {
                        assert_eq!(message.id, expected[0].as_str());
                        expected = &expected[1..];
                    }
                    Some(Err(error)) => {
                        let kind = error.kind();
                        assert!(!matches!(kind, ErrorKind::Stalled | ErrorKind::InvalidRequest));
                        self.failures += 1;
                        stream.resume();
                    }
                    None => break,
                }
                if expected.is_empty() {
                    break;
                }
            }
            self.requests += stream.stats().requests;
            self.checkpoint = Some(stream.checkpoint().to_string());
            if stream.end() == Some(self.direction.end()) {
                assert!(expected.is_empty(), "{} messages were lost", expected.len());
                return true;
            }
            if expected.is_empty() {
                return false;
            }
            self.restarts += 1;
        }
    }
}

#[test]
fn two_hundred_thousand_messages_through_every_fault() {
    // One page waits, and a little more.
    soak(Direction::NewestFirst, 1, 1024);
}

#[test]
fn the_same_with_eight_requests_at_once() {
    // 6,400 messages may wait.
    soak(Direction::NewestFirst, 8, 32 * 1024);
}

#[test]
fn the_same_oldest_first() {
    // The pages of one window wait, and are handed out in reverse.
    soak(Direction::OldestFirst, 1, 8 * 1024);
}

#[test]
fn the_same_oldest_first_with_eight_requests_at_once() {
    soak(Direction::OldestFirst, 8, 32 * 1024);
}

/// `slack`: by how many KiB the parts of the walk may differ beyond a factor of two.
fn soak(direction: Direction, concurrency: usize, slack: u64) {
    let began = Instant::now();
    let messages: Vec<FakeMessage> = Conversation::seeded(3)
        .messages(MESSAGES)
        // They span thirty years. Messages dated in the future would come into question again with each look.
        .starting_at("1990-01-01T00:00:00Z".parse().unwrap())
        .collect();
    let mut expected: Vec<String> = messages.iter().map(|m| m.id().to_owned()).collect();
    if let Direction::NewestFirst = direction {
        expected.reverse();
    }
    let (alive, until) = mpsc::channel();
    let (base_url, token) = serve(messages, until);
    let mut walk = Walk {
        base_url,
        token,
        direction,
        concurrency,
        rng: Rng::with_seed(5),
        checkpoint: None,
        restarts: 0,
        failures: 0,
        requests: 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut peaks = Vec::new();
    for part in expected.chunks(MESSAGES / PARTS) {
        let used = measure(|| _ = runtime.block_on(walk.walk_on(part)));
        peaks.push(used.bytes_max / 1024);
    }
    // Behind the last message there is the end, and nothing else.
    let mut ended = false;
    for _ in 0..100 {
        ended |= runtime.block_on(async {
            let query = direction.query(walk.client().messages(CHAT));
            let line = walk.checkpoint.clone().unwrap();
            let mut stream = query.resume_from(line.parse().unwrap()).stream();
            while let Some(item) = stream.next().await {
                assert!(item.is_err(), "a message came twice");
            }
            stream.end() == Some(direction.end())
        });
    }
    assert!(ended);
    println!(
        "{MESSAGES} messages, {} requests, {} restarts, {} failures handed out, {:.0?}; peak KiB by part: {peaks:?}",
        walk.requests,
        walk.restarts,
        walk.failures,
        began.elapsed()
    );
    assert!(walk.restarts > 30 && walk.failures > 30);
    let (least, most) = (peaks.iter().min().unwrap(), peaks.iter().max().unwrap());
    assert!(*most < 2 * least + slack, "memory grows: {peaks:?}");
    drop(alive);
}
