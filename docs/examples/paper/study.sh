#!/usr/bin/env bash
# A study of the paper: says what it will cost, runs its searches, and compares them. `make paper` calls it:
#
#   study.sh STUDY BIN CACHE OUT [FLAGS]
#
# STUDY is full, transfer, spaces or roberta-large, or reduced-full, reduced-transfer or reduced-spaces; CACHE is what
# fetch.sh prints; FLAGS go to `peft-operator estimate` and `run`. Run again, it resumes. With ESTIMATE=1 it only says
# what it will cost.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
die() { echo "study: $*" >&2; exit 2; }
[ $# -ge 4 ] || die "usage: study.sh STUDY BIN CACHE OUT [FLAGS]"
study=$1 operator=$2/peft-operator cache=$3 out=$4
shift 4
set -- --claim "autopeft=$cache" "$@"

case ${study#reduced-} in
    full) searches=(full) ;;
    transfer) searches=(transfer) ;;
    spaces) searches=(sa sa-layers sa-pa-layers full) ;;
    roberta-large) searches=(roberta-large) ;;
    *) searches=() ;;
esac
case $study in
    reduced-roberta-large) searches=() ;;
    reduced-*) manifests=$here/reduced out=$out/reduced ;;
    *) manifests=$here ;;
esac
[ ${#searches[@]} -gt 0 ] ||
    die "$study: there is no such study; name full, transfer, spaces or roberta-large, or reduced-full, reduced-transfer or reduced-spaces"
if [ "$study" = reduced-transfer ]; then
    # Training in full is on all examples: fewer, for two cores.
    mkdir -p "$out/data/movie-reviews"
    head -n 1600 "$cache/data/movie-reviews/train.jsonl" > "$out/data/movie-reviews/train.jsonl"
    head -n 400 "$cache/data/movie-reviews/validation.jsonl" > "$out/data/movie-reviews/validation.jsonl"
    set -- --claim "reduced=$out/data" "$@"
fi
# The work directory: transfer.yaml is full.yaml with other tasks, the same search whether or not it has begun.
folder() { echo "$out/${1/#transfer/full}"; }

for search in "${searches[@]}"; do
    # A search that has begun has been estimated, but not with its other tasks.
    [ -z "${ESTIMATE:-}" ] && [ "$search" != transfer ] && [ -e "$(folder "$search")/journal.jsonl" ] && continue
    echo "== what $search will cost"
    "$operator" estimate "$manifests/$search.yaml" "$@"
done
[ -z "${ESTIMATE:-}" ] || exit 0

mkdir -p "$out"
for search in "${searches[@]}"; do
    echo "== $search"
    "$operator" run "$manifests/$search.yaml" --workdir "$(folder "$search")" "$@"
done
case $study in
    *spaces) ;;
    *) "$operator" best "$(folder "${searches[0]}")" ;;
esac
folders=()
for search in "${searches[@]}"; do folders+=("$(folder "$search")"); done
"$operator" compare "${folders[@]}" --out "$out/$study.html" --csv "$out/$study.csv"
