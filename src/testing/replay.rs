//! A stream without a server, and a page without a stream.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use reqwest::Url;
use serde::de::DeserializeOwned;

use crate::checkpoint::{Cursor, Key};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::message::Message;
use crate::page::decoder;
use crate::query::Messages;
use crate::stream::MessageStream;
use crate::transport::{Sending, Transport};

/// A stream over messages that are in memory already, for code that takes a [`MessageStream`].
///
/// Give the messages of each page newest first, as [`Page`](crate::Page) has them. It sends nothing and
/// needs no runtime.
///
/// # Examples
///
/// ```
/// use futures::StreamExt;
/// use texter_history::Message;
/// use texter_history::testing::stream_of;
///
/// let newer: Message = serde_json::from_str(r#"{"_id": "b", "timestamp": 2}"#)?;
/// let older: Message = serde_json::from_str(r#"{"_id": "a", "timestamp": 1}"#)?;
/// let stream = stream_of("67bf11038b24880cc966f799", [vec![newer, older]]);
/// assert_eq!(futures::executor::block_on(stream.count()), 2);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a constant URL can be read")]
pub fn stream_of(
    chat_id: impl Into<String>,
    pages: impl IntoIterator<Item = Vec<Message>>,
) -> MessageStream {
    let base = Url::parse("http://localhost").expect("a URL");
    let endpoint = Endpoint::new(base, Arc::new(Nowhere));
    let pages = pages.into_iter().map(|mut messages| {
        messages.reverse();
        let keys = messages.iter().map(|message| {
            Key::Placed(Cursor { timestamp: message.timestamp, id: message.id.clone() })
        });
        (keys.collect(), messages.into_iter().map(Ok).collect())
    });
    Messages::new(Arc::new(endpoint), chat_id.into()).replay(pages.collect())
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
    Ok(decoder::<T>()(body, u32::MAX)?.messages)
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
