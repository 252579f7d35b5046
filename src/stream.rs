//! The streams: the messages in hand, then the pages that follow, then the end.

mod flight;
mod follow;
mod page_stream;
mod pages;
mod source;
mod stats;
#[cfg(test)]
mod tests;
pub(crate) mod with_checkpoints;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};

use crate::chat_time::Span;
use crate::checkpoint::Checkpoint;
use crate::cursor::Key;
use crate::error::Error;
use crate::message::Message;
use crate::position::Standing;
use crate::timestamp::Timestamp;
use crate::walk::End;
use pages::Pages;
use source::ReadyPage;
use stats::tell_of_skipped;

pub use page_stream::{Page, PageStream};
pub(crate) use source::{Begin, Source};
pub use stats::Stats;

/// The messages of a chat, each exactly once. A lazy `Stream` over the server's pages.
///
/// [`Messages::stream`](crate::Messages::stream) makes it. Nothing is sent before the first poll. The stream
/// asks for the next page only when a poll finds no message in hand. [`prefetch`](crate::Messages::prefetch)
/// and [`concurrency`](crate::Messages::concurrency) allow more. Newest first, messages of one timestamp come
/// in the reverse of the server's order. [Oldest first](crate::Messages::oldest_first), they come in the
/// server's order.
///
/// The stream needs a tokio runtime with its timer and I/O (see the crate's `# Panics`).
///
/// # Cancel safety
///
/// Dropping a pending `next()` loses nothing. The request goes on with the next poll and is not sent again. Dropping the
/// stream aborts its requests.
///
/// # After an error
///
/// - A message that cannot be read is one `Err` of kind [`MalformedMessage`](crate::ErrorKind::MalformedMessage) in its
///   place. The stream goes on. [`skip_malformed`](crate::Messages::skip_malformed) leaves such messages out.
/// - A page that failed after its retries is one `Err`. It comes after the messages before it. Then the stream gives
///   `None` for ever and sends nothing. [`resume`](Self::resume) goes on in place, [`checkpoint`](Self::checkpoint) in
///   another process.
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
    /// The page that is being handed out, from its end on.
    page: ReadyPage<T>,
    pages: Pages<T>,
    messages: u64,
    malformed: u64,
    skip_malformed: bool,
    /// How far the walk was when the page in hand came. Progress never falls below this, even if a message
    /// arrives or is deleted and so moves an end of the chat.
    least_progress: f64,
}

/// No part of the stream is pinned in place, whatever `T` is.
impl<T> Unpin for MessageStream<T> {}

impl<T> MessageStream<T> {
    pub(crate) fn new(source: Source<T>) -> Self {
        let skip_malformed = source.skip_malformed;
        let pages = Pages::new(source);
        let page = ReadyPage::empty();
        Self { page, pages, messages: 0, malformed: 0, skip_malformed, least_progress: 0.0 }
    }

    /// Where the stream stands: right behind the **last message handed out**. It is exact at every moment: before the first
    /// poll, in the middle of a page, after an `Err`, after the end.
    ///
    /// A call copies the ids that share the last timestamp. With a [`lookback`](crate::Messages::lookback) it
    /// copies all ids within the lookback, so save the checkpoint once for each batch, not for each message.
    ///
    /// If the query was refused, this is the checkpoint that the query was to resume from. If there was none, do not save this
    /// one: its line holds the refused values and cannot be read back.
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
        self.pages.checkpoint(self.standing())
    }

    fn standing(&self) -> Standing {
        self.pages.standing_behind(self.handed_out())
    }

    /// After a newest-first walk, the checkpoint for going on forwards. It is an *oldest-first* checkpoint
    /// right behind the newest message that this walk has handed out. If the walk was resumed, the messages
    /// before that count too. So you can read a chat backwards once, and then sync what is new.
    ///
    /// If only messages dated in the future have been handed out, a sync from here begins with the whole chat.
    ///
    /// `None` while nothing has been handed out. `None` for an oldest-first stream too: use its
    /// [`checkpoint`](Self::checkpoint).
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::StreamExt;
    /// # use texter_history::testing::{Conversation, FakeChat, FakeMessage, FakeTexter};
    /// # use texter_history::{Client, Timestamp};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(120);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let mut stream = client.messages(chat_id).stream();
    /// assert_eq!(stream.newest_checkpoint(), None);
    /// assert_eq!(stream.by_ref().count().await, 120);
    /// let newest = stream.newest_checkpoint().unwrap();
    ///
    /// // Tomorrow:
    /// server.add_message(chat_id, FakeMessage::text(Timestamp::now(), "a1", "hello again"));
    /// let mut news = client.messages(chat_id).resume_from(newest).stream();
    /// assert_eq!(news.next().await.unwrap()?.id, "a1");
    /// assert!(news.next().await.is_none());
    /// assert_eq!(news.stats().requests, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn newest_checkpoint(&self) -> Option<Checkpoint> {
        self.pages.newest_checkpoint(self.standing())
    }

    /// Whether an oldest-first stream has handed out everything there is: no message is in hand, and the last look found
    /// nothing newer. Here [`follow`](crate::Messages::follow) waits for the next look, and a sync ends. A newest-first
    /// stream always says `false`. So does a stream that `until` or `max_messages` has ended.
    ///
    /// Ask after each message. While a stream that follows has nothing new, `next()` waits, so a loop that asks only before
    /// `next()` may wait for a long time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::{FutureExt, StreamExt};
    /// # use std::time::Duration;
    /// # use texter_history::testing::{Conversation, FakeChat, FakeTexter};
    /// # use texter_history::Client;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(30);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let mut stream = client.messages(chat_id).follow(Duration::from_secs(60)).stream();
    /// let mut count = 0;
    /// while let Some(message) = stream.next().await {
    ///     message?;
    ///     count += 1;
    ///     if stream.is_caught_up() {
    ///         break; // the old messages are all there
    ///     }
    /// }
    /// assert_eq!((count, stream.stats().requests), (30, 1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.page.to_hand_out(self.skip_malformed) == 0 && self.pages.is_caught_up()
    }

    /// The times of the whole chat's first and newest message, from the latest response. `None` before a response, and for an
    /// empty chat.
    #[must_use]
    pub fn chat_span(&self) -> Option<Span> {
        self.pages.chat_span()
    }

    /// How much of the time range is done, from 0.0 to 1.0. `None` before the first response, and until the end if the server
    /// does not say when the chat began (no `minTime`). It never falls. At the end it is 1.0, but not after a failure.
    #[must_use]
    pub fn progress(&self) -> Option<f64> {
        let is_over = self.end().is_some_and(|end| end != End::Failed);
        if is_over || self.is_caught_up() || self.pages.has_been_caught_up() {
            return Some(1.0);
        }
        self.behind()
    }

    /// The progress while there is more to come.
    fn behind(&self) -> Option<f64> {
        // The times come from the page in hand, because with `prefetch` the latest response may be ahead of
        // that page.
        let span = self.page.chat_span.or_else(|| self.pages.chat_span())?;
        Some(self.pages.share(span, self.last_handed_out()).max(self.least_progress))
    }

    /// The keys of the page in hand that have been handed out, ascending.
    fn handed_out(&self) -> &[Key] {
        self.page.keys.get(self.page.messages.len()..).unwrap_or_default()
    }

    /// The timestamp of the last message handed out that had a readable one.
    fn last_handed_out(&self) -> Option<Timestamp> {
        let placed = self.handed_out().iter().find_map(Key::timestamp);
        placed.or(self.pages.standing().cursor().map(|cursor| cursor.timestamp))
    }

    /// Why the stream ended. `None` while it has not ended.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.pages.end().filter(|_| self.page.messages.is_empty())
    }

    /// How many messages have been fetched and can be handed out now. Messages that cannot be read count too, unless
    /// [`skip_malformed`](crate::Messages::skip_malformed) leaves them out. Messages that wait behind others that are still to
    /// be fetched do not count: oldest first, and with [`concurrency`](crate::Messages::concurrency), there may be thousands.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.page.to_hand_out(self.skip_malformed) + self.pages.waiting(self.skip_malformed)
    }

    /// What the stream has cost and brought so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { messages: self.messages, malformed: self.malformed, ..self.pages.stats() }
    }

    /// Goes on after a failed page: the next poll asks again from the checkpoint. Nothing is lost or repeated.
    ///
    /// In any other state it does nothing. After a query that was refused it does nothing either.
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

    /// Counts the next message, which cannot be read. Returns whether it is left out.
    // Not inlined, so that `poll_next` is small enough to be inlined into the caller's loop. Otherwise each message is
    // moved once more.
    #[inline(never)]
    fn skips_malformed(&mut self) -> bool {
        self.malformed += 1;
        self.page.malformed = self.page.malformed.saturating_sub(1);
        if self.skip_malformed {
            if let Some(Err(error)) = self.page.messages.pop() {
                tell_of_skipped(&error);
            }
        }
        self.skip_malformed
    }

    /// Fetches the next page and puts it in hand.
    #[inline(never)]
    fn poll_page(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), Error>>> {
        self.least_progress = self.behind().unwrap_or(0.0);
        self.pages.advance(&std::mem::take(&mut self.page.keys));
        let next = ready!(self.pages.poll_next(cx));
        Poll::Ready(match next {
            Some(Ok(page)) => {
                self.page = page;
                Some(Ok(()))
            }
            Some(Err(error)) => Some(Err(error)),
            None => None,
        })
    }
}

impl<T> Stream for MessageStream<T> {
    type Item = Result<T, Error>;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match this.page.messages.last() {
                Some(Ok(_)) => this.messages += 1,
                Some(Err(_)) => {
                    if this.skips_malformed() {
                        continue;
                    }
                }
                None => match ready!(this.poll_page(cx)) {
                    Some(Ok(())) => continue,
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => return Poll::Ready(None),
                },
            }
            if this.pages.reads_ahead() {
                this.pages.poll_ahead(cx);
            }
            // No code stands between `pop` and `return`, so the message is moved only once.
            if let Some(message) = this.page.messages.pop() {
                return Poll::Ready(Some(message));
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
