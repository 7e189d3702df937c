# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. Versions and requirements, by `packaging`, which ansible-core brings.

Imported when it is used: the import check of ansible-test has Ansible without what Ansible needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def requirement(text: str) -> Requirement | None:
    """A requirement by PEP 508, or nothing if the text is none."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


def fits(version: str, specifiers: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return version in SpecifierSet(specifiers)


def newer(one: str, other: str) -> bool:
    """Whether the first is newer; what is no version is not."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(one) > Version(other)
    except InvalidVersion:
        return False
