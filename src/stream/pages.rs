//! The pages of a plan, in order. `MessageStream` and `PageStream` share this.
//!
//! The plan says what to ask. `Fetch` brings the body, and the decoder reads it. The plan says which messages
//! are new and when their turn comes. Only a poll sends anything.

mod answer;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::flight::{Flight, Landing};
use super::follow::Rest;
use super::source::{Begin, ReadyPage, Source};
use super::stats::{Stats, share};
use crate::chat_time::Span;
use crate::checkpoint::Checkpoint;
use crate::cursor::{Cursor, Key};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::fetch::{Fetch, page_span};
use crate::id::{BotSessionId, ChatId};
use crate::page::{Decode, DecodedPage, first_cursor};
use crate::plan::{Plan, Settings, Start};
use crate::position::{Horizon, Standing, SyncPosition};
use crate::runtime::Runtime;
use crate::timestamp::Timestamp;
use crate::walk::{Ask, Bounds, End};
use crate::window::WindowId;

/// The state machine of the pages.
///
/// ```text
/// Running ──▶ Failed ──▶ Ended ── resume() ──▶ Running
///   │ ▲ └───────────────────▲
///   ▼ │
/// Resting
/// ```
enum State {
    /// The pages send what the plan asks for, and hand out what the plan has in order. Leads to all other
    /// states.
    Running,
    /// A window failed, and everything before it has been handed out. A poll returns the error and leads to
    /// `Ended`.
    Failed(Error),
    /// `follow` has caught up. The end of the rest leads to `Running`.
    Resting(Rest),
    Ended(End),
}

pub(super) struct Pages<T> {
    endpoint: Arc<Endpoint>,
    chat: ChatId,
    bounds: Bounds,
    decode: Decode<T>,
    lookback: Duration,
    follow: Option<Duration>,
    several: bool,
    prefetch: usize,
    /// Whether anything could be asked again after a failure.
    askable: bool,
    state: State,
    plan: Plan<Result<T, Error>>,
    /// Whether the plan may have a new request since it was last asked.
    may_ask: bool,
    under_way: FuturesUnordered<Landing>,
    /// A request that was sent early, when the first message of the page under way had arrived. It is right if
    /// that message is the oldest of its page.
    ahead: Option<Flight>,
    /// The runtime in which the requests under way were begun.
    runtime: Option<Arc<Runtime>>,
    failures: Vec<(WindowId, Error)>,
    /// Pages that the stream was given before it asked for anything.
    given: VecDeque<ReadyPage<T>>,
    /// Where the walk stands behind the pages that were handed out completely.
    standing: Standing,
    /// When the present look began: when its first request was sent.
    now: Timestamp,
    /// How many looks came before it.
    looks: u64,
    /// When the last answer came.
    answered: Instant,
    chat_span: Option<Span>,
    stats: Stats,
}

impl<T> Pages<T> {
    pub(super) fn new(source: Source<T>) -> Self {
        let state = match source.begin {
            Begin::Ask => State::Running,
            Begin::Refused(error) => State::Failed(error),
            Begin::Ended(end) => State::Ended(end),
        };
        let given = source
            .in_hand
            .into_iter()
            .map(|DecodedPage { keys, messages, .. }| ReadyPage::new(keys, messages, None));
        let now = Timestamp::now();
        let start = match &source.standing {
            Standing::NewestFirst { position, .. } => Start::NewestFirst(position.clone()),
            Standing::OldestFirst { position, .. } => {
                Start::OldestFirst { position: position.clone(), again: false }
            }
        };
        let settings = Settings {
            bounds: source.bounds.clone(),
            concurrency: source.concurrency,
            most_bytes: source.endpoint.max_body_bytes,
            #[cfg(test)]
            buffer: None,
        };
        Self {
            given: given.collect(),
            endpoint: source.endpoint,
            chat: source.chat,
            bounds: source.bounds,
            decode: source.decode,
            lookback: source.lookback,
            follow: source.follow,
            several: source.concurrency > 1,
            prefetch: source.prefetch,
            askable: !matches!(state, State::Failed(_)),
            state,
            plan: Plan::new(settings, start),
            may_ask: true,
            under_way: FuturesUnordered::new(),
            ahead: None,
            runtime: None,
            failures: Vec::new(),
            standing: source.standing,
            now,
            looks: 0,
            answered: Instant::now(),
            chat_span: None,
            stats: Stats::default(),
        }
    }

    /// The next page with something to hand out. After the last one, `None` for ever.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<ReadyPage<T>, Error>>> {
        loop {
            if let Some(page) = self.given.pop_front() {
                if page.messages.is_empty() {
                    continue;
                }
                return Poll::Ready(Some(Ok(page)));
            }
            match &mut self.state {
                State::Failed(_) => {
                    let failed = std::mem::replace(&mut self.state, State::Ended(End::Failed));
                    if let State::Failed(error) = failed {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                State::Ended(_) => return Poll::Ready(None),
                State::Resting(rest) => match ready!(rest.poll(&self.endpoint.runtimes, cx)) {
                    Ok(()) => self.look_again(),
                    Err(error) => self.state = State::Failed(error.of(&self.chat)),
                },
                State::Running => {
                    if let Some(page) = self.take() {
                        return Poll::Ready(Some(Ok(page)));
                    }
                    if !self.is_over() {
                        ready!(self.poll_requests(cx, false));
                    }
                }
            }
        }
    }

    /// Takes the page that the plan can hand out now.
    fn take(&mut self) -> Option<ReadyPage<T>> {
        let chunk = self.plan.take()?;
        self.may_ask = true;
        Some(ReadyPage::new(chunk.keys, chunk.messages, chunk.span.or(self.chat_span)))
    }

    /// Whether the plan, which has nothing to hand out now, is over or has failed. If so, sets the next state.
    fn is_over(&mut self) -> bool {
        if let Some(end) = self.plan_end() {
            if let Standing::OldestFirst { position, .. } = &mut self.standing {
                if end == End::ReachedNewest {
                    position.caught_up(Horizon { now: self.now, lookback: self.lookback });
                }
            }
            // Requests that were sent early count, even if their answers are no longer needed.
            for flight in std::mem::take(&mut self.under_way).into_iter().filter_map(|sent| sent.0)
            {
                flight.add_to(&mut self.stats);
                self.stats.discarded += 1;
            }
            self.state = match self.follow {
                Some(every) if end == End::ReachedNewest => {
                    State::Resting(Rest::new(self.answered, every))
                }
                _ => State::Ended(end),
            };
            return true;
        }
        let Some(failed) = self.plan.failure() else { return false };
        let known = self.failures.iter().position(|(window, _)| *window == failed);
        let Some(known) = known else { return false };
        self.state = State::Failed(self.failures.swap_remove(known).1);
        true
    }

    /// Why the plan is over. While the stream follows, only `max_messages` and a time that is over end it.
    fn plan_end(&self) -> Option<End> {
        let end = self.plan.end()?;
        if self.follow.is_none() || !matches!(end, End::ReachedNewest | End::ReachedUntil) {
            return Some(end);
        }
        Some(match self.bounds.until {
            _ if self.plan.has_brought_all_wanted() => End::ReachedMax,
            Some(until) if until <= self.now => End::ReachedUntil,
            _ => End::ReachedNewest,
        })
    }

    fn look_again(&mut self) {
        self.looks += 1;
        if let Standing::OldestFirst { position, .. } = &self.standing {
            self.plan.look_again(position.clone());
        }
        self.may_ask = true;
        self.state = State::Running;
    }

    /// Whether polls may send requests while the caller still has messages in hand.
    pub(super) fn reads_ahead(&self) -> bool {
        self.prefetch > 0 || self.several
    }

    /// Starts or continues requests for pages that will wait, while the caller still has messages in hand.
    #[inline(never)]
    pub(super) fn poll_ahead(&mut self, cx: &mut Context<'_>) {
        while matches!(self.state, State::Running)
            && self.plan.end().is_none()
            && self.plan.failure().is_none()
            && (self.several || self.plan.waiting() < self.prefetch)
            && self.poll_requests(cx, true).is_ready()
        {}
    }

    /// Polls the requests under way. Ready when an answer has been processed.
    fn poll_requests(&mut self, cx: &mut Context<'_>, in_hand: bool) -> Poll<()> {
        let too_much = in_hand && self.plan.bytes() > self.endpoint.max_body_bytes;
        if self.may_ask && !too_much {
            while let Some((window, ask)) = self.plan.ask() {
                if self.plan.is_first_request() {
                    // Whatever the stream has waited for until now, the look begins with its first request.
                    self.now = Timestamp::now();
                }
                let flight = self.send(window, ask);
                self.under_way.push(Landing(Some(flight)));
            }
            self.may_ask = false;
        }
        self.move_here();
        match self.under_way.poll_next_unpin(cx) {
            Poll::Ready(Some(landed)) => {
                self.take_in(landed);
                Poll::Ready(())
            }
            // There is no room for more until the caller has taken the messages in hand.
            Poll::Ready(None) if in_hand => Poll::Pending,
            Poll::Ready(None) => {
                let error = Error::new(ErrorKind::Stalled, "there is nothing left to ask for");
                self.state = State::Failed(error.of(&self.chat));
                Poll::Ready(())
            }
            Poll::Pending => {
                self.poll_head_start(cx, in_hand);
                Poll::Pending
            }
        }
    }

    /// Makes sure that requests from another runtime are polled again here, because that runtime would not wake
    /// this task.
    fn move_here(&mut self) {
        if self.runtime.as_ref().is_some_and(|runtime| runtime.is_current()) {
            return;
        }
        self.runtime = self.endpoint.runtimes.current();
        let under_way = std::mem::take(&mut self.under_way);
        self.under_way.extend(under_way);
    }

    /// If there is room for one more page, asks for the page after the one under way. It does so as soon as the
    /// cursor for that page has arrived.
    fn poll_head_start(&mut self, cx: &mut Context<'_>, in_hand: bool) {
        if let Some(ahead) = &mut self.ahead {
            // The early request keeps its outcome until its turn comes.
            ahead.poll_early(cx);
            return;
        }
        // The page under way will wait if there are messages in hand. Otherwise it will be in hand itself.
        let to_wait = self.plan.waiting() + usize::from(in_hand);
        if self.several || to_wait >= self.prefetch {
            return;
        }
        let Some(flight) = self.under_way.iter().next().and_then(|landing| landing.0.as_ref())
        else {
            return;
        };
        let bytes = self.plan.bytes() + flight.fetch.bytes();
        if in_hand && bytes > self.endpoint.max_body_bytes {
            return;
        }
        let window = flight.window;
        let foreseen = first_cursor(flight.fetch.head())
            .and_then(|first| self.plan.foresee(window, &flight.ask, &first));
        let Some(ask) = foreseen else { return };
        let mut early = self.send(window, ask);
        early.poll_early(cx);
        self.ahead = Some(early);
    }

    fn send(&self, window: WindowId, ask: Ask) -> Flight {
        let session = self.session();
        let url = self.endpoint.url(self.chat.as_str(), session, &ask);
        let span = page_span(self.chat.as_str(), ask.cursor.as_ref(), ask.limit);
        Flight::new(window, ask, Fetch::new(&self.endpoint, url, span))
    }

    fn session(&self) -> Option<&str> {
        self.bounds.bot_session.as_ref().map(BotSessionId::as_str)
    }

    /// Allows the next poll to ask again after a failure that has been handed out.
    pub(super) fn resume(&mut self) {
        if self.askable && matches!(self.state, State::Ended(End::Failed)) {
            self.plan.resume();
            self.failures.clear();
            self.may_ask = true;
            self.state = State::Running;
        }
    }

    /// Why there will be no further page, once no page waits.
    pub(super) fn end(&self) -> Option<End> {
        let end = match self.state {
            State::Ended(end) => Some(end),
            State::Running => self.plan_end(),
            State::Failed(_) | State::Resting(_) => None,
        };
        let goes_on = self.follow.is_some() && end == Some(End::ReachedNewest);
        end.filter(|_| self.given.is_empty() && !goes_on)
    }

    /// Whether the last look has reached the newest message, and everything that it found has been taken.
    pub(super) fn is_caught_up(&self) -> bool {
        match &self.state {
            State::Resting(_) => true,
            State::Ended(end) => *end == End::ReachedNewest,
            State::Running => self.plan_end() == Some(End::ReachedNewest),
            State::Failed(_) => false,
        }
    }

    /// Whether an earlier look has reached the newest message.
    pub(super) fn has_been_caught_up(&self) -> bool {
        self.looks > 0
    }

    /// How many messages wait to be handed out.
    pub(super) fn waiting(&self, skip_malformed: bool) -> usize {
        let given: usize = self.given.iter().map(|page| page.to_hand_out(skip_malformed)).sum();
        let waiting = self.plan.ready().filter(|message| !skip_malformed || message.is_ok());
        given + waiting.count()
    }

    /// How many pages wait that have something to hand out.
    pub(super) fn pages_waiting(&self, skip_malformed: bool) -> usize {
        let given = self.given.iter().filter(|page| page.to_hand_out(skip_malformed) > 0).count();
        let readable = |message: &Result<T, Error>| !skip_malformed || message.is_ok();
        given + self.plan.ready_parts().filter(|part| part.iter().any(readable)).count()
    }

    pub(super) fn chat_span(&self) -> Option<Span> {
        self.chat_span
    }

    pub(super) fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        for flight in self.under_way.iter().filter_map(|landing| landing.0.as_ref()) {
            flight.add_to(&mut stats);
        }
        if let Some(ahead) = &self.ahead {
            ahead.add_to(&mut stats);
        }
        stats
    }

    /// Where the last page left the walk.
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Notes that these messages have been handed out. The last of the keys was handed out first.
    pub(super) fn advance(&mut self, handed_out: &[Key]) {
        self.standing.advance(handed_out, self.horizon());
    }

    /// Where the walk stands once these messages have been handed out, too.
    pub(super) fn standing_behind(&self, handed_out: &[Key]) -> Standing {
        let mut standing = self.standing.clone();
        standing.advance(handed_out, self.horizon());
        standing
    }

    fn horizon(&self) -> Horizon {
        Horizon { now: self.now, lookback: self.lookback }
    }

    pub(super) fn checkpoint(&self, standing: Standing) -> Checkpoint {
        Checkpoint {
            chat: self.chat.clone(),
            bot_session: self.bounds.bot_session.clone(),
            since: self.bounds.since,
            until: self.bounds.until,
            standing,
        }
    }

    /// An oldest-first checkpoint right behind the newest message that has been handed out.
    pub(super) fn newest_checkpoint(&self, standing: Standing) -> Option<Checkpoint> {
        let Standing::NewestFirst { top, .. } = standing else { return None };
        top.newest?;
        let position: SyncPosition = top;
        let last = position.ids.last().cloned();
        let last = last.map(|(timestamp, id)| Cursor { timestamp, id });
        let standing = Standing::OldestFirst { position, last };
        // Messages newer than `until` are still to come.
        Some(Checkpoint { until: None, ..self.checkpoint(standing) })
    }

    /// How much of the time range has been walked, once everything up to `last` has been handed out.
    pub(super) fn share(&self, span: Span, last: Option<Timestamp>) -> f64 {
        let newest = self.bounds.until.map_or(span.newest, |until| until.min(span.newest));
        let oldest = self.bounds.since.map_or(span.oldest, |since| since.max(span.oldest));
        match self.standing {
            Standing::NewestFirst { .. } => share(newest, oldest, last),
            Standing::OldestFirst { .. } => share(oldest, newest, last),
        }
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Running => "Running",
            State::Failed(_) => "Failed",
            State::Resting(_) => "Resting",
            State::Ended(_) => "Ended",
        };
        f.debug_struct("Pages")
            .field("chat", &self.chat)
            .field("state", &format_args!("{state}"))
            .field("cursor", &self.standing.cursor())
            .field("under_way", &self.under_way.len())
            .field("waiting", &self.waiting(false))
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
