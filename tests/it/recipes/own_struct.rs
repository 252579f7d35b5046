use futures::TryStreamExt;
use texter_history::{Client, Error, Timestamp};

#[derive(serde::Deserialize)]
struct Line {
    timestamp: Timestamp,
    text: Option<String>,
}

async fn own_struct(client: &Client, chat: &str) -> Result<Vec<Line>, Error> {
    client.messages(chat).stream_as().try_collect().await
}
