# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The modules that wait: dag_run, dag_release, health_info."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.action import dag_run as action
from ansible_collections.windward.airflow.plugins.module_utils._logs import render, tail
from ansible_collections.windward.airflow.plugins.modules import dag_release, dag_run
from api_script import A_DAG, ScriptedApi, run_module

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
        return run_module(
            name, {"api_url": api.url, "api_token": "t0", "interval": 0.01, **options}, capsys, check=check
        )

    return run


# -- dag_run -----------------------------------------------------------------------------------------------------------

DAG = "/api/v2/dags/sales"
RUNS = f"{DAG}/dagRuns"
DUPLICATE = {"detail": {"reason": "Unique constraint violation"}}
NO_RUN = {"detail": "The DagRun with dag_id: `sales` and run_id: `r1` was not found"}


def dag(paused: bool = False) -> dict[str, Any]:
    return {**A_DAG, "dag_id": "sales", "is_paused": paused}


def a_run(state: str, run_id: str = "r1") -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(dag_run.SHOWN_OF_RUN)
    return {**row, "dag_id": "sales", "dag_run_id": run_id, "state": state, "conf": {}, "note": "hidden"}


def task(task_id: str, state: str | None, map_index: int = -1, end: str = "1") -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(dag_run.SHOWN_OF_TASK)
    found = {"task_id": task_id, "state": state, "map_index": map_index, "try_number": 2, "end_date": end}
    return {**row, **found, "dag_id": "sales", "dag_run_id": "r1"}


def tasks(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"task_instances": list(rows), "total_entries": len(rows)}


def test_triggers_and_waits(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", DAG, 200, dag()).expect("POST", RUNS, 200, a_run("queued", "manual__1"))
    for state in ("running", "success"):
        api.expect("GET", f"{RUNS}/manual__1", 200, a_run(state, "manual__1"))
    api.expect("GET", f"{RUNS}/manual__1/taskInstances", 200, tasks(task("load", "success")))
    result = run("dag_run", dag_id="sales", conf={"day": 1})
    assert api.requests[1].body == {"dag_run_id": None, "conf": {"day": 1}, "logical_date": None}
    assert result["changed"] is True
    assert (result["run"]["state"], result["run"]["dag_run_id"]) == ("success", "manual__1")
    assert "note" not in result["run"]
    assert [t["state"] for t in result["tasks"]] == ["success"]


def test_triggers_without_waiting_even_if_paused(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", DAG, 200, dag(paused=True)).expect("POST", RUNS, 200, a_run("queued"))
    api.expect("GET", f"{RUNS}/r1/taskInstances", 200, tasks())
    result = run("dag_run", dag_id="sales", wait=False)
    assert (result["changed"], result["run"]["state"]) == (True, "queued")


def test_a_run_of_a_paused_dag_would_never_end(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", DAG, 200, dag(paused=True))
    assert "DAG sales is paused" in run("dag_run", dag_id="sales")["msg"]


def test_an_unknown_dag(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", DAG, 404, {"detail": "The Dag with ID: `sales` was not found"})
    assert run("dag_run", True, dag_id="sales")["msg"] == "Airflow serves no DAG named sales"


def test_a_run_that_has_succeeded_is_left_alone(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", DAG, 200, dag(paused=True)).expect("GET", f"{RUNS}/r1", 200, a_run("success"))
    api.expect("GET", f"{RUNS}/r1/taskInstances", 200, tasks(task("load", "success")))
    result = run("dag_run", dag_id="sales", run_id="r1", rerun_failed=True)
    assert (result["changed"], result["run"]["state"]) == (False, "success")


def test_somebody_else_triggers_it_at_the_same_time(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", DAG, 200, dag()).expect("GET", f"{RUNS}/r1", 404, NO_RUN).expect("POST", RUNS, 409, DUPLICATE)
    api.expect("GET", f"{RUNS}/r1", 200, a_run("success")).expect("GET", f"{RUNS}/r1/taskInstances", 200, tasks())
    assert run("dag_run", dag_id="sales", run_id="r1")["changed"] is False


def test_another_conflict_is_an_error(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", DAG, 200, dag()).expect("POST", RUNS, 409, DUPLICATE)
    assert "409: Unique constraint" in run("dag_run", dag_id="sales")["msg"]


def test_check_mode_triggers_nothing(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", DAG, 200, dag()).expect("GET", f"{RUNS}/r1", 404, NO_RUN)
    result = run("dag_run", True, dag_id="sales", run_id="r1", conf={"a": 1})
    assert (result["changed"], result["run"]["state"]) == (True, "queued")
    assert result["diff"][0]["after"]["conf"] == {"a": 1}


@pytest.mark.parametrize("check", [True, False])
def test_a_failed_run_tells_the_task_and_the_end_of_its_log(api: ScriptedApi, run: Run, check: bool) -> None:
    api.expect("GET", DAG, 200, dag()).expect("GET", f"{RUNS}/r1", 200, a_run("failed"))
    rows = [task("late", "failed", end="3"), task("first", "failed", 1, end="2"), task("after", "upstream_failed")]
    api.expect("GET", f"{RUNS}/r1/taskInstances", 200, tasks(*rows))
    log = {"content": [{"event": "one"}, {"event": "two\nthree"}], "continuation_token": None}
    api.expect("GET", f"{RUNS}/r1/taskInstances/first/logs/2", 200, log)
    result = run("dag_run", check, dag_id="sales", run_id="r1", log_lines=2, log_tasks=["nonsense"])
    assert result["failed"] is True
    assert result["failed_tasks"] == ["first[1]", "late"]
    what = "DAG run sales/r1 has failed: task first[1], late failed. The end of the log of first[1]:"
    assert result["msg"] == f"{what}\ntwo\nthree"
    assert api.requests[-1].query["map_index"] == ["1"]


def test_a_log_that_is_lost_does_not_hide_the_failure(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", DAG, 200, dag()).expect("GET", f"{RUNS}/r1", 200, a_run("failed"))
    api.expect("GET", f"{RUNS}/r1/taskInstances", 200, tasks(task("load", "failed")))
    api.expect("GET", f"{RUNS}/r1/taskInstances/load/logs/2", 404, {"detail": "TaskInstance not found"})
    result = run("dag_run", dag_id="sales", run_id="r1")
    assert "task load failed" in result["msg"]
    assert "can't be read" in result["msg"]


@pytest.mark.parametrize(("state", "only_failed"), [("failed", True), ("success", False)])
@pytest.mark.parametrize("check", [True, False])
def test_a_failed_run_is_run_again(api: ScriptedApi, run: Run, check: bool, state: str, only_failed: bool) -> None:
    api.expect("GET", DAG, 200, dag()).expect("GET", f"{RUNS}/r1", 200, a_run("failed"))
    api.expect("GET", f"{RUNS}/r1/taskInstances", 200, tasks(task("load", state)))
    if not check:
        api.expect("POST", f"{RUNS}/r1/clear", 200, a_run("queued"))
        api.expect("GET", f"{RUNS}/r1", 200, a_run("success"))
        api.expect("GET", f"{RUNS}/r1/taskInstances", 200, tasks())
    result = run("dag_run", check, dag_id="sales", run_id="r1", rerun_failed=True)
    assert result["changed"] is True
    assert result["diff"][0]["before"]["state"] == "failed"
    if not check:
        assert api.requests[3].body == {"dry_run": False, "only_failed": only_failed}
        assert result["run"]["state"] == "success"


def test_time_is_up(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", DAG, 200, dag()).expect("GET", f"{RUNS}/r1", 200, a_run("running"))
    api.expect("GET", f"{RUNS}/r1/taskInstances", 200, tasks(task("load", "running"), task("report", None)))
    result = run("dag_run", dag_id="sales", run_id="r1", timeout=0)
    assert result["msg"] == "DAG run sales/r1 had not ended when time was up: running, load running, report waiting"
    assert (result["changed"], result["run"]["state"]) == (False, "running")


def sliced(results: list[dict[str, Any]], total: float) -> tuple[dict[str, Any], list[dict[str, Any]], list[str]]:
    asked: list[dict[str, Any]] = []
    said: list[str] = []

    def execute(arguments: dict[str, Any]) -> dict[str, Any]:
        asked.append(arguments)
        return dict(results[len(asked) - 1])

    result = action.follow(execute, {"dag_id": "sales", "rerun_failed": True}, total, said.append)
    return result, asked, said


UNFINISHED = {"failed": True, "changed": True, "diff": [1], "run": a_run("running", "m1"), "tasks": []}


def test_a_long_wait_is_cut_into_slices_of_one_wait() -> None:
    later = {**UNFINISHED, "changed": False, "diff": []}
    end = {"changed": False, "run": a_run("success", "m1"), "tasks": []}
    result, asked, said = sliced([UNFINISHED, later, end], 100)
    assert (result["changed"], result["diff"], result["run"]["state"]) == (True, [1], "success")
    assert asked[0] == {"dag_id": "sales", "rerun_failed": True, "timeout": action.SLICE}
    assert [(a["run_id"], a["rerun_failed"]) for a in asked[1:]] == [("m1", False)] * 2
    assert said == ["sales/m1: running (0 s)"] * 2


@pytest.mark.parametrize(
    ("result", "total"),
    [
        (UNFINISHED, 0.0),
        ({"failed": True, "changed": False, "msg": "DAG sales is paused"}, 100),
        ({"failed": True, "changed": True, "run": a_run("failed"), "tasks": []}, 100),
        ({"changed": True, "run": {"dag_run_id": None, "state": "queued"}}, 100),
        ({"changed": True, "run": a_run("running"), "tasks": []}, 100),
    ],
)
def test_a_slice_that_is_the_last(result: dict[str, Any], total: float) -> None:
    assert sliced([result], total) == (
        result,
        [{"dag_id": "sales", "rerun_failed": True, "timeout": min(15, total)}],
        [],
    )


def test_logs_are_read_to_their_end(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", DAG, 200, dag()).expect("GET", f"{RUNS}/r1", 200, a_run("success"))
    rows = tasks(task("load", "success", 0), task("load", "success", 1), task("report", "success"))
    api.expect("GET", f"{RUNS}/r1/taskInstances", 200, rows)
    path = f"{RUNS}/r1/taskInstances/load/logs/2"
    api.expect("GET", path, 200, {"content": [{"event": "a"}], "continuation_token": "more"})
    api.expect("GET", path, 200, {"content": [{"event": "b"}], "continuation_token": "even more"})
    api.expect("GET", path, 200, {"content": [], "continuation_token": "for ever"})
    api.expect("GET", path, 200, {"content": ["plain"], "continuation_token": None})
    result = run("dag_run", dag_id="sales", run_id="r1", log_tasks=["load"])
    assert result["logs"] == {"load[0]": "a\nb", "load[1]": "plain"}
    assert [r.query.get("token") for r in api.requests[3:]] == [None, ["more"], ["even more"], None]


def test_logs_of_a_task_that_is_not_there(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", DAG, 200, dag()).expect("GET", f"{RUNS}/r1", 200, a_run("success"))
    api.expect("GET", f"{RUNS}/r1/taskInstances", 200, tasks(task("load", "success")))
    result = run("dag_run", dag_id="sales", run_id="r1", log_tasks=["lood"])
    assert result["msg"] == "log_tasks: DAG run sales/r1 has no task lood"


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        ("plain\ntext", ["plain", "text"]),
        ({"event": "::group::Pre Execute", "level": "info"}, []),
        ({"timestamp": "T", "level": "info", "event": "hello", "logger": "x"}, ["T info hello"]),
        ({"timestamp": None, "event": "only"}, ["only"]),
        (
            {
                "event": "Task failed",
                "error_detail": [
                    {
                        "exc_type": "RuntimeError",
                        "exc_value": "broken",
                        "frames": [{"filename": "a.py", "lineno": 3, "name": "f"}],
                    },
                    {"exc_type": "KeyError", "exc_value": "'x'", "frames": []},
                ],
            },
            ["Task failed", "KeyError: 'x'", '  File "a.py", line 3, in f', "RuntimeError: broken"],
        ),
    ],
)
def test_a_log_message_as_text(message: Any, lines: list[str]) -> None:
    assert render(message) == lines


def test_the_end_of_a_text() -> None:
    assert [tail("a\nb\nc", count) for count in (0, 2, 9)] == ["", "b\nc", "a\nb\nc"]


def test_progress_names_few_tasks_and_counts_many() -> None:
    many = [task("load", "running" if index else None, index) for index in range(9)]
    assert dag_run.progress("running", many[:2]) == "running, load[0] waiting, load[1] running"
    assert dag_run.progress("running", many) == "running, 8 running, 1 waiting"


# -- dag_release -------------------------------------------------------------------------------------------------------

RELEASE = {"bundle_name": "dags", "bundle_version": "r2", "dag_ids": ["a", "b"]}
ERROR = {"filename": "a.py", "bundle_name": "dags", "timestamp": "2", "stack_trace": "SyntaxError: line 3\n"}


def dags(stale: bool = False, **versions: str) -> dict[str, Any]:
    rows = [
        {**A_DAG, "dag_id": name, "bundle_version": version, "is_stale": stale, "file_token": f"of/{name}"}
        for name, version in versions.items()
    ]
    return {"dags": rows, "total_entries": len(rows)}


def errors(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"import_errors": list(rows), "total_entries": len(rows)}


def look(api: ScriptedApi, served: dict[str, Any], found: dict[str, Any] | None = None) -> None:
    api.expect("GET", "/api/v2/dags", 200, served)
    api.expect("GET", "/api/v2/importErrors", 200, found or errors())


def unfinished(api: ScriptedApi, *runs: tuple[str, str | None]) -> None:
    rows = [{**a_run("running"), "dag_id": dag_id, "bundle_version": version} for dag_id, version in runs]
    api.expect("GET", "/api/v2/dags/~/dagRuns", 200, {"dag_runs": rows, "total_entries": len(rows)})


def test_a_release_that_is_served(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/importErrors", 200, errors())
    look(api, dags(a="r2", b="r2", old="r1"))
    unfinished(api, ("a", "r2"), ("old", "r1"), ("b", None), ("elsewhere", "r9"), ("a", "r2"))
    result = run("dag_release", **RELEASE)
    assert (result["changed"], result["served"], result["in_use"]) == (False, True, ["r1", "r2"])
    assert result["dags"]["old"] == "r1"
    assert api.requests[-1].query["state"] == ["queued", "running"]


def test_asks_once_and_waits(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/importErrors", 200, errors())
    look(api, dags(a="r1", b="r1", old="r1"))
    api.expect("PUT", "/api/v2/parseDagFile/of%2Fa", 201).expect("PUT", "/api/v2/parseDagFile/of%2Fb", 201)
    look(api, dags(a="r1", b="r2"))
    look(api, dags(a="r2", b="r2"))
    unfinished(api)
    assert run("dag_release", **RELEASE)["served"] is True


def test_any_file_will_do_to_look_for_new_ones(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/importErrors", 200, errors())
    look(api, dags(old="r1"))
    api.expect("PUT", "/api/v2/parseDagFile/of%2Fold", 201)
    look(api, dags(a="r2", b="r2"))
    unfinished(api)
    assert run("dag_release", **RELEASE)["served"] is True


def test_asks_again_for_what_is_still_missing(api: ScriptedApi, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dag_release, "ASK_AGAIN", 0)
    api.expect("GET", "/api/v2/importErrors", 200, errors())
    for _time in range(2):
        look(api, dags(a="r2", b="r1"))
        api.expect("PUT", "/api/v2/parseDagFile/of%2Fb", 201)
    look(api, dags(a="r2", b="r2"))
    unfinished(api)
    assert run("dag_release", **RELEASE)["served"] is True


def test_a_bundle_new_to_airflow_has_nothing_to_ask_with(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/importErrors", 200, errors())
    look(api, dags())
    look(api, dags(a="r2", b="r2"))
    unfinished(api)
    assert run("dag_release", **RELEASE)["served"] is True


def test_asked_for_already(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/importErrors", 200, errors())
    look(api, dags(a="r2", b="r1"))
    api.expect("PUT", "/api/v2/parseDagFile/of%2Fb", 409, DUPLICATE)
    look(api, dags(a="r2", b="r2"))
    unfinished(api)
    assert run("dag_release", **RELEASE)["served"] is True


def test_import_errors_of_another_bundle_are_nothing_to_this_one(api: ScriptedApi, run: Run) -> None:
    elsewhere = errors({**ERROR, "bundle_name": "elsewhere"})
    api.expect("GET", "/api/v2/importErrors", 200, elsewhere)
    look(api, dags(a="r2", b="r2"), elsewhere)
    unfinished(api)
    assert run("dag_release", **RELEASE)["served"] is True


def test_a_new_import_error_fails_at_once(api: ScriptedApi, run: Run) -> None:
    old = {**ERROR, "timestamp": "1"}
    api.expect("GET", "/api/v2/importErrors", 200, errors(old))
    look(api, dags(a="r1", b="r2"), errors(old))
    api.expect("PUT", "/api/v2/parseDagFile/of%2Fa", 201)
    look(api, dags(a="r1", b="r2"), errors(ERROR))
    result = run("dag_release", **RELEASE)
    assert result["msg"] == "DAG bundle dags has import errors:\na.py: SyntaxError: line 3"
    assert result["import_errors"][0]["filename"] == "a.py"


def test_an_old_import_error_is_given_time_to_go(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/importErrors", 200, errors(ERROR))
    look(api, dags(a="r2", b="r2"), errors(ERROR))
    api.expect("PUT", "/api/v2/parseDagFile/of%2Fa", 201)
    look(api, dags(a="r2", b="r2"))
    unfinished(api)
    assert run("dag_release", **RELEASE)["served"] is True


def test_a_release_that_does_not_arrive(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/importErrors", 200, errors(ERROR))
    look(api, dags(a="r1"), errors(ERROR))
    api.expect("PUT", "/api/v2/parseDagFile/of%2Fa", 201)
    result = run("dag_release", timeout=0, **RELEASE)
    assert "not at version r2: a (r1), b (not there); import errors:\na.py: SyntaxError" in result["msg"]


def test_a_dag_whose_file_is_gone_is_not_served(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/importErrors", 200, errors())
    look(api, dags(stale=True, a="r2"))
    api.expect("PUT", "/api/v2/parseDagFile/of%2Fa", 201)
    assert "a (not there), b (not there)" in run("dag_release", timeout=0, **RELEASE)["msg"]


def test_check_mode_looks_once(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/importErrors", 200, errors())
    look(api, dags(a="r1", b="r1"))
    unfinished(api)
    result = run("dag_release", True, **RELEASE)
    assert (result["changed"], result["served"]) == (False, False)


# -- health_info -------------------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 21, 10, 0, 30, tzinfo=UTC)
DATE = {"Date": "Sat, 21 Nov 2026 10:00:30 GMT", "Content-Type": "application/json"}


def health(**changes: Any) -> dict[str, Any]:
    found = {
        "metadatabase": {"status": "healthy"},
        "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": "2026-11-21T10:00:25.500000+00:00"},
        "triggerer": {"status": None, "latest_triggerer_heartbeat": None},
        "dag_processor": {"status": "unhealthy", "latest_dag_processor_heartbeat": "2026-11-21T09:59:30+00:00"},
    }
    return {**found, **changes}


def answer(api: ScriptedApi, state: dict[str, Any]) -> None:
    api.expect("GET", "/api/v2/monitor/health", 200, state, headers=DATE)
    api.expect("GET", "/api/v2/version", 200, {"version": "3.3.2"})


def test_health_by_the_servers_clock(api: ScriptedApi, run: Run) -> None:
    answer(api, health())
    result = run("health_info")
    assert (result["changed"], result["healthy"], result["version"]) == (False, False, "3.3.2")
    assert result["components"]["scheduler"]["heartbeat_age"] == 4.5
    assert result["components"]["dag-processor"]["reason"] == "last heartbeat 60.0 s ago"
    assert result["components"]["triggerer"]["reason"] == "never seen"
    assert result["components"]["api-server"]["status"] == "healthy"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"components": ["scheduler", "metadatabase", "api-server"]}, None),
        ({"components": ["scheduler", "triggerer", "dag-processor"]}, "triggerer: never seen; dag-processor: last"),
        ({"components": ["scheduler"], "newer_than": "2026-11-21T10:00:20Z"}, None),
        ({"components": ["metadatabase"], "newer_than": "2026-11-21T10:00:20Z"}, None),
        ({"components": ["scheduler"], "newer_than": "2026-11-21T10:00:26Z"}, "scheduler: no heartbeat since 2026"),
    ],
)
def test_insisting_on_components(api: ScriptedApi, run: Run, options: dict[str, Any], message: str | None) -> None:
    answer(api, health())
    result = run("health_info", **options)
    assert result["healthy"] is (message is None)
    assert (message or "") in result.get("msg", "")
    assert result.get("failed", False) is (message is not None)


def test_a_component_that_this_airflow_does_not_know(api: ScriptedApi, run: Run) -> None:
    answer(api, health(dag_processor=None))
    assert run("health_info", components=["dag-processor"])["msg"] == "Not healthy: dag-processor: Airflow has none"


def test_a_database_that_is_down(api: ScriptedApi, run: Run) -> None:
    answer(api, health(metadatabase={"status": "unhealthy"}))
    result = run("health_info", components=["metadatabase"])
    assert result["msg"] == "Not healthy: metadatabase: Airflow says unhealthy"


def test_waits_until_healthy(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/monitor/health", 502)
    answer(api, health(scheduler={"status": "unhealthy", "latest_scheduler_heartbeat": None}))
    answer(api, health())
    assert run("health_info", components=["scheduler"], timeout=5)["healthy"] is True


def test_an_api_server_that_is_down(run: Run, api: ScriptedApi, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedApi() as other:
        url = other.url
    result = run_module("health_info", {"api_url": url}, capsys)
    reason = f"GET {url}/api/v2/monitor/health: Connection refused"
    assert result.get("failed") is None
    assert (result["healthy"], result["version"]) == (False, None)
    assert result["components"] == {"api-server": {"status": "unhealthy", "reason": reason}}
    required = run_module("health_info", {"api_url": url, "components": ["scheduler"]}, capsys)
    assert required["msg"] == f"Not healthy: api-server: {reason}"


def test_something_else_than_airflow(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/monitor/health", 200, ["hello"]).expect("GET", "/api/v2/version", 200, {})
    assert run("health_info")["components"]["api-server"]["reason"].endswith(
        "/api/v2/version: 200: not what Airflow answers: it has no version; is api_url right?"
    )
    api.expect("GET", "/api/v2/monitor/health", 200, ["hello"]).expect("GET", "/api/v2/version", 200, {"version": "3"})
    assert run("health_info")["components"]["api-server"]["reason"] == "this is not the API of Airflow 3"


def test_a_time_that_is_none(run: Run) -> None:
    assert "newer_than: " in run("health_info", newer_than="yesterday")["msg"]
