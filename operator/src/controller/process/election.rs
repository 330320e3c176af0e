//! Leader election by a Lease. It only saves work: safety comes from compare-and-swap and deterministic names.

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

use crate::controller::watchdog::LEASE_SECONDS;

/// How long before its expiry the Lease is renewed, seconds.
const GRACE_SECONDS: u64 = 10;
/// The pause before the Lease is read again after an error.
const RETRY: Duration = Duration::from_secs(2);
/// How often a standby checks whether the Lease was released.
const LOOK: Duration = Duration::from_secs(1);
/// Helm's annotation of the objects of a release.
const RELEASE: &str = "meta.helm.sh/release-name";
/// The number of consecutive rejections after which the process ends.
const REFUSALS: u32 = 15;
/// Whether this process leads.
#[derive(Debug)]
pub struct Leadership {
    leads: watch::Receiver<bool>,
    task: JoinHandle<Result<(), LeaseManagerError>>,
}

impl Leadership {
    /// Starts to campaign for the Lease `name`.
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
        // Waits for an unreachable API server: exiting instead would lead to ever longer restart back-offs.
        let mut refusals = 0;
        let manager = loop {
            match candidate.manager().await {
                Ok(manager) => break manager,
                Err(error) => {
                    // An API server that has just started may not have loaded the RBAC rules yet.
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

    /// Releases the Lease, so that a standby takes over at once.
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

/// A candidate for a Lease.
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

    /// Campaigns, renews and reports changes until the receiver is dropped; then releases the Lease.
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
                // A manager sleeps until the Lease that it has read expires; a new manager reads it again. The next
                // check is far away, so that a slow API server has time to answer.
                () = self.released(patience), if !leads => {
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

    /// Makes the operator's Deployment, which has the same name, the owner of a Lease that is not part of a release, as
    /// 0.1.0 created them.
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

    /// Waits until nobody holds the Lease. The first check is after `patience`.
    async fn released(&self, patience: Duration) {
        tokio::time::sleep(patience).await;
        loop {
            // The manager handles errors and a missing Lease.
            let lease = self.leases.get(&self.name).await.ok();
            let holder = lease.map(|lease| lease.spec.and_then(|spec| spec.holder_identity));
            if holder.is_some_and(|holder| holder.is_none_or(|name| name.is_empty())) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Whether the API server rejects access to the Lease.
fn is_refused(error: &LeaseManagerError) -> bool {
    match error {
        LeaseManagerError::KubeError(kube::Error::Api(status)) => {
            status.code < 500 && status.code != 429
        }
        _ => false,
    }
}
