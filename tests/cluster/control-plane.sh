# etcd, kube-apiserver, kube-controller-manager and kube-scheduler: keys, users, command lines. Sourced, never run.
# `state` is the state folder, `host` the address of the API server, `programs` the folder of the programs.
# shellcheck shell=bash disable=SC2154

# component NAME ARGUMENT...: its command line; arguments of --arg NAME=ARGUMENT come last and so take precedence.
component() {
    local name=$1 extra
    local -a command=("$programs/$name" "${@:2}")
    [[ $name != containerd ]] || command[0]=$(command -v containerd)
    for extra in "${extra_args[@]}"; do
        if [[ $extra == "$name="* ]]; then command+=("${extra#*=}"); fi
    done
    printf '%s\n' "${command[@]}" >"$state/components/$name"
}

# certificate NAME SUBJECT EXTENSIONS: key and certificate, signed by the cluster's own authority (by itself: ca).
certificate() {
    local name=$1 subject=$2 extensions=$3 pki=$state/pki
    local -a signer=()
    if [[ $name != ca ]]; then signer=(-CA "$pki/ca.crt" -CAkey "$pki/ca.key"); fi
    printf '%s\n' "[req]" "distinguished_name=name" "[name]" "[extensions]" "$extensions" >"$pki/$name.cnf"
    openssl req -x509 -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 30 -config "$pki/$name.cnf" \
        -extensions extensions -subj "$subject" -keyout "$pki/$name.key" -out "$pki/$name.crt" "${signer[@]}" \
        2>"$state/log/openssl.log" || die "openssl: $(tail -n 3 "$state/log/openssl.log")"
}

keys() {
    local pki=$state/pki
    local names="DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1,IP:$host"
    certificate ca /CN=autopeft-test-cluster "basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash"
    certificate apiserver /CN=kube-apiserver "basicConstraints=critical,CA:FALSE
extendedKeyUsage=serverAuth
subjectAltName=$names"
    # With this the API server reaches the kubelet: without it logs and exec fail.
    certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client "basicConstraints=critical,CA:FALSE
extendedKeyUsage=clientAuth"
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$pki/service-accounts.key" 2>/dev/null
    openssl pkey -in "$pki/service-accounts.key" -pubout -out "$pki/service-accounts.pub"
}

# user NAME FILE GROUPS: a token user, and the kubeconfig that carries the token.
user() {
    local name=$1 file=$2 groups=$3 token
    token=$(openssl rand -hex 16)
    echo "$token,$name,$name,\"$groups\"" >>"$state/tokens.csv"
    cat >"$file" <<KUBECONFIG
apiVersion: v1
kind: Config
current-context: $name
clusters:
  - name: autopeft
    cluster:
      server: $server
      certificate-authority-data: $(base64 -w0 "$state/pki/ca.crt")
users:
  - name: $name
    user:
      token: $token
contexts:
  - name: $name
    context:
      cluster: autopeft
      user: $name
KUBECONFIG
}

# users: the administrator, Kubernetes' own programs under their real names, and those that --user asks for.
users() {
    local pair
    umask 077
    user admin "$state/kubeconfig" system:masters
    user system:kube-controller-manager "$state/pki/kube-controller-manager.kubeconfig" ""
    user system:kube-scheduler "$state/pki/kube-scheduler.kubeconfig" ""
    user system:kube-proxy "$state/pki/kube-proxy.kubeconfig" ""
    user system:node:node-1 "$state/pki/kubelet.kubeconfig" system:nodes
    for pair in "${extra_users[@]}"; do
        [[ $pair == *=* ]] || pair="$pair="
        user "${pair%%=*}" "$state/kubeconfig-${pair%%=*}" "${pair#*=}"
    done
}

# The audit policy: user, request and user agent of every request, and the body of each status that the operator writes.
audit_policy() {
    cat >"$state/audit-policy.yaml" <<'POLICY'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
  - level: Request
    verbs: [update]
    resources: [{group: autopeft.dev, resources: [peftsearches/status]}]
  - level: Metadata
POLICY
}

# control_plane_components BIND: their command lines; the API server listens on BIND.
control_plane_components() {
    local bind=$1 pki=$state/pki
    local etcd=http://$host:$etcd_port peer=http://$host:$peer_port
    # Without fsync a crash of the machine loses writes, a crash of etcd does not.
    component etcd --data-dir "$state/etcd" --unsafe-no-fsync --log-level warn \
        --listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
        --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer"
    local -a size_args=()
    # No pod can reach a loopback address, so that the API server refuses to publish one.
    if [[ $host == 127.* ]]; then size_args=(--endpoint-reconciler-type none); fi
    component kube-apiserver --etcd-servers "$etcd" \
        --bind-address "$bind" --advertise-address "$host" --secure-port "$server_port" \
        --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" --client-ca-file "$pki/ca.crt" \
        --service-cluster-ip-range 10.96.0.0/16 --allow-privileged \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$pki/service-accounts.pub" \
        --service-account-signing-key-file "$pki/service-accounts.key" \
        --token-auth-file "$state/tokens.csv" --authorization-mode Node,RBAC \
        --enable-admission-plugins NodeRestriction,OwnerReferencesPermissionEnforcement \
        --kubelet-client-certificate "$pki/kubelet-client.crt" --kubelet-client-key "$pki/kubelet-client.key" \
        --kubelet-preferred-address-types InternalIP \
        --audit-policy-file "$state/audit-policy.yaml" --audit-log-path "$state/audit.log" --audit-log-maxsize 4096 \
        "${size_args[@]}"
    # Many tests run side by side; the default is 20 requests per second for each controller.
    component kube-controller-manager --kubeconfig "$pki/kube-controller-manager.kubeconfig" --leader-elect=false \
        --kube-api-qps 200 --kube-api-burst 400 \
        --bind-address 127.0.0.1 --secure-port "$manager_port" --cert-dir "$pki/manager" \
        --root-ca-file "$pki/ca.crt" --service-account-private-key-file "$pki/service-accounts.key" \
        --use-service-account-credentials
    component kube-scheduler --kubeconfig "$pki/kube-scheduler.kubeconfig" --leader-elect=false \
        --bind-address 127.0.0.1 --secure-port "$scheduler_port" --cert-dir "$pki/scheduler"
}

etcd_is_ready() { curl -sf --max-time 2 "http://$host:$etcd_port/readyz"; }
apiserver_is_ready() { curl -sf --max-time 2 --cacert "$state/pki/ca.crt" "$server/readyz"; }

wait_for_apiserver() { wait_for 60 "the API server at $server" kube-apiserver apiserver_is_ready; }
