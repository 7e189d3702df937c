# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the pod of a task may not have: asked by the scheduler of each pod that it is about to make.

By ``executor_config`` an author of DAGs changes the pod of a task, and the scheduler may make any pod of the namespace.
So what the deployment keeps there for itself is kept from them here: Secrets, accounts, volumes, and the labels by
which its components are found. What is not the deployment's own is not looked at.

An exception fails the task before there is a pod. The scheduler's log has its text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["pod_mutation_hook"]

# What is ours by name. The collection's _chart_values.py writes it below this text.
OURS: dict[str, Any] = {}
# helm's records of releases, and tokens of accounts as Kubernetes itself has named them.
RESERVED = re.compile(r"sh\.helm\.release\.v1\..*|.+-token-[bcdfghjklmnpqrstvwxz2456789]{5}")


def pod_mutation_hook(pod: Any) -> None:
    """Refuse a pod with something of ours that tasks have not got."""
    if os.environ.get("AIRFLOW_IS_K8S_EXECUTOR_POD"):
        return  # in a task, of a pod that it launches itself: there rights are the fence, and this could be none
    from kubernetes.client import ApiClient  # here, since every component loads this file

    found = sorted(set(refusals(ApiClient().sanitize_for_serialization(pod))))
    if found:
        raise ValueError(f"the pod of a task {', and '.join(found)}: its executor_config asks for what is not a task's")


def refusals(pod: dict[str, Any]) -> Iterator[str]:
    """Why Kubernetes must not be asked for this pod, as it would be sent."""
    spec, labels = pod["spec"], pod["metadata"].get("labels") or {}
    containers = [
        one for kind in ("initContainers", "containers", "ephemeralContainers") for one in spec.get(kind) or ()
    ]
    volumes = spec.get("volumes") or []

    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    if account != OURS["account"]:
        yield f"may not have the service account {account}"
    sources = [one for volume in volumes for one in (volume.get("projected") or {}).get("sources") or ()]
    if not OURS["token"] and (
        spec.get("automountServiceAccountToken") or any("serviceAccountToken" in one for one in sources)
    ):
        yield "may not have a token of Kubernetes"

    taken = [[one.get("envFrom"), [each.get("valueFrom") for each in one.get("env") or ()]] for one in containers]
    held = [{key: value for key, value in volume.items() if key != "name"} for volume in volumes]
    for name in texts([taken, held]):
        if name in OURS["kept"] or RESERVED.fullmatch(name):
            yield f"may not have {name}"
    for claim in ((volume.get("ephemeral") or {}).get("volumeClaimTemplate") or {} for volume in volumes):
        if {"dataSource", "dataSourceRef"} & (claim.get("spec") or {}).keys():
            yield "may not have a copy of a volume"
    dags = [one["name"] for one in volumes if OURS["read_only"] in texts(one.get("persistentVolumeClaim"))]
    mounts = [one for container in containers for one in container.get("volumeMounts") or ()]
    if any(one["name"] in dags and not one.get("readOnly") for one in mounts):
        yield f"may not write to {OURS['read_only']}"

    if labels.get("component") in OURS["components"] or labels.get("app.kubernetes.io/part-of") == OURS["name"]:
        yield "may not have the labels of a component"


def texts(part: Any) -> Iterator[str]:
    """Every text of a part of a pod, whatever kind of volume it is in. ConfigMaps hold no secret."""
    if isinstance(part, str):
        yield part
    for one in part if isinstance(part, list) else ():
        yield from texts(one)
    for key, one in part.items() if isinstance(part, dict) else ():
        if not key.startswith("configMap"):
            yield from texts(one)
