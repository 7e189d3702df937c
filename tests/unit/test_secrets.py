# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is known about values that Airflow masks."""

from __future__ import annotations

import base64
import hmac
import json
import tracemalloc
import zlib
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._connection_uri import FIELDS, from_uri
from ansible_collections.windward.airflow.plugins.module_utils._kinds import (
    CONNECTION,
    POOL,
    VARIABLE,
    content,
    declare_connection,
)
from ansible_collections.windward.airflow.plugins.module_utils._masks import sensitive, without
from ansible_collections.windward.airflow.plugins.module_utils._merge import replaced
from ansible_collections.windward.airflow.plugins.module_utils._secrets import (
    VARIABLES,
    Fingerprints,
    carried,
    compare,
    pack,
    spared,
    touched,
    unpack,
)


@pytest.mark.parametrize(
    ("current", "wanted", "verdict"),
    [
        ("a", "a", True),
        ("a", "b", False),
        (1, True, False),
        (0, False, False),
        (float("nan"), float("nan"), True),
        (1, 1.0, False),
        ("***", "anything", None),
        ("***", {"even": "this"}, None),
        ("pre-***-post", "pre-secret-post", None),
        ("pre-***-post", "pre-secret-past", False),
        ("pre-***-post", "pre-post", False),
        ("a***b***c", "a1b2c", None),
        ("a***b***c", "a1c", False),
        ("***-***", 3, False),
        ({"a": "***", "b": 1}, {"a": "x", "b": 1}, None),
        ({"a": "***", "b": 1}, {"a": "x", "b": 2}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        (["***", 1], ["x", 1], None),
        (["***", 1], ["x", 2], False),
        ([1], [1, 2], False),
        (["x"], ("x",), False),
        (("***",), ("x",), None),
    ],
)
def test_compare(current: Any, wanted: Any, verdict: bool | None) -> None:
    assert compare(current, wanted) is verdict


def test_carried_lets_go_only_of_masks_that_airflow_restores() -> None:
    extra = {"region": "eu", "api_key": "***", "secret": {"one": "***", "two": 2}}
    assert carried(extra, sensitive) == extra
    for bad in ({"region": "***"}, {"api_key": "x***"}, {"plain": ["***"]}, {"secret": ["***"]}):
        with pytest.raises(ValueError):
            carried(bad, sensitive)
    with pytest.raises(ValueError, match="dsn"):
        carried({"dsn": "***"}, lambda name: sensitive(name, ever=True))


def nested(keys: str, value: Any) -> Any:
    return nested(keys[:-1], {keys[-1]: value}) if keys else value


def test_no_mask_goes_deeper_than_airflow_restores() -> None:
    """Its SecretsMasker merges five levels, and stores what is below them as it comes."""
    assert carried(nested("abcd", {"token": "***"}), sensitive)
    with pytest.raises(ValueError, match=r"a\.b\.c\.d\.e\.token"):
        carried(nested("abcde", {"token": "***"}), sensitive)
    for keys, stays in (("abcd", True), ("abcde", False)):
        current, wanted = nested(keys, {"token": "***"}), nested(keys, {"token": "x"})
        assert spared(current, wanted, sensitive, lambda path, value: True) == (current if stays else wanted)


def test_the_reserved_names_are_not_masked_and_their_values_can_not_be() -> None:
    assert not sensitive("windward_fingerprints_connections") and not sensitive("windward_fingerprints_variables")
    text = pack({"name": {"event": 1, "when": "now", "who": "admin", "macs": {"abcd": "0123456789ab"}}})
    assert unpack(text) == {"name": {"event": 1, "when": "now", "who": "admin", "macs": {"abcd": "0123456789ab"}}}
    assert max(len(word) for word in text.split()) <= 4, "Airflow masks secrets of five characters or more"


DEEP = "v2 " + base64.b64encode(zlib.compress(b"[" * 100_000 + b"]" * 100_000)).decode()
UNREAD = ["", "v2 ***", "v2 abc", "v2 AAAA", DEEP, "v1 eJyr rgUA AXUA +Q==", None, "nonsense é"]


@pytest.mark.parametrize("text", UNREAD)
def test_what_can_not_be_read_is_nothing(text: Any) -> None:
    assert unpack(text) is None


@pytest.mark.parametrize(
    "uri",
    ["x://l:p@h:80/a@b", "sqlite:///srv/a@b.db", "x://h/a@b", "http://h:80/p?user=a@b", "x://l:12%2Fs%23%40@h/d", "x://"],
)
def test_a_uri_that_may_be_meant_so(uri: str) -> None:
    assert not CONNECTION.wrong({"connection_id": "c", "uri": uri})


def event(name: str, **extra: Any) -> dict[str, Any]:
    return {"event": name, "extra": json.dumps(extra)}


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        (event("post_connection", connection_id="a"), {"a"}),
        (event("delete_connection", connection_id="a", method="DELETE"), {"a"}),
        (event("delete_variable", variable_key="v"), {"v"}),
        (event("patch_variable", key="v", value="***"), {"v"}),
        (
            event("bulk_connections", actions=[{"entities": [{"connection_id": "a"}]}, {"entities": ["b", "c"]}]),
            {"a", "b", "c"},
        ),
        (event("bulk_variables", actions=[{"entities": [{"key": "a"}]}]), {"a"}),
        (event("cli_variables_set", full_command="['airflow', 'variables', 'set', 'v', 'x']"), {"v", "x"}),
        (event("cli_connections_list", full_command="['airflow', 'connections', 'list']"), set()),
        (event("cli_connections_import", full_command="['airflow', 'connections', 'import', 'f.json']"), None),
        (event("create_default_connections", method="POST"), None),
        (event("delete_connection", connection_id="***_dwh"), {"***_dwh"}),
        (event("enqueue_connection_test", connection_id="a", commit_on_success=True), {"a"}),
        (event("enqueue_connection_test", connection_id="a", commit_on_success=False), set()),
        (event("test_connection", connection_id="a"), set()),
        (event("cli_connections_test", full_command="['airflow', 'connections', 'test', 'a']"), set()),
        ({"event": "patch_connection", "extra": "no JSON"}, None),
        ({"event": "patch_connection", "extra": None}, None),
    ],
)
def test_who_was_touched(entry: dict[str, Any], names: set[str] | None) -> None:
    assert touched(entry) == names


@pytest.mark.parametrize(
    "uri", ["secret-thing", "a://b://c://secret-thing", "http://h:secret-thing/", "x://h?__extra__=secret-thing"]
)
def test_a_wrong_uri_is_not_repeated(uri: str) -> None:
    with pytest.raises(ValueError) as raised:
        from_uri(uri)
    assert "secret-thing" not in str(raised.value)
    assert "secret-thing" not in str(CONNECTION.wrong({"connection_id": "c", "uri": uri}))


def test_a_uri_says_all_of_a_connection() -> None:
    declared = declare_connection({"connection_id": "c", "uri": "postgresql://h"})
    empty = {"host": "", "login": "", "password": "", "schema": "", "port": 0, "extra": {}}
    assert {name: declared[name] for name in FIELDS} == {**empty, "conn_type": "postgres", "host": "h"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"a":1}', {"a": 1}, True),
        ("3", 3, True),
        ("0600", 600, False),
        ('"x"', "x", False),
        ("null", "", False),
        ("no", False, False),
        ("false", False, True),
        ('["x"]', '"x"', False),
    ],
)
def test_two_spellings_of_a_variable(one: Any, other: Any, same: bool) -> None:
    assert compare(content(one), content(other)) is same


@pytest.mark.parametrize(
    ("kind", "element", "message"),
    [
        (CONNECTION, {"connection_id": "a b", "conn_type": "x"}, "letters"),
        (CONNECTION, {"connection_id": "a" * 201, "conn_type": "x"}, "200"),
        (CONNECTION, {"connection_id": "a\n", "conn_type": "x"}, "letters"),
        (CONNECTION, {"connection_id": "a" * 251, "state": "absent"}, "250"),
        (CONNECTION, {"connection_id": "a", "conn_type": ""}, "conn_type must not be empty"),
        (CONNECTION, {"connection_id": "a", "conn_type": "x", "port": 65536}, "port"),
        (CONNECTION, {"connection_id": "a", "conn_type": "x", "password": "***"}, "password is or holds ***"),
        (CONNECTION, {"connection_id": "a", "conn_type": "x", "extra": {"b": {"c": ["***"]}}}, "extra is or holds"),
        (CONNECTION, {"connection_id": "a", "conn_type": "x", "host": "\0"}, "NUL"),
        (CONNECTION, {"connection_id": "a", "uri": "x://h", "login": "l"}, "uri and login"),
        (CONNECTION, {"connection_id": "a", "uri": "x://l:p#s@h/d"}, "write it as %23"),
        (CONNECTION, {"connection_id": "a", "uri": "x://l:12/s@h/d"}, "an @ stands behind the host"),
        (CONNECTION, {"connection_id": "a", "uri": "x://l:12?s@h/d"}, "an @ stands behind the host"),
        (CONNECTION, {"connection_id": "a", "uri": "x://https://l:12/s@h/d"}, "an @ stands behind the host"),
        (VARIABLE, {"key": "", "value": "x"}, "250"),
        (VARIABLE, {"key": "x" * 251, "value": "x"}, "250"),
        (VARIABLE, {"key": "a", "value": '{"b": "***"}'}, "value is or holds"),
        (VARIABLE, {"key": "a", "value": "x", "src": "/dev/null"}, "value and src"),
        (VARIABLE, {"key": "a", "src": "/nowhere"}, "src can't be read"),
        (VARIABLE, {"key": "windward_fingerprints_variables", "value": "x"}, "the collection's own"),
        (POOL, {"name": "default_pool", "state": "absent"}, "neither described nor deleted"),
    ],
)
def test_wrong(kind: Any, element: dict[str, Any], message: str) -> None:
    assert message in str(kind.wrong(element))


@pytest.mark.parametrize(
    ("kind", "element"),
    [
        (CONNECTION, {"connection_id": "ünï.code-1", "conn_type": "x", "password": "a***b", "extra": {"x": None}}),
        (CONNECTION, {"connection_id": "a", "state": "absent", "password": "***"}),
        (CONNECTION, {"connection_id": "a/b (of Airflow 2)", "state": "absent"}),
        (VARIABLE, {"key": "a/b c", "value": "{{ untouched }}"}),
        (VARIABLE, {"key": "x" * 250, "value": "x" * 65536}),
        (POOL, {"name": "default_pool", "slots": 3}),
    ],
)
def test_right(kind: Any, element: dict[str, Any]) -> None:
    assert kind.wrong(element) is None


def test_no_secret_is_left_anywhere_in_a_result() -> None:
    secrets = {6: {"secret"}, 10: {"the secret"}}
    result = {"a": ["the secret's", {"b": "no secret, and a secret"}], "secret": 1, "c": ("other", None)}
    stars = "*" * 8
    assert without(result, secrets) == {
        "a": [f"{stars}'s", {"b": f"no {stars}, and a {stars}"}], "secret": 1, "c": ["other", None],
    }  # fmt: skip


@pytest.mark.parametrize("number", [1, 100])
def test_a_huge_result_is_searched_without_copies_of_it(number: int) -> None:
    """A token of 500 letters may begin anywhere in it, and the copies of all that may be one overlap."""
    text = "".join(map(str, range(20_000)))
    token = text[-499:]
    secrets = {500: {f"{token}{chr(0x100 + one)}" for one in range(number)}}
    tracemalloc.start()
    found = without({"text": text, "end": f"{text}\u0100."}, secrets)
    _now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == {"text": text, "end": f"{text[:-499]}********."}
    assert most < 8 * 2**20


class Server:
    """Holds what Fingerprints keep, and has an empty audit log."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def pages(self, path: str, _key: str, _query: dict[str, Any]) -> list[dict[str, Any]]:
        return self.rows if path == VARIABLES else []

    def get(self, _path: str, _query: dict[str, Any]) -> dict[str, Any]:
        return {"event_logs": []}

    def request(self, _method: str, _path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.rows = body["actions"][0]["entities"]
        return {"create": {"success": [], "errors": []}}


def test_what_a_fingerprint_is_made_of() -> None:
    """Made of anything else, all that earlier releases kept would say nothing, and every secret be written anew."""
    known = Fingerprints(Server(), "variable", "key", "on_change")  # type: ignore[arg-type]

    def mac(length: int, *message: Any) -> str:
        text = json.dumps(["variable", *message], sort_keys=True).encode()
        return base64.b64encode(hmac.digest(b"key", text, "sha256")).decode()[:length]

    value = {"a": {"b": "ä\""}, "c": [1, {"z": None, "y": 2}]}
    assert known._mark == mac(8, "key")
    assert known._macs("n", value, ("value",)) == {
        "value " + mac(4, "n", ["value", "a"]) + mac(4, "n", ["value", "a", "b"]): mac(
            12, "n", ["value", "a", "b"], "ä\""
        ),
        "value " + mac(4, "n", ["value", "c"]): mac(12, "n", ["value", "c"], [1, {"z": None, "y": 2}]),
    }


def write(server: Server, key: str, value: Any) -> None:
    Fingerprints(server, "variable", key, "on_change").record({"mark": {"v": {"value": value}}}, set())  # type: ignore[arg-type]


def same(server: Server, key: str, current: Any, wanted: Any) -> bool:
    known = Fingerprints(server, "variable", key, "on_change")  # type: ignore[arg-type]
    known.asked = {"v"}
    return known.same("v", ("value",), current, wanted)


def test_another_key_s_fingerprints_are_not_carried_on() -> None:
    server = Server()
    write(server, "the key of one operator", "old")
    assert same(server, "the key of one operator", "***", "old")
    write(server, "the key of another one", "new")
    assert same(server, "the key of another one", "***", "new")
    assert not same(server, "the key of one operator", "***", "old"), "it was overwritten since"


@pytest.mark.parametrize(
    "values",
    [
        [{"a": "x"}, "y", {"a": "x"}],
        ["y", {"a": "x"}, "y"],
        [{"a": "x"}, {"b": "y"}, {"a": "x", "b": "y"}],
        [{"a": {}}, {"a": {"b": "x"}}, {"a": {}}],
    ],
)
def test_what_had_another_shape_once_is_not_known(values: list[Any]) -> None:
    server, key = Server(), "a key of an operator"
    for value in values[:-1]:
        write(server, key, value)
    assert same(server, key, "***", values[-2])
    assert not same(server, key, "***", values[-1])


def test_what_a_merge_left_is_still_known() -> None:
    server = Server()

    def known() -> Fingerprints:
        one = Fingerprints(server, "connection", "a key of an operator", "on_change")  # type: ignore[arg-type]
        one.asked = {"c"}
        return one

    def sees(path: str, value: Any) -> bool:
        return known().same("c", ("extra", *path), "***", value)

    whole = {"password": "p", "extra": {"a": {"t": "1", "u": "2"}, "b": "3", "c": "4"}}
    known().record({"m": {"c": whole}}, set())
    merge = {"a": {"t": "5"}, "b": {"x": "6"}}
    places = [*replaced(whole["extra"], merge, ("extra",))]
    assert places == [("extra", "a", "t"), ("extra", "b")]
    known().record({"m": {"c": {"extra": merge}}}, set(), {"c": places})
    assert sees("at", "5") and sees("au", "2") and sees("bx", "6") and sees("c", "4")
    assert not sees("at", "1") and not sees("b", "3")
    assert known().same("c", ("password",), "***", "p")
    known().record({"m": {"c": {"extra": {"c": "4"}}}}, set())  # no merge
    assert sees("c", "4") and not sees("au", "2")


@pytest.mark.parametrize(
    "change",
    [
        {"event": "x"}, {"when": 5}, {"when": "soon"}, {"when": "2026-13-45T99:99:99Z"},
        {"when": "0000-01-01T00:00:00Z"}, {"macs": 5}, {"macs": {"a": []}}, {"wrote": None},
    ],
)  # fmt: skip
def test_what_others_wrote_into_the_reserved_variables_is_nothing(change: dict[str, Any]) -> None:
    server, key = Server(), "a key of an operator"
    write(server, key, "x")
    (row,) = server.rows
    entry = unpack(row["value"])["v"]
    row["value"] = pack({"v": {**entry, **change}, "w": entry})
    known = Fingerprints(server, "variable", key, "on_change")  # type: ignore[arg-type]
    assert [*known.entries] == ["w"]


@pytest.mark.parametrize(
    ("old", "new"), [("8e1234567890", "7e4444444444"), ("3.1", "3.10"), ("1.12345678901234567", "1.12345678901234569")]
)
def test_numbers_that_a_float_takes_for_the_same(old: str, new: str) -> None:
    server, shown = Server(), content(json.dumps(json.loads(old)))  # as Airflow's API spells it
    write(server, "a key of an operator", content(old))
    assert same(server, "a key of an operator", shown, content(old))
    assert not same(server, "a key of an operator", shown, content(new))
    assert not same(server, "a key of an operator", shown, content(f"[{new}]"))


# -- the audit log masks names too -------------------------------------------------------------------------------------


class Logging(Server):
    """Has an audit log, in which it masks what it knows for a secret."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[dict[str, Any]] = []

    def pages(self, path: str, _key: str, query: dict[str, Any]) -> list[dict[str, Any]]:
        return self.rows if path == VARIABLES else [row for row in self.log if row["when"] > query["after"]]

    def get(self, _path: str, _query: dict[str, Any]) -> dict[str, Any]:
        return {"event_logs": self.log[::-1]}

    def logged(self, kind: str, **extra: Any) -> None:
        number = len(self.log) + 1
        text = json.dumps(extra).replace("postgres", "***")
        when = f"2026-01-01T00:00:{number:02}Z"
        self.log.append({"event_log_id": number, "when": when, "owner": "x", "event": kind, "extra": text})

    def known(self, *asked: str) -> Fingerprints:
        known = Fingerprints(self, "connection", "a key of an operator", "on_change")  # type: ignore[arg-type]
        known.asked = {*asked}
        return known

    def write(self, *names: str, one_by_one: bool = False) -> None:
        mark = f"windward-write-{len(self.log)}"
        self.logged("bulk_connections", actions=[{"entities": [mark, *(() if one_by_one else names)]}])
        for name in names if one_by_one else ():
            self.logged("patch_connection", connection_id=name)
        written = {mark: {name: {"password": "p"} for name in names}}
        self.known(*names).record(written, set(), one_by_one=one_by_one)

    def sees(self, *names: str) -> list[bool]:
        """In a run of each one's own; what was verified is kept with its moment."""
        seen = []
        for name in names:
            known = self.known(name)
            seen.append(known.same(name, ("password",), "***", "p"))
            if not seen[-1]:
                self.write(name)
        return seen


@pytest.mark.parametrize("one_by_one", [False, True])
def test_two_objects_whose_names_are_masked_are_no_edits_of_each_other(one_by_one: bool) -> None:
    server, names = Logging(), ("postgres_dwh", "eu_dwh", "postgres", "a_postgres_b", "b_postgres_b")
    for name in names:
        server.write(name, one_by_one=one_by_one)
    assert server.sees(*names) == [True] * 5
    server.write("postgres_dwh", one_by_one=one_by_one)  # it changed
    assert server.sees(*names) == [True] * 5


def test_what_was_verified_meanwhile_is_still_known_as_what_it_wrote() -> None:
    server = Logging()
    server.write("eu_x")
    server.write("postgres_x")
    server.write("c")
    known = server.known("postgres_x", "c")
    assert known.same("postgres_x", ("password",), "***", "p")
    known.record({"mark": {"c": {"password": "q"}}}, set())
    assert known._read()[0]["postgres_x"]["event"] == 3
    assert server.known("eu_x").same("eu_x", ("password",), "***", "p")


def test_an_edit_under_a_masked_name_is_one_of_all_that_it_fits() -> None:
    server = Logging()
    server.write("postgres_dwh", "eu_dwh", "postgres_crm")
    server.logged("patch_connection", connection_id="postgres_dwh")
    known = server.known("postgres_dwh", "eu_dwh", "postgres_crm")
    verdicts = [known.same(name, ("password",), "***", "p") for name in ("postgres_dwh", "eu_dwh", "postgres_crm")]
    assert verdicts == [False, False, True]
