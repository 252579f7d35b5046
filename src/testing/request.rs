//! A request as the fake server received it.

use std::time::Instant;

use hyper::http::request::Parts;

/// A request that the fake server received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// The method.
    pub method: String,
    /// The path as it came, percent-encoded.
    pub path: String,
    /// The query as it came, without the question mark.
    pub query: String,
    /// The chat's id, if the path is the endpoint's.
    pub chat_id: Option<String>,
    /// `limit`, if it is a number.
    pub limit: Option<u64>,
    /// `beforeTime` in epoch milliseconds and `beforeId`, if both are present and well-formed.
    pub before: Option<(i64, String)>,
    /// `botSessionId`.
    pub bot_session: Option<String>,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// When the request came, by tokio's clock. In a test with a paused clock, the server's time stands still
    /// too.
    pub received: Instant,
    /// Whether the [rate limit](super::RateLimit) refused it.
    pub refused: bool,
}

/// The path before `/messages`.
pub(super) const BASE_PATH: &str = "/server/api/v2";

impl RecordedRequest {
    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn new(parts: &Parts) -> Self {
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let headers = parts.headers.iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let chat_id =
            path.strip_prefix(BASE_PATH).and_then(|rest| rest.strip_prefix("/messages/chat/"));
        let chat_id = chat_id.filter(|id| !id.is_empty() && !id.contains('/')).map(percent_decoded);
        let mut request = Self {
            method: parts.method.to_string(),
            chat_id,
            headers: headers.collect(),
            path,
            query,
            limit: None,
            before: None,
            bot_session: None,
            received: tokio::time::Instant::now().into_std(),
            refused: false,
        };
        request.limit = request.value("limit").and_then(|text| number(&text));
        let time = request.value("beforeTime").and_then(|text| number(&text));
        let id = request.value("beforeId").filter(|id| is_id(id));
        request.before =
            time.zip(id).map(|(time, id)| (i64::try_from(time).unwrap_or(i64::MAX), id));
        request.bot_session = request.value("botSessionId").filter(|id| is_id(id));
        request
    }

    fn value(&self, name: &str) -> Option<String> {
        self.query.split('&').find_map(|pair| {
            let (known, value) = pair.split_once('=')?;
            (known == name).then(|| percent_decoded(value))
        })
    }

    /// Why the endpoint refuses the request, if it does.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let (time, id) = (self.value("beforeTime"), self.value("beforeId"));
        if self.value("limit").is_some() && self.limit.is_none_or(|limit| limit == 0) {
            return Some("limit must match ^[0-9]+$ and be at least 1");
        }
        if time.is_some() != id.is_some() {
            return Some("beforeTime and beforeId go together");
        }
        if time.is_some() && self.before.is_none() {
            return Some("beforeTime must match ^[0-9]+$ and beforeId ^[a-z0-9]+$");
        }
        if self.value("botSessionId").is_some() && self.bot_session.is_none() {
            return Some("botSessionId must match ^[a-z0-9]+$");
        }
        if self.before.is_none() && self.bot_session.is_none() {
            return Some("a filter is required: botSessionId, or beforeTime and beforeId");
        }
        None
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| *byte == b'%') {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
