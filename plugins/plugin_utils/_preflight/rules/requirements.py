# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. What users add to a release."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..deployment import Finding, Host
from ..registry import each_host
from ..versions import canonical
from ..versions import requirement as parsed

AIRFLOW = ("apache-airflow", "apache-airflow-core")


@each_host
def requirement(host: Host) -> Iterator[Finding]:
    """Requirements are PEP 508, and agree with what the release pins: Airflow itself first of all."""
    version = host["airflow_version"]
    pins = host.deployment.contract.pins(version)
    for index, text in enumerate(host["airflow_requirements"]):
        path = f"airflow_requirements[{index}]"
        if text.lstrip().startswith(("-", "#")):
            yield host.refuse(path, "is a line of a requirements file; give one requirement per list element", text)
            continue
        wanted = parsed(text)
        if wanted is None:
            yield host.refuse(path, "is no requirement (PEP 508) such as pandas>=2,<3", text)
            continue
        name = canonical(wanted.name)
        pinned = {version} if name in AIRFLOW else pins.get(name, set())
        fits = any(wanted.specifier.contains(pin, prereleases=True) for pin in pinned)
        if name in AIRFLOW and (wanted.url or not fits):
            yield host.refuse(path, f"pins another Airflow than airflow_version ({version}); leave it out", text)
        elif pinned and not fits:
            yield host.refuse(
                path, f"Airflow {version} has {name} {' or '.join(sorted(pinned))} locked; widen it", text
            )


@each_host
def system_package(host: Host) -> Iterator[Finding]:
    """System packages are names, with or without a version."""
    for index, name in enumerate(host["airflow_system_packages"]):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+._:~-]*(=[A-Za-z0-9+._:~-]+)?", name):
            yield host.refuse(f"airflow_system_packages[{index}]", "is no name of a package", name)
