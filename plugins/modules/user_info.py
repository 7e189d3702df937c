#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: user_info
short_description: Tell about users of Airflow
version_added: 0.1.0
description:
  - Gives users of the FAB auth manager. A user that is named and does not exist is an empty list, no error.
  - With another auth manager the module fails and says so.
  - The API tells no passwords.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.attributes.info
  - windward.airflow.listing
options:
  username:
    description: One user, by the log-in name.
    type: str
seealso:
  - module: windward.airflow.user
"""

EXAMPLES = r"""
- name: Look at a user
  windward.airflow.user_info:
    api_url: https://airflow.example.org
    api_username: deploy
    api_password: "{{ vault_deploy_password }}"
    username: maria
  register: maria

- name: List all users
  windward.airflow.user_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    order_by: username
  register: everybody

- name: Give the users that were made last
  windward.airflow.user_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    order_by: -id
    limit: 5
"""

RETURN = r"""
users:
  description: The users.
  returned: success
  type: list
  elements: dict
  sample:
    - username: maria
      email: maria@example.org
      first_name: Maria
      last_name: Jones
      roles: [Analyst]
      active: true
      last_login: "2026-11-20T08:15:30.123456Z"
      login_count: 12
      fail_login_count: 0
      created_on: "2026-10-01T09:00:00.123456Z"
      changed_on: "2026-10-01T09:00:00.123456Z"
"""

from typing import Any

from ..module_utils._fab import USERS, FabListing, user_row
from ..module_utils._resource import Object

READ_ONLY = ("active", "last_login", "login_count", "fail_login_count", "created_on", "changed_on")


def shape(found: Object) -> dict[str, Any]:
    return {**user_row(found), **{name: found.get(name) for name in READ_ONLY}}


def main() -> None:
    FabListing(path=USERS, rows="users", key="username", shape=shape).run()


if __name__ == "__main__":
    main()
