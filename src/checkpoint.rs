//! Where a walk stands: the cursor, the position around it, and the checkpoint that outlives the process.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;
use crate::fingerprint::fingerprint;
use crate::id::{BotSessionId, ChatId, MessageId, is_well_formed};
use crate::timestamp::Timestamp;

/// What the endpoint takes as its cursor: the timestamp and `_id` of one message (`beforeTime` and
/// `beforeId`, page "Get Messages of a Chat").
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The message's timestamp.
    pub timestamp: Timestamp,
    /// The message's `_id`.
    pub id: MessageId,
}

/// Where one message of a page stands in the order of the chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// It has a readable timestamp and `_id`, fit to be asked for.
    Placed(Cursor),
    /// It has none; a fingerprint of its JSON text is all there is to know it again by.
    Unplaced(u64),
}

impl Key {
    pub(crate) fn timestamp(&self) -> Option<Timestamp> {
        match self {
            Self::Placed(cursor) => Some(cursor.timestamp),
            Self::Unplaced(_) => None,
        }
    }
}

/// A message that could not be placed and was handed out as an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unplaced {
    pub(crate) fingerprint: u64,
    /// The timestamp of the next older message handed out, once there is one. The server may send the
    /// unplaced message again until the cursor has passed that time.
    pub(crate) not_before: Option<Timestamp>,
}

/// What of the chat has been handed out: everything newer than the cursor, and what is listed here of
/// the messages that stand at the cursor's own timestamp. It does not grow with the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) cursor: Option<Cursor>,
    /// Ids handed out at the cursor's timestamp; the cursor's own is the last of them.
    pub(crate) ids: Vec<MessageId>,
    pub(crate) unplaced: Vec<Unplaced>,
}

impl Position {
    /// Moves on over messages handed out, given in ascending order (the last of them went out first).
    pub(crate) fn advance(&mut self, handed_out: &[Key]) {
        let start =
            if self.unplaced.is_empty() { self.last_run(handed_out) } else { handed_out.len() };
        for key in handed_out[..start].iter().rev() {
            match key {
                Key::Placed(cursor) => {
                    let unstamped = self.unplaced.iter_mut().rev();
                    for unplaced in unstamped.take_while(|last| last.not_before.is_none()) {
                        unplaced.not_before = Some(cursor.timestamp);
                    }
                    if self.timestamp() != Some(cursor.timestamp) {
                        self.ids.clear();
                        self.unplaced.retain(|last| last.not_before <= Some(cursor.timestamp));
                    }
                    self.ids.push(cursor.id.clone());
                    self.cursor = Some(cursor.clone());
                }
                Key::Unplaced(fingerprint) => {
                    self.unplaced.push(Unplaced { fingerprint: *fingerprint, not_before: None });
                }
            }
        }
    }

    /// How many keys, from the oldest on, decide where `advance` ends: those of the oldest timestamp.
    /// With a message that cannot be placed among them, all do.
    fn last_run(&self, handed_out: &[Key]) -> usize {
        let Some(Key::Placed(oldest)) = handed_out.first() else {
            return handed_out.len();
        };
        let mut run = 0;
        for (index, key) in handed_out.iter().enumerate() {
            match key {
                Key::Placed(cursor) if cursor.timestamp == oldest.timestamp => run = index + 1,
                Key::Placed(_) => {}
                Key::Unplaced(_) => return handed_out.len(),
            }
        }
        run
    }

    pub(crate) fn timestamp(&self) -> Option<Timestamp> {
        self.cursor.as_ref().map(|cursor| cursor.timestamp)
    }
}

/// Where the last message handed out left a walk: enough to go on from there, in another process too,
/// without losing or repeating a message.
///
/// It carries the chat, the bot session and the bounds of the walk, the cursor, and the ids already
/// handed out at the cursor's timestamp, because the endpoint leaves out only one of them (page "Get
/// Messages of a Chat"). It holds no text of any message and no token.
///
/// `Display` gives one line of printable ASCII without spaces, fit for a database column or a flag;
/// `FromStr` takes it back. Serde uses the same line. A checksum guards it: a line that was cut or
/// altered is an error.
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
    pub(crate) position: Position,
}

/// The first field of the line; a later form gets another number.
const VERSION: &str = "texter-history-1";

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

    /// The last message handed out; `None` when there was none yet.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        self.position.cursor.as_ref()
    }

    fn write_fields(&self, out: &mut String) {
        let number =
            |time: Option<Timestamp>| time.map(|t| t.as_millis().to_string()).unwrap_or_default();
        let ids: Vec<&str> = self.position.ids.iter().map(MessageId::as_str).collect();
        let unplaced: Vec<String> = self
            .position
            .unplaced
            .iter()
            .map(|u| format!("{:016x}@{}", u.fingerprint, number(u.not_before)))
            .collect();
        let fields = [
            VERSION,
            self.chat.as_str(),
            self.bot_session.as_ref().map_or("", BotSessionId::as_str),
            &number(self.since),
            &number(self.until),
            &number(self.position.timestamp()),
            &ids.join(","),
            &unplaced.join(","),
            "",
        ];
        out.push_str(&fields.join(":"));
    }

    fn read_fields(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let mut field = || fields.next();
        if field()? != VERSION {
            return None;
        }
        let id = |text: &str| is_well_formed(text).then(|| text.to_owned());
        let chat = id(field()?)?.into();
        let bot_session = match field()? {
            "" => None,
            text => Some(id(text)?.into()),
        };
        let number = |text: &str| match text {
            "" => Some(None),
            text => text.parse().ok().map(|millis| Some(Timestamp::from_millis(millis))),
        };
        let (since, until, time) = (number(field()?)?, number(field()?)?, number(field()?)?);
        let ids: Vec<MessageId> = match field()? {
            "" => Vec::new(),
            text => text.split(',').map(|text| id(text).map(Into::into)).collect::<Option<_>>()?,
        };
        let unplaced = match field()? {
            "" => Vec::new(),
            text => text
                .split(',')
                .map(|text| {
                    let (fingerprint, not_before) = text.split_once('@')?;
                    let fingerprint = u64::from_str_radix(fingerprint, 16).ok()?;
                    Some(Unplaced { fingerprint, not_before: number(not_before)? })
                })
                .collect::<Option<_>>()?,
        };
        let cursor = match (time, ids.last()) {
            (None, None) => None,
            (Some(timestamp), Some(id)) if timestamp.as_millis() >= 0 => {
                Some(Cursor { timestamp, id: id.clone() })
            }
            _ => return None,
        };
        let position = Position { cursor, ids, unplaced };
        Some(Self { chat, bot_session, since, until, position })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = String::new();
        self.write_fields(&mut fields);
        write!(f, "{fields}{:016x}", fingerprint(fields.as_bytes()))
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) when the text is not a checkpoint
    /// that this crate wrote, or was cut or altered since.
    fn from_str(line: &str) -> Result<Self, Error> {
        Self::read_fields(line)
            // Written again it must be the very same line: that checks the checksum, and leaves no
            // second spelling of a number.
            .filter(|checkpoint| checkpoint.to_string() == line)
            .ok_or_else(|| {
                Error::invalid_request(
                    "not a checkpoint of this crate, or one that was cut or altered; start without it",
                )
            })
    }
}

// NOTE: not by way of `From<Checkpoint> for String`: with that, a checkpoint would be taken wherever an id is.
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

    use super::*;
    use crate::error::ErrorKind;

    fn placed(millis: i64, id: &str) -> Key {
        Key::Placed(Cursor { timestamp: Timestamp::from_millis(millis), id: id.into() })
    }

    fn full() -> Checkpoint {
        let mut position = Position::default();
        position.advance(&[placed(5, "a"), placed(5, "b"), Key::Unplaced(7), placed(9, "c")]);
        Checkpoint {
            chat: "chat1".into(),
            bot_session: Some("session1".into()),
            since: Some(Timestamp::from_millis(-3)),
            until: Some(Timestamp::from_millis(10)),
            position,
        }
    }

    #[test]
    fn the_line_says_everything_and_comes_back() {
        let line = full().to_string();
        assert!(
            line.starts_with("texter-history-1:chat1:session1:-3:10:5:b,a:0000000000000007@5:"),
            "{line}"
        );
        assert_eq!(line.parse::<Checkpoint>().unwrap(), full());
        let json = serde_json::to_string(&full()).unwrap();
        assert_eq!(json, format!("{line:?}"));
        assert_eq!(serde_json::from_str::<Checkpoint>(&json).unwrap(), full());
    }

    #[test]
    fn advancing_keeps_only_the_ids_at_the_cursor_s_timestamp() {
        let mut position = Position::default();
        position.advance(&[placed(5, "b"), placed(7, "a")]);
        assert_eq!(position.ids, ["b"]);
        position.advance(&[placed(5, "c")]);
        assert_eq!(position.ids, ["b", "c"]);
        assert_eq!(position.cursor.as_ref().unwrap().id, "c");
        position.advance(&[placed(3, "f"), placed(3, "e"), placed(4, "d")]);
        assert_eq!(position.ids, ["e", "f"]);
        position.advance(&[]);
        assert_eq!(position.ids, ["e", "f"]);
    }

    #[test]
    fn unplaced_messages_are_remembered_until_the_cursor_has_passed_them() {
        let mut position = Position::default();
        position.advance(&[Key::Unplaced(1), placed(9, "a")]);
        assert_eq!(position.unplaced, [Unplaced { fingerprint: 1, not_before: None }]);
        // It may share the timestamp of the next older message, so it can still be sent again.
        position.advance(&[placed(7, "b")]);
        assert_eq!(position.unplaced.len(), 1);
        position.advance(&[placed(7, "c")]);
        assert_eq!(position.unplaced.len(), 1);
        position.advance(&[placed(6, "d")]);
        assert_eq!(position.unplaced, []);
    }

    #[test]
    fn advancing_in_one_go_or_message_by_message_is_the_same() {
        let keys = [
            placed(1, "a"),
            Key::Unplaced(3),
            placed(1, "b"),
            placed(2, "c"),
            Key::Unplaced(4),
            placed(4, "d"),
            placed(4, "e"),
        ];
        for end in 0..=keys.len() {
            for start in 0..=end {
                let mut at_once = Position::default();
                at_once.advance(&keys[start..end]);
                let mut one_by_one = Position::default();
                for index in (start..end).rev() {
                    one_by_one.advance(&keys[index..=index]);
                }
                assert_eq!(at_once, one_by_one, "{start}..{end}");
            }
        }
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
        checkpoint.position = Position::default();
        checkpoint.position.advance(&[placed(-1, "a")]);
        assert!(checkpoint.to_string().parse::<Checkpoint>().is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        /// A line that was cut, spliced or replaced by noise is an error, or the very same checkpoint.
        #[test]
        fn no_text_leads_to_a_panic(
            noise in "[a-z0-9:,@-]{0,8}|\\PC{0,8}",
            at in any::<prop::sample::Index>(),
            length in 0usize..30,
            checksummed in any::<bool>(),
        ) {
            let line = full().to_string();
            let start = at.index(line.len());
            let end = (start + length).min(line.len());
            let mut changed = format!("{}{noise}{}", &line[..start], &line[end..]);
            if checksummed {
                // The checksum is no secret: behind it every field stands on its own.
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
