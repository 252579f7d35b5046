//! A body's bytes → the messages of a page, each on its own when one is bad.

mod envelope;
mod place;
#[cfg(test)]
mod tests;

use std::any::Any;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::checkpoint::{Cursor, Key};
use crate::error::{Error, ErrorKind};
use crate::fingerprint::fingerprint;
use crate::message::Message;
use crate::walk::ChatTime;
use envelope::{Each, Elements, Envelope, read_envelope};
use place::{Place, belongs_to_other_session, place_of};

/// The messages of one answer, in the order of the body, and when the chat began and last went on.
#[derive(Debug)]
pub(crate) struct DecodedPage<T> {
    /// Where each message stands; as many as `messages`.
    pub(crate) keys: Vec<Key>,
    pub(crate) messages: Vec<Result<T, Error>>,
    pub(crate) chat_start: ChatTime,
    pub(crate) chat_latest: ChatTime,
}

/// Reads a body.
pub(crate) type Decode<T> = fn(&[u8]) -> Result<DecodedPage<T>, Error>;

/// What reads a body into `T`s: for [`Message`] in one pass, for bare JSON without reading the text again,
/// for any other type each from its own text.
pub(crate) fn decoder<T: DeserializeOwned + 'static>() -> Decode<T> {
    let in_one_pass: Decode<Message> = decode_messages;
    let bare: Decode<Box<RawValue>> = |body| decode_each(text_of(body)?, |raw| Ok(raw.to_owned()));
    let each: Decode<T> = |body| decode_each(text_of(body)?, |raw| serde_json::from_str(raw.get()));
    let special: [&dyn Any; 2] = [&in_one_pass, &bare];
    special.into_iter().find_map(|decode| decode.downcast_ref()).copied().unwrap_or(each)
}

/// A guess at the length of a message, low enough that room for the page is made in one go.
const SHORT_MESSAGE: usize = 512;

fn decode_messages(body: &[u8]) -> Result<DecodedPage<Message>, Error> {
    let text = text_of(body)?;
    let room = text.len() / SHORT_MESSAGE + 1;
    let mut keys = Vec::with_capacity(room);
    let mut messages = Vec::with_capacity(room);
    let elements = Elements(|message: Message| {
        keys.push(Key::Placed(Cursor { timestamp: message.timestamp, id: message.id.clone() }));
        messages.push(Ok(message));
    });
    match read_envelope(text, elements) {
        Ok(Envelope { chat_start, chat_latest }) => {
            Ok(DecodedPage { keys, messages, chat_start, chat_latest })
        }
        // One message is bad, or the whole page is: each on its own tells.
        Err(_) => decode_each(text, |raw| serde_json::from_str(raw.get())),
    }
}

fn decode_each<T>(
    text: &str,
    read: impl Fn(&RawValue) -> Result<T, serde_json::Error>,
) -> Result<DecodedPage<T>, Error> {
    let room = text.len() / SHORT_MESSAGE + 1;
    let mut keys = Vec::with_capacity(room);
    let mut messages = Vec::with_capacity(room);
    let elements = Elements(|raw: Each<'_>| {
        let (key, message) = decode_one(raw.0, &read);
        keys.push(key);
        messages.push(message);
    });
    let Envelope { chat_start, chat_latest } =
        read_envelope(text, elements).map_err(|error| not_a_page(&error))?;
    Ok(DecodedPage { keys, messages, chat_start, chat_latest })
}

fn decode_one<T>(
    raw: &RawValue,
    read: impl Fn(&RawValue) -> Result<T, serde_json::Error>,
) -> (Key, Result<T, Error>) {
    match place_of(raw) {
        Place::At(cursor) => {
            let message = read(raw).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                let detail = format!(
                    "message {} cannot be read: a field is missing, comes twice or is of another type \
                     than documented, at line {line} column {column} of the message",
                    cursor.id
                );
                Error::malformed_message(detail, raw.get())
            });
            (Key::Placed(cursor), message)
        }
        Place::Nowhere(fault) => {
            let detail = format!("a message cannot be read: {fault}");
            let key = Key::Unplaced(fingerprint(raw.get().as_bytes()));
            (key, Err(Error::malformed_message(detail, raw.get())))
        }
    }
}

/// Which messages of the body belong to another session than `session`, or to none.
pub(crate) fn of_other_session(body: &[u8], session: &str) -> Result<Vec<bool>, Error> {
    let mut others = Vec::new();
    let elements = Elements(|raw: Each<'_>| others.push(belongs_to_other_session(raw.0, session)));
    read_envelope(text_of(body)?, elements).map_err(|error| not_a_page(&error))?;
    Ok(others)
}

/// The longest beginning of a body in which the first message is looked for.
const LONGEST_HEAD: usize = 64 * 1024;

/// Where the first message of a body stands that is still arriving; `None` until that message is
/// complete, and when the body does not begin with its messages.
pub(crate) fn first_cursor(head: &[u8]) -> Option<Cursor> {
    if head.len() > LONGEST_HEAD {
        return None;
    }
    let mut rest = head;
    for token in [&b"{"[..], b"\"messages\"", b":", b"["] {
        rest = rest.trim_ascii_start().strip_prefix(token)?;
    }
    let mut messages = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
    // A number may go on in the bytes to come; an object's end is its end.
    match place_of(messages.next()?.ok()?) {
        Place::At(cursor) => Some(cursor),
        Place::Nowhere(_) => None,
    }
}

/// UTF-8 is checked once, for the whole body; every text in it is then taken as it is.
fn text_of(body: &[u8]) -> Result<&str, Error> {
    simdutf8::compat::from_utf8(body).map_err(|error| {
        let detail = format!("the answer is not UTF-8 from byte {} on", error.valid_up_to());
        Error::new(ErrorKind::MalformedPage, detail)
    })
}

/// NOTE: the message of a `serde_json::Error` may quote the body; its place and category do not.
fn not_a_page(error: &serde_json::Error) -> Error {
    use serde_json::error::Category;
    let (line, column) = (error.line(), error.column());
    let expected = match error.classify() {
        Category::Eof => "the JSON ends too early",
        Category::Syntax | Category::Io => "this is no JSON",
        Category::Data => {
            "expected an object with an array `messages`, and `minTime` and `maxTime` in whole epoch \
             milliseconds or false"
        }
    };
    let detail =
        format!("the answer is not a page of messages at line {line} column {column}: {expected}");
    Error::new(ErrorKind::MalformedPage, detail)
}
