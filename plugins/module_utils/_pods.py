# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. Into a pod through the Kubernetes API, in this very process: port-forward and exec.

A port-forward rather than the API server's proxy for services: that one keeps the Authorization header for itself,
writes every path into its audit log, needs a network from the API server to the pods that policies allow, and can't
give TLS as far as the pod. A port-forward needs what `kubectl port-forward service/...` needs.

The package websocket-client is imported by whom it is asked of: most users need none.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import ssl
import threading
from typing import Any

from ._kubeconfig import KubernetesError
from ._kubernetes_api import Api


class Pods:
    """The pods of one namespace."""

    def __init__(self, kubeconfig: str | None, context: str | None, namespace: str, timeout: float = 30) -> None:
        # Whoever asks has patience of his own.
        self.api = Api(kubeconfig, context, timeout, where=f" in namespace {namespace}", tries=1)
        self.place, self.namespace, self.timeout = f"/api/v1/namespaces/{namespace}", namespace, timeout

    def close(self) -> None:
        self.api.close()

    def ready(self, selector: str) -> dict[str, Any]:
        """The first pod by name that is ready and stays."""
        found = self.api.items(f"{self.place}/pods", labelSelector=selector)
        for pod in sorted(found, key=lambda one: str(one["metadata"]["name"])):
            conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions") or ()}
            if conditions.get("Ready") == "True" and not pod["metadata"].get("deletionTimestamp"):
                return pod
        raise KubernetesError(f"no pod with {selector} is ready in namespace {self.namespace}")

    def behind(self, service: str, port: int) -> tuple[str, int]:
        """Name and port of a ready pod behind a Service's port."""
        spec = self.api.get(f"{self.place}/services/{service}")["spec"]
        ports, selector = spec.get("ports") or (), spec.get("selector")
        targets = [one.get("targetPort") or one["port"] for one in ports if one["port"] == port]
        if not targets or not selector:
            there = ", ".join(str(one["port"]) for one in ports)
            what = f"ports {there} only, not {port}" if selector else "no pods of its own"
            raise KubernetesError(f"Service {service} of namespace {self.namespace} has {what}", lasting=True)
        pod = self.ready(",".join(f"{key}={value}" for key, value in selector.items()))
        name = str(pod["metadata"]["name"])
        if str(targets[0]).isdecimal():
            return name, int(targets[0])
        for container in pod["spec"]["containers"]:
            for one in container.get("ports") or ():
                if one.get("name") == targets[0]:
                    return name, int(one["containerPort"])
        raise KubernetesError(f"pod {name} has no port {targets[0]}", lasting=True)

    def forward(self, service: str, port: int) -> socket.socket:
        """A socket that leads to a Service's port. Closed, it leaves nothing behind."""
        pod, number = self.behind(service, port)
        session = self.api.stream(f"{self.place}/pods/{pod}/portforward", [("ports", str(number))])
        session.settimeout(None)
        near, far = socket.socketpair()
        near.settimeout(self.timeout)
        threading.Thread(target=lead, args=(session, far), name=f"port-forward to {pod}", daemon=True).start()
        return near

    def execute(
        self, pod: str, container: str | None, command: list[str], stdin: bytes = b""
    ) -> tuple[int, bytes, bytes]:
        """Run a command in a pod: its exit code, what it wrote to stdout and to stderr."""
        query = [("command", word) for word in command] + [(name, "true") for name in ("stdin", "stdout", "stderr")]
        query += [("container", container)] if container else []
        session = self.api.stream(f"{self.place}/pods/{pod}/exec", query)
        session.settimeout(None)  # a command may be silent for long
        said: dict[int, list[bytes]] = {1: [], 2: [], 3: []}
        try:
            for start in range(0, len(stdin), CHUNK):
                session.send_binary(b"\0" + stdin[start : start + CHUNK])
            while (frame := received(session)) is not None:
                if frame and frame[0] in said:
                    said[frame[0]].append(frame[1:])
        except OSError as error:
            raise KubernetesError(f"the connection to pod {pod} broke off: {error}") from error
        finally:
            session.shutdown()  # its close() would wait for an answer
        out, err, end = (b"".join(parts) for parts in said.values())
        return exit_code(end, pod), out, err


CHUNK = 1 << 20


def received(session: Any) -> bytes | None:
    """The next frame: its channel's number and what came on it. Empty is one of the protocol's own, None the end."""
    import websocket

    try:
        kind, frame = session.recv_data(True)
    except websocket.WebSocketException:
        return None
    if kind == websocket.ABNF.OPCODE_CLOSE:
        return None
    return bytes(frame) if kind in (websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT) else b""


def lead(session: Any, far: socket.socket) -> None:
    """Hand on what comes through a port-forward and what goes to it, until one side has enough.

    Channel 0 is the port, 1 its errors; the first frame of each holds the port's number.
    """
    begun: set[int] = set()
    with contextlib.suppress(OSError), contextlib.closing(far):
        while True:
            held = getattr(session.sock, "pending", lambda: 0)()  # read from the network, and not yet from TLS
            ready = [session.sock] if held else select.select([session.sock, far], [], [])[0]
            if far in ready:
                if not (data := far.recv(65536)):
                    break
                session.send_binary(b"\0" + data)
            if session.sock in ready:
                if (frame := received(session)) is None or (frame[:1] == b"\1" and 1 in begun):
                    break
                if frame and frame[0] in begun:
                    far.sendall(frame[1:])
                begun.update(frame[:1])
    session.shutdown()


def exit_code(said: bytes, pod: str) -> int:
    """What Kubernetes says about how a command ended."""
    try:
        status = json.loads(said)
    except ValueError:
        raise KubernetesError(f"the connection to pod {pod} broke off") from None
    if status.get("status") == "Success":
        return 0
    causes = {one.get("reason"): one.get("message") for one in (status.get("details") or {}).get("causes") or ()}
    if str(causes.get("ExitCode")).isdecimal():
        return int(causes["ExitCode"])
    raise KubernetesError(f"pod {pod}: {status.get('message')}")


class Connection(http.client.HTTPConnection):
    """HTTP to a Service, known as pods know it, that perhaps nobody but the cluster can reach."""

    def __init__(self, pods: Pods, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=pods.timeout)
        self.pods, self.tls = pods, tls

    def connect(self) -> None:
        self.sock = self.pods.forward(self.host.partition(".")[0], self.port)
        if self.tls:
            self.sock = self.tls.wrap_socket(self.sock, server_hostname=self.host)


def around(kubeconfig: str, context: str | None, host: str, timeout: float) -> Pods:
    """The namespace of a Service as pods know it: SERVICE.NAMESPACE, perhaps with the cluster's domain."""
    namespace = host.partition(".")[2].partition(".")[0]
    if not namespace:
        wanted = "api_url must name a Service as pods do, http://SERVICE.NAMESPACE:PORT"
        raise KubernetesError(f"{wanted}, not {host}", lasting=True)
    return Pods(kubeconfig, context, namespace, timeout)
