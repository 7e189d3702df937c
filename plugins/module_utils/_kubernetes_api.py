# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The few questions that are asked of a new cluster, by the client certificate in the kubeconfig that kind wrote.

Private to this collection. Everything else asks through kubernetes.core, or the Python client that it needs.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import ssl
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 5


class ApiError(Exception):
    """Why there was no good answer, in a few words."""


class Api:
    """One kept connection."""

    def __init__(self, kubeconfig: Path) -> None:
        try:
            text = kubeconfig.read_text(encoding="utf-8")
            values = {key: re.search(rf"\b{key}: (\S+)", text)[1] for key in ("server", *_PEMS)}  # type: ignore[index]
        except (OSError, TypeError) as error:
            raise ApiError(f"{kubeconfig} is no kubeconfig of kind's") from error
        pem = {key: base64.b64decode(values[key]).decode() for key in _PEMS}
        context = ssl.create_default_context(cadata=pem[_PEMS[0]])
        # OpenSSL takes a key from a file only.
        descriptor, name = tempfile.mkstemp()
        try:
            with open(descriptor, "w", encoding="ascii") as stream:
                stream.write(pem[_PEMS[1]] + pem[_PEMS[2]])
            context.load_cert_chain(name)
        finally:
            os.unlink(name)
        parts = urlsplit(values["server"])
        place = (parts.hostname or "", parts.port)
        self.connection = http.client.HTTPSConnection(*place, timeout=TIMEOUT, context=context)

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def get(self, path: str) -> Any:
        return self._ask("GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        return self._ask("POST", path, json.dumps(body))

    def _ask(self, method: str, path: str, body: str | None) -> Any:
        try:
            self.connection.request(method, path, body, {"Content-Type": "application/json"})
            response = self.connection.getresponse()
            said = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(str(error) or type(error).__name__) from error
        if response.status >= 300:
            raise ApiError(f"HTTP {response.status}")
        return json.loads(said) if said[:1] == "{" else said


_PEMS = ("certificate-authority-data", "client-certificate-data", "client-key-data")
