//! Reads the value of a field. `null` counts as absent.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::vocabulary::{Channel, ChatStatus, Direction, MediaKind, MessageKind, Status};
use crate::id::{
    AccountId, AgentName, BotSessionId, ChatId, FileId, IsoDateTime, ProviderMessageId, ShortText,
};
use crate::timestamp::Timestamp;

/// A type that a field can have.
pub(super) trait Field: DeserializeOwned {
    /// The value, or `None` for `null`.
    ///
    /// An `Option` looks at the input twice: once for `null`, and once for the value. A message has many short
    /// values, so the second look costs noticeable time. So strings and numbers are read in one look.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Option::deserialize(deserializer)
    }
}

impl Field for bool {}
impl Field for super::json::Json {}
impl Field for super::json::Object {}
impl<T: DeserializeOwned> Field for Vec<T> {}
impl<T: DeserializeOwned> Field for Box<T> {}

macro_rules! text_fields {
    ($($type:ty),+ $(,)?) => {$(
        impl Field for $type {
            #[inline]
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
                deserializer.deserialize_any(Text(PhantomData))
            }
        }
    )+};
}

macro_rules! number_fields {
    ($($type:ty: $from:path),+ $(,)?) => {$(
        impl Field for $type {
            #[inline]
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
                deserializer.deserialize_any(Number($from))
            }
        }
    )+};
}

text_fields!(
    String,
    ChatId,
    BotSessionId,
    ProviderMessageId,
    AccountId,
    FileId,
    AgentName,
    ShortText,
    IsoDateTime,
    Channel,
    MessageKind,
    Direction,
    MediaKind,
);
number_fields!(Timestamp: Timestamp::from_millis, Status: Status::from, ChatStatus: ChatStatus::from);

/// What a field holds.
pub(super) struct Held<T>(pub(super) Option<T>);

impl<'de, T: Field> Deserialize<'de> for Held<T> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self)
    }
}

/// A string or `null`.
struct Text<T>(PhantomData<T>);

impl<T: for<'a> From<&'a str>> Visitor<'_> for Text<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or null")
    }

    #[inline]
    fn visit_str<E>(self, text: &str) -> Result<Option<T>, E> {
        Ok(Some(text.into()))
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }
}

/// A whole number or `null`.
struct Number<T>(fn(i64) -> T);

impl<T> Visitor<'_> for Number<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number or null")
    }

    #[inline]
    fn visit_i64<E>(self, number: i64) -> Result<Option<T>, E> {
        Ok(Some((self.0)(number)))
    }

    #[inline]
    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<T>, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }
}
