# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. Between Ansible and the rules: variables in, which may be templates, a result out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible.errors import AnsibleError, AnsibleUndefinedVariable, AnsibleValueOmittedError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from .contract import Contract
from .deployment import Finding
from .engine import Given
from .types import Unreadable, near, ours

_OMITTED = object()


def given(contract: Contract, variables: Mapping[str, Any], templar: Templar) -> Given:
    """A host's airflow_* variables. Those that the contract doesn't know are not even evaluated."""
    values: dict[str, Any] = {}
    for name in variables:
        if name in contract.options:
            values[name] = _plain(variables[name], templar)
        elif name.startswith("airflow_") or (ours(name) and near(name, contract.options)):
            values[name] = None
    reached = (_plain(variables.get(name, ""), templar) for name in ("ansible_host", "ansible_connection"))
    return Given(
        {name: value for name, value in values.items() if value is not _OMITTED},
        *(value if isinstance(value, str) else "" for value in reached),
    )


@contextmanager
def decrypted(loader: DataLoader, path: str) -> Iterator[str]:
    """A file that may be encrypted by Vault as one that is not, for as long as it is looked at; or ""."""
    try:
        real = loader.get_real_file(path)
    except AnsibleError:
        yield ""
        return
    try:
        yield real
    finally:
        loader.cleanup_tmp_file(real)


REFUSAL = "this can't be deployed:"


def result(findings: Iterable[Finding], refusal: str = REFUSAL, **also: Any) -> dict[str, Any]:
    """All findings at once: refusals fail the task, warnings are shown as Ansible shows its own."""
    refused = [str(finding) for finding in findings if not finding.warning]
    warnings = [str(finding) for finding in findings if finding.warning]
    verdict = {"failed": True, "msg": "\n".join([refusal, *refused])} if refused else also
    return {"changed": False, **verdict, **({"warnings": warnings} if warnings else {})}


def _plain(value: Any, templar: Templar) -> Any:
    """Evaluate element by element, so that a mistake in one is that element's finding."""
    if isinstance(value, Mapping):
        elements = {key: _plain(element, templar) for key, element in value.items()}
        return {key: element for key, element in elements.items() if element is not _OMITTED}
    if isinstance(value, (list, tuple)):
        return [element for element in (_plain(element, templar) for element in value) if element is not _OMITTED]
    try:
        return templar.template(value)
    except AnsibleValueOmittedError:
        return _OMITTED
    except AnsibleUndefinedVariable as exc:
        # Only a name is passed on: what a lookup or a filter says may hold what it was given.
        name = re.fullmatch(r"'[\w.]+' is undefined", str(exc))
        return Unreadable(f"can't be evaluated: {name[0] if name else 'something in it is undefined'}")
    except AnsibleError:
        return Unreadable("can't be evaluated: a filter or lookup fails, or the vault password is not the right one")
