//! All messages of a Texter chat, newest first, each exactly once, as a lazy async
//! [`Stream`](futures_core::Stream).
//!
//! [`Client`] knows the project and the token; [`Client::messages`] makes a query, [`Messages`], which says
//! what of a chat is read and in what pages; and [`Messages::stream`] makes the [`MessageStream`]. Nothing
//! is sent before it is polled.
//!
//! ```
//! # use texter_history::testing::{Conversation, FakeChat, FakeTexter};
//! use futures::StreamExt;
//! use texter_history::{Client, End};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let messages = Conversation::seeded(7).messages(120).tie_share(0.0);
//! # let chat = FakeChat::new("67bf11038b24880cc966f799").messages(messages);
//! # let server = FakeTexter::builder().chat(chat).start().await?;
//! # let (base_url, token) = (server.base_url(), server.token());
//! // Or `.project("acme")` in place of `.base_url(…)`.
//! let client = Client::builder().base_url(base_url).token(token).build()?;
//! let mut stream = client.messages("67bf11038b24880cc966f799").page_size(100).stream();
//! while let Some(message) = stream.next().await {
//!     let message = message?;
//!     println!("{} {}", message.timestamp, message.text.as_deref().unwrap_or(""));
//! }
//! assert_eq!(stream.end(), Some(End::ReachedStart));
//! assert_eq!((stream.stats().messages, stream.stats().requests), (120, 2));
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! - Which part of a chat: [`Messages::since`], [`until`](Messages::until),
//!   [`bot_session`](Messages::bot_session), [`max_messages`](Messages::max_messages).
//! - How it is fetched: [`Messages::page_size`], [`max_page_size`](Messages::max_page_size),
//!   [`prefetch`](Messages::prefetch), [`RetryPolicy`].
//! - As what: [`Message`], a type of your own or bare JSON by [`Messages::stream_as`], whole pages by
//!   [`Messages::pages`] and [`Messages::pages_as`]; what cannot be read left out by [`Messages::skip_malformed`].
//! - Stopping and going on: [`MessageStream::checkpoint`], [`Messages::resume_from`],
//!   [`MessageStream::resume`]; a checkpoint beside each message by [`MessageStream::with_checkpoints`].
//! - What went wrong: [`Error`], [`ErrorKind`].
//! - Tests of your own: the feature `testing` and its `FakeTexter`.
//!
//! # How it behaves
//!
//! - **Lazy.** Nothing is sent before the first poll or while a message is in hand, unless
//!   [`prefetch`](Messages::prefetch) allows it.
//! - **Newest first**, and each message once, whatever ties, caps and page orders the server has.
//! - **Retries.** A page that fails in a way that may pass is asked for again as the [`RetryPolicy`] says; what
//!   is left after that is one `Err`, then `None` for ever.
//! - **One pace.** A server's rate limit belongs to the token, so all streams of a client and its clones share one
//!   pace: after a refusal (429, or 503 with `Retry-After`) none of them sends before the time to wait is over, then they
//!   send in turn, first come, first served, as fast as the server lets them. See
//!   [`ClientBuilder::requests_per_second`].
//! - **Cancel safe.** Dropping a pending `next()` loses nothing and sends nothing twice; dropping the stream
//!   aborts its request.
//! - **Resumable** to the message: in place by [`MessageStream::resume`], anywhere by a [`Checkpoint`].
//! - **Bound to no runtime.** A stream may be polled in one tokio runtime after the other: what was under way in the
//!   old one is sent again in the new one. Outside of any runtime, and in one that has been shut down, a poll gives
//!   an error, and [`resume`](MessageStream::resume) goes on inside one.
//!
//! # Features
//!
//! `rustls` and `gzip` are on by default; `native-tls` stands in for `rustls`. `jiff`, `chrono` and `time` convert
//! [`Timestamp`] from and into those crates' types. `testing` brings `FakeTexter`.
//!
//! # Panics
//!
//! A stream needs a tokio runtime with its timer and I/O switched on (`enable_all`, as `#[tokio::main]` does). In one
//! that was built without them, tokio itself panics.
//!
//! Times are epoch **milliseconds** throughout, as [`Timestamp`]; the endpoint knows no other unit (page
//! "Get Messages of a Chat").
#![cfg_attr(docsrs, feature(doc_cfg))]

mod chat_time;
mod checkpoint;
mod client;
mod cursor;
mod endpoint;
mod error;
mod fetch;
mod fingerprint;
mod id;
mod message;
mod pace;
mod page;
mod plan;
mod position;
mod query;
mod retry;
mod runtime;
mod stream;
#[cfg(feature = "testing")]
pub mod testing;
mod timestamp;
mod transport;
mod walk;
mod window;

pub use chat_time::Span;
pub use checkpoint::Checkpoint;
pub use client::{Client, ClientBuilder};
pub use cursor::Cursor;
pub use error::{Error, ErrorKind};
pub use id::{
    AccountId, AgentName, BotSessionId, ChatId, FileId, IsoDateTime, MessageId, ProviderMessageId,
    ShortText,
};
pub use message::{
    Button, Channel, ChannelInfo, ChatChannelInfo, ChatStatus, Direction, Extra, ExtraIter, Json,
    List, ListRow, ListSection, Media, MediaKind, Message, MessageKind, Postback, Status,
    StatusChange, UnknownWord,
};
pub use query::Messages;
pub use retry::RetryPolicy;
pub use stream::{MessageStream, Page, PageStream, Stats, WithCheckpoints};
#[cfg(any(feature = "jiff", feature = "chrono", feature = "time"))]
pub use timestamp::ConvertTimestampError;
pub use timestamp::{ParseTimestampError, Timestamp};
pub use walk::End;

/// The README's code is compiled and run with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
