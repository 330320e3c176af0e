//! Leader election by a Lease. It saves work and nothing more: safety comes from compare-and-swap
//! and deterministic names.

use std::time::Duration;

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::controller::pulse::LEASE_SECONDS;

/// How long before its end it is renewed, seconds.
const GRACE_SECONDS: u64 = 10;
/// How soon to ask again for a Lease that could not be read.
const RETRY: Duration = Duration::from_secs(2);
/// How often who waits looks whether the Lease was given back.
const LOOK: Duration = Duration::from_secs(1);
/// What Helm notes on the objects of a release.
const RELEASE: &str = "meta.helm.sh/release-name";
/// So many refusals of the Lease in a row end the process.
const REFUSALS: u32 = 15;
/// Whether this process leads.
#[derive(Debug)]
pub struct Leadership {
    leads: watch::Receiver<bool>,
    task: JoinHandle<Result<(), LeaseManagerError>>,
}

impl Leadership {
    /// Begins to campaign for the Lease `name`.
    pub async fn campaign(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
    ) -> Result<Self, LeaseManagerError> {
        let candidate = Candidate {
            leases: Api::namespaced(client.clone(), namespace),
            client,
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
        };
        // An API server that is away is waited for: a process that ends instead is restarted later and later.
        let mut refusals = 0;
        let manager = loop {
            match candidate.manager().await {
                Ok(manager) => break manager,
                Err(error) => {
                    // One that has just started may not know our rights yet.
                    refusals = if is_refused(&error) { refusals + 1 } else { 0 };
                    if refusals == REFUSALS {
                        return Err(error);
                    }
                    tracing::warn!("the lease: {error}; retrying in {RETRY:?}");
                }
            }
            tokio::time::sleep(RETRY).await;
        };
        let (tell, leads) = watch::channel(false);
        let task = tokio::spawn(candidate.hold(manager, tell));
        Ok(Self { leads, task })
    }

    /// Waits until this process leads.
    pub async fn won(&mut self) {
        // An error means that the campaign ended; the caller's `lost` sees it.
        let _ = self.leads.wait_for(|leads| *leads).await;
    }

    /// Waits until it no longer does.
    pub async fn lost(&mut self) {
        let _ = self.leads.wait_for(|leads| !leads).await;
    }

    /// Gives the lease back, so that another takes over at once.
    pub async fn resign(self) {
        let Self { leads, task } = self;
        drop(leads);
        match tokio::time::timeout(Duration::from_secs(3), task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!("the lease could not be released: {error}"),
            Ok(Err(error)) => tracing::warn!("the lease could not be released: {error}"),
            Err(_) => tracing::warn!("the lease could not be released in time"),
        }
    }
}

/// Who campaigns for which Lease.
struct Candidate {
    client: Client,
    leases: Api<Lease>,
    namespace: String,
    name: String,
    identity: String,
}

impl Candidate {
    /// A manager that knows the Lease as it is now.
    async fn manager(&self) -> Result<LeaseManager, LeaseManagerError> {
        let builder = LeaseManagerBuilder::new(self.client.clone(), &self.name)
            .with_namespace(&self.namespace)
            .with_identity(&self.identity)
            .with_duration(LEASE_SECONDS)
            .with_grace(GRACE_SECONDS);
        builder.build().await
    }

    /// Campaigns, renews and tells of changes until nobody listens any more; then gives the Lease back.
    async fn hold(
        self,
        mut manager: LeaseManager,
        tell: watch::Sender<bool>,
    ) -> Result<(), LeaseManagerError> {
        let mut patience = LOOK;
        loop {
            let leads = *tell.borrow();
            let step = tokio::select! {
                biased;
                () = tell.closed() => return manager.release().await,
                changed = manager.changed() => {
                    patience = LOOK;
                    changed.map(|leads| { tell.send_replace(leads); })
                }
                // A manager sleeps until the end of the lease that it has seen; a new one looks. The next
                // look is far away, so that a slow API server has the time to answer it.
                () = self.given_back(patience), if !leads => {
                    patience = Duration::from_secs(LEASE_SECONDS);
                    self.manager().await.map(|anew| manager = anew)
                }
            };
            if !leads && *tell.borrow() {
                let owned = tokio::time::timeout(RETRY, self.own()).await;
                if let Ok(Err(error)) = owned {
                    tracing::warn!("the lease is given no owner: {error}");
                }
            }
            if let Err(error) = step {
                tracing::warn!("the lease: {error}; retrying in {RETRY:?}");
                tokio::select! {
                    () = tell.closed() => {}
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        }
    }

    /// Makes a Lease that belongs to no release, as 0.1.0 made them, go with the operator's Deployment, which has the
    /// same name.
    async fn own(&self) -> kube::Result<()> {
        let lease = self.leases.get_metadata(&self.name).await?.metadata;
        let annotations = lease.annotations.unwrap_or_default();
        if lease.owner_references.is_some() || annotations.contains_key(RELEASE) {
            return Ok(());
        }
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let Some(deployment) = deployments.get_metadata_opt(&self.name).await? else {
            return Ok(());
        };
        let owner = json!({
            "apiVersion": Deployment::API_VERSION, "kind": Deployment::KIND,
            "name": self.name, "uid": deployment.metadata.uid,
        });
        let patch = json!({"metadata": {"uid": lease.uid, "ownerReferences": [owner]}});
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
        self.leases
            .patch_metadata(&self.name, &parameters, &patch)
            .await?;
        Ok(())
    }

    /// Waits until nobody holds the Lease. The first look is after `patience`.
    async fn given_back(&self, patience: Duration) {
        tokio::time::sleep(patience).await;
        loop {
            // The manager sees to errors, and to a Lease that is gone.
            let lease = self.leases.get(&self.name).await.ok();
            let holder = lease.map(|lease| lease.spec.and_then(|spec| spec.holder_identity));
            if holder.is_some_and(|holder| holder.is_none_or(|name| name.is_empty())) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Whether the API server says that the Lease is not for us.
fn is_refused(error: &LeaseManagerError) -> bool {
    match error {
        LeaseManagerError::KubeError(kube::Error::Api(status)) => {
            status.code < 500 && status.code != 429
        }
        _ => false,
    }
}
