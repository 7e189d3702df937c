#!/usr/bin/env bash
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Debian's docker-registry, docker-buildx, pigz and containerd 1.7, unpacked and not installed, and a userland to build
# on; containerd 2 from its Go module, where there is a Go that can build it.
set -euo pipefail
cache=${XDG_CACHE_HOME:-$HOME/.cache}/windward.airflow/registry
containerd2=2.2.9
"$(dirname "$0")/../kind-bed/bed.sh" packages debs userland >/dev/null
mkdir -p "$cache"
for name in docker-registry pigz; do
  [[ -x $cache/usr/bin/$name ]] && continue
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  chmod 755 "$work"
  (cd "$work" && { apt-get -qq download "$name" 2>/dev/null || { apt-get -qq update && apt-get -qq download "$name"; }; })
  dpkg-deb -x "$work/${name}"_*.deb "$cache"
  rm -rf "$work"
done
# Of Debian 13, as the engine.
if [[ ! -x $cache/usr/libexec/docker/cli-plugins/docker-buildx ]]; then
  (cd "$cache" && APT_CONFIG=$cache/../kind-bed/apt/apt.conf apt-get -qq download docker-buildx && dpkg-deb -x docker-buildx_*.deb . &&
    rm docker-buildx_*.deb)
fi
version=$(go env GOVERSION 2>/dev/null | sed -E 's/^go1\.([0-9]+).*/\1/')
if [[ ! -x $cache/containerd2/ctr ]] && ((${version:-0} >= 25)); then
  export GOMODCACHE=$cache/gomod GOCACHE=$cache/gocache GOFLAGS='-modcacherw -trimpath' CGO_ENABLED=0 GOBIN=$cache/part
  go install -ldflags '-s -w' github.com/containerd/containerd/v2/cmd/{ctr,containerd}@v$containerd2
  mv "$cache/part" "$cache/containerd2"
  rm -rf "$cache/gomod" "$cache/gocache"
fi
