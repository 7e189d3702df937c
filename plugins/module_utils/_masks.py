# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. What Airflow masks by its name, and walks through values that may hold such."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._client import AirflowApiError

MASK = "***"
FEW = 50  # texts that are found sooner one after the other
Path = tuple[Any, ...]
# What every supported Airflow takes for the name of a secret, and what 3.2 and 3.3 do besides (its
# `DEFAULT_SENSITIVE_FIELDS`, without those that others contain). tests/matrix compares them with each version's.
EVER = (
    "access_key|access_token|api_key|apikey|authorization|connection_string|passphrase|passwd|password|private_key|"
    "proxy|proxies|secret|service_account|token|keyfile_dict"
)
_SENSITIVE_EVER = re.compile(EVER)
_SENSITIVE = re.compile(f"{EVER}|auth_header|bearer|dsn|service_key|webhook_url")
DEEPEST = 100  # levels of nesting: far more than anybody means, far less than Python walks through


def sensitive(name: object, ever: bool = False) -> bool:
    """Airflow's own rule: whether a value of this name is a secret; `ever`: to each supported version."""
    words = _SENSITIVE_EVER if ever else _SENSITIVE
    return isinstance(name, str) and bool(words.search(re.sub(r"\W+", "_", name.strip().lower())))


def deep(value: Any) -> bool:
    """Whether a value is nested too deeply to be walked through, by us or by Airflow."""
    level = [value]
    for _number in range(DEEPEST):
        nested = [one for one in level if isinstance(one, (dict, list, tuple))]
        level = [element for one in nested for element in (one.values() if isinstance(one, dict) else one)]
        if not level:
            return False
    return True


def parsed(text: str, **how: Any) -> Any:
    """JSON that can be walked through. What is JSON and can't be is Unreadable, what is none another ValueError."""
    try:
        value = json.loads(text, **how)
    except RecursionError:
        raise Unreadable from None
    except json.JSONDecodeError:
        raise
    except ValueError:
        raise Unreadable("holds a number of more digits than Python reads") from None
    if text.count("[") + text.count("{") > DEEPEST and deep(value):  # to count takes no time
        raise Unreadable
    return value


class Unreadable(ValueError):
    """Airflow would store it, and from then on fail whenever it is asked for it or for a list with it."""

    def __init__(self, why: str = f"is nested in more than {DEEPEST} levels") -> None:
        super().__init__(why)


def masked(value: Any, name: object = None) -> Any:
    """A value without its secrets: the server may be told not to mask by name, so this doesn't rely on it."""
    if isinstance(value, dict):
        return {key: masked(one, name if sensitive(name) else key) for key, one in value.items()}
    if isinstance(value, list):
        return [masked(one, name if sensitive(name) else None) for one in value]
    return MASK if value is not None and sensitive(name) else value


def masked_text(text: str | None, name: str | None = None) -> str | None:
    """The same for a text that may be JSON. Without a secret in it, it stays letter by letter."""
    try:
        value = parsed(text or "")
    except Unreadable:
        return MASK  # what it holds is not known
    except ValueError:
        return masked(text or None, name) or text
    shown = masked(value, name)
    return text if shown == value else json.dumps(shown)


def extra_of(connection: Mapping[str, Any]) -> dict[str, Any]:
    """A connection's extra as the API gives it; nothing for what is no JSON object, which no API can have written."""
    try:
        extra = parsed(connection.get("extra") or "{}")
    except Unreadable as exc:
        raise AirflowApiError(f"The extra of connection {connection.get('connection_id')} {exc}") from None
    except ValueError:
        return {}
    return extra if isinstance(extra, dict) else {}


class Number(float):
    """A number of JSON that knows how it was spelled, which may say more than a float holds: 3.10, 8e1234567890."""

    def __new__(cls, text: str) -> Number:
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str

    @property
    def exact(self) -> bool:
        return repr(float(self)) == self.text


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value in nested dictionaries that is none itself, with the keys that lead to it."""
    if value and isinstance(value, (dict, Mapping)):  # a plain dictionary is known as such ten times faster
        for key, element in value.items():
            yield from leaves(element, (*path, key))
    else:
        yield path, value


def numbers(value: Any) -> Iterator[Number]:
    """Every number anywhere in a value that knows its spelling."""
    if isinstance(value, Number):
        yield value
    elif isinstance(value, (list, tuple)):
        for element in value:
            yield from numbers(element)
    elif isinstance(value, (dict, Mapping)):
        for element in value.values():
            yield from numbers(element)


def texts(value: Any) -> Iterator[str]:
    """Every text anywhere in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for element in value:
            yield from texts(element)
    elif isinstance(value, (dict, Mapping)):
        for element in value.values():
            yield from texts(element)


def without(value: Any, secrets: Mapping[int, set[str]]) -> Any:
    """A value in which no text of `secrets`, which are given by their lengths, is left. Ansible's own way compares each
    text with each secret, which takes minutes for some thousands of both."""
    lengths = sorted(secrets, reverse=True)

    def clean(one: Any) -> Any:
        if isinstance(one, str):  # most of them by far, so asked first
            for length in lengths:
                known, places = secrets[length], range(len(one) - length + 1)
                if len(known) <= FEW:
                    found = {text for text in known if text in one}
                else:  # one look at each place, whatever their number; one by one, since the text may be long
                    found = {text for at in places if (text := one[at : at + length]) in known}
                for text in found:
                    one = one.replace(text, "*" * 8)
            return one
        if isinstance(one, (dict, Mapping)):  # a plain dictionary is known as such ten times faster
            return {key: clean(element) for key, element in one.items()}
        return [clean(element) for element in one] if isinstance(one, (list, tuple)) else one

    return clean(value)
