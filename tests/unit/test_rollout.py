# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which hosts restart together, in which order, and that the first failure ends it. What restarts is played."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import yaml
from test_preflight_play import ROOT, ansible

GROUPS = {
    "airflow_worker": ["worker1", "worker2", "both", "worker3"],
    "airflow_scheduler": ["control2", "control1"],
    "airflow_api_server": ["control1"],
    "airflow_triggerer": ["both"],
    "airflow_flower": ["elsewhere"],
}


def rolled_out(tmp: Path, bad: str = "", *arguments: str) -> list[str]:
    """Play the role's own batches, of tasks that write down who runs them and fail on the bad host."""
    tasks = yaml.safe_load((ROOT / "roles/systemd/tasks/run.yml").read_text())
    (block,) = (task for task in tasks if "block" in task)
    switch, restart, _keep = yaml.safe_load((ROOT / "roles/systemd/tasks/batch.yml").read_text())
    program = "{{ 'false' if inventory_hostname == bad else 'true' }}"
    (tmp / "batch.yml").write_text(json.dumps([
        {"name": "Switch", "ansible.builtin.command": "true", "when": switch["when"][0]},
        {"name": "Restart", "ansible.builtin.command": program, "when": restart["when"]},
    ]))
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    children = {group: {"hosts": dict.fromkeys(hosts)} for group, hosts in GROUPS.items()}
    variables = {**local, "airflow_worker_batch": 2, "bad": bad}
    (tmp / "inventory.json").write_text(json.dumps({"airflow": {"children": children, "vars": variables}}))
    files = [*sorted((ROOT / "roles/airflow/vars/main").glob("*.yml")), ROOT / "roles/systemd/vars/main.yml"]
    first = {"hosts": "airflow:!airflow_flower", "gather_facts": False, "vars_files": [str(path) for path in files],
             "tasks": [block]}
    later = {"hosts": "airflow", "gather_facts": False, "tasks": [{"name": "Later", "ansible.builtin.command": "true"}]}
    (tmp / "play.json").write_text(json.dumps([first, later]))
    code, out, error = ansible(tmp, "ansible-playbook", "-i", "inventory.json", "play.json", *arguments)
    assert (code != 0) == bool(bad), out + error
    done = []
    for said in out.split("\nTASK [")[1:]:
        hosts = re.findall(r"^(?:changed|fatal): \[(\w+)\]", said, re.MULTILINE)
        done.append(" ".join([said.partition("]")[0], *sorted(hosts)]))
    return done[1:]  # without the include


def both(*batches: str) -> list[str]:
    return [f"{task} {batch}" for batch in batches for task in ("Switch", "Restart")]


def test_one_batch_restarts_after_the_other(tmp_path: Path) -> None:
    done = rolled_out(tmp_path)
    assert done[:-1] == both("control1", "control2", "both", "worker1 worker2", "worker3")
    assert done[-1].startswith("Later ")


def test_what_is_foreign_goes_when_the_image_was_seen_to_run() -> None:
    """The Job that migrates has run it; before that nothing is removed, and only helm comes after."""
    main, migration = (yaml.safe_load((ROOT / f"roles/kubernetes/tasks/{name}.yml").read_text())
                       for name in ("main", "migration"))
    said = [str(task) for one in main for task in one.get("block", [])] + ["---", *map(str, migration)]
    wanted = ("migration.yml", "foreign.yml", "helm_recover", "---", "compare.yml", "{{ __kubernetes_plan.migration }}")
    order = [next(number for number, text in enumerate(said) if what in text) for what in wanted]
    assert order == sorted(order)


def test_pods_that_cannot_be_asked_for_are_not_taken_for_gone(tmp_path: Path) -> None:
    """Else a schema would change below what runs. Where they are but slow, the play ends them."""
    tasks = yaml.safe_load((ROOT / "roles/kubernetes/tasks/stop.yml").read_text())
    (wait,) = (task for task in tasks if "until" in task)
    del wait["kubernetes.core.k8s_info"]
    slow = {"ansible.builtin.command": "true", "vars": {"__kubernetes_stopped": {"resources": ["a pod"]}}}
    for answer, code in (({"ansible.builtin.fail": {"msg": "pods is forbidden"}}, 2), (slow, 0)):
        task = {**wait, **answer, "retries": 1, "delay": 0, "register": "__unread" if code == 0 else wait["register"]}
        play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}]
        (tmp_path / "play.json").write_text(json.dumps(play))
        assert ansible(tmp_path, "ansible-playbook", "-i", "localhost,", "play.json")[0] == code


def test_the_first_batch_that_fails_is_the_last(tmp_path: Path) -> None:
    """Also the link stays as it is on hosts whose turn does not come."""
    assert rolled_out(tmp_path, "control1") == both("control1")


def test_the_rest_of_a_batch_is_ended(tmp_path: Path) -> None:
    assert rolled_out(tmp_path, "worker1", "--limit", "airflow_worker") == both("both", "worker1 worker2")
