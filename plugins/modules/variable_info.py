#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: variable_info
short_description: Tell about variables of Airflow
version_added: 0.1.0
description:
  - Gives variables of Airflow. A variable that is named and does not exist is an empty list, no error.
  - The value is C(***) if Airflow takes the variable's key for a secret's name. Of a value that is JSON, only those
    parts are whose name is. See M(windward.airflow.connection_info) for the names. The module masks them even if
    Airflow was told not to (C([core] hide_sensitive_var_conn_fields)).
  - Airflow replaces every text that its server has seen as a secret, so that any value may come back with C(***) in
    it.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.attributes.info
  - windward.airflow.listing
  - windward.airflow.listing.pattern
options:
  key:
    description: One variable, by its key. Filters do not go with it.
    type: str
seealso:
  - module: windward.airflow.variable
  - module: windward.airflow.export
"""

EXAMPLES = r"""
- name: Read a variable
  windward.airflow.variable_info:
    api_url: https://airflow.example.org
    api_username: deploy
    api_password: "{{ vault_deploy_password }}"
    key: region
  register: region

- name: List the variables of a team
  windward.airflow.variable_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    prefix: sales_
  register: sales

- name: List what is about a mail or a report
  windward.airflow.variable_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    pattern: mail|report
"""

RETURN = r"""
variables:
  description: The variables, with the API's names of their fields. C(value) is always a text.
  returned: success
  type: list
  elements: dict
  sample:
    - key: region
      value: eu-central-1
      description: Where the warehouse is
      is_encrypted: true
      team_name: null
"""

from ..module_utils._info import PATTERN, Listing, patterns, variable_row

VARIABLES = Listing(
    path="/api/v2/variables",
    rows="variables",
    key="key",
    filters=patterns("variable_key"),
    shape=variable_row,
)


def main() -> None:
    VARIABLES.run(PATTERN, mutually_exclusive=[("key", "pattern"), ("key", "prefix")])


if __name__ == "__main__":
    main()
