# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: unreached
short_description: What components can't reach from their hosts
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Makes sentences of what M(windward.airflow.component_info) found that components need and can't reach.
positional: _input
options:
  _input:
    description:
      - Results of M(windward.airflow.component_info) by host. That of a host that was not read has no C(components).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse a host that can't run tasks
  ansible.builtin.assert:
    that: looked | windward.airflow.unreached | length == 0
"""

RETURN = r"""
_value:
  description: A sentence for each.
  type: list
  elements: str
"""

from typing import Any


def sentences(host: str, name: str, found: dict[str, Any]) -> list[str]:
    """Return what one component of a host can't reach."""
    return [f"{host}: {name} can't reach {what}: {why}." for what, why in sorted(found.get("unreached", {}).items())]


def unreached(hosts: dict[str, Any]) -> list[str]:
    """Return what components can't reach, host by host."""
    return [
        sentence
        for host, looked in sorted(hosts.items())
        for name, found in looked.get("components", {}).items()
        for sentence in sentences(host, name, found)
    ]


class FilterModule:
    """Filters over what was found on hosts."""

    def filters(self) -> dict[str, Any]:
        return {"unreached": unreached}
