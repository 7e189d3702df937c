# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Random desired states, and a model of what Airflow then holds that shares no code with the collection.

A secret is drawn as `Secret(n)`; which text that is, is decided anew in every sequence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

Element = dict[str, Any]
KEYS = {"connections": "connection_id", "variables": "key", "pools": "name"}
NAMES = {"connections": ("c.one", "c-two"), "variables": ("plain", "a_token"), "pools": ("p", "p/2 ä")}
EMPTY: dict[str, dict[str, Any]] = {
    "connections": {"conn_type": "", "description": "", "host": "", "login": "", "password": "", "schema": "",
                    "port": 0, "extra": {}},
    "variables": {"value": None, "description": ""},
    "pools": {"slots": None, "description": "", "include_deferred": False},
}  # fmt: skip
NEEDED = {"connections": "conn_type", "variables": "value", "pools": "slots"}
URI = ("conn_type", "host", "login", "password", "schema", "port", "extra")


@dataclass(frozen=True)
class Secret:
    number: int
    before: str = ""


@dataclass
class Step:
    edits: list[tuple[str, str, dict[str, Any] | None]]  # behind our back: listing, name, fields (None: deleted)
    declared: dict[str, list[Element]]
    policy: str
    keyed: bool
    alone: bool = False  # the only element, through the module of its kind


def _some(*needed: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Element]:
    """Any of the fields, and always those that are needed."""
    optional = {name: strategy for name, strategy in fields.items() if name not in needed}
    return st.fixed_dictionaries({name: fields[name] for name in needed}, optional=optional)


SECRETS = st.sampled_from([Secret(0), Secret(0), Secret(1)])
TEXTS = st.sampled_from(["", "a", "b", "ü\n'\"{{ x }}"])
EXTRAS = _some(
    plain=st.sampled_from(["a", "", 1, 0, True, False, None, 1.5, [], {}, [1, None, {"k": "v"}]]),
    mode=st.sampled_from(["no", "0600"]),
    token=SECRETS,
    crm_api_key=SECRETS,
    auth=_some(user=st.sampled_from(["u", "v"]), password=SECRETS, more=st.sampled_from([{"x": 1}, {"y": 2}, {}])),
)
FIELDS = {
    "conn_type": st.sampled_from(["postgres", "http", "my_type"]),
    "host": st.sampled_from(["", "db.example.org", Secret(0, "pre-")]),
    "login": TEXTS,
    "password": st.one_of(SECRETS, SECRETS, st.just("")),
    "schema": TEXTS,
    "port": st.sampled_from([0, 1, 65535]),
    "extra": EXTRAS,
}
TOLD = {"description": TEXTS}
ABSENT = st.just({"state": "absent"})
CONNECTIONS = st.one_of(
    _some("password", **FIELDS, **TOLD),
    _some("password", "extra", **FIELDS, **TOLD),
    _some(**FIELDS, **TOLD),
    _some("extra", "extra_mode", extra_mode=st.just("merge"), **FIELDS, **TOLD),
    st.builds(lambda pieces, more: {"uri": pieces, **more}, _some("conn_type", **FIELDS), _some(**TOLD)),
    ABSENT,
)
VALUES = st.sampled_from(["", "a", "null", "no", "0600", 0, 1, 1.5, True, False, [], {"a": [None, "b"]}, '{"a":  1}'])


SHAPES = st.sampled_from([{"a": Secret(0)}, {"b": Secret(1)}, {"a": Secret(0), "b": Secret(1)}, [Secret(0)]])
HOLDING = st.sampled_from([Secret(1, "pre-"), {"token": Secret(1), "a": 1}, {"token": Secret(1), "a": 2}])


def _variables(name: str) -> st.SearchStrategy[Element]:
    values = st.one_of(SECRETS, VALUES, SHAPES) if name == "a_token" else st.one_of(VALUES, HOLDING)
    whole = _some("value", value=values, **TOLD)
    return st.one_of(
        whole,
        whole,
        _some("value", value=st.one_of(SECRETS, SHAPES) if name == "a_token" else HOLDING, **TOLD),
        _some(**TOLD, secret=st.just(True)),  # with false what it holds is shown, as asked
        ABSENT,
    )


RESIZED = {"slots": st.integers(-1, 2), "include_deferred": st.booleans()}
POOLS = st.one_of(
    _some("slots", **RESIZED, **TOLD),
    _some(**RESIZED, **TOLD),
    ABSENT,
)
EDITS = {
    "connections": st.one_of(
        *(_some(name, **{name: FIELDS[name]}) for name in ("host", "password", "extra")), st.none()
    ),
    "variables": st.one_of(_some("value", value=st.sampled_from(["a", "edited", 7])), st.none()),
    "pools": st.one_of(_some("slots", slots=st.integers(0, 3)), st.none()),
}


OBJECTS = [(listing, name) for listing, names in NAMES.items() for name in names]


@st.composite
def sequences(draw: st.DrawFn) -> list[Step]:
    """Up to three states of the same few objects, mostly ones that can be made and then go on from there."""
    objects = draw(st.lists(st.sampled_from(OBJECTS), min_size=1, max_size=3, unique=True))
    made: set[tuple[str, str]] = set()  # or would be, if no step were refused
    last: dict[tuple[str, str], Element] = {}
    steps = []
    for number in range(draw(st.sampled_from([1, 2, 2, 3]))):
        edits, declared = [], {}
        chosen = [one for one in objects if number == 0 or draw(st.integers(0, 5))] or objects[:1]
        if made and draw(st.integers(0, 2)) == 0:
            listing, name = draw(st.sampled_from(sorted(made)))
            edits.append((listing, name, draw(EDITS[listing])))
        for listing, name in chosen:
            kind = {"connections": CONNECTIONS, "variables": _variables(name), "pools": POOLS}[listing]
            element = {KEYS[listing]: name, **draw(kind)}
            if (listing, name) in last and element.get("state") != "absent" and draw(st.integers(0, 3)):
                before = {key: value for key, value in last[listing, name].items() if key != "state"}
                changed = draw(st.sets(st.sampled_from(sorted(element)), max_size=2))
                element = {**before, **{key: element[key] for key in changed if "uri" not in {key, *before}}}
            last[listing, name] = element
            if (listing, name) not in made and element.get("state") != "absent" and draw(st.integers(0, 29)):
                need = NEEDED[listing]
                first = {"conn_type": "http", "value": "a", "slots": 1}[need]
                element = element if "uri" in element else {need: first, **element}
            declared.setdefault(listing, []).append(element)
            made = made - {(listing, name)} if element.get("state") == "absent" else made | {(listing, name)}
        policy = draw(st.sampled_from(["on_change"] * 6 + ["always", "on_create"]))
        keyed = policy == "on_change" or draw(st.booleans())
        steps.append(Step(edits, declared, policy, keyed, alone=len(chosen) == 1 and draw(st.booleans())))
    return steps


def real(value: Any, text: Callable[[int], str]) -> Any:
    """A drawn value with the secrets of this sequence in it."""
    if isinstance(value, Secret):
        return value.before + text(value.number)
    if isinstance(value, dict):
        return {key: real(element, text) for key, element in value.items()}
    return [real(element, text) for element in value] if isinstance(value, list) else value


def uri(pieces: dict[str, Any]) -> str:
    """By the manual's words: user and password before the host, everything quoted, extra in one piece."""
    extra = pieces.get("extra")
    login, password = (quote(pieces.get(word) or "", safe="") for word in ("login", "password"))
    port = f":{pieces['port']}" if pieces.get("port") else ""
    return (
        f"{pieces['conn_type'].replace('_', '-')}://{login}:{password}@{quote(pieces.get('host') or '', safe='')}{port}"
        f"/{quote(pieces.get('schema') or '', safe='')}"
        + (f"?{urlencode({'__extra__': json.dumps(extra)})}" if extra else "")
    )


# -- the model ---------------------------------------------------------------------------------------------------------


def stands_for(value: Any) -> Any:
    """A variable's text and the JSON that it spells are one value; a text of JSON in quotes, or null, is another."""
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return f"text {text}"


def parts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict) and value:
        for key, element in value.items():
            yield from parts(element, (*path, key))
    else:
        yield path, value


def hidden(listing: str, name: str, path: tuple[Any, ...]) -> bool:
    """Whether Airflow masks it by its name."""
    words = ("password", "token", "api_key")
    if listing == "variables":
        return path == ("value",) and "token" in name
    return listing == "connections" and any(word in str(key) for key in path for word in words)


@dataclass
class Thing:
    """An object in Airflow, and what its fingerprints tell of it."""

    fields: dict[str, Any]
    known: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    touched: bool = False

    def edit(self, fields: dict[str, Any]) -> None:
        self.fields.update(fields)
        self.touched = True


@dataclass
class Verdict:
    action: str
    fields: dict[str, Any]
    sure: bool  # else none is as right as update, since nobody can see what is behind a mask
    refused: bool = False
    anew: bool = False  # a password can only be removed with its connection
    masked: int = 0  # how many of the declared values Airflow doesn't show


def judge(listing: str, name: str, thing: Thing | None, element: Element, policy: str) -> Verdict:
    """What is to become of an object by what is declared."""
    if element.get("state") == "absent":
        return Verdict("delete" if thing else "none", {}, True)
    wanted = {key: value for key, value in element.items() if key in EMPTY[listing]}
    if "uri" in element:
        wanted = {**{key: EMPTY[listing][key] for key in URI}, **element["uri"], **wanted}
    if listing == "variables" and "value" in wanted:
        wanted["value"] = stands_for(wanted["value"])
    if thing is None:
        fields = {**EMPTY[listing], **wanted}
        return Verdict("create", fields, True, refused=wanted.get(NEEDED[listing]) is None)
    if "extra" in wanted and element.get("extra_mode") == "merge":
        wanted["extra"] = merged(thing.fields["extra"], wanted["extra"])
    now = dict(parts(thing.fields))
    declared = dict(parts(wanted if "extra" not in element else {**wanted, "extra": element["extra"]}))
    doubt = [p for p in declared if p in now and _masked(listing, name, p, now[p], declared[p])]
    if policy == "on_create":
        kept = {path for path in doubt if hidden(listing, name, path)}
        for path in kept:
            _put(wanted, path, now[path])
    differs = any(thing.fields[key] != value or (repr(thing.fields[key]) != repr(value) and not isinstance(value, dict))
                  for key, value in wanted.items())  # fmt: skip
    differs = differs or json.dumps(wanted.get("extra"), sort_keys=True) != json.dumps(
        thing.fields["extra"] if "extra" in wanted else None, sort_keys=True
    )
    rest = dict(parts(wanted)).keys() - declared.keys()
    if policy == "on_create":
        sure = True
    elif policy == "always":
        sure = not doubt
    else:
        sure = all(not thing.touched and p in thing.known and thing.known[p] == declared[p] for p in doubt)
    fields = {**thing.fields, **wanted}
    anew = bool(thing.fields.get("password")) and fields["password"] == ""
    # What has to be deleted and made again must be declared whole.
    refused = anew and (bool(rest) or any(value and key not in wanted for key, value in fields.items()))
    return Verdict("update" if differs else "none", fields, differs or sure, refused, anew, masked=len(doubt))


def merged(there: Any, declared: Any) -> Any:
    if not isinstance(there, dict) or not isinstance(declared, dict):
        return declared
    return {**there, **{key: merged(there.get(key), value) for key, value in declared.items()}}


def _masked(listing: str, name: str, path: tuple[Any, ...], now: Any, wanted: Any) -> bool:
    if listing == "pools":
        return False
    if hidden(listing, name, path):
        return now not in (None, "") or path[0] == "extra"
    return any(word in str(now) and word in str(wanted) for word in ("pre-", '"token"'))


def _put(fields: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        fields[key] = dict(fields[key])
        fields = fields[key]
    fields[path[-1]] = value
