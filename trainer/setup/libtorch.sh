#!/usr/bin/env bash
# Prints the directory of libtorch 2.11.0 on standard output, downloading it first if it is missing.
#
# In this order: $LIBTORCH; an installed Python package torch of that version; the copy kept under
# ${XDG_CACHE_HOME:-~/.cache}/autopeft. The copy is for the CPU (about 460 MB); on a machine with an
# NVIDIA GPU it is the whole package with its CUDA libraries (about 4.5 GB).
set -euo pipefail

version=2.11.0
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/autopeft
say() { echo "libtorch: $*" >&2; }
die() { say "$*"; exit 1; }

if [ -n "${LIBTORCH:-}" ]; then
    [ -e "$LIBTORCH/lib/libtorch_cpu.so" ] || die "LIBTORCH=$LIBTORCH has no lib/libtorch_cpu.so; point it to libtorch $version, or unset it"
    found=$(sed -n "s/^__version__ = '\([0-9.]*\).*/\1/p" "$LIBTORCH/version.py" 2>/dev/null || true)
    [ -n "$found" ] || found=$(cut -d+ -f1 "$LIBTORCH/build-version" 2>/dev/null || true)
    [ -z "$found" ] || [ "$found" = "$version" ] || die "LIBTORCH=$LIBTORCH is version $found; version $version is needed"
    echo "$LIBTORCH"
    exit 0
fi

command -v python3 >/dev/null || die "python3 is not installed; it is needed to fetch libtorch from PyPI (Debian: apt-get install python3 python3-pip)"

installed=$(python3 - <<'PY' 2>/dev/null || true
import importlib.metadata, importlib.util, pathlib
if importlib.metadata.version("torch").split("+")[0] == "2.11.0":
    print(pathlib.Path(importlib.util.find_spec("torch").origin).parent)
PY
)
if [ -n "$installed" ] && [ -e "$installed/lib/libtorch_cpu.so" ]; then
    echo "$installed"
    exit 0
fi

kind=cpu
if command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU; then kind=cuda; fi
target=$cache/libtorch-$version-$kind
root=$target
[ "$kind" = cuda ] && root=$target/torch
if [ -e "$target/complete" ]; then
    echo "$root"
    exit 0
fi

python3 -m pip --version >/dev/null 2>&1 || die "pip is not installed for $(command -v python3); it is needed to fetch libtorch from PyPI (Debian: apt-get install python3-pip)"
[ "$(uname -sm)" = "Linux x86_64" ] || die "libtorch is downloaded for Linux on x86_64 only; set LIBTORCH to libtorch $version for $(uname -sm)"
mkdir -p "$cache"
exec 9>"$cache/libtorch-$version-$kind.lock"
flock 9
if [ -e "$target/complete" ]; then
    echo "$root"
    exit 0
fi

work=$(mktemp -d "$cache/libtorch.XXXXXX")
trap 'rm -rf "$work"' EXIT
if [ "$kind" = cpu ]; then
    say "fetching libtorch $version for the CPU (530 MB) into $target"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --python-version 3.11 --implementation cp --abi cp311 --abi none \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux2014_x86_64 \
        --require-hashes -r "$here/requirements-libtorch-cpu.txt" -d "$work/wheels" >&2
    python3 - "$work" "$version" <<'PY'
import pathlib, re, shutil, sys, zipfile

work, version = pathlib.Path(sys.argv[1]), sys.argv[2]
out = work / "out"
keep = re.compile(r"torch/(include/.*|lib/(libc10|libtorch_cpu)\.so|lib/libgomp\.so\.1|version\.py)$")
cuda = re.compile(r".*/(libcudart|libcupti)\.so\.13$")
for wheel in sorted((work / "wheels").glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith("/"):
                continue
            if keep.match(name):
                path = out / name.removeprefix("torch/")
            elif cuda.match(name):
                path = out / "lib" / name.rsplit("/", 1)[1]
            else:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, open(path, "wb") as target:
                shutil.copyfileobj(source, target)
# The full libtorch.so only pulls in all of CUDA; linking needs the CPU part.
(out / "lib" / "libtorch.so").symlink_to("libtorch_cpu.so")
(out / "build-version").write_text(version + "\n")
PY
    rm -rf "$work/wheels"
else
    say "fetching torch $version with its CUDA libraries (about 4.5 GB) into $target"
    python3 -m pip install --quiet --disable-pip-version-check --target "$work/out" "torch==$version" >&2
fi
touch "$work/out/complete"
rm -rf "$target"
mv "$work/out" "$target"
say "libtorch $version is in $root"
echo "$root"
