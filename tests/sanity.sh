#!/usr/bin/env bash
# ansible-test sanity on a copy: it does not run through the link in .collections, and keeps its own things below HOME.
set -euo pipefail
cache=${XDG_CACHE_HOME:-$HOME/.cache}/windward.airflow/ansible-test
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
target=$copy/ansible_collections/windward/airflow
mkdir -p "$target" "$cache"
git ls-files -z --cached --others --exclude-standard -- . ':!.collections' |
  while IFS= read -r -d '' file; do [[ -e $file ]] && printf '%s\0' "$file"; done |
  tar --create --null --files-from=- | tar --extract --directory "$target"

# ansible-test bootstraps pip with a script from a host that package mirrors do not carry; the wheel does the same.
script=$cache/.ansible/test/cache/get_pip_24_2.py
if [[ ! -e $script ]]; then
  mkdir -p "$(dirname "$script")"
  python -m pip --quiet download --no-deps --dest "$cache" pip==24.2
  cat > "$script.partial" <<END
import runpy, sys
sys.path.insert(0, "$cache/pip-24.2-py3-none-any.whl")
own = ("--no-setuptools", "--no-wheel")
sys.argv[1:] = ["install", "--no-index", "--find-links", "$cache", *(word for word in sys.argv[1:] if word not in own)]
runpy.run_module("pip", run_name="__main__")
END
  mv "$script.partial" "$script"
fi
cd "$target"
export HOME=$cache
ansible-test sanity --local --color no --python "$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" "$@"
