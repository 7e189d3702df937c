# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. A module of ours that is meant for this computer runs in its task's own process.

Ansible starts an interpreter for a module, which compiles it and all that it imports out of an archive: half a second
of processor time. Over connection `local`, as the same user and with the play's own interpreter, the process that
Ansible has forked for the task is the same place. In every other case the module is started as usual.

Each module that is meant for it has an action of its name. To lead them all to one by meta/runtime.yml would take the
name from them, by which Ansible finds `module_defaults`.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from ansible import constants as C
from ansible.module_utils import basic
from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.plugins.action import ActionBase

from ..module_utils import _kubernetes, _module, _pods

READ_ONCE = (_kubernetes, _module, _pods)  # in a play's process, and not by each of those that it forks
COLLECTION = "windward.airflow."
MODULES = "ansible_collections.windward.airflow.plugins.modules."
PROFILE = "legacy"  # of the JSON that Ansible and modules exchange, as Ansible itself names it for ours

Result = dict[str, Any]


@contextlib.contextmanager
def environment(given: Result) -> Iterator[None]:
    """A loop's next item runs in the same process."""
    before = dict(os.environ)
    os.environ.update({name: str(value) for name, value in given.items()})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class HereAction(ActionBase):
    _supports_check_mode = True
    _supports_async = True

    def _execute_module(
        self, module_name: str | None = None, module_args: Result | None = None, *args: Any,
        task_vars: Result | None = None, wrap_async: bool = False, **more: Any,
    ) -> Result:  # fmt: skip
        name, variables = module_name or self._task.action, task_vars or {}
        if not wrap_async and name.startswith(COLLECTION) and self._is_here(variables):
            return self._run(name, dict(self._task.args if module_args is None else module_args), variables)
        more |= {"task_vars": task_vars, "wrap_async": wrap_async}
        result: Result = super()._execute_module(module_name, module_args, *args, **more)
        return result

    def _is_here(self, variables: Result) -> bool:
        if self._task.delegate_to:
            variables = variables.get("ansible_delegated_vars", {}).get(self._task.delegate_to, {})
        return (
            self._connection.transport == "local"
            and not self._connection.become
            and not C.DEFAULT_KEEP_REMOTE_FILES  # somebody wants to see what is started
            and self._templar.template(variables.get("ansible_python_interpreter")) == sys.executable
        )

    def _run(self, name: str, arguments: Result, variables: Result) -> Result:
        self._update_module_args(name, arguments, variables)
        given: Result = {}
        self._compute_environment_string(given)
        said = io.StringIO()
        with contextlib.ExitStack() as stack:
            stack.enter_context(environment(given))
            stack.enter_context(contextlib.chdir(self._loader.get_basedir()))  # as Ansible starts it
            stack.enter_context(contextlib.redirect_stdout(said))
            # Else it would be removed at an exit that this process has not.
            arguments["_ansible_tmpdir"] = stack.enter_context(tempfile.TemporaryDirectory())
            encoder = get_module_encoder(PROFILE, Direction.CONTROLLER_TO_MODULE)
            basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}, cls=encoder).encode()
            basic._ANSIBLE_PROFILE = PROFILE
            with contextlib.suppress(SystemExit):
                importlib.import_module(MODULES + name.removeprefix(COLLECTION)).main()
        result: Any = self._parse_returned_data({"stdout": said.getvalue(), "stderr": "", "rc": 0}, PROFILE)
        # ansible-core 2.21 has a class for it.
        read: Result = result if isinstance(result, dict) else result.as_result_dict(for_round_trip=True)
        return read


class ModuleAction(HereAction):
    """The action of a module that has no half of its own on the controller."""

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        super().run(tmp, task_vars)
        return self._execute_module(task_vars=task_vars, wrap_async=bool(self._task.async_val))
