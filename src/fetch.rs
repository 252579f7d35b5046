//! One page with its retries: a state machine, sending ⇄ waiting.
//!
//! ```text
//!   Idle ──▶ Sending ── 200 ──▶ Reading ── the last byte ──▶ the outcome: Idle
//!             ▲   │                │                           ▲
//!             │   └───── fails ────┴──── not worth a retry ────┘
//!             │                    │
//!             └ the wait is over Waiting
//! ```
//!
//! Two ways lead from `Sending` to `Sending`: a connection that had been kept alive closed with nothing of the answer
//! read, and a poll in another runtime (from `Reading`, too).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use reqwest::Url;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tracing::Span;
use tracing::field::Empty;

use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::retry::Retries;
use crate::runtime::{Runtime, no_runtime};
use crate::transport::{Body, Response, Sending};

/// A deadline that is noticed later than this was missed because nobody polled, not because of the server.
const LATE: Duration = Duration::from_millis(50);

/// The most room made for a body before it arrives, whatever length its server announces.
const MOST_ROOM: u64 = 1024 * 1024;

pin_project! {
    #[project = StateProjection]
    enum State {
        /// Nothing is under way: before the first attempt, and after the outcome. A poll begins an attempt,
        /// which leads to `Sending`.
        Idle,
        /// A request is on its way, or its answer has not begun. An answer with status 200 leads to
        /// `Reading`; a failure to `Waiting` or, for good, to `Idle`.
        Sending {
            sending: Sending,
            #[pin]
            deadline: Sleep,
            // How often it may still be sent again at once, should the connection turn out to be closed.
            resends: u8,
        },
        /// The body is arriving. Its last byte leads to `Idle`, a failure to `Waiting` or `Idle`.
        Reading { body: Body, #[pin] deadline: Sleep },
        /// The last attempt failed. The end of the wait begins the next one: `Sending`.
        Waiting { #[pin] wait: Sleep },
    }
}

/// How often an attempt is sent again when a connection that was kept alive turns out to be closed.
const RESENDS: u8 = 1;

pin_project! {
    /// Asks for one page until it is here or given up.
    ///
    /// Dropping it aborts the request. It may be left unpolled for as long as one likes: a deadline that passed
    /// meanwhile begins anew, and of the time no more than the attempt's own counts towards the retries'.
    ///
    /// It may be polled in another tokio runtime than before: then what is under way is begun anew there, because
    /// timers and connections of the old one do not wake it, or are gone. Outside of any runtime it fails.
    #[project = FetchProjection]
    pub(crate) struct Fetch {
        #[pin]
        state: State,
        endpoint: Arc<Endpoint>,
        // Where the state was begun.
        runtime: Option<Arc<Runtime>>,
        url: Url,
        retries: Retries,
        requests: u32,
        body: Vec<u8>,
        other_type: Option<String>,
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
            runtime: None,
            url,
            retries: endpoint.retry.begin(),
            requests: 0,
            body: Vec::new(),
            other_type: None,
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
        self.requests
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

    /// Adds to a body's fault what the server calls the body, if that is something else than JSON.
    pub(crate) fn name_type(&self, error: Error) -> Error {
        match &self.other_type {
            Some(other) if error.kind() == ErrorKind::MalformedPage => {
                error.with_note(&format!("; its Content-Type is {other}"))
            }
            _ => error,
        }
    }
}

impl FetchProjection<'_> {
    /// Sees to it that the state belongs to the runtime that this is called in.
    fn move_here(&mut self) -> Result<(), Error> {
        if self.runtime.as_ref().is_some_and(|runtime| runtime.is_current()) {
            return Ok(());
        }
        *self.runtime = self.endpoint.runtimes.current();
        if self.runtime.is_none() {
            return Err(no_runtime());
        }
        let moved = match self.state.as_mut().project() {
            StateProjection::Idle => State::Idle,
            StateProjection::Waiting { wait } => {
                State::Waiting { wait: sleep_until(wait.deadline()) }
            }
            StateProjection::Sending { .. } | StateProjection::Reading { .. } => {
                // The same attempt, with all of its time.
                *self.attempt_began = Some(Instant::now());
                self.send(sleep(*self.timeout))
            }
        };
        self.state.set(moved);
        Ok(())
    }

    fn begin_attempt(&mut self) {
        let now = Instant::now();
        self.began.get_or_insert(now);
        *self.attempt_began = Some(now);
        *self.timeout = self.retries.time_for_attempt(self.endpoint.timeout, *self.spent);
        self.retries.count_attempt();
        let sending = self.send(sleep(*self.timeout));
        self.state.set(sending);
    }

    fn send(&mut self, deadline: Sleep) -> State {
        *self.requests = self.requests.saturating_add(1);
        self.span.record("attempt", *self.requests);
        self.body.clear();
        let sending = self.endpoint.transport.send(self.url.clone());
        State::Sending { sending, deadline, resends: RESENDS }
    }

    /// Goes on to the body, if there is one worth reading.
    fn receive(&mut self, response: Response, deadline: Instant) -> Result<(), Error> {
        self.span.record("status", response.status);
        if response.status != 200 {
            return Err(Error::from_status(response.status).with_retry_after(response.retry_after));
        }
        let length = response.length.unwrap_or(0);
        self.check_length(length)?;
        self.body.reserve(usize::try_from(length.min(MOST_ROOM)).unwrap_or(0));
        *self.other_type = response.other_type;
        // The deadline is one for the whole attempt.
        let deadline = sleep_until(deadline);
        self.state.set(State::Reading { body: response.body, deadline });
        Ok(())
    }

    fn append(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let length = chunk.len() as u64;
        *self.bytes = self.bytes.saturating_add(length);
        self.check_length(length.saturating_add(self.body.len() as u64))?;
        self.body.extend_from_slice(chunk);
        Ok(())
    }

    fn check_length(&self, length: u64) -> Result<(), Error> {
        let most = self.endpoint.max_body_bytes;
        if length > most {
            let what = format!("the answer is longer than {most} bytes");
            return Err(Error::new(ErrorKind::BodyTooLarge, what));
        }
        Ok(())
    }

    /// Waits for the next attempt; gives the error back if there is to be none.
    fn fail(&mut self, failure: Error) -> Result<(), Error> {
        let took = self.attempt_began.map(|began| began.elapsed()).unwrap_or_default();
        *self.spent = self.spent.saturating_add(took.min(*self.timeout));
        let Some(wait) = self.retries.wait_after(&failure, *self.spent) else {
            return Err(failure);
        };
        *self.spent = self.spent.saturating_add(wait);
        tracing::warn!(
            attempt = *self.requests,
            kind = ?failure.kind(),
            status = failure.status(),
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "the page is asked for again"
        );
        self.state.set(State::Waiting { wait: sleep(wait) });
        Ok(())
    }

    /// The outcome, when the page is given up.
    fn give_up(&mut self, error: Error) -> Poll<Result<Vec<u8>, Error>> {
        self.state.set(State::Idle);
        let elapsed = self.began.map(|began| began.elapsed()).unwrap_or_default();
        Poll::Ready(Err(error.with_attempts(*self.requests, elapsed)))
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
        if let Err(error) = this.move_here() {
            return this.give_up(error);
        }
        loop {
            let step = match this.state.as_mut().project() {
                StateProjection::Idle => {
                    this.begin_attempt();
                    Ok(())
                }
                StateProjection::Waiting { wait } => {
                    ready!(wait.poll(cx));
                    this.begin_attempt();
                    Ok(())
                }
                StateProjection::Sending { sending, deadline, resends } => {
                    match sending.as_mut().poll(cx) {
                        Poll::Ready(Ok(response)) => {
                            let deadline = deadline.deadline();
                            this.receive(response, deadline)
                        }
                        Poll::Ready(Err(error)) if error.was_unanswered() && *resends > 0 => {
                            tracing::debug!("the connection had closed; the request is sent again");
                            *resends -= 1;
                            *this.requests = this.requests.saturating_add(1);
                            *sending = this.endpoint.transport.send(this.url.clone());
                            Ok(())
                        }
                        Poll::Ready(Err(error)) => Err(error),
                        Poll::Pending => {
                            ready!(poll_deadline(deadline, *this.timeout, cx));
                            Err(timed_out(*this.timeout, "no answer began"))
                        }
                    }
                }
                StateProjection::Reading { body, deadline } => match body.as_mut().poll_next(cx) {
                    Poll::Ready(Some(Ok(chunk))) => this.append(&chunk),
                    Poll::Ready(Some(Err(error))) => Err(error),
                    Poll::Ready(None) => {
                        this.state.set(State::Idle);
                        return Poll::Ready(Ok(std::mem::take(this.body)));
                    }
                    Poll::Pending => {
                        ready!(poll_deadline(deadline, *this.timeout, cx));
                        Err(timed_out(*this.timeout, "the answer was not complete"))
                    }
                },
            };
            if let Err(error) = step.or_else(|failure| this.fail(failure)) {
                return this.give_up(error);
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

fn timed_out(timeout: Duration, what: &str) -> Error {
    Error::new(ErrorKind::Timeout, format!("{what} within {timeout:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::RetryPolicy;
    use crate::runtime::Runtimes;
    use crate::transport::scripted::{Reply, Scripted};
    use crate::walk::model::CHAT;

    #[tokio::test]
    async fn a_poll_after_the_outcome_asks_again() {
        let (_, transport) = Scripted::new(|_, number| match number {
            0 => Reply::Status(503, None),
            _ => Reply::body("the page"),
        });
        let endpoint = Arc::new(Endpoint {
            base: Url::parse("https://acme.texterchat.com/server/api/v2").unwrap(),
            transport: Arc::<Scripted>::clone(&transport) as _,
            retry: RetryPolicy::none(),
            timeout: Duration::from_secs(60),
            max_body_bytes: 100,
            runtimes: Runtimes::default(),
        });
        let url = endpoint.url(
            CHAT,
            None,
            &crate::walk::Ask { limit: 1, cursor: None, bot_session: false },
        );
        let mut fetch = std::pin::pin!(Fetch::new(&endpoint, url, Span::none()));
        assert_eq!(fetch.as_mut().await.unwrap_err().attempts(), 1);
        for requests in [2, 3] {
            assert_eq!(fetch.as_mut().await.unwrap(), b"the page");
            assert_eq!((fetch.attempts() as usize, transport.count()), (requests, requests));
        }
    }
}
