# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. A repository of a registry (OCI distribution), read on the standard library alone."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import random
import re
import ssl
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from ._patience import lasting, retry_after

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT = {"Accept": ", ".join(INDEXES + MANIFESTS)}
CHUNK = 1 << 20
DOCUMENT = 8 << 20  # bytes of the longest index, manifest or configuration that is read
HOPS = 5
BREAKS = 5  # how often in a row the reading of one blob is taken up again for next to nothing
REDIRECTS = (301, 302, 303, 307, 308)


class ImageError(Exception):
    """Whatever keeps an image from its nodes. What is in `result` reaches the task beside the message."""

    def __init__(self, message: str, **result: Any) -> None:
        super().__init__(message)
        self.result = result


@dataclass(frozen=True)
class Blob:
    """What a descriptor says of a document or a layer."""

    digest: str
    size: int
    media_type: str


class Registry:
    """Learns from the first refusal how the registry wants its log-in, renews what expires, retries, takes up again."""

    def __init__(
        self,
        url: str,
        repository: str,
        *,
        username: str | None = None,
        password: str | None = None,
        ca_path: str | None = None,
        validate_certs: bool = True,
        timeout: float = 30,
        retry_timeout: float = 60,
    ) -> None:
        self._url, self.repository = url.rstrip("/"), repository
        self._login = (username, password) if username and password else None
        self._timeout, self._retry_timeout = timeout, retry_timeout
        self._plain = self._url.startswith("http://")
        self._challenge: dict[str, str] = {}
        self._authorization = ""
        self._expires = float("inf")
        # Answers as they come: urllib's own handler of redirects would take the log-in along to the other host.
        self._opener = urllib.request.OpenerDirector()
        self._opener.add_handler(urllib.request.ProxyHandler())
        self._opener.add_handler(urllib.request.HTTPHandler())
        self._opener.add_handler(urllib.request.HTTPSHandler(context=_tls(ca_path, validate_certs)))

    # -- what is asked -----------------------------------------------------------------------------------------------

    def resolve(self, reference: str) -> str:
        """The digest that a tag stands for now, or nothing."""
        with closing(self._ask("HEAD", self._manifests(reference), ACCEPT)) as reply:
            if reply.status == 404:
                return ""
            told = reply.headers.get("Docker-Content-Digest") if reply.status == 200 else ""
        # What refuses HEAD says why to GET alone.
        return str(told or self.manifest(reference)[0].digest)

    def manifest(self, reference: str) -> tuple[Blob, bytes]:
        """An index or a manifest by tag or digest, with its text."""
        with closing(self._ask("GET", self._manifests(reference), ACCEPT)) as reply:
            self._judge(reply, reference)
            try:
                text = reply.read(DOCUMENT + 1)
            except (OSError, http.client.HTTPException) as exc:
                raise ImageError(f"{self._named(reference)}: {self._reason(exc)}") from exc
            kind, claimed = reply.headers.get_content_type(), reply.headers.get("Docker-Content-Digest")
        if kind not in INDEXES + MANIFESTS:
            raise ImageError(
                f"{self._named(reference)} is {kind}, which is no image that can be brought to a node"
                + ("; is registry_url right?" if "html" in kind else "")
            )
        wanted = reference if ":" in reference else claimed
        hashed = _hash(wanted) if wanted else hashlib.sha256()
        hashed.update(text)
        digest = f"{hashed.name}:{hashed.hexdigest()}"
        if wanted and wanted != digest:
            raise ImageError(f"{self._named(reference)}: what came is {digest}, not {wanted}: changed on its way")
        return Blob(digest, len(text), kind), text

    def document(self, blob: Blob) -> bytes:
        """A small blob, whole."""
        if blob.size > DOCUMENT:
            raise ImageError(f"{blob.digest} of {self.repository} has {blob.size} bytes, too many for a configuration")
        return b"".join(self.blob(blob))

    def blob(self, blob: Blob) -> Iterator[bytes]:
        """Its bytes as they come, counted and digested; an error before the last of them if they aren't the right ones.

        What broke off is taken up again where it ended.
        """
        path, done, breaks = f"/v2/{self.repository}/blobs/{blob.digest}", 0, 0
        named = f"{blob.digest} of {self.repository}"
        digest, held = _hash(blob.digest), b""
        while done < blob.size:
            reason, began = "broke off", done
            with closing(self._ask("GET", path, {"Range": f"bytes={done}-"} if done else {})) as reply:
                self._judge(reply, blob.digest)
                for chunk in self._rest(reply, blob, done):
                    if isinstance(chunk, Exception):
                        reason = self._reason(chunk)
                        break
                    done += len(chunk)
                    digest.update(chunk)
                    if done > blob.size:
                        raise ImageError(f"{named} is longer than the {blob.size} bytes that the manifest says")
                    # The last chunk is given away when the digest is known to be right.
                    if held:
                        yield held
                    held = chunk
            if done == blob.size:
                break
            breaks = 0 if done - began >= CHUNK else breaks + 1
            if breaks > BREAKS:
                raise ImageError(f"{named} {reason} {breaks} times, last after {done} of {blob.size} bytes")
            time.sleep(random.uniform(0.1, 0.5))
        if f"{digest.name}:{digest.hexdigest()}" != blob.digest:
            raise ImageError(f"{named}: what came has the digest {digest.name}:{digest.hexdigest()}")
        if held:
            yield held

    def _rest(self, reply: Any, blob: Blob, done: int) -> Iterator[Any]:
        """The bytes of an answer from `done` on; an error of reading as the last of them."""
        skip = done if reply.status == 200 else 0  # it doesn't know of ranges
        length = reply.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) + done - skip != blob.size:
            raise ImageError(
                f"{blob.digest} of {self.repository} has {int(length) + done - skip} bytes in the registry, "
                f"not the {blob.size} that the manifest says"
            )
        try:
            while chunk := reply.read(CHUNK):
                kept = chunk[skip:]
                skip -= len(chunk) - len(kept)
                if kept:
                    yield kept
        except (OSError, http.client.HTTPException) as exc:
            yield exc

    # -- log-in ------------------------------------------------------------------------------------------------------

    def _header(self) -> dict[str, str]:
        if self._expires < time.monotonic():
            self._bearer()
        return {"Authorization": self._authorization} if self._authorization else {}

    def _log_in(self, headers: Message) -> None:
        """What the registry's challenge asks for."""
        asked = {one.partition(" ")[0].lower(): one for one in headers.get_all("WWW-Authenticate") or []}
        if "bearer" in asked:
            self._challenge = dict(re.findall(r'(\w+)="([^"]*)"', asked["bearer"]))
            self._bearer()
        elif "basic" in asked and self._login:
            self._authorization = f"Basic {_pair(*self._login)}"
        elif "basic" in asked:
            raise ImageError(f"{self._url} asks for a log-in: give registry_username and registry_password")
        else:
            raise ImageError(f"{self._url} asks for a log-in of an unknown kind: {', '.join(asked) or 'none'}")

    def _bearer(self) -> None:
        """A token of the server that the challenge names; nobody else sees user name and password."""
        realm = self._challenge.get("realm", "")
        try:
            parts = urlsplit(realm)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in (("http", "https") if self._plain else ("https",)) or not parts.hostname:
            raise ImageError(f"{self._url} names a token server that can't be asked: {realm!r}")
        query = {
            "scope": self._challenge.get("scope") or f"repository:{self.repository}:pull",
            **({"service": self._challenge["service"]} if "service" in self._challenge else {}),
        }
        asked = time.monotonic()
        login = {"Authorization": f"Basic {_pair(*self._login)}"} if self._login else {}
        with closing(self._patiently("GET", f"{realm}{'&' if parts.query else '?'}{urlencode(query)}", login)) as reply:
            if reply.status in (401, 403):
                what = "registry_username and registry_password are wrong" if self._login else "it asks for a log-in"
                raise ImageError(f"the token server {realm} answers {reply.status}: {what}")
            try:
                answer: dict[str, Any] = json.loads(reply.read(DOCUMENT)) if reply.status == 200 else {}
                (token,) = re.findall("^[!-~]+$", answer.get("token") or answer["access_token"])
                seconds = float(answer.get("expires_in") or 60)
            except (AttributeError, KeyError, TypeError, ValueError, OSError, http.client.HTTPException):
                raise ImageError(f"the token server {realm} answers {reply.status} without a token") from None
        self._authorization = f"Bearer {token}"
        self._expires = asked + max(seconds - 10, seconds / 2)

    # -- HTTP --------------------------------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> Any:
        """The answer to a request with the log-in, which only this registry's own host gets to see."""
        place = self._url + path
        reply = self._patiently(method, place, {**headers, **self._header()})
        if reply.status == 401:
            reply.close()
            known = self._authorization
            self._log_in(reply.headers)
            if self._authorization != known:
                reply = self._patiently(method, place, {**headers, **self._header()})
        for _hop in range(HOPS):
            if reply.status not in REDIRECTS:
                return reply
            reply.close()
            try:
                place = urljoin(place, reply.headers.get("Location", ""))
            except ValueError:
                place = ""
            if not place.startswith("https://") and not (self._plain and place.startswith("http://")):
                raise ImageError(f"{self._url} redirects to {_shown(place) or 'nowhere'}, which is not https")
            own = urlsplit(place)[:2] == urlsplit(self._url)[:2]
            reply = self._patiently(method, place, {**headers, **(self._header() if own else {})})
        reply.close()
        raise ImageError(f"{self._url}{path} leads from one redirect to another")

    def _patiently(self, method: str, url: str, headers: dict[str, str]) -> Any:
        """The answer; what a moment's patience may cure is tried again."""
        give_up, pause = time.monotonic() + self._retry_timeout, 0.5
        while True:
            asked = 0.0
            request = urllib.request.Request(
                url, method=method, headers={"User-Agent": "windward.airflow", **headers}
            )
            try:
                reply: Any = self._opener.open(request, timeout=self._timeout)
                if reply.status != 429 and reply.status < 500:
                    return reply
                reply.close()
                asked = retry_after(reply.headers)
                problem = f"{reply.status} {reply.reason}" + (f", wait {asked:.0f} s" if asked > 0 else "")
            except (OSError, http.client.HTTPException, ValueError) as exc:
                cause = getattr(exc, "reason", exc)
                cause = cause if isinstance(cause, Exception) else exc
                problem = self._reason(cause)
                if lasting(cause) or isinstance(cause, ValueError):
                    raise ImageError(f"{method} {_shown(url)}: {problem}") from exc
            wait = max(asked, random.uniform(pause / 2, pause))
            pause = min(pause * 2, 8)
            if time.monotonic() + wait > give_up:
                raise ImageError(f"{method} {_shown(url)}: {problem}")
            time.sleep(wait)

    # -- answers -----------------------------------------------------------------------------------------------------

    def _judge(self, reply: Any, reference: str) -> None:
        if reply.status in (200, 206):
            return
        code, said = _error(reply)
        named, host = self._named(reference), urlsplit(reply.geturl()).netloc
        if reply.status in (401, 403) and host != urlsplit(self._url).netloc:
            raise ImageError(
                f"{named}: {self._url} leads to {host}, which answers {reply.status} {reply.reason}: may this computer "
                "read from there?"
            )
        if reply.status == 401 and "insufficient_scope" in reply.headers.get("WWW-Authenticate", ""):
            who = self._login[0] if self._login else "nobody"
            raise ImageError(f"{named}: there is no such repository, or {who} may not pull it")
        if reply.status == 401 or (reply.status == 403 and "token has expired" in said):  # ECR's way to say so
            # Who logged in for us may do so again.
            raise ImageError(f"{named}: {self._url} refuses the log-in: {said or reply.reason}", refused=True)
        if reply.status == 403:
            raise ImageError(f"{named}: who is logged in may not pull it: {said or 'forbidden'}")
        if code == "NAME_UNKNOWN":
            raise ImageError(f"{named}: {self._url} has no such repository", absent=True)
        if reply.status == 404:
            what = "image" if "/manifests/" in reply.geturl() else "blob"
            hint = "" if code else "; is registry_url right?"
            raise ImageError(f"{named}: there is no such {what}{hint}", **({"absent": True} if code else {}))
        raise ImageError(f"{named}: {host} answers {reply.status}: {said or reply.reason}")

    def _named(self, reference: str) -> str:
        return f"{self.repository}{'@' if ':' in reference else ':'}{reference}"

    def _manifests(self, reference: str) -> str:
        return f"/v2/{self.repository}/manifests/{reference}"

    def _reason(self, exc: Exception) -> str:
        if isinstance(exc, ssl.SSLCertVerificationError):
            return f"the certificate is not trusted: {exc.verify_message} (ca_path)"
        if isinstance(exc, TimeoutError):
            return f"silent for {self._timeout:g} s"
        if isinstance(exc, http.client.HTTPException):
            return "broke off"
        return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__


def _tls(ca_path: str | None, validate_certs: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_path)
    except OSError as exc:
        raise ImageError(f"ca_path {ca_path} can't be used: {exc.strerror or exc}") from exc
    if not validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _hash(digest: str) -> Any:
    name, _colon, value = digest.partition(":")
    if name not in ("sha256", "sha512") or not re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{128}", value):
        raise ImageError(f"{digest!r} is no digest that can be checked")
    return hashlib.new(name)


def _pair(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def _shown(url: str) -> str:
    """Without the query, which may be a signature that gives access."""
    return url.partition("?")[0]


def _error(reply: Any) -> tuple[str, str]:
    """Code and message of the registry's first error."""
    try:
        first = json.loads(reply.read(65536))["errors"][0]
        return str(first.get("code", "")), str(first.get("message", ""))[:200]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OSError, http.client.HTTPException):
        return "", ""
