# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. What is known of values that the API masks; docs/masked-values.md says why."""

from __future__ import annotations

import ast
import base64
import binascii
import hmac
import json
import re
import uuid
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

from ._client import PAGE, TRIES, AirflowApiError, Client
from ._masks import MASK, Path, extra_of, leaves, masked, numbers, parsed, sensitive, texts

VARIABLES = "/api/v2/variables"
LOG = "/api/v2/eventLogs"
RESERVED = "windward_fingerprints_"  # no name that Airflow takes for a secret's: it would mask the value
DATE = re.compile(r"(19[7-9]|2\d\d)\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
VERSION = "v2"  # of the fingerprints' form
RESTORED = 5  # levels below which Airflow restores no mask: `MAX_RECURSION_DEPTH` of its SecretsMasker
UNSEEN = {"event": 0, "when": "1970-01-01T00:00:00Z", "who": None}  # a write that the log doesn't show
_spell = json.JSONEncoder(sort_keys=True).encode  # one for all: to make one takes longer than to use it
_spell_path = lru_cache(maxsize=4096)(_spell)  # thousands of values are found under a few paths
READS = ("_get", "_list", "_export", "cli_connections_test", "test_connection")


def compare(current: Any, wanted: Any) -> bool | None:
    """Whether two values are the same; None if a mask hides the answer. What a mask leaves visible must fit."""
    if isinstance(current, str) and MASK in current:
        if current == MASK:
            return None
        return None if isinstance(wanted, str) and _fits(current.split(MASK), wanted) else False
    if isinstance(current, (list, tuple)) and type(current) is type(wanted) and len(current) == len(wanted):
        return _all(compare(one, other) for one, other in zip(current, wanted))
    if isinstance(current, Mapping) and isinstance(wanted, Mapping):
        return current.keys() == wanted.keys() and _all(compare(current[key], wanted[key]) for key in wanted)
    if isinstance(current, bool) != isinstance(wanted, bool) or isinstance(current, float) != isinstance(wanted, float):
        return False
    return bool(current == wanted or repr(current) == repr(wanted))


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    found = set(verdicts)
    return False if False in found else None if None in found else True


def _fits(parts: list[str], text: str) -> bool:
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


Hidden = Callable[[object], bool]  # whether Airflow hides what has this name


def carried(value: Any, hidden: Hidden, path: Path = (), inside: bool = False) -> Any:
    """A value of an answer as it may be sent back in a connection's extra, where Airflow restores some masks itself. A
    ValueError names the place of one that it would not."""
    inside = inside or any(map(hidden, path[-1:]))
    if isinstance(value, Mapping):
        return {name: carried(element, hidden, (*path, name), inside) for name, element in value.items()}
    if any(MASK in text for text in texts(value)) and not (inside and value == MASK and len(path) <= RESTORED):
        raise ValueError(".".join(map(str, path)))
    return value


def spared(
    current: Any, wanted: Any, hidden: Hidden, proved: Callable[[Path, Any], bool], path: Path = ()
) -> Any:
    """A declared value of an extra as it may be sent where a secret that is there must stay: with a mask instead of it,
    which Airflow restores. What it would not restore must be proved to be as declared; else a ValueError names it."""
    if isinstance(current, Mapping) and isinstance(wanted, Mapping):
        return {key: spared(current[key], value, hidden, proved, (*path, key)) if key in current else value
                for key, value in wanted.items()}  # fmt: skip
    try:
        return _stays(current, wanted, hidden, any(map(sensitive, path)), any(map(hidden, path)), len(path))
    except ValueError:
        if not proved(path, wanted):
            raise ValueError(".".join(map(str, path))) from None
        return wanted


def _stays(current: Any, wanted: Any, hidden: Hidden, secret: bool, inside: bool, depth: int) -> Any:
    """The same for a value below; `secret` by its name, and `inside` what Airflow restores."""
    verdict = compare(current, wanted)
    if isinstance(current, Mapping) and isinstance(wanted, Mapping):
        return {key: _stays(current[key], value, hidden, secret or sensitive(key), inside or hidden(key), depth + 1)
                for key, value in wanted.items()}  # fmt: skip
    if isinstance(current, list) and isinstance(wanted, list):
        if verdict is None:
            return [_stays(one, other, hidden, secret, inside, depth + 1) for one, other in zip(current, wanted)]
        # Airflow restores by places, and nobody knows which element became which.
        holds = any(MASK in text for text in texts(current)) and (secret or masked(wanted) != wanted)
        if verdict is False and holds:
            raise ValueError
        return wanted
    if inside and current == MASK and depth <= RESTORED:
        return MASK
    if secret and verdict is None:
        raise ValueError
    return wanted


def bare(row: Mapping[str, Any]) -> bool:
    """Whether a connection's answer shows what every Airflow hides by its name, unless it is told not to."""

    def shown(value: Any, secret: bool = False) -> bool:
        if isinstance(value, Mapping):
            return any(shown(element, secret or sensitive(key, ever=True)) for key, element in value.items())
        if isinstance(value, list):
            return any(shown(element, secret) for element in value)
        return secret and isinstance(value, str) and value not in ("", MASK)

    return row.get("password") not in (None, "", MASK) or shown(extra_of(row))


# -- fingerprints ------------------------------------------------------------------------------------------------------


def pack(content: Any) -> str:
    """Text in groups of four: Airflow masks no secret below five characters, so none can be found in this."""
    text = base64.b64encode(zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 9)).decode()
    return f"{VERSION} " + " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def unpack(text: str | None) -> Any:
    """None for what can't be read, as if nothing had been kept: the worst that follows is one more write."""
    version, _space, rest = (text or "").partition(" ")
    if version != VERSION:
        return None
    try:
        return parsed(zlib.decompress(base64.b64decode(rest.replace(" ", ""), validate=True)).decode())
    except (ValueError, binascii.Error, zlib.error):
        return None


def touched(event: Mapping[str, Any]) -> set[str] | None:
    """The names that an entry of the audit log may have changed, with masks in them where they hold a secret; None for
    any name, as after an import."""
    kind = event["event"]
    if kind.endswith(READS):
        return set()
    try:
        extra = json.loads(event["extra"] or "{}")
        if kind == "enqueue_connection_test" and not extra.get("commit_on_success"):
            return set()
        if kind.startswith("cli_"):
            words = ast.literal_eval(extra["full_command"])
            return None if "import" in words or "create-default-connections" in words else {*words[3:]}
        names = {extra[word] for word in ("connection_id", "key", "variable_key") if isinstance(extra.get(word), str)}
        for action in extra.get("actions", ()):
            for entity in action["entities"]:
                name = entity if isinstance(entity, str) else entity.get("connection_id") or entity.get("key")
                names.add(name)
    except (ValueError, SyntaxError, TypeError, KeyError, AttributeError):
        return None
    return {str(name) for name in names} or None


def _whole(entry: Any) -> bool:
    """Whether it is an entry as this collection keeps it: others may write variables, too."""
    if not isinstance(entry, dict) or not {*UNSEEN, "macs", "key"} <= entry.keys():
        return False
    events = (entry["event"], entry.get("wrote", 0))
    if not all(isinstance(one, int) for one in events) or not _is_moment(entry["when"]):
        return False
    return isinstance(entry["macs"], dict) and all(isinstance(mac, str) for mac in entry["macs"].values())


def _is_moment(text: Any) -> bool:
    """Whether Airflow takes it for a time: it is asked for the log since then."""
    try:
        return bool(DATE.fullmatch(text) and datetime.fromisoformat(text.replace("Z", "+00:00")))
    except (TypeError, ValueError):
        return False


def _entry(event: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of the log's entry of a write."""
    return {"event": event["event_log_id"], "when": event["when"], "who": event["owner"]}


def _spellings(leaf: Any) -> list[str]:
    """What tells numbers apart that are the same to a float; nothing for other values."""
    return [] if isinstance(leaf, str) else [number.text for number in numbers(leaf) if not number.exact]


class Fingerprints:
    """Answers whether a value is the wanted one. Reads what it needs for that when it is first needed."""

    def __init__(self, client: Client, kind: str, key: str | None, policy: str | None) -> None:
        self._client, self._kind, self._key, self._policy = client, kind, (key or "").encode(), policy
        self.prefix = f"{RESERVED}{kind}s_"
        self.asked: set[str] = set()  # the names that it may be asked about
        self.rows: Mapping[str, Any] = {}  # what Airflow answered of them, and of others
        self.warnings: set[str] = set()
        self.kept: dict[str, set[Path]] = {}  # what stays as it is though nobody knows whether it is as wanted
        self.verified: set[str] = set()
        self._own: set[int] = set()
        self._variables: list[str] = []  # in which `entries` were found

    @property
    def spares(self) -> bool:
        """Whether no secret of what is there already is ever written."""
        return self._policy == "on_create"

    @property
    def keeps(self) -> bool:
        """Whether fingerprints are kept of what is written."""
        return bool(self._key)

    def ready(self) -> None:
        """Read what is kept, if there is a key: who may not read it is to know before anything is written."""
        if self._key:
            self.entries  # noqa: B018

    def same(self, name: str, path: Path, current: Any, wanted: Any) -> bool:
        if isinstance(current, str) and isinstance(wanted, str) and current == wanted and MASK not in current:
            return True  # most of them by far, so asked first
        if isinstance(current, Mapping) and isinstance(wanted, Mapping):
            # Each key is asked, not only up to the first that differs: `kept` must be complete.
            verdicts = [self.same(name, (*path, k), current[k], wanted[k]) for k in wanted if k in current]
            return current.keys() == wanted.keys() and all(verdicts)
        verdict = compare(current, wanted)
        if verdict and self._key and not all(number.exact for number in numbers(wanted)):
            verdict = None  # Airflow's answer spells numbers anew: what was written can't be seen in it
        return self._unseen(name, path, wanted) if verdict is None else verdict

    def _unseen(self, name: str, path: Path, wanted: Any) -> bool:
        if self._policy == "always":
            return False
        if self._policy != "on_create" and path == ("password",) and wanted == "":
            return False  # there is one: else Airflow would show null
        if self._policy == "on_create" or not self._key:
            self.kept.setdefault(name, set()).add(path)
            if self._policy is None:
                field = ".".join(map(str, path))
                self.warnings.add(
                    f"{self._kind} {name}: Airflow masks {field}, so it was taken to be as declared. Give "
                    "fingerprint_key to know, or choose update_secrets."
                )
            return True
        if not self.proved(name, path, wanted):
            return False
        self.verified.add(name)
        return True

    def proved(self, name: str, path: Path, wanted: Any) -> bool:
        """Whether this was written there, and nobody touched the object since; not without a key."""
        if self._key and not self.entries and not self._variables:
            self.entries = self._none_yet
        entry = self.entries.get(name) if self._key else None
        if not entry or entry["key"] != self._mark:
            return False
        return self._macs(name, wanted, path).items() <= entry["macs"].items() and not self._edited(name, entry)

    def was_secret(self, name: str) -> bool:
        """Whether what it holds was declared to be a secret."""
        return bool(self._key) and "secret" in self.entries.get(name, ())

    def hidden(self, name: object) -> bool:
        """Whether Airflow hides by its name what has this one. Only that it restores where a mask is sent to it."""
        return sensitive(name, ever=True) and not self._hides_nothing

    @cached_property
    def _hides_nothing(self) -> bool:
        return any(bare(row) for row in self.rows.values())

    def _macs(self, name: str, value: Any, path: Path = (), kept: Collection[Path] = ()) -> dict[str, str]:
        """The fingerprint of every leaf, under a label that doesn't tell the leaf's place either."""
        macs = {}
        for more, leaf in leaves(value):
            where = (*path, *more)
            if where and where not in kept:
                spelled = f"{_spell(name)}, {_spell_path(where)}"
                macs[self._label(name, where)] = self._mac(12, spelled, leaf, *_spellings(leaf))
        return macs

    def _label(self, name: str, path: Path) -> str:
        """What a place is called: the field, and for each level below it something that doesn't tell the key. So the
        label of what is below a place begins with that place's."""
        places = (_spell_path(path[:level]) for level in range(2, len(path) + 1))
        return f"{path[0]} " + "".join(self._mac(4, f"{_spell(name)}, {place}") for place in places)

    @cached_property
    def _mark(self) -> str:
        """By which a key knows what it made: what another one made says nothing to it, and is not carried on."""
        return self._mac(8, _spell("key"))

    @cached_property
    def _keyed(self) -> hmac.HMAC:
        return hmac.new(self._key, digestmod="sha256")

    def _mac(self, length: int, spelled: str, *values: Any) -> str:
        """Of a JSON list that begins with the kind and what is spelled already. A text by itself is spelled in a tenth
        of the time of a list with a text, and a keyed hash copied in a third of that of a new one."""
        one = self._keyed.copy()
        one.update(f"[{', '.join((_spell(self._kind), spelled, *map(_spell, values)))}]".encode())
        return base64.b64encode(one.digest()).decode()[:length]

    @cached_property
    def entries(self) -> dict[str, Any]:
        found, self._variables = self._read()
        return found

    @cached_property
    def _none_yet(self) -> dict[str, Any]:
        """What is kept after all. A user of FAB's is shown nothing where another controller replaces what is kept just
        between Airflow's question what the user may read and its reading."""
        return next((found for found, variables in (self._read() for _try in range(TRIES - 1)) if variables), {})

    def _read(self) -> tuple[dict[str, Any], list[str]]:
        """What is kept of each object, the latest if it is more than one thing, and in which variables."""
        try:
            rows = self._client.pages(VARIABLES, "variables", {"variable_key_pattern": self.prefix, "order_by": "key"})
        except AirflowApiError as exc:
            hint = f" (fingerprint_key: fingerprints are kept in variables {self.prefix}*)" if exc.status == 403 else ""
            raise AirflowApiError(f"{exc}{hint}", exc.status) from exc
        kept = {row["key"]: unpack(row.get("value")) for row in rows if row["key"].startswith(self.prefix)}
        entries: dict[str, Any] = {}
        for objects in kept.values():
            for name, entry in objects.items() if isinstance(objects, dict) else ():
                if _whole(entry) and entry["event"] >= entries.get(name, UNSEEN)["event"]:
                    entries[name] = entry
        return entries, list(kept)

    @cached_property
    def _events(self) -> list[dict[str, Any]]:
        """The audit log since the oldest of our writes of what is asked for. That one itself isn't in it: `after`
        excludes its moment."""
        oldest = min(self.entries[name]["when"] for name in self.asked & self.entries.keys())
        query = {"event_pattern": self._kind, "after": oldest, "order_by": "event_log_id"}
        try:
            return self._client.pages(LOG, "event_logs", query)
        except AirflowApiError as exc:
            if exc.status != 403:
                raise
            self.warnings.add("This account may not read the audit log, so what others changed can't be found.")
            return []

    @cached_property
    def _last_edits(self) -> tuple[int, dict[str, int]]:
        anything, names = 0, {}
        for event in self._events:
            if event["event_log_id"] in self._own:
                continue
            which = touched(event)
            if which is None:
                anything = event["event_log_id"]
            for name in which or ():
                names.update(dict.fromkeys(self._meant(name, event["event_log_id"]), event["event_log_id"]))
        return anything, names

    def _meant(self, name: str, number: int) -> Collection[str]:
        """The log masks secrets in names too. Of what was written with a fingerprint the name is known all the same:
        else two objects of such names would count as edits of each other for ever."""
        if MASK not in name:
            return (name,)
        parts = name.split(MASK)
        ours = [one for one in self._written.get(number, ()) if _fits(parts, one)]
        return ours or [one for one in self.asked if _fits(parts, one)]

    @cached_property
    def _written(self) -> dict[int, list[str]]:
        """The names that were written in each of the log's entries."""
        written: dict[int, list[str]] = {}
        for name, entry in self.entries.items():
            written.setdefault(entry.get("wrote", entry["event"]), []).append(name)
        return written

    def _edited(self, name: str, entry: Mapping[str, Any]) -> bool:
        """Whether anybody, under whatever account, touched it after the write that the entry tells of."""
        anything, names = self._last_edits
        return max(anything, names.get(name, 0)) > entry["event"]

    def record(
        self,
        writes: Mapping[str, Mapping[str, Mapping[str, Any]]],
        deleted: set[str],
        merged: Mapping[str, list[Path]] = MappingProxyType({}),
        secret: Collection[str] = (),
        one_by_one: bool = False,
    ) -> None:
        """Keep what was written under each mark, after it was. Of extras in `merged` these places were replaced; what
        `secret` names was declared to be one."""
        if not self._key or not (any(writes.values()) or deleted & self.entries.keys()):
            return
        events = self._own_events()
        new = {}
        for mark, objects in writes.items():
            event = next((entry for text, entry in events if mark in text), UNSEEN)
            own = self._after(event, [*objects]) if one_by_one else dict.fromkeys(objects, event)
            new.update({n: {**own.get(n, UNSEEN), "key": self._mark,
                            "macs": self._macs(n, wanted, kept=self.kept.get(n, ())),
                            **({"secret": True} if n in secret else {})}
                        for n, wanted in objects.items()})
        if "_events" in self.__dict__ and self._events:
            seen = {"event": self._events[-1]["event_log_id"], "when": self._events[-1]["when"]}
            for name in self.verified - new.keys() - deleted:
                new[name] = {"wrote": self.entries[name]["event"], **self.entries[name], **seen}
        self._keep_the_rest(new, {n: fields for objects in writes.values() for n, fields in objects.items()}, merged)
        held, variables = self._read()
        ours = {n: entry for n, entry in new.items() if entry["event"] >= held.get(n, UNSEEN)["event"]}
        joined = {name: entry for name, entry in {**held, **ours}.items() if name not in deleted}
        if joined != held:
            self._write(joined, variables)

    def _keep_the_rest(
        self, new: dict[str, Any], written: Mapping[str, Mapping[str, Any]], merged: Mapping[str, list[Path]]
    ) -> None:
        """What an earlier task wrote of other fields still holds, unless somebody touched the object meanwhile."""
        old = {name: rest for name, fields in written.items() if (rest := self._rest(name, fields, merged.get(name)))}
        if not old:
            return
        self._own = {entry["event"] for entry in new.values()}
        for cached in ("_events", "_last_edits"):
            self.__dict__.pop(cached, None)
        for name, rest in old.items():
            if not self._edited(name, self.entries[name]):
                new[name]["macs"] = {**rest, **new[name]["macs"]}

    def _rest(self, name: str, fields: Mapping[str, Any], merged: list[Path] | None) -> dict[str, str]:
        """The fingerprints of what a write has left as it was. Those of what it replaced go, whatever was below it: in
        another shape it may hold what the labels of the new one don't name."""
        entry = self.entries.get(name, {"key": None})
        if entry["key"] != self._mark:
            return {}
        gone = [(field,) for field in fields if merged is None or field != "extra"] + (merged or [])
        places = tuple(self._label(name, path) for path in gone)
        kept = tuple(self._label(name, path) for path in self.kept.get(name, ()))
        # A label above a place is one of a value that had nothing below it.
        return {label: mac for label, mac in entry["macs"].items() if label.startswith(kept) or not (
            label.startswith(places) or any(place.startswith(label) for place in places))}  # fmt: skip

    def _own_events(self) -> list[tuple[str, dict[str, Any]]]:
        """The log's latest bulk writes. Ours is known there by its mark, not by an account that others may use too."""
        query = {"event": f"bulk_{self._kind}s", "order_by": "-event_log_id", "limit": PAGE}
        try:
            found = self._client.get(LOG, query)["event_logs"]
        except AirflowApiError as exc:
            if exc.status != 403:
                raise
            found = []
        return [(row["extra"] or "", _entry(row)) for row in found]

    def _after(self, marked: dict[str, Any], names: Collection[str]) -> dict[str, dict[str, Any]]:
        """The first entry after the mark that names each object: our own request for it. Had somebody else's come in
        between, then ours would be taken for an edit after it, and the object written once more."""
        found: dict[str, dict[str, Any]] = {}
        masked: list[tuple[list[str], dict[str, Any]]] = []
        if marked is not UNSEEN:
            query = {"event_pattern": self._kind, "after": marked["when"], "order_by": "event_log_id"}
            for row in self._client.pages(LOG, "event_logs", query):
                for name in touched(row) or ():
                    if MASK in name:
                        masked.append((name.split(MASK), _entry(row)))
                    else:
                        found.setdefault(name, _entry(row))
        for parts, entry in masked:  # each is one of those that are named nowhere else
            ours = next((one for one in names if one not in found and _fits(parts, one)), None)
            if ours is not None:
                found[ours] = entry
        return found

    def _write(self, entries: Mapping[str, Any], instead_of: list[str]) -> None:
        """A new variable replaces those that were read. One that another controller makes meanwhile stays beside it."""
        entity = {
            "key": f"{self.prefix}{uuid.uuid4().hex}",
            "value": pack(entries),
            "description": "Keyed fingerprints of what windward.airflow declared; no secrets",
        }
        actions: list[dict[str, Any]] = [
            {"action": "create", "action_on_existence": "overwrite", "entities": [entity]},
            {"action": "delete", "action_on_non_existence": "skip", "entities": instead_of},
        ]
        answer = self._client.request("PATCH", VARIABLES, body={"actions": actions})
        errors = (answer.get("create") or {"errors": [{"error": "nothing was created"}]}).get("errors")
        if errors:
            raise AirflowApiError(f"variable {entity['key']}: {errors[0].get('error')}")
