#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: dag_info
short_description: Tell about DAGs of Airflow
version_added: 0.1.0
description:
  - Gives DAGs that Airflow serves. A DAG that is named and does not exist is an empty list, no error.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.attributes.info
  - windward.airflow.listing
  - windward.airflow.listing.pattern
options:
  dag_id:
    description: One DAG, by its ID, stale or not. Filters do not go with it.
    type: str
  tags:
    description: Only DAGs with one of these tags, or with all of them if O(tags_match_mode=all).
    type: list
    elements: str
  tags_match_mode:
    description: Whether a DAG needs any of O(tags) or all.
    type: str
    choices: [any, all]
  owners:
    description: Only DAGs of one of these owners.
    type: list
    elements: str
  paused:
    description: Only DAGs that are paused, or only those that are not.
    type: bool
  has_import_errors:
    description: Only DAGs whose file can't be parsed any more, or only the others.
    type: bool
  last_dag_run_state:
    description: Only DAGs whose last run is in this state.
    type: str
    choices: [queued, running, success, failed]
  bundle_name:
    description: Only DAGs of this DAG bundle.
    type: str
  exclude_stale:
    description: Leave out DAGs whose file is gone.
    type: bool
    default: true
seealso:
  - module: windward.airflow.dag
  - module: windward.airflow.dag_run_info
"""

EXAMPLES = r"""
- name: List the DAGs that run by themselves
  windward.airflow.dag_info:
    api_url: https://airflow.example.org
    api_username: deploy
    api_password: "{{ vault_deploy_password }}"
    paused: false
  register: active

- name: List a team's DAGs whose last run failed
  windward.airflow.dag_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    tags: [sales, daily]
    tags_match_mode: all
    last_dag_run_state: failed
  register: failed

- name: Look which version of a bundle a DAG came with
  windward.airflow.dag_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    dag_id: sales_daily
  register: sales
"""

RETURN = r"""
dags:
  description: The DAGs, with the API's names of their fields.
  returned: success
  type: list
  elements: dict
  sample:
    - dag_id: sales_daily
      is_paused: false
      is_stale: false
      bundle_name: dags
      bundle_version: 0f8a1c
      fileloc: /opt/airflow/dags/sales.py
      has_import_errors: false
      max_active_runs: 1
      next_dagrun_logical_date: "2026-11-22T00:00:00Z"
      owners: [sales]
      tags:
        - name: sales
      timetable_summary: "@daily"
"""

from typing import Any

from ..module_utils._info import PATTERN, Listing, Object, patterns

SPEC: dict[str, Any] = {
    "tags": {"type": "list", "elements": "str"},
    "tags_match_mode": {"type": "str", "choices": ["any", "all"]},
    "owners": {"type": "list", "elements": "str"},
    "paused": {"type": "bool"},
    "has_import_errors": {"type": "bool"},
    "last_dag_run_state": {"type": "str", "choices": ["queued", "running", "success", "failed"]},
    "bundle_name": {"type": "str"},
    "exclude_stale": {"type": "bool", "default": True},
}
NARROW = [name for name in SPEC if name != "exclude_stale"]


def shape(found: Object) -> dict[str, Any]:
    """All but the token with which the file can be asked for: it opens something."""
    return {name: value for name, value in found.items() if name != "file_token"}


DAGS = Listing(
    path="/api/v2/dags",
    rows="dags",
    key="dag_id",
    filters={**patterns("dag_id"), **{name: name for name in SPEC}},
    shape=shape,
)


def main() -> None:
    DAGS.run({**PATTERN, **SPEC}, mutually_exclusive=[("dag_id", name) for name in (*PATTERN, *NARROW)])


if __name__ == "__main__":
    main()
