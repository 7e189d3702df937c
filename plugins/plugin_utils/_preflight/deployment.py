# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. What a rule sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from .contract import Contract, shown

_OWN = object()  # "the value of the variable itself"


@dataclass(frozen=True)
class Finding:
    """`value` is ready to be shown, and empty when there is none or it is secret."""

    variable: str
    problem: str
    value: str = ""
    hosts: tuple[str, ...] = ()
    warning: bool = False
    rule: str = field(default="", compare=False)

    def __str__(self) -> str:
        more = f" and {len(self.hosts) - 4} more" if len(self.hosts) > 5 else ""
        names = self.hosts[:4] if more else self.hosts
        where = f" (on {', '.join(names)}{more})" if names else ""
        line = f"{self.variable}{where}: {self.value + ' - ' if self.value else ''}{self.problem}"
        # Keys of dictionaries are the user's, so they may be anything.
        return "".join(letter if letter.isprintable() else "?" for letter in line)[:500]


class Unusable(Exception):
    """A rule asked for a variable that already has a finding of its own; the engine then skips that rule."""


@dataclass
class Deployment:
    """All hosts of group `airflow` (and those to be removed), whatever the play or `--limit` says."""

    contract: Contract
    groups: Mapping[str, list[str]]
    hosts: dict[str, Host] = field(default_factory=dict)
    # A file of the controller as it is without Vault, or "" when it can't be decrypted.
    real_file: Callable[[str], AbstractContextManager[str]] = nullcontext
    secrets: set[str] = field(default_factory=set)  # texts that may not be shown as another variable's value either

    def members(self, group: str) -> list[str]:
        return list(self.groups.get(group, ()))

    @property
    def targets(self) -> list[Host]:
        """The hosts that are deployed to."""
        return [host for name, host in self.hosts.items() if name in self.members("airflow")]

    def group(self, name: str, problem: str, *, warning: bool = False) -> Finding:
        return Finding(f"group {name}", problem, warning=warning)


@dataclass
class Host:
    """One host's variables, by name: `host["airflow_version"]`. Every public variable is there and of its type."""

    name: str
    deployment: Deployment
    values: Mapping[str, Any]
    unusable: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()  # names of airflow_* variables that the contract doesn't know
    address: str = ""  # ansible_host
    connection: str = ""  # ansible_connection
    found: Mapping[str, Any] = field(default_factory=dict)  # what module `found` read there

    def __getitem__(self, name: str) -> Any:
        if name in self.unusable:
            raise Unusable(name)
        return self.values[name]

    def items(self, *names: str) -> list[tuple[str, Any]]:
        """Those of several variables that have no finding of their own, for rules that look at each by itself."""
        return [(name, self.values[name]) for name in names if name not in self.unusable]

    def option(self, section: str, option: str, default: Any = None) -> Any:
        """One of Airflow's own options, as the user gave it."""
        content = self["airflow_config"].get(section)
        return content.get(option, default) if isinstance(content, dict) else default

    def runs(self, component: str) -> bool:
        return self.name in self.deployment.members(self.deployment.contract.components[component]["group"])

    def components(self) -> list[str]:
        return [name for name in self.deployment.contract.components if self.runs(name)]

    def refuse(self, variable: str, problem: str, value: Any = _OWN, *, warning: bool = False) -> Finding:
        """A finding about a variable, or an element of one; pass the value unless it is the variable's own."""
        value = self.values.get(variable) if value is _OWN else value
        hide = value is None or value == "" or isinstance(value, (dict, list)) or self.hides(variable, value)
        return Finding(variable, problem, "" if hide else shown(value), (self.name,), warning)

    def warn(self, variable: str, problem: str, value: Any = _OWN) -> Finding:
        return self.refuse(variable, problem, value, warning=True)

    def hides(self, variable: str, value: Any) -> bool:
        """Whether a value is secret by its place, or because a secret was written into the wrong place."""
        text = str(value)
        return self.deployment.contract.is_secret(variable) or any(
            secret == text or (len(secret) >= 8 and secret in text) for secret in self.deployment.secrets
        )
