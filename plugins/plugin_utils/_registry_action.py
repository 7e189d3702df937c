# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. The controller's half of modules that ask a registry: it logs in at ECR."""

from __future__ import annotations

import contextlib
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError

from ..module_utils._image import parse, region
from ..module_utils._registry import ImageError
from ..module_utils._registry_options import AWS
from . import _ecr
from ._here import HereAction

Result = dict[str, Any]


class RegistryAction(HereAction):
    MODULE = ""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        aws = {name: arguments.pop(name, None) for name in AWS}
        if bool(aws["aws_access_key"]) != bool(aws["aws_secret_key"]):
            raise AnsibleActionFail("aws_access_key and aws_secret_key go together.")
        by_aws = self._is_ours(arguments)
        with self._progress() as progress:
            for again in (False, True):
                if by_aws:
                    arguments |= self._login(str(arguments["image"]), aws)
                if arguments.get("registry_password") or arguments.get("environment"):
                    self._keep_off_disks()
                result: Result = self._execute_module(
                    module_name=self.MODULE, module_args={**arguments, **progress}, task_vars=task_vars
                )
                # It ended while blobs were read: a new one, once.
                if again or not by_aws or not result.pop("refused", False):
                    break
        return result

    def _progress(self) -> contextlib.AbstractContextManager[Result]:
        """More options, for as long as the module runs."""
        return contextlib.nullcontext({})

    def _is_ours(self, arguments: Result) -> bool:
        """Whether AWS is asked for the log-in."""
        try:
            return bool(region(parse(str(arguments.get("image"))))) and not arguments.get("registry_username")
        except ImageError:
            return False  # the module says it

    def _login(self, image: str, aws: Result) -> Result:
        try:
            username, password = _ecr.login(parse(image), aws)
        except ImageError as error:
            raise AnsibleActionFail(str(error)) from error
        return {"registry_username": username, "registry_password": password}

    def _keep_off_disks(self) -> None:
        """Without pipelining a module's arguments are written to a file of the host."""
        with contextlib.suppress(AnsibleError, KeyError):
            self._connection.set_option("pipelining", True)
        if not self._is_pipelining_enabled("new"):
            raise AnsibleActionFail(
                "The registry's password, or a proxy's, would be written to the host's disk: this needs a connection "
                "with pipelining, and ANSIBLE_KEEP_REMOTE_FILES unset."
            )
