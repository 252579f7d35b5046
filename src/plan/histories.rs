//! Made-up histories: ascending timestamps in milliseconds. The same seed gives the same history.

use fastrand::Rng;

const SECOND: f64 = 1_000.0;
const HOUR: f64 = 3_600.0 * SECOND;
const DAY: f64 = 24.0 * HOUR;
const YEARS: f64 = 5.0 * 365.0 * DAY;
const BEGIN: i64 = 1_500_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Uniform,
    /// 20 to 200 messages, then silence for an hour to 60 days.
    Bursts,
    /// From 8 to 20 o'clock, and less at weekends.
    Daily,
    /// Conversations by day, thirty times as many at the end as at the beginning.
    Realistic,
    /// A hundred times as dense at the end as at the beginning.
    Growing,
    /// Ten days hold four fifths of the messages.
    BulkDays,
    /// Half of the messages in one hour, half in an hour five years later.
    TwoBursts,
    OneInstant,
}

fn exponential(rng: &mut Rng, mean: f64) -> f64 {
    -(1.0 - rng.f64()).ln() * mean
}

pub(crate) fn times(kind: Kind, count: usize, seed: u64) -> Vec<i64> {
    let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ count as u64);
    let rng = &mut rng;
    let mut times: Vec<f64> = match kind {
        Kind::Uniform => (0..count).map(|_| rng.f64() * YEARS).collect(),
        Kind::Bursts => bursts(rng, count),
        Kind::Daily => daily(rng, count),
        Kind::Realistic => realistic(rng, count),
        Kind::Growing => {
            (0..count).map(|_| (rng.f64() * 99.0).ln_1p() / 100_f64.ln() * YEARS).collect()
        }
        Kind::BulkDays => {
            let days: Vec<f64> = (0..10).map(|_| rng.f64() * YEARS).collect();
            let bulk = |rng: &mut Rng| days[rng.usize(..10)] + rng.f64() * 4.0 * HOUR;
            (0..count)
                .map(|index| if index % 5 == 0 { rng.f64() * YEARS } else { bulk(rng) })
                .collect()
        }
        Kind::TwoBursts => (0..count)
            .map(|index| rng.f64() * HOUR + if index % 2 == 0 { 0.0 } else { YEARS })
            .collect(),
        Kind::OneInstant => vec![0.0; count],
    };
    times.sort_by(f64::total_cmp);
    times.into_iter().map(|time| BEGIN + time as i64).collect()
}

fn bursts(rng: &mut Rng, count: usize) -> Vec<f64> {
    let mut times = Vec::with_capacity(count);
    let mut time = 0.0;
    while times.len() < count {
        for _ in 0..rng.usize(20..=200).min(count - times.len()) {
            time += exponential(rng, 15.0 * SECOND);
            times.push(time);
        }
        let (least, most) = (HOUR.ln(), (60.0 * DAY).ln());
        time += (least + rng.f64() * (most - least)).exp();
    }
    times
}

fn daily(rng: &mut Rng, count: usize) -> Vec<f64> {
    let days = (count / 20 + 3).min(5 * 365);
    let mut times = Vec::with_capacity(count);
    while times.len() < count {
        let (day, hour) = (rng.usize(..days), rng.f64() * 24.0);
        let by_hour = match hour as u32 {
            0..8 => 0.02,
            8..20 => 0.8,
            20..22 => 0.15,
            _ => 0.05,
        };
        let by_day = if day % 7 >= 5 { 0.2 } else { 1.0 };
        if rng.f64() < by_hour * by_day {
            times.push(day as f64 * DAY + hour * HOUR);
        }
    }
    times
}

fn realistic(rng: &mut Rng, count: usize) -> Vec<f64> {
    let mut times = Vec::with_capacity(count);
    while times.len() < count {
        let day = ((rng.f64() * 29.0).ln_1p() / 30_f64.ln() * YEARS / DAY).floor();
        let mut hours = [rng.f64(), rng.f64(), rng.f64()];
        hours.sort_by(f64::total_cmp);
        let mut time = day * DAY + (9.0 + 10.0 * hours[1]) * HOUR;
        for _ in 0..rng.usize(5..=150).min(count - times.len()) {
            time += exponential(rng, 20.0 * SECOND);
            times.push(time);
        }
    }
    times
}
