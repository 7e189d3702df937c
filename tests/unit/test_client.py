# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.windward.airflow.plugins.module_utils import _client
from ansible_collections.windward.airflow.plugins.module_utils._client import AirflowApiError, Client
from api_script import ScriptedApi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

POOL = "/api/v2/things/p"
REFUSED = {"detail": "Invalid JWT token"}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time that the client would have slept; the clock goes on as if it had."""
    slept: list[float] = []
    clock = time.monotonic
    monkeypatch.setattr(_client.time, "sleep", slept.append)
    monkeypatch.setattr(_client.time, "monotonic", lambda: clock() + sum(slept))
    return slept


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        yield server


SESSIONS: list[Client] = []


@pytest.fixture(autouse=True)
def hang_up() -> Iterator[None]:
    yield
    while SESSIONS:
        SESSIONS.pop().close()


def client(api: ScriptedApi | str, **more: Any) -> Client:
    SESSIONS.append(Client(api if isinstance(api, str) else api.url, **{"token": "t0", **more}))
    return SESSIONS[-1]


def log_in(api: ScriptedApi | str, **more: Any) -> Client:
    return client(api, **{"token": None, "username": "deploy", "password": "pw-of-deploy", **more})


# -- log-in and token --------------------------------------------------------------------------------------------------


def test_logs_in_once_and_keeps_one_connection_for_reads(api: ScriptedApi) -> None:
    api.expect_log_in("t1").expect("GET", POOL, 200, {"name": "p"}).expect("GET", POOL, 200, {"name": "p"})
    session = log_in(api)
    assert [session.get(POOL), session.get(POOL)] == [{"name": "p"}] * 2
    first, second, third = api.requests
    assert first.body == {"username": "deploy", "password": "pw-of-deploy"}
    assert first.headers["Content-Type"] == "application/json"
    assert "Authorization" not in first.headers
    assert second.headers["Authorization"] == third.headers["Authorization"] == "Bearer t1"
    assert second.headers["User-Agent"] == f"windward.airflow/{_client.VERSION}"
    assert api.connections == 1


@pytest.mark.parametrize(("status", "answer"), [(403, REFUSED), (401, {"detail": "Not authenticated"})])
def test_renews_a_refused_token_once(api: ScriptedApi, status: int, answer: Any) -> None:
    api.expect("POST", "/api/v2/things", status, answer).expect_log_in("t2").expect(
        "POST", "/api/v2/things", 201, {"a": 1}
    )
    assert log_in(api, token="old").request("POST", "/api/v2/things", body={}) == {"a": 1}
    assert [r.headers.get("Authorization") for r in api.requests] == ["Bearer old", None, "Bearer t2"]


def test_does_not_renew_for_ever(api: ScriptedApi) -> None:
    api.expect("GET", POOL, 403, REFUSED).expect_log_in().expect("GET", POOL, 403, REFUSED)
    with pytest.raises(AirflowApiError, match=f"GET {api.url}{POOL}: 403: Invalid JWT token"):
        log_in(api, token="old").get(POOL)


def test_a_fresh_token_that_is_refused_is_not_renewed(api: ScriptedApi) -> None:
    api.expect_log_in().expect("GET", POOL, 403, REFUSED)
    with pytest.raises(AirflowApiError, match="Invalid JWT token"):
        log_in(api).get(POOL)


def test_without_a_log_in_a_refused_token_is_an_error(api: ScriptedApi) -> None:
    api.expect("GET", POOL, 403, REFUSED)
    with pytest.raises(AirflowApiError, match=r"Invalid JWT token \(api_token\)") as error:
        client(api).get(POOL)
    assert "t0" not in str(error.value).replace("api_token", "")


def test_a_missing_permission_is_not_a_refused_token(api: ScriptedApi) -> None:
    api.expect("GET", POOL, 403, {"detail": "Forbidden"})
    with pytest.raises(AirflowApiError, match="403: Forbidden") as error:
        log_in(api, token="t").get(POOL)
    assert error.value.status == 403


def test_wrong_password(api: ScriptedApi) -> None:
    api.expect("POST", "/auth/token", 401, {"detail": "Invalid credentials"})
    with pytest.raises(AirflowApiError, match="/auth/token: 401: Invalid credentials") as error:
        log_in(api).get(POOL)
    assert "pw-of-deploy" not in str(error.value)


def test_a_log_in_page_instead_of_a_token(api: ScriptedApi) -> None:
    api.expect("POST", "/auth/token", 200, {"hello": 1})
    with pytest.raises(AirflowApiError, match="no access_token"):
        log_in(api).get(POOL)


def test_neither_token_nor_log_in(api: ScriptedApi) -> None:
    with pytest.raises(AirflowApiError, match="Give api_token, or api_username"):
        Client(api.url).get(POOL)


def test_token_in_cookie(api: ScriptedApi) -> None:
    api.expect("GET", POOL, 200, {})
    client(api, token_in="cookie").get(POOL)
    assert api.requests[0].headers["Cookie"] == "_token=t0"
    assert "Authorization" not in api.requests[0].headers


# -- patience ----------------------------------------------------------------------------------------------------------


def test_waits_as_long_as_it_is_told(api: ScriptedApi, naps: list[float]) -> None:
    busy = {"Content-Type": "application/json", "Retry-After": "7"}
    api.expect("GET", POOL, 429, {"detail": "slowly"}, headers=busy).expect("GET", POOL, 200, {"name": "p"})
    assert client(api).get(POOL) == {"name": "p"}
    assert naps == [7]


@pytest.mark.parametrize("told", ["61", "9" * 5000, "Wed, 21 Oct 2999 07:28:00 GMT"])
def test_does_not_wait_beyond_its_time(api: ScriptedApi, naps: list[float], told: str) -> None:
    api.expect("GET", POOL, 429, {"detail": "slowly"}, headers={"Retry-After": told})
    with pytest.raises(AirflowApiError, match="429: slowly"):
        client(api).get(POOL)
    assert naps == []


def test_retry_after_as_a_date(api: ScriptedApi, naps: list[float]) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30)
    header = {"Retry-After": soon.strftime("%a, %d %b %Y %H:%M:%S GMT")}
    api.expect("GET", POOL, 503, headers=header).expect("GET", POOL, 200, {})
    client(api).get(POOL)
    assert 28 <= naps[0] <= 30


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_retries_server_errors_ever_more_slowly(api: ScriptedApi, naps: list[float], method: str) -> None:
    for status in (500, 502, 503, 504):
        api.expect(method, POOL, status, {"detail": "down"})
    answer = None if method == "DELETE" else {"name": "p"}
    api.expect(method, POOL, 200, answer)
    assert client(api).request(method, POOL) == answer
    assert all(step / 2 <= nap <= step for nap, step in zip(naps, (0.5, 1, 2, 4), strict=True))


def test_gives_up_in_time_with_the_last_answer(
    api: ScriptedApi, naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_client.random, "uniform", lambda _shortest, longest: longest)
    for _time in range(3):
        api.expect("GET", POOL, 503, {"detail": "migrating"})
    with pytest.raises(AirflowApiError, match="503: migrating") as error:
        client(api, retry_timeout=2.5).get(POOL)
    assert error.value.status == 503
    assert naps == [0.5, 1]


@pytest.mark.parametrize("hang_up", ["before", "amid"])
def test_retries_a_broken_connection(api: ScriptedApi, naps: list[float], hang_up: str) -> None:
    api.expect("GET", POOL, 200, {"a": 1}, hang_up=hang_up).expect("GET", POOL, 200, {"name": "p"})
    assert client(api).get(POOL) == {"name": "p"}
    assert len(naps) == 1


@pytest.mark.parametrize("trouble", [{"status": 503}, {"status": 429}, {"hang_up": "before"}, {"hang_up": "amid"}])
def test_sends_a_post_once(api: ScriptedApi, naps: list[float], trouble: dict[str, Any]) -> None:
    api.expect("POST", "/api/v2/things", **{"status": 201, "answer": {}, **trouble})
    with pytest.raises(AirflowApiError):
        client(api).request("POST", "/api/v2/things", body={"name": "p"})
    assert naps == []


def test_a_post_takes_no_connection_that_may_have_gone(api: ScriptedApi) -> None:
    api.expect("GET", POOL, 200, {}).expect("POST", "/api/v2/things", 201, {"name": "p"})
    session = client(api)
    session.get(POOL)
    assert session.request("POST", "/api/v2/things", body={}) == {"name": "p"}
    assert api.connections == 2


def test_a_kept_connection_that_was_closed_costs_no_pause(api: ScriptedApi, naps: list[float]) -> None:
    api.expect("GET", POOL, 200, {}).expect("GET", POOL, 200, {}, hang_up="before").expect("GET", POOL, 200, {"a": 1})
    session = client(api)
    session.get(POOL)
    assert session.get(POOL) == {"a": 1}
    assert naps == []


def test_nobody_answers(naps: list[float]) -> None:
    with ScriptedApi() as api:
        url = api.url
    with pytest.raises(AirflowApiError, match=f"GET {url}{POOL}: Connection refused"):
        client(url, retry_timeout=5).get(POOL)
    assert 3 <= len(naps) <= 6


def test_an_unknown_host_is_not_asked_again(naps: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_host: object, **_more: object) -> None:  # a resolver that is busy would say something else
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(AirflowApiError, match=r"no-such-host\.invalid"):
        client("http://no-such-host.invalid").get(POOL)
    assert naps == []


# -- answers -----------------------------------------------------------------------------------------------------------


def test_reads_all_pages(api: ScriptedApi) -> None:
    rows = [{"id": f"d{number}"} for number in range(150)]
    api.expect("GET", "/api/v2/jobs", 200, {"jobs": rows[:100], "total_entries": 150})
    api.expect("GET", "/api/v2/jobs", 200, {"jobs": rows[100:], "total_entries": 150})
    assert client(api).pages("/api/v2/jobs", "jobs", {"state": ["a", "b"]}) == rows
    assert [r.query for r in api.requests] == [
        {"limit": ["100"], "offset": [offset], "state": ["a", "b"]} for offset in ("0", "100")
    ]


def test_pages_of_a_server_that_hands_out_fewer(api: ScriptedApi) -> None:
    for number in range(3):
        api.expect("GET", "/api/v2/jobs", 200, {"jobs": [{"id": number}], "total_entries": 3})
    assert len(client(api).pages("/api/v2/jobs", "jobs")) == 3
    assert [r.query["offset"] for r in api.requests] == [["0"], ["1"], ["2"]]


def test_rows_that_vanish_while_paging_end_it(api: ScriptedApi) -> None:
    api.expect("GET", "/api/v2/jobs", 200, {"jobs": [{"id": 1}], "total_entries": 2})
    api.expect("GET", "/api/v2/jobs", 200, {"jobs": [], "total_entries": 1})
    assert client(api).pages("/api/v2/jobs", "jobs") == [{"id": 1}]


def test_rows_that_vanish_before_they_are_read_are_not_missed(api: ScriptedApi) -> None:
    """What took the place of a row after Airflow had counted; seen with the variable that holds fingerprints."""
    api.expect("GET", "/api/v2/jobs", 200, {"jobs": [], "total_entries": 1})
    api.expect("GET", "/api/v2/jobs", 200, {"jobs": [{"id": 2}], "total_entries": 1})
    assert client(api).pages("/api/v2/jobs", "jobs") == [{"id": 2}]


def test_an_empty_page_before_the_end_is_an_error(api: ScriptedApi) -> None:
    for _try in range(5):
        api.expect("GET", "/api/v2/jobs", 200, {"jobs": [{"id": 1}], "total_entries": 2})
        api.expect("GET", "/api/v2/jobs", 200, {"jobs": [], "total_entries": 2})
    with pytest.raises(AirflowApiError, match="no more after 1 of 2 entries"):
        client(api).pages("/api/v2/jobs", "jobs")


def test_a_total_that_counts_more_than_the_rows(api: ScriptedApi) -> None:
    """Before 3.3 an import error counts once for each DAG of its file."""
    error = {"filename": "a.py", "bundle_name": "dags", "stack_trace": "x", "timestamp": "2026-11-22T05:00:00Z"}
    for rows in ([error], []):
        api.expect("GET", "/api/v2/importErrors", 200, {"import_errors": rows, "total_entries": 2})
    assert client(api).pages("/api/v2/importErrors", "import_errors") == [error]


def test_something_else_than_a_listing(api: ScriptedApi) -> None:
    api.expect("GET", "/api/v2/jobs", 200, ["no"])
    with pytest.raises(AirflowApiError, match="answers: it is a list instead of an object; is api_url"):
        client(api).pages("/api/v2/jobs", "jobs")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"detail": "The Pool with name: `p` was not found"}, None),
        ({"detail": "Not Found"}, AirflowApiError),
        ({"error": "API route not found"}, AirflowApiError),
        (b"<html><title>404 of nginx</title></html>", AirflowApiError),
    ],
)
def test_tells_a_missing_object_from_a_wrong_url(api: ScriptedApi, answer: Any, found: Any) -> None:
    api.expect("GET", POOL, 404, answer)
    if found is None:
        assert client(api).find(POOL) is None
    else:
        with pytest.raises(AirflowApiError, match="404"):
            client(api).find(POOL)


@pytest.mark.parametrize(
    ("status", "answer", "text"),
    [
        (400, {"detail": "Default Pool can't be deleted"}, "400: Default Pool can't be deleted"),
        (409, {"detail": {"reason": "Unique constraint violation", "statement": "INSERT secret"}}, "409: Unique"),
        (
            422,
            {"detail": [{"loc": ["body", "slots"], "msg": "Field required", "input": {"password": "secret"}}]},
            "422: body.slots: Field required",
        ),
        (418, None, "418: I'm a Teapot"),
        (400, b"<html><head><title>Blocked\n by proxy</title></head><p>secret</p>", "400: Blocked by proxy$"),
        (200, b"<!doctype html><title>Airflow</title>", "200: not JSON but text/html: Airflow; is api_url right"),
        (200, b'{"name": "p', "200: not JSON but text/html"),
        (302, None, "302: redirected to https://sso.example.org/login; is api_url right"),
    ],
)
def test_errors_say_what_came_back_and_no_secret(api: ScriptedApi, status: int, answer: Any, text: str) -> None:
    headers = {"Content-Type": "text/html", "Location": "https://sso.example.org/login?next=secret"}
    api.expect("PATCH", POOL, status, answer, headers=headers)
    with pytest.raises(AirflowApiError, match=text) as error:
        client(api).request("PATCH", POOL, body={"password": "secret"})
    assert str(error.value).startswith(f"PATCH {api.url}{POOL}: {status}")
    assert "secret" not in str(error.value)


def test_half_an_answer_is_not_shown(api: ScriptedApi) -> None:
    """Not even the one to a log-in, which holds the token."""
    api.expect("POST", "/auth/token", 201, b'{"access_token": "eyJ')
    with pytest.raises(AirflowApiError, match="201: not JSON but application/json: which breaks off") as error:
        log_in(api).get(POOL)
    assert "eyJ" not in str(error.value) and not error.value.uncertain


def test_what_is_gone_needs_no_deletion(api: ScriptedApi) -> None:
    api.expect("DELETE", POOL, 404, {"detail": "The Pool with name: `p` was not found"})
    api.expect("DELETE", POOL, 404, b"<title>404 of nginx</title>")
    assert client(api).request("DELETE", POOL) is None
    with pytest.raises(AirflowApiError, match="404: 404 of nginx; is api_url right"):
        client(api).request("DELETE", POOL)


@pytest.mark.parametrize(
    ("troubles", "uncertain"),
    [
        ([{"status": 409}], False),
        ([{"status": 429}, {"status": 409}], False),
        ([{"status": 503}, {"status": 409}], True),
        ([{"status": 200, "hang_up": "before"}, {"status": 429}, {"status": 409}], True),
        ([{"status": 200, "answer": b"half"}], True),
    ],
)
def test_a_write_that_may_have_been_done_is_told(
    api: ScriptedApi, naps: list[float], troubles: list[dict[str, Any]], uncertain: bool
) -> None:
    for trouble in troubles:
        api.expect("PATCH", POOL, **{"answer": {"detail": "no"}, **trouble})
    with pytest.raises(AirflowApiError) as error:
        client(api).request("PATCH", POOL, body={})
    assert error.value.uncertain is uncertain
    assert ("may have been done all the same" in str(error.value)) is uncertain


def test_a_write_that_reached_nobody_was_not_done(naps: list[float]) -> None:
    with ScriptedApi() as api:
        url = api.url
    with pytest.raises(AirflowApiError, match=r"Connection refused$"):
        client(url, retry_timeout=2).request("PATCH", POOL, body={})


def test_no_content(api: ScriptedApi) -> None:
    api.expect("DELETE", POOL, 204)
    assert client(api).request("DELETE", POOL) is None


def test_a_page_without_log_in_is_asked_for_once(api: ScriptedApi, naps: list[float]) -> None:
    api.expect("GET", "/api/v2/version", 503)
    with pytest.raises(AirflowApiError, match="503"):
        client(api).open("/api/v2/version")
    assert naps == []
    assert "Authorization" not in api.requests[0].headers


# -- the way there -----------------------------------------------------------------------------------------------------


def test_a_prefix_of_the_path(api: ScriptedApi) -> None:
    api.expect("POST", "/team/air/auth/token", 201, {"access_token": "t"}).expect("GET", f"/team/air{POOL}", 200, {})
    log_in(f"{api.url}/team/air/").get(POOL)


@pytest.mark.parametrize(
    "url",
    ["", "airflow", "ftp://host", "http://", "http://user:pw@host", "http://host/?a=1", "http://host:port", "http://..",
     f"http://{'a' * 64}.example.org", "http://[::1"],
)  # fmt: skip
def test_refuses_what_is_no_url(url: str) -> None:
    with pytest.raises(AirflowApiError, match="api_url must"):
        Client(url, token="t")


@pytest.mark.parametrize("proxy", ["http://me:pw@host:bad", "http://[::1", "http://..:3128", "http://", "a" * 64])
def test_a_proxy_that_is_none(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(AirflowApiError, match=r"^The proxy that the environment names for http:// is no URL of a"):
        Client("http://airflow.example.org", token="t", retry_timeout=0).get(POOL)


@pytest.mark.parametrize("scheme", ["https", "socks5"])
def test_a_proxy_of_another_kind_is_told_no_password(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("http_proxy", f"{scheme}://me:pw@127.0.0.1:1")
    with pytest.raises(AirflowApiError, match=f"is one by {scheme}://; only http:// works$"):
        client("http://airflow.example.org").get(POOL)


def test_a_proxy_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://me:pw@127.0.0.1:1")
    with pytest.raises(AirflowApiError, match=r"refused.* \(by the proxy 127.0.0.1:1\)$"):
        client("http://airflow.example.org").get(POOL)


def test_http_proxy_from_the_environment(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", api.url.replace("http://", "http://me:p%40w@"))
    api.expect("GET", POOL, 200, {"via": "proxy"})
    assert client("http://airflow.example.org").get(POOL) == {"via": "proxy"}
    assert api.requests[0].headers["Host"] == "airflow.example.org"
    assert api.requests[0].headers["Proxy-Authorization"] == "Basic bWU6cEB3"


def test_https_proxy_from_the_environment(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", api.url)
    api.expect("CONNECT", "airflow.example.org:443", 403)
    with pytest.raises(AirflowApiError, match="Tunnel connection failed: 403"):
        client("https://airflow.example.org", retry_timeout=0).get(POOL)
    assert "Authorization" not in api.requests[0].headers


def test_no_proxy_from_the_environment(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    api.expect("GET", POOL, 200, {})
    assert client(api).get(POOL) == {}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "airflow")])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + cert.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def tls_api(certificate: Path) -> Iterator[ScriptedApi]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ScriptedApi(context) as server:
        yield server


def test_trusts_the_given_authority(tls_api: ScriptedApi, certificate: Path) -> None:
    tls_api.expect("GET", POOL, 200, {"tls": True})
    assert client(tls_api, ca_path=str(certificate)).get(POOL) == {"tls": True}


def test_an_unknown_authority_is_refused_at_once(tls_api: ScriptedApi, naps: list[float]) -> None:
    with pytest.raises(AirflowApiError, match=r"certificate is not trusted: .*self.signed.* \(api_ca_path\)"):
        client(tls_api).get(POOL)
    assert naps == []


def test_validation_can_be_switched_off(tls_api: ScriptedApi) -> None:
    tls_api.expect("GET", POOL, 200, {"tls": True})
    assert client(tls_api, validate_certs=False).get(POOL) == {"tls": True}


def test_a_ca_file_that_is_not_there() -> None:
    with pytest.raises(AirflowApiError, match="api_ca_path /nowhere can't be used: No such file"):
        Client("https://airflow.example.org", token="t", ca_path="/nowhere")


def test_the_version_is_the_collections() -> None:
    galaxy = Path(__file__).parents[2] / "galaxy.yml"
    assert yaml.safe_load(galaxy.read_text())["version"] == _client.VERSION
