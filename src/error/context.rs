//! Where the error happened: in which chat, behind which message, in which field, and after how long.

use std::time::Duration;

use super::{Error, Page};
use crate::cursor::Cursor;
use crate::id::ChatId;

impl Error {
    /// How long the page took, from its first request on, with its retries and the waits between them. `None`
    /// when nothing was sent.
    ///
    /// # Examples
    ///
    /// ```
    /// use texter_history::Client;
    ///
    /// let unsent = Client::builder().project("acme").build().unwrap_err();
    /// assert_eq!((unsent.attempts(), unsent.elapsed()), (0, None));
    /// ```
    #[must_use]
    pub fn elapsed(&self) -> Option<Duration> {
        self.0.elapsed
    }

    /// The chat that was read, or was to be read. `None` when the error belongs to no chat, such as a client
    /// that cannot be built.
    ///
    /// # Examples
    ///
    /// Which of several chats failed:
    ///
    /// ```
    /// # use futures::TryStreamExt;
    /// # use texter_history::testing::{FakeChat, FakeTexter};
    /// # use texter_history::Client;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = FakeTexter::builder().chat(FakeChat::new("chat1")).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let streams = ["chat1", "chat2"].map(|chat| client.messages(chat).stream());
    /// let error = futures::stream::select_all(streams).try_for_each(|_| async { Ok(()) }).await.unwrap_err();
    /// assert_eq!(error.chat().unwrap(), "chat2");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn chat(&self) -> Option<&ChatId> {
        self.0.chat.as_ref()
    }

    /// Where the page stood: right behind this message. The page is the one that failed, or the one that held a message
    /// that cannot be read. `None` for the first page, and when nothing was asked for.
    ///
    /// It is always a message that the server has sent. To go on, use
    /// [`MessageStream::checkpoint`](crate::MessageStream::checkpoint).
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::TryStreamExt;
    /// # use texter_history::testing::{Conversation, FakeChat, FakeTexter, Fault};
    /// # use texter_history::{Client, Message};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat_id = "67bf11038b24880cc966f799";
    /// # let messages = Conversation::seeded(7).messages(120).tie_share(0.0);
    /// # let server = FakeTexter::builder().chat(FakeChat::new(chat_id).messages(messages))
    /// #     .faults(|_, number| (number == 1).then(|| Fault::status(403))).start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let mut stream = client.messages(chat_id).page_size(50).stream();
    /// let mut last = None;
    /// let error = loop {
    ///     match stream.try_next().await {
    ///         Ok(message) => last = message,
    ///         Err(error) => break error,
    ///     }
    /// };
    /// assert_eq!(error.cursor().unwrap().id, last.unwrap().id);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        match &self.0.page {
            Page::Before(cursor) => Some(cursor),
            Page::None | Page::First => None,
        }
    }

    /// Which field of a message could not be read, such as `statusHistory[0].timestamp`. The field is missing,
    /// comes twice, or has another type than in [`Message`] or your own type. `None` when no single field is at
    /// fault, and for every kind but [`ErrorKind::MalformedMessage`](crate::ErrorKind::MalformedMessage). `None` too
    /// for what serde reads twice: a part of your own type with `#[serde(flatten)]`, `untagged` or `tag`. There
    /// serde no longer knows the field.
    ///
    /// The path names fields and keys of maps. It never holds a value.
    ///
    /// [`Message`]: crate::Message
    ///
    /// # Examples
    ///
    /// ```
    /// use texter_history::Message;
    /// use texter_history::testing::read_page;
    ///
    /// let body = br#"{"messages": [{"_id": "a1", "timestamp": 7, "statusHistory": [{"timestamp": "now"}]}]}"#;
    /// let messages = read_page::<Message>(body)?;
    /// let error = messages[0].as_ref().unwrap_err();
    /// assert_eq!(error.path(), Some("statusHistory[0].timestamp"));
    ///
    /// #[derive(Debug, serde::Deserialize)]
    /// struct Mine {
    ///     text: String,
    /// }
    /// let messages = read_page::<Mine>(body)?;
    /// let error = messages[0].as_ref().unwrap_err();
    /// assert_eq!(error.path(), Some("text"));
    /// assert!(error.to_string().starts_with("message a1 cannot be read: `text` is missing"));
    /// # Ok::<(), texter_history::Error>(())
    /// ```
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.0.path.as_deref()
    }
}
