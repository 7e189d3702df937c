# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. Into a pod through the Kubernetes API, in this very process: port-forward and exec.

A port-forward rather than the API server's proxy for services: that one keeps the Authorization header for itself,
writes every path into its audit log, needs a network from the API server to the pods that policies allow, and can't
give TLS as far as the pod. A port-forward needs what `kubectl port-forward service/...` needs.

The package kubernetes is imported by whom it is asked of: it takes half a second, and most users need none.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
from typing import Any


class PodError(OSError):
    """One sentence for the user. Some errors pass; one that is `lasting` does not."""

    def __init__(self, message: str, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


def no_way(kubeconfig: str | None, why: str = "it is no kubeconfig") -> str:
    """Why nobody can be asked, without what is in the file, which may be a token."""
    return f"there is no way to a cluster: {why} ({kubeconfig or '~/.kube/config'})"


class Pods:
    """The pods of one namespace."""

    def __init__(self, kubeconfig: str | None, context: str | None, namespace: str, timeout: float = 30) -> None:
        try:
            import websocket
            import yaml
            from kubernetes import client, config
            from kubernetes.client.exceptions import ApiException
            from urllib3.exceptions import HTTPError
        except ImportError as error:
            raise PodError(f"The Python package kubernetes is needed on this host: {error}", lasting=True) from error
        websocket.setdefaulttimeout(timeout)
        self.errors, self.closed = (ApiException, HTTPError), websocket.WebSocketException
        self.namespace, self.timeout = namespace, timeout
        about = client.Configuration()
        try:
            config.load_kube_config(kubeconfig or None, context or None, client_configuration=about)
        except config.ConfigException as error:
            raise PodError(no_way(kubeconfig, str(error)), lasting=True) from error
        except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise PodError(no_way(kubeconfig), lasting=True) from error
        about.retries = False  # whoever asks has patience of his own
        self.api = client.CoreV1Api(client.ApiClient(about))

    def close(self) -> None:
        self.api.api_client.rest_client.pool_manager.clear()

    def ask(self, call: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options, _request_timeout=self.timeout)
        except self.errors as error:
            raise refusal(error, self.namespace) from error

    def ready(self, selector: str) -> Any:
        """The first pod by name that is ready and stays."""
        found = self.ask(self.api.list_namespaced_pod, self.namespace, label_selector=selector).items
        for pod in sorted(found, key=lambda one: str(one.metadata.name)):
            conditions = {one.type: one.status for one in pod.status.conditions or ()}
            if conditions.get("Ready") == "True" and not pod.metadata.deletion_timestamp:
                return pod
        raise PodError(f"no pod with {selector} is ready in namespace {self.namespace}")

    def behind(self, service: str, port: int) -> tuple[str, int]:
        """Name and port of a ready pod behind a Service's port."""
        spec = self.ask(self.api.read_namespaced_service, service, self.namespace).spec
        targets = [one.target_port or one.port for one in spec.ports or () if one.port == port]
        if not targets or not spec.selector:
            there = ", ".join(str(one.port) for one in spec.ports or ())
            what = f"ports {there} only, not {port}" if spec.selector else "no pods of its own"
            raise PodError(f"Service {service} of namespace {self.namespace} has {what}", lasting=True)
        pod = self.ready(",".join(f"{key}={value}" for key, value in spec.selector.items()))
        name = str(pod.metadata.name)
        if str(targets[0]).isdecimal():
            return name, int(targets[0])
        for container in pod.spec.containers:
            for one in container.ports or ():
                if one.name == targets[0]:
                    return name, int(one.container_port)
        raise PodError(f"pod {name} has no port {targets[0]}", lasting=True)

    def forward(self, service: str, port: int) -> Any:
        """A socket that leads to a Service's port. Closed, it leaves nothing behind."""
        from kubernetes.stream import portforward

        pod, number = self.behind(service, port)
        try:
            call = self.api.connect_get_namespaced_pod_portforward
            found = portforward(call, pod, self.namespace, ports=str(number)).socket(number)
        except self.errors as error:
            raise refusal(error, self.namespace) from error
        found.settimeout(self.timeout)
        return found

    def execute(self, pod: str, container: str | None, command: list[str], stdin: bytes = b"") -> tuple[int, Any, Any]:
        """Run a command in a pod: its exit code, what it wrote to stdout and to stderr."""
        from kubernetes.stream import stream

        streams = {name: True for name in ("stdin", "stdout", "stderr")}
        place = {"container": container} if container else {}
        try:
            session = stream(
                self.api.connect_get_namespaced_pod_exec, pod, self.namespace, command=command, tty=False,
                **streams, **place, binary=True, _preload_content=False,
            )  # fmt: skip
        except self.errors as error:
            raise refusal(error, self.namespace) from error
        session.sock.settimeout(None)  # a command may be silent for long
        said: dict[int, list[bytes]] = {1: [], 2: [], 3: []}
        try:
            for start in range(0, len(stdin), CHUNK):
                session.write_stdin(stdin[start : start + CHUNK])
            while True:
                opcode, frame = session.sock.recv_data_frame(True)
                if opcode == CLOSE:
                    break
                if frame.data and frame.data[0] in said:
                    said[frame.data[0]].append(bytes(frame.data[1:]))
        except OSError as error:
            raise PodError(f"the connection to pod {pod} broke off: {error}") from error
        except self.closed:
            pass  # without the status that comes last it was too early
        finally:
            session.sock.shutdown()  # its close() would wait for an answer
        out, err, end = (b"".join(parts) for parts in said.values())
        return exit_code(end, pod), out, err


CHUNK, CLOSE = 1 << 20, 0x8


def exit_code(said: bytes, pod: str) -> int:
    """What Kubernetes says about how a command ended."""
    try:
        status = json.loads(said)
    except ValueError:
        raise PodError(f"the connection to pod {pod} broke off") from None
    if status.get("status") == "Success":
        return 0
    causes = {one.get("reason"): one.get("message") for one in (status.get("details") or {}).get("causes") or ()}
    if str(causes.get("ExitCode")).isdecimal():
        return int(causes["ExitCode"])
    raise PodError(f"pod {pod}: {status.get('message')}")


def refusal(error: Any, namespace: str) -> PodError:
    """Kubernetes' own sentence. A handshake that was refused comes as text, with the answer at its end."""
    status, told = getattr(error, "status", None), getattr(error, "body", None)
    if status == 0:
        found = re.search(r"Handshake status (\d+)", str(error.reason))
        status, told = int(found[1]) if found else None, str(error.reason)
        told = told[told.find('{"') :].rstrip("'") if '{"' in told else told
    if status is None:
        return PodError(f"Kubernetes can't be reached: {getattr(error, 'reason', None) or error}")
    try:
        message = json.loads(told or "")["message"]
    except (ValueError, TypeError, KeyError):
        message = f"HTTP {status}"
    # 401 and 403 are also said by an API server that has just started and has not read its rights yet; that passes
    # before anybody calls a cluster ready, so here it is told at once.
    return PodError(f"Kubernetes refuses in namespace {namespace}: {message}", lasting=status in (401, 403, 404))


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
        raise PodError(f"{wanted}, not {host}", lasting=True)
    return Pods(kubeconfig, context, namespace, timeout)
