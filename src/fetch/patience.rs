//! How long somebody has waited for an attempt.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

/// If the end of a piece is noticed later than this, nobody polled. It was not the server's fault.
const LATE: Duration = Duration::from_millis(50);

/// The time is counted in pieces of this length at most, and in ten at least.
const PIECE: Duration = Duration::from_millis(100);
const PIECES: u32 = 10;

pin_project! {
    /// Runs out when somebody who polls has waited for this long. Each piece of the time counts if its end was
    /// noticed in time. While nobody polls, nobody takes what has arrived, and the server may be waiting for
    /// that.
    pub(super) struct Patience {
        // The time left without the present piece.
        left: Duration,
        length: Duration,
        #[pin]
        piece: Sleep,
    }
}

impl Patience {
    pub(super) fn new(time: Duration) -> Self {
        let length = (time / PIECES).min(PIECE);
        Self { left: time.saturating_sub(length), length, piece: sleep(length) }
    }

    /// The time that is left. A piece whose end nobody noticed in time does not count.
    pub(super) fn left(&self) -> Duration {
        let (now, end) = (Instant::now(), self.piece.deadline());
        let is_late = now.saturating_duration_since(end) > LATE;
        let piece = if is_late { self.length } else { end.saturating_duration_since(now) };
        self.left.saturating_add(piece)
    }

    /// Ready when the time has run out.
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            ready!(this.piece.as_mut().poll(cx));
            let now = Instant::now();
            // A piece whose end was noticed late begins again.
            if now.saturating_duration_since(this.piece.deadline()) <= LATE {
                if this.left.is_zero() {
                    return Poll::Ready(());
                }
                *this.length = (*this.left).min(*this.length);
                *this.left = this.left.saturating_sub(*this.length);
            }
            this.piece.as_mut().reset(now + *this.length);
        }
    }
}
