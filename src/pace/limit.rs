//! How fast requests may go out. Pure: what has happened is told with its time, and when the next may go is
//! the answer.
//!
//! Nothing is known of a server's limit before it refuses. Then the pace is a guess that grows by a constant with each
//! answer, until the server refuses again: the limit is known now, and the pace is set a little below it. From there
//! on it stays for a while, grows slowly, and is cut by a factor when it was too much.
//!
//! What the limit is, is read off a *token bucket*, which most servers keep: it holds `burst` requests and is
//! filled at the limit, so of any row of requests that were answered, `burst` may have come out of the bucket, and
//! the others came at no more than the limit: `(answered - burst) / time` is never above it, and the best such
//! row comes close.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The first guess, in requests a second, where the server took next to nothing at once.
const FIRST_GUESS: f64 = 2.0;

/// How much of what the server took at once is the first guess for a second.
const FIRST_PART: f64 = 0.9;

/// By how many requests a second the guess grows with each answer: it doubles within a second.
const STEP: f64 = 0.7;

/// How far below the limit that was read off the pace stays.
const BELOW: f64 = 0.99;

/// What is left of the pace at the most after a refusal. One that comes after few answers tells that the limit was
/// read off too high: the more of them in a row, the harder the cut.
const CUTS: [f64; 3] = [0.96, 0.9, 0.8];

/// What is left when there was no answer at all, or when the cuts above were not enough.
const HALF: f64 = 0.5;

/// Fewer answers than this between two refusals are few.
const FEW: u32 = 10;

/// The most that comes on top of a time to wait.
const MOST_JITTER: Duration = Duration::from_secs(1);

/// The longest time to wait that is taken from a server: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

/// How long the pace stays after a cut, and how many answers: a refusal costs its pause, so one in so much time is
/// little.
const STAY: Duration = Duration::from_secs(10);
const STAY_PAUSES: u32 = 20;
const STAY_ANSWERS: u32 = 20;

/// By which factor the pace grows with each answer after that.
const GROWTH: f64 = 1.02;

/// The slowest pace, in requests a second.
const SLOWEST: f64 = 1.0 / 30.0;

/// A turn that is taken late leaves the next one where it was, within this: a timer's grain.
pub(super) const GRAIN: Duration = Duration::from_millis(2);

/// How many answers are remembered.
const REMEMBERED: usize = 128;

/// The answers of this time before the first refusal came out of the bucket.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A request that may go out: which pace it was sent at, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    cuts: u64,
    at: Instant,
}

#[derive(Debug)]
pub(super) struct Limit {
    /// The caller's own, in requests a second.
    most: Option<f64>,
    pace: Pace,
    /// When the last request went out, or should have.
    sent: Option<Instant>,
    /// Nothing goes out before.
    pause: Option<Instant>,
    /// Until when the server asked to wait.
    asked: Option<Instant>,
    /// How often the pace was cut: what was sent before the last cut says nothing of the pace after it.
    cuts: u64,
    /// When the last requests were sent that the server answered.
    answered: VecDeque<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Pace {
    /// The server has refused nothing.
    Unknown,
    /// It has once; the pace grows until it does again. `burst` were taken at once, counted until the pause is over.
    Guess { rate: f64, burst: usize, pause: Instant, answers: u32 },
    /// The limit was read off.
    /// `few` refusals in a row came after few `answers`.
    Known { rate: f64, burst: usize, stay: Instant, answers: u32, few: usize },
}

impl Limit {
    pub(super) fn new(most: Option<f64>) -> Self {
        Self {
            most,
            pace: Pace::Unknown,
            sent: None,
            pause: None,
            asked: None,
            cuts: 0,
            answered: VecDeque::new(),
        }
    }

    /// In requests a second; `None` for as fast as can be.
    pub(super) fn rate(&self) -> Option<f64> {
        match self.pace {
            Pace::Unknown => self.most,
            Pace::Guess { rate, .. } | Pace::Known { rate, .. } => {
                Some(self.most.map_or(rate, |most| most.min(rate)))
            }
        }
    }

    /// When the next request may go out; `None` for at any time.
    pub(super) fn free(&self) -> Option<Instant> {
        let next = self.sent.zip(self.rate()).map(|(sent, rate)| sent + interval(rate));
        self.pause.max(next)
    }

    /// Until when the server asked to send nothing, if it did.
    pub(super) fn asked(&self) -> Option<Instant> {
        self.asked
    }

    /// A request goes out.
    pub(super) fn send(&mut self, now: Instant) -> Turn {
        let is_on_time = |free: &Instant| now.saturating_duration_since(*free) <= GRAIN;
        self.sent = Some(self.free().filter(is_on_time).unwrap_or(now));
        Turn { cuts: self.cuts, at: now }
    }

    /// The server answered one, be it by a failure of its own.
    pub(super) fn answered(&mut self, turn: Turn, now: Instant) {
        if self.answered.len() == REMEMBERED {
            self.answered.pop_front();
        }
        self.answered.push_back(turn.at);
        let is_old = turn.cuts != self.cuts;
        match &mut self.pace {
            Pace::Unknown => {}
            Pace::Guess { rate, burst, pause, .. } if is_old => {
                if now < *pause {
                    *burst += 1;
                    *rate = guess(*burst);
                }
            }
            Pace::Guess { rate, answers, .. } => {
                *answers = answers.saturating_add(1);
                *rate += STEP;
            }
            Pace::Known { .. } if is_old => {}
            Pace::Known { rate, stay, answers, .. } => {
                *answers = answers.saturating_add(1);
                if now >= *stay && *answers > STAY_ANSWERS {
                    *rate *= GROWTH;
                }
            }
        }
        if let (Some(most), Pace::Guess { rate, .. } | Pace::Known { rate, .. }) =
            (self.most, &mut self.pace)
        {
            *rate = rate.min(most);
        }
    }

    /// The server refused one, and may have asked to wait. Tells for how long nothing goes out. `jitter` is what part
    /// of the time between two requests comes on top of what the server asked for, because others were told the same.
    pub(super) fn refused(
        &mut self,
        turn: Turn,
        asked: Option<Duration>,
        jitter: f64,
        now: Instant,
    ) -> Duration {
        let asked = asked.map(|asked| now + asked.min(LONGEST));
        let is_news = turn.cuts == self.cuts;
        if is_news {
            self.cut(now);
        }
        self.asked = self.asked.max(asked);
        self.pause = self.pause.max(asked);
        if is_news {
            let interval = self.rate().map(interval).unwrap_or_default();
            let most = interval.min(MOST_JITTER).mul_f64(jitter.clamp(0.0, 1.0));
            let jittered = asked.map(|asked| asked + most);
            let until = jittered.unwrap_or(now + interval);
            self.pause = self.pause.max(Some(until));
            self.stay(until, now);
        }
        self.free().map(|free| free.saturating_duration_since(now)).unwrap_or_default()
    }

    /// Lets the pace be for a while after the pause.
    fn stay(&mut self, paused: Instant, now: Instant) {
        let time = STAY.max(paused.saturating_duration_since(now).saturating_mul(STAY_PAUSES));
        match &mut self.pace {
            Pace::Unknown => {}
            Pace::Guess { pause, .. } => *pause = paused,
            Pace::Known { stay, .. } => *stay = paused + time.min(LONGEST),
        }
    }

    fn cut(&mut self, now: Instant) {
        self.cuts += 1;
        let is_at_once = |at: &&Instant| now.saturating_duration_since(**at) < AT_ONCE;
        let (pause, stay, answers) = (now, now, 0);
        self.pace = match self.pace {
            Pace::Unknown => {
                let burst = self.answered.iter().filter(is_at_once).count();
                Pace::Guess { rate: self.within(guess(burst)), burst, pause, answers }
            }
            Pace::Guess { rate, burst, answers: 0, .. } => {
                Pace::Guess { rate: self.within(rate * HALF), burst, pause, answers }
            }
            // However few answers there were to a guess, in the end it had to be too much.
            Pace::Guess { rate, burst, .. } => {
                let rate = self.settled(rate, CUTS[0], burst);
                Pace::Known { rate, burst, stay, answers, few: 0 }
            }
            Pace::Known { rate, burst, answers: before, few, .. } => {
                let few = if before < FEW { few + 1 } else { 0 };
                let part = CUTS.get(few).copied().filter(|_| before > 0).unwrap_or(HALF);
                let rate = self.settled(rate, part, burst);
                Pace::Known { rate, burst, stay, answers, few }
            }
        };
    }

    /// This part of the pace, or what was read off if that is slower.
    fn settled(&self, rate: f64, part: f64, burst: usize) -> f64 {
        let read_off = self.read_off(burst).map_or(rate, |limit| limit * BELOW);
        self.within((rate * part).min(read_off).max(rate * HALF))
    }

    fn within(&self, rate: f64) -> f64 {
        self.most.map_or(rate, |most| rate.min(most)).max(SLOWEST)
    }

    /// The most that the server has shown to grant in a second.
    fn read_off(&self, burst: usize) -> Option<f64> {
        let burst = burst.max(1);
        let last = self.answered.iter().max()?;
        let row = self.answered.iter().rev().zip(1..);
        let granted = row.filter(|(_, answers)| *answers > burst).filter_map(|(first, answers)| {
            let time = last.saturating_duration_since(*first).as_secs_f64();
            (time > 0.0).then(|| (answers - burst) as f64 / time)
        });
        granted.reduce(f64::max)
    }
}

fn guess(burst: usize) -> f64 {
    FIRST_GUESS.max(FIRST_PART * burst as f64)
}

/// The time from one request to the next.
fn interval(rate: f64) -> Duration {
    Duration::try_from_secs_f64(1.0 / rate).unwrap_or(LONGEST).min(LONGEST)
}
