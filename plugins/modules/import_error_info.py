#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: import_error_info
short_description: Tell which DAG files Airflow can't parse
version_added: 0.1.0
description:
  - Gives the DAG files that Airflow could not parse, with the reason.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.attributes.info
  - windward.airflow.listing
  - windward.airflow.listing.pattern
options:
  filename:
    description: Only errors of this file, by its path as Airflow reports it. Needs Airflow 3.3.
    type: str
  bundle_name:
    description: Only errors of this DAG bundle. Needs Airflow 3.3.
    type: str
seealso:
  - module: windward.airflow.dag_info
"""

EXAMPLES = r"""
- name: Look for files that can't be parsed
  windward.airflow.import_error_info:
    api_url: https://airflow.example.org
    api_username: deploy
    api_password: "{{ vault_deploy_password }}"
    bundle_name: dags
  register: broken

- name: Give the newest error
  windward.airflow.import_error_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    order_by: -timestamp
    limit: 1

- name: Look at a folder
  windward.airflow.import_error_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    prefix: sales/
"""

RETURN = r"""
import_errors:
  description: The errors, with the API's names of their fields.
  returned: success
  type: list
  elements: dict
  sample:
    - import_error_id: 7
      timestamp: "2026-11-21T06:00:01.123456Z"
      filename: sales/daily.py
      bundle_name: dags
      stack_trace: "ModuleNotFoundError: No module named 'pandas'"
"""

from ..module_utils._info import PATTERN, PREFIX_SINCE, Listing, patterns

ERRORS = Listing(
    path="/api/v2/importErrors",
    rows="import_errors",
    filters={**patterns("filename"), "filename": "filename", "bundle_name": "bundle_name"},
    since={**PREFIX_SINCE, "filename": (3, 3, 0), "bundle_name": (3, 3, 0)},
)


def main() -> None:
    ERRORS.run({**PATTERN, "filename": {"type": "str"}, "bundle_name": {"type": "str"}})


if __name__ == "__main__":
    main()
