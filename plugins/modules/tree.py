#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: tree
short_description: Deliver directories of the controller as immutable releases named by their digest
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - For each tree, the controller computes the digest of the directory O(trees[].src); the host gets it as
    C(<dest>/<digest>), made beside it and renamed when it is whole. A release that is there is never touched again,
    unless something in it was changed since; then it is replaced.
  - Byte code and version control data are left out. Links must stay inside the directory.
  - The files belong to root and are readable by O(group) only.
  - An action plugin does the controller's half. What is on the host already isn't transferred.
options:
  trees:
    description: The directories.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the release is, for the reader of the task.
        type: str
      src:
        description: Directory on the controller.
        type: path
        required: true
      dest:
        description: Directory on the host that holds the releases.
        type: path
        required: true
      digest:
        description: Set by the action plugin.
        type: str
      archive:
        description: Set by the action plugin. The path of the transferred archive on the host.
        type: path
  group:
    description: Group that may read the releases.
    type: str
    default: root
attributes:
  check_mode:
    support: full
    description: Says which trees would be delivered.
  diff_mode:
    support: none
    description: The digest is the difference.
"""

EXAMPLES = r"""
- name: Deliver the DAGs
  windward.airflow.tree:
    trees:
      - src: dags
        dest: /var/lib/airflow/dags/releases
    group: airflow
"""

RETURN = r"""
trees:
  description: The trees in the order of O(trees).
  type: list
  elements: dict
  returned: success
  contains:
    path:
      description: Where the release stands on the host.
      type: str
    digest:
      description: Name of the release.
      type: str
    present:
      description: Whether it is on the host, and whole. V(false) only in check mode.
      type: bool
    beside:
      description: Names of what else is in its directory and not in O(trees).
      type: list
      elements: str
  sample:
    - path: /var/lib/airflow/dags/releases/0f5c1c9a4f2b0f5c1c9a4f2b
      digest: 0f5c1c9a4f2b0f5c1c9a4f2b
      present: true
      beside: [9a4f2b0f5c1c9a4f2b0f5c1c]
"""

import grp
import os
import shutil
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _tree


def deliver(module: AnsibleModule, tree: dict[str, str], group: str) -> None:
    """Unpack a transferred archive as a release, or throw away what did not arrive whole."""
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        module.fail_json(msg=f"There is no group '{group}' on this host.")
    path = os.path.join(tree["dest"], tree["digest"])
    os.makedirs(tree["dest"], mode=0o755, exist_ok=True)
    partial, damaged = (tempfile.mkdtemp(dir=tree["dest"], prefix=".partial-") for _one in range(2))
    try:
        _tree.unpack(tree["archive"], partial, gid)
        arrived = _tree.digest(partial)
        if arrived != tree["digest"]:
            module.fail_json(msg="{}: {} arrived as {}.".format(tree["src"], tree["digest"], arrived))
        if os.path.lexists(path):
            os.rename(path, os.path.join(damaged, tree["digest"]))
        os.rename(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(damaged, ignore_errors=True)


def beside(dest: str, digests: set[str]) -> list[str]:
    """Return the names in a directory of releases that are none of ``digests``."""
    return sorted(set(os.listdir(dest)) - digests) if os.path.isdir(dest) else []


def main() -> None:
    tree = {
        "name": {"type": "str"},
        "src": {"type": "path", "required": True},
        "dest": {"type": "path", "required": True},
        "digest": {"type": "str"},
        "archive": {"type": "path"},
    }
    module = AnsibleModule(
        argument_spec={
            "trees": {"type": "list", "elements": "dict", "required": True, "options": tree},
            "group": {"type": "str", "default": "root"},
        },
        supports_check_mode=True,
    )
    changed, result = False, []
    digests = {wanted["digest"] for wanted in module.params["trees"]}
    for wanted in module.params["trees"]:
        if not wanted["digest"]:
            module.fail_json(msg="This module is run by its action plugin, which computes the digest of 'src'.")
        path = os.path.join(wanted["dest"], wanted["digest"])
        if not _tree.whole(path):
            changed = True
            if wanted["archive"] and not module.check_mode:
                deliver(module, wanted, module.params["group"])
        result.append({"path": path, "digest": wanted["digest"], "present": _tree.whole(path),
                       "beside": beside(wanted["dest"], digests)})
    module.exit_json(changed=changed, trees=result)


if __name__ == "__main__":
    main()
