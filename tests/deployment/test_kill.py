# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The play is killed at moments spread over the steps; the next run goes on, and the last one has it all."""

from __future__ import annotations

from pathlib import Path

import pytest
from deployment import Deployment, deploy

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


def test_killed_runs_are_completed(vm: Deployment, tmp_path: Path) -> None:
    keys = set()
    for number, (task, seconds) in enumerate(MOMENTS):
        vm.kill("site.yml", at=f" : {task}]", log=tmp_path / f"{number}.log", seconds=seconds)
        held = vm.shell("cat /etc/airflow/secrets.json 2> /dev/null || true")
        keys |= {held} - {""}
    deploy(vm)
    keys.add(vm.shell("cat /etc/airflow/secrets.json"))
    assert len(keys) == 1
    current = vm.shell("basename $(readlink /opt/airflow/current)")
    assert vm.shell("ls -A /opt/airflow/releases").split() == current.split()
    assert deploy(vm).changed == []
