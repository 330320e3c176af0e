//! Timeouts, intervals and back-offs in one value, so that tests can scale all of them. No clock.

use std::time::Duration;

/// How long to wait for each thing. `Patience::default()` is what a cluster needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the termination message of a pod that ended well.
    pub message: Duration,
    /// For the end of the pods of a Job that ended.
    pub pods: Duration,
    /// For the end of a pod that is being deleted, beyond its grace period. A live kubelet needs seconds.
    pub deletion: Duration,
    /// For a Job or a pod that waits, before it is reported.
    pub waiting: Duration,
    /// For the start of a scheduled pod: the node may have to pull the image first.
    pub start: Duration,
    /// How much shorter than its Job's deadline a container that the deadline ended may have run: scheduling
    /// and the grace period take time.
    pub slack: Duration,
    /// For a created Job to be in the cache, before the API server is asked for it.
    pub cached: Duration,
    /// For a requested deletion to show in the caches, before it is requested again.
    pub removal: Duration,
    /// The back-off after a first failure. It doubles with each further one.
    pub first_pause: Duration,
    /// The longest back-off after a failure.
    pub longest_pause: Duration,
    /// The longest back-off while the API server is unreachable: nothing announces its return.
    pub away: Duration,
    /// Until something that should have changed by itself is checked again.
    pub look: Duration,
    /// Until a running Job is checked again: a pod that does not start causes no watch event.
    pub look_at_jobs: Duration,
    /// The same for an inspection.
    pub look_at_inspection: Duration,
    /// The longest life of a watch: a dead one is noticed soon after.
    pub watch: Duration,
    /// The back-off before a watch that could not be started is retried. It doubles, three times at most.
    pub watch_pause: Duration,
    /// How long a denied watch is reported: one that is allowed again sends nothing until something changes.
    pub watch_denied: Duration,
    /// For the caches to fill, before it is reported that they do not.
    pub caches: Duration,
    /// For pods that are being deleted, when the process terminates.
    pub linger: Duration,
    /// For the deletion of a namespace to reach all of its pods.
    pub notice: Duration,
    /// Between two sweeps for Jobs and pods whose search is gone.
    pub sweep: Duration,
    /// Until the sweep for Jobs and pods that have lost their labels, which lists every Job within reach.
    pub sweep_unlabelled: Duration,
    /// The same after a search was deleted: the garbage collector may be about to delete its Jobs.
    pub sweep_after_deletion: Duration,
    /// The longest interval between two such sweeps; it doubles while nothing is found.
    pub longest_sweep: Duration,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            message: seconds(60),
            pods: seconds(3),
            deletion: seconds(60),
            waiting: seconds(10),
            start: seconds(120),
            slack: seconds(60),
            cached: seconds(10),
            removal: seconds(2),
            first_pause: seconds(2),
            longest_pause: seconds(300),
            away: seconds(8),
            look: seconds(2),
            look_at_jobs: seconds(10),
            look_at_inspection: seconds(5),
            watch: seconds(55),
            watch_pause: Duration::from_millis(500),
            watch_denied: seconds(60),
            caches: seconds(30),
            linger: seconds(10),
            notice: Duration::from_millis(500),
            sweep: seconds(2),
            sweep_unlabelled: seconds(30),
            sweep_after_deletion: seconds(5),
            longest_sweep: seconds(900),
        }
    }
}

/// The smallest factor of `Patience::scaled`.
pub const SMALLEST_SCALE: f64 = 0.01;

impl Patience {
    /// Everything times `factor`, clamped to `SMALLEST_SCALE` to 1. A watch lives for at least a second, the
    /// API server's minimum.
    pub fn scaled(self, factor: f64) -> Self {
        let factor = factor.clamp(SMALLEST_SCALE, 1.0);
        let scaled = |duration: Duration| duration.mul_f64(factor);
        Self {
            message: scaled(self.message),
            pods: scaled(self.pods),
            deletion: scaled(self.deletion),
            waiting: scaled(self.waiting),
            start: scaled(self.start),
            slack: scaled(self.slack),
            cached: scaled(self.cached),
            removal: scaled(self.removal),
            first_pause: scaled(self.first_pause),
            longest_pause: scaled(self.longest_pause),
            away: scaled(self.away),
            look: scaled(self.look),
            look_at_jobs: scaled(self.look_at_jobs),
            look_at_inspection: scaled(self.look_at_inspection),
            watch: scaled(self.watch).max(seconds(1)),
            watch_pause: scaled(self.watch_pause),
            watch_denied: scaled(self.watch_denied),
            caches: scaled(self.caches),
            linger: scaled(self.linger),
            notice: scaled(self.notice),
            sweep: scaled(self.sweep),
            sweep_unlabelled: scaled(self.sweep_unlabelled),
            sweep_after_deletion: scaled(self.sweep_after_deletion),
            longest_sweep: scaled(self.longest_sweep),
        }
    }

    /// The back-off after the `count`-th failure in a row, from 1: 2, 4, 8 … seconds, at last 5 minutes.
    pub fn pause(&self, count: u32) -> Duration {
        let doubled = self
            .first_pause
            .saturating_mul(1 << (count.clamp(1, 16) - 1));
        doubled.min(self.longest_pause)
    }

    /// The back-off of a watch that could not be started for the `count`-th time in a row, from 0: 0.5 s,
    /// doubled up to 4 s. It bounds how long a search waits for an API server that is back.
    pub fn pause_of_watch(&self, count: u32) -> Duration {
        self.watch_pause * (1 << count.min(3))
    }

    /// `start` in words.
    pub fn start_in_words(&self) -> String {
        in_words(self.start)
    }
}

/// A duration in words.
fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds >= 120.0 && seconds % 60.0 == 0.0 {
        format!("{} minutes", seconds / 60.0)
    } else {
        format!("{seconds} seconds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_five_minutes() {
        let patience = Patience::default();
        let pauses = [1, 2, 3, 8, 9, 100].map(|count| patience.pause(count).as_secs());
        assert_eq!(pauses, [2, 4, 8, 256, 300, 300]);
        assert_eq!(patience.pause(0), patience.pause(1));
        let watches = [0, 1, 2, 3, 50].map(|count| patience.pause_of_watch(count).as_millis());
        assert_eq!(watches, [500, 1000, 2000, 4000, 4000]);
    }

    #[test]
    fn scaled_patience_is_shorter_in_everything_and_a_watch_lives_for_a_second() {
        let patience = Patience::default();
        assert_eq!(patience.scaled(1.0), patience);
        let tenth = patience.scaled(0.1);
        assert_eq!(tenth.message, seconds(6));
        assert_eq!(tenth.pause(1), Duration::from_millis(200));
        assert_eq!(tenth.pause(100), seconds(30));
        assert_eq!(patience.scaled(0.0).watch, seconds(1));
        assert_eq!(patience.scaled(0.0), patience.scaled(SMALLEST_SCALE));
        assert_eq!(patience.start_in_words(), "2 minutes");
        assert_eq!(tenth.start_in_words(), "12 seconds");
    }
}
