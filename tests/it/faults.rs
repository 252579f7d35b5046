//! The network's faults over real sockets: nothing lost, nothing twice, nothing for ever.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt};
use texter_history::testing::{FakeChat, FakeMessage, FakeTexter, Fault};
use texter_history::{End, ErrorKind, Message, RetryPolicy, Timestamp};
use tokio::time::timeout;

use super::{CHAT, at_once, client_of, conversation, ids, newest_first, server_with};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_body_cut_at_every_kth_byte_is_asked_for_again() {
    let expected = newest_first(&conversation(38));
    for reset in [false, true] {
        let server = server_with(38);
        let server = server
            .faults(move |_, number| {
                // Three attempts a page: two are cut off, ever later in the body.
                let after = usize::try_from(number).ok()? * 97 % 6_000;
                match number % 3 {
                    2 => None,
                    1 if reset => Some(Fault::Close),
                    _ => Some(Fault::CutBody { after }),
                }
            })
            .start()
            .await
            .unwrap();
        for round in 0..20 {
            let client = client_of(&server).retry(at_once().max_attempts(3)).build().unwrap();
            let mut stream = client.messages(CHAT).page_size(20).stream();
            let messages: Vec<Message> = stream.by_ref().try_collect().await.unwrap();
            assert_eq!(ids(&messages), expected, "round {round}");
            assert_eq!((stream.stats().requests, stream.stats().retries), (6, 4));
        }
    }
}

#[tokio::test]
async fn a_cut_compressed_body_is_a_broken_connection() {
    let server = server_with(40).gzip(true).start().await.unwrap();
    for after in [0, 1, 10, 500] {
        server.push_fault(Fault::CutBody { after });
        let client = client_of(&server).retry(at_once().max_attempts(2)).build().unwrap();
        let messages: Vec<Message> = client.messages(CHAT).stream().try_collect().await.unwrap();
        assert_eq!(messages.len(), 40);
    }
}

#[tokio::test]
async fn dropping_the_stream_aborts_its_request() {
    let server = server_with(40).start().await.unwrap();
    let client = client_of(&server).build().unwrap();
    for fault in [Fault::Hang { after: 0 }, Fault::Hang { after: 200 }] {
        server.push_fault(fault);
        let mut stream = client.messages(CHAT).stream();
        let waiting = timeout(SECOND, async {
            while server.open_connections() == 0 {
                assert!(stream.next().now_or_never().is_none());
                tokio::task::yield_now().await;
            }
        });
        waiting.await.unwrap();
        drop(stream);
        timeout(SECOND, server.all_connections_closed()).await.expect("closed within a second");
    }
}

#[tokio::test]
async fn dropping_the_stream_aborts_an_early_request_too() {
    // From the second page on, the first messages arrive and then nothing more.
    let stuck = |_: &_, number| (number > 0).then_some(Fault::Hang { after: 2_000 });
    let server = server_with(60).faults(stuck).start().await.unwrap();
    let client = client_of(&server).build().unwrap();
    let mut stream = client.messages(CHAT).page_size(10).prefetch(1).stream();
    let first: Vec<Message> = stream.by_ref().take(10).try_collect().await.unwrap();
    assert_eq!(first.len(), 10);
    let waiting = timeout(SECOND, async {
        while server.requests().len() < 3 {
            assert!(stream.next().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
    });
    waiting.await.expect("the third page is asked for while the second is arriving");
    assert_eq!(server.open_connections(), 2);
    drop(stream);
    timeout(SECOND, server.all_connections_closed()).await.expect("closed within a second");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn an_attempt_ends_with_its_timeout() {
    let server = server_with(40).start().await.unwrap();
    let patience = Duration::from_millis(120);
    let client =
        client_of(&server).timeout(patience).retry(at_once().max_attempts(2)).build().unwrap();
    for fault in [
        Fault::Hang { after: 0 },
        Fault::Hang { after: 300 },
        Fault::Drip { bytes: 1, every: Duration::from_millis(10) },
    ] {
        server.push_fault(fault.clone());
        server.push_fault(fault);
        let began = Instant::now();
        let mut stream = client.messages(CHAT).stream();
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Timeout, 2));
        assert!(began.elapsed() >= 2 * patience);
        // The server is well again, and so is the stream.
        stream.resume();
        assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap().len(), 40);
    }
    // A connection that is never made: an address that leads nowhere on this machine would be refused, so
    // a listener whose backlog nobody takes stands for it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = texter_history::Client::builder()
        .base_url(format!("http://{}", listener.local_addr().unwrap()))
        .token("t")
        .timeout(patience)
        .retry(RetryPolicy::none())
        .build()
        .unwrap();
    let error = client.messages(CHAT).stream().next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

/// So many bytes of white space, compressed.
fn bomb(megabytes: usize) -> Bytes {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..megabytes {
        encoder.write_all(&[b' '; 1024 * 1024]).unwrap();
    }
    encoder.finish().unwrap().into()
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused_after_the_cap_s_worth() {
    let server = server_with(1).start().await.unwrap();
    let client = client_of(&server).max_body_bytes(1024 * 1024).build().unwrap();
    let plain = Bytes::from(vec![b' '; 8 * 1024 * 1024]);
    let gzip = bomb(200);
    assert!(gzip.len() < 1024 * 1024);
    let compressed = vec![("content-encoding".to_owned(), "gzip".to_owned())];
    let announced = vec![("content-length".to_owned(), plain.len().to_string())];
    for (headers, body, at_least) in
        [(vec![], plain.clone(), 1), (announced, plain, 0), (compressed, gzip, 1)]
    {
        server.push_fault(Fault::Answer { status: 200, headers, body });
        let mut stream = client.messages(CHAT).stream();
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::BodyTooLarge, 1));
        let bytes = stream.stats().bytes;
        assert!(bytes >= at_least && bytes < 2 * 1024 * 1024, "{bytes} bytes were taken");
    }
}

#[tokio::test]
async fn what_arrives_or_goes_meanwhile_changes_nothing() {
    let messages = conversation(100);
    let expected = newest_first(&messages);
    let server = server_with(100).start().await.unwrap();
    let client = client_of(&server).build().unwrap();
    let mut stream = client.messages(CHAT).page_size(10).stream();
    let mut seen = Vec::new();
    while let Some(message) = stream.next().await {
        seen.push(message.unwrap().id.to_string());
        let newest = Timestamp::from_millis(4_000_000_000_000 + seen.len() as i64);
        server.add_message(CHAT, FakeMessage::text(newest, format!("new{}", seen.len()), "x"));
        // The cursor message itself is deleted.
        server.remove_message(CHAT, seen.last().unwrap());
    }
    assert_eq!(seen, expected);
    assert_eq!(stream.end(), Some(End::ReachedStart));
}

#[tokio::test]
async fn a_checkpoint_outlives_its_cursor_message() {
    let messages = conversation(60);
    let expected = newest_first(&messages);
    for stop in 1..60 {
        let server = server_with(60).start().await.unwrap();
        let client = client_of(&server).build().unwrap();
        let mut stream = client.messages(CHAT).page_size(7).stream();
        let first: Vec<Message> = stream.by_ref().take(stop).try_collect().await.unwrap();
        let saved = stream.checkpoint().to_string();
        drop(stream);
        server.remove_message(CHAT, first.last().unwrap().id.as_str());
        server.add_message(
            CHAT,
            FakeMessage::text(Timestamp::from_millis(4_000_000_000_000), "new", "x"),
        );
        let client = client_of(&server).build().unwrap();
        let rest = client.messages(CHAT).resume_from(saved.parse().unwrap()).page_size(11).stream();
        let rest: Vec<Message> = rest.try_collect().await.unwrap();
        assert_eq!([ids(&first), ids(&rest)].concat(), expected, "stopped after {stop}");
    }
}

#[tokio::test]
async fn a_rate_limit_is_kept_to() {
    let server = server_with(200).rate_limit(3, 1).start().await.unwrap();
    let client = client_of(&server).build().unwrap();
    let mut stream = client.messages(CHAT).page_size(40).stream();
    let messages: Vec<Message> = stream.by_ref().try_collect().await.unwrap();
    assert_eq!(messages.len(), 200);
    assert!(stream.stats().retries > 0);
}

#[tokio::test]
async fn gzip_is_asked_for_and_read() {
    let server = server_with(200).gzip(true).start().await.unwrap();
    let client = client_of(&server).build().unwrap();
    let mut stream = client.messages(CHAT).page_size(100).stream();
    assert_eq!(stream.by_ref().try_collect::<Vec<_>>().await.unwrap().len(), 200);
    let text: usize = conversation(200).iter().map(|message| message.json().len()).sum();
    assert!(stream.stats().bytes as usize > text, "counted decompressed");
}

#[tokio::test]
async fn a_corrupt_compressed_body_is_not_asked_for_again() {
    let server = server_with(3).start().await.unwrap();
    let mut body = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    body.extend([0xff; 200]);
    let headers = vec![("content-encoding".to_owned(), "gzip".to_owned())];
    server.push_fault(Fault::Answer { status: 200, headers, body: body.into() });
    let client = client_of(&server).retry(at_once()).build().unwrap();
    let error = client.messages(CHAT).stream().next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::MalformedPage, 1), "{error}");
    assert!(error.to_string().contains("does not match its Content-Encoding"), "{error}");
}

/// Three messages of a session tie at its old end, and one of them is deleted while the last is waited for.
#[tokio::test]
async fn a_message_deleted_among_ties_does_not_stall_the_walk() {
    let text = |millis: i64, id: &str| {
        let mut message = FakeMessage::text(Timestamp::from_millis(millis), id, "x").to_value();
        message["botSessionId"] = "s1".into();
        FakeMessage::from(message)
    };
    let mut messages = vec![FakeMessage::text(Timestamp::from_millis(1), "start", "x")];
    messages.extend([text(5_000, "a"), text(5_000, "b"), text(5_000, "c"), text(9_000, "z")]);
    for deleted in ["a", "b", "c"] {
        for resumed in [false, true] {
            let chat = FakeChat::new(CHAT).messages(messages.clone());
            let server = FakeTexter::builder().chat(chat).start().await.unwrap();
            let client = client_of(&server).build().unwrap();
            let mut stream = client.messages(CHAT).bot_session("s1").stream();
            let first: Vec<Message> = stream.by_ref().take(4).try_collect().await.unwrap();
            assert_eq!(first.len(), 4);
            server.remove_message(CHAT, deleted);
            if resumed {
                let checkpoint = stream.checkpoint();
                stream = client.messages(CHAT).resume_from(checkpoint).stream();
            }
            let rest: Vec<Message> = stream.by_ref().try_collect().await.unwrap();
            assert_eq!((rest.len(), stream.end()), (0, Some(End::ReachedStart)), "{deleted}");
        }
    }
}
