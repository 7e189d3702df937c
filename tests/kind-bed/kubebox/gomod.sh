#!/usr/bin/env bash
# Writes a go.mod for another Kubernetes: its own one replaces modules by folders that are published as modules of
# their own. Then `go mod tidy`; addons/go.mod takes the same list. usage: gomod.sh 1.33.13 > go.mod
set -euo pipefail
own=$(go mod download -json "k8s.io/kubernetes@v$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["GoMod"])')
printf 'module windward/kind-bed/kubebox\n\n'
grep -E '^(go|godebug) ' "$own"
printf '\nrequire k8s.io/kubernetes v%s\n\nreplace (\n' "$1"
grep -oE 'k8s\.io/[a-z0-9-]+ => \./staging' "$own" | cut -d' ' -f1 | sort -u | sed "s#.*#\t& => & v0.${1#1.}#"
echo ')'
