# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. What was found in a cluster; `host.found` is the result of module `cluster_found`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ....module_utils._chart_values import CONTAINER, POD
from ....module_utils._kubernetes_objects import RIGHTS, SERVICE_USER, TASKS_RIGHTS
from ..deployment import Finding, Host
from ..registry import also_when_removed, when_cluster_found
from .cluster import COMPONENTS, amount, resources
from .kind import OLDEST

CHANGES = ["create", "delete", "get", "list", "patch", "update"]
ROLES = ("roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io")
# The names of volumes; that of a StatefulSet's pod is Kubernetes' own.
CLAIMS = {
    "logs": "{}-logs", "dags": "{}-dags", "postgresql": "data-{}-postgresql-0", "redis": "data-{}-redis-0",
}  # fmt: skip
SHARED = ("logs", "dags")  # by several pods
# With the least of them a task runs: what is deployed, one pod of a task or the Job that migrates.
PODS_BESIDE = 1


def rights(host: Host) -> dict[str, list[str]]:
    """What the collection and helm do in the namespace."""
    wanted = {
        "namespaces": ["get"],
        **dict.fromkeys(("secrets", "configmaps", "services", "serviceaccounts", "persistentvolumeclaims"), CHANGES),
        **dict.fromkeys(("deployments.apps", "statefulsets.apps", "jobs.batch"), CHANGES),
        "replicasets.apps": ["list"],  # by which helm waits
        "pods": ["create", "delete", "get", "list"],
        "pods/log": ["get"],
        "pods/exec": ["create", "get"],
        "pods/portforward": ["create", "get"],
        "deployments/scale.apps": ["get", "patch"],
        "statefulsets/scale.apps": ["get", "patch"],
        "events": ["list"],
    }
    if host["airflow_executor"] == "KubernetesExecutor":
        wanted = _granting(wanted, [rule for rules in RIGHTS.values() for rule in rules])
    return wanted


def rights_elsewhere(host: Host) -> dict[str, dict[str, list[str]]]:
    """The same for other namespaces."""
    place = host["airflow_task_pods_namespace"]
    return {place: _granting({}, TASKS_RIGHTS)} if place else {}


def to_remove(wanted: dict[str, list[str]]) -> dict[str, list[str]]:
    """What of such rights a removal needs: to look, and to remove."""
    needed = {name: [verb for verb in verbs if verb in ("delete", "get", "list")] for name, verbs in wanted.items()}
    return {name: verbs for name, verbs in needed.items() if verbs and "/" not in name}


def _granting(wanted: dict[str, list[str]], rules: list[tuple[list[str], list[str]]]) -> dict[str, list[str]]:
    """With the rights to make Roles of such rules: Kubernetes lets nobody grant what he may not do himself."""
    whole = {**wanted, **dict.fromkeys(ROLES, CHANGES)}
    for names, verbs in rules:
        for resource in names:
            whole[resource] = sorted({*whole.get(resource, ()), *verbs})
    return whole


def pods(host: Host) -> list[dict[str, Any]]:
    """Pods such as those that will run: Airflow's, and those of our PostgreSQL and Redis."""
    found = []
    built = host["airflow_image_repository"] or "apache/airflow"
    image = host["airflow_image"] or f"{built}:{host['airflow_image_tag'] or host['airflow_version']}"
    ours = [("scheduler", POD["runAsUser"], image)]
    if not host["airflow_database_host"]:
        ours.append(("postgresql", SERVICE_USER, host["airflow_postgresql_image"]))
    for name, user, image in ours:
        about = {"resources": resources(host, name), "securityContext": CONTAINER}
        container = {"name": name, "image": image, **about}
        spec = {"securityContext": {**POD, "runAsUser": user}, "containers": [container]}
        found.append({"metadata": {"name": f"{host['airflow_name']}-preflight"}, "spec": spec})
    return found


def is_new(host: Host) -> bool:
    """Whether nothing of this deployment is there: what others keep in the namespace says nothing."""
    return not host.found["claims"].keys() & {name.format(host["airflow_name"]) for name in CLAIMS.values()}


@when_cluster_found
def kubernetes_version(host: Host) -> Iterator[Finding]:
    """Kubernetes is one that the chart works with."""
    version = host.found["version"]
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        yield host.refuse("airflow_kubeconfig", f"is Kubernetes {version}, and the chart needs {oldest} or later", None)


@when_cluster_found
def namespace_phase(host: Host) -> Iterator[Finding]:
    """The namespace is not on its way out."""
    if host.found["namespace"] == "Terminating":
        name = host["airflow_namespace"] or host["airflow_name"]
        yield host.refuse("airflow_namespace", "is being removed: wait until it is gone, or give another", name)


@also_when_removed
@when_cluster_found
def missing_rights(host: Host) -> Iterator[Finding]:
    """The user may do what the play does."""
    for resource, verbs in host.found["denied"].items():
        problem = f"its user may not {', '.join(verbs)} {resource}: let somebody grant it, or give another kubeconfig"
        yield host.refuse("airflow_kubeconfig", problem, None)


@when_cluster_found
def task_pods_place(host: Host) -> Iterator[Finding]:
    """The namespace of tasks' pods is there."""
    for name, place in host.found["elsewhere"].items():
        if not place["namespace"]:
            yield host.refuse("airflow_task_pods_namespace", "is not there: make it, or give another", name)


@also_when_removed
@when_cluster_found
def task_pods_rights(host: Host) -> Iterator[Finding]:
    """The user may give tasks their rights in it, and take them."""
    for name, place in host.found["elsewhere"].items():
        for resource, verbs in place["denied"].items() if place["namespace"] else ():
            problem = f"there your user may not {', '.join(verbs)} {resource}: let somebody grant it"
            yield host.refuse("airflow_task_pods_namespace", problem, name)


@when_cluster_found
def storage_class(host: Host) -> Iterator[Finding]:
    """The volumes have a class."""
    known, wanted = host.found["storage_classes"], host["airflow_storage_class"]
    if known == {} and is_new(host):
        problem = "the cluster has no class: install a provisioner of volumes, or make a class for those that are there"
        yield host.refuse("airflow_storage_class", problem, None)
    if wanted and known and wanted not in known:
        yield host.refuse("airflow_storage_class", f"there is no such class; known are {', '.join(sorted(known))}")
    if not wanted and known and not any(known.values()):
        problem = f"must be given, as the cluster has no default class; known are {', '.join(sorted(known))}"
        yield host.refuse("airflow_storage_class", problem)


@when_cluster_found
def volumes_on_one_node(host: Host) -> Iterator[Finding]:
    """A volume that one node mounts at a time is for one node."""
    if host["airflow_storage_access_mode"] == "ReadWriteOnce" and host.found["nodes"] > 1:
        what = "logs" if host["airflow_image_dags"] else "logs and DAGs"
        yield host.refuse(
            "airflow_storage_access_mode",
            f"{what} would be on one of {host.found['nodes']} nodes: give ReadWriteMany with a class that has "
            "it, or let pods be on one node only",
        )
    elif host["airflow_storage_access_mode"] == "ReadWriteOnce" and not host.found["nodes"]:
        problem = "no node was seen, which takes a right to list them: with several, pods on one only have the volumes"
        yield host.warn("airflow_storage_access_mode", problem)


@when_cluster_found
def volume_changed(host: Host) -> Iterator[Finding]:
    """A volume keeps its size."""
    for volume, size in {**host.deployment.contract.volumes, **host["airflow_volume_sizes"]}.items():
        claim = CLAIMS[volume].format(host["airflow_name"])
        there = host.found["claims"].get(claim)
        if there and amount(there) != amount(size):
            problem = f"the volume {claim} has {there}, and is not changed: keep that, or grow it by hand first"
            yield host.refuse(f"airflow_volume_sizes.{volume}", problem, size)


@when_cluster_found
def volume_kind(host: Host) -> Iterator[Finding]:
    """A volume keeps its class and its access mode."""
    wanted, mode = host["airflow_storage_class"], host["airflow_storage_access_mode"]
    for volume, name in CLAIMS.items():
        claim = name.format(host["airflow_name"])
        there = host.found["volumes"].get(claim)
        if there and wanted and there["class"] != wanted:
            problem = f"the volume {claim} is of class {there['class'] or 'none'}, and is not changed: keep that"
            yield host.refuse("airflow_storage_class", problem)
        if there and volume in SHARED and mode not in there["modes"]:
            problem = f"the volume {claim} has {', '.join(there['modes'])}, and is not changed: keep that"
            yield host.refuse("airflow_storage_access_mode", problem)


@when_cluster_found
def postgresql_major(host: Host) -> Iterator[Finding]:
    """PostgreSQL of ours keeps its major version, which alone can read its data."""
    images = (host.found["images"].get(f"{host['airflow_name']}-postgresql", ""), host["airflow_postgresql_image"])
    before, wanted = (re.search(r":(\d+)[^/:]*$", image.partition("@")[0]) for image in images)
    if before and wanted and before[1] != wanted[1] and not host["airflow_database_host"]:
        problem = f"can't read what PostgreSQL {before[1]} has written: keep to that, or move the data by hand"
        yield host.refuse("airflow_postgresql_image", problem)


@when_cluster_found
def helms_own(host: Host) -> Iterator[Finding]:
    """What has a name of ours is not part of a release, from which helm would remove it."""
    if host.found["helms"]:
        problem = (
            f"a release of helm's has {', '.join(host.found['helms'])}, and would lose it: give another name or "
            "namespace, or take it out of that release first (a volume: annotation helm.sh/resource-policy: keep)"
        )
        yield host.refuse("airflow_name", problem)


@when_cluster_found
def refused_pods(host: Host) -> Iterator[Finding]:
    """A namespace takes pods such as ours: its policies and limits were asked, and nothing was made."""
    for sentence in host.found["refused"] if is_new(host) else ():
        yield host.refuse("airflow_namespace", f"takes no pod of ours: {sentence}", None)


@when_cluster_found
def pod_security(host: Host) -> Iterator[Finding]:
    """A namespace that is there keeps its level of Pod Security, and it is said when that is a weak one."""
    if host.found["namespace"] == "Active" and host.found["pod_security"] != "restricted":
        level = host.found["pod_security"] or "no level"
        name = host["airflow_namespace"] or host["airflow_name"]
        yield host.warn(
            "airflow_namespace",
            f"enforces {level} of Pod Security, and is left so; every pod of ours passes restricted",
            name,
        )


def containers(host: Host) -> Iterator[tuple[str, int]]:
    """What runs, and how many of each: the deployment, and the largest that is with it for a time."""
    replicas, celery = host["airflow_replicas"], host["airflow_executor"] == "CeleryExecutor"
    yield from ((component, replicas.get(component, 1)) for component in COMPONENTS)
    yield "log-groomer", replicas.get("scheduler", 1)
    yield "migrate" if celery else "task", PODS_BESIDE
    if not host["airflow_database_host"]:
        yield "postgresql", 1
    if celery:
        yield "worker", sum(one.get("replicas", 1) for one in host["airflow_worker_sets"] or [{}])
        yield "redis", 0 if host["airflow_broker_url"] else 1


def needs(host: Host) -> dict[str, float]:
    """What a new deployment takes of each resource that a quota can be of."""
    found = dict(containers(host))
    whole = {"pods": float(sum(number for name, number in found.items() if name != "log-groomer"))}
    for name, number in found.items():
        for kind, amounts in resources(host, name).items():
            for resource, value in amounts.items():
                key = f"{kind}.{resource}"
                whole[key] = whole.get(key, 0) + number * amount(value)
    sizes = {**host.deployment.contract.volumes, **host["airflow_volume_sizes"]}
    shared = {"logs"} if host["airflow_image_dags"] else {"logs", "dags"}
    volumes = [name for name in sizes if name in shared or found.get(name)]
    whole |= {
        "persistentvolumeclaims": float(len(volumes)),
        "requests.storage": sum(amount(sizes[name]) for name in volumes),
    }
    other = {"count/pods": "pods", "cpu": "requests.cpu", "memory": "requests.memory"}
    return whole | {name: whole[same] for name, same in other.items()}


def told(resource: str, value: float) -> str:
    """An amount as a person reads it."""
    return f"{value / 2**30:.1f}Gi" if resource.endswith(("memory", "storage")) else f"{value:.3g}"


@when_cluster_found
def quota(host: Host) -> Iterator[Finding]:
    """A quota of the namespace leaves room for a new deployment."""
    for name, one in host.found["quotas"].items() if is_new(host) else ():
        for resource, needed in needs(host).items():
            hard = one["hard"].get(resource)
            left = amount(hard) - amount(one["used"].get(resource, "0")) if hard else needed
            if left < needed:
                problem = (
                    f"quota {name} leaves {told(resource, left)} {resource}, and {told(resource, needed)} are needed: "
                    "raise it"
                )
                yield host.refuse("airflow_namespace", problem, host["airflow_namespace"] or host["airflow_name"])
