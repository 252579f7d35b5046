//! Processes an answer.

use tokio::time::Instant;

use super::Pages;
use crate::chat_time::{ChatTime, Span};
use crate::error::{Cause, Error, ErrorKind};
use crate::fetch::Fetch;
use crate::page::DecodedPage;
use crate::plan::Fetched;
use crate::position::Standing;
use crate::stream::flight::{Flight, Landed, Landing};
use crate::walk::{Ask, Next, Stall};
use crate::window::WindowId;

impl<T> Pages<T> {
    /// Processes how a request ended.
    pub(super) fn take_in(&mut self, (flight, outcome): Landed) {
        flight.add_to(&mut self.stats);
        self.may_ask = true;
        self.answered = Instant::now();
        let Flight { window, ask, fetch, .. } = flight;
        let span = fetch.span().clone();
        let _entered = span.enter();
        let read = outcome.and_then(|body| {
            let fetched = self.read(window, &ask, &body, &fetch);
            fetched.map_err(|error| {
                fetch.name_type(error).with_attempts(fetch.attempts(), fetch.elapsed())
            })
        });
        span.record("bytes", fetch.bytes());
        span.record("elapsed_ms", u64::try_from(fetch.elapsed().as_millis()).unwrap_or(u64::MAX));
        let error = match read {
            Ok(None) => None,
            Ok(Some(stall)) => Some(self.stalled(stall, &fetch)),
            Err(error) => match self.plan.failed(window, &ask, error.status()) {
                Some(Next::Stalled(stall)) => Some(self.stalled(stall, &fetch)),
                Some(Next::Ask | Next::End(_)) => None,
                None => Some(error),
            },
        };
        if let Some(error) = error {
            self.failures.push((window, self.at(error, window)));
        }
        self.keep_head_start();
    }

    /// Keeps the early request if the plan asks for exactly that request now. Otherwise drops it.
    fn keep_head_start(&mut self) {
        let Some(ahead) = self.ahead.take() else { return };
        match self.plan.ask() {
            Some((window, ask)) if (window, &ask) == (ahead.window, &ahead.ask) => {
                self.under_way.push(Landing(Some(ahead)));
            }
            other => {
                ahead.add_to(&mut self.stats);
                self.stats.discarded += 1;
                if let Some((window, ask)) = other {
                    let flight = self.send(window, ask);
                    self.under_way.push(Landing(Some(flight)));
                }
            }
        }
    }

    /// Gives a body to the plan. Returns the reason if the walk cannot get past what the server sends.
    fn read(
        &mut self,
        window: WindowId,
        ask: &Ask,
        body: &[u8],
        fetch: &Fetch,
    ) -> Result<Option<Stall>, Error> {
        let DecodedPage { keys, mut messages, of_other_session, chat_start, chat_latest } =
            (self.decode)(body, ask.limit, self.session())?;
        tracing::Span::current().record("messages", messages.len());
        match (chat_start, chat_latest) {
            (ChatTime::At(oldest), ChatTime::At(newest)) => {
                self.chat_span = Some(Span { oldest, newest });
            }
            (ChatTime::Empty, _) => self.chat_span = None,
            // An answer without these times does not change what is known.
            _ => {}
        }
        for message in &mut messages {
            if let Err(error) = message {
                let fault = std::mem::replace(error, Error::new(ErrorKind::MalformedMessage, ""));
                *error = self.at(fault, window).with_attempts(fetch.attempts(), fetch.elapsed());
            }
        }
        let page = Fetched {
            keys,
            messages,
            of_other_session,
            chat_start,
            chat_latest,
            span: self.chat_span,
            bytes: body.len() as u64,
        };
        let outcome = self.plan.receive(window, ask, page);
        self.stats.duplicates += outcome.duplicates;
        Ok(outcome.stalled)
    }

    /// Adds to the error which page of the chat failed. It is the page behind the last message that was read in
    /// the window.
    fn at(&self, error: Error, window: WindowId) -> Error {
        match self.plan.stopped_at(window) {
            Some(cursor) => error.at(&self.chat, Some(cursor)),
            None if self.plan.is_first_request() => error.at(&self.chat, None),
            None => error.of(&self.chat),
        }
    }

    fn stalled(&self, stall: Stall, fetch: &Fetch) -> Error {
        let oldest_first = matches!(self.standing, Standing::OldestFirst { .. });
        Error::new(ErrorKind::Stalled, stall.to_string())
            .with_cause(Cause::Stalled { advice: stall.advice(oldest_first) })
            .with_attempts(fetch.attempts(), fetch.elapsed())
    }
}
