#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: role_info
short_description: Tell about roles of Airflow
version_added: 0.1.0
description:
  - Gives roles of the FAB auth manager with what they allow. A role that is named and does not exist is an empty
    list, no error.
  - With another auth manager the module fails and says so.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.attributes.info
  - windward.airflow.listing
options:
  name:
    description: One role, by its name.
    type: str
seealso:
  - module: windward.airflow.role
"""

EXAMPLES = r"""
- name: See what a role allows
  windward.airflow.role_info:
    api_url: https://airflow.example.org
    api_username: deploy
    api_password: "{{ vault_deploy_password }}"
    name: Analyst
  register: analyst

- name: List all roles
  windward.airflow.role_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    order_by: name
  register: all_roles

- name: Make a role like another one
  windward.airflow.role_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    name: Op
  register: op
"""

RETURN = r"""
roles:
  description: The roles, as module M(windward.airflow.role) takes them.
  returned: success
  type: list
  elements: dict
  sample:
    - name: Analyst
      permissions:
        - resource: DAGs
          actions: [can_read, menu_access]
        - resource: Website
          actions: [can_read]
"""

from ..module_utils._fab import ROLES, FabListing, role_row


def main() -> None:
    FabListing(path=ROLES, rows="roles", key="name", shape=role_row).run()


if __name__ == "__main__":
    main()
