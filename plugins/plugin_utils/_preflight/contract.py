# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. What the role `airflow` states, read from its own files: one place for every fact."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from ...module_utils._components import is_sensitive

ROLES = Path(__file__).parents[3] / "roles"
# Groups besides those of components and services (vars/main).
OTHER_GROUPS = ("airflow", "airflow_cluster", "airflow_removed")
_USER_IN_URL = re.compile(r"(?<=://)[^/\s]*@")


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@cache
def _pins(version: str) -> dict[str, set[str]]:
    lock = ROLES / "systemd" / "files" / "locks" / version / "requirements.txt"
    pins: dict[str, set[str]] = {}
    for name, pin in re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)", lock.read_text("utf-8"), re.MULTILINE):
        pins.setdefault(name, set()).add(pin)
    return pins


@cache
def _airflow_options(version: str) -> dict[str, Any]:
    known: dict[str, Any] = json.loads((ROLES / "airflow" / "files" / "options" / f"{version}.json").read_text("utf-8"))
    return known


@dataclass(frozen=True)
class Contract:
    """Everything here is data; tests build a small one of their own."""

    options: Mapping[str, Mapping[str, Any]]
    defaults: Mapping[str, Any]
    releases: Mapping[str, Mapping[str, Any]]
    components: Mapping[str, Mapping[str, Any]]
    services: Mapping[str, Mapping[str, Any]]
    systems: tuple[Mapping[str, Any], ...]
    containers: Mapping[str, Mapping[str, Any]]
    volumes: Mapping[str, str]

    @classmethod
    def load(cls) -> Contract:
        role = ROLES / "airflow"
        constants = {k: v for path in sorted(role.glob("vars/main/*.yml")) for k, v in _load(path).items()}
        return cls(
            options=_load(ROLES / "preflight" / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"],
            defaults={k: v for path in sorted(role.glob("defaults/main/*.yml")) for k, v in _load(path).items()},
            releases=constants["__airflow_releases"],
            components=constants["__airflow_components"],
            services=constants["__airflow_services"],
            systems=tuple(constants["__airflow_systems"]),
            containers=constants["__airflow_containers"],
            volumes=constants["__airflow_volumes"],
        )

    @cached_property
    def groups(self) -> tuple[str, ...]:
        things = (*self.components.values(), *self.services.values())
        return (*OTHER_GROUPS, *(thing["group"] for thing in things))

    def pins(self, version: str) -> dict[str, set[str]]:
        """Versions that the release's lock has of each distribution; several when they depend on the Python."""
        return _pins(version) if version in self.releases else {}

    def airflow_options(self, version: str) -> dict[str, Any]:
        """`sections` with their options, and what `moved` where, of a release and the providers in its lock."""
        return _airflow_options(version) if version in self.releases else {"sections": {}, "moved": {}}

    def is_secret(self, variable: str) -> bool:
        """Whether the value at this path, such as `airflow_config.smtp.smtp_password`, must never be shown."""
        root, *rest = re.split(r"[.\[]", variable)
        if root == "ansible_host":
            return False
        if root not in self.options or self.options[root].get("no_log"):
            return True
        return root == "airflow_config" and len(rest) == 2 and is_sensitive(rest[0], rest[1])


def shown(value: Any) -> str:
    """A value as a person reads it: short, on one line, without what stands before the @ of a URL."""
    text = repr(_USER_IN_URL.sub("***@", value)) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:76]}...{text[0]}"
