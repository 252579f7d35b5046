//! Reads a message's *place*, its `_id` and `timestamp`, without decoding the rest of the message.

// The bytes come from a server and are read by index. No index may lead to a panic.
#![warn(clippy::indexing_slicing, clippy::string_slice)]

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cursor::Cursor;
use crate::id::is_well_formed;
use crate::timestamp::Timestamp;

/// The place of one message, if it has one.
pub(super) enum Place {
    At(Cursor),
    /// The message has no readable place. `fault` says what is missing, without quoting the message. `path` is
    /// the field.
    Nowhere {
        path: Option<&'static str>,
        fault: &'static str,
    },
}

/// The two fields of the place, as they stand in the text.
#[derive(Debug, PartialEq, Eq)]
struct PlaceTexts<'a> {
    id: Option<&'a str>,
    timestamp: Option<&'a str>,
}

#[derive(Deserialize)]
struct PlaceFields<'a> {
    #[serde(borrow, rename = "_id")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SessionField<'a> {
    #[serde(borrow, rename = "botSessionId")]
    session: Option<Cow<'a, str>>,
}

pub(super) fn place_of(raw: &RawValue) -> Place {
    if !raw.get().starts_with('{') {
        return Place::Nowhere { path: None, fault: "it is no object" };
    }
    let Some(PlaceTexts { id, timestamp }) = skim(raw.get()).or_else(|| read(raw.get())) else {
        return Place::Nowhere {
            path: None,
            fault: "its `_id` or `timestamp` comes twice, or the name of a field cannot be read",
        };
    };
    let id: Option<Cow<'_, str>> = id.and_then(|id| match id.as_bytes() {
        // Nearly every id has no escapes. Then the text between the quotes is the id.
        [b'"', plain @ .., b'"'] if !plain.contains(&b'\\') => {
            id.get(1..id.len() - 1).map(Into::into)
        }
        _ => serde_json::from_str::<String>(id).ok().map(Cow::Owned),
    });
    let Some(id) = id.filter(|id| is_well_formed(id)) else {
        return Place::Nowhere {
            path: Some("_id"),
            fault: "its `_id` is missing or is not a string of a-z and 0-9",
        };
    };
    let millis: Option<i64> = timestamp.and_then(|time| serde_json::from_str(time).ok());
    match millis {
        Some(millis) if millis >= 0 => {
            Place::At(Cursor { timestamp: Timestamp::from_millis(millis), id: id.as_ref().into() })
        }
        _ => Place::Nowhere {
            path: Some("timestamp"),
            fault: "its `timestamp` is missing or is not a whole number of epoch milliseconds",
        },
    }
}

/// Reads the two fields. `None` if one of them comes twice, or if the name of a field is not valid text.
fn read(object: &str) -> Option<PlaceTexts<'_>> {
    let fields: PlaceFields<'_> = serde_json::from_str(object).ok()?;
    let PlaceFields { id, timestamp } = fields;
    Some(PlaceTexts { id: id.map(RawValue::get), timestamp: timestamp.map(RawValue::get) })
}

/// Does what [`read`] does in a fraction of its time. The text is known to be JSON. So only the ends of its
/// strings must be found. Returns `None` for unusual texts, which `read` then decides.
fn skim(object: &str) -> Option<PlaceTexts<'_>> {
    let bytes = object.as_bytes();
    let mut found = PlaceTexts { id: None, timestamp: None };
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'"' => {
                let escaped;
                (at, escaped) = end_of_string(bytes, start)?;
                if depth > 1 {
                    continue;
                }
                let field = match bytes.get(start..at)? {
                    b"\"_id\"" => Some(&mut found.id),
                    b"\"timestamp\"" => Some(&mut found.timestamp),
                    _ if escaped => None,
                    _ => continue,
                };
                // A string without a colon after it is a value.
                let Some(value) = value_behind(bytes, at) else { continue };
                let text = scalar(object, value)?;
                if field?.replace(text).is_some() {
                    return None;
                }
                at = value + text.len();
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    Some(found)
}

/// The index after the string whose first quote is at `start`, and whether the string holds escapes.
fn end_of_string(bytes: &[u8], start: usize) -> Option<(usize, bool)> {
    let (mut at, mut escaped) = (start + 1, false);
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some((at + 1, escaped));
        }
        escaped = true;
        at += 2;
    }
}

/// Where the value begins, if the string that ends at `end` is the name of a field.
fn value_behind(bytes: &[u8], end: usize) -> Option<usize> {
    let behind_space = |from: usize| {
        let space = bytes.get(from..)?.iter().take_while(|byte| byte.is_ascii_whitespace());
        Some(from + space.count())
    };
    let colon = behind_space(end)?;
    if bytes.get(colon) == Some(&b':') { behind_space(colon + 1) } else { None }
}

/// The string or number that begins at `start`. `None` for `null`, which counts as absent.
fn scalar(object: &str, start: usize) -> Option<&str> {
    let bytes = object.as_bytes();
    let end = match bytes.get(start)? {
        b'"' => end_of_string(bytes, start)?.0,
        b'{' | b'[' | b'n' => return None,
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b'}') || byte.is_ascii_whitespace();
            start + bytes.get(start..)?.iter().position(ends)?
        }
    };
    object.get(start..end)
}

/// Whether the message says that it belongs to another session, or to none. A message that cannot be read may
/// belong to any session.
pub(super) fn belongs_to_other_session(raw: &RawValue, session: &str) -> bool {
    raw.get().starts_with('{')
        && serde_json::from_str::<SessionField<'_>>(raw.get())
            .is_ok_and(|fields| fields.session.as_deref() != Some(session))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PlaceTexts, read, skim};

    #[test]
    fn an_ordinary_message_is_skimmed() {
        let object = r#" { "a" : {"_id":"no"} , "_id" : "b\"2" ,"s":["timestamp",{"timestamp":1}],
            "text":"\\","timestamp":12 } "#;
        let texts = PlaceTexts { id: Some(r#""b\"2""#), timestamp: Some("12") };
        assert_eq!(skim(object), Some(texts));
        assert_eq!(skim("{}"), Some(PlaceTexts { id: None, timestamp: None }));
        for extraordinary in [
            r#"{"_id":"a","_id":"a"}"#,
            r#"{"_id":{},"timestamp":1}"#,
            r#"{"\u005fid":"a","timestamp":1}"#,
        ] {
            assert_eq!(skim(extraordinary), None);
        }
    }

    fn value() -> impl Strategy<Value = String> {
        let text = |texts: &'static [&'static str]| prop::sample::select(texts);
        let space = move || text(&["", "", "", " ", "\n", "\t\r "]);
        let word = text(&[
            "null",
            "true",
            "0",
            "-1.5e3",
            "17",
            r#""""#,
            r#""a""#,
            r#""_id""#,
            r#""\"""#,
            r#""\\""#,
            r#""timestamp\":1""#,
            r#""}{][,:""#,
            r#""é\u00e9""#,
        ]);
        let name =
            move || text(&[r#""_id""#, r#""timestamp""#, r#""\u005fid""#, r#""x""#, r#""_id\\""#]);
        let leaf = word.prop_map(ToOwned::to_owned);
        leaf.prop_recursive(3, 24, 6, move |inner| {
            let spaced =
                (space(), inner, space()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
            let field = (space(), name(), space(), spaced.clone())
                .prop_map(|(a, name, b, value)| format!("{a}{name}{b}:{value}"));
            prop_oneof![
                prop::collection::vec(spaced, 0..4).prop_map(|all| format!("[{}]", all.join(","))),
                prop::collection::vec(field, 0..6).prop_map(|all| format!("{{{}}}", all.join(","))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn what_is_skimmed_is_what_is_read(object in value()) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&object).is_ok(), "{}", object);
            if let Some(texts) = skim(&object).filter(|_| object.starts_with('{')) {
                prop_assert_eq!(Some(texts), read(&object));
            }
        }
    }
}
