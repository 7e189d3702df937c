# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. The kinds of objects that are declared as code: fields, options, Airflow's rules."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ._client import AirflowApiError, Client
from ._connection_uri import FIELDS as FROM_URI
from ._connection_uri import from_uri, refuse_unquoted
from ._masks import MASK, Number, Unreadable, deep, extra_of, masked, parsed, sensitive, texts
from ._resource import Object, Plan, Resource
from ._secrets import RESERVED

STATE = {"type": "str", "choices": ["present", "absent"], "default": "present"}


def _as_given(element: Object) -> dict[str, Any]:
    return dict(element)


@dataclass(frozen=True)
class Kind(Resource):
    """A resource that is written in bulk too. Inside, no field is null: null means that nobody declared it."""

    options: Object = None  # type: ignore[assignment]
    declare: Callable[[Object], dict[str, Any]] = _as_given  # what an element's options say of the fields
    decode: Callable[[Object], dict[str, Any]] = _as_given  # a row of the API
    encode: Callable[[Object, Object], dict[str, Any]] = lambda fields, element: dict(fields)  # for the API
    hides: Callable[[Object, str, Any], bool] = lambda element, field, current: False  # never shown
    always: tuple[str, ...] = ()  # fields that Airflow wants in every body, though they stay as they are
    stuck: tuple[str, ...] = ()  # fields that no update empties, whatever Airflow answers
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # objects of which no other fields are updated
    teamless: bool = False  # what is created in bulk gets no team, whatever is sent
    masked: bool = False  # the API masks values, and refuses to show them

    @property
    def listing(self) -> str:
        return self.path.rpartition("/")[2]

    def wanted(self, element: Object) -> dict[str, Any]:
        """The fields that an element declares. A ValueError says what is wrong with it, never a secret value."""
        if element.get("state") == "absent":
            return dict.fromkeys(self.fields)
        fields = self.declare(element)
        wanted = {name: fields.get(name) for name in self.fields}
        for name, value in wanted.items():
            for text in (value,) if isinstance(value, str) else texts(value):
                if text == MASK:
                    raise ValueError(f"{name} is or holds {MASK}, which is what Airflow shows instead of a secret")
                if "\0" in text:
                    raise ValueError(f"{name} holds a NUL character, which no database keeps")
        return wanted

    def manage(self, module: AnsibleModule, client: Client) -> dict[str, Any]:
        if reason := self.wrong(module.params):
            raise AirflowApiError(f"{self.kind} {module.params[self.key]}: {reason}")
        return super().manage(module, client)

    def wrong(self, element: Object) -> str | None:
        """What can be said against an element before anybody asked Airflow."""
        try:
            self.checked(element)
        except ValueError as exc:
            return str(exc)
        return None

    def checked(self, element: Object) -> dict[str, Any]:
        """The fields that an element declares, if nothing can be said against it."""
        name, wanted = element[self.key], self.wanted(element)
        if name.startswith(RESERVED):
            raise ValueError(f"names that begin with {RESERVED} are the collection's own")
        # What is there already is unknown here, so ask as for one that is to go, or that comes new.
        after = {**self.defaults, **{k: v for k, v in wanted.items() if v is not None}}
        fields = tuple(name for name, value in wanted.items() if value is not None)
        if element.get("state") == "absent":
            reason = self.refuse(name, Plan("delete", dict.fromkeys(self.fields), {}))
        else:
            reason = self.refuse(name, Plan("update", {}, {**dict.fromkeys(self.fields), **after}, fields))
        if reason:
            raise ValueError(reason)
        return wanted


# -- pools -------------------------------------------------------------------------------------------------------------


def refuse_team(plan: Plan) -> str | None:
    return "team_name has more than 50 characters" if len(plan.after.get("team_name") or "") > 50 else None


OWN_POOL = {"description": "Default pool", "team_name": ""}


def refuse_pool(name: str, plan: Plan) -> str | None:
    if plan.after and plan.after["slots"] is not None and not -1 <= plan.after["slots"] < 2**31:
        return "slots must be -1 (no limit) or more, up to 2147483647"
    # Before Airflow is asked what it has, what it always has may be declared.
    differs = {one for one, own in OWN_POOL.items() if one in plan.fields and (plan.before or plan.after[one] != own)}
    if name == "default_pool" and (plan.action == "delete" or differs):
        return "Airflow's own pool can be resized, but neither described nor deleted nor given to a team"
    if not 0 < len(name) <= 256 or "\n" in name:
        return "the name must have 1 to 256 characters, and no line break"
    return refuse_team(plan)


def encode_pool(fields: Object, _element: Object) -> dict[str, Any]:
    return {**fields, "team_name": fields["team_name"] or None} if "team_name" in fields else dict(fields)


POOL = Kind(
    kind="pool",
    path="/api/v2/pools",
    key="name",
    fields=("slots", "description", "include_deferred", "team_name"),
    required=("slots",),
    defaults={"description": None, "include_deferred": False, "team_name": None},
    patch_key="pool",
    refuse=refuse_pool,
    options={
        "name": {"type": "str", "required": True},
        "slots": {"type": "int"},
        "description": {"type": "str"},
        "include_deferred": {"type": "bool"},
        "team_name": {"type": "str"},
        "state": STATE,
    },
    decode=lambda row: {**row, "description": row.get("description") or "", "team_name": row.get("team_name") or ""},
    encode=encode_pool,
    always=("slots", "include_deferred"),
    only={"default_pool": ("slots", "include_deferred")},
)


# -- connections -------------------------------------------------------------------------------------------------------

EMPTY = {"description": "", "host": "", "login": "", "password": "", "schema": "", "port": 0, "extra": {}}


def declare_connection(element: Object) -> dict[str, Any]:
    """What the options mean: a URI says all of it, also what it leaves out."""
    fields = dict(element)
    if element.get("uri") is not None:
        both = [name for name in FROM_URI if element.get(name) is not None]
        if both:
            raise ValueError(f"uri and {', '.join(both)} can't be given together")
        try:
            refuse_unquoted(element["uri"])
            fields.update({**{name: EMPTY.get(name, "") for name in FROM_URI}, **from_uri(element["uri"])})
        except ValueError as exc:
            raise ValueError(f"uri: {exc}") from None
    if fields.get("extra") is not None:
        if deep(fields["extra"]):
            raise ValueError(f"extra {Unreadable()}")
        try:
            fields["extra"] = json.loads(json.dumps(fields["extra"]))
        except (TypeError, ValueError):
            raise ValueError("extra holds something that JSON doesn't know") from None
    return fields


def decode_connection(row: Object) -> dict[str, Any]:
    extra = extra_of(row)
    return {**{name: row.get(name) or empty for name, empty in EMPTY.items()}, "conn_type": row["conn_type"],
            "extra": extra, "team_name": row.get("team_name") or ""}  # fmt: skip


def encode_connection(fields: Object, _element: Object) -> dict[str, Any]:
    body = {name: value or None for name, value in fields.items()}
    return {**body, "extra": json.dumps(fields["extra"])} if fields.get("extra") else body


def refuse_connection(name: str, plan: Plan) -> str | None:
    if not plan.after:  # Airflow 2 took other names too; what has one can at least go
        fits = 0 < len(name) <= 250 and "\n" not in name
        return None if fits else "the connection_id must have 1 to 250 characters, and no line break"
    if not re.fullmatch(r"[\w.-]{1,200}", name):
        return "the connection_id must be 1 to 200 letters, digits, underscores, points and dashes"
    if "conn_type" in plan.fields and not plan.after["conn_type"]:
        return "conn_type must not be empty"
    if not 0 <= (plan.after.get("port") or 0) <= 65535:
        return "port must be 1 to 65535, or 0 for none"
    long = [field for field in ("conn_type", "host", "schema") if len(plan.after.get(field) or "") > 500]
    return f"{long[0]} has more than 500 characters" if long else refuse_team(plan)


CONNECTION = Kind(
    kind="connection",
    path="/api/v2/connections",
    key="connection_id",
    fields=("conn_type", *EMPTY, "team_name"),
    required=("conn_type",),
    defaults={**EMPTY, "team_name": ""},
    refuse=refuse_connection,
    options={
        "connection_id": {"type": "str", "required": True},
        "conn_type": {"type": "str"},
        "description": {"type": "str"},
        "host": {"type": "str"},
        "login": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "schema": {"type": "str"},
        "port": {"type": "int"},
        "extra": {"type": "dict", "no_log": True},
        "extra_mode": {"type": "str", "choices": ["replace", "merge"], "default": "replace"},
        "uri": {"type": "str", "no_log": True},
        "team_name": {"type": "str"},
        "state": STATE,
    },
    declare=declare_connection,
    decode=decode_connection,
    encode=encode_connection,
    # Any key of an extra may hold a secret: Airflow's own audit log shows none of them either.
    hides=lambda element, field, current: field in ("password", "extra"),
    always=("conn_type",),
    stuck=("password",),
    masked=True,
)


# -- variables ---------------------------------------------------------------------------------------------------------


MAY_BE_JSON = {*'"-0123456789[{tfnNI \t\r\n'}


def content(value: Any) -> Any:
    """What a variable's text stands for: Airflow's answer spells JSON anew, so two spellings are one value."""
    if not isinstance(value, str):
        if deep(value):
            raise Unreadable
        return json.loads(json.dumps(value))
    if value[:1] not in MAY_BE_JSON:  # an exception for each of thousands of plain texts takes time
        return value
    try:
        means = parsed(value, parse_float=Number)
    except Unreadable:
        raise
    except ValueError:
        return value
    # "x" in quotes is another text than x, and null is a value.
    return (means,) if means is None or isinstance(means, str) else means


def stored(text: str) -> Any:
    """The same of what Airflow has: nobody can declare what can't be read, so as a text it differs from all."""
    try:
        return content(text)
    except Unreadable:
        return text


def given_value(element: Object) -> Any:
    if element.get("src") is None:
        return element.get("value")
    if element.get("value") is not None:
        raise ValueError("value and src can't be given together")
    try:
        with open(element["src"], encoding="utf-8", newline="") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError) as exc:
        raise ValueError(f"src can't be read: {getattr(exc, 'strerror', None) or 'it is not UTF-8'}") from None


def declare_variable(element: Object) -> dict[str, Any]:
    value = given_value(element)
    try:
        value = None if value is None else content(value)
    except Unreadable as exc:
        raise ValueError(f"value {exc}") from None
    except (TypeError, ValueError):
        raise ValueError("value holds something that JSON doesn't know") from None
    return {"value": value, "description": element.get("description"), "team_name": element.get("team_name")}


def encode_variable(fields: Object, element: Object) -> dict[str, Any]:
    """The value as it was given, to the letter, and what is no text as Airflow keeps it: 3.1 stumbles over the rest.
    It wants a value also where only the description is to change."""
    value = given_value(element) if "value" in fields else ""
    team = {"team_name": fields["team_name"] or None} if "team_name" in fields else {}
    return {**fields, **team, "value": value if isinstance(value, str) else json.dumps(value, indent=2)}


def refuse_variable(name: str, plan: Plan) -> str | None:
    fits = 0 < len(name) <= 250 and "\n" not in name  # which Airflow takes, and then finds no more
    return refuse_team(plan) if fits else "the key must have 1 to 250 characters, and no line break"


def hides_variable(element: Object, field: str, current: Any) -> bool:
    """By its declaration, else as Airflow has it: by its name or that of a part, or by a mask in Airflow's answer."""
    secret = element.get("secret")
    if field != "value" or secret is False:
        return False
    if secret or sensitive(element["key"]) or any(MASK in text for text in texts(current)):
        return True
    if masked(current) != current:
        return True  # of a server that is told not to mask by name
    if element.get("state") == "absent":
        return True  # what it once was declared to be is not known any more
    try:
        value = content(given_value(element))
    except (TypeError, ValueError):
        return False  # is told of later
    return bool(masked(value) != value)


VARIABLE = Kind(
    kind="variable",
    path="/api/v2/variables",
    key="key",
    fields=("value", "description", "team_name"),
    required=("value",),
    defaults={"description": "", "team_name": ""},
    refuse=refuse_variable,
    options={
        "key": {"type": "str", "required": True, "no_log": False},
        "value": {"type": "raw", "no_log": True},
        "src": {"type": "path"},
        "description": {"type": "str"},
        "secret": {"type": "bool", "no_log": False},
        "team_name": {"type": "str"},
        "state": STATE,
    },
    declare=declare_variable,
    decode=lambda row: {
        "value": stored(row.get("value") or ""),
        "description": row.get("description") or "",
        "team_name": row.get("team_name") or "",
    },
    teamless=True,
    encode=encode_variable,
    hides=hides_variable,
    masked=True,
)

KINDS: Mapping[str, Kind] = {"connections": CONNECTION, "variables": VARIABLE, "pools": POOL}
