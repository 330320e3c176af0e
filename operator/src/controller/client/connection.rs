//! The ways to the API server, each with its own patience: a connection whose other side is gone says
//! nothing, and a client that waits for ever does not notice.

use std::time::Duration;

use autopeft_search::patience::Patience;
use axum::http::HeaderValue;
use axum::http::header::USER_AGENT;
use kube::client::ClientBuilder;
use kube::runtime::utils::Backoff;
use kube::{Client, Config};
use tower::timeout::TimeoutLayer;

/// Who calls.
const AGENT: &str = concat!("autopeft-operator/", env!("CARGO_PKG_VERSION"));
/// How long an answer may take to begin, a watch's too.
const ANSWER: Duration = Duration::from_secs(10);
/// How much longer than it lives nothing may come from a watch that has begun.
const SILENCE: Duration = Duration::from_secs(5);
/// How long nothing may come from a renewal of the Lease: there must be time for another.
const LEASE_SILENCE: Duration = Duration::from_secs(4);

/// The ways to the API server.
#[derive(Clone)]
pub struct Connections {
    /// For calls. Refusals that pass (429, 503, 504) are tried again by the client, within the time
    /// that `api` gives a call.
    pub calls: Client,
    /// For watches, which are restarted after `WatchBackoff`.
    pub watches: Client,
    /// For the Lease, which is renewed in any case.
    pub lease: Client,
}

impl Connections {
    /// Those to one API server.
    pub fn to(config: &Config, patience: &Patience) -> Result<Self, kube::Error> {
        Ok(Self {
            calls: client(config, ANSWER, true)?,
            watches: client(config, patience.watch + SILENCE, false)?,
            lease: client(config, LEASE_SILENCE, false)?,
        })
    }
}

fn client(config: &Config, silence: Duration, tries_again: bool) -> Result<Client, kube::Error> {
    let mut config = config.clone();
    let answer = silence.min(ANSWER);
    config.connect_timeout = Some(answer);
    config.read_timeout = Some(silence);
    config.reset_reader_on_write = true;
    // Its back-off doubles without a limit: after a long outage the last of 15 is minutes long.
    config.default_retry = tries_again;
    // The audit log tells who calls by it, and managedFields who has written what.
    let agent = HeaderValue::from_static(AGENT);
    config.headers.push((USER_AGENT, agent));
    let builder = ClientBuilder::try_from(config)?;
    Ok(builder.with_layer(&TimeoutLayer::new(answer)).build())
}

/// The back-off of a watch that cannot be started.
#[derive(Debug)]
pub struct WatchBackoff {
    patience: Patience,
    count: u32,
}

impl WatchBackoff {
    /// Before the first of them.
    pub fn new(patience: Patience) -> Self {
        Self { patience, count: 0 }
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.patience.pause_of_watch(self.count);
        self.count = self.count.saturating_add(1);
        Some(pause)
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.count = 0;
    }
}
