#!/usr/bin/env bash
# A study of the paper: says what it will cost, runs its searches, and compares them. `make paper` calls it:
#
#   study.sh STUDY BIN OUT [FLAGS]
#
# STUDY is full, spaces or roberta-large, or reduced-full or reduced-spaces; FLAGS go to `peft-operator estimate` and
# `run`. Run again, it resumes. With ESTIMATE=1 it only says what it will cost.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
die() { echo "study: $*" >&2; exit 2; }
[ $# -ge 3 ] || die "usage: study.sh STUDY BIN OUT [FLAGS]"
study=$1 operator=$2/peft-operator out=$3
shift 3

case $study in
    full | reduced-full) searches=(full) ;;
    spaces | reduced-spaces) searches=(sa sa-layers sa-pa-layers full) ;;
    roberta-large) searches=(roberta-large) ;;
    *) die "$study: there is no such study; name full, spaces, roberta-large, reduced-full or reduced-spaces" ;;
esac
case $study in
    reduced-*) manifests=$here/reduced out=$out/reduced ;;
    *) manifests=$here ;;
esac

for search in "${searches[@]}"; do
    # A search that has begun has been estimated.
    [ -z "${ESTIMATE:-}" ] && [ -e "$out/$search/journal.jsonl" ] && continue
    echo "== what $search will cost"
    "$operator" estimate "$manifests/$search.yaml" "$@"
done
[ -z "${ESTIMATE:-}" ] || exit 0

mkdir -p "$out"
for search in "${searches[@]}"; do
    echo "== $search"
    "$operator" run "$manifests/$search.yaml" --workdir "$out/$search" "$@"
done
case $study in
    *spaces) ;;
    *) "$operator" best "$out/${searches[0]}" ;;
esac
"$operator" compare "${searches[@]/#/$out/}" --out "$out/$study.html" --csv "$out/$study.csv"
