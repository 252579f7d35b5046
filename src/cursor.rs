//! The endpoint's cursor, and the place of a message.

use crate::id::MessageId;
use crate::timestamp::Timestamp;

/// Where the next page begins: the timestamp and `_id` of one message (the server's `beforeTime` and `beforeId`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The message's timestamp.
    pub timestamp: Timestamp,
    /// The message's `_id`.
    pub id: MessageId,
}

/// The place of one message in the order of the chat, if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The message has a readable timestamp and `_id` that can be asked for.
    Placed(Cursor),
    /// The message has no readable place. Only this fingerprint of its JSON text can recognise it again.
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
