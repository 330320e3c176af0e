#!/usr/bin/env bash
# A real Kubernetes on this machine, for the tests and by hand. docs/cluster-tests.md explains it.
#
#   cluster.sh up [OPTION...]         bring a cluster up; prints the path of its kubeconfig, which lies in its state folder
#       --size api|node               api (default): etcd and the API server, no root; node: everything, pods run
#       --name NAME                   several run side by side under different names (default: main)
#       --owner PID                   the cluster ends with that process (default: only by `down`)
#       --with COMPONENT              api: also run kube-controller-manager or kube-scheduler; repeat
#       --user NAME[=GROUP,...]       a user without rights beside the administrator: kubeconfig-NAME; repeat
#       --gpus COUNT                  node: pretend that the node has GPUs
#       --arg COMPONENT=ARGUMENT      one more argument for a component's command line; repeat
#   cluster.sh down [--name NAME]     take it down, whatever is left of it; --all: every cluster of this user
#   cluster.sh list                   name, size and kubeconfig of each cluster
#   cluster.sh env [--name NAME]      KUBECONFIG and PATH (kubectl, etcdctl, helm where built), for eval
#   cluster.sh load-image FILE [--name NAME]                  an OCI archive into a node cluster
#   cluster.sh stop|cont|kill|start COMPONENT [--name NAME]   SIGSTOP, SIGCONT, SIGKILL, and started again
#   cluster.sh restart-apiserver [--name NAME]                killed, started, and waited for
#   cluster.sh image PROGRAM NAME:TAG FILE                    an OCI archive with one static program in it
#   cluster.sh build kubernetes|helm|prometheus|faketime|syft   build what is not built yet; prints its folder
#
# KUBECONFIG set: `up` checks that cluster and uses it; load-image runs the command in CLUSTER_LOAD_IMAGE on the file.
# KUBEBUILDER_ASSETS set: the api size takes etcd and kube-apiserver from that folder, and what else is there.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/build.sh"
source "$here/state.sh"
source "$here/control-plane.sh"
source "$here/node.sh"

usage() { sed -n '2,/^$/{s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }

verb=${1:-help}
shift || true

arguments=("$@")
size=api name=main owner=none gpus=0 all=
words=()
with=()
extra_users=()
extra_args=()
while (($#)); do
    case $1 in
        --all) all=yes ;;
        --name | --size | --owner | --gpus | --with | --user | --arg)
            (($# > 1)) || die "$1 needs a value: cluster.sh help"
            case $1 in
                --name) name=$2 ;;
                --size) size=$2 ;;
                --owner) owner=$2 ;;
                --gpus) gpus=$2 ;;
                --with) with+=("$2") ;;
                --user) extra_users+=("$2") ;;
                --arg) extra_args+=("$2") ;;
            esac
            shift
            ;;
        -*) die "unknown option $1: cluster.sh help" ;;
        *) words+=("$1") ;;
    esac
    shift
done

[[ $name =~ ^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$ ]] ||
    die "--name $name: must be up to 32 lower-case letters, digits and hyphens, such as faults-2"
state=$clusters/$name

check_options() {
    local word
    local components="etcd|kube-apiserver|kube-controller-manager|kube-scheduler|containerd|kubelet|kube-proxy"
    [[ $size == api || $size == node ]] || die "--size $size: must be api or node"
    [[ $gpus =~ ^[0-9]{1,3}$ ]] || die "--gpus $gpus: must be a number up to 999"
    [[ $owner == none ]] || { [[ $owner =~ ^[0-9]+$ ]] && started_at "$owner" >/dev/null; } ||
        die "--owner $owner: must be the PID of a running process"
    ((gpus == 0)) || [[ $size == node ]] || die "--gpus needs --size node: there is no node to have them"
    for word in "${with[@]}"; do
        [[ $word == kube-controller-manager || $word == kube-scheduler ]] ||
            die "--with $word: must be kube-controller-manager or kube-scheduler"
    done
    for word in "${extra_users[@]}"; do
        [[ $word =~ ^[a-z0-9][a-z0-9-]*(=[a-z0-9:,-]*)?$ ]] || die "--user $word: must be NAME or NAME=GROUP,GROUP"
    done
    for word in "${extra_args[@]}"; do
        [[ $word =~ ^($components)=- ]] || die "--arg $word: must be COMPONENT=ARGUMENT, such as etcd=--quota-backend-bytes=16777216"
    done
}

check_machine() {
    need curl "Debian: apt-get install curl"
    need openssl "Debian: apt-get install openssl"
    need flock "Debian: apt-get install util-linux"
    need setpriv "Debian: apt-get install util-linux"
    [[ $size == node ]] || return 0
    ((UID == 0)) || die "the node size needs root, for namespaces and mounts; the api size does not"
    case $clusters/ in
        /run/* | /var/*) die "AUTOPEFT_CLUSTERS=$clusters: not under /run or /var, which a node cluster hides from itself" ;;
    esac
    node_packages
}

use_outside_cluster() {
    local kubectl
    ((gpus == 0 && ${#with[@]} + ${#extra_users[@]} + ${#extra_args[@]} == 0)) ||
        die "KUBECONFIG=$KUBECONFIG is set: --gpus, --with, --user and --arg need a cluster that this script starts; unset it"
    [[ -r ${KUBECONFIG%%:*} ]] || die "KUBECONFIG=$KUBECONFIG is set, but there is no such file"
    kubectl=$(command -v kubectl) || kubectl=$(kubernetes_folder)/kubectl
    "$kubectl" get --raw /readyz --request-timeout 10s >/dev/null ||
        die "KUBECONFIG=$KUBECONFIG names a cluster that is not ready; unset it to start one here"
    [[ $size == api ]] || "$kubectl" wait --for=condition=Ready node --all --timeout=10s >/dev/null ||
        die "the cluster of KUBECONFIG=$KUBECONFIG has no ready node"
    echo "$KUBECONFIG"
}

up() {
    check_options
    if [[ -n ${KUBECONFIG:-} ]]; then
        use_outside_cluster
        return
    fi
    check_machine
    local assets=
    if [[ $size == api && -n ${KUBEBUILDER_ASSETS:-} ]]; then assets=$(realpath -m -- "$KUBEBUILDER_ASSETS"); fi
    programs=$assets
    if [[ -n $assets ]]; then
        for word in etcd kube-apiserver; do
            [[ -x $assets/$word ]] || die "KUBEBUILDER_ASSETS=$assets has no $word; unset it to build one"
        done
        for word in etcdctl kubectl "${with[@]}"; do
            if [[ ! -x $assets/$word ]]; then programs=; fi
        done
    fi
    # Programs missing in that folder are built: it usually has no controller manager.
    if [[ -z $programs ]]; then programs=$(kubernetes_folder) || exit; fi
    if [[ $size == node ]]; then pause_image=$(pause_folder) || exit; fi

    locked new_cluster "$state" "$size" "${AUTOPEFT_CLUSTER_SLOT:-0}"
    trap 'locked remove_cluster "$state"' EXIT
    if [[ -n $assets && $programs != "$assets" ]]; then
        mkdir "$state/bin"
        ln -s "$programs"/* "$state/bin"
        ln -sf "$assets"/{etcd,kube-apiserver} "$state/bin"
        programs=$state/bin
    fi
    echo "$programs" >"$state/programs"
    slot=$(<"$state/slot")
    if [[ $size == api ]]; then
        host=127.0.0.1
        etcd_port=$(port "$slot" 0) peer_port=$(port "$slot" 1) server_port=$(port "$slot" 2)
        manager_port=$(port "$slot" 3) scheduler_port=$(port "$slot" 4)
    else
        host=$(address "$slot" 2)
        etcd_port=2379 peer_port=2380 server_port=6443 manager_port=10257 scheduler_port=10259
    fi
    server=https://$host:$server_port
    echo "http://$host:$etcd_port" >"$state/etcd-address"
    echo "$server" >"$state/server-address"
    keys
    users
    audit_policy
    control_plane_components "$([[ $size == api ]] && echo 127.0.0.1 || echo 0.0.0.0)"
    if [[ $size == node ]]; then
        wait_for 10 "the namespaces of $name" inside test -e "$state/node/ready"
        node_components
        begin containerd
        with=(kube-controller-manager)
    fi
    begin etcd
    wait_for 30 "etcd" etcd etcd_is_ready
    begin kube-apiserver
    wait_for_apiserver
    for word in "${with[@]}"; do begin "$word"; done
    if [[ $size == node ]]; then start_node; fi
    ((gpus == 0)) || pretend_gpus "$gpus"
    hand_over "$state" "$owner"
    trap - EXIT
    echo "$state/kubeconfig"
}

down() {
    if [[ -n $all ]]; then
        for state in "$clusters"/*/; do
            if [[ -d $state ]]; then remove_cluster "${state%/}"; fi
        done
    elif [[ -d $state ]]; then
        remove_cluster "$state"
    else
        local up
        up=$(clusters_up | cut -d' ' -f1 | tr '\n' ' ')
        die "$name is not up; up are: ${up:-none}${up:+(cluster.sh down --name NAME)}"
    fi
}

# clusters_up: name, size and kubeconfig of each.
clusters_up() {
    local state
    for state in "$clusters"/*/; do
        state=${state%/}
        if is_up "$state"; then echo "${state##*/} $(<"$state/size") $state/kubeconfig"; fi
    done
}

need_cluster() { is_up "$state" || die "$name is not up: cluster.sh up --name $name"; }

need_words() { ((${#words[@]} == $1)) || die "$verb takes $2: cluster.sh help"; }

case $verb in
    up)
        need_words 0 "options only"
        up
        ;;
    down)
        need_words 0 "options only"
        locked down
        ;;
    list)
        clusters_up
        ;;
    env)
        need_cluster
        path=$(<"$state/programs")
        if [[ -d $cache/helm-$HELM_VERSION ]]; then path+=:$cache/helm-$HELM_VERSION; fi
        # shellcheck disable=SC2016 # PATH is expanded by the shell that evaluates this
        printf 'export KUBECONFIG=%q PATH=%q:$PATH\n' "$state/kubeconfig" "$path"
        ;;
    start | stop | cont | kill)
        need_words 1 "the name of a component"
        need_cluster
        [[ -e $state/components/${words[0]} ]] ||
            die "$name has no component ${words[0]}; it has $(cd "$state/components" && echo *)"
        tell "$verb" "${words[0]}" || die "cannot $verb ${words[0]}: it is already running, or not running"
        ;;
    restart-apiserver)
        need_cluster
        server=$(<"$state/server-address")
        if tell running kube-apiserver; then tell kill kube-apiserver; fi
        begin kube-apiserver
        wait_for_apiserver
        ;;
    load-image)
        need_words 1 "the file of an OCI archive"
        [[ -r ${words[0]} ]] || die "cannot read the image archive ${words[0]}"
        if [[ -n ${KUBECONFIG:-} && $KUBECONFIG != "$state/kubeconfig" ]]; then
            [[ -n ${CLUSTER_LOAD_IMAGE:-} ]] ||
                die "KUBECONFIG is set: set CLUSTER_LOAD_IMAGE to the command that loads an archive, such as 'kind load image-archive'"
            bash -c "$CLUSTER_LOAD_IMAGE \"\$1\"" load-image "${words[0]}"
        else
            need_cluster
            [[ $(<"$state/size") == node ]] || die "$name has no node to load an image into: cluster.sh up --size node"
            load_image "${words[0]}"
        fi
        ;;
    image)
        need_words 3 "a program, NAME:TAG and a file to write"
        need buildah "Debian: apt-get install buildah"
        image_of_program "${words[@]}"
        ;;
    build)
        case ${words[*]} in
            kubernetes) kubernetes_folder ;;
            helm) helm_folder ;;
            prometheus) prometheus_folder ;;
            faketime) faketime_folder ;;
            syft) syft_folder ;;
            *) die "build takes kubernetes, helm, prometheus, faketime or syft" ;;
        esac
        ;;
    help) usage ;;
    *) die "unknown verb $verb: cluster.sh help" ;;
esac
