//! The stream inside of a generator, which holds it across its own `yield`s.

use async_stream::try_stream;
use futures::{StreamExt, TryStreamExt};
use texter_history::testing::{Conversation, FakeChat, FakeMessage, FakeTexter};
use texter_history::{Client, Error};

const CHAT: &str = "67bf11038b24880cc966f799";

#[tokio::test]
async fn it_goes_into_a_generator() {
    let conversation: Vec<FakeMessage> = Conversation::seeded(11).messages(120).collect();
    let chat = FakeChat::new(CHAT).messages(conversation.clone());
    let server = FakeTexter::builder().chat(chat).start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).token(server.token());
    let query = client.build().unwrap().messages(CHAT);
    let texts = try_stream! {
        let mut stream = query.stream();
        while let Some(message) = stream.try_next().await? {
            if let Some(text) = message.text {
                yield text;
            }
        }
    };
    let texts: Vec<Result<String, Error>> = Box::pin(texts).collect().await;
    let expected = conversation.iter().filter(|m| m.to_value()["text"].is_string()).count();
    assert!(texts.iter().all(Result::is_ok));
    assert_eq!(texts.len(), expected);
}
