//! Turns an object of the API into a struct and back, without losing a field.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, Visitor};

/// A struct that [`object!`] has declared.
pub(crate) trait Object {
    /// An object without any field.
    fn blank() -> Self;

    /// Reads the fields of an object of the API.
    fn fill<'de, A: MapAccess<'de>>(&mut self, map: A) -> Result<(), A::Error>;
}

/// Reads an object into its final place, because a message is too large to be moved about.
pub(crate) struct InPlace<'a, T>(pub(crate) &'a mut T);

impl<'de, T: Object> DeserializeSeed<'de> for InPlace<'_, T> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Object> Visitor<'de> for InPlace<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.fill(map)
    }
}

/// Reads the name of a field. A name with escapes is decoded into the string. Any other name is borrowed from
/// the text.
pub(super) struct FieldName<'a>(pub(super) &'a mut String);

impl<'de> DeserializeSeed<'de> for FieldName<'_> {
    type Value = Option<&'de str>;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for FieldName<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    #[inline]
    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Some(name))
    }

    #[cold]
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        name.clone_into(self.0);
        Ok(None)
    }
}

/// Declares an object: its fields with their names in the API, and `extra` for unknown fields.
///
/// `null` reads as absent. A known field that comes twice or with another type is an error. A derive with
/// `flatten` would buffer every object and could not keep parts as text.
macro_rules! object {
    (
        $(#[$doc:meta])*
        pub struct $name:ident {
            $([ $(
                $(#[$required_doc:meta])*
                $required:ident: $required_type:ty = $required_name:literal as $required_as:ty,
            )+ ])?
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $field_name:literal $(as $read_as:ty)?,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $($($(#[$required_doc])* pub $required: $required_type,)+)?
            $($(#[$field_doc])* pub $field: Option<$type>,)+
            /// The fields that this crate does not know.
            pub extra: $crate::message::json::Extra,
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                let mut map = serializer.serialize_map(None)?;
                $($(map.serialize_entry($required_name, &self.$required)?;)+)?
                $(if let Some(value) = &self.$field {
                    map.serialize_entry($field_name, value)?;
                })+
                for (name, value) in &self.extra {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de::DeserializeSeed as _;
                use $crate::message::object::{InPlace, Object as _};
                let mut object = Self::blank();
                InPlace(&mut object).deserialize(deserializer)?;
                Ok(object)
            }
        }

        impl $crate::message::field::Field for $name {}

        impl $crate::message::object::Object for $name {
            #[inline]
            fn blank() -> Self {
                Self {
                    $($($required: <$required_as>::default().into(),)+)?
                    $($field: None,)+
                    extra: $crate::message::json::Extra::default(),
                }
            }

            fn fill<'de, A: serde::de::MapAccess<'de>>(&mut self, mut map: A) -> Result<(), A::Error> {
                use serde::de::Error as _;
                use $crate::message::object::FieldName;
                $($(let mut $required = false;)+)?
                let mut escaped = String::new();
                while let Some(name) = map.next_key_seed(FieldName(&mut escaped))? {
                    match name.unwrap_or(&escaped) {
                        $($($required_name => {
                            self.$required = map.next_value::<$required_as>()?.into();
                            if std::mem::replace(&mut $required, true) {
                                return Err(A::Error::duplicate_field($required_name));
                            }
                        })+)?
                        $($field_name => {
                            let value = object!(@read map, $type $(, $read_as)?);
                            if self.$field.is_some() {
                                return Err(A::Error::duplicate_field($field_name));
                            }
                            self.$field = value;
                        })+
                        unknown => self.extra.push(unknown, map.next_value()?),
                    }
                }
                $($(if !$required {
                    return Err(A::Error::missing_field($required_name));
                })+)?
                Ok(())
            }
        }
    };
    (@read $map:ident, $type:ty) => {
        $map.next_value::<$crate::message::field::Held<$type>>()?.0
    };
    (@read $map:ident, $type:ty, $read_as:ty) => {
        $map.next_value::<$crate::message::field::Held<$read_as>>()?.0.map(Into::into)
    };
}

pub(super) use object;
