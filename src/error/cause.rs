//! Why there was no answer, or why the walk cannot go on.

/// Why a page failed, if that cause needs its own advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The stream was polled outside of any tokio runtime, or in one that was shut down.
    NoRuntime,
    /// A connection that was kept alive closed before any of the answer came.
    Unanswered,
    /// The lookup of the server's name failed, and may succeed later.
    NameLookup,
    /// There is no such name.
    NoSuchName,
    /// An `https` address answered with something other than TLS.
    NoTls,
    /// The server's certificate was refused.
    Untrusted,
    /// The walk cannot get past what the server sends.
    Stalled { advice: &'static str },
}

impl Cause {
    /// Whether the same request may succeed later.
    pub(super) fn may_pass(self) -> bool {
        match self {
            Self::Unanswered | Self::NameLookup => true,
            Self::NoRuntime
            | Self::NoSuchName
            | Self::NoTls
            | Self::Untrusted
            | Self::Stalled { .. } => false,
        }
    }

    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::NoRuntime => {
                "poll the stream inside of a tokio runtime that is running, then resume()"
            }
            Self::Stalled { advice } => advice,
            Self::Unanswered => "check the network, then resume from the checkpoint",
            Self::NameLookup | Self::NoSuchName => {
                "check the project or the base URL, and this machine's name server"
            }
            Self::NoTls => {
                "check the port of the base URL, and whether it should begin with http://"
            }
            Self::Untrusted => {
                "check the base URL and this machine's clock and certificates; for a private authority, \
                 give an http_client() that trusts it"
            }
        }
    }
}
