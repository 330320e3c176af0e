//! How long is waited, and for what: one value, so that a test can have all of it shorter. No clock.

use std::time::Duration;

/// How long each thing is waited for. `Patience::default()` is what a cluster needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the termination message of a pod that ended well.
    pub message: Duration,
    /// For the end of the pods of a Job that ended.
    pub pods: Duration,
    /// For the end of a pod that is being deleted, beyond its grace period. A kubelet that is there needs seconds.
    pub deletion: Duration,
    /// For a Job or a pod that waits, before its user is told.
    pub waiting: Duration,
    /// For the start of a pod that has a node: the first time, a node fetches the image meanwhile.
    pub start: Duration,
    /// How much shorter than its Job's deadline a container that the deadline ended may have run: its pod was found a
    /// node, and it was given time to end.
    pub slack: Duration,
    /// For a Job that was created to be in the cache, before it is looked for.
    pub cached: Duration,
    /// For a removal that was asked for to show in the caches, before it is asked for again.
    pub removal: Duration,
    /// The pause after a first failure. It doubles with each that follows.
    pub first_pause: Duration,
    /// The longest pause after a failure.
    pub longest_pause: Duration,
    /// The longest pause while the API server is away: it comes back without a word.
    pub away: Duration,
    /// Until what should have changed by itself is looked at again.
    pub look: Duration,
    /// Until a Job that runs is looked at again: that a pod does not start is no event.
    pub look_at_jobs: Duration,
    /// The same for an inspection.
    pub look_at_inspection: Duration,
    /// The longest that a watch lives: a dead one is noticed soon after.
    pub watch: Duration,
    /// The pause before a watch that could not be begun is begun again. It doubles, three times at most.
    pub watch_pause: Duration,
    /// How long a watch that was denied is told: one that is allowed again says nothing until something changes.
    pub watch_denied: Duration,
    /// For the caches to fill, before it is said that they do not.
    pub caches: Duration,
    /// For pods that are being deleted, at the end of the process.
    pub linger: Duration,
    /// For the deletion of a namespace to reach all of its pods.
    pub notice: Duration,
    /// Between two looks for Jobs and pods whose search is gone.
    pub sweep: Duration,
    /// Until Jobs and pods that have lost their labels are looked for; the API server is asked for every Job in reach.
    pub sweep_unlabelled: Duration,
    /// The same after a search has gone: the garbage collector may be about to see to what it leaves behind.
    pub sweep_after_deletion: Duration,
    /// The longest pause between two such looks; it doubles while nothing is found.
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
    /// All of it times `factor`, which is between `SMALLEST_SCALE` and 1 (what is beyond is taken as the nearest). A
    /// watch lives for a second at least, the least that the API server can be asked for.
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

    /// The pause after the `count`-th failure in a row, from 1: 2, 4, 8 … seconds, at last 5 minutes.
    pub fn pause(&self, count: u32) -> Duration {
        let doubled = self
            .first_pause
            .saturating_mul(1 << (count.clamp(1, 16) - 1));
        doubled.min(self.longest_pause)
    }

    /// How long a watch that could not be begun pauses the `count`-th time in a row, from 0: 0.5 s, doubled up to 4.
    /// It is the longest that a search waits for an API server that is back.
    pub fn pause_of_watch(&self, count: u32) -> Duration {
        self.watch_pause * (1 << count.min(3))
    }

    /// `start` in words.
    pub fn start_in_words(&self) -> String {
        in_words(self.start)
    }
}

/// A duration as it is said in a sentence.
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
