//! The pages of a walk, one after the other: what `MessageStream` and `PageStream` have in common.
//!
//! The walk says what to ask, `Fetch` brings the body, the decoder reads it, the walk says what of it is
//! new. Nothing is sent but by a poll.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::{Span, Stats};
use crate::checkpoint::{Checkpoint, Cursor, Key, Position};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::fetch::{Fetch, page_span};
use crate::id::{BotSessionId, ChatId};
use crate::page::{Decode, DecodedPage, first_cursor, of_other_session};
use crate::timestamp::Timestamp;
use crate::walk::{Answer, Ask, Bounds, ChatTime, End, Kept, Next, Walk};

/// A walk that is about to begin.
pub(crate) struct Source<T> {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) chat: ChatId,
    pub(crate) bounds: Bounds,
    pub(crate) position: Position,
    pub(crate) prefetch: usize,
    /// Why nothing can be asked.
    pub(crate) refusal: Option<Error>,
    pub(crate) decode: Decode<T>,
}

/// What of an answer is to be handed out.
pub(super) struct ReadyPage<T> {
    /// Where the walk stood before it.
    pub(super) start: Position,
    /// Ascending, as `messages`: the last is handed out first.
    pub(super) keys: Vec<Key>,
    pub(super) messages: Vec<Result<T, Error>>,
    pub(super) chat_span: Option<Span>,
}

/// A page that was read before there was a stream: keys and messages, ascending.
#[cfg(feature = "testing")]
pub(crate) type ReplayedPage<T = crate::Message> = (Vec<Key>, Vec<Result<T, Error>>);

/// A page that has been asked for.
struct Flight {
    ask: Ask,
    fetch: Pin<Box<Fetch>>,
    /// How it ended, if it did before its turn.
    outcome: Option<Result<Vec<u8>, Error>>,
}

/// The state machine of the pages.
///
/// ```text
/// Idle ⇄ Fetching ──▶ Failed ──▶ Ended
///   └───────┴──────────────────────▲
/// ```
enum State {
    /// The next page may be asked for. A poll leads to `Fetching`.
    Idle,
    /// A page is on its way, and perhaps the one after it. Leads to `Idle`, `Failed` or `Ended`.
    Fetching {
        flight: Flight,
        /// Sent when the first message of `flight` had arrived, in the hope that it is the oldest.
        ahead: Option<Flight>,
    },
    /// A page failed; the error is handed out after every message before it. Leads to `Ended`.
    Failed(Error),
    Ended(End),
}

pub(super) struct Pages<T> {
    endpoint: Arc<Endpoint>,
    chat: ChatId,
    bot_session: Option<BotSessionId>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    decode: Decode<T>,
    prefetch: usize,
    /// Whether there is anything that could be asked again after a failure.
    askable: bool,
    walk: Walk,
    state: State,
    /// Pages that wait, oldest request first.
    waiting: VecDeque<ReadyPage<T>>,
    chat_span: Option<Span>,
    stats: Stats,
}

impl<T> Pages<T> {
    pub(super) fn new(source: Source<T>) -> Self {
        let state = match source.refusal {
            Some(error) => State::Failed(error),
            None if source.bounds.max_messages == Some(0) => State::Ended(End::ReachedMax),
            None => State::Idle,
        };
        Self {
            endpoint: source.endpoint,
            chat: source.chat,
            bot_session: source.bounds.bot_session.clone(),
            since: source.bounds.since,
            until: source.bounds.until,
            decode: source.decode,
            prefetch: source.prefetch,
            askable: !matches!(state, State::Failed(_)),
            walk: Walk::new(source.bounds, source.position),
            state,
            waiting: VecDeque::new(),
            chat_span: None,
            stats: Stats::default(),
        }
    }

    /// Puts pages in hand as if they had been fetched, with the end behind them.
    #[cfg(feature = "testing")]
    pub(super) fn replay(&mut self, pages: Vec<ReplayedPage<T>>) {
        let mut start = self.walk.position().clone();
        for (keys, messages) in pages {
            let mut end = start.clone();
            end.advance(&keys);
            self.waiting.push_back(ReadyPage { start, keys, messages, chat_span: None });
            start = end;
        }
        self.state = State::Ended(End::ReachedStart);
    }

    /// The next page with something to hand out; after the last one `None`, for ever.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<ReadyPage<T>, Error>>> {
        loop {
            if let Some(page) = self.waiting.pop_front() {
                if page.messages.is_empty() {
                    continue;
                }
                return Poll::Ready(Some(Ok(page)));
            }
            match &self.state {
                State::Failed(_) => {
                    let failed = std::mem::replace(&mut self.state, State::Ended(End::Failed));
                    if let State::Failed(error) = failed {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                State::Ended(_) => return Poll::Ready(None),
                State::Idle | State::Fetching { .. } => ready!(self.poll_fetch(cx, false)),
            }
        }
    }

    /// Starts or goes on with pages that are to wait, while the caller still has messages in hand.
    #[inline(never)]
    pub(super) fn poll_ahead(&mut self, cx: &mut Context<'_>) {
        while self.waiting.len() < self.prefetch
            && matches!(self.state, State::Idle | State::Fetching { .. })
            && self.poll_fetch(cx, true).is_ready()
        {}
    }

    /// Moves the page on its way one step: ready when an answer has been taken in.
    fn poll_fetch(&mut self, cx: &mut Context<'_>, in_hand: bool) -> Poll<()> {
        if matches!(self.state, State::Idle) {
            let flight = self.send(self.walk.ask());
            self.state = State::Fetching { flight, ahead: None };
        }
        let State::Fetching { flight, .. } = &mut self.state else {
            return Poll::Ready(());
        };
        if flight.poll(cx).is_ready() {
            self.take_in();
            return Poll::Ready(());
        }
        self.poll_head_start(cx, in_hand);
        Poll::Pending
    }

    /// With room for one more page, asks for the one after next as soon as its cursor has arrived.
    fn poll_head_start(&mut self, cx: &mut Context<'_>, in_hand: bool) {
        // The page on its way will wait if there are messages in hand, and be in hand itself otherwise.
        let to_wait = self.waiting.len() + usize::from(in_hand);
        let State::Fetching { flight, ahead: None } = &self.state else {
            if let State::Fetching { ahead: Some(ahead), .. } = &mut self.state {
                let _ = ahead.poll(cx);
            }
            return;
        };
        if to_wait >= self.prefetch {
            return;
        }
        let foreseen = first_cursor(flight.fetch.head())
            .and_then(|first| self.walk.foresee(&flight.ask, &first));
        let Some(ask) = foreseen else { return };
        let mut early = self.send(ask);
        let _ = early.poll(cx);
        if let State::Fetching { ahead, .. } = &mut self.state {
            *ahead = Some(early);
        }
    }

    fn send(&self, ask: Ask) -> Flight {
        let session = self.bot_session.as_ref().map(BotSessionId::as_str);
        let url = self.endpoint.url(self.chat.as_str(), session, &ask);
        let span = page_span(self.chat.as_str(), ask.cursor.as_ref(), ask.limit);
        Flight { ask, fetch: Box::pin(Fetch::new(&self.endpoint, url, span)), outcome: None }
    }

    /// Takes in how the page on its way ended.
    fn take_in(&mut self) {
        let State::Fetching { flight, ahead } = std::mem::replace(&mut self.state, State::Idle)
        else {
            return;
        };
        self.count(&flight);
        let Flight { ask, fetch, outcome: Some(outcome) } = flight else {
            return;
        };
        let span = fetch.span().clone();
        let _entered = span.enter();
        let read = outcome.and_then(|body| {
            let fetched = self.read(&ask, &body, &fetch);
            fetched.map_err(|error| {
                fetch.name_type(error).with_attempts(fetch.attempts(), fetch.elapsed())
            })
        });
        span.record("bytes", fetch.bytes());
        span.record("elapsed_ms", u64::try_from(fetch.elapsed().as_millis()).unwrap_or(u64::MAX));
        self.state = match read {
            Ok(Next::Ask) => State::Idle,
            Ok(Next::End(end)) => State::Ended(end),
            Ok(Next::Stalled(why)) => {
                let stalled = Error::new(ErrorKind::Stalled, why);
                let stalled = stalled.with_attempts(fetch.attempts(), fetch.elapsed());
                State::Failed(self.at(stalled, &ask))
            }
            Err(error) if error.status() == Some(413) && self.walk.too_large(&ask) => State::Idle,
            Err(error) => State::Failed(self.at(error, &ask)),
        };
        let Some(ahead) = ahead else { return };
        if matches!(self.state, State::Idle) && self.walk.ask() == ahead.ask {
            self.state = State::Fetching { flight: ahead, ahead: None };
        } else {
            self.count(&ahead);
            self.stats.discarded += 1;
        }
    }

    fn read(&mut self, ask: &Ask, body: &[u8], fetch: &Fetch) -> Result<Next, Error> {
        let DecodedPage { keys, messages, chat_start, chat_latest } =
            (self.decode)(body, ask.limit)?;
        tracing::Span::current().record("messages", messages.len());
        let of_other_session = match &self.bot_session {
            Some(session) => of_other_session(body, session.as_str())?,
            None => Vec::new(),
        };
        match (chat_start, chat_latest) {
            (ChatTime::At(oldest), ChatTime::At(newest)) => {
                self.chat_span = Some(Span { oldest, newest });
            }
            (ChatTime::Empty, _) => self.chat_span = None,
            // An answer that says nothing of it takes nothing back.
            _ => {}
        }
        let start = self.walk.position().clone();
        let answer = Answer { keys: &keys, of_other_session: &of_other_session, chat_start };
        let verdict = self.walk.receive(ask, answer);
        self.stats.duplicates += verdict.duplicates;
        let (keys, mut messages) = match verdict.kept {
            Kept::AllAsTheyCame => (keys, messages),
            Kept::Only(indices) => pick(keys, messages, &indices),
        };
        for message in &mut messages {
            if let Err(error) = message {
                let fault = std::mem::replace(error, Error::new(ErrorKind::MalformedMessage, ""));
                *error = self.at(fault, ask).with_attempts(fetch.attempts(), fetch.elapsed());
            }
        }
        self.waiting.push_back(ReadyPage { start, keys, messages, chat_span: self.chat_span });
        Ok(verdict.next)
    }

    fn at(&self, error: Error, ask: &Ask) -> Error {
        error.at(self.chat.as_str(), ask.cursor.as_ref())
    }

    fn count(&mut self, flight: &Flight) {
        flight.add_to(&mut self.stats);
    }

    /// Lets the next poll ask again after a failure that has been handed out.
    pub(super) fn resume(&mut self) {
        if self.askable && matches!(self.state, State::Ended(End::Failed)) {
            self.state = State::Idle;
        }
    }

    /// Why there will be no further page, once none waits.
    pub(super) fn end(&self) -> Option<End> {
        match self.state {
            State::Ended(end) if self.waiting.is_empty() => Some(end),
            _ => None,
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.iter().map(|page| page.messages.len()).sum()
    }

    pub(super) fn prefetch(&self) -> usize {
        self.prefetch
    }

    pub(super) fn chat_span(&self) -> Option<Span> {
        self.chat_span
    }

    pub(super) fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        if let State::Fetching { flight, ahead } = &self.state {
            flight.add_to(&mut stats);
            if let Some(ahead) = ahead {
                ahead.add_to(&mut stats);
            }
        }
        stats
    }

    pub(super) fn checkpoint(&self, position: Position) -> Checkpoint {
        Checkpoint {
            chat: self.chat.clone(),
            bot_session: self.bot_session.clone(),
            since: self.since,
            until: self.until,
            position,
        }
    }

    /// Where the walk begins, for a stream that has handed out nothing.
    pub(super) fn position(&self) -> &Position {
        self.walk.position()
    }

    /// The times between which messages of such a chat are handed out, newest first.
    pub(super) fn range(&self, span: Span) -> (Timestamp, Timestamp) {
        let newest = self.until.map_or(span.newest, |until| until.min(span.newest));
        let oldest = self.since.map_or(span.oldest, |since| since.max(span.oldest));
        (newest, oldest)
    }
}

impl Flight {
    /// Ready once the outcome is there.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.outcome.is_none() {
            self.outcome = Some(ready!(self.fetch.as_mut().poll(cx)));
        }
        Poll::Ready(())
    }

    fn add_to(&self, stats: &mut Stats) {
        let attempts = u64::from(self.fetch.attempts());
        stats.requests += attempts;
        stats.retries += attempts.saturating_sub(1);
        stats.bytes += self.fetch.bytes();
        stats.waited += self.fetch.waited();
    }
}

fn pick<T>(
    keys: Vec<Key>,
    messages: Vec<Result<T, Error>>,
    indices: &[usize],
) -> (Vec<Key>, Vec<Result<T, Error>>) {
    let mut left: Vec<Option<(Key, Result<T, Error>)>> =
        keys.into_iter().zip(messages).map(Some).collect();
    indices.iter().filter_map(|index| left.get_mut(*index)?.take()).unzip()
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Idle => "Idle",
            State::Fetching { ahead: None, .. } => "Fetching",
            State::Fetching { .. } => "Fetching two",
            State::Failed(_) => "Failed",
            State::Ended(_) => "Ended",
        };
        let cursor: Option<&Cursor> = self.walk.position().cursor.as_ref();
        f.debug_struct("Pages")
            .field("chat", &self.chat)
            .field("state", &format_args!("{state}"))
            .field("cursor", &cursor)
            .field("waiting", &self.waiting())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
