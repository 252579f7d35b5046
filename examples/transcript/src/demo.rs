//! The conversation that the built-in server has: a flower shop's, in three scripts, with a message of every kind.

use serde_json::{Value, json};
use texter_history::testing::FakeMessage;

use crate::common::FAKE_CHAT;

/// What the customer is called.
pub(crate) const CUSTOMER: &str = "Noa Cohen · נועה כהן";

pub(crate) fn conversation() -> Vec<FakeMessage> {
    let mut story = Story { messages: Vec::new() };
    let dana = "Dana Levi";
    let omar = "عمر حداد";
    story.system("2025-11-02T08:57:30Z", json!({ "newChatStatus": 0 }));
    story.incoming("2025-11-02T08:57:30Z", text("היי, הזמנתי זר לאמא שלי ועוד לא קיבלתי אישור 🌷"));
    story.outgoing(
        "2025-11-02T08:57:32Z",
        "Bot",
        3,
        json!({
            "type": "buttons", "text": "שלום נועה! במה אפשר לעזור?",
            "buttons": [{ "title": "איפה ההזמנה שלי?", "payload": "where" },
                { "title": "Talk to a person", "payload": "person" }],
        }),
    );
    story.incoming(
        "2025-11-02T08:57:51Z",
        json!({
            "type": "postback", "postback": { "title": "Talk to a person", "payload": "person" },
        }),
    );
    story.system(
        "2025-11-02T08:58:02Z",
        json!({ "newChatStatus": 2, "assignedTo": { "name": dana } }),
    );
    let question = story.outgoing(
        "2025-11-02T08:58:40Z",
        dana,
        3,
        text(
            "Good morning Noa, this is Dana. I am looking for your order.\nWhich name is it under?",
        ),
    );
    story.incoming(
        "2025-11-02T08:59:12Z",
        with(
            text("על שם רחל כהן, הזמנה מספר 48-2217."),
            json!({
        "context": { "id": question } }),
        ),
    );
    story.incoming(
        "2025-11-02T08:59:20Z",
        json!({ "type": "media", "media": [{ "mediaType": "image",
        "fileId": "67bf1203a1", "mimeType": "image/jpeg", "caption": "צילום מסך של ההזמנה" }] }),
    );
    story.outgoing("2025-11-02T09:01:05Z", dana, 3, with(
        text("Found it, thank you! The bouquet is made in Jaffa. I am asking Omar, who is there."),
        json!({ "reactions": [{ "emoji": "🙏" }] })));
    let ready = story.outgoing(
        "2025-11-02T09:06:30Z",
        omar,
        3,
        text("مرحباً نوعا، الباقة جاهزة وستصل اليوم قبل الساعة الخامسة مساءً 💐"),
    );
    story.incoming(
        "2025-11-02T09:07:02Z",
        with(
            text("شكراً جزيلاً! هل يمكن إضافة بطاقة؟"),
            json!({
        "context": { "id": ready } }),
        ),
    );
    story.outgoing(
        "2025-11-02T09:07:45Z",
        dana,
        3,
        json!({
            "type": "list", "text": "Of course. Which card shall we add?",
            "list": { "button": "Choose a card", "sections": [{ "title": "Cards", "rows": [
                { "title": "Happy birthday", "payload": "b", "description": "יום הולדת שמח" },
                { "title": "Thank you", "payload": "t", "description": "شكراً لك" },
                { "title": "Blank", "payload": "n" }] }] },
        }),
    );
    story.incoming(
        "2025-11-02T09:08:10Z",
        json!({ "type": "postback", "postback": {
        "title": "Happy birthday", "payload": "b", "description": "יום הולדת שמח" } }),
    );
    story.incoming(
        "2025-11-02T09:08:31Z",
        json!({ "type": "location", "location": {
        "latitude": 32.0809, "longitude": 34.7743, "name": "דיזנגוף 99, תל אביב" } }),
    );
    story.incoming(
        "2025-11-02T09:08:44Z",
        json!({ "type": "contacts", "contacts": [{
        "name": { "formatted_name": "רחל כהן" }, "phones": [{ "phone": "+972 52-123-4567" }] }] }),
    );
    story.outgoing("2025-11-02T15:41:00Z", omar, 4, text("The driver is at the door."));
    story.outgoing(
        "2025-11-02T15:41:20Z",
        omar,
        2,
        text("The driver is at the door. السائق عند الباب."),
    );
    story.incoming(
        "2025-11-03T07:12:00Z",
        json!({ "type": "media", "media": [{ "mediaType": "audio",
        "fileId": "67bf1203a7", "mimeType": "audio/ogg" }] }),
    );
    story.incoming(
        "2025-11-03T07:12:25Z",
        text("It came in time, she loved it ❤️ אמא התרגשה מאוד!"),
    );
    let odd = story.incoming("2025-11-03T07:14:00Z",
        text("One thing: your page greets me as <script>alert(\"hi\")</script> and not by my name 🙂"));
    story.outgoing("2025-11-03T07:20:00Z", "Bot", 6, text("Please rate us!"));
    story.outgoing(
        "2025-11-03T07:31:10Z",
        dana,
        3,
        with(
            text(
                "Thank you for telling us! It is repaired: https://flowers.example/orders/48-2217",
            ),
            json!({ "context": { "id": odd } }),
        ),
    );
    story.outgoing(
        "2025-11-03T07:31:40Z",
        dana,
        1,
        json!({ "type": "media", "media": [{ "mediaType": "document",
        "fileId": "67bf1203b2", "fileName": "Invoice 48-2217.pdf" }] }),
    );
    story.outgoing(
        "2025-11-03T07:32:00Z",
        "Bot",
        0,
        json!({ "type": "special", "text": "How did we do?",
        "special": { "template": { "name": "how_did_we_do", "language": "en" } } }),
    );
    story.system("2025-11-03T07:40:00Z", json!({ "newChatStatus": 3 }));
    story.messages.into_iter().map(FakeMessage::from).collect()
}

struct Story {
    messages: Vec<Value>,
}

impl Story {
    fn system(&mut self, time: &str, fields: Value) {
        self.add(time, with(json!({ "systemMessage": true }), fields));
    }

    /// The provider's id of the new message.
    fn incoming(&mut self, time: &str, fields: Value) -> String {
        self.add(time, with(json!({ "direction": "incoming", "status": 2 }), fields))
    }

    fn outgoing(&mut self, time: &str, agent: &str, status: u8, fields: Value) -> String {
        self.add(
            time,
            with(json!({ "direction": "outgoing", "agent": agent, "status": status }), fields),
        )
    }

    fn add(&mut self, time: &str, fields: Value) -> String {
        let number = self.messages.len() + 10;
        let provider_id = format!("wamid.HBgMOTcyNTIxMjM0NTY3FQIAERg{number}==");
        let time: jiff::Timestamp = time.parse().unwrap_or_default();
        let common = json!({
            "_id": format!("69071a2fc909657dffcf26{number}"), "parent_chat": FAKE_CHAT,
            "timestamp": time.as_millisecond(), "updatedAt": time.to_string(),
            "chatChannelInfo": { "name": "whatsapp", "id": "972521234567", "accountId": "972586640430" },
            "channelInfo": { "id": provider_id },
        });
        self.messages.push(with(common, fields));
        provider_id
    }
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

/// Both objects' fields.
fn with(mut object: Value, fields: Value) -> Value {
    if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
        object.extend(fields);
    }
    object
}
