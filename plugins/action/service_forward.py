# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The whole of ``service_forward``: a module has no voice while it runs, and no way to hear Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleActionFail, AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils._kubernetes_api import KubernetesError
from ..module_utils._pods import Pods
from ..modules.service_forward import SPEC


class Forwarder:
    """Leads every connection to a port of this computer to a Service."""

    def __init__(self, pods: Pods, service: str, port: int, local_port: int, say: Callable[[str], None]) -> None:
        self.pods, self.service, self.target, self.say = pods, service, port, say
        self.connections = 0
        self.one_at_a_time = threading.Lock()  # it is one connection that is asked for the pod
        self.listener = socket.create_server(("127.0.0.1", local_port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.listen, daemon=True).start()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)  # alone, close() would leave it to who accepts at this moment
        self.listener.close()

    def listen(self) -> None:
        with contextlib.suppress(OSError):  # that it is closed
            while True:
                near, _address = self.listener.accept()
                threading.Thread(target=self.lead, args=(near,), daemon=True).start()

    def lead(self, near: socket.socket) -> None:
        try:
            with self.one_at_a_time:
                far = self.pods.forward(self.service, self.target)
                self.connections += 1
        except KubernetesError as error:
            self.say(str(error))
            near.close()
            return
        far.settimeout(None)
        back = threading.Thread(target=pump, args=(far, near), daemon=True)
        back.start()
        pump(near, far)
        back.join()
        near.close()
        far.close()


def pump(source: Any, target: Any) -> None:
    """Hand on what comes until one side has enough, and tell the other."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one in (target, source):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _checked, given = self.validate_argument_spec(
            argument_spec={name: {key: spec[key] for key in spec if key != "fallback"} for name, spec in SPEC.items()}
        )
        kubeconfig, context = (given[name] or fallback(name) for name in ("kubeconfig", "context"))
        try:
            pods = Pods(kubeconfig, context, given["namespace"])
            pods.behind(given["service"], given["port"])
        except KubernetesError as error:
            raise AnsibleActionFail(str(error)) from error
        if self._task.check_mode:
            return {"changed": False, "connections": 0}
        display = Display()
        try:
            forwarder = Forwarder(pods, given["service"], given["port"], given["local_port"], display.warning)
        except OSError as error:
            where = f"Port {given['local_port']} of this computer can't be used"
            raise AnsibleActionFail(f"{where}: {error.strerror}.") from error
        try:
            wait(display, given["prompt"].replace("{port}", str(forwarder.port)), given["seconds"] or None)
        finally:
            forwarder.close()
        return {"changed": False, "connections": forwarder.connections}


def fallback(name: str) -> str | None:
    variables = SPEC[name]["fallback"][1]
    return next((os.environ[variable] for variable in variables if os.environ.get(variable)), None)


def wait(display: Display, prompt: str, seconds: int | None) -> None:
    try:
        display.prompt_until(prompt, private=True, seconds=seconds)
    except AnsiblePromptInterrupt:
        pass
    except AnsiblePromptNoninteractive:
        display.display(prompt)
        time.sleep(seconds or 10**8)
