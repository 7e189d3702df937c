"""Time short tasks through Celery, as this collection configures Airflow against Airflow's stock configuration, on the
same VMs; and a run of site.yml that changes nothing on six hosts against one on two.

`make bench-vms` runs it on new VMs: ROUNDS rounds (3) of TASKS tasks (500). Medians, and the processor time of a task
by the unit that spent it, as Markdown tables.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from bench import ROOT, play, profile

sys.path.insert(0, str(ROOT / ".collections"))
sys.path.insert(0, str(ROOT / "tests/deployment"))
import yaml
from deployment import Deployment

ROUNDS, TASKS, RUNS = int(os.environ.get("ROUNDS", "3")), int(os.environ.get("TASKS", "500")), 5
MACHINES = ROOT / "molecule/machines.yml", ROOT / "molecule/remove.yml"
DAG = f"""
from datetime import datetime
from airflow.sdk import DAG, task
with DAG("bench", schedule=None, start_date=datetime(2026, 1, 1), is_paused_upon_creation=False,
         max_active_tasks={TASKS}, max_active_runs={RUNS}):
    @task
    def short():
        pass
    for number in range({TASKS // RUNS}):
        short.override(task_id="short%d" % number)()
"""
# Airflow's defaults, and Debian's of Redis, in place of what role systemd sets (docs/many-machines.md).
STOCK: dict[str, Any] = {
    "airflow_config": {
        "workers": {"execution_api_retries": 5, "execution_api_retry_wait_max": 90, "max_failed_heartbeats": 3},
        "celery": {"task_publish_max_retries": 3, "extra_celery_config": "{}"},
        "scheduler": {"orphaned_tasks_check_interval": 300},
        "logging": {"min_length_masked_secret": 5},
        "database": {"sql_alchemy_pool_size": 5, "sql_alchemy_max_overflow": 10},
    },
    "airflow_redis_config": {"appendonly": "no"},
}
DIRECT = ("airflow_pgbouncer", "airflow_proxy")
Inventory = dict[str, Any]


def written(folder: Path, name: str, inventory: Inventory, source: Path) -> Path:
    """An inventory on the disk, with the variables of the one that it was made from."""
    place = folder / name
    place.mkdir()
    (place / "hosts.yml").write_text(yaml.safe_dump(inventory))
    (place / "group_vars").symlink_to(source / "group_vars")
    return place


def on_two_hosts(six: Inventory) -> Inventory:
    """The same components and services: the workers' on one host, all others on the other."""
    hosts = six["airflow"]["hosts"]
    groups = six["airflow"]["children"]
    main, worker = groups["airflow_scheduler"]["hosts"], groups["airflow_worker"]["hosts"]
    main, worker = next(iter(main)), next(iter(worker))
    children = {group: {"hosts": {worker if group == "airflow_worker" else main: None}} for group in groups}
    return {"airflow": {"hosts": {name: hosts[name] for name in (main, worker)}, "children": children}}


def without(six: Inventory, groups: tuple[str, ...]) -> Inventory:
    children = {name: group for name, group in six["airflow"]["children"].items() if name not in groups}
    return {"airflow": {**six["airflow"], "children": children}}


def idle(inventory: Path, dags: list[str]) -> tuple[list[float], str]:
    """The seconds of runs that change nothing, and what the last one said."""
    found, said = [], ""
    for _number in range(ROUNDS):
        seconds, said = play("site.yml", *dags, inventory=inventory)
        assert not re.search(r"changed=[1-9]", said), said[-3000:]
        found.append(seconds)
    return found, said


def spent(vms: Deployment) -> Counter[str]:
    """Seconds of processor time by unit, of all VMs: of what lives and, in its parent's figures, of what has ended."""
    found: Counter[str] = Counter()
    marks = [f"vm-{name}/" for name in vms.addresses] + [f"vm-{name}.service/" for name in vms.addresses]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            groups, stat = (folder / "cgroup").read_text(), (folder / "stat").read_text()
        except OSError:
            continue
        units = re.findall(r"/([^/\s]+)\.(?:service|scope)", groups)
        if units and any(mark in groups for mark in marks):
            found[units[-1]] += sum(map(int, stat.rpartition(")")[2].split()[11:15])) / os.sysconf("SC_CLK_TCK")
    return found


def tasks(vms: Deployment) -> tuple[float, Counter[str]]:
    """Tasks a minute, from the first request until the last run has ended; and the processor seconds of a task."""
    before, began = spent(vms), time.monotonic()
    with vms.api() as api:
        runs = [f"bench-{time.time():.0f}-{number}" for number in range(RUNS)]
        for run in runs:
            api.request("POST", "/api/v2/dags/bench/dagRuns", body={"logical_date": None, "dag_run_id": run})
        left = list(runs)
        while left:
            time.sleep(2)
            states = {run: api.get(f"/api/v2/dags/bench/dagRuns/{run}")["state"] for run in left}
            assert set(states.values()) <= {"queued", "running", "success"}, states
            left = [run for run, state in states.items() if state != "success"]
    seconds = time.monotonic() - began
    after = spent(vms)
    after.subtract(before)
    return TASKS / seconds * 60, Counter({unit: used / TASKS for unit, used in after.items()})


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    vms = Deployment("vms")
    six = yaml.safe_load((vms.inventory / "hosts.yml").read_text())
    figures: dict[str, list[float]] = defaultdict(list)
    profiles: dict[str, Counter[str]] = {}
    said: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "dags").mkdir()
        (folder / "dags/bench.py").write_text(DAG)
        dags = ["-e", json.dumps({"airflow_dags": str(folder / "dags")})]
        stock = ["-e", json.dumps(STOCK)]
        two = written(folder, "two", on_two_hosts(six), vms.inventory)
        direct = written(folder, "direct", without(six, DIRECT), vms.inventory)
        for hosts, inventory in (("two", two), ("six", vms.inventory)):
            say(f"{hosts} hosts: deploying")
            play(str(MACHINES[1]), inventory=vms.inventory)
            play("site.yml", *dags, inventory=inventory)
            figures[f"`site.yml`, nothing changed, {hosts} hosts, s"], said[hosts] = idle(inventory, dags)
        for kind, inventory, options in (
            ("as this collection configures it", vms.inventory, []),
            ("stock configuration, same proxy and pooler", vms.inventory, stock),
            ("stock configuration, neither proxy nor pooler", direct, stock),
        ):
            say(f"{kind}: deploying")
            play("site.yml", *dags, *options, inventory=inventory)
            tasks(vms)  # the first ones fill caches
            for number in range(ROUNDS):
                rate, profiles[kind] = tasks(vms)
                say(f"{kind}: round {number + 1} of {ROUNDS}: {rate:.1f} tasks a minute")
                figures[f"tasks a minute, {kind}"].append(rate)
    play(str(MACHINES[1]), inventory=vms.inventory)
    middle = {name: statistics.median(values) for name, values in figures.items()}
    print(f"| what | median of {ROUNDS} | all |\n|---|---|---|")
    for name, values in figures.items():
        print(f"| {name} | {middle[name]:.1f} | {', '.join(f'{value:.1f}' for value in values)} |")
    two_hosts, six_hosts, ours, *rivals = middle.values()
    print(f"| six hosts / two hosts | {six_hosts / two_hosts:.2f} | |")
    for kind, rival in zip(list(profiles)[1:], rivals, strict=True):
        print(f"| this collection / {kind} | {ours / rival:.2f} | |")
    print("\n| processor seconds of a task | " + " | ".join(profiles) + " |\n|---|" + "---|" * len(profiles))
    for unit, used in profiles["as this collection configures it"].most_common():
        if used >= 0.01:
            print(f"| {unit} | " + " | ".join(f"{one[unit]:.2f}" for one in profiles.values()) + " |")
    steps = {hosts: profile(text)["step"] for hosts, text in said.items()}
    print("\n| step, nothing changed | two hosts, s | six hosts, s |\n|---|---|---|")
    for step, seconds in steps["six"].items():
        print(f"| {step} | {steps['two'].get(step, 0):.1f} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
