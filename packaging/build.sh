#!/usr/bin/env bash
# Builds what is handed out: deb and rpm for amd64, arm64 and armv7, a zip for
# Windows, their checksums. The same commit gives the same bytes.
#
#   packaging/build.sh VERSION FOLDER [ARCH...]     ARCH: amd64 arm64 arm7 windows
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=${1:?VERSION} out=${2:?FOLDER}
shift 2
(($#)) || set -- amd64 arm64 arm7 windows
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2

# The time of the commit stands for every time in a package.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
MTIME=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
commit=$(git rev-parse HEAD)
export SOURCE_DATE_EPOCH MTIME TZ=UTC LC_ALL=C
umask 022

mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# build OS ARCH FILE
build() {
	local arm=
	[[ $2 != arm7 ]] || arm=7
	CGO_ENABLED=0 GOOS=$1 GOARCH=${2%7} GOARM=$arm go build -trimpath -buildvcs=false \
		-ldflags "-s -w -X main.version=$version -X main.commit=$commit" -o "$3" ./cmd/calljournal
}

# The documents of the command line come from a program that runs here.
build "$(go env GOHOSTOS)" "$(go env GOHOSTARCH)" "$work/host"
sbom() { go run ./packaging/internal/sbom "$1" "$version"; }
documents() {
	"$work/host" manual | gzip -9n >"$1/calljournal.8.gz"
	"$work/host" completion bash >"$1/calljournal.bash"
	"$work/host" completion zsh >"$1/_calljournal"
	"$work/host" completion fish >"$1/calljournal.fish"
	printf 'calljournal (%s-1) stable; urgency=medium\n\n  * See the history of the project.\n\n -- The calljournal authors <calljournal@localhost>  %s\n' \
		"$version" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$1/changelog.gz"
}

for arch in "$@"; do
	stage=$work/$arch
	mkdir "$stage"
	if [[ $arch == windows ]]; then
		folder=calljournal-$version-windows-amd64
		mkdir "$stage/$folder"
		build windows amd64 "$stage/$folder/calljournal.exe"
		sbom "$stage/$folder/calljournal.exe" >"$stage/$folder/sbom.cdx.json"
		# Their line ends: Notepad of old shows a file without as one line.
		for text in packaging/calljournal.toml packaging/windows/README.txt packaging/windows/install.cmd LICENSE; do
			sed 's/$/\r/' "$text" >"$stage/$folder/$(basename "$text")"
		done
		for text in packaging/doc/??/*.md; do
			install -m 644 -D /dev/stdin "$stage/$folder/${text#packaging/}" < <(sed 's/$/\r/' "$text")
		done
		find "$stage/$folder" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
		rm -f "$out/$folder.zip"
		(cd "$stage" && find "$folder" | sort | zip -q -X -@ "$out/$folder.zip")
		continue
	fi
	build linux "$arch" "$stage/calljournal"
	sbom "$stage/calljournal" >"$stage/sbom.json"
	documents "$stage"
	for kind in deb rpm; do
		ARCH=$arch VERSION=$version STAGE=$stage envsubst '$ARCH $VERSION $STAGE $MTIME' <packaging/nfpm.yaml >"$stage/nfpm.yaml"
		go run "$nfpm" package --config "$stage/nfpm.yaml" --packager $kind --target "$out/" >/dev/null
	done
done
(cd "$out" && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%f\n' | sort | xargs sha256sum >SHA256SUMS)
cat "$out/SHA256SUMS"
