use futures::TryStreamExt;
use texter_history::{Client, Error, Message};

async fn date_range(client: &Client, chat: &str) -> Result<Vec<Message>, Error> {
    let january = client
        .messages(chat)
        .since("2025-01-01T00:00:00+02:00".parse()?) // the last seven days: Timestamp::now() - 7 * day
        .until("2025-01-31T23:59:59.999+02:00".parse()?); // both are inclusive
    january.stream().try_collect().await
}
