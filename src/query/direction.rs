//! In which order the messages come, and what comes when no more are there.

use std::time::Duration;

use super::{Messages, Order};

impl Messages {
    /// Reads oldest first. Default: newest first.
    ///
    /// The stream begins with the chat's first message, or at [`since`](Self::since). It ends with the message that was the
    /// newest when the stream was first polled, or at [`until`](Self::until). Messages of one timestamp come in the server's
    /// order.
    ///
    /// The server only pages backwards. So the stream reads *windows* of time, each backwards, and hands them out from old to
    /// new. This costs 3 to 20 % more requests than newest first, and a few requests before the first message. At most 16
    /// pages or 1,600 messages wait, whichever is more, however long the chat is. [`max_messages`](Self::max_messages) spares
    /// less than newest first: windows are read whole, which costs up to three times the requests.
    ///
    /// **What is new tomorrow.** Save the stream's [`checkpoint`](crate::MessageStream::checkpoint). A stream that is resumed
    /// from it brings exactly what has come since. If nothing has, that costs one request, and one more for each
    /// [`page_size`](Self::page_size) of known messages beyond 500. Known are those within the lookback, and those that are dated
    /// in the future.
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
    /// two looks it sends nothing. A look that finds nothing costs one request, and one more for each
    /// [`page_size`](Self::page_size) beyond 500 messages within the [`lookback`](Self::lookback). Zero is refused.
    ///
    /// [`max_messages`](Self::max_messages) ends the stream, and so does [`until`](Self::until) once that time is over.
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
    /// out only what was not there before. Late messages come out of order. Newest first, a lookback is
    /// refused.
    ///
    /// The lookback is counted back from the newest message handed out that is not dated in the future. The checkpoint holds the ids of all messages within the lookback, at most 65,536. If
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
}
