# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The play is killed at moments spread over the steps; the next run goes on, and the last one has it all."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from deployment import PLAIN, ROOT, Deployment, deploy

# A task at whose beginning the clock starts, and the seconds until the kill.
MOMENTS = [
    ("Make the databases", 0.5),
    ("Begin to build the release", 12.0),
    ("Write configuration, environments and units", 0.3),
    ("Migrate the metadata database", 2.0),
    ("Run the components", 2.0),
    ("Serve it", 0.3),
]


@pytest.fixture(scope="module")
def vm() -> Deployment:
    return Deployment("kill")


def kill(vm: Deployment, task: str, seconds: float, log: Path) -> None:
    """Run the play in a process group of its own and kill the group ``seconds`` after a task began."""
    with log.open("w") as stream:
        process = subprocess.Popen(
            vm.command("site.yml"), cwd=ROOT, env={**os.environ, **PLAIN, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
        )
    deadline = time.monotonic() + 300
    while f" : {task}]" not in log.read_text():
        assert process.poll() is None, f"it ended before '{task}':\n{log.read_text()[-3000:]}"
        assert time.monotonic() < deadline, f"'{task}' never began"
        time.sleep(0.1)
    time.sleep(seconds)
    assert process.poll() is None, f"it ended within '{task}'"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_killed_runs_are_completed(vm: Deployment, tmp_path: Path) -> None:
    keys = set()
    for number, (task, seconds) in enumerate(MOMENTS):
        kill(vm, task, seconds, tmp_path / f"{number}.log")
        held = vm.shell("cat /etc/airflow/secrets.json 2> /dev/null || true")
        keys |= {held} - {""}
    deploy(vm)
    keys.add(vm.shell("cat /etc/airflow/secrets.json"))
    assert len(keys) == 1
    current = vm.shell("basename $(readlink /opt/airflow/current)")
    assert vm.shell("ls -A /opt/airflow/releases").split() == current.split()
    assert deploy(vm).changed == []
