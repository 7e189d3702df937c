# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every module of the action group has in common, and the modules pool and dag."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.windward.airflow.plugins.doc_fragments.api import ModuleDocFragment
from ansible_collections.windward.airflow.plugins.module_utils._module import CONNECTION, looks, moment
from api_script import A_DAG, ScriptedApi, run_module

ROOT = Path(__file__).parents[2]
GROUP = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]["airflow"]
POOL = {"name": "etl", "slots": 3, "description": None, "include_deferred": False, "open_slots": 3}
NO_POOL = {"detail": "The Pool with name: `etl` was not found"}

Run = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.lower().endswith("_proxy") or n.startswith("AIRFLOW_API_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        yield server


@pytest.fixture
def run(api: ScriptedApi, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(name: str, check: bool = False, /, **options: Any) -> dict[str, Any]:
        return run_module(name, {"api_url": api.url, "api_token": "t0", **options}, capsys, check=check)

    return run


# -- what they share ---------------------------------------------------------------------------------------------------


def test_connection_options_are_documented_as_they_are() -> None:
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    assert {name: {k: v for k, v in option.items() if k != "description"} for name, option in documented.items()} == {
        name: {k: v for k, v in option.items() if k not in ("fallback", "no_log")}
        for name, option in CONNECTION.items()
    }
    for name, option in CONNECTION.items():
        (variable,) = option["fallback"][1]
        assert f"E({variable})" in " ".join(documented[name]["description"])


@pytest.mark.parametrize("name", GROUP)
def test_members_of_the_action_group(name: str) -> None:
    docs = yaml.safe_load(
        importlib.import_module(f"ansible_collections.windward.airflow.plugins.modules.{name}").DOCUMENTATION
    )
    assert "windward.airflow.api" in docs["extends_documentation_fragment"]
    assert docs["module"] == name


def test_connection_from_the_environment(
    api: ScriptedApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"URL": api.url, "USERNAME": "u", "PASSWORD": "p", "TOKEN_IN": "cookie"}.items():
        monkeypatch.setenv(f"AIRFLOW_API_{name}", value)
    api.expect_log_in("t9").expect("GET", "/api/v2/pools/etl", 200, POOL)
    assert run_module("pool", {"name": "etl"}, capsys)["changed"] is False
    assert api.requests[1].headers["Cookie"] == "_token=t9"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "missing required arguments: api_url"),
        ({"api_url": "http://127.0.0.1:1"}, "one of the following is required: api_token, api_username"),
        ({"api_url": "http://127.0.0.1:1", "api_username": "u"}, "required together: api_username, api_password"),
        ({"api_url": "nowhere", "api_token": "0123"}, "api_url must be"),
    ],
)
def test_missing_arguments(options: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_module("pool", {"name": "etl", **options}, capsys)
    assert result["failed"] is True
    assert message in result["msg"]


@pytest.mark.parametrize("url", ["http://me:pass-of-me@host", "http://me:pass-of-me@host:port", "me:pass-of-me@host"])
def test_a_password_in_a_url_that_is_refused_is_told_to_nobody(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_module("pool", {"name": "etl", "api_url": url, "api_token": "0123"}, capsys)
    assert "api_url must" in result["msg"] and "pass-of-me" not in str(result)


def test_an_error_of_the_api_is_the_tasks_failure(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/pools/etl", 403, {"detail": "Forbidden"})
    assert run("pool", name="etl")["msg"] == f"GET {api.url}/api/v2/pools/etl: 403: Forbidden"


def test_looks_at_once_and_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    time = importlib.import_module("ansible_collections.windward.airflow.plugins.module_utils._module").time
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    assert list(looks(0, 5)) == [0]
    assert list(looks(4, 1)) == [0, 0.5, 1.25, 2.25, 3.25, 4]


@pytest.mark.parametrize("text", ["2026-11-21T10:00:00Z", "2026-11-21 11:00:00+01:00", "2026-11-21T10:00:00"])
def test_moment(text: str) -> None:
    assert moment(text).timestamp() == 1795255200


# -- pool --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [True, False])
def test_pool_is_created(api: ScriptedApi, run: Run, check: bool) -> None:
    api.expect("GET", "/api/v2/pools/etl", 404, NO_POOL)
    if not check:
        api.expect("POST", "/api/v2/pools", 201, POOL)
    result = run("pool", check, name="etl", slots=3)
    sent = {"slots": 3, "description": None, "include_deferred": False}
    after = {**sent, "team_name": None}
    assert result["changed"] is True
    assert result["pool"] == {"name": "etl", **after}
    assert (result["diff"][0]["before"], result["diff"][0]["after"]) == ({}, after)
    if not check:  # an Airflow without teams wants to hear of none
        assert api.requests[-1].body == {"name": "etl", **sent}


@pytest.mark.parametrize("check", [True, False])
def test_pool_is_changed(api: ScriptedApi, run: Run, check: bool) -> None:
    api.expect("GET", "/api/v2/pools/etl", 200, POOL)
    if not check:
        api.expect("PATCH", "/api/v2/pools/etl", 200, POOL)
    result = run("pool", check, name="etl", slots=-1, include_deferred=False)
    assert result["changed"] is True
    assert result["pool"]["slots"] == -1
    if not check:
        assert api.requests[-1].query == {"update_mask": ["slots"]}
        body = {"pool": "etl", "slots": -1, "description": None, "include_deferred": False}
        assert api.requests[-1].body == body


@pytest.mark.parametrize(("team", "is_now"), [("b", "b"), ("", None)])
def test_pool_is_given_to_a_team(api: ScriptedApi, run: Run, team: str, is_now: str | None) -> None:
    api.expect("GET", "/api/v2/pools/etl", 200, {**POOL, "team_name": "a"})
    api.expect("PATCH", "/api/v2/pools/etl", 200, {**POOL, "team_name": is_now})
    assert run("pool", name="etl", team_name=team)["changed"]
    assert (api.requests[-1].query, api.requests[-1].body["team_name"]) == ({"update_mask": ["team_name"]}, is_now)


def test_pool_as_it_should_be(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/pools/etl", 200, POOL)
    result = run("pool", name="etl", slots=3, description="")
    assert (result["changed"], result["diff"]) == (False, [])


@pytest.mark.parametrize("check", [True, False])
def test_pool_is_deleted(api: ScriptedApi, run: Run, check: bool) -> None:
    api.expect("GET", "/api/v2/pools/etl", 200, POOL)
    if not check:
        api.expect("DELETE", "/api/v2/pools/etl", 204)
    result = run("pool", check, name="etl", state="absent")
    assert (result["changed"], result["pool"]) == (True, None)


def test_pool_deleted_by_somebody_else_meanwhile(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/pools/etl", 200, POOL).expect("DELETE", "/api/v2/pools/etl", 404, NO_POOL)
    assert run("pool", name="etl", state="absent").get("failed") is None


def test_pool_that_is_absent(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/pools/etl", 404, NO_POOL)
    assert run("pool", name="etl", state="absent")["changed"] is False


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("found", "options", "message"),
    [
        (NO_POOL, {"name": "etl"}, "pool etl: creating it needs slots"),
        (None, {"name": "etl", "slots": -2}, "pool etl: slots must be -1 (no limit) or more"),
        (None, {"name": "etl", "slots": 2**31}, "pool etl: slots must be -1 (no limit) or more"),
        (None, {"name": "a\nb", "slots": 1}, "no line break"),
        (None, {"name": "default_pool", "state": "absent"}, "neither described nor deleted"),
        (None, {"name": "default_pool", "description": "x"}, "neither described nor deleted"),
        (None, {"name": "default_pool", "team_name": "x"}, "nor given to a team"),
        (None, {"name": "etl", "slots": 1, "team_name": "x" * 51}, "more than 50 characters"),
    ],
)
def test_pool_refusals_also_in_check_mode(
    api: ScriptedApi, run: Run, check: bool, found: Any, options: dict[str, Any], message: str
) -> None:
    if found:
        api.expect("GET", f"/api/v2/pools/{options['name']}", 404, found)
    result = run("pool", check, **options)
    assert result["failed"] is True
    assert message in result["msg"]


# -- dag ---------------------------------------------------------------------------------------------------------------


def dag(dag_id: str, paused: bool, stale: bool = False) -> dict[str, Any]:
    return {**A_DAG, "dag_id": dag_id, "is_paused": paused, "is_stale": stale, "bundle_version": "r1"}


def listing(*dags: dict[str, Any]) -> dict[str, Any]:
    return {"dags": list(dags), "total_entries": len(dags)}


@pytest.mark.parametrize("check", [True, False])
def test_only_dags_that_differ_are_sent(api: ScriptedApi, run: Run, check: bool) -> None:
    api.expect("GET", "/api/v2/dags", 200, listing(dag("a", True), dag("b", False), dag("c", True), dag("x", True)))
    for name in [] if check else ["c", "a"]:
        api.expect("PATCH", f"/api/v2/dags/{name}", 200, dag(name, False))
    result = run("dag", check, dag_id=["c", "b", "a", "c"], paused=False)
    assert result["changed"] is True
    assert [(d["dag_id"], d["is_paused"]) for d in result["dags"]] == [("c", False), ("b", False), ("a", False)]
    assert [d["before_header"] for d in result["diff"]] == ["DAG c", "DAG a"]
    assert [r.body for r in api.requests[1:]] == ([] if check else [{"is_paused": False}] * 2)


def test_looking_at_one_dag(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/dags/a.b", 200, dag("a.b", True))
    result = run("dag", dag_id=["a.b"])
    assert result["changed"] is False
    assert result["dags"][0]["bundle_version"] == "r1"


@pytest.mark.parametrize(
    ("status", "answer"), [(404, {"detail": "The Dag with ID: `a` was not found"}), (200, dag("a", True, stale=True))]
)
def test_a_dag_that_is_not_served(api: ScriptedApi, run: Run, status: int, answer: Any) -> None:
    api.expect("GET", "/api/v2/dags/a", status, answer)
    assert run("dag", dag_id=["a"], paused=True)["msg"] == "Airflow serves no DAG named a"


def test_waiting_for_a_dag(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/dags", 200, listing(dag("a", True)))
    api.expect("GET", "/api/v2/dags", 200, listing(dag("a", True), dag("b", True)))
    assert run("dag", dag_id=["a", "b"], paused=True, timeout=5, interval=0.01)["changed"] is False


def test_half_of_a_change_is_a_change(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/dags", 200, listing(dag("a", True), dag("b", True)))
    api.expect("PATCH", "/api/v2/dags/a", 200, dag("a", False))
    api.expect("PATCH", "/api/v2/dags/b", 403, {"detail": "Forbidden"})
    result = run("dag", dag_id=["a", "b"], paused=False)
    assert (result["failed"], result["changed"]) == (True, True)
