//! The whole stream against the model, through many histories. It is interrupted and resumed anywhere, with and
//! without prefetch, and its bodies arrive in pieces.

use std::time::Duration;

use fastrand::Rng;
use futures_util::StreamExt;

use super::index_of;
use crate::checkpoint::Checkpoint;
use crate::client::Client;
use crate::error::ErrorKind;
use crate::query::Messages;
use crate::stream::{MessageStream, Stats};
use crate::testing::rulebook::{LimitReading, PageOrder, SessionFilter, TieOrder};
use crate::transport::scripted::{Reply, Scripted};
use crate::walk::model::{CHAT, Model, SESSION};
use crate::walk::{Bounds, End, oracle};

/// How many histories are tested for each property.
const HISTORIES: u64 = 1_000;

/// The model's server, whose bodies arrive in pieces of any size.
fn serve(model: &Model) -> Client {
    let model = model.clone();
    let (client, _) = Scripted::new(move |ask, number| match model.answer(ask, number as u64) {
        Ok(page) => {
            let size = Rng::with_seed(model.seed ^ number as u64).usize(30..3_000);
            Reply::in_pieces(&model.body(&page), size, Duration::from_millis(1))
        }
        Err(status) => Reply::Status(status, None),
    });
    client
}

fn query(client: &Client, bounds: &Bounds) -> Messages {
    let mut query =
        client.messages(CHAT).page_size(bounds.page_size).max_page_size(bounds.max_page_size);
    if bounds.bot_session.is_some() {
        query = query.bot_session(SESSION);
    }
    if let Some(since) = bounds.since {
        query = query.since(since);
    }
    if let Some(until) = bounds.until {
        query = query.until(until);
    }
    if let Some(max_messages) = bounds.max_messages {
        query = query.max_messages(usize::try_from(max_messages).unwrap());
    }
    query
}

/// What the streams handed out, in order, and how the walk ended: `None` for a walk that stalled.
#[derive(Debug, PartialEq, Eq)]
struct Walked {
    messages: Vec<usize>,
    end: Option<End>,
    /// The cost of the last stream.
    stats: Stats,
}

impl Walked {
    fn nothing() -> Self {
        Self { messages: Vec::new(), end: None, stats: Stats::default() }
    }
}

/// Walks on for at most `steps` items.
async fn walk(query: Messages, steps: usize, walked: &mut Walked) -> Option<Checkpoint> {
    let mut stream = query.stream();
    let rest = walk_on(&mut stream, steps, walked).await;
    walked.stats = stream.stats();
    rest
}

async fn walk_on(
    stream: &mut MessageStream,
    steps: usize,
    walked: &mut Walked,
) -> Option<Checkpoint> {
    for _ in 0..steps {
        match stream.next().await {
            Some(Ok(message)) => walked.messages.push(index_of(&message)),
            Some(Err(error)) if error.kind() == ErrorKind::MalformedMessage => {
                let raw: serde_json::Value =
                    serde_json::from_str(error.raw_message().unwrap()).unwrap();
                walked.messages.push(raw["text"].as_str().unwrap().parse().unwrap());
            }
            Some(Err(error)) => {
                let stuck = error.kind() == ErrorKind::Stalled
                    || matches!(error.status(), Some(400 | 413 | 422));
                assert!(stuck, "{error}");
                return None;
            }
            None => {
                walked.end = stream.end();
                assert_eq!(stream.progress(), Some(1.0));
                return None;
            }
        }
    }
    Some(stream.checkpoint())
}

async fn walk_through(query: Messages) -> Walked {
    let mut walked = Walked::nothing();
    let rest = walk(query, 1_000_000, &mut walked).await;
    assert_eq!(rest, None, "no end");
    walked
}

/// Checks that no message comes twice or out of order, and that no end comes with a message missing.
fn check(model: &Model, bounds: &Bounds, walked: &Walked) {
    if let Err(why) = oracle::check(model, bounds, &walked.messages, walked.end) {
        panic!("{why}, seed {}\n{bounds:?}\n{model:?}\n{walked:?}", model.seed);
    }
}

/// Whether the server answers a request differently after other requests.
fn depends_on_order(model: &Model) -> bool {
    matches!(model.rules.page_order, PageOrder::Shuffled(_))
        || matches!(model.rules.tie_order, TieOrder::Shuffled(_))
        || model.rules.empty_answer.is_some()
}

/// The messages handed out, without those of which nothing tells whether they lie within the bounds of time.
fn certain(model: &Model, bounds: &Bounds, walked: &Walked) -> Vec<usize> {
    let bounded = bounds.since.is_some() || bounds.until.is_some();
    let mut messages = walked.messages.clone();
    messages.retain(|index| model.messages[*index].readable || !bounded);
    messages.sort_unstable();
    messages
}

/// A seeded server and query. A walk that comes to an end hands out the same messages whatever its page size.
fn seeded(seed: u64) -> (Model, Bounds) {
    let model = Model::seeded(seed);
    let bounds = Bounds { max_messages: None, ..model.seeded_bounds() };
    (model, bounds)
}

#[tokio::test(start_paused = true)]
async fn prefetch_and_growth_change_nothing_of_what_comes_out() {
    let (mut complete, mut discarded) = (0, 0);
    for seed in 0..HISTORIES {
        let (model, mut bounds) = seeded(seed);
        let depends_on_order = depends_on_order(&model);
        // With `max_messages`, the server would decide which messages of one timestamp are the last.
        if !depends_on_order && !matches!(model.rules.tie_order, TieOrder::ShuffledByLimit(_)) {
            bounds.max_messages = model.seeded_bounds().max_messages;
        }
        let plain_bounds = Bounds { max_page_size: bounds.page_size, ..bounds.clone() };
        let plain = walk_through(query(&serve(&model), &plain_bounds)).await;
        check(&model, &plain_bounds, &plain);
        for prefetch in [1, 3] {
            let why = format!("prefetch {prefetch}, seed {seed}\n{bounds:?}\n{model:?}");
            let early = walk_through(query(&serve(&model), &plain_bounds).prefetch(prefetch)).await;
            check(&model, &plain_bounds, &early);
            if !depends_on_order {
                assert_eq!((&early.messages, early.end), (&plain.messages, plain.end), "{why}");
                // Prefetch sends more requests only where its guess was wrong.
                let requests = early.stats.requests - early.stats.discarded;
                assert_eq!(requests, plain.stats.requests, "{why}");
            }
            discarded += early.stats.discarded;

            let grown = walk_through(query(&serve(&model), &bounds).prefetch(prefetch)).await;
            check(&model, &bounds, &grown);
            for other in [early, grown] {
                if plain.end.is_some()
                    && other.end.is_some()
                    && oracle::is_knowable(&model, &bounds)
                {
                    let [other, plain] =
                        [&other, &plain].map(|walked| certain(&model, &bounds, walked));
                    assert_eq!(other, plain, "{why}");
                    complete += 1;
                }
            }
        }
    }
    assert!(complete > 2 * HISTORIES && discarded > 0, "{complete} {discarded}");
}

#[tokio::test(start_paused = true)]
async fn stopped_anywhere_and_resumed_the_union_is_exact() {
    let mut complete = 0;
    for seed in 0..HISTORIES {
        let (mut model, bounds) = seeded(seed);
        if bounds.bot_session.is_some() && !model.all_readable() {
            // A checkpoint does not know the messages of other sessions. So it could not tell how far behind
            // them a message without a place stands.
            model.rules.session_filter = SessionFilter::BothApply;
        }
        if model.rules.cursor_reading.orders_by_id() {
            // A keyset orders equal timestamps in a way that only its pages show. If the pages have another
            // order, a walk cannot go on from the middle of a group.
            model.rules.page_order = PageOrder::Ascending;
        }
        let mut rng = Rng::with_seed(seed);
        let longest = *[1, 3, 40].get(rng.usize(..3)).unwrap();
        let mut walked = Walked::nothing();
        let client = serve(&model);
        // The stream is also stopped before the first poll.
        let mut checkpoint = query(&client, &bounds).stream().checkpoint();
        loop {
            let line = checkpoint.to_string();
            let json = serde_json::to_string(&line.parse::<Checkpoint>().unwrap()).unwrap();
            let restored: Checkpoint = serde_json::from_str(&json).unwrap();
            assert_eq!(restored, checkpoint);
            let page_size = match model.rules.limit_reading {
                _ if rng.bool() => bounds.page_size,
                LimitReading::Refused { above, .. } => rng.u32(1..=u32::try_from(above).unwrap()),
                _ => rng.u32(1..200),
            };
            let again = client.messages(CHAT).page_size(page_size).resume_from(restored);
            match walk(again, rng.usize(1..=longest), &mut walked).await {
                Some(next) => checkpoint = next,
                None => break,
            }
        }
        check(&model, &bounds, &walked);
        complete += u64::from(walked.end.is_some());
    }
    assert!(complete > HISTORIES / 2, "{complete}");
}
