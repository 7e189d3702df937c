#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: local_vm
short_description: Debian VMs on this computer, by systemd-nspawn
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Makes, starts, repairs, stops and removes any number of named VMs that run systemd and answer to ssh.
  - A VM is a copy of a cached Debian root file system that boots with its own address on a private bridge.
    Its host key is generated and pinned, it trusts the CAs of this computer,
    and it shares package caches with the others.
  - Everything is derived from the options and from what is found on the computer. Nothing else is recorded.
  - Needs root, Linux, and the tools that role P(windward.airflow.local_vm#role) installs.
options:
  vms:
    description: The VMs. Others are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the VM and its host name.
        type: str
        required: true
      address:
        description: Its address, within O(network).
        type: str
        required: true
      forward:
        description: Ports of this computer's loopback address that lead to ports of the VM.
        type: list
        elements: dict
        default: []
        suboptions:
          host_port:
            description: Port at 127.0.0.1.
            type: int
            required: true
          port:
            description: Port in the VM.
            type: int
            required: true
  state:
    description:
      - V(running) makes what is missing, starts what is stopped, repairs what is half made, applies a changed
        declaration and returns when each VM answers to ssh and its systemd has finished starting.
      - V(stopped) shuts down.
      - V(absent) removes the VM with everything in it. The bridge and the firewall rules go with the last VM.
    type: str
    choices: [running, stopped, absent]
    default: running
  network:
    description: The private network, an IPv4 network in CIDR notation. Its first address is the gateway.
    type: str
    required: true
  bridge:
    description: Name of the bridge.
    type: str
    required: true
  suite:
    description: Debian suite of the root file system.
    type: str
    required: true
  mirror:
    description:
      - Debian mirror. The security archive is looked for at the same URL with C(-security) appended.
    type: str
    required: true
  ca_bundle:
    description: File with the CAs that the VMs trust besides Debian's. Empty stands for this computer's own.
    type: str
    default: ""
  proxy_environment:
    description: Environment of downloads that this computer makes for a root file system, such as C(http_proxy).
    type: dict
    default: {}
  state_dir:
    description: Directory of root file systems, VMs, caches, login key and known hosts.
    type: path
    required: true
  owner:
    description: UID of the operator, who gets the login key and the known hosts.
    type: int
    default: 0
attributes:
  check_mode:
    support: full
    description: Tells what would be done, also before anything exists.
  diff_mode:
    support: full
    description: Shows the state of each VM before and after.
"""

EXAMPLES = r"""
- name: Two VMs that can reach each other
  windward.airflow.local_vm:
    vms:
      - name: airflow-dev
        address: 10.203.0.10
        forward:
          - {host_port: 8080, port: 8080}
      - name: airflow-db
        address: 10.203.0.11
    network: 10.203.0.0/24
    bridge: airflow0
    suite: bookworm
    mirror: http://deb.debian.org/debian
    state_dir: "{{ lookup('windward.airflow.local_vm', network='10.203.0.0/24').state_dir }}"
  become: true
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
vms:
  description: What was done, in the order of the option.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name of the VM.
      type: str
    address:
      description: Its address.
      type: str
    was:
      description: What there was, one of V(absent), V(partial), V(stopped), V(running).
      type: str
    steps:
      description: What was done, or would be done in check mode.
      type: list
      elements: str
    failed_units:
      description: Units in the VM that failed to start. Not in check mode.
      type: list
      elements: str
  sample:
    - {name: airflow-dev, address: 10.203.0.10, was: absent, steps: [create, start, forward], failed_units: []}
image:
  description: The root file system that VMs are copied from, and whether it had to be built.
  type: dict
  returned: success
  sample: {name: bookworm-0123456789ab, built: false}
network:
  description: Commands that were needed to bring the bridge and the firewall rules to what is wanted.
  type: list
  elements: str
  returned: success
  sample: [ip link add airflow0 type bridge forward_delay 0]
seconds:
  description: What took how long.
  type: dict
  returned: when not in check mode
  sample: {steps: 1.2, ready: 5.3}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._local_vm import LocalVmError, Site, Vm
from ..module_utils._local_vm_fleet import Fleet


def main() -> None:
    forward = {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"host_port": {"type": "int", "required": True}, "port": {"type": "int", "required": True}},
    }
    vm = {"name": {"type": "str", "required": True}, "address": {"type": "str", "required": True}, "forward": forward}
    module = AnsibleModule(
        argument_spec={
            "vms": {"type": "list", "elements": "dict", "required": True, "options": vm},
            "state": {"type": "str", "choices": ["running", "stopped", "absent"], "default": "running"},
            "network": {"type": "str", "required": True},
            "bridge": {"type": "str", "required": True},
            "suite": {"type": "str", "required": True},
            "mirror": {"type": "str", "required": True},
            "ca_bundle": {"type": "str", "default": ""},
            "proxy_environment": {"type": "dict", "no_log": True, "default": {}},
            "state_dir": {"type": "path", "required": True},
            "owner": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    options, wanted = module.params, module.params["state"]
    site = Site(*(options[name] for name in ("network", "bridge", "suite", "mirror", "state_dir")))
    vms = [Vm.of(vm) for vm in options["vms"]]
    fleet = Fleet(vms, site, options["owner"], options["ca_bundle"], options["proxy_environment"])
    try:
        result = fleet.bring(wanted, module.check_mode)
    except LocalVmError as error:
        module.fail_json(msg=str(error))
    for one in result["vms"]:
        if one.get("failed_units"):
            module.warn(f"{one['name']} runs, but these units failed: {', '.join(one['failed_units'])}")
    after = {one["name"]: wanted if one["steps"] else one["was"] for one in result["vms"]}
    before = {one["name"]: one["was"] for one in result["vms"]}
    module.exit_json(**result, diff={"before": before, "after": after})


if __name__ == "__main__":
    main()
