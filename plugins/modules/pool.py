#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: pool
short_description: Manage pools of Airflow
version_added: 0.1.0
description:
  - Creates, changes and deletes a pool, which limits how many task slots a group of tasks may occupy at a time.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.attributes
  - windward.airflow.team
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
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
    description: Whether deferred tasks count as occupying their slots. A new pool does not count them unless told to.
    type: bool
  state:
    description:
      - Whether the pool is to exist.
      - Airflow's own pool V(default_pool) can be resized, but neither described nor deleted nor given to a team.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: windward.airflow.pool_info
  - module: windward.airflow.resources
"""

EXAMPLES = r"""
- name: Limit what the warehouse has to bear
  windward.airflow.pool:
    api_url: https://airflow.example.org
    api_username: deploy
    api_password: "{{ airflow_deploy_password }}"
    name: warehouse
    slots: 8
    description: Queries at a time

- name: Resize the default pool
  windward.airflow.pool:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    name: default_pool
    slots: 256

- name: Remove a pool
  windward.airflow.pool:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    name: legacy
    state: absent
"""

RETURN = r"""
pool:
  description: The pool as it is, or in check mode would be, afterwards; null when it is absent.
  returned: success
  type: dict
  sample:
    name: warehouse
    slots: 8
    description: Queries at a time
    include_deferred: false
    team_name: null
"""

from ..module_utils._kinds import POOL
from ..module_utils._module import run


def main() -> None:
    run(dict(POOL.options), POOL.manage)


if __name__ == "__main__":
    main()
