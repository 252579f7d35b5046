use futures::{StreamExt, TryStreamExt, stream::TryChunksError};
use texter_history::{Checkpoint, Client, Error, Message};

async fn batches(
    client: &Client,
    chat: &str,
    mut store: impl FnMut(&[(Message, Checkpoint)], &Checkpoint), // both in one transaction
) -> Result<(), Error> {
    let stream = client.messages(chat).oldest_first().skip_malformed().stream();
    let mut batches = stream.with_checkpoints().try_chunks(100);
    while let Some(batch) = batches.next().await {
        let (batch, error) = match batch {
            Ok(batch) => (batch, None),
            Err(TryChunksError(batch, error)) => (batch, Some(error)), // what came before the error
        };
        if let Some((_, checkpoint)) = batch.last() {
            store(&batch, checkpoint);
        }
        if let Some(error) = error {
            return Err(error);
        }
    }
    Ok(())
}
