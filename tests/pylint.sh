#!/usr/bin/env bash
# ansible-test's pylint, by far its slowest test, for the files that differ from those which passed. A file counts as
# different, too, when what every plugin imports (plugins/*_utils) or a pinned tool does. A fresh machine checks them all.
set -euo pipefail
passed=${XDG_CACHE_HOME:-$HOME/.cache}/windward.airflow/pylint.passed
files() { git ls-files --cached --others --exclude-standard -- "$@" | while IFS= read -r file; do [[ -e $file ]] && echo "$file"; done; }
mapfile -t common < <(files 'plugins/*_utils/*.py' requirements-dev.txt tests/sanity.sh)
key=$(sha256sum "${common[@]}" | sha256sum | cut -c1-16)
mapfile -t python < <(files '*.py')
now=$(sha256sum "${python[@]}" | sed "s/^/$key /")
mkdir -p "$(dirname "$passed")"
touch "$passed"
mapfile -t changed < <(grep -vxFf "$passed" <<<"$now" | cut -c84-)
((${#changed[@]} == 0)) || tests/sanity.sh --test pylint "${changed[@]}"
echo "$now" > "$passed.partial"
mv "$passed.partial" "$passed"
