//! The way to one Texter project: its address, its token, and how patiently the client asks.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::id::ChatId;
use crate::pace::Pace;
use crate::query::Messages;
use crate::retry::RetryPolicy;
use crate::transport::Transport;
use crate::transport::http::HttpTransport;

/// A way to the chats of one Texter project.
///
/// Cloning it copies one pointer. All clones share the connections and the pace at which requests go out. So use one
/// client for all chats that are read with one token: it keeps the token's rate limit. `Debug` shows no secret.
///
/// # Examples
///
/// ```
/// use texter_history::Client;
///
/// let client = Client::builder().project("acme").token("the-token").build()?;
/// let messages = client.messages("67bf11038b24880cc966f799").page_size(100);
/// assert!(!format!("{client:?}").contains("the-token"));
/// # Ok::<(), texter_history::Error>(())
/// ```
#[derive(Clone)]
pub struct Client {
    endpoint: Arc<Endpoint>,
}

impl Client {
    /// Starts to describe a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A client from the environment variables `TEXTER_BASE_URL` (or else `TEXTER_PROJECT`) and `TEXTER_TOKEN`. An empty
    /// variable counts as not set.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) when a variable is missing or cannot be used (see
    /// [`ClientBuilder::build`]).
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_env()?.build()
    }

    /// A query for the messages of one chat. Nothing is sent yet. `chat` is the chat's `_id`: 1 to 256 characters of
    /// `a-z` and `0-9`. With any other id, the stream's only item is an `Err` of kind
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest).
    ///
    /// # Examples
    ///
    /// A `&str`, a `String`, a `&String`, a [`ChatId`] and a `&ChatId` all fit:
    ///
    /// ```
    /// use texter_history::{Client, Message, Timestamp};
    ///
    /// let client = Client::builder().project("acme").token("the-token").build()?;
    /// let stream = client.messages("67bf11038b24880cc966f799").stream();
    /// let checkpoint = stream.checkpoint();
    /// let again = client.messages(checkpoint.chat()).resume_from(checkpoint.clone()).stream();
    /// assert_eq!(again.checkpoint(), checkpoint);
    ///
    /// let mut message = Message::new("68ba89f8c909657dffcf267c", Timestamp::now());
    /// message.parent_chat = Some(checkpoint.chat().clone());
    /// if let Some(chat) = &message.parent_chat {
    ///     assert_eq!(client.messages(chat).stream().checkpoint(), checkpoint);
    /// }
    /// # Ok::<(), texter_history::Error>(())
    /// ```
    ///
    /// A checkpoint is not the id of a chat:
    ///
    /// ```compile_fail,E0277
    /// # use texter_history::{Checkpoint, Client};
    /// # fn resume(client: &Client, checkpoint: Checkpoint) {
    /// let messages = client.messages(checkpoint); // `.messages(checkpoint.chat()).resume_from(checkpoint.clone())`
    /// # }
    /// ```
    pub fn messages(&self, chat: impl Into<ChatId>) -> Messages {
        Messages::new(Arc::clone(&self.endpoint), chat.into())
    }

    #[cfg(test)]
    pub(crate) fn with_transport(transport: Arc<dyn Transport>, retry: RetryPolicy) -> Self {
        let base = Url::parse("https://acme.texterchat.com/server/api/v2").unwrap();
        Self { endpoint: Arc::new(Endpoint { retry, ..Endpoint::new(base, transport) }) }
    }

    #[cfg(test)]
    pub(crate) fn with_pace(self, requests_per_second: f64) -> Self {
        let Endpoint { base, transport, retry, .. } = &*self.endpoint;
        let pace = Arc::new(Pace::new(Some(requests_per_second)));
        let (transport, retry) = (Arc::clone(transport), retry.clone());
        let endpoint = Endpoint { retry, pace, ..Endpoint::new(base.clone(), transport) };
        Self { endpoint: Arc::new(endpoint) }
    }

    #[cfg(test)]
    pub(crate) fn with_max_body_bytes(self, max_body_bytes: u64) -> Self {
        let Endpoint { base, transport, retry, .. } = &*self.endpoint;
        let (transport, retry) = (Arc::clone(transport), retry.clone());
        let endpoint = Endpoint { retry, max_body_bytes, ..Endpoint::new(base.clone(), transport) };
        Self { endpoint: Arc::new(endpoint) }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.endpoint.base.as_str())
            .field("retry", &self.endpoint.retry)
            .field("timeout", &self.endpoint.timeout)
            .field("max_body_bytes", &self.endpoint.max_body_bytes)
            .field("pace", &self.endpoint.pace)
            .finish_non_exhaustive()
    }
}

/// Describes a [`Client`]. A setter replaces what was set before. [`build`](Self::build) checks all values.
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct ClientBuilder {
    project: Option<String>,
    base_url: Option<String>,
    token: Option<SecretString>,
    retry: RetryPolicy,
    timeout: Option<Duration>,
    max_body_bytes: Option<u64>,
    requests_per_second: Option<f64>,
    http_client: Option<reqwest::Client>,
}

impl ClientBuilder {
    /// A builder with the values that [`Client::from_env`] takes from the environment, to which you can add others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) when a variable is missing.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use texter_history::ClientBuilder;
    ///
    /// let client = ClientBuilder::from_env()?.requests_per_second(10.0).build()?;
    /// # Ok::<(), texter_history::Error>(())
    /// ```
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let builder = match (set("TEXTER_BASE_URL"), set("TEXTER_PROJECT")) {
            (Some(url), _) => Self::default().base_url(url),
            (None, Some(project)) => Self::default().project(project),
            (None, None) => {
                return Err(Error::invalid_request(
                    "neither TEXTER_BASE_URL nor TEXTER_PROJECT is set; set TEXTER_PROJECT to the name \
                     before .texterchat.com",
                ));
            }
        };
        let token = set("TEXTER_TOKEN").ok_or_else(|| {
            Error::invalid_request(
                "TEXTER_TOKEN is not set; set it to a token with the scope View all chats",
            )
        })?;
        Ok(builder.token(token))
    }

    /// The project's name: the part before `.texterchat.com`, of `a-z`, `0-9` and `-`. Requests go to
    /// `https://{name}.texterchat.com/server/api/v2`. Either this or [`base_url`](Self::base_url) is needed.
    pub fn project(mut self, name: impl Into<String>) -> Self {
        self.project = Some(name.into());
        self
    }

    /// The address of the API: everything before `/messages/…`, with or without a trailing slash. Set either a project or
    /// this: [`build`](Self::build) refuses both.
    /// Plain `http` is accepted only to this machine itself, because the token is not encrypted there. These requests do
    /// not go through a proxy from the environment, because the proxy could read the token.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// The token. It is needed, and must have the scope **View all chats**. Whoever holds it can read the whole inbox. It is
    /// wiped from memory when the last clone of the client is dropped.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(SecretString::from(token.into()));
        self
    }

    /// How often and how long a page is retried. Default [`RetryPolicy::default`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// The longest that one attempt may take, from connecting to the last byte. Default 60 seconds. Zero is refused.
    ///
    /// It covers a connection that is not made, an answer that does not begin, silence in a body, and a server that
    /// sends one byte a second. Time without polls does not count. The wait for a turn does not count.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The longest body that is accepted, in bytes after decompression. Default 64 MiB. Zero is refused. A longer body
    /// is an error of kind [`BodyTooLarge`](crate::ErrorKind::BodyTooLarge). Reading ahead stops while the bodies of the
    /// pages that wait add up to more than this.
    pub fn max_body_bytes(mut self, bytes: u64) -> Self {
        self.max_body_bytes = Some(bytes);
        self
    }

    /// The most requests that the client sends in a second, over all its streams and clones. Default: as many as the server
    /// takes.
    ///
    /// The requests go out evenly, one every `1 / requests` seconds, and the stream that has waited longest comes first. There
    /// is no burst: time in which nothing was sent is not made up for. Since a timer is no finer than a millisecond, a pace
    /// of hundreds a second is a little slower than that.
    /// Numbers below one are fine: 0.5 is a request every two seconds. [`build`](Self::build) refuses zero, negative numbers
    /// and what is not finite.
    ///
    /// You do not need it to keep a server's rate limit. After a 429, or a 503 with `Retry-After`, all streams of the client
    /// wait, and then find out how fast they may go on (an event of `tracing` tells when the pace falls, or has risen by a
    /// quarter). But if you know the limit, this avoids the refusals. It also leaves a
    /// part of the limit to others who use the same token.
    ///
    /// # Examples
    ///
    /// ```
    /// # use futures::{StreamExt, TryStreamExt, future};
    /// # use texter_history::testing::{Conversation, FakeChat, FakeTexter};
    /// # use texter_history::{Client, Message};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat = |id| FakeChat::new(id).messages(Conversation::seeded(7).messages(60));
    /// # let server = FakeTexter::builder().chat(chat("a")).chat(chat("b")).start().await?;
    /// # let (base_url, token) = (server.base_url(), server.token());
    /// let client = Client::builder().base_url(base_url).token(token).requests_per_second(20.0).build()?;
    /// let chats = ["a", "b"].map(|chat| client.messages(chat).stream().try_collect::<Vec<Message>>());
    /// let began = std::time::Instant::now();
    /// assert!(future::join_all(chats).await.iter().all(Result::is_ok));
    /// // Two chats of two pages: four requests, a twentieth of a second apart.
    /// assert!(began.elapsed().as_millis() >= 149);
    /// # Ok(())
    /// # }
    /// ```
    pub fn requests_per_second(mut self, requests: f64) -> Self {
        self.requests_per_second = Some(requests);
        self
    }

    /// Your own HTTP client, for a proxy, a certificate or a shared pool. Set three things in it:
    ///
    /// - **No redirects** (`reqwest::redirect::Policy::none()`), because the token belongs to one host. An answer from another
    ///   URL than was asked is refused.
    /// - **No retries** (`reqwest::retry::never()`), because this crate does its own.
    /// - **HTTP/1.1 only** (`reqwest::ClientBuilder::http1_only`). reqwest speaks HTTP/2 as soon as any crate of the program
    ///   switches on its feature `http2`. Then all requests to a host share one connection and its window. The bodies of
    ///   streams that you do not poll fill that window, and every other stream waits until its timeout.
    ///
    /// Use your client in one runtime. Its connections belong to the tokio runtime that they were made in. If that runtime
    /// exists but does not run (a current-thread runtime outside of `block_on`), they do not answer in another one. The
    /// crate's own client keeps the connections of each runtime apart.
    pub fn http_client(mut self, client: reqwest::Client) -> Self {
        self.http_client = Some(client);
        self
    }

    /// Checks everything and makes the client. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) when:
    ///
    /// - the project or the URL is missing, cannot be used, or is plain `http` to another machine;
    /// - the token is missing or cannot be a header;
    /// - a limit is zero or not a number;
    /// - the HTTP client cannot be made.
    pub fn build(self) -> Result<Client, Error> {
        let base = match (self.base_url, self.project) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid_request(
                    "both a project and a base URL are set; set one",
                ));
            }
            (Some(url), None) => checked_base_url(&url)?,
            (None, Some(project)) => project_url(&project)?,
            (None, None) => {
                return Err(Error::invalid_request("set the project or the base URL"));
            }
        };
        let token = self.token.ok_or_else(|| {
            Error::invalid_request("set the token; it needs the scope View all chats")
        })?;
        let fit = !token.expose_secret().is_empty()
            && token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic())
            && HeaderValue::from_str(token.expose_secret()).is_ok();
        if !fit {
            return Err(Error::invalid_request(
                "the token is empty or holds a character that no header can carry; check it for spaces \
                 and line ends",
            ));
        }
        let is_zero = self.timeout.is_some_and(|timeout| timeout.is_zero());
        if is_zero || self.max_body_bytes == Some(0) {
            return Err(Error::invalid_request(
                "the timeout and the largest body must be above zero",
            ));
        }
        let is_pace = |rate: f64| rate.is_finite() && rate > 0.0;
        if !self.requests_per_second.is_none_or(is_pace) {
            return Err(Error::invalid_request(
                "the requests per second must be a number above zero; leave them out for no limit",
            ));
        }
        let transport: Arc<dyn Transport> = Arc::new(match self.http_client {
            Some(client) => HttpTransport::given(client, token),
            None => HttpTransport::own(base.scheme() == "http", token)?,
        });
        let mut endpoint = Endpoint::new(base, transport);
        endpoint.retry = self.retry;
        endpoint.timeout = self.timeout.unwrap_or(endpoint.timeout);
        endpoint.max_body_bytes = self.max_body_bytes.unwrap_or(endpoint.max_body_bytes);
        endpoint.pace = Arc::new(Pace::new(self.requests_per_second));
        Ok(Client { endpoint: Arc::new(endpoint) })
    }
}

fn project_url(project: &str) -> Result<Url, Error> {
    let fit = !project.is_empty()
        && project.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !fit {
        return Err(Error::invalid_request(
            "the project's name may hold only a-z, 0-9 and -; it is what stands before .texterchat.com",
        ));
    }
    checked_base_url(&format!("https://{project}.texterchat.com/server/api/v2"))
}

/// NOTE: no error here quotes the URL, because the URL may hold a password.
fn checked_base_url(text: &str) -> Result<Url, Error> {
    let refused = |why| Err(Error::invalid_request(why));
    let Ok(mut url) = Url::parse(text) else {
        return refused("the base URL cannot be read; write it as https://host/path");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refused("the base URL holds a user name or password; give the token by token()");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refused(
            "the base URL goes on after its path; give only what stands before /messages",
        );
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return refused("plain http would show the token to the network; use https"),
        _ => return refused("the base URL is neither https nor http"),
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
