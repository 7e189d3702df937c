#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: tree_pruned
short_description: Remove releases that nobody uses
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Removes the oldest directories that M(windward.airflow.tree) made, and what a killed delivery left.
  - Never removes a release in O(in_use), nor the one that the link O(current) points to.
options:
  paths:
    description: Directories that hold releases. They need not exist.
    type: list
    elements: path
    required: true
  current:
    description: Link to the release that is served.
    type: path
  in_use:
    description: Names of releases that stay.
    type: list
    elements: str
    default: []
  keep:
    description: How many others stay in each directory, the newest ones.
    type: int
    default: 5
attributes:
  check_mode:
    support: full
    description: Says what would be removed.
  diff_mode:
    support: none
    description: The list of releases is the difference.
"""

EXAMPLES = r"""
- name: Prune
  windward.airflow.tree_pruned:
    paths: [/var/lib/airflow/dags/releases]
    current: /var/lib/airflow/dags/current
    in_use: [0f5c1c9a4f2b0f5c1c9a4f2b]
"""

RETURN = r"""
removed:
  description: Paths that were removed, or would be in check mode.
  type: list
  elements: str
  returned: always
  sample: []
"""

import os
import shutil
import time

from ansible.module_utils.basic import AnsibleModule

# A delivery that is under way beside us is younger than this.
ABANDONED = 3600


def unused(root: str, spared: set[str], keep: int) -> list[str]:
    """Return the paths below one directory that nobody needs."""
    names = [entry.name for entry in os.scandir(root) if entry.is_dir()] if os.path.isdir(root) else []
    made = {name: os.lstat(os.path.join(root, name)).st_ctime for name in names}
    partial = [name for name in names if name.startswith(".partial-") and made[name] < time.time() - ABANDONED]
    others = [name for name in names if not name.startswith(".") and name not in spared]
    oldest = sorted(others, key=lambda name: made[name], reverse=True)[keep:]
    return [os.path.join(root, name) for name in oldest + partial]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "required": True},
            "current": {"type": "path"},
            "in_use": {"type": "list", "elements": "str", "default": []},
            "keep": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    current, spared = module.params["current"], set(module.params["in_use"])
    if current and os.path.islink(current):
        spared.add(os.path.basename(os.readlink(current)))
    removed = [path for root in module.params["paths"] for path in unused(root, spared, module.params["keep"])]
    if not module.check_mode:
        for path in removed:
            shutil.rmtree(path)
    module.exit_json(changed=bool(removed), removed=sorted(removed))


if __name__ == "__main__":
    main()
