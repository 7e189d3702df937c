# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. A Docker engine at its socket: programs run in its containers, images on their way."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import socket
import struct
from typing import Any
from urllib.parse import quote, urlencode

from ._image import Reference, platform
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
        scheme, _colon, self._path = host.partition("://")
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

    def digest(self, image: str, wanted: str = "") -> str:
        """By which the engine knows an image, empty if it has none of that name, or not for the platform."""
        found = self._ask("GET", f"/images/{quote(image)}/json", missing=True)
        known = {key.lower(): value for key, value in (found or {}).items()}
        return str(known["id"]) if known and wanted in ("", platform(known)) else ""

    def pull(self, image: Reference, login: tuple[str | None, str | None], wanted: str = "") -> None:
        asked = {"fromImage": image.repository, "tag": image.asked, **({"platform": wanted} if wanted else {})}
        self._copy("/images/create?" + urlencode(asked), login)

    def push(self, image: Reference, login: tuple[str | None, str | None]) -> None:
        self._copy(f"/images/{quote(image.repository)}/push?" + urlencode({"tag": image.tag}), login)

    def _copy(self, path: str, login: tuple[str | None, str | None]) -> None:
        """The engine gets the log-in for this one request, and tells the end of it in the last line of many."""
        known = dict(zip(("username", "password"), login)) if all(login) else {}
        head = {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(known).encode()).decode()}
        connection, reply = self._request("POST", path, None, head)
        try:
            self._judge(reply.status, b"" if reply.status < 400 else reply.read(), reply.reason)
            for line in reply:
                said = json.loads(line) if line.strip() else {}
                if "error" in said:
                    raise _said(f"the Docker engine says: {said['error']}")
        except (OSError, ValueError, http.client.HTTPException) as exc:
            raise self._trouble(exc) from exc
        finally:
            connection.close()

    def _ask(self, method: str, path: str, body: Any = None, missing: bool = False) -> Any:
        connection, reply = self._request(method, path, body, {})
        try:
            text = reply.read()
        except (OSError, http.client.HTTPException) as exc:
            raise self._trouble(exc) from exc
        finally:
            connection.close()
        return None if missing and reply.status == 404 else self._judge(reply.status, text, reply.reason)

    def _request(self, method: str, path: str, body: Any, head: dict[str, str]) -> tuple[_Connection, Any]:
        connection = _Connection(self._path, self._timeout)
        data = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, data, {"Content-Type": "application/json", **head})
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise self._trouble(exc) from exc

    def _trouble(self, exc: Exception) -> ImageError:
        reason = getattr(exc, "strerror", None) or exc
        return ImageError(f"the Docker engine at {self._path} can't be asked: {reason}")

    def _judge(self, status: int, text: bytes, reason: str) -> Any:
        try:
            answer = json.loads(text) if text.strip() else None
        except ValueError:
            answer = None
        if status >= 400:
            said = answer.get("message") if isinstance(answer, dict) else ""
            raise _said(f"the Docker engine answers {status}: {said or reason}")
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


def _said(message: str) -> ImageError:
    """Of what a registry told the engine; who logged in for us may do so again."""
    refused = re.search(r"unauthorized|no basic auth|authorization token has expired", message, re.IGNORECASE)
    return ImageError(message, **({"refused": True} if refused else {}))


class _Program(Pipes):
    """A program in a container."""

    def __init__(self, docker: Docker, name: str, timeout: float) -> None:
        self._docker, self._name = docker, name
        self._link, self._mixed = docker.attach(name), b""
        super().__init__(self._link.fileno(), [self._link.fileno()], timeout)

    def close_input(self) -> None:
        super().close_input()
        self._link.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def _take(self, _descriptor: int, chunk: bytes) -> None:
        """The engine mixes both streams, in frames with a head of eight bytes."""
        self._mixed += chunk
        while len(self._mixed) >= 8:
            kind, length = struct.unpack(">BxxxL", self._mixed[:8])
            if len(self._mixed) < 8 + length:
                break
            said, self._mixed = self._mixed[8 : 8 + length], self._mixed[8 + length :]
            if kind == 1:
                self._out += said
            elif kind == 2:
                self._err += said

    def code(self) -> int | None:
        return self._docker.code(self._name)

    def close(self) -> None:
        self._link.close()
