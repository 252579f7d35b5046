use futures::TryStreamExt;
use std::{collections::HashMap, time::Duration};
use texter_history::{Client, Error, Message, MessageId, Timestamp};

/// The archive is a `HashMap` here; a database does an upsert.
async fn status_and_edits(
    client: &Client,
    chat: &str,
    archive: &mut HashMap<MessageId, Message>,
) -> Result<(), Error> {
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    let mut stream = client.messages(chat).since(Timestamp::now() - week).stream();
    while let Some(message) = stream.try_next().await? {
        archive.insert(message.id.clone(), message);
    }
    Ok(())
}
