#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: declared
short_description: Refuse what was declared and cannot be
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Checks the variables and the inventory groups of a deployment by rules, and lists everything that is wrong at once,
    each with the variable, its value unless it is secret, and what to do. Fails if there is anything to refuse.
  - Reads the hosts of the groups C(airflow) and C(airflow_removed), also those that the play or C(--limit) leaves out.
  - The rules are listed in the README of role C(windward.airflow.preflight), whose entry point C(declared) uses this.
attributes:
  action:
    support: full
    description: Runs on the controller only.
  bypass_host_loop:
    support: full
    description: Runs once, for all hosts.
  check_mode:
    support: full
    description: Never changes anything.
  diff_mode:
    support: none
    description: Never changes anything.
"""

EXAMPLES = r"""
- name: Refuse what cannot be
  hosts: airflow
  gather_facts: false
  tasks:
    - name: Check what was declared
      ansible.builtin.include_role:
        name: windward.airflow.preflight
        tasks_from: declared
"""

RETURN = r"""
msg:
  description: The refusals, one a line.
  returned: failure
  type: str
  sample: |-
    this can't be deployed:
    airflow_executor: 'CeleryExecutor' - no broker: give airflow_broker_url
"""
