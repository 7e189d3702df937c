# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. Messages: the broker that is named or set up, and what Celery may not be told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import SplitResult, parse_qs, urlsplit

from ..._ports import is_on
from .. import services
from ..deployment import Finding, Host
from ..registry import each_host, when_found
from .data import settings
from .hosts import is_loopback

REDIS = ("redis", "rediss")
RABBITMQ = ("amqp", "amqps")
TRUST = ("CERT_REQUIRED", "CERT_OPTIONAL", "CERT_NONE", "required", "optional", "none")  # kombu's words
BROKERS = (*REDIS, "sentinel", *RABBITMQ)
REDIS_OWNED = {
    "port": "airflow_redis_port",
    "bind": "airflow_address",
    **dict.fromkeys(("requirepass", "user", "aclfile"), "airflow_broker_password"),
    **dict.fromkeys(("dir", "daemonize", "supervised", "pidfile", "logfile", "include", "rename-command"), ""),
    # It has one server, on one port that the table of ports knows.
    **dict.fromkeys(("protected-mode", "tls-port", "unixsocket", "replicaof", "slaveof", "cluster-enabled"), ""),
}
KEEPS = "noeviction"


@each_host
def broker_url(host: Host) -> Iterator[Finding]:
    """`airflow_broker_url` is a URL that Celery and every host can use, of a broker that asks who comes."""
    if not host["airflow_broker_url"]:
        return
    urls = named(host)
    if not urls or any(url.scheme not in BROKERS or not url.hostname for url in urls):
        yield host.refuse("airflow_broker_url", f"is no URL of a broker; it begins with {':// or '.join(BROKERS)}://")
        return
    first = urls[0]
    if any(url.scheme != first.scheme for url in urls):
        yield host.refuse("airflow_broker_url", "has several URLs, which must begin alike")
    if any(is_loopback(url.hostname or "") for url in urls) and len(host.deployment.targets) > 1:
        yield host.refuse("airflow_broker_url", "each of several hosts would look on itself: give its address")
    elif host.deployment.members("airflow_cluster") and any(is_loopback(url.hostname or "") for url in urls):
        yield host.refuse("airflow_broker_url", "each pod would look in itself: give an address that pods reach")
    if not all(url.password for url in urls):
        # With TLS the broker may know its clients by their certificates. Of several, kombu uses the password of the one
        # that it is at.
        known = is_loopback(first.hostname or "") or first.scheme in ("rediss", "amqps")
        problem = "has no password, and the messages in a broker hold tokens; give it one"
        each = ", in each of the URLs" if urls[1:] else ""
        yield host.refuse("airflow_broker_url", f"{problem}{each}", warning=known)
    if first.scheme not in REDIS or urls[1:]:
        several = "several brokers" if urls[1:] else "a broker"
        yield host.warn("airflow_broker_url", f"{several} by {first.scheme}:// should work but was not run here", None)
    if first.scheme not in RABBITMQ and not all(re.fullmatch(r"/?[0-9]*", url.path) for url in urls):
        yield host.refuse("airflow_broker_url", "Redis' databases are numbers: end it with /0, or another number")
    asked = {value for url in urls for value in parse_qs(url.query).get("ssl_cert_reqs", ())}
    if asked - {*TRUST}:
        yield host.refuse("airflow_broker_url", f"its ssl_cert_reqs must be one of {', '.join(TRUST)}, or left out")
    if asked & {"CERT_NONE", "none"}:
        problem = "any certificate would do, so whoever stands between reads the password and the tokens; leave out"
        yield host.warn("airflow_broker_url", f"{problem} ssl_cert_reqs, ssl_ca_certs names an authority of yours")
    if first.scheme == "sentinel" and not host.option("celery_broker_transport_options", "master_name"):
        path = "airflow_config.celery_broker_transport_options.master_name"
        yield host.refuse(path, "must be given: Sentinel asks which Redis", None)


@each_host
def two_brokers(host: Host) -> Iterator[Finding]:
    """There is one broker, and somebody sends messages."""
    ours, celery = host.deployment.members("airflow_redis"), host["airflow_executor"] == "CeleryExecutor"
    if ours and host["airflow_broker_url"]:
        yield host.refuse(
            "airflow_broker_url",
            f"names an existing broker, and group airflow_redis has {', '.join(ours)}: empty one of them",
        )
    if ours and not celery:
        yield host.warn("airflow_executor", "it sends no messages, so nobody needs group airflow_redis: empty it")
    if not celery:
        for variable, value in host.items("airflow_broker_url", "airflow_broker_password"):
            if value:
                yield host.warn(variable, "nobody reads it: only CeleryExecutor has a broker")


@each_host
def redis_config(host: Host) -> Iterator[Finding]:
    """`airflow_redis_config` holds settings that Redis has, that leave its fence up and throw no message away."""
    variable = "airflow_redis_config"
    yield from settings(
        host, variable, "Redis", REDIS_OWNED, known=services.REDIS, refused=services.REDIS_REFUSED
    )
    policy = host[variable].get("maxmemory-policy", KEEPS)
    if policy != KEEPS:
        yield host.refuse(
            f"{variable}.maxmemory-policy", f"a full Redis would throw queued tasks away: use {KEEPS}", policy
        )
    if str(host[variable].get("appendonly", "yes")).lower() in ("no", "false", "off"):
        yield host.warn(f"{variable}.appendonly", "what is queued is lost when Redis dies: leave it out", "no")


@each_host
def celery_options(host: Host) -> Iterator[Finding]:
    """Celery is told nothing by which it would hand a task out twice, or lose it, or can't be drained."""
    if host["airflow_executor"] != "CeleryExecutor":
        return
    section, longest = "celery_broker_transport_options", host["airflow_drain_timeout"]
    path, patience = f"airflow_config.{section}.visibility_timeout", host.option(section, "visibility_timeout", "")
    if patience != "" and not (str(patience).isdigit() and int(str(patience)) > longest):
        yield host.refuse(
            path, f"a task that runs longer is handed out again while it runs: give more than airflow_drain_timeout "
            f"({longest}), or leave it out", patience
        )
    path, prefix = f"airflow_config.{section}.global_keyprefix", host.option(section, "global_keyprefix")
    if prefix is not None and host.deployment.members("airflow_redis"):
        yield host.refuse(path, "Airflow's user on our Redis may use no other keys: leave it out", prefix)
    path, control = "airflow_config.celery.worker_enable_remote_control", "worker_enable_remote_control"
    if not is_on(host.option("celery", control, True)):
        yield host.refuse(path, "a worker that takes no commands can't be drained: leave it out", False)
    path, pool = "airflow_config.celery.pool", host.option("celery", "pool", "prefork")
    if pool == "solo":
        yield host.refuse(path, "while such a worker runs a task it takes no commands, so it can't be drained: "
                          "leave it out, airflow_worker_concurrency 1 is one task at a time, too", pool)
    if not is_on(host.option("celery", "task_acks_late", True)):
        yield host.warn(
            "airflow_config.celery.task_acks_late", "what a worker has taken is lost when it dies: leave it out", False
        )


@when_found
def broker_found(host: Host) -> Iterator[Finding]:
    """A Redis that was named can be reached, knows the password, lets nobody in without one, and evicts nothing."""
    said = host.found["broker"]
    if not said:
        return
    variable = "airflow_broker_url"
    if said["problem"]:
        yield host.refuse(variable, f"{said['problem']}: mend it, or the URL")
        return
    if said["open"]:
        problem = "it lets in whoever connects, and its messages hold tokens; give it a password (requirepass or ACLs)"
        yield host.refuse(variable, problem, warning=is_loopback(urlsplit(host[variable]).hostname or ""))
    policy = said["policy"]
    if not policy:
        yield host.warn(variable, f"it doesn't tell its maxmemory-policy; see to it that it is {KEEPS}")
    elif policy != KEEPS:
        # Celery's keys have no end, so what evicts only keys that have one spares them.
        problem = f"its maxmemory-policy is {policy}, and a full Redis would throw queued tasks away: set {KEEPS}"
        yield host.refuse(variable, problem, warning=policy.startswith("volatile-"))


def named(host: Host) -> list[SplitResult]:
    """The URLs in `airflow_broker_url`, which kombu takes apart at semicolons; nothing if one of them is none."""
    try:
        urls = [urlsplit(one) for one in host["airflow_broker_url"].split(";")]
        # Asking for the port refuses what is none.
        return urls if all(url.port is None or url.port for url in urls) else []
    except ValueError:
        return []


def looks_at_broker(host: Host) -> bool:
    """Whether this host is one that uses a Redis which was named: it is the one that must reach it."""
    components = host.deployment.contract.components
    urls = named(host) if host["airflow_executor"] == "CeleryExecutor" else []
    return len(urls) == 1 and urls[0].scheme in REDIS and bool(urls[0].hostname) and any(
        "broker" in components[name]["secrets"] for name in host.components()
    )
