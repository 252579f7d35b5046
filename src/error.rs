//! The only error type: what failed, for which chat and cursor, and what to do about it.
//!
//! NOTE: no text of a message and no token may enter an `Error`. The messages of `serde_json` quote values of
//! the JSON. So an `Error` stores only the line and column.

mod cause;
mod context;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::cursor::Cursor;
use crate::id::ChatId;
use crate::timestamp::ParseTimestampError;
#[cfg(any(feature = "jiff", feature = "chrono", feature = "time"))]
use crate::timestamp::conversions::ConvertTimestampError;

pub(crate) use cause::Cause;

/// What kind of failure an [`Error`] is.
///
/// # Examples
///
/// ```
/// use texter_history::{Client, ErrorKind};
///
/// let error = Client::builder().project("not a host").token("t").build().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidRequest);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something that the caller passed cannot be asked for, or the server answered 400. Never retried:
    /// the same request would fail again.
    InvalidRequest,
    /// 401: the token is wrong or has been withdrawn. Never retried.
    Unauthorized,
    /// 403: the token lacks the scope **View all chats**. Never retried.
    Forbidden,
    /// 404: there is no such chat, or the address leads elsewhere. Never retried.
    NotFound,
    /// 429: the client asked too often. Or another request of this client was told to wait for longer than
    /// [`max_retry_after`](crate::RetryPolicy::max_retry_after), and this request had to wait with it. Retried,
    /// but not before `Retry-After` is over.
    RateLimited,
    /// 5xx: the server failed. 500, 502, 503 and 504 are retried: reading twice changes nothing.
    Server,
    /// Any other status than 200, redirects among them. Only 408 is retried.
    Status,
    /// No complete answer within the time allowed. Retried: reading twice changes nothing.
    Timeout,
    /// The connection could not be made, or broke before the end of the answer. Retried, because reading twice changes
    /// nothing, unless it would fail again (see [`Error::is_retryable`]).
    Transport,
    /// The body was longer than [`max_body_bytes`](crate::ClientBuilder::max_body_bytes). Never retried.
    BodyTooLarge,
    /// A body that is not a page of this endpoint, such as a proxy's HTML. Never retried.
    MalformedPage,
    /// One message that cannot be read. The other messages of its page are not affected, and the stream goes
    /// on. Never retried, because the page itself arrived.
    MalformedMessage,
    /// The stream cannot get past what the server answers without repeating or losing messages. The error says why. Never
    /// retried, because the server would answer the same.
    Stalled,
}

/// Why a stream could not go on, or one message could not be read.
///
/// `Display` says what failed, for which chat and page, after how many attempts, and what to do about it. `Debug` says the
/// same, with the kind before it and the causes behind it, because a `main` that returns a `Result` prints `Debug`.
///
/// Neither the token nor the text of a message is in `Display`, `Debug` or the [`source`](StdError::source) chain. Only
/// [`raw_message`](Self::raw_message) gives the text of a message that could not be read.
///
/// Which fault leads to which kind, and what is retried: see *When something fails* on the [crate's front page](crate).
///
/// # Examples
///
/// ```
/// # use futures::StreamExt;
/// # use texter_history::Client;
/// # use texter_history::testing::FakeTexter;
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = FakeTexter::builder().without_scope().start().await?;
/// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
/// let mut stream = client.messages("67bf11038b24880cc966f799").stream();
/// let error = stream.next().await.unwrap().unwrap_err();
///
/// let told = error.to_string();
/// assert!(told.starts_with("chat 67bf11038b24880cc966f799, the first page: the server answered 403"));
/// assert!(told.ends_with("; give the token the scope View all chats"));
/// assert_eq!(format!("{error:?}"), format!("Forbidden: {told}"));
/// # Ok(())
/// # }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    detail: Cow<'static, str>,
    chat: Option<ChatId>,
    page: Page,
    status: Option<u16>,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
    attempts: u32,
    elapsed: Option<Duration>,
    raw_message: Option<Box<str>>,
    path: Option<Box<str>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Which page of the chat was being read.
enum Page {
    /// No page: nothing was asked for.
    None,
    First,
    /// The page that begins before this message.
    Before(Cursor),
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            detail: detail.into(),
            chat: None,
            page: Page::None,
            status: None,
            retry_after: None,
            cause: None,
            attempts: 0,
            elapsed: None,
            raw_message: None,
            path: None,
            source: None,
        }))
    }

    pub(crate) fn invalid_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidRequest, detail)
    }

    /// An answer whose status is not 200.
    pub(crate) fn from_status(status: u16) -> Self {
        let kind = match status {
            400 => ErrorKind::InvalidRequest,
            401 => ErrorKind::Unauthorized,
            403 => ErrorKind::Forbidden,
            404 => ErrorKind::NotFound,
            429 => ErrorKind::RateLimited,
            500..=599 => ErrorKind::Server,
            _ => ErrorKind::Status,
        };
        let who = if status == 407 { "a proxy" } else { "the server" };
        let mut error = Self::new(kind, format!("{who} answered {status}"));
        error.0.status = Some(status);
        error
    }

    /// One message that cannot be read. `detail` names the fault without quoting the message. `path` is the
    /// field.
    pub(crate) fn malformed_message(
        detail: impl Into<Cow<'static, str>>,
        raw: &str,
        path: Option<String>,
    ) -> Self {
        let mut error = Self::new(ErrorKind::MalformedMessage, detail);
        error.0.raw_message = Some(raw.into());
        error.0.path = path.map(Into::into);
        error
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.0.retry_after = retry_after;
        self
    }

    pub(crate) fn with_cause(mut self, cause: Cause) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// Adds a note to the description of what failed.
    pub(crate) fn with_note(mut self, note: &str) -> Self {
        self.0.detail.to_mut().push_str(note);
        self
    }

    pub(crate) fn with_attempts(mut self, attempts: u32, elapsed: Duration) -> Self {
        self.0.attempts = attempts;
        self.0.elapsed = Some(elapsed);
        self
    }

    /// Names the chat.
    pub(crate) fn of(mut self, chat: &ChatId) -> Self {
        self.0.chat = Some(chat.clone());
        self
    }

    /// Names the chat and the page that was being read. The page is the one behind this message, or the first.
    ///
    /// NOTE: `behind` is a message that the server has sent. The cursor of a request may be made up, so it is
    /// not used.
    pub(crate) fn at(mut self, chat: &ChatId, behind: Option<&Cursor>) -> Self {
        self.0.page = behind.cloned().map_or(Page::First, Page::Before);
        self.of(chat)
    }

    /// What kind of failure this is.
    ///
    /// # Examples
    ///
    /// What you can learn of one failed page:
    ///
    /// ```
    /// # use futures::StreamExt;
    /// # use texter_history::testing::{FakeTexter, Fault};
    /// use std::time::Duration;
    /// use texter_history::{Client, ErrorKind};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = FakeTexter::builder().start().await?;
    /// # server.push_fault(Fault::retry_after(429, "3600"));
    /// # let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    /// let mut stream = client.messages("67bf11038b24880cc966f799").stream();
    /// let error = stream.next().await.unwrap().unwrap_err();
    ///
    /// assert_eq!(error.kind(), ErrorKind::RateLimited);
    /// assert_eq!(error.status(), Some(429));
    /// assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    /// assert!(error.is_retryable());
    /// assert_eq!(error.attempts(), 1);
    /// assert!(error.elapsed().is_some());
    /// assert_eq!(error.chat().unwrap(), "67bf11038b24880cc966f799");
    /// assert_eq!(error.cursor(), None, "it was the first page");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The HTTP status of the last answer, if a status is what failed.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// How long the server asked to wait (`Retry-After`), if it did and the text could be read.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether asking again later may succeed. The stream has already retried as its
    /// [`RetryPolicy`](crate::RetryPolicy) allows.
    ///
    /// `true` for a failed connection, a timeout, a rate limit, and the statuses 408, 429, 500, 502, 503 and 504. `false`
    /// for everything else, and for failed connections that need a change first: a name that does not exist, a
    /// certificate that is not trusted, a port that does not speak TLS, and a poll outside of any tokio runtime.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.0.status {
            Some(status) => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            None => {
                let passes = [ErrorKind::Transport, ErrorKind::Timeout, ErrorKind::RateLimited];
                passes.contains(&self.0.kind) && self.0.cause.is_none_or(Cause::may_pass)
            }
        }
    }

    /// Whether the server closed a kept-alive connection before it answered. Then the request may be sent again
    /// without counting as an attempt.
    pub(crate) fn was_unanswered(&self) -> bool {
        self.0.cause == Some(Cause::Unanswered)
    }

    /// How often the page was asked for, retries included. 0 when nothing was sent. For a message that cannot be read, it
    /// is how often its page was asked for.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The JSON text of a message that could not be read ([`ErrorKind::MalformedMessage`]), as it came. For
    /// [`Json::parse`](crate::Json::parse), the text of the part that could not be parsed.
    ///
    /// Nothing else in an error gives the text of a message. Bytes that were not UTF-8 are replaced by U+FFFD.
    ///
    /// # Examples
    ///
    /// ```
    /// use texter_history::Message;
    /// use texter_history::testing::read_page;
    ///
    /// let messages = read_page::<Message>(br#"{"messages": [{"_id": 7}]}"#)?;
    /// let error = messages[0].as_ref().unwrap_err();
    /// assert_eq!(error.raw_message(), Some(r#"{"_id": 7}"#));
    /// # Ok::<(), texter_history::Error>(())
    /// ```
    #[must_use]
    pub fn raw_message(&self) -> Option<&str> {
        self.0.raw_message.as_deref()
    }

    fn advice(&self) -> &'static str {
        if let Some(cause) = self.0.cause {
            return cause.advice();
        }
        match self.0.kind {
            ErrorKind::InvalidRequest if self.0.status.is_some() => {
                "check the chat id, the session, the bounds and the page size"
            }
            // The description of a request that was never sent already says what to change.
            ErrorKind::InvalidRequest => "",
            ErrorKind::Unauthorized => "check the token: it is wrong or was withdrawn",
            ErrorKind::Forbidden => "give the token the scope View all chats",
            ErrorKind::NotFound => "check the chat id and the project or base URL",
            ErrorKind::RateLimited => {
                "wait, then resume from the checkpoint with fewer streams at once"
            }
            ErrorKind::Server => "resume from the checkpoint later",
            ErrorKind::Status => match self.0.status {
                Some(300..=399) => {
                    "redirects are not followed; set the base URL to the final address"
                }
                Some(407) => {
                    "give the proxy its user name and password, in its URL (http://user:password@proxy) or \
                     by an http_client()"
                }
                Some(413) => "use a smaller page size",
                Some(422) => "check the bounds, or use a smaller page size",
                Some(408) => "resume from the checkpoint later",
                _ => "check the base URL and any proxy on the way",
            },
            ErrorKind::Timeout => {
                "resume from the checkpoint, with a smaller page or a longer timeout"
            }
            ErrorKind::Transport => "check the network, then resume from the checkpoint",
            ErrorKind::BodyTooLarge => "use a smaller page size or raise max_body_bytes",
            ErrorKind::MalformedPage => "check the base URL and any proxy on the way",
            ErrorKind::MalformedMessage if self.0.chat.is_some() => {
                "see raw_message(), or leave such messages out by skip_malformed(); the stream goes on"
            }
            ErrorKind::MalformedMessage => "see raw_message()",
            // The cause has its own advice.
            ErrorKind::Stalled => "what came before is complete",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        if let Some(chat) = &inner.chat {
            write!(f, "chat {}", chat.as_str().escape_debug())?;
            match &inner.page {
                Page::None => {}
                Page::First => f.write_str(", the first page")?,
                Page::Before(Cursor { timestamp, id }) => {
                    write!(f, " before {timestamp} ({})", id.as_str().escape_debug())?;
                }
            }
            f.write_str(": ")?;
        }
        f.write_str(&inner.detail)?;
        if let Some(wait) = inner.retry_after {
            write!(f, " and asked to wait {} s", wait.as_secs())?;
        }
        if inner.attempts > 0 {
            let plural = if inner.attempts == 1 { "" } else { "s" };
            write!(f, ", after {} attempt{plural}", inner.attempts)?;
            if let Some(elapsed) = inner.elapsed {
                write!(f, " in {:.1} s", elapsed.as_secs_f64())?;
            }
        }
        match self.advice() {
            "" => Ok(()),
            advice => write!(f, "; {advice}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        let mut source = self.source();
        while let Some(cause) = source {
            write!(f, ", because: {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl From<ParseTimestampError> for Error {
    fn from(error: ParseTimestampError) -> Self {
        Self::invalid_request(error.to_string())
    }
}

#[cfg(any(feature = "jiff", feature = "chrono", feature = "time"))]
impl From<ConvertTimestampError> for Error {
    fn from(error: ConvertTimestampError) -> Self {
        Self::invalid_request(error.to_string())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
