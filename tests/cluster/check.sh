#!/usr/bin/env bash
# shellcheck disable=SC2317 # the functions are called by claim
# Checks on two node clusters side by side the properties that the tests rely on, and times each check.
# The exit code is the number of claims that did not hold.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/build.sh"
set +e
unset KUBECONFIG

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
passed=0
failed=0

# claim SENTENCE COMMAND...: runs it and counts.
claim() {
    local sentence=$1 begun=${EPOCHREALTIME//[.,]/} verdict
    shift
    if "$@" >"$folder/output" 2>&1; then
        verdict=ok
        passed=$((passed + 1))
    else
        verdict=FAILED
        failed=$((failed + 1))
    fi
    printf '%s: %s (%d ms)\n' "$sentence" "$verdict" $(((${EPOCHREALTIME//[.,]/} - begun) / 1000))
    [[ $verdict == ok ]] || tail -n 30 "$folder/output"
}

cluster() { "$here/cluster.sh" "$@"; }
first() { "$programs/kubectl" --kubeconfig "$one" "$@"; }

# job NAME WORD MEMORY: a Job that the restricted profile lets in.
job() {
    cat <<YAML
apiVersion: batch/v1
kind: Job
metadata: {name: $1, namespace: restricted}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: main
          image: localhost/probe:1
          args: [$2]
          imagePullPolicy: Never
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          resources: {limits: {memory: $3, cpu: 500m}}
YAML
}

namespace() {
    first create namespace restricted &&
        first label namespace restricted pod-security.kubernetes.io/enforce=restricted &&
        first wait --for=create serviceaccount/default -n restricted --timeout=20s
}

reaches() { first wait "--for=condition=$2" "job/$1" -n restricted --timeout=60s; }
runs_to_the_end() { job good say 32Mi | first apply -f - && reaches good Complete; }
runs_out_of_memory() { job hungry eat 16Mi | first apply -f - && reaches hungry Failed; }
# terminated JOB FIELD: of its pod's container.
terminated() { 
    first get pod -n restricted -l "job-name=$1" -o "jsonpath={.items[0].status.containerStatuses[0].state.terminated.$2}"
}
message_is_back() { [[ $(terminated good message) == "the probe's result" ]]; }
log_is_back() { [[ $(first logs -n restricted job/good) == "the probe's log" ]]; }
reason_is_oom() { [[ $(terminated hungry reason) == OOMKilled ]]; }
gpus_are_two() { [[ $(first get node node-1 -o 'jsonpath={.status.allocatable.nvidia\.com/gpu}') == 2 ]]; }
# refused REASON KUBECONFIG ARGUMENT...: kubectl fails, and says why.
refused() {
    ! "$programs/kubectl" --kubeconfig "$2" "${@:3}" 2>"$folder/refusal" && grep -q "$1" "$folder/refusal"
}
privileged_is_refused() {
    refused 'violates PodSecurity "restricted' "$one" run bad -n restricted --image localhost/probe:1 --privileged
}
tenant_is_forbidden() { refused Forbidden "${one%/*}/kubeconfig-tenant-a" get pods -n restricted; }
tenant_is_in_the_audit_log() { grep -q '"username":"tenant-a"' "${one%/*}/audit.log"; }
second_knows_nothing() { refused NotFound "$two" get namespace restricted; }
apiserver_stops_answering() {
    cluster stop kube-apiserver --name check-1 && ! first get --raw /readyz --request-timeout 2s &&
        cluster cont kube-apiserver --name check-1 && first get --raw /readyz --request-timeout 10s
}
# is_gone STATE SLOT: no process, interface, mount, cgroup or file of it is left.
is_gone() {
    ! grep -qszxF "AUTOPEFT_CLUSTER_MEMBER=$1" /proc/[0-9]*/environ && [[ ! -e /sys/class/net/autopeft$2 && ! -e $1 ]] &&
        ! grep -q "$1" /proc/mounts && [[ -z $(find /sys/fs/cgroup -maxdepth 2 -name "autopeft$2") ]]
}
nothing_is_left() { is_gone "${one%/*}" "$slot_one" && is_gone "${two%/*}" "$slot_two"; }

programs=$(kubernetes_folder) && gcc -O1 -static -o "$folder/probe" "$here/probe.c" &&
    cluster image "$folder/probe" localhost/probe:1 "$folder/probe.oci" || exit

one=$clusters/check-1/kubeconfig
two=$clusters/check-2/kubeconfig
claim "a node cluster comes up" cluster up --size node --name check-1 --owner $$ --gpus 2 --user tenant-a
claim "a second one comes up beside it" cluster up --size node --name check-2 --owner $$
claim "an image is loaded" cluster load-image "$folder/probe.oci" --name check-1
claim "a restricted namespace is made" namespace
claim "a restricted Job runs to its end" runs_to_the_end
claim "its termination message is read back" message_is_back
claim "its log is read back" log_is_back
claim "a Job that takes more memory than its limit fails" runs_out_of_memory
claim "its reason is OOMKilled" reason_is_oom
claim "a privileged pod is refused" privileged_is_refused
claim "the node has the two GPUs that it pretends to have" gpus_are_two
claim "a user without rights is refused" tenant_is_forbidden
claim "the audit log names that user" tenant_is_in_the_audit_log
claim "the second cluster knows nothing of the first" second_knows_nothing
claim "a stopped API server does not answer" apiserver_stops_answering
claim "a killed API server comes back" cluster restart-apiserver --name check-1
slot_one=$(<"${one%/*}/slot")
slot_two=$(<"${two%/*}/slot")
claim "the first cluster is taken down" cluster down --name check-1
claim "the second cluster is taken down" cluster down --name check-2
claim "nothing is left" nothing_is_left

echo "$passed passed, $failed failed"
exit "$failed"
