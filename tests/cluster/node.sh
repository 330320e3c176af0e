# containerd, kubelet and kube-proxy of a node cluster; images; simulated GPUs. Sourced, never run.
# shellcheck shell=bash disable=SC2154

containerd_client() { ctr --address "$state/containerd.sock" --namespace k8s.io "$@"; }

node_components() {
    local folder=$state/node cni=/usr/lib/cni
    [[ -x $cni/bridge ]] || cni=/opt/cni/bin
    mkdir -p "$folder/cni"
    # Without CAP_SYS_RESOURCE a process may not lower its OOM score: restrict_oom_score_adj keeps runc from trying.
    cat >"$folder/containerd.toml" <<TOML
version = 2
root = "$folder/containerd"
state = "/run/containerd"
[grpc]
  address = "$state/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "$cni"
  conf_dir = "$folder/cni"
TOML
    cat >"$folder/cni/10-bridge.conflist" <<JSON
{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
      "ipam": {
        "type": "host-local", "dataDir": "$folder/addresses",
        "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
JSON
    # Eviction is for tests that ask for it (--arg kubelet=--eviction-hard=...), not for a machine with a full disk.
    cat >"$folder/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: /autopeft$slot
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
containerRuntimeEndpoint: unix://$state/containerd.sock
authentication: {webhook: {enabled: true}, x509: {clientCAFile: $state/pki/ca.crt}}
authorization: {mode: Webhook}
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
imageGCHighThresholdPercent: 100
YAML
    cat >"$folder/proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $state/pki/kube-proxy.kubeconfig}
mode: nftables
clusterCIDR: 10.244.0.0/24
conntrack: {maxPerCore: 0}
hostnameOverride: node-1
YAML
    component containerd --config "$folder/containerd.toml"
    component kubelet --config "$folder/kubelet.yaml" --kubeconfig "$state/pki/kubelet.kubeconfig" \
        --hostname-override node-1 --node-ip "$host" --root-dir "$folder/kubelet" --cert-dir "$folder/kubelet-pki"
    component kube-proxy --config "$folder/proxy.yaml"
}

# load_image FILE: an OCI archive into the node's containerd.
load_image() { containerd_client images import "$1" >&2 || die "containerd does not take the image archive $1"; }

start_node() {
    begin kube-scheduler
    begin kube-proxy
    wait_for 20 "containerd" containerd containerd_client version
    load_image "$pause_image/pause.oci"
    begin kubelet
    wait_for 60 "node-1 to be Ready" kubelet node_is_ready
    # Until it exists, pods of this namespace are rejected.
    wait_for 20 "the ServiceAccount default/default" kube-controller-manager admin get serviceaccount default
}

node_is_ready() { admin wait --for=condition=Ready node/node-1 --timeout=2s; }

admin() { "$programs/kubectl" --kubeconfig "$state/kubeconfig" "$@"; }

# pretend_gpus COUNT: the node advertises them, so that pods that request nvidia.com/gpu are scheduled; they find none.
pretend_gpus() {
    local field patch=""
    # The kubelet sets allocatable from capacity, but only with its next report, up to 10 s later.
    for field in capacity allocatable; do
        patch+="{\"op\": \"add\", \"path\": \"/status/$field/nvidia.com~1gpu\", \"value\": \"$1\"},"
    done
    admin patch node node-1 --subresource=status --type=json -p "[${patch%,}]" >/dev/null
}
