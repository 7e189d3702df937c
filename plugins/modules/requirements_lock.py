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
extends_documentation_fragment:
  - windward.airflow.release.install
options:
  requirements:
    description: The users' requirements (PEP 508).
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    support: partial
    description: Says whether a lock would be made.
    details: The lock itself is known only when it was made.
  diff_mode:
    support: none
    description: The lock is long.
"""

EXAMPLES = r"""
- name: Lock
  windward.airflow.requirements_lock:
    root: /opt/airflow
    requirements: [pandas, "acme-client>=2"]
    lock: /opt/airflow/locks/0f5c1c9a4f2b0f5c1c9a4f2b/requirements.txt
    uv_lock: /opt/airflow/locks/5b1a3c9d2e7f5b1a3c9d2e7f/requirements.txt
"""

RETURN = r"""
lock:
  description: Text of the file, for the other hosts. Empty in check mode when it is not there yet.
  type: str
  returned: success
  sample: "a2wsgi==1.10.10 --hash=..."
path:
  description: File on the host with all requirements and their hashes. Its path names its content.
  type: str
  returned: success
  sample: /opt/airflow/locks/9d1e3b5c7f2a9d1e3b5c7f2a.txt
"""

import hashlib
import os
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
        module.exit_json(changed=True, path=path, lock="")
    if changed:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        with open(lock, encoding="utf-8") as stream:
            together = _uv.inputs(stream.read(), wanted)
        partial = path + ".partial"
        with tempfile.NamedTemporaryFile("w", suffix=".in", encoding="utf-8") as source:
            source.write(together)
            source.flush()
            _uv.Uv(module).run(
                *_uv.COMPILE, "--python", module.params["python"], source.name, "--output-file", partial,
                part="The requirements do not fit together with Airflow's own. The resolver")
        os.replace(partial, path)
    with open(path, encoding="utf-8") as stream:
        module.exit_json(changed=changed, path=path, lock=stream.read())


if __name__ == "__main__":
    main()
