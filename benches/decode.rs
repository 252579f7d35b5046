//! One body in memory → messages, beside what a user would write: same body. Run it with
//! `cargo bench -p benches --bench decode`.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::cell::RefCell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use serde_json::Value;
use serde_json::value::RawValue;
use texter_history::Message;
use texter_history::testing::read_page;

type Contestant = (&'static str, fn(&[u8]) -> usize);

const CONTESTANTS: &[Contestant] = &[
    ("plain owned structs", |body| {
        black_box(serde_json::from_slice::<common::HandPage>(body).unwrap()).messages.len()
    }),
    ("plain owned structs, from_str after simdutf8", |body| {
        let text = simdutf8::basic::from_utf8(body).unwrap();
        black_box(serde_json::from_str::<common::HandPage>(text).unwrap()).messages.len()
    }),
    ("plain owned structs, sonic-rs", |body| {
        black_box(sonic_rs::from_slice::<common::HandPage>(body).unwrap()).messages.len()
    }),
    ("plain owned structs, simd-json", |body| {
        // It writes into what it reads, and is at its best with buffers that are kept.
        thread_local! {
            static KEPT: RefCell<(Vec<u8>, simd_json::Buffers)> = RefCell::default();
        }
        KEPT.with_borrow_mut(|(text, buffers)| {
            body.clone_into(text);
            let page: common::HandPage =
                simd_json::serde::from_slice_with_buffers(text, buffers).unwrap();
            black_box(page).messages.len()
        })
    }),
    ("serde_json::Value", |body| {
        let page = black_box(serde_json::from_slice::<Value>(body).unwrap());
        page["messages"].as_array().unwrap().len()
    }),
    ("texter-history, Message", |body| black_box(read_page::<Message>(body).unwrap()).len()),
    ("texter-history, RawValue", |body| black_box(read_page::<Box<RawValue>>(body).unwrap()).len()),
];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let conversation = common::conversation(1_000);
    for page_size in [50, 200, 1_000] {
        let body = common::body(&conversation[..page_size]);
        let mut group = criterion.benchmark_group(format!("decode {page_size}"));
        group.throughput(Throughput::Elements(page_size as u64));
        for (name, decode) in CONTESTANTS {
            group.bench_function(*name, |bencher| bencher.iter(|| decode(body.as_bytes())));
        }
        group.finish();
    }

    println!();
    for (what, contestant) in &CONTESTANTS[1..] {
        let ratios = [50, 200, 1_000].map(|page_size| {
            let body = common::body(&conversation[..page_size]);
            let time = |decode: fn(&[u8]) -> usize| {
                let began = Instant::now();
                for _ in 0..20_000 / page_size {
                    assert_eq!(decode(body.as_bytes()), page_size);
                }
                began.elapsed().as_secs_f64()
            };
            let ratio = |_| time(*contestant) / time(CONTESTANTS[0].1);
            format!("{:.2}", common::median((0..31).map(ratio).collect()))
        });
        common::row(
            &format!("decode alone, {what} ÷ plain owned structs, pages of 50 / 200 / 1,000"),
            "",
            &ratios.join(" / "),
        );
    }
}
