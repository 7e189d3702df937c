# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The controller's half of module ``found``: says what to look at, and judges what was found."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase

from ..filter.addresses import addresses
from ..plugin_utils._preflight import ansible, engine
from ..plugin_utils._preflight.contract import Contract
from ..plugin_utils._preflight.rules.broker import looks_at_broker
from ..plugin_utils._preflight.rules.hosts import DIRECTORIES, ports

QUEUES = "airflow_worker_queues"  # all that a rule asks about other hosts


class ActionModule(ActionBase):
    """Look at one host."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self.validate_argument_spec({})
        variables = task_vars or {}
        contract, name = Contract.load(), variables["inventory_hostname"]
        given = {name: ansible.given(contract, variables, self._templar)}
        for worker in set(variables["groups"].get(contract.components["worker"]["group"], ())) - {name}:
            queues = variables["hostvars"][worker].get(QUEUES)
            given[worker] = engine.Given({QUEUES: queues} if queues is not None else {})
        deployment, wrong = engine.deployment(contract, variables["groups"], given)
        if wrong:
            return ansible.result(wrong)
        host = deployment.hosts[name]
        arguments = {
            "directories": [host[variable] for variable in DIRECTORIES],
            "install_dir": host["airflow_install_dir"],
            "python": host["airflow_python"],
            "ports": [port for port, _what in ports(host).values()],
            "broker_url": host["airflow_broker_url"] if looks_at_broker(host) else "",
            "names": sorted(set(addresses(variables["groups"]["airflow"], variables["hostvars"]).values())),
        }
        before = time.time()
        seen = self._execute_module(module_name="windward.airflow.found", module_args=arguments, task_vars=task_vars)
        if seen.get("failed") or "found" not in seen:
            return seen
        found = seen["found"]
        # The host looked at its clock between these two moments, so only what lies outside is skew.
        found["clock_skew"] = min(found["time"] - before, 0) + max(found["time"] - time.time(), 0)
        return ansible.result(engine.found(host, found), found=found)
