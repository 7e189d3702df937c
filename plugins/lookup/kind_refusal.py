# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: kind_refusal
short_description: Why there can be no Kind cluster on this computer
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Asks Docker as the user who runs Ansible, before anything is downloaded for a cluster. Changes nothing.
"""

EXAMPLES = r"""
- name: Refuse where there can be no Kind cluster
  ansible.builtin.fail:
    msg: "{{ refusal }}"
  vars:
    refusal: "{{ lookup('windward.airflow.kind_refusal') }}"
  when: refusal != ''
"""

RETURN = r"""
_raw:
  description: One sentence, empty if there can be one.
  type: list
  elements: str
"""

from typing import Any

from ansible.plugins.lookup import LookupBase

from ..module_utils._kind import unusable
from ..module_utils._kind_host import engine


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        refusal = unusable(engine())
        return [f"{refusal[:1].upper()}{refusal[1:]}"]
