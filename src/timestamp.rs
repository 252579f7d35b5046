//! Epoch milliseconds, the endpoint's only unit of time.

#[cfg(any(feature = "jiff", feature = "chrono", feature = "time"))]
pub(crate) mod conversions;

use std::error::Error as StdError;
use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::{SignedDuration, civil};
use serde::{Deserialize, Serialize};

/// A moment in Unix epoch **milliseconds**: the unit of all times of the server.
///
/// It prints as RFC 3339, in UTC, with as many digits of the second as are needed. It parses RFC 3339. RFC 3339
/// has only the years 0 to 9999. A moment outside of these years prints as its number of milliseconds with the
/// unit behind it. That text does not parse.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use texter_history::Timestamp;
///
/// let time: Timestamp = "2025-09-05T06:57:57Z".parse()?;
/// assert_eq!(time, Timestamp::from_millis(1_757_055_477_000));
/// assert_eq!(time.to_string(), "2025-09-05T06:57:57Z");
/// assert_eq!((time - Duration::from_millis(5)).to_string(), "2025-09-05T06:57:56.995Z");
/// assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9223372036854775807 ms since 1970");
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

    /// The present moment by the system's clock, rounded down to the millisecond.
    ///
    /// # Examples
    ///
    /// The messages of the last day:
    ///
    /// ```
    /// use std::time::Duration;
    /// use texter_history::{Client, Timestamp};
    ///
    /// let day = Duration::from_secs(24 * 60 * 60);
    /// let yesterday = Timestamp::now() - day;
    /// assert!(yesterday + day <= Timestamp::now());
    ///
    /// let client = Client::builder().project("acme").token("the-token").build()?;
    /// let messages = client.messages("67bf11038b24880cc966f799").since(yesterday);
    /// # Ok::<(), texter_history::Error>(())
    /// ```
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Reads any ISO 8601 form with a date, a time and an offset, and rounds down to the millisecond. A
    /// server's times need not be RFC 3339.
    pub(crate) fn from_iso_8601(text: &str) -> Option<Self> {
        let pieces = Pieces::parse(text).ok()?;
        let local = pieces.date().to_datetime(pieces.time()?).duration_since(EPOCH).as_nanos();
        let offset = i128::from(pieces.to_numeric_offset()?.seconds()) * 1_000_000_000;
        i64::try_from((local - offset).div_euclid(1_000_000)).ok().map(Self)
    }

    /// One millisecond later.
    pub(crate) const fn next_milli(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Rounds down to the millisecond. A clock beyond 64 bits of milliseconds stops at the largest or smallest
/// value.
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
    /// Gives the epoch if the platform's clock cannot hold the moment.
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

/// Moves later by the duration's whole milliseconds. A fraction of a millisecond is dropped. It stops at the last moment
/// that 64 bits hold, and never panics.
impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }
}

/// Moves earlier by the duration's whole milliseconds. A fraction of a millisecond is dropped. It stops at the first
/// moment that 64 bits hold, and never panics.
impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(duration)))
    }
}

/// As `+`.
impl AddAssign<Duration> for Timestamp {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

/// As `-`.
impl SubAssign<Duration> for Timestamp {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

// NOTE: `jiff::Timestamp` ends a day before the year 9999 does, and the first cursor lies on that last day. A
// civil time, taken as UTC, covers the whole year.
const EPOCH: DateTime = civil::date(1970, 1, 1).at(0, 0, 0, 0);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match EPOCH.checked_add(SignedDuration::from_millis(self.0)) {
            Ok(moment) if moment.year() >= 0 => write!(f, "{moment}Z"),
            _ => write!(f, "{} ms since 1970", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// Reads RFC 3339, such as `2025-09-05T06:57:57Z` or `2025-09-05 08:57:57.25+02:00`. It does not read a day
    /// without a time. It does not read a plain number, because the number's unit is not known. The second's
    /// fraction may have up to nine digits, and is rounded down to the millisecond.
    ///
    /// # Errors
    ///
    /// [`ParseTimestampError`] when the text is not RFC 3339. The error turns into an [`Error`](crate::Error).
    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        let time = Self::from_iso_8601(text).filter(|_| is_shaped_as_rfc_3339(text.as_bytes()));
        time.ok_or(ParseTimestampError(()))
    }
}

/// Whether the text has the shape of RFC 3339. `jiff` also reads dates without dashes, times without seconds,
/// and a time zone in brackets. `jiff` checks the numbers.
fn is_shaped_as_rfc_3339(text: &[u8]) -> bool {
    const DATE_AND_TIME: &[u8] = b"0000-00-00T00:00:00";
    let fits = |(byte, pattern): (&u8, &u8)| match pattern {
        b'0' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        _ => byte == pattern,
    };
    let Some((start, mut rest)) = text.split_at_checked(DATE_AND_TIME.len()) else {
        return false;
    };
    if let [b'.', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        // `jiff` does not read a fraction finer than a nanosecond.
        rest = fraction.get(digits.max(1)..).unwrap_or_default();
    }
    start.iter().zip(DATE_AND_TIME).all(fits)
        && match rest {
            b"Z" | b"z" => true,
            [b'+' | b'-', offset @ ..] => {
                // `jiff` reads offsets up to 25 hours.
                offset.len() == b"00:00".len()
                    && offset.iter().zip(b"00:00").all(fits)
                    && offset < b"24:00".as_slice()
            }
            _ => false,
        }
}

/// A text that is not an RFC 3339 time. The error does not quote the text.
///
/// # Examples
///
/// ```
/// use texter_history::{Error, ErrorKind, Timestamp};
///
/// let error = "1757055477".parse::<Timestamp>().unwrap_err();
/// assert!(error.to_string().contains("write it as RFC 3339"));
/// assert_eq!(format!("{error:?}"), error.to_string());
/// assert_eq!(Error::from(error).kind(), ErrorKind::InvalidRequest);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ParseTimestampError(());

impl fmt::Display for ParseTimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a time; write it as RFC 3339, such as 2025-09-05T06:57:57Z or 2025-09-05T08:57:57+02:00",
        )
    }
}

/// Says the same as `Display`, because a `main` that returns the error prints `Debug`.
impl fmt::Debug for ParseTimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for ParseTimestampError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_746_616_143_295, "2025-05-07T11:09:03.295Z"),
            (1_746_616_143_500, "2025-05-07T11:09:03.5Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse::<Timestamp>().unwrap(), time);
        }
        for (text, millis) in [
            ("2025-05-07T13:09:03.295+02:00", 1_746_616_143_295),
            ("2025-05-07t01:39:03.295-09:30", 1_746_616_143_295),
            ("2025-05-07 11:09:03.295999999z", 1_746_616_143_295),
            ("1969-12-31T23:59:59.9989Z", -2),
            ("9999-12-31T23:59:59.999-01:00", 253_402_304_399_999),
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().as_millis(), millis, "{text}");
        }
    }

    #[test]
    fn a_moment_without_a_date_prints_with_its_unit_and_does_not_parse() {
        for millis in [i64::MAX, i64::MIN, 253_402_300_800_000, -62_167_219_200_001] {
            let text = Timestamp::from_millis(millis).to_string();
            assert_eq!(text, format!("{millis} ms since 1970"));
            assert!(text.parse::<Timestamp>().is_err());
        }
    }

    #[test]
    fn nothing_but_rfc_3339_is_a_time() {
        for text in [
            "",
            "yesterday",
            "0",
            "-1",
            "1757055477",
            "1757055477000",
            "12.5",
            "2025-09-05",
            "2025-09-05T06:57:57",
            "2025-09-05T06:57Z",
            "2025-09-05T06:57:57.Z",
            "2025-09-05T06:57:57,5Z",
            "2025-09-05T06:57:57+02",
            "2025-09-05T06:57:57+0200",
            "2025-09-05T06:57:57+02:00[Europe/Berlin]",
            "2025-09-05T06:57:57+24:00",
            "2025-09-05T06:57:57-25:59",
            "2025-09-05T06:57:57Z[UTC]",
            "20250905T065757Z",
            "+002025-09-05T06:57:57Z",
            "2025-13-01T00:00:00Z",
            "2025-02-30T00:00:00Z",
            "2025-01-01T24:00:00Z",
            " 2025-09-05T06:57:57Z",
            "2025-09-05T06:57:57Z ",
            "2025-09-05T06:57:57\u{e9}",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(ParseTimestampError(())), "{text}");
        }
    }

    #[test]
    fn durations_move_it_by_whole_milliseconds_and_saturate() {
        let time = Timestamp::from_millis(1_000);
        assert_eq!((time + Duration::from_micros(1_999)).as_millis(), 1_001);
        assert_eq!((time - Duration::from_micros(1_999)).as_millis(), 999);
        assert_eq!((time - Duration::from_secs(2)).as_millis(), -1_000);
        let mut moved = time;
        moved += Duration::from_secs(3);
        assert_eq!(moved.as_millis(), 4_000);
        moved -= Duration::from_secs(3);
        assert_eq!(moved, time);
        assert_eq!((time + Duration::MAX).as_millis(), i64::MAX);
        assert_eq!((Timestamp::from_millis(-5) - Duration::MAX).as_millis(), i64::MIN);
        assert_eq!(
            (Timestamp::from_millis(i64::MIN) - Duration::from_secs(1)).as_millis(),
            i64::MIN
        );
    }

    #[test]
    fn now_is_the_system_s_time() {
        let before = Timestamp::from(SystemTime::now());
        let now = Timestamp::now();
        assert!(before <= now && now <= SystemTime::now().into());
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
