# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Faults of a deployment on local VMs, struck one after the other while tasks are in flight."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.windward.airflow.plugins.module_utils._local_vm import state_dir
from deployment import ROOT, Deployment
from ledger import LANES, Ledger, Load, as_root

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "3"))
AWAY = 60  # seconds
POSTGRESQL, REDIS, POOLER, PROXY = "postgresql@15-main", "redis-server@airflow", "pgbouncer-airflow", "haproxy-airflow"


def everywhere(script: str, vms: Deployment, hosts: list[str]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(partial(vms.shell, script), hosts))


def power_off(vms: Deployment, hosts: list[str]) -> None:
    """Kill a VM's first process, and with that everything in it."""
    for host in hosts:
        pid = Path(state_dir(os.environ), "vms", host, "pid").read_text().split()[0]
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert children, f"{host} does not run"
        as_root("kill", "-KILL", *children)


def power_on(vms: Deployment, _hosts: list[str]) -> None:
    run = vms.play(ROOT / "molecule" / "machines.yml")
    assert run.code == 0 and run.changed, run.failures


Action = Callable[[Deployment, list[str]], None]


@dataclass(frozen=True)
class Fault:
    """What happens on which hosts, one of a group or all of it, and what ends it after a while, if not systemd does."""

    name: str
    strike: Action
    group: str
    heal: Action | None = None
    all: bool = False
    kills: bool = False  # the tasks in flight on the host
    deferred: bool = False  # what must be in flight is deferred


def killed(name: str, unit: str, group: str, **more: Any) -> Fault:
    """Nothing of it lives on; systemd starts it again."""
    kill = f"systemctl kill --signal=KILL --kill-whom=all {unit}"
    return Fault(f"{name} SIGKILL", partial(everywhere, kill), group, **more)


def restarted(name: str, unit: str, group: str) -> Fault:
    return Fault(f"{name} restart", partial(everywhere, f"systemctl restart {unit}"), group)


def away(name: str, unit: str, group: str, **more: Any) -> Fault:
    stop, start = (partial(everywhere, f"systemctl {verb} {unit}") for verb in ("stop", "start"))
    return Fault(f"{name} away for {AWAY} s", stop, group, heal=start, **more)


def without_power(name: str, group: str, **more: Any) -> Fault:
    return Fault(f"{name} without power for {AWAY} s", power_off, group, heal=power_on, **more)


WORKER = killed("worker", "airflow-worker", "airflow_worker", kills=True)
SCHEDULERS = killed("both schedulers", "airflow-scheduler", "airflow_scheduler", all=True)
BROKER = restarted("Redis", REDIS, "airflow_redis")
API = away("both api-servers", "airflow-api-server", "airflow_api_server", all=True)
OTHERS = [
    killed("api-server", "airflow-api-server", "airflow_api_server"),
    killed("scheduler", "airflow-scheduler", "airflow_scheduler"),
    killed("DAG processor", "airflow-dag-processor", "airflow_dag_processor"),
    killed("both triggerers", "airflow-triggerer", "airflow_triggerer", all=True, deferred=True),
    killed("PostgreSQL", POSTGRESQL, "airflow_postgresql"),
    restarted("PostgreSQL", POSTGRESQL, "airflow_postgresql"),
    killed("PgBouncer", POOLER, "airflow_pgbouncer"),
    killed("Redis", REDIS, "airflow_redis"),
    killed("HAProxy", PROXY, "airflow_proxy"),
    without_power("control VM", "airflow_scheduler"),
]
WORKER_VM = without_power("worker VM", "airflow_worker", kills=True)


def survive(ledger: Ledger, at_first: list[Fault], then: list[Fault], lanes: tuple[str, ...] = LANES) -> None:
    """Rounds of faults; what those do that come first goes on during the others.

    FAULT_SEED repeats what is random: the order, and the hosts.
    """
    seed = int(os.environ.get("FAULT_SEED") or time.time())
    draw = random.Random(seed)
    print(f"\nFAULT_SEED={seed}, {ROUNDS} rounds, {len(lanes)} DAG runs under way")
    plan = [(number, fault) for group in (at_first, then) for number in range(1, ROUNDS + 1)
            for fault in draw.sample(group, len(group))]  # fmt: skip
    with Load(ledger, lanes) as load:
        for number, fault in plan:
            hosts = ledger.vms.groups[fault.group]
            print(f"round {number}: {one_fault(load, fault, hosts if fault.all else [draw.choice(hosts)])}", flush=True)
    rows = load.rows()
    for one, died in load.deaths.items():
        for row in rows:
            if row[:3] == ("start", *one[:2]) and row.tried == one.tried + 1:
                print(f"{one.run} {one.task}, killed with its worker, began again after {row.when - died:.0f} s")


def one_fault(load: Load, fault: Fault, hosts: list[str]) -> str:
    """Strike while tasks are in flight; tell how long it took until a new run succeeded."""
    vms, place = load.ledger.vms, hosts[0] if fault.kills else ""
    load.wait(1 if fault.kills or fault.deferred else 2, place, fault.deferred)
    struck, began = load.flying(place, fault.deferred), time.time()
    try:
        fault.strike(vms, hosts)
        if fault.kills:
            struck, died = load.flying(place), time.time()
            # A task that was deferred on this host may go on elsewhere; if it was just about to, it is tried again.
            # So is one that has ended here, if Airflow was not told of that any more.
            load.deaths.update(dict.fromkeys({*struck, *load.flying(deferred=True), *load.untold(place)}, died))
        assert struck, f"{fault.name} struck no task in flight"
        if fault.heal:
            time.sleep(AWAY)
    finally:
        if fault.heal:
            fault.heal(vms, hosts)
    away_for, recovered = time.time() - began, load.ledger.pulse()
    return (f"{fault.name} ({', '.join(hosts)}), {len(struck)} tasks in flight, a new run succeeded after "
            f"{recovered:.1f} s" + (f" (and {away_for:.1f} s away)" if fault.heal else ""))  # fmt: skip


def heartbeat_timeout(vms: Deployment) -> int:
    """After how many seconds Airflow misses a task whose worker died, as the schedulers are configured."""
    asked = "airflow config get-value scheduler task_instance_heartbeat_timeout | tail -1"
    (seconds,) = {int(vms.shell(asked, host)) for host in vms.groups["airflow_scheduler"]}
    print(f"a task whose worker died is missed after {seconds} s")
    return seconds
