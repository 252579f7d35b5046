//! A chat over HTTP, as one JSON object a line (NDJSON), while it is read:
//!
//! ```text
//! cargo run -p archive --bin serve                 # made-up messages from a built-in server
//! curl localhost:3000/chats/67bf11038b24880cc966f799
//! curl 'localhost:3000/chats/67bf11038b24880cc966f799?order=newest&since=2025-01-31T12:00:00Z'
//! ```
//!
//! The client sets the pace: no page is asked for before the client has taken the one before. A client that goes away
//! drops the stream, and that aborts the request under way.

#[path = "../../../common/mod.rs"]
mod common;

use std::error::Error;
use std::process::ExitCode;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use texter_history::{Client, ErrorKind, Timestamp};
use tokio::net::TcpListener;

/// Serves chats over HTTP, one JSON object a line: GET /chats/<the chat's _id>
///
/// In the query, all optional: order=oldest (the default) or order=newest; since= and until=, each a time such as
/// 2025-01-31T12:00:00Z. It listens on this machine alone, and asks nobody for a password.
#[derive(Parser)]
struct Arguments {
    /// The port to listen on.
    #[arg(long, default_value_t = 3000)]
    port: u16,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    #[default]
    Oldest,
    Newest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    #[serde(default)]
    order: Order,
    since: Option<String>,
    until: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit_code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let service = common::connect(|| common::conversation(5_000)).await?;
    let listener = TcpListener::bind(("127.0.0.1", arguments.port))
        .await
        .map_err(|error| format!("port {}: {error}", arguments.port))?;
    println!("listening on http://{}/chats/{}", listener.local_addr()?, common::FAKE_CHAT);
    let interrupted = async { _ = tokio::signal::ctrl_c().await };
    tokio::select! {
        served = axum::serve(listener, app(service.client)) => Ok(served?),
        () = interrupted => Ok(()),
    }
}

fn app(client: Client) -> Router {
    Router::new().route("/chats/{chat}", get(chat)).with_state(client)
}

async fn chat(
    State(client): State<Client>,
    Path(chat): Path<String>,
    Query(range): Query<Range>,
) -> Result<Response, Refusal> {
    let mut query = client.messages(chat).page_size(200).skip_malformed();
    if let Order::Oldest = range.order {
        query = query.oldest_first();
    }
    if let Some(since) = range.since {
        query = query.since(time("since", &since)?);
    }
    if let Some(until) = range.until {
        query = query.until(time("until", &until)?);
    }
    let mut messages = query.stream_as::<Box<RawValue>>();
    // Once the first byte is sent the status is, too: so what fails at the first page is told by the status.
    let first = messages.try_next().await?;
    let lines = stream::iter(first).map(Ok).chain(messages).map_ok(|message| line(&message));
    // An error further on closes the connection without an end, so that no client takes the part for the whole.
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// Outside of strings, where alone JSON has bare line ends, a space is as good.
fn line(message: &RawValue) -> Bytes {
    let mut line = message.get().replace(['\n', '\r'], " ");
    line.push('\n');
    line.into()
}

fn time(name: &str, text: &str) -> Result<Timestamp, Refusal> {
    let time = text.parse::<Timestamp>();
    time.map_err(|error| Refusal(StatusCode::BAD_REQUEST, format!("{name}: {error}"), None))
}

/// A status, what to do about it, and after how many seconds to try again.
struct Refusal(StatusCode, String, Option<u64>);

impl From<texter_history::Error> for Refusal {
    fn from(error: texter_history::Error) -> Self {
        let status = match error.kind() {
            ErrorKind::InvalidRequest => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::RateLimited => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            // The token's among them: that is nothing the client could mend.
            _ => StatusCode::BAD_GATEWAY,
        };
        Self(status, error.to_string(), error.retry_after().map(|time| time.as_secs().max(1)))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, words, retry_after) = self;
        let retry_after = retry_after.map(|seconds| [(header::RETRY_AFTER, seconds.to_string())]);
        (status, retry_after, format!("{words}\n")).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use texter_history::RetryPolicy;
    use texter_history::testing::{Conversation, FakeChat, FakeMessage, FakeTexter, Fault};
    use tokio::time::timeout;

    /// A fake server with so many messages, and the address of the handler that reads from it.
    async fn serving(messages: usize) -> (FakeTexter, Vec<FakeMessage>, String) {
        serving_but(messages, None).await
    }

    /// The same, but for the request of this number, from 0.
    async fn serving_but(
        messages: usize,
        fault: Option<(u64, Fault)>,
    ) -> (FakeTexter, Vec<FakeMessage>, String) {
        let chat: Vec<_> = Conversation::seeded(3).messages(messages).tie_share(0.0).collect();
        let chats = FakeChat::new(common::FAKE_CHAT).messages(chat.clone());
        let fake = FakeTexter::builder().chat(chats).faults(move |_, number| {
            fault.clone().filter(|(at, _)| *at == number).map(|(_, fault)| fault)
        });
        let fake = fake.start().await.unwrap();
        // No connection is kept for later, so that one that is open is one with a request under way.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let http = http.pool_max_idle_per_host(0).build().unwrap();
        let client = Client::builder().base_url(fake.base_url()).token(fake.token());
        let client = client.http_client(http);
        let client = client.retry(RetryPolicy::none()).build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/chats", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, app(client)).await });
        (fake, chat, address)
    }

    async fn get(address: &str) -> reqwest::Response {
        reqwest::get(address).await.unwrap()
    }

    #[tokio::test]
    async fn one_message_a_line_in_either_order() {
        let (_fake, chat, address) = serving(500).await;
        let address = format!("{address}/{}", common::FAKE_CHAT);
        let whole = get(&address).await;
        assert_eq!(whole.headers()["content-type"], "application/x-ndjson");
        let whole = whole.text().await.unwrap();
        let lines: Vec<&str> = whole.lines().collect();
        assert_eq!(lines, chat.iter().map(FakeMessage::json).collect::<Vec<_>>());

        let (since, until) = (chat[100].timestamp(), chat[399].timestamp());
        let part = get(&format!("{address}?order=newest&since={since}&until={until}")).await;
        let part = part.text().await.unwrap();
        let mut part: Vec<&str> = part.lines().collect();
        part.reverse();
        let within = chat.iter().filter(|message| (since..=until).contains(&message.timestamp()));
        assert_eq!(part, within.map(FakeMessage::json).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_client_that_goes_away_aborts_the_request() {
        let (fake, _, address) = serving_but(5_000, Some((2, Fault::Hang { after: 1_000 }))).await;
        let mut response = get(&format!("{address}/{}?order=newest", common::FAKE_CHAT)).await;
        let mut received = 0;
        // Two pages, and then the handler waits for the third, which never comes to its end.
        while received < 400 {
            let bytes = response.chunk().await.unwrap().unwrap();
            received += bytes.iter().filter(|byte| **byte == b'\n').count();
        }
        let within = Duration::from_secs(30);
        timeout(within, async {
            while fake.request_count() < 3 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        assert!(fake.open_connections() > 0);

        drop(response);
        timeout(within, fake.all_connections_closed()).await.unwrap();
        assert_eq!(fake.request_count(), 3);
    }

    #[tokio::test]
    async fn what_fails_at_once_is_told_by_the_status() {
        let (fake, _, address) = serving(10).await;
        let address_of = |rest: &str| format!("{address}/{rest}");
        for (fault, status) in [
            (Fault::status(404), 404),
            (Fault::status(401), 502),
            (Fault::status(500), 502),
            (Fault::retry_after(429, "120"), 503),
        ] {
            fake.push_fault(fault);
            let response = get(&address_of(common::FAKE_CHAT)).await;
            assert_eq!(response.status(), status);
            let retry_after = response.headers().get("retry-after");
            assert_eq!(retry_after.is_some(), status == 503);
            assert!(response.text().await.unwrap().contains("the first page"));
        }
        let requests = fake.request_count();
        for (rest, words) in [
            ("not-an-id", "a-z and 0-9"),
            ("a1?since=yesterday", "since: "),
            ("a1?since=2025-01-02T00:00:00Z&until=2025-01-01T00:00:00Z", "since"),
            ("a1?sinse=2025-01-02T00:00:00Z", "sinse"),
        ] {
            let response = get(&address_of(rest)).await;
            assert_eq!(response.status(), 400);
            let told = response.text().await.unwrap();
            assert!(told.contains(words), "{told}");
        }
        assert_eq!(fake.request_count(), requests);
    }

    #[tokio::test]
    async fn what_fails_later_is_never_a_silent_end() {
        let (_fake, _, address) = serving_but(1_000, Some((1, Fault::status(500)))).await;
        let response = get(&format!("{address}/{}?order=newest", common::FAKE_CHAT)).await;
        assert_eq!(response.status(), 200);
        assert!(response.text().await.is_err());
    }
}
