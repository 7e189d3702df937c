# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: port_table
short_description: Which TCP ports each host of a deployment listens on, and for whom
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Made from the contract and the inventory. No host is asked.
positional: _input, hostvars, hosts
options:
  _input:
    description: Ansible's C(groups).
    type: dict
    required: true
  hostvars:
    description: Ansible's C(hostvars).
    type: dict
    required: true
  hosts:
    description: Names of the hosts to tell of. The default is every host of group C(airflow).
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Show the ports
  ansible.builtin.debug:
    msg: "{{ groups | windward.airflow.port_table(hostvars) }}"
"""

RETURN = r"""
_value:
  description:
    - For each host a list of what listens there, by port. C(what) is a component or service, C(variable) says where the
      number comes from, C(addresses) where it listens, and C(clients) are the hosts that the deployment's firewall lets
      in. No clients means that it lets in everybody.
  type: dict
  sample:
    host1:
      - {port: 8793, what: worker, variable: airflow_config.logging.worker_log_server_port,
         addresses: [0.0.0.0, "::"], clients: [host2]}
"""

from collections.abc import Mapping
from typing import Any

from ..plugin_utils import _ports
from ..plugin_utils._preflight.contract import Contract


def port_table(
    groups: Mapping[str, list[str]], hostvars: Mapping[str, Mapping[str, Any]], hosts: list[str] | None = None
) -> dict[str, Any]:
    """Return what listens on each host."""
    return _ports.table(groups, hostvars, Contract.load(), groups["airflow"] if hosts is None else hosts)


class FilterModule:
    """Filters over the network."""

    def filters(self) -> dict[str, Any]:
        return {"port_table": port_table}
