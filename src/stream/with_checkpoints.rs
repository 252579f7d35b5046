//! Each message with the checkpoint behind it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};

use super::MessageStream;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::message::Message;

/// The messages of a chat, each with the [`Checkpoint`] behind it.
/// [`MessageStream::with_checkpoints`](crate::MessageStream::with_checkpoints) makes it.
///
/// A stream that goes on from a message's checkpoint begins right behind that message. Save each message's work and its
/// checkpoint together, and a crash loses and repeats nothing.
///
/// # Why not `stream.checkpoint()`
///
/// [`MessageStream::checkpoint`](crate::MessageStream::checkpoint) stands behind the last message *handed out*. In a plain
/// `while let` loop, that is the message you work on. Combinators run ahead of your work:
///
/// - `chunks(n)`, `try_chunks(n)` and `ready_chunks(n)` take up to `n` messages before they hand out the first of them.
///   They own the stream. Its `checkpoint()` would already stand behind messages that still wait in the chunk. If you
///   save it and crash, these messages are lost.
/// - `buffered(n)` and `buffer_unordered(n)` take up to `n` messages whose work has not finished. If you save
///   `stream.checkpoint()`, the loss is the same. If you save the checkpoint beside a message whose work is done, that is
///   safe with `buffered`. It is not safe with `buffer_unordered`, because an earlier message may still be under way.
/// - `stream.by_ref().take(n).try_collect()` drops what it has collected when an `Err` comes. The checkpoint stands behind
///   these messages, but nobody has them. Use `try_chunks`, whose error holds what was collected, or a loop.
///
/// With a checkpoint beside each message, it does not matter who holds the stream.
///
/// # Cost
///
/// Each message costs as much as a call of `checkpoint()`. The call copies the ids that share the message's
/// timestamp, or all ids within a lookback. It also looks at the messages of the same page that came before.
///
/// # After an error
///
/// An `Err` comes without a checkpoint, and the checkpoint before it stays right. After a failed page,
/// `get_mut().resume()` goes on.
///
/// # Examples
///
/// Batches of 50, each saved with the checkpoint behind its last message. After a failed page, the messages
/// before it are saved, too:
///
/// ```
/// # use texter_history::testing::{Conversation, FakeChat, FakeTexter, Fault};
/// use futures::{StreamExt, TryStreamExt, stream::TryChunksError};
/// use texter_history::{Checkpoint, Client, Message};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let chat_id = "67bf11038b24880cc966f799";
/// # let messages = Conversation::seeded(7).messages(180).tie_share(0.0);
/// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages))
/// #     .faults(|_, number| (number == 2).then(|| Fault::status(403))).start().await?;
/// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
/// let mut database: (Vec<Message>, Option<Checkpoint>) = (Vec::new(), None);
/// let mut save = |batch: Vec<(Message, Checkpoint)>| {
///     for (message, checkpoint) in batch {
///         database.0.push(message);
///         database.1 = Some(checkpoint);
///     }
/// };
///
/// let mut batches =
///     client.messages(chat_id).page_size(30).stream().with_checkpoints().try_chunks(50);
/// while let Some(batch) = batches.next().await {
///     match batch {
///         Ok(batch) => save(batch),
///         Err(TryChunksError(batch, error)) => {
///             save(batch);
///             eprintln!("{error}");
///         }
///     }
/// }
/// assert_eq!(database.0.len(), 60);
///
/// // Tomorrow, from what the database says:
/// let query = client.messages(chat_id).resume_from(database.1.unwrap());
/// let rest: Vec<Message> = query.stream().try_collect().await?;
/// assert_eq!(database.0.len() + rest.len(), 180);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct WithCheckpoints<T = Message> {
    stream: MessageStream<T>,
}

impl<T> MessageStream<T> {
    /// The same stream, with its checkpoint beside each message. Use it with `chunks`, `buffered` and other
    /// combinators that own the stream and run ahead of your work. [`WithCheckpoints`] says what is lost
    /// without it.
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
    /// # let messages = Conversation::seeded(7).messages(120);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let mut stream = client.messages(chat_id).stream().with_checkpoints();
    /// while let Some((message, checkpoint)) = stream.try_next().await? {
    ///     assert_eq!(checkpoint.cursor().unwrap().id, message.id);
    /// }
    /// assert_eq!(stream.into_inner().stats().messages, 120);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_checkpoints(self) -> WithCheckpoints<T> {
        WithCheckpoints { stream: self }
    }
}

impl<T> WithCheckpoints<T> {
    /// The inner stream, to ask how far it is.
    pub fn get_ref(&self) -> &MessageStream<T> {
        &self.stream
    }

    /// The inner stream, to [`resume`](MessageStream::resume) it. Messages that you poll directly from the
    /// inner stream are not handed out again.
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
    /// let mut stream = client.messages(chat_id).stream().with_checkpoints();
    /// assert!(stream.next().await.unwrap().is_err());
    /// assert_eq!(stream.get_ref().checkpoint().cursor(), None);
    /// stream.get_mut().resume();
    /// assert_eq!(stream.count().await, 60);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_mut(&mut self) -> &mut MessageStream<T> {
        &mut self.stream
    }

    /// The inner stream, where it stands. No message is lost.
    pub fn into_inner(self) -> MessageStream<T> {
        self.stream
    }
}

impl<T> Stream for WithCheckpoints<T> {
    type Item = Result<(T, Checkpoint), Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let next = ready!(Pin::new(&mut this.stream).poll_next(cx));
        Poll::Ready(next.map(|message| Ok((message?, this.stream.checkpoint()))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<T> FusedStream for WithCheckpoints<T> {
    fn is_terminated(&self) -> bool {
        self.stream.is_terminated()
    }
}
