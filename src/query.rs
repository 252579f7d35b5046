//! Which part of a chat is read, and in what pages.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::checkpoint::Checkpoint;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::id::{BotSessionId, ChatId, is_well_formed};
use crate::page::{Decode, decoder};
use crate::position::{Position, Standing, SyncPosition};
use crate::stream::{Begin, MessageStream, PageStream, Source};
use crate::timestamp::Timestamp;
use crate::walk::{Bounds, DEFAULT_LIMIT, End};

/// In which order the messages are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Newest first, unless a checkpoint says otherwise.
    Unset,
    OldestFirst,
    /// Oldest first, and then again and again what is new.
    Follow(Duration),
}

/// A query: which messages of a chat are read, and in what pages. It sends nothing and its setters never
/// fail; a value that cannot be asked for is the stream's first and only item, an `Err` of kind
/// [`InvalidRequest`](crate::ErrorKind::InvalidRequest), with no request sent.
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

    /// How many messages a request asks for (`limit`). Default 50, as the endpoint's. At least 1.
    ///
    /// The server may give fewer. A group of messages that share one timestamp and fill a page is asked
    /// for with a larger `limit`, because only that can lead past it.
    pub fn page_size(mut self, messages: u32) -> Self {
        self.bounds.page_size = messages;
        self
    }

    /// Lets the pages grow: the first request asks for [`page_size`](Self::page_size) messages, each
    /// further one for twice as many as the one before, up to this. So the first message comes quickly, and a
    /// long history costs few requests. Default: the page size, no growth. Less than the page size is refused.
    ///
    /// If the server gives fewer than asked although the chat goes on, the walk stays with what it gave;
    /// if it answers 413, with half; in neither case with less than the page size.
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

    /// Leaves out messages older than this; those of this very time are read. Default: none are left out. Costs
    /// no extra request. Later than [`until`](Self::until) it is refused as the type's documentation says.
    pub fn since(mut self, time: Timestamp) -> Self {
        self.bounds.since = Some(time);
        self
    }

    /// Leaves out messages newer than this; those of this very time are read. Default: none are left out. Before
    /// 1970 it is refused.
    ///
    /// The endpoint is asked for what is up to a millisecond newer (`beforeTime`, page "Get Messages of a Chat"),
    /// because of that very time it leaves out one message, or all with a later id; what is too new is dropped.
    /// Where a whole page is, that costs another request.
    pub fn until(mut self, time: Timestamp) -> Self {
        self.bounds.until = Some(time);
        self
    }

    /// Reads only the messages of one bot session (`botSessionId`, of `a-z` and `0-9`, at most 256 of them; page "Get
    /// Messages of a Chat"). Default: those of all sessions and of none.
    pub fn bot_session(mut self, id: impl Into<BotSessionId>) -> Self {
        self.bounds.bot_session = Some(id.into());
        self
    }

    /// Ends the stream after this many messages in all. Default: no end but the chat's. The last request asks for no
    /// more than are left.
    ///
    /// A message that cannot be read counts as one. After [`resume_from`](Self::resume_from) the count
    /// starts anew. With 0 the stream ends at once and asks for nothing.
    pub fn max_messages(mut self, messages: usize) -> Self {
        self.bounds.max_messages = Some(u64::try_from(messages).unwrap_or(u64::MAX));
        self
    }

    /// Lets polls fetch pages ahead, of which at most this many wait behind the one in hand. Default 0: the
    /// next page is asked for only when a poll finds nothing in hand. Any number is taken; 1 hides the latency
    /// of a server that is faster than the caller, more even out one that is now slow and now fast.
    ///
    /// It hides the server's latency behind the caller's own work, and costs the memory of the pages that
    /// wait. Nothing is sent but by a poll, and dropping the stream abandons what is under way. An error waits
    /// its turn behind the messages before it.
    ///
    /// A page is asked for as early as the first message of the one before has arrived, because pages are
    /// ascending and so their first message is the next cursor. If that page turns out not to have been
    /// ascending, to be short or the last, the early answer is discarded
    /// ([`Stats::discarded`](crate::Stats::discarded)) and the right one, if any, asked for. There is no such
    /// head start before the first answer, where a first message takes more than 64 KiB, and where the server
    /// leaves the next cursor in doubt (no `minTime`, more messages of one time than a page holds).
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

    /// Leaves out the messages that cannot be read, instead of handing each out as an `Err` of kind
    /// [`MalformedMessage`](crate::ErrorKind::MalformedMessage) or in [`Page::malformed`](crate::Page::malformed).
    /// Default: they are handed out.
    ///
    /// Nothing is left out in silence: [`Stats::malformed`](crate::Stats::malformed) counts them, and each is told to
    /// `tracing` as a warning, with the chat, its `_id` and the [field](crate::Error::path) at fault, but without its
    /// text. The checkpoint passes over them, and [`max_messages`](Self::max_messages) counts them.
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

    /// Reads the chat from its beginning (or from [`since`](Self::since)) up to what was its newest message when the
    /// walk began (or up to [`until`](Self::until)), oldest first. Within one timestamp the order is the server's.
    /// Default: newest first.
    ///
    /// The endpoint only goes backwards, so the stream reads *windows* of time, each backwards, and hands them out from
    /// old to new. That costs 3 to 20 % more requests than newest first, a few requests before the first message,
    /// and room for at most 16 pages or 1,600 messages, whichever is more, however long the chat is.
    ///
    /// **What is new tomorrow.** The [`checkpoint`](crate::MessageStream::checkpoint) of the stream, resumed, brings exactly
    /// what has come since. If nothing has, that is one request. What is *missed* without a
    /// [`lookback`](Self::lookback): a message that arrives late, with a timestamp before the checkpoint's. A provider
    /// that was down for an hour delivers such messages. A change of a message that was handed out (its status, an edit,
    /// a deletion) is not a new message, and is never handed out.
    ///
    /// A [`bot_session`](Self::bot_session) is read whole and then handed out reversed: it is one conversation with a bot.
    /// A chat whose server does not say when it began (no `minTime`) is read twice, first for its times alone.
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

    /// Reads oldest first, and at the newest message the stream does not end: it looks again every `every`, for as long
    /// as it is polled. The time counts from the end of the last look. Zero is refused.
    ///
    /// The first poll looks at once, and nothing is sent between two looks. A look that finds nothing is one request.
    /// [`is_caught_up`](crate::MessageStream::is_caught_up) says whether the stream rests. With
    /// `since(Timestamp::now())` only what is to come is handed out. As with [`oldest_first`](Self::oldest_first), a message
    /// that arrives late is missed without a [`lookback`](Self::lookback).
    ///
    /// A failed look is one `Err`, then `None` until [`resume`](crate::MessageStream::resume), which goes on following.
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

    /// Oldest first, lets each run, and each look of [`follow`](Self::follow), read so much of the time behind its
    /// position again and hand out what had not been there before: messages that arrived late, with a timestamp
    /// older than ones already handed out. Default: none. Newest first it is refused.
    ///
    /// Late messages come out of order, and are the only ones that do. The checkpoint holds the ids of all messages within
    /// the lookback, at most 65,536 of them; beyond that the oldest are let go by whole timestamps, and the lookback is
    /// that much shorter. It counts from the newest message handed out, or from now where that is earlier. A checkpoint
    /// that was saved with a shorter lookback knows no more ids than that one held, so the first run after it goes no
    /// further back.
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

    /// Lets the stream have so many requests under way at once, in either direction. Default 1; 0 counts as 1. The
    /// messages, their order and the checkpoint are the same as without it.
    ///
    /// The stream reads several windows of time at once. What is read early waits: at most as many messages as 8
    /// pages for each request, or 6,400, whichever is more, and never more than
    /// [`max_body_bytes`](crate::ClientBuilder::max_body_bytes) of bodies. It costs 5 to 20 % more requests, because a window
    /// is guessed and its last page runs into the one before. All requests share the token's rate limit. A
    /// [`bot_session`](Self::bot_session) is read with one request at a time.
    ///
    /// Polls send requests while messages are in hand, as with [`prefetch`](Self::prefetch).
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

    /// Goes on where another walk of the same chat stopped.
    ///
    /// The checkpoint's session, bounds and direction fill what this query leaves unset; one that is set differently
    /// in both, or a checkpoint of another chat, is an error of kind
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest). Page sizes, [`concurrency`](Self::concurrency) and
    /// [`lookback`](Self::lookback) are free to differ. A newest-first checkpoint goes on towards older messages: for what
    /// is new, resume from [`newest_checkpoint`](crate::MessageStream::newest_checkpoint).
    pub fn resume_from(mut self, checkpoint: Checkpoint) -> Self {
        self.checkpoint = Some(checkpoint);
        self
    }

    /// The messages, one by one.
    pub fn stream(self) -> MessageStream {
        self.stream_as()
    }

    /// The messages as a type of the caller's: their own struct, `serde_json::Value`, or
    /// `Box<serde_json::value::RawValue>` for the JSON text as it came.
    ///
    /// A message that is no `T` is an `Err` of kind
    /// [`MalformedMessage`](crate::ErrorKind::MalformedMessage) in its place, and the stream goes on.
    pub fn stream_as<T: DeserializeOwned + Send + 'static>(self) -> MessageStream<T> {
        MessageStream::new(self.source(decoder::<T>()))
    }

    /// The messages page by page, each page newest first.
    pub fn pages(self) -> PageStream {
        self.pages_as()
    }

    /// The messages page by page as a type of the caller's, as [`stream_as`](Self::stream_as) has them. A message
    /// that is no `T` is in [`Page::malformed`](crate::Page::malformed).
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

    pub(crate) fn source<T>(mut self, decode: Decode<T>) -> Source<T> {
        self.bounds.max_page_size = self.max_page_size.unwrap_or(self.bounds.page_size);
        let given = self.checkpoint.clone();
        let checked =
            self.take_checkpoint().and_then(|standing| self.check(&standing).map(|()| standing));
        let (standing, begin) = match checked {
            Ok(standing) if self.bounds.max_messages == Some(0) => {
                (standing, Begin::Ended(End::ReachedMax))
            }
            Ok(standing) => (standing, Begin::Ask),
            Err(error) => {
                let refused = Begin::Refused(error.of(&self.chat));
                let standing = given.map(|given| self.put_back(given));
                (standing.unwrap_or_else(|| self.beginning()), refused)
            }
        };
        Source {
            endpoint: self.endpoint,
            chat: self.chat,
            bounds: self.bounds,
            standing,
            lookback: self.lookback.unwrap_or_default(),
            follow: match self.order {
                Order::Follow(every) => Some(every),
                Order::Unset | Order::OldestFirst => None,
            },
            concurrency: self.concurrency.max(1),
            prefetch: self.prefetch,
            skip_malformed: self.skip_malformed,
            in_hand: Vec::new(),
            begin,
            decode,
        }
    }

    /// A query that is refused hands its checkpoint on as it came, so that whoever saves the stream's
    /// checkpoint after the error loses nothing.
    fn put_back(&mut self, given: Checkpoint) -> Standing {
        self.chat = given.chat;
        self.bounds.bot_session = given.bot_session;
        (self.bounds.since, self.bounds.until) = (given.since, given.until);
        given.standing
    }

    /// Where a walk stands that has handed out nothing.
    fn beginning(&self) -> Standing {
        match self.order {
            Order::Unset => Standing::newest_first(Position::default()),
            Order::OldestFirst | Order::Follow(_) => {
                Standing::OldestFirst { position: SyncPosition::default(), last: None }
            }
        }
    }

    fn take_checkpoint(&mut self) -> Result<Standing, Error> {
        let Some(checkpoint) = self.checkpoint.take() else {
            return Ok(self.beginning());
        };
        let refused = |what| {
            Err(Error::invalid_request(format!(
                "the checkpoint is of another {what}; start without it, or set the same {what}"
            )))
        };
        if checkpoint.chat != self.chat {
            return refused("chat");
        }
        if self.order != Order::Unset && !checkpoint.is_oldest_first() {
            return Err(Error::invalid_request(
                "the checkpoint is of a newest-first walk and goes on towards older messages; to go on towards \
                 newer ones, save newest_checkpoint() of that walk and resume from it",
            ));
        }
        let bounds = &mut self.bounds;
        // A walk through the whole chat and one through a session hand out different messages.
        if bounds.bot_session.is_some() && bounds.bot_session != checkpoint.bot_session {
            return refused("bot session");
        }
        bounds.bot_session = checkpoint.bot_session;
        for (own, its, what) in [
            (&mut bounds.since, checkpoint.since, "since"),
            (&mut bounds.until, checkpoint.until, "until"),
        ] {
            if its.is_some() && own.is_some() && its != *own {
                return refused(what);
            }
            *own = own.or(its);
        }
        if let Standing::NewestFirst { position, .. } = &checkpoint.standing
            && bounds.until.is_some()
            && bounds.until < position.timestamp()
        {
            // Everything up to `until` is older than what was handed out: none of it has been.
            return Ok(self.beginning());
        }
        Ok(checkpoint.standing)
    }

    fn check(&self, standing: &Standing) -> Result<(), Error> {
        let refused = |why| Err(Error::invalid_request(why));
        if !is_well_formed(self.chat.as_str()) {
            return refused("the chat id is not of a-z and 0-9; use the chat's _id");
        }
        if self.bounds.bot_session.as_ref().is_some_and(|id| !is_well_formed(id.as_str())) {
            return refused(
                "the bot session's id is not of a-z and 0-9; use a message's botSessionId",
            );
        }
        if self.bounds.page_size == 0 {
            return refused("a page size of 0 can show nothing; use at least 1");
        }
        if self.bounds.max_page_size < self.bounds.page_size {
            return refused(
                "the largest page size is below the page size; raise it or leave it unset",
            );
        }
        if self.bounds.until.is_some_and(|until| until.as_millis() < 0) {
            return refused("until lies before 1970, which the endpoint cannot be asked for");
        }
        let (since, until) = (self.bounds.since, self.bounds.until);
        if since.zip(until).is_some_and(|(since, until)| since > until) {
            return refused("since lies after until; exchange them");
        }
        if self.lookback.is_some() && matches!(standing, Standing::NewestFirst { .. }) {
            return refused(
                "a lookback means something only where the walk goes on to what is new; set oldest_first() or \
                 follow(), too",
            );
        }
        if self.order == Order::Follow(Duration::ZERO) {
            return refused(
                "a stream that follows without a pause would never rest; use a second or more",
            );
        }
        Ok(())
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("chat", &self.chat)
            .field("bounds", &self.bounds)
            .field("max_page_size", &self.max_page_size)
            .field("order", &self.order)
            .field("lookback", &self.lookback)
            .field("concurrency", &self.concurrency)
            .field("prefetch", &self.prefetch)
            .field("skip_malformed", &self.skip_malformed)
            .field("checkpoint", &self.checkpoint)
            .finish_non_exhaustive()
    }
}
