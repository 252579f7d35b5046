//! What the library tells `tracing` of pages that it asks for again: of which chat, why, and when.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// The latest wait of each chat: a subscriber that listens for nothing else.
#[derive(Clone, Default)]
pub(crate) struct Waits(Arc<Mutex<Vec<Chat>>>);

/// A chat, and what it waits for. Its number in the list, from 1, is the id of every span about it, so that no spans
/// need be counted.
struct Chat {
    id: String,
    wait: Option<Wait>,
}

/// A page failed and is asked for again.
#[derive(Clone)]
pub(crate) struct Wait {
    /// Why, in words.
    pub(crate) why: String,
    /// When it is asked for again.
    pub(crate) until: Instant,
}

thread_local! {
    /// The spans that this thread is in, the innermost last.
    static WITHIN: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

/// Of a span that is about no chat.
const NO_CHAT: u64 = u64::MAX;

impl Waits {
    /// What a chat waits for, as long as the wait is not over.
    pub(crate) fn of(&self, chat: &str) -> Option<Wait> {
        let chats = self.chats();
        let wait = chats.iter().find(|known| known.id == chat)?.wait.clone();
        wait.filter(|wait| wait.until > Instant::now())
    }

    fn chats(&self) -> MutexGuard<'_, Vec<Chat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Waits {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("texter_history")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let Some(chat) = fields.chat else { return Id::from_u64(NO_CHAT) };
        let mut chats = self.chats();
        let index = chats.iter().position(|known| known.id == chat).unwrap_or_else(|| {
            chats.push(Chat { id: chat, wait: None });
            chats.len() - 1
        });
        Id::from_u64(index as u64 + 1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Some(until) = fields.wait.and_then(|wait| Instant::now().checked_add(wait)) else {
            return;
        };
        let why = match (fields.status, fields.kind.as_str()) {
            (Some(status), _) => format!("the server answered {status}"),
            (None, "Timeout") => "no answer in time".to_owned(),
            (None, _) => "the connection failed".to_owned(),
        };
        let within = WITHIN.with_borrow(|within| within.last().map(Id::into_u64));
        let index = within.and_then(|number| usize::try_from(number - 1).ok());
        let mut chats = self.chats();
        if let Some(chat) = index.and_then(|index| chats.get_mut(index)) {
            chat.wait = Some(Wait { why, until });
        }
    }

    fn enter(&self, span: &Id) {
        WITHIN.with_borrow_mut(|within| within.push(span.clone()));
    }

    fn exit(&self, _: &Id) {
        WITHIN.with_borrow_mut(Vec::pop);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}
}

/// The fields that matter here.
#[derive(Default)]
struct Fields {
    chat: Option<String>,
    kind: String,
    status: Option<u64>,
    wait: Option<Duration>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "chat" {
            self.chat = Some(value.to_owned());
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "status" => self.status = Some(value),
            "wait_ms" => self.wait = Some(Duration::from_millis(value)),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "kind" {
            self.kind = format!("{value:?}");
        }
    }
}
