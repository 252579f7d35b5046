//! Both directions, several requests at once, and a sync, beside one request at a time: wall time, requests, the
//! client's CPU and its peak heap, against a server in a process of its own. Run it with
//! `cargo bench -p benches --bench concurrent`; `-- --help` shows its flags.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use clap::Parser;
use common::Server;
use futures::StreamExt;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use texter_history::{Checkpoint, Client, Messages};
use tokio::runtime::Runtime;

#[derive(Parser)]
struct Arguments {
    /// How many messages the chat has.
    #[arg(long, default_value_t = 20_000)]
    messages: usize,
    /// How often each walk is walked.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The server's latency, in milliseconds.
    #[arg(long, default_value_t = 20)]
    latency: u64,
    /// How many bytes of an answer arrive in a second on the slow link; 2,500,000 are 20 Mbit.
    #[arg(long, default_value_t = 2_500_000)]
    bandwidth: u64,
    #[arg(long, hide = true)]
    bench: bool,
}

/// What one walk took.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
    requests: u64,
    peak: u64,
}

fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64
}

fn walk(runtime: &Runtime, query: &Messages, expected: usize) -> Cost {
    let (began, cpu_before) = (Instant::now(), cpu());
    let mut requests = 0;
    let used = measure(|| {
        runtime.block_on(async {
            let mut stream = query.clone().stream();
            let mut count = 0;
            while let Some(message) = stream.next().await {
                black_box(message.unwrap());
                count += 1;
            }
            assert_eq!(count, expected);
            requests = stream.stats().requests;
        });
    });
    Cost {
        wall: began.elapsed().as_secs_f64(),
        cpu: cpu() - cpu_before,
        requests,
        peak: used.bytes_max,
    }
}

fn row(what: &str, bound: &str, plain: &[Cost], other: &[Cost]) {
    let ratio = |of: fn(&Cost) -> f64| {
        common::median(
            plain.iter().zip(other).map(|(plain, other)| of(other) / of(plain)).collect(),
        )
    };
    let faster = 1.0 / ratio(|cost| cost.wall);
    let peak = other.iter().map(|cost| cost.peak).max().unwrap_or(0) / 1024;
    common::row(
        what,
        bound,
        &format!(
            "{faster:.1} × as fast, {:.2} × the requests, {:.2} × the CPU, {peak} KiB",
            ratio(|cost| cost.requests as f64),
            ratio(|cost| cost.cpu),
        ),
    );
}

fn compare(runtime: &Runtime, arguments: &Arguments, client: &Client, link: &str, bounds: bool) {
    let query = |concurrency: usize, oldest_first: bool| {
        let query = client.messages(common::CHAT).page_size(50).concurrency(concurrency);
        if oldest_first { query.oldest_first() } else { query }
    };
    let several = [1, 2, 4, 8, 16];
    let mut costs = [(); 2].map(|()| several.map(|_| Vec::new()));
    for _ in 0..arguments.rounds {
        for (direction, costs) in costs.iter_mut().enumerate() {
            for (concurrency, costs) in several.iter().zip(costs.iter_mut()) {
                let query = query(*concurrency, direction == 1);
                costs.push(walk(runtime, &query, arguments.messages));
            }
        }
    }
    let plain = costs[0][0].clone();
    for (direction, name) in ["newest first", "oldest first"].iter().enumerate() {
        for (index, concurrency) in several.iter().enumerate() {
            if direction == 0 && index == 0 {
                continue;
            }
            let bound = match (direction, concurrency) {
                (0, 8) if bounds => "≥ 6 × as fast",
                (1, 8) if bounds => "≥ 5 × as fast",
                _ => "",
            };
            let what = format!(
                "{name}, {concurrency} at once, {link}: beside newest first, one at a time"
            );
            row(&what, bound, &plain, &costs[direction][index]);
        }
    }
}

/// The checkpoint with so many messages behind it.
fn checkpoint(runtime: &Runtime, client: &Client, messages: usize, new: usize) -> Checkpoint {
    runtime.block_on(async {
        let mut stream = client.messages(common::CHAT).page_size(1_000).oldest_first().stream();
        for _ in 0..messages - new {
            stream.next().await.unwrap().unwrap();
        }
        stream.checkpoint()
    })
}

fn sync(runtime: &Runtime, arguments: &Arguments, client: &Client) {
    for (new, bound) in [(0, "1 request"), (20, "1 request"), (1_000, "≤ 22 requests")] {
        let checkpoint = checkpoint(runtime, client, arguments.messages, new);
        let query = client.messages(common::CHAT).resume_from(checkpoint);
        let cost = walk(runtime, &query, new);
        common::row(
            &format!("sync of {new} new messages, latency {} ms", arguments.latency),
            bound,
            &format!(
                "{} requests, {:.0} ms, {:.1} ms of CPU, {} KiB",
                cost.requests,
                cost.wall * 1_000.0,
                cost.cpu / 1_000.0,
                cost.peak / 1024
            ),
        );
    }
}

fn main() {
    Server::serve_if_asked();
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let latency = Duration::from_millis(arguments.latency);
    let link = format!("latency {} ms", arguments.latency);

    let server = Server::start(arguments.messages, latency, 0);
    let client = server.client();
    walk(&runtime, &client.messages(common::CHAT).max_messages(1_000), 1_000);
    compare(&runtime, &arguments, &client, &link, true);
    sync(&runtime, &arguments, &client);
    drop(server);

    let server = Server::start(arguments.messages, latency, arguments.bandwidth);
    let client = server.client();
    let link = format!("{link}, {:.0} Mbit/s an answer", arguments.bandwidth as f64 * 8e-6);
    compare(&runtime, &arguments, &client, &link, false);
}
