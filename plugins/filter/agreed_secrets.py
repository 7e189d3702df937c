# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: agreed_secrets
short_description: The secrets that all their holders agree on
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Joins what M(windward.airflow.secret_store) read from several hosts.
  - Fails when two holders disagree, naming the secret and the hosts, never a value. A secret that the inventory gives
    settles it. Fails too when a holder could not be read, with what was said there.
positional: _input
options:
  _input:
    description: Results of a task that looped over the holders, with the host as C(item).
    type: list
    elements: dict
    required: true
  given:
    description: Secrets that the inventory gives. Empty values are not given.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Join
  ansible.builtin.set_fact:
    joined: "{{ held.results | windward.airflow.agreed_secrets(given) }}"
  no_log: true
"""

RETURN = r"""
_value:
  description: Secrets by name.
  type: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError


def agreed_secrets(results: list[dict[str, Any]], given: dict[str, str]) -> dict[str, str]:
    """Return the union of what the holders hold, with the given secrets on top."""
    joined: dict[str, str] = {}
    holder: dict[str, str] = {}
    for result in results:
        if "secrets" not in result:
            raise AnsibleFilterError(f"{result['item']}: {result['msg']}")
        for name, value in result["secrets"].items():
            if given.get(name):
                continue
            if joined.setdefault(name, value) != value:
                raise AnsibleFilterError(
                    f"The hosts {holder[name]} and {result['item']} hold different secrets '{name}'. Remove the wrong "
                    f"copy from the store of one of them, or give airflow_{name} in the inventory."
                )
            holder.setdefault(name, result["item"])
    joined.update({name: value for name, value in given.items() if value})
    return joined


class FilterModule:
    """Filters over secrets."""

    def filters(self) -> dict[str, Any]:
        return {"agreed_secrets": agreed_secrets}
