//! For tests: an in-process server that behaves as Texter's reference says, and a generator of realistic conversations.
//! Behind the feature `testing`.
//!
//! By default, [`FakeTexter`] serves its chats at once and without faults. [`FakeTexterBuilder`] makes it behave in every
//! other way that the reference allows: how it reads the cursor and `limit`, how it orders equal timestamps, which messages
//! it hides. It can also fail as a network does: see [`Fault`]. [`FakeTexter::requests`] says what was asked.
//!
//! # Examples
//!
//! ```
//! use futures::StreamExt;
//! use texter_history::Client;
//! use texter_history::testing::{Conversation, FakeChat, FakeTexter, Fault};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let chat = FakeChat::new("67bf11038b24880cc966f799").messages(Conversation::seeded(7).messages(80));
//! let server = FakeTexter::builder().chat(chat).start().await?;
//! server.push_fault(Fault::status(404));
//!
//! let client = Client::builder().base_url(server.base_url()).token(server.token()).build()?;
//! let mut stream = client.messages("67bf11038b24880cc966f799").stream();
//! assert!(stream.next().await.unwrap().is_err());
//! assert_eq!(server.requests()[0].limit, Some(50));
//! # Ok(())
//! # }
//! ```

mod builder;
mod chat;
mod connection;
mod conversation;
mod fault;
mod rate_limit;
mod replay;
mod request;
pub(crate) mod rulebook;
mod server;

pub use builder::FakeTexterBuilder;
pub use chat::{FakeChat, FakeMessage};
pub use conversation::Conversation;
pub use fault::Fault;
pub use rate_limit::RateLimit;
pub use replay::{read_page, stream_of};
pub use request::RecordedRequest;
pub use rulebook::{CursorReading, LimitReading, MinTime, PageOrder, SessionFilter, TieOrder};
pub use server::FakeTexter;
