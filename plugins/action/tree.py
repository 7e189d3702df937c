# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The controller's half of module ``tree``: digest, ask the host what it lacks, transfer that."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils import _tree


class ActionModule(ActionBase):
    """Deliver directories of the controller."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        trees = [dict(tree) for tree in arguments.get("trees") or []]
        for tree in trees:
            tree["src"] = self._source(str(tree.get("src")))
            try:
                tree["digest"] = _tree.digest(tree["src"])
            except _tree.TreeError as error:
                raise AnsibleActionFail(str(error)) from error
        result = self._run(arguments, trees, task_vars)
        missing = [tree for tree, there in zip(trees, result.get("trees", []), strict=False) if not there["present"]]
        if not missing or self._task.check_mode or result.get("failed"):
            return result
        try:
            for tree in missing:
                tree["archive"] = self._transfer(tree["src"], tree["digest"])
            return self._run(arguments, trees, task_vars)
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _source(self, name: str) -> str:
        path = Path(self._loader.path_dwim(name))
        if not path.is_dir():
            raise AnsibleActionFail(f"{path}: no such directory on the controller.")
        return str(path)

    def _run(self, arguments: dict[str, Any], trees: list[Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        return self._execute_module(
            module_name="windward.airflow.tree", module_args={**arguments, "trees": trees}, task_vars=task_vars
        )

    def _transfer(self, source: str, digest: str) -> str:
        """Send the archive and return its place on the host."""
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        remote = self._connection._shell.join_path(self._connection._shell.tmpdir, f"{digest}.tar.gz")
        handle, local = tempfile.mkstemp(suffix=".tar.gz")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(_tree.pack(source))
            self._transfer_file(local, remote)
        finally:
            Path(local).unlink()
        self._fixup_perms2([self._connection._shell.tmpdir, remote])
        return remote
