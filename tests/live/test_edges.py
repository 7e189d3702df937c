# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Unusual input: it arrives untouched and is then unchanged, or is refused by the name of its option."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._client import Client, segment
from ansible_collections.windward.airflow.plugins.module_utils._kinds import content
from conftest import KEY, Run
from wire import writes

ROOT = Path(__file__).parents[2]
PATHS = {"connection": "connections", "variable": "variables", "pool": "pools"}
TEXTS = {
    "unicode": "Zoë 日本語 🐉 \u200b e\u0301 \ufeff",
    "64 KiB": "0123456789abcde\n" * 4096,
    "yes or no": "no",
    "octal": "0600",
    "a float": "1e3",
    "slashes": "a/b//c/../d\\e",
    "lines": "\n one\r\n\ttwo \n\n",
    "template": "{{ lookup('env', 'HOME') }} {% if x %} {# y #}",
    "blanks": "  ",
    "null in words": "None",
    "a mapping in words": "{'a': 1}",
    "percent": "%s %(x)s %25 + & ? = #",
    "markup": "<b>&amp;</b> ' \" ` $(id)",
}
texts = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


class Settled:
    """Runs a module in check mode, for real and once more, and gives what Airflow then has."""

    def __init__(self, client: Client, run: Run) -> None:
        self.client, self.run, self.made = client, run, set()

    def __call__(self, module: str, changed: bool = True, **options: Any) -> dict[str, Any]:
        name = options.get("connection_id") or options.get("key") or options["name"]
        path = f"/api/v2/{PATHS[module]}/{segment(name)}"
        if module != "pool":
            options["fingerprint_key"] = KEY
        with writes() as sent:
            foretold = self.run(module, True, **options)
        assert sent == []
        self.made.add(path)
        done = self.run(module, **options)
        assert not done.get("failed"), done["msg"]
        assert done["changed"] == changed
        assert {**foretold, "warnings": 0} == {**done, "warnings": 0}
        with writes() as sent:
            again = self.run(module, **options)
        assert (again["changed"], again["diff"], sent) == (False, [], []), again
        found: dict[str, Any] = self.client.get(path)
        return found


@pytest.fixture
def settled(client: Client, run: Run) -> Iterator[Settled]:
    one = Settled(client, run)
    yield one
    for path in one.made:
        if client.find(path):
            client.request("DELETE", path)


# -- texts -------------------------------------------------------------------------------------------------------------


@texts
def test_texts_arrive_untouched(settled: Settled, prefix: str, text: str) -> None:
    """Also where a number, a truth value or a template could be read into them. Airflow's answer spells JSON anew."""
    found = settled("variable", key=f"{prefix}a", value=text, description=text)
    assert (content(found["value"]), found["description"]) == (content(text), text)
    assert settled("pool", name=f"{prefix}a", slots=1, description=text)["description"] == text
    short = text[:500]
    extra = {"text": text, text[:99]: [text[:99], {"k": None}]}
    found = settled(
        "connection", connection_id=f"{prefix}a", conn_type="http", description=text, host=short, login=text,
        schema=short, password=f"secret of {prefix} {text}", extra=extra,
    )  # fmt: skip
    shown = [found["description"], found["host"], found["login"], found["schema"]]
    assert shown == [text, short, text, short]
    assert json.loads(found["extra"]) == extra


VALUES = {
    "null": ("null", "null"),
    "false": (False, "false"),
    "nothing": ("", ""),
    "zero": (0, "0"),
    "zero in words": ("0", "0"),
    "minus zero": (-0.0, "-0.0"),
    "no items": ([], "[]"),
    "no keys": ({}, "{}"),
    "nested": ({"a": [None, [False, {"b": ""}]]}, '{"a": [null, [false, {"b": ""}]]}'),
    "large number": (2**70, str(2**70)),
    "text of JSON": ('"x"', '"x"'),
}


@pytest.mark.parametrize(("value", "kept"), VALUES.values(), ids=VALUES)
def test_values_of_variables(settled: Settled, prefix: str, value: Any, kept: str) -> None:
    found = settled("variable", key=f"{prefix}a", value=value)
    assert found["value"] == kept or json.loads(found["value"]) == json.loads(kept)
    assert not isinstance(value, str) or found["value"] == kept


def test_values_that_look_alike_are_told_apart(settled: Settled, prefix: str) -> None:
    for value in (0, False, "", "null", "no", [], {}, '"no"'):
        settled("variable", key=f"{prefix}a", value=value)


EXTRAS: dict[str, dict[str, Any]] = {
    "nested": {"a": [1, [None, {"b": [[], {}]}]], "n": None, "f": False, "z": 0, "e": "", "l": [], "d": {}},
    "numbers": {"i": 2**70, "f": 0.1, "e": 1e300, "m": -1},
    "keys": {"": 1, " ": 2, "a.b/c": 3, "ключ": 4, "0600": 5},
    "deep": {"a": {"b": {"c": {"d": {"e": {"f": {"g": [{"h": None}]}}}}}}},
}


@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS)
def test_extras(settled: Settled, prefix: str, extra: dict[str, Any]) -> None:
    found = settled("connection", connection_id=f"{prefix}a", conn_type="http", extra=extra)
    assert json.loads(found["extra"]) == extra
    found = settled("connection", connection_id=f"{prefix}a", extra={"more": None}, extra_mode="merge")
    assert json.loads(found["extra"]) == {**extra, "more": None}


# -- names -------------------------------------------------------------------------------------------------------------

NAMES = {
    "variable": ("key", {"value": "x"}, 250, "ключ/ü 1?a=b#c%2F..;d\\e🐉"),
    "pool": ("name", {"slots": 1}, 256, "пул/ü 1?a=b#c%2F..;d\\e🐉"),
    "connection": ("connection_id", {"conn_type": "http"}, 200, "ключ.日本-1_ü"),
}
names = pytest.mark.parametrize(("module", "option", "more", "longest", "strange"),
                                [(module, *row) for module, row in NAMES.items()], ids=NAMES)  # fmt: skip


@names
def test_names(
    settled: Settled, run: Run, prefix: str, module: str, option: str, more: dict[str, Any], longest: int, strange: str
) -> None:
    """Strange ones, the longest, and one that is longer, which is refused in check mode and before any write."""
    for name in (prefix + strange, prefix.ljust(longest, "x"), prefix.ljust(longest, "ü")):
        assert settled(module, **{option: name}, **more)[option] == name
        assert run(module, **{option: name}, state="absent")["changed"]
    for name in (prefix.ljust(longest + 1, "x"), ""):
        with writes() as sent:
            for check in (True, False):
                one = run(module, check, **{option: name}, **more)
                many = run("resources", check, **{PATHS[module]: [{option: name, **more}]})
                for result in (one, many):
                    assert result["failed"] and not result.get("changed")
                    assert option in result["msg"] and str(longest) in result["msg"]
        assert sent == []


@pytest.mark.parametrize("name", ["a b", "a/b", "a\n", "a:b", "", "a\0"])
def test_names_that_no_connection_has(run: Run, prefix: str, name: str) -> None:
    with writes() as sent:
        result = run("connection", connection_id=name and prefix + name, conn_type="http")
    assert result["failed"] and "connection_id must" in result["msg"] and sent == []


@pytest.mark.parametrize(
    ("module", "more", "option", "longest"),
    [("user", {"password": "x" * 20}, "username", 512), ("role", {}, "name", 64), ("user", {}, "first_name", 256)],
)
def test_names_of_accounts(run: Run, prefix: str, module: str, more: dict[str, Any], option: str, longest: int) -> None:
    options = {"username": prefix, "email": f"{prefix}@example.org", "first_name": "A", "last_name": "B",
               "password": "x" * 20, "roles": ["Viewer"]} if module == "user" else {}  # fmt: skip
    options[option] = prefix.ljust(longest, "x")
    done = run(module, **options)
    again = run(module, **options)
    with writes() as sent:
        longer = run(module, **{**options, option: options[option] + "x"})
    gone = run(module, **{**options, "state": "absent"})
    assert (done.get("msg"), done["changed"], again["changed"], gone["changed"]) == (None, True, False, True)
    assert longer["failed"] and option in longer["msg"] and sent == []


# -- nothing, and absent -----------------------------------------------------------------------------------------------

EMPTIED = {
    "connection": {"description": "", "host": "", "login": "", "password": "", "schema": "", "port": 0, "extra": {}},
    "variable": {"description": ""},
    "pool": {"description": ""},
}
FULL = {
    "description": "d",
    "host": "h",
    "login": "l",
    "password": "p" * 20,
    "schema": "s",
    "port": 7,
    "extra": {"a": 1},
}


@pytest.mark.parametrize(("module", "field"), [(module, name) for module, some in EMPTIED.items() for name in some])
def test_an_empty_field_is_removed_and_an_absent_one_stays(
    settled: Settled, prefix: str, module: str, field: str
) -> None:
    option, more, _longest, _strange = NAMES[module]
    name = {option: f"{prefix}a"}
    full = settled(module, **name, **more, **{field: FULL[field] for field in EMPTIED[module]})
    assert settled(module, changed=False, **name) == full
    # Airflow can't empty a password in an update, so nothing of the connection may be left open.
    others = {name: FULL[name] for name in EMPTIED[module]} | more if field == "password" else {}
    emptied = settled(module, **name, **{**others, field: EMPTIED[module][field]})
    assert emptied[field] in (None, "", "{}")
    assert {**emptied, field: 0} == {**full, field: 0}


# -- by a playbook -----------------------------------------------------------------------------------------------------

PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    jinja: !unsafe "{{ lookup('ansible.builtin.pipe', 'id') }} {% raw %} {# x #} {{ undefined }}"
  tasks:
    - windward.airflow.resources:
        fingerprint_key: KEY
        variables:
          - {key: PREFIX_no, value: no}
          - {key: PREFIX_quoted_no, value: "no"}
          - {key: PREFIX_octal, value: 0600}
          - {key: PREFIX_quoted_octal, value: "0600"}
          - {key: PREFIX_date, value: 2026-11-21}
          - {key: PREFIX_float, value: 1_000.5}
          - {key: PREFIX_colon, value: "12:30:45"}
          - {key: PREFIX_list, value: [no, ~, 0600, "~"]}
          - {key: PREFIX_json, value: '{"a": no}'}
          - {key: PREFIX_jinja, value: "{{ jinja }}", description: "{{ jinja }}"}
          - {key: PREFIX_unsafe, value: !unsafe "{{ x }}"}
        pools:
          - {name: PREFIX_pool, slots: 1, description: "{{ jinja }}", include_deferred: no}
        connections:
          - connection_id: PREFIX_c
            conn_type: http
            host: !unsafe "{{ host }}"
            password: "{{ jinja }}PREFIX"
            extra: {text: "{{ jinja }}", mode: 0600, quoted: "0600", off: no, none: ~}
"""
JINJA = "{{ lookup('ansible.builtin.pipe', 'id') }} {% raw %} {# x #} {{ undefined }}"
KEPT = {"no": "false", "quoted_no": "no", "octal": "384", "quoted_octal": "0600", "date": "2026-11-21",
        "float": "1000.5", "colon": "12:30:45", "list": [False, None, 384, "~"], "json": '{"a": no}', "jinja": JINJA,
        "unsafe": "{{ x }}"}  # fmt: skip


def test_what_yaml_says_and_what_looks_like_a_template(client: Client, run: Run, prefix: str, tmp_path: Path) -> None:
    prefix = prefix.rstrip("_")
    play = tmp_path / "play.yml"
    play.write_text(PLAY.replace("PREFIX", prefix).replace("KEY", KEY))
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-v", str(play)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    declared = {"connections": [{"connection_id": f"{prefix}_c", "password": f"{JINJA}{prefix}"}]}
    try:
        for changed in ("changed=1", "changed=0"):
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120
            )
            assert done.returncode == 0 and changed in done.stdout, done.stdout + done.stderr
        rows = client.pages("/api/v2/variables", "variables", {"variable_key_prefix_pattern": f"{prefix}_"})
        found = {row["key"].removeprefix(f"{prefix}_"): row for row in rows}
        assert {key: row["value"] for key, row in found.items() if key != "list"} == {
            key: value for key, value in KEPT.items() if key != "list"
        }
        assert json.loads(found["list"]["value"]) == KEPT["list"]
        assert found["jinja"]["description"] == JINJA
        pool = client.get(f"/api/v2/pools/{prefix}_pool")
        assert (pool["description"], pool["include_deferred"]) == (JINJA, False)
        connection = client.get(f"/api/v2/connections/{prefix}_c")
        assert connection["host"] == "{{ host }}"
        assert json.loads(connection["extra"]) == {
            "text": JINJA, "mode": 384, "quoted": "0600", "false": False, "none": None,
        }  # fmt: skip
        assert not run("resources", fingerprint_key=KEY, **declared)["changed"]
        declared["connections"][0]["password"] += "x"
        assert run("resources", True, fingerprint_key=KEY, **declared)["changed"]
    finally:
        absent = {
            "variables": [{"key": f"{prefix}_{key}", "state": "absent"} for key in KEPT],
            "pools": [{"name": f"{prefix}_pool", "state": "absent"}],
            "connections": [{"connection_id": f"{prefix}_c", "state": "absent"}],
        }
        run("resources", fingerprint_key=KEY, **absent)


def test_what_was_declared_secret_stays_one_until_it_is_declared_to_be_none(
    settled: Settled, run: Run, prefix: str
) -> None:
    """Its name says nothing, so only what is kept of the declaration tells export and diffs."""
    key, value = f"{prefix}plain", "VerySecretOne1"
    settled("variable", key=key, value=value, secret=True)
    settled("variable", key=key, description="d")
    assert value not in str(run("variable", True, key=key, description="e", fingerprint_key=KEY))
    assert value not in run("export", kinds=["variables"])["content"]
    settled("variable", key=key, description="f", secret=False)
    assert value in str(run("variable", True, key=key, description="g", fingerprint_key=KEY))
