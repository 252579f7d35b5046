use futures::StreamExt;
use std::time::Duration;
use texter_history::{Client, Error, Timestamp};

/// Looks for new messages `every` 30 seconds, say.
async fn follow(client: &Client, chat: &str, every: Duration) -> Result<(), Error> {
    let query = client.messages(chat).since(Timestamp::now()).skip_malformed();
    let mut stream = query.follow(every).stream();
    while let Some(message) = stream.next().await {
        match message {
            Ok(message) => println!("{}", message.text.as_deref().unwrap_or("")),
            Err(error) if error.is_retryable() => stream.resume(), // it has been retried already
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
