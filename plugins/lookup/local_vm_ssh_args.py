# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: local_vm_ssh_args
short_description: ssh options for local VMs that leave other hosts alone
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Options that let ssh know the pinned host keys and the login key of local VMs, besides the user's own.
  - For a real machine they change nothing, so one inventory can serve both. Host key checking stays as it is.
"""

EXAMPLES = r"""
# group_vars/all.yml
ansible_ssh_common_args: "{{ lookup('windward.airflow.local_vm_ssh_args') }}"
"""

RETURN = r"""
_raw:
  description: The options, quoted for a command line.
  type: list
  elements: str
"""

import os
from typing import Any

from ansible.plugins.lookup import LookupBase

from ..module_utils._local_vm import ssh_args, state_dir


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        return [ssh_args(state_dir(os.environ))]
