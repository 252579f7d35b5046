//! The message model. It is typed, and it loses no field.

mod field;
mod json;
pub(crate) mod object;
mod parts;
pub(crate) mod read;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::id::{AgentName, BotSessionId, ChatId, IsoDateTime, MessageId, is_well_formed};
use crate::timestamp::Timestamp;

use object::object;

pub use json::{Extra, ExtraIntoIter, ExtraIter, Json};
pub use parts::{
    Button, ChannelInfo, ChatChannelInfo, List, ListRow, ListSection, Media, Postback, StatusChange,
};
pub use vocabulary::{Channel, ChatStatus, Direction, MediaKind, MessageKind, Status, UnknownWord};

object! {
    /// One message of a chat.
    ///
    /// Regular messages carry the conversation. System messages ([`is_system`](Self::is_system)) record
    /// assignments and status changes. They have no direction, status or content. Only `id` and `timestamp` are
    /// always there.
    ///
    /// Serialising gives back the JSON value that came, with unknown fields. Only a known field that came as `null` is
    /// left out. Deserialising needs `serde_json`, because free-form parts are kept as JSON text.
    ///
    /// # Examples
    ///
    /// ```
    /// use texter_history::{Direction, Message, MessageKind};
    ///
    /// let json = r#"{"_id":"68ba89f8c909657dffcf267c","timestamp":1757055477000,"type":"text",
    ///                "text":"Hi","direction":"incoming","mood":"sunny"}"#;
    /// let message: Message = serde_json::from_str(json)?;
    ///
    /// assert_eq!(message.kind, Some(MessageKind::Text));
    /// assert_eq!(message.direction, Some(Direction::Incoming));
    /// assert_eq!(message.text.as_deref(), Some("Hi"));
    /// assert_eq!(message.timestamp.to_string(), "2025-09-05T06:57:57Z");
    /// assert_eq!(message.extra.get("mood").unwrap().as_str(), r#""sunny""#);
    /// assert_eq!(
    ///     serde_json::to_value(&message)?,
    ///     serde_json::from_str::<serde_json::Value>(json)?,
    /// );
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub struct Message {
        [
            /// `_id`: unique within Texter.
            id: MessageId = "_id" as AskableId,
            /// When it was created, in epoch milliseconds. Never negative.
            timestamp: Timestamp = "timestamp" as AskableTimestamp,
        ]
        /// The chat it belongs to.
        parent_chat: ChatId = "parent_chat",
        /// The channel of the conversation.
        chat_channel_info: ChatChannelInfo = "chatChannelInfo",
        /// The provider's own data about the message, such as its id.
        channel_info: ChannelInfo = "channelInfo",
        /// When it was last updated, as an ISO 8601 text.
        updated_at: IsoDateTime = "updatedAt",
        /// `type`: the kind of content. System messages may lack it.
        kind: MessageKind = "type",
        /// Its text. Most text, buttons, list and special messages have one.
        text: String = "text",
        /// The items of a media message.
        media: Vec<Media> = "media",
        /// The buttons of a buttons message.
        buttons: Vec<Button> = "buttons",
        /// The list of a list message.
        list: Box<List> = "list",
        /// The customer's choice in a postback message.
        postback: Box<Postback> = "postback",
        /// The vCard-like objects of a contacts message.
        contacts: Vec<Json> = "contacts" as parts::Contacts,
        /// An object whose shape the reference does not document.
        location: Json = "location" as json::Object,
        /// A channel's own object, such as a template send.
        special: Json = "special" as json::Object,
        /// Whether it came from the customer or went to the customer.
        direction: Direction = "direction",
        /// Who sent an outgoing message, such as `Bot`.
        agent: AgentName = "agent",
        /// How far it has come.
        status: Status = "status",
        /// The changes of its status so far.
        status_history: Vec<StatusChange> = "statusHistory",
        /// The bot session it belongs to.
        bot_session_id: BotSessionId = "botSessionId",
        /// A free-form object (`triggeredBot`, `botMsgInfo`, …).
        metadata: Json = "metadata" as json::Object,
        /// The message it replies to, by provider id.
        context: Json = "context",
        /// Reactions to it, in a shape that the reference does not document.
        reactions: Json = "reactions",
        /// Whether it records an assignment or a status change. See [`is_system`](Self::is_system).
        system_message: bool = "systemMessage",
        /// The chat's new status, in a system message.
        new_chat_status: ChatStatus = "newChatStatus",
    }
}

/// An `_id` that can be asked for as `beforeId`. With any other `_id`, the walk could not go on.
struct AskableId(MessageId);

impl Default for AskableId {
    fn default() -> Self {
        Self("".into())
    }
}

impl From<AskableId> for MessageId {
    fn from(id: AskableId) -> Self {
        id.0
    }
}

impl<'de> Deserialize<'de> for AskableId {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Id;
        impl Visitor<'_> for Id {
            type Value = AskableId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id")
            }

            #[inline]
            fn visit_str<E: Error>(self, id: &str) -> Result<AskableId, E> {
                if is_well_formed(id) {
                    Ok(AskableId(id.into()))
                } else {
                    Err(E::custom("not an id"))
                }
            }
        }
        deserializer.deserialize_str(Id)
    }
}

/// A `timestamp` that can be asked for as `beforeTime`.
struct AskableTimestamp(Timestamp);

impl Default for AskableTimestamp {
    fn default() -> Self {
        Self(Timestamp::from_millis(0))
    }
}

impl From<AskableTimestamp> for Timestamp {
    fn from(timestamp: AskableTimestamp) -> Self {
        timestamp.0
    }
}

impl<'de> Deserialize<'de> for AskableTimestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let millis = i64::deserialize(deserializer)?;
        if millis >= 0 {
            Ok(Self(Timestamp::from_millis(millis)))
        } else {
            Err(D::Error::custom("a timestamp before 1970"))
        }
    }
}

impl Message {
    /// A message with only an id and a timestamp, for tests of your own. Nothing is checked. The server's own messages
    /// have ids of `a-z` and `0-9`, and no timestamp before 1970.
    ///
    /// # Examples
    ///
    /// ```
    /// use texter_history::{ChannelInfo, Direction, Message, Timestamp};
    ///
    /// let mut message = Message::new("68ba89f8c909657dffcf267c", Timestamp::from_millis(1_757_055_477_000));
    /// message.text = Some("Hi".into());
    /// message.direction = Some(Direction::Incoming);
    /// let mut channel_info = ChannelInfo::default();
    /// channel_info.id = Some("wamid.HBgM".into());
    /// message.channel_info = Some(channel_info);
    ///
    /// assert_eq!(message.provider_id(), Some("wamid.HBgM"));
    /// assert_eq!(
    ///     serde_json::to_string(&message)?,
    ///     r#"{"_id":"68ba89f8c909657dffcf267c","timestamp":1757055477000,"channelInfo":{"id":"wamid.HBgM"},"#
    ///         .to_owned()
    ///         + r#""text":"Hi","direction":"incoming"}"#,
    /// );
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn new(id: impl Into<MessageId>, timestamp: Timestamp) -> Self {
        Self { id: id.into(), timestamp, ..object::Object::blank() }
    }

    /// Whether this records an assignment or a status change instead of carrying the conversation
    /// (`systemMessage` is `true`).
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.system_message == Some(true)
    }

    /// The provider's message id (`channelInfo.id`). A webhook about a status change carries only this id.
    #[must_use]
    pub fn provider_id(&self) -> Option<&str> {
        Some(self.channel_info.as_ref()?.id.as_ref()?.as_str())
    }
}
