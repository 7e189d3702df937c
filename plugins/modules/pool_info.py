#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_info
short_description: Tell about pools of Airflow
version_added: 0.1.0
description:
  - Gives pools of Airflow, with how many of their slots are taken. A pool that is named and does not exist is an
    empty list, no error.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.attributes.info
  - windward.airflow.listing
  - windward.airflow.listing.pattern
options:
  name:
    description: One pool, by its name. Filters do not go with it.
    type: str
seealso:
  - module: windward.airflow.pool
  - module: windward.airflow.export
"""

EXAMPLES = r"""
- name: See how busy a pool is
  windward.airflow.pool_info:
    api_url: https://airflow.example.org
    api_username: deploy
    api_password: "{{ vault_deploy_password }}"
    name: warehouse
  register: warehouse

- name: List all pools
  windward.airflow.pool_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    order_by: name
  register: pools

- name: List the pools of a team
  windward.airflow.pool_info:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    prefix: sales_
"""

RETURN = r"""
pools:
  description: The pools, with the API's names of their fields.
  returned: success
  type: list
  elements: dict
  sample:
    - name: warehouse
      slots: 8
      description: Queries at a time
      include_deferred: false
      occupied_slots: 3
      running_slots: 2
      queued_slots: 1
      scheduled_slots: 0
      open_slots: 5
      deferred_slots: 0
      team_name: null
"""

from ..module_utils._info import PATTERN, Listing, patterns

POOLS = Listing(path="/api/v2/pools", rows="pools", key="name", filters=patterns("pool_name"))


def main() -> None:
    POOLS.run(PATTERN, mutually_exclusive=[("name", "pattern"), ("name", "prefix")])


if __name__ == "__main__":
    main()
