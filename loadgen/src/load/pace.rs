//! When requests are due.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::arguments::{Arrivals, Settings};

/// How requests are paced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pacing {
    /// So many in flight: the next one is due when an answer comes.
    Window(usize),
    /// So many a second, whatever the answers do.
    Rate { per_s: f64, arrivals: Arrivals },
}

impl Pacing {
    /// What the settings ask for.
    pub(crate) fn of(settings: &Settings, window_default: usize) -> Self {
        match settings.rate {
            Some(per_s) => Self::Rate { per_s: per_s.max(1) as f64, arrivals: settings.arrivals },
            None => Self::Window(settings.window.unwrap_or(window_default)),
        }
    }

    /// The part of one of `parts` lanes.
    pub(crate) fn part(self, parts: usize) -> Self {
        match self {
            Self::Window(window) => Self::Window((window / parts).max(1)),
            Self::Rate { per_s, arrivals } => Self::Rate { per_s: per_s / parts as f64, arrivals },
        }
    }

    pub(crate) fn describe(self) -> String {
        match self {
            Self::Window(window) => format!("{window} in flight"),
            Self::Rate { per_s, .. } => format!("{per_s:.0} requests/s"),
        }
    }
}

/// The moments at which the requests of one lane are due.
pub(super) struct Schedule {
    gap: Duration,
    arrivals: Arrivals,
    random: StdRng,
    next: Duration,
}

impl Schedule {
    /// A schedule that begins within a gap's length, at a random place: lanes must not beat together.
    pub(super) fn new(per_s: f64, arrivals: Arrivals, seed: u64) -> Self {
        let gap = Duration::from_secs_f64(1.0 / per_s);
        let mut random = StdRng::seed_from_u64(seed);
        let next = gap.mul_f64(random.random::<f64>());
        Self { gap, arrivals, random, next }
    }

    /// When the next request is due, since the beginning.
    pub(super) fn next(&self) -> Duration {
        self.next
    }

    pub(super) fn advance(&mut self) {
        let gap = match self.arrivals {
            Arrivals::Constant => self.gap,
            Arrivals::Poisson => self.gap.mul_f64(-(1.0 - self.random.random::<f64>()).ln()),
        };
        self.next += gap;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_keeps_its_rate_and_its_seed() {
        for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
            let due = |seed: u64| {
                let mut schedule = Schedule::new(10_000.0, arrivals, seed);
                (0..100_000).for_each(|_| schedule.advance());
                schedule.next()
            };
            let seconds = due(1).as_secs_f64();
            assert!((9.8..10.2).contains(&seconds), "{arrivals:?} {seconds}");
            assert_eq!(due(1), due(1));
            assert_ne!(due(1), due(2));
        }
    }
}
