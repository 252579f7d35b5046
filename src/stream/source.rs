//! What a stream begins with, and the pages that it hands out.

use std::sync::Arc;
use std::time::Duration;

use crate::chat_time::Span;
use crate::cursor::Key;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::id::ChatId;
use crate::page::{Decode, DecodedPage};
use crate::position::Standing;
use crate::walk::{Bounds, End};

/// A stream that is about to begin.
pub(crate) struct Source<T> {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) chat: ChatId,
    pub(crate) bounds: Bounds,
    pub(crate) standing: Standing,
    pub(crate) lookback: Duration,
    /// How long the stream rests at the newest message before it looks again. `None` if it ends there.
    pub(crate) follow: Option<Duration>,
    pub(crate) concurrency: usize,
    pub(crate) prefetch: usize,
    pub(crate) skip_malformed: bool,
    /// Pages that the stream has before it asks for anything, in the order in which they are handed out.
    pub(crate) in_hand: Vec<DecodedPage<T>>,
    pub(crate) begin: Begin,
    pub(crate) decode: Decode<T>,
}

/// What follows the messages that are in hand when a stream begins.
pub(crate) enum Begin {
    /// The stream asks the server.
    Ask,
    /// Nothing can be asked, for this reason.
    Refused(Error),
    /// Nothing follows.
    Ended(End),
}

/// Messages that are to be handed out.
pub(super) struct ReadyPage<T> {
    /// The keys of `messages`. The last message is handed out first.
    pub(super) keys: Vec<Key>,
    pub(super) messages: Vec<Result<T, Error>>,
    /// How many of the messages cannot be read.
    pub(super) malformed: usize,
    pub(super) chat_span: Option<Span>,
}

impl<T> ReadyPage<T> {
    pub(super) fn new(
        keys: Vec<Key>,
        messages: Vec<Result<T, Error>>,
        chat_span: Option<Span>,
    ) -> Self {
        let malformed = messages.iter().filter(|message| message.is_err()).count();
        Self { keys, messages, malformed, chat_span }
    }

    /// A page with nothing left to hand out.
    pub(super) fn empty() -> Self {
        Self { keys: Vec::new(), messages: Vec::new(), malformed: 0, chat_span: None }
    }

    /// How many messages there are to hand out. With `skip_malformed`, unreadable ones do not count.
    pub(super) fn to_hand_out(&self, skip_malformed: bool) -> usize {
        self.messages.len().saturating_sub(if skip_malformed { self.malformed } else { 0 })
    }
}
