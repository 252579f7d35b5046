//! Describes how the fake server behaves.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::chat::{FakeChat, StoredChat};
use super::fault::Fault;
use super::rate_limit::RateLimit;
use super::request::RecordedRequest;
use super::rulebook::{
    CursorReading, LimitReading, MinTime, PageOrder, Rules, SessionFilter, TieOrder,
};
use super::server::{FakeTexter, Faults, Shared, State};

/// Describes a [`FakeTexter`]. By default, it serves its chats as Texter's reference says, and at once.
#[must_use = "a builder does nothing until it is started"]
pub struct FakeTexterBuilder {
    chats: HashMap<String, StoredChat>,
    token: String,
    forbidden: bool,
    rules: Rules,
    latency: Duration,
    bandwidth: Option<u64>,
    gzip: bool,
    rate_limit: Option<RateLimit>,
    record_requests: bool,
    faults: Option<Faults>,
    port: u16,
}

impl FakeTexter {
    /// Describes a server.
    pub fn builder() -> FakeTexterBuilder {
        FakeTexterBuilder {
            chats: HashMap::new(),
            token: "fake-token".into(),
            forbidden: false,
            rules: Rules::default(),
            latency: Duration::ZERO,
            bandwidth: None,
            gzip: false,
            rate_limit: None,
            record_requests: true,
            faults: None,
            port: 0,
        }
    }
}

impl FakeTexterBuilder {
    /// Adds a chat. It replaces a chat of the same id.
    pub fn chat(mut self, chat: FakeChat) -> Self {
        let (id, chat) = chat.stored();
        self.chats.insert(id, chat);
        self
    }

    /// The only token that the server accepts. Any other gets 401. Default `fake-token`.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = token.into();
        self
    }

    /// Answers every request with 403, as for a token without the scope **View all chats**.
    pub fn without_scope(mut self) -> Self {
        self.forbidden = true;
        self
    }

    /// How the server reads the cursor.
    pub fn cursor_reading(mut self, reading: CursorReading) -> Self {
        self.rules.cursor_reading = reading;
        self
    }

    /// The order among equal timestamps. A strict keyset ([`CursorReading`]) always uses its own order.
    pub fn tie_order(mut self, order: TieOrder) -> Self {
        self.rules.tie_order = order;
        self
    }

    /// The order of a page.
    pub fn page_order(mut self, order: PageOrder) -> Self {
        self.rules.page_order = order;
        self
    }

    /// How a session filter and a cursor combine.
    pub fn session_filter(mut self, filter: SessionFilter) -> Self {
        self.rules.session_filter = filter;
        self
    }

    /// What the server says of the time of the chat's first message.
    pub fn min_time(mut self, min_time: MinTime) -> Self {
        self.rules.min_time = min_time;
        self
    }

    /// How many messages an answer holds, compared with `limit`. Default: as many as asked.
    pub fn limit_reading(mut self, reading: LimitReading) -> Self {
        self.rules.limit_reading = reading;
        self
    }

    /// Answers the request of this number, counted from 0, without messages, although there are some.
    pub fn empty_answer(mut self, request: u64) -> Self {
        self.rules.empty_answer = Some(request);
        self
    }

    /// Puts one message of each page into the page twice.
    pub fn repeat_messages(mut self, repeat: bool) -> Self {
        self.rules.repeats = repeat;
        self
    }

    /// How long it takes until an answer begins.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// How many bytes of a body the server sends in a second. Default: as fast as possible.
    pub fn bandwidth(mut self, bytes_per_second: u64) -> Self {
        self.bandwidth = Some(bytes_per_second.max(1));
        self
    }

    /// Compresses bodies for clients that accept gzip.
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.gzip = gzip;
        self
    }

    /// Accepts this many requests in a second. More are answered with 429 and this `Retry-After`, in seconds.
    /// For other limits, see [`rate_limited`](Self::rate_limited).
    pub fn rate_limit(self, requests_per_second: u32, retry_after: u64) -> Self {
        let limit = RateLimit::per_second(requests_per_second.into()).retry_after(retry_after);
        self.rate_limited(limit)
    }

    /// Answers requests beyond this limit with 429. Requests that get a scripted fault do not count.
    pub fn rate_limited(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// Whether requests are kept for [`FakeTexter::requests`]. Default `true`.
    pub fn record_requests(mut self, record: bool) -> Self {
        self.record_requests = record;
        self
    }

    /// Decides for every request whether it fails. The function gets the request and its number, counted from
    /// 0. Faults that were [pushed](FakeTexter::push_fault) come first.
    pub fn faults(
        mut self,
        faults: impl FnMut(&RecordedRequest, u64) -> Option<Fault> + Send + 'static,
    ) -> Self {
        self.faults = Some(Box::new(faults));
        self
    }

    /// The port on this machine. Default: any free port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts to serve, on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// When the server cannot listen on the port.
    pub async fn start(self) -> io::Result<FakeTexter> {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await?;
        let address = listener.local_addr()?;
        let shared = Shared {
            token: self.token,
            forbidden: self.forbidden,
            rules: self.rules,
            latency: self.latency,
            bandwidth: self.bandwidth,
            gzip: self.gzip,
            record_requests: self.record_requests,
            open: watch::channel(0).0,
            state: Mutex::new(State {
                chats: self.chats,
                scripted: VecDeque::new(),
                faults: self.faults,
                requests: Vec::new(),
                request_count: 0,
                bucket: self.rate_limit.map(RateLimit::bucket),
            }),
        };
        Ok(FakeTexter::serving(listener, address, shared))
    }
}

impl fmt::Debug for FakeTexterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeTexterBuilder").field("rules", &self.rules).finish_non_exhaustive()
    }
}
