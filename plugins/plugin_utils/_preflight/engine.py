# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. Types first, then the rules; what is the same on several hosts is said once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from .contract import Contract
from .deployment import Deployment, Finding, Host, Unusable
from .rules import CLUSTER_RULES, DEPLOYMENT_RULES, FOUND_RULES, HOST_RULES, REMOVAL_RULES
from .types import Problem, normal, problems, usable

Subject = TypeVar("Subject", Host, Deployment)


@dataclass(frozen=True)
class Given:
    """What is known of a host before the rules: its airflow_* variables, evaluated, and how Ansible reaches it."""

    variables: Mapping[str, Any] = field(default_factory=dict)
    address: str = ""
    connection: str = ""


def declared(
    contract: Contract,
    groups: Mapping[str, list[str]],
    given: Mapping[str, Given],
    real_file: Callable[[str], AbstractContextManager[str]] = nullcontext,
) -> list[Finding]:
    """What the inventory says, as far as it can be judged without asking any host."""
    whole, wrong = deployment(contract, groups, given)
    whole.real_file = real_file
    hosts = [finding for host in whole.targets for finding in _ask(HOST_RULES, host)]
    return _joined([*wrong, *hosts, *_ask(DEPLOYMENT_RULES, whole)], {host.name for host in whole.targets})


def found(host: Host, facts: Mapping[str, Any]) -> list[Finding]:
    """What one host turned out to be, against what it is to become."""
    host.found = facts
    return _joined(_ask(FOUND_RULES, host), {host.name})


def cluster_found(host: Host, facts: Mapping[str, Any]) -> list[Finding]:
    """What a cluster turned out to be, against what is to run there."""
    host.found = facts
    return _joined(_ask(CLUSTER_RULES, host), {host.name})


def cluster_removable(host: Host, facts: Mapping[str, Any]) -> list[Finding]:
    """Whether what was deployed there can be removed. Where there is no namespace, nothing is."""
    host.found = facts
    return _joined(_ask(REMOVAL_RULES if facts["namespace"] else [], host), {host.name})


def deployment(
    contract: Contract, groups: Mapping[str, list[str]], given: Mapping[str, Given]
) -> tuple[Deployment, list[Finding]]:
    """What the rules see, and what is wrong with the types of its variables."""
    whole = Deployment(contract, groups)
    wrong: list[tuple[str, Problem]] = []
    for name, host in given.items():
        known = {key: value for key, value in host.variables.items() if key in contract.options}
        whole.secrets.update(_texts([value for key, value in known.items() if contract.options[key].get("no_log")]))
        bad = {key: list(problems(key, value, contract.options[key])) for key, value in known.items()}
        wrong += [(name, problem) for found in bad.values() for problem in found]
        unusable = frozenset(key for key, found in bad.items() if not usable(found, contract.options[key]))
        values = {key: normal(known[key], contract.options[key]) for key in known.keys() - unusable}
        whole.hosts[name] = Host(
            name,
            whole,
            {**dict.fromkeys(contract.options), **contract.defaults, **values},
            unusable,
            frozenset(host.variables) - contract.options.keys(),
            host.address,
            host.connection,
        )
    findings = [
        replace(whole.hosts[name].refuse(p.path, p.text, None if p.secret else p.value), rule="types")
        for name, p in wrong
    ]
    return whole, findings


def _texts(value: Any) -> Iterator[str]:
    """Every text in a secret value; of a URL also the parts before its @."""
    if isinstance(value, str):
        user = re.search(r"://([^/\s]*)@", value)
        yield from filter(None, [value.strip(), *(user[1].split(":") if user else ())])
    for element in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(element)


def _ask(asked: list[Callable[[Subject], Iterable[Finding]]], subject: Subject) -> Iterator[Finding]:
    for rule in asked:
        try:
            for finding in rule(subject):
                yield replace(finding, rule=rule.__name__)
        except Unusable:
            continue


def _joined(findings: Iterable[Finding], everywhere: set[str]) -> list[Finding]:
    """Equal findings become one that names their hosts, or none if it is so on all of them."""
    hosts: dict[Finding, list[str]] = {}
    for finding in findings:
        hosts.setdefault(replace(finding, hosts=()), []).extend(finding.hosts)
    return sorted(
        (
            replace(one, hosts=() if everywhere <= set(names) else tuple(sorted(set(names))))
            for one, names in hosts.items()
        ),
        key=lambda finding: (finding.warning, finding.variable, finding.hosts),
    )
