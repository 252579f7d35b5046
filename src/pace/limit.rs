//! How fast requests may go out. Pure: the caller tells what has happened and when. The answer is when the next
//! request may go.
//!
//! Nothing is known of a server's limit before its first refusal. After that, the pace is a guess. It grows by
//! a constant with each answer, until the server refuses again. Now the limit is known, and the pace is set a
//! little below it. The pace then stays for a while and grows slowly. Each further refusal cuts it by a factor.
//!
//! The limit is worked out from the answers. Most servers keep a *token bucket*. It holds `burst` requests and
//! is refilled at the rate of the limit. Take any run of answered requests. At most `burst` of them came out of
//! the full bucket. The others came no faster than the limit. So `(answered - burst) / time` is never above the
//! limit, and the best run comes close to it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The first guess, in requests a second, when the server took hardly any requests at once.
const FIRST_GUESS: f64 = 2.0;

/// Which part of the requests that the server took at once is the first guess for a second.
const FIRST_PART: f64 = 0.9;

/// By how many requests a second the guess grows with each answer. At this step it doubles within a second.
const STEP: f64 = 0.7;

/// The pace stays below the limit that was worked out, by this factor.
const BELOW: f64 = 0.99;

/// Which part of the pace is left after a refusal, at most. A refusal after few answers shows that the assumed
/// limit was too high. The more of these come in a row, the harder the cut.
const CUTS: [f64; 3] = [0.96, 0.9, 0.8];

/// Which part is left when there was no answer at all, or when the cuts above were not enough.
const HALF: f64 = 0.5;

/// Fewer answers than this between two refusals count as few.
const FEW: u32 = 10;

/// The most jitter that is added to a time to wait.
const MOST_JITTER: Duration = Duration::from_secs(1);

/// The longest time to wait that is accepted from a server: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

/// How long, and for how many answers, the pace stays after a cut. A refusal costs its pause. One refusal in so
/// much time costs little.
const STAY: Duration = Duration::from_secs(10);
const STAY_PAUSES: u32 = 20;
const STAY_ANSWERS: u32 = 20;
const LONGEST_STAY: Duration = Duration::from_secs(600);

/// By how many requests a second the pace grows with each answer after that. At any pace, it grows by a tenth in a
/// second.
const GROWTH: f64 = 0.1;

/// The slowest pace, in requests a second.
const SLOWEST: f64 = 1.0 / 30.0;

/// The most of the pace itself that counts for a page that is refused.
const LONGEST_SLOWED: Duration = Duration::from_secs(30);

/// How many answers are remembered.
const REMEMBERED: usize = 128;

/// Answers that came within this time before the first refusal count as taken at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A request that may go out: at which pace it was sent, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    cuts: u64,
    at: Instant,
}

/// What the server asked for with `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asked {
    pub(crate) until: Instant,
    pub(crate) at: Instant,
}

#[derive(Debug)]
pub(super) struct Limit {
    /// The caller's own limit, in requests a second.
    most: Option<f64>,
    pace: Pace,
    /// When the last request went out.
    sent: Option<Instant>,
    /// Nothing goes out before this time.
    pause: Option<Instant>,
    /// When the server asked to wait, and until when.
    asked: Option<Asked>,
    /// How often the pace was cut. Requests sent before the last cut say nothing about the pace after it.
    cuts: u64,
    /// When the last answered requests were sent.
    answered: VecDeque<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Pace {
    /// The server has not refused anything.
    Unknown,
    /// The server has refused, and the pace grows until it refuses again. `burst` counts the requests that were
    /// taken at once, until the pause is over.
    Guess { rate: f64, burst: usize, pause: Instant, answers: u32 },
    /// The limit was worked out. `few` refusals in a row came after few `answers`.
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

    /// The pace in requests a second. `None` means as fast as possible.
    pub(super) fn rate(&self) -> Option<f64> {
        match self.pace {
            Pace::Unknown => self.most,
            Pace::Guess { rate, .. } | Pace::Known { rate, .. } => {
                Some(self.most.map_or(rate, |most| most.min(rate)))
            }
        }
    }

    /// When the next request may go out. `None` means at any time.
    pub(super) fn free(&self) -> Option<Instant> {
        let next = self.sent.zip(self.rate()).map(|(sent, rate)| sent + interval(rate));
        self.pause.max(next)
    }

    /// The time in which the server asked to send nothing, if it did.
    pub(super) fn asked(&self) -> Option<Asked> {
        self.asked
    }

    /// A request goes out.
    pub(super) fn send(&mut self, now: Instant) -> Turn {
        self.sent = Some(now);
        Turn { cuts: self.cuts, at: now }
    }

    /// Notes that the server answered a request, with a page or by refusing the request itself.
    pub(super) fn answered(&mut self, turn: Turn, now: Instant) {
        if self.answered.len() == REMEMBERED {
            self.answered.pop_front();
        }
        self.answered.push_back(turn.at);
        let is_old = turn.cuts != self.cuts;
        match &mut self.pace {
            Pace::Unknown => {}
            Pace::Guess { rate, burst, pause, .. } if is_old => {
                // Only behind the first refusal do they tell how much was taken at once.
                if now < *pause && self.cuts == 1 {
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
                    *rate += GROWTH;
                }
            }
        }
        if let (Some(most), Pace::Guess { rate, .. } | Pace::Known { rate, .. }) =
            (self.most, &mut self.pace)
        {
            *rate = rate.min(most);
        }
    }

    /// Notes that the server refused a request, and for how long it asked to wait, if it did. Returns how much of the
    /// time until the next request counts for the page that was refused. The wait for its turn does not count.
    ///
    /// `jitter` is between 0 and 1. That part of the time between two requests is added to the time that the
    /// server asked for, because other clients were told the same time.
    pub(super) fn refused(
        &mut self,
        turn: Turn,
        asked: Option<Duration>,
        jitter: f64,
        now: Instant,
    ) -> Duration {
        let is_news = turn.cuts == self.cuts;
        if is_news {
            self.cut(now);
        }
        let interval = self.rate().map(self::interval).unwrap_or_default();
        let pause = match asked {
            Some(asked) => {
                let (jitter, until) =
                    (interval.min(MOST_JITTER).mul_f64(jitter), asked.min(LONGEST));
                self.asked = self.asked.max(Some(Asked { until: now + until, at: now }));
                until + if is_news { jitter } else { Duration::ZERO }
            }
            None => interval,
        };
        if is_news || asked.is_some() {
            self.pause = self.pause.max(Some(now + pause));
        }
        if is_news {
            self.stay(now + pause, now);
        }
        // The part of the pace that is the caller's own is no fault of the server's.
        let own = self.most.filter(|_| asked.is_some()).map(self::interval).unwrap_or_default();
        let slowed = interval.saturating_sub(own).min(LONGEST_SLOWED);
        asked.map_or(slowed, |_| pause.max(slowed))
    }

    /// Keeps the pace for a while after the pause.
    fn stay(&mut self, paused: Instant, now: Instant) {
        let time = STAY.max(paused.saturating_duration_since(now).saturating_mul(STAY_PAUSES));
        match &mut self.pace {
            Pace::Unknown => {}
            Pace::Guess { pause, .. } => *pause = paused,
            Pace::Known { stay, .. } => *stay = paused + time.min(LONGEST_STAY),
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
            // Even after few answers, a guess had to become too high in the end.
            Pace::Guess { rate, burst, .. } => {
                let rate = self.settled(rate, CUTS[0], burst);
                Pace::Known { rate, burst, stay, answers, few: 0 }
            }
            // Twice in a row without any answer: what was known of the limit is no longer true. It is guessed again, and
            // the guess grows fast once the server answers.
            Pace::Known { rate, burst, answers: 0, few, .. } if few > 0 => {
                Pace::Guess { rate: self.within(rate * HALF), burst, pause, answers }
            }
            Pace::Known { rate, burst, answers: before, few, .. } => {
                let few = if before < FEW { few + 1 } else { 0 };
                let part = CUTS.get(few).copied().filter(|_| before > 0).unwrap_or(HALF);
                let rate = self.settled(rate, part, burst);
                Pace::Known { rate, burst, stay, answers, few }
            }
        };
    }

    /// This part of the pace, or the limit that was worked out if that is slower.
    fn settled(&self, rate: f64, part: f64, burst: usize) -> f64 {
        let read_off = self.read_off(burst).map_or(rate, |limit| limit * BELOW);
        self.within((rate * part).min(read_off).max(rate * HALF))
    }

    fn within(&self, rate: f64) -> f64 {
        self.most.map_or(rate, |most| rate.min(most)).max(SLOWEST)
    }

    /// The highest rate that the server has shown to allow, in requests a second.
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends a request that is answered at once.
    fn answered(limit: &mut Limit, at: Instant) {
        let turn = limit.send(at);
        limit.answered(turn, at);
    }

    /// Sends a request that is refused at once, and waits as long as the limit says.
    fn refused(limit: &mut Limit, now: &mut Instant, asked: Option<Duration>) {
        let turn = limit.send(*now);
        *now += limit.refused(turn, asked, 0.0, *now);
    }

    fn rate(limit: &Limit) -> f64 {
        limit.rate().unwrap()
    }

    #[test]
    fn nothing_is_held_back_before_the_first_refusal() {
        let (mut limit, now) = (Limit::new(None), Instant::now());
        for _ in 0..1_000 {
            assert_eq!((limit.free(), limit.rate()), (None, None));
            answered(&mut limit, now);
        }
        let turn = limit.send(now);
        assert_eq!(limit.refused(turn, None, 0.0, now), limit.free().unwrap() - now);
        // The requests taken within a second, as far as they are remembered.
        assert_eq!(rate(&limit), 0.9 * REMEMBERED as f64);
    }

    #[test]
    fn a_pace_of_the_callers_own_is_even_and_bounds_what_is_found_out() {
        let (mut limit, now) = (Limit::new(Some(4.0)), Instant::now());
        let quarter = SECOND / 4;
        answered(&mut limit, now);
        for turn in 1..8 {
            assert_eq!(limit.free(), Some(now + turn * quarter));
            answered(&mut limit, now + turn * quarter);
        }
        // A turn that is taken late moves the next one: no two requests are closer together than the pace allows.
        let bit_late = now + 8 * quarter + SECOND / 1_000;
        answered(&mut limit, bit_late);
        assert_eq!(limit.free(), Some(bit_late + quarter));
        let late = now + 10 * SECOND;
        answered(&mut limit, late);
        assert_eq!(limit.free(), Some(late + quarter), "nothing is made up for");
        let turn = limit.send(late);
        limit.refused(turn, None, 0.0, late);
        for n in 0..100 {
            answered(&mut limit, late + n * SECOND);
            assert!(rate(&limit) <= 4.0);
        }
        assert_eq!(rate(&limit), 4.0);
    }

    #[test]
    fn the_limit_is_read_off_what_was_answered() {
        for (burst, per_second) in [(1, 5.0), (20, 20.0), (7, 0.5)] {
            let mut limit = Limit::new(None);
            let began = Instant::now();
            for _ in 0..burst {
                answered(&mut limit, began);
            }
            for n in 1..60 {
                let at = Duration::from_secs_f64(f64::from(n) / per_second);
                answered(&mut limit, began + at);
            }
            let read_off = limit.read_off(burst).unwrap();
            assert!((read_off / per_second - 1.0).abs() < 0.001, "{read_off} of {per_second}");
        }
        assert_eq!(Limit::new(None).read_off(1), None);
    }

    #[test]
    fn a_refusal_of_what_was_sent_before_the_last_cut_is_no_news() {
        let (mut limit, now) = (Limit::new(None), Instant::now());
        let turns: Vec<_> = (0..5).map(|_| limit.send(now)).collect();
        limit.refused(turns[0], Some(SECOND), 0.0, now);
        let first = rate(&limit);
        // The longest time to wait still counts.
        assert_eq!(limit.refused(turns[1], Some(3 * SECOND), 1.0, now), 3 * SECOND);
        limit.refused(turns[2], Some(SECOND), 1.0, now);
        assert_eq!((rate(&limit), limit.free()), (first, Some(now + 3 * SECOND)));
        assert_eq!(limit.asked(), Some(Asked { until: now + 3 * SECOND, at: now }));
        // Answers during the pause tell how many requests were taken at once.
        for turn in &turns[3..] {
            limit.answered(*turn, now);
        }
        assert_eq!(rate(&limit), FIRST_GUESS);
    }

    #[test]
    fn jitter_comes_on_top_of_what_the_server_asks_for() {
        for jitter in [0.0, 0.5, 1.0] {
            let (mut limit, now) = (Limit::new(None), Instant::now());
            let turn = limit.send(now);
            let pause = limit.refused(turn, Some(SECOND), jitter, now);
            // At two requests a second, the jitter is at most half a second.
            assert_eq!(pause, SECOND + (SECOND / 2).mul_f64(jitter));
        }
    }

    #[test]
    fn without_any_answer_it_is_halved_down_to_two_a_minute() {
        let (mut limit, mut now) = (Limit::new(None), Instant::now());
        let mut before = f64::MAX;
        for _ in 0..20 {
            refused(&mut limit, &mut now, None);
            assert!(rate(&limit) <= (before * HALF).max(SLOWEST));
            before = rate(&limit);
        }
        assert_eq!(before, SLOWEST);
        // However slow the pace is, the client finds out again that the server allows more.
        for _ in 0..10 {
            now = limit.free().unwrap();
            answered(&mut limit, now);
        }
        assert!(rate(&limit) > 7.0 * STEP);
    }

    #[test]
    fn what_was_found_out_stays_for_a_while_and_is_then_tried_again() {
        let (mut limit, mut now) = (Limit::new(None), Instant::now());
        answered(&mut limit, now);
        refused(&mut limit, &mut now, Some(SECOND));
        for _ in 0..8 {
            now = limit.free().unwrap();
            answered(&mut limit, now);
        }
        refused(&mut limit, &mut now, Some(SECOND));
        let (found, since) = (rate(&limit), now);
        while now < since + STAY_PAUSES * SECOND {
            assert_eq!(rate(&limit), found);
            answered(&mut limit, now);
            now = limit.free().unwrap();
        }
        answered(&mut limit, now);
        assert_eq!(rate(&limit), found + GROWTH);
    }

    #[test]
    fn only_what_the_server_asks_for_counts_for_the_page() {
        // The caller's own pace is a request in 200 seconds.
        let (mut limit, now) = (Limit::new(Some(0.005)), Instant::now());
        for (asked, counts) in [(Some(SECOND), SECOND), (None, LONGEST_SLOWED)] {
            let turn = limit.send(now);
            assert_eq!(limit.refused(turn, asked, 0.0, now), counts);
            assert!(limit.free().unwrap() >= now + 200 * SECOND);
        }
    }

    #[test]
    fn an_outage_makes_a_known_pace_a_guess_that_grows_fast_again() {
        let (mut limit, mut now) = (Limit::new(None), Instant::now());
        answered(&mut limit, now);
        refused(&mut limit, &mut now, None);
        while rate(&limit) < 20.0 {
            now = limit.free().unwrap();
            answered(&mut limit, now);
        }
        refused(&mut limit, &mut now, None);
        let (known, outage) = (rate(&limit), now);
        while now < outage + 20 * SECOND {
            refused(&mut limit, &mut now, None);
        }
        let over = now;
        while rate(&limit) < known {
            now = limit.free().unwrap();
            answered(&mut limit, now);
        }
        assert!(now < over + 20 * SECOND, "{:?}", now - over);
    }

    #[test]
    fn no_time_to_wait_is_too_long_for_the_clock() {
        let (mut limit, now) = (Limit::new(Some(f64::MIN_POSITIVE)), Instant::now());
        let turn = limit.send(now);
        assert_eq!(limit.refused(turn, Some(Duration::MAX), 1.0, now), LONGEST + MOST_JITTER);
        assert_eq!(limit.asked(), Some(Asked { until: now + LONGEST, at: now }));
    }
}
