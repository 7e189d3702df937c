# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The controller's half of each module that meta/runtime.yml leads here: runs it in the task's own process."""

from __future__ import annotations

from typing import Any

from ..plugin_utils._here import HereAction


class ActionModule(HereAction):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        return self._execute_module(task_vars=task_vars, wrap_async=bool(self._task.async_val))
