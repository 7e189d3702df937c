#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: requirements_lock
short_description: Lock the requirements of users against the lock of an Airflow release
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Resolves the requirements together with Airflow's own, none of which may move, and writes the result with hashes.
  - The result is kept on the host by the digest of its inputs, so that the same declaration gives the same lock later.
options:
  root:
    description: Directory that holds C(locks/) and C(uv/).
    type: path
    required: true
  requirements:
    description: The users' requirements (PEP 508).
    type: list
    elements: str
    required: true
  lock:
    description: Airflow's requirements with their hashes, in pip's format.
    type: str
    required: true
  uv_lock:
    description: The requirement of C(uv) with its hashes, in pip's format.
    type: str
    required: true
  python:
    description: Interpreter that the release is built on.
    type: path
    default: /usr/bin/python3
  index_url:
    description: Python package index.
    type: str
    default: https://pypi.org/simple
  environment:
    description: Environment of the downloads, for example proxies.
    type: dict
    default: {}
attributes:
  check_mode:
    support: partial
    description: Where the lock is not there yet, Airflow's own is returned.
  diff_mode:
    support: none
    description: The lock is long.
"""

EXAMPLES = r"""
- name: Lock
  windward.airflow.requirements_lock:
    root: /opt/airflow
    requirements: [pandas, "acme-client>=2"]
    lock: "{{ lookup('ansible.builtin.file', 'locks/3.3.2/requirements.txt') }}"
    uv_lock: "{{ lookup('ansible.builtin.file', 'locks/uv.txt') }}"
"""

RETURN = r"""
lock:
  description: All requirements with their hashes.
  type: str
  returned: success
  sample: "a2wsgi==1.10.10 --hash=..."
"""

import hashlib
import os
import re
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _uv


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(_uv.OPTIONS, requirements={"type": "list", "elements": "str", "required": True}),
        supports_check_mode=True,
    )
    wanted, lock = module.params["requirements"], module.params["lock"]
    digest = hashlib.sha256("\0".join([lock, module.params["python"], *sorted(wanted)]).encode()).hexdigest()[:24]
    path = os.path.join(module.params["root"], "locks", digest + ".txt")
    changed = not os.path.exists(path)
    if changed and module.check_mode:
        module.exit_json(changed=True, lock=lock)
    if changed:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            source, constraints = os.path.join(scratch, "requirements.in"), os.path.join(scratch, "constraints.txt")
            with open(source, "w", encoding="utf-8") as stream:
                # Every line of the lock is both wanted and held: a user's requirement can add, never move.
                pinned = re.findall(r"^\S.*?(?= \\$)", lock, re.MULTILINE)
                stream.write("\n".join(pinned + wanted) + "\n")
            with open(constraints, "w", encoding="utf-8") as stream:
                stream.write(lock)
            partial = path + ".partial"
            _uv.Uv(module).run(
                "pip", "compile", "--quiet", "--generate-hashes", "--no-annotate", "--no-header",
                "--python", module.params["python"], "--constraint", constraints, source, "--output-file", partial,
                part="The requirements do not fit together with Airflow's own. The resolver")
        os.replace(partial, path)
    with open(path, encoding="utf-8") as stream:
        module.exit_json(changed=changed, lock=stream.read())


if __name__ == "__main__":
    main()
