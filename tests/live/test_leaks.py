# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets that modules were given are nowhere but where they belong.

Every module of the group runs with fresh secrets, in check mode and for real, with diff and -vvv, where it works and
where it fails. What the deployment's host keeps is searched by tests/deployment: it finds the secrets in the file that
AIRFLOW_TEST_SECRETS names.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import yaml
from ansible_collections.windward.airflow.plugins.module_utils._client import Client
from ansible_collections.windward.airflow.plugins.module_utils._secrets import unpack
from conftest import Run

ROOT = Path(__file__).parents[2]
GROUP = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["action_groups"]["airflow"]
DAG = os.environ.get("AIRFLOW_TEST_DAG", "example_dag")
NAMES = ("password", "token", "inner", "uri", "value", "json", "file", "login", "wrong_login", "wrong_token", "key")


def task(module: str, **options: Any) -> dict[str, Any]:
    return {f"windward.airflow.{module}": options}


KEYED = {"fingerprint_key": "{{ s.key }}"}
SHOWN = {"conn_type": "http", "description": "{{ control }}", "password": "{{ s.password }}",
         "extra": {"api_key": "{{ s.token }}"}}  # fmt: skip
# Airflow itself shows everybody a secret under a key that doesn't sound like one; these modules show none.
CONNECTION = {**SHOWN, "extra": {"api_key": "{{ s.token }}", "plain": "{{ s.inner }}", "more": ["{{ s.inner }}"]}}
PERSON = {"email": "{{ prefix }}u@example.org", "first_name": "A", "last_name": "{{ control }}", "roles": ["Viewer"]}
TASKS = [
    task("connection", connection_id="{{ prefix }}a", **SHOWN, **KEYED),
    task("connection", connection_id="{{ prefix }}b", **KEYED,
         uri="http://me:{{ s.uri | X }}@h/?api_key={{ s.token | X }}"),
    task("variable", key="{{ prefix }}plain", value="{{ s.value }}", secret=True, **KEYED),
    task("variable", key="{{ prefix }}password", value={"a": "{{ s.json }}"}, **KEYED),
    task("variable", key="{{ prefix }}from", src="{{ file }}", secret=True, **KEYED),
    task("resources", connections=[{"connection_id": "{{ prefix }}c", **CONNECTION}], pools=[],
         variables=[{"key": "{{ prefix }}d", "value": "{{ s.value }}", "secret": True},
                    {"key": "{{ prefix }}token", "value": ["{{ s.json }}"]}], **KEYED),
    task("pool", name="{{ prefix }}p", slots=1, description="{{ control }}"),
    task("role", name="{{ prefix }}r", permissions=[]),
    task("user", username="{{ prefix }}u", password="{{ s.login }}", **PERSON),
    task("connection_info", pattern="{{ prefix }}a"),
    task("connection_info", connection_id="{{ prefix }}b"),
    task("variable_info", pattern="{{ prefix }}password"),
    task("pool_info", limit=1),
    task("user_info", limit=1),
    task("role_info", limit=1),
    task("export", kinds=["pools"]),
    task("dag", dag_id=["{{ dag }}"]),
    task("dag_info", limit=1),
    task("dag_run_info", dag_id="{{ dag }}", limit=1),
    task("dag_release", bundle_name="none", bundle_version="0", dag_ids=[], timeout=0),
    task("health_info"),
    task("import_error_info", limit=1),
]  # fmt: skip
FAILURES = [
    task("dag_run", dag_id="{{ prefix }}", wait=False, api_password="{{ s.wrong_login }}"),
    task("pool", name="p", slots=1, api_username=None, api_password=None, api_token="{{ s.wrong_token }}"),
    task("pool", name="p", slots=1, api_url="http://127.0.0.1:1", api_retry_timeout=0, api_token="{{ s.wrong_token }}"),
    task("connection", connection_id="{{ prefix }} no name", **CONNECTION, **KEYED),
    task("connection", connection_id="{{ prefix }}e", conn_type="http", password="{{ s.password }}"),
    task("connection", connection_id="{{ prefix }}e", uri="{{ s.uri }}", **KEYED),
    task("connection", connection_id="{{ prefix }}e", conn_type="http", extra="{{ s.inner }}", **KEYED),
    task("variable", key="{{ prefix }}e", value="{{ s.value }}", src="{{ file }}", **KEYED),
    task("variable", key="", value="{{ s.value }}", secret=True, **KEYED),
    task("resources", connections=[{"connection_id": "twice", **CONNECTION}] * 2, **KEYED),
    task("resources", connections=[{"connection_id": "x", "passwort": "{{ s.password }}"}], **KEYED),
    task("resources", connections=[{"connection_id": "x", **CONNECTION, "port": "{{ s.inner }}"}], **KEYED),
    task("resources", variables="{{ s.value }}", **KEYED),
    task("resources", variables=[["{{ s.value }}"]], api_password="{{ s.wrong_login }}", **KEYED),
    task("user", username="{{ prefix }}v", password="{{ s.login }}"),
]
# A check can't know: a connection is not tested in it, and an earlier task may make the role.
UNFORESEEN = [
    task("connection", connection_id="{{ prefix }}a", conn_type="ftp", test=True, **KEYED),
    task("user", username="{{ prefix }}v", password="{{ s.login }}",
         **{**PERSON, "roles": ["{{ prefix }}none"], "email": "{{ prefix }}v@example.org"}),
]


def tasks(check: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What works and what fails."""
    return (TASKS + UNFORESEEN, FAILURES) if check else (TASKS, FAILURES + UNFORESEEN)


def forms(secret: str) -> set[str]:
    """A secret as it may be written: in JSON, in YAML, in a URL, in Base64 at any place, in part."""
    raw = secret.encode()
    coded = {base64.b64encode(b"x" * shift + raw).decode()[(0, 2, 3)[shift] :].rstrip("=")[:-1] for shift in range(3)}
    pieces = re.findall("[0-9a-f]{16}", secret)  # whatever is done to the characters between them
    return {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), *pieces, *coded}


class Search:
    """Looks for secrets; what it finds, it calls by name. A control word proves that it looks at what there is."""

    def __init__(self) -> None:
        self.words: dict[str, set[str]] = {"control": {f"control-{uuid.uuid4().hex}"}}
        self.control = next(iter(self.words["control"]))

    def fresh(self, generation: str) -> dict[str, str]:
        """New secrets, with what makes trouble when it is quoted."""
        made = {name: f"{secrets.token_hex(8)}'{secrets.token_hex(4)}\"/ \\{secrets.token_hex(8)}" for name in NAMES}
        made["key"] = secrets.token_urlsafe(32)
        for name, secret in made.items():
            self.words[f"{name} of {generation}"] = forms(secret)
        return made

    def found(self, text: str) -> set[str]:
        names = {name for name, words in self.words.items() if any(word in text for word in words)}
        for name in names - {"control"}:
            places = [text.find(word) for word in self.words[name] if word in text]
            print(f"{name}: {[text[max(0, at - 300) : at + 100] for at in places]}")
        return names


@pytest.fixture(scope="module")
def search() -> Search:
    one = Search()
    one.words["api_password"] = forms(os.environ["AIRFLOW_API_PASSWORD"])
    return one


@pytest.fixture(scope="module")
def syslog() -> Iterator[list[str] | None]:
    """What modules say to the system log. Where nobody listens to it, this does; None where that is not allowed."""
    path = Path("/dev/log")
    if path.exists() or os.geteuid() != 0:
        yield None
        return
    lines: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(path))
        ear.settimeout(0.2)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    lines.append(ear.recv(1 << 18).decode(errors="replace"))
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        yield lines
        over.set()
        thread.join()
        path.unlink()


@pytest.fixture(scope="module")
def journal(syslog: list[str] | None) -> Any:
    """The text of what was logged on this host since the tests began, or why there is none."""
    start = subprocess.run(["date", "+%F %T"], capture_output=True, text=True, check=True).stdout.strip()

    def read() -> str:
        if syslog is not None:
            return "\n".join(syslog)
        done = subprocess.run(
            ["journalctl", "--no-pager", "--since", start], capture_output=True, text=True, check=False
        )  # fmt: skip
        return done.stdout

    return read


@pytest.fixture(scope="module")
def prefix() -> str:
    return f"live_{uuid.uuid4().hex[:8]}_"


@pytest.fixture(scope="module", autouse=True)
def remove(client: Client, prefix: str, search: Search) -> Iterator[None]:
    """Afterwards the objects go, and the secrets are written down for those who look at the server's host."""
    yield
    paths = [("/api/v2/connections", name) for name in "abce"]
    paths += [("/api/v2/variables", name) for name in ("plain", "password", "from", "d", "token", "e")]
    paths += [("/api/v2/pools", "p"), *(("/auth/fab/v1/users", name) for name in "uv"), ("/auth/fab/v1/roles", "r")]
    for path, name in paths:
        client.request("DELETE", f"{path}/{prefix}{name}")
    if target := os.environ.get("AIRFLOW_TEST_SECRETS"):
        with open(target, "w", opener=lambda *a: os.open(*a, mode=0o600), encoding="utf-8") as stream:
            ours = [words for name, words in search.words.items() if name not in ("control", "api_password")]
            words = sorted(set().union(*ours))
            json.dump({"words": words, "control": search.control}, stream)


def test_every_module_is_run() -> None:
    assert {next(iter(one)).rpartition(".")[2] for one in TASKS + FAILURES} == set(GROUP)


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
def test_ansible_playbook_tells_nothing(
    search: Search, journal: Any, prefix: str, tmp_path: Path, client: Client, check: bool
) -> None:
    generation = "a play in check mode" if check else "a play"
    made = search.fresh(generation)
    given, temporary = tmp_path / "given", tmp_path / "temporary"
    for folder in (given, temporary):
        folder.mkdir()
    (given / "file").write_text(made["file"])
    variables = {"s": made, "control": search.control, "prefix": prefix, "dag": DAG, "file": str(given / "file")}
    (given / "vars.json").write_text(json.dumps(variables))
    right, failing = tasks(check)
    wrong = [{**one, "register": "r", "failed_when": "not (r.failed | default(false))"} for one in failing]
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": right + wrong,
            "vars": {"ansible_python_interpreter": sys.executable}}  # fmt: skip
    quoted = '| urlencode | replace("/", "%2F") }}'
    (given / "play.yml").write_text(yaml.safe_dump([play], width=500).replace("| X }}", quoted))
    environment = {
        **os.environ, "TMPDIR": str(temporary), "ANSIBLE_LOCAL_TEMP": str(temporary), "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_REMOTE_TEMP": str(temporary), "ANSIBLE_PIPELINING": "false", "ANSIBLE_LOG_PATH": str(tmp_path / "log"),
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    }  # fmt: skip
    done = subprocess.run(
        ["ansible-playbook", "-i", "localhost,", "-vvv", "--diff", *(["--check"] if check else []),
         "-e", f"@{given / 'vars.json'}", str(given / "play.yml")],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    out = done.stdout + done.stderr
    if "Traceback" in out or done.returncode:
        print(out[-8000:])
    assert done.returncode == 0 and f"ok={len(right) + len(wrong)} " in out
    assert search.found(out) == {"control"}
    assert search.found((tmp_path / "log").read_text()) == {"control"}
    (temporary / "planted").write_text(base64.b64encode(f" {search.control} ".encode()).decode())
    left = [path.read_text(errors="replace") for path in temporary.rglob("*") if path.is_file()]
    assert search.found("\n".join(left)) == set()
    search.words["control"] |= forms(search.control)
    assert search.found("\n".join(left)) == {"control"}
    search.words["control"] = {search.control}


def rendered(value: Any, variables: dict[str, Any]) -> Any:
    """What Ansible would make of an option."""
    if isinstance(value, dict):
        return {key: rendered(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [rendered(one, variables) for one in value]
    if not isinstance(value, str):
        return value

    def put(found: re.Match[str]) -> str:
        text = variables["s"][found[1][2:]] if found[1].startswith("s.") else variables[found[1]]
        return quote(text, safe="") if found[2] else text

    return re.sub(r"\{\{ ([\w.]+)( \| X)? \}\}", put, value)


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
def test_results_tell_nothing(search: Search, run: Run, prefix: str, tmp_path: Path, check: bool) -> None:
    """The objects are those of the play: here they get new secrets."""
    made = search.fresh("a module in check mode" if check else "a module")
    (tmp_path / "file").write_text(made["file"])
    variables = {"s": made, "control": search.control, "prefix": prefix, "dag": DAG, "file": str(tmp_path / "file")}
    results = []
    right, failing = tasks(check)
    for one in right + failing:
        ((name, options),) = one.items()
        results.append(run(name.rpartition(".")[2], check, **rendered(options, variables)))
    assert [result["msg"] for result in results[: len(right)] if result.get("failed")] == []
    assert [result for result in results[len(right) :] if not result.get("failed")] == []
    assert search.found(json.dumps(results)) == {"control"}
    assert search.found("\n".join(str(result) for result in results)) == {"control"}


def test_the_hosts_log_tells_nothing(search: Search, journal: Any) -> None:
    text = journal()
    if not text:
        pytest.skip("this host has neither a journal nor may a test listen at /dev/log")
    assert "Invoked with" in text
    assert search.found(text) == {"control"}


def test_the_audit_log_tells_nothing(search: Search, client: Client, prefix: str) -> None:
    events = client.pages("/api/v2/eventLogs", "event_logs", {"order_by": "-event_log_id"}, limit=1000)
    ours = [event for event in events if prefix in (event["extra"] or "")]
    assert {"bulk_connections", "bulk_variables", "post_pool"} <= {event["event"] for event in ours}
    assert search.found(json.dumps(events)) == search.found("\n".join(str(event) for event in events)) == {"control"}


def test_airflow_does_not_know_the_key(search: Search, client: Client, prefix: str) -> None:
    """Nor any secret in what is kept beside the objects."""
    rows = client.pages("/api/v2/variables", "variables", {"variable_key_pattern": "windward_fingerprints_"})
    kept = [unpack(row["value"]) for row in rows]
    assert any(kept)
    assert search.found(json.dumps([rows, kept])) == set()
    everything = [client.pages(f"/api/v2/{kind}", kind) for kind in ("connections", "variables")]
    keys = {name for name in search.words if name.startswith("key of")}
    assert keys and not keys & search.found(json.dumps(everything))
