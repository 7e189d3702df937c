#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: units
short_description: Run the components of a host as declared, and restart only what differs
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Compares the digest that each unit runs with (C(/run/airflow/<component>.digest), written when it starts) with the
    wanted one. A unit that is stopped, or runs with another digest, is restarted. All others are left alone.
  - Nothing is remembered between tasks, so a play that was killed after it wrote a unit is completed by the next one.
  - The api-server is restarted first and must answer before the next unit is touched, since running tasks need it.
    Units that do not run yet are all started at once.
  - Celery's worker that is to be restarted, or removed when there is a O(consumer), is drained before, as
    M(windward.airflow.worker_drain) does it. If tasks
    still run when its time is over, the module fails and names them, and nothing is restarted. The same when it could
    not be asked, because the configuration can't be loaded. A worker that gives no answer is restarted nevertheless,
    with a warning.
  - Any other component that runs tasks ends when they have ended, or when the time-out of its unit is over. So a
    restart takes as long; the module then warns how long it took, and names the tasks that ran when it began.
  - The components' own journal is restarted when it is older than its configuration.
  - Ends when each component that was restarted shows a heartbeat that is newer than its restart. The worker must
    consume.
options:
  units:
    description: The units in the order of their restart, each named C(airflow-<component>.service).
    type: list
    elements: dict
    default: []
    suboptions:
      component:
        description: Name of the component.
        type: str
        required: true
      digest:
        description: The digest that it should run with. Empty means that it is left as it is, and waited for.
        type: str
        default: ""
      job:
        description: Airflow's type of the component's job, whose heartbeat is waited for. Empty means none.
        type: str
        default: ""
      page:
        description:
          - Path below O(host_url) that answers when the component is healthy. Empty means none.
          - A component with neither job nor page is Celery's worker.
        type: str
        default: ""
      tasks:
        description: Whether it runs tasks, which end before it does.
        type: bool
        default: false
  consumer:
    description: How the worker is drained and asked, as M(windward.airflow.worker_drain) is told.
    type: dict
    suboptions:
      release:
        description: Directory of the release whose interpreter is used.
        type: path
      config_dir:
        description: Directory of the configuration, in which C(environment/) holds a file per component.
        type: path
        default: /etc/airflow
      user:
        description: Unix user that runs the release's code.
        type: str
      worker:
        description: Celery's name of the worker.
        type: str
        required: true
      timeout:
        description: Seconds that its tasks may take.
        type: float
        default: 3600.0
  absent:
    description: Components that this host does not run (any more). Their units are stopped and removed.
    type: list
    elements: str
    default: []
  drain:
    description: Whether a component in O(absent) may finish its tasks first. V(false) kills it.
    type: bool
    default: true
  hostname:
    description: Name under which the jobs of this host are found in Airflow. Required when there are O(units).
    type: str
  api_url:
    description: URL of the API, which tells of jobs. Required when there are O(units).
    type: str
  host_url:
    description: URL of this host's own api-server. Required when one of O(units) has a page.
    type: str
  api_token:
    description: A token for the API.
    type: str
  timeout:
    description:
      - Seconds that the components may take to become healthy. One that dies again and again is not waited for.
    type: int
    default: 180
attributes:
  action:
    support: full
    description: Its half on the controller drains the worker and says how far it has come.
  check_mode:
    support: full
    description: Says which units would be restarted.
  diff_mode:
    support: full
    description: Shows the digests.
"""

EXAMPLES = r"""
- name: Run the components
  windward.airflow.units:
    units: "{{ plan.units }}"
    hostname: "{{ airflow_address }}"
    api_url: http://10.0.0.5:8080
    api_token: "{{ minted.token }}"
"""

RETURN = r"""
drained:
  description: Seconds that each component took to stop, of those that took longer than a moment.
  type: dict
  returned: always
  sample: {scheduler: 312.4}
removed:
  description: Components that were removed, or would be in check mode.
  type: list
  elements: str
  returned: always
  sample: []
restarted:
  description: Components that were started or restarted, or would be in check mode.
  type: list
  elements: str
  returned: always
  sample: [scheduler]
seconds:
  description: Seconds from the restart of each component until it was healthy.
  type: dict
  returned: always
  sample: {scheduler: 3.1}
"""

import datetime
import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _release
from ..module_utils._client import AirflowApiError, Client

Unit = dict[str, Any]


def unit_name(component: str) -> str:
    return f"airflow-{component}.service"


def last_words(module: AnsibleModule, unit: str, lines: int = 15) -> str:
    """Return the end of a unit's journal."""
    _code, out, _err = module.run_command(
        ["journalctl", "--namespace=airflow", "--unit", unit, "--lines", str(lines), "--no-pager", "--output=cat"])
    return out.strip()


def drained_warning(units: list[Unit], drained: dict[str, float], tasks: list[str]) -> str:
    """Return what is to be said of components that let tasks end. Of others nothing: they were slow, that is all."""
    names = [unit["component"] for unit in units if unit["tasks"] and unit["component"] in drained]
    if not names:
        return ""
    took = ", ".join(f"{name} took {drained[name]:.0f} s to stop" for name in names)
    ran = f"; these ran when it began: {', '.join(tasks)}" if tasks else ""
    return f"{took}: what runs tasks lets them end first, for at most airflow_drain_timeout seconds{ran}."


def restarts(states: dict[str, dict[str, str]], unit: Unit) -> int:
    """Return how often systemd has started a unit anew, by itself."""
    return int(states[unit_name(unit["component"])]["NRestarts"])


DEATHS = 3  # that are borne in a start: a database may still be on its way up
MOMENT = 10  # seconds in which a component without tasks stops
SYSTEM = "/etc/systemd/system"
RUN = "/run/airflow"  # what a unit writes when it starts
JOURNAL = "systemd-journald@airflow.service"
JOURNAL_CONFIG = "/etc/systemd/journald@airflow.conf"
CONSUMES = """
import json, sys
from airflow.providers.celery.executors.celery_executor import app
name = json.load(sys.stdin)
queues = (app.control.inspect(destination=[name], timeout=3).active_queues() or {}).get(name)
json.dump(bool(queues), open(int(sys.argv[1]), "w"))
"""


class Units:
    """The units of this host."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.client = Client(module.params["api_url"], token=module.params["api_token"], timeout=5, retry_timeout=0)
        self.own = Client(module.params["host_url"] or module.params["api_url"], timeout=5, retry_timeout=0)
        self.started: dict[str, datetime.datetime] = {}
        self.deaths: dict[str, int] = {}  # until then: systemd goes on counting where it was about to start a unit anew
        self.seconds: dict[str, float] = {}
        self.drained: dict[str, float] = {}
        self.error = ""

    def systemctl(self, *argv: str) -> str:
        code, out, err = self.module.run_command(["systemctl", *argv])
        if code:
            self.module.fail_json(msg="systemctl {} failed: {}".format(" ".join(argv), (err or out).strip()))
        return out

    def states(self, names: list[str]) -> dict[str, dict[str, str]]:
        """Return the properties of each unit."""
        wanted = "Id,ActiveState,UnitFileState,NeedDaemonReload,NRestarts"
        blocks = self.systemctl("show", "--property=" + wanted, *names).strip().split("\n\n")
        found = [dict(line.split("=", 1) for line in block.splitlines()) for block in blocks]
        return {block["Id"]: block for block in found}

    def journal_is_stale(self) -> bool:
        """Tell whether the components' journal runs with an older configuration than that on the disk."""
        out = self.systemctl("show", "--timestamp=unix", "--property=ActiveState,ExecMainStartTimestamp", JOURNAL)
        shown = dict(line.split("=", 1) for line in out.splitlines())
        started = shown.get("ExecMainStartTimestamp", "").lstrip("@")
        return (shown.get("ActiveState") == "active" and started.isdigit() and os.path.exists(JOURNAL_CONFIG)
                and int(started) < int(os.stat(JOURNAL_CONFIG).st_mtime))

    def restart(self, units: list[Unit]) -> None:
        """Restart units at once, without waiting for systemd to finish with one before it begins with the next."""
        now = datetime.datetime.now(datetime.timezone.utc)
        for unit in units:
            self.started[unit["component"]] = now
        began = time.monotonic()
        self.systemctl("restart", *[unit_name(unit["component"]) for unit in units])
        took = time.monotonic() - began
        states = self.states([unit_name(unit["component"]) for unit in units])
        self.deaths.update({unit["component"]: restarts(states, unit) for unit in units})
        if took > MOMENT:
            self.drained.update({unit["component"]: round(took, 1) for unit in units})

    def consumes(self) -> bool:
        """Tell whether Celery's worker answers and consumes. That it runs says little: it may die in a moment."""
        asked = self.module.params["consumer"]
        variables = _release.environment(asked, "worker")
        if _release.run(CONSUMES, asked["release"], asked["user"], variables, asked["worker"], timeout=60):
            return True
        self.error = "{} does not consume".format(asked["worker"])
        return False

    def running_tasks(self) -> list[str]:
        """Return the tasks that run now, or nothing when the API can't tell."""
        try:
            found = self.client.get("/api/v2/dags/~/dagRuns/~/taskInstances", {"state": "running", "limit": 20})
        except AirflowApiError:
            return []
        return ["{dag_id}.{task_id}".format(**row) for row in found["task_instances"]]

    def watch(self, units: list[Unit]) -> None:
        """Wait for units that others started, when the host did or later."""
        now = datetime.datetime.now(datetime.timezone.utc)
        with open("/proc/uptime", encoding="ascii") as stream:
            boot = now - datetime.timedelta(seconds=float(stream.read().split()[0]))
        states = self.states([unit_name(unit["component"]) for unit in units])
        for unit in units:
            self.started[unit["component"]] = boot
            self.deaths[unit["component"]] = restarts(states, unit)
        self.wait(units)

    def healthy(self, unit: Unit) -> bool:
        """Tell whether the component shows a sign of life that is newer than its restart."""
        started = self.started[unit["component"]]
        try:
            if unit["page"]:
                self.own.open(unit["page"])
                return True
            if not unit["job"]:
                return self.consumes()
            jobs = self.client.get("/api/v2/jobs", {
                "job_type": unit["job"], "hostname": self.module.params["hostname"], "job_state": "running",
                "start_date_gte": started.isoformat(), "limit": 1})
            return jobs["total_entries"] > 0
        except (AirflowApiError, _release.ReleaseError, FileNotFoundError) as error:
            self.error = str(error)
            return False

    def wait(self, units: list[Unit]) -> None:
        """Wait until each of the units is healthy, or end the module with the journal of one that is not."""
        self.error = ""
        waiting = list(units)
        deadline = time.monotonic() + self.module.params["timeout"]
        while waiting:
            for unit in [unit for unit in waiting if self.healthy(unit)]:
                waiting.remove(unit)
                age = datetime.datetime.now(datetime.timezone.utc) - self.started[unit["component"]]
                self.seconds[unit["component"]] = round(age.total_seconds(), 1)
            if not waiting:
                break
            if time.monotonic() > deadline:
                reason = f" ({self.error})" if self.error else ""
                self.give_up(waiting[0], f"gave no sign of life within {self.module.params['timeout']} s{reason}")
            states = self.states([unit_name(unit["component"]) for unit in waiting])
            for unit in waiting:
                if restarts(states, unit) - self.deaths[unit["component"]] > DEATHS:
                    self.give_up(unit, f"died {DEATHS + 1} times")
            time.sleep(0.5)

    def give_up(self, unit: Unit, reason: str) -> None:
        """End the module with what became of a unit after its start, and the end of its journal."""
        component = unit["component"]
        self.module.fail_json(
            msg=f"{component} {reason} after its start. "
                f"Its last words:\n{last_words(self.module, unit_name(component))}",
            restarted=sorted(self.started), seconds=self.seconds)


def remove(module: AnsibleModule) -> list[str]:
    """Stop and remove the units of components that are not wanted, and return those that were there."""
    def path(component: str) -> str:
        return os.path.join(SYSTEM, unit_name(component))

    there = [component for component in module.params["absent"] if os.path.exists(path(component))]
    names = [unit_name(component) for component in there]
    if there and not module.check_mode:
        module.run_command(["systemctl", "--quiet", "disable", *names], check_rc=True)
        if not module.params["drain"]:
            module.run_command(["systemctl", "--quiet", "kill", "--signal=KILL", *names])
        module.run_command(["systemctl", "--quiet", "stop", *names], check_rc=True)
        for component in there:
            os.unlink(path(component))
            for kind in ("digest", "environment"):
                if os.path.exists(f"{RUN}/{component}.{kind}"):
                    os.unlink(f"{RUN}/{component}.{kind}")
        module.run_command(["systemctl", "daemon-reload"], check_rc=True)
        module.run_command(["systemctl", "--quiet", "reset-failed", *names])
    return there


def running_digest(component: str) -> str:
    """Return the digest that the running unit wrote when it started."""
    try:
        with open(os.path.join(RUN, component + ".digest"), encoding="utf-8") as stream:
            return stream.read().strip()
    except FileNotFoundError:
        return ""


def main() -> None:
    unit = {
        "component": {"type": "str", "required": True},
        "digest": {"type": "str", "default": ""},
        "job": {"type": "str", "default": ""},
        "page": {"type": "str", "default": ""},
        "tasks": {"type": "bool", "default": False},
    }
    consumer = {**_release.OPTIONS, "worker": {"type": "str", "required": True},
                "timeout": {"type": "float", "default": 3600.0}}
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "dict", "default": [], "options": unit},
            "consumer": {"type": "dict", "options": consumer},
            "absent": {"type": "list", "elements": "str", "default": []},
            "drain": {"type": "bool", "default": True},
            "hostname": {"type": "str"},
            "api_url": {"type": "str"},
            "host_url": {"type": "str"},
            "api_token": {"type": "str", "no_log": True},
            "timeout": {"type": "int", "default": 180},
        },
        required_by={"api_token": ("api_url", "hostname")},
        supports_check_mode=True,
    )
    units = module.params["units"]
    if not module.params["consumer"] and any(not wanted["job"] and not wanted["page"] for wanted in units):
        module.fail_json(msg="A component with neither job nor page is asked by Celery: consumer is required.")
    removed = remove(module)
    if not units:
        module.exit_json(changed=bool(removed), restarted=[], removed=removed, seconds={}, drained={})
    host = Units(module)
    states = host.states([unit_name(wanted["component"]) for wanted in units])
    running = {wanted["component"]: running_digest(wanted["component"])
               if states[unit_name(wanted["component"])]["ActiveState"] == "active" else "" for wanted in units}
    stale = [wanted for wanted in units if wanted["digest"] not in ("", running[wanted["component"]])]
    watched = [wanted for wanted in units if not wanted["digest"]]
    disabled = [name for name, state in states.items() if state["UnitFileState"] != "enabled"]
    names = [wanted["component"] for wanted in stale]
    journal = host.journal_is_stale()
    result = {
        "changed": bool(stale or disabled or removed or journal), "restarted": names, "removed": removed,
        "diff": {"before": "".join("{}: {}\n".format(name, running[name] or "stopped") for name in names),
                 "after": "".join("{component}: {digest}\n".format(**wanted) for wanted in stale)},
    }
    if module.check_mode:
        module.exit_json(seconds={}, drained={}, **result)

    if any(state["NeedDaemonReload"] == "yes" for state in states.values()):
        host.systemctl("daemon-reload")
    if journal:
        host.systemctl("restart", JOURNAL)
    if disabled:
        host.systemctl("enable", *disabled)
    new = [wanted for wanted in stale if not running[wanted["component"]]]
    if new:
        host.restart(new)
        host.wait(new)
    old = [wanted for wanted in stale if running[wanted["component"]]]
    tasks = host.running_tasks() if old else []
    for wanted in old:
        host.restart([wanted])
        host.wait([wanted])
    if watched:
        host.watch(watched)
    if warning := drained_warning(stale, host.drained, tasks):
        module.warn(warning)
    module.exit_json(seconds=host.seconds, drained=host.drained, **result)


if __name__ == "__main__":
    main()
