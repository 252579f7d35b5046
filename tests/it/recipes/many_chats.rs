use futures::{StreamExt, TryStreamExt, stream};
use texter_history::{ClientBuilder, Error, Message};

async fn many_chats(client: ClientBuilder, chats: Vec<String>) -> Result<(), Error> {
    let client = client.requests_per_second(10.0).build()?;
    let mut walks = stream::iter(chats)
        .map(|chat| (client.messages(&chat).stream(), chat))
        .map(async |(stream, chat)| (chat, stream.try_collect::<Vec<Message>>().await))
        .buffer_unordered(8); // eight chats at a time
    while let Some((chat, outcome)) = walks.next().await {
        match outcome {
            Ok(messages) => println!("{chat}: {} messages", messages.len()),
            Err(error) => eprintln!("{chat}: {error}"), // the others go on
        }
    }
    Ok(())
}
