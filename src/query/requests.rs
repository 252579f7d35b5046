//! How large the pages are, and how many requests are under way.

use super::Messages;

impl Messages {
    /// How many messages a request asks for (`limit`). Default 50, as the server's own. 0 is refused.
    ///
    /// The server may give fewer. The stream asks for a larger page by itself in two cases: more messages share one
    /// timestamp than fit a page; or the first request of a sync is to show what a [`lookback`](Self::lookback) holds, up to
    /// 500 messages.
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
    /// let stream = client.messages(chat_id).page_size(100).stream();
    /// let messages: Vec<Message> = stream.try_collect().await?;
    /// let limits: Vec<_> = server.requests().iter().map(|request| request.limit).collect();
    /// assert_eq!((messages.len(), limits), (120, vec![Some(100), Some(100)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn page_size(mut self, messages: u32) -> Self {
        self.bounds.page_size = messages;
        self
    }

    /// Lets the pages grow. The first request asks for [`page_size`](Self::page_size) messages. Each further one asks
    /// for twice as many as the one before, up to this number. So the first message comes soon, and a long history costs
    /// few requests. Default: the page size, which grows only in the cases named there. A smaller number is refused.
    ///
    /// If the server gives fewer messages than asked for although the chat goes on, the pages keep the size that it gave.
    /// If it refuses a size with 400, 413 or 422, they go back to the largest size that was answered. They never shrink
    /// below the page size.
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

    /// Reads pages ahead: at most this many pages wait behind the one in hand. Default 0: the next page is asked for only
    /// when a poll finds no message in hand. [Oldest first](Self::oldest_first), a window waits too, because it is read
    /// backwards.
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

    /// Sends up to this many requests at once, in either direction. Default 1; 0 counts as 1. The messages, their order and
    /// the checkpoint are the same as without it.
    ///
    /// The stream reads several windows of time at once. Messages read early wait for their turn. At most the largest of
    /// these may wait: 6,400 messages; 8 pages for each request; 800 messages for each request. Reading ahead also stops
    /// while the bodies add up to more than [`max_body_bytes`](crate::ClientBuilder::max_body_bytes). If messages suddenly
    /// become much longer, what no longer fits is dropped and asked for again.
    ///
    /// It costs 5 to 20 % more requests, and with [`max_messages`](Self::max_messages) up to twice as many, because windows
    /// behind the last message are begun in vain. All requests share the token's rate limit. A [`bot_session`](Self::bot_session) is
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
}
