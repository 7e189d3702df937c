# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The controller's half of module ``dag_run``: says how far a run has come. A module has no voice until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ansible.utils.display import Display

from ..modules.dag_run import ENDED, SPEC, progress
from ..plugin_utils._here import HereAction

SLICE = 15.0  # seconds between two lines

Result = dict[str, Any]


def follow(execute: Callable[[Result], Result], arguments: Result, total: float, say: Callable[[str], None]) -> Result:
    """Run the module for a slice of its time, say a line, and let it go on waiting for the same run."""
    start = time.monotonic()
    done: Result = {}
    gone = 0.0
    while True:
        result = execute({**arguments, "timeout": max(0.0, min(SLICE, total - gone))})
        # What the first slice did is what the task did; the others found the run there.
        done = done or {key: result[key] for key in ("changed", "diff") if key in result}
        result.update(done)
        run, gone = result.get("run") or {}, time.monotonic() - start
        if not result.get("failed") or "tasks" not in result or run.get("state", ENDED[0]) in ENDED or gone >= total:
            return result
        say(f"{run['dag_id']}/{run['dag_run_id']}: {progress(run['state'], result['tasks'])} ({gone:.0f} s)")
        # A rerun that fails again is not to be started once more.
        arguments = {**arguments, "run_id": run["dag_run_id"], "rerun_failed": False}


class ActionModule(HereAction):
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        super().run(tmp, task_vars)

        def execute(arguments: Result) -> Result:
            found: Result = self._execute_module(
                module_name="windward.airflow.dag_run",
                module_args=arguments,
                task_vars=task_vars,
                wrap_async=bool(self._task.async_val),
            )
            return found

        def say(line: str) -> None:
            if not self._task.no_log:
                Display().display(line, stderr=True)

        arguments = dict(self._task.args)
        try:
            total = float(arguments.get("timeout", SPEC["timeout"]["default"]))
        except (TypeError, ValueError):
            return execute(arguments)  # which refuses it
        return execute(arguments) if self._task.async_val else follow(execute, arguments, total, say)
