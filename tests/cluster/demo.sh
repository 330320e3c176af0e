#!/usr/bin/env bash
# A whole search on a real Kubernetes, from nothing to the front: `make cluster-demo`, docs/cluster.md.
#
# A cluster of its own, or the one of KUBECONFIG (images are then loaded by CLUSTER_LOAD_IMAGE). Everything is taken down at
# the end, also after a failure or Ctrl-C; KEEP=1 leaves it up. SEARCH names another manifest, NAMESPACE another namespace.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

root=$(cd "$here/../.." && pwd)
search=${SEARCH:-$root/docs/examples/cluster/movie-reviews.yaml}
namespace=${NAMESPACE:-autopeft-demo}
images=$root/target/images
cluster=demo
outside=${KUBECONFIG:-}
# The longest that a search may take.
limit=1800s

step() { say "== $* ($(printf '%(%H:%M:%S)T' -1))"; }

installed=
finish() {
    local code=$?
    trap - EXIT INT TERM
    if [[ $code != 0 && -n $installed ]]; then
        say "== state of the cluster"
        kubectl get psearch,jobs,pods -n "$namespace" >&2 || true
        kubectl get events -n "$namespace" --sort-by=.lastTimestamp 2>/dev/null | tail -n 20 >&2 || true
        kubectl logs -n "$namespace" deployment/autopeft --tail 30 >&2 || true
    fi
    if [[ -n ${KEEP:-} ]]; then
        say "== KEEP is set: nothing is deleted"
        if [[ -z $outside ]]; then
            say "to use it:    eval \"\$(tests/cluster/cluster.sh env --name $cluster)\""
            say "to delete it: tests/cluster/cluster.sh down --name $cluster"
        else
            say "to delete it: kubectl delete psearch --all -n $namespace && helm uninstall autopeft -n $namespace && kubectl delete namespace $namespace"
        fi
    elif [[ -z $outside ]]; then
        step "taking the cluster down"
        "$here/cluster.sh" down --name "$cluster" || true
    elif [[ -n $installed ]]; then
        step "taking everything down"
        # The searches first: the operator removes the finalizers of their pods.
        kubectl delete psearch --all -n "$namespace" --timeout=60s >&2 || true
        kubectl wait --for=delete pod -l app.kubernetes.io/managed-by=autopeft -n "$namespace" --timeout=60s >&2 || true
        helm uninstall autopeft -n "$namespace" --wait >&2 || true
        kubectl delete namespace "$namespace" --timeout=120s >&2 || true
    fi
    exit "$code"
}

watching=
watch_progress() {
    # A heading, then a line whenever one of these changes; a field without a value is <none>.
    local columns=TRIALS:.status.trials.progress,BEST:.status.bestScore
    columns+=,FRONT:.status.frontSize,HYPERVOLUME:.status.hypervolume
    kubectl get psearch "$name" -n "$namespace" --watch -o "custom-columns=$columns" 2>/dev/null | {
        local line last=
        while IFS= read -r line; do
            if [[ $line != "$last" ]]; then say "$line"; fi
            last=$line
        done
    } &
    watching=$!
}

name=$(sed -n '/^metadata:/,/^[a-z]/s/^ *name: *\([^ ]*\).*/\1/p' "$search" | head -n 1)
[[ -n $name ]] || die "$search has no metadata.name"

begun=$EPOCHSECONDS
step "building the images"
"$root/charts/images/images.sh" operator "$images/operator.oci"
"$root/charts/images/images.sh" trainer "$images/trainer.oci"
"$root/charts/images/images.sh" examples "$images/examples.oci"
helm=$("$here/cluster.sh" build helm)

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
step "bringing a cluster up"
if [[ -z $outside ]]; then
    "$here/cluster.sh" down --name "$cluster" 2>/dev/null || true
    "$here/cluster.sh" up --size node --name "$cluster" >/dev/null
    eval "$("$here/cluster.sh" env --name "$cluster")"
else
    "$here/cluster.sh" up --size node >/dev/null
    command -v kubectl >/dev/null || PATH=$("$here/cluster.sh" build kubernetes):$PATH
fi
export PATH=$helm:$PATH
set_up=$((EPOCHSECONDS - begun))

begun=$EPOCHSECONDS
step "loading the images"
for image in operator trainer examples; do "$here/cluster.sh" load-image "$images/$image.oci" --name "$cluster"; done

step "installing the chart into $namespace, whose pods must be restricted"
! kubectl get namespace "$namespace" >/dev/null 2>&1 || die "the namespace $namespace exists already; set NAMESPACE to another name"
kubectl create namespace "$namespace" >&2
installed=yes
kubectl label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted >&2
crds=(--set crds.keep=false)
if kubectl get crd peftsearches.autopeft.dev >/dev/null 2>&1; then crds=(--set crds.install=false); fi
helm install autopeft "$root/charts/autopeft" -n "$namespace" "${crds[@]}" --wait --timeout 3m >&2

step "putting the weights and the text on a claim"
if [[ -z $outside ]]; then
    claim=${KUBECONFIG%/*}/claim
    mkdir -m 777 "$claim"
    chmod 777 "$claim"
    kubectl apply -f - >&2 <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: autopeft}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  claimRef: {namespace: $namespace, name: autopeft}
  hostPath: {path: $claim, type: Directory}
YAML
fi
kubectl apply -n "$namespace" -f "$root/docs/examples/cluster/claim.yaml" >&2
kubectl wait --for=condition=Complete job/load-examples -n "$namespace" --timeout=180s >&2

step "applying $search"
searched=$EPOCHSECONDS
kubectl apply -n "$namespace" -f "$search" >&2
watch_progress
kubectl wait --for='jsonpath={.status.completionTime}' "psearch/$name" -n "$namespace" "--timeout=$limit" >/dev/null
kubectl wait --for=condition=Succeeded "psearch/$name" -n "$namespace" --timeout=5s >&2
kill "$watching" 2>/dev/null || true

step "the front, from kubectl get psearch $name -o yaml"
kubectl get psearch "$name" -n "$namespace" -o yaml >"$root/target/cluster-demo.yaml"
kubectl get -f "$root/target/cluster-demo.yaml" -o jsonpath="$(
    printf '%s' '{"SCORE\tPARAMETERS\tPERCENT\tTRIAL\tCONFIGURATION\n"}{range .status.paretoFront[*]}' \
        '{.score}{"\t"}{.parameters}{"\t"}{.parametersPercent}{"\t"}{.trial}{"\t"}{.configuration}{"\n"}{end}'
)" | expand -t 12
kubectl get psearch "$name" -n "$namespace" >&2
say "$name took $((EPOCHSECONDS - searched)) s; with images, chart and claim $((EPOCHSECONDS - begun)) s; building and the cluster $set_up s before that"
say "the whole object: target/cluster-demo.yaml"
