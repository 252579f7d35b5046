//! Which messages of a chat are read.

use super::Messages;
use crate::id::BotSessionId;
use crate::timestamp::Timestamp;

impl Messages {
    /// Leaves out messages older than this time. Messages of exactly this time are read. Default: none are left out.
    ///
    /// It costs no extra request. A time after [`until`](Self::until) is refused.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::{StreamExt, TryStreamExt};
    /// # use texter_history::testing::{FakeChat, FakeMessage, FakeTexter};
    /// # use texter_history::{Client, End, Message, Timestamp};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let at = Timestamp::from_millis;
    /// # let message = |time, id| FakeMessage::text(at(time), id, "Hi");
    /// # let messages = [message(1, "a"), message(2, "b").bot_session("s1"), message(3, "c").bot_session("s1"), message(4, "d")];
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let mut stream = client.messages(chat_id).since(at(3)).stream(); // of four, at 1, 2, 3 and 4 ms
    /// let messages: Vec<Message> = stream.by_ref().try_collect().await?;
    /// assert_eq!((messages.len(), stream.end()), (2, Some(End::ReachedSince)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn since(mut self, time: Timestamp) -> Self {
        self.bounds.since = Some(time);
        self
    }

    /// Leaves out messages newer than this time. Messages of exactly this time are read. Default: none are left out.
    ///
    /// It can cost one extra request. A time before 1970 is refused, because the server cannot be asked for it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::{StreamExt, TryStreamExt};
    /// # use texter_history::testing::{FakeChat, FakeMessage, FakeTexter};
    /// # use texter_history::{Client, End, Message, Timestamp};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let at = Timestamp::from_millis;
    /// # let message = |time, id| FakeMessage::text(at(time), id, "Hi");
    /// # let messages = [message(1, "a"), message(2, "b").bot_session("s1"), message(3, "c").bot_session("s1"), message(4, "d")];
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let stream = client.messages(chat_id).until(at(3)).stream(); // of four, at 1, 2, 3 and 4 ms
    /// let messages: Vec<Message> = stream.try_collect().await?;
    /// assert_eq!((messages.len(), messages[0].timestamp), (3, at(3)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn until(mut self, time: Timestamp) -> Self {
        self.bounds.until = Some(time);
        self
    }

    /// Reads only the messages of one bot session. Default: all messages, of any session or of none.
    ///
    /// The id is what messages carry as `botSessionId`: 1 to 256 characters of `a-z` and `0-9`. A
    /// session that does not exist is an empty stream, not an error.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::{StreamExt, TryStreamExt};
    /// # use texter_history::testing::{FakeChat, FakeMessage, FakeTexter};
    /// # use texter_history::{Client, End, Message, Timestamp};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let at = Timestamp::from_millis;
    /// # let message = |time, id| FakeMessage::text(at(time), id, "Hi");
    /// # let messages = [message(1, "a"), message(2, "b").bot_session("s1"), message(3, "c").bot_session("s1"), message(4, "d")];
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages)).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let stream = client.messages(chat_id).bot_session("s1").stream();
    /// let messages: Vec<Message> = stream.try_collect().await?;
    /// assert_eq!(messages.iter().map(|message| &message.id).collect::<Vec<_>>(), ["c", "b"]);
    /// assert!(server.requests().iter().all(|request| request.bot_session.as_deref() == Some("s1")));
    /// # Ok(())
    /// # }
    /// ```
    pub fn bot_session(mut self, id: impl Into<BotSessionId>) -> Self {
        self.bounds.bot_session = Some(id.into());
        self
    }

    /// Ends the stream after this many messages in all, not per page. Default: no limit. The last request asks for no more
    /// messages than are still wanted.
    ///
    /// A message that cannot be read counts too. After [`resume_from`](Self::resume_from), the count starts anew. With 0 the
    /// stream ends at once and sends no request.
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
    /// let mut stream = client.messages(chat_id).max_messages(60).stream();
    /// let messages: Vec<Message> = stream.by_ref().try_collect().await?;
    /// assert_eq!((messages.len(), stream.end()), (60, Some(texter_history::End::ReachedMax)));
    /// let limits: Vec<_> = server.requests().iter().map(|request| request.limit).collect();
    /// assert_eq!(limits, [Some(50), Some(10)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_messages(mut self, messages: usize) -> Self {
        self.bounds.max_messages = Some(u64::try_from(messages).unwrap_or(u64::MAX));
        self
    }
}
