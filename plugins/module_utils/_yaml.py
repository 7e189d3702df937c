# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. Writes the little YAML that a vars file needs; no library for it is sure to be there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_PLAIN_KEY = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z_][a-z0-9_]*", re.IGNORECASE)
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


class Template(str):
    """A text that Ansible is to evaluate. Every other text with braces must arrive as it is."""


def quoted(text: str) -> str:
    """Always in double quotes, so that no text is read as something else."""
    escaped = _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))
    return escaped if isinstance(text, Template) or not re.search(r"\{[{%#]", text) else f"!unsafe {escaped}"


def scalar(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    text = json.dumps(value)
    text = {"NaN": ".nan", "Infinity": ".inf", "-Infinity": "-.inf"}.get(text, text)
    return re.sub(r"^(-?\d+)e", r"\1.0e", text)  # without the point YAML reads a text


def lines(value: Any) -> Iterator[str]:
    """A value as lines without indentation of their own; one line if it is no collection, or an empty one."""
    if isinstance(value, dict) and value:
        for key, element in value.items():
            name = key if _PLAIN_KEY.fullmatch(key) else quoted(key).removeprefix("!unsafe ")
            yield from _entry(f"{name}:", element)
    elif isinstance(value, list) and value:
        for element in value:
            first, *rest = lines(element)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield scalar(value)


def _entry(head: str, value: Any) -> Iterator[str]:
    inner = list(lines(value))
    if isinstance(value, (dict, list)) and value:
        yield head
        yield from (f"  {line}" for line in inner)
    else:
        yield f"{head} {inner[0]}"


def document(value: dict[str, Any]) -> str:
    return "\n".join(["---", *lines(value), ""])
