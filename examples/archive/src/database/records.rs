//! What goes into a database and what comes out of it.

use std::ops::AddAssign;
use std::time::Duration;

use crate::row::{Row, Unreadable};

pub(crate) type Result<T> = std::result::Result<T, sqlx::Error>;

/// One chat that is this process's to read until it is finished or released.
pub(crate) struct Claim {
    pub(crate) chat: String,
    /// Tells this claim from those before and after it.
    pub(super) number: i64,
    /// When it was made, by the database's clock, in epoch milliseconds.
    pub(crate) claimed_at: i64,
    pub(crate) refreshed_at: Option<i64>,
    pub(crate) checkpoint: Option<String>,
    /// The claim has to be renewed within this time, or another process takes the chat over.
    pub(crate) lease: Option<Duration>,
}

/// What is written in one transaction.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) rows: Vec<Row>,
    pub(crate) unreadable: Vec<Unreadable>,
    /// Where the stream stands behind them; without one, the chat's checkpoint stays as it is.
    pub(crate) checkpoint: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Written {
    pub(crate) new: u64,
    pub(crate) changed: u64,
    pub(crate) unreadable: u64,
}

impl AddAssign for Written {
    fn add_assign(&mut self, more: Self) {
        self.new += more.new;
        self.changed += more.changed;
        self.unreadable += more.unreadable;
    }
}

/// Which chats may be claimed.
pub(crate) struct Due<'a> {
    /// Those of these ids; without, all chats that the archive holds.
    pub(crate) chats: Option<&'a [String]>,
    /// But not these.
    pub(crate) except: Vec<String>,
    /// Last read before this time, in epoch milliseconds of the database's clock.
    pub(crate) before: i64,
}

pub(crate) struct Found {
    pub(crate) chat: String,
    pub(crate) timestamp: i64,
    pub(crate) direction: Option<String>,
    pub(crate) status: Option<i64>,
    pub(crate) text: String,
}

/// The same as a database gives it.
pub(super) type FoundColumns = (String, i64, Option<String>, Option<i64>, Option<String>);

impl From<FoundColumns> for Found {
    fn from((chat, timestamp, direction, status, text): FoundColumns) -> Self {
        Self { chat, timestamp, direction, status, text: text.unwrap_or_default() }
    }
}
