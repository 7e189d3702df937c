#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: secret_store
short_description: Keep the secrets of a deployment on its own hosts
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Reads, completes and writes a file of named secrets that only root can read.
  - A secret in O(given) wins. One that is not given is kept as it is. One that is neither given nor there is generated
    when O(generate) allows it.
  - The result holds the secrets, so a task that uses this module needs C(no_log=true).
options:
  path:
    description: The file.
    type: path
    required: true
  state:
    description:
      - V(read) returns what is there.
      - V(present) makes the file hold every secret of O(names).
    type: str
    choices: [read, present]
    default: present
  names:
    description: Names of the secrets that the deployment needs. How one is generated follows from its name.
    type: list
    elements: str
    default: []
  given:
    description: Secrets by name, from the inventory or from another holder. Empty values are not given.
    type: dict
    default: {}
  generate:
    description:
      - Whether missing secrets may be generated. Leave it V(false) unless this is known to be a new deployment.
    type: bool
    default: false
  expendable:
    description:
      - Those of O(names) that may be generated in an old deployment too, since nothing is lost with them.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: Returns generated secrets without keeping them.
  diff_mode:
    support: full
    description: Shows the names of the secrets that change.
"""

EXAMPLES = r"""
- name: Read the secrets of this host
  windward.airflow.secret_store:
    path: /etc/airflow/secrets.json
    state: read
  register: held
  no_log: true
"""

RETURN = r"""
exists:
  description: Whether the file was there before.
  type: bool
  returned: always
  sample: true
secrets:
  description: The secrets by name.
  type: dict
  returned: always
  sample: {}
"""

import json
import os
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._generated import LostSecrets, completed, difference


def read(module: AnsibleModule, path: str) -> dict[str, str] | None:
    """Return the file's secrets, or None where there is no file."""
    try:
        with open(path, encoding="utf-8") as stream:
            held = json.load(stream)
        if not isinstance(held, dict):
            raise ValueError("it holds no object")
        return held
    except FileNotFoundError:
        return None
    except ValueError as error:
        module.fail_json(msg=f"{path} is damaged ({error}). Restore it from another holder or from a backup.")
        raise


def write(path: str, wanted: dict[str, str]) -> None:
    """Replace the file by rename; it is never readable by anybody but root."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".partial-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(wanted, stream, indent=1, sort_keys=True)
        stream.write("\n")
        stream.flush()
        os.fsync(handle)
    os.replace(partial, path)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["read", "present"], "default": "present"},
            "names": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "given": {"type": "dict", "default": {}, "no_log": True},
            "generate": {"type": "bool", "default": False},
            "expendable": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    path, names = module.params["path"], module.params["names"]
    before = read(module, path)
    held = dict(before or {})
    if module.params["state"] == "read":
        module.exit_json(changed=False, exists=before is not None, secrets=held)

    try:
        rest = (module.params[name] for name in ("given", "generate", "expendable"))
        held = completed(held, names, *rest)
    except LostSecrets as lost:
        module.fail_json(
            msg=f"{path} lacks {lost}. They are not generated, since this deployment is not a new one: restore the "
            "file from a backup, or give them in the inventory."
        )
    changed = held != before
    if changed and not module.check_mode:
        write(path, held)
    diff = difference(before or {}, held, path)
    # The result is the secrets: masked, a given one would come back as the mask, and be deployed as a password.
    module.no_log_values.clear()
    module.exit_json(changed=changed, exists=before is not None, secrets=held, diff=diff, invocation={})


if __name__ == "__main__":
    main()
