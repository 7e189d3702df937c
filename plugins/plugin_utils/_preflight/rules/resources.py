# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. What lives inside Airflow, checked by the declarations of the modules that manage it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from ....module_utils._resource import Resource, plan
from ....modules import pool
from ..deployment import Finding, Host
from ..registry import each_host
from ..types import normal, problems

# A list of objects, what its elements may hold (the module's own options), and Airflow's rules about them.
RESOURCES: dict[str, tuple[Mapping[str, Any], Resource]] = {
    "airflow_pools": (yaml.safe_load(pool.DOCUMENTATION)["options"], pool.POOL),
}


@each_host
def resource(host: Host) -> Iterator[Finding]:
    """Elements of `airflow_pools` are what module `windward.airflow.pool` takes, each once."""
    for variable, (options, kind) in RESOURCES.items():
        seen: set[str] = set()
        declared = {"type": "list", "elements": "dict", "options": options}
        wrong = list(problems(variable, host[variable], declared))
        for problem in wrong:
            yield host.refuse(problem.path, problem.text, None if problem.secret else problem.value)
        for element in [] if wrong else host[variable]:
            name = element[kind.key]
            path = f"{variable}[{name}]"
            if name in seen:
                yield host.refuse(path, "is declared twice; keep one", None)
            seen.add(name)
            reason = _refused(kind, options, name, element)
            if reason:
                yield host.refuse(path, reason, None)


def _refused(kind: Resource, options: Mapping[str, Any], name: str, element: Mapping[str, Any]) -> str | None:
    state = element.get("state", "present")
    wanted = {field: normal(element.get(field), options[field]) for field in kind.fields}
    missing = [field for field in kind.required if state == "present" and wanted[field] is None]
    if missing:
        return f"{', '.join(missing)} must be given"
    # What is there already is unknown here, so ask as for a new one, and as for one that is to go.
    current = {**kind.defaults, **wanted} if state == "absent" else None
    return kind.refuse(name, plan(current, wanted, state, kind.defaults))
