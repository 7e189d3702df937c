# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. A Docker engine at its socket: which containers there are, and programs run in them."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
from typing import Any
from urllib.parse import quote, urlencode

from ._pipes import Pipes
from ._registry import ImageError

CLUSTER, ROLE = "io.x-k8s.kind.cluster", "io.x-k8s.kind.role"


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Docker:
    def __init__(self, host: str, timeout: float) -> None:
        scheme, _, self._path = host.partition("://")
        if scheme != "unix" or not self._path:
            raise ImageError(f"docker_host {host}: only an engine at a socket of this computer is asked, unix://...")
        self._timeout = timeout

    def nodes(self, cluster: str) -> list[str]:
        """The nodes of a Kind cluster, by name; what balances load before them is none."""
        filters = json.dumps({"label": [f"{CLUSTER}={cluster}"]})
        rows = self._ask("GET", "/containers/json?" + urlencode({"all": "1", "filters": filters}))
        names = sorted(
            row["Names"][0].lstrip("/") for row in rows if "load-balancer" not in row["Labels"].get(ROLE, "")
        )
        if not names:
            raise ImageError(f"there is no Kind cluster {cluster} in the engine at {self._path}")
        return names

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = _Connection(self._path, self._timeout)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            text = reply.read()
        except (OSError, http.client.HTTPException) as exc:
            reason = getattr(exc, "strerror", None) or exc
            raise ImageError(f"the Docker engine at {self._path} can't be asked: {reason}") from exc
        finally:
            connection.close()
        try:
            answer = json.loads(text) if text.strip() else None
        except ValueError:
            answer = None
        if reply.status >= 400:
            said = answer.get("message") if isinstance(answer, dict) else ""
            raise ImageError(f"the Docker engine answers {reply.status}: {said or reply.reason}")
        return answer

    def start(self, container: str, command: list[str]) -> _Program:
        """Run a program as root in a container, with its input and output at hand."""
        made = self._ask("POST", f"/containers/{quote(container, safe='')}/exec", {
            "AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Cmd": command, "User": "0",
        })
        return _Program(self, made["Id"], self._timeout)

    def attach(self, name: str) -> socket.socket:
        """The program's own stream, over what was a request."""
        body = json.dumps({"Detach": False, "Tty": False}).encode()
        link = socket.socket(socket.AF_UNIX)
        try:
            link.settimeout(self._timeout)
            link.connect(self._path)
            link.sendall(
                f"POST /exec/{name}/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
                f"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            )
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                one = link.recv(1)  # no more, what follows belongs to the program
                if not one:
                    break
                head += one
        except OSError as exc:
            link.close()
            raise ImageError(f"the Docker engine at {self._path} can't be asked: {exc.strerror or exc}") from exc
        if head.split(b" ", 2)[1:2] != [b"101"]:
            link.close()
            said = head.decode(errors="replace")[:80].strip()
            raise ImageError(f"the Docker engine does not run the program: {said}")
        return link

    def code(self, name: str) -> int | None:
        """How a program ended, None while it runs."""
        code = self._ask("GET", f"/exec/{name}/json")["ExitCode"]
        return None if code is None else int(code)


class _Program(Pipes):
    """A program in a container."""

    def __init__(self, docker: Docker, name: str, timeout: float) -> None:
        self._docker, self._name = docker, name
        self._link = docker.attach(name)
        super().__init__(self._link.fileno(), [self._link.fileno()], timeout)

    def close_input(self) -> None:
        super().close_input()
        self._link.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def output(self) -> tuple[bytes, bytes]:
        """The engine mixes both streams, in frames with a head of eight bytes."""
        said: dict[int, bytes] = {1: b"", 2: b""}
        (mixed,) = self.read()
        while len(mixed) >= 8:
            kind, length = struct.unpack(">BxxxL", mixed[:8])
            said[kind] = said.get(kind, b"") + mixed[8 : 8 + length]
            mixed = mixed[8 + length :]
        return said[1], said[2]

    def code(self) -> int | None:
        return self._docker.code(self._name)

    def close(self) -> None:
        self._link.close()
