#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_objects
short_description: Objects of a cluster, applied by its API server
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Hands objects over to be applied by the API server, as field manager C(windward.airflow), one request each. What
    others have set beside that stays.
  - Where nothing changes it takes a quarter of the time of M(kubernetes.core.k8s), whose Python package is loaded
    anew in each task.
  - A StatefulSet that is there keeps its C(volumeClaimTemplates), which Kubernetes never changes. They are for volumes
    to come; one that is there can be changed as far as its storage class lets it grow.
  - A Secret is refused, since a diff would show it; see M(windward.airflow.kubernetes_secrets).
notes:
  - "How it is applied: U(https://kubernetes.io/docs/reference/using-api/server-side-apply/)."
extends_documentation_fragment:
  - windward.airflow.cluster
options:
  definition:
    description: The objects, each with C(apiVersion), C(kind) and C(metadata.name). They are made in this order.
    type: list
    elements: dict
    required: true
  timeout:
    description: Seconds until Deployments and StatefulSets must have all of their pods ready. V(0) waits for nothing.
    type: int
    default: 0
attributes:
  check_mode:
    support: full
    description: The API server applies it without keeping it, and tells what would come of that.
  diff_mode:
    support: full
    description: Shows what is there before and after, without what Kubernetes itself adds.
"""

EXAMPLES = r"""
- name: Keep a file where pods can mount it
  windward.airflow.kubernetes_objects:
    namespace: airflow
    definition:
      - apiVersion: v1
        kind: ConfigMap
        metadata: {name: site}
        data: {motd: Hello}
"""

RETURN = r"""
applied:
  description: Kind and name of the objects that were, or would be, made or changed.
  type: list
  elements: str
  returned: success
  sample: [ConfigMap site]
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._kubernetes import OPTIONS, cluster, selector
from ..module_utils._kubernetes_api import KubernetesError
from ..module_utils._kubernetes_places import Object, Places, declared, name_of
from ..module_utils._pod_state import pods_told

MANAGER = "windward.airflow"


class Objects(Places):
    """Objects that are brought to what is declared."""

    def wait(self, one: Object, deadline: float) -> None:
        """Until all of its pods are ready."""
        while unready := lacks(self.read(one) or {}):
            if time.monotonic() > deadline:
                raise KubernetesError(f"{name_of(one)} is not ready in time: {' '.join([unready, *self.why(one)])}")
            time.sleep(0.5)

    def why(self, one: Object) -> list[str]:
        """What is said of its pods."""
        space = one["metadata"].get("namespace") or self.namespace
        labels = selector(one["spec"]["selector"].get("matchLabels") or {})
        return pods_told(self.api.items(f"/api/v1/namespaces/{space}/pods", labelSelector=labels))


def lasting(one: Object, was: Object) -> Object:
    """An object with what Kubernetes would refuse to change, as it is."""
    templates = (was.get("spec") or {}).get("volumeClaimTemplates")
    if one["kind"] != "StatefulSet" or not templates:
        return one
    return {**one, "spec": {**one["spec"], "volumeClaimTemplates": templates}}


def lacks(one: Object) -> str:
    """What a Deployment or StatefulSet still waits for."""
    if one.get("kind") not in ("Deployment", "StatefulSet"):
        return ""
    wanted, status = one["spec"].get("replicas", 1), one.get("status") or {}
    if status.get("observedGeneration", 0) < one["metadata"]["generation"]:
        return "its controller has not seen it."
    ready = min(status.get("readyReplicas", 0), status.get("updatedReplicas", 0))  # a number that is 0 is left out
    return "" if ready >= wanted else f"{ready} of {wanted} pods are ready."


def refusal(definition: list[Object]) -> str:
    """Why the definition can't be applied, whatever is there."""
    for number, one in enumerate(definition):
        about = one.get("metadata")
        named = isinstance(about, dict) and isinstance(about.get("name"), str)
        if not named or not all(isinstance(one.get(key), str) for key in ("apiVersion", "kind")):
            return f"definition[{number}] lacks apiVersion, kind or metadata.name"
        if one["kind"] == "Secret":
            return f"{name_of(one)} is for module kubernetes_secrets: a diff would show what is in it"
    return ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **OPTIONS,
            "definition": {"type": "list", "elements": "dict", "required": True},
            "timeout": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    definition, timeout = module.params["definition"], module.params["timeout"]
    if why := refusal(definition):
        module.fail_json(msg=why)
    applied, before, after = [], [], []
    try:
        objects = Objects(cluster(module), module.params["namespace"])
        for one in definition:
            was = objects.read(one)
            becomes = objects.apply(lasting(one, was or {}), MANAGER, module.check_mode)
            if was is None or declared(was) != declared(becomes):
                applied.append(name_of(one))
                before += [declared(was)] if was else []
                after.append(declared(becomes))
        deadline = time.monotonic() + timeout
        for one in definition if timeout and not module.check_mode else ():
            objects.wait(one, deadline)
    except KubernetesError as error:
        module.fail_json(msg=str(error)[:1].upper() + str(error)[1:], applied=applied)
    module.exit_json(changed=bool(applied), applied=applied, diff={"before": before, "after": after})


if __name__ == "__main__":
    main()
