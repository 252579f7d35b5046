//! The rest between two looks of a stream that follows a chat.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::Error;
use crate::runtime::{Runtime, Runtimes, no_runtime};

/// The wait until the next look. It begins with its first poll, which comes after the end of the last look.
pub(super) struct Rest {
    every: Duration,
    sleep: Option<(Arc<Runtime>, Pin<Box<Sleep>>)>,
}

impl Rest {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, sleep: None }
    }

    /// Ready when it is time to look again. In another runtime, the rest goes on until the same moment.
    pub(super) fn poll(
        &mut self,
        runtimes: &Runtimes,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let here = self.sleep.as_ref().is_some_and(|(runtime, _)| runtime.is_current());
        if !here {
            let Some(runtime) = runtimes.current() else {
                return Poll::Ready(Err(no_runtime()));
            };
            let until = match &self.sleep {
                Some((_, sleep)) => sleep.deadline(),
                None => {
                    let now = Instant::now();
                    // If the clock cannot represent that time, the rest is a century.
                    now.checked_add(self.every).unwrap_or_else(|| now + CENTURY)
                }
            };
            self.sleep = Some((runtime, Box::pin(sleep_until(until))));
        }
        match &mut self.sleep {
            Some((_, sleep)) => sleep.as_mut().poll(cx).map(Ok),
            None => Poll::Pending,
        }
    }
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
