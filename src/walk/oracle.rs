//! What a walk through a chat of the model must hand out, and what the walk cannot know.

use std::collections::BTreeSet;

use super::model::{Model, ModelMessage, largest_tie};
use super::{Bounds, End, NO_MESSAGE};
use crate::testing::rulebook::{CursorReading, LimitReading, MinTime, PageOrder, SessionFilter};
use crate::timestamp::Timestamp;

/// Finds what is wrong with the messages that a walk handed out, newest first, and with its end. The end is
/// `None` for a walk that stalled or whose page size was refused.
pub(crate) fn check(
    model: &Model,
    bounds: &Bounds,
    handed_out: &[usize],
    end: Option<End>,
) -> Result<(), &'static str> {
    let require =
        |holds: bool, otherwise: &'static str| if holds { Ok(()) } else { Err(otherwise) };
    let unique: BTreeSet<usize> = handed_out.iter().copied().collect();
    require(unique.len() == handed_out.len(), "a message came twice")?;
    let readable: Vec<usize> =
        handed_out.iter().copied().filter(|index| model.messages[*index].readable).collect();
    let mut times = readable.iter().map(|index| model.messages[*index].time).rev();
    require(times.by_ref().is_sorted(), "a newer message came after an older one")?;

    let mut expected = model.expected(bounds);
    // The walk cannot know whether a message without a place lies within bounds of time.
    let bounded = bounds.since.is_some() || bounds.until.is_some();
    let mut in_bounds = handed_out.iter().map(|index| {
        expected.binary_search(index).is_ok() || (bounded && !model.messages[*index].readable)
    });
    require(in_bounds.all(|in_bounds| in_bounds), "a message came that is out of bounds")?;
    if end == Some(End::ReachedMax) {
        let exactly = Some(handed_out.len() as u64) == bounds.max_messages;
        require(exactly, "the most that was asked for did not come")?;
        let oldest = readable.last().map_or(i64::MAX, |index| model.messages[*index].time);
        expected.retain(|index| model.messages[*index].time > oldest);
    }
    let certain = |index: &usize| {
        model.messages[*index].readable || !(bounded || bounds.max_messages.is_some())
    };
    let none_lost =
        expected.iter().filter(|index| certain(index)).all(|index| unique.contains(index));
    let silent = end.is_some() && is_knowable(model, bounds);
    require(none_lost || !silent, "a message was lost in silence")?;
    require(end.is_some() || !is_passable(model, bounds), "it stalled")
}

/// Whether the server shows everything to a patient walk. If not, `Stalled` is the only correct end.
pub(crate) fn is_passable(model: &Model, bounds: &Bounds) -> bool {
    let most = model.most_on_a_page();
    let refuses = matches!(model.rules.limit_reading, LimitReading::Refused { .. });
    let small_enough = !refuses || bounds.page_size as usize <= most;
    // With a keyset, the walk gets past any group, if the pages show the keyset's order.
    let keyset = bounds.bot_session.is_none()
        && model.rules.cursor_reading == CursorReading::StrictKeyset
        && model.rules.page_order == PageOrder::Ascending;
    // The cursor and the messages already seen take up room on the page. So does a run of hidden messages.
    let room_for_ties = (keyset && !refuses) || most > largest_tie(within(model, bounds)) + 1;
    let odd = model.hides() || model.rules.empty_answer.is_some();
    let room_for_hidden = !odd || (most > model.messages.len() && !refuses);
    // A message without a place gives no cursor. So a run of unreadable messages must fit on a page. A page of
    // only unreadable messages may have been cut off.
    let readable = within(model, bounds).iter().any(|message| message.readable);
    let sees_until = bounds.until.is_none()
        || (model.rules.limit_reading == LimitReading::AsAsked
            && !matches!(model.rules.min_time, MinTime::Fixed(_))
            && readable);
    let room_for_unreadable = model.all_readable()
        || (sees_until && most > model.messages.len() + 1 && oldest_unreadable(model, bounds) < 49);
    small_enough
        && room_for_ties
        && room_for_hidden
        && room_for_unreadable
        && !counts_behind_until(model, bounds)
}

/// Messages a millisecond after `until` may have been counted and left out, and nothing tells how many.
fn counts_behind_until(model: &Model, bounds: &Bounds) -> bool {
    let behind = bounds.until.map(|until| until.next_milli().as_millis());
    model.rules.cursor_reading == CursorReading::StrictKeysetAfterCounting
        && model.messages.iter().any(|message| Some(message.time) == behind)
}

/// The messages within bounds of time.
fn within<'a>(model: &'a Model, bounds: &Bounds) -> &'a [ModelMessage] {
    let time = |time: Option<Timestamp>, otherwise| time.map_or(otherwise, Timestamp::as_millis);
    let (since, until) = (time(bounds.since, i64::MIN), time(bounds.until, i64::MAX));
    let start = model.messages.partition_point(|message| message.time < since);
    let end = model.messages.partition_point(|message| message.time <= until);
    model.messages.get(start..end).unwrap_or_default()
}

/// How many messages a page may hold that begins with the oldest and gives no cursor to go on from.
fn oldest_unreadable(model: &Model, bounds: &Bounds) -> usize {
    let until = bounds.until.map_or(i64::MAX, Timestamp::as_millis);
    let within = || model.messages.iter().filter(|message| message.time <= until);
    let first_readable = within().find(|message| message.readable).map_or(i64::MAX, |m| m.time);
    within().filter(|message| message.time <= first_readable).count()
}

/// Whether the walk can tell this server from one that has no more messages.
pub(crate) fn is_knowable(model: &Model, bounds: &Bounds) -> bool {
    let says_start = match model.rules.min_time {
        MinTime::Stated => true,
        MinTime::Fixed(_) => !model.hides(),
        _ => false,
    };
    let odd = model.hides()
        || model.rules.empty_answer.is_some()
        || model.rules.limit_reading == LimitReading::OneShort;
    let first_ties = model.first_group().len() > 1;
    if first_ties && (model.hides() || model.rules.empty_answer.is_some()) {
        return false;
    }
    let cuts =
        !matches!(model.rules.limit_reading, LimitReading::AsAsked | LimitReading::Refused { .. });
    if (model.hides() || cuts) && model.rules.empty_answer.is_some() {
        return false;
    }
    // Messages a millisecond after the chat's first that are not shown may fill a page.
    let first = model.messages.first().map_or(0, |message| message.time);
    let left_out = |id: &str| {
        model.rules.cursor_reading == CursorReading::StrictKeysetAfterCounting && id > NO_MESSAGE
    };
    let next = model.messages.iter().filter(|message| message.time == first + 1);
    let behind = next.filter(|message| message.hidden || left_out(&message.id)).count();
    let one_short = usize::from(model.rules.limit_reading == LimitReading::OneShort);
    if behind + one_short >= model.most_on_a_page().min(bounds.page_size as usize) {
        return false;
    }
    // The walk cannot know how many messages of other sessions share the cursor's time and were counted and
    // left out.
    let filters_itself = model.rules.session_filter != SessionFilter::BothApply
        || matches!(model.rules.limit_reading, LimitReading::Refused { .. });
    if bounds.bot_session.is_some()
        && filters_itself
        && model.rules.cursor_reading == CursorReading::StrictKeysetAfterCounting
    {
        return false;
    }
    if counts_behind_until(model, bounds) {
        return false;
    }
    // A page of as many of the oldest messages as the cap allows, the cursor included, is either all that there
    // is or not.
    let cap = match (model.rules.limit_reading, model.rules.cursor_reading) {
        (
            LimitReading::Capped(cap),
            CursorReading::CountsTheCursor | CursorReading::StrictKeysetAfterCounting,
        )
        | (LimitReading::Refused { above: cap, .. }, CursorReading::StrictKeysetAfterCounting) => {
            Some(cap)
        }
        _ => None,
    };
    if let Some(cap) = cap {
        let stated = model.rules.min_time == MinTime::Stated && bounds.bot_session.is_none();
        let group = if stated { model.first_group().len() } else { largest_tie(&model.messages) };
        if group as u64 >= cap || (!stated && cap < 50) {
            return false;
        }
    }
    // No answer says when a session began.
    (says_start && bounds.bot_session.is_none()) || !odd
}
