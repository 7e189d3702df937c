# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: writing_pod
short_description: A short-lived pod that is as the DAG processor's, but may write to the DAGs' volume
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - It has the image, the environment, the rights and the volumes of the DAG processor, so that DAGs are parsed in it as
    Airflow will, and stands on the same node, so that a volume that one node only can mount does.
positional: _input, name, image
options:
  _input:
    description: The DAG processor's pod, as M(kubernetes.core.k8s_info) reads it.
    type: dict
    required: true
  name:
    description: The name of the pod to make.
    type: str
    required: true
  image:
    description: Another image than the DAG processor's, which has DAGs of its own.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Make the pod that writes
  kubernetes.core.k8s:
    definition: "{{ pods['dag-processor'].pod | windward.airflow.writing_pod('airflow-dags') }}"
"""

RETURN = r"""
_value:
  description: The definition of the pod.
  type: dict
"""

from typing import Any

MINUTES = 60  # after which it ends by itself, if the run that made it was killed
POD = ("automountServiceAccountToken", "enableServiceLinks", "imagePullSecrets", "nodeName", "securityContext",
       "serviceAccountName", "volumes")  # fmt: skip
CONTAINER = ("env", "envFrom", "image", "imagePullPolicy", "resources", "securityContext")


def writing_pod(pod: dict[str, Any], name: str, image: str = "") -> dict[str, Any]:
    """The pod's definition."""
    spec = pod["spec"]
    (theirs,) = (one for one in spec["containers"] if one["name"] == "dag-processor")
    mounts = [
        {**mount, "readOnly": mount["name"] != "dags" and mount.get("readOnly", False)}
        for mount in theirs["volumeMounts"]
        if not (image and mount["name"] == "dags")
    ]
    about = {
        "app.kubernetes.io/part-of": pod["metadata"]["labels"]["release"],
        "app.kubernetes.io/component": "dags",
        "app.kubernetes.io/managed-by": "windward.airflow",
    }
    container = {
        "name": "dags",
        "command": ["sleep", str(MINUTES * 60)],
        "volumeMounts": mounts,
        **{key: theirs[key] for key in CONTAINER if key in theirs},
        **({"image": image} if image else {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": pod["metadata"]["namespace"], "labels": about},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": MINUTES * 60,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            **{key: spec[key] for key in POD if key in spec},
        },
    }


class FilterModule:
    """Filters of role dags."""

    def filters(self) -> dict[str, Any]:
        return {"writing_pod": writing_pod}
