#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: resources
short_description: Make connections, variables and pools of Airflow as declared
version_added: 0.1.0
description:
  - The whole desired state in one task. Reads all, writes what differs in bulk, and can delete what is not declared.
  - Everything is checked before anything is written.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.attributes
  - windward.airflow.fingerprints
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - The diff tells that a secret changes, and never what it is. In check mode it is the drift report.
options:
  connections:
    description: Connections, each with the options of M(windward.airflow.connection). Not given, none is touched.
    type: list
    elements: dict
    suboptions:
      connection_id:
        description: Name of the connection. Letters, digits, underscores, points and dashes.
        type: str
        required: true
      conn_type:
        description:
          - Kind of the connection, such as V(postgres) or V(http).
          - Needed to create one, unless O(connections[].uri) is given.
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
          - V(replace) makes O(connections[].extra) all that there is. V(merge) leaves keys alone that are not given,
            inside of dictionaries too. Lists are replaced.
          - Merging fails, before anything is written, where Airflow masks such a key and may not restore it by itself,
            as with C(dsn), which 3.1 does not take for a secret's.
        type: str
        choices: [replace, merge]
        default: replace
      uri:
        description:
          - The connection as one URI, by Airflow's rules. It says everything but the description; what it leaves out is
            removed.
        type: str
      team_name:
        description: Name of the team that owns it, in an Airflow with teams. An empty text removes it.
        type: str
      state:
        description: Whether the connection is to exist.
        type: str
        choices: [present, absent]
        default: present
  variables:
    description: Variables, each with the options of M(windward.airflow.variable). Not given, none is touched.
    type: list
    elements: dict
    suboptions:
      key:
        description: Name of the variable.
        type: str
        required: true
      value:
        description:
          - The value. A text is kept to the letter; anything else is kept as JSON, as Airflow does it.
          - Two texts that spell the same JSON are the same value.
          - Needed, or O(variables[].src), unless O(variables[].state=absent).
        type: raw
      src:
        description: File with the value, on the host where the module runs. Instead of O(variables[].value).
        type: path
      description:
        description: What the variable is for. An empty text removes it.
        type: str
      secret:
        description:
          - Whether the value is kept out of results and diffs.
          - By default as Airflow has it, when O(variables[].key) sounds secret.
          - Airflow itself goes by the key alone, so the key of a secret should have a word such as C(secret) in it.
            Before 3.3.2 it would log any other secret, so there it must.
          - Words that C([core] sensitive_var_conn_names) adds on the server are not known to this module. The value of
            a variable with such a key is kept out of results and diffs only with V(true).
        type: bool
      team_name:
        description: Name of the team that owns it, in an Airflow with teams. An empty text removes it.
        type: str
      state:
        description: Whether the variable is to exist.
        type: str
        choices: [present, absent]
        default: present
  pools:
    description: Pools, each with the options of M(windward.airflow.pool). Not given, none is touched.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the pool.
        type: str
        required: true
      slots:
        description:
          - How many slots the pool has; V(-1) is without limit.
          - Needed to create a pool.
        type: int
      description:
        description: What the pool is for. An empty text removes it.
        type: str
      include_deferred:
        description: Whether deferred tasks count as occupying their slots. A new pool does not count them by default.
        type: bool
      team_name:
        description: Name of the team that owns it, in an Airflow with teams. An empty text removes it.
        type: str
      state:
        description:
          - Whether the pool is to exist.
          - Airflow's own pool V(default_pool) can be resized, but neither described nor deleted nor given to a team.
        type: str
        choices: [present, absent]
        default: present
  purge:
    description:
      - Delete what is there and not declared, of the kinds that are given. Airflow's C(default_pool) stays.
      - An empty list is refused, since it would delete all, and so is a task without any list.
    type: bool
    default: false
  keep:
    description: Shell patterns of names that O(purge) leaves alone.
    type: list
    elements: str
    default: []
  max_deletions:
    description: How many objects O(purge) may delete in a run. If there are more, nothing is written at all.
    type: int
    default: 10
notes:
  - YAML reads C(0600) as the number 384 and C(no) as false before a module sees it, so put such a password or login in
    quotes.
  - Airflow answers a bulk request with status 200 even when parts of it failed. Each such part fails the task with its
    reason, and the result tells what was written.
  - Works with Airflow 3.1.8, 3.2.2 and 3.3.2. Before 3.3.2 connections and variables are written one by one, since the
    audit log would show secrets of bulk requests; it shows values that Airflow doesn't take for secrets by their names.
seealso:
  - module: windward.airflow.connection
  - module: windward.airflow.variable
  - module: windward.airflow.pool
"""

EXAMPLES = r"""
- name: Declare what lives inside Airflow
  windward.airflow.resources:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    connections:
      - connection_id: warehouse
        conn_type: postgres
        host: db.example.org
        login: etl
        password: "{{ vault_warehouse_password }}"
      - connection_id: old_ftp
        state: absent
    variables:
      - key: report_bucket
        value: reports
    pools:
      - name: warehouse
        slots: 8
    fingerprint_key: "{{ vault_fingerprint_key }}"

- name: Delete the variables that nobody declares, but those of the team that declares its own
  windward.airflow.resources:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    variables: "{{ our_variables }}"
    purge: true
    keep: ["science_*"]
    max_deletions: 5
    fingerprint_key: "{{ vault_fingerprint_key }}"

- name: Report drift
  windward.airflow.resources:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    connections: "{{ our_connections }}"
    fingerprint_key: "{{ vault_fingerprint_key }}"
  check_mode: true
  diff: true
"""

RETURN = r"""
connections:
  description: What was done, or in check mode would be, by name. Also returned when the task fails halfway.
  returned: when they are declared
  type: dict
  contains:
    created:
      description: Names of the created.
      type: list
      elements: str
    updated:
      description: Names of the changed.
      type: list
      elements: str
    deleted:
      description: Names of the deleted.
      type: list
      elements: str
    unchanged:
      description: How many are as declared.
      type: int
  sample: {created: [warehouse], updated: [], deleted: [old_ftp], unchanged: 4}
variables:
  description: The same of the variables.
  returned: when they are declared
  type: dict
  contains:
    created:
      description: Names of the created.
      type: list
      elements: str
    updated:
      description: Names of the changed.
      type: list
      elements: str
    deleted:
      description: Names of the deleted.
      type: list
      elements: str
    unchanged:
      description: How many are as declared.
      type: int
  sample: {created: [report_bucket], updated: [], deleted: [], unchanged: 0}
pools:
  description: The same of the pools.
  returned: when they are declared
  type: dict
  contains:
    created:
      description: Names of the created.
      type: list
      elements: str
    updated:
      description: Names of the changed.
      type: list
      elements: str
    deleted:
      description: Names of the deleted.
      type: list
      elements: str
    unchanged:
      description: How many are as declared.
      type: int
  sample: {created: [], updated: [warehouse], deleted: [], unchanged: 2}
"""

from typing import Any

from ..module_utils._client import AirflowApiError, Client
from ..module_utils._desired import (
    SECRETS_OPTIONS,
    Work,
    apply_all,
    declares_secrets,
    guard,
    listed,
    policy,
    surplus,
    work,
)
from ..module_utils._kinds import KINDS
from ..module_utils._module import Module, run
from ..module_utils._secrets import Fingerprints


def plan_all(params: dict[str, Any], client: Client) -> list[Work]:
    """Everything that is to be done, before any of it."""
    declared = [(kind, params[name]) for name, kind in KINDS.items() if params[name] is not None]
    if params["max_deletions"] < 0:
        raise AirflowApiError("max_deletions must be 0 or more")
    if params["purge"] and not declared:
        raise AirflowApiError(f"purge: none of {', '.join(KINDS)} is declared, so nothing says what may stay")
    secrets = any(declares_secrets(kind, element) for kind, elements in declared for element in elements)
    chosen = policy(params, secrets)
    works, purged = [], []
    for kind, elements in declared:
        key = params["fingerprint_key"] if kind.masked else None
        known = Fingerprints(client, kind.kind, key, chosen if kind.masked else None)
        rows = listed(kind, client)
        extra = list(surplus(kind, elements, rows, params["keep"])) if params["purge"] else []
        purged += [f"{kind.kind} {element[kind.key]}" for element in extra]
        works.append(work(kind, [*elements, *extra], rows, known))
    if len(purged) > params["max_deletions"]:
        raise AirflowApiError(
            f"purge would delete {len(purged)} objects, more than max_deletions ({params['max_deletions']}): "
            + ", ".join(sorted(purged))
        )
    return works


def manage(module: Module, client: Client) -> dict[str, Any]:
    guard(module, {name: (kind, module.params[name] or []) for name, kind in KINDS.items()})
    try:
        return {**apply_all(module, client, plan_all(module.params, client)), "invocation": {}}
    except AirflowApiError as exc:
        exc.result["invocation"] = {}
        raise


def main() -> None:
    lists = {
        name: {"type": "list", "elements": "dict", "options": kind.options, "no_log": kind.masked}
        for name, kind in KINDS.items()
    }
    spec = {
        **lists,
        "purge": {"type": "bool", "default": False},
        "keep": {"type": "list", "elements": "str", "default": []},
        "max_deletions": {"type": "int", "default": 10},
        **SECRETS_OPTIONS,
    }
    run(spec, manage)


if __name__ == "__main__":
    main()
