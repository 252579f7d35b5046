//! The checkpoint: where a walk stands, as a line of text that outlives the process.

mod line;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cursor::Cursor;
use crate::id::{BotSessionId, ChatId};
use crate::position::Standing;
use crate::timestamp::Timestamp;

/// Where a stream stands: right behind the last message handed out. Another stream goes on from there, in another
/// process too, without losing or repeating a message.
///
/// **Which way it goes on.** The checkpoint of an [`oldest_first`](crate::Messages::oldest_first) stream is the one to sync
/// with: resumed tomorrow, it brings what is new. The checkpoint of a newest-first stream goes on towards *older* messages:
/// resumed after the chat's first message was reached, it brings nothing. To go on forwards after a newest-first stream,
/// save [`MessageStream::newest_checkpoint`](crate::MessageStream::newest_checkpoint).
///
/// **What it does not bring.** A message that changed (a new status, an edit, a deletion) is not new: read the last days
/// again by [`since`](crate::Messages::since). A message that arrived late, with an older timestamp, comes only with a
/// [`lookback`](crate::Messages::lookback).
///
/// **What it holds:** the chat, the bot session, the bounds and the direction; the last message handed out; and the ids
/// handed out at its timestamp, because the server sends these messages again. With a lookback, it holds all ids within
/// it. It holds no text of a message and no token.
///
/// **Its form.** `Display` gives one line of printable ASCII without spaces, for a database column or a flag. `FromStr`
/// reads it. Serde uses the same line. A checksum guards the line: one that was cut or altered is an error.
///
/// # Examples
///
/// ```
/// use texter_history::{Checkpoint, Client};
///
/// let client = Client::builder().project("acme").token("t").build()?;
/// let stream = client.messages("67bf11038b24880cc966f799").stream();
///
/// let line = stream.checkpoint().to_string();
/// let checkpoint: Checkpoint = line.parse()?;
/// assert_eq!(checkpoint, stream.checkpoint());
/// assert!(line[1..].parse::<Checkpoint>().is_err());
/// # Ok::<(), texter_history::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub(crate) chat: ChatId,
    pub(crate) bot_session: Option<BotSessionId>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) standing: Standing,
}

impl Checkpoint {
    /// The chat that was walked.
    #[must_use]
    pub fn chat(&self) -> &ChatId {
        &self.chat
    }

    /// The bot session that the walk was restricted to.
    #[must_use]
    pub fn bot_session(&self) -> Option<&BotSessionId> {
        self.bot_session.as_ref()
    }

    /// The oldest time of the walk, inclusive.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// The newest time of the walk, inclusive.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Whether the walk goes from old to new, so that this checkpoint goes on towards *newer* messages.
    #[must_use]
    pub fn is_oldest_first(&self) -> bool {
        matches!(self.standing, Standing::OldestFirst { .. })
    }

    /// The last message handed out; `None` when there was none yet.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        self.standing.cursor()
    }
}

// NOTE: `From<Checkpoint> for String` must not exist. With it, a checkpoint would be accepted wherever an id
// is.
impl Serialize for Checkpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Checkpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::string::string_regex;

    use super::*;
    use crate::cursor::Key;
    use crate::error::ErrorKind;
    use crate::fingerprint::fingerprint;
    use crate::position::{Horizon, Position, SyncPosition};

    fn placed(millis: i64, id: &str) -> Key {
        Key::Placed(Cursor { timestamp: Timestamp::from_millis(millis), id: id.into() })
    }

    const HORIZON: Horizon =
        Horizon { now: Timestamp::from_millis(100), lookback: std::time::Duration::from_millis(3) };

    fn standing(direction: Standing) -> Checkpoint {
        let mut standing = direction;
        let keys = [placed(5, "a"), placed(5, "b"), Key::Unplaced(7), placed(9, "c")];
        standing.advance(&keys, HORIZON);
        Checkpoint {
            chat: "chat1".into(),
            bot_session: Some("session1".into()),
            since: Some(Timestamp::from_millis(-3)),
            until: Some(Timestamp::from_millis(10)),
            standing,
        }
    }

    fn full() -> Checkpoint {
        standing(Standing::newest_first(Position::default()))
    }

    fn oldest_first() -> Checkpoint {
        let position = SyncPosition::default();
        standing(Standing::OldestFirst { position, last: None })
    }

    #[test]
    fn the_line_says_everything_and_comes_back() {
        for (checkpoint, begins) in [
            (
                full(),
                "texter-history-1:chat1:session1:-3:10:newest:5:@0000000000000007,b,a:9:6:9.c:",
            ),
            (oldest_first(), "texter-history-1:chat1:session1:-3:10:oldest:5:a:9:6:9.c:"),
        ] {
            let line = checkpoint.to_string();
            assert!(line.starts_with(begins), "{line}");
            assert_eq!(line.parse::<Checkpoint>().unwrap(), checkpoint);
            let json = serde_json::to_string(&checkpoint).unwrap();
            assert_eq!(json, format!("{line:?}"));
            assert_eq!(serde_json::from_str::<Checkpoint>(&json).unwrap(), checkpoint);
        }
        assert!(!full().is_oldest_first() && oldest_first().is_oldest_first());
    }

    #[test]
    fn garbage_is_an_error() {
        let line = full().to_string();
        for end in 0..line.len() {
            assert!(line[..end].parse::<Checkpoint>().is_err(), "cut at {end}");
        }
        for index in 0..line.len() {
            for with in [b'0', b'1', b'a', b':', b',', b'@', b'-', b'A'] {
                let mut bytes = line.clone().into_bytes();
                if bytes[index] == with {
                    continue;
                }
                bytes[index] = with;
                let text = String::from_utf8(bytes).unwrap();
                assert!(text.parse::<Checkpoint>().is_err(), "{text}");
            }
        }
        for text in ["", ":", "texter-history-1", "texter-history-1:::::::::", "\u{5d0}"] {
            assert!(text.parse::<Checkpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_checkpoint_carries_can_be_asked() {
        let checkpoint = full();
        assert_eq!(checkpoint.chat(), "chat1");
        assert_eq!(checkpoint.bot_session().unwrap(), "session1");
        assert_eq!(checkpoint.since(), Some(Timestamp::from_millis(-3)));
        assert_eq!(checkpoint.until(), Some(Timestamp::from_millis(10)));
        assert_eq!(checkpoint.cursor().unwrap().id, "a");
    }

    #[test]
    fn a_cursor_before_1970_cannot_be_asked_for() {
        let mut checkpoint = full();
        checkpoint.standing = Standing::newest_first(Position::default());
        checkpoint.standing.advance(&[placed(-1, "a")], HORIZON);
        assert!(checkpoint.to_string().parse::<Checkpoint>().is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        /// A line that was cut, spliced or replaced by noise is an error, or still reads as the same
        /// checkpoint.
        #[test]
        fn no_text_leads_to_a_panic(
            noise in string_regex("[a-z0-9:,@-]{0,8}|\\PC{0,8}").unwrap(),
            at in any::<prop::sample::Index>(),
            length in 0usize..30,
            checksummed in any::<bool>(),
            forwards in any::<bool>(),
        ) {
            let line = if forwards { oldest_first() } else { full() }.to_string();
            let start = at.index(line.len());
            let end = (start + length).min(line.len());
            let mut changed = format!("{}{noise}{}", &line[..start], &line[end..]);
            if checksummed {
                // The checksum is not secret. With a right checksum, each field must still be checked.
                let fields = changed[..changed.rfind(':').map_or(0, |colon| colon + 1)].to_owned();
                changed = format!("{fields}{:016x}", fingerprint(fields.as_bytes()));
            }
            match changed.parse::<Checkpoint>() {
                Ok(checkpoint) => prop_assert_eq!(checkpoint.to_string(), changed),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::InvalidRequest),
            }
            prop_assert_eq!(noise.parse::<Checkpoint>().is_err(), true);
        }
    }
}
