#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: helm_recover
short_description: Let helm go on after a run that was killed
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - A killed run leaves a revision that helm calls pending, and helm then refuses everything. This module calls it
    failed, so that the next upgrade starts from what that revision had begun to apply.
  - Nothing but the record of the last revision is changed, and only when it is not finished.
  - The result says whether the last revision has failed, since M(kubernetes.core.helm) takes the values of a failed one
    for applied.
extends_documentation_fragment:
  - windward.airflow.cluster
options:
  name:
    description: Name of the release.
    type: str
    required: true
attributes:
  check_mode:
    support: full
    description: Tells what would be done.
  diff_mode:
    support: full
    description: Shows the status before and after.
"""

EXAMPLES = r"""
- name: Recover
  windward.airflow.helm_recover:
    namespace: airflow
    name: airflow
  register: release

- name: Bring the release to what is wanted
  kubernetes.core.helm:
    namespace: airflow
    name: airflow
    chart_ref: apache-airflow/airflow
    force: "{{ release.failed_before }}"
"""

RETURN = r"""
revision:
  description: The last revision, 0 when there is no release.
  type: int
  returned: success
  sample: 4
status:
  description: Its status as it was found, empty when there is no release.
  type: str
  returned: success
  sample: pending-upgrade
failed_before:
  description: Whether it was not deployed whole.
  type: bool
  returned: success
  sample: true
"""

import base64
import gzip
import json

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._kubernetes import OPTIONS, cluster
from ..module_utils._kubernetes_api import KubernetesError


def as_failed(record: str) -> str:
    """Helm's record of a revision, with another status."""
    content = json.loads(gzip.decompress(base64.b64decode(record)))
    content["info"]["status"] = "failed"
    content["info"]["description"] = "The run was killed before it was finished"
    return base64.b64encode(gzip.compress(json.dumps(content).encode())).decode()


def main() -> None:
    spec = {**OPTIONS, "name": {"type": "str", "required": True}}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    name, namespace = module.params["name"], module.params["namespace"]
    try:
        api, place = cluster(module), f"/api/v1/namespaces/{namespace}/secrets"
        found = api.items(place, labelSelector=f"owner=helm,name={name}")
        if not found:
            module.exit_json(changed=False, revision=0, status="", failed_before=False)
        last = max(found, key=lambda one: int(one["metadata"]["labels"]["version"]))
        status = last["metadata"]["labels"]["status"]
        changed = status not in ("deployed", "failed")
        if changed and not module.check_mode:
            record = as_failed(base64.b64decode(last["data"]["release"]).decode())
            patch = {"metadata": {"labels": {"status": "failed"}}, "stringData": {"release": record}}
            api.patch(f"{place}/{last['metadata']['name']}", patch)
    except KubernetesError as error:
        module.fail_json(msg=f"The record of release {name} can't be read in namespace {namespace}: {error}")
    after = "failed" if changed else status
    module.exit_json(
        changed=changed,
        revision=int(last["metadata"]["labels"]["version"]),
        status=status,
        failed_before=status != "deployed",
        diff={"before": f"{status}\n", "after": f"{after}\n"},
    )


if __name__ == "__main__":
    main()
