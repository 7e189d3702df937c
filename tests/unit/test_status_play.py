# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who is asked when a host gives no answer, and when --limit leaves one out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_preflight_play import ROOT, ansible

VARIABLES = [*sorted((ROOT / "roles/airflow/vars/main").glob("*.yml")), ROOT / "roles/systemd/vars/main.yml",
             ROOT / "roles/verify/vars/main.yml"]  # fmt: skip
LOOKED = {"components": {"scheduler": {"digest": "1"}}, "release": "r", "dags_release": "d"}


def play(
    tmp: Path, hosts: dict[str, dict[str, Any]], tasks: list[dict[str, Any]], said: dict[str, str], *arguments: str
) -> tuple[int, str]:
    """Run tasks with the roles' variables, after each host was looked at with that result."""
    groups = {f"airflow_{name}": {"hosts": dict.fromkeys(hosts)} for name in ("api_server", "scheduler", "worker")}
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    reach = {host: {**local, "result": result} for host, result in hosts.items()}
    (tmp / "inventory.json").write_text(json.dumps({"airflow": {"hosts": reach, "children": groups}}))
    tasks = [{"ansible.builtin.set_fact": {"__systemd_looked": "{{ result }}"}}, *tasks]
    files = [str(path) for path in VARIABLES]
    book = [{"hosts": "airflow", "gather_facts": False, "vars_files": files, "vars": {"said": said}, "tasks": tasks}]
    (tmp / "play.json").write_text(json.dumps(book))
    code, out, error = ansible(tmp, "ansible-playbook", "-i", "inventory.json", "play.json", *arguments)
    return code, out + error


def told(tmp: Path, hosts: dict[str, dict[str, Any]], *arguments: str) -> dict[str, Any]:
    """What the roles' variables are then."""
    names = ("__systemd_operator", "__systemd_spokesman", "__verify_looked", "__verify_state", "__verify_unreached")
    said = {name: "{{ " + name + " }}" for name in names}
    tell = {"ansible.builtin.copy": {"dest": str(tmp / "told"), "content": "{{ said | to_json }}"}, "run_once": True}
    code, out = play(tmp, hosts, [tell], said, *arguments)
    assert code == 0, out
    return json.loads((tmp / "told").read_text())


def test_another_host_is_asked_when_the_first_is_away(tmp_path: Path) -> None:
    away = {"unreachable": True}
    found = told(tmp_path, {"a": away, "b": LOOKED, "c": LOOKED})
    assert (found["__systemd_operator"], found["__systemd_spokesman"]) == ("b", "b")
    assert found["__verify_looked"]["a"] == away
    found = told(tmp_path, {"a": away, "b": away})
    assert (found["__systemd_operator"], found["__systemd_spokesman"]) == ("a", ""), "nobody is left"


def test_a_host_that_is_left_out_does_not_disturb(tmp_path: Path) -> None:
    found = told(tmp_path, {"a": LOOKED, "b": LOOKED}, "--limit", "b")
    assert found["__verify_looked"] == {"a": {}, "b": LOOKED}
    assert found["__verify_state"] == [["r", "d", "scheduler=1"]]
    assert found["__systemd_operator"] == "a", "it is asked for what belongs to all"


def worker(unreached: dict[str, str]) -> dict[str, Any]:
    return {**LOOKED, "components": {"worker": {"digest": "1", "unreached": unreached}}}


def test_a_worker_that_is_cut_off_does_not_speak_for_all(tmp_path: Path) -> None:
    cut_off = worker({"the broker at d": "it does not answer"})
    found = told(tmp_path, {"a": cut_off, "b": {"unreachable": True}, "c": worker({})})
    assert found["__systemd_spokesman"] == "c"
    assert found["__verify_unreached"] == ["a: worker can't reach the broker at d: it does not answer."]
    found = told(tmp_path, {"a": cut_off, "b": cut_off})
    assert found["__systemd_spokesman"] == "a", "it may still know more"


def test_a_worker_that_is_cut_off_is_no_proof(tmp_path: Path) -> None:
    tasks = yaml.safe_load((ROOT / "roles/verify/tasks/proof.yml").read_text())
    names = [task["name"] for task in tasks]
    (check,) = (number for number, name in enumerate(names) if name.startswith("Check that the broker"))
    assert names.index("Ask the proxy, as browsers and tasks do") < check
    assert check < names.index("Run the canary through every queue")
    cut_off = worker({"the execution API at p": "it does not answer"})
    code, out = play(tmp_path, {"a": worker({}), "b": cut_off}, [tasks[check]], {})
    assert code != 0 and "b: worker can't reach the execution API at p: it does not answer." in out
    assert play(tmp_path, {"a": worker({}), "b": worker({})}, [tasks[check]], {})[0] == 0


CONTROL = ["api-server", "dag-processor", "scheduler", "triggerer"]


@pytest.mark.parametrize(
    ("declared", "wanted"),
    [
        ({"airflow_executor": "KubernetesExecutor"}, [*CONTROL, "postgresql"]),
        (
            {"airflow_executor": "KubernetesExecutor", "airflow_replicas": {"triggerer": 0}},
            [*CONTROL[:3], "postgresql"],
        ),
        ({"airflow_executor": "CeleryExecutor"}, [*CONTROL, "postgresql", "redis", "worker"]),
        (
            {"airflow_executor": "CeleryExecutor", "airflow_database_host": "db", "airflow_broker_url": "redis://r",
             "airflow_worker_sets": [{"name": "a", "replicas": 0}]},
            CONTROL,
        ),
    ],
)  # fmt: skip
def test_what_a_cluster_must_run(tmp_path: Path, declared: dict[str, Any], wanted: list[str]) -> None:
    """Of what has no pod at all, no pod can say so."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    groups = {"airflow": {"children": {"airflow_cluster": {"hosts": {"c": local}}}}}
    (tmp_path / "inventory.json").write_text(json.dumps(groups))
    files = [*sorted((ROOT / "roles/airflow").glob("*/main/*.yml")), ROOT / "roles/verify/vars/main.yml",
             ROOT / "roles/kubernetes/vars/main.yml"]  # fmt: skip
    content = "{{ __verify_pods_wanted | to_json }}"
    tell = {"ansible.builtin.copy": {"dest": str(tmp_path / "told"), "content": content}}
    book = [{"hosts": "airflow", "gather_facts": False, "vars_files": [str(one) for one in files], "tasks": [tell]}]
    (tmp_path / "play.json").write_text(json.dumps(book))
    command = ("ansible-playbook", "-i", "inventory.json", "play.json", "-e", json.dumps(declared))
    code, out, error = ansible(tmp_path, *command)
    assert code == 0, out + error
    assert sorted(json.loads((tmp_path / "told").read_text())) == sorted(wanted)
