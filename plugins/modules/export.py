#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: export
short_description: Write connections, variables and pools of Airflow down as variables of an inventory
version_added: 0.1.0
description:
  - Gives the text of a vars file with C(airflow_connections), C(airflow_variables) and C(airflow_pools), which declare
    what a live Airflow has.
  - No secret leaves Airflow. Every value that it hides, or would hide by its name, becomes a reference to a variable of
    Ansible Vault. RV(vault_content) is the text of a file with those variables, to be filled in and encrypted.
  - A text with C({{) in it is written so that Ansible leaves it as it is.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.attributes.info
options:
  kinds:
    description: What to export.
    type: list
    elements: str
    choices: [connections, variables, pools]
    default: [connections, variables, pools]
  vault_prefix:
    description: What the names of the variables with secrets begin with. Lower-case letters, digits and C(_).
    type: str
    default: vault_airflow_
  empty_fields:
    description:
      - Declare what is empty too, such as a C(login) of no letters. What somebody gives to such a field later is a
        difference then.
      - Otherwise an empty field is left out. A field that is not declared stays as it is.
    type: bool
    default: false
notes:
  - Airflow hides a password always, and in C(extra) and variables what M(windward.airflow.connection_info) tells. A
    secret under a harmless name is no secret to Airflow, nor to this module, unless it is a variable that was declared
    C(secret=true) with a C(fingerprint_key). So look through the file.
  - Airflow's server also hides any text that it has met as a secret elsewhere. Such a value becomes a reference too,
    though it may be none. So does a value that really holds C(***).
  - A variable that hides a part of its JSON becomes one reference, for the whole text.
  - Where two secrets would have the same name, as those of C(sales-db) and C(sales_db), both names end in eight letters
    and digits that tell them apart, the same in every export.
  - Airflow's API spells a variable's text anew where it is JSON, numbers among them. So a text C(3.10) is exported as
    C(3.1), C(1e5) as C(100000.0), and of two equal keys the last one stays. Look through versions that are numbers.
seealso:
  - module: windward.airflow.connection_info
  - module: windward.airflow.variable_info
"""

EXAMPLES = r"""
- name: Read what the development's Airflow has
  windward.airflow.export:
    api_url: https://airflow-dev.example.org
    api_username: deploy
    api_password: "{{ vault_deploy_password }}"
  register: exported

- name: Write it down for production
  ansible.builtin.copy:
    dest: inventories/prod/group_vars/airflow/resources.yml
    content: "{{ exported.content }}"
    mode: "0644"

- name: Write down the secrets to be filled in, once
  ansible.builtin.copy:
    dest: inventories/prod/group_vars/airflow/vault.yml
    content: "{{ exported.vault_content }}"
    mode: "0600"
    force: false

- name: Write down all of production, also what is empty, for a drift report that misses nothing
  windward.airflow.export:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    empty_fields: true

- name: Look at the pools only
  windward.airflow.export:
    api_url: https://airflow-dev.example.org
    api_token: "{{ airflow_token }}"
    kinds: [pools]

- name: Keep the secrets of development and production apart
  windward.airflow.export:
    api_url: https://airflow-dev.example.org
    api_token: "{{ airflow_token }}"
    vault_prefix: vault_dev_
"""

RETURN = r"""
content:
  description: The vars file.
  returned: success
  type: str
  sample: |
    ---
    airflow_connections:
      - connection_id: "sales_db"
        conn_type: "postgres"
        host: "db.example.org"
        login: "sales"
        password: "{{ vault_airflow_connection_sales_db_password }}"
    airflow_pools:
      - name: "warehouse"
        slots: 8
        include_deferred: false
vault_content:
  description:
    - A vars file with a line for each secret, commented out. One that is not filled in stays undefined, and so stops
      a play instead of emptying what is there.
  returned: success
  type: str
  sample: |
    ---
    # vault_airflow_connection_sales_db_password:
secrets:
  description: What each of the variables in RV(vault_content) stands for.
  returned: success
  type: list
  elements: dict
  contains:
    variable:
      description: Name of the variable.
      type: str
    kind:
      description: V(connection) or V(variable).
      type: str
    name:
      description: The connection's ID or the variable's key.
      type: str
    field:
      description: Where in the object the secret is.
      type: str
  sample:
    - variable: vault_airflow_connection_sales_db_password
      kind: connection
      name: sales_db
      field: password
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._client import AirflowApiError, Client
from ..module_utils._info import Object, connection_row, variable_row
from ..module_utils._masks import MASK
from ..module_utils._module import run
from ..module_utils._secrets import RESERVED, unpack
from ..module_utils._yaml import Template, document

CONNECTION = ("connection_id", "conn_type", "description", "host", "login", "schema", "port", "team_name")
VARIABLE = ("key", "value", "description", "team_name")
POOL = ("name", "slots", "description", "include_deferred", "team_name")
EMPTY = dict.fromkeys(("description", "host", "login", "schema"), "")
KINDS = ("connections", "variables", "pools")


class Secrets:
    """Every secret met, with the name of the variable that is to hold it. No two have the same, and none takes the name
    that another had in an earlier export: the vault that was filled in then would give it the wrong secret."""

    def __init__(self, prefix: str, ambiguous: Collection[str] = ()) -> None:
        self._prefix, self._ambiguous = prefix, ambiguous
        self.names: Counter[str] = Counter()
        self.found: dict[str, dict[str, str]] = {}

    def reference(self, kind: str, name: str, *path: Any) -> Template:
        field = ".".join(map(str, path))
        words = [kind, name, field] if field != "value" else [kind, name]
        variable = self._prefix + re.sub(r"[^a-z0-9]+", "_", "_".join(words).lower()).strip("_")
        self.names[variable] += 1
        if variable in self._ambiguous:
            variable += "_" + hashlib.sha256(json.dumps([kind, name, *path]).encode()).hexdigest()[:8]
        self.found[variable] = {"variable": variable, "kind": kind, "name": name, "field": field}
        return Template("{{ " + variable + " }}")

    def replaced(self, value: Any, kind: str, name: str, *path: Any) -> Any:
        """A value with references where a mask is."""
        if isinstance(value, dict):
            return {key: self.replaced(one, kind, name, *path, key) for key, one in value.items()}
        if isinstance(value, list):
            return [self.replaced(one, kind, name, *path, index) for index, one in enumerate(value)]
        return self.reference(kind, name, *path) if isinstance(value, str) and MASK in value else value


def present(found: Object, names: tuple[str, ...], empty: Object) -> dict[str, Any]:
    """The fields of an object, and those that it has not as `empty` has them."""
    return {name: found.get(name) or empty[name] if name in empty else found[name]
            for name in names if name in empty or found.get(name) is not None}  # fmt: skip


def connection(found: Object, secrets: Secrets, empty: bool) -> dict[str, Any]:
    row, name = connection_row(found), found["connection_id"]
    entry = present(row, CONNECTION, {**EMPTY, "port": 0} if empty else {})
    if row["has_password"]:
        entry["password"] = secrets.reference("connection", name, "password")
    elif empty:
        entry["password"] = ""
    if row["extra"] or empty:
        entry["extra"] = secrets.replaced(row["extra"], "connection", name, "extra")
    return entry


def variable(found: Object, secrets: Secrets, empty: bool, secret: bool) -> dict[str, Any]:
    row = present(variable_row(found), VARIABLE, {"description": ""} if empty else {})
    return {**row, "value": secrets.replaced(MASK if secret else row.get("value"), "variable", found["key"], "value"),
            **({"secret": True} if secret else {})}  # fmt: skip


def declared_secret(variables: list[Any]) -> set[str]:
    """The keys of variables that were declared to be secrets, whatever they are called."""
    kept = [unpack(row.get("value")) for row in variables if row["key"].startswith(RESERVED)]
    entries = [one for objects in kept if isinstance(objects, dict) for one in objects.items()]
    return {name for name, entry in entries if isinstance(entry, dict) and entry.get("secret")}


def pool(found: Object, empty: bool) -> dict[str, Any]:
    """A pool; the description of Airflow's own one can't be changed, so it is not declared."""
    if found["name"] == "default_pool":
        return present(found, ("name", "slots", "include_deferred"), {})
    return present(found, POOL, {"description": ""} if empty else {})


def declarations(rows: Mapping[str, list[Any]], secrets: Secrets, empty: bool) -> dict[str, Any]:
    declared: dict[str, Any] = {}
    if "connections" in rows:
        declared["airflow_connections"] = [connection(row, secrets, empty) for row in rows["connections"]]
    if "variables" in rows:
        own = [row for row in rows["variables"] if not row["key"].startswith(RESERVED)]
        secret = declared_secret(rows["variables"])
        declared["airflow_variables"] = [variable(row, secrets, empty, row["key"] in secret) for row in own]
    if "pools" in rows:
        declared["airflow_pools"] = [pool(row, empty) for row in rows["pools"]]
    return declared


def export(module: AnsibleModule, client: Client) -> dict[str, Any]:
    kinds, prefix, empty = (module.params[name] for name in ("kinds", "vault_prefix", "empty_fields"))
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", prefix):
        raise AirflowApiError("vault_prefix must be lower-case letters, digits and _, and begin with no digit")
    orders = {"connections": "connection_id", "variables": "key", "pools": "name"}
    rows: dict[str, list[Any]] = {}
    for kind in KINDS:
        if kind in kinds:
            rows[kind] = sorted(client.pages(f"/api/v2/{kind}", kind), key=lambda row: str(row[orders[kind]]))
    first = Secrets(prefix)
    declarations(rows, first, empty)
    secrets = Secrets(prefix, {name for name, number in first.names.items() if number > 1})
    content = document(declarations(rows, secrets, empty))
    vault = "---\n" + "".join(f"# {name}:\n" for name in secrets.found)
    return {"changed": False, "content": content, "vault_content": vault, "secrets": list(secrets.found.values())}


def main() -> None:
    spec = {
        "kinds": {"type": "list", "elements": "str", "choices": list(KINDS), "default": list(KINDS)},
        "vault_prefix": {"type": "str", "default": "vault_airflow_"},
        "empty_fields": {"type": "bool", "default": False},
    }
    run(spec, export)


if __name__ == "__main__":
    main()
