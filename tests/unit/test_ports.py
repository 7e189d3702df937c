# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which ports a host listens on, where, and for whom."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.filter.port_table import port_table
from preflight_case import BROKER, CELERY, ONE, TWO

EVERYWHERE, BOTH, LOCAL, LOCAL6 = ("0.0.0.0",), ("0.0.0.0", "::"), ("127.0.0.1",), ("127.0.0.1", "::1")
SSH = (22, "ssh", BOTH, ())


def table(
    groups: dict[str, list[str]], variables: dict[str, Any] | None = None, **hosts: dict[str, Any]
) -> dict[str, set[tuple[int, str, tuple[str, ...], tuple[str, ...]]]]:
    hostvars = {
        name: {"ansible_host": f"10.0.0.{number}", **(variables or {}), **hosts.get(name, {})}
        for number, name in enumerate(groups["airflow"], 10)
    }
    return {
        name: {(row["port"], row["what"], tuple(row["addresses"]), tuple(row["clients"])) for row in rows}
        for name, rows in port_table(groups, hostvars).items()
    }


API = (8080, "api-server", EVERYWHERE, ())
TASK_LOGS, TRIGGER_LOGS = (8793, "scheduler", BOTH, ("a",)), (8794, "triggerer", BOTH, ("a",))


def test_one_host_serves_task_logs_from_its_scheduler_and_its_database_to_itself() -> None:
    assert table(ONE) == {"a": {SSH, API, TASK_LOGS, TRIGGER_LOGS, (5432, "postgresql", LOCAL6, ())}}


def test_a_service_listens_on_its_own_address_only_when_another_host_asks_it() -> None:
    assert table(TWO)["b"] == {SSH, (5432, "postgresql", (*LOCAL6, "10.0.0.11"), ())}
    pooled = {**TWO, "airflow_pgbouncer": ["b"]}
    assert table(pooled)["b"] == {
        SSH, (5432, "postgresql", (*LOCAL6, "10.0.0.11"), ()), (6432, "pgbouncer", (*LOCAL, "10.0.0.11"), ()),
    }
    # The DAG processor elsewhere goes through the pooler, and what goes past it is on the database's host.
    apart = {**ONE, "airflow": ["a", "b"], "airflow_dag_processor": ["b"]}
    assert (5432, "postgresql", (*LOCAL6, "10.0.0.10"), ()) in table(apart)["a"]
    assert (5432, "postgresql", LOCAL6, ()) in table({**apart, "airflow_pgbouncer": ["a"]})["a"]


def test_log_servers_are_for_every_api_server_and_a_scheduler_with_workers_has_none() -> None:
    groups = {**CELERY, "airflow_redis": ["w"], "airflow_api_server": ["a", "w"]}
    found = table(groups, {"airflow_executor": "CeleryExecutor"})
    assert found == {
        "a": {SSH, API, (8794, "triggerer", BOTH, ("a", "w")), (5432, "postgresql", (*LOCAL6, "10.0.0.10"), ())},
        "w": {SSH, API, (8793, "worker", BOTH, ("a", "w")), (6379, "redis", (*LOCAL, "10.0.0.11"), ())},
    }


def test_results_are_asked_for_by_celery_only() -> None:
    celery = {**ONE, "airflow": ["a", "w"], "airflow_worker": ["w"]}
    assert (5432, "postgresql", (*LOCAL6, "10.0.0.10"), ()) in table(celery, BROKER)["a"]
    assert (5432, "postgresql", LOCAL6, ()) in table(celery)["a"]


def test_the_inventory_chooses_ports_and_addresses() -> None:
    config = {
        "api": {"port": 9090, "host": "127.0.0.1"},
        "logging": {"worker_log_server_port": "9793"},
        "scheduler": {"enable_health_check": "True", "scheduler_health_check_server_host": "127.0.0.1"},
    }
    groups = {**ONE, "airflow": ["a", "p"], "airflow_proxy": ["p"]}
    found = table(groups, {"airflow_config": config, "airflow_database_port": 5433, "airflow_proxy_port": 8443},
                  a={"ansible_port": 2222}, p={"ansible_connection": "local"})
    assert found["a"] == {
        (2222, "ssh", BOTH, ()), (9090, "api-server", LOCAL, ()), (9793, "scheduler", BOTH, ("a",)), TRIGGER_LOGS,
        (8974, "the health check", LOCAL, ()), (5433, "postgresql", LOCAL6, ()),
    }
    assert found["p"] == {(8443, "proxy", BOTH, ())}


@pytest.mark.parametrize("group", ["airflow_scheduler", "airflow_triggerer", "airflow_postgresql"])
def test_what_has_no_host_listens_nowhere(group: str) -> None:
    left = {row[1] for row in table({**ONE, group: []})["a"]}
    assert left < {row[1] for row in table(ONE)["a"]}
