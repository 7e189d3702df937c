# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._resource import Plan, Resource, plan

IS = {"slots": 3, "description": None, "shared": False}
DEFAULTS = {"description": None, "shared": False}


@pytest.mark.parametrize(
    ("current", "wanted", "state", "expected"),
    [
        (None, {"slots": 3}, "present", Plan("create", {}, IS, ("slots",))),
        (None, {"slots": 3}, "absent", Plan("none", {}, {})),
        (IS, {"slots": 3}, "absent", Plan("delete", IS, {})),
        (IS, {"slots": 3}, "present", Plan("none", IS, IS)),
        (IS, {"slots": None, "shared": None}, "present", Plan("none", IS, IS)),
        (IS, {"slots": 0}, "present", Plan("update", IS, {**IS, "slots": 0}, ("slots",))),
        (IS, {"description": ""}, "present", Plan("none", IS, IS)),
        (IS, {"description": "x"}, "present", Plan("update", IS, {**IS, "description": "x"}, ("description",))),
        (
            {**IS, "description": "x"},
            {"description": "", "shared": True},
            "present",
            Plan(
                "update",
                {**IS, "description": "x"},
                {**IS, "description": "", "shared": True},
                ("description", "shared"),
            ),
        ),
    ],
)
def test_plan(current: Any, wanted: dict[str, Any], state: str, expected: Plan) -> None:
    assert plan(current, wanted, state, DEFAULTS) == expected


THINGS = Resource(kind="thing", path="/api/v2/things", key="name", fields=("slots",), patch_key="thing")


@pytest.mark.parametrize(
    ("the_plan", "request_"),
    [
        (Plan("create", {}, IS, ("slots",)), ("POST", "/api/v2/things", {"name": "a/b", **IS}, None)),
        (
            Plan("update", IS, {**IS, "slots": 4}, ("slots",)),
            ("PATCH", "/api/v2/things/a%2Fb", {"thing": "a/b", **IS, "slots": 4}, {"update_mask": ["slots"]}),
        ),
        (Plan("delete", IS, {}), ("DELETE", "/api/v2/things/a%2Fb", None, None)),
    ],
)
def test_a_plan_is_one_request(the_plan: Plan, request_: tuple[Any, ...]) -> None:
    (change,) = THINGS.changes("a/b", the_plan)
    assert (change.method, change.path, change.body, change.query) == request_
    assert (change.before, change.after) == (the_plan.before, the_plan.after)


def test_nothing_to_do_is_no_request() -> None:
    assert THINGS.changes("a", Plan("none", IS, IS)) == []
