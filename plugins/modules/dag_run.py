#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: dag_run
short_description: Trigger a DAG run of Airflow and wait for its end
version_added: 0.1.0
description:
  - Triggers a run of a DAG and waits until it has succeeded. A run that fails fails the task, which then tells the
    failed task and the end of its log.
  - With O(run_id) the task is idempotent. A run of that name which has succeeded is left alone, one that is on its way
    is waited for.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.api.interval
  - windward.airflow.attributes
attributes:
  check_mode:
    support: full
    details:
      - In check mode nothing is triggered and nothing is waited for but a run that exists already.
  diff_mode:
    support: full
options:
  dag_id:
    description: The DAG.
    type: str
    required: true
  run_id:
    description:
      - Name of the run. Without it, every execution of the task triggers another run, named by Airflow.
      - The name alone decides; O(conf) and O(logical_date) of an existing run are not compared.
    type: str
  conf:
    description: Configuration of the run, which its tasks can read. It is shown in Airflow's user interface.
    type: dict
    default: {}
  logical_date:
    description: The run's logical date (ISO 8601). A run has none unless given.
    type: str
  rerun_failed:
    description:
      - What to do with a run named O(run_id) that has failed. V(true) clears its failed tasks, so that they run again.
        V(false) fails.
    type: bool
    default: false
  wait:
    description: Whether to wait for the end of the run. If not, the outcome of the run has no effect on the task.
    type: bool
    default: true
  timeout:
    description: For how many seconds to wait. The run goes on when time is up.
    type: float
    default: 3600.0
  log_tasks:
    description: The tasks whose logs are to be returned once the run has ended.
    type: list
    elements: str
    default: []
  log_lines:
    description: How many lines of a failed task's log are to be part of the error.
    type: int
    default: 50
notes:
  - While it waits, the task says every 15 seconds how far the run has come (on the standard error output, so that
    callback plugins which print JSON are not disturbed). With C(async) it waits in silence.
  - The state of the run is asked for again and again. Airflow's own C(/wait) holds a database connection of the API
    server per caller, of which there are few, and a running task needs them too.
seealso:
  - module: windward.airflow.dag
"""

EXAMPLES = r"""
- name: Load yesterday's sales, once
  windward.airflow.dag_run:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    dag_id: sales_daily
    run_id: deploy-2026-11-20
    conf:
      day: "2026-11-20"
    rerun_failed: true
    timeout: 900

- name: Read a task's log back
  windward.airflow.dag_run:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    dag_id: sales_daily
    run_id: deploy-2026-11-20
    log_tasks: [load]
  register: sales

- name: Start a run and go on
  windward.airflow.dag_run:
    api_url: https://airflow.example.org
    api_token: "{{ airflow_token }}"
    dag_id: sales_daily
    wait: false
"""

RETURN = r"""
run:
  description: The run; in check mode, what is known of one that is not triggered yet.
  returned: success, or when the run failed or time is up
  type: dict
  sample:
    dag_id: sales_daily
    dag_run_id: deploy-2026-11-20
    state: success
    bundle_version: 3f9c1d2ab4e0
    conf:
      day: "2026-11-20"
    logical_date: null
    queued_at: "2026-11-21T10:04:11.912761Z"
    start_date: "2026-11-21T10:04:13.509861Z"
    end_date: "2026-11-21T10:04:22.839240Z"
    duration: 9.329379
tasks:
  description: The run's task instances; those of a mapped task have a C(map_index) of 0 or more.
  returned: when the run exists
  type: list
  elements: dict
  sample:
    - task_id: load
      map_index: -1
      state: success
      try_number: 1
      start_date: "2026-11-21T10:04:13.591017Z"
      end_date: "2026-11-21T10:04:19.865933Z"
      duration: 6.275
failed_tasks:
  description: The tasks that failed, the earliest first.
  returned: when the run failed
  type: list
  elements: str
  sample:
    - load
logs:
  description: The logs of O(log_tasks), by task; by C(task[map_index]) for mapped tasks.
  returned: when the run has ended
  type: dict
  sample:
    load: |-
      2026-11-21T10:04:19.865423Z info 4711 rows loaded
"""

from collections import Counter
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._client import AirflowApiError, Client, segment
from ..module_utils._logs import read_log, tail
from ..module_utils._module import looks, run
from ..module_utils._resource import Change, apply

SHOWN_OF_RUN = (
    "dag_id", "dag_run_id", "state", "bundle_version", "conf", "logical_date",
    "queued_at", "start_date", "end_date", "duration",
)  # fmt: skip
SHOWN_OF_TASK = ("task_id", "map_index", "state", "try_number", "start_date", "end_date", "duration")
ENDED = ("success", "failed")

Row = dict[str, Any]


def label(task: Row) -> str:
    return task["task_id"] if task["map_index"] < 0 else f"{task['task_id']}[{task['map_index']}]"


def progress(state: str, tasks: list[Row]) -> str:
    """One line for people: tasks by name while they are few, else by number."""
    if len(tasks) <= 8:
        return ", ".join([state, *(f"{label(task)} {task['state'] or 'waiting'}" for task in tasks)])
    counts = Counter(task["state"] or "waiting" for task in tasks)
    return ", ".join([state, *(f"{count} {name}" for name, count in sorted(counts.items()))])


def plan(current: Row | None, tasks: list[Row], path: str, params: Row) -> Change | None:
    """What is to be sent: a trigger, the clearing of a failed run, or nothing."""
    name = f"DAG run {params['dag_id']}"
    if current is None:
        after = {"dag_run_id": params["run_id"], "conf": params["conf"], "logical_date": params["logical_date"]}
        look = f"{path}/{segment(params['run_id'])}" if params["run_id"] else None
        return Change(name, "POST", path, {}, {**after, "state": "queued"}, after, look=look)
    if current["state"] == "failed" and params["rerun_failed"]:
        # A run can fail without a failed task, such as by its own time limit: then all of it runs again.
        only_failed = any(task["state"] in ("failed", "upstream_failed") for task in tasks)
        before = {"dag_run_id": current["dag_run_id"], "state": "failed"}
        body = {"dry_run": False, "only_failed": only_failed}
        clear = f"{path}/{segment(current['dag_run_id'])}/clear"
        return Change(name, "POST", clear, before, {**before, "state": "queued"}, body)
    return None


class DagRuns:
    """The runs of one DAG, as far as this module needs them."""

    def __init__(self, client: Client, dag_id: str) -> None:
        self.client, self.dag_id = client, dag_id
        self.dag_path = f"/api/v2/dags/{segment(dag_id)}"
        self.path = f"{self.dag_path}/dagRuns"

    def dag(self) -> Row:
        found = self.client.find(self.dag_path)
        if not found or found["is_stale"]:
            raise AirflowApiError(f"Airflow serves no DAG named {self.dag_id}")
        return found

    def find(self, run_id: str | None) -> Row | None:
        return self.client.find(f"{self.path}/{segment(run_id)}") if run_id else None

    def tasks(self, run_id: str) -> list[Row]:
        path = f"{self.path}/{segment(run_id)}/taskInstances"
        return self.client.pages(path, "task_instances", {"order_by": "id"})


def start(module: AnsibleModule, runs: DagRuns) -> tuple[Row, Row | None]:
    """Trigger or clear as planned. Returns the result so far, and the run if there is one."""
    params = module.params
    dag, current = runs.dag(), runs.find(params["run_id"])
    if params["wait"] and dag["is_paused"] and (current is None or current["state"] not in ENDED):
        raise AirflowApiError(f"DAG {runs.dag_id} is paused, its runs would stay queued: unpause it, or don't wait")
    rerun = current and current["state"] == "failed" and params["rerun_failed"]
    tasks = runs.tasks(params["run_id"]) if rerun else []
    change = plan(current, tasks, runs.path, params)
    if not change:
        return {"changed": False}, current
    try:
        result, answers = apply(module, runs.client, [change])
    except AirflowApiError as exc:
        current = runs.find(params["run_id"]) if exc.status == 409 else None
        if not current:
            raise
        return {"changed": False}, current  # somebody else was faster
    if answers:
        return result, answers[0]
    return {**result, "run": {**dict(change.after), "dag_id": runs.dag_id}}, None


def wait(module: AnsibleModule, runs: DagRuns, row: Row) -> Row:
    """Poll until the run has ended or time is up."""
    for seconds in looks(module.params["timeout"], module.params["interval"]):
        if seconds:
            row = runs.client.get(f"{runs.path}/{segment(row['dag_run_id'])}")
        if row["state"] in ENDED:
            break
    return row


def failure(client: Client, tasks: list[Row], lines: int) -> tuple[str, list[str]]:
    """The failed tasks, and for a person the end of the first one's log."""
    failed = sorted((t for t in tasks if t["state"] == "failed"), key=lambda task: task["end_date"] or "")
    if not failed:
        return "no task of it failed", []
    names = [label(task) for task in failed]
    try:
        log = tail(read_log(client, failed[0]), lines)
    except AirflowApiError as exc:
        log = f"(can't be read: {exc})"
    return f"task {', '.join(names[:10])} failed. The end of the log of {names[0]}:\n{log}", names


def logs(client: Client, tasks: list[Row], wanted: list[str]) -> dict[str, str]:
    return {label(task): read_log(client, task) for task in tasks if task["task_id"] in wanted and task["try_number"]}


def execute(module: AnsibleModule, client: Client) -> Row:
    runs = DagRuns(client, module.params["dag_id"])
    result, row = start(module, runs)
    if row is None:
        return result
    result["run"] = {key: row[key] for key in SHOWN_OF_RUN}
    try:
        return follow(module, runs, result, row)
    except AirflowApiError as exc:
        exc.result = {**result, **exc.result}
        raise


def follow(module: AnsibleModule, runs: DagRuns, result: Row, row: Row) -> Row:
    """Wait if that is wanted, and tell what became of the run. A failure then doesn't hide what was started."""
    client, params = runs.client, module.params
    if params["wait"]:
        row = wait(module, runs, row)
    result["run"] = {key: row[key] for key in SHOWN_OF_RUN}
    tasks = runs.tasks(row["dag_run_id"])
    result["tasks"] = [{key: task[key] for key in SHOWN_OF_TASK} for task in tasks]
    name = f"DAG run {runs.dag_id}/{row['dag_run_id']}"
    if row["state"] in ENDED:
        result["logs"] = logs(client, tasks, params["log_tasks"])
    elif params["wait"]:
        state = progress(row["state"], tasks)
        raise AirflowApiError(f"{name} had not ended when time was up: {state}", result=result)
    if params["wait"] and row["state"] == "failed":
        reason, failed = failure(client, tasks, params["log_lines"])
        raise AirflowApiError(f"{name} has failed: {reason}", result={**result, "failed_tasks": failed})
    unknown = set(params["log_tasks"]) - {task["task_id"] for task in tasks}
    if unknown:
        raise AirflowApiError(f"log_tasks: {name} has no task {', '.join(sorted(unknown))}", result=result)
    return result


SPEC: dict[str, dict[str, Any]] = {
    "dag_id": {"type": "str", "required": True},
    "run_id": {"type": "str"},
    "conf": {"type": "dict", "default": {}},
    "logical_date": {"type": "str"},
    "rerun_failed": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 3600.0},
    "interval": {"type": "float", "default": 5.0},
    "log_tasks": {"type": "list", "elements": "str", "default": []},
    "log_lines": {"type": "int", "default": 50},
}


def main() -> None:
    run(SPEC, execute)


if __name__ == "__main__":
    main()
