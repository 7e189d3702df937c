# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: tree_digest
short_description: The name under which a directory of the controller is delivered
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - The digest by which M(windward.airflow.tree) names a directory on hosts, without asking a host.
options:
  _terms:
    description: One directory on the controller; a relative one is below the playbook's.
    type: list
    elements: path
    required: true
"""

EXAMPLES = r"""
- name: Say what would be delivered
  ansible.builtin.debug:
    msg: "{{ lookup('windward.airflow.tree_digest', 'dags') }}"
"""

RETURN = r"""
_raw:
  description: The digest, 24 hexadecimal digits.
  type: list
  elements: str
  sample: [0f5c1c9a4f2b0f5c1c9a4f2b]
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils import _tree


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        try:
            return [_tree.digest(self._loader.path_dwim(term)) for term in terms]
        except _tree.TreeError as error:
            raise AnsibleLookupError(str(error)) from error
