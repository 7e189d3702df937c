# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Modules that only look, and export."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.windward.airflow.plugins.module_utils._masks import masked, masked_text
from ansible_collections.windward.airflow.plugins.module_utils._secrets import RESERVED, pack
from ansible_collections.windward.airflow.plugins.module_utils._yaml import Template, document
from ansible_collections.windward.airflow.plugins.modules.dag_run import SHOWN_OF_RUN
from api_script import A_DAG, ScriptedApi, run_module

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        yield server


@pytest.fixture
def run(api: ScriptedApi, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(name: str, /, **options: Any) -> dict[str, Any]:
        return run_module(name, {"api_url": api.url, "api_token": "t0", **options}, capsys)

    return run


# -- masks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"region": "eu", "n": 1}, {"region": "eu", "n": 1}),
        (
            {"password": "s", "My-API  key": "s", "X.Token": 5},
            {"password": "***", "My-API  key": "***", "X.Token": "***"},
        ),
        ({"secret": {"a": "s", "b": ["s", {"c": "s"}]}}, {"secret": {"a": "***", "b": ["***", {"c": "***"}]}}),
        ({"a": [{"dsn": "s"}], "proxies": {}}, {"a": [{"dsn": "***"}], "proxies": {}}),
        ({"token": None, "key": "k", "pass": "p"}, {"token": None, "key": "k", "pass": "p"}),
    ],
)
def test_masked(value: Any, expected: Any) -> None:
    assert masked(value) == expected


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("region", "eu", "eu"),
        ("db_password", "s", "***"),
        ("db_password", '{"a": "s"}', '{"a": "***"}'),
        ("db_password", "5", '"***"'),
        ("settings", '{"b":1,  "token": "s"}', '{"b": 1, "token": "***"}'),
        ("settings", '{"b":1,  "c": 2}', '{"b":1,  "c": 2}'),
        ("settings", "", ""),
        ("db_password", "", ""),
        ("settings", None, None),
    ],
)
def test_masked_text(key: str, text: str | None, expected: str | None) -> None:
    assert masked_text(text, key) == expected


# -- looking -----------------------------------------------------------------------------------------------------------

CONNECTION = {
    "connection_id": "db",
    "conn_type": "postgres",
    "host": "h",
    "password": "LEAK",
    "extra": '{"token": "LEAK"}',
}


def test_a_connection_without_its_secrets(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/connections/db", 200, CONNECTION)
    result = run("connection_info", connection_id="db")
    assert (result["changed"], "LEAK" in str(result["connections"])) == (False, False)
    (found,) = result["connections"]
    assert (found["has_password"], found["extra"]) == (True, {"token": "***"})


@pytest.mark.parametrize(
    ("module", "options", "path", "detail"),
    [
        (
            "connection_info",
            {"connection_id": "a/b"},
            "/api/v2/connections/a%2Fb",
            "The Connection `a/b` was not found",
        ),
        ("variable_info", {"key": "a"}, "/api/v2/variables/a", "The Variable `a` was not found"),
        ("pool_info", {"name": "a"}, "/api/v2/pools/a", "The Pool `a` was not found"),
        ("dag_info", {"dag_id": "a"}, "/api/v2/dags/a", "The Dag `a` was not found"),
        ("dag_run_info", {"dag_id": "d", "run_id": "a"}, "/api/v2/dags/d/dagRuns/a", "The DagRun was not found"),
        ("user_info", {"username": "a"}, "/auth/fab/v1/users/a", "The User `a` was not found"),
        ("role_info", {"name": "a"}, "/auth/fab/v1/roles/a", "Role 'a' does not exist."),
    ],
)
def test_what_is_not_there_is_an_empty_list(
    api: ScriptedApi, run: Run, module: str, options: dict[str, str], path: str, detail: str
) -> None:
    api.expect("GET", path, 404, {"detail": detail})
    result = run(module, **options)
    assert [value for value in result.values() if isinstance(value, list)] == [[]]


@pytest.mark.parametrize(
    ("module", "options", "path", "query"),
    [
        ("connection_info", {"prefix": "x"}, "/api/v2/connections", {"connection_id_prefix_pattern": ["x"]}),
        ("variable_info", {"pattern": "x|y"}, "/api/v2/variables", {"variable_key_pattern": ["x|y"]}),
        ("pool_info", {"order_by": "-slots"}, "/api/v2/pools", {"order_by": ["-slots"]}),
        (
            "dag_info",
            {"tags": ["a", "b"], "paused": False, "exclude_stale": False},
            "/api/v2/dags",
            {"tags": ["a", "b"], "paused": ["false"], "exclude_stale": ["false"]},
        ),
        (
            "dag_run_info",
            {"state": ["queued", "failed"], "start_date_gte": "2026-11-20T00:00:00Z"},
            "/api/v2/dags/~/dagRuns",
            {"state": ["queued", "failed"], "start_date_gte": ["2026-11-20T00:00:00Z"]},
        ),
        ("import_error_info", {"filename": "a.py"}, "/api/v2/importErrors", {"filename": ["a.py"]}),
    ],
)
def test_filters_are_the_apis(
    api: ScriptedApi, run: Run, module: str, options: dict[str, Any], path: str, query: dict[str, Any]
) -> None:
    rows = {"dagRuns": "dag_runs", "importErrors": "import_errors"}.get(
        path.rpartition("/")[2], path.rpartition("/")[2]
    )
    if {"prefix", "filename"} & options.keys():
        api.expect("GET", "/api/v2/version", 200, {"version": "3.3.2"})
    api.expect("GET", path, 200, {rows: [], "total_entries": 0})
    assert run(module, **options)[rows] == []
    assert api.requests[-1].query == {"limit": ["100"], "offset": ["0"], **query}


@pytest.mark.parametrize(
    ("module", "options", "since", "version"),
    [
        ("variable_info", {"prefix": "x"}, "3.2.2", "3.2.1"),
        ("import_error_info", {"prefix": "x"}, "3.2.2", "3.1.8"),
        ("import_error_info", {"bundle_name": "x"}, "3.3.0", "3.2.2"),
        ("dag_run_info", {"bundle_version": "x"}, "3.2.0", "3.1.8"),
    ],
)
def test_a_filter_that_an_older_airflow_would_ignore(
    api: ScriptedApi, run: Run, module: str, options: dict[str, Any], since: str, version: str
) -> None:
    api.expect("GET", "/api/v2/version", 200, {"version": version})
    assert run(module, **options)["msg"] == f"{next(iter(options))} needs Airflow {since}; this is {version}"


@pytest.mark.parametrize(("limit", "asked"), [(None, [100, 100]), (120, [100, 20]), (3, [3]), (500, [100, 100])])
def test_as_many_pages_as_it_needs(api: ScriptedApi, run: Run, limit: int | None, asked: list[int]) -> None:
    pools = [{"name": str(number), "slots": 1} for number in range(150)]
    start = 0
    for size in asked:
        api.expect("GET", "/api/v2/pools", 200, {"pools": pools[start : start + size], "total_entries": 150})
        start += size
    found = run("pool_info", **({"limit": limit} if limit else {}))["pools"]
    assert [one["name"] for one in found] == [str(number) for number in range(min(limit or 150, 150))]
    assert [request.query["limit"] for request in api.requests] == [[str(size)] for size in asked]


def test_a_limit_that_is_none(run: Run) -> None:
    assert run("pool_info", limit=0)["msg"] == "limit must be 1 or more"


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "must have 1 to "), ("x" * 2001, "must have 1 to "), ("a\n", "no line break"), ("a\0b", "NUL in it")],
)
def test_texts_that_the_api_stumbles_over(run: Run, text: str, message: str) -> None:
    for module, option in (("dag_run_info", "dag_id"), ("variable_info", "key")):
        said = run(module, **{option: text})["msg"]
        assert said.startswith(f"{option} must ") and message in said


def test_a_name_does_not_go_with_filters(run: Run) -> None:
    assert "mutually exclusive" in run("dag_info", dag_id="a", paused=True)["msg"]


def test_a_dag_that_is_not_there_is_told_with_its_option(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/dags/no/dagRuns", 404, {"detail": "The Dag with ID: `no` was not found"})
    assert run("dag_run_info", dag_id="no")["msg"].endswith("404: The Dag with ID: `no` was not found (dag_id)")


def test_what_else_is_not_told(api: ScriptedApi, run: Run) -> None:
    api.expect("GET", "/api/v2/dags/a", 200, {**A_DAG, "dag_id": "a", "file_token": "LEAK"})
    assert "LEAK" not in str(run("dag_info", dag_id="a")["dags"])
    run_of_a = {**dict.fromkeys(SHOWN_OF_RUN), "dag_id": "a", "dag_run_id": "r", "state": "failed"}
    api.expect("GET", "/api/v2/dags/a/dagRuns/r", 200, {**run_of_a, "conf": {"api_key": "LEAK", "day": 1}})
    assert run("dag_run_info", dag_id="a", run_id="r")["dag_runs"][0]["conf"] == {"api_key": "***", "day": 1}


# -- export ------------------------------------------------------------------------------------------------------------

TRICKY = ["", "no", "0600", "1e3", "null", " x ", "a: b # c", "{{ x }}", "{% x %}", "{# x #}", "a\nb\t\"'\\",
          "ü 漢字 😀", "\x00\x07\x7f\x85\u2028\ufeff", "- a", "%a", "@a", "!a", "&a", "*a", "~",
          "{", "[", "x" * 3000]  # fmt: skip


def loaded(text: str, folder: Path, **values: str) -> Any:
    """What Ansible makes of a vars file, its templates evaluated."""
    loader, file = DataLoader(), folder / "vars.yml"
    file.write_text(text, encoding="utf-8")
    content = loader.load_from_file(str(file), trusted_as_template=True)
    return Templar(loader=loader, variables=values).template(content)


@pytest.mark.parametrize("text", TRICKY)
def test_a_text_arrives_as_it_is(text: str, tmp_path: Path) -> None:
    assert loaded(document({"rows": [{"a": text, "b": {"no": [text, {}]}}]}), tmp_path) == {
        "rows": [{"a": text, "b": {"no": [text, {}]}}]
    }


@pytest.mark.parametrize(
    "value",
    [0, 1.5, -1, 1e-05, -1e300, 1.5e-7, True, False, None, {}, [], [[1], []], {"": 1, "a b": 2, "on": 3, "-": 4}],
)
def test_other_values_arrive_too(value: Any, tmp_path: Path) -> None:
    assert loaded(document({"rows": value}), tmp_path) == {"rows": value}


def test_a_reference_is_evaluated(tmp_path: Path) -> None:
    assert loaded(document({"rows": [Template("{{ vault_x }}")]}), tmp_path, vault_x="SECRET") == {"rows": ["SECRET"]}


def listing(api: ScriptedApi, **rows: list[Any]) -> None:
    for kind, found in rows.items():
        api.expect("GET", f"/api/v2/{kind}", 200, {kind: found, "total_entries": len(found)})


def test_export(api: ScriptedApi, run: Run, tmp_path: Path) -> None:
    extra = {"region": "{{ eu }}", "api_key": "LEAK", "deep": [{"x": "a-***-b"}]}
    listing(
        api,
        connections=[
            {
                "connection_id": "b.b",
                "conn_type": "http",
                "password": None,
                "extra": None,
                "port": 0,
                "description": "",
            },
            {"connection_id": "B b", "conn_type": "http", "password": "***", "extra": None},
            {"connection_id": "a", "conn_type": "aws", "password": "***", "extra": json.dumps(extra)},
            {"connection_id": "b_b", "conn_type": "http", "password": "***", "extra": None},
        ],
        variables=[
            {"key": "v", "value": "{{ 1 }}", "description": None},
            {"key": "the_token", "value": "***"},
            {"key": "windward_fingerprints_connections", "value": "{}"},
        ],
        pools=[
            {"name": "p", "slots": -1, "description": None, "include_deferred": True, "open_slots": 3},
            {"name": "default_pool", "slots": 9, "description": "Default pool", "include_deferred": False},
        ],
    )
    result = run("export")
    assert "LEAK" not in str({**result, "invocation": None})
    names = [one["variable"] for one in result["secrets"]]
    places = {(one["name"], one["field"]): one["variable"].removeprefix("vault_airflow_") for one in result["secrets"]}
    b_b, other_b_b = places["B b", "password"], places["b_b", "password"]
    assert result["vault_content"] == "---\n" + "".join(f"# {name}:\n" for name in names)
    values = {name: f"value of {name}" for name in names}
    found = loaded(result["content"], tmp_path, **values)

    def secret(name: str) -> str:
        return values[f"vault_airflow_{name}"]

    a_extra = {"region": "{{ eu }}", "api_key": secret("connection_a_extra_api_key")}
    assert found == {
        "airflow_connections": [
            {"connection_id": "B b", "conn_type": "http", "password": secret(b_b)},
            {
                "connection_id": "a",
                "conn_type": "aws",
                "password": secret("connection_a_password"),
                "extra": {**a_extra, "deep": [{"x": secret("connection_a_extra_deep_0_x")}]},
            },
            {"connection_id": "b.b", "conn_type": "http", "port": 0, "description": ""},
            {"connection_id": "b_b", "conn_type": "http", "password": secret(other_b_b)},
        ],
        "airflow_variables": [
            {"key": "the_token", "value": secret("variable_the_token")},
            {"key": "v", "value": "{{ 1 }}"},
        ],
        "airflow_pools": [
            {"name": "default_pool", "slots": 9, "include_deferred": False},
            {"name": "p", "slots": -1, "include_deferred": True},
        ],
    }
    assert result["secrets"][0] == {
        "variable": f"vault_airflow_{b_b}",
        "kind": "connection",
        "name": "B b",
        "field": "password",
    }


def test_a_variable_that_was_declared_a_secret_is_one(api: ScriptedApi, run: Run) -> None:
    """Airflow shows it, as it goes by the name alone."""
    entry = {"event": 1, "when": "2026-11-21T10:00:00Z", "who": None, "macs": {}, "key": "k"}
    kept = pack({"pin": {**entry, "secret": True}, "plain": entry})
    listing(api, variables=[
        {"key": "pin", "value": "4711-4711"}, {"key": "plain", "value": "x"},
        {"key": f"{RESERVED}variables_1", "value": kept}, {"key": f"{RESERVED}variables_2", "value": "[]"},
    ])  # fmt: skip
    result = run("export", kinds=["variables"])
    assert [one["name"] for one in result["secrets"]] == ["pin"] and "4711" not in result["content"]
    assert "secret: true" in result["content"] and 'value: "x"' in result["content"]


def test_no_secret_gets_the_name_that_another_s_had(api: ScriptedApi, run: Run) -> None:
    """Else a vault that was filled in before gives one connection the password of another."""
    extra = json.dumps({"a.token": "***", "a": {"token": "***"}})
    there = [{"connection_id": "s_db", "conn_type": "http", "password": "***", "extra": extra}]
    new = [{"connection_id": name, "conn_type": "http", "password": "***", "extra": None} for name in ("s-db", "z")]
    names = []
    for rows in (there, there + new):
        listing(api, connections=rows)
        names.append([one["variable"] for one in run("export", kinds=["connections"])["secrets"]])
    alone, among = names
    assert len(set(among)) == len(among) == 5
    assert {one for one in among if one in alone} == set(alone) - {"vault_airflow_connection_s_db_password"}
    assert alone[0] == "vault_airflow_connection_s_db_password" and among[-1] == "vault_airflow_connection_z_password"


def test_export_of_what_is_empty_too(api: ScriptedApi, run: Run, tmp_path: Path) -> None:
    bare = {"connection_id": "c", "conn_type": "http", "password": None, "extra": None, "team_name": None}
    pool = {"name": "default_pool", "slots": 9, "description": "Default pool", "include_deferred": False}
    listing(
        api,
        connections=[bare, {**bare, "connection_id": "d", "password": "***", "extra": '{"a": 1}', "port": 7}],
        variables=[{"key": "v", "value": "", "description": None, "team_name": "t"}],
        pools=[pool, {**pool, "name": "p", "description": None}],
    )
    values = {"vault_airflow_connection_d_password": "x"}
    found = loaded(run("export", empty_fields=True)["content"], tmp_path, **values)
    nothing = {"description": "", "host": "", "login": "", "schema": "", "conn_type": "http"}
    assert found == {
        "airflow_connections": [
            {"connection_id": "c", **nothing, "port": 0, "password": "", "extra": {}},
            {"connection_id": "d", **nothing, "port": 7, "password": "x", "extra": {"a": 1}},
        ],
        "airflow_variables": [{"key": "v", "value": "", "description": "", "team_name": "t"}],
        "airflow_pools": [
            {"name": "default_pool", "slots": 9, "include_deferred": False},
            {"name": "p", "slots": 9, "description": "", "include_deferred": False},
        ],
    }


def test_export_of_one_kind_without_secrets(api: ScriptedApi, run: Run) -> None:
    listing(api, pools=[])
    result = run("export", kinds=["pools"], vault_prefix="v_")
    assert (result["content"], result["vault_content"], result["secrets"]) == (
        "---\nairflow_pools: []\n",
        "---\n",
        [],
    )


def test_a_prefix_that_is_no_variable(run: Run) -> None:
    assert run("export", vault_prefix="1-")["failed"] is True
