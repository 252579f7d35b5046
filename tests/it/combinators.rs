//! The combinators of `futures`, each tried for real, with what it costs.

use std::ops::ControlFlow;

use futures::{StreamExt, TryStreamExt, future, select, stream};
use texter_history::testing::{Conversation, FakeChat, FakeTexter};
use texter_history::{Client, Direction, End, Error, Message, Timestamp};

use super::{CHAT, client_of, conversation, ids, newest_first, server_with};

async fn served(count: usize) -> (FakeTexter, Client) {
    let server = server_with(count).start().await.unwrap();
    let client = client_of(&server).build().unwrap();
    (server, client)
}

#[tokio::test]
async fn while_let_and_try_collect() {
    let (server, client) = served(230).await;
    let mut stream = client.messages(CHAT).stream();
    let mut seen = Vec::new();
    while let Some(message) = stream.next().await {
        seen.push(message.unwrap().id.to_string());
    }
    assert_eq!(seen, newest_first(&conversation(230)));
    assert_eq!(stream.end(), Some(End::ReachedStart));
    let requests = server.request_count();

    let collected: Vec<Message> = client.messages(CHAT).stream().try_collect().await.unwrap();
    assert_eq!(ids(&collected), seen);
    assert_eq!(server.request_count(), 2 * requests);
}

#[tokio::test]
async fn take_while_stops_asking() {
    let (server, client) = served(1_000).await;
    let newest = conversation(1_000).last().unwrap().timestamp().as_millis();
    let since = Timestamp::from_millis(newest - 3_600_000);
    let recent: Vec<Result<Message, Error>> = client
        .messages(CHAT)
        .stream()
        .take_while(|message| future::ready(message.as_ref().is_ok_and(|m| m.timestamp >= since)))
        .collect()
        .await;
    let expected = conversation(1_000).iter().filter(|m| m.timestamp() >= since).count();
    assert_eq!(recent.len(), expected);
    assert_eq!(server.request_count() as usize, expected / 50 + 1);
}

#[tokio::test]
async fn filter_and_try_filter() {
    let (_server, client) = served(300).await;
    let incoming = |message: &Message| message.direction == Some(Direction::Incoming);
    let filtered = client
        .messages(CHAT)
        .stream()
        .filter(|message| future::ready(message.as_ref().is_ok_and(incoming)))
        .count()
        .await;
    let tried: Vec<Message> = client
        .messages(CHAT)
        .stream()
        .try_filter(|message| future::ready(incoming(message)))
        .try_collect()
        .await
        .unwrap();
    let expected =
        conversation(300).iter().filter(|m| m.to_value()["direction"] == "incoming").count();
    assert_eq!((filtered, tried.len()), (expected, expected));
}

#[tokio::test]
async fn try_for_each_stops_at_the_first_error() {
    let (server, client) = served(300).await;
    let mut count = 0;
    let outcome = client
        .messages(CHAT)
        .stream()
        .map_err(ControlFlow::Break)
        .try_for_each(|_| {
            count += 1;
            future::ready(if count < 70 { Ok(()) } else { Err(ControlFlow::Continue(count)) })
        })
        .await;
    assert!(matches!(outcome, Err(ControlFlow::Continue(70))));
    assert_eq!(server.request_count(), 2);
}

#[tokio::test]
async fn chunks_and_peekable() {
    let (server, client) = served(120).await;
    let chunks: Vec<usize> =
        client.messages(CHAT).stream().chunks(50).map(|c| c.len()).collect().await;
    assert_eq!(chunks, [50, 50, 20]);

    let before = server.request_count();
    let mut peekable = client.messages(CHAT).stream().peekable();
    let peeked =
        std::pin::Pin::new(&mut peekable).peek().await.unwrap().as_ref().unwrap().id.clone();
    assert_eq!(peekable.next().await.unwrap().unwrap().id, peeked);
    assert_eq!(server.request_count() - before, 1);
}

#[tokio::test]
async fn select_runs_to_complete() {
    let (_server, client) = served(120).await;
    let mut left = client.messages(CHAT).stream();
    let mut right = client.messages(CHAT).page_size(7).stream();
    let (mut lefts, mut rights) = (0, 0);
    loop {
        select! {
            message = left.select_next_some() => { message.unwrap(); lefts += 1; }
            message = right.select_next_some() => { message.unwrap(); rights += 1; }
            complete => break,
        }
    }
    assert_eq!((lefts, rights), (120, 120));
}

#[tokio::test]
async fn flatten_unordered_over_twenty_chats() {
    let chats: Vec<String> = (0..20).map(|number| format!("chat{number}")).collect();
    let mut server = FakeTexter::builder();
    for (number, chat) in chats.iter().enumerate() {
        let messages = Conversation::seeded(number as u64).messages(37 * number).chat_id(chat);
        server = server.chat(FakeChat::new(chat).messages(messages));
    }
    let server = server.start().await.unwrap();
    let client = client_of(&server).build().unwrap();
    let streams = chats.iter().map(|chat| client.messages(chat).stream());
    let all: Vec<Message> =
        stream::iter(streams).flatten_unordered(None).try_collect().await.unwrap();
    for (number, chat) in chats.iter().enumerate() {
        let times: Vec<Timestamp> = all
            .iter()
            .filter(|message| message.parent_chat.as_ref().is_some_and(|id| id == chat.as_str()))
            .map(|message| message.timestamp)
            .collect();
        assert_eq!(times.len(), 37 * number);
        assert!(times.is_sorted_by(|newer, older| newer >= older));
    }
}

#[tokio::test]
async fn it_goes_into_spawn() {
    let (_server, client) = served(120).await;
    let spawned = tokio::spawn(client.messages(CHAT).stream().count()).await.unwrap();
    assert_eq!(spawned, 120);
}
