//! How an object of the API becomes a struct and back, losing no field.

use std::borrow::Cow;
use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

/// The name of a field, borrowed from the text where it holds no escapes.
pub(super) struct FieldName<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for FieldName<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = FieldName<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<FieldName<'de>, E> {
                Ok(FieldName(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<FieldName<'de>, E> {
                Ok(FieldName(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

/// Declares an object: its fields with their names in the API, and `extra` for those it does not know.
///
/// `null` reads as absent; a known field that comes twice or with another type is an error. A derive with
/// `flatten` would buffer every object and could not keep parts as text.
macro_rules! object {
    (
        $(#[$doc:meta])*
        pub struct $name:ident {
            $([ $($(#[$required_doc:meta])* $required:ident: $required_type:ty = $required_name:literal as $required_as:ty,)+ ])?
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
            pub extra: $crate::message::Extra,
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                let mut map = serializer.serialize_map(None)?;
                $($(map.serialize_entry($required_name, &self.$required)?;)+)?
                $(if let Some(value) = &self.$field {
                    map.serialize_entry($field_name, value)?;
                })+
                for (name, value) in self.extra.iter() {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;
                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A>(self, mut map: A) -> Result<$name, A::Error>
                    where
                        A: serde::de::MapAccess<'de>,
                    {
                        use serde::de::Error as _;
                        $($(let mut $required: Option<$required_type> = None;)+)?
                        $(let mut $field: Option<$type> = None;)+
                        let mut extra = $crate::message::Extra::default();
                        while let Some(name) = map.next_key::<$crate::message::object::FieldName<'de>>()? {
                            match &*name.0 {
                                $($($required_name => {
                                    let value = map.next_value::<$required_as>()?.into();
                                    if $required.replace(value).is_some() {
                                        return Err(A::Error::duplicate_field($required_name));
                                    }
                                })+)?
                                $($field_name => {
                                    let value = object!(@read map, $type $(, $read_as)?);
                                    if $field.is_some() {
                                        return Err(A::Error::duplicate_field($field_name));
                                    }
                                    $field = value;
                                })+
                                unknown => extra.push(unknown, map.next_value()?),
                            }
                        }
                        Ok($name {
                            $($($required: $required
                                .ok_or_else(|| A::Error::missing_field($required_name))?,)+)?
                            $($field,)+
                            extra,
                        })
                    }
                }
                deserializer.deserialize_map(Fields)
            }
        }
    };
    (@read $map:ident, $type:ty) => { $map.next_value::<Option<$type>>()? };
    (@read $map:ident, $type:ty, $read_as:ty) => {
        $map.next_value::<Option<$read_as>>()?.map(Into::into)
    };
}

pub(super) use object;
