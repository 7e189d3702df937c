# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: component_plan
short_description: What a host's components read and run
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Turns the contract into the files of a host (C(airflow.cfg), an environment file and a unit per component) and into
    its units, each with a digest of everything that it runs with.
  - A pure function. It contacts nothing, and its result holds secrets.
positional: _input
options:
  _input:
    description: The deployment as seen by this host, built by role C(systemd) in C(vars/main.yml).
    type: dict
    required: true
  host_components:
    description: Names of the components that run on this host.
    type: list
    elements: str
    required: true
  components:
    description: The component data of role C(airflow).
    type: dict
    required: true
  secrets:
    description: The deployment's secrets by name.
    type: dict
    required: true
  unit_template:
    description: Text of the Jinja2 template of a unit.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Plan
  ansible.builtin.set_fact:
    plan: "{{ deployment | windward.airflow.component_plan(names, components, secrets, lookup('file', 'unit.j2')) }}"
"""

RETURN = r"""
_value:
  description:
    - A dictionary with C(files), as O(windward.airflow.managed_files#module:files) takes them, and C(units), as
      O(windward.airflow.units#module:units) takes them.
  type: dict
"""

from typing import Any

from jinja2 import Environment, StrictUndefined

from ..module_utils import _components


def component_plan(
    deployment: dict[str, Any],
    host_components: list[str],
    components: dict[str, Any],
    secrets: dict[str, str],
    unit_template: str,
) -> dict[str, Any]:
    """Return the files and units of a host."""
    template = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True).from_string(
        str(unit_template)
    )
    return _components.plan(host_components, components, deployment, secrets, template.render)


class FilterModule:
    """Filters of the systemd platform."""

    def filters(self) -> dict[str, Any]:
        return {"component_plan": component_plan}
