use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Channel, ChatStatus, Direction, MediaKind, Message, MessageKind, Status};

const PAGE: &str = include_str!("../../tests/fixtures/get_messages_of_a_chat.json");
const OUTGOING: &str = include_str!("../../tests/fixtures/message_outgoing_bot.json");

fn read(value: &Value) -> Message {
    serde_json::from_str(&value.to_string()).unwrap()
}

/// Reads a message and checks that serialising gives back the JSON value that came.
fn round_trip(text: &str) -> Message {
    let message: Message = serde_json::from_str(text).unwrap();
    let back: Value = serde_json::from_str(&serde_json::to_string(&message).unwrap()).unwrap();
    assert_eq!(back, serde_json::from_str::<Value>(text).unwrap());
    message
}

#[test]
fn the_reference_s_incoming_message() {
    let page: Value = serde_json::from_str(PAGE).unwrap();
    let message = round_trip(&page["messages"][0].to_string());
    assert_eq!(message.id, "68ba89f8c909657dffcf267c");
    assert_eq!(message.parent_chat.as_ref().unwrap(), "67a87067aeedqdee1271ck4d");
    assert_eq!(message.timestamp.as_millis(), 1_757_055_477_000);
    assert_eq!(message.kind, Some(MessageKind::Text));
    assert_eq!(message.direction, Some(Direction::Incoming));
    assert_eq!(message.text.as_deref(), Some("Hi"));
    assert_eq!(message.status, Some(Status::Delivered));
    let provider_id = "wamid.HBgMOTcyNTQ0NTU0ODUyFQIAEhgUM0ExNkMwMzdBN0Q0MDFEN0E4RUUA";
    assert_eq!(message.provider_id(), Some(provider_id));
    let info = message.chat_channel_info.as_ref().unwrap();
    assert_eq!(info.name, Some(Channel::Whatsapp));
    assert_eq!(info.account_id.as_ref().unwrap().as_str(), "972509876543");
    let history = message.status_history.as_ref().unwrap();
    assert_eq!(history[0].status, Some(Status::Delivered));
    assert_eq!(history[0].timestamp.unwrap().as_millis(), 1_757_055_477_000);
    assert_eq!(
        message.metadata.as_ref().unwrap().to_value().unwrap(),
        json!({"triggeredBot": true})
    );
    assert_eq!(message.updated_at.as_ref().unwrap().as_str(), "2025-09-05T06:58:01.651Z");
    assert!(!message.is_system() && message.extra.is_empty());
}

#[test]
fn the_reference_s_outgoing_message() {
    let message = round_trip(OUTGOING);
    assert_eq!(message.agent.as_ref().unwrap().as_str(), "Bot");
    assert_eq!(message.direction, Some(Direction::Outgoing));
    assert_eq!(message.status_history.as_ref().unwrap().len(), 4);
    assert_eq!(message.text.as_deref(), Some("איך אפשר עוד לעזור?"));
    assert!(message.bot_session_id.as_ref().unwrap().as_str().ends_with("..."));
}

#[test]
fn names_with_escapes_are_read_as_what_they_say() {
    let text = r#"{"\u005fid":"a","timestamp":1,"te\u0078t":"hi","m\u006fod":"sunny","\"":2}"#;
    let message = round_trip(text);
    assert_eq!((message.id.as_str(), message.text.as_deref()), ("a", Some("hi")));
    assert_eq!(message.extra.get("mood").unwrap().as_str(), r#""sunny""#);
    assert_eq!(message.extra.get("\"").unwrap().as_str(), "2");
    let twice = r#"{"_id":"a","timestamp":1,"text":"hi","te\u0078t":"ho"}"#;
    assert!(serde_json::from_str::<Message>(twice).is_err());
}

/// A message with every field that the reference names, and some that it does not.
fn whole() -> Value {
    json!({
        "_id": "a1", "timestamp": 1, "parent_chat": "c1", "type": "hologram", "text": "\u{1f600}\n\"",
        "chatChannelInfo": {"name": "carrier_pigeon", "id": "1", "accountId": "2", "loft": 3},
        "channelInfo": {"id": "p1", "more": [1.5]},
        "updatedAt": "2025-01-01T00:00:00.000Z",
        "media": [{"mediaType": "image", "fileId": "f1", "caption": "x"}, {"mediaType": "smell"}],
        "buttons": [{"title": "t", "payload": "p"}],
        "list": {"button": "b", "sections": [{"title": "s", "rows": [
            {"title": "t", "payload": "p", "description": "d"}, {"title": "t", "payload": "p"}]}]},
        "postback": {"payload": "p", "title": "t", "description": "d"},
        "contacts": [{"name": {"formatted_name": "N"}}, {}],
        "location": {"latitude": 1.25}, "special": {"template": {}},
        "direction": "sideways", "agent": "Bot", "status": 9,
        "statusHistory": [{"status": 0, "timestamp": -5}, {}],
        "botSessionId": "s1", "metadata": {"a": {"b": [null, 1e300]}},
        "context": "p0", "reactions": [{"emoji": "👍"}],
        "systemMessage": true, "newChatStatus": 3, "unheard": {"of": 18446744073709551615u64},
    })
}

#[test]
fn every_field_known_or_not_survives() {
    let message = round_trip(&whole().to_string());
    assert!(message.is_system());
    assert_eq!(message.new_chat_status, Some(ChatStatus::Resolved));
    assert_eq!(message.kind.as_ref().unwrap().as_str(), "hologram");
    assert_eq!(message.media.as_ref().unwrap()[0].media_type, Some(MediaKind::Image));
    assert_eq!(
        message.list.as_ref().unwrap().sections.as_ref().unwrap()[0].rows.as_ref().unwrap().len(),
        2
    );
    assert_eq!(message.contacts.as_ref().unwrap()[1].as_str(), "{}");
    assert_eq!(message.extra.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["unheard"]);
    assert_eq!(message.status, Some(Status::Other(9)));
}

#[test]
fn null_and_absent_are_the_same() {
    let mut value = whole();
    let fields: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    for field in
        fields.iter().filter(|field| !["_id", "timestamp", "unheard"].contains(&field.as_str()))
    {
        value[field] = Value::Null;
    }
    let back = serde_json::to_value(read(&value)).unwrap();
    let expected = json!({"_id": "a1", "timestamp": 1, "unheard": {"of": 18446744073709551615u64}});
    assert_eq!(back, expected);
}

#[test]
fn a_known_field_of_another_type_is_malformed() {
    let fields = whole();
    for (field, value) in fields.as_object().unwrap() {
        if ["context", "reactions", "unheard"].contains(&field.as_str()) {
            continue;
        }
        let wrong = [json!(true), json!("x"), json!(1.5), json!([[]]), json!({"a": 1}), json!([1])];
        let right = |wrong: &Value| {
            std::mem::discriminant(wrong) == std::mem::discriminant(value)
                && (wrong.is_boolean() || wrong.is_string() || wrong.is_object())
        };
        for wrong in wrong.iter().filter(|wrong| !right(wrong)) {
            let mut bad = json!({"_id": "a1", "timestamp": 1});
            bad[field] = wrong.clone();
            assert!(serde_json::from_str::<Message>(&bad.to_string()).is_err(), "{field}: {wrong}");
        }
    }
    for bad in [
        json!({"timestamp": 1}),
        json!({"_id": "a1"}),
        json!({"_id": null, "timestamp": 1}),
        json!({"_id": "", "timestamp": 1}),
        json!({"_id": "A1", "timestamp": 1}),
        json!({"_id": "a".repeat(1_000), "timestamp": 1}),
        json!({"_id": "a1", "timestamp": -1}),
        json!({"_id": "a1", "timestamp": 18446744073709551615u64}),
        json!([]),
        json!(null),
    ] {
        assert!(serde_json::from_str::<Message>(&bad.to_string()).is_err(), "{bad}");
    }
    let twice = r#"{"_id":"a1","timestamp":1,"text":"a","text":"b"}"#;
    assert!(serde_json::from_str::<Message>(twice).is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-zA-Z_]{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever a field holds, a message either comes back unchanged or is refused.
    #[test]
    fn what_is_read_comes_back(field in 0usize..30, value in any_json()) {
        let mut message = whole();
        let name = message.as_object().unwrap().keys().nth(field % 24).unwrap().clone();
        message[&name] = value.clone();
        if let Ok(read) = serde_json::from_str::<Message>(&message.to_string()) {
            let back = serde_json::to_value(read).unwrap();
            prop_assert_eq!(without_nulls(back), without_nulls(message));
        }
    }
}

/// Removes `null` fields at any depth, because serialising leaves them out.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}
