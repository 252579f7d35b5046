//! The API's fixed words and numbers. Each type keeps values that it does not know.

use std::fmt;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A word that the API's reference does not list, exactly as it came.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UnknownWord(Box<str>);

impl UnknownWord {
    /// The word as it came.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A word that the reference does not list.
            Other(UnknownWord),
        }

        impl $name {
            /// The word that the API uses.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word.as_str(),
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    _ => Self::Other(UnknownWord(word.into())),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Word;
                impl Visitor<'_> for Word {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string")
                    }

                    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<$name, E> {
                        Ok(word.into())
                    }
                }
                deserializer.deserialize_str(Word)
            }
        }
    };
}

macro_rules! numbers {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A number that the reference does not list.
            Other(i64),
        }

        impl $name {
            /// The number that the API uses.
            #[must_use]
            pub const fn as_i64(self) -> i64 {
                match self {
                    $(Self::$variant => $number,)+
                    Self::Other(number) => number,
                }
            }
        }

        impl From<i64> for $name {
            fn from(number: i64) -> Self {
                match number {
                    $($number => Self::$variant,)+
                    _ => Self::Other(number),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::Other(number) => write!(f, "{number}"),
                    known => fmt::Debug::fmt(known, f),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_i64(self.as_i64())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                i64::deserialize(deserializer).map(Self::from).map_err(D::Error::custom)
            }
        }
    };
}

words! {
    /// The channel of a conversation (`chatChannelInfo.name`).
    Channel {
        /// WhatsApp.
        Whatsapp = "whatsapp",
        /// Facebook Messenger.
        Messenger = "messenger",
        /// Instagram.
        Instagram = "instagram",
        /// The chat widget of a website.
        WebsiteChat = "website_chat",
        /// E-mail.
        Email = "email",
        /// SMS.
        Sms = "sms",
    }
}

words! {
    /// The kind of a message's content (`type`).
    MessageKind {
        /// Plain text.
        Text = "text",
        /// Images, videos, documents, audio or stickers.
        Media = "media",
        /// Address-book entries.
        Contacts = "contacts",
        /// A place.
        Location = "location",
        /// A text with buttons.
        Buttons = "buttons",
        /// A text with a list to choose from.
        List = "list",
        /// The choice of a button or of a list's row.
        Postback = "postback",
        /// Content that only one channel has, such as a template.
        Special = "special",
    }
}

words! {
    /// The direction of a message (`direction`).
    Direction {
        /// From the customer.
        Incoming = "incoming",
        /// To the customer.
        Outgoing = "outgoing",
    }
}

words! {
    /// The kind of a media item (`mediaType`).
    MediaKind {
        /// A picture.
        Image = "image",
        /// A video.
        Video = "video",
        /// A file.
        Document = "document",
        /// A sound or voice recording.
        Audio = "audio",
        /// A sticker.
        Sticker = "sticker",
    }
}

numbers! {
    /// The delivery status of a message (`status`).
    Status {
        /// Sent.
        Sent = 0,
        /// Accepted by the provider.
        Accepted = 1,
        /// Delivered.
        Delivered = 2,
        /// Seen.
        Seen = 3,
        /// Failed.
        Failed = 4,
        /// Its channel failed.
        ChannelFailed = 5,
        /// Deleted.
        Deleted = 6,
    }
}

numbers! {
    /// The new status of a chat (`newChatStatus` of a system message).
    ChatStatus {
        /// With the bot.
        Bot = 0,
        /// Waiting for an agent.
        Pending = 1,
        /// Assigned to an agent.
        Assigned = 2,
        /// Resolved.
        Resolved = 3,
        /// Part of a bulk send.
        Bulk = 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_values_survive() {
        let kind: MessageKind = serde_json::from_str(r#""hologram""#).unwrap();
        assert_eq!(kind.as_str(), "hologram");
        assert!(matches!(kind, MessageKind::Other(_)));
        assert_eq!(serde_json::to_string(&kind).unwrap(), r#""hologram""#);
        let status: Status = serde_json::from_str("17").unwrap();
        assert_eq!((status, status.as_i64()), (Status::Other(17), 17));
        assert_eq!(serde_json::to_string(&status).unwrap(), "17");
        assert_eq!(status.to_string(), "17");
    }

    #[test]
    fn known_values_are_told_apart() {
        assert_eq!(
            serde_json::from_str::<Channel>(r#""website_chat""#).unwrap(),
            Channel::WebsiteChat
        );
        for (number, status) in [
            (0, Status::Sent),
            (1, Status::Accepted),
            (2, Status::Delivered),
            (3, Status::Seen),
            (4, Status::Failed),
            (5, Status::ChannelFailed),
            (6, Status::Deleted),
        ] {
            assert_eq!((Status::from(number), status.as_i64()), (status, number));
        }
        assert_eq!(ChatStatus::from(3), ChatStatus::Resolved);
        assert_eq!(Status::Seen.to_string(), "Seen");
        for text in ["1.5", r#""1""#, "true"] {
            assert!(serde_json::from_str::<Status>(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<MessageKind>("1").is_err());
    }
}
