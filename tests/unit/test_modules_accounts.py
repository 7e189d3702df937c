# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Modules user, role, user_info and role_info: the FAB auth manager's API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.windward.airflow.plugins.module_utils._fab import grouped, pairs_of
from ansible_collections.windward.airflow.plugins.module_utils._resource import Plan
from ansible_collections.windward.airflow.plugins.modules import role, user
from api_script import ScriptedApi, run_module

USERS, ROLES, LOG_IN = "/auth/fab/v1/users", "/auth/fab/v1/roles", "/auth/token"
PERMISSIONS = "/auth/fab/v1/permissions"
NO_USER = {"detail": "The User with username `eve` was not found"}
NO_ROLE = {"detail": "Role with name 'R' does not exist."}
PASSWORD = "the-wanted-password"
NAMES = {"email": "e@x.org", "first_name": "E", "last_name": "V"}
WANTED = {"username": "eve", **NAMES, "roles": ["R", "A"], "password": PASSWORD}
SITE = {"resource": "Website", "actions": ["can_read"]}
PAGE = {"headers": {"Content-Type": "text/html"}}

Run = Callable[..., dict[str, Any]]


def eve(**differs: Any) -> dict[str, Any]:
    return {"username": "eve", **NAMES, "roles": [{"name": "R"}, {"name": "A"}], "active": True, **differs}


def permissions(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"actions": stored(*pairs)["actions"], "total_entries": len(pairs)}


def stored(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"name": "R", "actions": [{"resource": {"name": one}, "action": {"name": two}} for one, two in pairs]}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        yield server


@pytest.fixture
def run(api: ScriptedApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    # Ansible gives a warning out once per process, and here several modules run in one.
    said: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, warning: said.append(warning))

    def run(name: str, check: bool = False, /, **options: Any) -> dict[str, Any]:
        result = run_module(name, {"api_url": api.url, "api_token": "t0", **options}, capsys, check=check)
        result.pop("invocation", None)
        result["warnings"] = list(said)
        assert PASSWORD not in str(result)
        return result

    return run


# -- user --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [True, False])
def test_user_is_created(api: ScriptedApi, run: Run, check: bool) -> None:
    api.expect("GET", f"{USERS}/eve", 404, NO_USER)
    if check:
        api.expect("GET", USERS, 200, {"users": [eve(username="x", email="y")], "total_entries": 1})
        api.expect("GET", f"{ROLES}/A", 200, stored()).expect("GET", f"{ROLES}/R", 404, NO_ROLE)
    else:
        api.expect("GET", f"{ROLES}/A", 200, stored()).expect("GET", f"{ROLES}/R", 200, stored())
        api.expect("POST", USERS, 200, eve())
    result = run("user", check, **WANTED)
    assert result["changed"] is True
    assert result["user"] == {"username": "eve", **NAMES, "roles": ["A", "R"], "active": True}
    assert result["diff"][0]["after"]["password"] == "(secret)"
    if check:
        assert result["warnings"] == ["There is no role R yet"]
    else:
        assert api.requests[-1].body == {**WANTED, "roles": [{"name": "A"}, {"name": "R"}]}


def test_a_role_that_there_is_not_is_told_of_before_anything_is_written(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{USERS}/eve", 404, NO_USER)
    api.expect("GET", f"{ROLES}/A", 200, stored()).expect("GET", f"{ROLES}/R", 404, NO_ROLE)
    assert run("user", **WANTED)["msg"] == "roles: there is no role R"


@pytest.mark.parametrize("check", [True, False])
def test_a_role_that_cannot_be(api: ScriptedApi, run: Run, check: bool) -> None:
    api.expect("GET", f"{USERS}/eve", 200, eve())
    assert run("user", check, username="eve", roles=["a/b"])["msg"] == "roles: name must not have / in it"


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("status", [201, 401])
def test_the_password_is_tried_and_set_only_if_it_is_another(
    api: ScriptedApi, run: Run, check: bool, status: int
) -> None:
    api.expect("GET", f"{USERS}/eve", 200, eve())
    api.expect("POST", LOG_IN, status, {"access_token": "x"} if status == 201 else {"detail": "Invalid credentials"})
    differs = status == 401
    if differs and not check:
        api.expect("PATCH", f"{USERS}/eve", 200, eve())
    result = run("user", check, **WANTED)
    assert result["changed"] is differs
    assert [(one["before"]["password"], one["after"]["password"]) for one in result["diff"]] == (
        [("(secret)", "(another secret)")] if differs else []
    )
    assert api.requests[1].body == {"username": "eve", "password": PASSWORD}
    if differs and not check:
        assert api.requests[-1].body == {"password": PASSWORD}


def test_a_password_that_people_choose_is_not_tried(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{USERS}/eve", 200, eve())
    assert run("user", update_password="on_create", **WANTED)["changed"] is False


def test_a_log_in_that_breaks_is_no_answer(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{USERS}/eve", 200, eve()).expect("POST", LOG_IN, 403, {"detail": "Forbidden"})
    assert run("user", **WANTED)["failed"] is True


def test_a_user_who_is_not_active_is_told_of(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{USERS}/eve", 200, eve(active=False))
    result = run("user", username="eve")
    assert (result["changed"], result["user"]["active"]) == (False, False)
    assert result["warnings"] == ["User eve is not active, and the API can't change that"]


def test_the_password_of_a_user_who_is_not_active_is_not_tried(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{USERS}/eve", 200, eve(active=False)).expect("PATCH", f"{USERS}/eve", 200, eve(active=False))
    result = run("user", username="eve", password=PASSWORD)
    assert (result["changed"], result["diff"][0]["after"]["password"]) == (True, "(perhaps another secret)")


@pytest.mark.parametrize(
    ("options", "warned"),
    [({"roles": ["A"]}, True), ({"state": "absent"}, True), ({"roles": ["A", "R"]}, False), ({}, False)],
)
def test_who_demotes_or_removes_themselves_is_warned(
    api: ScriptedApi, run: Run, options: dict[str, Any], warned: bool
) -> None:
    api.expect_log_in().expect("GET", f"{USERS}/eve", 200, eve())
    log_in = {"api_token": None, "api_username": "Eve", "api_password": "x"}
    result = run("user", True, username="eve", **log_in, **options)
    assert result["warnings"] == (["User eve is the one that this task logs in as"] if warned else [])


@pytest.mark.parametrize("check", [True, False])
def test_user_is_changed(api: ScriptedApi, run: Run, check: bool) -> None:
    api.expect("GET", f"{USERS}/EVE", 200, eve())
    if not check:
        api.expect("PATCH", f"{USERS}/eve", 200, eve())
    result = run("user", check, username="EVE", roles=["A"], first_name="Ä")
    assert result["user"] == {"username": "eve", **NAMES, "first_name": "Ä", "roles": ["A"], "active": True}
    if not check:
        assert api.requests[-1].body == {"first_name": "Ä", "roles": [{"name": "A"}]}


def test_an_address_that_is_taken_fails_in_check_mode_too(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{USERS}/eve", 200, eve())
    api.expect("GET", USERS, 200, {"users": [eve(), eve(username="adam", email="a@x.org")], "total_entries": 2})
    assert run("user", True, username="eve", email="a@x.org")["msg"] == (
        "user eve: the e-mail address is taken by adam"
    )


@pytest.mark.parametrize("check", [True, False])
def test_user_is_deleted(api: ScriptedApi, run: Run, check: bool) -> None:
    api.expect("GET", f"{USERS}/eve", 200, eve())
    if not check:
        api.expect("DELETE", f"{USERS}/eve", 204)
    result = run("user", check, username="eve", state="absent", password=PASSWORD)
    assert (result["changed"], result["user"]) == (True, None)


def test_user_that_is_absent(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{USERS}/eve", 404, NO_USER)
    assert run("user", username="eve", state="absent")["changed"] is False


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (Plan("create", {}, {"roles": ["A"], "email": ""}, ("roles", "email")), "email must not be empty"),
        (Plan("create", {}, {"roles": []}, ("roles",)), "a new user needs one role at least"),
        (Plan("update", {"last_name": ""}, {"last_name": "", "roles": []}, ("roles",)), None),
        (Plan("update", {"password": "x"}, {"password": ""}, ("password",)), "password must not be empty"),
        (
            Plan("update", {}, {"email": "x" * 513}, ("email",)),
            "email must not be longer than 512 characters",
        ),
        (Plan("update", {}, {"email": "x" * 512, "first_name": "x/y"}, ("email", "first_name")), None),
        (Plan("delete", {"email": "x"}, {}), None),
    ],
)
def test_what_is_refused_of_users(plan: Plan, reason: str | None) -> None:
    assert user.refuse("eve", plan) == reason


def test_what_a_new_user_needs(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{USERS}/eve", 404, NO_USER)
    needs = "user eve: creating it needs email, first_name, last_name, roles, password"
    assert run("user", username="eve")["msg"] == needs


# -- role --------------------------------------------------------------------------------------------------------------


def test_permissions_in_any_order_are_the_same() -> None:
    given = [
        {"resource": "B", "actions": ["y", "x", "y"]},
        {"resource": "A", "actions": []},
        {"resource": "B", "actions": ["z"]},
    ]
    assert grouped(pairs_of(given)) == [{"resource": "B", "actions": ["x", "y", "z"]}]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("found", [None, stored(("DAGs", "can_edit"))])
def test_role_is_created_or_changed(api: ScriptedApi, run: Run, check: bool, found: Any) -> None:
    api.expect("GET", f"{ROLES}/R", 200 if found else 404, found or NO_ROLE)
    if check:
        api.expect("GET", PERMISSIONS, 200, permissions(("Website", "can_read"), ("DAGs", "can_edit")))
    if not check:
        api.expect("PATCH" if found else "POST", f"{ROLES}/R" if found else ROLES, 200, stored())
    if not check and found:
        api.expect("GET", f"{ROLES}/R", 200, stored(("DAGs", "can_read"), ("Website", "can_read")))
    result = run("role", check, name="R", permissions=[{"resource": "DAGs", "actions": ["can_read"]}])
    assert result["changed"] is True
    # Airflow lets everybody see the site, unasked.
    assert result["role"] == {"name": "R", "permissions": [{"resource": "DAGs", "actions": ["can_read"]}, SITE]}
    if not check:
        assert api.requests[1].body == stored(("DAGs", "can_read"), ("Website", "can_read"))


def test_permissions_that_fab_does_not_know(api: ScriptedApi, run: Run) -> None:
    said = {"detail": "The specified action: 'fly' was not found"}
    api.expect("GET", f"{ROLES}/R", 404, NO_ROLE).expect("POST", ROLES, 400, said)
    api.expect("GET", PERMISSIONS, 200, permissions(("DAGs", "can_edit"), ("Website", "can_read")))
    result = run("role", name="R", permissions=[{"resource": "DAGs", "actions": ["fly", "dive"]}])
    assert result["msg"] == "permissions: FAB has no action dive, fly (actions)" and not result.get("changed")
    for option, resource, action in (("resource", "x" * 251, "can_read"), ("actions", "DAGs", "")):
        result = run("role", True, name="R", permissions=[{"resource": resource, "actions": [action]}])
        assert f"permissions: {option} must not be" in result["msg"]


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (("DAGs", "fly"), "permissions: FAB has no action fly (actions)"),
        (("Dags", "can_read"), "permissions: FAB has no resource Dags (resource)"),
        (("Website", "can_edit"), None),  # nobody has it so far, but each of both is known
    ],
)
def test_a_check_asks_fab_which_permissions_there_are(
    api: ScriptedApi, run: Run, pair: tuple[str, str], said: str | None
) -> None:
    api.expect("GET", f"{ROLES}/R", 200, stored(("Website", "can_read")))
    api.expect("GET", PERMISSIONS, 200, permissions(("DAGs", "can_edit"), ("Website", "can_read")))
    result = run("role", True, name="R", permissions=[{"resource": pair[0], "actions": [pair[1]]}])
    assert (result.get("msg"), result.get("changed", False)) == (said, said is None)


def test_a_provider_that_takes_no_permission_away(api: ScriptedApi, run: Run) -> None:
    found = stored(("DAGs", "can_edit"), ("Website", "can_read"))
    api.expect("GET", f"{ROLES}/R", 200, found).expect("PATCH", f"{ROLES}/R", 200, stored(("Website", "can_read")))
    api.expect("GET", f"{ROLES}/R", 200, found)
    result = run("role", name="R", permissions=[])
    assert result["failed"] and result["changed"] and "took none away" in result["msg"]


def test_a_provider_that_deletes_no_role(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{ROLES}/R", 200, stored(("Website", "can_read"))).expect("DELETE", f"{ROLES}/R", 500)
    result = run("role", name="R", state="absent", api_retry_timeout=0)
    assert result["failed"] and not result.get("changed")
    assert "500" in result["msg"] and "3.4.0 fails to delete any role" in result["msg"]


@pytest.mark.parametrize(
    ("permissions", "changed"),
    [
        (None, False),
        ([{"resource": "Pools", "actions": ["can_read"]}, {"resource": "DAGs", "actions": ["can_read"]}], False),
        ([SITE, {"resource": "Pools", "actions": ["can_read"]}], True),
        ([], True),
    ],
)
def test_role_has_what_is_declared(api: ScriptedApi, run: Run, permissions: Any, changed: bool) -> None:
    found = stored(("Website", "can_read"), ("DAGs", "can_read"), ("Pools", "can_read"))
    api.expect("GET", f"{ROLES}/R", 200, found)
    assert run("role", True, name="R", permissions=permissions)["changed"] is changed


def test_airflows_own_roles_have_just_what_is_declared(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{ROLES}/Public", 200, {"name": "Public", "actions": []})
    assert run("role", name="Public", permissions=[])["changed"] is False


@pytest.mark.parametrize("name", ["Admin", "", "a/b"])
def test_what_is_refused_of_roles(name: str) -> None:
    assert role.refuse(name, Plan("delete", {"permissions": []}, {}))


# -- both --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["user", "role", "user_info", "role_info"])
@pytest.mark.parametrize(("status", "answer", "more"), [(200, b"<html>", PAGE), (404, {"detail": "Not Found"}, {})])
def test_another_auth_manager_is_told(
    api: ScriptedApi, run: Run, module: str, status: int, answer: Any, more: dict[str, Any]
) -> None:
    options = {"username": "eve"} if module.startswith("user") else {"name": "eve"}
    path = USERS if module.startswith("user") else ROLES
    api.expect("GET", f"{path}/eve", status, answer, **more).expect("GET", "/api/v2/version", 200, {"version": "3"})
    said = "This Airflow uses another auth manager than FAB's, and only FAB's keeps users and roles"
    assert run(module, **options)["msg"] == said


@pytest.mark.parametrize("module", ["user", "role", "user_info", "role_info"])
@pytest.mark.parametrize("name", ["", "a/b", "a\0b", "x" * 600])
def test_names_that_the_api_has_no_way_to(run: Run, module: str, name: str) -> None:
    option = "username" if "user" in module else "name"
    assert run(module, **{option: name})["msg"].startswith(f"{option} must not ")


def test_no_airflow_at_all_is_told(api: ScriptedApi, run: Run) -> None:
    for path in (f"{USERS}/eve", "/api/v2/version"):
        api.expect("GET", path, 404, {"detail": "Not Found"})
    assert "is api_url right?" in run("user", username="eve")["msg"]


def test_user_info_has_no_more_than_it_should(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", USERS, 200, {"users": [eve(login_count=3, password="leak")], "total_entries": 1})
    (found,) = run("user_info", order_by="-id")["users"]
    assert (found["roles"], found["login_count"], "password" in found) == (["A", "R"], 3, False)
    assert api.requests[0].query["order_by"] == ["-id"]


def test_role_info_gives_what_role_takes(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{ROLES}/R", 200, stored(("DAGs", "b"), ("DAGs", "a")))
    assert run("role_info", name="R")["roles"] == [
        {"name": "R", "permissions": [{"resource": "DAGs", "actions": ["a", "b"]}]}
    ]
