#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: variable
short_description: Manage variables of Airflow
version_added: 0.1.0
description:
  - Creates, changes and deletes a variable, which DAGs read by its key.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.attributes
  - windward.airflow.team
  - windward.airflow.fingerprints
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - The diff tells that a secret value changes, and never what it is.
options:
  key:
    description: Name of the variable.
    type: str
    required: true
  value:
    description:
      - The value. A text is kept to the letter; anything else is kept as JSON, as Airflow does it.
      - Two texts that spell the same JSON are the same value.
      - Needed, or O(src), unless O(state=absent).
    type: raw
  src:
    description: File with the value, on the host where the module runs. Instead of O(value).
    type: path
  description:
    description: What the variable is for. An empty text removes it.
    type: str
  secret:
    description:
      - Whether the value is kept out of results and diffs.
      - By default as Airflow has it, when O(key) sounds secret.
      - Airflow itself goes by the key alone, so the key of a secret should have a word such as C(secret) in it.
        Before 3.3.2 it would log any other secret, so there it must.
      - Words that C([core] sensitive_var_conn_names) adds on the server are not known to this module. The value of a
        variable with such a key is kept out of results and diffs only with V(true).
    type: bool
  state:
    description: Whether the variable is to exist.
    type: str
    choices: [present, absent]
    default: present
notes:
  - Works with Airflow 3.1.8, 3.2.2 and 3.3.2. Before 3.3.2 the audit log shows values that Airflow doesn't take for
    secrets by their names.
seealso:
  - module: windward.airflow.resources
"""

EXAMPLES = r"""
- name: Say where reports go
  windward.airflow.variable:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    key: report_settings
    value:
      bucket: reports
      days: [1, 15]
    description: Read by the DAG monthly_report

- name: Give a secret
  windward.airflow.variable:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    key: crm_api_key
    value: "{{ vault_crm_api_key }}"
    fingerprint_key: "{{ vault_fingerprint_key }}"

- name: Take a query from a file
  windward.airflow.variable:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    key: daily_query
    src: /srv/queries/daily.sql
"""

RETURN = r"""
variable:
  description:
    - The variable as it is, or in check mode would be, afterwards; null when it is absent.
    - A secret value is never returned. A value that is JSON is returned as what it stands for.
  returned: success
  type: dict
  sample:
    key: report_settings
    value: {bucket: reports, days: [1, 15]}
    description: Read by the DAG monthly_report
    team_name: ""
"""

from typing import Any

from ..module_utils._client import Client
from ..module_utils._desired import SECRETS_OPTIONS, manage_one
from ..module_utils._kinds import VARIABLE
from ..module_utils._module import Module, run


def manage(module: Module, client: Client) -> dict[str, Any]:
    return manage_one(VARIABLE, module, client)[0]


def main() -> None:
    run({**VARIABLE.options, **SECRETS_OPTIONS}, manage)


if __name__ == "__main__":
    main()
