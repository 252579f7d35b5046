//! Why a walk cannot go on, in words.

use std::fmt;

use crate::position::MOST_TIED;

/// What stands in the way of a walk that cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stall {
    /// Every answer holds only messages of one timestamp, all handed out before.
    Ties,
    /// More messages share one timestamp than the walk remembers.
    TooManyTies,
    /// Every answer holds messages without a readable `_id` and `timestamp`, so there is no next cursor.
    Unreadable,
    /// Every answer is empty or holds nothing but the last message handed out, but the server says that the chat
    /// begins further back.
    Empty,
    /// The answers hold messages newer than the walk asked for.
    CursorIgnored,
    /// The server refused a `limit`, and a smaller one shows nothing new.
    LimitRefused { limit: u32, status: u16 },
}

impl Stall {
    /// What the caller can do about it.
    pub(crate) fn advice(self, oldest_first: bool) -> &'static str {
        match self {
            Self::Ties | Self::TooManyTies | Self::Unreadable if oldest_first => {
                "read on with until() a millisecond before that time, then begin anew with since() a \
                 millisecond after it; what was not shown of that time stays unread"
            }
            Self::Ties | Self::TooManyTies | Self::Unreadable => {
                "to read what is older, begin anew with until() a millisecond before that time; what was \
                 not shown of that time stays unread"
            }
            Self::Empty => "resume from the checkpoint later",
            Self::CursorIgnored => "check the base URL and any proxy or cache on the way",
            Self::LimitRefused { .. } if oldest_first => {
                "read on with until() a millisecond before that time, then begin anew with since() a \
                 millisecond after it; or have the server take a larger limit"
            }
            Self::LimitRefused { .. } => {
                "to read what is older, begin anew with until() a millisecond before that time, or have \
                 the server take a larger limit"
            }
        }
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ties => {
                f.write_str("more messages share one timestamp than the server puts on a page")
            }
            Self::TooManyTies => {
                write!(f, "more than {MOST_TIED} messages share one timestamp")
            }
            Self::Unreadable => f.write_str(
                "a whole page of messages has no readable `_id` and `timestamp`, so there is no cursor \
                 to go on from",
            ),
            Self::Empty => f.write_str(
                "the chat is said to begin earlier, but the server shows no message between",
            ),
            Self::CursorIgnored => {
                f.write_str("the server sends the same messages whatever the cursor")
            }
            Self::LimitRefused { limit, status } => write!(
                f,
                "the server refused a limit of {limit} with {status}, and a smaller one shows nothing new"
            ),
        }
    }
}
