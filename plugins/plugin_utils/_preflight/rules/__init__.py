# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. The rules of preflight, a file per topic; a new file is imported here.

A rule is a function under one of the decorators of registry.py. Its docstring is one line that the README of
role `airflow` shows, its findings name a variable and say what to do, and a row of
tests/unit/test_preflight_rules.py makes it speak.
"""

from __future__ import annotations

from ..registry import CLUSTER_RULES, DEPLOYMENT_RULES, FOUND_RULES, HOST_RULES, REMOVAL_RULES
from . import (
    accounts,
    airflow_options,
    broker,
    cluster,
    cluster_found,
    data,
    files,
    found,
    hosts,
    image,
    kind,
    logs,
    names,
    proxy,
    requirements,
    resources,
    secrets,
    topology,
)

__all__ = [
    "CLUSTER_RULES",
    "DEPLOYMENT_RULES",
    "FOUND_RULES",
    "HOST_RULES",
    "REMOVAL_RULES",
    "accounts",
    "airflow_options",
    "broker",
    "cluster",
    "cluster_found",
    "data",
    "files",
    "found",
    "hosts",
    "image",
    "kind",
    "logs",
    "names",
    "proxy",
    "requirements",
    "resources",
    "secrets",
    "topology",
]
