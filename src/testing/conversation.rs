//! Realistic conversations. The same seed gives the same conversation.

use fastrand::Rng;
use serde_json::{Value, json};

use super::chat::FakeMessage;
use crate::id::ChatId;
use crate::timestamp::Timestamp;

/// Generates a conversation: regular messages of all types in both directions, bot sessions, system
/// messages, several scripts, and timestamps of one second that tie as WhatsApp's do.
///
/// It is an iterator of messages in ascending order, the same for the same seed and settings. There are about 17 messages a
/// day: 2,000 span four months. So choose [`starting_at`](Self::starting_at) early enough if none is to be dated in the future.
///
/// # Examples
///
/// ```
/// use texter_history::testing::Conversation;
///
/// let messages: Vec<_> = Conversation::seeded(7).messages(300).collect();
/// assert_eq!(messages.len(), 300);
/// assert!(messages.is_sorted_by_key(|message| message.timestamp()));
/// assert!(messages.iter().eq(&Conversation::seeded(7).messages(300).collect::<Vec<_>>()));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a conversation is an iterator and does nothing until it is consumed"]
pub struct Conversation {
    rng: Rng,
    left: usize,
    chat_id: String,
    tie_share: f64,
    millis: i64,
    bot_session: Option<String>,
    last_provider_id: Option<String>,
}

impl Conversation {
    /// A conversation of 500 messages from the year 2025 on.
    pub fn seeded(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            left: 500,
            chat_id: "67bf11038b24880cc966f799".into(),
            tie_share: 0.15,
            millis: 1_735_718_400_000,
            bot_session: None,
            last_provider_id: None,
        }
    }

    /// How many messages there are. Default 500.
    pub fn messages(mut self, count: usize) -> Self {
        self.left = count;
        self
    }

    /// The chat that the messages name. Default `67bf11038b24880cc966f799`.
    pub fn chat_id(mut self, id: impl Into<ChatId>) -> Self {
        self.chat_id = id.into().into();
        self
    }

    /// The share of messages, from 0.0 to 1.0, that have the same timestamp as the one before. Default 0.15.
    pub fn tie_share(mut self, share: f64) -> Self {
        self.tie_share = share;
        self
    }

    /// Shortly before the first message. Default 2025-01-01T08:00:00Z.
    pub fn starting_at(mut self, time: Timestamp) -> Self {
        self.millis = time.as_millis();
        self
    }

    fn hex(&mut self, length: usize) -> String {
        (0..length).map(|_| self.rng.digit(16)).collect()
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices.get(self.rng.usize(..choices.len().max(1))).copied().unwrap_or_default()
    }

    fn tick(&mut self) {
        if self.rng.f64() < self.tie_share {
            return;
        }
        // Mostly a quick exchange; now and then hours or days of silence.
        let seconds = match self.rng.u8(..20) {
            0 => self.rng.i64(3_600..200_000),
            1..=3 => self.rng.i64(60..3_600),
            _ => self.rng.i64(1..60),
        };
        self.millis = (self.millis / 1_000 + seconds) * 1_000;
    }

    fn sentence(&mut self) -> String {
        let parts = self.rng.usize(1..=4);
        let words: Vec<&str> = (0..parts).map(|_| self.pick(SENTENCES)).collect();
        words.join(" ")
    }

    fn system_message(&mut self) -> Value {
        let status = self.rng.u8(..5);
        json!({
            "_id": self.hex(24), "parent_chat": self.chat_id, "timestamp": self.millis,
            "updatedAt": iso(self.millis), "systemMessage": true, "newChatStatus": status,
            "assignedTo": { "name": self.pick(&["Dana", "Omar", "Noa"]) },
        })
    }

    fn regular_message(&mut self) -> Value {
        let outgoing = self.rng.bool();
        let status = if outgoing { self.rng.u8(1..=3) } else { 2 };
        let provider_id = format!("wamid.HBgM{}", self.hex(44).to_uppercase());
        let history: Vec<Value> = (if outgoing { 0 } else { status }..=status)
            .map(|step| json!({ "status": step, "timestamp": self.millis + i64::from(step) * 450 }))
            .collect();
        let mut message = json!({
            "_id": self.hex(24),
            "chatChannelInfo": { "name": "whatsapp", "id": "972521234567", "accountId": "972586640430" },
            "channelInfo": { "id": provider_id },
            "parent_chat": self.chat_id,
            "direction": if outgoing { "outgoing" } else { "incoming" },
            "status": status,
            "statusHistory": history,
            "timestamp": self.millis,
            "updatedAt": iso(self.millis + 1_651),
        });
        if outgoing {
            message["agent"] = self.pick(&["Bot", "Bot", "Dana Levi", "عمر"]).into();
        }
        if self.rng.u8(..12) == 0 {
            self.bot_session = if self.bot_session.is_some() { None } else { Some(self.hex(64)) };
        }
        if let Some(session) = &self.bot_session {
            message["botSessionId"] = session.clone().into();
            message["metadata"] = if outgoing {
                json!({ "botMsgInfo": { "identifier": "smart-resolve", "version": 210, "nodeName": "priority",
                    "hideSummary": false } })
            } else {
                json!({ "triggeredBot": true })
            };
        }
        if let Some(earlier) = self.last_provider_id.take().filter(|_| self.rng.u8(..10) == 0) {
            message["context"] = json!({ "id": earlier, "from": "972521234567" });
        }
        if self.rng.u8(..25) == 0 {
            message["reactions"] = json!([{ "emoji": "👍", "from": "972521234567" }]);
        }
        self.last_provider_id = Some(provider_id);
        self.fill(&mut message);
        message
    }

    /// Gives a message its type and content.
    fn fill(&mut self, message: &mut Value) {
        let kind = match self.rng.u8(..40) {
            0..=3 => "media",
            4 => "contacts",
            5 => "location",
            6..=8 => "buttons",
            9 => "list",
            10..=12 => "postback",
            13 => "special",
            _ => "text",
        };
        message["type"] = kind.into();
        match kind {
            "media" => {
                let media = self.pick(&["image", "video", "document", "audio", "sticker"]);
                message["media"] = json!([{ "mediaType": media, "fileId": self.hex(24),
                    "mimeType": "application/octet-stream", "caption": self.sentence() }]);
            }
            "contacts" => {
                message["contacts"] = json!([{ "name": { "formatted_name": "Noa Cohen", "first_name": "Noa" },
                    "phones": [{ "phone": "+972 52-123-4567", "type": "CELL" }],
                    "emails": [{ "email": "noa@example.com" }] }]);
            }
            "location" => {
                message["location"] =
                    json!({ "latitude": 32.0853, "longitude": 34.7818, "name": "Tel Aviv" });
            }
            "buttons" => {
                message["text"] = self.sentence().into();
                message["buttons"] = json!([{ "title": "Yes ✓", "payload": "yes" },
                    { "title": "לא", "payload": "no" }]);
            }
            "list" => {
                message["text"] = self.sentence().into();
                message["list"] = json!({ "button": "Choose", "sections": [{ "title": "Topics", "rows": [
                    { "title": "Billing", "payload": "billing", "description": "Invoices and cards" },
                    { "title": "אחר", "payload": "other" }] }] });
            }
            "postback" => {
                message["postback"] = json!({ "payload": "billing", "title": "Billing" });
            }
            "special" => {
                message["text"] = self.sentence().into();
                message["special"] = json!({ "template": { "name": "appointment_reminder", "language": "he",
                    "parameters": ["12:30", self.hex(6)] } });
            }
            _ => message["text"] = self.sentence().into(),
        }
    }
}

impl Iterator for Conversation {
    type Item = FakeMessage;

    fn next(&mut self) -> Option<FakeMessage> {
        self.left = self.left.checked_sub(1)?;
        self.tick();
        let system = self.rng.u8(..30) == 0;
        Some(if system { self.system_message() } else { self.regular_message() }.into())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

fn iso(millis: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    format!("{moment:.3}")
}

/// Several scripts, emoji beyond the basic plane, and everything that JSON escapes.
const SENTENCES: &[&str] = &[
    "Hi, I have a question about my last invoice, it seems that I was charged twice.",
    "איך אפשר עוד לעזור?",
    "תודה רבה, קיבלתי את ההודעה ואחזור אליכם מחר בבוקר.",
    "مرحبا، أريد تغيير موعد الزيارة إلى يوم الخميس.",
    "شكرا جزيلا 🌷",
    "Perfect 👍🏽 see you at 12:30!",
    "She said \"tomorrow\"\nand then: C:\\Users\\noa\t(really)",
    "https://example.com/a?b=c&d=e#f",
    "Your order has been shipped and will arrive within three working days.",
    "👩‍👩‍👧‍👦 נתראה",
    "OK",
];
