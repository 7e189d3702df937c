# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""DAG runs under way while something happens to a deployment, and a ledger outside of it in which they keep account.

Each task writes down its start and its end, with fsync. The file has two names: one in the home of the worker's DAG
user, one in a directory outside of all VMs. A local VM's root is a directory of this computer, so that is what a bind
mount would be, and needs no option of the VM: the rows are on this computer's disk when the VM loses its power, and
stay when it is removed.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.windward.airflow.plugins.module_utils._client import AirflowApiError, Client
from ansible_collections.windward.airflow.plugins.module_utils._local_vm import state_dir
from deployment import Deployment, deploy

PATIENCE = 600  # seconds: a machine that is busy with six VMs takes minutes to start an api-server
HEARTBEAT = 300  # seconds after which Airflow misses a task whose worker died; left as it is
SECONDS = 20  # that a task takes
LONG = 120  # that one takes which outlasts the start of a play
YOUNG = 12  # a task of this age is in flight for some seconds more
TURN = 90  # seconds after which a lane goes on with its next run
UNDER_WAY = {"queued", "running"}
OPEN = ["queued", "running", "scheduled", "restarting", "deferred", "up_for_retry", "up_for_reschedule"]
FILE = "/var/lib/airflow/dag/ledger"
DAGS = f"""
import os, time
from datetime import datetime, timedelta
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator

def write(what, ti):
    row = " ".join([what, ti.run_id, ti.task_id, str(ti.try_number), str(time.time())])
    stream = os.open("{FILE}", os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o644)
    os.write(stream, (row + chr(10)).encode())
    os.fsync(stream)
    os.close(stream)

class Work(BaseOperator):
    def __init__(self, seconds={SECONDS}, **kwargs):
        super().__init__(**kwargs)
        self.seconds = seconds

    def execute(self, context):
        write("start", context["ti"])
        time.sleep(self.seconds)
        write("end", context["ti"])

class Wait(BaseOperator):
    def execute(self, context):
        write("start", context["ti"])
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds={SECONDS})), method_name="resume")

    def resume(self, context, event=None):
        write("end", context["ti"])

def dag(name, queue="default"):
    retry = {{"queue": queue, "retries": 1, "retry_delay": timedelta(seconds=1)}}
    return DAG("ledger_" + name, schedule=None, start_date=datetime(2026, 1, 1), is_paused_upon_creation=False,
               default_args=retry, max_active_tasks=64, max_active_runs=64)

for queue in ("default", "heavy"):
    with dag(queue, queue):
        Work(task_id="first") >> Work(task_id="second")
with dag("long"):
    Work(task_id="long", seconds={LONG})
with dag("deferred"):
    Wait(task_id="deferred")
with dag("pulse"):
    Work(task_id="beat", seconds=0)
"""
TASKS = {"default": ["first", "second"], "heavy": ["first", "second"], "long": ["long"], "deferred": ["deferred"]}
LANES = ("default", "default", "heavy", "heavy")


class Row(NamedTuple):
    what: str
    run: str
    task: str
    tried: int
    when: float
    host: str


class Try(NamedTuple):
    """One execution of a task."""

    run: str
    task: str
    tried: int


Deaths = dict[Try, float]  # what a fault killed, and when


def tries(rows: Iterable[Row]) -> dict[Try, dict[str, Row]]:
    """The rows of each execution, by what they say."""
    found: dict[Try, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        found[Try(row.run, row.task, row.tried)][row.what] = row
    return found


def in_flight(rows: Iterable[Row], host: str = "") -> dict[Try, Row]:
    """Executions that have begun (on a host) and not ended, with the row of their start."""
    begun = {one: said["start"] for one, said in tries(rows).items() if set(said) == {"start"}}
    return {one: row for one, row in begun.items() if not host or row.host == host}


def untold(rows: Iterable[Row], host: str, under_way: Collection[tuple[str, str]]) -> set[Try]:
    """Executions that have ended on a host and are under way to Airflow, by run and task: it was not told of the end.

    What dies in that moment is tried again, though its ledger is complete.
    """
    ended = {one for one, said in tries(rows).items() if "end" in said and said["end"].host == host}
    return {one for one in ended if (one.run, one.task) in under_way}


OVERLAP = "ran twice at the same time"


def problems(rows: Collection[Row], runs: dict[str, list[str]], deaths: Deaths) -> list[str]:
    """What the ledger has against runs, each given with its tasks: lost, executed twice or at the same time."""
    found = [f"{row.run} was never asked for" for row in rows if row.run not in runs]
    said = tries(rows)
    if len(rows) != sum(map(len, said.values())):
        found.append("a try wrote the same twice")
    for run, tasks in runs.items():
        for task in tasks:
            mine = sorted((one, words) for one, words in said.items() if one[:2] == (run, task))
            if not any("end" in words for _one, words in mine):
                found.append(f"{run} {task} was lost")
            if len(mine) > 1 + len({one for one, _words in mine} & set(deaths)):
                found.append(f"{run} {task} ran {len(mine)} times, though not for a fault")
            spans = []
            for one, words in mine:
                if "start" not in words:
                    found.append(f"{one} ended and never began")
                elif "end" not in words and one not in deaths:
                    found.append(f"{one} began and was ended by nobody")
                else:
                    spans.append((words["start"].when, words["end"].when if "end" in words else deaths[one]))
            spans.sort()
            if any(later[0] < earlier[1] for earlier, later in pairwise(spans)):
                found.append(f"{run} {task} {OVERLAP}: {spans}")
    return found


def verdict(runs: int, tried: int, killed: int, lost: Sized, stuck: Sized, wrong: Collection[str]) -> str:
    """The one line that says how it ended: all that may not be, by itself."""
    overlaps = sum(OVERLAP in one for one in wrong)
    return (f"{runs} runs, {tried} executions, {killed} killed: lost runs {len(lost)}, stuck tasks {len(stuck)}, "
            f"overlapping executions {overlaps}, other things wrong {len(wrong) - overlaps}")  # fmt: skip


class Ledger:
    """The ledgers of all workers, and a way to Airflow that outlives any one host of it."""

    def __init__(self, vms: Deployment, folder: Path) -> None:
        self.vms, self.workers = vms, vms.groups["airflow_worker"]
        self.outside = Path(state_dir(os.environ)) / "ledgers"
        for host in self.workers:
            share(host, self.outside / host)
        self.dags = folder / "dags"
        self.dags.mkdir()
        (self.dags / "ledger.py").write_text(DAGS)
        deploy(vms, "--tags", "dags", airflow_dags=str(self.dags))
        (proxy,) = vms.groups["airflow_proxy"]
        self._ca = folder / "ca.pem"
        self._ca.write_text(vms.shell("cat /etc/haproxy/airflow/ca.pem", proxy))
        self._url = f"https://{vms.addresses[proxy]}"
        with vms.api() as api:
            api.get("/api/v2/version")
            self._token = api._token

    def client(self) -> Client:
        """Asks again for minutes when nobody answers."""
        return Client(self._url, token=self._token, ca_path=str(self._ca), retry_timeout=PATIENCE)

    def rows(self) -> list[Row]:
        found = []
        for host in self.workers:
            for line in (self.outside / host).read_text().rpartition("\n")[0].splitlines():
                what, run, task, tried, when = line.split()
                found.append(Row(what, run, task, int(tried), float(when), host))
        return found

    def pulse(self) -> float:
        """How long it takes from now until a new run has succeeded."""
        began = time.monotonic()
        run = f"pulse-{time.time():.1f}"
        with self.client() as api:
            trigger(api, "ledger_pulse", run)
            while (state := state_of(api, "ledger_pulse", run)) in UNDER_WAY:
                assert time.monotonic() < began + PATIENCE, "no new run succeeds"
                time.sleep(0.5)
        assert state == "success", state
        return time.monotonic() - began


def share(host: str, outside: Path) -> None:
    """Begin an empty ledger in a VM, and give the file a second name outside of it."""
    home = Path(state_dir(os.environ), "vms", host, "root", *Path(FILE).parts[1:-1])
    outside.parent.mkdir(exist_ok=True)
    script = 'f="$1/$2"; : > "$f"; chown --reference="$1" "$f"; chmod 644 "$f"; ln -f "$f" "$3"'
    as_root("bash", "-euc", script, "share", str(home), Path(FILE).name, str(outside))


def as_root(*command: str) -> None:
    subprocess.run([*(["sudo", "-n"] if os.geteuid() else []), *command], check=True, timeout=60)


def trigger(api: Client, dag: str, run: str) -> None:
    """Ask for a run until Airflow has said yes: its name makes sure that there is only one."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            api.request("POST", f"/api/v2/dags/{dag}/dagRuns", body={"logical_date": None, "dag_run_id": run})
            return
        except AirflowApiError as error:
            if error.status == 409:  # an answer was lost
                return
            if 400 <= (error.status or 500) < 500 or time.monotonic() > deadline:
                raise
            time.sleep(1)


def state_of(api: Client, dag: str, run: str) -> str:
    return api.get(f"/api/v2/dags/{dag}/dagRuns/{run}")["state"]


class Load:
    """As many DAG runs under way as there are lanes, until the block ends. Then everything must have come right."""

    def __init__(self, ledger: Ledger, lanes: Iterable[str] = LANES) -> None:
        self.ledger, self.lanes = ledger, list(lanes)
        self.name = f"load-{time.time():.0f}"
        self.runs: dict[str, str] = {}  # every run that Airflow said yes to, and its DAG
        self.deaths: Deaths = {}
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(len(self.lanes))
        self._done: list[Future[None]] = []

    def __enter__(self) -> Load:
        self._done = [self._pool.submit(self._lane, *lane) for lane in enumerate(self.lanes)]
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        if kind is None:
            for lane in self._done:
                lane.result()
            self._settle()

    def _lane(self, number: int, kind: str) -> None:
        with self.ledger.client() as api:
            while not self._stop.is_set():
                run, dag = f"{self.name}-{number}-{len(self.runs)}", f"ledger_{kind}"
                trigger(api, dag, run)
                self.runs[run] = kind
                turn = time.monotonic() + TURN
                while not self._stop.wait(1) and time.monotonic() < turn and run not in self._killed():
                    if state_of(api, dag, run) not in UNDER_WAY:
                        break

    def _killed(self) -> set[str]:
        return {one.run for one in list(self.deaths)}

    def rows(self) -> list[Row]:
        return [row for row in self.ledger.rows() if row.run.startswith(self.name)]

    def flying(self, host: str = "", deferred: bool = False) -> dict[Try, Row]:
        """What is in flight (on a host): tasks of workers, or deferred ones."""
        begun = in_flight(self.rows(), host).items()
        return {one: row for one, row in begun if one not in self.deaths and (one.task == "deferred") == deferred}

    def untold(self, host: str) -> set[Try]:
        """What has ended on a host without Airflow's knowing it, but for what is known to be dead."""
        with self.ledger.client() as api:
            found = self._open(api)
        under_way = {(one["dag_run_id"], one["task_id"]) for one in found}
        return untold(self.rows(), host, under_way) - set(self.deaths)

    def _open(self, api: Client) -> list[dict[str, Any]]:
        """The tasks of this load that have not ended, as Airflow knows it."""
        return api.pages("/api/v2/dags/~/dagRuns/~/taskInstances", "task_instances",
                         {"run_id_prefix_pattern": self.name, "state": OPEN})  # fmt: skip

    def wait(self, count: int, host: str = "", deferred: bool = False) -> None:
        """Wait until so many tasks (on a host) will be in flight for some seconds more, and none in its last try."""
        deadline = time.monotonic() + PATIENCE
        while True:
            flying = self.flying(host, deferred)
            young = [row for row in flying.values() if time.time() - row.when < YOUNG]
            if len(young) >= count and all(one.tried == 1 for one in flying):
                return
            assert time.monotonic() < deadline, f"{count} tasks wanted in flight {host}: {flying}"
            for lane in self._done:
                if lane.done():
                    lane.result()
            time.sleep(0.5)

    def _settle(self) -> None:
        deadline = time.monotonic() + PATIENCE + (HEARTBEAT if self.deaths else 0)
        states = dict.fromkeys(self.runs, "queued")
        with self.ledger.client() as api:
            while time.monotonic() < deadline and UNDER_WAY & set(states.values()):
                for run in [run for run, state in states.items() if state in UNDER_WAY]:
                    states[run] = state_of(api, f"ledger_{self.runs[run]}", run)
                time.sleep(1)
            stuck = self._open(api)
        lost = {run: state for run, state in states.items() if state != "success"}
        wrong = problems(self.rows(), {run: TASKS[kind] for run, kind in self.runs.items()}, self.deaths)
        print(verdict(len(self.runs), len(tries(self.rows())), len(self.deaths), lost, stuck, wrong))
        assert not lost and not stuck and not wrong, (lost, stuck, wrong)
