//! The stream over pages that are in memory already, beside a plain loop and the pagers that a user could
//! pick instead: same pages, same items. What one message costs more than in the plain loop is in the last
//! lines. Run it with `cargo bench -p benches --bench stream`.
//!
//! Timed is what the consumer waits for. Not timed is what each needs before its first poll: here the pages of
//! the crate's stream and of the bare machine become `Result`s, which reading a page has made them already.
//! The others get a page from a boxed future, as from a server, once in 200 messages.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use aws_smithy_async::future::pagination_stream::fn_stream::FnStream;
use aws_smithy_async::future::pagination_stream::{PaginationStream, TryFlatMap};
use criterion::{Criterion, Throughput};
use futures::executor::block_on;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use page_turner::mt::{PageTurner, PagesStream as _, TurnedPage, TurnedPageResult};
use paging_stream::{Paginated, PagingStream};
use texter_history::testing::stream_of;
use texter_history::{Error, Message};

// Few enough to lie in a processor's own cache: what the memory does is no pager's doing.
const PAGES: usize = 4;
const PAGE: usize = 200;

type Pages = Vec<Vec<Message>>;

/// Messages that own nothing on the heap, so that only how they are moved counts. Each page is newest first.
fn pages() -> Pages {
    let message = |n: usize| {
        let time = 1_757_055_477_000 - n as i64;
        let json =
            format!(r#"{{"_id":"68ba89f8c909657dffc{n:05}","timestamp":{time},"type":"text"}}"#);
        serde_json::from_str(&json).unwrap()
    };
    (0..PAGES).map(|page| (0..PAGE).map(|n| message(page * PAGE + n)).collect()).collect()
}

/// Keeps the memory for the runs with the process: an allocation that stays lies behind it. Else the
/// allocator would hand it back after each run, and the pages' first use would be what is measured.
fn keep_memory(made: &Pages) {
    let memory = [made.clone(), made.clone(), made.clone()];
    std::mem::forget(vec![0_u8; 4_096]);
    drop(memory);
}

fn consume(stream: impl Stream<Item = Result<Message, Error>>) -> usize {
    let mut stream = pin!(stream);
    block_on(async move {
        let mut count = 0;
        while let Some(message) = stream.next().await {
            black_box(message.unwrap());
            count += 1;
        }
        count
    })
}

fn plain_loop(pages: Pages) -> usize {
    let mut count = 0;
    for page in pages {
        for message in page {
            black_box(message);
            count += 1;
        }
    }
    count
}

/// The least that a stream over pages can be.
struct Bare {
    in_hand: Vec<Result<Message, Error>>,
    pages: std::vec::IntoIter<Vec<Result<Message, Error>>>,
}

impl Stream for Bare {
    type Item = Result<Message, Error>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(message) = self.in_hand.pop() {
                return Poll::Ready(Some(message));
            }
            match self.pages.next() {
                Some(page) => self.in_hand = page,
                None => return Poll::Ready(None),
            }
        }
    }
}

fn bare(pages: Pages) -> (Duration, usize) {
    let ascending = |page: Vec<Message>| page.into_iter().rev().map(Ok).collect();
    let pages: Vec<Vec<Result<Message, Error>>> = pages.into_iter().map(ascending).collect();
    let stream = Bare { in_hand: Vec::new(), pages: pages.into_iter() };
    let began = Instant::now();
    let count = consume(stream);
    (began.elapsed(), count)
}

fn texter_history(pages: Pages) -> (Duration, usize) {
    let stream = stream_of(common::CHAT, pages);
    let began = Instant::now();
    let count = consume(stream);
    (began.elapsed(), count)
}

/// Where the pagers get their pages: from a future that the compiler knows as little of as of one that asks a
/// server.
struct Source(Mutex<std::vec::IntoIter<Vec<Message>>>);

impl Source {
    fn new(pages: Pages) -> Self {
        Self(Mutex::new(pages.into_iter()))
    }

    /// The next page, and whether there are more.
    fn page(&self) -> BoxFuture<'static, Result<(Vec<Message>, bool), Error>> {
        let mut pages = self.0.lock().unwrap();
        let page = pages.next().unwrap_or_default();
        let more = pages.len() > 0;
        Box::pin(async move { black_box(Ok((page, more))) })
    }
}

fn try_unfold(pages: Pages) -> usize {
    let pages = stream::try_unfold(Some(Source::new(pages)), |source| async move {
        let Some(source) = source else { return Ok(None) };
        let (page, more) = source.page().await?;
        Ok::<_, Error>(Some((page, more.then_some(source))))
    });
    consume(pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten())
}

fn async_stream(pages: Pages) -> usize {
    let source = Source::new(pages);
    consume(async_stream::try_stream! {
        loop {
            let (page, more) = source.page().await?;
            for message in page {
                yield message;
            }
            if !more {
                break;
            }
        }
    })
}

impl PageTurner<usize> for Source {
    type PageItems = Vec<Message>;
    type PageError = Error;

    async fn turn_page(&self, number: usize) -> TurnedPageResult<Self, usize> {
        let (page, more) = self.page().await?;
        Ok(if more { TurnedPage::next(page, number + 1) } else { TurnedPage::last(page) })
    }
}

fn page_turner(pages: Pages) -> usize {
    let source = Source::new(pages);
    consume(source.pages(0).items())
}

impl Paginated for Source {
    type Params = usize;
    type Item = Message;
    type Error = Error;

    fn fetch_page(
        &self,
        number: usize,
    ) -> impl Future<Output = Result<(Vec<Message>, Option<usize>), Error>> + Send + 'static {
        let page = self.page();
        async move {
            let (page, more) = page.await?;
            Ok((page, more.then_some(number + 1)))
        }
    }
}

fn paging_stream(pages: Pages) -> usize {
    consume(PagingStream::new(Source::new(pages), 0))
}

fn aws_smithy_async(pages: Pages) -> usize {
    let source = Source::new(pages);
    let pages = PaginationStream::new(FnStream::new(|sender| {
        Box::pin(async move {
            let mut more = true;
            while more {
                let page = source.page().await;
                more = page.as_ref().is_ok_and(|(_, more)| *more);
                let _ = sender.send(page.map(|(page, _)| page)).await;
            }
        })
    }));
    let mut items = TryFlatMap::new(pages).flat_map(|page| page);
    // It is no `Stream`.
    block_on(async move {
        let mut count = 0;
        while let Some(message) = items.next().await {
            black_box(message.unwrap());
            count += 1;
        }
        count
    })
}

type Contestant = (&'static str, fn(Pages) -> (Duration, usize));

/// Times one run; what is made before it and dropped after it is not counted.
macro_rules! timed {
    ($consume:expr) => {
        |pages| {
            let began = Instant::now();
            let count = $consume(pages);
            (began.elapsed(), count)
        }
    };
}

const CONTESTANTS: &[Contestant] = &[
    ("plain loop", timed!(plain_loop)),
    ("texter-history", texter_history),
    ("a bare machine over Vec::pop", bare),
    ("try_unfold + flatten", timed!(try_unfold)),
    ("page-turner", timed!(page_turner)),
    ("paging-stream", timed!(paging_stream)),
    ("async-stream", timed!(async_stream)),
    ("aws-smithy-async", timed!(aws_smithy_async)),
];

/// Runs it on pages of its own. Where pages and stack happen to lie makes copies of messages faster or slower,
/// by more than the pagers differ; so they lie elsewhere each time.
fn somewhere(made: &Pages, run: fn(Pages) -> (Duration, usize)) -> (Duration, usize) {
    let _spacer = vec![0_u8; fastrand::usize(..8_192)];
    at_depth(fastrand::usize(..64), &mut || run(made.clone()))
}

/// Runs it with so many more frames on the stack.
fn at_depth<T>(depth: usize, run: &mut dyn FnMut() -> T) -> T {
    let frame = black_box([0_u8; 16]);
    let value = if depth == 0 { run() } else { at_depth(depth - 1, run) };
    black_box(frame);
    value
}

fn main() {
    let made = pages();
    keep_memory(&made);
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let mut group = criterion.benchmark_group("stream");
    group.throughput(Throughput::Elements((PAGES * PAGE) as u64));
    for (name, run) in CONTESTANTS {
        group.bench_function(*name, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| somewhere(&made, *run).0).sum());
        });
    }
    group.finish();

    // The same in turn, so that whatever else the machine does falls on all of them alike.
    let mut nanoseconds = vec![Vec::new(); CONTESTANTS.len()];
    for _ in 0..2_001 {
        for (index, (_, run)) in CONTESTANTS.iter().enumerate() {
            let (elapsed, count) = somewhere(&made, *run);
            assert_eq!(count, PAGES * PAGE);
            nanoseconds[index].push(elapsed.as_nanos() as f64 / count as f64);
        }
    }
    let medians: Vec<f64> = nanoseconds.into_iter().map(common::median).collect();
    let more = |index: usize| format!("{:+.1} ns", medians[index] - medians[0]);
    let others: Vec<String> = (2..CONTESTANTS.len())
        .map(|index| format!("{} {}", CONTESTANTS[index].0, more(index)))
        .collect();
    println!();
    let size = size_of::<Message>();
    common::row(
        &format!("stream over pages in memory, a message of {size} bytes, more than a plain loop"),
        "≤ 8 ns, ahead of the others",
        &format!("{} ({})", more(1), others.join(", ")),
    );
}
