//! One page with its retries: a state machine, sending ⇄ waiting.
//!
//! ```text
//!   Idle ──▶ Sending ── 200 ──▶ Reading ── the last byte ──▶ Finished
//!    ▲          │                  │                             ▲
//!    │          └────── fails ─────┴── not worth a retry ────────┘
//!    │                             │
//!    └──── the wait is over ── Waiting
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use reqwest::Url;
use tokio::time::{Instant, Sleep, sleep};
use tracing::Span;
use tracing::field::Empty;

use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::retry::Retries;
use crate::transport::{Body, Sending};

/// A deadline that is noticed later than this was missed because nobody polled, not because of the server.
const LATE: Duration = Duration::from_millis(50);

/// The most room made for a body before it arrives, whatever length its server announces.
const MOST_ROOM: u64 = 1024 * 1024;

pin_project! {
    #[project = StateProjection]
    enum State {
        /// The next attempt may begin. Leads to `Sending`.
        Idle,
        /// A request is on its way, or its answer has not begun. An answer with status 200 leads to
        /// `Reading`; a failure to `Waiting` or `Finished`.
        Sending { sending: Sending, #[pin] deadline: Sleep },
        /// The body is arriving. Its last byte leads to `Finished`, a failure to `Waiting` or `Finished`.
        Reading { body: Body, #[pin] deadline: Sleep },
        /// The last attempt failed. The end of the wait leads to `Idle`.
        Waiting { #[pin] wait: Sleep },
        /// The outcome has been given.
        Finished,
    }
}

pin_project! {
    /// Asks for one page until it is here or given up.
    ///
    /// Dropping it aborts the request. It may be left unpolled for as long as one likes: a deadline that passed
    /// meanwhile begins anew, and of the time no more than the attempt's own counts towards the retries'.
    pub(crate) struct Fetch {
        #[pin]
        state: State,
        endpoint: Arc<Endpoint>,
        url: Url,
        retries: Retries,
        body: Vec<u8>,
        bytes: u64,
        began: Option<Instant>,
        attempt_began: Option<Instant>,
        // For the present attempt.
        timeout: Duration,
        // The time that the attempts and waits before the present one were allowed and took.
        spent: Duration,
        span: Span,
    }
}

impl Fetch {
    /// Sends nothing before the first poll.
    pub(crate) fn new(endpoint: &Arc<Endpoint>, url: Url, span: Span) -> Self {
        Self {
            state: State::Idle,
            endpoint: Arc::clone(endpoint),
            url,
            retries: endpoint.retry.begin(),
            body: Vec::new(),
            bytes: 0,
            began: None,
            attempt_began: None,
            timeout: endpoint.timeout,
            spent: Duration::ZERO,
            span,
        }
    }

    /// How many requests have been sent.
    pub(crate) fn attempts(&self) -> u32 {
        self.retries.attempts()
    }

    /// How many bytes of bodies have arrived, decompressed, those of failed attempts included.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What has arrived so far of the body that is arriving.
    pub(crate) fn head(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.map(|began| began.elapsed()).unwrap_or_default()
    }
}

/// The span of one page; what is not known yet is recorded when it is.
pub(crate) fn page_span(chat: &str, before: Option<&crate::cursor::Cursor>, limit: u32) -> Span {
    let span = tracing::debug_span!(
        "page",
        chat,
        before_time = Empty,
        before_id = Empty,
        limit,
        attempt = Empty,
        status = Empty,
        messages = Empty,
        bytes = Empty,
        elapsed_ms = Empty,
    );
    if let Some(cursor) = before {
        span.record("before_time", cursor.timestamp.as_millis());
        span.record("before_id", cursor.id.as_str());
    }
    span
}

impl Future for Fetch {
    /// The body of an answer with status 200.
    type Output = Result<Vec<u8>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let _entered = this.span.clone().entered();
        loop {
            let failure = match this.state.as_mut().project() {
                StateProjection::Waiting { wait } => {
                    ready!(wait.poll(cx));
                    this.state.set(State::Idle);
                    continue;
                }
                StateProjection::Idle => {
                    let now = Instant::now();
                    this.began.get_or_insert(now);
                    *this.attempt_began = Some(now);
                    *this.timeout =
                        this.retries.time_for_attempt(this.endpoint.timeout, *this.spent);
                    this.retries.count_attempt();
                    this.span.record("attempt", this.retries.attempts());
                    this.body.clear();
                    let sending = this.endpoint.transport.send(this.url.clone());
                    let deadline = sleep(*this.timeout);
                    this.state.set(State::Sending { sending, deadline });
                    continue;
                }
                StateProjection::Sending { sending, deadline } => match sending.as_mut().poll(cx) {
                    Poll::Ready(Ok(response)) => {
                        this.span.record("status", response.status);
                        if response.status == 200 {
                            let most = this.endpoint.max_body_bytes;
                            let length = response.length.unwrap_or(0);
                            if length > most {
                                too_large(most)
                            } else {
                                this.body
                                    .reserve(usize::try_from(length.min(MOST_ROOM)).unwrap_or(0));
                                // The deadline is one for the whole attempt.
                                let deadline = tokio::time::sleep_until(deadline.deadline());
                                this.state.set(State::Reading { body: response.body, deadline });
                                continue;
                            }
                        } else {
                            Error::from_status(response.status)
                                .with_retry_after(response.retry_after)
                        }
                    }
                    Poll::Ready(Err(error)) => error,
                    Poll::Pending => {
                        ready!(poll_deadline(deadline, *this.timeout, cx));
                        timed_out(*this.timeout, "no answer began")
                    }
                },
                StateProjection::Reading { body, deadline } => match body.as_mut().poll_next(cx) {
                    Poll::Ready(Some(Ok(chunk))) => {
                        *this.bytes = this.bytes.saturating_add(chunk.len() as u64);
                        let most = this.endpoint.max_body_bytes;
                        if this.body.len() as u64 + chunk.len() as u64 > most {
                            too_large(most)
                        } else {
                            this.body.extend_from_slice(&chunk);
                            continue;
                        }
                    }
                    Poll::Ready(Some(Err(error))) => error,
                    Poll::Ready(None) => {
                        this.state.set(State::Finished);
                        return Poll::Ready(Ok(std::mem::take(this.body)));
                    }
                    Poll::Pending => {
                        ready!(poll_deadline(deadline, *this.timeout, cx));
                        timed_out(*this.timeout, "the answer was not complete")
                    }
                },
                // A late poll is answered by silence, not by a panic.
                StateProjection::Finished => return Poll::Pending,
            };
            let took = this.attempt_began.map(|began| began.elapsed()).unwrap_or_default();
            *this.spent = this.spent.saturating_add(took.min(*this.timeout));
            match this.retries.wait_after(&failure, *this.spent) {
                Some(wait) => {
                    *this.spent = this.spent.saturating_add(wait);
                    tracing::warn!(
                        attempt = this.retries.attempts(),
                        kind = ?failure.kind(),
                        status = failure.status(),
                        wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                        "the page is asked for again"
                    );
                    this.state.set(State::Waiting { wait: sleep(wait) });
                }
                None => {
                    this.state.set(State::Finished);
                    let elapsed = this.began.map(|began| began.elapsed()).unwrap_or_default();
                    return Poll::Ready(Err(
                        failure.with_attempts(this.retries.attempts(), elapsed)
                    ));
                }
            }
        }
    }
}

/// Ready when the attempt has had its time. If the deadline passed while nobody polled, what has arrived may
/// not have been taken from the socket yet: the time begins anew.
fn poll_deadline(
    mut deadline: Pin<&mut Sleep>,
    timeout: Duration,
    cx: &mut Context<'_>,
) -> Poll<()> {
    ready!(deadline.as_mut().poll(cx));
    let now = Instant::now();
    if now.saturating_duration_since(deadline.deadline()) <= LATE {
        return Poll::Ready(());
    }
    match now.checked_add(timeout) {
        Some(later) => {
            deadline.as_mut().reset(later);
            deadline.poll(cx)
        }
        None => Poll::Pending,
    }
}

fn too_large(most: u64) -> Error {
    Error::new(ErrorKind::BodyTooLarge, format!("the answer is longer than {most} bytes"))
}

fn timed_out(timeout: Duration, what: &str) -> Error {
    Error::new(ErrorKind::Timeout, format!("{what} within {timeout:?}"))
}
