# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. A connection's URI, read by Airflow's own rules."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

EXTRA = "__extra__"


def parse(uri: str) -> dict[str, Any]:
    """Every field of a connection; those that the URI doesn't have are empty. A ValueError never holds the URI."""
    try:
        conn_type, host_scheme, parts, port = _split(uri)
    except ValueError:
        raise ValueError("it is not of the form type://login:password@host:port/schema?extra") from None
    host = unquote(parts.hostname or "")
    if "/" in host:  # an encoded path, such as a socket's, is kept as it was written
        host = unquote(parts.netloc.rpartition("@")[2].partition(":")[0])
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    try:
        extra = json.loads(query[EXTRA]) if query.get(EXTRA) else {k: v for k, v in query.items() if k != EXTRA}
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise ValueError(f"{EXTRA} is not a JSON object")
    conn_type = conn_type.lower().replace("-", "_")
    return {
        "conn_type": "postgres" if conn_type == "postgresql" else conn_type,
        "host": f"{host_scheme}://{host}" if host_scheme else host,
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "schema": unquote(parts.path[1:]),
        "port": port,
        "extra": extra,
    }


def _split(uri: str) -> tuple[str, str, Any, int]:
    """The type, the scheme of the host (as in http://https://host), and the rest."""
    conn_type, found, rest = uri.partition("://")
    if not found or not conn_type or rest.count("://") > 1:
        raise ValueError
    scheme, two, _host = rest.partition("://")
    if two and ("@" in scheme or ":" in scheme):
        raise ValueError
    parts = urlsplit(rest if two else f"//{rest}")
    return conn_type, scheme if two else "", parts, parts.port or 0
