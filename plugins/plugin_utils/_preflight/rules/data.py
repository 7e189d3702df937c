# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. Metadata, results and messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from ..deployment import Finding, Host
from ..registry import each_host
from .hosts import is_host, is_loopback

BROKERS = ("redis", "rediss", "sentinel", "amqp", "amqps")
POSTGRESQL_OWNED = {"port": "airflow_database_port", "listen_addresses": "airflow_address", "data_directory": ""}


@each_host
def no_database(host: Host) -> Iterator[Finding]:
    """There is one PostgreSQL: a host of group `airflow_postgresql` or an existing server."""
    ours, external = host.deployment.members("airflow_postgresql"), host["airflow_database_host"]
    if not ours and not external:
        yield host.refuse(
            "airflow_database_host", "no database: name a server or add a host to group airflow_postgresql"
        )
    if ours and external:
        yield host.refuse(
            "airflow_database_host",
            f"names an existing server, and group airflow_postgresql has {', '.join(ours)}: empty one of them",
        )
    if len(ours) > 1:
        yield host.refuse(
            "airflow_database_host", f"group airflow_postgresql has {', '.join(ours)}: replicas are not built, keep one"
        )


@each_host
def external_password(host: Host) -> Iterator[Finding]:
    """An existing server comes with its passwords."""
    needed = ["airflow_database_password"]
    if host["airflow_executor"] == "CeleryExecutor":
        needed.append("airflow_results_database_password")
    for variable in needed:
        if host["airflow_database_host"] and not host[variable]:
            yield host.refuse(variable, "must be given, because airflow_database_host names an existing server")


@each_host
def database_address(host: Host) -> Iterator[Finding]:
    """`airflow_database_host` is a bare name or address that every host can use."""
    value = host["airflow_database_host"]
    if value and not is_host(value):
        yield host.refuse("airflow_database_host", "give a name or an address only; the port is airflow_database_port")
    elif is_loopback(value) and len(host.deployment.targets) > 1:
        yield host.refuse("airflow_database_host", "each of several hosts would look on itself: give its address")


@each_host
def database_tls(host: Host) -> Iterator[Finding]:
    """`verify-ca` and `verify-full` have an authority to verify with, and a password does not travel in clear."""
    mode, ca = host["airflow_database_sslmode"], host["airflow_database_ca_path"]
    external = host["airflow_database_host"] and not is_loopback(host["airflow_database_host"])
    if mode.startswith("verify-") and not ca:
        yield host.refuse("airflow_database_sslmode", "needs airflow_database_ca_path")
    if external and mode == "disable":
        yield host.warn("airflow_database_sslmode", "the password and all data travel in clear; use verify-full")


@each_host
def database_names(host: Host) -> Iterator[Finding]:
    """Databases and roles have names of their own; results never share the metadata's."""
    ours = host.deployment.members("airflow_postgresql")
    for what in ("name", "user"):
        metadata, results = f"airflow_database_{what}", f"airflow_results_database_{what}"
        if host[metadata] == host[results]:
            yield host.refuse(results, f"must not be {metadata}: a worker would reach the metadata")
        for variable in (metadata, results):
            # An existing server may have names that we wouldn't give.
            if ours and not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", host[variable]):
                yield host.refuse(variable, "use up to 63 lower-case letters, digits and underscores")
            elif not host[variable] or re.search(r"[\x00-\x1f\x7f]", host[variable]):
                yield host.refuse(variable, "must be given, without control characters")
            elif ours and host[variable] in ("postgres", "template0", "template1"):
                yield host.refuse(variable, "is PostgreSQL's own; choose another")


@each_host
def broker_url(host: Host) -> Iterator[Finding]:
    """`airflow_broker_url` is a URL that Celery and every host can use."""
    if not host["airflow_broker_url"]:
        return
    try:
        url = urlsplit(host["airflow_broker_url"])
        name, _port = url.hostname, url.port
    except ValueError:
        url, name = None, None
    if url is None or url.scheme not in BROKERS or not name:
        yield host.refuse("airflow_broker_url", f"is no URL of a broker; it begins with {':// or '.join(BROKERS)}://")
        return
    if is_loopback(name) and len(host.deployment.targets) > 1:
        yield host.refuse("airflow_broker_url", "each of several hosts would look on itself: give its address")
    if not url.password:
        yield host.warn("airflow_broker_url", "has no password, and the messages in a broker hold tokens; give it one")


@each_host
def postgresql_config(host: Host) -> Iterator[Finding]:
    """`airflow_postgresql_config` holds plain settings that the collection does not set itself."""
    for option, value in host["airflow_postgresql_config"].items():
        path = f"airflow_postgresql_config.{option}"
        if not isinstance(option, str) or not re.fullmatch(r"[a-z_][a-z0-9_.]*", option):
            yield host.refuse(path, "is no name of a PostgreSQL setting", None)
        elif option in POSTGRESQL_OWNED:
            use = POSTGRESQL_OWNED[option]
            yield host.refuse(path, f"is set by the collection; {'use ' + use if use else 'leave it out'}", value)
        elif not isinstance(value, (str, int, float, bool)):
            yield host.refuse(path, "must be a string, a number or a boolean", None)
