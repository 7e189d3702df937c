#!/usr/bin/env bash
# Install what makes local VMs, as role local_vm does before it makes one.
set -euo pipefail
read -ra missing < <(python -c "
import sys
sys.path.insert(0, '.collections')
from ansible_collections.windward.airflow.plugins.module_utils._local_vm_host import controller
print(*controller().missing)")
((${#missing[@]})) || exit 0
[ "$(id -u)" = 0 ] && root=() || root=(sudo)
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
