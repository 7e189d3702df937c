# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A conversation over HTTP on loopback, written down beforehand: what is asked, in which order, and the answers."""

from __future__ import annotations

import importlib
import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible.module_utils.testing import patch_module_args

JSON = {"Content-Type": "application/json"}
A_DAG = {
    "is_paused": False, "is_stale": False, "bundle_name": "dags", "bundle_version": "1", "has_import_errors": False,
    "file_token": "t",
}  # fmt: skip


@dataclass
class Exchange:
    method: str
    path: str
    status: int
    answer: Any = None
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    hang_up: str | None = None  # "before" or "amid" the answer


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


class ScriptedApi:
    """Answers by its script; a request that is not the next one of the script fails the test when it ends."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.script: list[Exchange] = []
        self.requests: list[Request] = []
        self.faults: list[str] = []
        self.connections = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def expect(self, method: str, path: str, status: int = 200, answer: Any = None, **more: Any) -> ScriptedApi:
        self.script.append(Exchange(method, path, status, answer, **more))
        return self

    def expect_log_in(self, token: str = "t1", status: int = 201) -> ScriptedApi:
        return self.expect("POST", "/auth/token", status, {"access_token": token})

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> ScriptedApi:
        self._server.daemon_threads = True
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_more: object) -> None:
        self.stop()
        if kind is None:
            assert not self.faults, self.faults
            assert not self.script, f"never asked: {self.script}"


def _handler(api: ScriptedApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are two writes

        def setup(self) -> None:
            api.connections += 1
            super().setup()

        def answer(self) -> None:
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            api.requests.append(
                Request(
                    self.command,
                    parts.path,
                    parse_qs(parts.query),
                    dict(self.headers),
                    json.loads(raw) if raw else None,
                )
            )
            asked = (self.command, parts.path if self.command != "CONNECT" else self.path)
            wanted = api.script.pop(0) if api.script else None
            if not wanted or asked != (wanted.method, wanted.path):
                api.faults.append(f"{asked} instead of {wanted}")
                wanted = Exchange(*asked, 400, {"detail": "not in the script"})
            body = wanted.answer if isinstance(wanted.answer, bytes) else b""
            if wanted.answer is not None and not body:
                body = json.dumps(wanted.answer).encode()
            if wanted.hang_up == "before":
                self.close_connection = True
                return
            self.send_response_only(wanted.status)
            for name, value in wanted.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + (9 if wanted.hang_up == "amid" else 0)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = wanted.hang_up == "amid" or self.close_connection

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = answer

        def log_message(self, *_args: object) -> None:
            pass

    return Handler


def run_module(
    name: str, options: dict[str, Any], capsys: pytest.CaptureFixture[str], *, check: bool = False
) -> dict[str, Any]:
    """One run of a module as Ansible starts it, up to the JSON that it prints."""
    module = importlib.import_module(f"ansible_collections.windward.airflow.plugins.modules.{name}")
    arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        module.main()
    said = capsys.readouterr().out.splitlines()  # the module's is the last line, whoever else said something
    result: dict[str, Any] = json.loads(said[-1])
    return result
