//! What a message answers: the provider's id leads to it, and its first words are quoted.

use std::collections::{HashMap, VecDeque};

use texter_history::Message;

use crate::parts::summary;

/// The words of so many messages are remembered, so that memory stays bounded. A reply to an older one is linked all the
/// same, but quotes nothing.
const REMEMBERED: usize = 5_000;
/// So many characters are quoted.
const QUOTED: usize = 140;

#[derive(Default)]
pub(crate) struct Replies {
    quotes: HashMap<String, Quote>,
    /// The provider's ids, oldest first.
    order: VecDeque<String>,
}

/// What is quoted of a message.
pub(crate) struct Quote {
    pub(crate) name: String,
    pub(crate) words: String,
}

impl Replies {
    pub(crate) fn remember(&mut self, message: &Message, author: &str) {
        let Some(id) = message.provider_id() else { return };
        let mut words: String = summary(message).chars().take(QUOTED + 1).collect();
        if words.chars().count() > QUOTED {
            words.pop();
            words.push('…');
        }
        let quote = Quote { name: author.to_owned(), words };
        if self.quotes.insert(id.to_owned(), quote).is_none() {
            self.order.push_back(id.to_owned());
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.quotes.remove(&oldest);
        }
    }

    pub(crate) fn quote(&self, provider_id: &str) -> Option<&Quote> {
        self.quotes.get(provider_id)
    }
}

/// The provider's id of what a message answers. The reference does not say how `context` holds it.
pub(crate) fn answered(message: &Message) -> Option<String> {
    let context = message.context.as_ref()?.to_value().ok()?;
    let id = context.as_str().or_else(|| context.get("id")?.as_str())?;
    (!id.is_empty()).then(|| id.to_owned())
}

/// A message's place in the page.
pub(crate) fn place(message: &Message) -> String {
    message.provider_id().map_or_else(|| format!("m-{}", message.id), place_of)
}

/// The place of the message that the provider knows by this id: of characters that need no escape in a link.
pub(crate) fn place_of(provider_id: &str) -> String {
    let mut place = String::from("p-");
    for byte in provider_id.bytes() {
        match byte.is_ascii_alphanumeric() || byte == b'.' {
            true => place.push(char::from(byte)),
            false => place.push_str(&format!("_{byte:02x}")),
        }
    }
    place
}
