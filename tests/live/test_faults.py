# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What modules say and do when Airflow, or what stands in front of it, answers badly or not at all."""

from __future__ import annotations

import json
import os
import secrets
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fault_proxy as faults
import pytest
import yaml
from ansible_collections.windward.airflow.plugins.module_utils import _client, _module
from ansible_collections.windward.airflow.plugins.module_utils._client import AirflowApiError, Client
from conftest import Run
from fault_proxy import FaultProxy

Options = dict[str, Any]
DAG = os.environ.get("AIRFLOW_TEST_DAG", "example_dag")
AIRFLOW, ADMIN = os.environ["AIRFLOW_API_URL"], os.environ["AIRFLOW_API_PASSWORD"]
KEY = secrets.token_urlsafe(24)
PASSWORD = secrets.token_urlsafe(24)
GROUP = yaml.safe_load((Path(__file__).parents[2] / "meta" / "runtime.yml").read_text())["action_groups"]["airflow"]
PORTAL = b"<!doctype html><html><title>Log in to the guest network</title><p>Welcome</p></html>"
ALWAYS = float("inf")
MAY_BE = "(it may have been done all the same)"


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    one = FaultProxy(AIRFLOW)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def token(client: Client) -> str:
    login = {name: os.environ[f"AIRFLOW_API_{name.upper()}"] for name in ("username", "password")}
    return client.request("POST", "/auth/token", body=login)["access_token"]


@pytest.fixture(autouse=True)
def direct(proxy: FaultProxy, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules are given a token and the proxy's URL, and may log in; pauses between tries are a tenth."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_API_URL", proxy.reset().url)
    monkeypatch.setenv("AIRFLOW_API_TOKEN", token)
    monkeypatch.setattr(_client.random, "uniform", lambda shortest, longest: longest / 10)


@pytest.fixture(autouse=True)
def named(proxy: FaultProxy) -> Iterator[None]:
    """Every request names the collection."""
    yield
    assert {one.headers["User-Agent"] for one in proxy.seen} <= {f"windward.airflow/{_client.VERSION}"}


@pytest.fixture
def run(run: Run, token: str) -> Run:
    """Whatever a module says, it is no traceback and tells no secret."""

    def checked(name: str, check: bool = False, /, **options: Any) -> Options:
        result = run(name, check, **options)
        said = json.dumps({key: value for key, value in result.items() if key != "invocation"})
        assert "Traceback" not in said
        for secret in (PASSWORD, KEY, token, ADMIN):
            assert secret not in json.dumps(result)
        return result

    return checked


# -- reading -----------------------------------------------------------------------------------------------------------

# What each module asks first of the API, with options that change nothing.
READS: dict[str, tuple[str, Options]] = {
    "connection": ("/api/v2/connections/nothing", {"connection_id": "nothing", "state": "absent"}),
    "connection_info": ("/api/v2/connections", {"limit": 1}),
    "dag": (f"/api/v2/dags/{DAG}", {"dag_id": [DAG]}),
    "dag_info": ("/api/v2/dags", {"limit": 1}),
    "dag_release": ("/api/v2/importErrors", {"bundle_name": "none", "bundle_version": "0", "dag_ids": []}),
    "dag_run": (f"/api/v2/dags/{DAG}", {"dag_id": DAG, "wait": False}),
    "dag_run_info": (f"/api/v2/dags/{DAG}/dagRuns", {"dag_id": DAG, "limit": 1}),
    "export": ("/api/v2/connections", {}),
    "health_info": ("/api/v2/monitor/health", {"components": ["metadatabase"]}),
    "import_error_info": ("/api/v2/importErrors", {"limit": 1}),
    "pool": ("/api/v2/pools/nothing", {"name": "nothing", "state": "absent"}),
    "pool_info": ("/api/v2/pools", {"limit": 1}),
    "resources": ("/api/v2/pools", {"pools": []}),
    "role": ("/auth/fab/v1/roles/nothing", {"name": "nothing", "state": "absent"}),
    "role_info": ("/auth/fab/v1/roles", {"limit": 1}),
    "user": ("/auth/fab/v1/users/nothing", {"username": "nothing", "state": "absent"}),
    "user_info": ("/auth/fab/v1/users", {"limit": 1}),
    "variable": ("/api/v2/variables/nothing", {"key": "nothing", "state": "absent"}),
    "variable_info": ("/api/v2/variables", {"limit": 1}),
}
ONCE = {"health_info"}  # is asked in order to know whether Airflow answers, so it doesn't try again by itself
SECRET = PASSWORD.encode()
UNPROCESSABLE = b'{"detail":[{"loc":["query","limit"],"msg":"not an integer","input":"' + SECRET + b'"}]}'
SPOILED_READS: dict[str, tuple[Any, str]] = {
    "refused": (None, "Connection refused"),
    "reset": (faults.reset_before, "Connection reset by peer"),
    "half": (faults.broken_off, "the answer broke off"),
    "half of unknown length": (faults.answer(200, b'{"a":"' + SECRET + b'","'), "not JSON but application/json"),
    "portal": (faults.answer(200, PORTAL, "text/html"), "not JSON but text/html: Log in to the guest network; is api_"),
    "redirect": (faults.answer(302, Location="http://sso.example.org/?a=b"), "302: redirected to http://sso.example.o"),
    "no route": (faults.answer(404, b"<title>nginx</title>", "text/html"), "404: nginx; is api_url right?"),
    "conflict": (faults.answer(409, b'{"detail":{"reason":"Unique","orig_error":"' + SECRET + b'"}}'), "409: Unique"),
    "unprocessable": (faults.answer(422, UNPROCESSABLE), "422: query.limit: not an integer"),
    "half of a refusal": (faults.answer(422, UNPROCESSABLE[:-5]), "422: Unprocessable Entity"),
    "busy": (faults.answer(429, b'{"detail":"slowly"}', Retry_After="30"), "429: slowly"),
    "broken": (faults.answer(500, b"Internal Server Error", "text/plain"), "500: Internal Server Error"),
    "overloaded": (faults.answer(503), "503: Service Unavailable"),
}
ASTRAY = ("portal", "no route", "half of unknown length")


def test_every_module_of_the_group_is_here() -> None:
    assert sorted(READS) == sorted(GROUP)


@pytest.mark.parametrize("trouble", SPOILED_READS)
@pytest.mark.parametrize("module", READS)
def test_a_read_that_fails_is_told_with_its_url(proxy: FaultProxy, run: Run, module: str, trouble: str) -> None:
    path, options = READS[module]
    fault, message = SPOILED_READS[trouble]
    url = proxy.url
    if fault:
        # Users and roles have another auth manager's page in their place, unless all is in the wrong place.
        proxy.spoil("GET", ".*" if trouble in ASTRAY else path, fault, last=ALWAYS)
    else:
        url = "http://127.0.0.1:1"  # nobody's port
    result = run(module, api_url=url, api_retry_timeout=0, **options)
    assert result["failed"] and not result.get("changed")
    assert f"GET {url}{path}: {message}" in result["msg"] or trouble in ASTRAY
    assert (f"GET {url}/api/v2/" in result["msg"] and message in result["msg"]) or trouble not in ASTRAY
    assert proxy.writes() == []


@pytest.mark.parametrize(
    ("module", "trouble"),
    [*((module, "overloaded") for module in sorted(READS.keys() - ONCE)), ("pool", "reset"), ("connection", "half")],
)
def test_a_read_is_tried_again(proxy: FaultProxy, run: Run, module: str, trouble: str) -> None:
    path, options = READS[module]
    rule = proxy.spoil("GET", path, SPOILED_READS[trouble][0], last=2)
    result = run(module, True, api_retry_timeout=5, **options)
    assert not result.get("failed"), result
    assert rule.met > 2 and proxy.writes() == []


@pytest.mark.parametrize("module", sorted(READS.keys() - ONCE))
def test_a_token_that_dies_is_renewed(proxy: FaultProxy, run: Run, module: str) -> None:
    path, options = READS[module]
    rule = proxy.spoil("GET", path, faults.dead_token)
    result = run(module, True, api_retry_timeout=0, **options)
    assert not result.get("failed"), result
    assert proxy.asked("GET", path)[0].status == 403 and proxy.count("POST", "/auth/token") == 1 and rule.met > 1


def test_a_dead_token_without_a_log_in_is_told(
    proxy: FaultProxy, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_API_USERNAME")
    monkeypatch.delenv("AIRFLOW_API_PASSWORD")
    assert not run("pool_info", limit=1).get("failed"), "a token alone will do"
    proxy.spoil("GET", "/api/v2/pools", faults.dead_token)
    assert run("pool_info", limit=1)["msg"] == f"GET {proxy.url}/api/v2/pools: 403: Invalid JWT token (api_token)"
    assert proxy.count("POST") == 0


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long a module meant to sleep between its tries, which it does: a busy computer wakes it later."""
    slept: list[float] = []

    def nap(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    monkeypatch.setattr(_client, "time", SimpleNamespace(monotonic=time.monotonic, sleep=nap))
    return slept


@pytest.mark.parametrize(
    ("header", "shortest", "longest"),
    [(lambda: "1", 1, 1), (lambda: formatdate(time.time() + 3, usegmt=True), 1, 3), (lambda: "later", 0, 0.5)],
    ids=["seconds", "date", "nonsense"],
)
def test_waits_as_it_is_told(
    proxy: FaultProxy, run: Run, naps: list[float], header: Callable[[], str], shortest: float, longest: float
) -> None:
    def busy(handler: Any, body: bytes) -> None:
        faults.answer(429, Retry_After=header())(handler, body)

    proxy.spoil("GET", "/api/v2/pools", busy)
    assert not run("pool_info", limit=1).get("failed")
    first, second = proxy.asked("GET", "/api/v2/pools")
    (slept,) = naps
    assert shortest <= slept <= longest and slept <= second.when - first.when


def test_waits_ever_longer(
    proxy: FaultProxy, run: Run, naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_client.random, "uniform", lambda shortest, longest: (shortest + longest) / 2)
    proxy.spoil("GET", "/api/v2/pools", faults.answer(503), last=3)
    assert not run("pool_info", limit=1).get("failed")
    times = [one.when for one in proxy.asked("GET", "/api/v2/pools")]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(naps) == 3 and all(one * 1.4 < other for one, other in pairwise(naps))
    assert all(slept <= gap for slept, gap in zip(naps, gaps, strict=True))


def test_a_server_that_restarts_is_waited_for(proxy: FaultProxy, run: Run, prefix: str) -> None:
    proxy.spoil("GET", "/api/v2/pools/.*", faults.refused(1))
    assert run("pool", name=f"{prefix}pool", state="absent")["changed"] is False
    assert proxy.count("GET") == 2


def test_no_answer_in_time(proxy: FaultProxy, run: Run) -> None:
    proxy.spoil("GET", "/api/v2/pools", faults.slow(1))
    result = run("pool_info", limit=1, api_timeout=0.3, api_retry_timeout=0)
    assert result["msg"] == f"GET {proxy.url}/api/v2/pools: no answer within 0.3 s"


# -- writing -----------------------------------------------------------------------------------------------------------


@dataclass
class Writer:
    """A module that keeps an object, and the requests by which it does."""

    module: str
    listing: str
    key: str
    create: Options
    update: Options
    bulk: bool = False
    by: dict[str, str] = field(default_factory=dict)

    def options(self, action: str, name: str) -> Options:
        changed = {**self.create, **self.update}
        fields = {"create": self.create, "update": changed, "delete": {"state": "absent"}}[action]
        fields = json.loads(json.dumps({self.key: name, **fields}).replace("NAME", name))
        if self.module == "resources":
            kind = self.listing.rpartition("/")[2]
            return {kind: [{k: v for k, v in fields.items() if k != "fingerprint_key"}], "fingerprint_key": KEY}
        return fields

    def request(self, action: str, name: str) -> tuple[str, str]:
        if self.bulk:
            return "PATCH", self.listing
        return {"create": ("POST", self.listing), "update": ("PATCH", f"{self.listing}/{name}"),
                "delete": ("DELETE", f"{self.listing}/{name}")}[action]  # fmt: skip


USERS, ROLES = "/auth/fab/v1/users", "/auth/fab/v1/roles"
CONNECTION: Options = {"conn_type": "http", "host": "a.example.org", "password": PASSWORD, "fingerprint_key": KEY}
VARIABLE: Options = {"value": PASSWORD, "secret": True, "fingerprint_key": KEY}
READER = [{"resource": "Pools", "actions": ["can_read"]}]
PERSON: Options = {"email": "NAME@example.org", "first_name": "A", "last_name": "B", "roles": ["Viewer"],
                   "password": PASSWORD}  # fmt: skip
WRITERS = {
    "connection": Writer("connection", "/api/v2/connections", "connection_id", CONNECTION, {"password": f"{PASSWORD}2"},
                         bulk=True),
    "variable": Writer("variable", "/api/v2/variables", "key", VARIABLE, {"value": f"{PASSWORD}2"}, bulk=True),
    "resources, connections": Writer("resources", "/api/v2/connections", "connection_id", CONNECTION,
                                     {"password": f"{PASSWORD}2"}, bulk=True),
    "resources, pools": Writer("resources", "/api/v2/pools", "name", {"slots": 1}, {"slots": 2}, bulk=True),
    "pool": Writer("pool", "/api/v2/pools", "name", {"slots": 1}, {"slots": 2}),
    "role": Writer("role", ROLES, "name", {"permissions": []}, {"permissions": READER}),
    "user": Writer("user", USERS, "username", PERSON, {"password": f"{PASSWORD}2"}),
}  # fmt: skip
ACTIONS = ("create", "update", "delete")


def cases(troubles: dict[str, Any], everywhere: str) -> list[tuple[str, str, str]]:
    """One trouble at every module and action; all of them at the two ways to write, one by one and in bulk."""
    return [
        (name, action, trouble)
        for name in WRITERS
        for action in ACTIONS
        for trouble in troubles
        if trouble == everywhere or (name, action) in (("pool", "create"), ("pool", "delete"), ("connection", "update"))
    ]


@pytest.fixture
def writer(request: pytest.FixtureRequest) -> Writer:
    return WRITERS[request.param]


@pytest.fixture
def name(client: Client, writer: Writer, action: str, run: Run, proxy: FaultProxy, prefix: str) -> Iterator[str]:
    """An object's name; the object is there unless it is to be created."""
    one = f"{prefix}{writer.module}_secret"
    if action != "create":
        assert run(writer.module, **writer.options("create", one))["changed"]
    proxy.reset()
    yield one
    if client.find(f"{writer.listing}/{one}"):
        client.request("DELETE", f"{writer.listing}/{one}")


def as_wanted(client: Client, writer: Writer, action: str, name: str) -> bool:
    """As far as it can be seen; what is masked is known by its fingerprint."""
    return (client.find(f"{writer.listing}/{name}") is None) == (action == "delete")


LOST = {"reset": faults.reset_after, "half": faults.broken_off, "gateway": faults.answer(504, done=True),
        "half of unknown length": faults.cut_short}  # fmt: skip


@pytest.mark.parametrize(("writer", "action", "trouble"), cases(LOST, "reset"), indirect=["writer"])
def test_a_write_whose_answer_is_lost_is_done_once_and_known(
    proxy: FaultProxy, run: Run, client: Client, writer: Writer, action: str, name: str, trouble: str
) -> None:
    method, path = writer.request(action, name)
    proxy.spoil(method, path, LOST[trouble])
    result = run(writer.module, **writer.options(action, name))
    posts = proxy.count("POST", writer.listing)
    assert posts == (1 if method == "POST" else 0)
    if result.get("failed"):
        # An answer of status 200 is not asked for again, whatever is in it.
        assert trouble == "half of unknown length" and method != "POST", result
        assert MAY_BE in result["msg"] and f"{method} {proxy.url}{path}: 20" in result["msg"]
        run(writer.module, **writer.options(action, name))
    else:
        assert result["changed"] is True
    assert as_wanted(client, writer, action, name)
    proxy.reset()
    assert run(writer.module, **writer.options(action, name))["changed"] is False
    assert proxy.writes() == [] or writer.module == "user", "nothing is left to do"


NOT_DONE: dict[str, tuple[Any, str, bool]] = {
    "reset": (faults.reset_before, "Connection reset by peer", True),
    "conflict": (faults.answer(409, b'{"detail":"taken"}'), "409: taken", False),
    "unprocessable": (faults.answer(422, UNPROCESSABLE), "422: query.limit: not an integer", False),
    "half of a refusal": (faults.answer(422, UNPROCESSABLE[:-4]), "422: Unprocessable", False),
    "busy": (faults.answer(429, b'{"detail":"slowly"}', Retry_After="1"), "429: slowly", False),
    "broken": (faults.answer(500, b"Internal Server Error", "text/plain"), "500: Internal Server Error", True),
    "overloaded": (faults.answer(503), "503: Service Unavailable", True),
    "no route": (faults.answer(404, b"<title>nginx</title>", "text/html"), "404: nginx; is api_url right?", False),
    "portal": (faults.answer(200, PORTAL, "text/html"), "200: not JSON but text/html: Log in to the guest netw", True),
}


@pytest.mark.parametrize(("writer", "action", "trouble"), cases(NOT_DONE, "unprocessable"), indirect=["writer"])
def test_a_write_that_fails_is_told_and_done_by_the_next_run(
    proxy: FaultProxy, run: Run, client: Client, writer: Writer, action: str, name: str, trouble: str
) -> None:
    method, path = writer.request(action, name)
    fault, message, may_be = NOT_DONE[trouble]
    rule = proxy.spoil(method, path, fault, last=ALWAYS)
    result = run(writer.module, api_retry_timeout=0, **writer.options(action, name))
    assert result["failed"] and not result["changed"]
    assert f"{method} {proxy.url}{path}: {message}" in result["msg"]
    assert (MAY_BE in result["msg"]) is may_be
    # Airflow refuses a bulk write with 409 when somebody else creates the same at once. And a kept connection may have
    # been closed long ago: then at once on a new one.
    twice = writer.bulk if trouble == "conflict" else trouble == "reset" and method != "POST"
    assert rule.met == (2 if twice else 1)
    proxy.reset()
    assert run(writer.module, **writer.options(action, name))["changed"] is True
    assert as_wanted(client, writer, action, name)
    assert run(writer.module, **writer.options(action, name))["changed"] is False


@pytest.mark.parametrize(("writer", "action", "trouble"), cases(NOT_DONE, "reset"), indirect=["writer"])
def test_only_what_may_be_done_twice_is_tried_again(
    proxy: FaultProxy, run: Run, client: Client, writer: Writer, action: str, name: str, trouble: str
) -> None:
    method, path = writer.request(action, name)
    rule = proxy.spoil(method, path, NOT_DONE[trouble][0])
    cured = method != "POST" and trouble in ("reset", "busy", "broken", "overloaded")
    cured = cured or (writer.bulk and trouble == "conflict")
    result = run(writer.module, **writer.options(action, name))
    assert result["changed"] is cured
    assert (rule.met == 1) is not cured
    assert as_wanted(client, writer, action, name) is (cured or action == "update")


@pytest.mark.parametrize("writer", WRITERS, indirect=True)
@pytest.mark.parametrize("action", ["create"])
def test_a_token_that_dies_before_a_write_is_renewed(
    proxy: FaultProxy, run: Run, client: Client, writer: Writer, action: str, name: str
) -> None:
    method, path = writer.request(action, name)
    proxy.spoil(method, path, faults.dead_token)
    assert run(writer.module, **writer.options(action, name))["changed"] is True
    assert proxy.asked(method, path)[0].status == 403
    assert as_wanted(client, writer, action, name)
    assert run(writer.module, **writer.options(action, name))["changed"] is False


@pytest.mark.parametrize("writer", ["connection", "variable", "resources, connections"], indirect=True)
@pytest.mark.parametrize("action", ["update"])
def test_objects_without_their_fingerprints_are_told_and_written_once_more(
    proxy: FaultProxy, run: Run, writer: Writer, action: str, name: str
) -> None:
    fingerprints = 2 if "variables" in writer.listing else 1  # in the same place as the variables themselves
    proxy.spoil("PATCH", "/api/v2/variables", faults.answer(500), first=fingerprints, last=ALWAYS)
    result = run(writer.module, api_retry_timeout=0, **writer.options(action, name))
    assert result["failed"] and result["changed"] is True, "the object was written"
    assert f"{writer.listing.rpartition('/')[2][:-1]} {name}" in result["msg"] or "were written" in result["msg"]
    proxy.reset()
    assert run(writer.module, **writer.options(action, name))["changed"] is True
    assert run(writer.module, **writer.options(action, name))["changed"] is False


def test_a_bulk_write_that_breaks_off_between_its_parts(
    proxy: FaultProxy, run: Run, client: Client, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first part was written, the second perhaps, the third was never sent: all of that is told."""
    monkeypatch.setattr("ansible_collections.windward.airflow.plugins.module_utils._desired.CHUNK", 2)
    names = [f"{prefix}{number}" for number in range(5)]
    wanted: Options = {"fingerprint_key": KEY, "api_retry_timeout": 0}
    wanted["connections"] = [{**CONNECTION, "connection_id": name, "fingerprint_key": None} for name in names]
    for one in wanted["connections"]:
        del one["fingerprint_key"]
    wanted["pools"] = [{"name": names[0], "slots": 1}]
    proxy.spoil("PATCH", "/api/v2/connections", faults.reset_after, first=2, last=ALWAYS)
    try:
        result = run("resources", **wanted)
        assert result["failed"] and result["changed"]
        assert result["msg"].startswith("3 of 6 objects could not be written:")
        assert all(f"connection {name}: " in result["msg"] for name in names[2:])
        assert result["msg"].count(MAY_BE) == 2 and "not tried" in result["msg"]
        assert result["connections"]["created"] == names[:2] and result["pools"]["created"] == names[:1]
        proxy.reset()
        again = run("resources", **wanted)
        assert again["changed"] and again["connections"]["unchanged"] == 2, again
        assert run("resources", **wanted)["changed"] is False
    finally:
        for name in names:
            if client.find(f"/api/v2/connections/{name}"):
                client.request("DELETE", f"/api/v2/connections/{name}")
        if client.find(f"/api/v2/pools/{names[0]}"):
            client.request("DELETE", f"/api/v2/pools/{names[0]}")


def test_a_connection_test_that_fails_hides_no_change(proxy: FaultProxy, run: Run, client: Client, prefix: str) -> None:
    proxy.spoil("POST", "/api/v2/connections/test", faults.reset_before)
    result = run("connection", connection_id=f"{prefix}c", test=True, **CONNECTION)
    client.request("DELETE", f"/api/v2/connections/{prefix}c")
    assert result["failed"] and result["changed"] is True
    assert f"POST {proxy.url}/api/v2/connections/test: Connection reset by peer" in result["msg"]
    assert proxy.count("POST", "/api/v2/connections/test") == 1


# -- two controllers ---------------------------------------------------------------------------------------------------

MODULE = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
with patch_module_args(json.load(sys.stdin)):
    importlib.import_module("ansible_collections.windward.airflow.plugins.modules.resources").main()
"""


class Controller:
    """A run of module resources in a process of its own."""

    def __init__(self, url: str, options: Options) -> None:
        path = os.pathsep.join([str(Path(__file__).parents[2] / ".collections"), *sys.path])
        self.process = subprocess.Popen(
            [sys.executable, "-c", MODULE], env={**os.environ, "PYTHONPATH": path, "AIRFLOW_API_URL": url},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdin
        json.dump(options, self.process.stdin)
        self.process.stdin.close()

    def result(self) -> Options:
        assert self.process.stdout
        with self.process.stdout as stream:
            said = json.loads(stream.read())
        self.process.wait()
        return said


def declared(names: list[str]) -> Options:
    secret = {key: value for key, value in CONNECTION.items() if key != "fingerprint_key"}
    return {
        "connections": [{**secret, "connection_id": name} for name in names],
        "variables": [{"key": name, "value": PASSWORD, "secret": True} for name in names],
        "fingerprint_key": KEY,
    }


@pytest.fixture
def remove(client: Client, prefix: str) -> Iterator[None]:
    yield
    for kind, key in (("connections", "connection_id"), ("variables", "key")):
        rows = client.pages(f"/api/v2/{kind}", kind, {f"{key.replace('key', 'variable_key')}_pattern": prefix})
        actions = [{"action": "delete", "entities": [row[key] for row in rows if row[key].startswith(prefix)]}]
        client.request("PATCH", f"/api/v2/{kind}", body={"actions": actions})


@pytest.mark.usefixtures("remove")
def test_a_controller_that_is_overtaken_loses_nobodys_fingerprints(proxy: FaultProxy, run: Run, prefix: str) -> None:
    """The first is held up between reading the fingerprints and writing them, until the second has done both."""
    here, there = threading.Event(), threading.Event()

    def held_up(handler: Any, body: bytes) -> None:
        here.set()
        assert there.wait(120)
        handler.give(*handler.forward(body))

    mine, theirs = ({**declared([prefix + which]), "variables": None} for which in ("mine", "theirs"))
    proxy.spoil("PATCH", "/api/v2/variables", held_up)
    first = Controller(proxy.url, mine)
    assert here.wait(60)
    assert Controller(proxy.url, theirs).result()["changed"] is True
    there.set()
    assert first.result()["changed"] is True
    assert [run("resources", **one)["changed"] for one in (mine, theirs)] == [False, False]


@pytest.mark.usefixtures("remove")
def test_controllers_at_once_on_the_same_objects(proxy: FaultProxy, run: Run, prefix: str) -> None:
    common = [f"{prefix}common{number}" for number in range(3)]
    wanted = [declared([*common, f"{prefix}own{number}"]) for number in range(3)]
    results = [one.result() for one in [Controller(proxy.url, options) for options in wanted]]
    assert [result.get("msg") for result in results] == [None] * 3
    assert [result["changed"] for result in results] == [True] * 3
    again = [run("resources", **options) for options in wanted]
    assert [result["changed"] for result in again] == [False] * 3, again


# -- DAGs and their runs -----------------------------------------------------------------------------------------------


@pytest.fixture
def paused(client: Client) -> Iterator[str]:
    """A DAG whose switch may be turned."""
    served = [row["dag_id"] for row in client.pages("/api/v2/dags", "dags")]
    dag_id = next((one for one in served if one != DAG), DAG)
    before = client.get(f"/api/v2/dags/{dag_id}")["is_paused"]
    yield dag_id
    client.request("PATCH", f"/api/v2/dags/{dag_id}", body={"is_paused": before})


@pytest.mark.parametrize("trouble", ["reset", "gateway"])
def test_a_switch_whose_answer_is_lost(
    proxy: FaultProxy, run: Run, client: Client, paused: str, trouble: str
) -> None:
    wanted = not client.get(f"/api/v2/dags/{paused}")["is_paused"]
    rule = proxy.spoil("PATCH", f"/api/v2/dags/{paused}", LOST[trouble])
    assert run("dag", dag_id=[paused], paused=wanted)["changed"] is True
    assert rule.met == 2
    assert run("dag", dag_id=[paused], paused=wanted)["changed"] is False


@pytest.mark.parametrize("trouble", ["reset", "conflict", "no route"])
def test_a_switch_that_is_stuck(
    proxy: FaultProxy, run: Run, client: Client, paused: str, trouble: str
) -> None:
    wanted = not client.get(f"/api/v2/dags/{paused}")["is_paused"]
    fault, message, may_be = NOT_DONE[trouble]
    proxy.spoil("PATCH", f"/api/v2/dags/{paused}", fault, last=ALWAYS)
    result = run("dag", dag_id=[paused], paused=wanted, api_retry_timeout=0)
    assert result["failed"] and result["changed"] is False
    assert f"PATCH {proxy.url}/api/v2/dags/{paused}: {message}" in result["msg"] and (MAY_BE in result["msg"]) is may_be
    proxy.reset()
    assert run("dag", dag_id=[paused], paused=wanted)["changed"] is True


@pytest.fixture
def runs(client: Client) -> Iterator[Callable[[], list[str]]]:
    """The runs that came since; they are removed afterwards."""

    def ids() -> list[str]:
        rows = client.pages(f"/api/v2/dags/{DAG}/dagRuns", "dag_runs")
        return [row["dag_run_id"] for row in rows]

    before = set(ids())
    mine: set[str] = set()

    def new() -> list[str]:
        found = [one for one in ids() if one not in before and one.startswith(("manual__", "live_"))]
        mine.update(found)
        return found

    yield new
    new()
    for one in mine:
        client.request("DELETE", f"/api/v2/dags/{DAG}/dagRuns/{_client.segment(one)}")


@pytest.mark.parametrize("trouble", ["reset", "half of unknown length"])
def test_a_run_whose_start_is_lost_is_found_by_its_name(
    proxy: FaultProxy, run: Run, prefix: str, runs: Callable[[], list[str]], trouble: str
) -> None:
    proxy.spoil("POST", f"/api/v2/dags/{DAG}/dagRuns", LOST[trouble])
    result = run("dag_run", dag_id=DAG, run_id=f"{prefix}run", wait=False)
    assert result["changed"] is True and result["run"]["dag_run_id"] == f"{prefix}run"
    assert runs().count(f"{prefix}run") == 1
    assert proxy.count("POST") == 1
    again = run("dag_run", dag_id=DAG, run_id=f"{prefix}run", wait=False)
    assert again["changed"] is False


def test_a_run_without_a_name_is_not_started_twice(
    proxy: FaultProxy, run: Run, runs: Callable[[], list[str]]
) -> None:
    proxy.spoil("POST", f"/api/v2/dags/{DAG}/dagRuns", faults.reset_after)
    result = run("dag_run", dag_id=DAG, wait=False)
    assert result["failed"] and MAY_BE in result["msg"]
    assert proxy.count("POST") == 1


@pytest.mark.parametrize("trouble", ["overloaded", "conflict", "portal"])
def test_a_run_that_was_not_started(
    proxy: FaultProxy, run: Run, prefix: str, runs: Callable[[], list[str]], trouble: str
) -> None:
    fault, message, may_be = NOT_DONE[trouble]
    proxy.spoil("POST", f"/api/v2/dags/{DAG}/dagRuns", fault, last=ALWAYS)
    result = run("dag_run", dag_id=DAG, run_id=f"{prefix}run", wait=False, api_retry_timeout=0)
    assert result["failed"] and result["changed"] is False
    assert f"POST {proxy.url}/api/v2/dags/{DAG}/dagRuns: {message}" in result["msg"]
    assert (MAY_BE in result["msg"]) is may_be and proxy.count("POST") == 1
    assert f"{prefix}run" not in runs()


def test_a_fault_after_the_start_hides_neither_the_change_nor_the_run(
    proxy: FaultProxy, run: Run, runs: Callable[[], list[str]]
) -> None:
    proxy.spoil("GET", f"/api/v2/dags/{DAG}/dagRuns/.*/taskInstances", faults.answer(500), last=ALWAYS)
    result = run("dag_run", dag_id=DAG, wait=False, api_retry_timeout=0)
    assert result["failed"] and result["changed"] is True
    assert result["run"]["dag_run_id"] in runs()


def test_asking_for_a_bundle_that_is_asked_for_already(proxy: FaultProxy, run: Run, client: Client) -> None:
    bundle = client.get(f"/api/v2/dags/{DAG}")["bundle_name"]
    wanted: Options = {"bundle_name": bundle, "bundle_version": "no such", "dag_ids": [DAG], "timeout": 0.2}
    proxy.spoil("PUT", "/api/v2/parseDagFile/.*", faults.answer(409, b'{"detail":"queued"}'), last=ALWAYS)
    assert "not at version no such" in run("dag_release", **wanted)["msg"]
    assert proxy.count("PUT") == 1
    proxy.reset().spoil("PUT", "/api/v2/parseDagFile/.*", faults.answer(503), last=ALWAYS)
    result = run("dag_release", api_retry_timeout=0, **wanted)
    assert "503: Service Unavailable" in result["msg"] and f"PUT {proxy.url}/api/v2/parseDagFile/" in result["msg"]
    assert not result.get("changed")


def test_nothing_of_a_spoiled_answer_is_shown(proxy: FaultProxy, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The half of an answer to a log-in holds a token."""
    monkeypatch.delenv("AIRFLOW_API_TOKEN")
    proxy.spoil("POST", "/auth/token", faults.cut_short)
    result = run("pool_info", limit=1, api_retry_timeout=0)
    assert result["msg"].startswith(f"POST {proxy.url}/auth/token: 201: not JSON but application/json")
    assert "eyJ" not in result["msg"]


def test_the_client_says_what_it_does_not_know(proxy: FaultProxy, token: str) -> None:
    """An earlier try that may have had its effect is not forgotten because of a later one that had none."""
    with Client(proxy.url, token=token, retry_timeout=1) as session:
        for first, second, may_be in (
            (faults.reset_before, faults.answer(409), True),
            (faults.answer(429), faults.answer(409), False),
            (faults.answer(500), faults.answer(429), True),
        ):
            proxy.reset().spoil("PATCH", "/api/v2/pools/none", first)
            proxy.spoil("PATCH", "/api/v2/pools/none", second, last=ALWAYS)
            with pytest.raises(AirflowApiError) as error:
                session.request("PATCH", "/api/v2/pools/none", body={})
            assert (MAY_BE in str(error.value)) is may_be


# -- the way there -----------------------------------------------------------------------------------------------------

VARIABLES = {f"AIRFLOW_API_{name}" for name in ("URL", "USERNAME", "PASSWORD", "TOKEN", "TOKEN_IN", "CA_PATH",
             "VALIDATE_CERTS", "TIMEOUT", "RETRY_TIMEOUT", "KUBECONFIG", "CONTEXT")}  # fmt: skip


def look(run: Run, **options: Any) -> str | None:
    """The message, if there is one; none if all went well."""
    return run("pool", name="nothing", state="absent", **options).get("msg")


def certificate(folder: Path, name: str) -> Path:
    """A certificate that vouches for itself, with its key."""
    path = folder / f"{name}.pem"
    kind = "IP" if name[0].isdigit() else "DNS"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-subj", "/CN=airflow", "-addext", f"subjectAltName={kind}:{name}", "-keyout", path, "-out", f"{path}.crt"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.fixture(params=["127.0.0.1"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[FaultProxy, str]]:
    path = certificate(tmp_path, request.param)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    one = FaultProxy(AIRFLOW, tls=context)
    yield one, f"{path}.crt"
    one.stop()


def test_an_unknown_authority(tls: tuple[FaultProxy, str], run: Run) -> None:
    server, ca = tls
    message = look(run, api_url=server.url)
    assert message and "the server's certificate is not trusted: " in message and "(api_ca_path)" in message
    assert message.startswith(f"GET {server.url}/api/v2/pools/nothing: ") and server.seen == []
    assert look(run, api_url=server.url, api_ca_path=ca) is None
    assert look(run, api_url=server.url, validate_certs=False) is None


@pytest.mark.parametrize("tls", ["airflow.example.org"], indirect=True)
def test_a_certificate_of_another_host(tls: tuple[FaultProxy, str], run: Run) -> None:
    server, ca = tls
    message = look(run, api_url=server.url, api_ca_path=ca)
    assert message and "certificate is not valid for '127.0.0.1'" in message and server.seen == []
    assert look(run, api_url=server.url, validate_certs=False) is None


def test_plain_http_where_tls_is_expected(proxy: FaultProxy, run: Run) -> None:
    message = look(run, api_url=proxy.url.replace("http:", "https:"), api_retry_timeout=0)
    assert message and message.startswith(f"GET https://127.0.0.1:{proxy.port}/api/v2/pools/nothing: ")


def test_a_prefix_of_the_path(run: Run, prefix: str) -> None:
    server = FaultProxy(AIRFLOW, prefix="/team/air")
    try:
        assert look(run, api_url=f"{server.url}/") is None
        wrong = look(run, api_url=server.url.removesuffix("/air"))
        assert wrong and "404 of the proxy; is api_url right?" in wrong
        for action, changed in (("create", True), ("create", False), ("delete", True)):
            options = WRITERS["role"].options(action, f"{prefix}role")
            assert run("role", api_url=server.url, **options)["changed"] is changed
    finally:
        server.stop()


def test_every_option_has_a_variable(
    tls: tuple[FaultProxy, str], proxy: FaultProxy, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {spec["fallback"][1][0] for spec in _module.CONNECTION.values()} == VARIABLES
    # URL and TOKEN are in use everywhere here, and KUBECONFIG and CONTEXT take a cluster.
    monkeypatch.setenv("AIRFLOW_API_TOKEN_IN", "cookie")
    assert look(run) is None
    assert "Authorization" not in proxy.seen[0].headers and proxy.seen[0].headers["Cookie"].startswith("_token=")
    monkeypatch.delenv("AIRFLOW_API_TOKEN")
    assert look(run) is None and proxy.count("POST", "/auth/token") == 1  # USERNAME, PASSWORD
    monkeypatch.setenv("AIRFLOW_API_RETRY_TIMEOUT", "0")
    proxy.reset().spoil("GET", "/api/v2/pools/nothing", faults.answer(503), last=ALWAYS)
    assert "503" in str(look(run)) and proxy.count("GET") == 1
    monkeypatch.setenv("AIRFLOW_API_TIMEOUT", "0.2")
    proxy.reset().spoil("GET", "/api/v2/pools/nothing", faults.slow(1), last=ALWAYS)
    assert "no answer within" in str(look(run, api_timeout=0.1))
    proxy.reset().spoil("POST", "/auth/token", faults.slow(1), last=ALWAYS)
    assert "/auth/token: no answer within 0.2 s" in str(look(run))
    monkeypatch.delenv("AIRFLOW_API_TIMEOUT")
    monkeypatch.setenv("AIRFLOW_API_URL", tls[0].url)
    assert "not trusted" in str(look(run))
    monkeypatch.setenv("AIRFLOW_API_VALIDATE_CERTS", "false")
    assert look(run) is None
    monkeypatch.delenv("AIRFLOW_API_VALIDATE_CERTS")
    monkeypatch.setenv("AIRFLOW_API_CA_PATH", tls[1])
    assert look(run) is None


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_a_proxy_of_the_environment(
    proxy: FaultProxy, run: Run, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The host's name is known to the proxy alone."""
    monkeypatch.setenv("AIRFLOW_API_URL", "http://airflow.invalid:8080")
    monkeypatch.setenv(variable, proxy.url.replace("http://", "http://me:pass%40word@"))
    assert look(run) is None
    assert all(one.absolute and one.headers["Host"] == "airflow.invalid:8080" for one in proxy.seen)
    assert {one.headers["Proxy-Authorization"] for one in proxy.seen} == {"Basic bWU6cGFzc0B3b3Jk"}
    monkeypatch.setenv("NO_PROXY", "airflow.invalid")
    assert "http://airflow.invalid:8080/" in str(look(run))


def test_hosts_that_need_no_proxy(proxy: FaultProxy, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert "Connection refused" in str(look(run, api_retry_timeout=0))
    monkeypatch.setenv("NO_PROXY", "example.org,127.0.0.1")
    assert look(run) is None
    assert not proxy.seen[0].absolute


def test_a_token_that_dies_again_and_again_in_a_long_task(
    proxy: FaultProxy, run: Run, client: Client, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.windward.airflow.plugins.module_utils._desired.CHUNK", 1)
    pools = [{"name": f"{prefix}{number}", "slots": 1} for number in range(4)]
    for nth in (2, 4):  # the renewal of the second is the third
        proxy.spoil("PATCH", "/api/v2/pools", faults.dead_token, first=nth, last=nth)
    try:
        result = run("resources", pools=pools)
        assert result["changed"] and len(result["pools"]["created"]) == 4
        assert [one.status for one in proxy.asked("PATCH")] == [200, 403, 200, 403, 200, 200]
        assert proxy.count("POST", "/auth/token") == 2
        assert run("resources", pools=pools)["changed"] is False
    finally:
        run("resources", pools=[{"name": pool["name"], "state": "absent"} for pool in pools])
