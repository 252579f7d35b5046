//! Decodes the bytes of a body into the messages of a page. A bad message does not affect the others.

mod envelope;
mod place;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::borrow::Cow;

use serde::Deserializer;
use serde::de::{DeserializeOwned, DeserializeSeed as _};
use serde_json::value::RawValue;

use crate::chat_time::ChatTime;
use crate::cursor::{Cursor, Key};
use crate::error::{Error, ErrorKind};
use crate::fingerprint::fingerprint;
use crate::message::Message;
use crate::message::object::{InPlace, Object as _};
use crate::message::read::{Fault, read};
use envelope::{Elements, Envelope, Texts, read_envelope};
use place::{Place, belongs_to_other_session, place_of};

/// The messages of one answer, in the order of the body, and the times of the chat's first and latest message.
#[derive(Debug)]
pub(crate) struct DecodedPage<T> {
    /// The place of each message. There are as many as `messages`.
    pub(crate) keys: Vec<Key>,
    pub(crate) messages: Vec<Result<T, Error>>,
    /// Which messages belong to another session than the one asked for, or to none. Empty when no session was
    /// asked for.
    pub(crate) of_other_session: Vec<bool>,
    pub(crate) chat_start: ChatTime,
    pub(crate) chat_latest: ChatTime,
}

/// Reads a body that answers a request. The arguments are the body, the request's `limit`, and its bot session,
/// if any.
pub(crate) type Decode<T> = fn(&[u8], u32, Option<&str>) -> Result<DecodedPage<T>, Error>;

/// The function that reads a body into `T`s. [`Message`]s are read in one pass. Bare JSON is kept without
/// reading its text again. For any other type, each message is read from its own text.
pub(crate) fn decoder<T: DeserializeOwned + 'static>() -> Decode<T> {
    let in_one_pass: Decode<Message> = decode_messages;
    let bare: Decode<Box<RawValue>> = |body, limit, session| {
        decode_each(&Text::of(body), limit, session, |raw| Ok(raw.to_owned()))
    };
    let each: Decode<T> =
        |body, limit, session| decode_each(&Text::of(body), limit, session, |raw| read(raw.get()));
    let special: [&dyn Any; 2] = [&in_one_pass, &bare];
    special.into_iter().find_map(|decode| decode.downcast_ref()).copied().unwrap_or(each)
}

/// A low guess at the length of a message. With it, memory for the whole page is reserved at once.
const SHORT_MESSAGE: usize = 512;

/// How many more messages than asked for are accepted. A hostile server can send a message in a few bytes, but
/// in memory a message is far larger.
const MOST_SURPLUS: usize = 10_000;

fn most(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(MOST_SURPLUS)
}

fn decode_messages(
    body: &[u8],
    limit: u32,
    session: Option<&str>,
) -> Result<DecodedPage<Message>, Error> {
    let text = Text::of(body);
    let mut taken = Taken::new(text.room(), session);
    match read_envelope(&text.text, most(limit), &mut taken) {
        Ok(envelope) if text.altered.is_empty() => Ok(taken.into_page(envelope)),
        // One message is bad, or the whole page is. Reading each message on its own shows which.
        _ => {
            drop(taken);
            decode_each(&text, limit, session, |raw| read(raw.get()))
        }
    }
}

fn decode_each<T>(
    text: &Text<'_>,
    limit: u32,
    session: Option<&str>,
    read: impl Fn(&RawValue) -> Result<T, Fault>,
) -> Result<DecodedPage<T>, Error> {
    let mut taken = Taken::new(text.room(), session);
    let each = |raw: &RawValue| {
        let (key, message) = decode_one(raw, text.is_altered(raw.get()), &read);
        taken.keys.push(key);
        taken.messages.push(message);
        if let Some(session) = session {
            taken.of_other_session.push(belongs_to_other_session(raw, session));
        }
    };
    let envelope = read_envelope(&text.text, most(limit), &mut Texts(each))
        .map_err(|error| not_a_page(&error))?;
    Ok(taken.into_page(envelope))
}

/// The messages that have been taken so far.
struct Taken<'a, T> {
    session: Option<&'a str>,
    keys: Vec<Key>,
    messages: Vec<Result<T, Error>>,
    of_other_session: Vec<bool>,
}

impl<'a, T> Taken<'a, T> {
    fn new(room: usize, session: Option<&'a str>) -> Self {
        Self {
            session,
            keys: Vec::with_capacity(room),
            messages: Vec::with_capacity(room),
            of_other_session: Vec::new(),
        }
    }

    fn into_page(self, envelope: Envelope) -> DecodedPage<T> {
        let Self { keys, messages, of_other_session, .. } = self;
        let Envelope { chat_start, chat_latest } = envelope;
        DecodedPage { keys, messages, of_other_session, chat_start, chat_latest }
    }
}

impl<'de> Elements<'de> for Taken<'_, Message> {
    /// Fills the message in its final place, because it is too large to be moved about.
    fn take<D: Deserializer<'de>>(&mut self, element: D) -> Result<(), D::Error> {
        self.messages.push(Ok(Message::blank()));
        if let Some(Ok(message)) = self.messages.last_mut() {
            InPlace(message).deserialize(element)?;
            let cursor = Cursor { timestamp: message.timestamp, id: message.id.clone() };
            self.keys.push(Key::Placed(cursor));
            if let Some(session) = self.session {
                let own = message.bot_session_id.as_ref().is_some_and(|id| id == session);
                self.of_other_session.push(!own);
            }
        }
        Ok(())
    }
}

fn decode_one<T>(
    raw: &RawValue,
    altered: bool,
    read: impl Fn(&RawValue) -> Result<T, Fault>,
) -> (Key, Result<T, Error>) {
    match place_of(raw) {
        Place::At(cursor) if altered => {
            let detail = format!("message {} cannot be read: it is not UTF-8", cursor.id);
            (Key::Placed(cursor), Err(Error::malformed_message(detail, raw.get(), None)))
        }
        Place::At(cursor) => {
            let message = read(raw).map_err(|fault| {
                let detail =
                    format!("message {} cannot be read: {fault} of the message", cursor.id);
                Error::malformed_message(detail, raw.get(), fault.path)
            });
            (Key::Placed(cursor), message)
        }
        Place::Nowhere { path, fault } => {
            let detail = format!("a message cannot be read: {fault}");
            let key = Key::Unplaced(fingerprint(raw.get().as_bytes()));
            let path = path.map(ToOwned::to_owned);
            (key, Err(Error::malformed_message(detail, raw.get(), path)))
        }
    }
}

/// How many bytes of a body are searched for the first message.
const LONGEST_HEAD: usize = 64 * 1024;

/// The place of the first message of a body that is still arriving. `None` until that message is complete, and
/// when the body does not begin with its messages.
pub(crate) fn first_cursor(head: &[u8]) -> Option<Cursor> {
    let mut rest = without_mark(head.get(..LONGEST_HEAD).unwrap_or(head));
    for token in [&b"{"[..], b"\"messages\"", b":", b"["] {
        rest = rest.trim_ascii_start().strip_prefix(token)?;
    }
    let mut messages = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
    // A number may continue in the bytes to come. An object is complete at its closing brace.
    match place_of(messages.next()?.ok()?) {
        Place::At(cursor) => Some(cursor),
        Place::Nowhere { .. } => None,
    }
}

/// The body without its byte order mark, which some servers put before UTF-8.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// A body as text. UTF-8 is checked once for the whole body, and not again for each text in it.
struct Text<'a> {
    text: Cow<'a, str>,
    /// Where bytes that are not UTF-8 were replaced by U+FFFD, ascending. The message that holds such a byte is
    /// an error.
    altered: Vec<usize>,
}

impl<'a> Text<'a> {
    fn of(body: &'a [u8]) -> Self {
        let body = without_mark(body);
        if let Ok(text) = simdutf8::basic::from_utf8(body) {
            return Self { text: Cow::Borrowed(text), altered: Vec::new() };
        }
        let mut text = String::with_capacity(body.len());
        let mut altered = Vec::new();
        for chunk in body.utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                altered.push(text.len());
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Self { text: Cow::Owned(text), altered }
    }

    fn room(&self) -> usize {
        self.text.len() / SHORT_MESSAGE + 1
    }

    /// Whether something was replaced within `part`, a slice of this text.
    fn is_altered(&self, part: &str) -> bool {
        if self.altered.is_empty() {
            return false;
        }
        let start = part.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        let first = self.altered.partition_point(|at| *at < start);
        self.altered.get(first).is_some_and(|at| *at < start.saturating_add(part.len()))
    }
}

/// NOTE: the message of a `serde_json::Error` may quote the body. Its line, column and category do not.
fn not_a_page(error: &serde_json::Error) -> Error {
    use serde_json::error::Category;
    let (line, column) = (error.line(), error.column());
    let expected = match error.classify() {
        Category::Eof => "the JSON ends too early",
        Category::Syntax | Category::Io => "this is no JSON",
        Category::Data => {
            "expected an object with an array `messages`, not far longer than asked for, and `minTime` and \
             `maxTime` in whole epoch milliseconds or false"
        }
    };
    let detail =
        format!("the answer is not a page of messages at line {line} column {column}: {expected}");
    Error::new(ErrorKind::MalformedPage, detail)
}
