//! The times of a chat's first and latest message, as the server states them with every answer.

use crate::timestamp::Timestamp;

/// When the chat's first or latest message was created, as an answer states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChatTime {
    /// `false`: the chat has no messages.
    Empty,
    /// Missing or `null`.
    Unknown,
    At(Timestamp),
}

/// The times of the whole chat's first and newest message, as the server states them with every page (`minTime` and
/// `maxTime`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// When the chat's first-ever message was created.
    pub oldest: Timestamp,
    /// When its most recent message was created.
    pub newest: Timestamp,
}
