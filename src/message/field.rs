//! How a field's value is read, `null` as absent.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// A type of a field.
pub(crate) trait Field: DeserializeOwned {
    /// The value, or `None` for `null`.
    ///
    /// An `Option` looks twice at what comes: for `null`, then for the value. In a message, which is made of
    /// short values, that shows; so strings and numbers are read by [`TextField`] and [`NumberField`] instead.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Option::deserialize(deserializer)
    }
}

impl Field for bool {}
impl<T: DeserializeOwned> Field for Vec<T> {}
impl<T: DeserializeOwned> Field for Box<T> {}

impl Field for String {
    #[inline]
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        TextField::read(deserializer)
    }
}

/// What a field holds.
pub(super) struct Held<T>(pub(super) Option<T>);

impl<'de, T: Field> Deserialize<'de> for Held<T> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self)
    }
}

/// Reads a field that is a string, in one look.
pub(crate) struct TextField<T>(PhantomData<T>);

impl<T: for<'a> From<&'a str>> TextField<T> {
    #[inline]
    pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_any(Self(PhantomData))
    }
}

impl<T: for<'a> From<&'a str>> Visitor<'_> for TextField<T> {
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

/// Reads a field that is a whole number, in one look.
pub(crate) struct NumberField<T>(pub(crate) fn(i64) -> T);

impl<T> NumberField<T> {
    #[inline]
    pub(crate) fn read<'de, D>(self, deserializer: D) -> Result<Option<T>, D::Error>
    where
        D: Deserializer<'de>,
    {
        deserializer.deserialize_any(self)
    }
}

impl<T> Visitor<'_> for NumberField<T> {
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
