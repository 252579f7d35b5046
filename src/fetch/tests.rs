//! One page, over a scripted transport.

use futures_util::FutureExt;

use super::*;
use crate::retry::RetryPolicy;
use crate::transport::scripted::{Reply, Scripted};
use crate::walk::model::CHAT;

fn fetch(timeout: Duration, transport: &Arc<Scripted>) -> Fetch {
    let base = Url::parse("https://acme.texterchat.com/server/api/v2").unwrap();
    let endpoint = Endpoint {
        retry: RetryPolicy::none(),
        timeout,
        ..Endpoint::new(base, Arc::<Scripted>::clone(transport) as _)
    };
    let endpoint = Arc::new(endpoint);
    let ask = crate::walk::Ask { limit: 1, cursor: None, bot_session: false };
    let url = endpoint.url(CHAT, None, &ask);
    Fetch::new(&endpoint, url, Span::none())
}

#[tokio::test(start_paused = true)]
async fn an_absence_takes_nothing_from_a_short_timeout_either() {
    let millis = Duration::from_millis;
    for timeout in [500, 1_000, 60_000] {
        let (_, transport) = Scripted::new(move |_, _| {
            Reply::Late(millis(10), Box::new(Reply::in_pieces("the page", 4, millis(20))))
        });
        let mut fetch = std::pin::pin!(fetch(millis(timeout), &transport));
        assert!(fetch.as_mut().now_or_never().is_none());
        tokio::time::advance(millis(10_000)).await;
        assert_eq!(fetch.await.unwrap(), b"the page", "{timeout}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_in_slices_waits_no_longer_than_the_timeout() {
    let (_, transport) = Scripted::new(|_, _| Reply::Silence);
    let mut fetch = std::pin::pin!(fetch(Duration::from_secs(60), &transport));
    let mut waited = Duration::ZERO;
    let slice = Duration::from_millis(500);
    while tokio::time::timeout(slice, fetch.as_mut()).await.is_err() {
        waited += slice;
        assert!(waited < Duration::from_secs(90), "no timeout");
        sleep(Duration::from_millis(600)).await;
    }
    assert!(waited >= Duration::from_secs(59), "{waited:?}");
}

#[tokio::test]
async fn a_poll_after_the_outcome_asks_again() {
    let (_, transport) = Scripted::new(|_, number| match number {
        0 => Reply::Status(503, None),
        _ => Reply::body("the page"),
    });
    let mut fetch = std::pin::pin!(fetch(Duration::from_secs(60), &transport));
    assert_eq!(fetch.as_mut().await.unwrap_err().attempts(), 1);
    for requests in [2, 3] {
        assert_eq!(fetch.as_mut().await.unwrap(), b"the page");
        assert_eq!((fetch.attempts() as usize, transport.count()), (requests, requests));
    }
}
