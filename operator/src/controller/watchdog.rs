//! Detects that the process was stopped for half a lease, before it acts as if it still led.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a lease holds, seconds.
pub const LEASE_SECONDS: u64 = 15;
/// The interval of ticks.
const TICK: Duration = Duration::from_millis(500);

/// Ticks while the process runs, which reveals gaps (SIGSTOP, a suspended machine).
#[derive(Clone, Debug)]
pub struct Watchdog {
    start: Instant,
    last_tick: Arc<AtomicU64>,
}

impl Watchdog {
    /// Starts ticking.
    pub fn start() -> Self {
        let watchdog = Self {
            start: Instant::now(),
            last_tick: Arc::default(),
        };
        let ticking = watchdog.clone();
        tokio::spawn(async move {
            loop {
                if !ticking.is_on_time() {
                    tracing::error!(
                        "this process was stopped for half its lease; it exits, because another replica may lead"
                    );
                    std::process::exit(1);
                }
                ticking.last_tick.store(ticking.millis(), Ordering::Relaxed);
                tokio::time::sleep(TICK).await;
            }
        });
        watchdog
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether the process has run without a gap of half a lease.
    pub fn is_on_time(&self) -> bool {
        let gap = self
            .millis()
            .saturating_sub(self.last_tick.load(Ordering::Relaxed));
        gap < LEASE_SECONDS * 1000 / 2
    }
}
