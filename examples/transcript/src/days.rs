//! The messages of a chat by days, without holding a day.

use async_stream::try_stream;
use futures::{Stream, StreamExt};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use texter_history::{Error, ErrorKind, Message, MessageStream, Timestamp};

/// What comes next in a transcript.
pub(crate) enum Entry {
    Message {
        message: Box<Message>,
        /// The day that it is the first message of.
        begins: Option<Date>,
    },
    /// A message stood here that cannot be read.
    Unreadable(Error),
}

/// Each message, and with the first of a day that day.
pub(crate) fn by_day(
    messages: &mut MessageStream,
    zone: &TimeZone,
) -> impl Stream<Item = Result<Entry, Error>> {
    try_stream! {
        let mut today = None;
        while let Some(message) = messages.next().await {
            match message {
                Ok(message) => {
                    let day = zoned(message.timestamp, zone).date();
                    let begins = (today != Some(day)).then_some(day);
                    today = Some(day);
                    yield Entry::Message { message: Box::new(message), begins };
                }
                Err(error) if error.kind() == ErrorKind::MalformedMessage => yield Entry::Unreadable(error),
                Err(error) => Err(error)?,
            }
        }
    }
}

/// A time in a zone; one that no calendar has is the calendar's last.
pub(crate) fn zoned(time: Timestamp, zone: &TimeZone) -> jiff::ZonedDateTime {
    let time = jiff::Timestamp::from_millisecond(time.as_millis()).unwrap_or(jiff::Timestamp::MAX);
    time.to_zoned_datetime(zone.clone())
}
