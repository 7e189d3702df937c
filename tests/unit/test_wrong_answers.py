# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Answers of status 200 that are JSON and not Airflow's: a proxy's, an older API's. Every answer that a module gets is
spoiled in every place, and the module must say so: no traceback, no secret, no claim that something was done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.windward.airflow.plugins.module_utils._client import Client, Reply
from ansible_collections.windward.airflow.plugins.module_utils._secrets import pack
from api_script import A_DAG, run_module

GROUP = yaml.safe_load((Path(__file__).parents[2] / "meta/runtime.yml").read_text())["action_groups"]["airflow"]
KEY, SECRET = "a-key-of-the-unit-tests", "a-secret-of-the-tests"
DAG = {**A_DAG, "dag_id": "a"}
A_RUN = {
    "dag_id": "a", "dag_run_id": "r", "state": "failed", "bundle_version": "1", "conf": {"n": 1}, "logical_date": None,
    "queued_at": None, "start_date": None, "end_date": None, "duration": 1.5,
}  # fmt: skip
TASK = {
    "dag_id": "a", "dag_run_id": "r", "task_id": "t", "map_index": -1, "state": "failed", "try_number": 1,
    "start_date": None, "end_date": "2026-11-21T10:00:00Z", "duration": 1.5,
}  # fmt: skip
FRAME = {"filename": "a.py", "lineno": 1, "name": "f"}
LINES = ["text", {"event": "e", "error_detail": [{"exc_type": "E", "exc_value": "v", "frames": [FRAME]}]}]
CONNECTION = {
    "connection_id": "c", "conn_type": "http", "description": None, "host": "h", "login": None, "password": "***",
    "schema": None, "port": 1, "extra": '{"a": 1}', "team_name": None,
}  # fmt: skip
PERMISSION = {"action": {"name": "can_read"}, "resource": {"name": "DAGs"}}
USER = {
    "username": "u", "email": "u@example.org", "first_name": "A", "last_name": "B", "roles": [{"name": "Viewer"}],
    "active": True,
}  # fmt: skip
ERROR = {"filename": "a.py", "timestamp": "2026-11-21T10:00:00Z", "bundle_name": "dags", "stack_trace": "no"}
MACS = {"event": 1, "when": "2026-11-21T10:00:00Z", "who": "a", "macs": {"aaaa": "b"}}
KEPT = {"key": "windward_fingerprints_connections_1", "value": pack({"c": MACS, "d": MACS}), "description": None}
EVENT = {"event_log_id": 1, "when": "2026-11-21T10:00:00Z", "event": "bulk_connections", "owner": "a",
         "extra": '{"connection_id": "c"}'}  # fmt: skip
DONE = {"success": ["c", "v"], "errors": []}
GONE = (404, {"detail": "it was not found"})


def listing(name: str, *rows: Any) -> dict[str, Any]:
    return {name: list(rows), "total_entries": len(rows)}


# What Airflow answers to whom, when all is well.
ANSWERS: dict[str, Any] = {
    "GET /api/v2/version": {"version": "3.3.2"},
    "GET /api/v2/monitor/health": {"scheduler": {"status": "healthy",
                                                 "latest_scheduler_heartbeat": "2026-11-21T10:00:00Z"}},
    "GET /api/v2/connections": listing("connections", CONNECTION),
    "GET /api/v2/connections/c": CONNECTION,
    "GET /api/v2/connections/new": GONE,
    "POST /api/v2/connections/test": {"status": True, "message": "it works"},
    "PATCH /api/v2/connections": {"create": {"success": ["new"], "errors": []}, "update": DONE, "delete": None},
    "GET /api/v2/variables": listing("variables", {"key": "v", "value": "***", "description": None}, KEPT),
    "GET /api/v2/variables/v": {"key": "v", "value": "1", "description": "d"},
    "PATCH /api/v2/variables": {"create": {"success": ["x"], "errors": []}, "update": DONE, "delete": None},
    "GET /api/v2/eventLogs": listing("event_logs", EVENT),
    "GET /api/v2/pools": listing("pools", {"name": "p", "slots": 1, "description": None, "include_deferred": False}),
    "GET /api/v2/pools/p": {"name": "p", "slots": 1, "description": None, "include_deferred": False},
    "PATCH /api/v2/pools/p": {"name": "p", "slots": 2},
    "PATCH /api/v2/pools": {"create": None, "update": {"success": ["p"], "errors": []}, "delete": None},
    "GET /api/v2/dags": listing("dags", DAG),
    "GET /api/v2/dags/a": DAG,
    "PATCH /api/v2/dags/a": DAG,
    "GET /api/v2/dags/a/dagRuns": listing("dag_runs", A_RUN),
    "GET /api/v2/dags/~/dagRuns": listing("dag_runs", A_RUN),
    "POST /api/v2/dags/a/dagRuns": A_RUN,
    "GET /api/v2/dags/a/dagRuns/r": A_RUN,
    "GET /api/v2/dags/a/dagRuns/r/taskInstances": listing("task_instances", TASK),
    "GET /api/v2/dags/a/dagRuns/r/taskInstances/t/logs/1": {"content": LINES, "continuation_token": None},
    "POST /api/v2/dags/a/dagRuns/r/clear": A_RUN,
    "GET /api/v2/importErrors": listing("import_errors", ERROR),
    "PUT /api/v2/parseDagFile/t": None,
    "GET /auth/fab/v1/users": listing("users", USER),
    "GET /auth/fab/v1/users/u": USER,
    "PATCH /auth/fab/v1/users/u": USER,
    "DELETE /auth/fab/v1/users/u": None,
    "GET /auth/fab/v1/roles": listing("roles", {"name": "R", "actions": [PERMISSION]}),
    "GET /auth/fab/v1/roles/R": {"name": "R", "actions": [PERMISSION]},
    "GET /auth/fab/v1/roles/Op": {"name": "Op", "actions": []},
    "PATCH /auth/fab/v1/roles/R": {"name": "R", "actions": []},
    "GET /auth/fab/v1/permissions": listing("actions", PERMISSION),
    "POST /auth/token": {"access_token": "t"},
}  # fmt: skip
CHANGED = {"conn_type": "http", "password": SECRET, "extra": {"token": SECRET}, "fingerprint_key": KEY}
RUNS: list[tuple[str, dict[str, Any]]] = [
    ("connection", {"connection_id": "c", **CHANGED, "test": True}),
    ("connection", {"connection_id": "new", **CHANGED}),
    ("connection_info", {}),
    ("connection_info", {"connection_id": "c"}),
    ("dag", {"dag_id": ["a"], "paused": True}),
    ("dag", {"dag_id": ["a", "a"], "paused": True}),
    ("dag_info", {}),
    ("dag_release", {"bundle_name": "dags", "bundle_version": "1", "dag_ids": ["a"], "timeout": 0}),
    ("dag_run", {"dag_id": "a", "log_tasks": ["t"]}),
    ("dag_run", {"dag_id": "a", "run_id": "r", "rerun_failed": True, "wait": False}),
    ("dag_run_info", {"dag_id": "a"}),
    ("dag_run_info", {"dag_id": "a", "run_id": "r"}),
    ("export", {}),
    ("health_info", {"components": ["scheduler"]}),
    ("import_error_info", {}),
    ("pool", {"name": "p", "slots": 2}),
    ("pool_info", {}),
    ("resources", {"connections": [{"connection_id": "c", "conn_type": "http", "password": SECRET}],
                   "pools": [{"name": "p", "slots": 2}], "fingerprint_key": KEY}),
    ("role", {"name": "R", "permissions": []}),
    ("role", {"name": "R", "permissions": [{"resource": "DAGs", "actions": ["can_fly"]}], "check": True}),
    ("role_info", {}),
    ("user", {"username": "u", "first_name": "Z", "roles": ["Op"], "password": SECRET}),
    ("user", {"username": "u", "state": "absent"}),
    ("user_info", {}),
    ("variable", {"key": "v", "value": SECRET, "description": "other", "secret": True, "fingerprint_key": KEY}),
    ("variable_info", {}),
]  # fmt: skip
WRONG = [None, [], {}, "text", 7, True, [7], {"a": None}]
WITHIN = [None, "text", 7, [7], {}, KeyError]  # KeyError: without it


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield from places(value[key], (*path, key))


def spoiled(answer: Any) -> Iterator[Any]:
    """The answer with another thing in one place, or without it."""
    for path in places(answer):
        if not path:
            yield from WRONG
            continue
        *way, last = path
        for wrong in WITHIN:
            whole = deepcopy(answer)
            inside = whole
            for key in way:
                inside = inside[key]
            if wrong is KeyError:
                del inside[last]
            else:
                inside[last] = wrong
            yield whole


class Server:
    """Answers as written above, but one request of a run as it is told; remembers what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.number, self.instead = -1, None
        monkeypatch.setattr(Client, "_exchange", self.exchange)

    def exchange(self, method: str, target: str, *_more: Any) -> Reply:
        asked = f"{method} {target.partition('?')[0]}"
        answer = ANSWERS.get(asked, GONE)  # what a spoiled answer may lead to
        status, answer = answer if isinstance(answer, tuple) else (200, answer)
        if len(self.asked) == self.number:
            status, answer = 200, self.instead
        self.asked.append(asked)
        return Reply(status, "", Message(), json.dumps(answer).encode())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(monkeypatch)


def test_every_module_of_the_group_is_here() -> None:
    assert {name for name, _options in RUNS} == set(GROUP)


@pytest.mark.parametrize(("name", "options"), RUNS, ids=[f"{n}-{i}" for i, (n, _options) in enumerate(RUNS)])
def test_no_answer_ends_in_a_traceback(
    server: Server, capsys: pytest.CaptureFixture[str], name: str, options: dict[str, Any]
) -> None:
    def run() -> dict[str, Any]:
        server.asked.clear()
        given = {"api_url": "http://airflow.example.org", "api_token": "a-token", "api_retry_timeout": 0, **options}
        return run_module(name, given, capsys, check=given.pop("check", False))

    run()
    told = 0
    for number, asked in enumerate(list(server.asked)):
        good = ANSWERS[asked]
        for answer in spoiled(good[1] if isinstance(good, tuple) else good):
            server.number, server.instead = number, answer
            result = run()
            assert "Traceback" not in str(result) and SECRET not in json.dumps(result)
            told += "not what Airflow answers" in str(result.get("msg", result))
    assert told or name == "health_info"
