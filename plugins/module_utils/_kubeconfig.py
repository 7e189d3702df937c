# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. The way to a cluster, as a kubeconfig describes it.

https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/ tells how files are merged, and
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins what `exec` is.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

DEFAULT = "~/.kube/config"
SOON = 60  # seconds before a credential ends in which it is not used any more


class KubernetesError(OSError):
    """One sentence for the user. Some errors pass; one that is `lasting` does not."""

    def __init__(self, message: str, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class NoWay(KubernetesError):
    """There is nobody to be asked."""


def no_way(given: str | None, why: str = "it is no kubeconfig") -> NoWay:
    """Why nobody can be asked, without what is in the file, which may be a token."""
    return NoWay(f"there is no way to a cluster: {why} ({given or DEFAULT})", lasting=True)


class Way:
    """A server, what it is trusted by, and who asks.

    `given` is a file or several, separated as in PATH; without it KUBECONFIG and then ~/.kube/config count. Raises
    KubernetesError where that leads nowhere.
    """

    def __init__(self, given: str | None = None, context: str | None = None) -> None:
        self.given = given or os.environ.get("KUBECONFIG") or None
        try:
            self.context, self._cluster, self._user = chosen(self.given, context)
            parts = urlsplit(self._cluster["server"])
            self.host, self.prefix = parts.hostname or "", parts.path.rstrip("/")
            self.port = parts.port or {"http": 80, "https": 443}[parts.scheme]
            self._credentials: dict[str, Any] = self._user
            self._until = float("inf")
            if "exec" in self._user:
                self._run()
            self._tls = self._context() if parts.scheme == "https" else None
            self._proxy = self._via(parts.scheme)
        except KubernetesError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise no_way(self.given) from error
        except OSError as error:  # of a file that it names, or of what is in that
            what = f"a certificate or key that it names can't be used: {error.strerror or error}"
            raise no_way(self.given, what) from error

    def header(self) -> dict[str, str]:
        """Who asks, unless the certificate says it."""
        if time.time() > self._until - SOON:
            self._run()
            self._tls = self._tls and self._context()
        user = self._credentials
        token = str(user.get("token") or "")
        if path := user.get("tokenFile"):  # whoever renews it writes it anew
            try:
                token = Path(path).read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                raise no_way(self.given, f"the token in {path} can't be read") from error
        if token := token.strip():
            if not (token.isascii() and token.isprintable()):  # whoever sends it would show it in an error
                raise no_way(self.given, "its token is not of printable ASCII characters")
            return {"Authorization": f"Bearer {token}"}
        if "username" in user:
            pair = f"{user['username']}:{user.get('password', '')}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {}

    def connect(self, timeout: float) -> socket.socket:
        """A connection to the server."""
        via = self._proxy
        place = (via.hostname or "", via.port or 80) if via else (self.host, self.port)
        plain = http.client.HTTPConnection(*place, timeout=timeout)
        if via:
            pair = f"{unquote(via.username or '')}:{unquote(via.password or '')}".encode()
            login = {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode()}"} if via.username else {}
            plain.set_tunnel(self.host, self.port, login)
        plain.connect()
        if not self._tls:
            return plain.sock
        return self._tls.wrap_socket(plain.sock, server_hostname=self._cluster.get("tls-server-name") or self.host)

    def _via(self, scheme: str) -> Any:
        """The proxy: the cluster's own, or the environment's."""
        url = self._cluster.get("proxy-url")
        if not url and not _is_near(self.host, self.port):
            url = urllib.request.getproxies().get(scheme)
        via = urlsplit(url if "//" in url else f"//{url}") if url else None
        if via and (via.scheme not in ("", "http") or not via.hostname or via.port == 0):
            # Without its text, which may hold a password.
            raise no_way(self.given, "its proxy, or that of the environment, is none by http://")
        return via

    def _context(self) -> ssl.SSLContext:
        cluster, user = self._cluster, self._credentials
        context = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority"))
        # As other clients of Kubernetes: certificates of clusters often lack what RFC 5280 asks for.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        certificate, key = _pem(user, "client-certificate"), _pem(user, "client-key")
        if certificate and key:
            # OpenSSL takes a key from a file only.
            descriptor, name = tempfile.mkstemp()
            try:
                with open(descriptor, "w", encoding="ascii") as stream:
                    stream.write(f"{certificate}\n{key}")
                context.load_cert_chain(name, password="")  # without one OpenSSL would ask a person
            finally:
                os.unlink(name)
        elif certificate or key:
            raise no_way(self.given, "its user has a certificate without a key, or a key without a certificate")
        return context

    def _run(self) -> None:
        """Ask the program that knows the credentials."""
        about = self._user["exec"]
        version = about["apiVersion"]
        told = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
        own = {one["name"]: one["value"] for one in about.get("env") or ()}
        try:
            done = subprocess.run(
                [about["command"], *(about.get("args") or ())],
                env={**os.environ, "KUBERNETES_EXEC_INFO": json.dumps(told), **own},
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            why = getattr(error, "strerror", None) or "it does not end"
            raise no_way(self.given, f"{about['command']}, which knows the log-in, does not run: {why}") from error
        if done.returncode:
            why = done.stderr.strip()[-500:] or f"exit code {done.returncode}"
            raise no_way(self.given, f"{about['command']}, which knows the log-in, failed: {why}")
        try:
            status = json.loads(done.stdout)["status"]
            names = (
                ("token", "token"), ("client-certificate-data", "clientCertificateData"),
                ("client-key-data", "clientKeyData"),
            )  # fmt: skip
            self._credentials = {name: status[key] for name, key in names if status.get(key)}
            end = status.get("expirationTimestamp")
            self._until = datetime.fromisoformat(end.replace("Z", "+00:00")).timestamp() if end else float("inf")
        except (AttributeError, KeyError, TypeError, ValueError):
            raise no_way(self.given, f"{about['command']} gave no log-in") from None


def _is_near(host: str, port: int) -> bool:
    """Whether no proxy is asked, as kubectl judges it: this computer needs none, and no_proxy may name networks."""
    if host == "localhost" or urllib.request.proxy_bypass(f"{host}:{port}"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for one in (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(","):
        with contextlib.suppress(ValueError):
            if address in ipaddress.ip_network(one.strip(), strict=False):
                return True
    return address.is_loopback


def chosen(given: str | None, context: str | None) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """A context, its cluster and its user. Of several files the first that has a name counts."""
    try:
        import yaml
    except ImportError as error:
        raise KubernetesError(f"The Python package PyYAML is needed on this host: {error}", lasting=True) from error
    known: dict[str, dict[str, Any]] = {"clusters": {}, "contexts": {}, "users": {}}
    seen = False
    for path in [Path(place).expanduser() for place in (given or DEFAULT).split(os.pathsep) if place]:
        try:
            text = path.read_text(encoding="utf-8")
            content = yaml.safe_load(text) if text.strip() else {}
        except FileNotFoundError:
            continue
        except OSError as error:
            raise no_way(given, f"{path} can't be read: {error.strerror}") from error
        except yaml.YAMLError as error:
            raise no_way(given) from error
        seen = True
        context = context or content.get("current-context")
        for kind, entries in known.items():
            for one in content.get(kind) or ():
                entries.setdefault(one["name"], _beside(path.parent, one[kind[:-1]] or {}))
    if not seen:
        raise no_way(given, "there is no such file")
    if not context:
        raise no_way(given, "it has no current context")

    def entry(kind: str, name: str | None) -> dict[str, Any]:
        if name not in known[kind]:
            raise no_way(given, f"it has no {kind[:-1]} {name}")
        return dict(known[kind][str(name)])

    chosen = entry("contexts", context)
    user = entry("users", chosen["user"]) if chosen.get("user") else {}
    if "auth-provider" in user:
        raise no_way(given, "auth-provider went with Kubernetes 1.26: exec has come in its place")
    if any(name in user for name in ("as", "as-uid", "as-groups", "as-user-extra")):
        raise no_way(given, "its user asks as another, which kubernetes.core would not do: give that one's own log-in")
    return context, entry("clusters", chosen.get("cluster")), user


def _beside(folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    """What is named by a relative path is beside the file."""
    found = dict(about)
    for name in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
        if found.get(name):
            found[name] = str(folder / found[name])
    command = (found.get("exec") or {}).get("command") or ""
    if os.sep in command:
        found["exec"] = {**found["exec"], "command": str(folder / command)}
    return found


def _pem(about: dict[str, Any], name: str) -> str | None:
    """Certificates and keys are in base64 there, as they are in what a program gives, or in a file that is named."""
    if text := about.get(f"{name}-data"):
        return str(text) if text.startswith("-----") else base64.b64decode(text).decode()
    return Path(about[name]).read_text(encoding="utf-8") if about.get(name) else None
