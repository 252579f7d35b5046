//! How many requests the fake server accepts.

use std::time::Instant;

/// A rate limit as many servers have it: a bucket that holds `burst` requests and is filled evenly.
///
/// # Examples
///
/// ```
/// # use futures::TryStreamExt;
/// # use texter_history::testing::{Conversation, FakeChat, FakeTexter, RateLimit};
/// # use texter_history::{Client, Message};
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let chat = FakeChat::new("67bf11038b24880cc966f799").messages(Conversation::seeded(7).messages(200));
/// // As nginx does it: 20 a second and 2 at once, without a word of when to come back.
/// let limit = RateLimit::per_second(20.0).burst(2).without_retry_after();
/// let server = FakeTexter::builder().chat(chat).rate_limited(limit).start().await?;
/// let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
/// let stream = client.messages("67bf11038b24880cc966f799").stream();
/// assert_eq!(stream.try_collect::<Vec<Message>>().await?.len(), 200);
/// assert!(server.requests().iter().any(|request| request.refused));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct RateLimit {
    per_second: f64,
    burst: f64,
    says: Says,
}

/// What a refusal says of the time to wait.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    Nothing,
    Seconds(u64),
    /// The time until the next request is accepted.
    WholeSeconds,
}

impl RateLimit {
    /// This many requests a second, and as many at once. More are answered with 429. `Retry-After` then says
    /// after how many whole seconds the server accepts a request again.
    pub fn per_second(requests: f64) -> Self {
        Self { per_second: requests, burst: requests.max(1.0), says: Says::WholeSeconds }
    }

    /// How many requests are accepted at once after a pause. Default: as many as in a second. 0 counts as 1.
    pub fn burst(mut self, requests: u32) -> Self {
        self.burst = f64::from(requests.max(1));
        self
    }

    /// Always sends this `Retry-After`, in seconds.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.says = Says::Seconds(seconds);
        self
    }

    /// Sends no `Retry-After`.
    pub fn without_retry_after(mut self) -> Self {
        self.says = Says::Nothing;
        self
    }

    pub(super) fn bucket(self) -> Bucket {
        Bucket { held: self.burst, filled: tokio::time::Instant::now().into_std(), limit: self }
    }
}

/// The present state of the limit.
#[derive(Debug)]
pub(super) struct Bucket {
    limit: RateLimit,
    held: f64,
    filled: Instant,
}

/// The server accepts no request now. It may say in how many seconds it will.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) retry_after: Option<u64>,
}

impl Bucket {
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Refusal> {
        let passed = now.saturating_duration_since(self.filled);
        let rate = self.limit.per_second;
        self.held = (self.held + passed.as_secs_f64() * rate).min(self.limit.burst);
        self.filled = now;
        if self.held >= 1.0 {
            self.held -= 1.0;
            return Ok(());
        }
        let retry_after = match self.limit.says {
            Says::Nothing => None,
            Says::Seconds(seconds) => Some(seconds),
            Says::WholeSeconds => Some(((1.0 - self.held) / rate).ceil() as u64),
        };
        Err(Refusal { retry_after })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn takes_a_burst_and_then_so_many_a_second() {
        let mut bucket = RateLimit::per_second(5.0).burst(3).bucket();
        let began = bucket.filled;
        let mut taken = |millis| bucket.take(began + Duration::from_millis(millis)).is_ok();
        assert_eq!([0, 0, 0, 0].map(&mut taken), [true, true, true, false]);
        assert_eq!([199, 201, 202, 402].map(&mut taken), [false, true, false, true]);
        // However long the pause, no more than `burst` requests are accepted.
        assert_eq!([60_000; 4].map(&mut taken), [true, true, true, false]);
    }

    #[test]
    fn says_when_to_come_back_or_does_not() {
        let second = |limit: RateLimit| {
            let mut bucket = limit.burst(1).bucket();
            let now = bucket.filled;
            assert_eq!(bucket.take(now), Ok(()));
            bucket.take(now).unwrap_err().retry_after
        };
        assert_eq!(second(RateLimit::per_second(0.4)), Some(3));
        assert_eq!(second(RateLimit::per_second(20.0)), Some(1));
        assert_eq!(second(RateLimit::per_second(0.4).retry_after(7)), Some(7));
        assert_eq!(second(RateLimit::per_second(0.4).without_retry_after()), None);
    }
}
