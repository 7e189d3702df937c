# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The ways that a kubeconfig may describe, and requests on them (tests/kind has a real API server)."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._kubeconfig import KubernetesError, Way
from ansible_collections.windward.airflow.plugins.module_utils._kubernetes_api import Api, NotThere
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name == "KUBECONFIG"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


class Server:
    """Says who asked for what, by which certificate and on which connection; breaks off `broken` connections first."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self.tunnels: list[str] = []
        self.broken, self.closing, self.answers = 0, False, [(200, {"gitVersion": "v1.33.0", "items": None})]
        handler = type("Handler", (_Handler,), {"server_of": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: Server

    def log_message(self, *_words: Any) -> None:
        pass

    def parse_request(self) -> bool:
        """A request has come; before, the connection of the last one might be what breaks off."""
        if self.server_of.broken:
            self.server_of.broken -= 1
            self.close_connection = True
            return False
        return super().parse_request()

    def do_GET(self) -> None:
        own = self.server_of
        peer = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        subject = dict(pair for part in (peer or {}).get("subject", ()) for pair in part)
        length = int(self.headers.get("Content-Length") or 0)
        own.asked.append({
            "path": self.path, "authorization": self.headers.get("Authorization"), "user": subject.get("commonName"),
            "kind": self.headers.get("Content-Type"), "body": self.rfile.read(length).decode(),
            "from": self.client_address,
        })  # fmt: skip
        status, answer = own.answers[0] if len(own.answers) == 1 else own.answers.pop(0)
        content = json.dumps(answer).encode() if not isinstance(answer, bytes) else answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if status == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = own.closing

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def written(path: Path, cluster: dict[str, Any], user: dict[str, Any] | None = None, name: str = "here") -> str:
    user = {"token": "t0"} if user is None else user
    entries = {kind: [{"name": name, kind[:-1]: about}] for kind, about in (
        ("clusters", cluster), ("users", user), ("contexts", {"cluster": name, "user": name}),
    )}  # fmt: skip
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": name, **entries}))
    return str(path)


# -- which file, which context -----------------------------------------------------------------------------------------


def test_files_are_merged_and_the_first_counts(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = written(tmp_path / "first", {"server": server.url}, {"token": "first"})
    second = written(tmp_path / "second", {"server": server.url}, {"token": "second"}, "there")
    third = written(tmp_path / "third", {"server": "http://127.0.0.1:1"}, {"token": "third"})
    monkeypatch.setenv("KUBECONFIG", f"/nowhere:{first}:{second}:{third}")
    assert Way().header() == {"Authorization": "Bearer first"}
    assert Way(context="there").header() == {"Authorization": "Bearer second"}
    assert (Way().context, Way(context="there").context) == ("here", "there")
    assert Way(third).header() == {"Authorization": "Bearer third"}


@pytest.mark.parametrize("others", [":{}", "{}:", "/nowhere::{}", "{empty}:{}"])
def test_what_has_no_name_or_is_empty_is_passed_over(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: str
) -> None:
    """As `export KUBECONFIG=$KUBECONFIG:...` gives it where there was none."""
    (tmp_path / "empty").write_text("\n")
    own = written(tmp_path / "own", {"server": server.url}, {"token": "own"})
    monkeypatch.setenv("KUBECONFIG", others.format(own, empty=tmp_path / "empty"))
    assert Way().header() == {"Authorization": "Bearer own"}


def test_without_a_name_it_is_kubectls_own_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "home/.kube").mkdir(parents=True)
    written(tmp_path / "home/.kube/config", {"server": server.url + "/k8s/clusters/c-1/"})
    with Api() as api:
        assert api.get("/version")["gitVersion"] == "v1.33.0"
    assert server.asked[0]["path"] == "/k8s/clusters/c-1/version"


@pytest.mark.parametrize(
    ("content", "context", "says"),
    [
        (None, None, "there is no such file"),
        ("{}", None, "it has no current context"),
        ("{}", "c", "it has no context c"),
        ("[]", None, "it is no kubeconfig"),
        ("users: [5ecret", None, "it is no kubeconfig"),
        ("contexts: [{name: c, context: {cluster: d}}]", "c", "it has no cluster d"),
        ("{clusters: [{name: d}], contexts: [{name: c, context: {cluster: d}}]}", "c", "it is no kubeconfig"),
    ],
)
def test_a_file_that_leads_nowhere(tmp_path: Path, content: str | None, context: str | None, says: str) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(KubernetesError) as told:
        Way(str(path), context)
    assert str(told.value) == f"there is no way to a cluster: {says} ({path})" and told.value.lasting


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(KubernetesError, match=f"there is no way to a cluster: {tmp_path} can't be read: Is a dir"):
        Way(str(tmp_path))


@pytest.mark.parametrize(
    ("cluster", "user", "says"),
    [
        ({"server": "ftp://h"}, {}, "it is no kubeconfig"),
        ({"server": "https://h", "certificate-authority": "/nowhere/ca"}, {}, "a certificate .* No such"),
        ({"server": "https://h", "certificate-authority-data": "5ecret"}, {}, "it is no kubeconfig"),
        ({"server": "https://h"}, {"client-certificate": "a", "client-key": "b"}, "a certificate or key .* No such"),
        ({"server": "https://h", "proxy-url": "socks5://u:5ecret@h"}, {}, "its proxy, or that of the environment"),
        ({"server": "https://h", "proxy-url": "http://u:5ecret@h:x"}, {}, "it is no kubeconfig"),
        ({"server": "https://h"}, {"auth-provider": {"name": "gcp"}}, "auth-provider went with Kubernetes 1.26"),
        ({"server": "https://h"}, {"token": "5ecret", "as": "other"}, "its user asks as another"),
        ({"server": "https://h"}, {"client-key-data": "YQ=="}, "its user has a certificate without a key"),
    ],
)
def test_what_it_names_and_can_not_be_used(tmp_path: Path, cluster: Any, user: Any, says: str) -> None:
    with pytest.raises(KubernetesError, match=f"there is no way to a cluster: {says}") as told:
        Way(written(tmp_path / "config", cluster, user))
    assert "5ecret" not in str(told.value)


# -- who asks ----------------------------------------------------------------------------------------------------------


def test_a_file_with_a_token_is_beside_and_read_each_time(server: Server, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\n")
    with Api(written(tmp_path / "config", {"server": server.url}, {"tokenFile": "token"})) as api:
        api.get("/version")
        (tmp_path / "token").write_text("two")
        api.get("/version")
    assert [one["authorization"] for one in server.asked] == ["Bearer one", "Bearer two"]
    assert len({one["from"] for one in server.asked}) == 1


@pytest.mark.parametrize(("token", "sent"), [("t0\n", "Bearer t0"), (" t0 ", "Bearer t0"), (10, "Bearer 10")])
def test_a_token_as_yaml_may_give_it(tmp_path: Path, token: Any, sent: str) -> None:
    assert Way(written(tmp_path / "config", {"server": "http://h"}, {"token": token})).header()["Authorization"] == sent


@pytest.mark.parametrize("token", ["5ecret\nX-Own: 1", "5ecr\u00e9t", "5ecret\x00"])
def test_a_token_that_can_not_be_sent_is_not_shown(server: Server, tmp_path: Path, token: str) -> None:
    with (
        Api(written(tmp_path / "config", {"server": server.url}, {"token": token})) as api,
        pytest.raises(KubernetesError, match="its token is not of printable ASCII characters") as told,
    ):
        api.get("/version")
    assert "5ec" not in str(told.value) and server.asked == []


def test_a_token_s_file_that_went(server: Server, tmp_path: Path) -> None:
    with (
        Api(written(tmp_path / "config", {"server": server.url}, {"tokenFile": "gone"})) as api,
        pytest.raises(KubernetesError, match=f"the token in {tmp_path}/gone can't be read"),
    ):
        api.get("/version")


def test_user_and_password(tmp_path: Path) -> None:
    way = Way(written(tmp_path / "config", {"server": "http://h"}, {"username": "u", "password": "p"}))
    assert way.header() == {"Authorization": f"Basic {base64.b64encode(b'u:p').decode()}"}


PROGRAM = """#!/bin/sh
echo x >> "$CALLS"
printf '{"kind": "ExecCredential", "status": {"token": "%s-%s-%s", "expirationTimestamp": "%s"}}' \
  "$1" "$OWN" "$(wc -l < "$CALLS")" "$UNTIL"
"""


def program(tmp_path: Path, text: str = PROGRAM, **own: str) -> dict[str, Any]:
    (tmp_path / "log-in").write_text(text)
    (tmp_path / "log-in").chmod(0o755)
    own = {"CALLS": str(tmp_path / "calls"), "OWN": "own", "UNTIL": "2126-01-01T00:00:00Z", **own}
    environment = [{"name": name, "value": value} for name, value in own.items()]
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": "./log-in", "args": ["a"], "env": environment}}


def test_a_program_that_knows_the_log_in_is_asked_once(tmp_path: Path) -> None:
    way = Way(written(tmp_path / "config", {"server": "http://h"}, program(tmp_path)))
    assert [way.header(), way.header()] == [{"Authorization": "Bearer a-own-1"}] * 2


def test_and_again_when_its_answer_is_about_to_end(tmp_path: Path) -> None:
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 30))
    way = Way(written(tmp_path / "config", {"server": "http://h"}, program(tmp_path, UNTIL=soon)))
    assert way.header() == {"Authorization": "Bearer a-own-2"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("#!/bin/sh\necho no session, log in first >&2; exit 3", "log-in, which knows the log-in, failed: no session"),
        ("#!/bin/sh\nexit 3", "which knows the log-in, failed: exit code 3"),
        ("#!/bin/sh\necho 5ecret", "log-in gave no log-in"),
        ("#!/nowhere", "which knows the log-in, does not run: No such file"),
    ],
)
def test_a_program_that_does_not_know_it(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(KubernetesError, match=says) as told:
        Way(written(tmp_path / "config", {"server": "http://h"}, program(tmp_path, text)))
    assert "5ecret" not in str(told.value)


# -- TLS ---------------------------------------------------------------------------------------------------------------


class Authority:
    def __init__(self, folder: Path) -> None:
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
        self.own = self._sign(self.name, self.key, x509.BasicConstraints(ca=True, path_length=None))
        (folder / "ca.crt").write_bytes(self.own)

    def _sign(self, name: x509.Name, key: Any, extension: Any) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder(self.name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(extension, isinstance(extension, x509.BasicConstraints))
            .sign(self.key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)

    def pair(self, name: str, *names: x509.GeneralName) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        files = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        files[0].write_bytes(self._sign(subject, key, x509.SubjectAlternativeName(names or [x509.DNSName(name)])))
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        files[1].write_bytes(key.private_bytes(*form))
        return files


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tls(authority: Authority) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    context.load_cert_chain(*authority.pair("server", address, x509.DNSName("kubernetes.default")))
    context.load_verify_locations(authority.folder / "ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    found = Server(context)
    yield found
    found.close()


def data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


@pytest.mark.parametrize("inside", ["", "client-certificate", "client-certificate certificate-authority client-key"])
def test_a_certificate_says_who_asks(tls: Server, authority: Authority, tmp_path: Path, inside: str) -> None:
    """In the file itself, and as paths beside it. This authority lacks what Python 3.13 asks for by itself."""
    certificate, key = authority.pair("admin")
    names = {"certificate-authority": tmp_path / "ca.crt"}, {"client-certificate": certificate, "client-key": key}
    cluster, user = (
        dict(
            (f"{name}-data", data(path)) if name in inside.split() else (name, path.name) for name, path in one.items()
        )
        for one in names
    )
    with Api(written(tmp_path / "config", {"server": tls.url, **cluster}, user)) as api:
        assert api.get("/version")["gitVersion"] == "v1.33.0"
    assert (tls.asked[0]["user"], tls.asked[0]["authorization"]) == ("admin", None)


def test_a_key_that_wants_a_password_asks_nobody(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.pair("admin")
    held = serialization.load_pem_private_key(key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"5ecret")
    key.write_bytes(held.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    user = {"client-certificate": certificate.name, "client-key": key.name}
    code = (
        "import sys; from ansible_collections.windward.airflow.plugins.module_utils._kubeconfig import Way; "
        "Way(sys.argv[1])"
    )
    # Without a terminal OpenSSL would ask standard input.
    asked = [sys.executable, "-c", code, written(tmp_path / "config", {"server": "https://h"}, user)]
    done = subprocess.run(
        asked, input="5ecret\n", env={**os.environ, "PYTHONPATH": str(ROOT / ".collections")}, capture_output=True,
        text=True, check=False, start_new_session=True,
    )  # fmt: skip
    assert "a certificate or key that it names can't be used" in done.stderr, done


def test_a_program_may_give_a_certificate(tls: Server, authority: Authority, tmp_path: Path) -> None:
    certificate, key = (json.dumps(path.read_text()) for path in authority.pair("admin"))
    status = f'{{"status": {{"clientCertificateData": {certificate}, "clientKeyData": {key}}}}}'
    user = program(tmp_path, f"#!/bin/sh\ncat <<'END'\n{status}\nEND\n")
    with Api(written(tmp_path / "config", {"server": tls.url, "certificate-authority": "ca.crt"}, user)) as api:
        api.get("/version")
    assert tls.asked[0]["user"] == "admin"


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        ({}, "certificate verify failed"),
        ({"certificate-authority": "ca.crt", "tls-server-name": "other"}, "certificate is not valid for 'other'"),
        ({"certificate-authority": "ca.crt", "tls-server-name": "kubernetes.default"}, ""),
        ({"insecure-skip-tls-verify": True}, ""),
    ],
)
def test_whom_it_trusts(tls: Server, tmp_path: Path, cluster: dict[str, Any], says: str) -> None:
    with Api(written(tmp_path / "config", {"server": tls.url, **cluster}), tries=1) as api:
        if not says:
            assert api.get("/version")["gitVersion"] == "v1.33.0"
            return
        with pytest.raises(KubernetesError, match=f"Kubernetes can't be reached: .*{says}"):
            api.get("/version")


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_proxy(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By CONNECT: of the cluster, else of the environment. This one refuses, and says that it was asked."""
    server.answers = [(501, b"no tunnels")]
    monkeypatch.setenv("http_proxy", server.url)
    for cluster in ({"server": "http://192.0.2.1:6443"}, {"server": "http://192.0.2.1:6443", "proxy-url": server.url}):
        with pytest.raises(KubernetesError, match="Kubernetes can't be reached: Tunnel connection failed: 501"):
            Api(written(tmp_path / "config", cluster), tries=1).get("/version")
        monkeypatch.delenv("http_proxy", raising=False)
    assert server.asked == []  # CONNECT is no method that it knows


@pytest.mark.parametrize(
    ("host", "without", "direct"),
    [
        ("localhost", "", True), ("127.0.0.1", "", True), ("[::1]", "", True), ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "192.168.0.0/16,nonsense/8", False), ("api.example.org", ".example.org", True),
        ("api.example.org", "10.0.0.0/8", False),
    ],
)  # fmt: skip
def test_what_needs_no_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, without: str, direct: bool
) -> None:
    """A Kind cluster is on this computer, and networks in no_proxy are what sites write for kubectl."""
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128")
    monkeypatch.setenv("no_proxy", without)
    way = Way(written(tmp_path / "config", {"server": f"https://{host}:6443"}))
    assert (way._proxy is None) is direct


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b""])
def test_what_is_no_kubernetes(server: Server, tmp_path: Path, answer: bytes) -> None:
    server.answers = [(200, answer)]
    with (
        Api(written(tmp_path / "config", {"server": server.url})) as api,
        pytest.raises(KubernetesError, match="what answers there is no Kubernetes"),
    ):
        api.get("/version")


def test_a_question_is_asked_again_and_a_change_is_not(server: Server, tmp_path: Path) -> None:
    path = written(tmp_path / "config", {"server": server.url})
    with Api(path) as api:
        server.broken = 2
        assert api.get("/version")["gitVersion"] == "v1.33.0"
    for broken, ask in ((1, lambda: api.post("/things", {})), (3, lambda: api.get("/version"))):
        server.broken = broken
        with Api(path) as api, pytest.raises(KubernetesError, match="Kubernetes can't be reached"):
            ask()
        assert server.broken == 0


@pytest.mark.parametrize(("times", "tries"), [(2, 3), (3, 3), (1, 1)])
def test_who_has_too_much_to_do_is_asked_again(server: Server, tmp_path: Path, times: int, tries: int) -> None:
    """Also for a change, of which nothing was done."""
    server.answers = [(429, {"message": "too many requests"})] * times + [(200, {"done": True})]
    with Api(written(tmp_path / "config", {"server": server.url}), tries=tries) as api:
        if times < tries:
            assert api.post("/api/v1/pods", {}) == {"done": True}
        else:
            with pytest.raises(KubernetesError, match="too many requests"):
                api.post("/api/v1/pods", {})
    assert len(server.asked) == min(times + 1, tries)


def test_a_connection_that_the_server_closed_is_not_used(server: Server, tmp_path: Path) -> None:
    """So that a change does not fail by what was long ago."""
    server.closing = True
    with Api(written(tmp_path / "config", {"server": server.url})) as api:
        for _number in range(3):
            assert api.post("/things", {"a": 1})["gitVersion"] == "v1.33.0"
            time.sleep(0.1)
    assert [one["body"] for one in server.asked] == ['{"a": 1}'] * 3


@pytest.mark.parametrize(
    ("status", "answer", "says", "lasting"),
    [
        (404, {"message": 'things "a" not found'}, 'Kubernetes refuses here: things "a" not found', True),
        (403, {"message": "things is forbidden"}, "Kubernetes refuses here: things is forbidden", True),
        (401, {"message": "Unauthorized"}, "Kubernetes refuses here: Unauthorized", True),
        (409, {"message": "the object has been modified"}, "Kubernetes refuses here: the object has been", False),
        (503, b"<html>", "Kubernetes refuses here: HTTP 503 Service Unavailable", False),
        (429, {"kind": "Status"}, "Kubernetes refuses here: HTTP 429 Too Many Requests", False),
    ],
)
def test_a_refusal(server: Server, tmp_path: Path, status: int, answer: Any, says: str, lasting: bool) -> None:
    server.answers = [(status, answer)]
    with Api(written(tmp_path / "config", {"server": server.url}), where=" here", tries=1) as api:
        for ask in (lambda: api.get("/things/a"), lambda: api.patch("/things/a", {}), lambda: api.delete("/things/a")):
            with pytest.raises(KubernetesError, match=says) as told:
                ask()
            assert (told.value.lasting, isinstance(told.value, NotThere)) == (lasting, status == 404)
    assert len(server.asked) == 3


def test_what_is_asked_for_is_spelled_as_kubernetes_reads_it(server: Server, tmp_path: Path) -> None:
    with Api(written(tmp_path / "config", {"server": server.url})) as api:
        assert api.items("/pods", labelSelector="a=b,c in (d)") == []
        api.patch("/things/a", {"x": 1}, fieldManager="me")
    assert [one["path"] for one in server.asked] == [
        "/pods?labelSelector=a%3Db%2Cc+in+%28d%29", "/things/a?fieldManager=me"
    ]  # fmt: skip
    assert (server.asked[1]["kind"], server.asked[1]["body"]) == ("application/merge-patch+json", '{"x": 1}')
