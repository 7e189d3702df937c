# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. Roles and users, checked by the declarations of the modules that manage them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from ....module_utils._resource import Plan, Resource
from ....modules import role, user
from ..deployment import Finding, Host
from ..registry import each_host
from ..types import problems

_USER = yaml.safe_load(user.DOCUMENTATION)["options"]
ACCOUNTS: dict[str, tuple[Mapping[str, Any], Resource]] = {
    "airflow_roles": (yaml.safe_load(role.DOCUMENTATION)["options"], role.ROLE),
    "airflow_users": ({**_USER, "password": {**_USER["password"], "no_log": True}}, user.USER),
}


@each_host
def account(host: Host) -> Iterator[Finding]:
    """Elements of `airflow_roles` and `airflow_users` are what the modules take, each once, whole enough to be made."""
    for variable, declared in host.items(*ACCOUNTS):
        options, kind = ACCOUNTS[variable]
        seen: set[str] = set()
        for index, element in enumerate(declared):
            path = f"{variable}[{_label(index, element, kind.key)}]"
            wrong = list(problems(path, element, {"type": "dict", "options": _specs(options)}))
            for problem in wrong:
                yield host.refuse(problem.path, problem.text, None if problem.secret else problem.value)
            if wrong:
                continue
            name = str(element[kind.key])
            same = name.lower() if kind is user.USER else name  # to FAB, too
            if same in seen:
                yield host.refuse(path, "is declared twice; keep one", None)
            seen.add(same)
            reason = _refused(kind, name, element)
            if reason:
                yield host.refuse(path, reason, None)


def _label(index: int, element: Any, key: str) -> str:
    """An element by its name where it has one: people don't count list elements."""
    name = element.get(key) if isinstance(element, dict) else None
    return name if isinstance(name, str) and name else str(index)


def _specs(options: Mapping[str, Any]) -> dict[str, Any]:
    """Documentation says `suboptions` where argument specs say `options`."""
    return {name: {**option, "options": option.get("suboptions")} for name, option in options.items()}


def _refused(kind: Resource, name: str, element: Mapping[str, Any]) -> str | None:
    if element.get("state") == "absent":
        return kind.refuse(name, Plan("delete", {}, {}))
    missing = [field for field in kind.required if element.get(field) is None]
    if missing:
        return f"{', '.join(missing)} must be given"
    given = {field: element[field] for field in kind.fields if element.get(field) is not None}
    return kind.refuse(name, Plan("create", {}, given, tuple(given)))
