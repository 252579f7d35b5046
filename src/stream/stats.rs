//! What a stream reports about its chat and about itself.

use std::time::Duration;

use crate::error::Error;
use crate::timestamp::Timestamp;

/// What a stream has cost and brought so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests sent, retries included.
    pub requests: u64,
    /// Requests sent again after a failure.
    pub retries: u64,
    /// Messages handed out. Those that could not be read do not count.
    pub messages: u64,
    /// Messages that could not be read: handed out as an error, or left out by
    /// [`skip_malformed`](crate::Messages::skip_malformed).
    pub malformed: u64,
    /// Messages received and dropped: they had been handed out before, or were newer than was asked for.
    pub duplicates: u64,
    /// Bytes of bodies after decompression. Those of failed attempts count too.
    pub bytes: u64,
    /// How long the stream's requests waited for their turn, in total. All streams of a client share one pace
    /// (see [`requests_per_second`](crate::ClientBuilder::requests_per_second)).
    pub waited: Duration,
    /// Pages that were asked for early and thrown away, because the page before was the last, was short, was not
    /// ascending, or failed (see [`prefetch`](crate::Messages::prefetch)). Requests still under way when the
    /// stream ends count here too. All of these count in `requests`.
    pub discarded: u64,
}

/// Which part of the time between `from` and `to`, in either direction, has been walked once `last` has been
/// handed out.
pub(super) fn share(from: Timestamp, to: Timestamp, last: Option<Timestamp>) -> f64 {
    let Some(last) = last else { return 0.0 };
    let way = |to: Timestamp| to.as_millis() as f64 - from.as_millis() as f64;
    if from == to {
        return if last == to { 1.0 } else { 0.0 };
    }
    (way(last) / way(to)).clamp(0.0, 1.0)
}

/// Reports a message that is left out.
#[cold]
pub(super) fn tell_of_skipped(error: &Error) {
    tracing::warn!(path = error.path(), %error, "a message is left out");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_in_either_direction() {
        let at = Timestamp::from_millis;
        for (from, to) in [(at(100), at(300)), (at(300), at(100))] {
            assert_eq!(share(from, to, None), 0.0);
            assert_eq!(share(from, to, Some(from)), 0.0);
            assert_eq!(share(from, to, Some(at(200))), 0.5);
            assert_eq!(share(from, to, Some(to)), 1.0);
        }
        assert_eq!(share(at(300), at(100), Some(at(150))), 0.75);
        assert_eq!(share(at(100), at(300), Some(at(150))), 0.25);
        assert_eq!(share(at(100), at(300), Some(at(400))), 1.0);
        assert_eq!(share(at(100), at(100), Some(at(100))), 1.0);
    }
}
