# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: it may change without notice.

"""Running code in a release's own interpreter, as the right user and with a component's own environment.

Where no release is named the module runs in a container of a component, which has all that by itself.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import tempfile
from typing import Any

from . import _environment_file

# Documented in doc_fragments/release.py.
OPTIONS: dict[str, Any] = {
    "release": {"type": "path"},
    "config_dir": {"type": "path", "default": "/etc/airflow"},
    "user": {"type": "str"},
}

# Imports nothing of Airflow, so it answers in a quarter of a second. libpq reads the URL that SQLAlchemy reads.
_QUERY = """
import json, os, sys
import psycopg2
request = json.load(sys.stdin)
url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg2:", "postgresql:", 1)
with psycopg2.connect(url) as connection:
    with connection.cursor() as cursor:
        cursor.execute(request["sql"], request["parameters"])
        json.dump(cursor.fetchall(), open(int(sys.argv[1]), "w"))
"""

# The same without importing Airflow.
_HEADS = """
import importlib.util, json, os, sys
from alembic.script import ScriptDirectory
(root,) = importlib.util.find_spec("airflow").submodule_search_locations
places = {"alembic_version": "migrations", "alembic_version_fab": "providers/fab/migrations"}
found = {table: ScriptDirectory(os.path.join(root, place)).get_heads() for table, place in places.items()}
json.dump(found, open(int(sys.argv[1]), "w"))
"""


class ReleaseError(Exception):
    """A program in the release's interpreter failed; the message is the end of what it said."""


def environment(options: dict[str, Any], component: str = "operator") -> dict[str, str]:
    """Return the environment that systemd gives to ``component``, or the operator's: hosts with the keys have it."""
    if not options["release"]:
        return dict(os.environ)
    with open(os.path.join(options["config_dir"], "environment", component), encoding="utf-8") as stream:
        return _environment_file.parse(stream.read())


def run(
    program: str, release: str | None, user: str | None, variables: dict[str, str], request: Any, timeout: int = 600
) -> Any:
    """Run Python source in ``release`` as ``user``; hand it ``request`` and return its answer, both as JSON.

    The program reads standard input and writes its answer to the file descriptor named by its only argument, so that
    nothing that Airflow or a DAG prints is taken for the answer. Neither request nor environment is on a command line.
    """
    python = os.path.join(release, "bin", "python") if release else sys.executable
    account: dict[str, Any] = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as answer:
        process = subprocess.Popen(
            [python, "-c", program, str(answer.fileno())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd="/", env=variables, pass_fds=(answer.fileno(),), umask=0o027, **account,
        )
        try:
            said, _nothing = process.communicate(json.dumps(request), timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _nothing = process.communicate()
            raise ReleaseError(f"it took longer than {timeout} s\n{said[-2000:]}") from None
        answer.seek(0)
        text = answer.read()
    if process.returncode != 0 or not text:
        raise ReleaseError(f"it ended with {process.returncode}\n{said[-4000:]}")
    return json.loads(text)


def query(
    sql: str, parameters: list[Any], release: str | None, user: str | None, variables: dict[str, str]
) -> list[Any]:
    """Ask the metadata database with the driver of ``release`` and return the rows."""
    request = {"sql": sql, "parameters": parameters}
    rows: list[Any] = run(_QUERY, release, user, variables, request, timeout=60)
    return rows


def wanted_heads(release: str | None) -> dict[str, list[str]]:
    """Return the migration heads of ``release`` by version table, as they were read when it was built."""
    if not release:
        found: dict[str, list[str]] = run(_HEADS, None, None, dict(os.environ), None, timeout=60)
        return found
    with open(os.path.join(release, "release.json"), encoding="utf-8") as stream:
        heads_by_table: dict[str, list[str]] = json.load(stream)["heads"]
    return heads_by_table


def heads(release: str | None, user: str | None, variables: dict[str, str]) -> dict[str, list[str]]:
    """Return the migration heads of the metadata database, of the version tables that are there."""
    tables = [table for (table,) in query(
        "SELECT tablename FROM pg_tables WHERE tablename = ANY(%s) AND schemaname = current_schema()",
        [sorted(wanted_heads(release))], release, user, variables)]
    union = " UNION ALL ".join(f"SELECT '{table}', version_num FROM {table}" for table in tables)
    rows = query(union, [], release, user, variables) if tables else []
    return {table: sorted(head for name, head in rows if name == table) for table in tables}
