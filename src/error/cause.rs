//! Why there was no answer, or no way on.

/// Why a page failed, where that calls for advice of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The stream was polled outside of any tokio runtime, or in one that was shut down.
    NoRuntime,
    /// The connection had been kept alive and closed before anything of the answer was there.
    Unanswered,
    /// The server's name was looked up in vain, and may be found later.
    NameLookup,
    /// There is no such name.
    NoSuchName,
    /// Something else than TLS came back from an `https` address.
    NoTls,
    /// The server's certificate was refused.
    Untrusted,
    /// The server cannot be got past.
    Stalled { advice: &'static str },
}

impl Cause {
    /// Whether the same request may fare better later.
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
