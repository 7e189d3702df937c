# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a proxy promises, for scenarios that have one: each function is one promise, and the last spends the log-ins."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import time
import warnings
from dataclasses import dataclass, field
from uuid import uuid4

from deployment import Deployment

GUESSES = 31  # one more than it allows in a minute
PATIENCE = 180  # seconds for what takes a moment


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str


@dataclass
class Proxy:
    """The proxy of a deployment, as somebody asks it who trusts its authority."""

    deployment: Deployment
    host: str
    port: int = 443
    context: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        authority = self.deployment.shell("cat /etc/haproxy/airflow/ca.pem", self.host)
        assert "PRIVATE" not in authority
        self.context = ssl.create_default_context(cadata=authority)

    @property
    def address(self) -> str:
        return self.deployment.addresses[self.host]

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPSConnection(self.address, self.port, context=self.context, timeout=30)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, given)
            reply = connection.getresponse()
            return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read().decode())
        finally:
            connection.close()

    def begin(self, path: str, header: str, value: str, sent: bytes = b"") -> int:
        """The answer's status to a body that a header announces and that never ends.

        Nothing is sent after what the proxy decides by: it would meet a closed connection.
        """
        connection = http.client.HTTPSConnection(self.address, self.port, context=self.context, timeout=30)
        try:
            connection.putrequest("POST", path)
            connection.putheader(header, value)
            connection.endheaders(sent)
            return connection.getresponse().status
        finally:
            connection.close()

    def log_in(self, password: str) -> Answer:
        body = json.dumps({"username": "admin", "password": password})
        return self.ask("POST", "/auth/token", body, Content_Type="application/json")


def leads_to_a_healthy_airflow(proxy: Proxy) -> None:
    for path in ("/api/v2/monitor/health", "/execution/health", "/api/v2/version"):
        assert proxy.ask("GET", path).status == 200, path
    health = json.loads(proxy.ask("GET", "/api/v2/monitor/health").body)
    assert health["metadatabase"]["status"] == "healthy"
    token = proxy.log_in(proxy.deployment.secrets()["admin_password"])
    assert token.status == 201
    bearer = f"Bearer {json.loads(token.body)['access_token']}"
    assert proxy.ask("GET", "/api/v2/dags", Authorization=bearer).status == 200


def is_trusted_by_its_authority_alone(proxy: Proxy) -> None:
    """And by TLS 1.2 or later, and not at all without TLS."""
    for context in (ssl.create_default_context(), old()):
        try:
            connection = http.client.HTTPSConnection(proxy.address, proxy.port, context=context, timeout=30)
            connection.request("GET", "/api/v2/version")
        except (ssl.SSLError, OSError):
            continue
        raise AssertionError(f"{context} was good enough")
    plain = http.client.HTTPConnection(proxy.address, proxy.port, timeout=30)
    plain.request("GET", "/api/v2/version")
    with contextlib.suppress(http.client.BadStatusLine, ConnectionError):
        assert plain.getresponse().status == 400


def old() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is what is to be refused
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def logged(proxy: Proxy, mark: str, last: str, api_servers: list[str]) -> str:
    """What api-servers have logged of requests with a mark, once that of the last one is there.

    Airflow logs a request after it has answered, and a journal takes another moment.
    """
    deadline = time.monotonic() + PATIENCE
    while last not in (lines := journal(proxy, mark, api_servers)):
        assert time.monotonic() < deadline, f"{last} is not among: {lines}"
        time.sleep(0.5)
    return lines


def journal(proxy: Proxy, mark: str, api_servers: list[str]) -> str:
    command = f"journalctl --namespace=airflow --since -10min --output=cat | grep -F '{mark}' || true"
    return "".join(proxy.deployment.shell(command, host) for host in api_servers)


def leads_to(proxy: Proxy, api_server: str) -> None:
    """Wait until it does: it looks every two seconds, and wants to see one well twice that was away."""
    mark, deadline = f"mark={uuid4().hex}", time.monotonic() + PATIENCE
    while not journal(proxy, mark, [api_server]):
        assert time.monotonic() < deadline, f"it leads nobody to {api_server}"
        assert proxy.ask("GET", f"/api/v2/version?{mark}").status == 200
        time.sleep(0.5)


def believes_no_client(proxy: Proxy, api_servers: list[str]) -> None:
    """Whoever says that he is somebody else is logged as who he is, and links stay those of the proxy."""
    mark = f"mark={uuid4().hex}"
    spoof = {"X_Forwarded_For": "6.6.6.6", "Forwarded": "for=6.6.6.6", "X_Real_IP": "6.6.6.6"}
    assert proxy.ask("GET", f"/api/v2/version?{mark}", **spoof).status == 200
    lines = logged(proxy, mark, mark, api_servers)
    assert "6.6.6.6" not in lines and proxy.address not in lines, lines
    elsewhere = {"X_Forwarded_Proto": "http", "X_Forwarded_Host": "evil.example", "X_Forwarded_Prefix": "/x"}
    moved = proxy.ask("GET", "/auth/login", **elsewhere)
    assert (moved.status, moved.headers.get("location")) == (308, f"https://{proxy.address}/auth/login/"), moved


def limits_requests(proxy: Proxy, api_servers: list[str]) -> None:
    assert proxy.begin("/auth/token", "Transfer-Encoding", "chunked", b"2\r\n{}\r\n") == 411
    assert proxy.begin("/api/v2/variables", "Content-Length", str(65 * 1024 * 1024)) == 413
    # In HTTP/2 no header needs to announce a body; Python speaks HTTP/1 only.
    mark = uuid4().hex
    said = proxy.deployment.shell(
        f"""command -v curl > /dev/null || apt-get install --yes --quiet=2 curl > /dev/null 2>&1
ask() {{
  curl --silent --insecure --http2 --output /dev/null --write-out '%{{http_version}} %{{http_code}}\n' "$@" || true
}}
place=https://{proxy.address}:{proxy.port}/api/v2/version?mark={mark}
for size in 100 100000; do for method in GET OPTIONS DELETE; do
  head -c $size /dev/zero | ask --request $method --upload-file - $place-refused
done; done
ask $place-taken""",
        proxy.host,
    ).splitlines()
    # HAProxy 2.6 cancels the stream when it refuses: that client may see no answer. No api-server saw the request.
    assert {*said[:-1]} <= {"2 411", "0 000"} and said[-1] == "2 200", said
    assert {*re.findall(f"{mark}-([a-z]+)", logged(proxy, mark, f"{mark}-taken", api_servers))} == {"taken"}
    for page in ("/stats", "/haproxy?stats", "/metrics"):
        assert "haproxy" not in proxy.ask("GET", page).body.lower(), page  # the UI answers what it does not know


def limits_guesses(proxy: Proxy) -> None:
    """However the path is written; and what is no log-in goes on."""
    found = [proxy.ask("POST", path, "{}", Content_Type="application/json").status
             for path in ["/auth/token", "/auth/%74oken", "/auth/token/cli"] * (GUESSES // 3 + 1)]
    assert found[0] in (400, 401, 422) and found[-1] == 429, found
    assert proxy.ask("GET", "/api/v2/version").status == 200
