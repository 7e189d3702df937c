# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. Names that nobody reads."""

from __future__ import annotations

from collections.abc import Iterator

from ..deployment import Deployment, Finding, Host
from ..registry import each_host, whole
from ..types import near

OWN = "if it is your own, list it in airflow_ignore_variables"


@each_host
def unknown_variable(host: Host) -> Iterator[Finding]:
    """Every `airflow_*` variable is one of the contract's, or listed in `airflow_ignore_variables`."""
    for name in sorted(host.others - set(host["airflow_ignore_variables"])):
        meant = near(name, host.deployment.contract.options)
        if meant:
            yield host.refuse(name, f"is no variable of this collection: did you mean {meant}? ({OWN})")
        else:
            yield host.warn(name, f"is no variable of this collection and changes nothing; {OWN}")


@whole
def unknown_group(deployment: Deployment) -> Iterator[Finding]:
    """Every `airflow_*` group is one of the collection's, or listed in `airflow_ignore_variables`."""
    own = {name for host in deployment.targets for name in host["airflow_ignore_variables"]}
    known = deployment.contract.groups
    for name in sorted(set(deployment.groups) - set(known) - own):
        if not name.startswith("airflow_"):
            continue
        meant = near(name, known)
        if meant:
            yield deployment.group(name, f"is no group of this collection: did you mean {meant}? ({OWN})")
        else:
            yield deployment.group(name, f"is no group of this collection and places nothing; {OWN}", warning=True)
