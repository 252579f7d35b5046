//! Connections that are not made, close, or lead elsewhere: what is told, and what is asked again.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use futures::{StreamExt, TryStreamExt};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use texter_history::testing::{FakeTexter, Fault};
use texter_history::{Client, ClientBuilder, Error, ErrorKind, Message, RetryPolicy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{CHAT, at_once, client_of, conversation, ids, newest_first, server_with};

/// Made for these tests, by nobody that anybody trusts, for 127.0.0.1.
const CERTIFICATE: &[u8] = include_bytes!("../fixtures/untrusted_certificate.der");
const KEY: &[u8] = include_bytes!("../fixtures/untrusted_key.der");

const EMPTY_PAGE: &str = r#"{"messages":[],"minTime":false,"maxTime":false}"#;

async fn failure(client: ClientBuilder) -> Error {
    let client = client.token("s3cret").build().unwrap();
    let error = client.messages(CHAT).stream().next().await.unwrap().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"));
    error
}

/// A server on a port of its own, which does this with each connection, and how many there have been.
async fn listening<F>(
    mut serve: impl FnMut(tokio::net::TcpStream) -> F + Send + 'static,
) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream));
        }
    });
    (address, accepted)
}

/// Reads up to the end of a request's head, or of the stream.
async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
}

async fn answer(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, answer: String) {
    read_request(&mut stream).await;
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn tls_server() -> (SocketAddr, Arc<AtomicUsize>) {
    let key = PrivateKeyDer::try_from(KEY.to_vec()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(CERTIFICATE)], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    listening(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                let length = EMPTY_PAGE.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                answer(stream, head + EMPTY_PAGE).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_untrusted_certificate_is_named_and_asked_for_once() {
    let (address, accepted) = tls_server().await;
    let client = Client::builder().base_url(format!("https://{address}")).retry(at_once());
    let error = failure(client).await;
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Transport, 1));
    assert!(!error.is_retryable());
    let told = error.to_string();
    assert!(told.contains("certificate is not trusted") && told.contains("http_client"), "{told}");
    assert_eq!(accepted.load(Ordering::SeqCst), 1);

    // Whoever trusts it reads on.
    let trusts = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_der(CERTIFICATE).unwrap()])
        .build()
        .unwrap();
    let client = Client::builder().base_url(format!("https://{address}")).http_client(trusts);
    let client = client.token("t").build().unwrap();
    assert!(client.messages(CHAT).stream().next().await.is_none());
}

#[tokio::test]
async fn tls_spoken_to_a_plain_port_is_named_and_asked_for_once() {
    let server = server_with(3).start().await.unwrap();
    let url = server.base_url().replace("http://", "https://");
    let error = failure(Client::builder().base_url(url).retry(at_once())).await;
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Transport, 1));
    assert!(!error.is_retryable());
    let told = error.to_string();
    assert!(told.contains("does not speak TLS") && told.contains("http://"), "{told}");
    assert!(!told.contains("check the network"), "{told}");
}

/// Knows names as a name server does that fails in these words, until it answers with an address.
struct Names {
    fails: &'static str,
    times: usize,
    asked: Arc<AtomicUsize>,
    address: SocketAddr,
}

impl Resolve for Names {
    fn resolve(&self, _: Name) -> Resolving {
        let (asked, fails) = (self.asked.fetch_add(1, Ordering::SeqCst), self.fails);
        let answer: Result<Addrs, Box<dyn std::error::Error + Send + Sync>> = if asked < self.times
        {
            Err(io::Error::other(format!("failed to lookup address information: {fails}")).into())
        } else {
            Ok(Box::new([self.address].into_iter()))
        };
        Box::pin(async { answer })
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_named_and_one_that_does_not_exist_asked_for_once() {
    for (fails, attempts) in [
        ("Name or service not known", 1),
        ("Name does not resolve", 1),
        ("Temporary failure in name resolution", 3),
        ("nodename nor servname provided, or not known", 3),
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let names = Names { fails, times: usize::MAX, asked: Arc::clone(&asked), address };
        let http = reqwest::Client::builder().dns_resolver(Arc::new(names)).build().unwrap();
        let client = Client::builder().project("acme").http_client(http);
        let error = failure(client.retry(at_once().max_attempts(3))).await;
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Transport, attempts), "{fails}");
        assert_eq!(error.is_retryable(), attempts > 1);
        assert_eq!(asked.load(Ordering::SeqCst), attempts as usize);
        let told = error.to_string();
        assert!(told.contains("does not resolve") && told.contains("project"), "{told}");
    }
}

/// Both ways in which a proxy is asked: a tunnel for https, the whole URL for http.
#[tokio::test]
async fn a_proxy_that_asks_for_a_password_is_named_and_asked_once() {
    for url in ["https://acme.texterchat.com", "http://127.0.0.1:9"] {
        let (address, accepted) = listening(|stream| {
            let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
            answer(stream, refusal.to_owned())
        })
        .await;
        let proxy = reqwest::Proxy::all(format!("http://{address}")).unwrap();
        let http = reqwest::Client::builder().proxy(proxy).build().unwrap();
        let client = Client::builder().base_url(url).http_client(http).retry(at_once());
        let error = failure(client).await;
        assert_eq!(
            (error.kind(), error.status()),
            (ErrorKind::Status, Some(407)),
            "{url} {error:#?}"
        );
        assert_eq!((error.attempts(), error.is_retryable()), (1, false));
        let told = error.to_string();
        assert!(told.contains("proxy answered 407") && told.contains("password"), "{told}");
        assert_eq!(accepted.load(Ordering::SeqCst), 1);
    }
}

/// As a program that is started on a machine without certificates.
async fn without_certificates(url: &str, token: &str) -> (bool, String) {
    let empty = tempfile::tempdir().unwrap();
    let file = empty.path().join("none.pem");
    std::fs::write(&file, "").unwrap();
    let output = Command::new(super::export::example("history"))
        .arg(CHAT)
        .env("TEXTER_BASE_URL", url)
        .env("TEXTER_TOKEN", token)
        .env("SSL_CERT_FILE", &file)
        .env("SSL_CERT_DIR", empty.path())
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the examples are built: cargo build --examples");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn a_machine_without_certificates_reads_plain_http_and_is_told_what_https_needs() {
    let server = server_with(5).start().await.unwrap();
    let (success, said) = without_certificates(&server.base_url(), server.token()).await;
    assert!(success && said.contains("5 messages"), "{said}");
    let (success, said) = without_certificates("https://127.0.0.1:9", "t").await;
    assert!(!success && said.contains("ca-certificates"), "{said}");
    assert!(said.contains("SSL_CERT_FILE") && !said.contains("panicked"), "{said}");
}

#[tokio::test]
async fn a_kept_alive_connection_that_closes_is_asked_again_at_once() {
    let server = server_with(30).start().await.unwrap();
    let expected = newest_first(&conversation(30));
    let client = client_of(&server).retry(RetryPolicy::none()).build().unwrap();
    let mut stream = client.messages(CHAT).page_size(10).stream();
    let mut messages: Vec<Message> = Vec::new();
    while let Some(message) = stream.next().await {
        messages.push(message.unwrap());
        // Each page but the first is asked for on a connection that closes.
        if messages.len() % 10 == 0 && messages.len() < 30 {
            server.push_fault(Fault::Close);
        }
    }
    assert_eq!(ids(&messages), expected);
    assert_eq!((stream.stats().requests, stream.stats().retries), (6, 2));
    assert_eq!(server.request_count(), 6);
}

#[tokio::test]
async fn several_kept_alive_connections_that_close_are_asked_again_at_once() {
    const KEPT: usize = 3;
    const EMPTY: &str = r#"{"messages":[],"minTime":false,"maxTime":false}"#;
    let closed = Arc::new(AtomicUsize::new(0));
    let all_asked = Arc::new(tokio::sync::Barrier::new(KEPT));
    let (counter, mut number) = (Arc::clone(&closed), 0);
    // Each connection answers once, and closes instead of a second answer.
    let (address, _) = listening(move |mut stream| {
        let (closed, all_asked) = (Arc::clone(&counter), Arc::clone(&all_asked));
        number += 1;
        let first = number <= KEPT;
        async move {
            read_request(&mut stream).await;
            if first {
                // Each of the first requests needs a connection of its own.
                all_asked.wait().await;
            }
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
            let answer = format!("{head}: {}\r\n\r\n{EMPTY}", EMPTY.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            read_request(&mut stream).await;
            closed.fetch_add(usize::from(first), Ordering::SeqCst);
        }
    })
    .await;
    let client = Client::builder().base_url(format!("http://{address}")).token("t");
    let client = client.retry(RetryPolicy::none()).build().unwrap();
    let read = || async { client.messages(CHAT).stream().try_collect::<Vec<Message>>().await };
    for read in futures::future::join_all((0..KEPT).map(|_| read())).await {
        assert_eq!(read.unwrap(), []);
    }
    for _ in 0..100 {
        assert_eq!(read().await.unwrap(), []);
        if closed.load(Ordering::SeqCst) == KEPT {
            return;
        }
    }
    panic!("{closed:?} of {KEPT} connections were used again");
}

/// The caller's HTTP client may hold connections that others have used, so the first request is sent again too.
#[tokio::test]
async fn a_connection_that_others_kept_alive_and_that_closes_is_asked_again_at_once() {
    let server = server_with(5).start().await.unwrap();
    let http = reqwest::Client::builder().retry(reqwest::retry::never()).build().unwrap();
    let client = || client_of(&server).http_client(http.clone()).retry(RetryPolicy::none());
    let other = client().build().unwrap();
    assert_eq!(other.messages(CHAT).stream().count().await, 5);
    server.push_fault(Fault::Close);
    let client = client().build().unwrap();
    let messages: Vec<Message> = client.messages(CHAT).stream().try_collect().await.unwrap();
    assert_eq!((messages.len(), server.request_count()), (5, 3));
}

#[tokio::test]
async fn a_server_that_only_closes_is_not_asked_for_ever() {
    let closes = |_: &_, _| Some(Fault::Close);
    let server = FakeTexter::builder().faults(closes).start().await.unwrap();
    let client = client_of(&server).retry(RetryPolicy::none()).build().unwrap();
    let error = client.messages(CHAT).stream().next().await.unwrap().unwrap_err();
    // Nothing had been kept alive.
    assert_eq!(
        (error.kind(), error.attempts(), server.request_count()),
        (ErrorKind::Transport, 1, 1)
    );

    let server = server_with(30);
    let server =
        server.faults(|_, number| (number > 0).then_some(Fault::Close)).start().await.unwrap();
    let client = client_of(&server).retry(at_once().max_attempts(3)).build().unwrap();
    let mut stream = client.messages(CHAT).page_size(10).stream();
    let read: Result<Vec<Message>, Error> = stream.by_ref().try_collect().await;
    assert_eq!(read.unwrap_err().attempts(), 6);
    assert_eq!((stream.stats().requests, server.request_count()), (7, 7));
}

/// An HTTP client that follows redirects gets an answer that nobody asked for.
#[tokio::test]
async fn an_answer_from_another_address_is_refused() {
    let elsewhere = server_with(5).token("a").start().await.unwrap();
    let server = server_with(5).token("a").start().await.unwrap();
    let path = format!("/messages/chat/{CHAT}?limit=50&beforeTime=1&beforeId=a");
    for target in [
        // Another host, and another page of the right one.
        format!("{}{path}", elsewhere.base_url()),
        format!("{}{path}", server.base_url()),
    ] {
        let headers = vec![("location".to_owned(), target)];
        server.push_fault(Fault::Answer { status: 307, headers, body: "".into() });
        let client = client_of(&server).http_client(reqwest::Client::new()).retry(at_once());
        let mut stream = client.build().unwrap().messages(CHAT).stream();
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.status(), error.attempts()), (ErrorKind::Status, None, 1));
        assert!(error.to_string().contains("switch redirects off"), "{error}");
        assert!(stream.next().await.is_none());
    }
    assert_eq!((elsewhere.request_count(), server.request_count()), (1, 3), "they were followed");
    assert!(elsewhere.requests()[0].header("authorization").is_none());
}

#[tokio::test]
async fn what_the_server_calls_its_body_is_named_when_it_cannot_be_read() {
    let server = server_with(3).start().await.unwrap();
    let client = client_of(&server).retry(at_once()).build().unwrap();
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let page = EMPTY_PAGE;
    for (headers, body, named) in [
        (
            vec![header("content-type", "text/html; charset=utf-8")],
            "<html>busy</html>",
            "text/html",
        ),
        (vec![header("content-type", "text/plain")], "", "text/plain"),
        (vec![header("content-encoding", "br")], page, "Content-Encoding br"),
        (vec![header("content-encoding", "zstd, gzip")], page, "Content-Encoding zstd, gzip"),
    ] {
        server.push_fault(Fault::Answer { status: 200, headers, body: body.to_owned().into() });
        let error = client.messages(CHAT).stream().next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::MalformedPage, 1), "{error}");
        assert!(error.to_string().contains(named), "{error}");
        assert!(!error.to_string().contains("busy"), "{error}");
    }
    // What can be read is read, whatever it is called.
    for headers in
        [vec![header("content-type", "text/plain")], vec![header("content-encoding", "identity")]]
    {
        server.push_fault(Fault::Answer { status: 200, headers, body: page.into() });
        assert!(client.messages(CHAT).stream().next().await.is_none());
    }
    server.push_fault(Fault::body("<html>busy</html>"));
    let error = client.messages(CHAT).stream().next().await.unwrap().unwrap_err();
    assert!(!error.to_string().contains("Content-Type"), "it is called JSON: {error}");
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped() {
    let messages = conversation(3);
    let texts: Vec<String> = messages.iter().map(|message| message.json().to_string()).collect();
    let page = format!("\u{feff}{{\"messages\":[{}],\"minTime\":false}}", texts.join(","));
    let server = server_with(0).start().await.unwrap();
    server.push_fault(Fault::body(page));
    let client = client_of(&server).build().unwrap();
    let mut stream = client.messages(CHAT).stream();
    let read: Vec<Message> = stream.by_ref().take(3).try_collect().await.unwrap();
    assert_eq!(ids(&read), newest_first(&messages));
}

/// A clock ten minutes fast asks nobody to wait for ten minutes.
#[tokio::test]
async fn a_date_to_wait_for_is_read_against_the_server_s_own_clock() {
    let server = server_with(3).start().await.unwrap();
    let now = SystemTime::now() + Duration::from_secs(600);
    let headers = vec![
        ("date".to_owned(), httpdate::fmt_http_date(now)),
        ("retry-after".to_owned(), httpdate::fmt_http_date(now + Duration::from_secs(1))),
    ];
    server.push_fault(Fault::Answer { status: 503, headers, body: "".into() });
    let client = client_of(&server).retry(RetryPolicy::none()).build().unwrap();
    let error = client.messages(CHAT).stream().next().await.unwrap().unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
}
