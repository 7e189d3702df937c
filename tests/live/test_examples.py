# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The examples in the documentation of every module that talks to Airflow work as they stand there.

Names are given a prefix, DAGs those of example_dag, and the connection options are left to the environment.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.windward.airflow.plugins.module_utils._client import Client
from conftest import KEY

ROOT = Path(__file__).parents[2]
MODULES = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]["airflow"]
# What others look at comes first.
FIRST = ["role", "user", "pool", "connection", "variable", "resources", "dag", "dag_run", "dag_release"]
OWN = ("warehouse", "crm", "lake", "old_ftp", "sales_db", "report_bucket", "report_settings", "crm_api_key", "region",
       "daily_query", "maria", "dashboard", "intern", "Analyst", "Warehouse", "Intern", "legacy")  # fmt: skip

CAREFULLY = {
    "check_mode": True,
    "register": "purge",
    "failed_when": "'purge would delete' not in purge.msg | default('purge would delete')",
}


def examples(module: str) -> list[dict[str, Any]]:
    text = (ROOT / f"plugins/modules/{module}.py").read_text()
    found = re.search(r'^EXAMPLES = r"""(.*?)"""', text, re.DOTALL | re.MULTILINE)
    assert found, module
    return yaml.safe_load(found[1])


def as_here(value: Any, prefix: str, names: dict[str, str]) -> Any:
    """An example with this test's names, for the Airflow that the environment names."""
    if isinstance(value, dict):
        return {k: as_here(v, prefix, names) for k, v in value.items() if not str(k).startswith("api_")}
    if isinstance(value, list):
        return [as_here(element, prefix, names) for element in value]
    if not isinstance(value, str):
        return value
    return names.get(value, f"{prefix}{value}" if value in OWN else value)


@pytest.mark.parametrize("module", MODULES)
def test_there_are_three(module: str) -> None:
    assert len([task for task in examples(module) if f"windward.airflow.{module}" in task]) >= 3


def test_examples_work(client: Client, prefix: str, tmp_path: Path) -> None:
    dag = client.get("/api/v2/dags/example_dag")
    version = dag["bundle_version"]
    folder, query = tmp_path / "group_vars", tmp_path / "daily.sql"
    folder.mkdir()
    query.write_text("select 1")
    names = {
        "sales_daily": "example_dag", "sales_monthly": "example_dag", "3f9c1d2ab4e0": version,
        "load": client.get("/api/v2/dags/example_dag/tasks")["tasks"][0]["task_id"],
        "deploy-2026-11-20": f"{prefix}run", "load-2026-11-20": f"{prefix}run",
        "inventories/prod/group_vars/airflow/resources.yml": str(folder / "resources.yml"),
        "inventories/prod/group_vars/airflow/vault.yml": str(folder / "vault.yml"),
        "/srv/queries/daily.sql": str(query),
    }  # fmt: skip
    tasks: list[dict[str, Any]] = [
        {"windward.airflow.connection": {"connection_id": f"{prefix}lake", "conn_type": "aws"}},
        {"windward.airflow.connection": {"connection_id": f"{prefix}sales_db", "conn_type": "postgres"}},
        {"windward.airflow.variable": {"key": f"{prefix}region", "value": "eu"}},
    ]
    for module in [*FIRST, *(name for name in MODULES if name not in FIRST)]:
        for task in examples(module):
            one = as_here(task, prefix, names)
            # What is not ours must stay; there may be more of it than the example would delete.
            purges = one.get(f"windward.airflow.{module}", {}).get("purge")
            tasks.append({**one, **CAREFULLY} if purges else one)
        if module == "dag":
            tasks.append({"windward.airflow.dag": {"dag_id": ["example_dag"], "paused": False}})
    secrets = {name: f"secret-of-{name}" for name in set(re.findall(r"\b\w*vault_\w+|airflow_\w*password", str(tasks)))}
    play = {
        "hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks,
        "vars": {
            **secrets, "vault_fingerprint_key": KEY, "vault_crm_uri": "http://u:secret-of-crm@crm.example.org",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}", "restarted_at": "2020-01-01T00:00:00Z",
            "our_connections": [{"connection_id": f"{prefix}lake", "conn_type": "aws"}],
            "our_variables": [{"key": f"{prefix}region", "value": "eu"}],
        },
    }  # fmt: skip
    book = tmp_path / "examples.yml"
    book.write_text(yaml.safe_dump([play], sort_keys=False))
    slots = client.get("/api/v2/pools/default_pool")["slots"]
    try:
        done = subprocess.run(
            ["ansible-playbook", str(book)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "secret-of" not in done.stdout + done.stderr
    finally:
        client.request("PATCH", "/api/v2/dags/example_dag", body={"is_paused": dag["is_paused"]})
        client.request(
            "PATCH", "/api/v2/pools/default_pool", query={"update_mask": "slots"}, body={"slots": slots}
        )
        remove(client, prefix)


def remove(client: Client, prefix: str) -> None:
    for path, listing, key in [
        ("/api/v2/connections", "connections", "connection_id"), ("/api/v2/variables", "variables", "key"),
        ("/api/v2/pools", "pools", "name"), ("/auth/fab/v1/users", "users", "username"),
        ("/auth/fab/v1/roles", "roles", "name"),
    ]:  # fmt: skip
        for one in client.pages(path, listing):
            if one[key].startswith(prefix):
                client.request("DELETE", f"{path}/{one[key]}")
