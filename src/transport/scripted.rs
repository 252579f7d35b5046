//! A transport that answers from a script and records what was asked.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use reqwest::Url;
use tokio::time::Instant;

use super::{Response, Sending, Transport};
use crate::client::Client;
use crate::cursor::Cursor;
use crate::error::{Cause, Error, ErrorKind};
use crate::retry::RetryPolicy;
use crate::timestamp::Timestamp;
use crate::walk::Ask;
use crate::walk::model::{CHAT, Model};

/// What comes back for one request.
pub(crate) enum Reply {
    /// An answer whose body arrives in these pieces, each of them `pause` after the one before.
    Pieces { status: u16, pieces: Vec<Bytes>, pause: Duration },
    /// An answer with this status and this `Retry-After`.
    Status(u16, Option<Duration>),
    /// The connection breaks before the answer.
    Broken,
    /// A connection that was kept alive turns out to be closed.
    Closed,
    /// The connection breaks after these bytes of the body.
    Cut(Bytes),
    /// Nothing ever comes back.
    Silence,
    /// The inner reply, with this length announced.
    Announced(u64, Box<Self>),
    /// The inner reply, after this time.
    Late(Duration, Box<Self>),
}

impl Reply {
    pub(crate) fn body(body: impl Into<Bytes>) -> Self {
        Self::Pieces { status: 200, pieces: vec![body.into()], pause: Duration::ZERO }
    }

    /// A body that arrives `size` bytes at a time.
    pub(crate) fn in_pieces(body: &str, size: usize, pause: Duration) -> Self {
        let pieces = body.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
        Self::Pieces { status: 200, pieces, pause }
    }
}

type Script = Box<dyn Fn(&Ask, usize) -> Reply + Send + Sync>;

pub(crate) struct Scripted {
    asked: Mutex<Vec<(Url, Instant)>>,
    script: Script,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}

impl Scripted {
    /// Makes a client for this script. The script gets the request and the number of requests before it.
    pub(crate) fn new(
        script: impl Fn(&Ask, usize) -> Reply + Send + Sync + 'static,
    ) -> (Client, Arc<Self>) {
        Self::with_retry(RetryPolicy::none(), script)
    }

    pub(crate) fn with_retry(
        retry: RetryPolicy,
        script: impl Fn(&Ask, usize) -> Reply + Send + Sync + 'static,
    ) -> (Client, Arc<Self>) {
        let scripted = Arc::new(Self { asked: Mutex::default(), script: Box::new(script) });
        let transport: Arc<dyn Transport> = Arc::<Self>::clone(&scripted);
        (Client::with_transport(transport, retry), scripted)
    }

    /// Answers as the model does.
    pub(crate) fn model(model: Model) -> (Client, Arc<Self>) {
        Self::new(move |ask, number| answer(&model, ask, number))
    }

    /// The URLs asked for.
    pub(crate) fn urls(&self) -> Vec<Url> {
        self.asked.lock().unwrap().iter().map(|(url, _)| url.clone()).collect()
    }

    /// The limits asked for.
    pub(crate) fn limits(&self) -> Vec<u32> {
        self.urls().iter().map(|url| read(url).limit).collect()
    }

    /// When the requests came, by tokio's clock.
    pub(crate) fn times(&self) -> Vec<Instant> {
        self.asked.lock().unwrap().iter().map(|(_, time)| *time).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// The model's answer as a reply.
pub(crate) fn answer(model: &Model, ask: &Ask, number: usize) -> Reply {
    match model.answer(ask, number as u64) {
        Ok(page) => Reply::body(model.body(&page)),
        Err(status) => Reply::Status(status, None),
    }
}

fn read(url: &Url) -> Ask {
    assert_eq!(url.path(), format!("/server/api/v2/messages/chat/{CHAT}"));
    let value = |name: &str| {
        url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    };
    let time = value("beforeTime").map(|time| Timestamp::from_millis(time.parse().unwrap()));
    let id = value("beforeId");
    Ask {
        limit: value("limit").unwrap().parse().unwrap(),
        cursor: time.zip(id).map(|(timestamp, id)| Cursor { timestamp, id: id.into() }),
        bot_session: value("botSessionId").is_some(),
    }
}

impl Transport for Scripted {
    fn send(&self, url: Url) -> Sending {
        let ask = read(&url);
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push((url, Instant::now()));
            asked.len() - 1
        };
        play((self.script)(&ask, number))
    }
}

fn play(reply: Reply) -> Sending {
    let broken = || Error::new(ErrorKind::Transport, "the connection broke");
    let response = move |status, retry_after, body| Response {
        status,
        retry_after,
        other_type: None,
        length: None,
        body,
    };
    match reply {
        Reply::Pieces { status, pieces, pause } => {
            let body = stream::iter(pieces).then(move |piece| async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                Ok(piece)
            });
            let response = response(status, None, body.boxed());
            async move { Ok(response) }.boxed()
        }
        Reply::Status(status, retry_after) => {
            let response = response(status, retry_after, stream::empty().boxed());
            async move { Ok(response) }.boxed()
        }
        Reply::Broken => async move { Err(broken()) }.boxed(),
        Reply::Closed => async move { Err(broken().with_cause(Cause::Unanswered)) }.boxed(),
        Reply::Cut(piece) => {
            let body = stream::iter([Ok(piece), Err(broken())]);
            let response = response(200, None, body.boxed());
            async move { Ok(response) }.boxed()
        }
        Reply::Silence => std::future::pending().boxed(),
        Reply::Announced(length, reply) => {
            async move { Ok(Response { length: Some(length), ..play(*reply).await? }) }.boxed()
        }
        Reply::Late(wait, reply) => async move {
            tokio::time::sleep(wait).await;
            play(*reply).await
        }
        .boxed(),
    }
}
