//! A lazy, exactly-once [`Stream`](futures_core::Stream) over the messages of a Texter chat.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod checkpoint;
mod client;
mod endpoint;
mod error;
mod fetch;
mod fingerprint;
mod id;
mod message;
mod page;
mod query;
mod retry;
mod stream;
#[cfg(feature = "testing")]
pub mod testing;
mod timestamp;
mod transport;
mod walk;

pub use checkpoint::{Checkpoint, Cursor};
pub use client::{Client, ClientBuilder};
pub use error::{Error, ErrorKind};
pub use id::{
    AccountId, AgentName, BotSessionId, ChatId, FileId, IsoDateTime, MessageId, ProviderMessageId,
};
pub use message::{
    Button, Channel, ChannelInfo, ChatChannelInfo, ChatStatus, Direction, Extra, Json, List,
    ListRow, ListSection, Media, MediaKind, Message, MessageKind, Postback, Status, StatusChange,
    UnknownWord,
};
pub use query::Messages;
pub use retry::RetryPolicy;
pub use stream::{MessageStream, Page, PageStream, Span, Stats};
pub use timestamp::Timestamp;
pub use walk::End;
