# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. What was found in a cluster; `host.found` is the result of module `cluster_found`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..deployment import Finding, Host
from ..registry import when_cluster_found
from .cluster import COMPONENTS
from .kind import OLDEST

UNITS = {"": 1.0, "m": 1e-3, **{unit: 1e3 ** (n + 1) for n, unit in enumerate("kMGT")}}
UNITS |= {f"{unit}i": 1024.0 ** (n + 1) for n, unit in enumerate("KMGT")}
CHANGES = ["create", "delete", "get", "list", "patch", "update"]
# With the least of them a task runs: what is deployed, one pod of a task or the Job that migrates.
PODS_BESIDE = 1


def rights(host: Host) -> dict[str, list[str]]:
    """What the collection and helm do in the namespace."""
    wanted = {
        **dict.fromkeys(("secrets", "configmaps", "services", "serviceaccounts", "persistentvolumeclaims"), CHANGES),
        **dict.fromkeys(("deployments.apps", "statefulsets.apps", "jobs.batch"), CHANGES),
        "pods": ["create", "delete", "get", "list"],
        "pods/log": ["get"],
        "pods/exec": ["create"],
        "events": ["list"],
    }
    if host["airflow_executor"] == "KubernetesExecutor":
        wanted |= dict.fromkeys(("roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io"), CHANGES)
    return wanted


def amount(quantity: str) -> float:
    """A quantity of Kubernetes as a number."""
    number, unit = re.fullmatch(r"([0-9.]+)(.*)", str(quantity)).groups()  # type: ignore[union-attr]
    return float(number) * UNITS[unit]


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


@when_cluster_found
def missing_rights(host: Host) -> Iterator[Finding]:
    """The user may do what the play does."""
    for resource, verbs in host.found["denied"].items():
        problem = f"its user may not {', '.join(verbs)} {resource}: let somebody grant it, or give another kubeconfig"
        yield host.refuse("airflow_kubeconfig", problem, None)


@when_cluster_found
def storage_class(host: Host) -> Iterator[Finding]:
    """The volumes have a class."""
    known, wanted = host.found["storage_classes"], host["airflow_storage_class"]
    if wanted and known and wanted not in known:
        yield host.refuse("airflow_storage_class", f"there is no such class; known are {', '.join(sorted(known))}")
    if not wanted and known and not any(known.values()):
        problem = f"must be given, as the cluster has no default class; known are {', '.join(sorted(known))}"
        yield host.refuse("airflow_storage_class", problem)


@when_cluster_found
def volumes_on_one_node(host: Host) -> Iterator[Finding]:
    """A volume that one node mounts at a time is for one node."""
    if host["airflow_storage_access_mode"] == "ReadWriteOnce" and host.found["nodes"] > 1:
        yield host.refuse(
            "airflow_storage_access_mode",
            f"logs and DAGs would be on one of {host.found['nodes']} nodes: give ReadWriteMany with a class that has "
            "it, or let pods be on one node only",
        )


@when_cluster_found
def volume_changed(host: Host) -> Iterator[Finding]:
    """A volume keeps its size."""
    name = host["airflow_name"]
    for volume, size in host["airflow_volume_sizes"].items():
        claim = f"data-{name}-{volume}-0" if volume in ("postgresql", "redis") else f"{name}-{volume}"
        there = host.found["claims"].get(claim)
        if there and amount(there) != amount(size):
            problem = f"the volume {claim} has {there}, and is not changed: keep that, or grow it by hand first"
            yield host.refuse(f"airflow_volume_sizes.{volume}", problem, size)


@when_cluster_found
def quota(host: Host) -> Iterator[Finding]:
    """A quota of the namespace leaves room for a new deployment."""
    if host.found["claims"]:
        return
    pods = sum(host["airflow_replicas"].get(component, 1) for component in COMPONENTS)
    pods += 0 if host["airflow_database_host"] else 1
    if host["airflow_executor"] == "CeleryExecutor":
        pods += sum(one.get("replicas", 1) for one in host["airflow_worker_sets"] or [{}])
        pods += 0 if host["airflow_broker_url"] else 1
    for name, one in host.found["quotas"].items():
        for resource in ("pods", "count/pods"):
            hard = one["hard"].get(resource)
            left = amount(hard) - amount(one["used"].get(resource, "0")) if hard else pods + PODS_BESIDE
            if left < pods + PODS_BESIDE:
                problem = f"quota {name} leaves {left:.0f} {resource}, and {pods + PODS_BESIDE} are needed: raise it"
                yield host.refuse("airflow_namespace", problem, host["airflow_namespace"] or host["airflow_name"])
