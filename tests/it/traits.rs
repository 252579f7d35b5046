//! What the public types are, checked by the compiler.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use futures::Stream;
use futures::stream::FusedStream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use texter_history::{
    Checkpoint, Client, ClientBuilder, End, Error, Message, MessageStream, Messages, Page,
    PageStream, RetryPolicy, Stats, Timestamp,
};

fn stream<T, S>()
where
    S: Stream<Item = Result<T, Error>> + FusedStream + Unpin + Send + Debug + 'static,
{
}

fn shared<T: Send + Sync + Debug + 'static>() {}

#[test]
fn the_types_are_what_they_promise() {
    stream::<Message, MessageStream>();
    stream::<serde_json::Value, MessageStream<serde_json::Value>>();
    stream::<Box<serde_json::value::RawValue>, MessageStream<Box<serde_json::value::RawValue>>>();
    stream::<Page, PageStream>();
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
    assert_eq!(size_of::<Error>(), size_of::<usize>());
    assert_eq!(size_of::<Client>(), size_of::<usize>());
}
