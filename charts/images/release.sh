#!/usr/bin/env bash
# The files of a release, in FOLDER; docs/install.md says how to push and sign them.
#
#   release.sh all FOLDER      images, then sboms, then chart
#   release.sh images FOLDER   operator.oci and trainer.oci, whose programs list the crates that they are made of
#   release.sh sboms FOLDER    their bills of materials, as CycloneDX: operator.cdx.json, trainer.cdx.json
#   release.sh chart FOLDER    autopeft-VERSION.tgz: the chart with these images, by digest
#
# REGISTRY is where the images will be pushed, such as registry.example.com/team.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
AUDITABLE_VERSION=0.7.7
images=(operator trainer)

say() { echo "release: $*" >&2; }
die() {
    say "$*"
    exit 1
}
version() { sed -n 's/^appVersion: "\(.*\)"/\1/p' "$root/charts/autopeft/Chart.yaml"; }

images() {
    local image
    cargo auditable --version >/dev/null 2>&1 || cargo install --locked "cargo-auditable@$AUDITABLE_VERSION" >&2
    for image in "${images[@]}"; do AUDITABLE=yes "$here/images.sh" "$image" "$folder/$image.oci"; done
}

sboms() {
    local image syft count
    syft=$("$root/tests/cluster/cluster.sh" build syft)/syft
    for image in "${images[@]}"; do
        SYFT_CHECK_FOR_APP_UPDATE=false "$syft" scan --quiet "oci-archive:$folder/$image.oci" \
            --source-name "autopeft-$image" --source-version "$(version)" -o "cyclonedx-json=$folder/$image.cdx.json"
        count=$(grep -o '"purl"' "$folder/$image.cdx.json" | wc -l)
        ((count)) || die "$image.oci has no list of its crates: build it with \`release.sh images $folder\`"
        say "$folder/$image.cdx.json: $count components"
    done
}

# digest FILE: the digest that the image keeps when `skopeo copy --preserve-digests` pushes it.
digest() { tar -xOf "$1" index.json | sed -n 's/.*"digest": *"\(sha256:[0-9a-f]\{64\}\)".*/\1/p'; }

chart() {
    local image found helm values
    helm=$("$root/tests/cluster/cluster.sh" build helm)/helm
    cp -R "$root/charts/autopeft" "$work/"
    values=$work/autopeft/values.yaml
    for image in "${images[@]}"; do
        found=$(digest "$folder/$image.oci")
        [[ -n $found ]] || die "$folder/$image.oci is not an archive of one image: run \`release.sh images $folder\` first"
        # The first digest after the image's name is its own.
        sed -i -e "s|repository: localhost/autopeft-$image\$|repository: $registry/autopeft-$image|" \
            -e "\|autopeft-$image\$|,/digest: \"\"/s|digest: \"\"|digest: $found|" "$values"
    done
    "$helm" package "$work/autopeft" --destination "$folder" >&2
}

(($# == 2)) || {
    sed -n '2,/^set /{s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit 2
}
[[ -n ${REGISTRY:-} ]] || die "set REGISTRY to where the images will be pushed, such as registry.example.com/team"
registry=$REGISTRY
export REGISTRY
folder=$(realpath -m "$2")
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $1 in
    all)
        images
        sboms
        chart
        ;;
    images | sboms | chart) "$1" ;;
    *) die "unknown verb $1: all, images, sboms or chart" ;;
esac
