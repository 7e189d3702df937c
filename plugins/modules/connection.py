#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: connection
short_description: Manage connections of Airflow
version_added: 0.1.0
description:
  - Creates, changes and deletes a connection, by which DAGs reach another system.
  - A field that is not given stays as it is.
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
      - The diff tells that the password or a key of O(extra) changes, and never what it is.
options:
  connection_id:
    description: Name of the connection. Letters, digits, underscores, points and dashes.
    type: str
    required: true
  conn_type:
    description: Kind of the connection, such as V(postgres) or V(http). Needed to create one, unless O(uri) is given.
    type: str
  description:
    description: What the connection is for. An empty text removes it.
    type: str
  host:
    description: Host name or address. An empty text removes it.
    type: str
  login:
    description: User name. An empty text removes it.
    type: str
  password:
    description: Password. An empty text removes it.
    type: str
  schema:
    description: Name of the database or schema. An empty text removes it.
    type: str
  port:
    description: Port; V(0) removes it.
    type: int
  extra:
    description: What else the connection's type knows, as a dictionary. An empty one removes all.
    type: dict
  extra_mode:
    description:
      - V(replace) makes O(extra) all that there is. V(merge) leaves keys alone that are not given, inside of
        dictionaries too. Lists are replaced.
      - Merging fails, before anything is written, where Airflow masks such a key and may not restore it by itself, as
        with C(dsn), which 3.1 does not take for a secret's.
    type: str
    choices: [replace, merge]
    default: replace
  uri:
    description:
      - The connection as one URI, by Airflow's rules. It says everything but the description; what it leaves out is
        removed.
      - A login or password in it is percent-encoded. A C(#), from which on Airflow reads nothing, and an C(@) behind
        the host's port are refused, since a part of a password would become something else.
    type: str
  state:
    description: Whether the connection is to exist.
    type: str
    choices: [present, absent]
    default: present
  test:
    description:
      - Let Airflow try the connection after it was changed. The task fails if that does; the change stays.
      - Needs C([core] test_connection = Enabled) in Airflow.
    type: bool
    default: false
notes:
  - YAML reads C(0600) as the number 384 and C(no) as false before the module sees it, so put such a password or login
    in quotes.
  - Works with Airflow 3.1.8, 3.2.2 and 3.3.2. Before 3.3.2 the audit log shows values that Airflow doesn't take for
    secrets by their names.
seealso:
  - module: windward.airflow.resources
"""

EXAMPLES = r"""
- name: Reach the warehouse
  windward.airflow.connection:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    connection_id: warehouse
    conn_type: postgres
    host: db.example.org
    login: etl
    password: "{{ vault_warehouse_password }}"
    extra:
      sslmode: verify-full
    fingerprint_key: "{{ vault_fingerprint_key }}"

- name: Say it by a URI
  windward.airflow.connection:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    connection_id: crm
    uri: "{{ vault_crm_uri }}"
    update_secrets: on_create

- name: Change a single key of the extra
  windward.airflow.connection:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    connection_id: lake
    extra:
      region_name: eu-central-1
    extra_mode: merge

- name: Remove it
  windward.airflow.connection:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    connection_id: old_ftp
    state: absent
"""

RETURN = r"""
connection:
  description:
    - The connection as it is, or in check mode would be, afterwards; null when it is absent.
    - The password and the values in C(extra) are never returned.
  returned: success
  type: dict
  sample:
    connection_id: warehouse
    conn_type: postgres
    description: ""
    host: db.example.org
    login: etl
    password: "***"
    schema: ""
    port: 0
    extra: {sslmode: "***"}
    team_name: ""
test:
  description: What Airflow said of the connection.
  returned: when O(test) and it was changed
  type: str
  sample: Connection successfully tested
"""

from typing import Any

from ..module_utils._client import AirflowApiError, Client
from ..module_utils._desired import SECRETS_OPTIONS, manage_one
from ..module_utils._kinds import CONNECTION
from ..module_utils._masks import MASK, texts, without
from ..module_utils._merge import joined
from ..module_utils._module import Module, run

SHORTEST = 4  # letters of a value that is looked for in what a test says


def manage(module: Module, client: Client) -> dict[str, Any]:
    result, work = manage_one(CONNECTION, module, client)
    step = work.steps[0]
    if not module.params["test"] or module.check_mode or step.plan.action not in ("create", "update"):
        return result
    # What was not declared and is masked goes as a mask, which Airflow replaces by what it holds.
    after = {**step.plan.after, "extra": joined(step.rest, step.plan.after["extra"] or {})}
    fields = {name: value for name, value in after.items() if value}
    body = {"connection_id": step.name, **CONNECTION.encode(fields, step.element)}
    hidden: dict[int, set[str]] = {}  # drivers quote what they are given
    for text in texts([after["extra"], after.get("password")]):
        hidden.setdefault(len(text), set()).update([text] if len(text) >= SHORTEST and MASK not in text else [])
    try:
        answer = without(client.request("POST", "/api/v2/connections/test", body=body), hidden)
    except AirflowApiError as exc:
        hint = "; is [core] test_connection Enabled?" if exc.status == 403 else ""
        raise AirflowApiError(f"{exc}{hint}", exc.status, {**result}) from None
    if not answer["status"]:
        raise AirflowApiError(
            f"connection {step.name} was written, but its test failed: {answer['message']}", result={**result}
        )
    return {**result, "test": answer["message"]}


def main() -> None:
    run({**CONNECTION.options, "test": {"type": "bool", "default": False}, **SECRETS_OPTIONS}, manage)


if __name__ == "__main__":
    main()
