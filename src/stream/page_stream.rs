//! The stream of whole pages.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};

use super::pages::Pages;
use super::source::{ReadyPage, Source};
use super::stats::{Stats, tell_of_skipped};
use crate::chat_time::Span;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::message::Message;
use crate::walk::End;

/// The new messages of one page.
#[derive(Debug)]
#[non_exhaustive]
pub struct Page<T = Message> {
    /// The readable messages, in the order of the stream.
    pub messages: Vec<T>,
    /// The messages that could not be read, in the same order. Empty with
    /// [`skip_malformed`](crate::Messages::skip_malformed).
    pub malformed: Vec<Error>,
    /// The times of the whole chat's first and newest message, as this page's response said. If it said nothing, this is
    /// what the response before it said.
    pub chat_span: Option<Span>,
}

/// The messages of a chat, page by page. [`Messages::pages`](crate::Messages::pages) makes it, or
/// [`Messages::pages_as`](crate::Messages::pages_as) for a type of your own.
///
/// It behaves as a [`MessageStream`](crate::MessageStream) does: the same order, laziness, cancel safety and errors. A page
/// that brings nothing new is not handed out. A message that cannot be read does not fail its page: it is in
/// [`Page::malformed`].
///
/// # Examples
///
/// ```
/// # use futures::TryStreamExt;
/// # use texter_history::testing::{Conversation, FakeChat, FakeTexter};
/// # use texter_history::Client;
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let chat_id = "67bf11038b24880cc966f799";
/// # let messages = Conversation::seeded(7).messages(120).tie_share(0.0);
/// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
/// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
/// let mut pages = client.messages(chat_id).page_size(50).pages();
/// let mut sizes = Vec::new();
/// while let Some(page) = pages.try_next().await? {
///     sizes.push(page.messages.len());
/// }
/// assert_eq!(sizes, [50, 50, 20]);
/// # Ok(())
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct PageStream<T = Message> {
    pages: Pages<T>,
    progress: Option<f64>,
    messages: u64,
    malformed: u64,
    skip_malformed: bool,
}

/// No part of the stream is pinned in place, whatever `T` is.
impl<T> Unpin for PageStream<T> {}

impl<T> PageStream<T> {
    pub(crate) fn new(source: Source<T>) -> Self {
        let skip_malformed = source.skip_malformed;
        let pages = Pages::new(source);
        Self { pages, progress: None, messages: 0, malformed: 0, skip_malformed }
    }

    /// Where the stream stands: right behind the last page handed out.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::TryStreamExt;
    /// # use texter_history::testing::{Conversation, FakeChat, FakeTexter};
    /// # use texter_history::Client;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(120).tie_share(0.0);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let mut pages = client.messages(chat_id).page_size(100).pages();
    /// let page = pages.try_next().await?.unwrap();
    /// assert_eq!(pages.checkpoint().cursor().unwrap().id, page.messages[99].id);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.pages.checkpoint(self.pages.standing().clone())
    }

    /// After a newest-first walk, the checkpoint for going on forwards: see
    /// [`MessageStream::newest_checkpoint`](crate::MessageStream::newest_checkpoint).
    #[must_use]
    pub fn newest_checkpoint(&self) -> Option<Checkpoint> {
        self.pages.newest_checkpoint(self.pages.standing().clone())
    }

    /// Whether an oldest-first stream has handed out everything there is: see
    /// [`MessageStream::is_caught_up`](crate::MessageStream::is_caught_up).
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.pages.is_caught_up()
    }

    /// The times of the whole chat's first and newest message, from the latest response. `None` before a response, and for
    /// an empty chat. With [`prefetch`](crate::Messages::prefetch), that response may be newer than the last page handed
    /// out, so this may differ from [`Page::chat_span`].
    #[must_use]
    pub fn chat_span(&self) -> Option<Span> {
        self.pages.chat_span()
    }

    /// How much of the time range is done with the last page handed out, from 0.0 to 1.0. `None` before the first page. It
    /// never falls. At the end it is 1.0, but not after a failure.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::TryStreamExt;
    /// # use texter_history::testing::{Conversation, FakeChat, FakeTexter};
    /// # use texter_history::Client;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(120).tie_share(0.0);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let mut pages = client.messages(chat_id).page_size(50).pages();
    /// assert_eq!((pages.progress(), pages.chat_span()), (None, None));
    /// while let Some(page) = pages.try_next().await? {
    ///     println!("{} messages, {:.0} %", page.messages.len(), 100.0 * pages.progress().unwrap());
    ///     assert_eq!(pages.chat_span(), page.chat_span);
    /// }
    /// assert_eq!(pages.progress(), Some(1.0));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn progress(&self) -> Option<f64> {
        let is_over = self.end().is_some_and(|end| end != End::Failed);
        if is_over || self.is_caught_up() || self.pages.has_been_caught_up() {
            return Some(1.0);
        }
        self.progress
    }

    /// Why the stream ended. `None` while it has not ended.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.pages.end()
    }

    /// How many messages have been fetched and not yet handed out: those of the pages that wait. Messages that cannot be
    /// read count too, unless [`skip_malformed`](crate::Messages::skip_malformed) leaves them out.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::TryStreamExt;
    /// # use texter_history::testing::{Conversation, FakeChat, FakeTexter};
    /// # use texter_history::Client;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(500);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let mut pages = client.messages(chat_id).page_size(50).prefetch(2).pages();
    /// while let Some(page) = pages.try_next().await? {
    ///     assert!(page.messages.len() <= 50 && pages.in_hand() <= 100);
    /// }
    /// assert_eq!(pages.in_hand(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.pages.waiting(self.skip_malformed)
    }

    /// What the stream has cost and brought so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { messages: self.messages, malformed: self.malformed, ..self.pages.stats() }
    }

    /// Goes on after a failed page: see [`MessageStream::resume`](crate::MessageStream::resume).
    pub fn resume(&mut self) {
        self.pages.resume();
    }

    /// What is handed out of a page. `None` if nothing is.
    fn take(&mut self, page: ReadyPage<T>) -> Option<Page<T>> {
        self.pages.advance(&page.keys);
        let chat_span = page.chat_span;
        if let Some(span) = chat_span.or_else(|| self.pages.chat_span()) {
            let last = self.pages.standing().cursor().map(|cursor| cursor.timestamp);
            let behind = self.pages.share(span, last);
            self.progress = Some(self.progress.map_or(behind, |least| behind.max(least)));
        }
        let (mut messages, mut malformed) = (Vec::with_capacity(page.messages.len()), Vec::new());
        for message in page.messages.into_iter().rev() {
            match message {
                Ok(message) => messages.push(message),
                Err(error) => {
                    self.malformed += 1;
                    if self.skip_malformed {
                        tell_of_skipped(&error);
                    } else {
                        malformed.push(error);
                    }
                }
            }
        }
        self.messages += messages.len() as u64;
        let empty = messages.is_empty() && malformed.is_empty();
        (!empty).then_some(Page { messages, malformed, chat_span })
    }
}

impl<T> Stream for PageStream<T> {
    type Item = Result<Page<T>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let Some(page) = ready!(this.pages.poll_next(cx)).transpose()? else {
                return Poll::Ready(None);
            };
            if let Some(page) = this.take(page) {
                this.pages.poll_ahead(cx);
                return Poll::Ready(Some(Ok(page)));
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let waiting = self.pages.pages_waiting(self.skip_malformed);
        (waiting, self.pages.end().map(|_| waiting))
    }
}

impl<T> FusedStream for PageStream<T> {
    fn is_terminated(&self) -> bool {
        self.end().is_some()
    }
}

impl<T> fmt::Debug for PageStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageStream").field("pages", &self.pages).finish_non_exhaustive()
    }
}
