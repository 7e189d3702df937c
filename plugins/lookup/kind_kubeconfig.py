# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: kind_kubeconfig
short_description: Where the kubeconfig of a Kind cluster is
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - The file that M(windward.airflow.kind_cluster) writes, whether it is there or not.
options:
  _terms:
    description: Name of the cluster.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Say how kubectl finds the cluster
  ansible.builtin.debug:
    msg: "export KUBECONFIG={{ lookup('windward.airflow.kind_kubeconfig', 'airflow') }}"
"""

RETURN = r"""
_raw:
  description: Path of the file.
  type: list
  elements: str
"""

import os
from typing import Any

from ansible.plugins.lookup import LookupBase

from ..module_utils._kind_host import kubeconfig
from ..module_utils._local_vm import state_dir


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        return [str(kubeconfig(state_dir(os.environ), name)) for name in terms]
