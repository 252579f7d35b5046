//! The tokio runtimes in which a client is used. A timer or a connection works only in the runtime that made
//! it. When that runtime is gone, it may panic or sleep for ever.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::{Handle, Id};
use tokio::task::AbortHandle;

use crate::error::{Cause, Error, ErrorKind};

/// The error of a poll outside of any running runtime.
pub(crate) fn no_runtime() -> Error {
    Error::new(ErrorKind::Transport, "there is no tokio runtime to send in")
        .with_cause(Cause::NoRuntime)
}

/// The runtimes that one client is being used in.
#[derive(Debug, Default)]
pub(crate) struct Runtimes(Mutex<Vec<Arc<Runtime>>>);

/// One runtime, for as long as it runs.
#[derive(Debug)]
pub(crate) struct Runtime {
    id: Id,
    /// A task that ends only when the runtime is shut down. Code can still enter a handle of a runtime that was
    /// shut down. Without this task, tokio shows the shutdown only by a panic.
    canary: AbortHandle,
}

impl Runtimes {
    /// The current runtime. `None` outside of any, and in one that is shut down.
    pub(crate) fn current(&self) -> Option<Arc<Runtime>> {
        let handle = Handle::try_current().ok()?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A new runtime may get the id of one that is gone.
        known.retain(|runtime| runtime.is_running());
        if let Some(runtime) = known.iter().find(|runtime| runtime.id == handle.id()) {
            return Some(Arc::clone(runtime));
        }
        let canary = handle.spawn(pending::<()>()).abort_handle();
        let runtime = Arc::new(Runtime { id: handle.id(), canary });
        known.push(Arc::clone(&runtime));
        runtime.is_running().then_some(runtime)
    }
}

impl Runtime {
    fn is_running(&self) -> bool {
        !self.canary.is_finished()
    }

    /// Whether this is the current runtime.
    pub(crate) fn is_current(&self) -> bool {
        self.is_running() && Handle::try_current().is_ok_and(|handle| handle.id() == self.id)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.canary.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn tells_one_runtime_from_another_and_from_none() {
        let runtimes = Runtimes::default();
        assert!(runtimes.current().is_none());
        let (first, second) = (started(), started());
        let known = first.block_on(async {
            let known = runtimes.current().unwrap();
            assert!(known.is_current() && Arc::ptr_eq(&known, &runtimes.current().unwrap()));
            known
        });
        assert!(!known.is_current());
        second.block_on(async {
            assert!(!known.is_current());
            assert!(runtimes.current().unwrap().is_current());
        });
    }

    #[test]
    fn notices_that_a_runtime_is_gone_though_its_handle_is_not() {
        let runtimes = Runtimes::default();
        let runtime = started();
        let handle = runtime.handle().clone();
        let known = runtime.block_on(async { runtimes.current().unwrap() });
        drop(runtime);
        let _entered = handle.enter();
        assert!(!known.is_current());
        assert!(runtimes.current().is_none());
    }

    #[test]
    fn leaves_no_task_behind() {
        let runtime = started();
        runtime.block_on(async {
            let runtimes = Runtimes::default();
            let _ = runtimes.current();
            assert_eq!(runtime.metrics().num_alive_tasks(), 1);
            drop(runtimes);
            tokio::task::yield_now().await;
            assert_eq!(runtime.metrics().num_alive_tasks(), 0);
        });
    }
}
