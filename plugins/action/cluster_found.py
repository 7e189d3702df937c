# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The controller's half of module ``cluster_found``: says what to look at, and judges what was found."""

from __future__ import annotations

from typing import Any

from ..plugin_utils._here import HereAction
from ..plugin_utils._preflight import ansible, engine
from ..plugin_utils._preflight.contract import Contract
from ..plugin_utils._preflight.rules.cluster_found import (
    CLAIMS,
    pods,
    rights,
    rights_elsewhere,
    to_remove,
)


class ActionModule(HereAction):
    """Look at the cluster of one host."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        contract, name = Contract.load(), variables["inventory_hostname"]
        deployment, wrong = engine.deployment(
            contract, variables["groups"], {name: ansible.given(contract, variables, self._templar)}
        )
        if wrong:
            return ansible.result(wrong)
        host = deployment.hosts[name]
        arguments = {"namespace": host["airflow_namespace"] or host["airflow_name"]}
        if self._task.args.get("purpose") == "remove":
            elsewhere = {place: to_remove(wanted) for place, wanted in rights_elsewhere(host).items()}
            arguments |= {"purpose": "remove", "rights": to_remove(rights(host)), "elsewhere": elsewhere}
            judge, refusal = engine.cluster_removable, "this can't be removed, and nothing was:"
        else:
            names = [f"{host['airflow_name']}-{volume}" for volume in CLAIMS]
            arguments |= {"rights": rights(host), "elsewhere": rights_elsewhere(host)}
            arguments |= {"pods": pods(host), "names": names}
            judge, refusal = engine.cluster_found, ansible.REFUSAL
        seen = self._execute_module(
            module_name="windward.airflow.cluster_found", module_args=arguments, task_vars=task_vars
        )
        if seen.get("failed") or "found" not in seen:
            return seen
        return ansible.result(judge(host, seen["found"]), refusal, found=seen["found"])
