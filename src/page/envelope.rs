//! `{"messages": […], "minTime": …, "maxTime": …}`: the object around the messages.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::timestamp::Timestamp;
use crate::walk::ChatTime;

/// What of the envelope is not messages.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) chat_start: ChatTime,
    pub(super) chat_latest: ChatTime,
}

/// Takes the elements of `messages` one by one.
pub(super) struct Elements<F> {
    pub(super) take: F,
    /// With more of them than this the body is refused.
    pub(super) most: usize,
}

/// One element as text, whatever it is.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Each<'a>(#[serde(borrow)] pub(super) &'a RawValue);

/// Reads a whole body; bytes after the JSON are an error.
pub(super) fn read_envelope<'de, M, F>(
    text: &'de str,
    mut elements: Elements<F>,
) -> Result<Envelope, serde_json::Error>
where
    M: Deserialize<'de>,
    F: FnMut(M),
{
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let visitor = EnvelopeVisitor { elements: &mut elements, element: PhantomData };
    let envelope = deserializer.deserialize_map(visitor)?;
    deserializer.end()?;
    Ok(envelope)
}

struct EnvelopeVisitor<'a, M, F> {
    elements: &'a mut Elements<F>,
    element: PhantomData<M>,
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

impl<'de, M, F> Visitor<'de> for EnvelopeVisitor<'_, M, F>
where
    M: Deserialize<'de>,
    F: FnMut(M),
{
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
                        element: PhantomData,
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

struct ElementsSeed<'a, M, F> {
    elements: &'a mut Elements<F>,
    element: PhantomData<M>,
}

impl<'de, M: Deserialize<'de>, F: FnMut(M)> DeserializeSeed<'de> for ElementsSeed<'_, M, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, M: Deserialize<'de>, F: FnMut(M)> Visitor<'de> for ElementsSeed<'_, M, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut left = self.elements.most;
        loop {
            let seed = ElementSeed { take: &mut self.elements.take, element: PhantomData };
            if seq.next_element_seed(seed)?.is_none() {
                break;
            }
            left = left.checked_sub(1).ok_or_else(|| A::Error::custom("too many messages"))?;
        }
        Ok(())
    }
}

/// Hands an element on where it is read, so that a large one is moved as little as can be.
struct ElementSeed<'a, M, F> {
    take: &'a mut F,
    element: PhantomData<M>,
}

impl<'de, M: Deserialize<'de>, F: FnMut(M)> DeserializeSeed<'de> for ElementSeed<'_, M, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        M::deserialize(deserializer).map(self.take)
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
