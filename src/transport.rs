//! The interface to HTTP. The code above it knows only that a request is sent and an answer arrives. So tests
//! can use a scripted transport.

mod failure;
pub(crate) mod http;
#[cfg(test)]
pub(crate) mod scripted;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use reqwest::Url;

use crate::error::Error;

pub(crate) type Sending = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>>;
pub(crate) type Body = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// Sends requests.
pub(crate) trait Transport: fmt::Debug + Send + Sync {
    fn send(&self, url: Url) -> Sending;

    /// How many connections it may have kept alive, at most.
    fn most_kept_alive(&self) -> usize {
        1
    }
}

/// The head of an answer, and its body as it arrives.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// The content type of the body, if it is not JSON.
    pub(crate) other_type: Option<String>,
    /// The length that the server announced, if the arriving bytes are the ones it counted.
    pub(crate) length: Option<u64>,
    pub(crate) body: Body,
}
