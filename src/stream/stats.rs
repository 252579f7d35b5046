//! What a stream says of its chat and of itself.

use std::time::Duration;

use crate::error::Error;
use crate::timestamp::Timestamp;

/// What a walk has cost and brought so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests sent, retries included.
    pub requests: u64,
    /// Requests sent again after a failure.
    pub retries: u64,
    /// Messages handed out; those that could not be read do not count.
    pub messages: u64,
    /// Messages that could not be read: handed out as an error, or left out by
    /// [`skip_malformed`](crate::Messages::skip_malformed).
    pub malformed: u64,
    /// Messages received and dropped: handed out before, or newer than where the walk stood.
    pub duplicates: u64,
    /// Bytes of bodies, decompressed, those of failed attempts included.
    pub bytes: u64,
    /// How long the stream's requests waited for their turn, added up: all streams of a client share one pace (see
    /// [`requests_per_second`](crate::ClientBuilder::requests_per_second)).
    pub waited: Duration,
    /// Pages asked for early in vain: the one before turned out not to be ascending, to be short or the last,
    /// or failed (see [`prefetch`](crate::Messages::prefetch)). Their requests count among `requests`.
    pub discarded: u64,
}

/// How much of the range from `newest` down to `oldest` lies behind, once `last` has been handed out.
pub(super) fn share(newest: Timestamp, oldest: Timestamp, last: Option<Timestamp>) -> f64 {
    let Some(last) = last else { return 0.0 };
    let millis = |time: Timestamp| time.as_millis() as f64;
    let range = millis(newest) - millis(oldest);
    if range <= 0.0 {
        return if last <= oldest { 1.0 } else { 0.0 };
    }
    ((millis(newest) - millis(last)) / range).clamp(0.0, 1.0)
}

/// Tells of a message that is left out.
#[cold]
pub(super) fn tell_of_skipped(error: &Error) {
    tracing::warn!(path = error.path(), %error, "a message is left out");
}
