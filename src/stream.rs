//! The streams: messages in hand, then the pages behind them, then the end.

mod page_stream;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::{FusedStream, Stream};

use crate::checkpoint::{Checkpoint, Key, Position};
use crate::error::Error;
use crate::message::Message;
use crate::timestamp::Timestamp;
use crate::walk::End;
use source::{Pages, ReadyPage};

pub use page_stream::{Page, PageStream};
#[cfg(feature = "testing")]
pub(crate) use source::ReplayedPage;
pub(crate) use source::Source;

/// The times of the whole chat's first and most recent message, as the server states them with every page
/// (`minTime` and `maxTime`, page "Get Messages of a Chat").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// When the chat's first-ever message was created.
    pub oldest: Timestamp,
    /// When its most recent message was created.
    pub newest: Timestamp,
}

/// What a walk has cost and brought so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests sent, retries included.
    pub requests: u64,
    /// Requests sent again after a failure.
    pub retries: u64,
    /// Messages handed out; those that could not be read do not count.
    pub messages: u64,
    /// Messages received and dropped: handed out before, or newer than where the walk stood.
    pub duplicates: u64,
    /// Bytes of bodies, decompressed, those of failed attempts included.
    pub bytes: u64,
    /// How long the stream's requests waited for their turn, added up: all streams of a client share one pace (see
    /// [`requests_per_second`](crate::ClientBuilder::requests_per_second)).
    pub waited: Duration,
    /// Pages asked for early in vain: the one before turned out not to be ascending, to be short or the last,
    /// or failed (see [`prefetch`](crate::Messages::prefetch)). Their requests count among `requests`.
    pub discarded: u64,
}

/// The messages of a chat, newest first, each exactly once: a lazy `Stream` over the pages of the endpoint.
///
/// Made by [`Messages::stream`](crate::Messages::stream). Nothing is sent before the first poll, and the
/// next page is asked for only when a poll finds nothing in hand (see
/// [`prefetch`](crate::Messages::prefetch) for the exception). Within one timestamp the order is the
/// reverse of the server's. It needs a tokio runtime with its timer and I/O (see the crate's `# Panics`).
///
/// # Cancel safety
///
/// Dropping a pending `next()` loses nothing: the request goes on with the next poll and is not sent
/// again. Dropping the stream aborts its request.
///
/// # After an error
///
/// A message that cannot be read is one `Err` of kind
/// [`MalformedMessage`](crate::ErrorKind::MalformedMessage) in its place, and the stream goes on. A page
/// that failed, after its retries, is one `Err` behind the messages before it, then `None` for ever, with
/// no further request: [`resume`](Self::resume) goes on in place, [`checkpoint`](Self::checkpoint) in
/// another process.
///
/// # Examples
///
/// ```
/// # use texter_history::testing::{Conversation, FakeChat, FakeTexter};
/// use futures::StreamExt;
/// use texter_history::{Client, End};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let chat_id = "67bf11038b24880cc966f799";
/// # let messages = Conversation::seeded(7).messages(120);
/// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
/// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
/// let mut stream = client.messages(chat_id).stream();
/// let mut count = 0;
/// while let Some(message) = stream.next().await {
///     let message = message?;
///     assert!(!message.id.as_str().is_empty());
///     count += 1;
/// }
/// assert_eq!(count, 120);
/// assert_eq!(stream.end(), Some(End::ReachedStart));
/// assert_eq!(stream.stats().requests, 3);
/// # Ok(())
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct MessageStream<T = Message> {
    /// What is in hand: the page being handed out, from its end on.
    page: ReadyPage<T>,
    pages: Pages<T>,
    messages: u64,
    /// How far the walk was when the page in hand came: progress never falls behind it, though a message
    /// that arrives or is deleted moves the ends of the chat.
    least_progress: f64,
}

/// Nothing in it is pinned in place, whatever `T` is.
impl<T> Unpin for MessageStream<T> {}

impl<T> MessageStream<T> {
    pub(crate) fn new(source: Source<T>) -> Self {
        let pages = Pages::new(source);
        let start = pages.position().clone();
        let page = ReadyPage { start, keys: Vec::new(), messages: Vec::new(), chat_span: None };
        Self { page, pages, messages: 0, least_progress: 0.0 }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn replayed(source: Source<T>, pages: Vec<ReplayedPage<T>>) -> Self {
        let mut stream = Self::new(source);
        stream.pages.replay(pages);
        stream
    }

    /// Where the **last message handed out** left the walk. It is exact at every moment: before the first
    /// poll, in the middle of a page, after an `Err`, after the end.
    ///
    /// Costs a copy of the ids that share the last timestamp. A query that was refused gives back the checkpoint
    /// that it was to resume from; without one, its line holds the refused ids and cannot be read back.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::StreamExt;
    /// # use texter_history::testing::{Conversation, FakeChat, FakeTexter};
    /// # use texter_history::{Checkpoint, Client};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(120);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let mut stream = client.messages(chat_id).stream();
    /// let first: Vec<_> = stream.by_ref().take(70).collect().await;
    /// let saved = stream.checkpoint().to_string();
    ///
    /// let checkpoint: Checkpoint = saved.parse()?;
    /// let rest: Vec<_> = client.messages(chat_id).resume_from(checkpoint).stream().collect().await;
    /// assert_eq!(first.len() + rest.len(), 120);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.pages.checkpoint(self.position())
    }

    fn position(&self) -> Position {
        let mut position = self.page.start.clone();
        position.advance(self.handed_out());
        position
    }

    /// The span of the whole chat, from the latest response; `None` before one, and for an empty chat.
    #[must_use]
    pub fn chat_span(&self) -> Option<Span> {
        self.pages.chat_span()
    }

    /// How much of the time range being walked lies behind, from 0.0 to 1.0; `None` before the first
    /// response. It never falls, and is 1.0 at the end (not after a failure).
    #[must_use]
    pub fn progress(&self) -> Option<f64> {
        if matches!(self.end(), Some(End::ReachedStart | End::ReachedSince | End::ReachedMax)) {
            return Some(1.0);
        }
        self.behind()
    }

    /// The same while there is more to come.
    fn behind(&self) -> Option<f64> {
        // The span is that of the page in hand: with `prefetch` the latest response may be ahead of it.
        let span = self.page.chat_span.or_else(|| self.pages.chat_span())?;
        let (newest, oldest) = self.pages.range(span);
        Some(share(newest, oldest, self.last_handed_out()).max(self.least_progress))
    }

    /// What of the page in hand has been handed out, ascending.
    fn handed_out(&self) -> &[Key] {
        self.page.keys.get(self.page.messages.len()..).unwrap_or_default()
    }

    /// The time of the last message handed out that had one.
    fn last_handed_out(&self) -> Option<Timestamp> {
        let placed = self.handed_out().iter().find_map(Key::timestamp);
        placed.or(self.page.start.timestamp())
    }

    /// Why the stream ended; `None` while it has not.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.pages.end().filter(|_| self.page.messages.is_empty())
    }

    /// How many messages have been fetched and not yet handed out, unreadable ones included.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.page.messages.len() + self.pages.waiting()
    }

    /// What the walk has cost and brought so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { messages: self.messages, ..self.pages.stats() }
    }

    /// After a failed page ended the stream, lets the next poll ask again from the checkpoint; nothing is
    /// lost or repeated. In any other state, and after a query that could not be asked, it does nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::StreamExt;
    /// # use texter_history::testing::{Conversation, FakeChat, FakeTexter, Fault};
    /// # use texter_history::{Client, RetryPolicy};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(60);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # server.push_fault(Fault::status(503));
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token())
    /// #     .retry(RetryPolicy::none()).build()?;
    /// let mut stream = client.messages(chat_id).stream();
    /// let mut count = 0;
    /// loop {
    ///     match stream.next().await {
    ///         Some(Ok(_)) => count += 1,
    ///         Some(Err(error)) if error.is_retryable() => stream.resume(),
    ///         Some(Err(error)) => return Err(error.into()),
    ///         None => break,
    ///     }
    /// }
    /// assert_eq!(count, 60);
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(&mut self) {
        self.pages.resume();
    }

    /// Puts the next page in hand.
    #[inline(never)]
    fn poll_page(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), Error>>> {
        let next = ready!(self.pages.poll_next(cx));
        Poll::Ready(match next {
            Some(Ok(page)) => {
                self.least_progress = self.behind().unwrap_or(0.0);
                self.page = page;
                Some(Ok(()))
            }
            Some(Err(error)) => Some(Err(error)),
            None => None,
        })
    }
}

/// How much of the range from `newest` down to `oldest` lies behind, once `last` has been handed out.
fn share(newest: Timestamp, oldest: Timestamp, last: Option<Timestamp>) -> f64 {
    let Some(last) = last else { return 0.0 };
    let millis = |time: Timestamp| time.as_millis() as f64;
    let range = millis(newest) - millis(oldest);
    if range <= 0.0 {
        return if last <= oldest { 1.0 } else { 0.0 };
    }
    ((millis(newest) - millis(last)) / range).clamp(0.0, 1.0)
}

impl<T> Stream for MessageStream<T> {
    type Item = Result<T, Error>;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(message) = this.page.messages.last() {
                this.messages += u64::from(message.is_ok());
                if this.pages.prefetch() > 0 {
                    this.pages.poll_ahead(cx);
                }
            }
            // Nothing stands between the page and the caller, so that a message is moved but once.
            if let Some(message) = this.page.messages.pop() {
                return Poll::Ready(Some(message));
            }
            match ready!(this.poll_page(cx)) {
                Some(Ok(())) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let in_hand = self.in_hand();
        (in_hand, self.pages.end().map(|_| in_hand))
    }
}

impl<T> FusedStream for MessageStream<T> {
    fn is_terminated(&self) -> bool {
        self.end().is_some()
    }
}

impl<T> fmt::Debug for MessageStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageStream")
            .field("in_hand", &self.in_hand())
            .field("pages", &self.pages)
            .finish_non_exhaustive()
    }
}
