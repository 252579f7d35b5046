//! The same walk at page grain.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};

use super::Stats;
use super::source::{Pages, Source};
use crate::chat_time::Span;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::message::Message;
use crate::position::Position;
use crate::walk::End;

/// The new messages of one page.
#[derive(Debug)]
#[non_exhaustive]
pub struct Page {
    /// Newest first.
    pub messages: Vec<Message>,
    /// Those that could not be read, newest first.
    pub malformed: Vec<Error>,
    /// The span of the whole chat, as this page's response stated it or, where that said nothing, the latest
    /// before it.
    pub chat_span: Option<Span>,
}

/// The messages of a chat page by page, newest first: made by
/// [`Messages::pages`](crate::Messages::pages).
///
/// It needs what a [`MessageStream`](crate::MessageStream) needs and behaves as that does, with the same
/// laziness, order, cancel safety and errors; a page that brings nothing new is not handed out. A message that
/// cannot be read does not fail its page: it is in [`Page::malformed`].
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
pub struct PageStream {
    pages: Pages<Message>,
    position: Position,
    messages: u64,
}

impl PageStream {
    pub(crate) fn new(source: Source<Message>) -> Self {
        let pages = Pages::new(source);
        let position = pages.position().clone();
        Self { pages, position, messages: 0 }
    }

    /// Where the last page handed out left the walk.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.pages.checkpoint(self.position.clone())
    }

    /// Why the stream ended; `None` while it has not.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.pages.end()
    }

    /// What the walk has cost and brought so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { messages: self.messages, ..self.pages.stats() }
    }

    /// After a failed page ended the stream, lets the next poll ask again from the checkpoint, as
    /// [`MessageStream::resume`](crate::MessageStream::resume).
    pub fn resume(&mut self) {
        self.pages.resume();
    }
}

impl Stream for PageStream {
    type Item = Result<Page, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(page) = ready!(this.pages.poll_next(cx)).transpose()? else {
            return Poll::Ready(None);
        };
        this.position = page.start;
        this.position.advance(&page.keys);
        let (mut messages, mut malformed) = (Vec::with_capacity(page.messages.len()), Vec::new());
        for message in page.messages.into_iter().rev() {
            match message {
                Ok(message) => messages.push(message),
                Err(error) => malformed.push(error),
            }
        }
        this.messages += messages.len() as u64;
        this.pages.poll_ahead(cx);
        Poll::Ready(Some(Ok(Page { messages, malformed, chat_span: page.chat_span })))
    }
}

impl FusedStream for PageStream {
    fn is_terminated(&self) -> bool {
        self.end().is_some()
    }
}

impl fmt::Debug for PageStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageStream").field("pages", &self.pages).finish_non_exhaustive()
    }
}
