//! The ways to the API server, each with its own patience: a connection whose other side is gone says
//! nothing, and a client that waits for ever does not notice.

use std::time::Duration;

use kube::client::ClientBuilder;
use kube::runtime::utils::Backoff;
use kube::{Client, Config};
use tower::timeout::TimeoutLayer;

use super::OperatorError;

/// The longest that a watch lives, seconds: a dead one is noticed soon after.
pub const WATCH_SECONDS: u32 = 55;
/// How long an answer may take to begin, a watch's too.
const ANSWER: Duration = Duration::from_secs(10);
/// How long nothing may come from a watch that has begun: longer than it lives.
const WATCH_SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 5);
/// How long nothing may come from a renewal of the Lease: there must be time for another.
const LEASE_SILENCE: Duration = Duration::from_secs(4);

/// The ways to the API server.
#[derive(Clone)]
pub struct Connections {
    /// For calls. Refusals that pass (429, 503, 504) are tried again by the client, within the time
    /// that `api` gives a call.
    pub calls: Client,
    /// For watches, which are begun anew after `Pauses`.
    pub watches: Client,
    /// For the Lease, which is renewed in any case.
    pub lease: Client,
}

impl Connections {
    /// Those to one API server.
    pub fn to(config: &Config) -> Result<Self, OperatorError> {
        Ok(Self {
            calls: client(config, ANSWER, true)?,
            watches: client(config, WATCH_SILENCE, false)?,
            lease: client(config, LEASE_SILENCE, false)?,
        })
    }
}

fn client(config: &Config, silence: Duration, tries_again: bool) -> Result<Client, OperatorError> {
    let mut config = config.clone();
    let answer = silence.min(ANSWER);
    config.connect_timeout = Some(answer);
    config.read_timeout = Some(silence);
    config.reset_reader_on_write = true;
    // Its pauses double without end: after a long outage the last of 15 is minutes long.
    config.default_retry = tries_again;
    let builder = ClientBuilder::try_from(config)?;
    Ok(builder.with_layer(&TimeoutLayer::new(answer)).build())
}

/// Pauses of a watch that cannot be begun: half a second, doubled up to 4. They are the longest that a
/// search waits for an API server that is back.
#[derive(Debug, Default)]
pub struct Pauses(u32);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = Duration::from_millis(500 << self.0);
        self.0 = (self.0 + 1).min(3);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = 0;
    }
}
