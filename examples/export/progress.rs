//! Shows how far each chat is: bars on a terminal, else a line now and then.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use texter_history::MessageStream;

use crate::common;
use crate::waits::Waits;

/// The bars of all chats, and one for all of them.
pub(crate) struct Progress {
    /// On a terminal.
    bars: Option<MultiProgress>,
    /// Of more chats than one.
    all: Option<ProgressBar>,
    waits: Waits,
}

impl Progress {
    pub(crate) fn new(chats: usize, waits: Waits) -> Self {
        let bars = io::stderr().is_terminal().then(MultiProgress::new);
        let all = bars.as_ref().filter(|_| chats > 1).map(|bars| {
            let all = bars.add(ProgressBar::new(chats as u64));
            all.set_style(style("{bar:40} {pos} of {len} chats"));
            all.tick();
            all
        });
        Self { bars, all, waits }
    }

    /// A bar above the one for all.
    pub(crate) fn chat(&self, id: &str) -> ChatProgress<'_> {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = ProgressBar::new(SHARES);
            let bar = match &self.all {
                Some(all) => bars.insert_before(all, bar),
                None => bars.add(bar),
            };
            bar.set_style(style("{bar:40} {percent:>3}%  {prefix}{msg}"));
            if self.all.is_some() {
                bar.set_prefix(format!("{id}  "));
            }
            bar
        });
        let now = Instant::now();
        ChatProgress {
            of: self,
            id: id.to_owned(),
            bar,
            began: now,
            shown: now,
            heard: now,
            queued: Duration::ZERO,
            told_wait: None,
            messages: 0,
            first_share: None,
        }
    }

    /// A chat is done, or has failed.
    pub(crate) fn done(&self) {
        if let Some(all) = &self.all {
            all.inc(1);
        }
    }

    /// A line for people to read, between the bars.
    pub(crate) fn tell(&self, line: &str) {
        self.between(|| common::tell(line));
    }

    /// Does something to the terminal while no bar is in its way.
    pub(crate) fn between<T>(&self, f: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(f),
            None => f(),
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bars) = &self.bars {
            let _ = bars.clear();
        }
    }
}

/// How far one chat is.
pub(crate) struct ChatProgress<'a> {
    of: &'a Progress,
    id: String,
    bar: Option<ProgressBar>,
    began: Instant,
    shown: Instant,
    /// When the last message came.
    heard: Instant,
    /// How long its requests have stood in the queue, all in all.
    queued: Duration,
    /// The end of the wait that a line has told of.
    told_wait: Option<Instant>,
    messages: u64,
    /// How far the walk was when this process first looked.
    first_share: Option<f64>,
}

const SHARES: u64 = 10_000;
/// Between two looks of a bar, and between two lines.
const OFTEN: Duration = Duration::from_millis(200);
const SELDOM: Duration = Duration::from_secs(2);
/// A silence as long as this is told.
const SILENCE: Duration = Duration::from_secs(2);

impl ChatProgress<'_> {
    /// A message has come.
    pub(crate) fn message<T>(&mut self, stream: &MessageStream<T>, total: u64) {
        self.messages += 1;
        self.first_share.get_or_insert_with(|| stream.progress().unwrap_or(0.0));
        let now = Instant::now();
        self.heard = now;
        let pause = if self.bar.is_some() { OFTEN } else { SELDOM };
        if now.duration_since(self.shown) >= pause {
            self.show(stream, &self.pace(stream, total));
        }
    }

    /// Nothing has come for a moment: says what is waited for.
    pub(crate) fn silence<T>(
        &mut self,
        stream: &MessageStream<T>,
        total: u64,
        every: Option<Duration>,
    ) {
        let now = Instant::now();
        if let Some(wait) = self.of.waits.of(&self.id) {
            let left = wait.until.duration_since(now).as_secs_f64().ceil();
            let text = format!("{total} messages, {}; asked again in {left:.0} s", wait.why);
            let is_new = self.told_wait != Some(wait.until);
            if self.bar.is_some() || is_new {
                self.told_wait = Some(wait.until);
                self.show(stream, &text);
            }
            return;
        }
        if let Some(every) = every.filter(|_| stream.is_caught_up()) {
            if self.bar.is_some() {
                self.show(stream, &format!("{total} messages, up to date; looks every {every:?}"));
            }
            return;
        }
        let silent = now.duration_since(self.heard);
        let pause = if self.bar.is_some() { OFTEN } else { 5 * SELDOM };
        // It grows as long as a request stands in the queue that all chats share.
        let queued =
            stream.stats().waited > std::mem::replace(&mut self.queued, stream.stats().waited);
        if silent >= SILENCE && now.duration_since(self.shown) >= pause {
            let silent = silent.as_secs();
            let what = match queued {
                true => "waits for its turn, because the server asked to slow down, for",
                false => "no answer from the server for",
            };
            self.show(stream, &format!("{total} messages, {what} {silent} s"));
        }
    }

    /// How many, how fast, how long to go.
    fn pace<T>(&self, stream: &MessageStream<T>, total: u64) -> String {
        let elapsed = self.began.elapsed().as_secs_f64();
        let rate = self.messages as f64 / elapsed.max(0.001);
        // The share is one of the chat's time, and so is the estimate that is made from it.
        let share = stream.progress().unwrap_or(0.0);
        let walked = share - self.first_share.unwrap_or(share);
        let left = match walked > 0.0 {
            true => format!("about {:.0} s left", elapsed * (1.0 - share) / walked),
            false => "time left unknown".to_owned(),
        };
        format!("{total} messages, {rate:.0}/s, {left}")
    }

    fn show<T>(&mut self, stream: &MessageStream<T>, text: &str) {
        self.shown = Instant::now();
        let share = stream.progress().unwrap_or(0.0);
        match &self.bar {
            Some(bar) => {
                bar.set_position((share * SHARES as f64) as u64);
                bar.set_message(text.to_owned());
            }
            None => self.of.tell(&format!("{}  {:.0}%  {text}", self.id, share * 100.0)),
        }
    }
}

impl Drop for ChatProgress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar())
}
