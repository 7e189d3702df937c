# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Headless Chromium by the W3C WebDriver protocol: as much of it as the tests need."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Chromium has no sandbox for root, and must ask nobody but the page's own server.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--lang=en-US",
    "--window-size=1280,800",
]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Refused(AssertionError):
    """The browser did not do what it was asked."""


class Browser:
    """One session with a browser."""

    def __init__(self, driver: str) -> None:
        self._base = driver
        options = {"args": FLAGS, "binary": "/usr/bin/chromium"}
        wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}
        self._base = f"{driver}/session/{self._ask('POST', '/session', wanted)['sessionId']}"

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            said = json.load(error)["value"]
            raise Refused(f"{method} {path}: {said['error']}: {said['message']}") from error

    def script(self, text: str, *arguments: Any) -> Any:
        """Run JavaScript in the page."""
        return self._ask("POST", "/execute/sync", {"script": text, "args": list(arguments)})

    def open(self, url: str) -> None:
        self._ask("POST", "/url", {"url": url})

    def size(self, width: int, height: int) -> None:
        """Give the page, not the window, a size."""
        parameters = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._ask("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": parameters})

    def type(self, selector: str, text: str) -> None:
        """Type into a field, as a person would."""
        field = self._ask("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]
        self._ask("POST", f"/element/{field}/value", {"text": text})

    def click(self, selector: str) -> None:
        element = self._ask("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]
        self._ask("POST", f"/element/{element}/click")

    def text(self, selector: str = "body") -> str:
        """What can be read there, or nothing if there is no such element."""
        return self.script("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def wait(self, condition: str, *arguments: Any, seconds: float = 180) -> Any:
        """Wait until a JavaScript expression is true, and return its value. A page that leads on runs no script."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if value := self.script(f"return {condition}", *arguments):
                    return value
            except Refused:
                if time.monotonic() >= deadline:
                    raise
            assert time.monotonic() < deadline, f"{condition} {arguments} never came; the page says:\n{self.text()}"
            time.sleep(0.2)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))

    def close(self) -> None:
        self._ask("DELETE", "")


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser with an empty profile, on a driver of its own."""
    with subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as driver:
        try:
            assert driver.stdout
            said = ""
            while not (port := re.search(r"on port (\d+)\.", said)):
                said = driver.stdout.readline()
                assert said, "chromedriver ended"
            session = Browser(f"http://127.0.0.1:{port[1]}")
            try:
                yield session
            finally:
                session.close()
        finally:
            driver.terminate()
