# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. Nested dictionaries that are merged with what is there. Lists and values are replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ._masks import Path


def rest(current: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """What is there and not declared, at any depth."""
    found = {}
    for key, value in current.items():
        if key not in declared:
            found[key] = value
        elif _both(value, declared[key]) and (below := rest(value, declared[key])):
            found[key] = below
    return found


def narrowed(current: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """What is there without that rest."""
    return {key: narrowed(value, declared[key]) if _both(value, declared[key]) else value
            for key, value in current.items() if key in declared}  # fmt: skip


def joined(left: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """The rest and what is declared."""
    return {**left, **{key: joined(left[key], value) if key in left and _both(left[key], value) else value
                       for key, value in declared.items()}}  # fmt: skip


def replaced(current: Mapping[str, Any], declared: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    """The places at which a merge puts something else, whatever is below them."""
    for key, value in declared.items():
        if key in current and _both(current[key], value):
            yield from replaced(current[key], value, (*path, key))
        else:
            yield (*path, key)


def _both(one: Any, other: Any) -> bool:
    return isinstance(one, Mapping) and isinstance(other, Mapping)
