use futures::StreamExt;
use texter_history::Client;
use texter_history::testing::{Conversation, FakeChat, FakeTexter, Fault};

#[tokio::test]
async fn a_request_that_fails_is_retried() -> Result<(), Box<dyn std::error::Error>> {
    let chat = FakeChat::new("a").messages(Conversation::seeded(7).messages(120).tie_share(0.0));
    let server = FakeTexter::builder().chat(chat).start().await?;
    server.push_fault(Fault::status(503));
    let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;

    assert_eq!(client.messages("a").stream().count().await, 120);
    assert_eq!(server.request_count(), 4);
    Ok(())
}
