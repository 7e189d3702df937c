# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The controller's half of module ``worker_drain``: says what still runs. A module has no voice until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..modules.worker_drain import SPEC

SLICE = 15.0  # seconds between two lines

Result = dict[str, Any]


def follow(execute: Callable[[Result], Result], arguments: Result, total: float, say: Callable[[str], None]) -> Result:
    """Run the module for a slice of its time, say a line, and let it go on waiting."""
    start, changed = time.monotonic(), False
    while True:
        gone = time.monotonic() - start
        result = execute({**arguments, "timeout": max(0.0, min(SLICE, total - gone))})
        changed = result["changed"] = changed or bool(result.get("changed"))
        gone = time.monotonic() - start
        if not result.get("failed") or not result.get("running") or gone >= total:
            if "seconds" in result:
                result["seconds"] = round(gone, 1)
            return result
        say(f"{arguments['worker']}: {', '.join(result['running'])} ({gone:.0f} s)")


class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        super().run(tmp, task_vars)

        def execute(arguments: Result) -> Result:
            found: Result = self._execute_module(
                module_name="windward.airflow.worker_drain", module_args=arguments, task_vars=task_vars
            )
            return found

        arguments = dict(self._task.args)
        try:
            total = float(arguments.get("timeout", SPEC["timeout"]["default"]))
        except (TypeError, ValueError):
            return execute(arguments)  # which refuses it
        return follow(execute, arguments, total, lambda line: Display().display(line, stderr=True))
