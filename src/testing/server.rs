//! The fake server: an HTTP server on a port of this machine.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::chat::{FakeChat, FakeMessage, StoredChat};
use super::connection::{Connection, Instead};
use super::fault::Fault;
use super::rate_limit::{Bucket, Refusal};
use super::request::{BASE_PATH, RecordedRequest};
use super::rulebook::{Asked, DEFAULT_LIMIT, Rules};

type Body = StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, io::Error>>>;
pub(super) type Faults = Box<dyn FnMut(&RecordedRequest, u64) -> Option<Fault> + Send>;

/// A running server with the messages endpoint's documented behaviour. Dropping it stops it.
pub struct FakeTexter {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: AbortHandle,
}

pub(super) struct Shared {
    pub(super) token: String,
    pub(super) forbidden: bool,
    pub(super) rules: Rules,
    pub(super) latency: Duration,
    pub(super) bandwidth: Option<u64>,
    pub(super) gzip: bool,
    pub(super) record_requests: bool,
    pub(super) open: watch::Sender<usize>,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) chats: HashMap<String, StoredChat>,
    pub(super) scripted: VecDeque<Fault>,
    pub(super) faults: Option<Faults>,
    pub(super) requests: Vec<RecordedRequest>,
    pub(super) request_count: u64,
    pub(super) bucket: Option<Bucket>,
}

impl FakeTexter {
    pub(super) fn serving(listener: TcpListener, address: SocketAddr, shared: Shared) -> Self {
        let shared = Arc::new(shared);
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared))).abort_handle();
        Self { address, shared, serving }
    }

    /// The base URL for a client.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}{BASE_PATH}", self.address)
    }

    /// The token that the server accepts.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.shared.token
    }

    /// The requests received so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.state().requests.clone()
    }

    /// How many requests were received.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.shared.state().request_count
    }

    /// Makes the next request fail. Several faults are used one after another, one for each request.
    pub fn push_fault(&self, fault: Fault) {
        self.shared.state().scripted.push_back(fault);
    }

    /// Adds a message to a chat, as when a message arrives. If there is no such chat, it is made.
    pub fn add_message(&self, chat_id: impl AsRef<str>, message: impl Into<FakeMessage>) {
        let chat_id = chat_id.as_ref();
        let mut state = self.shared.state();
        match state.chats.get_mut(chat_id) {
            Some(chat) => chat.add(message.into()),
            None => {
                let (id, chat) = FakeChat::new(chat_id).messages([message.into()]).stored();
                state.chats.insert(id, chat);
            }
        }
    }

    /// Removes a message from a chat, as when a message is deleted.
    pub fn remove_message(&self, chat_id: impl AsRef<str>, message_id: impl AsRef<str>) {
        if let Some(chat) = self.shared.state().chats.get_mut(chat_id.as_ref()) {
            chat.remove(message_id.as_ref());
        }
    }

    /// How many connections are open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        *self.shared.open.borrow()
    }

    /// Waits until no connection is open.
    pub async fn all_connections_closed(&self) {
        let mut open = self.shared.open.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = open.wait_for(|open| *open == 0).await;
    }
}

impl fmt::Debug for FakeTexter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeTexter").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for FakeTexter {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Counts a connection as open while it lives.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.open.send_modify(|open| *open += 1);
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Aborting this task drops the set, which aborts every connection.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let _open = Open::new(&shared);
                    let instead = Instead::default();
                    let connection = TokioIo::new(Connection::new(stream, instead.clone()));
                    let service = service_fn(|request| shared.answer(request, instead.clone()));
                    // The server does not care about a client that goes away.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(connection, service)
                        .await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        instead: Instead,
    ) -> io::Result<Response<Body>> {
        let (parts, _) = request.into_parts();
        let request = RecordedRequest::new(&parts);
        let (number, fault, refusal) = self.record(&request);
        // A sleep of zero would last until the timer's next tick.
        if !self.latency.is_zero() {
            sleep(self.latency).await;
        }
        let (after, pace) = match fault {
            None => (None, self.pace()),
            Some(Fault::Answer { status, headers, body }) => {
                return response(status, &headers, pieces(vec![body], None));
            }
            Some(Fault::Close) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Fault::RawBytes(bytes)) => {
                instead.say(bytes);
                return response(200, &[], pieces(Vec::new(), None));
            }
            Some(Fault::Hang { after: 0 }) => {
                std::future::pending::<Infallible>().await;
                (None, None)
            }
            Some(Fault::Hang { after }) => (Some((after, false)), self.pace()),
            Some(Fault::CutBody { after }) => (Some((after, true)), self.pace()),
            Some(Fault::Drip { bytes, every }) => (None, Some((bytes.max(1), every))),
        };
        let (status, mut headers, mut body) = self.right_answer(&request, number, refusal);
        let takes_gzip =
            request.header("accept-encoding").is_some_and(|value| value.contains("gzip"));
        if self.gzip && takes_gzip {
            body = vec![compressed(&body)?];
            headers.push(("content-encoding".into(), "gzip".into()));
        }
        let length: usize = body.iter().map(Bytes::len).sum();
        headers.push(("content-length".into(), length.to_string()));
        match after {
            None => response(status, &headers, pieces(body, pace)),
            Some((after, cut)) => response(status, &headers, broken_off(body, after, cut)),
        }
    }

    /// Records the request. Returns its number, its fault if it fails, and the refusal if it exceeds the rate
    /// limit.
    fn record(&self, request: &RecordedRequest) -> (u64, Option<Fault>, Option<Refusal>) {
        let state = &mut *self.state();
        let number = state.request_count;
        state.request_count += 1;
        let scripted = state.scripted.pop_front();
        let fault =
            scripted.or_else(|| state.faults.as_mut().and_then(|faults| faults(request, number)));
        let bucket = state.bucket.as_mut().filter(|_| fault.is_none());
        let refusal = bucket.and_then(|bucket| bucket.take(request.received).err());
        if self.record_requests {
            let refused = refusal.is_some();
            state.requests.push(RecordedRequest { refused, ..request.clone() });
        }
        (number, fault, refusal)
    }

    /// The size of a piece and the pause between two pieces that keep to the bandwidth.
    fn pace(&self) -> Option<(usize, Duration)> {
        const PIECE: usize = 16 * 1024;
        let bandwidth = self.bandwidth?;
        Some((PIECE, Duration::from_secs_f64(PIECE as f64 / bandwidth as f64)))
    }

    /// The answer of a server without faults: status, headers, and the body in pieces.
    fn right_answer(
        &self,
        request: &RecordedRequest,
        number: u64,
        refusal: Option<Refusal>,
    ) -> (u16, Vec<(String, String)>, Vec<Bytes>) {
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let refused = |status: u16, headers, why: &str| {
            let body = serde_json::json!({ "error": why }).to_string();
            (status, headers, vec![Bytes::from(body)])
        };
        let authorization = format!("Bearer {}", self.token);
        if let Some(Refusal { retry_after }) = refusal {
            headers.extend(retry_after.map(|after| ("retry-after".into(), after.to_string())));
            return refused(429, headers, "too many requests");
        }
        let state = self.state();
        if request.header("authorization") != Some(&authorization) {
            return refused(401, headers, "the token is missing or unknown");
        }
        if self.forbidden {
            return refused(403, headers, "the token lacks the scope View all chats");
        }
        let Some(chat_id) = &request.chat_id else {
            return refused(404, headers, "there is nothing at this path");
        };
        if request.method != "GET" {
            return refused(405, headers, "only GET");
        }
        if let Some(fault) = request.fault() {
            return refused(400, headers, fault);
        }
        let Some(chat) = state.chats.get(chat_id) else {
            return refused(404, headers, "there is no such chat");
        };
        let asked = Asked {
            limit: request.limit.unwrap_or(DEFAULT_LIMIT),
            before: request.before.as_ref().map(|(time, id)| (*time, id.as_str())),
            bot_session: request.bot_session.as_deref(),
            number,
        };
        match self.rules.page(&chat.entries, asked) {
            Ok(page) => (200, headers, chat.body(&page, self.rules.times(&chat.entries))),
            Err(status) => refused(status, headers, "the limit is too large"),
        }
    }
}

fn response(status: u16, headers: &[(String, String)], body: Body) -> io::Result<Response<Body>> {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    builder.body(body).map_err(io::Error::other)
}

/// A body that arrives completely: at once, or in pieces of a size with a pause between them.
fn pieces(pieces: Vec<Bytes>, pace: Option<(usize, Duration)>) -> Body {
    let Some((size, pause)) = pace else {
        let frames = pieces.into_iter().map(|piece| Ok(Frame::data(piece)));
        return StreamBody::new(stream::iter(frames).boxed());
    };
    let rest: VecDeque<Bytes> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
    let paced = stream::unfold(rest, move |mut rest| async move {
        let mut piece = rest.pop_front()?;
        if piece.len() > size {
            rest.push_front(piece.split_off(size));
        }
        sleep(pause).await;
        Some((Ok(Frame::data(piece)), rest))
    });
    StreamBody::new(paced.boxed())
}

/// A body of which only `after` bytes are sent. Then the connection closes, or nothing more comes.
fn broken_off(pieces: Vec<Bytes>, after: usize, close: bool) -> Body {
    let mut left = after;
    let mut sent = Vec::new();
    for mut piece in pieces {
        piece.truncate(left);
        left -= piece.len();
        sent.push(Ok(Frame::data(piece)));
    }
    let end = stream::once(async move {
        // The bytes sent so far must leave before the connection closes.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        if !close {
            std::future::pending::<Infallible>().await;
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    StreamBody::new(stream::iter(sent).chain(end).boxed())
}

fn compressed(pieces: &[Bytes]) -> io::Result<Bytes> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for piece in pieces {
        encoder.write_all(piece)?;
    }
    Ok(encoder.finish()?.into())
}
