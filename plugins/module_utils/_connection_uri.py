# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. A connection of Airflow as a URI, and back, by Airflow's own rules."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

EXTRA = "__extra__"
FIELDS = ("conn_type", "host", "login", "password", "port", "schema", "extra")


class UriError(ValueError):
    """Never holds a part of the connection: that may be a secret."""


def to_uri(connection: Mapping[str, Any]) -> str:
    """The URI that Airflow reads as this connection; an error if there is none, so that nothing is lost in silence."""
    if not isinstance(connection.get("conn_type"), str) or not connection["conn_type"]:
        raise UriError("conn_type must be given")
    for name in ("host", "login", "password", "schema"):
        if not isinstance(connection.get(name) or "", str):
            raise UriError(f"{name} must be a text: quote it")
    wanted = _normal(connection)
    uri = _build(wanted)
    found = _normal(from_uri(uri))
    lost = [name for name in FIELDS if _comparable(name, found[name]) != _comparable(name, wanted[name])]
    if lost:
        raise UriError(f"Airflow would not read {', '.join(lost)} back from a URI; give the fields instead")
    return uri


def from_uri(uri: str) -> dict[str, Any]:
    """The fields that Airflow reads from a URI, without those that are empty."""
    try:
        return {name: value for name, value in _parse(uri).items() if value not in (None, "", {})}
    except UriError:
        raise
    except ValueError:
        raise UriError("Airflow can't read this URI") from None


def refuse_unquoted(uri: str) -> None:
    """Raise an error for what Airflow would read otherwise than it must be meant: a login or password in which a letter
    that ends them was not percent-encoded. A part of it would become a name that is no secret, or be dropped."""
    _scheme, _colon, rest = uri.partition("://")
    if "#" in rest:
        raise UriError("Airflow reads nothing from a # on: write it as %23")
    rest = re.sub(r"\A[\w+.-]*://", "", rest)  # of a protocol
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    path, _mark, query = rest[len(authority) :].partition("?")
    names = [pair.partition("=")[0] for pair in query.split("&")]
    if ":" in authority and "@" not in authority and any("@" in part for part in (path, *names)):
        told = "write / and ? in login and password as %2F and %3F, and that @ as %40"
        raise UriError(f"an @ stands behind the host: {told}")


def _normal(connection: Mapping[str, Any]) -> dict[str, Any]:
    """All fields, in the forms that Airflow gives them: no text is empty, and `extra` is a dictionary."""
    fields = {name: connection.get(name) or None for name in FIELDS}
    fields["conn_type"] = _conn_type((fields["conn_type"] or "").lower())
    extra = fields["extra"] or {}
    try:
        fields["extra"] = json.loads(extra) if isinstance(extra, str) else dict(extra)
        fields["port"] = None if fields["port"] is None else int(fields["port"])
    except (TypeError, ValueError):
        raise UriError("extra must be a dictionary, or JSON of one, and port a number") from None
    if not isinstance(fields["extra"], dict):
        raise UriError("extra must be a dictionary, or JSON of one")
    return fields


def _conn_type(scheme: str) -> str:
    return "postgres" if scheme == "postgresql" else scheme.replace("-", "_")


def _comparable(name: str, value: Any) -> Any:
    # Names of hosts know no case, and Airflow's reading makes them small.
    return value.lower() if name == "host" and value else value


def _build(fields: Mapping[str, Any]) -> str:
    protocol, separator, rest = (fields["host"] or "").rpartition("://")
    own = separator and protocol == fields["conn_type"]
    host = fields["host"] if own else rest
    login = quote(fields["login"] or "", safe="")
    password = ":" + quote(fields["password"], safe="") if fields["password"] else ""
    place = quote(host or "", safe="")
    if fields["port"]:
        place += f":{fields['port']}"
    user = f"{login}{password}@" if login or password or place.startswith(":") else ""
    schema = "/" + quote(fields["schema"], safe="") if fields["schema"] else ""
    return "".join(
        (
            fields["conn_type"].replace("_", "-") + "://",
            "" if own or not separator else f"{protocol}://",
            user,
            place,
            schema,
            _query(fields["extra"], "?" if schema else "/?"),
        )
    )


def _query(extra: dict[str, Any], mark: str) -> str:
    """Plain texts one by one; what would come back as something else, all in one piece."""
    if not extra:
        return ""
    plain = all(isinstance(value, str) and _read(value) == value for value in extra.values())
    return mark + urlencode(extra if plain and EXTRA not in extra else {EXTRA: json.dumps(extra)})


def _read(value: str) -> Any:
    try:
        return json.loads(value) if value else value
    except ValueError:
        return value


def _parse(uri: str) -> dict[str, Any]:
    schemes = uri.count("://")
    if not 1 <= schemes <= 2:
        raise UriError("Airflow can't read this URI: it wants a scheme, and one more at most")
    scheme = urlsplit(uri).scheme
    rest = uri.replace(f"{scheme}://", "//" if schemes == 1 else "")
    if schemes == 2 and any(letter in rest.split("://", 1)[0] for letter in "@:"):
        raise UriError("Airflow can't read this URI: a protocol stands right before the host")
    parts = urlsplit(rest)
    host = _host(parts)
    extra: Any = {}
    if parts.query:
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        extra = json.loads(query[EXTRA]) if EXTRA in query else {key: _read(value) for key, value in query.items()}
        if not isinstance(extra, dict):
            raise UriError("Airflow can't read this URI: extra is no dictionary")
    return {
        "conn_type": _conn_type(scheme),
        "host": f"{parts.scheme}://{host}" if schemes == 2 and host else host,
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "port": parts.port,
        "schema": unquote(parts.path[1:]),
        "extra": extra,
    }


def _host(parts: SplitResult) -> str:
    """A host that is a path (SQLite, a socket) keeps its case; others don't."""
    host = unquote(parts.hostname or "")
    if "/" in host:
        host = unquote(parts.netloc.rpartition("@")[2].partition(":")[0])
    return host
