//! A proxy between an operator and the API server that injects faults by rules. The operator's kubeconfig points at it,
//! so that the program under test is the released one. Plain HTTP towards the operator, TLS towards the API server.

mod chance;
mod rule;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{StreamExt, stream as futures_stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub use chance::mix;
pub use rule::{Asked, Effect, Rule, Verb, When};
pub use stream::Change;

use crate::cluster::Cluster;
use crate::supervisor::Victim;

/// Ends the connection.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the connection was ended on purpose")]
struct Ended;

type Content = UnsyncBoxBody<Bytes, Infallible>;
type Answer = Response<Content>;

/// A proxy; it ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    kubeconfig: PathBuf,
    accepting: JoinHandle<()>,
}

struct Shared {
    server: Client,
    rules: Mutex<Vec<Counted>>,
    /// The operator's LISTs, by URL, with the recorded response.
    lists: Mutex<BTreeMap<String, Option<Bytes>>>,
    victim: Mutex<Option<Victim>>,
    held_back: watch::Sender<BTreeSet<String>>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_list()
            .entries(held(&self.rules).iter())
            .finish()
    }
}

/// A rule, the number of matching requests, and how many it was applied to.
#[derive(Clone, Copy, Debug)]
struct Counted {
    rule: Rule,
    seen: usize,
    struck: usize,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// A proxy before a cluster, for an operator of the namespace `name`.
    pub async fn before(cluster: &Cluster, name: &str) -> Self {
        let upstream = Kubeconfig::read_from(cluster.operator_kubeconfig());
        let upstream = upstream.expect("the operator's kubeconfig");
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(upstream.clone(), &options)
            .await
            .expect("a client's configuration");
        // The proxy forwards errors; it does not retry.
        config.default_retry = false;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut downstream = upstream;
        for named in &mut downstream.clusters {
            if let Some(cluster) = &mut named.cluster {
                cluster.server = Some(format!("http://{address}"));
                cluster.certificate_authority_data = None;
            }
        }
        let kubeconfig = cluster
            .operator_kubeconfig()
            .with_file_name(format!("proxy-{name}"));
        let text = serde_json::to_string(&downstream).expect("JSON");
        std::fs::write(&kubeconfig, text).expect("the state folder can be written");
        let shared = Arc::new(Shared {
            server: Client::try_from(config).expect("a client"),
            rules: Mutex::default(),
            lists: Mutex::default(),
            victim: Mutex::default(),
            held_back: watch::Sender::default(),
            in_flight: AtomicUsize::default(),
            most_in_flight: AtomicUsize::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            shared,
            kubeconfig,
            accepting,
        }
    }

    /// The kubeconfig that points at the proxy.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Replaces the rules.
    pub fn begin(&self, rules: &[Rule]) {
        let counted = rules.iter().map(|rule| Counted {
            rule: *rule,
            seen: 0,
            struck: 0,
        });
        *held(&self.shared.rules) = counted.collect();
    }

    /// Removes all rules. A watch that is affected stays so until it ends.
    pub fn calm(&self) {
        self.begin(&[]);
    }

    /// Delays the events of a resource, also on open watches, until `let_go`.
    pub fn hold_back(&self, resource: &str) {
        let held = &self.shared.held_back;
        held.send_modify(|held| held.extend([resource.to_owned()]));
    }

    /// Ends all delays of `hold_back`.
    pub fn let_go(&self) {
        self.shared.held_back.send_modify(BTreeSet::clear);
    }

    /// How often each rule was applied.
    pub fn struck(&self) -> Vec<usize> {
        let rules = held(&self.shared.rules);
        rules.iter().map(|counted| counted.struck).collect()
    }

    /// Whether every rule was applied.
    pub fn all_struck(&self) -> bool {
        self.struck().iter().all(|struck| *struck > 0)
    }

    /// The maximum number of concurrent requests, without watches.
    pub fn most_in_flight(&self) -> usize {
        self.shared.most_in_flight.load(Ordering::Relaxed)
    }

    /// Records the current response to each of the operator's LISTs.
    pub async fn keep(&self) {
        self.shared.keep().await;
    }

    /// Sets the operator that `KillBefore` and `KillAfter` kill.
    pub fn aim_at(&self, victim: Victim) {
        *held(&self.shared.victim) = Some(victim);
    }
}

/// Locks, ignoring poisoning.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with the proxy.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            let server = hyper::server::conn::http1::Builder::new();
            // It ends with an error if a fault ends it.
            let _ = server.serve_connection(TokioIo::new(socket), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Counts a concurrent request.
struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Ended> {
    let asked = Asked::of(request.method(), request.uri());
    let address = request.uri().to_string();
    if asked.verb == Verb::List {
        held(&shared.lists).entry(address.clone()).or_default();
    }
    let _counted = (asked.verb != Verb::Watch).then(|| shared.count());
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Ended)?.to_bytes();
    let mut changes = Vec::new();
    let mut instead = None;
    for effect in shared.strike(&asked) {
        match effect {
            Effect::Delay(time) => tokio::time::sleep(time).await,
            Effect::Answer(code) => return Ok(refusal(code)),
            Effect::LoseRequest => return Err(Ended),
            Effect::Hang => std::future::pending().await,
            Effect::KillBefore => {
                shared.kill();
                return Err(Ended);
            }
            Effect::Keep => shared.keep().await,
            Effect::OldList => {
                let kept = held(&shared.lists).get(&address).cloned().flatten();
                if let Some(list) = kept {
                    return Ok(document(StatusCode::OK, list));
                }
            }
            Effect::Events(change) => changes.push(change),
            Effect::AnswerAfter(_) | Effect::LoseReply | Effect::KillAfter => {
                instead = Some(effect);
            }
        }
    }
    let request = Request::from_parts(parts, Body::from(body.to_vec()));
    if asked.verb == Verb::Watch {
        let reply = shared.server.send(request).await.map_err(|_| Ended)?;
        let (mut head, body) = reply.into_parts();
        unframe(&mut head);
        if head.status == StatusCode::OK {
            let events = watch(&shared, asked.resource, body, changes);
            return Ok(Response::from_parts(head, events));
        }
        let body = body.collect().await.map_err(|_| Ended)?.to_bytes();
        return Ok(Response::from_parts(head, whole(body)));
    }
    // A request that was sent is completed even if the operator is killed meanwhile: the audit log has no outcome of an
    // aborted request.
    let server = shared.server.clone();
    let carried_out = tokio::spawn(async move {
        let (head, body) = server.send(request).await.ok()?.into_parts();
        Some((head, body.collect().await.ok()?.to_bytes()))
    });
    let (mut head, body) = carried_out.await.ok().flatten().ok_or(Ended)?;
    match instead {
        Some(Effect::AnswerAfter(code)) => Ok(refusal(code)),
        Some(Effect::KillAfter) => {
            shared.kill();
            Err(Ended)
        }
        Some(_) => Err(Ended),
        None => {
            unframe(&mut head);
            Ok(Response::from_parts(head, whole(body)))
        }
    }
}

fn watch(shared: &Shared, resource: String, body: Body, changes: Vec<Change>) -> Content {
    let (sender, receiver) = mpsc::channel(1);
    let held = (resource, shared.held_back.subscribe());
    tokio::spawn(stream::pass(body, sender, changes, held));
    let events = futures_stream::unfold(receiver, async |mut receiver| {
        let event = receiver.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(event)), receiver))
    });
    UnsyncBoxBody::new(StreamBody::new(events.boxed()))
}

fn whole(body: Bytes) -> Content {
    UnsyncBoxBody::new(Full::new(body))
}

/// Removes framing headers, which hyper sets itself.
fn unframe(head: &mut hyper::http::response::Parts) {
    head.headers.remove(hyper::header::TRANSFER_ENCODING);
    head.headers.remove(hyper::header::CONTENT_LENGTH);
}

impl Shared {
    fn count(&self) -> InFlight<'_> {
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_in_flight.fetch_max(now, Ordering::Relaxed);
        InFlight(&self.in_flight)
    }

    /// The effects on a request, in the order of the rules.
    fn strike(&self, asked: &Asked) -> Vec<Effect> {
        let mut effects = Vec::new();
        for counted in held(&self.rules).iter_mut() {
            if counted.rule.speaks_of(asked) {
                if counted.rule.when.strikes(counted.seen) {
                    counted.struck += 1;
                    effects.push(counted.rule.effect);
                }
                counted.seen += 1;
            }
        }
        effects
    }

    fn kill(&self) {
        if let Some(victim) = held(&self.victim).as_ref() {
            victim.kill();
        }
    }

    async fn keep(&self) {
        let addresses: Vec<String> = held(&self.lists).keys().cloned().collect();
        for address in addresses {
            let request = Request::get(&address)
                .body(Body::empty())
                .expect("a request");
            let Ok(reply) = self.server.send(request).await else {
                continue;
            };
            if let Ok(body) = reply.into_body().collect().await {
                held(&self.lists).insert(address, Some(body.to_bytes()));
            }
        }
    }
}

fn document(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(whole(body));
    *answer.status_mut() = status;
    let json = hyper::header::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

/// An error response in the API server's form.
fn refusal(code: u16) -> Answer {
    let reason = match code {
        403 => "Forbidden",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason,
        "message": "by the fault proxy", "code": code,
    });
    let body = Bytes::from(status.to_string());
    document(StatusCode::from_u16(code).expect("an HTTP status"), body)
}
