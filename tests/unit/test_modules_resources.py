# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The modules connection, variable and resources: what they ask Airflow for, and what they tell."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.windward.airflow.plugins.doc_fragments import team
from ansible_collections.windward.airflow.plugins.module_utils._kinds import KINDS
from ansible_collections.windward.airflow.plugins.module_utils._secrets import Fingerprints, pack, unpack
from api_script import ScriptedApi, run_module

Run = Callable[..., dict[str, Any]]
KEY = "a-key-of-sixteen-characters"
SECRET = "a-secret-that-nobody-may-see"
NOT_FOUND = {"detail": "It was not found"}
VERSION = {"version": "3.3.2"}
CONNECTIONS, VARIABLES = "/api/v2/connections", "/api/v2/variables"
FINGERPRINTS, FINGERPRINTS_NAME = VARIABLES, "windward_fingerprints_connections"
LOG = "/api/v2/eventLogs"
ROW = {
    "connection_id": "pg", "conn_type": "postgres", "description": None, "host": "db", "login": None, "schema": None,
    "port": None, "password": "***", "extra": '{"region": "eu", "token": "***"}', "team_name": None,
}  # fmt: skip
DECLARED = {
    "connection_id": "pg", "host": "db", "password": SECRET, "extra": {"region": "eu", "token": f"{SECRET}-too"},
}  # fmt: skip
WRITTEN = {"conn_type": "postgres", "host": "db", "password": SECRET, "extra": DECLARED["extra"]}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.lower().endswith("_proxy") or n.startswith("AIRFLOW_API_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the module warned of: whether that is in its output depends on what else the process did."""
    texts: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: texts.append(text))
    return texts


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        yield server


@pytest.fixture
def run(api: ScriptedApi, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(name: str, check: bool = False, /, **options: Any) -> dict[str, Any]:
        result = run_module(name, {"api_url": api.url, "api_token": "t0", **options}, capsys, check=check)
        assert SECRET not in json.dumps(result)
        return result

    return run


def entry(wanted: dict[str, Any], number: int = 7, key: str = KEY) -> dict[str, Any]:
    prints = Fingerprints(None, "connection", key, None)  # type: ignore[arg-type]
    macs = prints._macs("pg", wanted)
    return {"event": number, "when": "2026-11-21T10:00:00Z", "who": "admin", "macs": macs, "key": prints._mark}


def kept(**entries: Any) -> dict[str, Any]:
    row = {"key": f"{FINGERPRINTS_NAME}_1", "value": pack(entries), "description": None}
    return {"variables": [row], "total_entries": 1}


def log(*events: tuple[int, str, dict[str, Any]]) -> dict[str, Any]:
    common = {"when": "2026-11-21T11:00:00Z", "owner": "x"}
    rows = [
        {"event_log_id": number, "event": name, "extra": json.dumps(extra), **common}
        for number, name, extra in events
    ]
    return {"event_logs": rows, "total_entries": len(rows)}


def done(**actions: list[str]) -> dict[str, Any]:
    """Airflow answers null for what it was not asked to do."""
    names = {action: actions.get(action) for action in ("create", "update", "delete")}
    return {action: None if those is None else {"success": those, "errors": []} for action, those in names.items()}


# -- what a mask hides -------------------------------------------------------------------------------------------------


def test_unchanged_behind_the_mask(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{CONNECTIONS}/pg", 200, ROW).expect("GET", FINGERPRINTS, 200, kept(pg=entry(WRITTEN)))
    api.expect("GET", LOG, 200, log())
    result = run("connection", fingerprint_key=KEY, **DECLARED)
    assert (result["changed"], result["diff"]) == (False, [])
    assert api.requests[-1].query["after"] == ["2026-11-21T10:00:00Z"]


@pytest.mark.parametrize(
    "events",
    [
        [(8, "patch_connection", {"connection_id": "pg"})],
        [(8, "cli_connections_import", {"full_command": "['airflow', 'connections', 'import', 'x']"})],
    ],
)
def test_somebody_else_touched_it(api: ScriptedApi, run: Run, events: list[Any]) -> None:
    api.expect("GET", f"{CONNECTIONS}/pg", 200, ROW).expect("GET", FINGERPRINTS, 200, kept(pg=entry(WRITTEN)))
    api.expect("GET", LOG, 200, log(*events))
    result = run("connection", True, fingerprint_key=KEY, **DECLARED)
    assert result["changed"]
    assert result["diff"][0]["after"]["password"] == "*** (written)"
    assert result["diff"][0]["after"]["extra"] == {"region": "***", "token": "*** (written)"}


def test_the_log_is_asked_for_no_more_than_concerns_what_is_declared(api: ScriptedApi, run: Run) -> None:
    old = {**entry({"password": "x"}, 3), "when": "2020-01-01T00:00:00Z"}
    api.expect("GET", f"{CONNECTIONS}/pg", 200, ROW).expect("GET", FINGERPRINTS, 200, kept(old=old, pg=entry(WRITTEN)))
    api.expect("GET", LOG, 200, log())
    assert not run("connection", fingerprint_key=KEY, **DECLARED)["changed"]
    assert api.requests[-1].query["after"] == ["2026-11-21T10:00:00Z"]


def test_somebody_touched_another(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{CONNECTIONS}/pg", 200, ROW).expect("GET", FINGERPRINTS, 200, kept(pg=entry(WRITTEN)))
    api.expect("GET", LOG, 200, log((8, "patch_connection", {"connection_id": "other"})))
    assert not run("connection", fingerprint_key=KEY, **DECLARED)["changed"]


@pytest.mark.parametrize("held", [{}, {"pg": entry({**WRITTEN, "password": "the one before"})}])
def test_another_password_or_none_known(api: ScriptedApi, run: Run, held: dict[str, Any]) -> None:
    api.expect("GET", f"{CONNECTIONS}/pg", 200, {**ROW, "extra": "{}"}).expect("GET", FINGERPRINTS, 200, kept(**held))
    assert run("connection", True, connection_id="pg", password=SECRET, fingerprint_key=KEY)["changed"]


def test_fingerprints_that_were_just_replaced_are_asked_for_again(api: ScriptedApi, run: Run) -> None:
    """FAB's users are shown nothing then."""
    api.expect("GET", f"{CONNECTIONS}/pg", 200, ROW)
    for found in ({"variables": [], "total_entries": 0}, kept(pg=entry(WRITTEN))):
        api.expect("GET", FINGERPRINTS, 200, found)
    api.expect("GET", LOG, 200, log())
    assert not run("connection", fingerprint_key=KEY, **DECLARED)["changed"]


def test_the_audit_log_is_closed_to_this_account(api: ScriptedApi, run: Run, warned: list[str]) -> None:
    api.expect("GET", f"{CONNECTIONS}/pg", 200, ROW).expect("GET", FINGERPRINTS, 200, kept(pg=entry(WRITTEN)))
    api.expect("GET", LOG, 403, {"detail": "Forbidden"})
    result = run("connection", fingerprint_key=KEY, **DECLARED)
    assert not result["changed"]
    assert "may not read the audit log" in str(warned)


@pytest.mark.parametrize(("policy", "changed"), [("always", True), ("on_create", False)])
def test_policies_without_a_key(api: ScriptedApi, run: Run, policy: str, changed: bool) -> None:
    api.expect("GET", f"{CONNECTIONS}/pg", 200, ROW)
    assert run("connection", True, update_secrets=policy, **DECLARED)["changed"] is changed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (DECLARED, "choose update_secrets"),
        ({**DECLARED, "update_secrets": "on_change"}, "needs fingerprint_key"),
        ({**DECLARED, "fingerprint_key": "short"}, "16 characters"),
        ({**DECLARED, "password": "***", "fingerprint_key": KEY}, "password is or holds ***"),
        ({**DECLARED, "port": "eleven"}, "port"),
    ],
)
def test_refused_before_anything_is_asked(run: Run, options: dict[str, Any], message: str) -> None:
    result = run("connection", **options)
    assert result["failed"] and message in result["msg"]


def test_a_plain_value_that_is_masked_by_accident_is_no_drift(api: ScriptedApi, run: Run, warned: list[str]) -> None:
    api.expect("GET", f"{VARIABLES}/v", 200, {"key": "v", "value": "pre-***", "description": None})
    result = run("variable", key="v", value="pre-whatever")
    assert not result["changed"] and "Airflow masks value" in str(warned)


def test_what_a_mask_leaves_visible_is_drift(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{VARIABLES}/v", 200, {"key": "v", "value": "pre-***", "description": None})
    assert run("variable", True, key="v", value="another")["changed"]


# -- writing -----------------------------------------------------------------------------------------------------------


def test_objects_first_then_fingerprints(api: ScriptedApi, run: Run) -> None:
    other = entry({"password": "x"}, 3)
    api.expect("GET", f"{CONNECTIONS}/pg", 404, NOT_FOUND).expect("GET", FINGERPRINTS, 200, kept(other=other))
    api.expect("GET", "/api/v2/version", 200, VERSION)
    api.expect("PATCH", CONNECTIONS, 200, done(create=["pg"])).expect("GET", LOG, 200, log())
    api.expect("GET", FINGERPRINTS, 200, kept(other=other))
    api.expect("PATCH", VARIABLES, 200, done(create=["windward_fingerprints_connections_2"]))
    ours = {"event": 0, "when": "1970-01-01T00:00:00Z", "who": None, **{k: entry(WRITTEN)[k] for k in ("macs", "key")}}
    result = run("connection", conn_type="postgres", fingerprint_key=KEY, **DECLARED)
    assert result["changed"] and result["connection"]["password"] == "***"
    create, marked = api.requests[3].body["actions"]
    assert create["action_on_existence"] == "overwrite"
    assert create["entities"] == [{"connection_id": "pg", **WRITTEN, "extra": json.dumps(WRITTEN["extra"])}]
    assert marked["action"] == "delete" and marked["entities"][0].startswith("windward-write-")
    (stored,) = api.requests[6].body["actions"][0]["entities"]
    assert unpack(stored["value"]) == {"other": other, "pg": ours}
    assert api.requests[6].body["actions"][1]["entities"] == ["windward_fingerprints_connections_1"]


def test_what_two_controllers_wrote_at_once_is_joined(api: ScriptedApi, run: Run) -> None:
    """Each left a variable; of an object that both wrote, the later write counts."""
    outdated = kept(pg=entry({**WRITTEN, "password": "the one before"}, 6), other=entry({}, 9))
    both = [*kept(pg=entry(WRITTEN))["variables"], {**outdated["variables"][0], "key": f"{FINGERPRINTS_NAME}_2"}]
    api.expect("GET", f"{CONNECTIONS}/pg", 200, ROW)
    api.expect("GET", FINGERPRINTS, 200, {"variables": both, "total_entries": 2}).expect("GET", LOG, 200, log())
    assert not run("connection", fingerprint_key=KEY, **DECLARED)["changed"]


@pytest.mark.parametrize("version", ["3.1.8", "3.3.2"])
def test_who_keeps_no_fingerprints_needs_no_right_to_delete(api: ScriptedApi, run: Run, version: str) -> None:
    """Airflow asks for the right to do each part of a bulk request."""
    api.expect("GET", f"{CONNECTIONS}/pg", 200, ROW).expect("GET", "/api/v2/version", 200, {"version": version})
    if version == "3.1.8":
        api.expect("PATCH", f"{CONNECTIONS}/pg", 200, ROW)
    else:
        api.expect("PATCH", CONNECTIONS, 200, done(update=["pg"]))
    assert run("connection", update_secrets="always", **DECLARED)["changed"]
    assert [one["action"] for one in api.requests[2].body.get("actions", ())] == ["update"] * (version == "3.3.2")


def test_who_may_not_delete_is_told_what_a_key_takes(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{CONNECTIONS}/pg", 200, ROW).expect("GET", FINGERPRINTS, 200, kept())
    api.expect("GET", "/api/v2/version", 200, VERSION).expect("PATCH", CONNECTIONS, 403, {"detail": "Forbidden"})
    assert "Forbidden (with fingerprint_key it takes the right to delete)" in run(
        "connection", fingerprint_key=KEY, **DECLARED)["msg"]  # fmt: skip


def test_a_field_that_is_not_declared_is_not_written(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{CONNECTIONS}/pg", 200, ROW).expect("GET", "/api/v2/version", 200, VERSION)
    api.expect("PATCH", CONNECTIONS, 200, done(update=["pg"]))
    assert run("connection", connection_id="pg", host="", port=5432)["changed"]
    update = api.requests[2].body["actions"][0]
    assert update["entities"] == [{"connection_id": "pg", "conn_type": "postgres", "host": None, "port": 5432}]


def test_merging_keeps_what_airflow_restores_and_refuses_the_rest(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{CONNECTIONS}/pg", 200, ROW).expect("GET", "/api/v2/version", 200, VERSION)
    api.expect("PATCH", CONNECTIONS, 200, done(update=["pg"]))
    merge = {"connection_id": "pg", "extra": {"zone": 1}, "extra_mode": "merge"}
    assert run("connection", **merge)["changed"]
    (entity,) = api.requests[2].body["actions"][0]["entities"]
    assert json.loads(entity["extra"]) == {"region": "eu", "token": "***", "zone": 1}
    api.expect("GET", f"{CONNECTIONS}/pg", 200, {**ROW, "extra": '{"region": "eu-***"}'})
    assert "masks extra.region" in run("connection", **merge)["msg"]


def test_merging_loses_nothing_inside_of_a_key(api: ScriptedApi, run: Run) -> None:
    row = {**ROW, "extra": '{"cfg": {"a": 1, "token": "***", "deep": {"x": 1}}, "list": [1, 2], "b": 2}'}
    merge = {"connection_id": "pg", "extra": {"cfg": {"a": 2, "deep": {"y": 1}}, "list": [3]}, "extra_mode": "merge"}
    api.expect("GET", f"{CONNECTIONS}/pg", 200, row).expect("GET", "/api/v2/version", 200, VERSION)
    api.expect("PATCH", CONNECTIONS, 200, done(update=["pg"]))
    assert run("connection", **merge)["diff"][0]["after"]["extra"] == {
        "cfg": "*** (written)", "list": "*** (written)", "b": "***"
    }  # fmt: skip
    (entity,) = api.requests[2].body["actions"][0]["entities"]
    after = {"cfg": {"a": 2, "token": "***", "deep": {"x": 1, "y": 1}}, "list": [3], "b": 2}
    assert json.loads(entity["extra"]) == after
    api.expect("GET", f"{CONNECTIONS}/pg", 200, {**row, "extra": json.dumps(after)})
    assert not run("connection", **merge)["changed"]


@pytest.mark.parametrize(
    "row",
    [
        {"password": "***", "extra": '{"zone": 0, "dsn": "***"}'},  # 3.1.8 hides it by its value alone
        {"password": "plain", "extra": '{"zone": 0, "token": "***"}'},  # [core] hide_sensitive_var_conn_fields = False
    ],
)
def test_no_mask_goes_where_airflow_would_store_it(api: ScriptedApi, run: Run, row: dict[str, Any]) -> None:
    api.expect("GET", f"{CONNECTIONS}/pg", 200, {**ROW, **row})
    result = run("connection", connection_id="pg", extra={"zone": 1}, extra_mode="merge")
    assert "would store the mask if it were merged" in result["msg"]
    api.expect("GET", f"{CONNECTIONS}/pg", 200, {**ROW, **row})
    declared = {**dict.fromkeys(json.loads(row["extra"]), SECRET), "zone": 1}
    result = run("connection", connection_id="pg", extra=declared, update_secrets="on_create")
    assert "would not restore it" in result["msg"]


def test_on_create_leaves_an_extra_alone_that_stays(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{CONNECTIONS}/pg", 200, {**ROW, "extra": '{"dsn": "***"}'})
    api.expect("GET", "/api/v2/version", 200, VERSION).expect("PATCH", CONNECTIONS, 200, done(update=["pg"]))
    assert run("connection", connection_id="pg", host="x", extra={"dsn": SECRET}, update_secrets="on_create")["changed"]
    (entity,) = api.requests[2].body["actions"][0]["entities"]
    assert entity == {"connection_id": "pg", "conn_type": "postgres", "host": "x"}


def test_on_create_sends_what_is_proved_to_be_there(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{CONNECTIONS}/pg", 200, {**ROW, "extra": '{"dsn": "***", "zone": 0}'})
    api.expect("GET", FINGERPRINTS, 200, kept(pg=entry({"extra": {"dsn": SECRET, "zone": 0}})))
    api.expect("GET", LOG, 200, log())
    extra = {"dsn": SECRET, "zone": 1}
    assert run("connection", True, connection_id="pg", extra=extra, update_secrets="on_create", fingerprint_key=KEY)[
        "changed"
    ]


def test_on_create_spares_a_secret_in_a_list(api: ScriptedApi, run: Run) -> None:
    extra = {"hosts": [{"name": "a", "password": SECRET}], "x": 2}
    assert "choose update_secrets" in run("connection", connection_id="pg", extra=extra)["msg"]
    row = {**ROW, "extra": json.dumps({"hosts": [{"name": "a", "password": "***"}], "x": 1})}
    api.expect("GET", f"{CONNECTIONS}/pg", 200, row)
    api.expect("GET", "/api/v2/version", 200, VERSION).expect("PATCH", CONNECTIONS, 200, done(update=["pg"]))
    assert run("connection", connection_id="pg", extra=extra, update_secrets="on_create")["changed"]
    (entity,) = api.requests[2].body["actions"][0]["entities"]
    assert json.loads(entity["extra"]) == {"hosts": [{"name": "a", "password": "***"}], "x": 2}


@pytest.mark.parametrize(
    ("is_now", "wanted", "part"),
    [
        ({"password": "***", "plain": 1}, {"password": SECRET, "plain": 2}, "value.password"),
        ([{"password": "***"}, 1], [{"password": SECRET}, 2], "value"),
    ],
)
def test_on_create_writes_no_secret_that_is_a_part_of_a_value(
    api: ScriptedApi, run: Run, is_now: Any, wanted: Any, part: str
) -> None:
    row = {"key": "v", "value": json.dumps(is_now), "description": None}
    api.expect("GET", f"{VARIABLES}/v", 200, row)
    assert f"Airflow masks {part}" in run("variable", key="v", value=wanted, update_secrets="on_create")["msg"]


def test_what_was_declared_secret_is_shown_by_no_later_diff(api: ScriptedApi, run: Run) -> None:
    entries = {"v": {**entry({"value": SECRET}), "secret": True}}
    row = {"key": "windward_fingerprints_variables_1", "value": pack(entries), "description": None}
    api.expect("GET", f"{VARIABLES}/v", 200, {"key": "v", "value": SECRET, "description": None})
    api.expect("GET", FINGERPRINTS.replace("connections", "variables"), 200, listing("variables", row))
    result = run("variable", True, key="v", value="no secret", fingerprint_key=KEY)
    assert result["diff"][0]["before"]["value"] == "***"


def test_purge_wants_to_know_what_may_stay(run: Run) -> None:
    result = run("resources", purge=True)
    assert "nothing says what may stay" in result["msg"]


def test_names_of_objects_are_told_as_they_are(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", CONNECTIONS, 200, listing("connections")).expect("GET", FINGERPRINTS, 200, kept())
    api.expect("GET", "/api/v2/pools", 200, listing("pools"))
    one = {"connection_id": "a_warehouse_db", "conn_type": "postgres", "password": "warehouse",
           "extra": {"dialect": "postgres", "name": "warehouse"}}  # fmt: skip
    pools = [{"name": "a_warehouse", "slots": 1}]
    result = run("resources", True, connections=[one], pools=pools, fingerprint_key=KEY)
    assert result["connections"]["created"] == ["a_warehouse_db"] and result["pools"]["created"] == ["a_warehouse"]
    assert result["diff"][0]["after"]["conn_type"] == "postgres"


@pytest.mark.parametrize(("policy", "changed"), [({}, True), ({"update_secrets": "on_create"}, False)])
def test_a_password_where_none_is_declared(api: ScriptedApi, run: Run, policy: Any, changed: bool) -> None:
    """Airflow shows null where there is none, so the mask tells that there is one."""
    api.expect("GET", f"{CONNECTIONS}/pg", 200, {**ROW, "extra": None})
    declared = {"connection_id": "pg", "conn_type": "postgres", "host": "db", "password": ""}
    assert run("connection", True, **declared, **policy)["changed"] is changed


@pytest.mark.parametrize(
    ("name", "options", "option"),
    [
        ("connection", {"connection_id": "c", "conn_type": "http", "port": True}, "port"),
        ("pool", {"name": "p", "slots": True}, "slots"),
        ("resources", {"connections": [{"connection_id": "c", "port": True}]}, "connections.port"),
        ("resources", {"pools": [{"name": "p", "slots": 1}, {"name": "q", "slots": False}]}, "pools.slots"),
    ],
)
def test_a_truth_value_is_no_number(run: Run, name: str, options: dict[str, Any], option: str) -> None:
    assert run(name, **options)["msg"] == f"{option} must be a number, not true or false"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"connections": "x"}, "connections: dictionary requested"),
        ({"connections": [{"connection_id": "c", "extra": "{x"}]}, "argument 'extra' is of type str found in 'conn"),
    ],
)
def test_what_is_no_dictionary_is_named(run: Run, options: dict[str, Any], told: str) -> None:
    assert run("resources", **options)["msg"].startswith(told)


@pytest.mark.parametrize("value", ["[" * 1200, json.loads("[" * 200 + "]" * 200)])
def test_what_is_nested_too_deeply(run: Run, value: Any) -> None:
    assert "value is nested in more than 100 levels" in run("variable", key="deep", value=value)["msg"]


def test_what_is_nested_too_deeply_within_an_option(run: Run) -> None:
    declared = [{"key": "flat", "value": []}, {"key": "deep", "value": json.loads("[" * 200 + "]" * 200)}]
    assert run("resources", variables=declared)["msg"] == "variables.value is nested in more than 100 levels"


def test_a_mask_inside_a_value_is_warned_of(api: ScriptedApi, run: Run, warned: list[str]) -> None:
    api.expect("GET", f"{VARIABLES}/v", 404, NOT_FOUND)
    assert run("variable", True, key="v", value="prefix-***-suffix")["changed"]
    assert warned == ["variable v: value holds ***, as Airflow shows secrets. Was it copied from there?"]


def test_a_secret_s_description_needs_no_key(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{VARIABLES}/a_token", 200, {"key": "a_token", "value": "***", "description": None})
    api.expect("GET", "/api/v2/version", 200, VERSION).expect("PATCH", VARIABLES, 200, done(update=["a_token"]))
    assert run("variable", key="a_token", description="whose it is")["changed"]
    assert api.requests[2].body["actions"][0]["update_mask"] == ["description", "team_name"]


def test_a_value_from_a_file_goes_untouched(api: ScriptedApi, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "query.sql"
    path.write_text("select '{{ ds }}'\r\n", encoding="utf-8", newline="")
    api.expect("GET", f"{VARIABLES}/a%2Fb", 404, NOT_FOUND).expect("GET", "/api/v2/version", 200, VERSION)
    api.expect("PATCH", VARIABLES, 200, done(create=["a/b"]))
    assert run("variable", key="a/b", src=str(path))["variable"]["value"] == "select '{{ ds }}'\r\n"
    assert api.requests[2].body["actions"][0]["entities"] == [{"key": "a/b", "value": "select '{{ ds }}'\r\n"}]


def test_a_secret_variable_is_not_shown(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{VARIABLES}/v", 200, {"key": "v", "value": "old one", "description": None})
    api.expect("GET", "/api/v2/version", 200, VERSION)
    result = run("variable", True, key="v", value=SECRET, secret=True, update_secrets="always")
    assert result["diff"][0]["before"]["value"] == "***"
    assert result["diff"][0]["after"]["value"] == "*** (written)"


OLD = {"version": "3.2.2"}


@pytest.mark.parametrize(
    ("others", "event"),
    [
        ([], 12),
        ([(13, "patch_connection", {"connection_id": "pg"})], 12),
        ([(11, "patch_connection", {"connection_id": "pg"})], 11),  # ours is 12: it will be taken for an edit
        ([(11, "cli_connections_import", {"full_command": "['airflow', 'connections', 'import', 'x']"})], 12),
    ],
)
def test_an_airflow_that_logs_bulk_writes_gets_each_object_by_itself(
    api: ScriptedApi, run: Run, monkeypatch: pytest.MonkeyPatch, others: list[Any], event: int
) -> None:
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=7))
    mark = f"windward-write-{uuid.UUID(int=7).hex}"
    api.expect("GET", f"{CONNECTIONS}/pg", 200, ROW).expect("GET", FINGERPRINTS, 200, kept())
    api.expect("GET", "/api/v2/version", 200, OLD).expect("PATCH", CONNECTIONS, 200, done())
    api.expect("PATCH", f"{CONNECTIONS}/pg", 200, ROW)
    api.expect("GET", LOG, 200, log((10, "bulk_connections", {"actions": [{"entities": [mark]}]})))
    ours = (12, "patch_connection", {"connection_id": "pg"})
    api.expect("GET", LOG, 200, log(*sorted([ours, *others])))
    api.expect("GET", FINGERPRINTS, 200, kept())
    api.expect("PATCH", VARIABLES, 200, done(create=["windward_fingerprints_connections"]))
    written = {"event": event, "when": "2026-11-21T11:00:00Z", "who": "x"}
    prints = entry({k: v for k, v in WRITTEN.items() if k != "conn_type"})
    assert run("connection", fingerprint_key=KEY, **DECLARED)["changed"]
    assert api.requests[3].body == {
        "actions": [{"action": "delete", "action_on_non_existence": "skip", "entities": [mark]}]
    }
    assert api.requests[4].body["password"] == SECRET and api.requests[6].query["after"] == ["2026-11-21T11:00:00Z"]
    (stored,) = api.requests[8].body["actions"][0]["entities"]
    assert unpack(stored["value"]) == {"pg": {**written, "macs": prints["macs"], "key": prints["key"]}}


def test_of_objects_written_by_themselves_each_tells_its_own_error(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", VARIABLES, 200, variables("d")).expect("GET", "/api/v2/version", 200, OLD)
    api.expect("POST", VARIABLES, 201, {"key": "a"}).expect("POST", VARIABLES, 409, {"detail": "it is there"})
    api.expect("POST", VARIABLES, 500, hang_up="before")
    result = run("resources", variables=[{"key": key, "value": {"of": key}} for key in "abcd"])
    assert result["failed"] and result["changed"] and result["variables"]["created"] == ["a"]
    failed = result["msg"].splitlines()[1:]
    assert len(failed) == 3 and "409: it is there" in failed[0]
    assert failed[1].startswith("variable c: POST") and failed[2] == failed[1].replace("variable c", "variable d")
    assert api.requests[2].body == {"key": "a", "value": '{\n  "of": "a"\n}'}


def test_a_team_where_there_are_none(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{CONNECTIONS}/c", 404, NOT_FOUND).expect("GET", "/api/v2/version", 200, OLD)
    api.expect("POST", CONNECTIONS, 500)
    result = run("connection", connection_id="c", conn_type="x", team_name="t")
    assert result["failed"] and result["msg"].endswith("(team_name is for an Airflow with teams)")


@pytest.mark.parametrize("check", [True, False])
def test_a_secret_that_an_older_airflow_would_not_mask(api: ScriptedApi, run: Run, check: bool) -> None:
    api.expect("GET", f"{VARIABLES}/v", 404, NOT_FOUND).expect("GET", "/api/v2/version", 200, OLD)
    result = run("variable", check, key="v", value=SECRET, secret=True, update_secrets="always")
    assert result["failed"] and "Airflow 3.2.2" in result["msg"] and not result.get("changed")


def test_connection_test_that_fails(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{CONNECTIONS}/c", 404, NOT_FOUND).expect("GET", "/api/v2/version", 200, VERSION)
    api.expect("PATCH", CONNECTIONS, 200, done(create=["c"]))
    api.expect("POST", f"{CONNECTIONS}/test", 200, {"status": False, "message": "no route"})
    result = run("connection", connection_id="c", conn_type="http", test=True)
    assert result["failed"] and result["changed"] and "its test failed: no route" in result["msg"]


def test_what_a_test_says_quotes_no_secret(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", f"{CONNECTIONS}/c", 404, NOT_FOUND).expect("GET", "/api/v2/version", 200, VERSION)
    api.expect("PATCH", CONNECTIONS, 200, done(create=["c"]))
    api.expect("POST", f"{CONNECTIONS}/test", 200, {"status": False, "message": 'no mode "a-mode" for pass-me in db'})
    declared = {"conn_type": "x", "password": "pass-me", "schema": "db", "extra": {"mode": "a-mode", "n": ["db"]}}
    result = run("connection", connection_id="c", test=True, update_secrets="always", **declared)
    assert 'no mode "********" for ******** in db' in result["msg"]


def test_what_is_tested_is_what_was_stored(api: ScriptedApi, run: Run) -> None:
    row = {**ROW, "connection_id": "c", "password": None, "extra": '{"timeout": 5}'}
    api.expect("GET", f"{CONNECTIONS}/c", 200, row).expect("GET", "/api/v2/version", 200, VERSION)
    api.expect("PATCH", CONNECTIONS, 200, done(update=["c"]))
    api.expect("POST", f"{CONNECTIONS}/test", 200, {"status": True, "message": "fine"})
    result = run("connection", connection_id="c", extra={"headers": "y"}, extra_mode="merge", test=True)
    assert result["test"] == "fine"
    assert json.loads(api.requests[-1].body["extra"]) == {"timeout": 5, "headers": "y"}


# -- resources ---------------------------------------------------------------------------------------------------------

POOL_ROW = {"name": "p", "slots": 3, "description": None, "include_deferred": False}
DEFAULT_POOL = {**POOL_ROW, "name": "default_pool"}


def listing(key: str, *rows: Any) -> dict[str, Any]:
    return {key: list(rows), "total_entries": len(rows)}


def variables(*keys: str) -> dict[str, Any]:
    return listing("variables", *({"key": key, "value": "x", "description": None} for key in keys))


@pytest.mark.parametrize("check", [True, False])
def test_all_kinds_are_planned_before_any_is_written(api: ScriptedApi, run: Run, check: bool) -> None:
    api.expect("GET", VARIABLES, 200, variables("same", "other", "windward_fingerprints_variables"))
    api.expect("GET", "/api/v2/pools", 200, listing("pools", DEFAULT_POOL, POOL_ROW))
    if not check:
        api.expect("GET", "/api/v2/version", 200, VERSION)
        api.expect("PATCH", VARIABLES, 200, done(create=["new"], update=["other"], delete=[]))
        api.expect("PATCH", "/api/v2/pools", 200, done(update=["p"]))
    result = run(
        "resources",
        check,
        variables=[
            {"key": "same", "value": "x"},
            {"key": "new", "value": [1]},
            {"key": "other", "value": "y"},
            {"key": "gone", "state": "absent"},
        ],
        pools=[{"name": "p", "slots": 4}],
    )
    assert result["changed"]
    assert result["variables"] == {"created": ["new"], "updated": ["other"], "deleted": [], "unchanged": 2}
    assert result["pools"] == {"created": [], "updated": ["p"], "deleted": [], "unchanged": 0}
    assert [diff["after_header"] for diff in result["diff"]] == ["variable new", "variable other", "pool p"]
    if not check:
        assert api.requests[-1].body["actions"][0]["entities"] == [{"name": "p", "slots": 4, "include_deferred": False}]


def test_the_default_pool_is_resized_by_a_mask(api: ScriptedApi, run: Run) -> None:
    """Without one Airflow refuses it, and with it all that came in the same action."""
    api.expect("GET", "/api/v2/pools", 200, listing("pools", DEFAULT_POOL, POOL_ROW))
    api.expect("GET", "/api/v2/version", 200, VERSION)
    api.expect("PATCH", "/api/v2/pools", 200, done(update=["default_pool", "p"]))
    result = run("resources", pools=[{"name": "default_pool", "slots": 64}, {"name": "p", "description": "d"}])
    assert result["pools"]["updated"] == ["default_pool", "p"]
    own, other = api.requests[2].body["actions"]
    assert own["update_mask"] == ["slots", "include_deferred"] and "update_mask" not in other
    assert [entity["name"] for action in (own, other) for entity in action["entities"]] == ["default_pool", "p"]


def test_the_default_pool_may_be_declared_as_it_is(api: ScriptedApi, run: Run) -> None:
    own = {**DEFAULT_POOL, "description": "Default pool"}
    for slots in (3, 64):
        api.expect("GET", "/api/v2/pools", 200, listing("pools", own))
        if slots == 64:
            api.expect("GET", "/api/v2/version", 200, VERSION)
            api.expect("PATCH", "/api/v2/pools", 200, done(update=["default_pool"]))
        declared = {"name": "default_pool", "slots": slots, "description": "Default pool"}
        assert run("resources", pools=[declared])["changed"] is (slots == 64)
    (action,) = api.requests[-1].body["actions"]
    assert action["update_mask"] == ["slots", "include_deferred"]


def test_the_default_pool_of_an_airflow_that_knows_no_mask_in_bulk(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/pools", 200, listing("pools", DEFAULT_POOL, POOL_ROW))
    api.expect("GET", "/api/v2/version", 200, {"version": "3.1.8"})
    for row in (DEFAULT_POOL, POOL_ROW):
        api.expect("PATCH", f"/api/v2/pools/{row['name']}", 200, row)
    result = run("resources", pools=[{"name": "default_pool", "slots": 64}, {"name": "p", "description": "d"}])
    assert result["pools"]["updated"] == ["default_pool", "p"]
    own, other = api.requests[2:]
    assert own.body == {"pool": "default_pool", "slots": 64, "include_deferred": False}
    assert "update_mask" in own.query and "update_mask" not in other.query


def test_a_new_variable_gets_its_team_by_an_update(api: ScriptedApi, run: Run) -> None:
    """Airflow's bulk creation leaves it out without a word."""
    api.expect("GET", VARIABLES, 200, variables("there")).expect("GET", "/api/v2/version", 200, VERSION)
    api.expect("PATCH", VARIABLES, 200, done(create=["new"], update=["there", "new"]))
    api.expect("PATCH", VARIABLES, 200, done(update=["there"]))
    new = {"key": "new", "value": "x", "team_name": "a"}
    result = run("resources", variables=[new, {"key": "there", "team_name": "a"}, {"key": "gone", "state": "absent"}])
    assert (result["variables"]["created"], result["variables"]["updated"]) == (["new"], ["there"])
    create, update = api.requests[2].body["actions"]
    assert create["entities"] == update["entities"] == [new] and update["update_mask"] == ["team_name"]
    assert api.requests[3].body["actions"][0]["update_mask"] == ["description", "team_name"]


def test_a_bulk_answer_that_failed_in_part(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", VARIABLES, 200, variables("b")).expect("GET", "/api/v2/version", 200, VERSION)
    answer = done(create=[], update=["b"])
    answer["create"]["errors"] = [{"error": "the reason", "status_code": 409}]
    api.expect("PATCH", VARIABLES, 200, answer)
    result = run("resources", variables=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    assert result["failed"] and result["changed"]
    assert result["msg"] == "1 of 2 objects could not be written:\nvariable a: the reason"
    assert result["variables"] == {"created": [], "updated": ["b"], "deleted": [], "unchanged": 0}


def test_a_bulk_request_that_is_refused_for_one(api: ScriptedApi, run: Run) -> None:
    """Airflow tells the place in the request, some of them twice."""
    api.expect("GET", VARIABLES, 200, variables("b")).expect("GET", "/api/v2/version", 200, VERSION)
    wrong = [{"loc": ["body", "actions", number, action, "entities", which], "msg": "no teams here", "input": SECRET}
             for number, action, which in ((0, "create", 1), (1, "update", 0))] * 2  # fmt: skip
    wrong += [{"loc": ["body", "actions", 0, "create", "entities", 1, "value"], "msg": "no value"},
              {"loc": ["body", "actions", 0, "create", "entities", 77], "msg": "nobody"}]  # fmt: skip
    api.expect("PATCH", VARIABLES, 422, {"detail": wrong})
    declared = [{"key": "a", "value": "1"}, {"key": "c", "value": "2", "team_name": "t"}, {"key": "b", "value": "3"}]
    result = run("resources", variables=declared)
    assert result["msg"].splitlines()[1:] == [
        "variable a: not written, since Airflow refused the request for c",
        "variable c: 422: no teams here; value: no value",
        "variable b: not written, since Airflow refused the request for c",
    ]


def test_purge(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", VARIABLES, 200, variables("a", "b", "team_x", "windward_fingerprints_connections"))
    result = run("resources", True, variables=[{"key": "a", "value": "x"}], purge=True, keep=["team_*"])
    assert result["variables"]["deleted"] == ["b"]


def test_purge_of_a_name_that_no_connection_is_given_any_more(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", CONNECTIONS, 200, listing("connections", ROW, {**ROW, "connection_id": "of/Airflow:2"}))
    result = run("resources", True, connections=[{"connection_id": "pg", "host": "db"}], purge=True)
    assert result["connections"]["deleted"] == ["of/Airflow:2"]
    api.expect("GET", CONNECTIONS, 200, listing("connections", ROW, {**ROW, "connection_id": "of/Airflow:2"}))
    assert run("connection", True, connection_id="of/Airflow:2", state="absent")["changed"]


@pytest.mark.parametrize(
    ("options", "rows", "message"),
    [
        ({"variables": []}, ["a"], "no variables are declared"),
        ({"variables": [{"key": "z", "state": "absent"}]}, ["a"], "no variables are declared"),
        ({"variables": [{"key": "z", "value": "x"}], "max_deletions": 1}, ["a", "b"], "variable a, variable b"),
    ],
)
def test_purge_is_refused(api: ScriptedApi, run: Run, options: dict[str, Any], rows: list[str], message: str) -> None:
    api.expect("GET", VARIABLES, 200, variables(*rows))
    result = run("resources", purge=True, **options)
    assert result["failed"] and not result.get("changed") and message in result["msg"]


def test_a_limit_below_nothing(run: Run) -> None:
    assert "max_deletions must be 0 or more" in run("resources", variables=[], max_deletions=-1)["msg"]


def test_all_that_is_wrong_is_said_at_once(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", CONNECTIONS, 200, listing("connections"))
    result = run(
        "resources",
        connections=[{"connection_id": "a"}, {"connection_id": "b b", "conn_type": "x"}]
        + [{"connection_id": "c", "conn_type": "x"}] * 2,
    )
    assert [line.partition(":")[0] for line in result["msg"].splitlines()] == [
        "connection a", "connection b b", "connection c",
    ]  # fmt: skip


def test_many_objects_go_in_several_requests(api: ScriptedApi, run: Run) -> None:
    names = [f"v{number:03}" for number in range(260)]
    api.expect("GET", VARIABLES, 200, variables()).expect("GET", "/api/v2/version", 200, VERSION)
    api.expect("PATCH", VARIABLES, 200, done(create=names[:250])).expect("PATCH", VARIABLES, 500, {"detail": "broken"})
    result = run("resources", api_retry_timeout=0, variables=[{"key": name, "value": "x"} for name in names])
    assert result["failed"] and result["changed"]
    assert len(result["variables"]["created"]) == 250
    assert "10 of 260 objects" in result["msg"] and "broken" in result["msg"]


def test_the_elements_have_the_options_of_the_modules() -> None:
    import importlib

    import yaml

    def docs(name: str) -> Any:
        module = importlib.import_module(f"ansible_collections.windward.airflow.plugins.modules.{name}")
        return yaml.safe_load(module.DOCUMENTATION)["options"]

    of_teams = yaml.safe_load(team.ModuleDocFragment.DOCUMENTATION)["options"]
    for name, kind in KINDS.items():
        elements, own = docs("resources")[name]["suboptions"], {**docs(kind.kind), **of_teams}
        assert elements.keys() == kind.options.keys() <= own.keys()
        for option, about in elements.items():
            same = ("type", "choices", "default", "required")
            assert {k: about.get(k) for k in same} == {k: own[option].get(k) for k in same}


@pytest.mark.parametrize(
    "wrong",
    [
        {"variables": [[SECRET]]},
        {"variables": SECRET},
        {"variables": [["it's \"" + SECRET]]},
        {"connections": [{"connection_id": "c", "port": SECRET}]},
        {"connections": [{"connection_id": "c", "passwort": SECRET}]},
        {"pools": 3},
    ],
)
def test_options_of_a_wrong_type_are_not_shown(run: Run, wrong: dict[str, Any]) -> None:
    """Ansible finds no secret in options when the type of one is wrong."""
    result = run("resources", **{"fingerprint_key": f"{SECRET}-key", "api_password": f"{SECRET}-pw", **wrong})
    assert result["failed"] and SECRET not in json.dumps(result)


@pytest.mark.parametrize("key", ["a", "a\0"])
def test_what_can_not_be_sent_is_told_by_its_place(run: Run, key: str) -> None:
    one = {"connection_id": "warehouse", "conn_type": "http", "extra": {"b": [{key: "text\0"}]}}
    msg = run("resources", connections=[one], update_secrets="always")["msg"]
    assert msg == "connections must not have NUL in extra.b.a"
