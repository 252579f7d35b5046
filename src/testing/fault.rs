//! Failures that the fake server can play.

use std::time::Duration;

use bytes::Bytes;

/// A failure that the fake server plays for one request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// An answer of your own, in place of the endpoint's.
    Answer {
        /// The status.
        status: u16,
        /// Headers besides the length.
        headers: Vec<(String, String)>,
        /// The body.
        body: Bytes,
    },
    /// The connection closes without an answer.
    Close,
    /// The right answer, but the connection closes after this many bytes of its body.
    CutBody {
        /// How many bytes of the body are sent.
        after: usize,
    },
    /// The right answer, but after this many bytes of its body nothing more comes. With 0, not even the head
    /// comes.
    Hang {
        /// How many bytes of the body are sent.
        after: usize,
    },
    /// The right answer, in small pieces with a pause between them.
    Drip {
        /// The size of a piece, in bytes.
        bytes: usize,
        /// The pause between two pieces.
        every: Duration,
    },
    /// These bytes in place of an HTTP answer. Then the connection closes.
    RawBytes(Bytes),
}

impl Fault {
    /// An answer with this status and a short JSON body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let headers = vec![("content-type".into(), "application/json".into())];
        Self::Answer {
            status,
            headers,
            body: Bytes::from_static(br#"{"error":"a scripted fault"}"#),
        }
    }

    /// An answer with this status and this `Retry-After`, in seconds or as an HTTP date.
    #[must_use]
    pub fn retry_after(status: u16, retry_after: impl Into<String>) -> Self {
        let headers = vec![("retry-after".into(), retry_after.into())];
        Self::Answer { status, headers, body: Bytes::new() }
    }

    /// An answer with status 200 and this body in place of the endpoint's.
    #[must_use]
    pub fn body(body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type".into(), "application/json".into())];
        Self::Answer { status: 200, headers, body: body.into() }
    }

    /// A proxy's HTML page with status 200.
    #[must_use]
    pub fn garbage() -> Self {
        let headers = vec![("content-type".into(), "text/html".into())];
        let body = Bytes::from_static(b"<!doctype html><html><body>Bad gateway</body></html>");
        Self::Answer { status: 200, headers, body }
    }
}
