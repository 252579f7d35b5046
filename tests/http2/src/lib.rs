//! Many streams that nobody polls, over a server that speaks HTTP/2 to whoever asks for it.
#![cfg(test)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use texter_history::{Client, Error, MessageStream, RetryPolicy};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const CERTIFICATE: &[u8] = include_bytes!("../../fixtures/untrusted_certificate.der");
const KEY: &[u8] = include_bytes!("../../fixtures/untrusted_key.der");

/// So many streams, of pages of nearly half a megabyte: far more than the window of a connection.
const STREAMS: usize = 60;
const TEXT: usize = 8 * 1024;

type Versions = Arc<Mutex<Vec<Version>>>;

/// A page of the 50 messages before the time asked for, one a second.
fn page(request: &Request<Incoming>) -> String {
    let query = request.uri().query().unwrap_or_default();
    let before = query.split('&').find_map(|pair| pair.strip_prefix("beforeTime="));
    let before: i64 = before.map_or(i64::MAX, |time| time.parse().unwrap());
    let newest = (before - 1).min(1_000_000) / 1_000;
    let text = "x".repeat(TEXT);
    let messages: Vec<String> = (newest - 49..=newest)
        .map(|n| format!(r#"{{"_id":"m{n}","timestamp":{},"text":"{text}"}}"#, n * 1_000))
        .collect();
    format!(r#"{{"messages":[{}],"minTime":1000,"maxTime":1000000}}"#, messages.join(","))
}

/// A server that speaks both, and in which version it was asked.
async fn server() -> (SocketAddr, Versions) {
    let key = PrivateKeyDer::try_from(KEY.to_vec()).unwrap();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(CERTIFICATE)], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let versions = Versions::default();
    let seen = Arc::clone(&versions);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(|request| {
                    seen.lock().unwrap().push(request.version());
                    let body = Full::new(Bytes::from(page(&request)));
                    async { Ok::<_, Infallible>(Response::new(body)) }
                });
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (address, versions)
}

/// Takes one message of each stream, which asks for its second page, and polls it no more.
async fn one_of_each(client: &Client) -> Result<Vec<MessageStream>, Error> {
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = client.messages("chat1").prefetch(1).stream();
        stream.next().await.unwrap()?;
        streams.push(stream);
    }
    Ok(streams)
}

fn builder(address: SocketAddr) -> texter_history::ClientBuilder {
    let url = format!("https://{address}");
    Client::builder().base_url(url).token("t").retry(RetryPolicy::none())
}

/// The crate's own client trusts the certificates of the machine: this test runs itself on one that has but the
/// server's.
#[test]
fn the_own_client_lets_no_stream_starve_another() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("certificates.pem");
    std::fs::write(&file, pem::encode(&pem::Pem::new("CERTIFICATE", CERTIFICATE))).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_own_client_by_itself", "--ignored", "--nocapture"])
        .env("SSL_CERT_FILE", &file)
        .env("SSL_CERT_DIR", directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "needs the certificates that the test above gives it"]
async fn the_own_client_by_itself() {
    let (address, versions) = server().await;
    let client = builder(address).timeout(Duration::from_secs(20)).build().unwrap();
    let mut streams = one_of_each(&client).await.unwrap();
    // All of them go on where they were.
    for stream in &mut streams {
        for _ in 0..60 {
            stream.next().await.unwrap().unwrap();
        }
    }
    let versions = versions.lock().unwrap();
    assert!(versions.len() >= 2 * STREAMS);
    assert!(versions.iter().all(|version| *version == Version::HTTP_11), "HTTP/1.1 only");
}

/// Why: a caller's own client that speaks HTTP/2.
#[tokio::test]
async fn over_http_2_the_streams_that_nobody_polls_starve_the_others() {
    let (address, versions) = server().await;
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_der(CERTIFICATE).unwrap()])
        .build()
        .unwrap();
    let client =
        builder(address).http_client(http).timeout(Duration::from_secs(3)).build().unwrap();
    let error = one_of_each(&client).await.unwrap_err();
    assert_eq!(error.kind(), texter_history::ErrorKind::Timeout);
    assert!(versions.lock().unwrap().iter().all(|version| *version == Version::HTTP_2));
}
