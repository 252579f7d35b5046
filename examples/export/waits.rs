//! What the library tells `tracing` of pages that it asks for again: of which chat, why, and when.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The latest wait of each chat.
#[derive(Clone, Default)]
pub(crate) struct Waits(Arc<Mutex<HashMap<String, Wait>>>);

/// A page failed and is asked for again.
#[derive(Clone)]
pub(crate) struct Wait {
    /// Why, in words.
    pub(crate) why: String,
    /// When it is asked for again.
    pub(crate) until: Instant,
}

impl Waits {
    /// What a chat waits for, as long as the wait is not over.
    pub(crate) fn of(&self, chat: &str) -> Option<Wait> {
        let waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waits.get(chat).filter(|wait| wait.until > Instant::now()).cloned()
    }
}

/// The chat that a span is about.
struct Chat(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Waits {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with("texter_history")
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let (Some(chat), Some(span)) = (fields.chat, context.span(id)) {
            span.extensions_mut().insert(Chat(chat));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Some(wait) = fields.wait else { return };
        let chat = context.event_scope(event).and_then(|mut spans| {
            spans.find_map(|span| span.extensions().get::<Chat>().map(|chat| chat.0.clone()))
        });
        let Some(chat) = chat else { return };
        let why = match (fields.status, fields.kind.as_str()) {
            (Some(status), _) => format!("the server answered {status}"),
            (None, "Timeout") => "no answer in time".to_owned(),
            (None, _) => "the connection failed".to_owned(),
        };
        let Some(until) = Instant::now().checked_add(wait) else { return };
        let wait = Wait { why, until };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(chat, wait);
    }
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
