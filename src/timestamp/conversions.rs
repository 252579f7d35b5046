//! Conversions of `Timestamp` from and into the types of other crates, each behind its feature.

use std::error::Error as StdError;
use std::fmt;

use super::Timestamp;

/// A [`Timestamp`] for which the other crate has no date. It exists only with one of the features `jiff`,
/// `chrono` and `time`.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "jiff")]
/// # {
/// use texter_history::{ConvertTimestampError, Timestamp};
///
/// let beyond: Result<jiff::Timestamp, ConvertTimestampError> = Timestamp::from_millis(i64::MAX).try_into();
/// assert!(beyond.unwrap_err().to_string().contains("no date of `jiff`"));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvertTimestampError {
    library: &'static str,
}

impl fmt::Display for ConvertTimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the timestamp is no date of `{}`; use one nearer to the present", self.library)
    }
}

impl StdError for ConvertTimestampError {}

#[cfg(any(feature = "jiff", feature = "time"))]
fn floor(nanos: i128) -> Timestamp {
    // No date of these crates lies beyond 64 bits of milliseconds.
    Timestamp(i64::try_from(nanos.div_euclid(1_000_000)).unwrap_or(i64::MAX))
}

/// Rounds down to the millisecond.
#[cfg(feature = "jiff")]
impl From<jiff::Timestamp> for Timestamp {
    fn from(moment: jiff::Timestamp) -> Self {
        floor(moment.as_nanosecond())
    }
}

/// Fails outside of the years -9999 to 9999, and on the last day of 9999, where `jiff` has no timestamp.
#[cfg(feature = "jiff")]
impl TryFrom<Timestamp> for jiff::Timestamp {
    type Error = ConvertTimestampError;

    fn try_from(time: Timestamp) -> Result<Self, ConvertTimestampError> {
        Self::from_millisecond(time.0).map_err(|_| ConvertTimestampError { library: "jiff" })
    }
}

/// Rounds down to the millisecond.
#[cfg(feature = "chrono")]
impl From<chrono::DateTime<chrono::Utc>> for Timestamp {
    fn from(moment: chrono::DateTime<chrono::Utc>) -> Self {
        Self(moment.timestamp_millis())
    }
}

/// Fails where `chrono` has no date, some 262,000 years from the present.
#[cfg(feature = "chrono")]
impl TryFrom<Timestamp> for chrono::DateTime<chrono::Utc> {
    type Error = ConvertTimestampError;

    fn try_from(time: Timestamp) -> Result<Self, ConvertTimestampError> {
        Self::from_timestamp_millis(time.0).ok_or(ConvertTimestampError { library: "chrono" })
    }
}

/// Rounds down to the millisecond.
#[cfg(feature = "time")]
impl From<time::OffsetDateTime> for Timestamp {
    fn from(moment: time::OffsetDateTime) -> Self {
        floor(moment.unix_timestamp_nanos())
    }
}

/// Fails outside of the years -9999 to 9999, where `time` has no date.
#[cfg(feature = "time")]
impl TryFrom<Timestamp> for time::OffsetDateTime {
    type Error = ConvertTimestampError;

    fn try_from(time: Timestamp) -> Result<Self, ConvertTimestampError> {
        Self::from_unix_timestamp_nanos(i128::from(time.0) * 1_000_000)
            .map_err(|_| ConvertTimestampError { library: "time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds, and the same moment as the other crate prints it in RFC 3339.
    const MOMENTS: [(i64, &str); 3] = [
        (0, "1970-01-01T00:00:00Z"),
        (1_746_616_143_295, "2025-05-07T11:09:03.295Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ];

    /// Nanoseconds, and the milliseconds that they round down to.
    const FINER: [(i64, i64); 4] = [
        (1_999_999, 1),
        (-1, -1),
        (-1_000_000, -1),
        (1_746_616_143_295_999_999, 1_746_616_143_295),
    ];

    #[cfg(feature = "jiff")]
    #[test]
    fn jiff_s_timestamps() {
        for (millis, text) in MOMENTS {
            let moment: jiff::Timestamp = text.parse().unwrap();
            assert_eq!(Timestamp::from(moment).as_millis(), millis);
            assert_eq!(jiff::Timestamp::try_from(Timestamp::from_millis(millis)), Ok(moment));
        }
        for (nanos, millis) in FINER {
            let moment = jiff::Timestamp::from_nanosecond(nanos.into()).unwrap();
            assert_eq!(Timestamp::from(moment).as_millis(), millis, "{nanos}");
        }
        for millis in [i64::MAX, i64::MIN, 253_402_300_799_999] {
            let error = jiff::Timestamp::try_from(Timestamp::from_millis(millis)).unwrap_err();
            assert!(error.to_string().contains("`jiff`"), "{error}");
        }
    }

    #[cfg(feature = "chrono")]
    #[test]
    fn chrono_s_date_times() {
        use chrono::{DateTime, Utc};
        for (millis, text) in MOMENTS {
            let moment: DateTime<Utc> = text.parse().unwrap();
            assert_eq!(Timestamp::from(moment).as_millis(), millis);
            assert_eq!(DateTime::<Utc>::try_from(Timestamp::from_millis(millis)), Ok(moment));
        }
        for (nanos, millis) in FINER {
            assert_eq!(
                Timestamp::from(DateTime::from_timestamp_nanos(nanos)).as_millis(),
                millis,
                "{nanos}"
            );
        }
        for millis in [i64::MAX, i64::MIN] {
            let error = DateTime::<Utc>::try_from(Timestamp::from_millis(millis)).unwrap_err();
            assert!(error.to_string().contains("`chrono`"), "{error}");
        }
    }

    #[cfg(feature = "time")]
    #[test]
    fn offset_date_times_of_time() {
        use time::{OffsetDateTime, UtcOffset};
        for (millis, text) in MOMENTS {
            let nanos = i128::from(text.parse::<Timestamp>().unwrap().as_millis()) * 1_000_000;
            let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap();
            assert_eq!(Timestamp::from(moment).as_millis(), millis);
            // The offset changes only how a moment is shown, not the moment.
            let shown = moment.to_offset(UtcOffset::from_hms(-5, -30, 0).unwrap());
            assert_eq!(Timestamp::from(shown).as_millis(), millis);
            assert_eq!(OffsetDateTime::try_from(Timestamp::from_millis(millis)), Ok(moment));
        }
        for (nanos, millis) in FINER {
            let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos.into()).unwrap();
            assert_eq!(Timestamp::from(moment).as_millis(), millis, "{nanos}");
        }
        for millis in [i64::MAX, i64::MIN, 253_402_300_800_000] {
            let error = OffsetDateTime::try_from(Timestamp::from_millis(millis)).unwrap_err();
            assert!(error.to_string().contains("`time`"), "{error}");
        }
    }
}
