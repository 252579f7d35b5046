//! The stream over pages that are in memory already, beside a plain loop and the pagers that a user could
//! pick instead: same pages, same items. What one message costs more than in the plain loop is in the last
//! lines. Run it with `cargo bench --bench stream`.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::hint::black_box;
use std::pin::pin;
use std::time::{Duration, Instant};

use aws_smithy_async::future::pagination_stream::fn_stream::FnStream;
use aws_smithy_async::future::pagination_stream::{PaginationStream, TryFlatMap};
use criterion::{Criterion, Throughput};
use futures::executor::block_on;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use page_turner::mt::{PageTurner, PagesStream as _, TurnedPage, TurnedPageResult};
use paging_stream::{Paginated, PagingStream};
use texter_history::testing::{read_page, stream_of};
use texter_history::{Error, Message};

const PAGES: usize = 100;
const PAGE: usize = 200;

type Pages = Vec<Vec<Message>>;

fn pages() -> Pages {
    let body = common::body(&common::conversation(PAGE));
    let messages = read_page::<Message>(body.as_bytes()).unwrap();
    let page: Vec<Message> = messages.into_iter().rev().map(Result::unwrap).collect();
    vec![page; PAGES]
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

fn texter_history(pages: texter_history::MessageStream) -> usize {
    consume(pages)
}

fn try_unfold(pages: Pages) -> usize {
    let pages = stream::try_unfold(pages.into_iter(), |mut pages| async move {
        Ok::<_, Error>(pages.next().map(|page| (page, pages)))
    });
    consume(pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten())
}

fn async_stream(pages: Pages) -> usize {
    consume(async_stream::try_stream! {
        for page in pages {
            for message in page {
                yield message;
            }
        }
    })
}

/// Pages by number, for the pagers that ask for them.
struct Source(std::sync::Mutex<std::vec::IntoIter<Vec<Message>>>);

impl Source {
    fn new(pages: Pages) -> Self {
        Self(std::sync::Mutex::new(pages.into_iter()))
    }

    fn page(&self) -> (Vec<Message>, bool) {
        let mut pages = self.0.lock().unwrap();
        let page = pages.next().unwrap_or_default();
        (page, pages.len() > 0)
    }
}

impl PageTurner<usize> for Source {
    type PageItems = Vec<Message>;
    type PageError = Error;

    async fn turn_page(&self, number: usize) -> TurnedPageResult<Self, usize> {
        let (page, more) = self.page();
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
        let (page, more) = self.page();
        std::future::ready(Ok((page, more.then_some(number + 1))))
    }
}

fn paging_stream(pages: Pages) -> usize {
    consume(PagingStream::new(Source::new(pages), 0))
}

fn aws_smithy_async(pages: Pages) -> usize {
    let pages = PaginationStream::new(FnStream::new(|sender| {
        Box::pin(async move {
            for page in pages {
                let _ = sender.send(Ok::<_, Error>(page)).await;
            }
        })
    }));
    let mut items = TryFlatMap::new(pages).flat_map(|page| page);
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
    ("texter-history", |pages| {
        let stream = stream_of(common::CHAT, pages);
        let began = Instant::now();
        let count = texter_history(stream);
        (began.elapsed(), count)
    }),
    ("try_unfold + flatten", timed!(try_unfold)),
    ("page-turner", timed!(page_turner)),
    ("paging-stream", timed!(paging_stream)),
    ("async-stream", timed!(async_stream)),
    ("aws-smithy-async", timed!(aws_smithy_async)),
];

fn main() {
    let made = pages();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let mut group = criterion.benchmark_group("stream");
    group.throughput(Throughput::Elements((PAGES * PAGE) as u64));
    for (name, run) in CONTESTANTS {
        group.bench_function(*name, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| run(made.clone()).0).sum());
        });
    }
    group.finish();

    // The same in turn, so that whatever else the machine does falls on all of them alike.
    let mut nanoseconds = vec![Vec::new(); CONTESTANTS.len()];
    for _ in 0..41 {
        for (index, (_, run)) in CONTESTANTS.iter().enumerate() {
            let (elapsed, count) = run(made.clone());
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
