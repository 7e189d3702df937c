# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many connections a deployment needs, and what its pooler and its PostgreSQL are told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.windward.airflow.plugins.filter.database_connections import database_connections
from ansible_collections.windward.airflow.plugins.module_utils._database_connections import Host, needs, plan

ROOT = Path(__file__).parents[2]
COMPONENTS: dict[str, Any] = yaml.safe_load((ROOT / "roles/airflow/vars/main/components.yml").read_text())[
    "__airflow_components"
]
CONTROL = ("api-server", "scheduler", "dag-processor", "triggerer")
# api-server: two pools of 10 + 30; each of the others: one of 5 + 10.
SERVER, CLIENTS = 20 + 3 * 5, 80 + 3 * 15


def host(name: str = "a", components: Sequence[str] = CONTROL, concurrency: int = 16, **database: Any) -> Host:
    return Host(name, list(components), {"database": database}, concurrency)


def planned(
    *hosts: Host, executor: str = "LocalExecutor", pooled: bool = True, pool_size: Any = None
) -> dict[str, Any]:
    return plan(needs(hosts, COMPONENTS, executor), pooled, pool_size)


def test_one_host() -> None:
    found = planned(host())
    assert found["pools"] == {"database": SERVER}
    assert (found["clients"], found["wanted"], found["granted"]) == (CLIENTS + 20, SERVER + 20, 200)
    assert found["lines"][:2] == [
        "api-server on a: 20 of the pool of the metadata, 80 clients at most",
        "scheduler on a: 5 of the pool of the metadata, 15 clients at most",
    ]


def test_workers_use_the_results_and_nothing_else() -> None:
    found = planned(host(), host("w", ["worker"]), host("v", ["worker"], 3), executor="CeleryExecutor")
    # 17 processes and 4, by four; the scheduler's 15 clients, by four.
    assert found["pools"] == {"database": SERVER, "results_database": 5 + 1 + 4}
    assert found["clients"] == CLIENTS + 17 + 4 + 15 + 20
    assert planned(host(), host("w", ["worker"]))["pools"] == {"database": SERVER}


@pytest.mark.parametrize(
    ("database", "server", "clients"),
    [
        ({"sql_alchemy_pool_size": 20}, 5 * 20, 2 * (20 + 30) + 3 * (20 + 10)),
        ({"sql_alchemy_pool_size": "20", "sql_alchemy_max_overflow": "5"}, 5 * 20, 5 * 25),
        ({"sql_alchemy_pool_size": 0, "sql_alchemy_max_overflow": -1}, SERVER, CLIENTS),
    ],
    ids=["pool", "as text", "no limit"],
)
def test_what_the_user_says_of_airflows_pools_counts(database: dict[str, Any], server: int, clients: int) -> None:
    found = planned(host(**database))
    assert (found["pools"]["database"], found["clients"]) == (server, clients + 20)


def test_each_process_of_the_api_server_has_its_pools() -> None:
    found = planned(Host("a", ["api-server"], {"api": {"workers": 3}}, 16))
    assert (found["pools"]["database"], found["clients"]) == (3 * 20, 3 * 80 + 20)


def test_postgresql_grants_what_reaches_it() -> None:
    hosts = [host(name) for name in "abc"]
    assert planned(*hosts)["granted"] == 200
    assert planned(*hosts, pooled=False)["granted"] == 400  # 3 * 125 + 20
    assert planned(*hosts, *(host(f"w{n}", ["worker"]) for n in range(20)), executor="CeleryExecutor")["granted"] == 300


def test_a_pool_of_the_users_is_that_of_each_database() -> None:
    found = planned(host(), host("w", ["worker"]), executor="CeleryExecutor", pool_size=150)
    assert found["pools"] == {"database": 150, "results_database": 150}
    assert found["needed"] == {"database": SERVER, "results_database": 9}
    assert (found["wanted"], found["granted"]) == (320, 400)


def test_the_filter_reads_the_inventory() -> None:
    groups = {
        "airflow": ["a", "w", "db"], "airflow_worker": ["w"], "airflow_pgbouncer": ["db"], "airflow_postgresql": ["db"],
        **{f"airflow_{name.replace('-', '_')}": ["a"] for name in CONTROL},
    }
    hostvars = {"a": {}, "w": {"airflow_worker_concurrency": "7"}, "db": {}}
    options: dict[str, Any] = {"executor": "CeleryExecutor", "config": {}, "concurrency": 16}
    found = database_connections(COMPONENTS, groups, hostvars, **options)
    assert found["pools"] == {"database": SERVER, "results_database": 2 + 4}
    hostvars["db"] = {"airflow_pgbouncer_config": {"default_pool_size": 99}}
    hostvars["a"] = {"airflow_config": {"database": {"sql_alchemy_pool_size": 6}}}
    found = database_connections(COMPONENTS, groups, hostvars, **options)
    assert found["pools"] == {"database": 99, "results_database": 99}
    assert found["needed"] == {"database": 5 * 6, "results_database": 2 + 4}
    direct = database_connections(COMPONENTS, {**groups, "airflow_pgbouncer": []}, hostvars, **options)
    assert direct["wanted"] == direct["clients"]
