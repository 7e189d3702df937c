# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which secrets does Airflow write into its audit log? Each is a new one, sent by one way, and then looked for."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ansible_collections.windward.airflow.plugins.module_utils._client import Client
from servers import ROOT, Airflow, Postgres

API = "/api/v2"
SECRET_NAMES = ("password", "secret key of extra", "nested secret key", "secret variable")
WHAT = (*SECRET_NAMES, "plain key of extra", "plain variable")
WAYS = ("a bulk request", "POST", "PATCH", "our modules")

Objects = tuple[dict[str, Any], list[dict[str, Any]]]


def new_secrets() -> dict[str, str]:
    return {what: secrets.token_hex(16) for what in WHAT}


def objects(tag: str, hidden: dict[str, str]) -> Objects:
    """A connection and two variables that hold these secrets."""
    extra = {
        "api_key": hidden["secret key of extra"],
        "nested": {"token": hidden["nested secret key"]},
        "region": hidden["plain key of extra"],
    }
    connection = {"connection_id": f"{tag}_c", "conn_type": "http", "password": hidden["password"], "extra": extra}
    return connection, [
        {"key": f"{tag}_api_key", "value": hidden["secret variable"]},
        {"key": f"{tag}_plain", "value": hidden["plain variable"]},
    ]


def encoded(connection: dict[str, Any]) -> dict[str, Any]:
    return {**connection, "extra": json.dumps(connection["extra"])}


def bulk(client: Client, tag: str) -> dict[str, str]:
    hidden = new_secrets()
    connection, variables = objects(tag, hidden)
    for path, entities in (("connections", [encoded(connection)]), ("variables", variables)):
        action = {"action": "create", "action_on_existence": "fail", "entities": entities}
        answer = client.request("PATCH", f"{API}/{path}", body={"actions": [action]})
        assert not answer["create"]["errors"], answer
    return hidden


def post(client: Client, tag: str) -> dict[str, str]:
    hidden = new_secrets()
    connection, variables = objects(tag, hidden)
    client.request("POST", f"{API}/connections", body=encoded(connection))
    for variable in variables:
        client.request("POST", f"{API}/variables", body=variable)
    return hidden


def patch(client: Client, tag: str) -> dict[str, str]:
    """Of what `post` made under the same tag."""
    hidden = new_secrets()
    connection, variables = objects(tag, hidden)
    client.request("PATCH", f"{API}/connections/{connection['connection_id']}", body=encoded(connection))
    for variable in variables:
        client.request("PATCH", f"{API}/variables/{variable['key']}", body=variable)
    return hidden


def modules(one: Airflow, tag: str) -> dict[str, str]:
    """Written by our own modules: what a person declares."""
    hidden = new_secrets()
    connection, variables = objects(tag, hidden)
    declared = {"connections": [connection], "variables": variables, "key": secrets.token_hex(16)}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as stream:
        json.dump(declared, stream)
        stream.flush()
        play(one, "tests/matrix/declared.yml", "-e", f"@{stream.name}")
    return hidden


def play(one: Airflow, *words: str, log: Path | None = None, lacks: str = "") -> str:
    environment = {
        **os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "NO_PROXY": "127.0.0.1",
        "AIRFLOW_API_URL": one.url, "AIRFLOW_API_USERNAME": "admin", "AIRFLOW_API_PASSWORD": one.password,
        "AIRFLOW_TEST_TEAM": one.team, "AIRFLOW_TEST_CONNECTION": "Enabled",
        "AIRFLOW_TEST_LACKS": lacks,
    }  # fmt: skip
    done = subprocess.run(
        ["ansible-playbook", *words], cwd=ROOT, env=environment, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if log:
        log.write_text(done.stdout)
    if done.returncode:
        raise RuntimeError(done.stdout[-4000:])
    return done.stdout


def measure(one: Airflow, database: Postgres) -> dict[str, list[str]]:
    """By way: which values can be read in the audit log, through the API or in its table."""
    with Client(one.url, username="admin", password=one.password) as client:
        # What Airflow has met as a secret is masked everywhere: no two ways share one.
        hidden = (bulk(client, "bulk"), post(client, "single"), patch(client, "single"), modules(one, "ours"))
        events = json.dumps(client.pages(f"{API}/eventLogs", "event_logs", {"order_by": "event_log_id"}))
    table = database.sql("select row_to_json(log) from log", one.database)
    for tag in ("bulk_c", "single_c", "ours_c"):  # else nothing could be found, whatever leaks
        assert tag in events and tag in table, f"the audit log doesn't tell of {tag}"
    return {
        way: [what for what, text in sent.items() if text in events or text in table]
        for way, sent in zip(WAYS, hidden, strict=True)
    }
