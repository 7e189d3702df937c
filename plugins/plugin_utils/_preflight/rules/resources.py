# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. What lives inside Airflow, checked by the declarations of the modules that manage it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from ....module_utils._kinds import KINDS, Kind
from ..deployment import Finding, Host
from ..registry import each_host
from ..types import normal, problems

# What the elements of a list may hold is what the module takes.
RESOURCES: dict[str, Kind] = {f"airflow_{name}": kind for name, kind in KINDS.items()}


@each_host
def resource(host: Host) -> Iterator[Finding]:
    """Elements of `airflow_connections`, `airflow_variables`, `airflow_pools` are what the modules take, each once."""
    for variable, declared in host.items(*RESOURCES):
        kind = RESOURCES[variable]
        seen: set[str] = set()
        option = {"type": "list", "elements": "dict", "options": kind.options}
        wrong = list(problems(variable, declared, option))
        for problem in wrong:
            yield host.refuse(problem.path, problem.text, None if problem.secret else problem.value)
        for element in [] if wrong else declared:
            name = element[kind.key]
            path = f"{variable}[{name}]"
            if name in seen:
                yield host.refuse(path, "is declared twice; keep one", None)
            seen.add(name)
            reason = _refused(kind, element)
            if reason:
                yield host.refuse(path, reason, None)


def _as_sent(value: Any) -> Any:
    """A value as Ansible hands it to a module, where a date of YAML is its text."""
    if isinstance(value, Mapping):
        return {key: _as_sent(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_as_sent(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


def _refused(kind: Kind, element: Mapping[str, Any]) -> str | None:
    # A file named by `src` is on the operator host, which isn't asked here.
    given = {key: normal(_as_sent(value), kind.options[key]) for key, value in element.items() if key != "src"}
    if "src" in element:
        given.setdefault("value", "")
    reason = kind.wrong(given)
    if reason or given.get("state") == "absent":
        return reason
    # What is there already needs no more than what is to change; whether it is, isn't asked here.
    needed, wanted = ", ".join(kind.required), kind.wanted(given)
    return None if any(value is not None for value in wanted.values()) else f"{needed} must be given"
