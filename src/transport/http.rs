//! The transport that sends by `reqwest`.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use futures_util::{StreamExt, TryStreamExt};
use reqwest::Url;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName,
    HeaderValue, RETRY_AFTER,
};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::{Handle, Id};

use super::failure::{broken_off, cannot_be_made, not_sent};
use super::{Response, Sending, Transport};
use crate::error::{Error, ErrorKind};
use crate::retry::parse_retry_after;

/// Sends by `reqwest`.
pub(crate) struct HttpTransport {
    clients: Clients,
    token: SecretString,
    /// Whether any answer has come yet. If so, the server's name has been resolved, and a connection may have
    /// been kept alive.
    answered: Arc<AtomicBool>,
    /// Each request holds a clone until its answer has been read.
    under_way: Arc<()>,
    /// How many requests were under way at once, at most. Each may have left a connection behind.
    most_under_way: AtomicUsize,
}

/// The HTTP clients that hold the connections.
enum Clients {
    /// The caller's HTTP client.
    Given(reqwest::Client),
    /// One HTTP client for each of the runtimes that sent last. A connection works only while its own runtime
    /// runs.
    Own { plain: bool, made: Mutex<Vec<(Option<Id>, reqwest::Client)>> },
}

/// For how many runtimes HTTP clients are kept.
const MOST_RUNTIMES: usize = 8;

impl HttpTransport {
    /// Uses the caller's HTTP client.
    pub(crate) fn given(client: reqwest::Client, token: SecretString) -> Self {
        Self::new(Clients::Given(client), token)
    }

    /// Uses HTTP clients of its own. All addresses are `http` if `plain` is set, and `https` otherwise.
    pub(crate) fn own(plain: bool, token: SecretString) -> Result<Self, Error> {
        // The first client is made now, for whichever runtime comes first. So a failure shows before any
        // request.
        let made = Mutex::new(vec![(None, own_client(plain)?)]);
        Ok(Self::new(Clients::Own { plain, made }, token))
    }

    fn new(clients: Clients, token: SecretString) -> Self {
        let (answered, under_way) = (Arc::default(), Arc::default());
        Self { clients, token, answered, under_way, most_under_way: AtomicUsize::new(1) }
    }

    /// The header that carries the token. It is marked sensitive so that nothing prints it.
    fn authorization(&self) -> Option<HeaderValue> {
        let text = Zeroizing::new(format!("Bearer {}", self.token.expose_secret()));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl Clients {
    fn here(&self) -> Result<reqwest::Client, Error> {
        let (plain, made) = match self {
            Self::Given(client) => return Ok(client.clone()),
            Self::Own { plain, made } => (*plain, made),
        };
        let here = Handle::try_current().ok().map(|handle| handle.id());
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((runtime, client)) =
            made.iter_mut().find(|(runtime, _)| runtime.is_none() || *runtime == here)
        {
            *runtime = here;
            return Ok(client.clone());
        }
        let client = own_client(plain)?;
        if made.len() == MOST_RUNTIMES {
            made.remove(0);
        }
        made.push((here, client.clone()));
        Ok(client)
    }
}

/// The crate's own HTTP client. It does not retry, because this crate does. It follows no redirect, because the
/// token belongs to one host.
fn own_client(plain: bool) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder();
    if plain {
        // NOTE: a proxy from the environment could read the token here. For https, a proxy is only a tunnel.
        builder = builder.no_proxy();
        // Plain http uses no certificates, so the machine may have none.
        #[cfg(any(feature = "rustls", feature = "native-tls"))]
        {
            builder = builder.tls_certs_only([]);
        }
    }
    builder
        // NOTE: over HTTP/2 all bodies share one connection's flow-control window. Bodies that nobody reads
        // would fill it.
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(cannot_be_made)
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").finish_non_exhaustive()
    }
}

impl Transport for HttpTransport {
    fn send(&self, url: Url) -> Sending {
        let authorization = self.authorization();
        let client = self.clients.here();
        let answered = Arc::clone(&self.answered);
        let held = Arc::clone(&self.under_way);
        self.most_under_way.fetch_max(Arc::strong_count(&held) - 1, Ordering::Relaxed);
        // Others may have used the caller's HTTP client before.
        let shared = matches!(self.clients, Clients::Given(_));
        Box::pin(async move {
            let authorization = authorization
                .ok_or_else(|| Error::invalid_request("the token cannot be sent in a header"))?;
            let request = client?.get(url.clone()).header(ACCEPT, "application/json");
            let sent = request.header(AUTHORIZATION, authorization).send().await;
            let response = sent.map_err(|error| {
                let answered = answered.load(Ordering::Relaxed);
                not_sent(error, answered, answered || shared)
            })?;
            answered.store(true, Ordering::Relaxed);
            if *response.url() != url {
                return Err(Error::new(
                    ErrorKind::Status,
                    "the answer came from another address than was asked; switch redirects off in the \
                     HTTP client",
                ));
            }
            let status = response.status().as_u16();
            let headers = response.headers();
            if let Some(encoding) = unknown_encoding(headers).filter(|_| status == 200) {
                return Err(Error::new(
                    ErrorKind::MalformedPage,
                    format!(
                        "the answer came in the Content-Encoding {encoding}, which was not asked for"
                    ),
                ));
            }
            Ok(Response {
                status,
                retry_after: retry_after(headers),
                other_type: other_type(headers),
                length: response.content_length(),
                body: response
                    .bytes_stream()
                    .map_err(move |error| {
                        let _until_read = &held;
                        broken_off(error)
                    })
                    .boxed(),
            })
        })
    }

    fn most_kept_alive(&self) -> usize {
        self.most_under_way.load(Ordering::Relaxed)
    }
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// NOTE: if the answer tells the server's own time, the date counts from that time, because this machine's
/// clock may be wrong.
fn retry_after(headers: &HeaderMap) -> Option<std::time::Duration> {
    let date = text_of(headers, DATE).and_then(|text| httpdate::parse_http_date(text).ok());
    parse_retry_after(text_of(headers, RETRY_AFTER)?, date.unwrap_or_else(SystemTime::now))
}

/// An encoding that is still named. `reqwest` removes the header of the encodings that it decoded.
fn unknown_encoding(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_ENCODING)?;
    (!value.as_bytes().eq_ignore_ascii_case(b"identity") && !value.is_empty())
        .then(|| shown(value.as_bytes()))
}

fn other_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.as_bytes();
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let is_json = essence.to_ascii_lowercase().ends_with(b"json");
    (!is_json).then(|| shown(essence))
}

/// A header's value for an error's text, short and without control characters.
fn shown(value: &[u8]) -> String {
    value.iter().take(64).flat_map(|byte| byte.escape_ascii()).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_date_is_read_against_the_answers_own_clock() {
        let asked = (RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT");
        let given = headers(&[asked.clone(), (DATE, "Sun, 06 Nov 1994 08:49:35 GMT")]);
        assert_eq!(retry_after(&given), Some(Duration::from_secs(2)));
        // The date is long ago by this machine's clock, which is the only one here.
        assert_eq!(retry_after(&headers(std::slice::from_ref(&asked))), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers(&[asked, (DATE, "today")])), Some(Duration::ZERO));
        let seconds = headers(&[(RETRY_AFTER, "7"), (DATE, "Sun, 06 Nov 1994 08:49:35 GMT")]);
        assert_eq!(retry_after(&seconds), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&headers(&[])), None);
    }

    #[test]
    fn json_is_known_by_its_type_and_anything_else_named() {
        for json in ["application/json", "Application/JSON; charset=utf-8", "text/json", "x/y+json"]
        {
            assert_eq!(other_type(&headers(&[(CONTENT_TYPE, json)])), None, "{json}");
        }
        let named = |value| other_type(&headers(&[(CONTENT_TYPE, value)]));
        assert_eq!(named("text/html; charset=utf-8").as_deref(), Some("text/html"));
        assert_eq!(named("a\tb\"").as_deref(), Some("a\\tb\\\""));
        assert_eq!(other_type(&headers(&[])), None);
    }

    #[test]
    fn connections_are_kept_for_each_of_the_last_runtimes() {
        let transport = HttpTransport::own(true, SecretString::from("t")).unwrap();
        let Clients::Own { made, .. } = &transport.clients else { panic!("its own") };
        for runtimes in 1..=MOST_RUNTIMES + 2 {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _entered = runtime.enter();
            for _ in 0..3 {
                transport.clients.here().unwrap();
            }
            assert_eq!(made.lock().unwrap().len(), runtimes.min(MOST_RUNTIMES));
        }
    }
}
