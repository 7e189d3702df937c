#!/usr/bin/env bash
# changed.sh NAME COMMON FILES COMMAND...: run a slow check for the FILES (patterns) that differ from those which passed.
# A file counts as different, too, when one of the COMMON ones does. A fresh machine checks all, and names none then.
set -euo pipefail
read -ra common <<<"$2"
read -ra patterns <<<"$3"
passed=${XDG_CACHE_HOME:-$HOME/.cache}/windward.airflow/$1.passed
files() { git ls-files --cached --others --exclude-standard -- "$@" | while IFS= read -r file; do [[ -e $file ]] && echo "$file"; done; }
mapfile -t keys < <(files "${common[@]}")
key=$(sha256sum "${keys[@]}" | sha256sum | cut -c1-16)
mapfile -t all < <(files "${patterns[@]}")
now=$(sha256sum "${all[@]}" | sed "s/^/$key /")
mkdir -p "$(dirname "$passed")"
touch "$passed"
mapfile -t changed < <(grep -vxFf "$passed" <<<"$now" | cut -c84-)
case ${#changed[@]} in
  0) ;;
  "${#all[@]}") "${@:4}" ;;
  *) "${@:4}" "${changed[@]}" ;;
esac
echo "$now" > "$passed.partial"
mv "$passed.partial" "$passed"
