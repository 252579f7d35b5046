//! A connection that can send something other than HTTP.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The bytes that a connection sends in place of its next answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Instead(Arc<Mutex<Option<Bytes>>>);

impl Instead {
    pub(super) fn say(&self, bytes: Bytes) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
    }
}

pin_project! {
    /// A TCP connection that writes what it is given, until it is told to send other bytes. It then writes
    /// those bytes and fails, which closes it.
    pub(super) struct Connection {
        #[pin]
        stream: TcpStream,
        instead: Instead,
    }
}

impl Connection {
    pub(super) fn new(stream: TcpStream, instead: Instead) -> Self {
        Self { stream, instead }
    }

    fn poll_instead(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut this = self.project();
        let mut instead = this.instead.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bytes) = instead.as_mut() else {
            return Poll::Ready(Ok(()));
        };
        while !bytes.is_empty() {
            let written = ready!(this.stream.as_mut().poll_write(cx, bytes))?;
            bytes.advance(written);
        }
        ready!(this.stream.as_mut().poll_shutdown(cx))?;
        Poll::Ready(Err(Error::new(
            ErrorKind::ConnectionAborted,
            "something else was said instead",
        )))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        self.project().stream.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        ready!(self.as_mut().poll_instead(cx))?;
        self.project().stream.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        ready!(self.as_mut().poll_instead(cx))?;
        self.project().stream.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.project().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.project().stream.poll_shutdown(cx)
    }
}
