# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. The release, its executor, and which components run where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from ..deployment import Deployment, Finding, Host
from ..registry import each_host, whole
from ..types import near
from .hosts import is_url

EXECUTORS = ("LocalExecutor", "CeleryExecutor", "KubernetesExecutor")
# Without a triggerer, deferred tasks (the canary has one) wait for ever.
REQUIRED = ("api-server", "scheduler", "dag-processor", "triggerer")
NOT_BUILT = {
    "airflow_flower": "Flower is not built yet in 0.1.0; empty the group",
}
# What makes hosts one deployment: it cannot differ between them. Secrets can't either (secrets.py).
SHARED = (
    "airflow_name",
    "airflow_version",
    "airflow_executor",
    "airflow_database_host",
    "airflow_database_port",
    "airflow_database_name",
    "airflow_database_user",
    "airflow_results_database_name",
    "airflow_results_database_user",
    "airflow_drain_timeout",
    "airflow_redis_port",
    "airflow_pgbouncer_port",
    "airflow_proxy_port",
    "airflow_proxy_certificate",
    "airflow_admin_username",
    "airflow_admin_email",
    "airflow_dags",
    "airflow_dags_release",
    "airflow_dags_paused",
    "airflow_dags_unpaused",
    "airflow_pools",
    "airflow_roles",
    "airflow_users",
)
# Options of Airflow by which one component finds or believes another.
SHARED_OPTIONS = (
    ("operators", "default_queue"),
    # A worker hands out again what another one has had for longer than its own figure.
    ("celery_broker_transport_options", "visibility_timeout"),
    ("api_auth", "jwt_issuer"),
    ("api_auth", "jwt_audience"),
    ("logging", "worker_log_server_port"),
    ("logging", "trigger_log_server_port"),
    ("logging", "remote_logging"),
    ("logging", "remote_base_log_folder"),
    ("logging", "remote_log_conn_id"),
)
# Settings of a service, and the group whose host reads them.
READERS = {
    "airflow_postgresql_config": "airflow_postgresql",
    "airflow_pgbouncer_config": "airflow_pgbouncer",
    "airflow_redis_config": "airflow_redis",
}


@each_host
def name(host: Host) -> Iterator[Finding]:
    """`airflow_name` fits wherever it is used: a title, a Helm release, a namespace."""
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", host["airflow_name"]):
        yield host.refuse("airflow_name", "use 1 to 40 lower-case letters, digits and dashes, a letter first")


@each_host
def version(host: Host) -> Iterator[Finding]:
    """`airflow_version` is a supported release."""
    releases = host.deployment.contract.releases
    if host["airflow_version"] not in releases:
        yield host.refuse("airflow_version", f"is not supported; choose {' or '.join(releases)}")


@each_host
def executor(host: Host) -> Iterator[Finding]:
    """`airflow_executor` is one that the collection knows."""
    value = host["airflow_executor"]
    if value not in EXECUTORS:
        meant = near(value, EXECUTORS) or near(f"{value}Executor", EXECUTORS)
        yield host.refuse("airflow_executor", f"did you mean {meant}?" if meant else f"choose {', '.join(EXECUTORS)}")


@each_host
def broker(host: Host) -> Iterator[Finding]:
    """CeleryExecutor has a broker."""
    here = host.deployment.members("airflow_redis") or host.deployment.members("airflow_cluster")
    if host["airflow_executor"] == "CeleryExecutor" and not host["airflow_broker_url"] and not here:
        yield host.refuse("airflow_executor", "no broker: add a host to group airflow_redis or give airflow_broker_url")


@each_host
def workers(host: Host) -> Iterator[Finding]:
    """CeleryExecutor has workers, and no other executor has."""
    here = host.deployment.members("airflow_worker")
    value = host["airflow_executor"]
    if value == "CeleryExecutor" and not here and not host.deployment.members("airflow_cluster"):
        yield host.refuse("airflow_executor", "no workers: add a host to group airflow_worker")
    if value in EXECUTORS and value != "CeleryExecutor" and here:
        yield host.refuse(
            "airflow_executor",
            f"it has no workers, but group airflow_worker has {', '.join(here)}: empty the group or use CeleryExecutor",
        )


@whole
def one_host(deployment: Deployment) -> Iterator[Finding]:
    """A service has one host; a second one would be another service."""
    for service in deployment.contract.services.values():
        here = deployment.members(service["group"])
        # PostgreSQL has a sentence of its own (data.py).
        if len(here) > 1 and service["group"] != "airflow_postgresql":
            yield deployment.group(service["group"], f"has {', '.join(here)}: replicas are not built, keep one")


@each_host
def queues(host: Host) -> Iterator[Finding]:
    """A worker has queues, each with a name that fits a command line and a DAG's id."""
    if not host.runs("worker"):
        return
    if not host["airflow_worker_queues"]:
        yield host.refuse("airflow_worker_queues", "is empty: a worker without a queue gets no task", "[]")
    for index, name in enumerate(host["airflow_worker_queues"]):
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name):
            path = f"airflow_worker_queues[{index}]"
            yield host.refuse(path, "use 1 to 100 letters, digits, dots, dashes and underscores", name)


@whole
def default_queue(deployment: Deployment) -> Iterator[Finding]:
    """A worker consumes the queue of tasks that name none."""
    workers = [host for host in deployment.targets if host.runs("worker")]
    consumed = {queue for host in workers for queue in host["airflow_worker_queues"]}
    for host in workers[:1]:
        wanted = host.option("operators", "default_queue", "default")
        if host["airflow_executor"] == "CeleryExecutor" and wanted not in consumed:
            yield host.refuse(
                "airflow_worker_queues",
                f"no worker consumes queue {wanted}, where tasks go that name none: add it to one, "
                "or choose another by airflow_config.operators.default_queue",
            )


@whole
def abandoned_queue(deployment: Deployment) -> Iterator[Finding]:
    """A worker that leaves is not the last one of a queue: its tasks would wait for ever."""
    consumed = {queue for host in deployment.targets if host.runs("worker") for queue in host["airflow_worker_queues"]}
    for name in deployment.members("airflow_removed"):
        host = deployment.hosts[name]
        left = [queue for queue in host["airflow_worker_queues"] if queue not in consumed]
        if left and consumed:
            yield host.refuse(
                "airflow_worker_queues",
                f"the host leaves, and nobody else consumes {', '.join(left)}: give it to another worker first, "
                "or take it out of this host's list",
                None,
            )


@each_host
def one_local_scheduler(host: Host) -> Iterator[Finding]:
    """LocalExecutor has one scheduler, because tasks run inside it and its logs are on its host."""
    here = host.deployment.members("airflow_scheduler")
    if host["airflow_executor"] == "LocalExecutor" and len(here) > 1:
        yield host.refuse(
            "airflow_executor",
            f"it has one scheduler, but group airflow_scheduler has {', '.join(here)}: keep one or use CeleryExecutor",
        )


@each_host
def kubernetes_executor(host: Host) -> Iterator[Finding]:
    """KubernetesExecutor has a cluster."""
    if host["airflow_executor"] == "KubernetesExecutor" and not host.deployment.members("airflow_cluster"):
        yield host.refuse("airflow_executor", "no cluster: it needs a host in group airflow_cluster")


@whole
def required_components(deployment: Deployment) -> Iterator[Finding]:
    """Every component that Airflow can't do without has a host."""
    if deployment.members("airflow_cluster"):
        return
    for component in REQUIRED:
        group = deployment.contract.components[component]["group"]
        if not deployment.members(group):
            yield deployment.group(group, f"is empty: Airflow can't run without a {component}; add a host")


@whole
def not_built(deployment: Deployment) -> Iterator[Finding]:
    """Groups of what is not built yet are empty."""
    for group, sentence in NOT_BUILT.items():
        if deployment.members(group):
            yield deployment.group(group, sentence)


@whole
def hybrid(deployment: Deployment) -> Iterator[Finding]:
    """Components run on hosts or in a cluster, not on both."""
    contract = deployment.contract
    groups = [one["group"] for one in (*contract.components.values(), *contract.services.values())]
    used = [group for group in groups if deployment.members(group)]
    if deployment.members("airflow_cluster") and used:
        yield deployment.group("airflow_cluster", f"a hybrid is not built yet: empty it, or empty {', '.join(used)}")


@whole
def stray_hosts(deployment: Deployment) -> Iterator[Finding]:
    """Every host of a component is in `airflow`, and every host of `airflow` has something to run."""
    inside = set(deployment.members("airflow"))
    used: set[str] = set()
    for group in deployment.contract.groups:
        if group in ("airflow", "airflow_removed"):
            continue
        used |= set(deployment.members(group))
        outside = sorted(set(deployment.members(group)) - inside)
        if outside:
            yield deployment.group(
                group, f"{', '.join(outside)} must be in group airflow too; make the group its child"
            )
    for host in sorted(inside - used):
        problem = f"{host} is in no group of a component, so nothing is deployed there, and what runs there goes on"
        yield deployment.group("airflow", f"{problem}: to end it, move the host to airflow_removed", warning=True)


@whole
def removed_hosts(deployment: Deployment) -> Iterator[Finding]:
    """A host is deployed to or removed."""
    both = sorted(set(deployment.members("airflow")) & set(deployment.members("airflow_removed")))
    if both:
        yield deployment.group("airflow_removed", f"{', '.join(both)} must leave group airflow to be removed")


@whole
def one_deployment(deployment: Deployment) -> Iterator[Finding]:
    """What makes hosts one deployment is the same on all of them."""
    for variable in SHARED:
        values = {str(host[variable]) for host in deployment.targets if variable not in host.unusable}
        if len(values) > 1:
            yield from (
                host.refuse(variable, "differs between hosts of one deployment: set it once, for group airflow")
                for host in deployment.targets
            )


@whole
def shared_options(deployment: Deployment) -> Iterator[Finding]:
    """Options by which components find each other are the same on all hosts."""
    hosts = [host for host in deployment.targets if host.components() and "airflow_config" not in host.unusable]
    for section, option in SHARED_OPTIONS:
        values = [host.option(section, option) for host in hosts]
        if len(set(map(str, values))) > 1:
            path = f"airflow_config.{section}.{option}"
            yield from (
                host.refuse(path, "differs between hosts of one deployment: set it once, for group airflow", value)
                for host, value in zip(hosts, values, strict=True)
            )


@each_host
def unread_settings(host: Host) -> Iterator[Finding]:
    """Settings of a service have a host that reads them."""
    for variable, group in READERS.items():
        if host[variable] and not host.deployment.members(group):
            yield host.warn(variable, f"nobody reads it: group {group} is empty")


@each_host
def execution_api_url(host: Host) -> Iterator[Finding]:
    """Where tasks ask is a URL, and one that leads from every worker to an api-server."""
    value = host.option("core", "execution_api_server_url")
    if value is None:
        return
    path, web = "airflow_config.core.execution_api_server_url", ("http", "https")
    if not is_url(str(value), web) or not urlsplit(value).path.rstrip("/").endswith("/execution"):
        yield host.refuse(path, "give the execution API's URL, such as https://airflow.example.org/execution/", value)
        return
    split, base = urlsplit(value), str(host.option("api", "base_url", ""))
    if split.hostname in ("localhost", "127.0.0.1", "::1") and host.runs("worker") and not host.runs("api-server"):
        yield host.refuse(path, "no api-server runs on this host: name one that it can reach", value)
    base = urlsplit(base).path.rstrip("/") if is_url(base, web) else ""
    if base and not split.path.startswith(f"{base}/"):
        # A proxy of the user's may put it there.
        yield host.warn(path, f"Airflow is below {base}, by api.base_url, and so is this API: {base}/execution/", value)


@whole
def unshared_api_servers(deployment: Deployment) -> Iterator[Finding]:
    """With several api-servers, tasks and browsers have one address for all of them."""
    group = deployment.contract.components["api-server"]["group"]
    here = deployment.members(group)
    given = any(host.option("core", "execution_api_server_url") for host in deployment.targets)
    if len(here) > 1 and not deployment.members("airflow_proxy") and not given:
        yield deployment.group(
            group,
            f"tasks ask {here[0]} alone, so another one does not help them: add a host to group airflow_proxy, or give "
            "airflow_config.core.execution_api_server_url and api.base_url of a load balancer",
            warning=True,
        )
