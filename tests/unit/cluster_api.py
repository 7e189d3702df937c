# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""As much of the Kubernetes API as leads into a pod, on loopback. Its one pod is this machine."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import struct
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


def pod(name: str, ready: bool = True, leaving: bool = False, ports: Any = ()) -> dict[str, Any]:
    about = {"name": name, **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {})}
    return {
        "metadata": about,
        "spec": {"containers": [{"name": "main", "ports": list(ports)}]},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


class ClusterApi:
    """What it has is `services` and `pods`; what it was asked is `asked`; what it forbids is `forbidden`."""

    def __init__(self) -> None:
        self.services: dict[str, Any] = {}
        self.pods: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.forbidden: set[str] = set()
        self.open = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def kubeconfig(self, folder: Path) -> str:
        url = f"http://127.0.0.1:{self._server.server_port}"
        entries = {name: [{"name": "here", name[:-1]: about}] for name, about in (
            ("clusters", {"server": url}), ("users", {"token": "t"}), ("contexts", {"cluster": "here", "user": "here"}),
        )}  # fmt: skip
        path = folder / "kubeconfig"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "here", **entries}))
        return str(path)

    def __enter__(self) -> ClusterApi:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(api: ClusterApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_words: Any) -> None:
            pass

        def answer(self, status: int, body: Any) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            api.asked.append(parts.path)
            query, words = parse_qs(parts.query), parts.path.split("/")[5:]
            what = words[0] if len(words) < 3 else f"{words[0]}/{words[2]}"
            if what in api.forbidden:
                self.answer(403, {"kind": "Status", "message": f"{what} is forbidden: so it is"})
            elif what == "services" and words[1] in api.services:
                self.answer(200, {"metadata": {"name": words[1]}, "spec": api.services[words[1]]})
            elif words == ["pods"]:
                self.answer(200, {"items": api.pods})
            elif what == "pods/portforward":
                self.upgrade()
                forward(self, int(query["ports"][0]), api)
            elif what == "pods/exec":
                self.upgrade()
                execute(self, query["command"])
            else:
                self.answer(404, {"kind": "Status", "message": f'{words[0]} "{words[-1]}" not found'})

        def upgrade(self) -> None:
            salted = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(salted.encode()).digest()).decode()
            self.send_response(101)
            for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)):
                self.send_header(name, value)
            self.send_header("Sec-WebSocket-Protocol", "v4.channel.k8s.io")
            self.end_headers()
            self.close_connection = True

        def send(self, data: bytes, opcode: int = 2) -> None:
            size = bytes([len(data)]) if len(data) < 126 else struct.pack("!BQ", 127, len(data))
            self.wfile.write(bytes([0x80 | opcode]) + size + data)

        def receive(self) -> bytes | None:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 15 == 8:
                return None
            size = head[1] & 127
            if size > 125:
                size = int.from_bytes(self.rfile.read(2 if size == 126 else 8), "big")
            mask, data = self.rfile.read(4), self.rfile.read(size)
            return bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))

    return Handler


def forward(handler: Any, port: int, api: ClusterApi) -> None:
    for channel in (0, 1):
        handler.send(bytes([channel]) + struct.pack("<H", port))
    try:
        far = socket.create_connection(("127.0.0.1", port))
    except OSError as error:
        handler.send(b"\x01" + str(error).encode())
        return
    api.open += 1

    def back() -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(65536):
                handler.send(b"\x00" + data)
            handler.send(b"", 8)

    thread = threading.Thread(target=back)
    thread.start()
    with far, contextlib.suppress(OSError):
        while (data := handler.receive()) is not None:
            far.sendall(data[1:])
        far.shutdown(socket.SHUT_RDWR)
    thread.join()
    api.open -= 1


def execute(handler: Any, command: list[str]) -> None:
    """stdin never ends, as through this protocol of the real one."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:

        def feed() -> None:
            with contextlib.suppress(OSError):
                while (data := handler.receive()) is not None:
                    process.stdin.write(data[1:])
                    process.stdin.flush()

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        said, complained = process.stdout.read(), process.stderr.read()
        for channel, data in ((1, said), (2, complained)):
            if data:
                handler.send(bytes([channel]) + data)
        code = process.wait()
        status: dict[str, Any] = {"status": "Success"}
        if code:
            causes = [{"reason": "ExitCode", "message": str(code)}]
            status = {"status": "Failure", "message": "it failed", "details": {"causes": causes}}
        handler.send(b"\x03" + json.dumps(status).encode())
        handler.send(b"", 8)
        feeder.join()
