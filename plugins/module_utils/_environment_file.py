# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: it may change without notice.

"""Environment files in the syntax of systemd.exec(5), written so that they can be read back."""

from __future__ import annotations

import re

_ESCAPED = re.compile(r'(["\\$`])')
_UNESCAPED = re.compile(r'\\(["\\$`])')
_LINE = re.compile(r'^([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"$', re.MULTILINE)


def render(variables: dict[str, str]) -> str:
    """Return the file's text for ``variables``, sorted by name."""
    lines = ['{}="{}"\n'.format(name, _ESCAPED.sub(r"\\\1", value)) for name, value in sorted(variables.items())]
    return "".join(lines)


def parse(text: str) -> dict[str, str]:
    """Return the variables of a text that :func:`render` made."""
    return {name: _UNESCAPED.sub(r"\1", value) for name, value in _LINE.findall(text)}
