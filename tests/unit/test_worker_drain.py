# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a drain asks, and when it does not. systemd and Celery are played; the rest is seen on virtual machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.modules import worker_drain

# A worker whose task is reserved until somebody has asked for anything, and active afterwards; asked to consume no
# more, it obeys, but systemd starts it anew once, and it consumes again.
CELERY = """
import json
class Inspect:
    def __init__(self, destination, timeout): self.name = destination[0]
    def active_queues(self): return {self.name: [{"name": name} for name in world["queues"]]}
    def reserved(self): return self.tasks("reserved")
    def active(self): return self.tasks("active")
    def tasks(self, place):
        title = {"ti": {"dag_id": "sales", "task_id": "load", "run_id": "r1"}}
        found = [{"id": "1", "args": [json.dumps(title)]}] if world["task"] == place else []
        if world["task"] == "reserved":
            world["task"] = "active"
        if place == "active" and world["deaths"]:
            world["deaths"] -= 1
            world["queues"] = ["default"]
        return {self.name: found}
class Control:
    inspect = Inspect
    def cancel_consumer(self, queue, destination): world["queues"].remove(queue)
app = type("App", (), {"control": Control(), "conf": type("Conf", (), {"broker_url": "memory://"})})()
world = {"queues": ["default"], "task": WHERE, "deaths": DEATHS}
"""


def program(folder: Path, played: str, timeout: float) -> tuple[int, str]:
    """Run the program that asks Celery, with a Celery that is played; give its exit and its answer."""
    package = folder / "airflow" / "providers" / "celery" / "executors"
    package.mkdir(parents=True)
    (package / "celery_executor.py").write_text(played)
    answer = folder / "answer"
    with answer.open("w") as stream:
        done = subprocess.run(
            [sys.executable, "-c", worker_drain.DRAIN, str(stream.fileno())], pass_fds=[stream.fileno()], text=True,
            input=json.dumps({"worker": "celery@w", "timeout": timeout}), capture_output=True, check=False, timeout=60,
            env={**os.environ, "PYTHONPATH": str(folder)})
    return done.returncode, answer.read_text()


def asked(folder: Path, task: str, deaths: int, timeout: float) -> dict[str, Any]:
    code, answer = program(folder, CELERY.replace("WHERE", repr(task)).replace("DEATHS", str(deaths)), timeout)
    assert code == 0
    found: dict[str, Any] = json.loads(answer)
    return found


def test_a_task_that_begins_while_it_is_asked_for_is_seen(tmp_path: Path) -> None:
    assert asked(tmp_path, "reserved", 0, 0) == {"running": ["sales.load r1"], "consumed": []}


def test_a_worker_that_came_back_is_told_again(tmp_path: Path) -> None:
    assert asked(tmp_path, "none", 0, 0) == {"running": [], "consumed": []}
    assert asked(tmp_path / "again", "none", 1, 30) == {"running": [], "consumed": []}


@pytest.mark.parametrize(
    ("replies", "reason"),
    [("None", "the worker celery@w does not answer"), ("1 / 0", "division by zero")],
)
def test_a_worker_or_a_broker_that_gives_no_answer_is_told_of(tmp_path: Path, replies: str, reason: str) -> None:
    silent = CELERY.replace('{self.name: [{"name": name} for name in world["queues"]]}', replies)
    assert silent != CELERY
    code, answer = program(tmp_path, silent.replace("WHERE", "0").replace("DEATHS", "0"), 0)
    assert (code, json.loads(answer)) == (0, {"silent": reason})


@pytest.mark.parametrize("played", ["raise ValueError('no JSON')", "app = type('App', (), {'control': None})()"])
def test_settings_that_cannot_be_loaded_are_no_silence(tmp_path: Path, played: str) -> None:
    code, answer = program(tmp_path, played, 0)
    assert code != 0 and not answer


class Ended(Exception):
    """The module ended."""


class Module:
    """systemctl says one state after the other, and the last one for ever."""

    def __init__(self, states: list[str], check_mode: bool, **options: Any) -> None:
        self.states, self.check_mode = states, check_mode
        self.params = {"release": "/r", "config_dir": "/c", "user": "u", "worker": "celery@w", "digest": "",
                       "timeout": 60.0, **options}

    def run_command(self, argv: list[str]) -> tuple[int, str, str]:
        assert argv == ["systemctl", "show", "--property=ActiveState,Job", "airflow-worker.service"]
        state, *job = (self.states.pop(0) if len(self.states) > 1 else self.states[0]).split()
        return 0, f"ActiveState={state}\nJob={''.join(job)}\n", ""

    def exit_json(self, **result: Any) -> None:
        raise Ended({**result, "failed": False})

    def fail_json(self, **result: Any) -> None:
        raise Ended({**result, "failed": True})


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A host on which no time is lost, and a worker that nobody needs to wait for once it can be asked."""
    clock = SimpleNamespace(seconds=0.0, digest=tmp_path / "digest")
    clock.digest.write_text("old\n")

    def sleep(seconds: float) -> None:
        clock.seconds += seconds

    monkeypatch.setattr(worker_drain, "time", SimpleNamespace(monotonic=lambda: clock.seconds, sleep=sleep))
    monkeypatch.setattr(worker_drain, "DIGEST", str(clock.digest))
    monkeypatch.setattr(worker_drain, "ENVIRONMENT", str(tmp_path / "environment"))
    monkeypatch.setattr(worker_drain._release, "environment", lambda *_arguments: {})
    monkeypatch.setattr(worker_drain._release, "run", lambda *_arguments, **_more: {"running": [], "consumed": []})
    return clock


def drain(
    monkeypatch: pytest.MonkeyPatch, states: list[str], check_mode: bool = False, **options: Any
) -> dict[str, Any]:
    monkeypatch.setattr(worker_drain, "AnsibleModule", lambda **_spec: Module(list(states), check_mode, **options))
    with pytest.raises(Ended) as ended:
        worker_drain.main()
    result: dict[str, Any] = ended.value.args[0]
    return result


@pytest.mark.parametrize(
    ("states", "seconds", "drained"),
    [
        (["active"], 0, True),
        (["inactive"], 0, False),
        (["failed"], 0, False),
        (["deactivating", "deactivating", "inactive"], 2, False),
        (["activating", "active"], 1, True),
        (["deactivating 7", "inactive 7", "activating", "active"], 3, True),
    ],
)
def test_a_worker_that_starts_or_stops_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, now: SimpleNamespace, states: list[str], seconds: float, drained: bool
) -> None:
    result = drain(monkeypatch, states)
    assert not result["failed"] and (result["changed"], now.seconds) == (drained, seconds)
    assert now.digest.exists() != drained


def test_a_worker_that_does_not_end_is_told_of(monkeypatch: pytest.MonkeyPatch, now: SimpleNamespace) -> None:
    result = drain(monkeypatch, ["deactivating"])
    assert result["failed"] and result["running"] == ["airflow-worker.service is deactivating"]
    assert now.seconds == 60 and now.digest.exists()


def test_a_worker_that_runs_as_wanted_is_left_alone(monkeypatch: pytest.MonkeyPatch, now: SimpleNamespace) -> None:
    assert drain(monkeypatch, ["active"], digest="old")["changed"] is False and now.digest.exists()
    assert drain(monkeypatch, ["active"], digest="new", check_mode=True)["changed"] is True and now.digest.exists()
    assert drain(monkeypatch, ["active"], digest="new")["changed"] is True and not now.digest.exists()
    assert drain(monkeypatch, ["active"], digest="")["changed"] is False, "it is drained"


OLD, NEW = {"BROKER": "old"}, {"BROKER": "new"}


@pytest.mark.parametrize(
    ("silent", "tried", "drained"), [([], [OLD], True), ([OLD], [OLD, NEW], True), ([OLD, NEW], [OLD, NEW], False)]
)
def test_a_worker_is_asked_with_what_it_was_started_with(
    monkeypatch: pytest.MonkeyPatch, now: SimpleNamespace, silent: list[Any], tried: list[Any], drained: bool
) -> None:
    """The file on the disk is that of the next one already, which may have another broker."""
    variables = []

    def run(_program: str, _release: str, _user: str, given: dict[str, str], *_more: Any, **_options: Any) -> Any:
        variables.append(given)
        return {"silent": "no answer"} if given in silent else {"running": [], "consumed": []}

    Path(worker_drain.ENVIRONMENT).write_text('BROKER="old"\n')
    monkeypatch.setattr(worker_drain._release, "environment", lambda *_arguments: NEW)
    monkeypatch.setattr(worker_drain._release, "run", run)
    result = drain(monkeypatch, ["active"])
    assert variables == tried and result["failed"] != drained and result.get("silent", False) != drained


def test_a_worker_whose_environment_is_gone_from_the_disk_is_asked(
    monkeypatch: pytest.MonkeyPatch, now: SimpleNamespace
) -> None:
    """The host is to have no worker any more."""

    def gone(*_arguments: Any) -> dict[str, str]:
        raise FileNotFoundError

    monkeypatch.setattr(worker_drain._release, "environment", gone)
    result = drain(monkeypatch, ["active"])
    assert result["failed"] and not result["silent"], "nobody knows how"
    Path(worker_drain.ENVIRONMENT).write_text('BROKER="old"\n')
    assert not drain(monkeypatch, ["active"])["failed"]


def test_an_error_of_the_settings_is_no_silence(monkeypatch: pytest.MonkeyPatch, now: SimpleNamespace) -> None:
    def run(*_arguments: Any, **_options: Any) -> Any:
        raise worker_drain._release.ReleaseError("no valid JSON")

    monkeypatch.setattr(worker_drain._release, "run", run)
    result = drain(monkeypatch, ["active"])
    assert result["failed"] and result["silent"] is False and "no valid JSON" in result["msg"]
