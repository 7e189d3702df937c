# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: kubernetes_plan
short_description: What a deployment is made of in a Kubernetes cluster
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Turns the contract into values of the official chart, the Secrets that they name, and the objects beside it.
  - A pure function. It contacts nothing, and its C(secrets) hold secrets.
positional: _input
options:
  _input:
    description: The deployment, built by role C(kubernetes) in C(vars/main.yml).
    type: dict
    required: true
  components:
    description: The component data of role C(airflow).
    type: dict
    required: true
  secrets:
    description: The deployment's secrets by name.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Plan
  ansible.builtin.set_fact:
    plan: "{{ deployment | windward.airflow.kubernetes_plan(components, secrets) }}"
"""

RETURN = r"""
_value:
  description:
    - A dictionary with the C(image) as pods name it, the chart's C(values), the objects of C(data) and C(support), the
      Job C(migration), the Job C(comparison) that tells whether there is something to migrate, and C(secrets) with the
      content of each Secret by its name.
  type: dict
"""

from typing import Any

from ..module_utils import _kubernetes_objects as objects
from ..module_utils._chart_values import Release


def kubernetes_plan(
    deployment: dict[str, Any], components: dict[str, Any], secrets: dict[str, str]
) -> dict[str, Any]:
    """Return values, Secrets and objects."""
    release = Release(components, deployment, secrets)
    environment = objects.migration_environment(release, secrets)
    migration = objects.migration(release, secrets)
    values = release.values
    # What was stopped for a migration runs again by an upgrade of the release, so that one must differ from the last.
    values["apiServer"]["service"]["annotations"] = {"windward.airflow/migration": migration["metadata"]["name"]}
    return {
        "image": release.image,
        "values": values,
        "secrets": {**release.secrets, release.secret("migrate"): environment},
        "data": objects.data(release, secrets),
        "support": objects.support(release),
        "migration": migration,
        "comparison": objects.comparison(migration),
    }


class FilterModule:
    """Filters of the Kubernetes platform."""

    def filters(self) -> dict[str, Any]:
        return {"kubernetes_plan": kubernetes_plan}
