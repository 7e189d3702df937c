# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Preflight through ansible-playbook: what a person sees, and what nobody must see."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.modules import found

ROOT = Path(__file__).parents[2]
CANARY = "CNRY41x9d0c7e2b5f"
GROUPS = ("airflow_api_server", "airflow_scheduler", "airflow_dag_processor", "airflow_triggerer", "airflow_postgresql")


def ansible(tmp: Path, program: str, *arguments: str) -> tuple[int, str, str]:
    """Run a program of Ansible with its default configuration, and this collection."""
    (tmp / "ansible.cfg").touch()
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
        "ANSIBLE_CONFIG": str(tmp / "ansible.cfg"),
        "ANSIBLE_HOME": str(tmp / "home"),
        "ANSIBLE_LOG_PATH": str(tmp / "log"),
        "ANSIBLE_NOCOLOR": "1",
        "XDG_STATE_HOME": str(tmp / "state"),
    }
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def play(
    tmp: Path, inventory: dict[str, Any], *arguments: str, play_vars: dict[str, Any] | None = None
) -> tuple[int, str]:
    """Run the role's entry point `declared`; give the exit code and everything that was said."""
    (tmp / "inventory.json").write_text(json.dumps(inventory))
    task = {"ansible.builtin.import_role": {"name": "windward.airflow.preflight", "tasks_from": "declared"}}
    book = [{"hosts": "airflow", "gather_facts": False, "vars": play_vars or {}, "tasks": [task]}]
    (tmp / "play.json").write_text(json.dumps(book))
    code, out, error = ansible(tmp, "ansible-playbook", "-i", "inventory.json", "play.json", *arguments)
    return code, out + error + (tmp / "log").read_text()


def inventory(variables: dict[str, Any], hosts: tuple[str, ...] = ("a",)) -> dict[str, Any]:
    """Hosts that can't be reached: contacting one would fail."""
    children: dict[str, Any] = {group: {"hosts": {hosts[0]: {}}} for group in GROUPS}
    reach = {host: {"ansible_host": f"192.0.2.{number}"} for number, host in enumerate(hosts, 1)}
    return {"airflow": {"hosts": reach, "vars": {"ansible_timeout": 1, **variables}, "children": children}}


@pytest.fixture
def tmp() -> Iterator[Path]:
    # ansible-playbook's control sockets need a short path.
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def test_nothing_is_contacted_and_templates_of_the_play_and_the_inventory_are_evaluated(tmp: Path) -> None:
    variables = {
        "airflow_version": "{{ from_the_play }}",
        "airflow_name": "{{ airflow_admin_username }}-{{ inventory_hostname }}",
    }
    code, said = play(tmp, inventory(variables), play_vars={"from_the_play": "3.3.2"})
    assert (code, re.findall(r"failed=\d+", said)[-1]) == (0, "failed=0"), said


def test_all_refusals_at_once_with_their_hosts_whatever_the_limit(tmp: Path) -> None:
    variables = {
        "airflow_exeuctor": "x",
        "ariflow_dags": "x",
        "airflowversion": "x",
        "airport": "nobody's business",
        "airflow_version": "9",
        "airflow_mine": 1,
        "airflow_config": {"api": {"port": "{{ nope }}"}},
    }
    declared = inventory(variables, ("a", "b"))
    declared["airflow"]["hosts"]["b"]["airflow_journal_max_size"] = "big"
    declared["airflow"]["children"]["airflow_triggerer"]["hosts"] = {"b": {}}
    code, said = play(tmp, declared, "--limit", "a", "--check")
    assert code == 2
    for line in (
        "airflow_exeuctor: is no variable of this collection: did you mean airflow_executor?",
        "ariflow_dags: is no variable of this collection: did you mean airflow_dags?",
        "airflowversion: is no variable of this collection: did you mean airflow_version?",
        "airflow_version: '9' - is not supported; choose 3.3.2",
        "airflow_config.api.port: can't be evaluated: 'nope' is undefined",
        "airflow_journal_max_size (on b): 'big' - must be a size",
        "airflow_mine: is no variable of this collection and changes nothing",
    ):
        assert line in said
    assert "airport" not in said


def test_secrets_are_never_shown(tmp: Path) -> None:
    """Right and wrong secrets, in right and wrong places, at the highest verbosity."""
    (tmp / "key").write_text(CANARY)
    (tmp / "wrong").write_text("not it")
    password = ("--vault-password-file", "key")
    code, vault, _error = ansible(tmp, "ansible-vault", "encrypt_string", *password, CANARY)
    assert code == 0
    variables = {
        "airflow_fernet_key": CANARY,
        "airflow_jwt_secret": {"__ansible_vault": vault.partition("\n")[2].replace("  ", "")},
        "airflow_api_secret_key": f"{{{{ '{CANARY}' | from_json }}}}",
        "airflow_admin_password": [CANARY],
        "airflow_database_password": f"{CANARY}\n",
        "airflow_results_database_password": f"{{{{ lookup('ansible.builtin.file', '/nonexistent/{CANARY}') }}}}",
        "airflow_broker_url": f"redis:{CANARY}",
        "airflow_environment": {"A B": CANARY, "AIRFLOW__CORE__FERNET_KEY": CANARY, "X": [CANARY]},
        "airflow_proxy_environment": {"https_proxy": f"u:{CANARY}@proxy", "htps_proxy": f"http://u:{CANARY}@proxy"},
        "airflow_config": {
            "smtp": {"smtp_password": f"%%{CANARY}"},
            "core": {"fernet_key": CANARY, "x": f"%%{CANARY}"},
        },
        "airflow_package_index_url": f"ftp://u:{CANARY}@index/simple",
        "airflow_requirements": [f"git+https://{CANARY}@example.org/x"],
        "airflow_fernet_kye": CANARY,
        "airflow_version": CANARY,
    }
    code, said = play(tmp, inventory(variables), "-vvvv", "--diff", "--vault-password-file", "wrong")
    assert code == 2
    findings = [line for line in said.splitlines() if re.match(r"\s*airflow_\w+[.:\[]", line)]
    assert {re.split(r"[.:\[ ]", line.strip())[0] for line in findings} >= set(variables)
    assert [line for line in said.splitlines() if CANARY in line] == []


def test_the_secret_test_can_fail(tmp: Path) -> None:
    assert CANARY in play(tmp, inventory({"airflow_version": CANARY}))[1]


@pytest.mark.parametrize("example", ["dev", "kind", "kind-celery", "cluster"])
def test_examples_are_accepted_and_have_the_same_resources(tmp: Path, example: str) -> None:
    task = {"ansible.builtin.import_role": {"name": "windward.airflow.preflight", "tasks_from": "declared"}}
    show = {"ansible.builtin.debug": {"msg": "{{ airflow_connections | map(attribute='connection_id') | join(' ') }}"}}
    (tmp / "play.json").write_text(json.dumps([{"hosts": "airflow", "gather_facts": False, "tasks": [task, show]}]))
    place = str(ROOT / "inventories" / example)
    given = f"airflow_database_password={'no-guess-' * 3}"
    code, said, _error = ansible(tmp, "ansible-playbook", "-i", place, "play.json", "-e", given)
    assert code == 0 and "example_warehouse example_api" in said, said


def test_found_names_who_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        holder = found.listeners([port])[port]
    assert holder["pid"] == os.getpid() and holder["process"].startswith("python")
    assert found.listeners([port]) == {}


def test_found_reads_the_release(tmp_path: Path) -> None:
    assert found.release(str(tmp_path)) == {}
    release = tmp_path / "releases" / "3.3.2-0f"
    release.mkdir(parents=True)
    (tmp_path / "current").symlink_to(release)
    assert found.release(str(tmp_path)) == {"path": str(release), "airflow": ""}
    (release / "release.json").write_text('{"airflow": "3.3.2"}')
    assert found.release(str(tmp_path))["airflow"] == "3.3.2"
    (release / "release.json").write_text('["half')
    assert found.release(str(tmp_path))["airflow"] == ""


def test_found_looks_at_the_nearest_existing_directory(tmp_path: Path) -> None:
    assert found.disk(str(tmp_path / "a" / "b")) == found.disk(str(tmp_path))
    assert found.disk("/nonexistent/airflow")["device"] == str(os.stat("/").st_dev)


@pytest.mark.parametrize(("steps", "ends"), [(["create"], True), (["set_mirrors", "start"], True), ([], False)])
def test_a_check_ends_where_a_cluster_is_yet_to_be_made(tmp: Path, steps: list[str], ends: bool) -> None:
    """Step 2b would look for a cluster that is not there."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (tmp / "inventory.json").write_text(
        json.dumps({"airflow": {"children": {"airflow_cluster": {"hosts": {"c": local}}}}})
    )
    brought = {"name": "kind-one", "steps": steps}
    later = [
        {"ansible.builtin.import_role": {"name": "windward.airflow.airflow"}},
        {"ansible.builtin.debug": {"msg": "went on"}},
    ]
    book = [
        {"hosts": "airflow", "gather_facts": False, "vars": {"__kind_cluster_brought": brought}, "tasks": tasks}
        for tasks in (later[:1], later)
    ]
    (tmp / "play.json").write_text(json.dumps(book))
    command = ("ansible-playbook", "-i", "inventory.json", "play.json")
    code, out, error = ansible(tmp, *command, "--check")
    assert code == 0 and ("went on" in out) is not ends, out + error
    assert "went on" in ansible(tmp, *command)[1]
