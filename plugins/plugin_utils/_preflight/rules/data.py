# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. Metadata and results: PostgreSQL, and the pooler before it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ....module_utils import _database_connections
from .. import services
from ..deployment import Deployment, Finding, Host
from ..registry import each_host, whole
from ..types import near
from .hosts import is_address, is_host, is_loopback, reached_at

POOLER_PORT = 6432
POSTGRESQL_OWN = ("postgres", "template0", "template1", "public", "none", "all", "replication", "sameuser", "samerole")
POSTGRESQL_OWNED = {"port": "airflow_database_port", "listen_addresses": "airflow_address", "data_directory": ""}
PGBOUNCER_OWNED = {
    "listen_port": "airflow_pgbouncer_port",
    "listen_addr": "airflow_address",
    "server_tls_sslmode": "airflow_database_sslmode",
    "server_tls_ca_file": "airflow_database_ca_path",
    # Airflow's DSNs and the pools' sizes are made for transactions.
    **dict.fromkeys(("pool_mode", "unix_socket_dir", "logfile", "pidfile", "user", "conffile"), ""),
    **dict.fromkeys(("auth_type", "auth_file", "auth_hba_file", "auth_query", "auth_user", "stats_users"), ""),
}


@each_host
def no_database(host: Host) -> Iterator[Finding]:
    """There is one PostgreSQL: a host of group `airflow_postgresql` or an existing server."""
    ours, external = host.deployment.members("airflow_postgresql"), host["airflow_database_host"]
    if not ours and not external and not host.deployment.members("airflow_cluster"):
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
        referred = variable.removeprefix("airflow_") in host["airflow_secret_references"]
        if host["airflow_database_host"] and not host[variable] and not referred:
            yield host.refuse(variable, "must be given, because airflow_database_host names an existing server")


@each_host
def database_address(host: Host) -> Iterator[Finding]:
    """`airflow_database_host` is a bare name or address that every host can use."""
    value = host["airflow_database_host"]
    if value and not is_host(value):
        yield host.refuse("airflow_database_host", "give a name or an address only; the port is airflow_database_port")
    elif is_loopback(value) and len(host.deployment.targets) > 1:
        yield host.refuse("airflow_database_host", "each of several hosts would look on itself: give its address")
    elif is_loopback(value) and host.deployment.members("airflow_cluster"):
        yield host.refuse("airflow_database_host", "each pod would look in itself: give an address that pods reach")
    elif value and host["airflow_database_port"] == POOLER_PORT:
        yield host.warn(
            "airflow_database_port",
            "is PgBouncer's usual port: name PostgreSQL itself, since migrations take locks of a session, and add a "
            "host to group airflow_pgbouncer",
        )


@each_host
def database_tls(host: Host) -> Iterator[Finding]:
    """`verify-ca` and `verify-full` have an authority to verify with, and a password does not travel in clear."""
    mode, ca = host["airflow_database_sslmode"], host["airflow_database_ca_path"]
    external = host["airflow_database_host"] and not is_loopback(host["airflow_database_host"])
    if host.deployment.members("airflow_cluster"):  # where an image has the authority
        if not host["airflow_database_host"] and mode not in ("disable", "allow", "prefer"):
            problem = "PostgreSQL of ours in a cluster has no certificate: leave it out, or name a server that has"
            yield host.refuse("airflow_database_sslmode", problem)
    elif mode.startswith("verify-") and not ca:
        yield host.refuse("airflow_database_sslmode", "needs airflow_database_ca_path")
    if external and mode == "disable":
        yield host.warn("airflow_database_sslmode", "the password and all data travel in clear; use verify-full")


@each_host
def database_names(host: Host) -> Iterator[Finding]:
    """Databases and roles have names of their own; results never share the metadata's."""
    members = host.deployment.members
    ours = members("airflow_postgresql") or (members("airflow_cluster") and not host["airflow_database_host"])
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
            elif ours and (host[variable] in POSTGRESQL_OWN or host[variable].startswith("pg_")):
                yield host.refuse(variable, "is PostgreSQL's own; choose another")


def settings(
    host: Host,
    variable: str,
    product: str,
    owned: dict[str, str],
    *,
    known: dict[str, str] | None = None,
    refused: dict[str, str] | None = None,
    flags: tuple[str, str] = ("no", "yes"),
) -> Iterator[Finding]:
    """What of a dictionary of another product's settings can't be one, or is set by the collection.

    `known` are its settings with the form of their values, `flags` how it writes a boolean.
    """
    for option, value in host[variable].items():
        path = f"{variable}.{option}"
        if not isinstance(option, str) or not re.fullmatch(r"[a-z_][a-z0-9_.-]*", option):
            yield host.refuse(path, f"is no name of a {product} setting", None)
        elif option in owned:
            use = owned[option]
            shown = None if use and host.deployment.contract.is_secret(use) else value
            yield host.refuse(path, f"is set by the collection; {'use ' + use if use else 'leave it out'}", shown)
        elif option in (refused or {}):
            yield host.refuse(path, (refused or {})[option], None)
        elif known and option not in known and path not in host["airflow_ignore_variables"]:
            meant = near(option, known)
            fix = f"did you mean {meant}? " if meant else ""
            own = f"if your {product} has it, list {path} in airflow_ignore_variables"
            yield host.refuse(path, f"is no setting that {product} is known to take here: {fix}({own})", None)
        elif not isinstance(value, (str, int, float, bool)):
            yield host.refuse(path, "must be a string, a number or a boolean", None)
        elif re.search(r"[\x00-\x1f\x7f]", str(value)):
            yield host.refuse(path, "has a line end or another control character in it", None)
        elif known and option in known:
            form, wanted = services.FORMS[known[option]]
            if not re.fullmatch(form, flags[value] if isinstance(value, bool) else str(value)):
                yield host.refuse(path, wanted, value)


@each_host
def postgresql_config(host: Host) -> Iterator[Finding]:
    """`airflow_postgresql_config` holds plain settings that the collection does not set itself."""
    yield from settings(host, "airflow_postgresql_config", "PostgreSQL", POSTGRESQL_OWNED)


@each_host
def pgbouncer_config(host: Host) -> Iterator[Finding]:
    """`airflow_pgbouncer_config` holds settings that PgBouncer has, and that neither cut Airflow off nor open it."""
    yield from settings(
        host, "airflow_pgbouncer_config", "PgBouncer", PGBOUNCER_OWNED,
        known=services.PGBOUNCER, refused=services.PGBOUNCER_REFUSED, flags=("0", "1"),
    )


@each_host
def pooled_names(host: Host) -> Iterator[Finding]:
    """PgBouncer can name the databases: its file knows no quotes, and has a database of its own."""
    for variable in ("airflow_database_name", "airflow_results_database_name"):
        plain = re.fullmatch(r"[A-Za-z0-9_.-]+", host[variable]) and host[variable] != "pgbouncer"
        if host.deployment.members("airflow_pgbouncer") and not plain:
            yield host.refuse(variable, "PgBouncer can't have it: use letters, digits and _ . - only, not pgbouncer")


@each_host
def pooled_statements(host: Host) -> Iterator[Finding]:
    """Behind PgBouncer asyncpg's cache of statements stays off."""
    option = "sql_alchemy_connect_args_async"
    if host.deployment.members("airflow_pgbouncer") and host.option("database", option) is not None:
        problem = "is set by the collection behind PgBouncer: leave it out, or empty group airflow_pgbouncer"
        yield host.refuse(f"airflow_config.database.{option}", problem, None)


@each_host
def pooled_addresses(host: Host) -> Iterator[Finding]:
    """PgBouncer knows the hosts that it lets in by their addresses."""
    secrets = {secret for name in host.components() for secret in host.deployment.contract.components[name]["secrets"]}
    if (host.deployment.members("airflow_pgbouncer") and secrets & {"database", "results_database"}
            and not is_address(reached_at(host))):
        yield host.warn(
            "airflow_address",
            "is a name, and PgBouncer's rules take addresses only: whoever knows a password comes in; give an address",
            reached_at(host),
        )


@whole
def database_pools(deployment: Deployment) -> Iterator[Finding]:
    """PgBouncer's pools are what the components need, and PostgreSQL grants that many connections."""
    targets = deployment.targets
    if not targets:
        return
    pooler, server = (
        next((host for host in targets if host.name in deployment.members(group)), None)
        for group in ("airflow_pgbouncer", "airflow_postgresql")
    )
    limits = pooler["airflow_pgbouncer_config"] if pooler else {}
    needs = _database_connections.needs(
        [_database_connections.Host(host.name, host.components(), host["airflow_config"],
                                    host["airflow_worker_concurrency"]) for host in targets],
        deployment.contract.components, targets[0]["airflow_executor"])
    plan = _database_connections.plan(needs, bool(pooler), limits.get("default_pool_size"))
    largest = max(plan["needed"].values(), default=0)
    wanted = {
        "default_pool_size": largest,
        # PgBouncer's own limits, none by default: of a database, and of a user, each of which has one.
        "max_db_connections": largest,
        "max_user_connections": largest,
        "max_client_conn": plan["clients"],
    }
    for option, need in wanted.items():
        # In PgBouncer's file 0 is no limit of connections, but a pool of none.
        limit = int(limits[option]) if str(limits.get(option)).isdigit() else need
        if pooler and limit < need and not (limit == 0 and option.endswith("_connections")):
            problem = (f"the components need {need}: with fewer they wait for each other; leave it out, or lower "
                       "airflow_config.database.sql_alchemy_pool_size")
            yield pooler.refuse(f"airflow_pgbouncer_config.{option}", problem, limits[option])
    granted = server["airflow_postgresql_config"].get("max_connections") if server else None
    if server and str(granted).isdigit() and int(str(granted)) < plan["wanted"]:
        what, kept = "PgBouncer's pools" if pooler else "the components", _database_connections.RESERVED
        problem = (f"{what} may take {plan['wanted'] - kept}, and {kept} are kept for other work: "
                   f"give {plan['wanted']}, or leave it out")
        yield server.refuse("airflow_postgresql_config.max_connections", problem, granted, warning=not pooler)
