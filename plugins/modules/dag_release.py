#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: dag_release
short_description: Wait until Airflow serves a version of a DAG bundle
version_added: 0.1.0
description:
  - Asks Airflow to read a DAG bundle now instead of at its next interval, and waits until it serves the given version
    of it, for each of the given DAGs. An import error that comes with the new version fails the task at once.
  - The module delivers nothing. It proves that what was delivered has arrived.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.attributes
attributes:
  check_mode:
    support: full
    details:
      - In check mode the module looks once, does not wait and does not fail, as the version may not be delivered yet.
  diff_mode:
    support: N/A
    details:
      - The module changes nothing that anybody declares; reading a bundle earlier than planned is not a change.
options:
  bundle_name:
    description: Name of the DAG bundle in Airflow's C([dag_processor] dag_bundle_config_list).
    type: str
    required: true
  bundle_version:
    description: The version that Airflow is to serve.
    type: str
    required: true
  dag_ids:
    description: The DAGs that the version consists of.
    type: list
    elements: str
    required: true
  timeout:
    description: For how many seconds to wait.
    type: float
    default: 120.0
  interval:
    description: The longest pause between two looks, in seconds.
    type: float
    default: 2.0
seealso:
  - module: windward.airflow.dag
"""

EXAMPLES = r"""
- name: Prove that Airflow serves the release
  windward.airflow.dag_release:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    bundle_name: dags
    bundle_version: 3f9c1d2ab4e0
    dag_ids:
      - sales_daily
      - sales_monthly

- name: Wait longer, and ask more seldom
  windward.airflow.dag_release:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    bundle_name: dags
    bundle_version: 3f9c1d2ab4e0
    dag_ids: [sales_daily]
    timeout: 600
    interval: 5

- name: Look, without waiting
  windward.airflow.dag_release:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    bundle_name: dags
    bundle_version: 3f9c1d2ab4e0
    dag_ids: [sales_daily]
    timeout: 0
"""

RETURN = r"""
served:
  description: Whether every DAG is served from the version. Only in check mode it can be false without a failure.
  returned: success
  type: bool
  sample: true
dags:
  description: The version from which Airflow serves each DAG of the bundle.
  returned: success, or when time is up
  type: dict
  sample:
    sales_daily: 3f9c1d2ab4e0
    sales_monthly: 3f9c1d2ab4e0
in_use:
  description: The versions of the bundle that queued and running DAG runs use. They must not be removed.
  returned: success
  type: list
  elements: str
  sample:
    - 3f9c1d2ab4e0
seconds:
  description: How long the module waited.
  returned: success, or when time is up
  type: float
  sample: 2.5
import_errors:
  description: What could not be imported.
  returned: when an import error came with the version, or when time is up
  type: list
  elements: dict
  contains:
    filename:
      description: The file, as seen from the bundle's folder.
      type: str
    stack_trace:
      description: What Python said.
      type: str
  sample:
    - filename: sales/daily.py
      stack_trace: "ModuleNotFoundError: No module named 'pandas'"
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._client import PAGE, AirflowApiError, Client, segment
from ..module_utils._module import looks, run

ASK_AGAIN = 10  # seconds; a file may be read a moment before the bundle's new version is noticed


def import_errors(client: Client, bundle: str) -> dict[tuple[str, str], dict[str, str]]:
    """The bundle's import errors, by what becomes another one each time that a file is read."""
    rows = client.pages("/api/v2/importErrors", "import_errors", {"bundle_name": bundle})
    return {
        (row["filename"], row["timestamp"]): {"filename": row["filename"], "stack_trace": row["stack_trace"]}
        for row in rows
        if row["bundle_name"] == bundle  # Airflow before 3.3 gives those of all bundles
    }


def explain(errors: list[dict[str, str]]) -> str:
    return "\n".join(f"{error['filename']}: {error['stack_trace'].strip()}" for error in errors)


def ask_to_read(client: Client, rows: list[dict[str, Any]], missing: list[str]) -> None:
    """Asking for one file makes Airflow look at its whole bundle, but each file that it knows waits for its turn
    (min_file_process_interval, 30 s) unless asked for too. A bundle new to Airflow has nothing to ask with."""
    tokens = {row["file_token"] for row in rows if row["dag_id"] in missing} or {row["file_token"] for row in rows[:1]}
    for token in sorted(tokens)[:PAGE]:
        try:
            client.request("PUT", f"/api/v2/parseDagFile/{segment(token)}")
        except AirflowApiError as exc:
            if exc.status != 409:  # the same was asked for already and not done yet
                raise


def in_use(client: Client, dag_ids: set[str]) -> list[str]:
    runs = client.pages("/api/v2/dags/~/dagRuns", "dag_runs", {"state": ["queued", "running"]})
    return sorted({run["bundle_version"] for run in runs if run["dag_id"] in dag_ids and run["bundle_version"]})


def prove(module: AnsibleModule, client: Client) -> dict[str, Any]:
    bundle, version = module.params["bundle_name"], module.params["bundle_version"]
    wanted = module.params["dag_ids"]
    listing = {"bundle_name": bundle, "exclude_stale": False}
    old_errors, ask_at = import_errors(client, bundle), 0.0
    rows: list[dict[str, Any]] = []
    served: dict[str, str | None] = {}
    errors, missing, waited = old_errors, wanted, 0.0
    for seconds in looks(0 if module.check_mode else module.params["timeout"], module.params["interval"]):
        waited = seconds
        rows = client.pages("/api/v2/dags", "dags", listing)
        served = {row["dag_id"]: row["bundle_version"] for row in rows if not row["is_stale"]}
        missing = [dag_id for dag_id in wanted if served.get(dag_id) != version]
        errors = import_errors(client, bundle)
        new_errors = [error for key, error in errors.items() if key not in old_errors]
        if new_errors:
            message = f"DAG bundle {bundle} has import errors:\n{explain(new_errors)}"
            raise AirflowApiError(message, result={"import_errors": new_errors})
        if not (missing or errors) or module.check_mode:
            break
        if seconds >= ask_at:
            ask_to_read(client, rows, missing)
            ask_at = seconds + ASK_AGAIN
    result = {"dags": served, "seconds": round(waited, 1)}
    if (missing or errors) and not module.check_mode:
        still = ", ".join(f"{dag_id} ({served.get(dag_id) or 'not there'})" for dag_id in missing)
        reasons = [f"not at version {version}: {still}"] if missing else []
        reasons += [f"import errors:\n{explain(list(errors.values()))}"] if errors else []
        raise AirflowApiError(
            f"DAG bundle {bundle} after {result['seconds']} s: {'; '.join(reasons)}",
            result={**result, "import_errors": list(errors.values())},
        )
    used = in_use(client, {row["dag_id"] for row in rows})
    return {"changed": False, "served": not (missing or errors), "in_use": used, **result}


def main() -> None:
    spec = {
        "bundle_name": {"type": "str", "required": True},
        "bundle_version": {"type": "str", "required": True},
        "dag_ids": {"type": "list", "elements": "str", "required": True},
        "timeout": {"type": "float", "default": 120.0},
        "interval": {"type": "float", "default": 2.0},
    }
    run(spec, prove)


if __name__ == "__main__":
    main()
