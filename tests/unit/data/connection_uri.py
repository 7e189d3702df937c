# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writes connection_uri.json: what a real Airflow makes of connections and URIs.

/opt/airflow/current/bin/python connection_uri.py 400 > connection_uri.json
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import airflow
from airflow.models.connection import Connection

FIELDS = ("conn_type", "host", "login", "password", "port", "schema")
TYPES = ["postgres", "postgresql", "http", "HTTP", "google_cloud_platform", "google-cloud-platform", "my_type-x", "s",
         "a.b+c", "sqlite", "1x"]  # fmt: skip
TEXTS = ["", "a", "db.example.org", "Db.Example.ORG", "::1", "[::1]", "p@ss:w/rd?#%", "ünï 漢字 😀", "a b+c", "%41",
         "100%", "/tmp/My/socket", "a/b", "x://y", "https://api.example.org", "http://h/p/q", "back\\slash", "q'uo\"te",
         "a\nb", "{{ jinja }}", "***", "-", "a=b&c=d", "true", "5", '{"a": 1}', "A" * 200]  # fmt: skip
EXTRAS: list[Any] = [
    None, {}, {"a": "b"}, {"a": 1}, {"a": "1"}, {"a": None}, {"a": ""}, {"a": True}, {"a": "true"},
    {"a b": "c/d?e&f=g"}, {"n": {"d": [1, "2", {"x": "ü"}]}}, {"__extra__": "x"}, {"": "x"}, {"u": "漢字 😀"},
    {"l": [1, 2]}, {"k": '{"a": 1}'},
    {"uri": "http://x://y://z"}, {"f": 1.5}, {"nl": "a\nb"}, {"a": "b", "c": "d"}, {"key": "-----BEGIN\nabc+/=\n-----"},
]  # fmt: skip
URIS = [
    "postgres://u:p@h:5/s?a=1&b=x", "http://https://h/p", "http://u@https://h", "a://b://c://d", "x://@:80", "x://:pw@",
    "postgresql+psycopg2://h/s", "x://h:99999", "x://[::1", "x://h/?__extra__=5", "x://h/?__extra__=%7B%22a%22%3A1%7D&b=2",
    "x://h/a/b?x", "x://h?a=b&a=c", "x://H.Ex/S", "X://h", "x://u:p:q@h", "x://u@v@h", "x://h/s#frag", "x://u:@h",
    "x://%2FTmp%2FSock:5/s", "sqlite:///path/To/db", "aws://?region=eu", "x://h:/s", "http://https://u:p@h:80/s?x=true",
]  # fmt: skip


def connection(rng: random.Random) -> dict[str, Any]:
    texts = {name: rng.choice(TEXTS) for name in ("host", "login", "password", "schema") if rng.random() < 0.7}
    more = {"port": rng.choice([None, 0, 1, 5432, 65535]), "extra": rng.choice(EXTRAS)}
    given = {name: value for name, value in more.items() if value is not None}
    return {"conn_type": rng.choice(TYPES), **texts, **given}


def read(uri: str) -> dict[str, Any] | None:
    try:
        found = Connection(conn_id="c", uri=uri)
    except Exception:
        return None  # Airflow refuses it, in one of many ways
    fields = {**{name: getattr(found, name) for name in FIELDS}, "extra": json.loads(found.extra or "{}")}
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


def write(fields: dict[str, Any]) -> str:
    return str(Connection(conn_id="c", **fields).get_uri())


def main() -> None:
    rng = random.Random(20261121)
    connections = [connection(rng) for _number in range(int(sys.argv[1]))]
    rows = [{"connection": one, "uri": write(one)} for one in connections] + [{"uri": uri} for uri in URIS]
    print(f'{{"airflow": "{airflow.__version__}", "vectors": [')
    print(",\n".join(json.dumps({**row, "read": read(row["uri"])}) for row in rows))
    print("]}")


if __name__ == "__main__":
    main()
