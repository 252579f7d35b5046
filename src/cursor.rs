//! What the endpoint takes as its cursor, and where a message stands.

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
