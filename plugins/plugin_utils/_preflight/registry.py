# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. How a rule is registered: by the decorator that says what it is asked with."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .deployment import Deployment, Finding, Host

HostRule = Callable[[Host], Iterable[Finding]]
DeploymentRule = Callable[[Deployment], Iterable[Finding]]

HOST_RULES: list[HostRule] = []
DEPLOYMENT_RULES: list[DeploymentRule] = []
FOUND_RULES: list[HostRule] = []
CLUSTER_RULES: list[HostRule] = []
REMOVAL_RULES: list[HostRule] = []


def each_host(rule: HostRule) -> HostRule:
    """Asked for each host that is deployed to; what it finds on all of them is said once."""
    HOST_RULES.append(rule)
    return rule


def whole(rule: DeploymentRule) -> DeploymentRule:
    """Asked once, with the whole deployment."""
    DEPLOYMENT_RULES.append(rule)
    return rule


def when_found(rule: HostRule) -> HostRule:
    """Asked for one host, after `host.found` was read there."""
    FOUND_RULES.append(rule)
    return rule


def when_cluster_found(rule: HostRule) -> HostRule:
    """Asked for the host of a cluster, after `host.found` was read there."""
    CLUSTER_RULES.append(rule)
    return rule


def also_when_removed(rule: HostRule) -> HostRule:
    """Asked before what was deployed in the cluster is removed, too."""
    REMOVAL_RULES.append(rule)
    return rule
