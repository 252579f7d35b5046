//! Where a message stands, read from its text without reading the rest of it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::checkpoint::Cursor;
use crate::id::is_well_formed;
use crate::timestamp::Timestamp;

/// Where one message stands.
pub(super) enum Place {
    At(Cursor),
    /// The fault says what is missing, without quoting the message.
    Nowhere(&'static str),
}

#[derive(Deserialize)]
struct PlaceFields<'a> {
    #[serde(borrow, rename = "_id")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SessionField<'a> {
    #[serde(borrow, rename = "botSessionId")]
    session: Option<Cow<'a, str>>,
}

pub(super) fn place_of(raw: &RawValue) -> Place {
    if !raw.get().starts_with('{') {
        return Place::Nowhere("it is no object");
    }
    let Ok(fields) = serde_json::from_str::<PlaceFields<'_>>(raw.get()) else {
        return Place::Nowhere("its `_id` or `timestamp` comes twice");
    };
    let id: Option<Cow<'_, str>> = fields.id.and_then(|id| match id.get().as_bytes() {
        // Nearly every id is plain, and then what stands between the quotes is the id.
        [b'"', .., b'"'] if !id.get().contains('\\') => {
            Some(id.get()[1..id.get().len() - 1].into())
        }
        _ => serde_json::from_str::<String>(id.get()).ok().map(Cow::Owned),
    });
    let Some(id) = id.filter(|id| is_well_formed(id)) else {
        return Place::Nowhere("its `_id` is missing or is not a string of a-z and 0-9");
    };
    let millis: Option<i64> =
        fields.timestamp.and_then(|time| serde_json::from_str(time.get()).ok());
    match millis {
        Some(millis) if millis >= 0 => {
            Place::At(Cursor { timestamp: Timestamp::from_millis(millis), id: id.as_ref().into() })
        }
        _ => Place::Nowhere(
            "its `timestamp` is missing or is not a whole number of epoch milliseconds",
        ),
    }
}

/// Whether it says that it belongs to another session, or to none. What cannot be read may belong to any.
pub(super) fn belongs_to_other_session(raw: &RawValue, session: &str) -> bool {
    raw.get().starts_with('{')
        && serde_json::from_str::<SessionField<'_>>(raw.get())
            .is_ok_and(|fields| fields.session.as_deref() != Some(session))
}
