# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: pod
short_description: Run tasks in a pod, through the Kubernetes API and in this very process
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Runs modules in a container that has a shell and Python, as the user of that container.
  - Unlike P(kubernetes.core.kubectl#connection) it needs no program on the controller, and asks once for a module.
requirements:
  - websocket-client
options:
  pod:
    description: Name of the pod.
    type: str
    required: true
    vars:
      - name: inventory_hostname
      - name: ansible_pod_name
  namespace:
    description: The pod's namespace.
    type: str
    required: true
    vars:
      - name: ansible_pod_namespace
  container:
    description: The container. It is needed where the pod has several.
    type: str
    vars:
      - name: ansible_pod_container
  kubeconfig:
    description: File with the way to the cluster. If unset, C(~/.kube/config).
    type: path
    vars:
      - name: ansible_pod_kubeconfig
    env:
      - name: K8S_AUTH_KUBECONFIG
      - name: KUBECONFIG
  context:
    description: The kubeconfig's context. If unset, the one that is current there.
    type: str
    vars:
      - name: ansible_pod_context
    env:
      - name: K8S_AUTH_CONTEXT
"""

import shlex
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

from ..module_utils._kubernetes_api import KubernetesError
from ..module_utils._pods import Pods

Done = tuple[int, bytes, bytes]


class Connection(ConnectionBase):
    """A pod as a host."""

    transport = "windward.airflow.pod"
    has_pipelining = True
    _connected: bool

    def _connect(self) -> Connection:
        if not self._connected:
            try:
                where = [self.get_option(name) for name in ("kubeconfig", "context", "namespace")]
                self._pods = Pods(*where)
            except KubernetesError as error:
                raise AnsibleConnectionFailure(str(error)) from error
            self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> Done:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._run(cmd, in_data or b"")

    def put_file(self, in_path: str, out_path: str) -> None:
        super().put_file(in_path, out_path)
        try:
            content = Path(in_path).read_bytes()
        except OSError as error:
            raise AnsibleFileNotFound(f"{in_path} can't be read: {error.strerror}") from error
        self._transfer(f"cat > {shlex.quote(out_path)}", content)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        super().fetch_file(in_path, out_path)
        Path(out_path).write_bytes(self._transfer(f"cat < {shlex.quote(in_path)}", b""))

    def close(self) -> None:
        if self._connected:
            self._pods.close()
            self._connected = False

    def _transfer(self, command: str, content: bytes) -> bytes:
        code, said, complained = self._run(command, content)
        if code:
            raise AnsibleConnectionFailure(f"{command}: {complained.decode(errors='replace').strip()}")
        return said

    def _run(self, command: str, stdin: bytes) -> Done:
        """The protocol can't say that standard input is over, so its length is told to whom reads it."""
        pod = self.get_option("pod")
        Display().vvv(f"EXEC {command}", host=pod)
        fed = f"head -c {len(stdin)} | {{ {command}\n}}"
        try:
            return self._pods.execute(pod, self.get_option("container"), ["/bin/sh", "-c", fed], stdin)
        except KubernetesError as error:
            raise AnsibleConnectionFailure(f"Pod {pod}: {error}") from error
