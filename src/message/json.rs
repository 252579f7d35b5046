//! Parts of a message whose shape the API does not fix. They are kept as the JSON text that came.

use std::fmt;
use std::iter::FusedIterator;
use std::{slice, vec};

use compact_str::CompactString;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::read::read;
use crate::error::Error;

/// A free-form part of a message: the JSON text exactly as it came. It is parsed only when you ask.
///
/// Two parts are equal when their texts are equal.
///
/// # Examples
///
/// ```
/// use texter_history::Message;
///
/// let message: Message = serde_json::from_str(
///     r#"{"_id": "68ba", "timestamp": 0, "metadata": {"triggeredBot": true}}"#,
/// )?;
/// let metadata = message.metadata.unwrap();
/// assert_eq!(metadata.as_str(), r#"{"triggeredBot": true}"#);
/// assert_eq!(metadata.to_value()?["triggeredBot"], true);
///
/// #[derive(serde::Deserialize)]
/// #[serde(rename_all = "camelCase")]
/// struct Metadata {
///     triggered_bot: bool,
/// }
/// assert!(metadata.parse::<Metadata>()?.triggered_bot);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The JSON text as it came, white space included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The text as a [`serde_json::Value`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedMessage`](crate::ErrorKind::MalformedMessage) when the text is nested too deep, or
    /// holds a number out of range.
    pub fn to_value(&self) -> Result<serde_json::Value, Error> {
        self.parse()
    }

    /// The text as a type of your own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedMessage`](crate::ErrorKind::MalformedMessage) when the text does not have that
    /// shape. [`Error::path`] names the field.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        read(self.as_str()).map_err(|fault| {
            let detail = format!("not of the shape asked for: {fault}");
            Error::malformed_message(detail, self.as_str(), fault.path)
        })
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A [`Json`] that must be an object, as the API documents for the field.
pub(super) struct Object(Json);

impl From<Object> for Json {
    fn from(object: Object) -> Self {
        object.0
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        if json.as_str().starts_with('{') {
            Ok(Self(json))
        } else {
            Err(D::Error::custom("expected an object"))
        }
    }
}

/// The fields that this crate does not know, by name, in the order in which they came.
///
/// An empty `Extra` costs no allocation. Serialising gives an object with these fields.
///
/// # Examples
///
/// ```
/// use texter_history::Message;
///
/// let message: Message =
///     serde_json::from_str(r#"{"_id": "68ba", "timestamp": 0, "mood": "sunny", "wind": 3}"#)?;
/// for (name, value) in &message.extra {
///     println!("{name} = {}", value.as_str());
/// }
/// assert_eq!(message.extra.len(), 2);
/// assert_eq!(message.extra.get("wind").unwrap().as_str(), "3");
/// assert_eq!(serde_json::to_string(&message.extra)?, r#"{"mood":"sunny","wind":3}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Extra(Option<Box<UnknownFields>>);

/// The fields are behind a pointer, because they are rare and every object needs room for them.
#[derive(Clone, Default, PartialEq, Eq)]
struct UnknownFields(Vec<(CompactString, Json)>);

impl Extra {
    fn fields(&self) -> &[(CompactString, Json)] {
        self.0.as_deref().map_or(&[], |unknown| &unknown.0)
    }

    /// The value of one field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.fields().iter().find(|(known, _)| known == name).map(|(_, json)| json)
    }

    /// Every field's name and value, in the order in which they came.
    #[must_use]
    pub fn iter(&self) -> ExtraIter<'_> {
        ExtraIter(self.fields().iter())
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields().len()
    }

    /// Whether every field that came is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn push(&mut self, name: &str, json: Json) {
        self.0.get_or_insert_default().0.push((name.into(), json));
    }
}

impl Serialize for Extra {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'a> IntoIterator for &'a Extra {
    type Item = (&'a str, &'a Json);
    type IntoIter = ExtraIter<'a>;

    fn into_iter(self) -> ExtraIter<'a> {
        self.iter()
    }
}

impl IntoIterator for Extra {
    type Item = (String, Json);
    type IntoIter = ExtraIntoIter;

    fn into_iter(self) -> ExtraIntoIter {
        ExtraIntoIter(self.0.map_or_else(Vec::new, |unknown| unknown.0).into_iter())
    }
}

/// The names and values of an [`Extra`] as owned values, in the order in which they came.
///
/// # Examples
///
/// ```
/// use texter_history::{Json, Message};
///
/// let json = r#"{"_id": "68ba", "timestamp": 0, "mood": "sunny", "wind": 3}"#;
/// let message: Message = serde_json::from_str(json)?;
/// let fields: Vec<(String, Json)> = message.extra.into_iter().collect();
/// assert_eq!((fields[1].0.as_str(), fields[1].1.as_str()), ("wind", "3"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExtraIntoIter(vec::IntoIter<(CompactString, Json)>);

impl Iterator for ExtraIntoIter {
    type Item = (String, Json);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, json)| (name.into(), json))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for ExtraIntoIter {}

impl FusedIterator for ExtraIntoIter {}

/// The names and values of an [`Extra`], in the order in which they came. [`Extra::iter`] makes it.
///
/// # Examples
///
/// ```
/// use texter_history::Message;
///
/// let json = r#"{"_id": "68ba", "timestamp": 0, "mood": "sunny", "wind": 3}"#;
/// let message: Message = serde_json::from_str(json)?;
/// let mut fields = message.extra.iter();
/// assert_eq!(fields.len(), 2);
/// assert_eq!(fields.next().map(|(name, value)| (name, value.as_str())), Some(("mood", r#""sunny""#)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExtraIter<'a>(slice::Iter<'a, (CompactString, Json)>);

impl<'a> Iterator for ExtraIter<'a> {
    type Item = (&'a str, &'a Json);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, json)| (name.as_str(), json))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for ExtraIter<'_> {}

impl FusedIterator for ExtraIter<'_> {}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn keeps_the_text_and_refuses_without_quoting_it() {
        let json: Json = serde_json::from_str(r#"{ "a" : 1.0 , "b":"secret"}"#).unwrap();
        assert_eq!(json.as_str(), r#"{ "a" : 1.0 , "b":"secret"}"#);
        assert_eq!(serde_json::to_string(&json).unwrap(), json.as_str());
        let error = json.parse::<Vec<u8>>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MalformedMessage);
        let error = json.parse::<std::collections::HashMap<String, f64>>().unwrap_err();
        assert_eq!((error.path(), error.raw_message()), (Some("b"), Some(json.as_str())));
        let error = serde_json::from_str::<Json>(r#""secret""#).unwrap().parse::<u8>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }

    #[test]
    fn what_serde_reads_twice_has_neither_a_path_nor_a_line() {
        #[derive(Debug, Deserialize)]
        #[serde(tag = "kind")]
        enum Tagged {
            #[expect(dead_code, reason = "only read")]
            Text { length: u8 },
        }
        let json: Json = serde_json::from_str(r#"{"kind":"Text","length":"secret"}"#).unwrap();
        let error = json.parse::<Tagged>().unwrap_err();
        let said = format!("{error} {error:?}");
        assert_eq!(error.path(), None);
        assert!(!said.contains("line 0") && !said.contains("secret"), "{said}");
    }

    #[test]
    fn unknown_fields_can_be_iterated_and_serialised() {
        let json = r#"{"_id":"a","timestamp":1,"z":[1],"b":null,"y":"\""}"#;
        let message: crate::Message = serde_json::from_str(json).unwrap();
        let iter = (&message.extra).into_iter();
        assert_eq!((iter.len(), message.extra.len()), (3, 3));
        let fields: Vec<(&str, &str)> = iter.map(|(name, json)| (name, json.as_str())).collect();
        assert_eq!(fields, [("z", "[1]"), ("b", "null"), ("y", r#""\"""#)]);
        let text = serde_json::to_string(&message.extra).unwrap();
        assert_eq!(text, r#"{"z":[1],"b":null,"y":"\""}"#);
        assert_eq!(serde_json::to_string(&Extra::default()).unwrap(), "{}");
    }

    #[test]
    fn nesting_of_any_depth_is_kept_and_parsing_it_is_an_error() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let json: Json = serde_json::from_str(&deep).unwrap();
        assert_eq!(json.as_str(), deep);
        assert!(json.to_value().is_err());
    }
}
