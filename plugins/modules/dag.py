#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: dag
short_description: Pause and unpause DAGs of Airflow
version_added: 0.1.0
description:
  - Pauses or unpauses DAGs, or only looks at them.
  - A DAG that Airflow does not serve, also one whose file is gone, is an error. The module can wait for it to appear.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.api.interval
  - windward.airflow.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  dag_id:
    description: The DAGs.
    type: list
    elements: str
    required: true
  paused:
    description: Whether the DAGs are to be paused. If not given, they are left as they are.
    type: bool
  timeout:
    description: For how many seconds to wait until Airflow serves all of the DAGs.
    type: float
    default: 0.0
seealso:
  - module: windward.airflow.dag_run
  - module: windward.airflow.dag_release
"""

EXAMPLES = r"""
- name: Let the new DAGs run as soon as Airflow has read them
  windward.airflow.dag:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    dag_id:
      - sales_daily
      - sales_monthly
    paused: false
    timeout: 60

- name: Pause a DAG before its warehouse is moved
  windward.airflow.dag:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    dag_id: [sales_daily]
    paused: true

- name: Wait until Airflow has read a new DAG
  windward.airflow.dag:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    dag_id: [sales_daily]
    timeout: 120
"""

RETURN = r"""
dags:
  description: The DAGs as they are, or in check mode would be, afterwards; in the order in which they were given.
  returned: success
  type: list
  elements: dict
  contains:
    dag_id:
      description: The DAG.
      type: str
    is_paused:
      description: Whether it is paused.
      type: bool
    bundle_name:
      description: The DAG bundle that it comes from.
      type: str
    bundle_version:
      description: The version of that bundle which Airflow serves; null for bundles without versions.
      type: str
    has_import_errors:
      description: Whether its file can't be imported any more, so that an older state of it is served.
      type: bool
  sample:
    - dag_id: sales_daily
      is_paused: false
      bundle_name: dags
      bundle_version: 3f9c1d2ab4e0
      has_import_errors: false
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._client import AirflowApiError, Client, segment
from ..module_utils._module import looks, run
from ..module_utils._resource import Change, apply, plan

DAGS = "/api/v2/dags"
SHOWN = ("dag_id", "is_paused", "bundle_name", "bundle_version", "has_import_errors")


def served(client: Client, wanted: list[str]) -> dict[str, dict[str, Any]]:
    """Those of the wanted DAGs that Airflow serves. For more than one, pages of a hundred are fewer requests."""
    if len(wanted) == 1:
        dag = client.find(f"{DAGS}/{segment(wanted[0])}")
        found = [dag] if dag and not dag["is_stale"] else []
    else:
        found = client.pages(DAGS, "dags")
    return {dag["dag_id"]: {key: dag[key] for key in SHOWN} for dag in found if dag["dag_id"] in wanted}


def manage(module: AnsibleModule, client: Client) -> dict[str, Any]:
    wanted = list(dict.fromkeys(module.params["dag_id"]))
    current: dict[str, dict[str, Any]] = {}
    for _seconds in looks(module.params["timeout"], module.params["interval"]) if wanted else ():
        current = served(client, wanted)
        if len(current) == len(wanted):
            break
    missing = [dag_id for dag_id in wanted if dag_id not in current]
    if missing:
        raise AirflowApiError(f"Airflow serves no DAG named {', '.join(missing)}")
    plans = {dag_id: plan(current[dag_id], {"is_paused": module.params["paused"]}) for dag_id in wanted}
    # Airflow's bulk PATCH picks DAGs by a pattern with wildcards, in which every "_" is one: never by a list.
    changes = [
        Change(
            f"DAG {dag_id}",
            "PATCH",
            f"{DAGS}/{segment(dag_id)}",
            {"is_paused": a_plan.before["is_paused"]},
            {"is_paused": a_plan.after["is_paused"]},
            body={"is_paused": a_plan.after["is_paused"]},
        )
        for dag_id, a_plan in plans.items()
        if a_plan.action != "none"
    ]
    result, _answers = apply(module, client, changes)
    return {**result, "dags": [a_plan.after for a_plan in plans.values()]}


def main() -> None:
    spec = {
        "dag_id": {"type": "list", "elements": "str", "required": True},
        "paused": {"type": "bool"},
        "timeout": {"type": "float", "default": 0.0},
        "interval": {"type": "float", "default": 5.0},
    }
    run(spec, manage)


if __name__ == "__main__":
    main()
