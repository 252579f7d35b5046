//! A stream without a server, and a page without a stream.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use reqwest::Url;
use serde::de::DeserializeOwned;

use crate::chat_time::ChatTime;
use crate::cursor::{Cursor, Key};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::id::ChatId;
use crate::message::Message;
use crate::page::{DecodedPage, decoder};
use crate::query::Messages;
use crate::stream::{Begin, MessageStream, Source};
use crate::transport::{Sending, Transport};
use crate::walk::End;

/// A stream over messages that are already in memory, for testing code that takes a [`MessageStream`].
///
/// Give the messages of each page newest first, as [`Page`](crate::Page) has them. The stream sends nothing and
/// needs no runtime.
///
/// # Examples
///
/// ```
/// use futures::StreamExt;
/// use texter_history::testing::stream_of;
/// use texter_history::{End, Message, Timestamp};
///
/// let newer = Message::new("b", Timestamp::from_millis(2));
/// let older = Message::new("a", Timestamp::from_millis(1));
/// let mut stream = stream_of("67bf11038b24880cc966f799", [vec![newer, older]]);
/// assert_eq!(futures::executor::block_on(stream.by_ref().count()), 2);
/// assert_eq!(stream.end(), Some(End::ReachedStart));
/// assert_eq!(stream.checkpoint().cursor().unwrap().id, "a");
/// ```
#[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a constant URL can be read")]
pub fn stream_of(
    chat_id: impl Into<ChatId>,
    pages: impl IntoIterator<Item = Vec<Message>>,
) -> MessageStream {
    let base = Url::parse("http://localhost").expect("a URL");
    let endpoint = Endpoint::new(base, Arc::new(Nowhere));
    let pages = pages.into_iter().map(|mut messages| {
        messages.reverse();
        let keys = messages.iter().map(|message| {
            Key::Placed(Cursor { timestamp: message.timestamp, id: message.id.clone() })
        });
        DecodedPage {
            keys: keys.collect(),
            messages: messages.into_iter().map(Ok).collect(),
            of_other_session: Vec::new(),
            chat_start: ChatTime::Unknown,
            chat_latest: ChatTime::Unknown,
        }
    });
    let query = Messages::new(Arc::new(endpoint), chat_id.into());
    MessageStream::new(Source {
        in_hand: pages.collect(),
        begin: Begin::Ended(End::ReachedStart),
        ..query.source(decoder::<Message>())
    })
}

/// The messages that a stream would make of one body, in the body's order.
///
/// # Errors
///
/// [`ErrorKind::MalformedPage`] when the body is not a page of the endpoint. A message that cannot be read
/// is an error of its own among the messages.
///
/// # Examples
///
/// ```
/// use texter_history::Message;
/// use texter_history::testing::read_page;
///
/// let body = br#"{"messages": [{"_id": "a", "timestamp": 1}, null], "minTime": 1, "maxTime": 1}"#;
/// let messages = read_page::<Message>(body)?;
/// assert_eq!(messages[0].as_ref().unwrap().id, "a");
/// assert!(messages[1].is_err());
/// # Ok::<(), texter_history::Error>(())
/// ```
pub fn read_page<T: DeserializeOwned + 'static>(
    body: &[u8],
) -> Result<Vec<Result<T, Error>>, Error> {
    Ok(decoder::<T>()(body, u32::MAX, None)?.messages)
}

/// Sends nothing.
struct Nowhere;

impl fmt::Debug for Nowhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nowhere")
    }
}

impl Transport for Nowhere {
    fn send(&self, _url: Url) -> Sending {
        async { Err(Error::new(ErrorKind::Transport, "there is no server behind this stream")) }
            .boxed()
    }
}
