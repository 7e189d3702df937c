# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. How a deployment's secrets are completed, wherever they are kept."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Collection, Mapping


class LostSecrets(Exception):
    """Secrets that an old deployment had, by name."""


def generated(name: str) -> str:
    """Return a new secret; a Fernet key has a form of its own."""
    if name == "fernet_key":
        return base64.urlsafe_b64encode(os.urandom(32)).decode()
    return secrets.token_urlsafe(24 if name.endswith("password") else 64)


def completed(
    held: Mapping[str, str],
    names: Collection[str],
    given: Mapping[str, str],
    generate: bool,
    expendable: Collection[str],
) -> dict[str, str]:
    """Return every secret of ``names``: a given one wins, one that is held is kept, a missing one is made if it may."""
    wanted = {**held, **{name: value for name, value in given.items() if value and name in names}}
    missing = [name for name in names if not wanted.get(name)]
    lost = [] if generate else [name for name in missing if name not in expendable]
    if lost:
        raise LostSecrets(", ".join(lost))
    return {**wanted, **{name: generated(name) for name in missing}}


def difference(before: Mapping[str, str], after: Mapping[str, str], place: str) -> dict[str, str]:
    """Return a diff with the names of what changes, and no value."""
    differing = sorted(name for name in {*before, *after} if after.get(name) != before.get(name))
    return {"before": "", "after": "".join(f"{name}: changed\n" for name in differing), "after_header": place}
