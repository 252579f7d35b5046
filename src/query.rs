//! Which part of a chat is read, in which order, and in what pages.

mod begin;
mod bounds;
mod direction;
mod requests;

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::checkpoint::Checkpoint;
use crate::endpoint::Endpoint;
use crate::id::ChatId;
use crate::page::decoder;
use crate::stream::{MessageStream, PageStream};
use crate::walk::{Bounds, DEFAULT_LIMIT};

/// In which order the messages are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Newest first, unless a checkpoint says otherwise.
    Unset,
    OldestFirst,
    /// Oldest first, and then again and again what is new.
    Follow(Duration),
}

/// A query: which messages of a chat are read, in which order and in what pages.
///
/// It sends nothing, and its setters never fail. If a value cannot be asked for, the stream's first and only item is an
/// `Err` of kind [`InvalidRequest`](crate::ErrorKind::InvalidRequest), and no request is sent.
///
/// # Examples
///
/// The messages of one month, newest first:
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
/// let messages: Vec<_> = client
///     .messages(chat_id)
///     .since("2025-01-01T00:00:00Z".parse()?)
///     .until("2025-01-31T23:59:59.999Z".parse()?)
///     .page_size(200)
///     .stream()
///     .try_collect()
///     .await?;
/// assert!(messages.is_sorted_by(|newer, older| newer.timestamp >= older.timestamp));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a query does nothing until its stream is polled"]
pub struct Messages {
    endpoint: Arc<Endpoint>,
    chat: ChatId,
    bounds: Bounds,
    max_page_size: Option<u32>,
    order: Order,
    lookback: Option<Duration>,
    concurrency: usize,
    prefetch: usize,
    skip_malformed: bool,
    checkpoint: Option<Checkpoint>,
}

impl Messages {
    pub(crate) fn new(endpoint: Arc<Endpoint>, chat: ChatId) -> Self {
        let bounds = Bounds {
            bot_session: None,
            since: None,
            until: None,
            page_size: DEFAULT_LIMIT,
            max_page_size: DEFAULT_LIMIT,
            max_messages: None,
        };
        Self {
            endpoint,
            chat,
            bounds,
            max_page_size: None,
            order: Order::Unset,
            lookback: None,
            concurrency: 1,
            prefetch: 0,
            skip_malformed: false,
            checkpoint: None,
        }
    }

    /// Leaves out messages that cannot be read. Default: each is an `Err` of kind
    /// [`MalformedMessage`](crate::ErrorKind::MalformedMessage), or stands in [`Page::malformed`](crate::Page::malformed).
    ///
    /// They are not left out in silence. [`Stats::malformed`](crate::Stats::malformed) counts them. Each is a warning for
    /// `tracing`, with the chat, the message's `_id` and the [field](crate::Error::path) at fault, but without its text. The
    /// checkpoint passes over them, and [`max_messages`](Self::max_messages) counts them.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::TryStreamExt;
    /// # use texter_history::testing::{FakeChat, FakeMessage, FakeTexter};
    /// # use texter_history::{Client, Timestamp};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let at = Timestamp::from_millis;
    /// # let bad = FakeMessage::placed(at(2), "b", r#"{"_id":"b","timestamp":2,"text":7}"#);
    /// # let messages = [FakeMessage::text(at(1), "a", "Hi"), bad, FakeMessage::text(at(3), "c", "Hi")];
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let mut stream = client.messages(chat_id).skip_malformed().stream();
    /// let mut read = Vec::new();
    /// while let Some(message) = stream.try_next().await? {
    ///     read.push(message.id);
    /// }
    /// assert_eq!(read, ["c", "a"]);
    /// assert_eq!((stream.stats().messages, stream.stats().malformed), (2, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn skip_malformed(mut self) -> Self {
        self.skip_malformed = true;
        self
    }

    /// Goes on where another stream of the same chat stopped.
    ///
    /// What this query does not set, the checkpoint does: bot session, bounds and direction. If the query and the checkpoint
    /// set the same thing to different values, or if the checkpoint is of another chat, that is an error of kind
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest). Page sizes, [`concurrency`](Self::concurrency) and
    /// [`lookback`](Self::lookback) may differ.
    ///
    /// A newest-first checkpoint goes on towards *older* messages. For what is new, resume from an oldest-first one or from
    /// [`newest_checkpoint`](crate::MessageStream::newest_checkpoint).
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::{StreamExt, TryStreamExt};
    /// # use texter_history::testing::{Conversation, FakeChat, FakeTexter};
    /// # use texter_history::{Client, Message};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(120).tie_share(0.0);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let mut stream = client.messages(chat_id).stream();
    /// let first: Vec<Message> = stream.by_ref().take(70).try_collect().await?;
    /// let line = stream.checkpoint().to_string(); // kept in a file, say
    ///
    /// let stream = client.messages(chat_id).resume_from(line.parse()?).stream();
    /// let rest: Vec<Message> = stream.try_collect().await?;
    /// assert_eq!((first.len(), rest.len()), (70, 50));
    /// assert!(rest[0].timestamp < first[69].timestamp);
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume_from(mut self, checkpoint: Checkpoint) -> Self {
        self.checkpoint = Some(checkpoint);
        self
    }

    /// The messages, one by one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::TryStreamExt;
    /// # use texter_history::testing::{Conversation, FakeChat, FakeTexter};
    /// # use texter_history::{Client, Message};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(120).tie_share(0.0);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let mut stream = client.messages(chat_id).stream();
    /// while let Some(message) = stream.try_next().await? {
    ///     println!("{} {}", message.timestamp, message.text.as_deref().unwrap_or(""));
    /// }
    /// assert_eq!((stream.stats().messages, stream.stats().requests), (120, 3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(self) -> MessageStream {
        self.stream_as()
    }

    /// The messages as a type of your own: your own struct, `serde_json::Value`, or `Box<serde_json::value::RawValue>` for the
    /// JSON text as it came.
    ///
    /// A message that does not fit `T` is an `Err` of kind
    /// [`MalformedMessage`](crate::ErrorKind::MalformedMessage) in its place, and the stream goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::TryStreamExt;
    /// # use texter_history::testing::{Conversation, FakeChat, FakeTexter};
    /// # use texter_history::{Client, Timestamp};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(120).tie_share(0.0);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// #[derive(serde::Deserialize)]
    /// struct When {
    ///     timestamp: Timestamp,
    /// }
    ///
    /// let stream = client.messages(chat_id).stream_as::<When>();
    /// let times: Vec<Timestamp> = stream.map_ok(|message| message.timestamp).try_collect().await?;
    /// assert_eq!(times.len(), 120);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream_as<T: DeserializeOwned + Send + 'static>(self) -> MessageStream<T> {
        MessageStream::new(self.source(decoder::<T>()))
    }

    /// The messages page by page, in the order of the stream.
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
    /// while let Some(page) = pages.try_next().await? {
    ///     println!("{} messages, {:?} of the chat", page.messages.len(), pages.progress());
    /// }
    /// assert_eq!((pages.stats().messages, pages.stats().requests), (120, 2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn pages(self) -> PageStream {
        self.pages_as()
    }

    /// The messages page by page as a type of your own, as in [`stream_as`](Self::stream_as). A message that does not fit `T`
    /// is in [`Page::malformed`](crate::Page::malformed).
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::TryStreamExt;
    /// # use texter_history::testing::{Conversation, FakeChat, FakeTexter};
    /// # use texter_history::{Client, Timestamp};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(120).tie_share(0.0);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// #[derive(serde::Deserialize)]
    /// struct When {
    ///     timestamp: Timestamp,
    /// }
    ///
    /// let mut pages = client.messages(chat_id).page_size(100).pages_as::<When>();
    /// let page = pages.try_next().await?.unwrap();
    /// assert_eq!((page.messages.len(), page.malformed.len()), (100, 0));
    /// assert!(page.messages[0].timestamp > page.messages[99].timestamp);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pages_as<T: DeserializeOwned + Send + 'static>(self) -> PageStream<T> {
        PageStream::new(self.source(decoder::<T>()))
    }
}
