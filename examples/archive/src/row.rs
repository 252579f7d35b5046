//! A message as the database has it: a few columns, and the JSON as it came.
//!
//! The stream hands out the bare JSON text (`Box<RawValue>`), not a `Message`: so what is kept is what the server sent,
//! byte for byte, and a message of a shape that nobody foresaw is kept as well.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use serde_json::value::RawValue;

use crate::words::words;

/// The status of a deleted message (page "The Message object").
pub(crate) const DELETED: i64 = 6;

#[derive(Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) id: String,
    /// Epoch milliseconds.
    pub(crate) timestamp: i64,
    pub(crate) direction: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) status: Option<i64>,
    pub(crate) text: Option<String>,
    /// The words of the text, a space between.
    pub(crate) words: String,
    pub(crate) json: String,
}

/// A message without an id or a time of its own. It is kept, too, in a table beside.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) json: String,
    pub(crate) reason: String,
}

/// Beside the first two, a field of another type than the reference says is left out of its column.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "_id")]
    id: String,
    timestamp: i64,
    #[serde(borrow)]
    direction: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

impl Row {
    pub(crate) fn read(json: &RawValue) -> Result<Self, Unreadable> {
        let json = json.get();
        // NOTE: the parser's own words may quote the message, so they are not kept as the reason.
        let fields: Fields<'_> = serde_json::from_str(json).map_err(|_| Unreadable {
            json: json.to_owned(),
            reason: "its _id and its timestamp cannot be told".to_owned(),
        })?;
        let text = fields.text.and_then(string);
        Ok(Self {
            words: words(text.as_deref().unwrap_or_default()).join(" "),
            id: fields.id,
            timestamp: fields.timestamp,
            direction: fields.direction.and_then(string),
            kind: fields.kind.and_then(string),
            status: fields.status.and_then(parsed),
            text,
            json: json.to_owned(),
        })
    }
}

fn parsed<T: DeserializeOwned>(json: &RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

/// A JSON string, if it is one. Half an emoji, cut off by a server that counts in UTF-16, is no character, and a
/// database's text holds no NUL: `�` stands in for both.
fn string(json: &RawValue) -> Option<String> {
    let bytes: ByteBuf = json.get().starts_with('"').then(|| parsed(json))??;
    Some(String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Row, Unreadable> {
        Row::read(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn the_columns_and_the_text_as_it_came() {
        let json = r#"{ "_id":"a1", "timestamp":5, "type":"text","direction":"incoming", "status":2,"text":"Hi \"you\"", "new":[1.50] }"#;
        let row = read(json).unwrap();
        assert_eq!((row.id.as_str(), row.timestamp, row.status), ("a1", 5, Some(2)));
        assert_eq!(row.direction.as_deref(), Some("incoming"));
        assert_eq!(row.kind.as_deref(), Some("text"));
        assert_eq!((row.text.as_deref(), row.words.as_str()), (Some("Hi \"you\""), "hi you"));
        assert_eq!(row.json, json);
    }

    #[test]
    fn an_odd_field_costs_its_column_alone() {
        let row = read(r#"{"_id":"a1","timestamp":5,"text":7,"type":null,"status":"x"}"#).unwrap();
        assert_eq!((row.text, row.kind, row.status), (None, None, None));
        let row = read(r#"{"_id":"a1","timestamp":5,"text":"a\u0000b \ud83d"}"#).unwrap();
        assert_eq!(row.words, "a b");
        assert!(row.text.unwrap().starts_with("a\u{fffd}b \u{fffd}"));
    }

    #[test]
    fn without_a_place_it_is_kept_all_the_same() {
        let unreadable = read(r#"{"timestamp":5,"text":"secret"}"#).unwrap_err();
        assert_eq!(unreadable.json, r#"{"timestamp":5,"text":"secret"}"#);
        assert!(!unreadable.reason.contains("secret"));
    }
}
