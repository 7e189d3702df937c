# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the ledger of a fault run is read for."""

from __future__ import annotations

import re

import pytest
from ledger import Deaths, Row, Try, in_flight, problems, untold, verdict
from parts import SAID, SKIPPED, WHY

RUNS = {"run": ["first"]}
GOOD = "start 1 0, end 1 20"
RETRIED = "start 1 0, start 2 310, end 2 330"
TWICE = "start 1 0, end 1 5, start 2 310, end 2 330"  # Airflow was not told of the first end
DIED: Deaths = {Try("run", "first", 1): 5.0}


def rows(said: str, run: str = "run") -> list[Row]:
    """Rows from words such as `start 1 0.5`: what, which try, when."""
    found = [one.split() for one in said.split(", ")]
    return [Row(what, run, "first", int(tried), float(when), "worker") for what, tried, when in found]


@pytest.mark.parametrize(("said", "deaths"), [(GOOD, {}), (RETRIED, DIED), (GOOD, DIED), (TWICE, DIED)])
def test_what_came_right(said: str, deaths: Deaths) -> None:
    assert problems(rows(said), RUNS, deaths) == []


@pytest.mark.parametrize(
    ("said", "deaths", "problem"),
    [
        ("start 1 0", DIED, "run first was lost"),
        ("start 1 0, start 2 310", DIED, "run first was lost"),
        (RETRIED, {}, "ended by nobody"),
        (RETRIED, {}, "not for a fault"),
        (GOOD + ", start 2 30, end 2 50", {}, "not for a fault"),
        (RETRIED + ", start 3 400, end 3 420", DIED, "not for a fault"),
        (GOOD + ", start 2 19, end 2 39", DIED, "at the same time"),
        ("start 1 0, start 2 4, end 2 24", DIED, "at the same time"),
        (GOOD + ", start 1 30, end 1 50", DIED, "wrote the same twice"),
        ("end 1 20", {}, "never began"),
    ],
)  # fmt: skip
def test_what_did_not(said: str, deaths: Deaths, problem: str) -> None:
    assert [one for one in problems(rows(said), RUNS, deaths) if problem in one], said


def test_a_run_that_left_no_row_and_one_that_nobody_asked_for() -> None:
    assert problems([], RUNS, {}) == ["run first was lost"]
    assert problems(rows("start 1 0", "other"), {}, {}) == ["other was never asked for"]


def test_what_is_in_flight() -> None:
    begun = rows("start 1 0, end 1 20, start 2 30")
    assert set(in_flight(begun)) == set(in_flight(begun, "worker")) == {Try("run", "first", 2)}
    assert in_flight(begun, "other") == {}


def test_what_has_ended_and_airflow_does_not_know_it() -> None:
    ended = [*rows(GOOD), *rows("start 1 15", "flying"), *rows("start 1 0, end 1 20", "known")]
    under_way = [("run", "first"), ("flying", "first"), ("run", "second")]
    assert untold(ended, "worker", under_way) == {Try("run", "first", 1)}
    assert untold(ended, "other", under_way) == set()


def test_overlapping_executions_have_a_number_of_their_own() -> None:
    wrong = [*problems(rows(GOOD + ", start 2 19, end 2 39"), RUNS, DIED), "a try wrote the same twice"]
    assert verdict(3, 4, 1, {}, ["one"], wrong) == (
        "3 runs, 4 executions, 1 killed: lost runs 0, stuck tasks 1, overlapping executions 1, other things wrong 1"
    )


@pytest.mark.parametrize(
    ("told", "line", "matches"),
    [
        (SAID, verdict(24, 55, 7, {}, [], []), True),
        (SAID, "a task whose worker died is missed after 300 s", True),
        (SAID, "FAULT_SEED=1, 3 rounds, 4 DAG runs under way", True),
        (SAID, "round 1: Redis restart (vms-data), 4 tasks in flight, a new run succeeded after 4.0 s", True),
        (SAID, "load-1-0-3 first, killed with its worker, began again after 322 s", True),
        (SAID, "SKIPPED [1] tests/x.py: a reason", False),  # that is told at the end
        (SAID, "120.03s call tests/x.py::test_slow", True),
        (SAID, "2.03s call tests/x.py::test_fast", False),
        (SAID, "12 passed in 3.0s", False),
        (SAID, "TASK [windward.airflow.systemd : Run the components]", False),
        (WHY, "    - 'E           ssl.SSLEOFError: EOF occurred'", True),
        (WHY, "    - FAILED tests/deployment/test_vms.py::test_the_proxy - ssl.SSLEOFError", True),
        (WHY, "fatal: [localhost]: FAILED! =>", True),
        (WHY, "    - 'tests/deployment/proxy.py:53: in ask'", False),
        (WHY, "ok: [localhost]", False),
    ],
)
def test_what_is_told_of_a_part(told: str, line: str, matches: bool) -> None:
    assert bool(re.match(told, line)) == matches


@pytest.mark.parametrize("line", ["SKIPPED [2] t:7: a reason", "SKIPPED: a reason", "- SKIPPED [1] t.py:1: a reason"])
def test_a_reason_for_skipping_is_told_without_its_place(line: str) -> None:
    assert re.sub(SKIPPED, "", line) == "a reason"
