#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: service_forward
short_description: Lead a port of this computer to a Service of a cluster while somebody looks
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Listens on C(127.0.0.1) and leads each connection to a ready pod behind a Service, until Ctrl-C or Return is pressed
    or time is up. Nothing runs afterwards.
  - It runs on the controller, as an action plugin. Without a terminal it goes on until it is ended or time is up.
extends_documentation_fragment:
  - windward.airflow.cluster
options:
  service:
    description: Name of the Service.
    type: str
    required: true
  port:
    description: The Service's port.
    type: int
    default: 8080
  local_port:
    description: The port of this computer. V(0) means one that is free.
    type: int
    default: 8080
  prompt:
    description: What is said to whom waits. C({port}) in it is the port of this computer.
    type: str
    default: http://localhost:{port} leads there. Ctrl-C ends it.
  seconds:
    description: Ends it after that time. V(0) means never.
    type: int
    default: 0
attributes:
  check_mode:
    support: full
    description: Looks for a pod behind the Service, and does not wait.
  diff_mode:
    support: none
    description: Nothing is changed.
"""

EXAMPLES = r"""
- name: Open the UI
  windward.airflow.service_forward:
    namespace: airflow
    service: airflow-api-server
"""

RETURN = r"""
connections:
  description: How many were led there.
  type: int
  returned: success
  sample: 12
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._kubernetes import OPTIONS

SPEC: dict[str, Any] = {
    **OPTIONS,
    "service": {"type": "str", "required": True},
    "port": {"type": "int", "default": 8080},
    "local_port": {"type": "int", "default": 8080},
    "prompt": {"type": "str", "default": "http://localhost:{port} leads there. Ctrl-C ends it."},
    "seconds": {"type": "int", "default": 0},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    module.fail_json(msg="This module is run by its action plugin, on the controller.")


if __name__ == "__main__":
    main()
