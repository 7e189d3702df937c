#!/usr/bin/env bash
# Runs a command with a Docker engine and Kind: the machine's, where it has them and can pull the node's image, else those of
# tests/kind-bed. usage: run.sh COMMAND...
set -euo pipefail
bed=$(cd "$(dirname "$0")/../kind-bed" && pwd)/bed.sh
version=${AIRFLOW_KIND_KUBERNETES:-1.34.3}
if ! command -v kind >/dev/null || ! docker pull -q "kindest/node:v$version" >/dev/null 2>&1; then
  "$bed"
  eval "$("$bed" env)"
  trap '"$bed" down' EXIT
fi
"$@"
