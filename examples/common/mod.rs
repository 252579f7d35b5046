//! Where the examples read from: the real service when a `TEXTER_*` variable is set, otherwise a
//! `FakeTexter` of their own.

#![allow(dead_code)] // No example needs all of it.

use std::error::Error;
use std::process::ExitCode;

use texter_history::testing::{Conversation, FakeChat, FakeMessage, FakeTexter};
use texter_history::{Client, ParseTimestampError, Stats, Timestamp};

/// The chat that the built-in server holds.
pub(crate) const FAKE_CHAT: &str = "67bf11038b24880cc966f799";

/// A client, and the server it talks to if that is our own. Dropping the server stops it.
pub(crate) struct Service {
    pub(crate) client: Client,
    pub(crate) fake: Option<FakeTexter>,
}

/// Connects to the service that the environment names, or starts a server with the given chats.
pub(crate) async fn connect(
    chats: impl FnOnce() -> Vec<(String, Vec<FakeMessage>)>,
) -> Result<Service, Box<dyn Error>> {
    let named = ["TEXTER_BASE_URL", "TEXTER_PROJECT", "TEXTER_TOKEN"];
    if named.iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(Service { client: Client::from_env()?, fake: None });
    }
    eprintln!("No TEXTER_* variable is set: reading made-up messages from a built-in server.");
    let mut server = FakeTexter::builder();
    for (id, messages) in chats() {
        server = server.chat(FakeChat::new(id).messages(messages));
    }
    let server = server.start().await?;
    let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
    Ok(Service { client, fake: Some(server) })
}

impl Service {
    /// The chat that was named, or the built-in server's.
    pub(crate) fn chat(&self, named: Option<String>) -> Result<String, Box<dyn Error>> {
        match (named, &self.fake) {
            (Some(chat), _) => Ok(chat),
            (None, Some(_)) => Ok(FAKE_CHAT.to_owned()),
            (None, None) => Err("name the chat: its _id is the first argument".into()),
        }
    }
}

/// One conversation for the built-in server.
pub(crate) fn conversation(messages: usize) -> Vec<(String, Vec<FakeMessage>)> {
    vec![(FAKE_CHAT.to_owned(), Conversation::seeded(2025).messages(messages).collect())]
}

/// A time as RFC 3339, or a day, which is taken from its first millisecond on (UTC).
pub(crate) fn from_time(text: &str) -> Result<Timestamp, String> {
    time(text, "T00:00:00Z")
}

/// A time as RFC 3339, or a day, which is taken up to its last millisecond (UTC).
pub(crate) fn to_time(text: &str) -> Result<Timestamp, String> {
    time(text, "T23:59:59.999Z")
}

fn time(text: &str, of_day: &str) -> Result<Timestamp, String> {
    let day = text.len() == "2025-01-31".len();
    let time = if day { format!("{text}{of_day}").parse() } else { text.parse() };
    time.map_err(|error: ParseTimestampError| format!("{error}, or as a day, such as 2025-01-31"))
}

/// One message that cannot be read costs itself alone, but is not passed over in silence. (Which ones, a subscriber of
/// `tracing` would tell.)
pub(crate) fn tell_of_malformed(stats: &Stats) {
    if stats.malformed > 0 {
        eprintln!("left out, because they cannot be read: {} messages", stats.malformed);
    }
}

/// What the process ends with: an error is told in its own words, with its causes behind it.
pub(crate) fn exit_code(outcome: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    let mut told = format!("error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        told.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    eprintln!("{told}");
    ExitCode::FAILURE
}
