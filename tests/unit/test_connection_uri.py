# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filters over URIs of connections, against what a real Airflow made of the same (data/connection_uri.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.windward.airflow.plugins.filter.airflow_connection_from_uri import airflow_connection_from_uri
from ansible_collections.windward.airflow.plugins.filter.airflow_connection_uri import airflow_connection_uri

VECTORS = json.loads((Path(__file__).parent / "data" / "connection_uri.json").read_text("utf-8"))["vectors"]
CONNECTIONS = [vector for vector in VECTORS if "connection" in vector]


def told(connection: dict[str, Any]) -> dict[str, Any]:
    """A connection as far as Airflow keeps it apart from others: hosts know no case, a type has one spelling."""
    kind = connection["conn_type"].lower()
    whole = {**connection, "conn_type": "postgres" if kind == "postgresql" else kind.replace("-", "_")}
    whole["host"] = (whole.get("host") or "").lower()
    return {name: value for name, value in whole.items() if value not in (None, "", {}, 0)}


def test_the_vectors_are_many_and_of_both_kinds() -> None:
    assert len(CONNECTIONS) >= 400
    assert len([vector for vector in VECTORS if vector["read"] is None]) >= 20


def test_a_uri_is_read_as_airflow_reads_it() -> None:
    for vector in VECTORS:
        if vector["read"] is None or "conn_type" not in vector["read"]:
            with pytest.raises(AnsibleFilterError):
                found = airflow_connection_from_uri(vector["uri"])
                raise AnsibleFilterError("no type") if "conn_type" not in found else AssertionError(found)
        else:
            assert airflow_connection_from_uri(vector["uri"]) == vector["read"], vector["uri"]


def test_nothing_is_lost_on_the_way_there_and_back() -> None:
    """What Airflow's own URI keeps, ours keeps; what no URI can hold is refused."""
    for vector in CONNECTIONS:
        wanted = told(vector["connection"])
        try:
            uri = airflow_connection_uri(vector["connection"])
        except AnsibleFilterError:
            lost = vector["read"] is None or "conn_type" not in vector["read"] or told(vector["read"]) != wanted
            assert lost, vector["uri"]
        else:
            assert told(airflow_connection_from_uri(uri)) == wanted, uri


def test_plain_connections_are_written_as_airflow_writes_them() -> None:
    kept = [one for one in CONNECTIONS if one["read"] and "conn_type" in one["read"]]
    plain = [one for one in kept if one["read"] == one["connection"] and one["connection"]["conn_type"] == "postgres"]
    assert len(plain) > 5
    assert [airflow_connection_uri(one["connection"]) for one in plain] == [one["uri"] for one in plain]


@pytest.mark.parametrize(
    ("connection", "says"),
    [
        ("x://h", "wants a dictionary"),
        ({"host": "h"}, "conn_type must be given"),
        ({"conn_type": "x", "extra": "HIDDEN"}, "extra must be a dictionary"),
        ({"conn_type": "x", "extra": "[1]"}, "extra must be a dictionary"),
        ({"conn_type": "x", "port": "HIDDEN"}, "port a number"),
        ({"conn_type": "x", "port": 99999, "password": "HIDDEN"}, "can't read this URI"),
        ({"conn_type": "1x", "password": "HIDDEN"}, "would not read conn_type"),
    ],
)
def test_refusals_name_no_value(connection: Any, says: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        airflow_connection_uri(connection)
    assert says in str(caught.value) and "HIDDEN" not in str(caught.value)


@pytest.mark.parametrize("uri", [5, "HIDDEN", "//HIDDEN", "a://b://c://HIDDEN", "x://[HIDDEN", "x://u:HIDDEN@h:port"])
def test_uris_that_are_none(uri: Any) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        airflow_connection_from_uri(uri)
    assert "HIDDEN" not in str(caught.value)


def test_extra_as_json_is_the_same() -> None:
    fields = {"conn_type": "aws", "extra": {"region": "eu", "n": 1}}
    assert airflow_connection_uri({**fields, "extra": json.dumps(fields["extra"])}) == airflow_connection_uri(fields)
