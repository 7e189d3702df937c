# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A deployment that every rule accepts, and what tests change about it."""

from __future__ import annotations

from typing import Any

from ansible_collections.windward.airflow.plugins.plugin_utils._preflight import engine
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.contract import Contract
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.deployment import Finding

CONTRACT = Contract.load()
FERNET = "wPKIGbJXrUDBcmpWY1mVIhL2Zt7CEYTFqwI2nmtY3Ng="
OTHER_FERNET = "0aOKJXcpWGN4gYlWlKIXQnUzLkWRqGhV8VIaW4jHgAQ="
LONG = "x8Zr0eQpL2vW6tYb4NcM1aSdF9gHjK3u"
LONGER = "second-8Zr0eQpL2vW6tYb4NcM1aSdF9gHjK"

COMPONENTS = ("airflow_api_server", "airflow_scheduler", "airflow_dag_processor", "airflow_triggerer")
ONE = {"airflow": ["a"], **{group: ["a"] for group in COMPONENTS}, "airflow_postgresql": ["a"]}
TWO = {**ONE, "airflow": ["a", "b"], "airflow_postgresql": ["b"]}
PROXY = {**ONE, "airflow": ["a", "p"], "airflow_proxy": ["p"]}
CELERY = {**ONE, "airflow": ["a", "w"], "airflow_worker": ["w"]}
BROKER = {"airflow_executor": "CeleryExecutor", "airflow_broker_url": "redis://:pw-of-the-broker@10.9.9.9:6379/0"}
EXTERNAL = {"airflow_database_host": "db.example.org", "airflow_database_password": "given-by-somebody"}


def given(
    variables: dict[str, Any], groups: dict[str, list[str]], hosts: dict[str, dict[str, Any]]
) -> dict[str, engine.Given]:
    """`hosts` has what differs: variables of one host, its ansible_host and ansible_connection."""
    names = [*groups.get("airflow", ()), *groups.get("airflow_removed", ())]
    own = {
        name: {key: value for key, value in host.items() if not key.startswith("ansible")}
        for name, host in hosts.items()
    }
    return {
        name: engine.Given(
            {**variables, **own.get(name, {})},
            hosts.get(name, {}).get("ansible_host", f"10.0.0.{number}"),
            hosts.get(name, {}).get("ansible_connection", "local" if groups.get("airflow_cluster") else "ssh"),
        )
        for number, name in enumerate(names, 10)
    }


def declared(
    variables: dict[str, Any] | None = None,
    groups: dict[str, list[str]] | None = None,
    hosts: dict[str, dict[str, Any]] | None = None,
) -> list[Finding]:
    groups = ONE if groups is None else groups
    return engine.declared(CONTRACT, groups, given(variables or {}, groups, hosts or {}))
