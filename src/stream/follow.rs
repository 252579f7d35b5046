//! The rest between two looks of a stream that follows a chat.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::Error;
use crate::runtime::{Runtime, Runtimes, no_runtime};

/// Ends so long after the last look did, however late it is polled.
pub(super) struct Rest {
    until: Instant,
    sleep: Option<(Arc<Runtime>, Pin<Box<Sleep>>)>,
}

impl Rest {
    pub(super) fn new(looked: Instant, every: Duration) -> Self {
        // Beyond what a clock can say, a century is as good as for ever.
        let until = looked.checked_add(every).unwrap_or_else(|| looked + CENTURY);
        Self { until, sleep: None }
    }

    /// Ready when it is time to look again. In another runtime, the rest goes on until the same moment.
    pub(super) fn poll(
        &mut self,
        runtimes: &Runtimes,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let sleep = match &mut self.sleep {
            Some((runtime, sleep)) if runtime.is_current() => sleep,
            elsewhere => {
                let Some(runtime) = runtimes.current() else {
                    return Poll::Ready(Err(no_runtime()));
                };
                &mut elsewhere.insert((runtime, Box::pin(sleep_until(self.until)))).1
            }
        };
        sleep.as_mut().poll(cx).map(Ok)
    }
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
