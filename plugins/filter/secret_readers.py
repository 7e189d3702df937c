# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: secret_readers
short_description: The hosts whose components hold a secret
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - By the component data and the inventory, the hosts that run a component which is given the secret.
positional: _input, components, groups
options:
  _input:
    description: Name of the secret, as the component data has it.
    type: str
    required: true
  components:
    description: The component data of role C(airflow).
    type: dict
    required: true
  groups:
    description: Ansible's C(groups).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show who may connect to the metadata database
  ansible.builtin.debug:
    msg: "{{ 'database' | windward.airflow.secret_readers(components, groups) }}"
"""

RETURN = r"""
_value:
  description: Names of hosts in the order of the inventory, each once.
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any


def secret_readers(secret: str, components: Mapping[str, Any], groups: Mapping[str, list[str]]) -> list[str]:
    """Return the hosts that hold ``secret``."""
    readers = [component["group"] for component in components.values() if secret in component["secrets"]]
    return list(dict.fromkeys(host for group in readers for host in groups.get(group, [])))


class FilterModule:
    """Filters over who may have what."""

    def filters(self) -> dict[str, Any]:
        return {"secret_readers": secret_readers}
