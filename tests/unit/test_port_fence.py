# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The table of nftables: what is loaded, and whether what the kernel lists is that."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.modules.port_fence import commands, shape

PORTS, SOURCES = [8794, 8793], ["10.0.0.12", "fd00::1", "10.0.0.2"]
HERE = {"family": "inet", "table": "t", "chain": "input"}


def match(protocol: str, field: str, right: Any) -> dict[str, Any]:
    return {"match": {"op": "==", "left": {"payload": {"protocol": protocol, "field": field}}, "right": right}}


TO_PORT = match("tcp", "dport", {"set": [8793, 8794]})
# As nft 1.0.6 listed it after it had loaded commands("t", PORTS, SOURCES).
LISTED = [
    {"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
    {"table": {"family": "inet", "name": "t", "handle": 3}},
    {"chain": {"family": "inet", "table": "t", "name": "input", "handle": 1, "type": "filter", "hook": "input",
               "prio": 0, "policy": "accept"}},
    {"rule": {**HERE, "handle": 2, "expr": [
        {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, {"accept": None}]}},
    {"rule": {**HERE, "handle": 5, "expr": [
        match("ip", "saddr", {"set": ["10.0.0.2", "10.0.0.12"]}), TO_PORT, {"accept": None}]}},
    {"rule": {**HERE, "handle": 7, "expr": [match("ip6", "saddr", "fd00::1"), TO_PORT, {"accept": None}]}},
    {"rule": {**HERE, "handle": 9, "expr": [TO_PORT, {"drop": None}]}},
]


def wanted(ports: list[int], sources: list[str]) -> list[Any]:
    return shape([entry["add"] for entry in commands("t", ports, sources) if "add" in entry])


def test_what_was_loaded_is_known_again() -> None:
    assert shape(LISTED) == wanted(PORTS, SOURCES) == wanted(PORTS[::-1], [*SOURCES, *SOURCES])


def test_one_transaction_replaces_the_table_whether_it_is_there_or_not() -> None:
    kinds = [(kind, *content) for entry in commands("t", [1], ["10.0.0.1"]) for kind, content in entry.items()]
    assert kinds[:4] == [("add", "table"), ("delete", "table"), ("add", "table"), ("add", "chain")]
    assert set(kinds[4:]) == {("add", "rule")}


@pytest.mark.parametrize(("ports", "sources"), [([8793], SOURCES), (PORTS, SOURCES[:2]), ([8793, 8795], SOURCES)])
def test_other_ports_and_sources_are_another_table(ports: list[int], sources: list[str]) -> None:
    assert shape(LISTED) != wanted(ports, sources)


def opened(listed: list[dict[str, Any]]) -> None:
    listed.append({"rule": {**HERE, "handle": 11, "expr": [{"accept": None}]}})


def undropped(listed: list[dict[str, Any]]) -> None:
    listed.pop()


def reordered(listed: list[dict[str, Any]]) -> None:
    listed[-1], listed[-2] = listed[-2], listed[-1]


def emptied(listed: list[dict[str, Any]]) -> None:
    del listed[3:]


def unhooked(listed: list[dict[str, Any]]) -> None:
    listed[2]["chain"]["hook"] = "output"


def asleep(listed: list[dict[str, Any]]) -> None:
    listed[1]["table"]["flags"] = "dormant"


def widened(listed: list[dict[str, Any]]) -> None:
    listed[4]["rule"]["expr"][0]["match"]["op"] = "!="


@pytest.mark.parametrize("edit", [opened, undropped, reordered, emptied, unhooked, asleep, widened])
def test_a_table_that_somebody_edited_is_not_taken_for_ours(edit: Callable[[list[dict[str, Any]]], None]) -> None:
    listed = copy.deepcopy(LISTED)
    edit(listed)
    assert shape(listed) != wanted(PORTS, SOURCES)


def test_no_ports_fence_nothing() -> None:
    assert [entry for entry in commands("t", [], SOURCES) if "rule" in entry.get("add", {})] == []
