# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. Airflow in a cluster, as it is declared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..deployment import Deployment, Finding, Host
from ..registry import each_host, whole
from ..types import near

GROUP = "airflow_cluster"
# What only a cluster reads.
ONLY_THERE = (
    "airflow_kubeconfig", "airflow_kube_context", "airflow_namespace", "airflow_secret_references",
    "airflow_task_pods_namespace", "airflow_chart_source", "airflow_chart_version", "airflow_chart_digest",
    "airflow_image", "airflow_image_pull_secrets", "airflow_postgresql_image", "airflow_redis_image",
    "airflow_image_load", "airflow_image_registry_url", "airflow_image_registry_username",
    "airflow_image_registry_password", "airflow_image_aws_profile", "airflow_image_aws_role_arn",
    "airflow_image_repository", "airflow_image_tag", "airflow_image_base", "airflow_image_platform",
    "airflow_image_dags", "airflow_image_keep", "airflow_image_build_network",
    "airflow_replicas", "airflow_worker_sets", "airflow_container_resources",
    "airflow_node_port", "airflow_storage_class", "airflow_storage_access_mode", "airflow_volume_sizes",
)  # fmt: skip
# What only hosts read, and what else there is in a cluster.
ONLY_ON_HOSTS = {
    "airflow_worker_queues": "queues are those of airflow_worker_sets",
    **dict.fromkeys(
        (
            "airflow_address", "airflow_install_dir", "airflow_config_dir", "airflow_state_dir", "airflow_log_dir",
            "airflow_python", "airflow_releases_keep", "airflow_journal_max_size", "airflow_debian_mirror",
            "airflow_worker_batch", "airflow_pgbouncer_port", "airflow_pgbouncer_config", "airflow_proxy_port",
            "airflow_proxy_certificate", "airflow_local_vm",
        ),
        "leave it out",
    ),
}  # fmt: skip
# Options of Airflow that the chart computes, or for which a pod has neither port nor file.
CHARTS_OWN = {
    "api": ("port", "ssl_cert", "ssl_key"),
    "kubernetes_executor": (
        "namespace", "pod_template_file", "worker_container_repository", "worker_container_tag", "in_cluster",
        "cluster_context", "config_file", "multi_namespace_mode", "multi_namespace_mode_namespace_list",
    ),
}  # fmt: skip
NAME = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
SECRET = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"  # one that somebody else has named
QUANTITY = r"\d+(\.\d+)?(m|k|[MGTPE]|[KMGTPE]i)?"
UNITS = {"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, **{unit: 1e3 ** (n + 1) for n, unit in enumerate("kMGTPE")}}
UNITS |= {f"{unit}i": 1024.0 ** (n + 1) for n, unit in enumerate("KMGTPE")}
RESOURCE = r"cpu|memory|ephemeral-storage|hugepages-\w+|[\w.-]+/[\w.-]+"
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
CONTAINERS = (*COMPONENTS, "worker", "task", "log-groomer", "migrate", "postgresql", "redis")
# What can be kept in a Secret of somebody else's.
REFERRED = (
    "fernet_key", "jwt_secret", "api_secret_key", "fingerprint_key", "admin_password", "database_password",
    "results_database_password", "broker_password",
)  # fmt: skip
VOLUMES = ("postgresql", "redis", "logs", "dags")


def here(host: Host) -> bool:
    return host.name in host.deployment.members(GROUP)


def amount(quantity: str) -> float:
    """A quantity of Kubernetes as a number."""
    number, unit = re.fullmatch(r"([0-9.]+(?:[eE][-+]?[0-9]+)?)(.*)", str(quantity)).groups()  # type: ignore[union-attr]
    return float(number) * UNITS[unit]


def resources(host: Host, container: str) -> dict[str, dict[str, Any]]:
    """What a container requests, and where its limits are, with what is declared over what the collection gives."""
    given, own = host.deployment.contract.containers[container], host["airflow_container_resources"].get(container, {})
    return {kind: {**given.get(kind, {}), **own.get(kind, {})} for kind in {**given, **own}}


def _unknown(host: Host, variable: str, known: tuple[str, ...]) -> Iterator[Finding]:
    for key in host[variable].keys() - set(known):
        meant = near(str(key), known)
        fix = f"did you mean {meant}?" if meant else f"known are {', '.join(known)}"
        yield host.refuse(f"{variable}.{key}", f"is not known; {fix}", None)


@whole
def one_cluster(deployment: Deployment) -> Iterator[Finding]:
    """One deployment is in one cluster, which is asked from one host."""
    members = deployment.members(GROUP)
    if len(members) > 1:
        yield deployment.group(GROUP, f"has {', '.join(members)}: one deployment has one cluster, keep one host")


@whole
def cluster_from_here(deployment: Deployment) -> Iterator[Finding]:
    """The cluster is asked by the controller: pods become hosts, and are not reached through another one."""
    for name in deployment.members(GROUP):
        if name in deployment.hosts and deployment.hosts[name].connection not in ("local", "ansible.builtin.local"):
            yield deployment.group(
                GROUP, f"{name} must be this computer, from which the cluster is reached: ansible_connection: local"
            )


@each_host
def only_in_a_cluster(host: Host) -> Iterator[Finding]:
    """What only a cluster reads is not given without one."""
    if host.deployment.members(GROUP):
        return
    for variable, value in host.items(*ONLY_THERE):
        if value != host.deployment.contract.defaults[variable]:
            yield host.refuse(variable, f"only a cluster reads it, and group {GROUP} is empty: leave it out", None)


@each_host
def only_on_hosts(host: Host) -> Iterator[Finding]:
    """What only hosts read is not given in a cluster."""
    for variable, value in host.items(*ONLY_ON_HOSTS) if here(host) else ():
        if value != host.deployment.contract.defaults.get(variable):
            yield host.refuse(variable, f"only hosts read it, and Airflow is in a cluster: {ONLY_ON_HOSTS[variable]}")


@each_host
def charts_own_options(host: Host) -> Iterator[Finding]:
    """What the chart computes, or has no place for, is not said by an option of Airflow's."""
    for section, options in CHARTS_OWN.items() if here(host) else ():
        for option in options:
            if host.option(section, option) is not None:
                path = f"airflow_config.{section}.{option}"
                yield host.refuse(path, "is the chart's to set, or has no place in its pods: leave it out", None)


@each_host
def cluster_executor(host: Host) -> Iterator[Finding]:
    """In a cluster tasks have pods, or workers."""
    if here(host) and host["airflow_executor"] == "LocalExecutor":
        yield host.refuse("airflow_executor", "is for one host: in a cluster, use KubernetesExecutor or CeleryExecutor")


@each_host
def cluster_namespace(host: Host) -> Iterator[Finding]:
    """The namespace is one for Airflow."""
    name = host["airflow_namespace"] or (host["airflow_name"] if here(host) else "")
    if name and not re.fullmatch(NAME, name):
        yield host.refuse("airflow_namespace", "use 1 to 63 lower-case letters, digits and dashes, no dash at an end")
    elif name == "default" or name.startswith("kube-"):
        yield host.refuse("airflow_namespace", "is Kubernetes' own: give Airflow one of its own", name)


@each_host
def secret_references(host: Host) -> Iterator[Finding]:
    """`airflow_secret_references` say where a secret is, and nobody gives it besides."""
    yield from _unknown(host, "airflow_secret_references", REFERRED)
    for name, place in host["airflow_secret_references"].items():
        path = f"airflow_secret_references.{name}"
        if not isinstance(place, Mapping) or place.keys() != {"name", "key"}:
            yield host.refuse(path, "must be a dictionary with name and key", None)
        elif not re.fullmatch(SECRET, str(place["name"])) or not re.fullmatch(r"[\w.-]+", str(place["key"])):
            yield host.refuse(path, "is no name of a Secret, or no key in one", None)
        elif name in REFERRED and host[f"airflow_{name}"]:
            yield host.refuse(f"airflow_{name}", f"is given, and {path} gives it, too: keep one", None)


@each_host
def task_pods_namespace(host: Host) -> Iterator[Finding]:
    """Tasks launch pods in another namespace than Airflow's, where they could exec into the scheduler."""
    name = host["airflow_task_pods_namespace"]
    if name and (not re.fullmatch(NAME, name) or name == "default" or name.startswith("kube-")):
        yield host.refuse("airflow_task_pods_namespace", "must be a namespace, and not Kubernetes' own")
    elif name and name == (host["airflow_namespace"] or host["airflow_name"]):
        problem = "is Airflow's own, where a task could then read every secret: give tasks another one"
        yield host.refuse("airflow_task_pods_namespace", problem)


@each_host
def chart(host: Host) -> Iterator[Finding]:
    """The chart has a place, a version and a digest."""
    if not here(host):
        return
    source = host["airflow_chart_source"]
    if not re.match(r"https?://[\w.-]|oci://[\w.-]|/", source):
        yield host.refuse("airflow_chart_source", "must begin with https://, oci:// or be an absolute path")
    if not re.fullmatch(r"\d+\.\d+\.\d+([-+][\w.-]+)?", host["airflow_chart_version"]):
        yield host.refuse("airflow_chart_version", "must be a version of three numbers, as in 1.22.0")
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", host["airflow_chart_digest"]):
        yield host.refuse("airflow_chart_digest", "must be sha256: and 64 hexadecimal digits, as sha256sum prints them")


def asks_registry(host: Host) -> bool:
    """Whether the controller asks the image's registry: to build it, or to bring it to the nodes."""
    loaded = host["airflow_image"] and host["airflow_kind_cluster"] and host["airflow_image_load"]
    return bool(host["airflow_image_repository"] or loaded)


@each_host
def cluster_ca(host: Host) -> Iterator[Finding]:
    """Files of a host are not in a pod."""
    read = {"airflow_ca_bundle"} if asks_registry(host) else set()
    for variable in ("airflow_database_ca_path", "airflow_ca_bundle"):
        if here(host) and host[variable] and variable not in read:
            yield host.refuse(variable, "is not brought into pods yet: use an image that trusts it")


@each_host
def replicas(host: Host) -> Iterator[Finding]:
    """`airflow_replicas` are numbers of components."""
    yield from _unknown(host, "airflow_replicas", COMPONENTS)
    for component, number in host["airflow_replicas"].items():
        least = 0 if component == "triggerer" else 1
        counts = isinstance(number, int) and not isinstance(number, bool)
        if component in COMPONENTS and not (counts and least <= number <= 100):
            yield host.refuse(f"airflow_replicas.{component}", f"must be a number from {least} to 100", number)


@each_host
def worker_sets(host: Host) -> Iterator[Finding]:
    """Sets of workers have names and queues, and one consumes the queue of tasks that name none."""
    sets = host["airflow_worker_sets"]
    if sets and host["airflow_executor"] != "CeleryExecutor":
        yield host.refuse("airflow_worker_sets", "only CeleryExecutor has workers: leave them out, or use it", None)
    names = [one["name"] for one in sets]
    for index, one in enumerate(sets):
        path = f"airflow_worker_sets[{index}]"
        if not re.fullmatch(NAME, one["name"]) or len(one["name"]) > 20:
            yield host.refuse(f"{path}.name", "use 1 to 20 lower-case letters, digits and dashes", one["name"])
        if names.index(one["name"]) != index:
            yield host.refuse(f"{path}.name", "another set has this name", one["name"])
        if not 0 <= int(one.get("replicas", 1)) <= 100:
            yield host.refuse(f"{path}.replicas", "must be from 0 to 100", one["replicas"])
        if one.get("queues") == []:
            yield host.refuse(f"{path}.queues", "is empty: a worker without a queue gets no task", "[]")
        for queue in one.get("queues", ["default"]):
            if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", queue):
                yield host.refuse(f"{path}.queues", "use letters, digits, dots, dashes and underscores", queue)
    wanted = host.option("operators", "default_queue", "default")
    if sets and not any(wanted in one.get("queues", ["default"]) for one in sets):
        problem = f"no set consumes queue {wanted}, where tasks go that name none: add it to one"
        yield host.refuse("airflow_worker_sets", problem, None)


def _resources(value: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield "", "must be a dictionary with requests and limits"
        return
    for kind, amounts in value.items():
        if kind not in ("requests", "limits") or not isinstance(amounts, Mapping):
            yield f".{kind}", "must be requests or limits, each a dictionary"
            continue
        for name, quantity in amounts.items():
            if not re.fullmatch(RESOURCE, str(name)):
                yield f".{kind}.{name}", "is no resource: cpu, memory, or one with its owner's name before a slash"
            elif not re.fullmatch(QUANTITY, str(quantity)):
                yield f".{kind}.{name}", "must be a quantity of Kubernetes, as in 500m or 2Gi"


@each_host
def container_resources(host: Host) -> Iterator[Finding]:
    """`airflow_container_resources` are as Kubernetes takes them."""
    yield from _unknown(host, "airflow_container_resources", CONTAINERS)
    for name, value in host["airflow_container_resources"].items():
        told = list(_resources(value))
        if not told and name in CONTAINERS:
            whole = resources(host, name)
            told = [
                (f".limits.{one}", f"is less than what it requests, {whole['requests'][one]}: raise it, or lower that")
                for one, most in whole.get("limits", {}).items()
                if amount(whole.get("requests", {}).get(one, "0")) > amount(most)
            ]
        for path, problem in told:
            yield host.refuse(f"airflow_container_resources.{name}{path}", problem, None)


@each_host
def node_port(host: Host) -> Iterator[Finding]:
    """`airflow_node_port` is one that Kubernetes gives."""
    if host["airflow_node_port"] and not 30000 <= host["airflow_node_port"] <= 32767:
        yield host.refuse("airflow_node_port", "must be from 30000 to 32767, or 0 for none")


@each_host
def volume_sizes(host: Host) -> Iterator[Finding]:
    """`airflow_volume_sizes` are quantities."""
    yield from _unknown(host, "airflow_volume_sizes", VOLUMES)
    for volume, size in host["airflow_volume_sizes"].items():
        if volume in VOLUMES and not re.fullmatch(r"[1-9]\d*[MGT]i?", str(size)):
            yield host.refuse(f"airflow_volume_sizes.{volume}", "must be a size, as in 10Gi", size)
