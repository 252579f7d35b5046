//! Makes a stream from a query: where the checkpoint lets the stream begin, and what is refused.

use std::fmt;
use std::time::Duration;

use super::{Messages, Order};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::id::is_well_formed;
use crate::page::Decode;
use crate::position::{Position, Standing, SyncPosition};
use crate::stream::{Begin, Source};
use crate::walk::End;

impl Messages {
    pub(crate) fn source<T>(mut self, decode: Decode<T>) -> Source<T> {
        self.bounds.max_page_size = self.max_page_size.unwrap_or(self.bounds.page_size);
        let given = self.checkpoint.clone();
        let checked =
            self.take_checkpoint().and_then(|standing| self.check(&standing).map(|()| standing));
        let (standing, begin) = match checked {
            Ok(standing) if self.bounds.max_messages == Some(0) => {
                (standing, Begin::Ended(End::ReachedMax))
            }
            Ok(standing) => (standing, Begin::Ask),
            Err(error) => {
                let refused = Begin::Refused(error.of(&self.chat));
                let standing = given.map(|given| self.put_back(given));
                (standing.unwrap_or_else(|| self.beginning()), refused)
            }
        };
        Source {
            endpoint: self.endpoint,
            chat: self.chat,
            bounds: self.bounds,
            standing,
            lookback: self.lookback.unwrap_or_default(),
            follow: match self.order {
                Order::Follow(every) => Some(every),
                Order::Unset | Order::OldestFirst => None,
            },
            concurrency: self.concurrency.max(1),
            prefetch: self.prefetch,
            skip_malformed: self.skip_malformed,
            in_hand: Vec::new(),
            begin,
            decode,
        }
    }

    /// A refused query passes its checkpoint on unchanged. Users who save the stream's checkpoint after the
    /// error lose nothing.
    fn put_back(&mut self, given: Checkpoint) -> Standing {
        self.chat = given.chat;
        self.bounds.bot_session = given.bot_session;
        (self.bounds.since, self.bounds.until) = (given.since, given.until);
        given.standing
    }

    /// The position of a walk that has handed out nothing.
    fn beginning(&self) -> Standing {
        match self.order {
            Order::Unset => Standing::newest_first(Position::default()),
            Order::OldestFirst | Order::Follow(_) => {
                Standing::OldestFirst { position: SyncPosition::default(), last: None }
            }
        }
    }

    fn take_checkpoint(&mut self) -> Result<Standing, Error> {
        let Some(checkpoint) = self.checkpoint.take() else {
            return Ok(self.beginning());
        };
        let refused = |what: &str| {
            let instead = match what {
                "chat" => "ask for that chat".to_owned(),
                _ => format!(
                    "leave `{}` out, because the checkpoint holds it",
                    what.replace(' ', "_")
                ),
            };
            Err(Error::invalid_request(format!(
                "the checkpoint is of another {what}; {instead}, or start without the checkpoint"
            )))
        };
        if checkpoint.chat != self.chat {
            return refused("chat");
        }
        if self.order != Order::Unset && !checkpoint.is_oldest_first() {
            return Err(Error::invalid_request(
                "the checkpoint is of a newest-first walk and goes on towards older messages; to go on towards \
                 newer ones, save newest_checkpoint() of that walk and resume from it",
            ));
        }
        let bounds = &mut self.bounds;
        // A walk through the whole chat and one through a session hand out different messages.
        if bounds.bot_session.is_some() && bounds.bot_session != checkpoint.bot_session {
            return refused("bot session");
        }
        bounds.bot_session = checkpoint.bot_session;
        for (own, its, what) in [
            (&mut bounds.since, checkpoint.since, "since"),
            (&mut bounds.until, checkpoint.until, "until"),
        ] {
            if its.is_some() && own.is_some() && its != *own {
                return refused(what);
            }
            *own = own.or(its);
        }
        match checkpoint.standing {
            // All messages up to `until` are older than those handed out. So none of them has been handed out.
            Standing::NewestFirst { position, .. }
                if bounds.until.is_some() && bounds.until < position.timestamp() =>
            {
                Ok(self.beginning())
            }
            standing => Ok(standing),
        }
    }

    fn check(&self, standing: &Standing) -> Result<(), Error> {
        let refused = |why| Err(Error::invalid_request(why));
        if !is_well_formed(self.chat.as_str()) {
            return refused("the chat id is not of a-z and 0-9; use the chat's _id");
        }
        if self.bounds.bot_session.as_ref().is_some_and(|id| !is_well_formed(id.as_str())) {
            return refused(
                "the bot session's id is not of a-z and 0-9; use a message's botSessionId",
            );
        }
        if self.bounds.page_size == 0 {
            return refused("a page size of 0 can show nothing; use at least 1");
        }
        if self.bounds.max_page_size < self.bounds.page_size {
            return refused(
                "the largest page size is below the page size; raise it or leave it unset",
            );
        }
        if self.bounds.until.is_some_and(|until| until.as_millis() < 0) {
            return refused("until lies before 1970, which the endpoint cannot be asked for");
        }
        let (since, until) = (self.bounds.since, self.bounds.until);
        if since.zip(until).is_some_and(|(since, until)| since > until) {
            return refused("since lies after until; exchange them");
        }
        if self.lookback.is_some() && matches!(standing, Standing::NewestFirst { .. }) {
            return refused(
                "a lookback means something only where the walk goes on to what is new; set oldest_first() or \
                 follow(), too",
            );
        }
        if self.order == Order::Follow(Duration::ZERO) {
            return refused(
                "a stream that follows without a pause would never rest; use a second or more",
            );
        }
        Ok(())
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("chat", &self.chat)
            .field("bounds", &self.bounds)
            .field("max_page_size", &self.max_page_size)
            .field("order", &self.order)
            .field("lookback", &self.lookback)
            .field("concurrency", &self.concurrency)
            .field("prefetch", &self.prefetch)
            .field("skip_malformed", &self.skip_malformed)
            .field("checkpoint", &self.checkpoint)
            .finish_non_exhaustive()
    }
}
