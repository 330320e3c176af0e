//! Changes the events of a watch on their way to the operator. The API server's guarantees are kept: the events of one
//! object stay in order, and after lost events the watch gets 410 (too old resource version).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Bytes;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::chance::mix;

/// How long events are buffered for reordering.
const WINDOW: Duration = Duration::from_millis(200);

/// The effect on a watch's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// None is sent, and the connection stays open: the peer is dead.
    Silence,
    /// Each is delayed by this time.
    Lag(Duration),
    /// Each is duplicated.
    Twice,
    /// Events of different objects that are close together are reordered.
    Shuffled(u64),
    /// After the first `come`, events are dropped for a while; then the watch gets 410, as after a compaction.
    Missed {
        /// How many are sent.
        come: usize,
        /// How long events are dropped.
        time: Duration,
    },
    /// The stream ends after this many.
    Cut(usize),
    /// The watch gets 410 at once.
    Expired,
}

/// The API server's event for a too old resource version.
fn expired() -> Bytes {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired",
        "message": "too old resource version", "code": 410,
    });
    line(&json!({"type": "ERROR", "object": status}).to_string())
}

fn line(text: &str) -> Bytes {
    Bytes::from(format!("{text}\n"))
}

/// The resources whose events are held back.
pub(super) type Held = watch::Receiver<BTreeSet<String>>;

/// Forwards the API server's events to the operator, until either is gone.
pub(super) async fn pass(
    from: Body,
    to: mpsc::Sender<Bytes>,
    changes: Vec<Change>,
    (resource, held): (String, Held),
) {
    let changed = async {
        if changes.contains(&Change::Expired) {
            let _ = to.send(expired()).await;
            return;
        }
        let (read, lines) = mpsc::unbounded_channel();
        let reading = tokio::spawn(split(from, read));
        send(lines, &to, &changes, (&resource, held)).await;
        reading.abort();
    };
    tokio::select! {
        () = changed => {}
        () = to.closed() => {}
    }
}

/// Reads one event per line, with the time of its arrival.
async fn split(mut from: Body, to: mpsc::UnboundedSender<(Instant, String)>) {
    let mut open = Vec::new();
    while let Some(Ok(frame)) = from.frame().await {
        let Ok(data) = frame.into_data() else {
            continue;
        };
        for byte in data {
            if byte != b'\n' {
                open.push(byte);
                continue;
            }
            let text = String::from_utf8_lossy(&std::mem::take(&mut open)).into_owned();
            if to.send((Instant::now(), text)).is_err() {
                return;
            }
        }
    }
}

async fn send(
    mut lines: mpsc::UnboundedReceiver<(Instant, String)>,
    to: &mpsc::Sender<Bytes>,
    changes: &[Change],
    (resource, mut held): (&str, Held),
) {
    let mut sent = 0;
    let mut waiting: VecDeque<(Instant, String)> = VecDeque::new();
    let twice = changes.contains(&Change::Twice);
    loop {
        let mut lag = Duration::ZERO;
        let mut shuffled = None;
        for change in changes {
            match *change {
                Change::Silence => std::future::pending().await,
                Change::Lag(time) => lag = time,
                Change::Shuffled(seed) => shuffled = Some(seed),
                Change::Missed { come, time } if sent >= come => {
                    tokio::time::sleep(time).await;
                    let _ = to.send(expired()).await;
                    return;
                }
                Change::Cut(events) if sent >= events => return,
                Change::Missed { .. } | Change::Cut(_) | Change::Twice | Change::Expired => {}
            }
        }
        if waiting.is_empty() {
            let Some(first) = lines.recv().await else {
                return;
            };
            waiting.push_back(first);
            if let Some(seed) = shuffled {
                tokio::time::sleep(WINDOW).await;
                while let Ok(next) = lines.try_recv() {
                    waiting.push_back(next);
                }
                waiting = shuffle(waiting, seed);
            }
        }
        if let Some((arrived, text)) = waiting.pop_front() {
            tokio::time::sleep_until(arrived + lag).await;
            // A dropped proxy delays nothing.
            let _ = held.wait_for(|held| !held.contains(resource)).await;
            for _ in 0..1 + usize::from(twice) {
                if to.send(line(&text)).await.is_err() {
                    return;
                }
            }
            sent += 1;
        }
    }
}

/// Reorders events, keeping the order of each object's events, and bookmarks after the events before them.
fn shuffle(events: VecDeque<(Instant, String)>, seed: u64) -> VecDeque<(Instant, String)> {
    let mut rest: Vec<(String, (Instant, String))> = Vec::new();
    for event in events {
        let read: Value = serde_json::from_str(&event.1).unwrap_or_default();
        let is_bookmark = read["type"] == "BOOKMARK";
        let object = read["object"]["metadata"]["uid"].as_str();
        let object = object.filter(|_| !is_bookmark).unwrap_or_default();
        rest.push((object.to_owned(), event));
    }
    if rest.iter().any(|(object, _)| object.is_empty()) {
        return rest.into_iter().map(|(_, event)| event).collect();
    }
    let mut order = VecDeque::new();
    let mut seed = seed;
    while !rest.is_empty() {
        seed = mix(seed);
        let chosen = usize::try_from(seed % rest.len() as u64).unwrap_or(0);
        let object = rest[chosen].0.clone();
        // Its oldest event goes first.
        let oldest = rest.iter().position(|(other, _)| *other == object);
        order.push_back(rest.remove(oldest.unwrap_or(chosen)).1);
    }
    order
}
