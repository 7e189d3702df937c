# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: database_connections
short_description: How many connections to its databases a deployment needs
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - From the components, where they run and how they are configured, the sizes of PgBouncer's pools and how many
    connections PostgreSQL must grant.
  - A pure function. It contacts nothing.
positional: _input, groups, hostvars
options:
  _input:
    description: The component data of role C(airflow).
    type: dict
    required: true
  groups:
    description: Ansible's C(groups).
    type: dict
    required: true
  hostvars:
    description: Ansible's C(hostvars).
    type: dict
    required: true
  executor:
    description: Airflow's executor.
    type: str
    required: true
  config:
    description: C(airflow_config) of hosts that do not set it.
    type: dict
    required: true
  concurrency:
    description: C(airflow_worker_concurrency) of hosts that do not set it.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Show how many connections PostgreSQL must grant
  ansible.builtin.debug:
    msg: >-
      {{ (components | windward.airflow.database_connections(groups, hostvars, executor='LocalExecutor', config={},
          concurrency=16)).granted }}
"""

RETURN = r"""
_value:
  description:
    - A dictionary with C(needed), the size of the pool of each database that the components need, and C(pools), what it
      is; C(clients), how many connections clients may open at most; C(wanted) and C(granted), how many PostgreSQL must
      grant and does; and C(lines), a line of explanation per component.
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ..module_utils import _database_connections


def database_connections(
    components: Mapping[str, Any],
    groups: Mapping[str, list[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    *,
    executor: str,
    config: dict[str, Any],
    concurrency: int,
) -> dict[str, Any]:
    """Return pools, clients and what PostgreSQL grants."""
    hosts = []
    for host in groups.get("airflow", []):
        here = [name for name, component in components.items() if host in groups.get(component["group"], [])]
        if here:  # nothing else of a host is read, so nothing else of it must be known
            own = hostvars[host]
            hosts.append(_database_connections.Host(
                host, here, own.get("airflow_config", config), int(own.get("airflow_worker_concurrency", concurrency))))
    found = _database_connections.needs(hosts, components, executor)
    poolers = groups.get("airflow_pgbouncer", [])
    given = hostvars[poolers[0]].get("airflow_pgbouncer_config", {}) if poolers else {}
    return _database_connections.plan(found, bool(poolers), given.get("default_pool_size"))


class FilterModule:
    """Filters over what a deployment needs."""

    def filters(self) -> dict[str, Any]:
        return {"database_connections": database_connections}
