# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long a component that was restarted is waited for. What systemd does is seen on virtual machines."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.action import units as action
from ansible_collections.windward.airflow.plugins.action import worker_drain as action_drain
from ansible_collections.windward.airflow.plugins.modules import units

UNIT = {"component": "api-server", "digest": "d", "job": "", "page": ""}


class Failed(Exception):
    """The module ended with this message."""


class Module:
    """systemctl says the counts one after the other, and the last one for ever."""

    params = {"api_url": "http://127.0.0.1:9", "host_url": None, "api_token": None, "timeout": 60}

    def __init__(self, counts: list[int]) -> None:
        self.counts = counts

    def run_command(self, argv: list[str]) -> tuple[int, str, str]:
        if argv[:2] != ["systemctl", "show"]:
            return 0, "", ""
        count = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        return 0, f"Id=airflow-api-server.service\nActiveState=active\nNRestarts={count}\n", ""

    def fail_json(self, msg: str, **_result: Any) -> None:
        raise Failed(msg)


def waited(monkeypatch: pytest.MonkeyPatch, counts: list[int], healthy: list[bool]) -> None:
    host = units.Units(Module(counts))
    monkeypatch.setattr(host, "healthy", lambda _unit: healthy.pop(0))
    monkeypatch.setattr(units.time, "sleep", lambda _seconds: None)
    host.restart([UNIT])
    host.wait([UNIT])


def test_deaths_before_the_restart_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd keeps its count when the restart finds the unit between two starts."""
    waited(monkeypatch, [7, 7, 8, 8], [False, False, False, True])


def test_what_dies_again_and_again_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match="api-server died 4 times after its start"):
        waited(monkeypatch, [7, 8, 9, 10, 11], [False] * 9)


CONSUMER = {"release": "/r", "config_dir": "/c", "user": "u", "worker": "celery@w", "timeout": 30}
WORKER = {"component": "worker", "digest": "new", "job": "", "page": ""}


def test_a_worker_is_healthy_when_it_consumes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may live for a while and die again and again without consuming anything."""
    host = units.Units(Module([7, 7, 8, 9, 10, 11]))
    monkeypatch.setattr(host.module, "params", {**Module.params, "consumer": CONSUMER})
    monkeypatch.setattr(units.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(units._release, "environment", lambda *_arguments: {})
    monkeypatch.setattr(units._release, "run", lambda *_arguments, **_more: False)
    worker = {**WORKER, "component": "api-server"}  # of which systemctl tells here
    host.restart([worker])
    host.started["api-server"] -= datetime.timedelta(seconds=60)
    with pytest.raises(Failed, match="died 4 times after its start"):
        host.wait([worker])
    monkeypatch.setattr(units._release, "run", lambda *_arguments, **_more: True)
    host.wait([worker])
    assert host.seconds["api-server"] >= 60


def test_what_others_started_is_waited_for_since_the_host_started(monkeypatch: pytest.MonkeyPatch) -> None:
    host = units.Units(Module([2]))
    healthy = [False, True]
    monkeypatch.setattr(host, "healthy", lambda _unit: healthy.pop(0))
    monkeypatch.setattr(units.time, "sleep", lambda _seconds: None)
    host.watch([UNIT])
    assert not healthy
    up = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(host.seconds["api-server"] - up) < 30


class Played:
    """The modules on the host: what they are told, and what they say of the drain, one after the other."""

    def __init__(self, *drains: dict[str, Any]) -> None:
        self.drains, self.told = list(drains), []

    def __call__(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.told.append((name, arguments))
        return dict(self.drains.pop(0)) if name == "worker_drain" else {"changed": False}


def restarted(played: Played, *wanted: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []
    arguments = {"units": list(wanted), "consumer": CONSUMER}
    result = action.drain_and_restart(played, arguments, said.append)
    return result, [name for name, _arguments in played.told]


RUNS = {"failed": True, "changed": True, "running": ["sales.load r1"], "msg": "sales.load r1 still runs."}


def test_a_worker_is_drained_before_it_restarts() -> None:
    played = Played(RUNS, {"changed": False, "running": []})
    result, told = restarted(played, UNIT, WORKER)
    assert told == ["worker_drain", "worker_drain", "units"] and result["changed"] and not result.get("failed")
    assert played.told[0][1]["digest"] == "new"


def test_tasks_that_outlast_the_drain_are_not_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 0.0, 31.0])
    monkeypatch.setattr(action_drain, "time", SimpleNamespace(monotonic=lambda: next(now)))
    result, told = restarted(Played(RUNS), WORKER)
    assert told == ["worker_drain"] and result["failed"] and "sales.load r1" in result["msg"]


def test_a_worker_that_gives_no_answer_is_restarted() -> None:
    result, told = restarted(Played({"failed": True, "silent": True, "msg": "does not answer"}), WORKER)
    assert told == ["worker_drain", "units"] and not result.get("failed")
    assert "does not answer" in result["warnings"][0]


@pytest.mark.parametrize(
    ("drains", "wanted", "told"),
    [
        ([{"changed": True, "running": []}], {"consumer": CONSUMER}, ["worker_drain", "units"]),
        ([{"failed": True, "silent": False, "msg": "no"}], {"consumer": CONSUMER}, ["worker_drain"]),
        ([], {}, ["units"]),
    ],
)
def test_a_worker_is_drained_before_it_is_removed(
    drains: list[dict[str, Any]], wanted: dict[str, Any], told: list[str]
) -> None:
    """The host goes on with other components; one that was drained as a whole, or is not waited for, names nobody."""
    played = Played(*drains)
    action.drain_and_restart(played, {"units": [UNIT], "absent": ["flower", "worker"], **wanted}, print)
    assert [name for name, _arguments in played.told] == told
    assert not drains or played.told[0][1]["digest"] == ""


@pytest.mark.parametrize("error", [{"failed": True, "silent": False}, {"failed": True}, {"unreachable": True}])
def test_a_worker_that_could_not_even_be_asked_is_left_alone(error: dict[str, Any]) -> None:
    """With a configuration that can't be loaded no other worker would come."""
    result, told = restarted(Played({**error, "msg": "no valid JSON."}), WORKER)
    assert told == ["worker_drain"] and result["msg"].startswith("no valid JSON. Nothing was restarted")


@pytest.mark.parametrize("wanted", [[UNIT], [{**WORKER, "digest": ""}], []])
def test_what_does_not_restart_is_not_drained(wanted: list[dict[str, str]]) -> None:
    assert restarted(Played(), *wanted)[1] == ["units"]


def test_nothing_stays_of_what_the_unit_of_a_removed_component_wrote(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("airflow-worker.service", "worker.digest", "worker.environment", "scheduler.digest"):
        (tmp_path / name).touch()
    monkeypatch.setattr(units, "SYSTEM", str(tmp_path))
    monkeypatch.setattr(units, "RUN", str(tmp_path))
    params = {"absent": ["flower", "worker"], "drain": True}
    module = SimpleNamespace(params=params, check_mode=False, run_command=lambda *_argv, **_more: (0, "", ""))
    assert units.remove(module) == ["worker"]
    assert [path.name for path in tmp_path.iterdir()] == ["scheduler.digest"]


def test_only_of_what_runs_tasks_it_is_said_that_they_end_first() -> None:
    wanted = [{**UNIT, "tasks": False}, {**UNIT, "component": "scheduler", "tasks": True}]
    assert units.drained_warning(wanted, {"api-server": 13.2}, ["sales.load"]) == ""
    said = units.drained_warning(wanted, {"api-server": 13.2, "scheduler": 60.4}, ["sales.load"])
    assert said.startswith("scheduler took 60 s to stop: what runs tasks") and "sales.load" in said
