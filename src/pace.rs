//! Decides whose turn it is to send. All streams of a client share one pace, because a server's rate limit
//! belongs to the token.
//!
//! ```text
//!   a request ──▶ free? ── yes ──▶ sent ── answered ──▶ the pace grows
//!                   │ no            ▲         └ refused ──▶ the pace is cut, and nothing goes out for a while
//!                   ▼               │
//!                 queue ── first ───┘
//! ```
//!
//! There is no task behind the queue. Each waiting request has a timer of its own. The first in the queue is
//! woken when it becomes the first. A request that is polled at its time takes the turn. If a request whose
//! time has come is not polled, it is passed over after a moment. When it is polled again, it is back in its
//! old place.

mod limit;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use limit::Limit;
pub(crate) use limit::{Asked, Turn};

/// How long a turn is kept for a request that nobody polls.
const MOMENT: Duration = Duration::from_millis(10);

/// The pace must have grown by this factor before it is reported again.
const TOLD: f64 = 1.25;

/// The pace of one client.
#[derive(Debug)]
pub(crate) struct Pace(Mutex<Shared>);

#[derive(Debug)]
struct Shared {
    limit: Limit,
    /// The waiting requests, in the order of arrival.
    queue: BTreeMap<u64, Waker>,
    arrivals: u64,
    /// Since when the present first in the queue has been the first.
    first_since: Instant,
    /// The pace that was reported last.
    told: Option<f64>,
}

/// A place in the queue. A page keeps its place from one request to the next. Dropping the place gives it up.
#[derive(Debug)]
pub(crate) struct Place {
    pace: Arc<Pace>,
    number: Option<u64>,
}

/// The answer to a request that wants to be sent.
#[derive(Debug)]
pub(crate) enum Call {
    /// The request may be sent now.
    Now(Turn),
    /// The request has to ask again at this time, or when it is woken.
    Later(Instant),
}

impl Pace {
    /// Makes a pace of at most this many requests a second. With `None`, it is as fast as the server allows.
    pub(crate) fn new(requests_per_second: Option<f64>) -> Self {
        Self(Mutex::new(Shared {
            limit: Limit::new(requests_per_second),
            queue: BTreeMap::new(),
            arrivals: 0,
            first_since: Instant::now(),
            told: requests_per_second,
        }))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time in which the server asked to send nothing, if it did and that time is not over.
    pub(crate) fn asked_to_wait(&self, now: Instant) -> Option<Asked> {
        self.shared().limit.asked().filter(|asked| asked.until > now)
    }

    /// Notes that the server answered a request, with a page or by refusing the request itself (400, 401, 404).
    pub(crate) fn answered(&self, turn: Turn, now: Instant) {
        let mut shared = self.shared();
        let free = shared.limit.free();
        shared.limit.answered(turn, now);
        let is_sooner = free > shared.limit.free().map(|sooner| sooner + MOMENT);
        let first = shared.queue.values().next().filter(|_| is_sooner).cloned();
        let news = shared.news();
        drop(shared);
        first.into_iter().for_each(Waker::wake);
        tell(news);
    }

    /// Notes that the server refused a request, and for how long it asked to wait, if it did. Returns the time that
    /// counts for the page that was refused. `jitter` is between 0 and 1.
    pub(crate) fn refused(
        &self,
        turn: Turn,
        asked: Option<Duration>,
        jitter: f64,
        now: Instant,
    ) -> Duration {
        let mut shared = self.shared();
        let pause = shared.limit.refused(turn, asked, jitter, now);
        let news = shared.news();
        drop(shared);
        tell(news);
        pause
    }
}

impl Shared {
    /// Takes a request out of the queue. If another becomes the first, it counts as the first since `since`.
    fn leave(&mut self, number: u64, since: Instant) -> Option<Waker> {
        if self.first() == Some(number) {
            self.first_since = since;
        }
        self.queue.remove(&number)
    }

    /// The turn of this place, if it has come. Wakers of requests that were passed over go into `gone`.
    fn turn(&mut self, number: u64, now: Instant, gone: &mut Vec<Waker>) -> Call {
        let free = self.limit.free().unwrap_or(now);
        // A request whose time has come and that nobody polls is passed over.
        while let Some(first) = self.first().filter(|first| *first != number) {
            let over = free.max(self.first_since) + MOMENT;
            if now < over {
                break;
            }
            // The next request has had its own timer for that time.
            gone.extend(self.leave(first, over));
        }
        let before = self.queue.range(..number).count();
        if before == 0 && free <= now {
            gone.extend(self.leave(number, now));
            return Call::Now(self.limit.send(now));
        }
        // By then each request before it has had its moment, even if none of them was polled.
        let moments = MOMENT.saturating_mul(u32::try_from(before).unwrap_or(u32::MAX));
        Call::Later(if before == 0 { free } else { free.max(self.first_since) + moments })
    }

    fn first(&self) -> Option<u64> {
        self.queue.keys().next().copied()
    }

    /// The new pace, if it has changed enough to be reported.
    fn news(&mut self) -> Option<f64> {
        let rate = self.limit.rate()?;
        let is_news = self.told.is_none_or(|told| rate < told || rate > told * TOLD);
        is_news.then(|| *self.told.insert(rate))
    }
}

fn tell(news: Option<f64>) {
    if let Some(rate) = news {
        tracing::info!(requests_per_second = rate, "the pace of the client has changed");
    }
}

impl Place {
    pub(crate) fn new(pace: &Arc<Pace>) -> Self {
        Self { pace: Arc::clone(pace), number: None }
    }

    /// Takes the turn or waits for it. `waker` is woken when the turn may have come.
    pub(crate) fn call(&mut self, waker: &Waker, now: Instant) -> Call {
        let mut shared = self.pace.shared();
        if shared.queue.is_empty() && shared.limit.free().is_none_or(|free| free <= now) {
            return Call::Now(shared.limit.send(now));
        }
        let number = *self.number.get_or_insert_with(|| {
            shared.arrivals += 1;
            shared.arrivals
        });
        let before = shared.first();
        let mut gone = Vec::from_iter(shared.queue.insert(number, waker.clone()));
        if shared.first() != before {
            shared.first_since = now;
        }
        let call = shared.turn(number, now, &mut gone);
        let first = shared.queue.first_key_value().filter(|(first, _)| Some(**first) != before);
        let called = first.filter(|(first, _)| **first != number).map(|(_, waker)| waker.clone());
        // NOTE: a waker may be the last owner of a task. Waking or dropping it may drop a stream, and the
        // stream would take this lock again.
        drop(shared);
        called.into_iter().for_each(Waker::wake);
        call
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut shared = self.pace.shared();
        let was_first = shared.first() == Some(number);
        let gone = shared.leave(number, Instant::now());
        let called = shared.queue.values().next().filter(|_| was_first).cloned();
        drop(shared);
        drop(gone);
        called.into_iter().for_each(Waker::wake);
    }
}
