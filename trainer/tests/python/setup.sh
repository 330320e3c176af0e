#!/usr/bin/env bash
# Prints a Python program that has a reference library, installing it first if it is missing:
#
#     setup.sh peft        peft on transformers 5
#     setup.sh adapters    adapters on transformers 4.57
#
# Both run on one torch 2.11.0 for the CPU. All of it is kept under ${XDG_CACHE_HOME:-~/.cache}/autopeft, beside
# libtorch, whose libraries torch shares. The exit code is 75, with one line, where PyPI cannot be reached.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/autopeft
version=2.11.0
say() { echo "python: $*" >&2; }
die() { say "$*"; exit 1; }

kind=${1:-}
requirements=$here/requirements-$kind.txt
[ -n "$kind" ] && [ -e "$requirements" ] || die "usage: setup.sh peft|adapters"
command -v python3 >/dev/null || die "python3 is not installed (Debian: apt-get install python3 python3-pip)"
python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# Runs pip with what it says kept back.
quiet_pip() {
    local said
    said=$(python3 -m pip "$@" --quiet --disable-pip-version-check --no-deps --only-binary=:all: --retries 1 2>&1) && return
    if grep -qE "(New|Max).*(Connection|retries)|ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|Name or service" <<<"$said"; then
        say "PyPI cannot be reached"
        exit 75
    fi
    die "pip $1: $(tail -n 1 <<<"$said")"
}

# Makes a directory of the cache by a function that fills $work/out, unless it is complete.
kept() {
    local target=$1 work
    shift
    [ ! -e "$target/complete" ] || return 0
    mkdir -p "$cache"
    exec 9>"$target.lock"
    flock 9
    if [ ! -e "$target/complete" ]; then
        work=$(mktemp -d "$target.XXXXXX")
        # shellcheck disable=SC2064  # this directory, whatever $work is when the trap runs
        trap "rm -rf '$work'" EXIT
        mkdir "$work/out"
        "$@"
        touch "$work/out/complete"
        rm -rf "$target"
        mv "$work/out" "$target"
        rm -rf "$work"
    fi
    exec 9>&-
}

torch() {
    say "fetching torch $version for Python $python (530 MB) into $torch"
    quiet_pip download "torch==$version" -d "$work/wheels"
    command -v cc >/dev/null || die "cc is not installed; it makes the empty CUDA libraries that torch is linked against"
    command -v readelf >/dev/null || die "readelf is not installed (Debian: apt-get install binutils)"
    python3 "$here/torch_on_cpu.py" "$work/wheels"/torch-*.whl "$libtorch/lib" "$work/out"
}

libraries() {
    local said
    say "installing $kind for Python $python into $target"
    quiet_pip install --no-compile --target "$work/out" -r "$requirements"
    said=$(PYTHONPATH=$work/out:$torch python3 -s -c "import $kind" 2>&1) || die "import $kind: $(tail -n 1 <<<"$said")"
    cat >"$work/out/python" <<END
#!/bin/sh
# Python with $kind and torch; nothing of the user's own packages.
export PYTHONPATH="$target:$torch" PYTHONNOUSERSITE=1 HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error
exec python$python "\$@"
END
    chmod +x "$work/out/python"
}

# LIBTORCH may be a libtorch without Python, or another build of it.
libtorch=$(env -u LIBTORCH "$here/../../setup/libtorch.sh")
if [ -e "$libtorch/__init__.py" ]; then
    torch=$(dirname "$libtorch")
else
    torch=$cache/python$python-torch-$version
    kept "$torch" torch
fi
target=$cache/python$python-$kind-$(cksum <"$requirements" | cut -d' ' -f1)
kept "$target" libraries
echo "$target/python"
