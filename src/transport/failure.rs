//! Why a request failed, as far as `reqwest` tells. Finds each cause that needs its own advice.

use std::error::Error as StdError;
use std::io;
use std::iter;

use crate::error::{Cause, Error, ErrorKind};

type Source = dyn StdError + 'static;

/// The words of `hyper-util` when a proxy asks for a password. The type of that error is private.
const PROXY_ASKS: &str = "proxy authorization required";

/// The words of C libraries for a name that does not exist. The error has no number. When a machine is offline
/// or a name server is silent, most libraries use other words.
const NO_SUCH_NAME: [&str; 2] = ["Name or service not known", "Name does not resolve"];

/// The words of TLS libraries that refuse a certificate: rustls, OpenSSL, Apple's, Microsoft's. The caller may
/// choose the library, so there is no type to look for.
const UNTRUSTED: [&str; 4] =
    ["invalid peer certificate", "certificate verify failed", "not trusted", "certificate chain"];

/// The words of TLS libraries for an answer that is not TLS.
const NO_TLS: [&str; 3] = ["InvalidContentType", "wrong version number", "packet length too long"];

/// The error when a request failed before the head of its answer arrived. `answered` tells whether any answer
/// has come before. `kept_alive` tells whether the connection may be one from before.
pub(super) fn not_sent(error: reqwest::Error, answered: bool, kept_alive: bool) -> Error {
    // NOTE: the URL is taken out, because the error already says in its own words what was asked for.
    let error = error.without_url();
    if says(&error, &[PROXY_ASKS]) {
        return Error::from_status(407).with_source(error);
    }
    let (cause, what) = if error.is_dns() {
        let exists = answered || !says(&error, &NO_SUCH_NAME);
        let cause = if exists { Cause::NameLookup } else { Cause::NoSuchName };
        (Some(cause), "the server's name does not resolve")
    } else if error.is_connect() && says(&error, &UNTRUSTED) {
        (Some(Cause::Untrusted), "the server's certificate is not trusted")
    } else if error.is_connect() && says(&error, &NO_TLS) {
        (Some(Cause::NoTls), "the server does not speak TLS at this port")
    } else if kept_alive && closed_unanswered(&error) {
        (Some(Cause::Unanswered), "the connection closed before the answer")
    } else {
        (None, "the request failed")
    };
    let failed = Error::new(kind_of(&error), what).with_source(error);
    match cause {
        Some(cause) => failed.with_cause(cause),
        None => failed,
    }
}

/// The error when the connection failed in the middle of the body.
pub(super) fn broken_off(error: reqwest::Error) -> Error {
    let error = error.without_url();
    if is_bad_encoding(&error) {
        let what = "the answer does not match its Content-Encoding";
        return Error::new(ErrorKind::MalformedPage, what).with_source(error);
    }
    Error::new(kind_of(&error), "the answer broke off").with_source(error)
}

/// The error when the HTTP client cannot be made.
pub(super) fn cannot_be_made(error: reqwest::Error) -> Error {
    let no_certificates = says(&error, &["No CA certificates"]);
    Error::invalid_request(if no_certificates {
        "this machine has no certificates to know an https server by; install its package of them \
         (ca-certificates), let SSL_CERT_FILE name a file of them, or give an http_client() that has its own"
    } else {
        "the HTTP client cannot be made"
    })
    .with_source(error)
}

fn kind_of(error: &reqwest::Error) -> ErrorKind {
    if error.is_timeout() {
        ErrorKind::Timeout
    } else if error.is_builder() {
        ErrorKind::InvalidRequest
    } else {
        ErrorKind::Transport
    }
}

/// The error and all its sources.
fn causes(error: &Source) -> impl Iterator<Item = &Source> {
    iter::successors(Some(error), |error| below(*error))
}

/// NOTE: an `io::Error` presents its wrapped error as itself, not as its source.
fn below(error: &Source) -> Option<&Source> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|wrapped| -> &Source { wrapped }),
        None => error.source(),
    }
}

fn says(error: &Source, words: &[&str]) -> bool {
    causes(error).any(|cause| {
        let text = cause.to_string();
        words.iter().any(|words| text.contains(words))
    })
}

/// Whether the connection closed before any of the answer was read. The server may close a connection that was
/// kept alive just as the next request goes out. The connection's runtime may also end.
fn closed_unanswered(error: &reqwest::Error) -> bool {
    !error.is_connect()
        && causes(error).any(|cause| {
            if let Some(error) = cause.downcast_ref::<hyper::Error>() {
                // `is_user`: the connection's task is gone.
                return error.is_incomplete_message() || error.is_canceled() || error.is_user();
            }
            cause.downcast_ref::<io::Error>().is_some_and(|error| {
                matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::BrokenPipe
                )
            })
        })
}

/// Whether the body arrived but does not match its `Content-Encoding`. Asking again would not help. A body that
/// ends too soon is a broken connection, and so is a connection error below the decoder.
fn is_bad_encoding(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            let of_connection =
                cause.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<reqwest::Error>);
            let of_decoder = matches!(
                cause.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other
            );
            return error.is_decode() && of_decoder && !of_connection;
        }
        source = cause.source();
    }
    false
}
