# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. One value against one option of an argument spec, strictly: a role converts nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from typing import Any

# In this order: a boolean is a whole number to Python.
NAMES: dict[type, str] = {
    bool: "a boolean",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a dictionary",
}
KINDS = {"str": str, "path": str, "int": int, "bool": bool, "float": float, "list": list, "dict": dict}


@dataclass(frozen=True)
class Unreadable:
    """Stands for a value that could not be evaluated."""

    problem: str


@dataclass(frozen=True)
class Problem:
    path: str
    text: str
    value: Any = None
    secret: bool = False
    unreadable: bool = False


def ours(name: str) -> str:
    """A name that begins nearly as ours do (airfow_executor, airflowversion) as one that does; else nothing."""
    start = re.match(r"[a-z]{6,8}?(?:[_-]|(?=v|e|d|c|p))", name)
    close = start and SequenceMatcher(None, start[0].rstrip("_-"), "airflow").ratio() >= 0.85
    return f"airflow_{name[len(start[0]):]}" if start and close else ""


def near(name: str, known: Any) -> str | None:
    """The known name that this one is probably meant to be. The common prefix does not make names alike."""
    stems = {candidate.removeprefix("airflow_"): candidate for candidate in known}
    stem = (ours(name) or name).removeprefix("airflow_").replace("-", "_")
    for match in get_close_matches(stem, stems, n=1, cutoff=0.8):
        return stems[match]
    return None


def kind(value: Any) -> str:
    names = (name for known, name in NAMES.items() if isinstance(value, known))
    return "null" if value is None else next(names, type(value).__name__)


def problems(path: str, value: Any, option: Mapping[str, Any]) -> Iterator[Problem]:
    """Everything that is wrong with a value; `path` names the element as in `airflow_pools[my_pool].slots`."""
    secret = bool(option.get("no_log"))
    wanted = KINDS.get(option.get("type", "str"))
    if isinstance(value, Unreadable):
        yield Problem(path, value.problem, secret=True, unreadable=True)
    elif wanted and not _is(value, wanted):
        # A container is not shown: what lies in it may be secret.
        hide = secret or isinstance(value, (list, dict)) or value is None
        yield Problem(path, f"must be {NAMES[wanted]}, not {kind(value)}{_hint(value, wanted)}", value, hide)
    elif option.get("type") == "path" and not value.isprintable():
        yield Problem(path, "has a character in it that can't be printed", secret=True)
    elif "choices" in option and value not in option["choices"]:
        meant = near(str(value), [str(choice) for choice in option["choices"]])
        choices = ", ".join(str(choice) for choice in option["choices"])
        yield Problem(path, f"must be one of {choices}" + (f"; did you mean {meant}?" if meant else ""), value, secret)
    elif isinstance(value, dict) and option.get("options"):
        yield from _suboptions(path, value, option["options"])
    elif isinstance(value, dict):
        for key, element in value.items():
            yield from unreadable(f"{path}.{key}", element)
    elif isinstance(value, list):
        for index, element in enumerate(value):
            one = {"type": option.get("elements", "raw"), "options": option.get("options"), "no_log": secret}
            yield from problems(f"{path}[{_label(index, element)}]", element, one)


def unreadable(path: str, value: Any) -> Iterator[Problem]:
    """What could not be evaluated inside a value whose shape is the user's own."""
    if isinstance(value, Unreadable):
        yield Problem(path, value.problem, secret=True, unreadable=True)
    elif isinstance(value, dict):
        for key, element in value.items():
            yield from unreadable(f"{path}.{key}", element)
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from unreadable(f"{path}[{index}]", element)


def usable(found: list[Problem], option: Mapping[str, Any]) -> bool:
    """Whether rules can still read a value: in a dictionary of the user's own keys the other elements are good."""
    free = option.get("type") == "dict" and not option.get("options")
    return not found or (free and all(problem.unreadable for problem in found) and "." in found[0].path)


def normal(value: Any, option: Mapping[str, Any]) -> Any:
    """A number that was given as digits (`-e`, INI inventories) as a number; no unreadable elements."""
    if isinstance(value, dict):
        return {key: normal(element, {}) for key, element in value.items() if not isinstance(element, Unreadable)}
    return int(value) if option.get("type") == "int" and isinstance(value, str) else value


def _suboptions(path: str, value: dict[Any, Any], options: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    known = {alias: name for name, option in options.items() for alias in (name, *option.get("aliases", ()))}
    for key in value:
        if key not in known:
            meant = near(str(key), known)
            fix = f"did you mean {meant}?" if meant else f"known are {', '.join(options)}"
            yield Problem(f"{path}.{key}", f"is no option; {fix}", secret=True)
    given = {known[key]: element for key, element in value.items() if key in known}
    for name, option in options.items():
        if name in given:
            yield from problems(f"{path}.{name}", given[name], option)
        elif option.get("required"):
            yield Problem(f"{path}.{name}", "must be given", secret=True)


def _is(value: Any, wanted: type) -> bool:
    if wanted is int and isinstance(value, str):
        return bool(re.fullmatch(r"[+-]?[0-9]{1,15}", value))
    if wanted is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, wanted) and not (wanted is int and isinstance(value, bool))


def _hint(value: Any, wanted: type) -> str:
    if wanted is str and isinstance(value, (bool, int, float)):
        return ": quote it, YAML reads it as something else"
    if wanted in (list, dict) and isinstance(value, str):
        return ": with -e, give JSON"
    return ""


def _label(index: int, element: Any) -> str:
    """A list element by its name where it has one: people don't count list elements."""
    given = element if isinstance(element, dict) else {}
    name = next((given[key] for key in ("name", "connection_id", "key") if key in given), None)
    return name if isinstance(name, str) and re.fullmatch(r"[\w.@ -]{1,64}", name) else str(index)
