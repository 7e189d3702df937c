#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: dag_run_info
short_description: Tell about DAG runs of Airflow
version_added: 0.1.0
description:
  - Gives runs of one DAG or of all. A run that is named and does not exist is an empty list, no error.
  - In C(conf) the values are C(***) whose name Airflow takes for a secret's; see
    M(windward.airflow.connection_info).
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.attributes.info
  - windward.airflow.listing
options:
  dag_id:
    description: The DAG; V(~) is all.
    type: str
    default: "~"
  run_id:
    description: One run, by its ID. Needs O(dag_id). Filters do not go with it.
    type: str
  state:
    description: Only runs in one of these states.
    type: list
    elements: str
    choices: [queued, running, success, failed]
  run_type:
    description: Only runs of these types.
    type: list
    elements: str
    choices: [manual, scheduled, backfill, asset_triggered, asset_materialization]
  bundle_version:
    description: Only runs that run with this version of their DAG bundle. Needs Airflow 3.2.
    type: str
  run_after_gte:
    description: Only runs that were due then or later, as V(2026-11-20T00:00:00Z).
    type: str
  run_after_lte:
    description: Only runs that were due then or earlier.
    type: str
  logical_date_gte:
    description: Only runs whose logical date is then or later, as V(2026-11-20T00:00:00Z).
    type: str
  logical_date_lte:
    description: Only runs whose logical date is then or earlier.
    type: str
  start_date_gte:
    description: Only runs that started then or later, as V(2026-11-20T00:00:00Z).
    type: str
  start_date_lte:
    description: Only runs that started then or earlier.
    type: str
  end_date_gte:
    description: Only runs that ended then or later, as V(2026-11-20T00:00:00Z).
    type: str
  end_date_lte:
    description: Only runs that ended then or earlier.
    type: str
seealso:
  - module: windward.airflow.dag_run
  - module: windward.airflow.dag_info
"""

EXAMPLES = r"""
- name: List what runs now
  windward.airflow.dag_run_info:
    api_url: https://airflow.example.org
    api_username: deploy
    api_password: "{{ vault_deploy_password }}"
    state: [queued, running]
  register: busy

- name: Look at one run
  windward.airflow.dag_run_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    dag_id: sales_daily
    run_id: load-2026-11-20
  register: load

- name: Give the last failed run of a DAG
  windward.airflow.dag_run_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    dag_id: sales_daily
    state: [failed]
    order_by: -start_date
    limit: 1
  register: last_failed
"""

RETURN = r"""
dag_runs:
  description: The runs, with the API's names of their fields.
  returned: success
  type: list
  elements: dict
  sample:
    - dag_id: sales_daily
      dag_run_id: load-2026-11-20
      state: success
      run_type: manual
      logical_date: null
      run_after: "2026-11-21T06:00:00Z"
      start_date: "2026-11-21T06:00:01.123456Z"
      end_date: "2026-11-21T06:04:31.123456Z"
      duration: 270.0
      bundle_version: 0f8a1c
      conf: {day: "2026-11-20"}
      triggering_user_name: deploy
"""

from typing import Any

from ..module_utils._info import Listing, Object
from ..module_utils._masks import masked

SPEC: dict[str, Any] = {
    "state": {"type": "list", "elements": "str", "choices": ["queued", "running", "success", "failed"]},
    "run_type": {
        "type": "list",
        "elements": "str",
        "choices": ["manual", "scheduled", "backfill", "asset_triggered", "asset_materialization"],
    },
    "bundle_version": {"type": "str"},
    **{
        f"{moment}_{bound}": {"type": "str"}
        for moment in ("run_after", "logical_date", "start_date", "end_date")
        for bound in ("gte", "lte")
    },
}


def shape(found: Object) -> dict[str, Any]:
    return {**found, "conf": masked(found.get("conf"))}


DAG_RUNS = Listing(
    path="/api/v2/dags/{dag_id}/dagRuns",
    rows="dag_runs",
    key="run_id",
    filters={name: name for name in SPEC},
    since={"bundle_version": (3, 2, 0)},
    shape=shape,
)


def main() -> None:
    DAG_RUNS.run(
        {"dag_id": {"type": "str", "default": "~"}, **SPEC},
        mutually_exclusive=[("run_id", name) for name in SPEC],
    )


if __name__ == "__main__":
    main()
