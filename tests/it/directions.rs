//! Both directions over real sockets: oldest first, several requests at once, and what is new.

use std::collections::HashSet;
use std::time::Duration;

use fastrand::Rng;
use futures::{FutureExt, StreamExt, TryStreamExt};
use texter_history::testing::{
    CursorReading, FakeChat, FakeMessage, FakeTexter, Fault, LimitReading, MinTime, TieOrder,
};
use texter_history::{Checkpoint, Client, End, ErrorKind, Message, Messages, Timestamp};

use super::{CHAT, at_once, client_of, conversation, ids, newest_first, server_with};

async fn client(server: &FakeTexter) -> Client {
    client_of(server).retry(at_once()).build().unwrap()
}

fn oldest_first(conversation: &[FakeMessage]) -> Vec<String> {
    conversation.iter().map(|message| message.id().to_owned()).collect()
}

fn text(millis: i64, id: &str) -> FakeMessage {
    FakeMessage::text(Timestamp::from_millis(millis), id, id)
}

#[tokio::test]
async fn every_direction_hands_out_the_same_whatever_the_server() {
    let conversation = conversation(700);
    let (down, up) = (newest_first(&conversation), oldest_first(&conversation));
    for (reading, limit, min_time) in [
        (CursorReading::ExcludesOneId, LimitReading::AsAsked, MinTime::Stated),
        (CursorReading::CountsTheCursor, LimitReading::AsAsked, MinTime::Stated),
        (CursorReading::ExcludesOneId, LimitReading::Capped(60), MinTime::Stated),
        (CursorReading::ExcludesOneId, LimitReading::OneShort, MinTime::Stated),
        (CursorReading::ExcludesOneId, LimitReading::AsAsked, MinTime::Missing),
        (CursorReading::ExcludesOneId, LimitReading::AsAsked, MinTime::Null),
        (CursorReading::ExcludesOneId, LimitReading::AsAsked, MinTime::Fixed(7)),
    ] {
        let server = server_with(700)
            .cursor_reading(reading)
            .limit_reading(limit)
            .min_time(min_time)
            .start()
            .await
            .unwrap();
        let client = client(&server).await;
        for concurrency in [1, 2, 8] {
            let why = format!("{reading:?} {limit:?} {min_time:?} {concurrency}");
            let query = client.messages(CHAT).concurrency(concurrency).page_size(50);
            let mut stream = query.clone().stream();
            let messages: Vec<Message> = stream.by_ref().try_collect().await.unwrap();
            assert_eq!(ids(&messages), down, "{why}");
            assert_eq!((stream.end(), stream.progress()), (Some(End::ReachedStart), Some(1.0)));
            assert!(!stream.is_caught_up());

            let mut stream = query.clone().oldest_first().stream();
            let messages: Vec<Message> = stream.by_ref().try_collect().await.unwrap();
            assert_eq!(ids(&messages), up, "{why}");
            assert_eq!((stream.end(), stream.progress()), (Some(End::ReachedNewest), Some(1.0)));
            assert!(stream.is_caught_up() && stream.newest_checkpoint().is_none());

            let pages: Vec<_> = query.oldest_first().pages().try_collect().await.unwrap();
            let messages: Vec<Message> = pages.into_iter().flat_map(|page| page.messages).collect();
            assert_eq!(ids(&messages), up, "{why}");
        }
    }
}

#[tokio::test]
async fn bounds_sessions_and_a_most_of_messages_work_in_both_directions() {
    let conversation = conversation(400);
    let server = server_with(400).start().await.unwrap();
    let client = client(&server).await;
    let (since, until) = (conversation[100].timestamp(), conversation[299].timestamp());
    let within = |message: &&FakeMessage| (since..=until).contains(&message.timestamp());
    let expected: Vec<String> =
        conversation.iter().filter(within).map(|message| message.id().to_owned()).collect();
    for concurrency in [1, 4] {
        let query = client.messages(CHAT).since(since).until(until).concurrency(concurrency);
        let mut stream = query.oldest_first().stream();
        let messages: Vec<Message> = stream.by_ref().try_collect().await.unwrap();
        assert_eq!((ids(&messages), stream.end()), (expected.clone(), Some(End::ReachedUntil)));

        let query = client.messages(CHAT).max_messages(130).concurrency(concurrency).oldest_first();
        let before = server.request_count();
        let mut stream = query.stream();
        let messages: Vec<Message> = stream.by_ref().try_collect().await.unwrap();
        assert_eq!(ids(&messages), oldest_first(&conversation[..130]));
        assert_eq!(stream.end(), Some(End::ReachedMax));
        assert!(stream.stats().requests >= server.request_count() - before, "one was not counted");
    }
    let session = conversation
        .iter()
        .find_map(|message| message.to_value()["botSessionId"].as_str().map(str::to_owned));
    let session = session.unwrap();
    let of_session =
        |message: &&FakeMessage| message.to_value()["botSessionId"] == session.as_str();
    let expected: Vec<String> =
        conversation.iter().filter(of_session).map(|message| message.id().to_owned()).collect();
    let query = client.messages(CHAT).bot_session(session.as_str()).oldest_first();
    let messages: Vec<Message> = query.stream().try_collect().await.unwrap();
    assert_eq!(ids(&messages), expected);
}

/// Takes so many messages and gives the checkpoint behind them as a line.
async fn take(query: Messages, count: usize, taken: &mut Vec<String>) -> (String, Option<End>) {
    let mut stream = query.stream();
    for _ in 0..count {
        match stream.next().await {
            Some(message) => taken.push(message.unwrap().id.to_string()),
            None => break,
        }
    }
    (stream.checkpoint().to_string(), stream.end())
}

#[tokio::test]
async fn stopped_anywhere_and_resumed_nothing_is_lost_or_repeated() {
    let conversation = conversation(500);
    let server = server_with(500).tie_order(TieOrder::ById).start().await.unwrap();
    let client = client(&server).await;
    let mut rng = Rng::with_seed(3);
    for round in 0..200 {
        let forwards = round % 2 == 0;
        let mut query = client.messages(CHAT).page_size(rng.u32(5..120));
        if forwards {
            query = query.oldest_first();
        }
        let (mut taken, mut checkpoint) = (Vec::new(), None::<String>);
        loop {
            let mut again = query.clone().concurrency(rng.usize(1..9)).prefetch(rng.usize(..3));
            if let Some(line) = &checkpoint {
                again = again.resume_from(line.parse::<Checkpoint>().unwrap());
            }
            let (line, end) = take(again, rng.usize(1..400), &mut taken).await;
            checkpoint = Some(line);
            if end.is_some() {
                break;
            }
        }
        let unique: HashSet<&String> = taken.iter().collect();
        assert_eq!((taken.len(), unique.len()), (500, 500), "round {round}");
        let time = |id: &String| conversation.iter().find(|m| m.id() == id).unwrap().timestamp();
        let mut times: Vec<Timestamp> = taken.iter().map(time).collect();
        if !forwards {
            times.reverse();
        }
        assert!(times.is_sorted());
    }
}

#[tokio::test]
async fn a_sync_brings_exactly_what_has_come_since() {
    for seed in 0..20 {
        let mut rng = Rng::with_seed(seed);
        let server = FakeTexter::builder().chat(FakeChat::new(CHAT)).start().await.unwrap();
        let client = client(&server).await;
        let (mut now, mut sent, mut taken) = (1_700_000_000_000, Vec::new(), Vec::new());
        let mut checkpoint = None::<String>;
        for _ in 0..12 {
            now += rng.i64(1_000..100_000);
            let arrived = *rng.choice([0, 0, 1, 3, 49, 50, 51, 130, 600].iter()).unwrap();
            for _ in 0..arrived {
                now += rng.i64(0..3) * 500;
                let id = format!("m{:05}", sent.len());
                server.add_message(CHAT, text(now / 1_000 * 1_000, &id));
                sent.push(id);
            }
            if rng.u8(..4) == 0 && sent.len() > 3 {
                // The position's own message is deleted.
                server.remove_message(CHAT, sent.last().unwrap());
                sent.truncate(sent.len() - usize::from(taken.len() < sent.len()));
            }
            let mut query = client.messages(CHAT).oldest_first().concurrency(rng.usize(1..4));
            if let Some(line) = &checkpoint {
                query = query.resume_from(line.parse::<Checkpoint>().unwrap());
            }
            let before = (taken.len(), server.request_count());
            let (line, end) = take(query, 10_000, &mut taken).await;
            assert_eq!(end, Some(End::ReachedNewest));
            if taken.len() == before.0 {
                assert_eq!(server.request_count() - before.1, 1, "an idle sync is one request");
            }
            checkpoint = Some(line);
            assert_eq!(taken, sent, "seed {seed}");
        }
    }
}

#[tokio::test]
async fn a_chat_that_was_cleared_is_a_clean_end() {
    let server = FakeTexter::builder()
        .chat(FakeChat::new(CHAT).messages([text(1_000, "a"), text(2_000, "b")]))
        .start()
        .await
        .unwrap();
    let client = client(&server).await;
    let mut taken = Vec::new();
    let (line, _) = take(client.messages(CHAT).oldest_first(), 10, &mut taken).await;
    for id in ["a", "b"] {
        server.remove_message(CHAT, id);
    }
    let query = client.messages(CHAT).resume_from(line.parse().unwrap());
    let (line, end) = take(query, 10, &mut taken).await;
    assert_eq!((taken.len(), end), (2, Some(End::ReachedNewest)));
    server.add_message(CHAT, text(3_000, "c"));
    let query = client.messages(CHAT).resume_from(line.parse().unwrap());
    take(query, 10, &mut taken).await;
    assert_eq!(taken, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_sync_holds_when_the_chat_s_beginning_was_deleted_and_brings_no_edited_message() {
    let server = server_with(300).start().await.unwrap();
    let client = client(&server).await;
    let conversation = conversation(300);
    let mut taken = Vec::new();
    let (line, _) = take(client.messages(CHAT).oldest_first(), 1_000, &mut taken).await;
    // All but the last ten are gone, and one of these was edited.
    for message in &conversation[..290] {
        server.remove_message(CHAT, message.id());
    }
    let edited = &conversation[299];
    server.remove_message(CHAT, edited.id());
    server.add_message(CHAT, FakeMessage::text(edited.timestamp(), edited.id(), "edited"));
    let query = || client.messages(CHAT).resume_from(line.parse().unwrap());
    taken.clear();
    let (_, end) = take(query(), 10, &mut taken).await;
    assert_eq!((taken.len(), end), (0, Some(End::ReachedNewest)));
    let later = edited.timestamp().as_millis() + 1_000;
    for n in 0..60 {
        server.add_message(CHAT, text(later + n, &format!("n{n:02}")));
    }
    take(query(), 100, &mut taken).await;
    assert_eq!(taken, (0..60).map(|n| format!("n{n:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn pages_say_when_they_have_caught_up_and_where_to_go_on() {
    let server = server_with(120).start().await.unwrap();
    let client = client(&server).await;
    let mut pages = client.messages(CHAT).pages();
    assert!(pages.newest_checkpoint().is_none());
    while pages.try_next().await.unwrap().is_some() {}
    assert!(!pages.is_caught_up());
    let newest = pages.newest_checkpoint().unwrap();

    server.add_message(CHAT, text(Timestamp::now().as_millis(), "new"));
    let mut pages =
        client.messages(CHAT).resume_from(newest).follow(Duration::from_secs(60)).pages();
    assert!(!pages.is_caught_up());
    assert_eq!(ids(&pages.try_next().await.unwrap().unwrap().messages), ["new"]);
    assert!(pages.is_caught_up() && pages.newest_checkpoint().is_none());
    assert_eq!((pages.end(), pages.progress()), (None, Some(1.0)));
}

/// Each of the first requests in turn fails in its own way, while messages arrive.
#[tokio::test]
async fn a_fault_of_every_request_in_turn_loses_nothing_while_a_chat_is_followed() {
    for failing in 0..12 {
        let fault = move |_: &_, number| {
            (number == failing).then(|| match failing % 4 {
                0 => Fault::status(403),
                1 => Fault::Close,
                2 => Fault::CutBody { after: 40 },
                _ => Fault::status(503),
            })
        };
        let server = server_with(120).faults(fault).start().await.unwrap();
        let client = client(&server).await;
        let query = client.messages(CHAT).page_size(40).concurrency(1 + failing as usize % 3);
        let mut stream = query.follow(Duration::from_millis(1)).stream();
        let mut taken = Vec::new();
        let mut expected = oldest_first(&conversation(120));
        let mut now = Timestamp::now().as_millis();
        while taken.len() < 140 {
            if taken.len() >= 120 && taken.len() == expected.len() {
                now += 1_000;
                expected.push(format!("n{}", taken.len()));
                server.add_message(CHAT, text(now, &format!("n{}", taken.len())));
            }
            match stream.next().await {
                Some(Ok(message)) => taken.push(message.id.to_string()),
                Some(Err(error)) => {
                    assert_eq!(error.kind(), ErrorKind::Forbidden, "{failing}");
                    stream.resume();
                }
                None => panic!("a stream that follows does not end"),
            }
        }
        assert_eq!(taken, expected, "{failing}");
        assert!(server.request_count() > failing);
    }
}

#[tokio::test]
async fn late_messages_come_once_with_a_lookback_and_not_without() {
    for lookback in [None, Some(Duration::from_secs(60))] {
        let server = FakeTexter::builder()
            .chat(FakeChat::new(CHAT).messages([text(10_000, "a"), text(100_000, "c")]))
            .start()
            .await
            .unwrap();
        let client = client(&server).await;
        let query = || {
            let query = client.messages(CHAT).oldest_first();
            match lookback {
                Some(time) => query.lookback(time),
                None => query,
            }
        };
        let mut taken = Vec::new();
        let (line, _) = take(query(), 10, &mut taken).await;
        server.add_message(CHAT, text(50_000, "b"));
        server.add_message(CHAT, text(20_000, "tooold"));
        let (line, _) = take(query().resume_from(line.parse().unwrap()), 10, &mut taken).await;
        server.add_message(CHAT, text(110_000, "d"));
        take(query().resume_from(line.parse().unwrap()), 10, &mut taken).await;
        let expected: &[&str] =
            if lookback.is_some() { &["a", "c", "b", "d"] } else { &["a", "c", "d"] };
        assert_eq!(taken, expected);
    }
}

#[tokio::test]
async fn a_message_dated_in_the_future_does_not_hide_what_comes_now() {
    let now = Timestamp::now().as_millis();
    let chat = FakeChat::new(CHAT).messages([text(1_000, "a"), text(now + 3_600_000, "future")]);
    let server = FakeTexter::builder().chat(chat).start().await.unwrap();
    let client = client(&server).await;
    let mut taken = Vec::new();
    let (line, _) = take(client.messages(CHAT).oldest_first(), 10, &mut taken).await;
    server.add_message(CHAT, text(now + 5_000, "now"));
    let query = client.messages(CHAT).resume_from(line.parse().unwrap());
    let (line, _) = take(query, 10, &mut taken).await;
    assert_eq!(taken, ["a", "future", "now"]);
    let query = client.messages(CHAT).resume_from(line.parse().unwrap());
    take(query, 10, &mut taken).await;
    assert_eq!(taken.len(), 3);

    // Backwards, and then forwards.
    let mut stream = client.messages(CHAT).stream();
    assert_eq!(stream.by_ref().count().await, 3);
    server.add_message(CHAT, text(now + 6_000, "again"));
    let query = client.messages(CHAT).resume_from(stream.newest_checkpoint().unwrap());
    take(query, 10, &mut taken).await;
    assert_eq!(taken[3..], ["again"]);
}

#[tokio::test]
async fn a_stream_that_follows_hands_out_what_comes_and_goes_on_after_an_error() {
    let server = server_with(120).start().await.unwrap();
    let client = client_of(&server).retry(texter_history::RetryPolicy::none()).build().unwrap();
    let mut stream = client.messages(CHAT).follow(Duration::from_millis(5)).stream();
    let old: Vec<_> = stream.by_ref().take(120).collect().await;
    assert!(old.iter().all(Result::is_ok) && stream.is_caught_up());
    assert_eq!((stream.end(), stream.progress()), (None, Some(1.0)));
    // Between two looks nothing is sent.
    let requests = stream.stats().requests;
    assert!(stream.next().now_or_never().is_none());
    assert_eq!(stream.stats().requests, requests);

    let mut now = Timestamp::now().as_millis();
    for round in 0..10 {
        now += 1_000;
        if round % 3 == 1 {
            server.push_fault(Fault::status(403));
            assert_eq!(stream.next().await.unwrap().unwrap_err().kind(), ErrorKind::Forbidden);
            assert!(stream.next().await.is_none() && !stream.is_caught_up());
            assert_eq!(stream.end(), Some(End::Failed));
            stream.resume();
        }
        let id = format!("n{round}");
        server.add_message(CHAT, text(now, &id));
        assert_eq!(stream.next().await.unwrap().unwrap().id, id.as_str());
    }
}

#[tokio::test]
async fn a_fault_of_every_request_in_turn_loses_nothing_in_any_direction() {
    let expected = newest_first(&conversation(600));
    for (forwards, concurrency) in [(false, 4), (true, 1), (true, 4)] {
        for failing in 0..24 {
            let server = server_with(600)
                .faults(move |_, number| (number == failing).then(|| Fault::status(403)))
                .start()
                .await
                .unwrap();
            let client = client(&server).await;
            let mut query = client.messages(CHAT).page_size(40).concurrency(concurrency);
            if forwards {
                query = query.oldest_first();
            }
            let mut stream = query.stream();
            let (mut messages, mut errors) = (Vec::new(), 0);
            loop {
                match stream.next().await {
                    Some(Ok(message)) => messages.push(message),
                    Some(Err(error)) => {
                        assert_eq!(error.kind(), ErrorKind::Forbidden);
                        errors += 1;
                        assert!(stream.next().await.is_none());
                        stream.resume();
                    }
                    None => break,
                }
            }
            if forwards {
                messages.reverse();
            }
            assert_eq!(ids(&messages), expected, "{forwards} {concurrency} {failing}");
            assert_eq!(errors, usize::from(server.request_count() > failing));
        }
    }
}

#[tokio::test]
async fn dropping_a_stream_aborts_all_its_requests() {
    let server = server_with(2_000).start().await.unwrap();
    let client = client(&server).await;
    let mut stream = client.messages(CHAT).page_size(20).concurrency(6).oldest_first().stream();
    stream.next().await.unwrap().unwrap();
    for _ in 0..6 {
        server.push_fault(Fault::Hang { after: 0 });
    }
    while stream.next().now_or_never().is_some() {}
    drop((stream, client));
    server.all_connections_closed().await;
}

#[tokio::test]
async fn what_means_nothing_is_refused_before_any_request() {
    let server = server_with(10).start().await.unwrap();
    let client = client(&server).await;
    let newest_first = client.messages(CHAT).stream().checkpoint();
    let refused: [(&str, Messages); 3] = [
        ("newest_checkpoint()", client.messages(CHAT).oldest_first().resume_from(newest_first)),
        ("oldest_first()", client.messages(CHAT).lookback(Duration::from_secs(1))),
        ("without a pause", client.messages(CHAT).follow(Duration::ZERO)),
    ];
    for (says, query) in refused {
        let error = query.stream().next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(server.request_count(), 0);
}
