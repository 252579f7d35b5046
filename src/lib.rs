//! All messages of a Texter chat, in either direction, each exactly once, as a lazy async
//! [`Stream`](futures_core::Stream).
//!
//! ```toml
//! [dependencies]
//! texter-history = "0.1"
//! futures = "0.3"                                     # `StreamExt` (`next`, `by_ref`) and `TryStreamExt` (`try_next`, `try_collect`)
//! tokio = { version = "1", features = ["full"] }
//! ```
//!
//! [`Client`] knows the project and the token. [`Client::messages`] makes a query, [`Messages`], which says what of a chat
//! is read and how. [`Messages::stream`] makes the [`MessageStream`]. Nothing is sent before the stream is polled.
//!
//! ```
//! # use texter_history::testing::{Conversation, FakeChat, FakeTexter};
//! use futures::TryStreamExt;
//! use texter_history::{Client, End};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let messages = Conversation::seeded(7).messages(120).tie_share(0.0);
//! # let chat = FakeChat::new("67bf11038b24880cc966f799").messages(messages);
//! # let server = FakeTexter::builder().chat(chat).start().await?;
//! # let (base_url, token) = (server.base_url(), server.token());
//! // For the real service: `Client::from_env()?`, or `.project("acme")` in place of `.base_url(…)`.
//! let client = Client::builder().base_url(base_url).token(token).build()?;
//! let mut stream = client.messages("67bf11038b24880cc966f799").page_size(100).stream();
//! while let Some(message) = stream.try_next().await? {
//!     println!("{} {}", message.timestamp, message.text.as_deref().unwrap_or(""));
//! }
//! assert_eq!(stream.end(), Some(End::ReachedStart));
//! assert_eq!((stream.stats().messages, stream.stats().requests), (120, 2));
//! # Ok(())
//! # }
//! ```
//!
//! All times are epoch **milliseconds**, as [`Timestamp`].
//!
//! # Where a token and a chat's id come from
//!
//! - **The token** is made in Texter, by somebody who may do so for your project. It needs the scope **View all chats**. Texter
//!   shows it once, when it is made. Whoever holds it can read the whole inbox, so treat it as a password.
//! - **The project** is the name before `.texterchat.com` in the address of your Texter.
//! - **The chat's id** is its `_id`, of `a-z` and `0-9`, such as `67bf11038b24880cc966f799`. Texter's API has it in each chat
//!   object, and in each message as `parent_chat`. It is not a telephone number. This crate cannot list chats.
//!
//! [`Client::from_env`] reads the environment variables `TEXTER_PROJECT` (or `TEXTER_BASE_URL`) and `TEXTER_TOKEN`.
//!
//! # Which order, how many at once, what is new
//!
//! **Newest first** is the default. It is how the server hands out messages, so it costs the fewest requests and shows the
//! first message soonest. Among messages of one timestamp, the order is the reverse of the server's.
//!
//! **Oldest first** ([`Messages::oldest_first`]) is for exports, and for whatever goes on tomorrow. The server only pages
//! backwards. So the stream cuts the chat into *windows* of time, reads each window backwards, and hands it out forwards:
//!
//! ```text
//!   oldest                                                          newest
//!     ├────── window 1 ──────┼────── window 2 ──────┼─── window 3 ───┤
//! read   ◀── page ◀── page     ◀── page ◀── page      ◀── page
//! out  a  b  c  d  e  f  g     h  i  j  k  l  m  n     o  p  q  r  s   ──▶
//! ```
//!
//! **Several requests at once** ([`Messages::concurrency`]): up to so many windows are read at the same time, in either direction.
//! The messages and their order stay the same, because a window waits until those before it have been handed out:
//!
//! ```text
//! concurrency(3), oldest first
//!   window 1  ◀── page ◀── page      handed out now
//!   window 2       ◀── page ◀── page     read, waits for window 1
//!   window 3            ◀── page ◀─      being read
//! ```
//!
//! [`Messages::prefetch`] is the smaller step: it reads a few pages ahead within one window.
//!
//! **What is new** since the last run: save the [`checkpoint`](MessageStream::checkpoint) of an oldest-first stream, and
//! [resume from](Messages::resume_from) it. If nothing is new, that costs one request
//! (without a lookback, and if no message is dated in the future). Three things to know:
//!
//! - A message may *arrive late*: its timestamp is older than that of a message you have already. Only
//!   [`Messages::lookback`] finds it.
//! - A *change* (a new status, an edit, a deletion) is not a new message. To see changes, read the last days again by
//!   [`Messages::since`].
//! - The checkpoint of a *newest-first* stream goes on towards older messages. To go on forwards after it, save
//!   [`MessageStream::newest_checkpoint`].
//!
//! # Recipes
//!
//! The README has most of these in full. Its code is tested.
//!
//! | you want | use |
//! |---|---|
//! | the chat from its beginning | [`oldest_first`](Messages::oldest_first) |
//! | what is new since the last run | [`checkpoint`](MessageStream::checkpoint), [`resume_from`](Messages::resume_from), [`lookback`](Messages::lookback) |
//! | new messages as they come | [`follow`](Messages::follow), [`is_caught_up`](MessageStream::is_caught_up) |
//! | many chats over one token | one [`Client`], cloned; [`requests_per_second`](ClientBuilder::requests_per_second) |
//! | one long chat, faster | [`concurrency`](Messages::concurrency), [`page_size`](Messages::page_size), [`max_page_size`](Messages::max_page_size), [`prefetch`](Messages::prefetch) |
//! | batches, each saved with its checkpoint | [`with_checkpoints`](MessageStream::with_checkpoints), then `try_chunks` |
//! | a date range | [`since`](Messages::since), [`until`](Messages::until), [`Timestamp`] |
//! | one bot session, or the newest 100 messages | [`bot_session`](Messages::bot_session), [`max_messages`](Messages::max_messages) |
//! | your own struct, or the JSON as it came | [`stream_as`](Messages::stream_as) |
//! | whole pages | [`pages`](Messages::pages), [`pages_as`](Messages::pages_as) |
//! | unreadable messages left out | [`skip_malformed`](Messages::skip_malformed) |
//! | a status or an edit of a message you have | [`since`](Messages::since) again, and update by [`Message::id`] |
//! | a test without the network | [`FakeTexter`], or [`stream_of`](testing::stream_of) without a server: `cargo add --dev texter-history --features testing` |
//!
//! # How it behaves
//!
//! - **Lazy.** Only a poll sends a request. Without [`prefetch`](Messages::prefetch) and [`concurrency`](Messages::concurrency),
//!   a poll sends none while messages of the last page are still to be handed out.
//! - **Exactly once.** Each message comes once, whatever shares a timestamp and however the server pages.
//! - **Never a silent end.** The stream ends when it has reached what you asked for ([`End`]). If the walk
//!   cannot get past what the server sends, you get an error of kind [`Stalled`](ErrorKind::Stalled).
//! - **One pace.** A rate limit belongs to the token. So all streams of a client and its clones share one pace, first come,
//!   first served.
//! - **Cancel safe.** Dropping a pending `next()` loses nothing and sends nothing twice. Dropping the stream aborts its
//!   requests.
//! - **Bound to no runtime.** You may poll a stream in one tokio runtime and later in another. What was under way in the
//!   first is sent again in the second.
//!
//! # When something fails
//!
//! | what happens | what you see |
//! |---|---|
//! | the connection is refused, reset, or cut in the middle of an answer | retried, then [`Transport`](ErrorKind::Transport) |
//! | no complete answer within [`timeout`](ClientBuilder::timeout) (60 s) | retried, then [`Timeout`](ErrorKind::Timeout) |
//! | 429 | the server is given time, see below; then [`RateLimited`](ErrorKind::RateLimited) |
//! | 408, 500, 502, 503, 504 | retried, then [`Status`](ErrorKind::Status) or [`Server`](ErrorKind::Server) |
//! | 400, 401, 403, 404 | at once [`InvalidRequest`](ErrorKind::InvalidRequest), [`Unauthorized`](ErrorKind::Unauthorized), [`Forbidden`](ErrorKind::Forbidden) (the scope **View all chats** is missing), [`NotFound`](ErrorKind::NotFound) |
//! | a redirect, any other status, a proxy that asks for a password (407) | at once [`Status`](ErrorKind::Status); 501 and from 505 on [`Server`](ErrorKind::Server) |
//! | a certificate that is not trusted, no TLS at the port, a name that does not exist | at once [`Transport`](ErrorKind::Transport) |
//! | a proxy's HTML, JSON that was cut short, a wrong `Content-Encoding`, 10,000 messages more than asked for | at once [`MalformedPage`](ErrorKind::MalformedPage) |
//! | a body longer than [`max_body_bytes`](ClientBuilder::max_body_bytes) (64 MiB, decompressed) | at once [`BodyTooLarge`](ErrorKind::BodyTooLarge) |
//! | one message that cannot be read | one [`MalformedMessage`](ErrorKind::MalformedMessage) in its place; the stream goes on |
//! | the server repeats itself, or never shows all messages of one timestamp | [`Stalled`](ErrorKind::Stalled), which says why |
//! | a bad page size, chat id or checkpoint | [`InvalidRequest`](ErrorKind::InvalidRequest), and nothing is sent |
//! | a poll outside of any tokio runtime, or in one that was shut down | [`Transport`](ErrorKind::Transport); [`resume`](MessageStream::resume) goes on inside a runtime |
//!
//! **Retries.** A page gets ten attempts and two minutes ([`RetryPolicy`]). The waits between them grow from half a second
//! to 30 seconds. Each wait is random: between a tenth and the whole of its longest value.
//!
//! **Time during which you do not poll** does not count against `timeout`. Time during which a request waits for its turn
//! does not count either.
//!
//! **Rate limits.** A 429, or a 503 with `Retry-After`, holds all streams of the client. They wait as long as
//! `Retry-After` says, plus a random wait, so that they do not all come back at once. A refusal does not count
//! as an attempt, but its time counts towards the two minutes. If `Retry-After` is longer than a minute, the
//! page fails at once with [`Error::retry_after`] set.
//!
//! **After a failed page.** The messages before it are handed out, then one `Err` comes, then `None` for ever. No request is
//! sent any more, so no combinator can spin on the error. [`MessageStream::resume`] goes on in place; a [`Checkpoint`] goes on
//! in another process.
//!
//! **Secrets.** Neither the token nor a message's text is shown by any error or trace. Only [`Error::raw_message`] gives
//! the text of a message that could not be read.
//!
//! # Features
//!
//! | feature | default | |
//! |---|---|---|
//! | `rustls` | yes | TLS by rustls, with the platform's certificates |
//! | `gzip` | yes | asks for compressed pages |
//! | `native-tls` | | TLS by the platform's library, in place of `rustls` |
//! | `jiff`, `chrono`, `time` | | converts [`Timestamp`] from and into their types |
//! | `testing` | | [`FakeTexter`], an in-process server for your own tests, and a generator of conversations |
//!
//! # Panics
//!
//! A stream needs a tokio runtime with its timer and I/O switched on (`enable_all`, as `#[tokio::main]` does). In a runtime
//! that was built without them, tokio itself panics.
//!
//! # Texter's reference
//!
//! What this crate takes from each page of Texter's API reference:
//!
//! | page | what for |
//! |---|---|
//! | "Get Messages of a Chat" | the request, its cursor and filters, `minTime` and `maxTime` |
//! | "The Message object" | [`Message`] and its parts |
//! | "The Chat object" | [`ChatId`] |
//! | "Enums & Common Fields" | [`MessageKind`], [`Status`], [`Direction`], [`Channel`] and the like |
//! | "Authentication" | the token and its scope |
//! | "Message Status Changed" | [`ProviderMessageId`], which such a webhook carries |
//!
//! # Public dependencies
//!
//! Types and traits of other crates stand in this crate's signatures. A new incompatible version of one of these is a new
//! incompatible version of this crate:
//!
//! | crate | where |
//! |---|---|
//! | `futures-core` 0.3 | `Stream` and `FusedStream` |
//! | `serde` 1 | `Serialize` and `Deserialize`; the bound of [`Messages::stream_as`] |
//! | `serde_json` 1 | `Value` in [`Json::to_value`]; `Value` and `RawValue` as `T` in [`Messages::stream_as`] |
//! | `reqwest` 0.13 | [`ClientBuilder::http_client`] |
//! | `tokio` 1 | the runtime that streams run in |
//! | `jiff` 1, `chrono` 0.4, `time` 0.3 | conversions of [`Timestamp`], each only with the feature of its name |
//! | `bytes` 1 | bodies of scripted faults, only with the feature `testing` |
//!
//! All others can change without notice.
//!
#![cfg_attr(feature = "testing", doc = "[`FakeTexter`]: testing::FakeTexter")]
#![cfg_attr(
    not(feature = "testing"),
    doc = "[`FakeTexter`]: https://docs.rs/texter-history/latest/texter_history/testing/struct.FakeTexter.html"
)]
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
    Button, Channel, ChannelInfo, ChatChannelInfo, ChatStatus, Direction, Extra, ExtraIntoIter,
    ExtraIter, Json, List, ListRow, ListSection, Media, MediaKind, Message, MessageKind, Postback,
    Status, StatusChange, UnknownWord,
};
pub use query::Messages;
pub use retry::RetryPolicy;
pub use stream::with_checkpoints::WithCheckpoints;
pub use stream::{MessageStream, Page, PageStream, Stats};
#[cfg(any(feature = "jiff", feature = "chrono", feature = "time"))]
pub use timestamp::conversions::ConvertTimestampError;
pub use timestamp::{ParseTimestampError, Timestamp};
pub use walk::End;

/// The README's code is compiled and run together with the examples of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
