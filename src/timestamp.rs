//! Epoch milliseconds, the only unit of time that the endpoint speaks.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A moment in Unix epoch **milliseconds**: the unit of message timestamps, `minTime`, `maxTime` and
/// `beforeTime` (page "Get Messages of a Chat").
///
/// Prints and parses as RFC 3339. A value that no calendar date stands for (beyond the year 9999) prints
/// as its plain number of milliseconds, and a plain number parses back.
///
/// # Examples
///
/// ```
/// use texter_history::Timestamp;
///
/// let time: Timestamp = "2025-09-05T06:57:57Z".parse()?;
/// assert_eq!(time, Timestamp::from_millis(1_757_055_477_000));
/// assert_eq!(time.to_string(), "2025-09-05T06:57:57Z");
/// # Ok::<(), texter_history::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` milliseconds after 1970-01-01T00:00:00Z (before it, when negative).
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// One millisecond later.
    pub(crate) const fn next_milli(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Rounds down to the millisecond; a clock beyond what 64 bits of milliseconds hold saturates.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => {
                let nanos = before.duration().as_nanos();
                i64::try_from(nanos.div_ceil(1_000_000)).map_or(i64::MIN, |millis| -millis)
            }
        })
    }
}

impl From<Timestamp> for SystemTime {
    /// Saturates at the epoch if the platform's clock cannot hold the moment.
    fn from(time: Timestamp) -> Self {
        let distance = Duration::from_millis(time.0.unsigned_abs());
        let moment = if time.0 < 0 {
            UNIX_EPOCH.checked_sub(distance)
        } else {
            UNIX_EPOCH.checked_add(distance)
        };
        moment.unwrap_or(UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => write!(f, "{moment}"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Reads RFC 3339 (rounding down to the millisecond), or a plain number of milliseconds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) when the text is neither.
    fn from_str(text: &str) -> Result<Self, Error> {
        if let Ok(millis) = text.parse() {
            return Ok(Self(millis));
        }
        let moment: jiff::Timestamp = text.parse().map_err(|_| {
            Error::invalid_request(
                "not a time; write it as RFC 3339, such as 2025-09-05T06:57:57Z, or as epoch milliseconds",
            )
        })?;
        let floor = moment.as_nanosecond().div_euclid(1_000_000);
        Ok(Self(i64::try_from(floor).unwrap_or(i64::MAX)))
    }
}

#[cfg(feature = "jiff")]
mod with_jiff {
    use super::Timestamp;
    use crate::error::Error;

    /// Rounds down to the millisecond.
    impl From<jiff::Timestamp> for Timestamp {
        fn from(moment: jiff::Timestamp) -> Self {
            let floor = moment.as_nanosecond().div_euclid(1_000_000);
            Self(i64::try_from(floor).unwrap_or(i64::MAX))
        }
    }

    /// Fails beyond the year 9999, where `jiff` has no date.
    impl TryFrom<Timestamp> for jiff::Timestamp {
        type Error = Error;

        fn try_from(time: Timestamp) -> Result<Self, Error> {
            Self::from_millisecond(time.0)
                .map_err(|_| Error::invalid_request("the timestamp lies beyond the year 9999"))
        }
    }
}

#[cfg(feature = "chrono")]
mod with_chrono {
    use super::Timestamp;
    use crate::error::Error;

    /// Rounds down to the millisecond.
    impl From<chrono::DateTime<chrono::Utc>> for Timestamp {
        fn from(moment: chrono::DateTime<chrono::Utc>) -> Self {
            Self(moment.timestamp_millis())
        }
    }

    /// Fails where `chrono` has no date.
    impl TryFrom<Timestamp> for chrono::DateTime<chrono::Utc> {
        type Error = Error;

        fn try_from(time: Timestamp) -> Result<Self, Error> {
            Self::from_timestamp_millis(time.0).ok_or_else(|| {
                Error::invalid_request("the timestamp lies beyond chrono's last date")
            })
        }
    }
}

#[cfg(feature = "time")]
mod with_time {
    use super::Timestamp;
    use crate::error::Error;

    /// Rounds down to the millisecond.
    impl From<time::OffsetDateTime> for Timestamp {
        fn from(moment: time::OffsetDateTime) -> Self {
            let floor = moment.unix_timestamp_nanos().div_euclid(1_000_000);
            Self(i64::try_from(floor).unwrap_or(i64::MAX))
        }
    }

    /// Fails where `time` has no date.
    impl TryFrom<Timestamp> for time::OffsetDateTime {
        type Error = Error;

        fn try_from(time: Timestamp) -> Result<Self, Error> {
            Self::from_unix_timestamp_nanos(i128::from(time.0) * 1_000_000).map_err(|_| {
                Error::invalid_request("the timestamp lies beyond the last date of `time`")
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_746_616_143_295, "2025-05-07T11:09:03.295Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse::<Timestamp>().unwrap(), time);
        }
        let offset: Timestamp = "2025-05-07T13:09:03.295+02:00".parse().unwrap();
        assert_eq!(offset.as_millis(), 1_746_616_143_295);
    }

    #[test]
    fn a_moment_without_a_date_prints_as_its_number_and_comes_back() {
        for millis in [i64::MAX, i64::MIN] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(time.to_string(), millis.to_string());
            assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in ["", "yesterday", "2025-13-01T00:00:00Z", "12.5"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn converts_the_system_clock_rounding_down() {
        let after = UNIX_EPOCH + Duration::from_micros(1_999);
        assert_eq!(Timestamp::from(after).as_millis(), 1);
        let before = UNIX_EPOCH - Duration::from_micros(1_500);
        assert_eq!(Timestamp::from(before).as_millis(), -2);
        assert_eq!(
            SystemTime::from(Timestamp::from_millis(-2)),
            UNIX_EPOCH - Duration::from_millis(2)
        );
    }
}
