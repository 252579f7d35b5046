//! `{"messages": […], "minTime": …, "maxTime": …}`: the object around the messages.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::chat_time::ChatTime;
use crate::timestamp::Timestamp;

/// The fields of the envelope except the messages.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) chat_start: ChatTime,
    pub(super) chat_latest: ChatTime,
}

/// Takes the elements of `messages` one by one.
pub(super) trait Elements<'de> {
    /// Reads the next element.
    fn take<D: Deserializer<'de>>(&mut self, element: D) -> Result<(), D::Error>;
}

/// Passes on each element as text, whatever it is.
pub(super) struct Texts<F>(pub(super) F);

impl<'de, F: FnMut(&'de RawValue)> Elements<'de> for Texts<F> {
    fn take<D: Deserializer<'de>>(&mut self, element: D) -> Result<(), D::Error> {
        <&RawValue>::deserialize(element).map(&mut self.0)
    }
}

/// Reads a whole body. More than `most` elements are an error. Bytes after the JSON are an error too.
pub(super) fn read_envelope<'de>(
    text: &'de str,
    most: usize,
    elements: &mut impl Elements<'de>,
) -> Result<Envelope, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let envelope = deserializer.deserialize_map(EnvelopeVisitor { elements, most })?;
    deserializer.end()?;
    Ok(envelope)
}

struct EnvelopeVisitor<'a, E> {
    elements: &'a mut E,
    most: usize,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Messages,
    MinTime,
    MaxTime,
    #[serde(other)]
    Unknown,
}

impl<'de, E: Elements<'de>> Visitor<'de> for EnvelopeVisitor<'_, E> {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with messages")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope, A::Error> {
        let (mut found, mut chat_start, mut chat_latest) = (false, None, None);
        while let Some(field) = map.next_key()? {
            let repeated = match field {
                Field::Messages => {
                    map.next_value_seed(ElementsSeed {
                        elements: &mut *self.elements,
                        most: self.most,
                    })?;
                    std::mem::replace(&mut found, true)
                }
                Field::MinTime => chat_start.replace(map.next_value::<BodyTime>()?.0).is_some(),
                Field::MaxTime => chat_latest.replace(map.next_value::<BodyTime>()?.0).is_some(),
                Field::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                    false
                }
            };
            if repeated {
                return Err(A::Error::custom("a field comes twice"));
            }
        }
        if !found {
            return Err(A::Error::missing_field("messages"));
        }
        let known = |time: Option<ChatTime>| time.unwrap_or(ChatTime::Unknown);
        Ok(Envelope { chat_start: known(chat_start), chat_latest: known(chat_latest) })
    }
}

struct ElementsSeed<'a, E> {
    elements: &'a mut E,
    most: usize,
}

impl<'de, E: Elements<'de>> DeserializeSeed<'de> for ElementsSeed<'_, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, E: Elements<'de>> Visitor<'de> for ElementsSeed<'_, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut left = self.most;
        while seq.next_element_seed(ElementSeed(&mut *self.elements))?.is_some() {
            left = left.checked_sub(1).ok_or_else(|| A::Error::custom("too many messages"))?;
        }
        Ok(())
    }
}

struct ElementSeed<'a, E>(&'a mut E);

impl<'de, E: Elements<'de>> DeserializeSeed<'de> for ElementSeed<'_, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.take(deserializer)
    }
}

/// `minTime` or `maxTime`: epoch milliseconds, `false` for an empty chat, `null` for unknown.
struct BodyTime(ChatTime);

impl<'de> Deserialize<'de> for BodyTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Time;
        impl Visitor<'_> for Time {
            type Value = BodyTime;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("epoch milliseconds, false or null")
            }

            fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<BodyTime, E> {
                if value {
                    Err(E::custom("true is no time"))
                } else {
                    Ok(BodyTime(ChatTime::Empty))
                }
            }

            fn visit_unit<E>(self) -> Result<BodyTime, E> {
                Ok(BodyTime(ChatTime::Unknown))
            }

            fn visit_i64<E>(self, millis: i64) -> Result<BodyTime, E> {
                Ok(BodyTime(ChatTime::At(Timestamp::from_millis(millis))))
            }

            fn visit_u64<E: serde::de::Error>(self, millis: u64) -> Result<BodyTime, E> {
                self.visit_i64(i64::try_from(millis).map_err(|_| E::custom("out of range"))?)
            }
        }
        deserializer.deserialize_any(Time)
    }
}
