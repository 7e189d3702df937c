#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: role
short_description: Manage roles of Airflow
version_added: 0.1.0
description:
  - Creates, changes and deletes a role, which says what its users may do.
  - Roles are those of the FAB auth manager. With another auth manager the module fails and says so.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  name:
    description: Name of the role.
    type: str
    required: true
  permissions:
    description:
      - All that the role allows. A permission that is not in the list is taken from the role; an empty list takes all.
      - C(apache-airflow-providers-fab) 3.6.4 takes none away, though it says so; then the module fails. 3.9.0 does.
      - If not given, an existing role keeps its permissions.
      - Airflow lets every role that is not its own read V(Website), now or at its next start, so the module adds that.
      - Airflow gives its own roles (V(Admin), V(Op), V(User), V(Viewer)) back what is theirs when the API server
        starts. Make a role of your own to allow less.
    type: list
    elements: dict
    suboptions:
      resource:
        description:
          - What may be acted upon, as V(DAGs), V(Connections), or V(DAG:sales_daily) for a single DAG.
          - FAB refuses a resource or an action that it has never met, and check mode foretells that.
        type: str
        required: true
      actions:
        description: What may be done, as V(can_read), V(can_create), V(can_edit), V(can_delete), V(menu_access).
        type: list
        elements: str
        required: true
  state:
    description:
      - Whether the role is to exist.
      - Deleting a role takes it from its users. Airflow's own role V(Admin) is not deleted.
      - C(apache-airflow-providers-fab) 3.4.0 answers every deletion with an error. 3.6.4 deletes.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: windward.airflow.role_info
  - module: windward.airflow.user
"""

EXAMPLES = r"""
- name: Let analysts look at DAGs and start them
  windward.airflow.role:
    api_url: https://airflow.example.org
    api_username: admin
    api_password: "{{ vault_admin_password }}"
    name: Analyst
    permissions:
      - resource: Website
        actions: [can_read]
      - resource: DAGs
        actions: [can_read, menu_access]
      - resource: DAG Runs
        actions: [can_read, can_create]

- name: Make a role that other tools fill
  windward.airflow.role:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    name: Warehouse

- name: Remove a role
  windward.airflow.role:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    name: Intern
    state: absent
"""

RETURN = r"""
role:
  description: The role as it is, or in check mode would be, afterwards; null when it is absent.
  returned: success
  type: dict
  sample:
    name: Analyst
    permissions:
      - resource: DAG Runs
        actions: [can_create, can_read]
      - resource: DAGs
        actions: [can_read, menu_access]
      - resource: Website
        actions: [can_read]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._client import AirflowApiError, Client
from ..module_utils._fab import PERMISSIONS, ROLES, FabResource, find, grouped, pairs_of, role_row, unusable
from ..module_utils._module import run
from ..module_utils._resource import Object, Plan

OWN = ("Admin", "Op", "Public", "User", "Viewer")
UNASKED = [{"resource": "Website", "actions": ["can_read"]}]


def refuse(name: str, plan: Plan) -> str | None:
    own = name == "Admin" and plan.action == "delete"
    return "Airflow's own role is not deleted" if own else unusable("name", name)


def encode(fields: Object) -> dict[str, Any]:
    pairs = pairs_of(fields.get("permissions", ()))
    actions = [{"action": {"name": action}, "resource": {"name": resource}} for resource, action in pairs]
    return {"name": fields["name"], "actions": actions}


ROLE = FabResource(
    kind="role",
    path=ROLES,
    key="name",
    fields=("permissions",),
    patch_key="name",
    refuse=refuse,
    encode=encode,
)


def foresee(client: Client, pairs: set[tuple[str, str]]) -> None:
    """What FAB would refuse: it takes any action on any resource, if it has met each of them before."""
    rows = client.pages(PERMISSIONS, "actions") if pairs else []
    for option, word, place in (("resource", "resource", 0), ("actions", "action", 1)):
        unknown = {pair[place] for pair in pairs} - {row[word]["name"] for row in rows}
        if unknown:
            raise AirflowApiError(f"permissions: FAB has no {word} {', '.join(sorted(unknown))} ({option})")


def manage(module: AnsibleModule, client: Client) -> dict[str, Any]:
    name, permissions = module.params["name"], module.params["permissions"]
    for resource, action in pairs_of(permissions or ()):
        if reason := unusable("resource", resource) or unusable("actions", action):
            raise AirflowApiError(f"permissions: {reason}")
    found = find(client, ROLES, "name", name)
    current = None if found is None else {"permissions": role_row(found)["permissions"]}
    more = [] if name in OWN else UNASKED
    keep = permissions is None and current is not None
    wanted = None if keep else grouped(pairs_of([*(permissions or ()), *more]))
    new = set(pairs_of(wanted or ())) - set(pairs_of(current["permissions"] if current else ()))
    if module.check_mode and module.params["state"] == "present":
        foresee(client, new)
    try:
        result = ROLE.settle(module, client, name, current, {"permissions": wanted})
    except AirflowApiError as exc:
        if exc.status == 400:
            foresee(client, new)  # tells all, and by the names of the options
        if exc.status == 500 and module.params["state"] == "absent":
            hint = "apache-airflow-providers-fab 3.4.0 fails to delete any role; 3.6.4 deletes them"
            raise AirflowApiError(f"{exc}. {hint}", exc.status) from exc
        raise
    fewer = wanted is not None and current and set(pairs_of(current["permissions"])) - set(pairs_of(wanted))
    if fewer and not module.check_mode and not has(client, name, wanted):
        raise AirflowApiError(
            f"role {name}: FAB's provider here gave permissions and took none away, though it said so. "
            "apache-airflow-providers-fab 3.9.0 takes them away; 3.6.4 does not",
            result={"changed": True},
        )
    return result


def has(client: Client, name: str, permissions: Any) -> bool:
    found = find(client, ROLES, "name", name)
    return bool(found and role_row(found)["permissions"] == permissions)


def main() -> None:
    permission = {
        "resource": {"type": "str", "required": True},
        "actions": {"type": "list", "elements": "str", "required": True},
    }
    spec = {
        "name": {"type": "str", "required": True},
        "permissions": {"type": "list", "elements": "dict", "options": permission},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }
    run(spec, manage)


if __name__ == "__main__":
    main()
