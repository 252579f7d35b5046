//! Single histories, request by request.

mod bounds;
mod group;
mod learn;
mod places;
mod refused;
mod rows;
mod session;
mod silence;
mod stuck;

use super::model::Model;
use super::{Answer, Ask, Bounds, End, FAR_FUTURE, Goal, Kept, Next, Stall, Verdict, Walk};
use crate::chat_time::ChatTime;
use crate::cursor::{Cursor, Key};
use crate::position::Position;
use crate::testing::rulebook::Rules;
use crate::timestamp::Timestamp;

const REACHED_START: Next = Next::End(End::ReachedStart);

fn bounds(page_size: u32) -> Bounds {
    Bounds {
        bot_session: None,
        since: None,
        until: None,
        page_size,
        max_page_size: page_size,
        max_messages: None,
    }
}

fn at(millis: i64) -> ChatTime {
    ChatTime::At(Timestamp::from_millis(millis))
}

fn cursor(millis: i64, id: &str) -> Cursor {
    Cursor { timestamp: Timestamp::from_millis(millis), id: id.into() }
}

fn key(millis: i64, id: &str) -> Key {
    Key::Placed(cursor(millis, id))
}

/// `count` messages of one time, with ids that begin with `name`.
fn group(millis: i64, name: &str, count: usize) -> Vec<Key> {
    (0..count).map(|n| key(millis, &format!("{name}{n:05}"))).collect()
}

/// `count` messages of different times from `millis` on.
fn run(millis: i64, count: usize) -> Vec<Key> {
    (0..count as i64).map(|n| key(millis + n, &format!("r{}", millis + n))).collect()
}

/// A walk that the test tells one answer after another.
#[derive(Debug)]
struct Told(Walk);

impl Told {
    fn new(bounds: Bounds) -> Self {
        Self(Walk::new(bounds, Position::default()))
    }

    /// A walk that is resumed behind these messages.
    fn behind(bounds: Bounds, handed_out: &[Key]) -> Self {
        let mut position = Position::default();
        position.advance(handed_out);
        Self(Walk::new(bounds, position))
    }

    /// The next request.
    fn asks(&self) -> Ask {
        self.0.ask()
    }

    /// The next request's `limit`, `beforeTime` and `beforeId`.
    fn asks_for(&self) -> (u32, i64, String) {
        let Ask { limit, cursor, .. } = self.0.ask();
        let Cursor { timestamp, id } = cursor.unwrap();
        (limit, timestamp.as_millis(), id.as_str().to_owned())
    }

    fn verdict(&mut self, keys: &[Key], chat_start: ChatTime) -> Verdict {
        self.verdict_in_session(keys, &[], chat_start)
    }

    fn verdict_in_session(
        &mut self,
        keys: &[Key],
        of_other_session: &[bool],
        chat_start: ChatTime,
    ) -> Verdict {
        let ask = self.0.ask();
        let chat_latest = ChatTime::Unknown;
        self.0.receive(&ask, Answer { keys, of_other_session, chat_start, chat_latest })
    }

    fn hears(&mut self, keys: &[Key], chat_start: ChatTime) -> Next {
        self.verdict(keys, chat_start).next
    }

    fn is_refused(&mut self, status: u16) -> Option<Next> {
        let ask = self.0.ask();
        self.0.refused(&ask, status)
    }

    fn goal(&self) -> Goal {
        self.0.goal
    }
}

/// The result of a walk to its end.
#[derive(Debug)]
struct Walked {
    asks: Vec<Ask>,
    /// How many messages were handed out.
    count: usize,
    next: Next,
    position: Position,
}

impl Walked {
    fn limits(&self) -> Vec<u32> {
        self.asks.iter().map(|ask| ask.limit).collect()
    }

    fn outcome(&self) -> (usize, Next) {
        (self.count, self.next)
    }
}

/// Walks to the end over any server.
fn walk(
    bounds: Bounds,
    times: (ChatTime, ChatTime),
    mut server: impl FnMut(&Ask, usize) -> Result<(Vec<Key>, Vec<bool>), u16>,
) -> Walked {
    let mut walk = Walk::new(bounds, Position::default());
    let (mut asks, mut count) = (Vec::new(), 0);
    loop {
        let ask = walk.ask();
        let answered = server(&ask, asks.len());
        asks.push(ask.clone());
        let next = match answered {
            Ok((keys, of_other_session)) => {
                let (chat_start, chat_latest) = times;
                let of_other_session = &of_other_session;
                let answer = Answer { keys: &keys, of_other_session, chat_start, chat_latest };
                let verdict = walk.receive(&ask, answer);
                count += match verdict.kept {
                    Kept::AllAsTheyCame => keys.len(),
                    Kept::Only(indices) => indices.len(),
                };
                verdict.next
            }
            Err(status) => {
                let refused = walk.refused(&ask, status);
                refused.unwrap_or(Next::Stalled(Stall::LimitRefused { limit: 0, status }))
            }
        };
        if next != Next::Ask {
            return Walked { asks, count, next, position: walk.position().clone() };
        }
        assert!(asks.len() < 200, "no end: {asks:?}");
    }
}

fn walk_model(bounds: Bounds, model: &Model) -> Walked {
    let in_session = bounds.bot_session.is_some();
    walk(bounds, model.times(), |ask, number| {
        let page = model.answer(ask, number as u64)?;
        let foreign = if in_session { model.of_other_session(&page) } else { Vec::new() };
        Ok((model.keys(&page), foreign))
    })
}

/// Walks over a server whose answers all give the same beginning of the chat.
fn walk_answers(
    bounds: Bounds,
    chat_start: ChatTime,
    mut server: impl FnMut(&Ask, usize) -> Vec<Key>,
) -> Walked {
    walk(bounds, (chat_start, ChatTime::Unknown), |ask, number| {
        Ok((server(ask, number), Vec::new()))
    })
}

/// A chat of `older` messages, then `tied` that share one timestamp, then `newer`.
fn around_a_group(rules: Rules, older: usize, tied: usize, newer: usize) -> Model {
    let mut model = Model::with(rules, older + tied + newer);
    let time = model.messages.get(older).map_or(0, |message| message.time);
    for message in &mut model.messages[older..older + tied] {
        message.time = time;
    }
    model
}

/// A chat whose messages all share one timestamp.
fn tied(rules: Rules, count: usize) -> Model {
    around_a_group(rules, 0, count, 0)
}
