//! Whose turn it is to send: what all streams of a client share, because a server's rate limit belongs to the token.
//!
//! ```text
//!   a request ──▶ free? ── yes ──▶ sent ── answered ──▶ the pace grows
//!                   │ no            ▲         └ refused ──▶ the pace is cut, and nothing goes out for a while
//!                   ▼               │
//!                 queue ── first ───┘
//! ```
//!
//! There is no task behind it. Whoever waits has a timer of its own; the first in the queue is woken when it gets there,
//! and whoever is polled at its time takes the turn. One that was called and does not come is passed over after a moment,
//! and is back in its old place when it is polled again.

mod limit;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use limit::Limit;
pub(crate) use limit::Turn;

/// How long a turn is kept for somebody who does not poll.
const MOMENT: Duration = Duration::from_millis(10);

/// A change of the pace that is worth telling.
const TOLD: f64 = 1.25;

/// The pace of one client.
#[derive(Debug)]
pub(crate) struct Pace(Mutex<Shared>);

#[derive(Debug)]
struct Shared {
    limit: Limit,
    /// Who waits, in the order of arrival.
    queue: BTreeMap<u64, Waker>,
    arrivals: u64,
    /// Since when the first of the queue is the first.
    first_since: Instant,
    /// The pace that was told last.
    told: Option<f64>,
}

/// A place in the queue. It is kept from one request of a page to the next, and given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pace: Arc<Pace>,
    number: Option<u64>,
}

/// What somebody who wants to send is told.
#[derive(Debug)]
pub(crate) enum Call {
    /// It may send now.
    Now(Turn),
    /// It has to ask again at this time, or when it is woken.
    Later(Instant),
}

impl Pace {
    /// At most so many requests a second, or as many as the server allows.
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

    /// How much is left of the time that the server asked to wait.
    pub(crate) fn asked_to_wait(&self, now: Instant) -> Duration {
        let asked = self.shared().limit.asked();
        asked.map(|until| until.saturating_duration_since(now)).unwrap_or_default()
    }

    /// The server answered a request, with a page or with a refusal of the request itself (400, 401, 404).
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

    /// The server refused a request, and may have asked to wait. Tells for how long nothing goes out. `jitter` is
    /// between 0 and 1.
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
    /// Takes somebody out of the queue. Whoever is the first of it then is so from this time on.
    fn leave(&mut self, number: u64, since: Instant) -> Option<Waker> {
        if self.first() == Some(number) {
            self.first_since = since;
        }
        self.queue.remove(&number)
    }

    /// The turn of this place, if it has come. Whoever leaves the queue is in `gone`.
    fn turn(&mut self, number: u64, now: Instant, gone: &mut Vec<Waker>) -> Call {
        let free = self.limit.free().unwrap_or(now);
        // Whoever was called and did not come is passed over.
        while let Some(first) = self.first().filter(|first| *first != number) {
            let over = free.max(self.first_since) + MOMENT;
            if now < over {
                break;
            }
            // Whoever comes next has had its own timer for that time.
            gone.extend(self.leave(first, over));
        }
        let before = self.queue.range(..number).count();
        if before == 0 && free <= now {
            gone.extend(self.leave(number, now));
            return Call::Now(self.limit.send(now));
        }
        // By then all before it have had their moment, if none of them comes.
        let moments = MOMENT.saturating_mul(u32::try_from(before).unwrap_or(u32::MAX));
        Call::Later(if before == 0 { free } else { free.max(self.first_since) + moments })
    }

    fn first(&self) -> Option<u64> {
        self.queue.keys().next().copied()
    }

    /// The new pace, if it is another than was told.
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

    /// Takes the turn, or waits for it. `waker` is woken when it may be this one's.
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
        // NOTE: a waker may be the last that holds a task, and a stream in it would come back for the lock.
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
