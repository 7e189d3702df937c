#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_secrets
short_description: All Secrets of one kind in a namespace
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Makes, changes and removes Secrets of Kubernetes, so that those with O(labels) are exactly the ones of O(secrets).
  - Unlike M(kubernetes.core.k8s) it never shows what is in them.
extends_documentation_fragment:
  - windward.airflow.cluster
options:
  labels:
    description: Labels by which these Secrets are told from others. There must be one.
    type: dict
    required: true
  secrets:
    description: "The Secrets by name, each with its content as text, C({name: {key: value}})."
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Tells what would be done.
  diff_mode:
    support: full
    description: Shows the names of the Secrets that change, and of what changes in them.
"""

EXAMPLES = r"""
- name: Two Secrets, and no other of this kind
  windward.airflow.kubernetes_secrets:
    namespace: airflow
    labels: {example.org/kind: environment}
    secrets:
      airflow-scheduler: {AIRFLOW__CORE__FERNET_KEY: "{{ fernet_key }}"}
      airflow-worker: {}
"""

RETURN = r"""
written:
  description: Names of the Secrets that were, or would be, made or changed.
  type: list
  elements: str
  returned: success
  sample: [airflow-scheduler]
removed:
  description: Names of the Secrets that were, or would be, removed.
  type: list
  elements: str
  returned: success
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._kubernetes import OPTIONS, Secrets
from ..module_utils._kubernetes_api import KubernetesError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **OPTIONS,
            "labels": {"type": "dict", "required": True},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
    )
    labels, wanted = module.params["labels"], module.params["secrets"]
    if not labels:
        module.fail_json(msg="labels is empty: every Secret of the namespace would be removed")
    wanted = {name: {key: str(value) for key, value in (content or {}).items()} for name, content in wanted.items()}
    written, removed, lines = [], [], []
    try:
        store = Secrets(module)
        there = store.named(labels)
        for name in sorted(wanted):
            if there.get(name) == wanted[name]:
                continue
            before, version = (there[name], "") if name in there else store.read(name)
            if not module.check_mode:
                store.write(name, wanted[name], labels, before is not None, version)
            keys = {*wanted[name], *(before or {})}
            lines += [f"{name}: {key}" for key in sorted(keys) if wanted[name].get(key) != (before or {}).get(key)]
            written.append(name)
        for name in sorted(there.keys() - wanted.keys()):
            if not module.check_mode:
                store.delete(name)
            lines.append(f"{name}: removed")
            removed.append(name)
    except KubernetesError as error:
        module.fail_json(msg=str(error)[:1].upper() + str(error)[1:])
    diff = {"before": "", "after": "".join(f"{line}\n" for line in lines)}
    module.exit_json(changed=bool(written or removed), written=written, removed=removed, diff=diff)


if __name__ == "__main__":
    main()
