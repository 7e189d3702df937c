# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. What modules that only look share: one object or a listing, filters, paging, masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ._client import AirflowApiError, Client, segment
from ._masks import extra_of, masked, masked_text
from ._module import CONNECTION, run

Object = Mapping[str, Any]
LONGEST = 2000  # of what becomes a part of a URL; no name of Airflow's has more


def connection_row(found: Object) -> dict[str, Any]:
    """A connection without its secrets; `extra` as a dictionary."""
    row = {name: value for name, value in found.items() if name not in ("password", "extra")}
    return {**row, "has_password": bool(found.get("password")), "extra": masked(extra_of(found))}


def variable_row(found: Object) -> dict[str, Any]:
    return {**found, "value": masked_text(found.get("value"), found["key"])}


PREFIX_SINCE = {"prefix": (3, 2, 2)}


@dataclass(frozen=True)
class Listing:
    """A kind of object, declared by the module that tells about it. `key` names one; `filters` are query parameters."""

    path: str
    rows: str
    key: str | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    since: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: PREFIX_SINCE)  # an older Airflow ignores these
    shape: Callable[[Object], dict[str, Any]] = dict

    def gather(self, module: AnsibleModule, client: Client) -> dict[str, Any]:
        params = {name: value for name, value in module.params.items() if name not in CONNECTION}
        given = {name: value for name, value in params.items() if isinstance(value, str)}
        unfit = [name for name, text in given.items() if not 0 < len(text) <= LONGEST or "\n" in text]
        if unfit:
            raise AirflowApiError(f"{', '.join(unfit)} must have 1 to {LONGEST} characters, and no line break")
        path = self.path.format(**{name: segment(value) for name, value in params.items() if isinstance(value, str)})
        name = params[self.key] if self.key else None
        if params["limit"] is not None and params["limit"] < 1:
            raise AirflowApiError("limit must be 1 or more")
        if name is None:
            chosen = {self.filters.get(option, option): params[option] for option in (*self.filters, "order_by")}
            query = {parameter: _text(value) for parameter, value in chosen.items() if value not in (None, [])}
            for option, release in self.since.items():
                if params.get(option) and (version := client.older(*release)):
                    raise AirflowApiError(f"{option} needs Airflow {'.'.join(map(str, release))}; this is {version}")
            try:
                found = client.pages(path, self.rows, query, params["limit"])
            except AirflowApiError as exc:
                if exc.status in (400, 422):
                    named = [option for option in (*self.filters, "order_by") if params[option] not in (None, [])]
                else:  # nothing is there under what the path is made of
                    named = [option for option in params if exc.status == 404 and f"{{{option}}}" in self.path]
                if not named:
                    raise
                raise AirflowApiError(f"{exc} ({', '.join(named)})", exc.status) from exc
        else:
            try:
                one = client.find(f"{path}/{segment(name)}")
            except AirflowApiError as exc:
                if exc.status != 404 or "/" not in name:
                    raise
                one = None  # Airflow gives no object such a name, so it has no route to it
            found = [] if one is None else [one]
        return {"changed": False, self.rows: [self.shape(row) for row in found]}

    def run(self, spec: dict[str, Any] | None = None, **rules: Any) -> None:
        """Be the module. What narrows a listing does not go with the name of one object."""
        options = {**(spec or {}), "order_by": {"type": "str"}, "limit": {"type": "int"}}
        if self.key:
            options[self.key] = {"type": "str", "no_log": False}
        run(options, self.gather, **rules)


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


PATTERN = {"pattern": {"type": "str"}, "prefix": {"type": "str"}}


def patterns(name: str) -> dict[str, str]:
    """The API's parameters for the options `pattern` and `prefix`."""
    return {"pattern": f"{name}_pattern", "prefix": f"{name}_prefix_pattern"}
