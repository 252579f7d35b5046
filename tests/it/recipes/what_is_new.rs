use futures::TryStreamExt;
use std::time::Duration;
use texter_history::{Client, Error, Message};

/// `saved` is what the last run stored, `None` the first time.
async fn what_is_new(
    client: &Client,
    chat: &str,
    saved: Option<String>,
    mut store: impl FnMut(Message, String), // both in one transaction
) -> Result<(), Error> {
    let hour = Duration::from_secs(3600);
    let mut query = client.messages(chat).oldest_first().lookback(hour).skip_malformed();
    if let Some(line) = saved {
        query = query.resume_from(line.parse()?);
    }
    let mut stream = query.stream();
    while let Some(message) = stream.try_next().await? {
        store(message, stream.checkpoint().to_string());
    }
    Ok(())
}
