//! Identifiers and other short strings of the API. Each is a type of its own, made from a `String` or a `&str`
//! and turned back into a `String`. They keep any text, because nothing that the server sends may be lost.
//!
//! How they are stored is private. At present, a string of up to 24 bytes lies inside the value itself and
//! costs no allocation. The API's ids and ISO dates are exactly that long.

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

macro_rules! short_string {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(CompactString);

        impl $name {
            /// The text as the API gives it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            #[inline]
            fn from(text: &str) -> Self {
                Self(CompactString::new(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(CompactString::from(text))
            }
        }

        impl From<&String> for $name {
            fn from(text: &String) -> Self {
                text.as_str().into()
            }
        }

        /// A function that takes an `impl Into` can so take a reference, too.
        impl From<&$name> for $name {
            fn from(text: &$name) -> Self {
                text.clone()
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0.into_string()
            }
        }

        /// Takes any text, as `From<&str>` does. The id is checked later, when the endpoint is asked for it.
        impl FromStr for $name {
            type Err = Infallible;

            fn from_str(text: &str) -> Result<Self, Infallible> {
                Ok(text.into())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }
    };
}

short_string! {
    /// The `_id` of a message, unique within Texter.
    ///
    /// It is opaque: do not read a meaning into its characters. Not every id is hexadecimal.
    MessageId
}
short_string! {
    /// The `_id` of a chat, which messages carry as `parent_chat`.
    ///
    /// # Examples
    ///
    /// ```
    /// use texter_history::{ChatId, Client};
    ///
    /// let chat: ChatId = "67bf11038b24880cc966f799".parse()?;
    /// let client = Client::builder().project("acme").token("the-token").build()?;
    /// let checkpoint = client.messages(&chat).stream().checkpoint();
    /// assert_eq!(checkpoint.chat(), &chat);
    /// assert_eq!(String::from(chat), "67bf11038b24880cc966f799");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ChatId
}
short_string! {
    /// The id of a bot session, which messages carry as `botSessionId`.
    BotSessionId
}
short_string! {
    /// The provider's own id of a message (`channelInfo.id`, such as WhatsApp's `wamid…`). A webhook about a
    /// status change carries only this id.
    ProviderMessageId
}
short_string! {
    /// An account on one side of a channel, such as a telephone number (`chatChannelInfo.id` and
    /// `chatChannelInfo.accountId`).
    AccountId
}
short_string! {
    /// The id of an uploaded or received file (`fileId` of a media item).
    FileId
}

short_string! {
    /// Who sent an outgoing message, such as `Bot` (`agent`).
    AgentName
}
short_string! {
    /// A title, payload or other text of a button, list or postback. These texts are usually short.
    ShortText
}
short_string! {
    /// An ISO 8601 date and time, as the API gives it (`updatedAt`).
    IsoDateTime
}

impl IsoDateTime {
    /// The moment that the text stands for, rounded down to the millisecond. `None` if the text cannot be read.
    #[must_use]
    pub fn to_timestamp(&self) -> Option<Timestamp> {
        Timestamp::from_iso_8601(self.as_str())
    }
}

/// The longest id that may be asked for. No id of the API comes near this length: the longest in the reference
/// has 64 characters. A longer one would only make a request line that servers refuse.
pub(crate) const MAX_ID_LENGTH: usize = 256;

/// Whether an id can be asked for. The endpoint demands `^[a-z0-9]+$` of `beforeId` and `botSessionId`.
pub(crate) fn is_well_formed(id: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&id.len())
        // There is no early return, so that the compiler can check many bytes at once.
        && id.bytes().fold(true, |well, byte| well & (byte.is_ascii_lowercase() | byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_alphanumerics_can_be_asked_for() {
        for id in ["a", "67a87067aeedqdee1271ck4d", &"0".repeat(MAX_ID_LENGTH)] {
            assert!(is_well_formed(id), "{id}");
        }
        for id in ["", "A", "a b", "a/b", "é", "..", &"0".repeat(MAX_ID_LENGTH + 1)] {
            assert!(!is_well_formed(id), "{id}");
        }
    }

    #[test]
    fn keeps_any_text_and_serialises_as_a_plain_string() {
        for text in
            ["", "67a87067aeedqdee1271ck4d", "a much longer id than the ones the reference shows"]
        {
            let id = MessageId::from(text);
            assert_eq!(id.as_str(), text);
            assert_eq!(serde_json::to_string(&id).unwrap(), format!("{text:?}"));
            assert_eq!(serde_json::from_str::<MessageId>(&format!("{text:?}")).unwrap(), id);
        }
    }

    #[test]
    fn a_date_is_read_in_every_iso_8601_form_with_an_offset() {
        for (text, millis) in [
            ("2025-09-05T06:58:01.651Z", Some(1_757_055_481_651)),
            ("2025-09-05T08:58:01.651+0200", Some(1_757_055_481_651)),
            ("20250905T065801Z", Some(1_757_055_481_000)),
            ("2025-09-05T06:58:01", None),
            ("1757055481651", None),
            ("yesterday", None),
        ] {
            let time = IsoDateTime::from(text).to_timestamp();
            assert_eq!(time.map(Timestamp::as_millis), millis, "{text}");
        }
    }

    #[test]
    fn strings_come_in_and_go_out() {
        for text in
            ["", "67bf11038b24880cc966f799", "A text longer than what lies in the value itself"]
        {
            let id: ChatId = text.parse().unwrap();
            let owned = text.to_owned();
            for same in [ChatId::from(text), (&owned).into(), owned.into(), (&id).into()] {
                assert_eq!(same, id);
            }
            assert_eq!(String::from(id), text);
        }
    }
}
