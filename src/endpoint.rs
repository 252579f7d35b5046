//! The endpoint that the client asks, and how patiently.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use crate::pace::Pace;
use crate::retry::RetryPolicy;
use crate::runtime::Runtimes;
use crate::transport::Transport;
use crate::walk::Ask;

/// The messages endpoint of one project.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Everything before `/messages/…`.
    pub(crate) base: Url,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) retry: RetryPolicy,
    /// The time for one attempt, from connecting to the last byte.
    pub(crate) timeout: Duration,
    pub(crate) max_body_bytes: u64,
    /// The runtimes in which the client is used.
    pub(crate) runtimes: Runtimes,
    pub(crate) pace: Arc<Pace>,
}

impl Endpoint {
    /// An endpoint with the defaults.
    pub(crate) fn new(base: Url, transport: Arc<dyn Transport>) -> Self {
        Self {
            base,
            transport,
            retry: RetryPolicy::default(),
            timeout: Duration::from_secs(60),
            max_body_bytes: 64 * 1024 * 1024,
            runtimes: Runtimes::default(),
            pace: Arc::new(Pace::new(None)),
        }
    }

    /// The URL of one request. Every URL is built here from the base, so the token goes to no other host.
    pub(crate) fn url(&self, chat: &str, bot_session: Option<&str>, ask: &Ask) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["messages", "chat", chat]);
        }
        let mut query = url.query_pairs_mut();
        query.append_pair("limit", &ask.limit.to_string());
        if let Some(cursor) = &ask.cursor {
            query.append_pair("beforeTime", &cursor.timestamp.as_millis().to_string());
            query.append_pair("beforeId", cursor.id.as_str());
        }
        if let Some(session) = bot_session.filter(|_| ask.bot_session) {
            query.append_pair("botSessionId", session);
        }
        drop(query);
        url
    }
}
