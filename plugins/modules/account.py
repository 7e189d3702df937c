#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: account
short_description: Make the first accounts of an Airflow, before its API can be asked
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Makes users of the FAB auth manager with the release's own code, in the metadata database.
  - An account that is there is left as it is, but for a password that is to be kept up.
  - Passwords reach Airflow by a pipe, never on a command line.
  - Uses the environment of the operator, which hosts with an api-server or a scheduler have.
extends_documentation_fragment:
  - windward.airflow.release
options:
  accounts:
    description: The accounts.
    type: list
    elements: dict
    required: true
    suboptions:
      username:
        description: Log-in name.
        type: str
        required: true
      email:
        description: E-mail address, which FAB wants to be unique.
        type: str
        required: true
      role:
        description: Role of the FAB auth manager.
        type: str
        default: Admin
      update_password:
        description:
          - V(always) gives the account its password of O(passwords) whenever it has another, and ends its sessions.
            V(on_create) leaves the password of an account that is there as it is.
        type: str
        choices: [always, on_create]
        default: on_create
  passwords:
    description:
      - Password by name. An account without one gets a random password that is forgotten at once, so that nobody can
        log in with it.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Says which accounts would be made, and which would get another password.
  diff_mode:
    support: none
    description: The list of accounts is the difference.
"""

EXAMPLES = r"""
- name: Make the administrator and the collection's own service account
  windward.airflow.account:
    release: /opt/airflow/current
    user: airflow
    accounts:
      - username: admin
        email: admin@example.com
      - username: windward
        email: windward@localhost
    passwords:
      admin: "{{ vault_admin_password }}"
"""

RETURN = r"""
created:
  description: Names of the accounts that were made, or would be in check mode.
  type: list
  elements: str
  returned: always
  sample: [admin]
renewed:
  description: Names of the accounts that got another password, or would in check mode.
  type: list
  elements: str
  returned: always
  sample: []
"""

import os
import secrets

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _release

DIFFER = """
import json, sys
from werkzeug.security import check_password_hash
wrong = [name for name, held, password in json.load(sys.stdin) if not check_password_hash(held or "", password)]
json.dump(wrong, open(int(sys.argv[1]), "w"))
"""
CHANGE = """
import json, sys
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
with get_application_builder() as builder:
    manager, request = builder.sm, json.load(sys.stdin)
    for name, password in request["renew"].items():
        if not manager.reset_password(manager.find_user(username=name).id, password):
            raise SystemExit("FAB refused to change the password of " + name)
    for account in request["create"]:
        role = manager.find_role(account["role"])
        if not role:
            raise SystemExit("there is no role " + account["role"])
        made = manager.add_user(account["username"], account["username"], "", account["email"], role,
                                account["password"])
        if not made:
            raise SystemExit("FAB refused to make " + account["username"] + "; is the e-mail address taken?")
json.dump(True, open(int(sys.argv[1]), "w"))
"""


def main() -> None:
    account = {
        "username": {"type": "str", "required": True},
        "email": {"type": "str", "required": True},
        "role": {"type": "str", "default": "Admin"},
        "update_password": {
            "type": "str", "choices": ["always", "on_create"], "default": "on_create", "no_log": False,
        },
    }
    module = AnsibleModule(
        argument_spec={
            **_release.OPTIONS,
            "passwords": {"type": "dict", "default": {}, "no_log": True},
            "accounts": {"type": "list", "elements": "dict", "required": True, "options": account},
        },
        supports_check_mode=True,
    )
    release, user, accounts = module.params["release"], module.params["user"], module.params["accounts"]
    names, given = [wanted["username"] for wanted in accounts], module.params["passwords"]
    if module.check_mode and not os.path.exists(os.path.join(release, "release.json")):
        module.exit_json(changed=True, created=names, renewed=[])
    try:
        variables = _release.environment(module.params)
        held = dict(_release.query("SELECT username, password FROM ab_user WHERE username = ANY(%s)", [names],
                                   release, user, variables))
        missing = [wanted for wanted in accounts if wanted["username"] not in held]
        kept_up = [wanted["username"] for wanted in accounts if wanted["update_password"] == "always"]
        asked = [[name, held[name], given[name]] for name in kept_up if name in held and given.get(name)]
        renewed = _release.run(DIFFER, release, user, variables, asked, 60) if asked else []
        if (missing or renewed) and not module.check_mode:
            create = [dict(wanted, password=given.get(wanted["username"]) or secrets.token_urlsafe(32))
                      for wanted in missing]
            request = {"create": create, "renew": {name: given[name] for name in renewed}}
            _release.run(CHANGE, release, user, variables, request, 300)
    except (_release.ReleaseError, FileNotFoundError) as error:
        module.fail_json(msg=f"The accounts could not be made: {error}")
    module.exit_json(
        changed=bool(missing or renewed), created=[wanted["username"] for wanted in missing], renewed=renewed)


if __name__ == "__main__":
    main()
