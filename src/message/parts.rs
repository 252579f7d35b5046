//! The objects inside a message.

use super::field::Field;
use super::json::Json;
use super::object::object;
use super::vocabulary::{Channel, MediaKind, Status};
use crate::id::{AccountId, FileId, ProviderMessageId, ShortText};
use crate::timestamp::Timestamp;

object! {
    /// The channel of the conversation and its two ends (`chatChannelInfo`).
    #[derive(Default)]
    pub struct ChatChannelInfo {
        /// Which channel it is.
        name: Channel = "name",
        /// The customer's account, such as a telephone number.
        id: AccountId = "id",
        /// The business's own account.
        account_id: AccountId = "accountId",
    }
}

object! {
    /// The provider's own data about the message (`channelInfo`).
    #[derive(Default)]
    pub struct ChannelInfo {
        /// The provider's message id, such as WhatsApp's `wamid…`.
        id: ProviderMessageId = "id",
    }
}

object! {
    /// One item of a media message.
    #[derive(Default)]
    pub struct Media {
        /// What it is.
        media_type: MediaKind = "mediaType",
        /// The file's id.
        file_id: FileId = "fileId",
    }
}

object! {
    /// One button of a buttons message.
    #[derive(Default)]
    pub struct Button {
        /// What it shows.
        title: ShortText = "title",
        /// What choosing it sends.
        payload: ShortText = "payload",
    }
}

object! {
    /// The list of a list message.
    #[derive(Default)]
    pub struct List {
        /// What opens the list.
        button: ShortText = "button",
        /// Its sections.
        sections: Vec<ListSection> = "sections",
    }
}

object! {
    /// One section of a list.
    #[derive(Default)]
    pub struct ListSection {
        /// Its heading.
        title: ShortText = "title",
        /// Its rows.
        rows: Vec<ListRow> = "rows",
    }
}

object! {
    /// One row of a list.
    #[derive(Default)]
    pub struct ListRow {
        /// What it shows.
        title: ShortText = "title",
        /// What choosing it sends.
        payload: ShortText = "payload",
        /// The text below its title.
        description: ShortText = "description",
    }
}

object! {
    /// The customer's choice of a button or row.
    #[derive(Default)]
    pub struct Postback {
        /// What was sent.
        payload: ShortText = "payload",
        /// What the button or row showed.
        title: ShortText = "title",
        /// The text below the row's title.
        description: ShortText = "description",
    }
}

object! {
    /// One change of a message's status (`statusHistory`).
    #[derive(Default)]
    pub struct StatusChange {
        /// What the message became.
        status: Status = "status",
        /// When, in epoch milliseconds.
        timestamp: Timestamp = "timestamp",
    }
}

/// The entries are vCard-like. Each is kept as the JSON text that came.
pub(super) struct Contacts(Vec<super::json::Object>);

impl Field for Contacts {}

impl<'de> serde::Deserialize<'de> for Contacts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

impl From<Contacts> for Vec<Json> {
    fn from(contacts: Contacts) -> Self {
        contacts.0.into_iter().map(Into::into).collect()
    }
}
