//! The line that a checkpoint is written as.

use std::fmt;
use std::str::FromStr;

use super::Checkpoint;
use crate::cursor::Cursor;
use crate::error::Error;
use crate::fingerprint::fingerprint;
use crate::id::{BotSessionId, MessageId, is_well_formed};
use crate::position::{Position, Seen, Standing, SyncPosition, UnplacedAt};
use crate::timestamp::Timestamp;

/// The first field of the line. A later format gets another number.
const VERSION: &str = "texter-history-1";

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = write_fields(self);
        write!(f, "{fields}{:016x}", fingerprint(fields.as_bytes()))
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) when the text is not a checkpoint
    /// that this crate wrote, or was cut or altered since.
    fn from_str(line: &str) -> Result<Self, Error> {
        read_fields(line)
            // The checkpoint, written again, must give exactly the same line. This checks the checksum, and
            // rejects any second spelling of a number.
            .filter(|checkpoint| checkpoint.to_string() == line)
            .ok_or_else(|| {
                Error::invalid_request(
                    "not a checkpoint of this crate, or one that was cut or altered; start without it",
                )
            })
    }
}

/// The line without its checksum: each field with a colon behind it.
fn write_fields(checkpoint: &Checkpoint) -> String {
    let (direction, time, seen, sync) = match &checkpoint.standing {
        Standing::NewestFirst { position, top } => {
            ("newest", position.timestamp(), write_seen(&position.seen), top)
        }
        Standing::OldestFirst { position, last } => {
            let id = last.as_ref().map(|last| last.id.to_string()).unwrap_or_default();
            ("oldest", last.as_ref().map(|last| last.timestamp), id, position)
        }
    };
    let ids: Vec<String> =
        sync.ids.iter().map(|(time, id)| format!("{}.{id}", time.as_millis())).collect();
    let texts: Vec<String> = sync
        .unplaced
        .iter()
        .map(|text| format!("{:016x}.{}", text.fingerprint, write_time(text.not_after)))
        .collect();
    let fields = [
        VERSION,
        checkpoint.chat.as_str(),
        checkpoint.bot_session.as_ref().map_or("", BotSessionId::as_str),
        &write_time(checkpoint.since),
        &write_time(checkpoint.until),
        direction,
        &write_time(time),
        &seen,
        &write_time(sync.newest),
        &write_time(sync.floor),
        &ids.join(","),
        &texts.join(","),
        "",
    ];
    fields.join(":")
}

fn write_time(time: Option<Timestamp>) -> String {
    time.map(|time| time.as_millis().to_string()).unwrap_or_default()
}

fn write_seen(seen: &[Seen]) -> String {
    let texts: Vec<String> = seen
        .iter()
        .map(|seen| match seen {
            Seen::Id(id) => id.to_string(),
            Seen::Text(fingerprint) => format!("@{fingerprint:016x}"),
        })
        .collect();
    texts.join(",")
}

/// Reads a line. `None` if the text is not a checkpoint. This function accepts other spellings of a number.
fn read_fields(line: &str) -> Option<Checkpoint> {
    let mut fields = line.split(':');
    let mut field = || fields.next();
    if field()? != VERSION {
        return None;
    }
    let chat = read_id(field()?)?.into();
    let bot_session = match field()? {
        "" => None,
        text => Some(read_id(text)?.into()),
    };
    let (since, until) = (read_time(field()?)?, read_time(field()?)?);
    let (direction, time, seen) = (field()?, read_time(field()?)?, field()?);
    let sync = SyncPosition {
        newest: read_time(field()?)?,
        floor: read_time(field()?)?,
        ids: read_list(field()?, |text| {
            let (time, id) = text.split_once('.')?;
            Some((read_time(time)??, MessageId::from(read_id(id)?)))
        })?,
        unplaced: read_list(field()?, |text| {
            let (fingerprint, not_after) = text.split_once('.')?;
            let fingerprint = u64::from_str_radix(fingerprint, 16).ok()?;
            Some(UnplacedAt { fingerprint, not_after: read_time(not_after)? })
        })?,
    };
    let cursor = |id: Option<MessageId>| match (time, id) {
        (None, None) => Some(None),
        (Some(timestamp), Some(id)) if timestamp.as_millis() >= 0 => {
            Some(Some(Cursor { timestamp, id }))
        }
        _ => None,
    };
    let standing = match direction {
        "newest" => {
            let mut position = Position { cursor: None, seen: read_list(seen, read_seen)? };
            let last = position.ids().next_back().cloned();
            position.cursor = cursor(last)?;
            Standing::NewestFirst { position, top: sync }
        }
        "oldest" => {
            let id = match seen {
                "" => None,
                text => Some(read_id(text)?.into()),
            };
            Standing::OldestFirst { position: sync, last: cursor(id)? }
        }
        _ => return None,
    };
    Some(Checkpoint { chat, bot_session, since, until, standing })
}

fn read_id(text: &str) -> Option<&str> {
    is_well_formed(text).then_some(text)
}

fn read_time(text: &str) -> Option<Option<Timestamp>> {
    match text {
        "" => Some(None),
        text => text.parse().ok().map(|millis| Some(Timestamp::from_millis(millis))),
    }
}

fn read_seen(text: &str) -> Option<Seen> {
    match text.strip_prefix('@') {
        Some(text) => u64::from_str_radix(text, 16).ok().map(Seen::Text),
        None => read_id(text).map(|id| Seen::Id(id.into())),
    }
}

fn read_list<V, C: FromIterator<V> + Default>(
    text: &str,
    read: impl Fn(&str) -> Option<V>,
) -> Option<C> {
    match text {
        "" => Some(C::default()),
        text => text.split(',').map(read).collect(),
    }
}
