# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When the Job that migrates refuses a database. The database itself is seen on a real cluster."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest
from cryptography.fernet import Fernet

SOURCE = (Path(__file__).parents[2] / "roles/kubernetes/files/migrate.py").read_text(encoding="utf-8")
KEY, OLD, OTHER = (Fernet.generate_key().decode() for _number in range(3))


def encrypted(key: str) -> str:
    return Fernet(key).encrypt(b"5ecret").decode()


@pytest.mark.parametrize(
    ("tables", "held", "keys", "refused"),
    [
        ([], [], KEY, False),
        (["connection"], [], KEY, False),
        (["connection"], [encrypted(KEY)], KEY, False),
        (["connection"], [encrypted(OLD)], f"{KEY},{OLD}", False),
        (["connection"], [encrypted(OTHER), encrypted(KEY)], KEY, False),  # one that is broken is nobody's key
        (["connection"], [encrypted(OTHER), encrypted(OTHER)], f"{KEY},{OLD}", True),
    ],
    ids=["new", "empty", "its own", "its former", "one readable", "none readable"],  # a key differs in each process
)
def test_a_database_of_another_key(
    monkeypatch: pytest.MonkeyPatch, tables: list[str], held: list[str], keys: str, refused: bool
) -> None:
    """What a lost Secret leaves behind: with a new key nothing stored could be read, and nobody would say so."""
    psycopg2 = ModuleType("psycopg2")
    psycopg2.sql = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "psycopg2", psycopg2)
    for name, value in {"GIVEN": "{}", "ACCOUNTS": "[]", "AIRFLOW__CORE__FERNET_KEY": keys}.items():
        monkeypatch.setenv(name, value)
    functions, _begin, _rest = SOURCE.partition('\nif GIVEN["databases"]:')
    names: dict[str, Any] = {}
    exec(compile(functions, "migrate.py", "exec"), names)
    names["rows"] = lambda statement: tables if "pg_tables" in statement else held
    assert names["another_key"]() is refused


@pytest.mark.parametrize(
    ("update", "another", "reset"), [("always", True, 1), ("always", False, 0), ("on_create", True, 0)]
)
def test_a_declared_password_is_kept_up_and_no_other(
    monkeypatch: pytest.MonkeyPatch, update: str, another: bool, reset: int
) -> None:
    psycopg2, utils, builder = ModuleType("psycopg2"), ModuleType("utils"), MagicMock()
    psycopg2.sql = None  # type: ignore[attr-defined]
    utils.get_application_builder = builder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "psycopg2", psycopg2)
    package = "airflow.providers.fab.auth_manager.cli_commands.utils"
    for at in range(1, package.count(".") + 1):
        monkeypatch.setitem(sys.modules, package.rsplit(".", at)[0], ModuleType("package"))
    monkeypatch.setitem(sys.modules, package, utils)
    account = {"username": "admin", "email": "a@example.org", "role": "Admin", "update_password": update}
    for name, value in {"GIVEN": {"passwords": {"admin": "p"}}, "ACCOUNTS": [account]}.items():
        monkeypatch.setenv(name, json.dumps(value))
    functions, _begin, _rest = SOURCE.partition('\nif GIVEN["databases"]:')
    names: dict[str, Any] = {}
    exec(compile(functions, "migrate.py", "exec"), names)
    names["rows"] = lambda _statement: [["admin", "a hash"]]
    names["another_password"] = lambda held, password: another and (held, password) == ("a hash", "p")
    assert names["accounts"]() == []
    assert builder.return_value.__enter__.return_value.sm.reset_password.call_count == reset
