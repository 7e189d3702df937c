# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the playbooks must have in common."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, StrictUndefined

ROOT = Path(__file__).parents[2]
PATHS = {"airflow_config_dir": "/etc/air+flow", "airflow_install_dir": "/opt/airflow",
         "airflow_state_dir": "/var/lib/airflow", "airflow_log_dir": "/var/log/airflow"}


def roles(playbook: str, tasks_from: str, hosts: str = "") -> list[str]:
    """Return the roles of which a playbook imports these tasks, in its order."""
    plays: list[dict[str, Any]] = yaml.safe_load((ROOT / "playbooks" / playbook).read_text())
    tasks = [task for play in plays if hosts in play.get("hosts", "") for task in play.get("tasks", ())]
    found = [task.get("ansible.builtin.import_role", {}) for task in tasks]
    return [role["name"].rpartition(".")[2] for role in found if role.get("tasks_from") == tasks_from]


def test_a_host_that_leaves_loses_everything_but_databases() -> None:
    """Databases don't leave: such a host is refused. Clusters are no hosts."""
    everything = set(roles("cleanup.yml", "absent")) - {"postgresql", "kubernetes", "kind_cluster"}
    assert set(roles("scale.yml", "absent", "airflow_removed")) == everything
    assert roles("scale.yml", "leaving") == ["systemd"]


def test_a_rebooted_host_is_waited_for_itself() -> None:
    plays = yaml.safe_load((ROOT / "playbooks/reboot.yml").read_text())
    tasks = plays[0]["tasks"]
    (reboot,) = (number for number, task in enumerate(tasks) if "ansible.builtin.reboot" in task)
    assert plays[0]["serial"] == 1 and tasks[reboot + 1]["ansible.builtin.import_role"]["tasks_from"] == "back"


@pytest.mark.parametrize(
    ("executor", "group", "seconds"),
    [("LocalExecutor", "airflow_scheduler", 4200), ("CeleryExecutor", "airflow_scheduler", 600),
     ("LocalExecutor", "airflow_postgresql", 600)],
)  # fmt: skip
def test_a_reboot_lets_tasks_end(executor: str, group: str, seconds: int) -> None:
    (play, *_rest) = yaml.safe_load((ROOT / "playbooks/reboot.yml").read_text())
    (reboot,) = (task["ansible.builtin.reboot"] for task in play["tasks"] if "ansible.builtin.reboot" in task)
    told = Environment(undefined=StrictUndefined).from_string(reboot["reboot_timeout"]).render(
        airflow_executor=executor, airflow_drain_timeout="3600", group_names=["airflow", group])
    assert int(told) == seconds


@pytest.mark.parametrize(
    ("components", "unit", "drained"),
    [(["worker"], "", True), (["scheduler"], "airflow-worker.service", True), (["scheduler"], "", False)],
)
def test_a_worker_that_is_there_can_be_drained(components: list[str], unit: str, drained: bool) -> None:
    """Also one that its host is to have no more; where none is, nothing is asked."""
    tasks = yaml.safe_load((ROOT / "roles/systemd/tasks/batch.yml").read_text())
    (template,) = (task["windward.airflow.units"]["consumer"] for task in tasks if "windward.airflow.units" in task)
    told = Environment(undefined=StrictUndefined).from_string(template).render(
        __systemd_components=components, __systemd_consumer="consumer", omit="",
        __airflow_found={"found": {"units": ["airflow-scheduler.service", unit]}})
    assert bool(told) == drained


@pytest.mark.parametrize("other", [None, *PATHS])
def test_a_unit_from_other_directories_is_known(other: str | None) -> None:
    """The directories of a host that leaves are those that its units name."""
    given = {**PATHS, **({other: "/srv/airflow"} if other else {})}
    template = (ROOT / "roles/systemd/templates/component.service.j2").read_text()
    unit = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True).from_string(
        template).render(component="worker", name="n", home="/h", digest="d", command="c", runs_dags=True, fence="t",
                         drain_timeout=1, **{name.removeprefix("airflow_"): path for name, path in PATHS.items()})
    tasks = yaml.safe_load((ROOT / "roles/systemd/tasks/leaving.yml").read_text())
    pattern = next(task["ansible.builtin.find"]["contains"] for task in tasks
                   if "contains" in task.get("ansible.builtin.find", {}))
    environment = Environment(undefined=StrictUndefined)
    environment.filters["regex_escape"] = re.escape
    found = re.search(environment.from_string(pattern).render(given), unit)
    assert bool(found) == (other is None)


@pytest.mark.parametrize("path", sorted(ROOT.glob("roles/*/tasks/absent.yml")), ids=lambda path: path.parents[1].name)
def test_cleanup_looks_as_root(path: Path) -> None:
    """Others may not read some directories: there a look ends with an error, and cleanup with it."""
    looks = [task for task in yaml.safe_load(path.read_text()) if "ansible.builtin.stat" in task]
    assert [task["name"] for task in looks if not task.get("become")] == []
