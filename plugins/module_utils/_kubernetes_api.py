# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. Requests to a Kubernetes API server, in the words of its API.

Each module is a process of its own, and the Python package `kubernetes` takes one and a half seconds to be imported:
three quarters of what a run that changes nothing spent with a cluster. What is done seldom is done by kubernetes.core.
"""

from __future__ import annotations

import http.client
import json
import select
import time
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

from ._kubeconfig import KubernetesError, Way

APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
TRIES = 3
LATER = 10  # seconds to wait at most when the server asks to come again


class NotThere(KubernetesError):
    """There is no such object."""


class Api:
    """One kept connection, for one thread.

    Raises KubernetesError with Kubernetes' own sentence, which holds no content of a Secret; it is `lasting` for what
    the user must not or that is not there. `where` is said with a refusal. A question is asked again where the
    connection broke off, up to `tries` times; a change is not. Either is when the server, busy, asks to come again.
    """

    def __init__(
        self, kubeconfig: str | None = None, context: str | None = None, timeout: float = 30, where: str = "",
        tries: int = TRIES,
    ) -> None:  # fmt: skip
        self.way, self.timeout, self.where, self.tries = Way(kubeconfig, context), timeout, where, tries
        self._connection: _Connection | None = None

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def get(self, path: str, **query: Any) -> Any:
        return _parsed(self.text(path, **query))

    def text(self, path: str, **query: Any) -> str:
        left = self.tries
        while True:
            left -= 1
            try:
                return self._ask("GET", path, query)
            except KubernetesError as error:
                if error.lasting or not isinstance(error.__cause__, (OSError, http.client.HTTPException)) or not left:
                    raise
            time.sleep(0.5)

    def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        return list(self.get(path, **query)["items"] or ())

    def post(self, path: str, body: Any, **query: Any) -> Any:
        return _parsed(self._ask("POST", path, query, body))

    def may(self, **about: str) -> bool:
        """Whether the user may do something with a resource, by the names of ResourceAttributes."""
        review = {"spec": {"resourceAttributes": about}}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return bool(self.post(path, review)["status"].get("allowed"))

    def put(self, path: str, body: Any, **query: Any) -> Any:
        return _parsed(self._ask("PUT", path, query, body))

    def patch(self, path: str, body: Any, kind: str = MERGE, **query: Any) -> Any:
        return _parsed(self._ask("PATCH", path, query, body, kind))

    def delete(self, path: str, **query: Any) -> None:
        self._ask("DELETE", path, query)

    def stream(self, path: str, query: list[tuple[str, str]]) -> Any:
        """A web socket that leads into a pod."""
        try:
            import websocket
        except ImportError as error:
            needed = "The Python package websocket-client is needed on this host"
            raise KubernetesError(f"{needed}: {error}", lasting=True) from error
        way = self.way
        try:
            return websocket.create_connection(
                f"ws://{_literal(way.host)}:{way.port}{way.prefix}{path}?{urlencode(query)}",
                socket=way.connect(self.timeout), timeout=self.timeout, subprotocols=["v4.channel.k8s.io"],
                header=[f"{name}: {value}" for name, value in way.header().items()],
                suppress_origin=True, skip_utf8_validation=True,
            )  # fmt: skip
        except websocket.WebSocketBadStatusException as error:
            told = getattr(error, "resp_body", None) or b""
            raise self._refusal(error.status_code, "", told.decode(errors="replace")) from error
        except (OSError, websocket.WebSocketException) as error:
            raise _unreached(error) from error

    def _ask(self, method: str, path: str, query: dict[str, Any], body: Any = None, kind: str = "") -> str:
        left = self.tries
        while True:
            left -= 1
            answer, said = self._answer(method, path, query, body, kind)
            later = answer.headers.get("Retry-After", "")
            if not (left and later.isdecimal() and (answer.status == 429 or answer.status >= 500)):
                break
            time.sleep(min(int(later), LATER))  # it has done nothing, having too much to do
        if answer.status >= 300:
            raise self._refusal(answer.status, answer.reason, said)
        return said

    def _answer(
        self, method: str, path: str, query: dict[str, Any], body: Any, kind: str
    ) -> tuple[http.client.HTTPResponse, str]:
        target = self.way.prefix + path + (f"?{urlencode(query)}" if query else "")
        if self._connection and self._connection.is_closed():
            self.close()
        self._connection = self._connection or _Connection(self.way, self.timeout)
        headers = {"Accept": "application/json", "Content-Type": kind or "application/json"}
        try:
            data = None if body is None else json.dumps(body)
            self._connection.request(method, target, data, {**headers, **self.way.header()})
            answer = self._connection.getresponse()
            return answer, answer.read().decode(errors="replace")
        except KubernetesError:
            raise
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise _unreached(error) from error

    def _refusal(self, status: int, reason: str, told: str) -> KubernetesError:
        try:
            message = str(json.loads(told)["message"])
        except (ValueError, TypeError, KeyError):
            message = f"HTTP {status} {reason}".strip()
        if status == 404:
            return NotThere(f"Kubernetes refuses{self.where}: {message}", lasting=True)
        # 401 and 403 are also said by an API server that has just started and has not read its rights yet; that passes
        # before anybody calls a cluster ready, so here it is told at once.
        return KubernetesError(f"Kubernetes refuses{self.where}: {message}", lasting=status in (401, 403))


class _Connection(http.client.HTTPConnection):
    def __init__(self, way: Way, timeout: float) -> None:
        super().__init__(way.host, way.port, timeout=timeout)
        self.way = way

    def connect(self) -> None:
        self.sock = self.way.connect(self.timeout or 30)

    def is_closed(self) -> bool:
        """Whether the server has had enough of it: there is something to read although nothing was asked."""
        return self.sock is None or bool(select.select([self.sock], [], [], 0)[0])


def _parsed(said: str) -> dict[str, Any]:
    try:
        return {**json.loads(said)}
    except (ValueError, TypeError):
        raise KubernetesError("what answers there is no Kubernetes: it gives no JSON object", lasting=True) from None


def _unreached(error: Exception) -> KubernetesError:
    return KubernetesError(f"Kubernetes can't be reached: {error or type(error).__name__}")


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host
