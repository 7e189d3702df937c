# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: addresses
short_description: The addresses by which hosts reach each other
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - For each host its C(airflow_address), else its C(ansible_host), else its name in the inventory.
positional: _input
options:
  _input:
    description: Names of hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: Ansible's C(hostvars).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the addresses
  ansible.builtin.debug:
    msg: "{{ groups['airflow'] | windward.airflow.addresses(hostvars) }}"
"""

RETURN = r"""
_value:
  description: Address by host name.
  type: dict
"""

from collections.abc import Iterable, Mapping
from typing import Any


def addresses(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the address of each host."""
    return {
        host: hostvars[host].get("airflow_address") or hostvars[host].get("ansible_host") or host for host in hosts
    }


class FilterModule:
    """Filters over the inventory."""

    def filters(self) -> dict[str, Any]:
        return {"addresses": addresses}
