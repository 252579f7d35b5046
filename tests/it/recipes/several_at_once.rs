use futures::TryStreamExt;
use texter_history::{Client, Error, Message};

/// The same messages in the same order as one request at a time.
async fn several_at_once(client: &Client, chat: &str) -> Result<Vec<Message>, Error> {
    client.messages(chat).page_size(200).concurrency(8).stream().try_collect().await
}
