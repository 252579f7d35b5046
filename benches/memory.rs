//! Allocations per decoded message, and the peak of the heap by the length of the history, beside the loop
//! that a user would write by hand. Run it with `cargo bench -p benches --bench memory`.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::hint::black_box;
use std::time::Duration;

use allocation_counter::measure;
use common::Server;
use futures::StreamExt;
use texter_history::testing::read_page;
use texter_history::{Client, Message};

const PAGE: u32 = 200;

async fn walk(client: &Client) -> usize {
    let mut stream = client.messages(common::CHAT).page_size(PAGE).stream();
    let mut count = 0;
    while let Some(message) = stream.next().await {
        black_box(message.unwrap());
        count += 1;
    }
    count
}

fn main() {
    Server::serve_if_asked();
    let body = common::body(&common::conversation(1_000));
    let typed = measure(|| drop(black_box(read_page::<Message>(body.as_bytes()).unwrap())));
    let plain = measure(|| {
        drop(black_box(serde_json::from_slice::<common::HandPage>(body.as_bytes()).unwrap()));
    });
    let each = |count: u64| count as f64 / 1_000.0;
    common::row(
        "allocations per decoded message",
        "≤ 5",
        &format!(
            "{:.1} (plain owned structs {:.1})",
            each(typed.count_total),
            each(plain.count_total)
        ),
    );

    // One thread, because allocations are counted per thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut peaks = Vec::new();
    let mut ratios = Vec::new();
    for messages in [10_000, 100_000, 1_000_000] {
        let server = Server::start(messages, Duration::ZERO, 0);
        let (client, http) = (server.client(), reqwest::Client::new());
        // Start-up is not counted: each has a connection and has got a page.
        runtime.block_on(async {
            client.messages(common::CHAT).stream().next().await.unwrap().unwrap();
            common::download(&http, &server.base_url, 50, 1).await;
        });
        let ours = measure(|| assert_eq!(runtime.block_on(walk(&client)), messages));
        let by_hand = measure(|| {
            let count = runtime.block_on(common::hand_loop(&http, &server.base_url, PAGE as usize));
            assert_eq!(count, messages);
        });
        let kibibytes = ours.bytes_max / 1024;
        peaks.push(format!("{kibibytes} KiB"));
        ratios.push(format!("{:.2}", ours.bytes_max as f64 / by_hand.bytes_max as f64));
    }
    common::row(
        "peak heap beyond start-up ÷ the hand loop's, 10,000 / 100,000 / 1,000,000 messages, pages of 200",
        "≤ 1.25",
        &format!("{} ({})", ratios.join(" / "), peaks.join(" / ")),
    );
}
