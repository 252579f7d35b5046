//! Fetches one page, with its retries. It is a state machine: waiting for its turn ⇄ sending ⇄ waiting after a
//! failure.
//!
//! ```text
//!   Idle ──▶ Queued ──▶ Sending ── 200 ──▶ Reading ── the last byte ──▶ the outcome: Idle
//!    ▲  ▲                  │                  │                           ▲
//!    │  └──── refused ─────┴───── fails ──────┴──── not worth a retry ────┘
//!    │                             │
//!    └──── the wait is over ─── Waiting
//! ```
//!
//! If the client's pace allows it, `Idle` leads to `Sending` at once. Two more transitions lead back:
//!
//! - `Sending` leads to `Idle`, and so to a new request, when a connection that was kept alive turns out to be
//!   closed before any of the answer was read.
//! - Every state leads to `Idle` when the fetch is polled in another runtime.

mod patience;
#[cfg(test)]
mod tests;

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
use crate::pace::{Call, Place, Turn};
use crate::retry::Retries;
use crate::runtime::{Runtime, no_runtime};
use crate::transport::{Body, Response, Sending};
use patience::Patience;

/// The most memory that is reserved for a body before it arrives, whatever length the server announces.
const MOST_ROOM: u64 = 1024 * 1024;

pin_project! {
    #[project = StateProjection]
    enum State {
        /// Nothing is under way, before an attempt and after the outcome. A poll asks for a turn. That leads to
        /// `Sending`, or to `Queued` if other requests are to be sent before.
        Idle,
        /// The request waits for its turn. The turn leads to `Sending`.
        Queued { since: Instant, #[pin] called: Sleep },
        /// A request has been sent and its answer has not begun. An answer with status 200 leads to `Reading`.
        /// A refusal leads to `Idle`, and so does a connection that turns out to be closed. Any other failure
        /// leads to `Waiting`, or to `Idle` if the page is given up.
        Sending {
            sending: Sending,
            #[pin]
            patience: Patience,
            turn: Turn,
        },
        /// The body is arriving. Its last byte leads to `Idle`, a failure to `Waiting` or `Idle`.
        Reading { body: Body, #[pin] patience: Patience },
        /// The last attempt failed. The end of the wait leads to `Idle`.
        Waiting { #[pin] wait: Sleep },
    }
}

pin_project! {
    /// Asks for one page until it has arrived or is given up.
    ///
    /// Dropping a fetch aborts the request, and the next request gets the turn. A fetch may stay unpolled for
    /// any length of time. That time does not count.
    ///
    /// A fetch may be polled in another tokio runtime than before. Then the request under way begins again
    /// there, because the old runtime's timers and connections do not wake the fetch, or are gone. Outside of
    /// any runtime, a fetch fails.
    #[project = FetchProjection]
    pub(crate) struct Fetch {
        #[pin]
        state: State,
        endpoint: Arc<Endpoint>,
        // The runtime in which the state was begun.
        runtime: Option<Arc<Runtime>>,
        url: Url,
        retries: Retries,
        place: Place,
        // The time that was spent in the queue before.
        waited: Duration,
        requests: u32,
        sent_again: Option<SentAgain>,
        body: Vec<u8>,
        other_type: Option<String>,
        bytes: u64,
        began: Option<Instant>,
        attempt_began: Option<Instant>,
        // The time allowed for the present attempt.
        timeout: Duration,
        // The time that counts for the attempts and waits before the present attempt.
        spent: Duration,
        span: Span,
    }
}

impl Fetch {
    /// Makes a fetch. It sends nothing before the first poll.
    pub(crate) fn new(endpoint: &Arc<Endpoint>, url: Url, span: Span) -> Self {
        Self {
            state: State::Idle,
            endpoint: Arc::clone(endpoint),
            runtime: None,
            url,
            retries: endpoint.retry.begin(),
            place: Place::new(&endpoint.pace),
            waited: Duration::ZERO,
            requests: 0,
            sent_again: None,
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

    /// How long the page has waited for its turns.
    pub(crate) fn waited(&self) -> Duration {
        match &self.state {
            State::Queued { since, called } => {
                self.waited.saturating_add(queued_for(*since, called, Instant::now()))
            }
            _ => self.waited,
        }
    }

    /// How many bytes of bodies have arrived, after decompression. Bodies of failed attempts count too.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The part of the body that has arrived so far.
    pub(crate) fn head(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.map(|began| began.elapsed()).unwrap_or_default()
    }

    /// Adds the body's content type to the error, if that is not JSON.
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
    /// Makes sure that the state belongs to the runtime in which this is called.
    fn move_here(&mut self) -> Result<(), Error> {
        if self.runtime.as_ref().is_some_and(|runtime| runtime.is_current()) {
            return Ok(());
        }
        *self.runtime = self.endpoint.runtimes.current();
        if self.runtime.is_none() {
            return Err(no_runtime());
        }
        match self.state.as_mut().project() {
            StateProjection::Idle => {}
            StateProjection::Waiting { wait } => {
                let wait = sleep_until(wait.deadline());
                self.state.set(State::Waiting { wait });
            }
            StateProjection::Queued { since, called } => {
                let (since, called) = (*since, sleep_until(called.deadline()));
                self.state.set(State::Queued { since, called });
            }
            // This is the same attempt, but it gets all of its time again.
            StateProjection::Sending { .. } | StateProjection::Reading { .. } => {
                self.state.set(State::Idle);
            }
        }
        Ok(())
    }

    /// Sends the request if it is its turn. Otherwise waits for the turn.
    fn take_turn(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let now = Instant::now();
        let (since, queued) = match self.state.as_mut().project() {
            StateProjection::Queued { since, called } => (*since, queued_for(*since, &called, now)),
            _ => (now, Duration::ZERO),
        };
        let mut at = match self.place.call(cx.waker(), now) {
            Call::Now(turn) => {
                *self.waited = self.waited.saturating_add(queued);
                self.begin_attempt(turn, now);
                return Ok(());
            }
            Call::Later(at) => at,
        };
        let asked = self.endpoint.pace.asked_to_wait(now);
        let left = asked.map(|asked| asked.until.saturating_duration_since(now));
        if let Some((asked, left)) =
            asked.zip(left).filter(|(_, left)| self.retries.is_too_long(*left))
        {
            // The page does not fail at once. It first waits for as long as the policy allows. Its wait before the server
            // asked does not count.
            let began = since.max(asked.at);
            let patience = began.checked_add(self.retries.longest_to_wait()).unwrap_or(at);
            if patience <= now {
                *self.waited = self.waited.saturating_add(queued);
                let what = "the server refused another request of this client";
                return Err(Error::new(ErrorKind::RateLimited, what).with_retry_after(Some(left)));
            }
            at = at.min(patience);
        }
        match self.state.as_mut().project() {
            StateProjection::Queued { mut called, .. } => called.as_mut().reset(at),
            _ => self.state.set(State::Queued { since, called: sleep_until(at) }),
        }
        Ok(())
    }

    fn begin_attempt(&mut self, turn: Turn, now: Instant) {
        self.began.get_or_insert(now);
        *self.attempt_began = Some(now);
        let most = self.sent_again.map_or(self.endpoint.timeout, |again| again.left);
        *self.timeout = self.retries.time_for_attempt(most, *self.spent);
        let patience = Patience::new(*self.timeout);
        let sending = self.send();
        self.state.set(State::Sending { sending, patience, turn });
    }

    fn send(&mut self) -> Sending {
        *self.requests = self.requests.saturating_add(1);
        self.span.record("attempt", *self.requests);
        self.body.clear();
        self.endpoint.transport.send(self.url.clone())
    }

    /// Goes on to the body if the status is 200. Otherwise returns the failure.
    fn receive(&mut self, response: Response, turn: Turn, left: Duration) -> Result<(), Failure> {
        self.span.record("status", response.status);
        let failure = || Error::from_status(response.status).with_retry_after(response.retry_after);
        match response.status {
            429 => return Err(Failure::Refused(failure(), turn)),
            503 if response.retry_after.is_some() => return Err(Failure::Refused(failure(), turn)),
            // An answer from 500 on says nothing about the pace that the server accepts.
            500.. => return Err(failure().into()),
            _ => self.endpoint.pace.answered(turn, Instant::now()),
        }
        if response.status != 200 {
            return Err(failure().into());
        }
        let length = response.length.unwrap_or(0);
        self.check_length(length)?;
        self.body.reserve(usize::try_from(length.min(MOST_ROOM)).unwrap_or(0));
        *self.other_type = response.other_type;
        // One time limit covers the whole attempt, so the body gets what is left.
        self.state.set(State::Reading { body: response.body, patience: Patience::new(left) });
        Ok(())
    }

    fn append(&mut self, chunk: &[u8]) -> Result<(), Failure> {
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

    fn end_attempt(&mut self, now: Instant) {
        let took = self.attempt_began.map(|began| now.saturating_duration_since(began));
        *self.spent = self.spent.saturating_add(took.unwrap_or_default().min(*self.timeout));
    }

    /// Waits for the next attempt or the next turn. Returns the error if there will be none.
    fn fail(&mut self, failure: Failure) -> Result<(), Error> {
        let now = Instant::now();
        self.end_attempt(now);
        *self.sent_again = None;
        let (error, wait, next) = match failure {
            // All requests of the client wait in the queue, this one too.
            Failure::Refused(error, turn) => {
                let jitter = self.retries.random();
                let pause = self.endpoint.pace.refused(turn, error.retry_after(), jitter, now);
                let outlasts = self.retries.outlasts(&error, *self.spent, pause);
                (error, outlasts.then_some(pause), State::Idle)
            }
            Failure::Other(error) => {
                let wait = self.retries.wait_after(&error, *self.spent);
                (error, wait, State::Waiting { wait: sleep(wait.unwrap_or_default()) })
            }
        };
        let Some(wait) = wait else { return Err(error) };
        *self.spent = self.spent.saturating_add(wait);
        tracing::warn!(
            attempt = *self.requests,
            kind = ?error.kind(),
            status = error.status(),
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "the page is asked for again"
        );
        self.state.set(next);
        Ok(())
    }

    /// Gives the page up and returns the error.
    fn give_up(&mut self, error: Error) -> Poll<Result<Vec<u8>, Error>> {
        self.state.set(State::Idle);
        let elapsed = self.began.map(|began| began.elapsed()).unwrap_or_default();
        Poll::Ready(Err(error.with_attempts(*self.requests, elapsed)))
    }
}

/// The present attempt's request was sent again, because a connection that was kept alive had been closed.
#[derive(Clone, Copy)]
struct SentAgain {
    times: usize,
    /// The time that was left of the attempt.
    left: Duration,
}

impl SentAgain {
    fn times(again: Option<Self>) -> usize {
        again.map_or(0, |again| again.times)
    }
}

/// Why an attempt failed.
enum Failure {
    /// The server asks for fewer requests. The refusal counts by the time it takes, not as an attempt.
    Refused(Error, Turn),
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// The span of one page. Values that are not known yet are recorded later.
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
                StateProjection::Idle | StateProjection::Queued { .. } => {
                    if let Err(error) = this.take_turn(cx) {
                        return this.give_up(error);
                    }
                    if let StateProjection::Queued { called, .. } = this.state.as_mut().project() {
                        ready!(called.poll(cx));
                    }
                    Ok(())
                }
                StateProjection::Waiting { wait } => {
                    ready!(wait.poll(cx));
                    this.state.set(State::Idle);
                    Ok(())
                }
                StateProjection::Sending { sending, patience, turn } => {
                    match sending.as_mut().poll(cx) {
                        Poll::Ready(Ok(response)) => {
                            let (turn, left) = (*turn, patience.left());
                            this.receive(response, turn, left)
                        }
                        Poll::Ready(Err(error))
                            if error.was_unanswered()
                                && SentAgain::times(*this.sent_again)
                                    < this.endpoint.transport.most_kept_alive() =>
                        {
                            tracing::debug!("the connection had closed; the request is sent again");
                            let times = SentAgain::times(*this.sent_again) + 1;
                            *this.sent_again = Some(SentAgain { times, left: patience.left() });
                            this.end_attempt(Instant::now());
                            // The request that is sent again waits for its turn, like any other.
                            this.state.set(State::Idle);
                            Ok(())
                        }
                        Poll::Ready(Err(error)) => Err(error.into()),
                        Poll::Pending => {
                            ready!(patience.poll(cx));
                            Err(timed_out(*this.timeout, "no answer began").into())
                        }
                    }
                }
                StateProjection::Reading { body, patience } => match body.as_mut().poll_next(cx) {
                    Poll::Ready(Some(Ok(chunk))) => this.append(&chunk),
                    Poll::Ready(Some(Err(error))) => Err(error.into()),
                    Poll::Ready(None) => {
                        this.state.set(State::Idle);
                        return Poll::Ready(Ok(std::mem::take(this.body)));
                    }
                    Poll::Pending => {
                        ready!(patience.poll(cx));
                        Err(timed_out(*this.timeout, "the answer was not complete").into())
                    }
                },
            };
            if let Err(error) = step.or_else(|failure| this.fail(failure)) {
                return this.give_up(error);
            }
        }
    }
}

/// How long a request has been in the queue. The time after its turn has come, without a poll, does not count.
fn queued_for(since: Instant, called: &Sleep, now: Instant) -> Duration {
    now.min(called.deadline()).saturating_duration_since(since)
}

fn timed_out(timeout: Duration, what: &str) -> Error {
    Error::new(ErrorKind::Timeout, format!("{what} within {timeout:?}"))
}
