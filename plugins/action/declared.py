# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Preflight of what was declared: no host is contacted."""

from __future__ import annotations

from functools import partial
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.template import Templar

from ..plugin_utils._preflight import ansible, engine
from ..plugin_utils._preflight.contract import Contract


class ActionModule(ActionBase):
    """Reads the variables of every host of the deployment, whatever the play's hosts or --limit are."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self.validate_argument_spec({})
        groups = (task_vars or {})["groups"]
        contract = Contract.load()
        names = dict.fromkeys([*groups.get("airflow", ()), *groups.get("airflow_removed", ())])
        given = {name: self._given(contract, name) for name in names}
        findings = engine.declared(contract, groups, given, partial(ansible.decrypted, self._loader))
        return ansible.result(findings)

    def _given(self, contract: Contract, name: str) -> engine.Given:
        """What a task on that host would see: hostvars lack the play's variables and this role's defaults."""
        manager = self._task.get_variable_manager()
        host = manager._inventory.get_host(name)
        variables = manager.get_vars(play=self._task.get_play(), host=host, task=self._task)
        return ansible.given(contract, variables, Templar(loader=self._loader, variables=variables))
