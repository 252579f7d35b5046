//! The lease of a claim, which is kept while the chat is read.

use std::future;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::database::Database;
use crate::database::records::Claim;

/// When a claim has to be renewed: well before its lease runs out.
pub(crate) struct Renewal {
    every: Option<Duration>,
    at: Option<Instant>,
}

impl Renewal {
    pub(crate) fn of(claim: &Claim) -> Self {
        let mut renewal = Self { every: claim.lease.map(|lease| lease / 3), at: None };
        renewal.is_renewed();
        renewal
    }

    pub(crate) fn is_renewed(&mut self) {
        self.at = self.every.map(|every| Instant::now() + every);
    }

    /// A process that was stopped and goes on finds it due before it sends another request.
    pub(crate) fn is_due(&self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    pub(crate) async fn due(&self) {
        match self.at {
            Some(at) => sleep_until(at).await,
            None => future::pending().await,
        }
    }

    pub(crate) async fn renew(&mut self, database: &Database, claim: &Claim) -> sqlx::Result<bool> {
        self.is_renewed();
        database.renew(claim).await
    }
}
