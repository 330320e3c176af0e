# Shared by the scripts of this folder: messages, waiting, processes, paths. Sourced, never run.
# shellcheck shell=bash disable=SC2034

set -euo pipefail

KUBERNETES_VERSION=1.37.2
HELM_VERSION=4.3.1
SYFT_VERSION=1.57.1

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/autopeft
# Socket names inside have at most 107 bytes, so this is short; inside a node cluster /run and /var are hidden.
clusters=${AUTOPEFT_CLUSTERS:-/tmp/autopeft-clusters-$UID}

say() { echo "$*" >&2; }

die() {
    say "cluster: $*"
    exit 1
}

# need PROGRAM SOURCE: fails with one line if the program is missing.
need() { command -v "$1" >/dev/null || die "needs $1: $2"; }

# started_at PID: when the process started, in clock ticks after boot; fails if it is gone or a zombie.
# PIDs are reused; a PID and this time identify a process.
started_at() {
    local line
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    # The second field, the name, may hold spaces and brackets; what follows its last bracket may not.
    local -a fields
    read -ra fields <<<"${line##*) }"
    [[ ${fields[0]} != Z ]] && echo "${fields[19]}"
}

# is_alive "PID STARTED": whether that very process still runs.
is_alive() {
    local pid=${1% *} started=${1#* }
    [[ $(started_at "$pid") == "$started" ]]
}
