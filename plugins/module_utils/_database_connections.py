# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: it may change without notice.

"""How many connections to its databases a deployment needs.

Everything here is a pure function of its arguments; ``components`` are the data in ``roles/airflow/vars/main``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

# Airflow's own defaults, of each of a process's SQLAlchemy pools: connections that it keeps, and how many more it may
# open.
POOL = {"sql_alchemy_pool_size": 5, "sql_alchemy_max_overflow": 10}
LABELS = {"database": "metadata", "results_database": "results"}
# Of what PostgreSQL grants, for its superuser, the operator's work (migrations, `db clean`, dumps) and people.
RESERVED = 20
# What PostgreSQL grants at least, and in what steps more: each change is a restart of it.
GRANTED, STEP = 200, 100


class Host(NamedTuple):
    """What is read of a host: its components, its ``airflow_config`` and ``airflow_worker_concurrency``."""

    name: str
    components: list[str]
    config: Mapping[str, Any]
    concurrency: int


class Need(NamedTuple):
    """What one component of one host wants of a database: connections to the server, and at most as a client."""

    database: str
    host: str
    component: str
    server: int
    clients: int


def _number(value: Any, default: int) -> int:
    """A number of the user's; Airflow takes the place of what is none, and nobody can plan for "no limit" (-1, 0)."""
    return int(str(value)) if str(value).isdigit() and int(str(value)) > 0 else default


def _option(host: Host, component: Mapping[str, Any], section: str, name: str, default: int) -> int:
    """An option as the component reads it: the user's, else the component's own, else Airflow's default."""
    own = component["settings"].get(section, {}).get(name)
    given = host.config.get(section)
    return _number(given.get(name) if isinstance(given, dict) else None, _number(own, default))


def needs(hosts: Iterable[Host], components: Mapping[str, Any], executor: str) -> list[Need]:
    """Return what every component wants.

    A pool gets as many connections to the server as its clients keep open: Airflow holds a transaction while it works
    in Python, and opens a second one beside it, so with fewer they would wait for each other. What clients open beyond
    that, for a moment, they share. A worker's processes write a row when a task begins and ends, so four share one.
    """
    found = []
    for host in hosts:
        for name in host.components:
            component = components[name]
            kept = _option(host, component, "database", "sql_alchemy_pool_size", POOL["sql_alchemy_pool_size"])
            more = _option(host, component, "database", "sql_alchemy_max_overflow", POOL["sql_alchemy_max_overflow"])
            if "database" in component["secrets"]:
                pools = component["database_pools"]
                pools *= _option(host, component, "api", "workers", 1) if name == "api-server" else 1
                found.append(Need("database", host.name, name, pools * kept, pools * (kept + more)))
            if "results_database" in component["secrets"] and executor == "CeleryExecutor":
                clients = host.concurrency + 1 if name == "worker" else kept + more
                found.append(Need("results_database", host.name, name, -(-clients // 4), clients))
    return found


def plan(found: list[Need], pooled: bool, pool_size: Any = None) -> dict[str, Any]:
    """Return what follows: sizes of pools, limits, and ``lines`` that a person reads.

    ``pool_size`` is PgBouncer's ``default_pool_size``, if the user gives it: the size of each database's pool.
    """
    pools: dict[str, int] = {}
    for need in found:
        pools[need.database] = pools.get(need.database, 0) + need.server
    clients = sum(need.clients for need in found)
    used = {name: _number(pool_size, size) for name, size in pools.items()}
    wanted = RESERVED + (sum(used.values()) if pooled else clients)
    return {
        "needed": pools,
        "pools": used,
        "clients": clients + RESERVED,
        "wanted": wanted,
        "granted": max(GRANTED, -(-wanted // STEP) * STEP),
        "lines": [f"{need.component} on {need.host}: {need.server} of the pool of the "
                  f"{LABELS[need.database]}, {need.clients} clients at most" for need in found],
    }
