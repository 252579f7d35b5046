//! The seam to HTTP. Everything above it knows one request that is sent and one answer that arrives, so
//! that it can be tried with a scripted transport.

#[cfg(test)]
pub(crate) mod scripted;

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::SystemTime;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, TryStreamExt};
use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, RETRY_AFTER};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, ErrorKind};
use crate::retry::parse_retry_after;

pub(crate) type Sending = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>>;
pub(crate) type Body = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// What sends a request.
pub(crate) trait Transport: fmt::Debug + Send + Sync {
    fn send(&self, url: Url) -> Sending;
}

/// The head of an answer, and its body as it arrives.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<std::time::Duration>,
    /// The length that the server announced, if what arrives is what it counted.
    pub(crate) length: Option<u64>,
    pub(crate) body: Body,
}

/// Sends by `reqwest`.
pub(crate) struct HttpTransport {
    client: reqwest::Client,
    token: SecretString,
}

impl HttpTransport {
    pub(crate) fn new(client: reqwest::Client, token: SecretString) -> Self {
        Self { client, token }
    }

    /// The header that carries the token, marked sensitive so that nothing prints it.
    fn authorization(&self) -> Option<HeaderValue> {
        let text = Zeroizing::new(format!("Bearer {}", self.token.expose_secret()));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").finish_non_exhaustive()
    }
}

impl Transport for HttpTransport {
    fn send(&self, url: Url) -> Sending {
        let authorization = self.authorization();
        let request = self.client.get(url.clone()).header(ACCEPT, "application/json");
        Box::pin(async move {
            let authorization = authorization
                .ok_or_else(|| Error::invalid_request("the token cannot be sent in a header"))?;
            let sent = request.header(AUTHORIZATION, authorization).send().await;
            let response = sent.map_err(|error| broken(error, "the request failed"))?;
            if *response.url() != url {
                return Err(Error::new(
                    ErrorKind::Status,
                    "the answer came from another address than was asked; switch redirects off in the \
                     HTTP client",
                ));
            }
            let retry_after =
                response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            Ok(Response {
                status: response.status().as_u16(),
                retry_after: retry_after
                    .and_then(|text| parse_retry_after(text, SystemTime::now())),
                length: response.content_length(),
                body: response
                    .bytes_stream()
                    .map_err(|error| broken(error, "the answer broke off"))
                    .boxed(),
            })
        })
    }
}

/// NOTE: the URL is taken out: it is in the error's own words already.
fn broken(error: reqwest::Error, what: &'static str) -> Error {
    let error = error.without_url();
    let kind = if error.is_timeout() {
        ErrorKind::Timeout
    } else if error.is_builder() {
        ErrorKind::InvalidRequest
    } else if is_bad_encoding(&error) {
        ErrorKind::MalformedPage
    } else {
        ErrorKind::Transport
    };
    Error::new(kind, what).with_source(error)
}

/// Whether the body arrived but is not what its `Content-Encoding` says: asking again would not help. A
/// body that ends too soon, or an error of the connection below the decoder, is a broken connection.
fn is_bad_encoding(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            let of_connection =
                cause.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<reqwest::Error>);
            let of_decoder = matches!(
                cause.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other
            );
            return error.is_decode() && of_decoder && !of_connection;
        }
        source = cause.source();
    }
    false
}
