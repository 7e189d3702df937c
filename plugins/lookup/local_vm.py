# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: local_vm
short_description: Which local VMs an inventory declares, and whether this computer can run them
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - A host is a local VM if C(airflow_local_vm) is defined for it and its C(ansible_host) is an address
    in the network of local VMs.
  - Looks only at variables and at the controller, as the user who runs Ansible; no module is started.
options:
  _terms:
    description: Names of inventory hosts.
    type: list
    elements: str
  network:
    description: The network of local VMs in CIDR notation.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Tell why there can be no local VM
  ansible.builtin.fail:
    msg: "{{ controller.refusal }}"
  vars:
    controller: "{{ lookup('windward.airflow.local_vm', *ansible_play_hosts_all, network='10.203.0.0/24') }}"
  when: controller.refusal != ''
"""

RETURN = r"""
_raw:
  description: One dictionary.
  type: list
  elements: dict
  contains:
    vms:
      description: Name, address and forwarded ports of each VM.
      type: list
      elements: dict
    state_dir:
      description: The operator's directory for local VMs, by the XDG standard.
      type: str
    owner:
      description: The operator's UID.
      type: int
    refusal:
      description: Why local VMs cannot work on this computer, empty if they can or none is declared.
      type: str
    missing_packages:
      description: Debian packages that this computer still needs.
      type: list
      elements: str
"""

import os
from typing import Any

from ansible.plugins.lookup import LookupBase

from ..module_utils._local_vm import declared, refusal, state_dir
from ..module_utils._local_vm_host import controller


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict]:
        self.set_options(var_options=variables, direct=kwargs)
        network = self.get_option("network")
        hosts = {name: variables["hostvars"][name] for name in terms}
        vms = declared(hosts, network)
        here = controller()
        return [
            {
                "vms": [vm.declaration for vm in vms],
                "state_dir": state_dir(os.environ),
                "owner": os.getuid(),
                "refusal": refusal(here) if vms else "",
                "missing_packages": here.missing,
            }
        ]
