//! The whole walk over HTTP, against a server in a process of its own, beside the loop that a user would
//! write by hand: client CPU by `getrusage`, in turn, medians of the ratios. Run it with
//! `cargo bench -p benches --bench walk`; `-- --help` shows its flags.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use common::Server;
use futures::StreamExt;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::value::RawValue;
use texter_history::{Client, Message};

/// How many messages the bounds speak of.
const MESSAGES: usize = 100_000;

#[derive(Parser)]
struct Arguments {
    /// How many messages the chat has.
    #[arg(long, default_value_t = MESSAGES)]
    messages: usize,
    /// How often each walk is walked.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Walk with this page size only.
    #[arg(long)]
    page_size: Option<usize>,
    /// The server's latency for the walks with prefetch, in milliseconds.
    #[arg(long, default_value_t = 40)]
    latency: u64,
    /// The link's bytes a second for the walk with a head start; by default, as many as bring a page in the
    /// time of the latency.
    #[arg(long)]
    bandwidth: Option<u64>,
    /// Walk this often and leave out everything else: for a profiler, which counts best the difference between
    /// one walk and two.
    #[arg(long)]
    profile: Option<usize>,
    /// What `--profile` walks.
    #[arg(long, value_enum, default_value_t)]
    walk: Walk,
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Walk {
    #[default]
    Message,
    RawValue,
    ByHand,
}

/// CPU time of this process, in microseconds.
fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64
}

async fn typed(client: &Client, page_size: usize) -> (usize, u64) {
    let page_size = u32::try_from(page_size).unwrap();
    let mut stream = client.messages(common::CHAT).page_size(page_size).stream();
    let mut count = 0;
    while let Some(message) = stream.next().await {
        let message: Message = message.unwrap();
        black_box(message);
        count += 1;
    }
    (count, stream.stats().requests)
}

async fn raw(client: &Client, page_size: usize) -> usize {
    let page_size = u32::try_from(page_size).unwrap();
    let query = client.messages(common::CHAT).page_size(page_size);
    let mut stream = query.stream_as::<Box<RawValue>>();
    let mut count = 0;
    while let Some(message) = stream.next().await {
        black_box(message.unwrap());
        count += 1;
    }
    count
}

fn main() {
    Server::serve_if_asked();
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = Server::start(arguments.messages, Duration::ZERO, 0);
    let client = server.client();
    if let Some(walks) = arguments.profile {
        let page_size = arguments.page_size.unwrap_or(200);
        let http = reqwest::Client::new();
        runtime.block_on(async {
            for _ in 0..walks {
                let count = match arguments.walk {
                    Walk::Message => typed(&client, page_size).await.0,
                    Walk::RawValue => raw(&client, page_size).await,
                    Walk::ByHand => common::hand_loop(&http, &server.base_url, page_size).await,
                };
                assert_eq!(count, arguments.messages);
            }
        });
        return;
    }
    runtime.block_on(compare(&arguments, &server, &client));
    drop(server);
    runtime.block_on(overlap(&arguments));
}

/// The server's CPU time for one of many pages of 1,000 messages, in milliseconds.
async fn served(http: &reqwest::Client, server: &Server) -> f64 {
    const REQUESTS: usize = 500;
    let began = server.cpu();
    common::download(http, &server.base_url, 1_000, REQUESTS).await;
    (server.cpu() - began).as_secs_f64() * 1_000.0 / REQUESTS as f64
}

async fn compare(arguments: &Arguments, server: &Server, client: &Client) {
    const BY_HAND: usize = 0;
    const MESSAGE: usize = 1;
    const RAW_VALUE: usize = 2;
    const DOWNLOAD: usize = 3;
    let (http, messages) = (reqwest::Client::new(), arguments.messages);
    let page_sizes = arguments.page_size.map_or(vec![50, 200, 1_000], |page_size| vec![page_size]);
    let (mut absolute, mut costs) = (vec![], vec![]);
    let mut ratios = [const { Vec::new() }; 4];
    for page_size in &page_sizes {
        let mut figures = [const { Vec::new() }; 4];
        let (mut by_hand, mut requests) = (vec![], 0);
        for round in 0..=arguments.rounds {
            let mut spent = [0.0; 4];
            for turn in 0..4 {
                // Each is the first in turn: what ran before has left its mark on the allocator.
                let which = (round + turn) % 4;
                let began = cpu();
                let count = match which {
                    BY_HAND => common::hand_loop(&http, &server.base_url, *page_size).await,
                    MESSAGE => {
                        let (count, cost) = typed(client, *page_size).await;
                        requests = cost;
                        count
                    }
                    RAW_VALUE => raw(client, *page_size).await,
                    _ => {
                        let pages = messages / page_size;
                        common::download(&http, &server.base_url, *page_size, pages).await;
                        messages
                    }
                };
                spent[which] = cpu() - began;
                assert_eq!(count, messages);
            }
            // The first round warms up.
            if round > 0 {
                by_hand.push(spent[BY_HAND] / messages as f64);
                for (figures, own) in figures.iter_mut().zip(spent) {
                    figures.push(own / spent[BY_HAND]);
                }
            }
        }
        absolute.push(format!("{:.2}", common::median(by_hand)));
        for (ratios, figures) in ratios.iter_mut().zip(figures) {
            ratios.push(format!("{:.2}", common::median(figures)));
        }
        // A last page of 50 or more may be all that the server gives at once.
        let last = messages % page_size;
        let expected = messages.div_ceil(*page_size) + usize::from(last == 0 || last >= 50);
        costs.push(format!("{requests} of {expected}"));
    }
    let sizes: Vec<String> = page_sizes.iter().map(ToString::to_string).collect();
    let sizes = sizes.join(" / ");
    eprintln!("the hand loop, µs of CPU a message, pages of {sizes}: {}", absolute.join(" / "));
    for (which, what, bound) in [
        (MESSAGE, "whole walk, `Message`", "≤ 0.64 / 0.60 / 0.60"),
        (RAW_VALUE, "whole walk, `Box<RawValue>`", "≤ 0.60 / 0.55 / 0.52"),
        (DOWNLOAD, "the download alone", ""),
    ] {
        let what = format!("{what}, CPU ÷ the hand loop's, pages of {sizes}");
        // A bound is one of the three page sizes.
        let bound = if arguments.page_size.is_none() { bound } else { "" };
        common::row(&what, bound, &ratios[which].join(" / "));
    }
    common::row(
        &format!("requests for {messages} messages, pages of {sizes}"),
        "⌈n / page⌉, + 1 after a full last page",
        &costs.join(" / "),
    );
    common::row(
        "`FakeTexter`'s own CPU for a page of 1,000 messages",
        "well under 1 ms",
        &format!("{:.2} ms", served(&http, server).await),
    );
    let mut stream = client.messages(common::CHAT).page_size(50).max_page_size(1_000).stream();
    while stream.next().await.is_some() {}
    common::row(
        &format!(
            "requests for {} messages, `page_size(50).max_page_size(1000)`",
            arguments.messages
        ),
        if arguments.messages == MESSAGES { "about 105" } else { "" },
        &stream.stats().requests.to_string(),
    );
}

/// Wall time of a walk whose consumer takes `pause` for each page.
async fn wall(client: &Client, prefetch: usize, pause: Duration) -> f64 {
    const PAGE: usize = 200;
    let began = Instant::now();
    let query = client.messages(common::CHAT).page_size(200).prefetch(prefetch);
    let mut stream = query.stream();
    let mut count = 0;
    while let Some(message) = stream.next().await {
        black_box(message.unwrap());
        count += 1;
        if count % PAGE == 0 && !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    began.elapsed().as_secs_f64()
}

async fn overlap(arguments: &Arguments) {
    // The last of the pages of 200 is short, so that no walk needs one more request.
    const FEW_MESSAGES: usize = 5_840;
    let latency = Duration::from_millis(arguments.latency);
    let server = Server::start(FEW_MESSAGES, latency, 0);
    let client = server.client();
    let mut ratios = Vec::new();
    for _ in 0..5 {
        let slow = wall(&client, 1, latency / 2).await;
        ratios.push(slow / wall(&client, 0, Duration::ZERO).await);
    }
    common::row(
        "`prefetch(1)`, a consumer of half the latency a page: wall ÷ sequential with an instant one",
        "≤ 1.03",
        &format!("{:.2}", common::median(ratios)),
    );
    drop(server);

    let page = common::body(&common::conversation(200)).len() as f64;
    let bandwidth = arguments.bandwidth.unwrap_or((page / latency.as_secs_f64()) as u64);
    let server = Server::start(FEW_MESSAGES, latency, bandwidth);
    let client = server.client();
    let mut ratios = Vec::new();
    for _ in 0..5 {
        let early = wall(&client, 1, Duration::ZERO).await;
        ratios.push(early / wall(&client, 0, Duration::ZERO).await);
    }
    common::row(
        "`prefetch(1)`, a page arriving as long as the latency: wall ÷ sequential",
        "≤ 0.70",
        &format!("{:.2}", common::median(ratios)),
    );
}
