//! What the examples share: where they read from, how they take their arguments, and how they end.
//!
//! They read the real service when a `TEXTER_*` variable is set, otherwise a `FakeTexter` of their own.

#![allow(dead_code)] // No example needs all of it.

pub(crate) mod files;

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use texter_history::testing::{Conversation, FakeChat, FakeMessage, FakeTexter};
use texter_history::{Client, ClientBuilder, ParseTimestampError, Stats, Timestamp};

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
    connect_with(chats, |client| client).await
}

/// The same with a client that has more set than its address and token.
pub(crate) async fn connect_with(
    chats: impl FnOnce() -> Vec<(String, Vec<FakeMessage>)>,
    set: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Service, Box<dyn Error>> {
    let named = ["TEXTER_BASE_URL", "TEXTER_PROJECT", "TEXTER_TOKEN"];
    if named.iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(Service { client: set(ClientBuilder::from_env()?).build()?, fake: None });
    }
    tell("No TEXTER_* variable is set: reading made-up messages from a built-in server.");
    let mut server = FakeTexter::builder();
    for (id, messages) in chats() {
        server = server.chat(FakeChat::new(id).messages(messages));
    }
    let server = server.start().await?;
    let client = Client::builder().base_url(server.base_url()).token(server.token());
    let client = set(client).build()?;
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

/// A chat's `_id`, which names a file, too: so nothing else passes.
pub(crate) fn chat_id(text: &str) -> Result<String, String> {
    let well_formed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    match !text.is_empty() && text.bytes().all(well_formed) {
        true => Ok(text.to_owned()),
        false => Err("a chat's _id is of a-z and 0-9 alone".to_owned()),
    }
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

/// A length of time, such as `30s`, `1h 30m` or `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let refused = || "write a length of time, such as 500ms, 30s, 5m, 1h or 7d".to_owned();
    let span: jiff::Span = text.parse().map_err(|_| refused())?;
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    let duration = span.to_duration(days).map_err(|_| refused())?;
    match Duration::try_from(duration) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(refused()),
    }
}

/// A pause between two looks at the chat. A shorter one would be none.
pub(crate) fn pause(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        pause if pause < Duration::from_millis(10) => Err("use at least 10ms".to_owned()),
        pause => Ok(pause),
    }
}

/// One message that cannot be read costs itself alone, but is not passed over in silence. (Which ones, a subscriber of
/// `tracing` would tell.)
pub(crate) fn tell_of_malformed(stats: &Stats) {
    if stats.malformed > 0 {
        tell(&format!("left out, because they cannot be read: {} messages", stats.malformed));
    }
}

/// Ctrl-C ended the work; the text says how to go on.
#[derive(Debug)]
pub(crate) struct Interrupted(pub(crate) &'static str);

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Interrupted {}

/// What the process ends with: 0 when all is there, 1 after an error, 130 after Ctrl-C. (Wrong arguments end with 2,
/// which is `clap`'s.)
pub(crate) fn exit_code(outcome: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // Whoever reads the output has enough, as `head` has.
    if is_closed_pipe(&*error) {
        return ExitCode::SUCCESS;
    }
    if error.is::<Interrupted>() {
        tell(&error.to_string());
        return ExitCode::from(130);
    }
    tell(&format!("error: {}", in_words(&*error)));
    ExitCode::FAILURE
}

/// A line of what was asked for.
pub(crate) fn say(line: &str) -> Result<(), files::FileError> {
    writeln!(io::stdout(), "{line}").map_err(files::FileError::of(Path::new(files::STANDARD)))
}

/// A line for people to read. Where nobody can be told (`2>&1 | head`, a full disk) there is nobody to be told of that;
/// `eprintln!` would panic.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// An error in its own words, with its causes behind it.
pub(crate) fn in_words(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        told.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    told
}

pub(crate) fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    if let Some(error) = error.downcast_ref::<files::FileError>() {
        return broken(&error.error);
    }
    error.downcast_ref().is_some_and(broken)
}
