//! How often and how long a page is retried. Pure: the code takes the time that has passed and returns the
//! delay.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::error::Error;

/// How often, how long and how soon one page is asked for again after a failure.
///
/// **What is retried:** a connection that could not be made or that broke, no complete answer in time, and the statuses 408,
/// 429, 500, 502, 503 and 504. Reading changes nothing on the server, so asking again is safe. What another attempt cannot
/// cure is not retried: see [`Error::is_retryable`].
///
/// **All limits are per page.** A page that arrives starts the count anew.
///
/// **The waits** grow and are random. The longest n-th wait is `base_delay × 2^(n-1)`, but at most `max_delay`. The real
/// wait is a random part of that, at least a tenth. With the defaults, the waits of one page add up to at least 12 seconds
/// and on average 67. So a server that refuses connections for ten seconds ends no stream.
///
/// **`Retry-After`** (seconds, or an HTTP date, which is read against the answer's own `Date`) is added to that wait. So
/// streams that were told the same time do not all come back at once. After a refusal, a random time of at most a second is
/// added instead. A `Retry-After` that cannot be read is ignored.
///
/// **A refusal** (429, or 503 with `Retry-After`) does not count as an attempt. All streams of the client wait for the time
/// that the server asks for, and then take turns. A page that is refused again and again ends when its time is used up.
/// With [`none`](Self::none), the first refusal ends the page.
///
/// **A connection kept alive** may be closed by the server just as the next request goes out. If nothing of an answer has
/// come, the request is sent again when its turn comes, even with [`none`](Self::none): once for each connection that the
/// client may have kept alive. That does not count as an attempt, but it counts in
/// [`Stats::requests`](crate::Stats::requests).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use texter_history::{Client, RetryPolicy};
///
/// let patient = RetryPolicy::default().max_attempts(20).max_elapsed(Duration::from_secs(600));
/// let client = Client::builder().project("acme").token("t").retry(patient).build()?;
/// # Ok::<(), texter_history::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct RetryPolicy {
    max_attempts: u32,
    base_delay: Duration,
    max_delay: Duration,
    max_elapsed: Duration,
    max_retry_after: Duration,
    jitter_seed: Option<u64>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            base_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            max_elapsed: Duration::from_secs(120),
            max_retry_after: Duration::from_secs(60),
            jitter_seed: None,
        }
    }
}

impl RetryPolicy {
    /// One attempt, no retries.
    pub fn none() -> Self {
        Self::default().max_attempts(1)
    }

    /// The most attempts for one page, the first included. Default 10; 0 counts as 1.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// The longest first wait, without `Retry-After`. Default half a second. With zero, only a refusal or `Retry-After` makes a page wait.
    pub fn base_delay(mut self, delay: Duration) -> Self {
        self.base_delay = delay;
        self
    }

    /// The most that a wait can grow to. Default 30 seconds. `Retry-After` has its own limit,
    /// [`max_retry_after`](Self::max_retry_after).
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// The time for one page, attempts and waits together. Default 2 minutes.
    ///
    /// The first attempt always gets its whole [`timeout`](crate::ClientBuilder::timeout). A retry gets at most what is left of
    /// this time. Time during which a request waits for its turn does not count. Time during which you do not poll counts at
    /// most as much as the timeout of one attempt.
    pub fn max_elapsed(mut self, elapsed: Duration) -> Self {
        self.max_elapsed = elapsed;
        self
    }

    /// The longest `Retry-After` that is waited for. Default 60 seconds.
    ///
    /// A longer one ends the page at once, with [`Error::retry_after`] set. The client sends nothing else during the time that
    /// the server asked for. Other pages wait for their turn as long as this. A page then fails too if the server's time goes on
    /// for longer than this once more.
    pub fn max_retry_after(mut self, wait: Duration) -> Self {
        self.max_retry_after = wait;
        self
    }

    /// Makes the jitter repeatable, for tests. Without it every page draws its own.
    pub fn jitter_seed(mut self, seed: u64) -> Self {
        self.jitter_seed = Some(seed);
        self
    }

    pub(crate) fn begin(&self) -> Retries {
        let ceilings = ExponentialBuilder::new()
            .with_min_delay(self.base_delay.min(self.max_delay))
            .with_max_delay(self.max_delay)
            .without_max_times()
            .build();
        let jitter = self.jitter_seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Retries { policy: self.clone(), attempts: 0, ceilings, jitter }
    }
}

/// The retries of one page.
#[derive(Debug)]
pub(crate) struct Retries {
    policy: RetryPolicy,
    attempts: u32,
    ceilings: ExponentialBackoff,
    jitter: fastrand::Rng,
}

impl Retries {
    /// How long the next attempt may take. The first attempt gets the whole `timeout`. A retry gets at most what is left of
    /// the page's time.
    pub(crate) fn time_for_attempt(&self, timeout: Duration, spent: Duration) -> Duration {
        if spent.is_zero() {
            timeout
        } else {
            timeout.min(self.policy.max_elapsed.saturating_sub(spent))
        }
    }

    /// How long to wait after `error` before the next attempt. `spent` is the time that the page has taken so far. `None`
    /// means to give up.
    pub(crate) fn wait_after(&mut self, error: &Error, spent: Duration) -> Option<Duration> {
        self.attempts = self.attempts.saturating_add(1);
        if !error.is_retryable() || self.attempts >= self.policy.max_attempts {
            return None;
        }
        let ceiling = self.ceilings.next().unwrap_or(self.policy.max_delay);
        let asked = error.retry_after().unwrap_or_default();
        let wait = asked.saturating_add(part_of(ceiling, self.jitter.f64()));
        (!self.is_too_long(asked) && self.is_in_time(spent, wait)).then_some(wait)
    }

    /// A random number between 0 and 1.
    pub(crate) fn random(&mut self) -> f64 {
        self.jitter.f64()
    }

    /// Whether a page that was refused by the rate limit waits for another turn. That turn comes after `pause`
    /// at the earliest. The refusal does not count as an attempt. Only its time counts.
    pub(crate) fn outlasts(&self, refusal: &Error, spent: Duration, pause: Duration) -> bool {
        self.policy.max_attempts > 1
            && !self.is_too_long(refusal.retry_after().unwrap_or_default())
            && self.is_in_time(spent, pause)
    }

    pub(crate) fn longest_to_wait(&self) -> Duration {
        self.policy.max_retry_after
    }

    /// Whether the server asks to wait longer than `max_retry_after`.
    pub(crate) fn is_too_long(&self, asked: Duration) -> bool {
        asked > self.policy.max_retry_after
    }

    fn is_in_time(&self, spent: Duration, wait: Duration) -> bool {
        spent.checked_add(wait).is_some_and(|total| total <= self.policy.max_elapsed)
    }
}

/// The least part of a wait that jitter leaves. With the default delays and attempts, a tenth is enough to outlast ten
/// seconds. The rest is random, so that streams that failed together do not come back together.
const LEAST_PART: f64 = 0.1;

fn part_of(ceiling: Duration, random: f64) -> Duration {
    let part = LEAST_PART + (1.0 - LEAST_PART) * random;
    Duration::try_from_secs_f64(ceiling.as_secs_f64() * part).unwrap_or(ceiling).min(ceiling)
}

/// Reads `Retry-After`, as seconds or as an HTTP date. `None` if the text is neither.
pub(crate) fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::error::ErrorKind;

    fn failed(status: u16) -> Error {
        Error::from_status(status)
    }

    fn waits(policy: &RetryPolicy) -> Vec<Duration> {
        let mut retries = policy.begin();
        let mut waits = Vec::new();
        loop {
            match retries.wait_after(&failed(503), Duration::ZERO) {
                Some(wait) => waits.push(wait),
                None => return waits,
            }
        }
    }

    #[test]
    fn the_ceilings_double_from_base_to_max_and_the_jitter_leaves_a_tenth() {
        let policy = RetryPolicy::default().max_elapsed(Duration::MAX);
        let ceilings = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000];
        let mut sums = [0.0; 9];
        for seed in 0..2_000 {
            let waits = waits(&policy.clone().jitter_seed(seed));
            assert_eq!(waits.len(), 9);
            for ((wait, ceiling), sum) in waits.iter().zip(ceilings).zip(&mut sums) {
                assert!(*wait <= Duration::from_millis(ceiling), "{wait:?} above {ceiling} ms");
                *sum += wait.as_secs_f64() * 1_000.0 / ceiling as f64;
            }
        }
        for sum in sums {
            assert!((0.52..0.58).contains(&(sum / 2_000.0)), "{sums:?}");
        }
        let waits: Vec<_> =
            (0..2_000).map(|seed| waits(&policy.clone().jitter_seed(seed))[0]).collect();
        assert!(waits.iter().any(|wait| *wait < Duration::from_millis(60)));
        assert!(waits.iter().all(|wait| *wait >= Duration::from_millis(50)));
        assert!(waits.iter().any(|wait| *wait > Duration::from_millis(475)));
    }

    #[test]
    fn the_least_jitter_outlasts_ten_seconds_and_the_most_stays_in_its_time() {
        let sum = |random: f64| -> Duration {
            let ceilings = RetryPolicy::default().begin().ceilings;
            ceilings.take(9).map(|ceiling| part_of(ceiling, random)).sum()
        };
        assert!(sum(0.0) > Duration::from_secs(12), "{:?}", sum(0.0));
        assert_eq!(part_of(Duration::MAX, 1.0), Duration::MAX);
        assert_eq!(part_of(Duration::ZERO, 1.0), Duration::ZERO);
    }

    #[test]
    fn a_seed_makes_it_repeatable() {
        let seeded = |seed| waits(&RetryPolicy::default().jitter_seed(seed));
        assert_eq!(seeded(1), seeded(1));
        assert_ne!(seeded(1), seeded(2));
    }

    #[test]
    fn attempts_are_counted_with_the_first() {
        assert_eq!(waits(&RetryPolicy::default()).len(), 9);
        assert_eq!(waits(&RetryPolicy::none()).len(), 0);
        assert_eq!(waits(&RetryPolicy::default().max_attempts(0)).len(), 0);
        assert_eq!(waits(&RetryPolicy::default().max_attempts(2)).len(), 1);
    }

    #[test]
    fn only_what_may_be_cured_is_retried() {
        let mut retries = RetryPolicy::default().begin();
        let mut retried = |error: &Error| retries.wait_after(error, Duration::ZERO).is_some();
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(retried(&failed(status)), "{status}");
        }
        for status in [204, 302, 400, 401, 403, 404, 413, 418, 501, 505, 599] {
            assert!(!retried(&failed(status)), "{status}");
        }
        assert!(!retried(&Error::new(ErrorKind::MalformedPage, "")));
        assert!(!retried(&Error::new(ErrorKind::BodyTooLarge, "")));
    }

    #[test]
    fn jitter_comes_on_top_of_retry_after_up_to_its_cap() {
        let after = |seconds, policy: &RetryPolicy| {
            let mut retries = policy.begin();
            let error = failed(429).with_retry_after(Some(Duration::from_secs(seconds)));
            retries.wait_after(&error, Duration::ZERO)
        };
        let policy = RetryPolicy::default().jitter_seed(3);
        let (least, most) = (Duration::from_millis(50), Duration::from_millis(500));
        for seconds in [0, 7, 60] {
            for seed in 0..50 {
                let wait = after(seconds, &policy.clone().jitter_seed(seed)).unwrap();
                let jitter = wait - Duration::from_secs(seconds);
                assert!((least..=most).contains(&jitter), "{wait:?} when asked for {seconds} s");
            }
        }
        assert_ne!(after(7, &policy), after(7, &policy.clone().jitter_seed(4)));
        assert_eq!(after(61, &policy), None);
        let patient = policy.clone().max_retry_after(Duration::from_secs(100));
        assert!(after(100, &patient).is_some());
        assert_eq!(after(101, &patient), None);
        assert_eq!(after(u64::MAX, &policy.max_retry_after(Duration::MAX)), None);
    }

    #[test]
    fn no_attempt_begins_after_the_time_for_the_page() {
        let mut retries = RetryPolicy::default().begin();
        let asked = failed(503).with_retry_after(Some(Duration::from_secs(20)));
        assert!(retries.wait_after(&asked, Duration::from_secs(99)).is_some());
        assert!(retries.wait_after(&asked, Duration::from_secs(100)).is_none());
    }

    #[test]
    fn a_retry_gets_what_is_left_and_the_first_attempt_its_own_time() {
        let seconds = Duration::from_secs;
        let retries = RetryPolicy::default().max_elapsed(seconds(30)).begin();
        assert_eq!(retries.time_for_attempt(seconds(60), Duration::ZERO), seconds(60));
        assert_eq!(retries.time_for_attempt(seconds(60), seconds(12)), seconds(18));
        assert_eq!(retries.time_for_attempt(seconds(5), seconds(12)), seconds(5));
        assert_eq!(retries.time_for_attempt(seconds(5), seconds(40)), Duration::ZERO);
    }

    #[test]
    fn a_base_above_the_maximum_is_cut_to_it() {
        let policy =
            RetryPolicy::default().base_delay(Duration::MAX).max_delay(Duration::from_secs(1));
        assert!(waits(&policy).iter().all(|wait| *wait <= Duration::from_secs(1)));
        let policy = RetryPolicy::default().base_delay(Duration::ZERO);
        assert_eq!(waits(&policy), [Duration::ZERO; 9]);
    }

    #[test]
    fn reads_seconds_and_dates() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 90);
        let parse = |text| parse_retry_after(text, now);
        assert_eq!(parse("120"), Some(Duration::from_secs(120)));
        assert_eq!(parse(" 0 "), Some(Duration::ZERO));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(parse("Sat, 05 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("99999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        for text in ["", "soon", "-1", "1.5", "٣"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
