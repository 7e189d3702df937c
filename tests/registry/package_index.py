# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Python package index that wants a log-in: it has wheels of a few files, and passes on what else it is asked for."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import threading
import urllib.error
import urllib.request
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ELSEWHERE = "https://pypi.org"


def wheel(name: str, version: str, *requires: str) -> tuple[str, bytes]:
    """File name and content."""
    module, about = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {one}" for one in requires]
    files = {
        f"{module}.py": f"version = {version!r}\n",
        f"{about}/METADATA": "\n".join(lines) + "\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        f"{len(text)}\n"
        for path, text in files.items()
    )
    with io.BytesIO() as whole:
        with zipfile.ZipFile(whole, "w") as archive:
            for path, text in {**files, f"{about}/RECORD": f"{record}{about}/RECORD,,\n"}.items():
                archive.writestr(zipfile.ZipInfo(path), text)  # without the time, so that it stays the same
        return f"{module}-{version}-py3-none-any.whl", whole.getvalue()


class PackageIndex:
    LOGIN = ("reader", "pw-of-the-index")

    def __init__(self) -> None:
        self.wheels: dict[str, bytes] = {}
        self.asked: list[str] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = "Basic " + base64.b64encode(":".join(index.LOGIN).encode()).decode()
                index.asked.append(self.path)
                if self.headers.get("Authorization") != wanted:
                    return self.give(401, b"", {"WWW-Authenticate": 'Basic realm="index"'})
                return self.give(*index.answer(self.path))

            do_HEAD = do_GET

            def give(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    with contextlib.suppress(BrokenPipeError):  # who asked has read enough
                        self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{':'.join(self.LOGIN)}@127.0.0.1:{self._server.server_port}/simple"

    def add(self, name: str, version: str, *requires: str) -> str:
        """The line of a lock."""
        file, content = wheel(name, version, *requires)
        self.wheels[file] = content
        return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(content).hexdigest()}\n"

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        name = path.strip("/").rpartition("/")[2]
        if name in self.wheels:
            return 200, self.wheels[name], {"Content-Type": "application/octet-stream"}
        links = [
            f'<a href="/files/{file}#sha256={hashlib.sha256(content).hexdigest()}">{file}</a>'
            for file, content in self.wheels.items() if file.startswith(name.replace("-", "_") + "-")
        ]  # fmt: skip
        if links:
            return 200, f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode(), {
                "Content-Type": "text/html"
            }
        try:
            with urllib.request.urlopen(ELSEWHERE + path, timeout=60) as reply:
                return 200, reply.read(), {"Content-Type": reply.headers["Content-Type"]}
        except urllib.error.HTTPError as error:
            return error.code, b"", {}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
