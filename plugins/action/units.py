# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The controller's half of module ``units``: Celery's worker is drained before it stops, and what runs is said.

It is one task with the restart, so that a batch is both: no two workers are drained at once, unless they may be.
"""

from __future__ import annotations

from collections.abc import Callable

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from .worker_drain import Result, follow

Module = Callable[[str, Result], Result]


def drained(module: Module, arguments: Result, say: Callable[[str], None]) -> Result:
    """Drain the worker, unless it runs as wanted or is only waited for. Return nothing if there is none."""
    digests = {unit["component"]: unit.get("digest") for unit in arguments.get("units") or []}
    consumer, leaves = arguments.get("consumer"), "worker" in (arguments.get("absent") or [])
    if not consumer or not (digests.get("worker") or leaves):
        return {}
    wanted = {**consumer, "digest": digests.get("worker", "")}
    return follow(lambda options: module("worker_drain", options), wanted, float(consumer.get("timeout", 3600)), say)


def drain_and_restart(module: Module, arguments: Result, say: Callable[[str], None]) -> Result:
    """A worker with tasks is not restarted. One that gives no answer is: what is wrong with it may be mended so.

    But not one that could not even be asked: its tasks run, and with a configuration that can't be loaded no other
    worker would come.
    """
    first = drained(module, arguments, say)
    if (first.get("failed") and not first.get("silent")) or first.get("unreachable"):
        return {**first, "msg": f"{first.get('msg')} Nothing was restarted; the next run goes on."}
    result = module("units", arguments)
    result["changed"] = bool(first.get("changed") or result.get("changed"))
    if first.get("failed"):
        result["warnings"] = [*result.get("warnings", []), f"It was stopped without that: {first.get('msg')}"]
    return result


class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        super().run(tmp, task_vars)

        def module(name: str, arguments: Result) -> Result:
            found: Result = self._execute_module(
                module_name=f"windward.airflow.{name}", module_args=arguments, task_vars=task_vars
            )
            return found

        return drain_and_restart(module, dict(self._task.args), lambda line: Display().display(line, stderr=True))
