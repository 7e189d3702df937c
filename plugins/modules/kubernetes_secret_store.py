#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_secret_store
short_description: Keep the secrets of a deployment in its own namespace
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Reads, completes and writes a Secret of Kubernetes that holds the deployment's secrets by name, as module
    M(windward.airflow.secret_store) does with a file of a host.
  - A secret in O(given) wins. One that is not given is kept as it is. One that is neither given nor there is generated
    when O(generate) allows it. Of two runs at a time, one generates and the other fails.
  - The result holds the secrets, so a task that uses this module needs C(no_log=true).
extends_documentation_fragment:
  - windward.airflow.cluster
  - windward.airflow.generated
options:
  name:
    description: Name of the Secret.
    type: str
    required: true
  labels:
    description: Labels of the Secret.
    type: dict
    default: {}
  names:
    description: Names of the secrets that the deployment needs. How one is generated follows from its name.
    type: list
    elements: str
    required: true
  given:
    description: Secrets by name, from the inventory. Empty values are not given.
    type: dict
    default: {}
  references:
    description:
      - "Secrets by name that somebody else keeps in another Secret of this namespace, C({fernet_key: {name: shared,
        key: fernet}}). They are read each time, and win over those in O(given)."
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Returns generated secrets without keeping them.
  diff_mode:
    support: full
    description: Shows the names of the secrets that change.
"""

EXAMPLES = r"""
- name: Complete the deployment's secrets
  windward.airflow.kubernetes_secret_store:
    namespace: airflow
    name: airflow-secrets
    names: [fernet_key, jwt_secret, database_password]
    generate: true
  register: completed
  no_log: true
"""

RETURN = r"""
exists:
  description: Whether the Secret was there before.
  type: bool
  returned: always
  sample: true
secrets:
  description: The secrets by name.
  type: dict
  returned: always
  sample: {}
"""

import re

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._generated import LostSecrets, completed, difference
from ..module_utils._kubernetes import OPTIONS, Secrets
from ..module_utils._kubernetes_api import KubernetesError


def referred(store: Secrets, references: dict[str, dict[str, str]]) -> dict[str, str]:
    """What other Secrets hold."""
    found = {}
    for name, place in references.items():
        content, _version = store.read(place["name"])
        if not (content or {}).get(place["key"]):
            lacks = f"has no {place['key']}" if content is not None else "is not there"
            raise KubernetesError(f"{name} is to come from Secret {place['name']}, which {lacks}")
        found[name] = secret = (content or {})[place["key"]]
        if secret != secret.strip() or re.search("[\x00-\x1f\x7f\ufffd]", secret):
            told = f"whose {place['key']} has white space around it, as a file's line end, or is no text"
            raise KubernetesError(f"{name} is to come from Secret {place['name']}, {told}")
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **OPTIONS,
            "name": {"type": "str", "required": True},
            "labels": {"type": "dict", "default": {}},
            "names": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "given": {"type": "dict", "default": {}, "no_log": True},
            "references": {"type": "dict", "default": {}},
            "generate": {"type": "bool", "default": False},
            "expendable": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    options = module.params
    place = f"Secret {options['name']} of namespace {options['namespace']}"
    try:
        store = Secrets(module)
        before, version = store.read(options["name"])
        given = {**options["given"], **referred(store, options["references"])}
        held = completed(before or {}, options["names"], given, options["generate"], options["expendable"])
        changed = held != before
        if changed and not module.check_mode:
            store.write(options["name"], held, options["labels"], before is not None, version)
    except LostSecrets as lost:
        module.fail_json(
            msg=f"{place} lacks {lost}. They are not generated, since this deployment is not a new one: restore it "
            "from a backup, or give them in the inventory."
        )
    except KubernetesError as error:
        module.fail_json(msg=f"{place}: {error}")
    diff = difference(before or {}, held, place)
    # The result is the secrets: masked, a given one would come back as the mask, and be deployed as a password.
    module.no_log_values.clear()
    module.exit_json(changed=changed, exists=before is not None, secrets=held, diff=diff, invocation={})


if __name__ == "__main__":
    main()
