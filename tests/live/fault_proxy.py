# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A proxy on loopback in front of a real Airflow: passes requests on, counts them, and spoils those that a rule names.

It can be asked as the server itself, below a prefix of the path, over TLS, and as an HTTP proxy.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

HOPS = {"connection", "keep-alive", "transfer-encoding", "content-length", "proxy-authorization", "host"}


@dataclass
class Seen:
    """A request as it came, and what it was answered: None for nothing."""

    method: str
    path: str
    headers: Any
    absolute: bool
    when: float = field(default_factory=time.monotonic)
    status: int | None = None


@dataclass
class Rule:
    """Spoil the n-th to the last request of this method and path; `fault` is given the handler and the body."""

    method: str
    path: str
    fault: Callable[[Any, bytes], None]
    first: int = 1
    last: float = 1
    met: int = 0

    def meets(self, method: str, path: str) -> bool:
        if method != self.method or not re.fullmatch(self.path, path.partition("?")[0]):
            return False
        self.met += 1
        return self.first <= self.met <= self.last


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def shutdown_request(self, request: Any) -> None:
        self.close_request(request)  # a handler says itself how a connection ends

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The other side hung up, or didn't like our certificate."""


class FaultProxy:
    def __init__(self, upstream: str, *, tls: ssl.SSLContext | None = None, prefix: str = "") -> None:
        parts = urlsplit(upstream)
        assert parts.scheme == "http" and parts.hostname, "an upstream over plain HTTP"
        self.upstream, self.base, self.prefix, self.tls = (parts.hostname, parts.port or 80), parts.path, prefix, tls
        self.seen: list[Seen] = []
        self.rules: list[Rule] = []
        self.lock = threading.Lock()
        self._server = self._listen(0)
        self.port = self._server.server_port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}{prefix}"

    def _listen(self, port: int) -> Server:
        server = Server(("127.0.0.1", port), _handler(self))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def away(self, seconds: float) -> None:
        """Nobody listens meanwhile: connections are refused."""
        self.stop()

        def come_back() -> None:
            self._server = self._listen(self.port)

        threading.Timer(seconds, come_back).start()

    def spoil(
        self, method: str, path: str, fault: Callable[[Any, bytes], None], first: int = 1, last: float = 1
    ) -> Rule:
        self.rules.append(Rule(method, path, fault, first, last))
        return self.rules[-1]

    def reset(self) -> FaultProxy:
        self.rules.clear()
        self.seen.clear()
        return self

    def count(self, method: str, path: str = ".*") -> int:
        return len(self.asked(method, path))

    def asked(self, method: str, path: str = ".*") -> list[Seen]:
        return [one for one in self.seen if one.method == method and re.fullmatch(path, one.path.partition("?")[0])]

    def writes(self) -> list[str]:
        """What was asked that may have changed something."""
        return [f"{one.method} {one.path}" for one in self.seen if one.method != "GET" and one.path != "/auth/token"]


# -- faults ------------------------------------------------------------------------------------------------------------


def reset_before(handler: Any, _body: bytes) -> None:
    """Airflow never sees the request."""
    handler.reset()


def refused(seconds: float) -> Callable[[Any, bytes], None]:
    """A server that is being restarted."""

    def fault(handler: Any, _body: bytes) -> None:
        handler.the_proxy.away(seconds)
        handler.reset()

    return fault


def reset_after(handler: Any, body: bytes) -> None:
    """Airflow did what was asked, and nobody is told."""
    handler.forward(body)
    handler.reset()


def broken_off(handler: Any, body: bytes) -> None:
    """The half of an answer that was announced as a whole."""
    status, headers, content = handler.forward(body)
    handler.give(status, headers, content[: len(content) // 2], length=max(len(content), 2))
    handler.close_connection = True


def cut_short(handler: Any, body: bytes) -> None:
    """The half of an answer of unknown length, as proxies give it: nothing tells that more should come."""
    status, headers, content = handler.forward(body)
    handler.give(status, headers, content[: len(content) // 2], length=None)
    handler.close_connection = True


def dead_token(handler: Any, body: bytes) -> None:
    """Airflow itself refuses the token."""
    handler.headers.replace_header("Authorization", "Bearer dead.dead.dead")
    handler.give(*handler.forward(body))


def answer(
    status: int, body: bytes = b"", kind: str = "application/json", *, done: bool = False, **headers: str
) -> Callable[[Any, bytes], None]:
    """This answer, without asking Airflow; with `done` after Airflow did what was asked."""

    def fault(handler: Any, asked: bytes) -> None:
        if done:
            handler.forward(asked)
        handler.give(status, [("Content-Type", kind), *((k.replace("_", "-"), v) for k, v in headers.items())], body)

    return fault


def slow(seconds: float) -> Callable[[Any, bytes], None]:
    """As it is, but late."""

    def fault(handler: Any, body: bytes) -> None:
        time.sleep(seconds)
        handler.give(*handler.forward(body))

    return fault


# -- HTTP --------------------------------------------------------------------------------------------------------------


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        the_proxy = proxy
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 60

        def setup(self) -> None:
            if proxy.tls:  # here and not at the listener, where a bad handshake would hold up everybody
                self.request = proxy.tls.wrap_socket(self.request, server_side=True)
            super().setup()

        def pass_on(self) -> None:
            asked = urlsplit(self.path)
            path = self.path.removeprefix(f"{asked.scheme}://{asked.netloc}") if asked.scheme else self.path
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if not path.startswith(proxy.prefix + "/"):
                self.give(404, [("Content-Type", "text/html")], b"<title>404 of the proxy</title>")
                return
            self.path = path[len(proxy.prefix) :]
            self.seen = Seen(self.command, self.path, self.headers, bool(asked.scheme))
            with proxy.lock:
                proxy.seen.append(self.seen)
                faults = [rule.fault for rule in proxy.rules if rule.meets(self.command, self.path)]
            if faults:
                faults[0](self, body)
            else:
                self.give(*self.forward(body))

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

        def forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            upstream = http.client.HTTPConnection(*proxy.upstream, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOPS}
            upstream.request(self.command, proxy.base + self.path, body or None, headers)
            reply = upstream.getresponse()
            content = reply.read()
            upstream.close()
            return reply.status, [(k, v) for k, v in reply.getheaders() if k.lower() not in HOPS], content

        def give(self, status: int, headers: list[tuple[str, str]], content: bytes, length: int | None = -1) -> None:
            self.seen_status(status)
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            if length is not None and status != 204:
                self.send_header("Content-Length", str(len(content) if length < 0 else length))
            self.end_headers()
            self.wfile.write(content)

        def seen_status(self, status: int) -> None:
            if hasattr(self, "seen"):
                self.seen.status = status

        def reset(self) -> None:
            """Not a close but a reset."""
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        def log_message(self, *_args: object) -> None:
            pass

    return Handler
