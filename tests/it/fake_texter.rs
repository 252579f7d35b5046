//! The fake server itself, against every rule of the reference.

use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use texter_history::testing::{
    Conversation, CursorReading, FakeChat, FakeMessage, FakeTexter, FakeTexterBuilder, Fault,
    LimitReading, MinTime, PageOrder, SessionFilter, TieOrder,
};
use texter_history::{Message, Timestamp};

use super::{CHAT, client_of, conversation, ids as ids_of, server_with};

const ALL: &str = "beforeTime=253402300799999&beforeId=ffffffffffffffffffffffff";

async fn get_with(server: &FakeTexter, token: &str, query: &str) -> (u16, Value) {
    let url = format!("{}/messages/chat/{CHAT}?{query}", server.base_url());
    let request =
        reqwest::Client::new().get(url).header("authorization", format!("Bearer {token}"));
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

async fn get(server: &FakeTexter, query: &str) -> Value {
    let (status, body) = get_with(server, server.token(), query).await;
    assert_eq!(status, 200, "{query}: {body}");
    body
}

fn ids(body: &Value) -> Vec<&str> {
    body["messages"].as_array().unwrap().iter().map(|m| m["_id"].as_str().unwrap()).collect()
}

/// Five messages; the middle three tie.
fn tied() -> FakeTexterBuilder {
    let message = |millis, id| FakeMessage::text(Timestamp::from_millis(millis), id, "x");
    let chat = [
        message(1, "a").bot_session("s1"),
        message(2, "d"),
        message(2, "b").bot_session("s1"),
        message(2, "c"),
        message(3, "e").bot_session("s2"),
    ];
    FakeTexter::builder().chat(FakeChat::new(CHAT).messages(chat))
}

#[tokio::test]
async fn it_answers_as_the_reference_says() {
    let server = tied().start().await.unwrap();
    let body = get(&server, ALL).await;
    assert_eq!(ids(&body), ["a", "d", "b", "c", "e"], "ascending");
    assert_eq!((&body["minTime"], &body["maxTime"]), (&1.into(), &3.into()));
    assert_eq!(ids(&get(&server, &format!("limit=2&{ALL}")).await), ["c", "e"], "the latest");
    // Up to and including the time, without the one id.
    assert_eq!(ids(&get(&server, "beforeTime=2&beforeId=b").await), ["a", "d", "c"]);
    assert_eq!(ids(&get(&server, "beforeTime=2&beforeId=b&limit=1").await), ["c"]);
    assert_eq!(ids(&get(&server, "botSessionId=s1").await), ["a", "b"]);
    assert_eq!(ids(&get(&server, "botSessionId=s1&beforeTime=2&beforeId=b").await), ["a"]);
    let empty = get(&server, "beforeTime=0&beforeId=f").await;
    assert_eq!((ids(&empty).len(), &empty["minTime"]), (0, &1.into()), "of the whole chat");
}

#[tokio::test]
async fn the_default_limit_is_fifty() {
    let server = server_with(120).start().await.unwrap();
    assert_eq!(ids(&get(&server, ALL).await).len(), 50);
}

#[tokio::test]
async fn an_empty_chat_says_false() {
    let server = server_with(0).start().await.unwrap();
    let body = get(&server, ALL).await;
    assert_eq!(body.to_string(), r#"{"maxTime":false,"messages":[],"minTime":false}"#);
}

#[tokio::test]
async fn it_refuses_what_the_reference_refuses() {
    let server = tied().start().await.unwrap();
    for query in [
        "",
        "limit=50",
        "beforeTime=5",
        "beforeId=a",
        "beforeTime=x&beforeId=a",
        "beforeTime=-5&beforeId=a",
        "beforeTime=5&beforeId=A",
        "botSessionId=S!",
        "limit=x&botSessionId=s1",
        "limit=0&botSessionId=s1",
        "limit=&botSessionId=s1",
    ] {
        assert_eq!(get_with(&server, server.token(), query).await.0, 400, "{query}");
    }
    assert_eq!(get_with(&server, "wrong", ALL).await.0, 401);
    let forbidden = tied().without_scope().start().await.unwrap();
    assert_eq!(get_with(&forbidden, forbidden.token(), ALL).await.0, 403);
    let other = FakeTexter::builder().start().await.unwrap();
    assert_eq!(get_with(&other, other.token(), ALL).await.0, 404);
    for status in [400, 413, 422] {
        let refuses = LimitReading::Refused { above: 3, status };
        let narrow = tied().limit_reading(refuses).start().await.unwrap();
        assert_eq!(get_with(&narrow, narrow.token(), &format!("limit=4&{ALL}")).await.0, status);
        assert_eq!(ids(&get(&narrow, &format!("limit=3&{ALL}")).await), ["b", "c", "e"]);
    }
    let url = format!("{}/messages/chat/{CHAT}?{ALL}", server.base_url());
    let request = reqwest::Client::new().post(url).header("authorization", "Bearer fake-token");
    assert_eq!(request.send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn it_takes_every_liberty_that_the_reference_leaves() {
    let keyset = tied().cursor_reading(CursorReading::StrictKeyset).start().await.unwrap();
    assert_eq!(ids(&get(&keyset, ALL).await), ["a", "b", "c", "d", "e"]);
    assert_eq!(ids(&get(&keyset, "beforeTime=2&beforeId=c").await), ["a", "b"]);
    let by_id = tied().tie_order(TieOrder::ById).start().await.unwrap();
    assert_eq!(ids(&get(&by_id, ALL).await), ["a", "b", "c", "d", "e"]);
    let down = tied().tie_order(TieOrder::ByIdDescending).start().await.unwrap();
    assert_eq!(ids(&get(&down, &format!("{ALL}&limit=2")).await), ["b", "e"]);
    let shuffled = tied().tie_order(TieOrder::Shuffled(3)).start().await.unwrap();
    let mut orders = std::collections::HashSet::new();
    for _ in 0..30 {
        let body = get(&shuffled, ALL).await;
        assert_eq!((ids(&body)[0], ids(&body)[4]), ("a", "e"));
        orders.insert(ids(&body).concat());
    }
    assert!(orders.len() > 2, "{orders:?}");

    let descending = tied().page_order(PageOrder::Descending).start().await.unwrap();
    assert_eq!(ids(&get(&descending, &format!("{ALL}&limit=2")).await), ["e", "c"]);
    let capped = tied().limit_reading(LimitReading::Capped(2)).start().await.unwrap();
    assert_eq!(ids(&get(&capped, ALL).await), ["c", "e"]);
    let short = tied().limit_reading(LimitReading::OneShort).start().await.unwrap();
    assert_eq!(ids(&get(&short, &format!("{ALL}&limit=3")).await), ["c", "e"]);
    let counting = tied().cursor_reading(CursorReading::CountsTheCursor).start().await.unwrap();
    assert_eq!(ids(&get(&counting, "beforeTime=2&beforeId=c&limit=2").await), ["b"]);
    let after_counting = CursorReading::StrictKeysetAfterCounting;
    let keyset = tied().cursor_reading(after_counting).start().await.unwrap();
    assert_eq!(ids(&get(&keyset, "beforeTime=2&beforeId=c").await), ["a", "b"]);
    assert_eq!(ids(&get(&keyset, "beforeTime=2&beforeId=c&limit=3").await), ["b"]);
    let by_limit = tied().tie_order(TieOrder::ShuffledByLimit(1)).start().await.unwrap();
    let mut orders = std::collections::HashSet::new();
    for limit in 5..35 {
        let body = get(&by_limit, &format!("{ALL}&limit={limit}")).await;
        assert_eq!(body, get(&by_limit, &format!("{ALL}&limit={limit}")).await);
        orders.insert(ids(&body).concat());
    }
    assert!(orders.len() > 2, "{orders:?}");
    let no_cursor = tied().session_filter(SessionFilter::CursorIgnored).start().await.unwrap();
    let both = "botSessionId=s1&beforeTime=1&beforeId=a";
    assert_eq!(ids(&get(&no_cursor, both).await), ["a", "b"]);
    let no_session = tied().session_filter(SessionFilter::SessionIgnored).start().await.unwrap();
    assert_eq!(ids(&get(&no_session, "botSessionId=s1&beforeTime=3&beforeId=e").await).len(), 4);

    for (min_time, said) in [
        (MinTime::Missing, None),
        (MinTime::Null, Some(Value::Null)),
        (MinTime::False, Some(false.into())),
        (MinTime::Fixed(-1), Some((-1).into())),
    ] {
        let server = tied().min_time(min_time).start().await.unwrap();
        assert_eq!(get(&server, ALL).await.get("minTime"), said.as_ref());
    }
}

#[tokio::test]
async fn it_hides_leaves_out_and_repeats() {
    let message = |millis, id| FakeMessage::text(Timestamp::from_millis(millis), id, "x");
    let chat = [
        message(1, "a").hidden(),
        message(2, "b"),
        message(3, "c").hidden(),
        message(4, "d"),
        message(5, "e").hidden(),
    ];
    let builder = || FakeTexter::builder().chat(FakeChat::new(CHAT).messages(chat.clone()));
    let hiding = builder().start().await.unwrap();
    let body = get(&hiding, ALL).await;
    assert_eq!(ids(&body), ["b", "d"]);
    assert_eq!((&body["minTime"], &body["maxTime"]), (&2.into(), &4.into()));
    // Counted first, left out afterwards.
    assert_eq!(ids(&get(&hiding, &format!("{ALL}&limit=2")).await), ["d"]);
    assert!(ids(&get(&hiding, &format!("{ALL}&limit=1")).await).is_empty());

    let empty = builder().empty_answer(1).start().await.unwrap();
    for expected in [&["b", "d"][..], &[], &["b", "d"]] {
        let body = get(&empty, ALL).await;
        assert_eq!((ids(&body), &body["minTime"]), (expected.to_vec(), &2.into()));
    }

    let repeating = builder().repeat_messages(true).start().await.unwrap();
    let body = get(&repeating, ALL).await;
    let mut unique = ids(&body);
    unique.dedup();
    assert_eq!((ids(&body).len(), unique), (3, vec!["b", "d"]));
}

#[tokio::test]
async fn it_limits_the_rate_and_plays_faults_in_turn() {
    let server = tied().rate_limit(2, 7).start().await.unwrap();
    server.push_fault(Fault::status(503));
    server.push_fault(Fault::retry_after(429, "3"));
    let statuses = [get_with(&server, server.token(), "botSessionId=s1").await.0];
    assert_eq!(statuses, [503]);
    let url = format!("{}/messages/chat/{CHAT}?{ALL}", server.base_url());
    let client = reqwest::Client::new();
    let send = || client.get(&url).header("authorization", "Bearer fake-token").send();
    assert_eq!(send().await.unwrap().headers()["retry-after"], "3");
    let mut limited = 0;
    for _ in 0..20 {
        let response = send().await.unwrap();
        if response.status() == 429 {
            assert_eq!(response.headers()["retry-after"], "7");
            limited += 1;
        }
    }
    assert!(limited > 0);
    assert_eq!(server.request_count(), 22);
    assert_eq!(server.requests().len(), 22);
}

#[tokio::test]
async fn messages_come_and_go() {
    let server = tied().start().await.unwrap();
    server.add_message(CHAT, FakeMessage::text(Timestamp::from_millis(9), "f", "new"));
    server.remove_message(CHAT, "a");
    let body = get(&server, ALL).await;
    assert_eq!(ids(&body), ["d", "b", "c", "e", "f"]);
    assert_eq!((&body["minTime"], &body["maxTime"]), (&2.into(), &9.into()));
    let request = &server.requests()[0];
    assert_eq!((request.method.as_str(), request.limit), ("GET", None));
    assert_eq!(request.before, Some((253_402_300_799_999, "f".repeat(24))));
}

#[tokio::test]
async fn a_session_of_made_up_messages_is_walked() {
    for filter in
        [SessionFilter::BothApply, SessionFilter::CursorIgnored, SessionFilter::SessionIgnored]
    {
        let server = tied().session_filter(filter).start().await.unwrap();
        let client = client_of(&server).build().unwrap();
        let query = client.messages(CHAT).bot_session("s1").page_size(1);
        let session: Vec<Message> = query.stream().try_collect().await.unwrap();
        assert_eq!(ids_of(&session), ["b", "a"], "{filter:?}");
        assert!(session.iter().all(|message| message.bot_session_id.as_ref().unwrap() == "s1"));
    }
    // What is no object keeps its text, and is still the session's for the server.
    let text = FakeMessage::placed(Timestamp::from_millis(1), "a", "[1]").bot_session("s1");
    assert_eq!(text.json(), "[1]");
    let server = FakeTexter::builder().chat(FakeChat::new(CHAT).messages([text])).start().await;
    assert_eq!(get(&server.unwrap(), "botSessionId=s1").await["messages"][0][0], 1);
}

#[tokio::test]
async fn messages_of_the_model_can_be_served() {
    let mut message = Message::new("a1", Timestamp::from_millis(7));
    message.parent_chat = Some(CHAT.into());
    message.bot_session_id = Some("s1".into());
    message.text = Some("Hi".into());
    let mut later = message.clone();
    (later.id, later.timestamp) = ("b2".into(), Timestamp::from_millis(9));
    let chat = FakeChat::new(message.parent_chat.as_ref().unwrap()).messages([message.clone()]);
    let server = FakeTexter::builder().chat(chat).start().await.unwrap();
    server.add_message(message.parent_chat.as_ref().unwrap(), later.clone());
    let client = client_of(&server).build().unwrap();
    for query in [client.messages(CHAT), client.messages(CHAT).bot_session("s1")] {
        let read: Vec<Message> = query.stream().try_collect().await.unwrap();
        assert_eq!(read, [later.clone(), message.clone()]);
    }
    server.remove_message(CHAT, &later.id);
    assert_eq!(client.messages(CHAT).stream().count().await, 1);
}

#[test]
fn a_conversation_is_realistic() {
    let messages = conversation(3_000);
    let values: Vec<Value> = messages.iter().map(FakeMessage::to_value).collect();
    for (message, value) in messages.iter().zip(&values) {
        let read: Message = serde_json::from_str(message.json()).unwrap();
        assert!(read.extra.is_empty() || read.is_system(), "{:?}", read.extra);
        assert_eq!(serde_json::to_value(&read).unwrap(), *value);
        assert_eq!(read.timestamp.as_millis() % 1_000, 0, "of one second, as WhatsApp's");
    }
    let count = |matches: &dyn Fn(&Value) -> bool| values.iter().filter(|v| matches(v)).count();
    for kind in ["text", "media", "contacts", "location", "buttons", "list", "postback", "special"]
    {
        assert!(count(&|value| value["type"] == kind) > 20, "{kind}");
    }
    for direction in ["incoming", "outgoing"] {
        assert!(count(&|value| value["direction"] == direction) > 1_000);
    }
    assert!(count(&|value| value["systemMessage"] == true) > 50);
    assert!(count(&|value| value["botSessionId"].is_string()) > 500);
    assert!(count(&|value| value["reactions"].is_array()) > 50);
    let text: String = messages.iter().map(FakeMessage::json).collect();
    for part in ["תודה", "شكرا", "👩‍👩‍👧‍👦", "\\\"tomorrow\\\"", "\\n", "\\t", "C:\\\\Users"]
    {
        assert!(text.contains(part), "{part}");
    }
    let ties = messages.windows(2).filter(|w| w[0].timestamp() == w[1].timestamp()).count();
    assert!((300..600).contains(&ties), "{ties}");
    let length = text.len() / messages.len();
    assert!((450..900).contains(&length), "{length} bytes a message");
    let none = Conversation::seeded(1).messages(500).tie_share(0.0).collect::<Vec<_>>();
    assert!(none.windows(2).all(|w| w[0].timestamp() < w[1].timestamp()));
}
