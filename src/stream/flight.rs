//! A request for a page that is under way.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::stats::Stats;
use crate::error::Error;
use crate::fetch::Fetch;
use crate::walk::Ask;
use crate::window::WindowId;

/// A request under way for one window.
pub(super) struct Flight {
    pub(super) window: WindowId,
    pub(super) ask: Ask,
    pub(super) fetch: Pin<Box<Fetch>>,
    /// How the request ended, if it ended before its turn.
    outcome: Option<Result<Vec<u8>, Error>>,
}

impl Flight {
    pub(super) fn new(window: WindowId, ask: Ask, fetch: Fetch) -> Self {
        Self { window, ask, fetch: Box::pin(fetch), outcome: None }
    }

    /// Polls a request whose turn has not come yet.
    pub(super) fn poll_early(&mut self, cx: &mut Context<'_>) {
        if self.outcome.is_none() {
            self.outcome = match self.fetch.as_mut().poll(cx) {
                Poll::Ready(outcome) => Some(outcome),
                Poll::Pending => None,
            };
        }
    }

    pub(super) fn add_to(&self, stats: &mut Stats) {
        let attempts = u64::from(self.fetch.attempts());
        stats.requests += attempts;
        stats.retries += attempts.saturating_sub(1);
        stats.bytes += self.fetch.bytes();
        stats.waited += self.fetch.waited();
    }
}

/// A [`Flight`] as a future. Its output is the flight and how it ended. The place is empty only after that, when nothing
/// polls a future any more.
pub(super) struct Landing(pub(super) Option<Flight>);

/// A flight that has ended, with the body that it brought.
pub(super) type Landed = (Flight, Result<Vec<u8>, Error>);

impl Future for Landing {
    type Output = Landed;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Landed> {
        if let Some(mut flight) = self.0.take() {
            flight.poll_early(cx);
            match flight.outcome.take() {
                Some(outcome) => return Poll::Ready((flight, outcome)),
                None => self.0 = Some(flight),
            }
        }
        Poll::Pending
    }
}
