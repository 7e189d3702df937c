# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster_table
short_description: One table of what a deployment runs in its cluster, and what is wrong with it
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Joins what Kubernetes says of pods and volumes with what Airflow says of itself, as
    P(windward.airflow.status_table#filter) does for hosts.
positional: _input, answers
options:
  _input:
    description: The pods of the namespace, as M(kubernetes.core.k8s_info) reads them.
    type: list
    elements: dict
    required: true
  answers:
    description:
      - What else was told. C(health) is the result of M(windward.airflow.health_info), C(metadata) that of
        M(windward.airflow.metadata_info), C(claims) are the namespace's claims of volumes, C(dags) is the
        M(ansible.builtin.stat) of the link to the DAG release that is served, C(store) the Secret of the deployment's
        secrets without its content, and with Celery C(workers) the result of M(windward.airflow.worker_info).
    type: dict
    required: true
  wanted:
    description: The components of which at least one pod must be ready; of a set of workers C(worker-) and its name.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show
  ansible.builtin.debug:
    msg: "{{ (pods | windward.airflow.cluster_table(answers)).lines }}"
"""

RETURN = r"""
_value:
  description:
    - A dictionary with C(lines), the table as text, C(problems), a sentence for each thing that is wrong, and
      C(verdict), which is V(healthy) without a problem, else V(not healthy).
  type: dict
"""

from datetime import UTC, datetime
from typing import Any

from ..module_utils._pod_state import pods_told, state
from .status_table import Row, Status, aligned, consumption, look_at_metadata, look_at_queues

HEAD: Row = ("pod", "component", "state", "since", "restarts", "heartbeat", "image")
SERVERS = ("postgresql", "redis")  # of ours, beside the release
# What each pod of a task is for a while. How it ended its DAG run tells.
PASSING = ("NotReady", "Running", "Terminating", "Succeeded", "Failed")


def component(pod: dict[str, Any]) -> str:
    """What a pod is; of a set of workers that is not the default one, with its name."""
    labels = pod["metadata"].get("labels") or {}
    if "dag_id" in labels:
        return "task"
    name = labels.get("component") or labels.get("app.kubernetes.io/component") or ""
    workers = labels.get("worker-set", "default") if name == "worker" else "default"
    return name if workers == "default" else f"{name}-{workers}"


def row(pod: dict[str, Any], ages: dict[str, float]) -> Row:
    status = pod.get("status") or {}
    containers = status.get("containerStatuses") or ()
    images = sorted({str(one.get("imageID") or one.get("image", "")).rpartition("@")[2] for one in containers})
    restarts = sum(int(one.get("restartCount", 0)) for one in containers)
    name, since = str(pod["metadata"]["name"]), str(status.get("startTime") or "")
    address = status.get("podIP", "")
    heartbeat = f"{ages[address]:.0f}s" if address in ages else ""
    shown = ",".join(image[:19] for image in images)
    return name, component(pod), state(pod)[0], since, str(restarts), heartbeat, shown


def running_components(pods: list[dict[str, Any]]) -> list[str]:
    """The components of which a pod is ready."""
    return sorted({component(pod) for pod in pods if state(pod)[0] == "Running"})


def unready_pods(pods: list[dict[str, Any]], name: str) -> list[str]:
    """The pods of a release and of its servers that should be ready and are not; not those that leave, nor of tasks."""
    well = ("Running", "Succeeded", "Terminating")
    return sorted(
        pod["metadata"]["name"]
        for pod in pods
        if is_lasting(pod, pod["metadata"].get("labels") or {}, name) and state(pod)[0] not in well
    )


def is_lasting(pod: dict[str, Any], labels: dict[str, str], name: str) -> bool:
    """Whether a pod is one of the release's components, or of the servers beside it."""
    if component(pod) in SERVERS:
        return labels.get("app.kubernetes.io/part-of") == name
    return labels.get("release") == name and component(pod) != "task"


def is_on_its_way(task: dict[str, Any]) -> bool:
    """Whether nothing is wrong with the pod of a task."""
    what, why = state(task)
    return what in PASSING or (what == "Pending" and not why)


def cluster_table(
    pods: list[dict[str, Any]], answers: dict[str, Any], wanted: list[str] | None = None
) -> dict[str, Any]:
    """The table, the problems and the verdict."""
    status = Status({}, {})
    metadata = answers.get("metadata") or {}
    ages = {job["hostname"]: job["age"] for job in metadata.get("jobs", [])}  # by the address of the pod
    rows = sorted(row(pod, ages) for pod in pods)
    ready = running_components(pods)
    status.problems += [f"No pod of component {name} is ready." for name in wanted or () if name not in ready]
    status.problems += pods_told([pod for pod in pods if component(pod) != "task" or not is_on_its_way(pod)])
    for name, told in (answers.get("health") or {}).get("components", {}).items():
        if told.get("status") not in ("healthy", None):
            # Of who could not be asked nothing else is known.
            is_what = "could not be asked" if name == "api-server" else f"is {told['status']}"
            status.problems.append(f"{name} {is_what}: {told['reason']}")
    for claim in answers.get("claims") or ():
        name, phase = claim["metadata"]["name"], claim["status"].get("phase")
        size = (claim["status"].get("capacity") or claim["spec"]["resources"]["requests"])["storage"]
        status.lines.append(f"volume {name}: {phase}, {size}, {claim['spec'].get('storageClassName') or 'no class'}")
        if phase != "Bound":
            status.problems.append(f"Volume {name} is {phase}.")
    served = ((answers.get("dags") or {}).get("stat") or {}).get("lnk_target", "")
    status.lines.append(f"DAG release {served.rpartition('/')[2] or 'none'}")
    writes = ((answers.get("store") or {}).get("metadata") or {}).get("managedFields") or []
    if writes:
        changed = max(datetime.fromisoformat(one["time"].replace("Z", "+00:00")) for one in writes)
        status.lines.append(f"secrets are {(datetime.now(UTC) - changed).days} days old")
    look_at_metadata(status, metadata)
    if "workers" in answers:
        look_at_workers(status, answers["workers"] or {})
    return {
        "lines": [*aligned([HEAD, *rows]), "", *status.lines],
        "problems": status.problems,
        "verdict": "not healthy" if status.problems else "healthy",
    }


def look_at_workers(status: Status, told: dict[str, Any]) -> None:
    """Add what Celery says: who consumes which queue, how much waits in each."""
    if not told.get("available"):
        status.problems.append(f"The broker could not be asked: {told.get('reason', 'by no worker')}")
        return
    for name, worker in sorted(told["workers"].items()):
        status.lines.append(f"{name.removeprefix('celery@')}: {consumption(worker)}")
    look_at_queues(status, told, set())


class FilterModule:
    """Filters of playbooks/status.yml on Kubernetes."""

    def filters(self) -> dict[str, Any]:
        return {
            "cluster_table": cluster_table,
            "pods_told": pods_told,
            "running_components": running_components,
            "unready_pods": unready_pods,
        }
