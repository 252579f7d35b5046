//! A chat of the fake server. Its messages are serialised once, and a page is a slice of that text.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::rulebook::Row;
use crate::id::{BotSessionId, ChatId, MessageId};
use crate::message::Message;
use crate::timestamp::Timestamp;

/// A message that the fake server holds: its JSON text, and the timestamp and `_id` that the server orders it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeMessage {
    pub(super) timestamp: i64,
    pub(super) id: String,
    pub(super) bot_session: Option<String>,
    pub(super) hidden: bool,
    pub(super) json: String,
}

impl FakeMessage {
    /// A message that the server orders by `timestamp` and `id`, whatever its JSON text says. Use it for
    /// messages that a client cannot read.
    #[must_use]
    pub fn placed(timestamp: Timestamp, id: impl Into<MessageId>, json: impl Into<String>) -> Self {
        Self {
            timestamp: timestamp.as_millis(),
            id: id.into().into(),
            bot_session: None,
            hidden: false,
            json: json.into(),
        }
    }

    /// A short text message.
    #[must_use]
    pub fn text(timestamp: Timestamp, id: impl Into<MessageId>, text: &str) -> Self {
        let id: MessageId = id.into();
        let json = serde_json::json!({
            "_id": id, "timestamp": timestamp.as_millis(), "type": "text", "text": text,
            "direction": "incoming",
        });
        Self::placed(timestamp, id, json.to_string())
    }

    /// Puts the message into a bot session. The server's filter then finds it. If its JSON text is an object, the text
    /// says so too.
    ///
    /// # Examples
    ///
    /// ```
    /// use texter_history::Timestamp;
    /// use texter_history::testing::FakeMessage;
    ///
    /// let message = FakeMessage::text(Timestamp::from_millis(1_000), "a1", "Hi").bot_session("s1");
    /// assert_eq!(message.to_value()["botSessionId"], "s1");
    /// ```
    #[must_use]
    pub fn bot_session(mut self, id: impl Into<BotSessionId>) -> Self {
        let id: String = id.into().into();
        if let Value::Object(mut fields) = self.to_value() {
            fields.insert("botSessionId".into(), id.clone().into());
            self.json = Value::Object(fields).to_string();
        }
        self.bot_session = Some(id);
        self
    }

    /// Hides the message: the server counts it to `limit` and then leaves it out.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// The timestamp that the server orders it by.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_millis(self.timestamp)
    }

    /// The `_id` that the server orders it by.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its JSON text.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Its JSON as a value. `Null` when the text is not JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.json).unwrap_or(Value::Null)
    }
}

/// The server orders the message by its `_id` and `timestamp`. If they are missing, its timestamp is 0 and its id empty.
impl From<Value> for FakeMessage {
    fn from(value: Value) -> Self {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        Self {
            timestamp: value["timestamp"].as_i64().unwrap_or(0),
            id: text("_id").unwrap_or_default(),
            bot_session: text("botSessionId"),
            hidden: false,
            json: value.to_string(),
        }
    }
}

/// The server sends the message as it serialises.
///
/// # Examples
///
/// ```
/// use texter_history::testing::FakeMessage;
/// use texter_history::{Message, Timestamp};
///
/// let mut message = Message::new("a1", Timestamp::from_millis(1_000));
/// message.bot_session_id = Some("s1".into());
/// let fake = FakeMessage::from(message);
/// assert_eq!(fake.json(), r#"{"_id":"a1","timestamp":1000,"botSessionId":"s1"}"#);
/// ```
impl From<Message> for FakeMessage {
    #[expect(clippy::expect_used, reason = "a message is an object with text for names")]
    fn from(message: Message) -> Self {
        Self {
            json: serde_json::to_string(&message).expect("a message can be written as JSON"),
            timestamp: message.timestamp.as_millis(),
            id: message.id.into(),
            bot_session: message.bot_session_id.map(Into::into),
            hidden: false,
        }
    }
}

/// A chat of the fake server.
#[derive(Clone, Debug)]
#[must_use = "a chat does nothing until a server has it"]
pub struct FakeChat {
    pub(super) id: String,
    messages: Vec<FakeMessage>,
}

impl FakeChat {
    /// An empty chat.
    pub fn new(id: impl Into<ChatId>) -> Self {
        Self { id: id.into().into(), messages: Vec::new() }
    }

    /// Adds messages, in any order. Messages of one timestamp keep the given order, as far as the server's
    /// [`TieOrder`](super::TieOrder) lets them.
    pub fn messages<M: Into<FakeMessage>>(mut self, messages: impl IntoIterator<Item = M>) -> Self {
        self.messages.extend(messages.into_iter().map(Into::into));
        self
    }

    pub(super) fn stored(self) -> (String, StoredChat) {
        (self.id, StoredChat::new(self.messages))
    }
}

/// One message of a stored chat.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) timestamp: i64,
    pub(super) id: Box<str>,
    pub(super) bot_session: Option<Box<str>>,
    hidden: bool,
    start: usize,
    end: usize,
}

impl Entry {
    /// The entry of a message whose text begins there.
    fn new(message: FakeMessage, start: usize) -> Self {
        Self {
            timestamp: message.timestamp,
            id: message.id.into(),
            bot_session: message.bot_session.map(Into::into),
            hidden: message.hidden,
            start,
            end: start + message.json.len(),
        }
    }
}

impl Row for Entry {
    fn timestamp(&self) -> i64 {
        self.timestamp
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn bot_session(&self) -> Option<&str> {
        self.bot_session.as_deref()
    }

    fn is_hidden(&self) -> bool {
        self.hidden
    }
}

/// The messages in ascending order, and their texts with a comma behind each. A page is a slice of that text.
#[derive(Clone, Debug)]
pub(super) struct StoredChat {
    pub(super) entries: Vec<Entry>,
    text: Bytes,
}

impl StoredChat {
    fn new(mut messages: Vec<FakeMessage>) -> Self {
        messages.sort_by_key(|message| message.timestamp);
        let mut text = BytesMut::with_capacity(messages.iter().map(|m| m.json.len() + 1).sum());
        let mut entries = Vec::with_capacity(messages.len());
        for message in messages {
            let start = text.len();
            text.extend_from_slice(message.json.as_bytes());
            text.extend_from_slice(b",");
            entries.push(Entry::new(message, start));
        }
        Self { entries, text: text.freeze() }
    }

    /// The body of an answer, in pieces.
    pub(super) fn body(&self, page: &[usize], times: (Option<String>, String)) -> Vec<Bytes> {
        let mut pieces = vec![Bytes::from_static(br#"{"messages":["#)];
        for run in runs(page) {
            if pieces.len() > 1 {
                pieces.push(Bytes::from_static(b","));
            }
            pieces.push(self.slice(run));
        }
        let (min_time, max_time) = times;
        let min_time = min_time.map(|time| format!(r#""minTime":{time},"#)).unwrap_or_default();
        pieces.push(Bytes::from(format!(r#"],{min_time}"maxTime":{max_time}}}"#)));
        pieces
    }

    /// The texts of neighbouring messages, joined by commas.
    fn slice(&self, entries: std::ops::Range<usize>) -> Bytes {
        match (
            self.entries.get(entries.start),
            entries.end.checked_sub(1).and_then(|l| self.entries.get(l)),
        ) {
            (Some(first), Some(last)) if !entries.is_empty() => {
                self.text.slice(first.start..last.end)
            }
            _ => Bytes::new(),
        }
    }

    pub(super) fn add(&mut self, message: FakeMessage) {
        let at = self.entries.partition_point(|entry| entry.timestamp <= message.timestamp);
        let start = self.entries.get(at).map_or(self.text.len(), |next| next.start);
        let (before, behind) = self.text.split_at(start);
        self.text = [before, message.json.as_bytes(), b",", behind].concat().into();
        for entry in self.entries.iter_mut().skip(at) {
            entry.start += message.json.len() + 1;
            entry.end += message.json.len() + 1;
        }
        self.entries.insert(at, Entry::new(message, start));
    }

    pub(super) fn remove(&mut self, id: &str) {
        while let Some(at) = self.entries.iter().position(|entry| &*entry.id == id) {
            let Entry { start, end, .. } = self.entries.remove(at);
            self.text = [&self.text[..start], &self.text[end + 1..]].concat().into();
            for entry in self.entries.iter_mut().skip(at) {
                entry.start -= end + 1 - start;
                entry.end -= end + 1 - start;
            }
        }
    }
}

/// Groups neighbouring indices.
fn runs(page: &[usize]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for index in page {
        match runs.last_mut() {
            Some(run) if run.end == *index => run.end += 1,
            _ => runs.push(*index..*index + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(chat: &StoredChat) -> Vec<u8> {
        let page: Vec<usize> = (0..chat.entries.len()).collect();
        chat.body(&page, (None, "1".to_owned())).concat()
    }

    #[test]
    fn what_is_added_and_removed_stands_where_it_would_have_stood_from_the_first() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..200 {
            let mut messages: Vec<FakeMessage> = Vec::new();
            let mut chat = StoredChat::new(Vec::new());
            for step in 0..20 {
                if rng.u8(..4) == 0 && !messages.is_empty() {
                    let gone = messages.swap_remove(rng.usize(..messages.len()));
                    chat.remove(&gone.id);
                } else {
                    // Each time once, so that the order tells all.
                    let time = Timestamp::from_millis(rng.i64(0..100) * 100 + step);
                    let text = "a".repeat(rng.usize(..9));
                    let message = FakeMessage::text(time, format!("m{step}"), &text);
                    messages.push(message.clone());
                    chat.add(message);
                }
                let at_once = StoredChat::new(messages.clone());
                let ids = |chat: &StoredChat| -> Vec<_> {
                    chat.entries.iter().map(|entry| (entry.timestamp, entry.id.clone())).collect()
                };
                assert_eq!(ids(&chat), ids(&at_once));
                assert_eq!(bodies(&chat), bodies(&at_once));
            }
        }
    }
}
