use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{DecodedPage, MOST_SURPLUS, decoder, first_cursor};
use crate::chat_time::ChatTime;
use crate::cursor::{Cursor, Key};
use crate::error::{Error, ErrorKind};
use crate::message::Message;
use crate::timestamp::Timestamp;

const PAGE: &str = include_str!("../../tests/fixtures/get_messages_of_a_chat.json");

fn decode<T: DeserializeOwned + 'static>(body: &[u8]) -> Result<DecodedPage<T>, Error> {
    decoder::<T>()(body, 50, None)
}

fn key(millis: i64, id: &str) -> Key {
    Key::Placed(Cursor { timestamp: Timestamp::from_millis(millis), id: id.into() })
}

fn at(millis: i64) -> ChatTime {
    ChatTime::At(Timestamp::from_millis(millis))
}

#[test]
fn the_reference_s_page() {
    let page = decode::<Message>(PAGE.as_bytes()).unwrap();
    assert_eq!(page.keys, [key(1_757_055_477_000, "68ba89f8c909657dffcf267c")]);
    assert_eq!(page.messages[0].as_ref().unwrap().text.as_deref(), Some("Hi"));
    assert_eq!(page.chat_start, at(1_746_616_143_295));
    assert_eq!(page.chat_latest, at(1_757_056_145_969));

    let raw = decode::<Box<RawValue>>(PAGE.as_bytes()).unwrap();
    assert_eq!(raw.keys, page.keys);
    let value: Value = serde_json::from_str(PAGE).unwrap();
    let text = raw.messages[0].as_ref().unwrap().get();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), value["messages"][0]);
}

#[test]
fn what_is_said_of_the_chat() {
    for (rest, start) in [
        ("", ChatTime::Unknown),
        (r#","minTime":null"#, ChatTime::Unknown),
        (r#","minTime":false"#, ChatTime::Empty),
        (r#","minTime":7"#, at(7)),
        (r#","minTime":-7,"more":{"minTime":true}"#, at(-7)),
    ] {
        let body = format!(r#" {{"messages":[]{rest}}} "#);
        let page = decode::<Message>(body.as_bytes()).unwrap();
        assert_eq!((page.chat_start, page.chat_latest), (start, ChatTime::Unknown), "{body}");
    }
}

#[test]
fn what_is_not_the_endpoint_s_is_refused_without_quoting_it() {
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "<html>private</html>",
        r#"{"messages":null}"#,
        r#"{"messages":"private"}"#,
        r#"{"messages":{"private":1}}"#,
        r#"{"messages":["private"]"#,
        r#"{"messages":["private"#,
        r#"{"messages":[]} private"#,
        r#"{"messages":[],"messages":[]}"#,
        r#"{"messages":[],"minTime":"private"}"#,
        r#"{"messages":[],"minTime":true}"#,
        r#"{"messages":[],"minTime":1.5}"#,
        r#"{"messages":[],"maxTime":[]}"#,
        r#"{"messages":[],"minTime":99999999999999999999}"#,
        "{\"messages\":[\"\u{1}private\"]}",
    ] {
        for error in [
            decode::<Message>(body.as_bytes()).unwrap_err(),
            decode::<Value>(body.as_bytes()).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::MalformedPage, "{body}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("private"), "{shown}");
        }
    }
}

/// Bad messages: the text, whether it has a place, and which field is at fault.
const BAD: &[(&str, bool, Option<&str>)] = &[
    ("null", false, None),
    ("7", false, None),
    ("\"text\"", false, None),
    ("[]", false, None),
    ("{}", false, Some("_id")),
    (r#"{"_id":"a"}"#, false, Some("timestamp")),
    (r#"{"timestamp":5}"#, false, Some("_id")),
    (r#"{"_id":7,"timestamp":5}"#, false, Some("_id")),
    (r#"{"_id":"A","timestamp":5}"#, false, Some("_id")),
    (r#"{"_id":"a","timestamp":-5}"#, false, Some("timestamp")),
    (r#"{"_id":"a","timestamp":5.5}"#, false, Some("timestamp")),
    (r#"{"_id":"a","timestamp":"5"}"#, false, Some("timestamp")),
    (r#"{"_id":"a","timestamp":9999999999999999999999}"#, false, Some("timestamp")),
    (r#"{"_id":"a","_id":"b","timestamp":5}"#, false, None),
    (r#"{"\ud800":1,"_id":"a","timestamp":5}"#, false, None),
    (r#"{"_id":"a","timestamp":5,"text":7}"#, true, Some("text")),
    (r#"{"_id":"\u0061","timestamp":5,"status":1e99}"#, true, Some("status")),
    (r#"{"_id":"a","timestamp":5,"media":[{"mediaType":1}]}"#, true, Some("media[0].mediaType")),
];

#[test]
fn one_bad_message_costs_itself_alone() {
    let good = |id: &str| format!(r#"{{"_id":"{id}","timestamp":5,"text":"hi"}}"#);
    for (bad, has_place, path) in BAD {
        let body = format!(r#"{{"messages":[{},{bad},{}],"minTime":5}}"#, good("x"), good("y"));
        let page = decode::<Message>(body.as_bytes()).unwrap();
        assert_eq!(page.chat_start, at(5));
        assert_eq!((&page.keys[0], &page.keys[2]), (&key(5, "x"), &key(5, "y")));
        match has_place {
            true => assert_eq!(page.keys[1], key(5, "a"), "{bad}"),
            false => assert!(matches!(page.keys[1], Key::Unplaced(_)), "{bad}"),
        }
        assert!(page.messages[0].is_ok() && page.messages[2].is_ok());
        let error = page.messages[1].as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MalformedMessage);
        assert_eq!((error.raw_message(), error.path()), (Some(*bad), *path));
    }
}

#[test]
fn what_is_no_utf_8_costs_its_message_alone() {
    let body = b"{\"messages\":[{\"_id\":\"a\",\"timestamp\":1},\
        {\"_id\":\"b\",\"timestamp\":2,\"text\":\"private \xff\"},{\"_id\":\"\xfe\",\"timestamp\":3},\
        {\"_id\":\"d\",\"timestamp\":4,\"text\":\"\xef\xbf\xbd\"}],\"x\":\"\xff\"}";
    let page = decode::<Message>(body).unwrap();
    let readable: Vec<bool> = page.messages.iter().map(Result::is_ok).collect();
    assert_eq!(readable, [true, false, false, true]);
    assert_eq!((&page.keys[1], &page.keys[3]), (&key(2, "b"), &key(4, "d")));
    let error = page.messages[1].as_ref().unwrap_err();
    assert!(error.to_string().contains("message b cannot be read: it is not UTF-8"), "{error}");
    assert!(error.raw_message().unwrap().contains("private \u{fffd}"));
    assert_eq!(decode::<Value>(body).unwrap().keys, page.keys);
    // The repaired text would be readable, but it is not what the server sent.
    let one =
        decode::<Message>(b"{\"messages\":[{\"_id\":\"b\",\"timestamp\":2,\"text\":\"\xff\"}]}")
            .unwrap();
    assert!(one.keys == [key(2, "b")] && one.messages[0].is_err());
    assert_eq!(decode::<Value>(b"\xff\xfe").unwrap_err().kind(), ErrorKind::MalformedPage);
}

#[test]
fn far_more_messages_than_asked_for_are_refused_before_they_fill_the_memory() {
    let body = |count: usize| format!(r#"{{"messages":[{}1]}}"#, "1,".repeat(count - 1));
    let most = 50 + MOST_SURPLUS;
    assert_eq!(decode::<Message>(body(most).as_bytes()).unwrap().messages.len(), most);
    for error in [
        decode::<Message>(body(most + 1).as_bytes()).unwrap_err(),
        decode::<Value>(body(1_000_000).as_bytes()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::MalformedPage);
        assert!(error.to_string().contains("not far longer than asked for"), "{error}");
    }
}

#[test]
fn equal_texts_without_a_place_are_known_again() {
    let page = decode::<Message>(br#"{"messages":[null,{"a":1},null]}"#).unwrap();
    assert_eq!(page.keys[0], page.keys[2]);
    assert_ne!(page.keys[0], page.keys[1]);
}

#[test]
fn depth_and_length_are_no_danger() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = "a".repeat(1_000_000);
    let body = format!(
        r#"{{"messages":[{{"_id":"a","timestamp":1,"metadata":{{"x":{deep}}}}},{deep},
            {{"_id":"{long}","timestamp":2}},{{"_id":"b","timestamp":3,"list":{deep}}}],"x":{deep}}}"#
    );
    match decode::<Message>(body.as_bytes()) {
        Ok(page) => assert_eq!(page.keys.len(), 4),
        Err(error) => assert_eq!(error.kind(), ErrorKind::MalformedPage),
    }
    assert!(decode::<Value>(body.as_bytes()).is_ok_and(|page| page.messages[1].is_err()));
}

#[test]
fn messages_of_another_session_are_told() {
    let others = |body: &[u8]| {
        let typed = decoder::<Message>()(body, 50, Some("s")).unwrap().of_other_session;
        let bare = decoder::<Box<RawValue>>()(body, 50, Some("s")).unwrap().of_other_session;
        let value = decoder::<Value>()(body, 50, Some("s")).unwrap().of_other_session;
        assert_eq!((&typed, &typed), (&bare, &value));
        typed
    };
    // These messages are read one by one, because some are bad.
    let body =
        br#"{"messages":[{"botSessionId":"s"},{"botSessionId":"t"},{},null,{"botSessionId":7}]}"#;
    assert_eq!(others(body), [false, true, true, false, false]);
    // These messages are read in one pass.
    let body = br#"{"messages":[{"_id":"a","timestamp":1,"botSessionId":"s"},
        {"_id":"b","timestamp":1,"botSessionId":"t"},{"_id":"c","timestamp":1}]}"#;
    assert_eq!(others(body), [false, true, true]);
    assert!(decode::<Message>(body).unwrap().of_other_session.is_empty());
}

#[test]
fn the_first_cursor_is_known_once_its_message_is_complete() {
    let body = r#" { "messages" : [ {"_id":"a1","timestamp":12,"x":"}"} , {"_id":"b2"#;
    let complete = body.find("} ,").unwrap() + 1;
    for end in 0..body.len() {
        let expected = (end >= complete)
            .then(|| Cursor { timestamp: Timestamp::from_millis(12), id: "a1".into() });
        assert_eq!(first_cursor(&body.as_bytes()[..end]), expected, "{end}");
    }
    for other in [r#"{"messages":[7, "#, r#"{"minTime":1,"messages":[{"#, r#"{"messages":[]}"#] {
        assert_eq!(first_cursor(other.as_bytes()), None);
    }
}

#[test]
fn the_first_message_is_looked_for_in_a_beginning_of_64_kib() {
    let start = r#"{"messages":[{"_id":"a1","timestamp":12,"text":""#;
    for (length, found) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        let body = format!("{start}{}\"}}", "x".repeat(length - start.len() - 2));
        assert_eq!(body.len(), length);
        assert_eq!(first_cursor(body.as_bytes()).is_some(), found);
    }
    // After a short first message, any amount may have arrived at once.
    let body = format!("{start}\"}},\"{}", "x".repeat(100 * 1024));
    assert!(first_cursor(body.as_bytes()).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Any bytes, and any cut or changed page, are either a page or an error.
    #[test]
    fn no_body_leads_to_a_panic(
        noise in prop::collection::vec(any::<u8>(), 0..40),
        at in any::<prop::sample::Index>(),
        length in 0usize..60,
    ) {
        let mut body = PAGE.as_bytes().to_vec();
        let start = at.index(body.len());
        let end = (start + length).min(body.len());
        body.splice(start..end, noise.iter().copied());
        for body in [&body[..], &body[..start], &noise] {
            let typed = decode::<Message>(body);
            let untyped = decode::<Box<RawValue>>(body);
            // A page of messages is also a page of texts, with the same places.
            if let (Ok(typed), Ok(untyped)) = (typed, untyped) {
                prop_assert_eq!(typed.keys, untyped.keys);
            }
            let _ = first_cursor(body);
            let _ = decoder::<Message>()(body, 50, Some("s"));
        }
    }

    /// Reading in one pass and reading message by message give the same places.
    #[test]
    fn a_bad_message_changes_nothing_of_its_neighbours(
        times in prop::collection::vec(0i64..1_000, 0..20),
        bad in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut messages: Vec<String> = times
            .iter()
            .enumerate()
            .map(|(index, time)| json!({"_id": format!("m{index}"), "timestamp": time}).to_string())
            .collect();
        let body = |messages: &[String]| format!(r#"{{"messages":[{}]}}"#, messages.join(","));
        let whole = decode::<Message>(body(&messages).as_bytes()).unwrap();
        if let Some(bad) = bad {
            let at = bad.index(messages.len() + 1);
            messages.insert(at, BAD[at % BAD.len()].0.to_owned());
            let mut page = decode::<Message>(body(&messages).as_bytes()).unwrap();
            prop_assert!(page.messages.remove(at).is_err());
            page.keys.remove(at);
            prop_assert!(page.messages.iter().all(Result::is_ok));
            prop_assert_eq!(page.keys, whole.keys);
        }
    }
}
