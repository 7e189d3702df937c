# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: component_pods
short_description: A ready pod of each component
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Picks, of the pods of a namespace, one of each component of Airflow that is ready and stays.
positional: _input, name
options:
  _input:
    description: The pods, as M(kubernetes.core.k8s_info) reads them.
    type: list
    elements: dict
    required: true
  name:
    description: The deployment's name, which is that of the chart's release.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Name the api-server's pod
  ansible.builtin.debug:
    msg: "{{ (pods.resources | windward.airflow.component_pods('airflow'))['api-server'].name }}"
"""

RETURN = r"""
_value:
  description:
    - By component, a dictionary with the pod's C(name), its C(container), the C(image) as the node has it, the whole
      C(pod), and C(mark), which changes with everything that the pod runs with.
  type: dict
"""

import hashlib
import json
from typing import Any

Pod = dict[str, Any]


def stays(pod: Pod) -> bool:
    conditions = {one["type"]: one["status"] for one in pod.get("status", {}).get("conditions") or ()}
    return conditions.get("Ready") == "True" and not pod["metadata"].get("deletionTimestamp")


def image(pod: Pod, container: str) -> str:
    found = [one["imageID"] for one in pod["status"].get("containerStatuses") or () if one["name"] == container]
    return found[0] if found else ""


def component_pods(pods: list[Pod], name: str) -> dict[str, Any]:
    """One pod of each component, by name the first."""
    found: dict[str, Any] = {}
    for pod in sorted(pods, key=lambda one: str(one["metadata"]["name"])):
        labels = pod["metadata"].get("labels") or {}
        component = str(labels.get("component", ""))
        ours = labels.get("release") == name and labels.get("tier") == "airflow" and "dag_id" not in labels
        if not ours or component in found or not stays(pod):
            continue
        containers = [one["name"] for one in pod["spec"]["containers"]]
        container = component if component in containers else containers[0]
        said = [image(pod, container), pod["metadata"].get("annotations") or {}]
        found[component] = {
            "name": pod["metadata"]["name"],
            "container": container,
            "image": said[0],
            "mark": f"{component}-{hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]}",
            "pod": pod,
        }
    return found


class FilterModule:
    """Filters of role kubernetes."""

    def filters(self) -> dict[str, Any]:
        return {"component_pods": component_pods}
