# What a cluster is made of: Kubernetes, Helm, the pause image, Debian's packages. Sourced, never run.
# Everything built lands in the user's cache, complete or not at all, and is built by one process at a time.
# Steps are joined by && since `set -e` does not reach into every place that these functions are called from.
# shellcheck shell=bash disable=SC2154

# PACKAGE:PROGRAM; the package is installed if the program exists.
NODE_PROGRAMS=(containerd:containerd runc:runc containernetworking-plugins:/usr/lib/cni/bridge iptables:iptables
    nftables:nft iproute2:ip conntrack:conntrack ethtool:ethtool socat:socat buildah:buildah)

# built FOLDER RECIPE: FOLDER in the cache; if it is missing, the function RECIPE builds it in an empty folder.
built() {
    local folder=$cache/$1 recipe=$2
    if [[ ! -d $folder ]]; then
        mkdir -p "$cache"
        (
            flock -w 1800 9 || die "waited 30 minutes for another process to build $1"
            [[ -d $folder ]] && exit
            # Only the holder of the lock builds, so what an earlier build left behind is unused.
            rm -rf "$folder.building"
            mkdir "$folder.building"
            "$recipe" "$folder.building" >&2 && mv "$folder.building" "$folder"
        ) 9>"$folder.lock" || die "$1 could not be built"
    fi
    echo "$folder"
}

# with_go FOLDER COMMAND...: a Go build with a build cache of its own (3 GB), which is deleted afterwards.
with_go() {
    local folder=$1
    shift
    need go "install Go 1.26 or newer (https://go.dev/dl)"
    GOFLAGS="-p=2 -buildvcs=false" GOCACHE=$folder/.go CGO_ENABLED=0 nice "$@" || return
    rm -rf "$folder/.go"
}

# kubernetes_name: its folder in the cache.
kubernetes_name() {
    local source=$here/kubernetes
    echo "kubernetes-$KUBERNETES_VERSION-$(cat "$source/go.sum" "$source/main.go" | sha256sum | cut -c1-12)"
}

# kubernetes_folder: the folder with etcd, etcdctl, kubectl and every kube-* program.
kubernetes_folder() { built "$(kubernetes_name)" build_kubernetes; }

build_kubernetes() {
    local folder=$1 version=k8s.io/component-base/version name
    say "Building Kubernetes $KUBERNETES_VERSION; this takes 6 minutes on 2 cores, once."
    local set="-X $version.gitVersion=v$KUBERNETES_VERSION -X $version.gitMajor=1 -X $version.gitMinor=37"
    with_go "$folder" go -C "$here/kubernetes" build -trimpath -ldflags "-s -w $set" -o "$folder/kubernetes" . || return
    for name in etcd etcdctl kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubectl kubelet; do
        ln -s kubernetes "$folder/$name"
    done
}

# helm_folder: the folder with helm.
helm_folder() { built "helm-$HELM_VERSION" build_helm; }

build_helm() {
    say "Building Helm $HELM_VERSION; this takes 2 minutes, once."
    GOBIN=$1 with_go "$1" go install "helm.sh/helm/v4/cmd/helm@v$HELM_VERSION"
}

# syft_folder: the folder with syft, which lists what is in an image.
syft_folder() { built "syft-$SYFT_VERSION" build_syft; }

build_syft() {
    say "Building syft $SYFT_VERSION; this takes 10 minutes, once."
    GOBIN=$1 with_go "$1" go install -trimpath -ldflags "-s -w" "github.com/anchore/syft/cmd/syft@v$SYFT_VERSION"
}

# debian_package NAME: its archive, in the current folder. On a fresh machine the list of packages comes first.
debian_package() {
    apt-get download -qq -o APT::Sandbox::User=root "$1" 2>/dev/null ||
        { if ((UID == 0)); then apt-get update -qq; fi && apt-get download -qq -o APT::Sandbox::User=root "$1"; }
}

# prometheus_folder: the folder with prometheus and promtool: the machine's own, else out of Debian's package, which is
# not installed, because it would start a server.
prometheus_folder() {
    local found
    if found=$(command -v promtool); then
        dirname "$found"
    else
        found=$(built prometheus-debian build_prometheus)
        echo "$found/usr/bin"
    fi
}

build_prometheus() {
    need apt-get "without Debian's packages, put promtool and prometheus on PATH"
    (cd "$1" && debian_package prometheus && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb)
}

# faketime_folder: the folder with libfaketime.so.1, which shifts a program's clock; out of Debian's package.
faketime_folder() {
    local found
    found=$(built faketime-debian build_faketime)
    echo "$found/lib"
}

build_faketime() {
    need apt-get "libfaketime comes from Debian's package of that name"
    need dpkg-deb "Debian: apt-get install dpkg"
    (cd "$1" && debian_package libfaketime && dpkg-deb -x libfaketime_*.deb . &&
        mkdir lib && cp usr/lib/*/faketime/libfaketime.so.1 lib/ && rm -r usr libfaketime_*.deb)
}

# pause_folder: the folder with pause.oci, the image of the process that holds a pod's namespaces.
pause_folder() {
    local hash
    hash=$(sha256sum "$here/pause.c" | cut -c1-12)
    built "pause-$hash" build_pause
}

build_pause() {
    need gcc "Debian: apt-get install gcc libc6-dev"
    gcc -Os -static -Wall -Wextra -Werror -o "$1/pause" "$here/pause.c" &&
        image_of_program "$1/pause" localhost/pause:1 "$1/pause.oci"
}

# image_of_program PROGRAM NAME:TAG FILE: an OCI archive with one static program as all of its file system.
image_of_program() {
    local program=$1 name=$2 file=$3 container
    (
        STORAGE_DRIVER=vfs
        BUILDAH_ISOLATION=chroot
        export STORAGE_DRIVER BUILDAH_ISOLATION
        store=$(mktemp -d)
        trap 'rm -rf "$store"' EXIT
        in_store() { buildah --root "$store/root" --runroot "$store/run" "$@"; }
        container=$(in_store from scratch) &&
            in_store copy --quiet "$container" "$program" "/${program##*/}" >/dev/null &&
            in_store config --entrypoint "[\"/${program##*/}\"]" "$container" &&
            in_store commit --quiet "$container" "oci-archive:$file:$name" >/dev/null
    )
}

# node_packages: installs the Debian packages that the node size needs.
node_packages() {
    local pair
    local -a missing=()
    for pair in "${NODE_PROGRAMS[@]}"; do
        command -v "${pair#*:}" >/dev/null || missing+=("${pair%:*}")
    done
    ((${#missing[@]})) || return 0
    if ((UID)) || ! command -v apt-get >/dev/null; then
        die "the node size needs ${missing[*]} (Debian: apt-get install ${missing[*]})"
    fi
    install_packages "${missing[@]}"
}

# install_packages NAME...: from Debian, by one process at a time.
install_packages() {
    say "Installing $*"
    mkdir -p "$cache"
    (
        flock -w 600 9 || die "waited 10 minutes for another process to install packages"
        said=$(apt-get update -qq 2>&1 &&
            DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" 2>&1) ||
            die "apt-get could not install $*: $said"
    ) 9>"$cache/apt.lock" || exit
}
