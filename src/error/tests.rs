//! What an error says, and what it never shows.

use super::*;
use crate::timestamp::Timestamp;

#[test]
fn is_one_word_wide() {
    assert_eq!(size_of::<Error>(), size_of::<usize>());
    assert_eq!(size_of::<Option<Error>>(), size_of::<usize>());
}

#[test]
fn kinds_follow_the_status() {
    for (status, kind, retryable) in [
        (204, ErrorKind::Status, false),
        (302, ErrorKind::Status, false),
        (400, ErrorKind::InvalidRequest, false),
        (401, ErrorKind::Unauthorized, false),
        (403, ErrorKind::Forbidden, false),
        (404, ErrorKind::NotFound, false),
        (408, ErrorKind::Status, true),
        (413, ErrorKind::Status, false),
        (418, ErrorKind::Status, false),
        (429, ErrorKind::RateLimited, true),
        (500, ErrorKind::Server, true),
        (501, ErrorKind::Server, false),
        (502, ErrorKind::Server, true),
        (503, ErrorKind::Server, true),
        (504, ErrorKind::Server, true),
        (599, ErrorKind::Server, false),
    ] {
        let error = Error::from_status(status);
        assert_eq!(error.kind(), kind, "{status}");
        assert_eq!(error.status(), Some(status));
        assert_eq!(error.is_retryable(), retryable, "{status}");
    }
    assert!(Error::new(ErrorKind::Transport, "x").is_retryable());
    assert!(Error::new(ErrorKind::Timeout, "x").is_retryable());
    assert!(!Error::new(ErrorKind::MalformedPage, "x").is_retryable());
}

#[test]
fn says_where_it_stopped_and_what_to_do() {
    let cursor = Cursor { timestamp: Timestamp::from_millis(0), id: "68ba".into() };
    let error = Error::from_status(403)
        .at(&"67bf".into(), Some(&cursor))
        .with_attempts(1, Duration::from_millis(120));
    assert_eq!(
        error.to_string(),
        "chat 67bf before 1970-01-01T00:00:00Z (68ba): the server answered 403, after 1 attempt \
         in 0.1 s; give the token the scope View all chats"
    );
    let error = Error::from_status(429).with_retry_after(Some(Duration::from_secs(90)));
    assert!(error.to_string().contains("asked to wait 90 s"), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(90)));
}

#[test]
fn says_which_page_it_was() {
    let cursor = Cursor { timestamp: Timestamp::from_millis(0), id: "68ba".into() };
    let failed = || Error::from_status(500);
    let chat = ChatId::from("67bf");
    let first = failed().at(&chat, None);
    assert!(first.to_string().starts_with("chat 67bf, the first page: the server"), "{first}");
    assert_eq!((first.chat(), first.cursor()), (Some(&chat), None));
    let later = failed().at(&chat, Some(&cursor));
    assert_eq!((later.chat(), later.cursor()), (Some(&chat), Some(&cursor)));
    let unsent = Error::invalid_request("no").of(&chat);
    assert_eq!(unsent.to_string(), "chat 67bf: no");
    assert_eq!((unsent.chat(), unsent.cursor(), unsent.elapsed()), (Some(&chat), None, None));
    assert_eq!(failed().chat(), None);
}

#[test]
fn debug_says_what_display_says_and_the_causes() {
    let cause = std::io::Error::other(std::io::Error::other("the cable is out"));
    let error = Error::new(ErrorKind::Transport, "the request failed")
        .with_source(cause)
        .at(&"67bf".into(), None)
        .with_attempts(3, Duration::from_secs(2));
    assert_eq!(error.elapsed(), Some(Duration::from_secs(2)));
    assert_eq!(
        format!("{error:?}"),
        "Transport: chat 67bf, the first page: the request failed, after 3 attempts in 2.0 s; check the \
         network, then resume from the checkpoint, because: the cable is out"
    );
}

#[test]
fn shows_the_text_of_a_message_only_when_asked() {
    let path = Some("text".to_owned());
    let error = Error::malformed_message("it is odd", r#"{"text":"secret"}"#, path);
    assert_eq!(error.raw_message(), Some(r#"{"text":"secret"}"#));
    assert_eq!(error.path(), Some("text"));
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[test]
fn every_kind_but_an_unsent_request_gives_advice() {
    for kind in [
        ErrorKind::Unauthorized,
        ErrorKind::Timeout,
        ErrorKind::Transport,
        ErrorKind::BodyTooLarge,
        ErrorKind::MalformedPage,
        ErrorKind::MalformedMessage,
        ErrorKind::Stalled,
    ] {
        assert!(Error::new(kind, "detail").to_string().contains("; "), "{kind:?}");
    }
    for status in [301, 413, 408, 418, 400, 404, 500] {
        assert!(Error::from_status(status).to_string().contains("; "), "{status}");
    }
}
