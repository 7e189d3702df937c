# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Airflow masks by its name, and values that nobody can walk through."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._client import AirflowApiError
from ansible_collections.windward.airflow.plugins.module_utils._kinds import VARIABLE, content, hides_variable, stored
from ansible_collections.windward.airflow.plugins.module_utils._masks import (
    DEEPEST,
    Unreadable,
    deep,
    extra_of,
    masked_text,
    sensitive,
)
from ansible_collections.windward.airflow.plugins.module_utils._secrets import bare, carried, spared

EVER = {
    "access_key", "access_token", "api_key", "apikey", "authorization", "connection_string", "passphrase", "passwd",
    "password", "private_key", "proxy", "proxies", "secret", "token", "keyfile_dict", "service_account",
}  # fmt: skip
LATER = {"auth_header", "bearer", "dsn", "service_key", "webhook_url"}
DEEP = ["[" * 1200, "[" * 100000, '{"a":' * 5000, "[" * 200 + "]" * 200]


def test_the_names_that_airflow_takes_for_a_secret_s() -> None:
    """3.1.8's `DEFAULT_SENSITIVE_FIELDS`, and what 3.2.2 and 3.3.2 have besides; the matrix asks each version."""
    assert [name for name in EVER if not sensitive(name, ever=True)] == []
    assert [name for name in LATER if sensitive(name, ever=True) or not sensitive(name)] == []
    assert sensitive("My-API.Key ", ever=True) and not sensitive("host")


# -- what is sent back -------------------------------------------------------------------------------------------------


def ever(name: object) -> bool:
    return sensitive(name, ever=True)


def never(*_words: Any) -> bool:
    return False


@pytest.mark.parametrize(
    ("current", "wanted", "sent"),
    [
        ({"token": "***", "n": 1}, {"token": "t", "n": 2}, {"token": "***", "n": 2}),
        ({"l": [{"token": "***", "n": 1}]}, {"l": [{"token": "p", "n": 1}]}, {"l": [{"token": "***", "n": 1}]}),
        ({"token": ["***", "***"]}, {"token": ["a", "b"]}, {"token": ["***", "***"]}),
        ({"region": "***"}, {"region": "eu"}, {"region": "eu"}),
        ({"token": "***"}, {"token": "t", "new": {"secret": "s"}}, {"token": "***", "new": {"secret": "s"}}),
        ({"dsn": "pg://old-host/***"}, {"dsn": "pg://new-host/x"}, {"dsn": "pg://new-host/x"}),
        ({"l": [1, "***"]}, {"l": [2, "x"]}, {"l": [2, "x"]}),
    ],
)
def test_a_secret_that_is_there_stays(current: Any, wanted: Any, sent: Any) -> None:
    assert spared(current, wanted, ever, never) == sent


@pytest.mark.parametrize(
    ("current", "wanted", "name"),
    [
        ({"dsn": "***"}, {"dsn": "x"}, "dsn"),
        ({"db": {"dsn": "pg://u:***@h"}}, {"db": {"dsn": "pg://u:p@h"}}, "db.dsn"),
        ({"l": [{"dsn": "***"}]}, {"l": [{"dsn": "x"}]}, "l"),
        ({"l": [{"name": "a", "token": "***"}]}, {"l": [{"name": "b", "token": "x"}]}, "l"),
        ({"l": [{"token": "***"}]}, {"l": [{"token": "x"}, {"token": "y"}]}, "l"),
    ],
)
def test_a_secret_that_would_be_lost_is_named_unless_it_is_proved(current: Any, wanted: Any, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}$"):
        spared(current, wanted, ever, never)
    assert spared(current, wanted, ever, lambda path, _value: ".".join(path) == name) == wanted


def test_a_server_that_hides_nothing_restores_nothing() -> None:
    with pytest.raises(ValueError, match="token"):
        spared({"token": "***"}, {"token": "t"}, never, never)
    with pytest.raises(ValueError, match="token"):
        carried({"token": "***"}, never)


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        ({"password": "plain"}, True),
        ({"password": "x-***"}, True),
        ({"password": "***", "extra": '{"a": {"token": "plain"}}'}, True),
        ({"password": "***", "extra": '{"a": [{"token": "plain"}]}'}, True),
        ({"password": "***", "extra": '{"token": "***", "secret": {"a": "***", "b": ""}}'}, False),
        ({"password": "***", "extra": '{"dsn": "x", "pin_token": 3}'}, False),
        ({"password": None, "extra": None}, False),
    ],
)
def test_what_shows_that_nothing_is_hidden_by_its_name(row: Any, verdict: bool) -> None:
    assert bare(row) is verdict


def test_an_old_secret_is_not_shown_where_the_server_hides_nothing() -> None:
    element = {"key": "settings", "value": {"bucket": "x"}}
    assert hides_variable(element, "value", {"a": [{"password": "old"}]})
    assert not hides_variable(element, "value", {"a": [{"bucket": "old"}]})


# -- depth -------------------------------------------------------------------------------------------------------------


def nested(levels: int) -> Any:
    value: Any = "x"
    for number in range(levels):
        value = [value] if number % 2 else {"a": value}
    return value


def test_depth() -> None:
    assert not deep(nested(DEEPEST - 1)) and deep(nested(DEEPEST + 1)) and not deep("[" * 1200)


@pytest.mark.parametrize("text", DEEP)
def test_what_is_too_deep_is_said(text: str) -> None:
    with pytest.raises(Unreadable):
        content(text)
    assert "value is nested in more than 100 levels" in str(VARIABLE.wrong({"key": "k", "value": text}))
    assert stored(text) == text and masked_text(text) == "***"
    with pytest.raises(AirflowApiError, match="extra of connection c is nested"):
        extra_of({"connection_id": "c", "extra": text})


@pytest.mark.parametrize("text", ["1" * 5000, "-" + "1" * 5000, '{"a": [' + "1" * 5000 + "]}"])
def test_a_number_that_airflow_would_store_and_never_read_again(text: str) -> None:
    """Python reads no integer of more than 4300 digits (docs.python.org/3/library/stdtypes.html#int-max-str-digits)."""
    assert "value holds a number of more digits" in str(VARIABLE.wrong({"key": "k", "value": text}))
    assert stored(text) == text and masked_text(text) == "***"
    assert not VARIABLE.wrong({"key": "k", "value": f"is {text}"})
