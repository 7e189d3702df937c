# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the migration's Job runs: roles and databases of our server, the schema, the first accounts.

Each part does only what is missing. With COMPARE it tells whether the schema is another one, and leaves it as it is.
What it answers goes to the pod's termination message, as JSON.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
from typing import Any

import psycopg2
from psycopg2 import sql

GIVEN = json.loads(os.environ["GIVEN"])
ACCOUNTS = json.loads(os.environ["ACCOUNTS"])


def libpq(url: str) -> str:
    """SQLAlchemy's URL as libpq reads it."""
    return url.replace("postgresql+psycopg2:", "postgresql:", 1)


def databases() -> None:
    """Roles with their passwords, and a database for each."""
    connection = psycopg2.connect(libpq(os.environ["SERVER"]))
    connection.autocommit = True
    cursor = connection.cursor()
    for one in GIVEN["databases"]:
        role, name = sql.Identifier(one["user"]), sql.Identifier(one["name"])
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [one["user"]])
        if not cursor.fetchone():
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(one["password"])))
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [one["name"]])
        if not cursor.fetchone():
            cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, role))
        cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    connection.close()


def rows(statement: str) -> list[Any]:
    """The first column of a query to the metadata database."""
    url = libpq(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return [row[0] for row in cursor.fetchall()]


def another_key() -> bool:
    """Whether what is encrypted in the metadata database was encrypted with another key than this deployment's."""
    from cryptography.fernet import Fernet, InvalidToken, MultiFernet

    if not rows("SELECT tablename FROM pg_tables WHERE tablename = 'connection'"):
        return False
    keys = MultiFernet([Fernet(key) for key in os.environ["AIRFLOW__CORE__FERNET_KEY"].split(",")])

    def readable(text: str) -> bool:
        try:
            return bool(keys.decrypt(text.encode()))
        except InvalidToken:
            return False

    held = rows(
        "SELECT password FROM connection WHERE is_encrypted AND password <> '' "
        "UNION ALL SELECT extra FROM connection WHERE is_extra_encrypted AND extra <> '' "
        "UNION ALL SELECT val FROM variable WHERE is_encrypted AND val <> ''"
    )
    return bool(held) and not any(readable(text) for text in held)


def differs() -> bool:
    """Whether the schema, Airflow's or FAB's, is another than this image's."""
    from alembic.script import ScriptDirectory

    (root,) = importlib.util.find_spec("airflow").submodule_search_locations
    for table, place in {"alembic_version": "migrations", "alembic_version_fab": "providers/fab/migrations"}.items():
        there = rows(f"SELECT tablename FROM pg_tables WHERE tablename = '{table}'")
        found = rows(f"SELECT version_num FROM {table}") if there else []
        if sorted(found) != sorted(ScriptDirectory(os.path.join(root, place)).get_heads()):
            return True
    return False


def migrate() -> list[str]:
    """Bring the schema to the release's, unless a newer one has been here."""
    from airflow.utils import db
    from alembic.util import CommandError

    script = db._get_script_object()

    def known(head: str) -> bool:
        try:
            return script.get_revision(head) is not None
        except CommandError:
            return False

    there = rows("SELECT tablename FROM pg_tables WHERE tablename = 'alembic_version'")
    before = rows("SELECT version_num FROM alembic_version") if there else []
    unknown = [head for head in before if not known(head)]
    if unknown:
        raise SystemExit(
            f"The metadata database is at {', '.join(unknown)}, which this image does not know: a newer Airflow has "
            "migrated it, and it can't go back. Deploy that version again, or restore a backup."
        )
    db.upgradedb()
    return rows("SELECT version_num FROM alembic_version")


def another_password(held: str | None, password: str) -> bool:
    from werkzeug.security import check_password_hash

    return not check_password_hash(held or "", password)


def accounts() -> list[str]:
    """The administrator and the collection's own account. One without a password can't log in with one; a declared
    one is kept up."""
    there = dict(rows("SELECT json_build_array(username, password) FROM ab_user"))
    missing = [one for one in ACCOUNTS if one["username"] not in there]
    declared = [one["username"] for one in ACCOUNTS if one["update_password"] == "always" and one["username"] in there]
    renewed = [name for name in declared if another_password(there[name], GIVEN["passwords"][name])]
    if missing or renewed:
        from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

        with get_application_builder() as builder:
            for name in renewed:
                if not builder.sm.reset_password(builder.sm.find_user(username=name).id, GIVEN["passwords"][name]):
                    raise SystemExit(f"FAB refused to change the password of {name}")
            for one in missing:
                name, role = one["username"], builder.sm.find_role(one["role"])
                password = GIVEN["passwords"].get(name) or secrets.token_urlsafe(32)
                if not builder.sm.add_user(name, name, "", one["email"], role, password):
                    raise SystemExit(f"FAB refused to make {name}; is the e-mail address taken?")
    return [one["username"] for one in missing]


if GIVEN["databases"]:
    databases()
if another_key():
    raise SystemExit(
        "The metadata database holds connections or variables that were encrypted with another Fernet key than this "
        "deployment's, which could read none of them. Give airflow_fernet_key, or restore the Secret that had it."
    )
answer = {"differs": differs()} if os.environ.get("COMPARE") else {"heads": migrate(), "created": accounts()}
with open("/dev/termination-log", "w", encoding="utf-8") as stream:
    json.dump(answer, stream)
