# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A worker that leaves is asked for its queues: the variables of its old group are no longer its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from test_preflight_play import ROOT, ansible

NAMES = ("Find the components' units", "Read which queues its worker consumes", "Refuse to leave a queue to nobody")
UNIT = "[Service]\nExecStart=/opt/airflow/current/bin/airflow celery worker --queues {} --celery-hostname celery@x\n"


def leave(tmp: Path, consumed: str, workers: dict[str, list[str]]) -> tuple[int, str]:
    """Run those tasks on a host whose worker consumes these queues, beside workers with theirs."""
    units = tmp / "units"
    units.mkdir()
    (units / "airflow-triggerer.service").touch()
    if consumed:
        (units / "airflow-worker.service").write_text(UNIT.format(consumed))
    text = (ROOT / "roles/systemd/tasks/leaving.yml").read_text().replace("/etc/systemd/system", str(units))
    tasks = [task for task in yaml.safe_load(text) if task["name"] in NAMES]
    assert len(tasks) == len(NAMES)
    inside = {host: {"airflow_worker_queues": queues} if queues else {} for host, queues in workers.items()}
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (tmp / "inventory.json").write_text(json.dumps({
        "airflow": {"children": {"airflow_worker": {"hosts": inside}}},
        "airflow_removed": {"hosts": {"x": local}},
    }))  # fmt: skip
    files = [str(ROOT / "roles/systemd/vars/main.yml")]
    book = [{"hosts": "airflow_removed", "gather_facts": False, "vars_files": files, "tasks": tasks}]
    (tmp / "play.json").write_text(json.dumps(book))
    code, out, error = ansible(tmp, "ansible-playbook", "-i", "inventory.json", "play.json")
    return code, out + error


@pytest.mark.parametrize(
    ("consumed", "workers", "refused"),
    [
        ("default,heavy", {"w": ["default"]}, "x consumes heavy, and no other worker does"),
        ("default", {"w": ["heavy"]}, "x consumes default, and no other worker does"),
        ("default,heavy", {"w": [], "v": ["heavy"]}, ""),  # one has the default
        ("heavy", {}, ""),
        ("", {"w": []}, ""),
    ],
)
def test_the_last_worker_of_a_queue_stays(
    tmp_path: Path, consumed: str, workers: dict[str, list[str]], refused: str
) -> None:
    code, out = leave(tmp_path, consumed, workers)
    assert bool(code) == bool(refused) and refused in out, out
