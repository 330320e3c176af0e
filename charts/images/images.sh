#!/usr/bin/env bash
# Images as OCI archives, made by buildah from scratch: no base image is pulled. docs/install.md says how to use them.
#
#   images.sh operator FILE   peft-operator as a static program, and nothing else
#   images.sh trainer FILE    peft-trainer, the libtorch that it was built with, and the C and C++ libraries of Debian
#   images.sh examples FILE   example weights and text with a program that copies them onto a claim (busybox)
#
# The names are REGISTRY/autopeft-VERB:VERSION; REGISTRY is localhost by default. LIBTORCH is what trainer/setup finds;
# where it is a libtorch for CUDA, the trainer's image holds the CUDA libraries too. An archive is rebuilt only if
# its inputs have changed, which FILE.made-of records. PROFILE is Cargo's: release, or dev in tests.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
registry=${REGISTRY:-localhost}
version=$(sed -n 's/^appVersion: "\(.*\)"/\1/p' "$root/charts/autopeft/Chart.yaml")
# The user of both images; the chart and the trainer's Jobs name it too.
user=65532:65532
profile=${PROFILE:-release}
# The size limit of the operator's image, bytes: catches a library that is linked in by mistake.
operator_limit=30000000

say() { echo "images: $*" >&2; }
die() {
    say "$*"
    exit 1
}
# build VERB ARGUMENT...: builds programs. With AUDITABLE set they list the crates that they are made of, for scanners.
build() { cargo ${AUDITABLE:+auditable} "$1" --profile "$profile" --locked --manifest-path "$root/Cargo.toml" "${@:2}"; }
# program NAME: the path of a built program.
program() { echo "${CARGO_TARGET_DIR:-$root/target}/$([[ $profile == dev ]] && echo debug || echo "$profile")/$1"; }
need() { command -v "$1" >/dev/null || die "needs $1: $2"; }

# debian FOLDER PACKAGE...: the files of Debian packages in FOLDER, without files that a container does not need.
# The installed packages are listed in var/lib/dpkg/status.d, where scanners look.
debian() {
    local folder=$1 package
    shift
    need apt-get "the libraries come from this machine's Debian or Ubuntu; build on one"
    mkdir "$work/packages"
    (cd "$work/packages" && apt-get download -qq -o APT::Sandbox::User=root "$@" >&2) || die "apt-get download $*: see above"
    mkdir -p "$folder/var/lib/dpkg/status.d"
    for package in "$work"/packages/*.deb; do
        dpkg-deb -x "$package" "$folder"
        dpkg-deb -f "$package" >"$folder/var/lib/dpkg/status.d/$(dpkg-deb -f "$package" Package)"
    done
    rm -rf "$work/packages"
    find "$folder" -depth \( -path '*/share/man' -o -path '*/share/locale' -o -path '*/share/i18n' -o -path '*/gconv' \
        -o -path '*/share/lintian' -o -path '*/share/bug' \) -exec rm -rf {} +
    find "$folder/usr/share/doc" -type f ! -name copyright -delete
    # Where a release keeps the loader in /usr alone, programs still look for it here.
    if [[ ! -e $folder/lib64 && -d $folder/usr/lib64 ]]; then ln -s usr/lib64 "$folder/lib64"; fi
}

# is_made_of FILE PROGRAM LIBRARY-FOLDER|"" PACKAGE...: whether FILE was built from these in their current versions and by
# this version of the script. `image` records that in FILE.made-of.
is_made_of() {
    local file=$1 program=$2 libraries=$3 folder
    shift 3
    made_of=$({
        echo "$registry $version"
        sha256sum "${BASH_SOURCE[0]}" "$program" | cut -d' ' -f1
        # Those of CUDA too, where the Python packages have them.
        if [[ -n $libraries ]]; then
            for folder in "$libraries" "$libraries"/../../nvidia/*/lib; do
                if [[ -d $folder ]]; then find -L "$folder" -type f -printf '%P %s %T@\n' | sort; fi
            done
        fi
        if (($#)); then apt-cache show --no-all-versions "$@" | sed -n '/^\(Package\|Version\): /p'; fi
    } | sha256sum | cut -d' ' -f1)
    [[ -e $file && $(cat "$file.made-of" 2>/dev/null) == "$made_of" ]] && say "$file is up to date"
}

# image VERB FOLDER FILE PROGRAM [BUILDAH-CONFIG...]: FOLDER as the image's whole file system.
image() {
    local verb=$1 folder=$2 file=$3 program=$4 name=$registry/autopeft-$1:$version container
    shift 4
    need buildah "Debian: apt-get install buildah"
    export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
    in_store() { buildah --root "$work/store" --runroot "$work/run" "$@"; }
    container=$(in_store from scratch)
    in_store copy --quiet "$container" "$folder" / >/dev/null
    in_store config --user "$user" --entrypoint "[\"$program\"]" --workingdir / \
        --label "org.opencontainers.image.title=autopeft-$verb" \
        --label "org.opencontainers.image.version=$version" "$@" "$container"
    mkdir -p "$(dirname "$file")"
    rm -f "$file" "$file.made-of"
    # The same files give the same digest.
    in_store commit --quiet --timestamp 0 "$container" "oci-archive:$file:$name" >/dev/null
    echo "$made_of" >"$file.made-of"
    say "$name: $(du -m "$file" | cut -f1) MB in $file"
}

operator() {
    local file=$1 program size
    need cargo "install Rust 1.95.0 with rustup"
    # Only the program itself is linked statically: its dependencies are those of every other build.
    build rustc -p autopeft-operator --bin peft-operator -- -C target-feature=+crt-static
    program=$(program peft-operator)
    if LC_ALL=C ldd "$program" 2>/dev/null | grep -q '=>'; then die "$program is not static"; fi
    if is_made_of "$file" "$program" ""; then return; fi
    mkdir "$work/root"
    strip -o "$work/root/peft-operator" "$program"
    size=$(stat -c %s "$work/root/peft-operator")
    if [[ $profile == release ]] && ((size > operator_limit)); then
        die "peft-operator has $size bytes, more than the limit of $operator_limit"
    fi
    image operator "$work/root" "$file" /peft-operator
}

trainer() {
    local file=$1 libtorch program folder=$work/root library missing
    local -a drivers=() packages=(libc6 libgcc-s1 libstdc++6 ca-certificates)
    need cargo "install Rust 1.95.0 with rustup"
    libtorch=$("$root/trainer/setup/libtorch.sh")
    # All programs, as `make build` does: a single package would compile its dependencies again, with fewer features.
    LIBTORCH=$libtorch build build --workspace --bins
    program=$(program peft-trainer)
    if is_made_of "$file" "$program" "$libtorch/lib" "${packages[@]}"; then return; fi
    mkdir -p "$folder/opt/autopeft/lib" "$folder/etc/ssl/certs" "$folder/proc" "$folder/tmp"
    chmod 1777 "$folder/tmp"
    debian "$folder" "${packages[@]}"
    # What the package's installation script would create.
    cat "$folder"/usr/share/ca-certificates/mozilla/*.crt >"$folder/etc/ssl/certs/ca-certificates.crt"
    echo 'nonroot:x:65532:65532::/tmp:/sbin/nologin' >"$folder/etc/passwd"
    echo 'nonroot:x:65532:' >"$folder/etc/group"
    # The program looks for libtorch in lib beside itself (trainer/build.rs).
    strip -o "$folder/opt/autopeft/peft-trainer" "$program"
    if [[ -e $libtorch/lib/libtorch_cuda.so ]]; then
        # Libraries that load one another by name, from where the Python packages have them, relative to libtorch's.
        cp -L "$libtorch"/lib/*.so* "$folder/opt/autopeft/lib/"
        for library in "$libtorch"/../nvidia/*/lib; do
            [[ -d $library ]] || continue
            mkdir -p "$folder/opt/nvidia/$(basename "$(dirname "$library")")/lib"
            cp -L "$library"/*.so* "$folder/opt/nvidia/$(basename "$(dirname "$library")")/lib/"
        done
        # Where the driver is mounted: NVIDIA's container runtime uses the loader's own folders (this file tells it which
        # distribution's), other device plugins use these, and the loader has no cache of them.
        : >"$folder/etc/debian_version"
        drivers=(--env LD_LIBRARY_PATH=/usr/local/nvidia/lib64:/usr/local/nvidia/lib:/usr/lib64)
    else
        ldd "$program" | sed -n 's/^.* => \(\/.*\) (0x.*$/\1/p' | while read -r library; do
            if [[ $library == "$libtorch"/* ]]; then cp -L "$library" "$folder/opt/autopeft/lib/"; fi
        done
    fi
    # Scanners know libtorch by the Python package that it comes from.
    mkdir "$folder/opt/autopeft/torch.dist-info"
    printf 'Metadata-Version: 2.1\nName: torch\nVersion: %s\nLicense: BSD-3-Clause\n' \
        "$(sed -n 's/^version=//p' "$root/trainer/setup/libtorch.sh")" >"$folder/opt/autopeft/torch.dist-info/METADATA"
    # As in the container, without libraries of this machine.
    missing=$(in_root "$folder" /opt/autopeft/peft-trainer) || die "the trainer does not start in its image: $missing"
    image trainer "$folder" "$file" /opt/autopeft/peft-trainer \
        --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt --env NVIDIA_DRIVER_CAPABILITIES=compute,utility \
        "${drivers[@]}"
}

# in_root FOLDER PROGRAM: prints its version with FOLDER as the whole file system, all symbols resolved at once. The
# loader finds libraries beside a program by /proc.
in_root() {
    local -a enter=(unshare --mount --pid --fork "--mount-proc=$1/proc")
    if ((UID)); then enter+=(--user --map-root-user); fi
    LD_BIND_NOW=1 OMP_WAIT_POLICY=passive TORCH_CUDNN_SDPA_DEPRIORITIZED=1 "${enter[@]}" chroot "$1" "$2" --version 2>&1
}

examples() {
    local file=$1 folder=$work/root cache
    cache=$("$root/docs/examples/fetch.sh")
    if is_made_of "$file" "$cache/models/all-MiniLM-L6-v2/.stamp" "$cache/data" busybox-static; then return; fi
    debian "$folder" busybox-static
    mkdir -p "$folder/examples/models"
    cp -RL "$cache/models/all-MiniLM-L6-v2" "$folder/examples/models/"
    cp -RL "$cache/data" "$folder/examples/"
    chmod -R a+rX "$folder/examples"
    image examples "$folder" "$file" /bin/busybox
}

(($# == 2)) || {
    sed -n '2,/^set /{s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit 2
}
verb=$1 file=$(realpath -m "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $verb in
    operator | trainer | examples) "$verb" "$file" ;;
    *) die "unknown verb $verb: operator, trainer or examples" ;;
esac
