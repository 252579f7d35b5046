use futures::TryStreamExt;
use texter_history::{Client, Error, Message};

async fn from_the_beginning(client: &Client, chat: &str) -> Result<Vec<Message>, Error> {
    client.messages(chat).oldest_first().stream().try_collect().await
}
