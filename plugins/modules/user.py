#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: user
short_description: Manage users of Airflow
version_added: 0.1.0
description:
  - Creates, changes and deletes a user of Airflow.
  - Users are those of the FAB auth manager. With another auth manager the module fails and says so.
  - The password travels in the body of a request, and is in no diff, no result and no log.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.attributes
attributes:
  check_mode:
    support: full
    details:
      - With O(update_password=always) a log-in is tried in check mode too.
  diff_mode:
    support: full
    details:
      - Says that the password changes, but neither from what nor to what.
options:
  username:
    description: Log-in name. FAB takes names that differ in upper and lower case only for the same.
    type: str
    required: true
  email:
    description:
      - E-mail address. No two users have the same. Needed to create a user.
      - FAB keeps any text of up to 512 characters as one, so this module refuses none either.
    type: str
  first_name:
    description: First name. Needed to create a user.
    type: str
  last_name:
    description: Last name. Needed to create a user.
    type: str
  roles:
    description: All roles that the user has. Needed to create a user, then with one role at least.
    type: list
    elements: str
  password:
    description: The user's password. Needed to create a user.
    type: str
  update_password:
    description:
      - V(always) sets O(password) if it is not the user's. V(on_create) leaves the password of an existing user as it
        is, for people who choose their own.
      - No API tells a password, so V(always) tries to log in with it. Airflow counts that as a log-in of the user (last
        log-in, failed log-ins); the FAB auth manager does not limit their rate.
      - Nobody can log in as a user that is not active, so such a user's password is written, with a warning, on every
        run.
      - Use V(on_create) where people log in by LDAP, OAuth or the like.
    type: str
    choices: [always, on_create]
    default: always
  state:
    description: Whether the user is to exist.
    type: str
    choices: [present, absent]
    default: present
notes:
  - Whether a user is active can be read over the API and not changed. The module warns about a user that is not, who
    can be activated in Airflow's user interface.
  - The account that the task itself logs in as, O(api_username), can be given other roles and removed as any other. The
    module warns about it, and whether another administrator is left is yours to know.
  - In check mode a role that is not there is warned about and taken for one that an earlier task of the play makes; a
    run fails without it.
seealso:
  - module: windward.airflow.user_info
  - module: windward.airflow.role
"""

EXAMPLES = r"""
- name: Let a person in, who then chooses a password
  windward.airflow.user:
    api_url: https://airflow.example.org
    api_username: admin
    api_password: "{{ vault_admin_password }}"
    username: maria
    email: maria@example.org
    first_name: Maria
    last_name: Jones
    roles: [Analyst]
    password: "{{ vault_maria_first_password }}"
    update_password: on_create

- name: Keep the password of an account for a program
  windward.airflow.user:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    username: dashboard
    email: dashboard@example.org
    first_name: Dashboard
    last_name: Program
    roles: [Viewer]
    password: "{{ vault_dashboard_password }}"

- name: Remove an account
  windward.airflow.user:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    username: intern
    state: absent
"""

RETURN = r"""
user:
  description:
    - The user as it is, or in check mode would be, afterwards; null when it is absent.
    - C(active) can be read only.
  returned: success
  type: dict
  sample:
    username: maria
    email: maria@example.org
    first_name: Maria
    last_name: Jones
    roles: [Analyst]
    active: true
"""

from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._client import AirflowApiError, Client
from ..module_utils._fab import ROLES, USER_FIELDS, USERS, FabResource, fab, find, unusable, user_row
from ..module_utils._module import run
from ..module_utils._resource import Object, Plan

SECRET = "(secret)"
OTHER = "(another secret)"
UNKNOWN = "(perhaps another secret)"


def refuse(name: str, plan: Plan) -> str | None:
    texts = {"username": name, **{field: plan.after[field] for field in plan.fields if field != "roles"}}
    reasons = [reason for option, text in texts.items() if (reason := unusable(option, text))]
    if plan.action == "create" and not plan.after.get("roles"):
        reasons.append("a new user needs one role at least")
    return "; ".join(reasons) or None


USER = FabResource(
    kind="user",
    path=USERS,
    key="username",
    fields=(*USER_FIELDS, "roles", "password"),
    required=(*USER_FIELDS, "roles", "password"),
    refuse=refuse,
)


def encoder(password: str) -> Any:
    """Bodies hold the password where plans, which are shown, only say that there is one."""

    def encode(fields: Object) -> dict[str, Any]:
        body = dict(fields)
        if "roles" in body:
            body["roles"] = [{"name": role} for role in body["roles"]]
        return {**body, "password": password} if "password" in body else body

    return encode


def wanted_password(module: AnsibleModule, client: Client, found: Any) -> str | None:
    """What the plan is to say of the password: nothing when it stays."""
    password = module.params["password"]
    if not password or module.params["state"] == "absent":
        return password  # None, or what is refused
    if not found:
        return SECRET
    if module.params["update_password"] == "on_create":
        return None
    if found.get("active") is False:
        return UNKNOWN  # no password would let them in
    return None if client.accepts(found["username"], password) else OTHER


def foresee(module: AnsibleModule, client: Client, found: Any) -> None:
    """What Airflow would refuse. In a check a role may be one that an earlier task of the same play makes."""
    email, here = module.params["email"], found or {}
    if module.check_mode and email and email != here.get("email"):
        owners = [user["username"] for user in client.pages(USERS, "users") if user["email"] == email]
        if owners:
            raise AirflowApiError(f"user {module.params['username']}: the e-mail address is taken by {owners[0]}")
    for role in sorted(set(module.params["roles"] or ()) - set(user_row(here)["roles"])):
        if reason := unusable("name", role):
            raise AirflowApiError(f"roles: {reason}")
        if find(client, ROLES, "name", role) is None:
            if not module.check_mode:
                raise AirflowApiError(f"roles: there is no role {role}")
            module.warn(f"There is no role {role} yet")


def manage(module: AnsibleModule, client: Client) -> dict[str, Any]:
    params, name = module.params, module.params["username"]
    found = find(client, USERS, "username", name)
    current = None
    if found:
        current = {**user_row(found), "password": SECRET}
        name = current.pop("username")
        if found.get("active") is False and params["state"] == "present":
            module.warn(f"User {name} is not active, and the API can't change that")
    if params["state"] == "present":
        with fab(client):
            foresee(module, client, found)
    wanted = {**{field: params[field] for field in USER_FIELDS}, "password": wanted_password(module, client, found)}
    wanted["roles"] = None if params["roles"] is None else sorted(set(params["roles"]))
    itself = name.casefold() == (params["api_username"] or "").casefold()
    if current and itself and (params["state"] == "absent" or wanted["roles"] not in (None, current["roles"])):
        module.warn(f"User {name} is the one that this task logs in as")
    result = replace(USER, encode=encoder(params["password"])).settle(module, client, name, current, wanted)
    if result["user"]:
        del result["user"]["password"]
        result["user"]["active"] = found.get("active") if found else True
    return result


def main() -> None:
    spec = {
        "username": {"type": "str", "required": True},
        **{field: {"type": "str"} for field in USER_FIELDS},
        "roles": {"type": "list", "elements": "str"},
        "password": {"type": "str", "no_log": True},
        "update_password": {"type": "str", "choices": ["always", "on_create"], "default": "always", "no_log": False},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }
    run(spec, manage)


if __name__ == "__main__":
    main()
