//! What the public types are, checked by the compiler.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use futures::Stream;
use futures::stream::FusedStream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use texter_history::{
    BotSessionId, ChatId, Checkpoint, Client, ClientBuilder, End, Error, Extra, Message, MessageId,
    MessageStream, Messages, Page, PageStream, RetryPolicy, Stats, Timestamp, WithCheckpoints,
};

fn stream<T, S>()
where
    S: Stream<Item = Result<T, Error>> + FusedStream + Unpin + Send + Debug + 'static,
{
}

/// Compiles only if the type does not implement the trait: if it does, there are two traits for `_`, and the compiler
/// cannot tell which is meant.
macro_rules! implements_not {
    ($type:ty: $($bound:tt)+) => {{
        trait Ambiguous<A> {
            fn item() {}
        }
        struct Implements;
        impl<T> Ambiguous<()> for T {}
        impl<T: $($bound)+> Ambiguous<Implements> for T {}
        <$type as Ambiguous<_>>::item();
    }};
}

#[test]
fn ids_are_taken_in_every_form_and_a_checkpoint_is_none() {
    fn chat(_: impl Into<ChatId>) {}
    let id = ChatId::from("67bf11038b24880cc966f799");
    chat("67bf");
    let owned = String::from("67bf");
    chat(&owned);
    chat(owned);
    chat(&id);
    chat(id);
    let client = Client::builder().project("acme").token("t").build().unwrap();
    let checkpoint = client.messages("67bf").bot_session("s1").stream().checkpoint();
    let session = checkpoint.bot_session().unwrap();
    let same = client.messages(checkpoint.chat()).bot_session(session).stream().checkpoint();
    assert_eq!(same, checkpoint);
    let mut message = Message::new("a1", Timestamp::now());
    message.parent_chat = Some("67bf".into());
    let messages = client.messages(message.parent_chat.as_ref().unwrap());
    assert_eq!(messages.stream().checkpoint().chat(), "67bf");

    implements_not!(Checkpoint: Into<String>);
    implements_not!(Checkpoint: Into<ChatId>);
    implements_not!(&Checkpoint: Into<ChatId>);
    implements_not!(MessageId: Into<ChatId>);
}

fn shared<T: Send + Sync + Debug + 'static>() {}

#[test]
fn the_types_are_what_they_promise() {
    stream::<Message, MessageStream>();
    stream::<serde_json::Value, MessageStream<serde_json::Value>>();
    stream::<Box<serde_json::value::RawValue>, MessageStream<Box<serde_json::value::RawValue>>>();
    stream::<Page, PageStream>();
    stream::<Page<serde_json::Value>, PageStream<serde_json::Value>>();
    stream::<Page<std::cell::Cell<u8>>, PageStream<std::cell::Cell<u8>>>();
    stream::<(Message, Checkpoint), WithCheckpoints>();
    stream::<(std::cell::Cell<u8>, Checkpoint), WithCheckpoints<std::cell::Cell<u8>>>();
    // What is in a cell is not `Sync`; the stream over it need not be.
    stream::<std::cell::Cell<u8>, MessageStream<std::cell::Cell<u8>>>();

    shared::<Client>();
    shared::<ClientBuilder>();
    shared::<Messages>();
    shared::<Message>();
    shared::<Checkpoint>();
    shared::<Error>();
    shared::<(End, Stats, Timestamp, RetryPolicy)>();

    fn whole<T: Clone + Eq + Serialize + DeserializeOwned + Debug>() {}
    whole::<Message>();
    whole::<Checkpoint>();
    fn text<T: Display + FromStr<Err: std::error::Error + Send + Sync + 'static>>() {}
    text::<Checkpoint>();
    text::<Timestamp>();
    text::<ChatId>();
    fn string<T: From<String> + Into<String> + for<'a> From<&'a str> + for<'a> From<&'a T>>() {}
    string::<ChatId>();
    string::<MessageId>();
    string::<BotSessionId>();
    fn fields<T: Serialize>()
    where
        for<'a> &'a T: IntoIterator<Item = (&'a str, &'a texter_history::Json)>,
    {
    }
    fields::<Extra>();
    assert_eq!(size_of::<Error>(), size_of::<usize>());
    assert_eq!(size_of::<Client>(), size_of::<usize>());
}
