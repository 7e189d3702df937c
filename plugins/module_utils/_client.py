# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. One session with Airflow's REST API, on the standard library alone."""

from __future__ import annotations

import base64
import http.client
import json
import random
import re
import ssl
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from . import _pods
from ._answers import expected, misfit
from ._kubeconfig import NoWay
from ._patience import lasting, retry_after

VERSION = "0.1.0"
PAGE = 100  # Airflow's own ceiling: a higher limit is cut to it without a word
TRIES = 5  # of a listing that others change
TOKEN_PATH = "/auth/token"
DAY = 86400
GROUPED = "/importErrors"  # before 3.3 its total counts an error once for each DAG of the file


class AirflowApiError(Exception):
    """Whatever keeps a module from its answer. What is in `result` reaches the task beside the message.

    It is `uncertain` whether a write was done whose answer was lost.
    """

    def __init__(
        self, message: str, status: int | None = None, result: dict[str, Any] | None = None, uncertain: bool = False
    ) -> None:
        super().__init__(f"{message} (it may have been done all the same)" if uncertain else message)
        self.status, self.uncertain = status, uncertain
        self.wrong: dict[tuple[str, ...], str] = {}  # what Airflow says of which places of the request
        self.result = result or {}


@dataclass(frozen=True)
class Reply:
    status: int
    reason: str
    headers: Message
    body: bytes
    uncertain: bool = False  # this answer, or an earlier one that was lost, does not tell what was done

    def json(self) -> Any:
        try:
            return json.loads(self.body) if self.body.strip() else None
        except RecursionError:
            raise ValueError("too deep") from None

    def detail(self) -> str:
        """What the server says about an error, without the rejected input: that may be a secret."""
        try:
            detail = self.json()["detail"]
        except (ValueError, TypeError, KeyError):
            return _plain_text(self.body)
        if isinstance(detail, list):
            return "; ".join(f"{'.'.join(place)}: {text}" for place, text in self.wrong().items())
        if isinstance(detail, dict):
            return ": ".join(str(detail[word]) for word in ("reason", "message") if detail.get(word))
        return str(detail)

    def wrong(self) -> dict[tuple[str, ...], str]:
        """What Airflow says of which places of the request; it says some of it several times."""
        try:
            detail = self.json()["detail"]
        except (ValueError, TypeError, KeyError):
            return {}
        rows = detail if isinstance(detail, list) else []
        known = [row for row in rows if misfit(row, {"loc": [object], "msg": object}) is None]
        return {tuple(map(str, row["loc"])): str(row["msg"]) for row in known}

    def says_no_such_object(self) -> bool:
        """Airflow's own 404; a path that no route answers looks different."""
        try:
            return self.status == 404 and self.json()["detail"] != "Not Found"
        except (ValueError, TypeError, KeyError):
            return False

    def date(self) -> datetime:
        """The server's clock, so that ages don't depend on ours."""
        try:
            return parsedate_to_datetime(self.headers["Date"])
        except (KeyError, TypeError, ValueError):
            return datetime.now().astimezone()


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


class Client:
    """Logs in when it must, renews a refused token once, retries what is safe to retry, reads all pages."""

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        token_in: str = "header",
        ca_path: str | None = None,
        validate_certs: bool = True,
        timeout: float = 30,
        retry_timeout: float = 60,
        kubeconfig: str | None = None,
        context: str | None = None,
    ) -> None:
        try:
            parts = urlsplit(url)
            self._port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        except (KeyError, ValueError):
            raise AirflowApiError("api_url must be an http:// or https:// URL") from None
        if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
            raise AirflowApiError("api_url must name a host, and hold no user, query or fragment")
        if not _nameable(parts.hostname):
            raise AirflowApiError("api_url must name a host, whose parts have 1 to 63 characters each")
        if not 0 < timeout <= DAY or not 0 <= retry_timeout <= DAY:
            raise AirflowApiError(f"api_timeout must be above 0, api_retry_timeout not below, each up to {DAY} s")
        if token is not None and not (token.isascii() and token.isprintable()):
            raise AirflowApiError("api_token must be of printable ASCII characters")
        self._scheme, self._host, self._prefix = parts.scheme, parts.hostname, parts.path.rstrip("/")
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._username, self._password = username, password
        self._token, self._token_in = token, token_in
        self._timeout, self._retry_timeout = timeout, retry_timeout
        self._tls = _tls_context(ca_path, validate_certs) if parts.scheme == "https" else None
        self._kubeconfig, self._context = kubeconfig, context
        self._pods: _pods.Pods | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._absolute = False
        self._proxy_headers: dict[str, str] = {}
        self._via = ""  # what an error says of the proxy
        self._sent = False

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
        if self._pods:
            self._pods.close()

    # -- what modules call -------------------------------------------------------------------------------------------

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return self.request("GET", path, query=query)

    def find(self, path: str) -> Any:
        """The object at `path`, None if Airflow knows of none. A path that no route answers is an error."""
        reply = self._authorized("GET", path, None, None)
        return None if reply.says_no_such_object() else self._judge("GET", path, reply)

    def pages(
        self, path: str, key: str, query: Mapping[str, Any] | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """All rows of a listing, or the first. One that shrinks while it is read is read anew.

        Airflow counts before it reads, and FAB's users get what they might read before both.
        """
        for _try in range(TRIES):
            found, total = self._rows(path, key, query or {}, limit)
            if len(found) >= total or path.endswith(GROUPED):
                return found
        raise AirflowApiError(
            f"GET {self._url(path)}: no more after {len(found)} of {total} entries, so the answer is not whole"
        )

    def _rows(
        self, path: str, key: str, query: Mapping[str, Any], limit: int | None
    ) -> tuple[list[dict[str, Any]], int]:
        """What there is, and how much there should be. The offset follows what came: a server may give fewer than
        asked for."""
        found: list[dict[str, Any]] = []
        while True:
            ask = PAGE if limit is None else min(PAGE, limit - len(found))
            page = self.get(path, {**query, "limit": ask, "offset": len(found)})
            rows, total = page[key], page["total_entries"]
            found += rows
            wanted = total if limit is None else min(total, limit)
            if not rows or len(found) >= wanted:
                return found, wanted

    def request(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        reply = self._authorized(method, path, query, body)
        if method == "DELETE" and reply.says_no_such_object():
            return None  # gone already: somebody else, or our own request whose answer was lost
        return self._judge(method, path, reply)

    def older(self, *release: int) -> str | None:
        """Airflow's version if it is older than a release: what it lacks it may ignore without a word."""
        version = str(self.get("/api/v2/version")["version"])
        numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
        return version if len(numbers) == 3 and numbers < release else None

    def open(self, path: str) -> Reply:
        """A page that needs no log-in, with its headers, asked for once: for those who look whether Airflow is up."""
        reply = self._exchange_patiently("GET", path, None, None, {}, patience=0)
        self._judge("GET", path, reply)
        return reply

    # -- log-in ------------------------------------------------------------------------------------------------------

    def accepts(self, username: str, password: str) -> bool:
        """Whether Airflow lets somebody in with this password. It counts as a log-in of theirs."""
        login = {"username": username, "password": password}
        reply = self._exchange_patiently("POST", TOKEN_PATH, None, login, {}, idempotent=True)
        return reply.status != 401 and bool(self._judge("POST", TOKEN_PATH, reply))

    def _authorized(self, method: str, path: str, query: Mapping[str, Any] | None, body: Any) -> Reply:
        """One request with the token; a token that is refused is renewed once, where there is a log-in."""
        fresh = self._token is None
        if fresh:
            self._log_in()
        reply = self._exchange_patiently(method, path, query, body, self._token_header())
        if _token_refused(reply) and self._username and not fresh:
            self._log_in()
            reply = self._exchange_patiently(method, path, query, body, self._token_header())
        return reply

    def _log_in(self) -> None:
        if not self._username or not self._password:
            raise AirflowApiError("Give api_token, or api_username and api_password")
        login = {"username": self._username, "password": self._password}
        reply = self._exchange_patiently("POST", TOKEN_PATH, None, login, {}, idempotent=True)
        if reply.status == 401:
            raise AirflowApiError(
                f"POST {self._url(TOKEN_PATH)}: 401: {reply.detail()} (api_username, api_password)", status=401
            )
        token = self._judge("POST", TOKEN_PATH, reply)
        if not isinstance(token, dict) or not isinstance(token.get("access_token"), str):
            raise AirflowApiError(f"POST {self._url(TOKEN_PATH)}: the answer holds no access_token")
        self._token = token["access_token"]

    def _token_header(self) -> dict[str, str]:
        # A way through the Kubernetes API server's proxy has its own use for Authorization; Airflow takes a cookie too.
        if self._token_in == "cookie":
            return {"Cookie": f"_token={self._token}"}
        return {"Authorization": f"Bearer {self._token}"}

    # -- HTTP --------------------------------------------------------------------------------------------------------

    def _exchange_patiently(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Any,
        headers: Mapping[str, str],
        idempotent: bool | None = None,
        patience: float | None = None,
    ) -> Reply:
        """Retry what a moment's patience may cure. A POST is sent once: its first try may have had its effect."""
        safe = method != "POST" if idempotent is None else idempotent
        target = self._prefix + path + (f"?{urlencode(query, doseq=True)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        give_up = time.monotonic() + (self._retry_timeout if patience is None else patience)
        pause, writes, uncertain = 0.5, _writes(method, path), False
        while True:
            outcome: Reply | AirflowApiError
            self._sent = False
            try:
                reply = self._exchange(method, target, data, headers, safe)
                uncertain = uncertain or (writes and reply.status >= 500)
                outcome = replace(reply, uncertain=uncertain)
                if outcome.status != 429 and outcome.status < 500:
                    return outcome
            except (OSError, http.client.HTTPException) as exc:
                uncertain = uncertain or (writes and self._sent)
                said = f"{method} {self._url(path)}: {self._reason(exc)}{self._via}"
                outcome = AirflowApiError(said, uncertain=uncertain)
                if lasting(exc):
                    raise outcome from exc
            asked = retry_after(outcome.headers) if isinstance(outcome, Reply) else 0
            wait = max(asked, random.uniform(pause / 2, pause))
            pause = min(pause * 2, 8)
            if safe and time.monotonic() + wait <= give_up:
                time.sleep(wait)
            elif isinstance(outcome, Reply):
                return outcome
            else:
                raise outcome

    def _exchange(self, method: str, target: str, data: bytes | None, headers: Mapping[str, str], safe: bool) -> Reply:
        """One request on the kept connection. The server may have closed that meanwhile: then at once on a new one."""
        if not safe:
            self.close()
        kept = self._connection is not None
        connection = self._connection or self._connect()
        try:
            if not kept:
                connection.connect()
            self._sent = True
            connection.request(
                method,
                self._origin + target if self._absolute else target,
                body=data,
                headers={
                    "Accept": "application/json",
                    "User-Agent": f"windward.airflow/{VERSION}",
                    **({"Content-Type": "application/json"} if data is not None else {}),
                    **self._proxy_headers,
                    **headers,
                },
            )
            answer = connection.getresponse()
            reply = Reply(answer.status, answer.reason, answer.headers, answer.read())
        except BaseException as exc:
            self.close()
            if kept and isinstance(exc, (ConnectionError, http.client.HTTPException)):
                return self._exchange(method, target, data, headers, safe)
            raise
        if answer.will_close:
            self.close()
        return reply

    def _connect(self) -> http.client.HTTPConnection:
        if self._kubeconfig:
            self._pods = self._pods or _pods.around(self._kubeconfig, self._context, self._host, self._timeout)
            self._connection = _pods.Connection(self._pods, self._host, self._port, self._tls)
            return self._connection
        proxy = None
        if not urllib.request.proxy_bypass(f"{self._host}:{self._port}"):
            proxy = urllib.request.getproxies().get(self._scheme)
        try:
            via = urlsplit(proxy if "//" in proxy else f"//{proxy}") if proxy else None
            host, port = (via.hostname or "", via.port or 80) if via else (self._host, self._port)
        except ValueError:
            host, port = "", 0
        if not host or not _nameable(host):  # without its text, which may hold a password
            raise AirflowApiError(f"The proxy that the environment names for {self._scheme}:// is no URL of a proxy")
        if via and via.scheme not in ("", "http"):
            kind = f"is one by {via.scheme}://; only http:// works"
            raise AirflowApiError(f"The proxy that the environment names for {self._scheme}:// {kind}")
        self._via = f" (by the proxy {host}:{port})" if via else ""
        login = {}
        if via and via.username is not None:
            pair = f"{unquote(via.username)}:{unquote(via.password or '')}".encode()
            login = {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        if self._tls:
            self._connection = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._tls)
            if via:
                self._connection.set_tunnel(self._host, self._port, login)
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
            self._absolute, self._proxy_headers = bool(via), login
        return self._connection

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    # -- answers -----------------------------------------------------------------------------------------------------

    def _judge(self, method: str, path: str, reply: Reply) -> Any:
        """The answer's data, or an error that says what was asked of whom and what came back."""
        asked = f"{method} {self._url(path)}: {reply.status}"
        if 300 <= reply.status < 400:
            place = reply.headers.get("Location", "").partition("?")[0]
            raise AirflowApiError(f"{asked}: redirected to {place or 'nowhere'}; is api_url right?", reply.status)
        if reply.status >= 400:
            # No route, or a route that is meant for pages: not Airflow's API.
            astray = reply.status in (404, 405) and not reply.says_no_such_object()
            hint = " (api_token)" if _token_refused(reply) else "; is api_url right?" if astray else ""
            message = f"{asked}: {reply.detail() or reply.reason}{hint}"
            error = AirflowApiError(message, reply.status, uncertain=reply.uncertain)
            error.wrong = reply.wrong()
            raise error
        try:
            answer = reply.json()
        except ValueError:
            kind = reply.headers.get("Content-Type", "no content type")
            shown = _plain_text(reply.body) or "which breaks off"
            raise AirflowApiError(
                f"{asked}: not JSON but {kind}: {shown}; is api_url right?", reply.status,
                uncertain=_writes(method, path),
            ) from None
        if reason := misfit(answer, expected(method, path)):
            # Without the status, by which another auth manager's page is known.
            raise AirflowApiError(
                f"{asked}: not what Airflow answers: {reason}; is api_url right?", uncertain=_writes(method, path)
            )
        return answer

    def _url(self, path: str) -> str:
        return self._origin + self._prefix + path

    def _reason(self, exc: Exception) -> str:
        if isinstance(exc, ssl.SSLCertVerificationError):
            return f"the server's certificate is not trusted: {exc.verify_message} (api_ca_path)"
        if isinstance(exc, NoWay):
            return f"{exc} (api_kubeconfig, api_context)"
        if isinstance(exc, TimeoutError):
            return f"no answer within {self._timeout} s"
        if isinstance(exc, http.client.IncompleteRead):
            return "the answer broke off"
        return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__


def _tls_context(ca_path: str | None, validate_certs: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_path)
    except OSError as exc:
        raise AirflowApiError(f"api_ca_path {ca_path} can't be used: {exc.strerror or exc}") from exc
    if not validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _nameable(host: str) -> bool:
    """Whether a host's name can be looked up at all."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _writes(method: str, path: str) -> bool:
    return method != "GET" and path != TOKEN_PATH


def _token_refused(reply: Reply) -> bool:
    """Airflow answers 403 for a bad token as for a missing permission; only the text tells them apart."""
    return reply.status == 401 or (reply.status == 403 and reply.detail() == "Invalid JWT token")


def _plain_text(body: bytes) -> str:
    """What a person would read of a page: its title or its first words. Nothing of broken JSON, which may be secret."""
    text = body[:20000].decode(errors="replace")
    if text.lstrip().startswith(("{", "[", '"')):
        return ""
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.DOTALL | re.IGNORECASE)
    return " ".join(re.sub(r"<[^>]*>", " ", title.group(1) if title else text).split())[:200]
