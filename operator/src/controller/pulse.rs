//! A process that was stopped for half its lease notices it here, before it acts as if it still led.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a lease holds, seconds.
pub const LEASE_SECONDS: u64 = 15;
/// How often the pulse beats.
const BEAT: Duration = Duration::from_millis(500);

/// Beats while the process runs, so that a gap (SIGSTOP, a machine that slept) shows.
#[derive(Clone, Debug)]
pub struct Pulse {
    start: Instant,
    beat: Arc<AtomicU64>,
}

impl Pulse {
    /// Begins to beat.
    pub fn begin() -> Self {
        let pulse = Self {
            start: Instant::now(),
            beat: Arc::default(),
        };
        let beating = pulse.clone();
        tokio::spawn(async move {
            loop {
                if !beating.is_steady() {
                    tracing::error!(
                        "this process was stopped for half its lease; it exits, so that its successor reads everything anew"
                    );
                    std::process::exit(1);
                }
                beating.beat.store(beating.millis(), Ordering::Relaxed);
                tokio::time::sleep(BEAT).await;
            }
        });
        pulse
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether the process has run without a gap of half a lease.
    pub fn is_steady(&self) -> bool {
        let gap = self
            .millis()
            .saturating_sub(self.beat.load(Ordering::Relaxed));
        gap < LEASE_SECONDS * 1000 / 2
    }
}
