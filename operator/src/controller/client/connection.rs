//! Clients of the API server with different timeouts: without them, a client would wait for ever on a dead connection.

use std::time::Duration;

use autopeft_search::patience::Patience;
use axum::http::HeaderValue;
use axum::http::header::USER_AGENT;
use kube::client::ClientBuilder;
use kube::runtime::utils::Backoff;
use kube::{Client, Config};
use tower::timeout::TimeoutLayer;

/// The user agent.
const AGENT: &str = concat!("autopeft-operator/", env!("CARGO_PKG_VERSION"));
/// The timeout until a response starts, also of a watch.
const ANSWER: Duration = Duration::from_secs(10);
/// The read timeout of a watch is its lifetime and this much longer.
const SILENCE: Duration = Duration::from_secs(5);
/// The read timeout of a renewal of the Lease: there must be time for another.
const LEASE_SILENCE: Duration = Duration::from_secs(4);

/// The clients of the API server.
#[derive(Clone)]
pub struct Connections {
    /// For calls. The client retries transient errors (429, 503, 504) within the timeout that `api` gives a call.
    pub calls: Client,
    /// For watches, which are restarted after `WatchBackoff`.
    pub watches: Client,
    /// For the Lease, whose manager retries.
    pub lease: Client,
}

impl Connections {
    /// The clients of one API server.
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
    // Off for watches and the Lease: the client's pauses double, and the last of 15 is minutes long.
    config.default_retry = tries_again;
    // It identifies the operator in the audit log and in managedFields.
    let agent = HeaderValue::from_static(AGENT);
    config.headers.push((USER_AGENT, agent));
    let builder = ClientBuilder::try_from(config)?;
    Ok(builder.with_layer(&TimeoutLayer::new(answer)).build())
}

/// The back-off of a failing watch.
#[derive(Debug)]
pub struct WatchBackoff {
    patience: Patience,
    count: u32,
}

impl WatchBackoff {
    /// Before the first pause.
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
