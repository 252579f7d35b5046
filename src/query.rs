//! Which part of a chat is read, in which order, and in what pages.

mod begin;

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::checkpoint::Checkpoint;
use crate::endpoint::Endpoint;
use crate::id::{BotSessionId, ChatId};
use crate::page::decoder;
use crate::stream::{MessageStream, PageStream};
use crate::timestamp::Timestamp;
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

    /// How many messages a request asks for (`limit`). Default 50, as the server's own. 0 is refused.
    ///
    /// The server may give fewer. The stream asks for a larger page by itself in two cases: more messages share one
    /// timestamp than fit a page, or a [`lookback`](Self::lookback) holds more than a page.
    pub fn page_size(mut self, messages: u32) -> Self {
        self.bounds.page_size = messages;
        self
    }

    /// Lets the pages grow. The first request asks for [`page_size`](Self::page_size) messages. Each further one asks
    /// for twice as many as the one before, up to this number. So the first message comes soon, and a long history costs
    /// few requests. Default: the page size, which grows only in the cases named there. A smaller number is refused.
    ///
    /// If the server gives fewer messages than asked for although the chat goes on, the pages keep the size that it gave.
    /// If it refuses a size with 413, they shrink to half. They never shrink below the page size.
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
    /// # let messages = Conversation::seeded(7).messages(780).tie_share(0.0);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let stream = client.messages(chat_id).page_size(50).max_page_size(400).stream();
    /// let messages: Vec<Message> = stream.try_collect().await?;
    /// assert_eq!(messages.len(), 780);
    /// let limits: Vec<u64> = server.requests().iter().filter_map(|request| request.limit).collect();
    /// assert_eq!(limits, [50, 100, 200, 400, 400]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_page_size(mut self, messages: u32) -> Self {
        self.max_page_size = Some(messages);
        self
    }

    /// Leaves out messages older than this time. Messages of exactly this time are read. Default: none are left out.
    ///
    /// It costs no extra request. A time after [`until`](Self::until) is refused.
    pub fn since(mut self, time: Timestamp) -> Self {
        self.bounds.since = Some(time);
        self
    }

    /// Leaves out messages newer than this time. Messages of exactly this time are read. Default: none are left out.
    ///
    /// It can cost one extra request. A time before 1970 is refused, because the server cannot be asked for it.
    pub fn until(mut self, time: Timestamp) -> Self {
        self.bounds.until = Some(time);
        self
    }

    /// Reads only the messages of one bot session. Default: all messages, of any session or of none.
    ///
    /// The id is what messages carry as `botSessionId`: 1 to 256 characters of `a-z` and `0-9`. A
    /// session that does not exist is an empty stream, not an error.
    pub fn bot_session(mut self, id: impl Into<BotSessionId>) -> Self {
        self.bounds.bot_session = Some(id.into());
        self
    }

    /// Ends the stream after this many messages in all, not per page. Default: no limit. The last request asks for no more
    /// messages than are still wanted.
    ///
    /// A message that cannot be read counts too. After [`resume_from`](Self::resume_from), the count starts anew. With 0 the
    /// stream ends at once and sends no request.
    pub fn max_messages(mut self, messages: usize) -> Self {
        self.bounds.max_messages = Some(u64::try_from(messages).unwrap_or(u64::MAX));
        self
    }

    /// Reads pages ahead: at most this many pages wait behind the one in hand. Default 0: the next page is asked for only
    /// when a poll finds no message in hand.
    ///
    /// While you work on one page, the next one arrives. So 1 hides the server's latency if you are slower than the server.
    /// More pages help where the server is now slow and now fast. The pages that wait cost memory; reading ahead stops while
    /// their bodies add up to more than [`max_body_bytes`](crate::ClientBuilder::max_body_bytes). Only polls send requests. An
    /// error waits behind the messages that came before it.
    ///
    /// The stream asks for a page as soon as the first message of the page before it has arrived, because that message is
    /// the next cursor. Sometimes this guess turns out wrong: the page before was the last, was short, or was not in order.
    /// Then the early page is thrown away, counted in [`Stats::discarded`](crate::Stats::discarded), and the right one is
    /// asked for. The stream cannot ask so early before its first answer, or if a first message takes more than 64 KiB. The
    /// same holds where the next cursor is in doubt: without `minTime`, or with more messages of one timestamp than fit a
    /// page.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::StreamExt;
    /// # use texter_history::testing::{Conversation, FakeChat, FakeTexter};
    /// # use texter_history::Client;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(200).tie_share(0.0);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let mut stream = client.messages(chat_id).page_size(50).prefetch(1).stream();
    /// while let Some(message) = stream.next().await {
    ///     println!("{}", message?.timestamp); // meanwhile the next page arrives
    ///     assert!(stream.in_hand() <= 100); // what is left of a page, and one that waits
    /// }
    /// assert_eq!((stream.stats().requests, stream.stats().discarded), (5, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn prefetch(mut self, pages: usize) -> Self {
        self.prefetch = pages;
        self
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

    /// Reads oldest first. Default: newest first.
    ///
    /// The stream begins with the chat's first message, or at [`since`](Self::since). It ends with the message that was the
    /// newest when the stream was first polled, or at [`until`](Self::until). Messages of one timestamp come in the server's
    /// order.
    ///
    /// The server only pages backwards. So the stream reads *windows* of time, each backwards, and hands them out from old to
    /// new. This costs 3 to 20 % more requests than newest first, and a few requests before the first message. At most 16
    /// pages or 1,600 messages wait, whichever is more, however long the chat is.
    ///
    /// **What is new tomorrow.** Save the stream's [`checkpoint`](crate::MessageStream::checkpoint). A stream that is resumed
    /// from it brings exactly what has come since. If nothing has, that costs one request (without a lookback).
    ///
    /// **What is missed.** A message may arrive late: with a timestamp before the checkpoint's, for example because a
    /// provider was down for an hour. Without a [`lookback`](Self::lookback), it is missed. A changed message (a new status, an
    /// edit, a deletion) is not new, and is not handed out again.
    ///
    /// **Special cases.** A [`bot_session`](Self::bot_session) is read whole and then handed out reversed, because it is one
    /// conversation with a bot. If the server does not say when a chat began (no `minTime`), the chat is read twice, the
    /// first time only for its times.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::{StreamExt, TryStreamExt};
    /// # use texter_history::testing::{Conversation, FakeChat, FakeMessage, FakeTexter};
    /// # use texter_history::{Client, End, Message, Timestamp};
    /// # use std::time::Duration;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(400);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let mut stream = client.messages(chat_id).page_size(100).oldest_first().stream();
    /// let messages: Vec<Message> = stream.by_ref().try_collect().await?;
    /// assert_eq!(messages.len(), 400);
    /// assert!(messages.is_sorted_by_key(|message| message.timestamp));
    /// assert_eq!(stream.end(), Some(End::ReachedNewest));
    /// assert!(stream.stats().requests <= 8);
    ///
    /// // Tomorrow, from the checkpoint that was saved:
    /// let checkpoint = stream.checkpoint();
    /// server.add_message(chat_id, FakeMessage::text(Timestamp::now(), "a1", "hello again"));
    /// let mut news = client.messages(chat_id).resume_from(checkpoint).stream();
    /// assert_eq!(news.next().await.unwrap()?.id, "a1");
    /// assert!(news.next().await.is_none());
    /// assert_eq!(news.stats().requests, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn oldest_first(mut self) -> Self {
        if self.order == Order::Unset {
            self.order = Order::OldestFirst;
        }
        self
    }

    /// Reads oldest first, and does not end at the newest message. Instead the stream looks for new messages again and again,
    /// for as long as it is polled.
    ///
    /// The first poll looks at once. Then the stream waits for `every`, counted from the end of the last look. Between
    /// two looks it sends nothing. A look that finds nothing costs one request, or a few if a
    /// [`lookback`](Self::lookback) holds more than a page. Zero is refused.
    ///
    /// [`is_caught_up`](crate::MessageStream::is_caught_up) says whether the stream waits for the next look. With
    /// `since(Timestamp::now())`, only messages with a timestamp from now on are handed out; your clock says when that is.
    /// A lookback never goes back before `since`. A message that arrives late is missed without a
    /// [`lookback`](Self::lookback).
    ///
    /// A look that fails is one `Err`, then `None`. After [`resume`](crate::MessageStream::resume), the stream goes on
    /// following.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::{StreamExt, TryStreamExt};
    /// # use texter_history::testing::{Conversation, FakeChat, FakeMessage, FakeTexter};
    /// # use texter_history::{Client, End, Message, Timestamp};
    /// # use std::time::Duration;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(30);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let every = Duration::from_millis(10); // 30 seconds, say
    /// let mut stream = client.messages(chat_id).follow(every).stream();
    /// let old: Vec<_> = stream.by_ref().take(30).collect().await;
    /// assert!(stream.is_caught_up());
    /// assert_eq!((old.len(), stream.stats().requests), (30, 1));
    ///
    /// server.add_message(chat_id, FakeMessage::text(Timestamp::now(), "a1", "hello"));
    /// assert_eq!(stream.next().await.unwrap()?.id, "a1");
    /// # Ok(())
    /// # }
    /// ```
    pub fn follow(mut self, every: Duration) -> Self {
        self.order = Order::Follow(every);
        self
    }

    /// Finds messages that arrive late, with a timestamp older than ones already handed out. Default: none, they are missed.
    ///
    /// Each run, and each look of [`follow`](Self::follow), reads this much of the time before its position again, and hands
    /// out only what was not there before. Late messages come out of order. No other messages do. Newest first, a lookback is
    /// refused.
    ///
    /// The lookback is counted back from the newest message handed out. If that message lies in the future, the lookback
    /// is counted back from now. The checkpoint holds the ids of all messages within the lookback, at most 65,536. If
    /// there are more, the lookback gets shorter. A saved checkpoint knows only its own lookback's ids. If you make the
    /// lookback longer, the first run still uses the shorter one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::{StreamExt, TryStreamExt};
    /// # use texter_history::testing::{Conversation, FakeChat, FakeMessage, FakeTexter};
    /// # use texter_history::{Client, End, Message, Timestamp};
    /// # use std::time::Duration;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let at = |text: &str| text.parse::<Timestamp>();
    /// # let chat = FakeChat::new(chat_id).messages([
    /// #     FakeMessage::text(at("2025-01-01T10:00:00Z")?, "a1", "one"),
    /// #     FakeMessage::text(at("2025-01-01T10:05:00Z")?, "a3", "three"),
    /// # ]);
    /// # let server = FakeTexter::builder().chat(chat).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let hour = Duration::from_secs(3600);
    /// let query = client.messages(chat_id).oldest_first().lookback(hour);
    /// let mut stream = query.clone().stream();
    /// assert_eq!(stream.by_ref().count().await, 2);
    ///
    /// // A message of 10:02 arrives when one of 10:05 has been handed out:
    /// server.add_message(chat_id, FakeMessage::text(at("2025-01-01T10:02:00Z")?, "a2", "two"));
    /// let mut news = query.resume_from(stream.checkpoint()).stream();
    /// assert_eq!(news.next().await.unwrap()?.id, "a2");
    /// assert!(news.next().await.is_none());
    /// assert_eq!(news.stats().requests, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn lookback(mut self, time: Duration) -> Self {
        self.lookback = Some(time);
        self
    }

    /// Sends up to this many requests at once, in either direction. Default 1; 0 counts as 1. The messages, their order and
    /// the checkpoint are the same as without it.
    ///
    /// The stream reads several windows of time at once. Messages read early wait for their turn. At most the largest of
    /// these may wait: 6,400 messages; 8 pages for each request; 800 messages for each request. Reading ahead also stops
    /// while the bodies add up to more than [`max_body_bytes`](crate::ClientBuilder::max_body_bytes).
    ///
    /// It costs 5 to 20 % more requests. All requests share the token's rate limit. A [`bot_session`](Self::bot_session) is
    /// read with one request at a time. As with [`prefetch`](Self::prefetch), polls send requests while messages are in hand.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::{StreamExt, TryStreamExt};
    /// # use texter_history::testing::{Conversation, FakeChat, FakeMessage, FakeTexter};
    /// # use texter_history::{Client, End, Message, Timestamp};
    /// # use std::time::Duration;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(5_000);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let plain: Vec<Message> = client.messages(chat_id).stream().try_collect().await?;
    ///
    /// let mut stream = client.messages(chat_id).concurrency(8).stream();
    /// let fast: Vec<Message> = stream.by_ref().try_collect().await?;
    /// assert_eq!(fast, plain);
    /// assert!(stream.stats().requests <= 130); // one at a time: 101
    /// # Ok(())
    /// # }
    /// ```
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
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
    pub fn resume_from(mut self, checkpoint: Checkpoint) -> Self {
        self.checkpoint = Some(checkpoint);
        self
    }

    /// The messages, one by one.
    pub fn stream(self) -> MessageStream {
        self.stream_as()
    }

    /// The messages as a type of your own: your own struct, `serde_json::Value`, or `Box<serde_json::value::RawValue>` for the
    /// JSON text as it came.
    ///
    /// A message that does not fit `T` is an `Err` of kind
    /// [`MalformedMessage`](crate::ErrorKind::MalformedMessage) in its place, and the stream goes on.
    pub fn stream_as<T: DeserializeOwned + Send + 'static>(self) -> MessageStream<T> {
        MessageStream::new(self.source(decoder::<T>()))
    }

    /// The messages page by page, in the order of the stream.
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
