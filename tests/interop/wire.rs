//! The exact request and the reference's exact responses, against a mock server that is not ours.

#![allow(clippy::unwrap_used)] // A helper that cannot go on fails its test.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use httpmock::prelude::*;
use texter_history::{Client, ErrorKind, Message, MessageKind, RetryPolicy};

const PAGE: &str = include_str!("../fixtures/get_messages_of_a_chat.json");
const CHAT: &str = "67a87067aeedqdee1271ck4d";
const PATH: &str = "/server/api/v2/messages/chat/67a87067aeedqdee1271ck4d";

fn client(server: &MockServer) -> Client {
    let base_url = format!("{}/", server.url("/server/api/v2"));
    let builder = Client::builder().base_url(base_url).token("a-token");
    builder.retry(RetryPolicy::none()).build().unwrap()
}

#[tokio::test]
async fn the_requests_of_a_walk() {
    let server = MockServer::start_async().await;
    let first = server
        .mock_async(|when, then| {
            when.method(GET)
                .path(PATH)
                .query_param("limit", "50")
                .query_param("beforeTime", "253402300799999")
                .query_param("beforeId", "ffffffffffffffffffffffff")
                .query_param_missing("botSessionId")
                .header("authorization", "Bearer a-token")
                .header("accept", "application/json")
                .header_matches("user-agent", "^texter-history/[0-9.]+$")
                .header_matches("accept-encoding", "gzip");
            then.status(200).header("content-type", "application/json").body(PAGE);
        })
        .await;
    const EMPTY: &str = r#"{"messages":[],"minTime":1746616143295,"maxTime":1}"#;
    let asked = async |limit: &str, time: &str, id: &str, body: &str| {
        server
            .mock_async(|when, then| {
                when.method(GET)
                    .path(PATH)
                    .query_param("limit", limit)
                    .query_param("beforeTime", time)
                    .query_param("beforeId", id);
                then.status(200).body(body);
            })
            .await
    };
    let (time, id) = ("1757055477000", "68ba89f8c909657dffcf267c");
    let second = asked("50", time, id, EMPTY).await;
    let longer = asked("100", time, id, EMPTY).await;
    let no_message = "f".repeat(24);
    let at_start = asked("50", "1746616143296", &no_message, EMPTY).await;
    let confirmed = asked("100", time, &no_message, PAGE).await;

    let stream = client(&server).messages(CHAT).stream();
    let messages: Vec<Message> = stream.try_collect().await.unwrap();

    // One message of fifty is a short page, but its time is not yet the chat's first. A longer answer holds nothing
    // older either, and there is nothing at the time of the first: it was deleted.
    for asked in [first, second, longer, at_start, confirmed] {
        asked.assert_async().await;
    }
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].kind, Some(MessageKind::Text));
}

#[tokio::test]
async fn an_empty_chat() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|_, then| {
            then.status(200).body(r#"{"messages":[],"minTime":false,"maxTime":false}"#);
        })
        .await;
    let mut stream = client(&server).messages(CHAT).stream();
    assert!(stream.next().await.is_none());
    assert_eq!(stream.chat_span(), None);
    mock.assert_async().await;
}

#[tokio::test]
async fn a_session_asks_without_a_cursor() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.query_param("botSessionId", "c112")
                .query_param("limit", "7")
                .query_param_missing("beforeTime")
                .query_param_missing("beforeId");
            then.status(200).body(r#"{"messages":[],"minTime":1,"maxTime":2}"#);
        })
        .await;
    let query = client(&server).messages(CHAT).bot_session("c112").page_size(7);
    assert!(query.stream().next().await.is_none());
    mock.assert_async().await;
}

#[tokio::test]
async fn what_cannot_be_asked_never_reaches_the_server() {
    let server = MockServer::start_async().await;
    let mock = server.mock_async(|_, then| drop(then.status(200).body(PAGE))).await;
    for chat in ["", "A", "a/b", "../x", "é", "a b"] {
        let error = client(&server).messages(chat).stream().next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
    mock.assert_calls_async(0).await;
}

#[tokio::test]
async fn statuses_are_told_apart() {
    for (status, kind, told) in [
        (400, ErrorKind::InvalidRequest, "400"),
        (401, ErrorKind::Unauthorized, "token"),
        (403, ErrorKind::Forbidden, "View all chats"),
        (404, ErrorKind::NotFound, "chat id"),
        (418, ErrorKind::Status, "418"),
        (429, ErrorKind::RateLimited, "429"),
        (500, ErrorKind::Server, "500"),
        (599, ErrorKind::Server, "599"),
    ] {
        let server = MockServer::start_async().await;
        let mock = server
            .mock_async(|_, then| {
                drop(then.status(status).header("retry-after", "7").body("private"));
            })
            .await;
        let mut stream = client(&server).messages(CHAT).stream();
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.status()), (kind, Some(status)));
        let shown = error.to_string();
        assert!(shown.contains(told) && shown.contains(CHAT), "{shown}");
        assert!(!format!("{error:?}{error}").contains("private"));
        assert!(stream.next().await.is_none());
        mock.assert_calls_async(1).await;
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = MockServer::start_async().await;
    let trap = elsewhere.mock_async(|_, then| drop(then.status(200).body(PAGE))).await;
    let server = MockServer::start_async().await;
    let target = elsewhere.url(PATH);
    server.mock_async(|_, then| drop(then.status(302).header("location", target))).await;

    let error = client(&server).messages(CHAT).stream().next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Status, Some(302)));
    trap.assert_calls_async(0).await;

    // A caller's own HTTP client may follow them; its answer is then refused.
    let follows = Client::builder()
        .base_url(server.url("/server/api/v2"))
        .token("a-token")
        .http_client(reqwest::Client::new())
        .retry(RetryPolicy::none())
        .build()
        .unwrap();
    let error = follows.messages(CHAT).stream().next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Status);
    assert!(error.to_string().contains("redirects"), "{error}");
}

#[tokio::test]
async fn a_page_of_something_else_is_named() {
    let server = MockServer::start_async().await;
    let html = "<!doctype html><p>private</p>";
    server.mock_async(|_, then| drop(then.status(200).body(html))).await;
    let error = client(&server).messages(CHAT).stream().next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedPage);
    assert!(error.to_string().contains("line 1 column 1"), "{error}");
    assert!(!error.to_string().contains("private"));
}

#[tokio::test]
async fn nobody_at_home() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::builder()
        .base_url(format!("http://{address}"))
        .token("a-token")
        .retry(RetryPolicy::default().base_delay(Duration::ZERO).max_attempts(3))
        .build()
        .unwrap();
    let error = client.messages(CHAT).stream().next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Transport, 3));
    assert!(error.is_retryable() && std::error::Error::source(&error).is_some());
}
