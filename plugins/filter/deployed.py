# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: deployed
short_description: What a host runs, without what changes by itself
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Keeps of a result of M(windward.airflow.component_info) the release, the DAG release and the components' digests.
positional: _input
options:
  _input:
    description: A result of M(windward.airflow.component_info).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Name a proof by what it proves
  ansible.builtin.debug:
    msg: "{{ looked | windward.airflow.deployed | to_json | hash('sha256') }}"
"""

RETURN = r"""
_value:
  description: A list of strings in a fixed order.
  type: list
  elements: str
"""

from typing import Any


def deployed(looked: dict[str, Any]) -> list[str]:
    """Return releases and digests."""
    digests = [f"{name}={component['digest']}" for name, component in sorted(looked["components"].items())]
    return [looked["release"], looked["dags_release"], *digests]


class FilterModule:
    """Filters over what was found on hosts."""

    def filters(self) -> dict[str, Any]:
        return {"deployed": deployed}
