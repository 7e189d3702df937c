#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: worker_drain
short_description: Let a Celery worker finish its tasks, and take no new ones
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Tells the worker of this host to consume no queue any more, then waits until it has neither active nor reserved
    tasks. What is queued goes to other workers.
  - The worker itself goes on living, drained. It forgets what it runs with (C(/run/airflow/worker.digest)), so that the
    next run of the deployment restarts it, and it consumes again. A drain that was interrupted is thus undone.
  - A worker that is just starting or stopping is waited for, since it runs tasks, or may take some in a moment.
  - Uses Celery's control API with the release's own code and the environment that the worker was started with
    (C(/run/airflow/worker.environment)). That on the disk may name another broker already.
  - Says every fifteen seconds what still runs.
extends_documentation_fragment:
  - windward.airflow.release
options:
  worker:
    description: Celery's name of the worker, C(celery@) and the host's address.
    type: str
    required: true
  digest:
    description: A worker that runs with this digest is left alone. Empty means none.
    type: str
    default: ""
  timeout:
    description:
      - Seconds that the tasks may take. If some still run then, the module fails and names them. The worker stays
        drained, and they go on.
    type: float
    default: 3600.0
attributes:
  action:
    support: full
    description: Its half on the controller says how far it has come.
  check_mode:
    support: full
    description: Says whether there is a worker to drain.
  diff_mode:
    support: none
    description: Nothing is written.
seealso:
  - name: Celery's remote control
    description: What is told to the worker, and asked.
    link: https://docs.celeryq.dev/en/stable/userguide/workers.html#remote-control
"""

EXAMPLES = r"""
- name: Let the worker finish
  windward.airflow.worker_drain:
    release: /opt/airflow/current
    user: airflow-dag
    worker: celery@10.0.0.21
    timeout: 1800
"""

RETURN = r"""
running:
  description:
    - What still runs or is reserved, as C(dag_id.task_id run_id). Of a worker that is starting or stopping, which can't
      be asked, the state of its unit.
  type: list
  elements: str
  returned: always
  sample: []
silent:
  description: Whether the worker gave no answer, or its broker none. V(false) when it could not even be asked.
  type: bool
  returned: when it was to be asked and nothing came of that
  sample: true
seconds:
  description: How long it took.
  type: float
  returned: always
  sample: 41.3
"""

import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _environment_file, _release

SPEC = {
    **_release.OPTIONS,
    "worker": {"type": "str", "required": True},
    "digest": {"type": "str", "default": ""},
    "timeout": {"type": "float", "default": 3600.0},
}
UNIT = "airflow-worker.service"
DIGEST = "/run/airflow/worker.digest"
# A copy that the unit makes when it starts: of its own environment a process that sets its title leaves nothing.
ENVIRONMENT = "/run/airflow/worker.environment"
GONE = ("inactive", "failed")
BETWEEN = ("activating", "deactivating", "reloading")
# A workload holds a token, so nothing of it is given away but names. A reply may be late once, not thrice. A worker
# that systemd started anew consumes again, so it is told again. A reserved task may become an active one meanwhile.
# What fails before the first question is an error of the configuration, or of the release.
DRAIN = """
import json, sys, time
from airflow.providers.celery.executors.celery_executor import app
app.conf.broker_url
request = json.load(sys.stdin)
name, deadline = request["worker"], time.monotonic() + request["timeout"]

def ask(question):
    for patience in (2, 5, 10):
        inspect = app.control.inspect(destination=[name], timeout=patience)
        reply = getattr(inspect, question)()
        if reply and name in reply:
            return reply[name]
    raise TimeoutError("the worker " + name + " does not answer")

def title(task):
    try:
        ti = json.loads(task["args"][0])["ti"]
        return "{dag_id}.{task_id} {run_id}".format(**ti)
    except (KeyError, IndexError, TypeError, ValueError):
        return str(task.get("id"))

def drain():
    while True:
        for queue in ask("active_queues"):
            app.control.cancel_consumer(queue["name"], destination=[name])
        consumed = [queue["name"] for queue in ask("active_queues")]
        running = sorted({title(task) for question in ("reserved", "active") for task in ask(question)})
        if not consumed and not running or time.monotonic() >= deadline:
            return {"running": running, "consumed": consumed}
        time.sleep(1)

try:
    answer = drain()
except Exception as error:
    answer = {"silent": str(error) or repr(error)}
json.dump(answer, open(int(sys.argv[1]), "w"))
"""


def environments(options: dict[str, Any]) -> list[dict[str, str]]:
    """Return what the worker was started with and, if it differs, what the next one is.

    A broker whose password was changed answers to the new one only.
    """
    found = []
    if os.path.exists(ENVIRONMENT):
        with open(ENVIRONMENT, encoding="utf-8") as stream:
            found.append(_environment_file.parse(stream.read()))
    try:
        following = _release.environment(options, "worker")
    except FileNotFoundError:
        if not found:
            raise
        return found  # of a host that is to have no worker any more
    return found if following in found else [*found, following]


def settled(module: AnsibleModule, deadline: float) -> str:
    """Return the state of the unit once it neither starts nor stops, or the one that it has when the time is over."""
    while True:
        _code, out, _err = module.run_command(["systemctl", "show", "--property=ActiveState,Job", UNIT])
        shown = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
        state = shown.get("ActiveState", "inactive")
        if shown.get("Job", "") not in ("", "0") and state not in BETWEEN:
            state = "activating"  # a restart passes through `inactive`
        if state not in BETWEEN or time.monotonic() >= deadline:
            return state
        time.sleep(1)


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    release, user, worker = module.params["release"], module.params["user"], module.params["worker"]
    began = time.monotonic()
    deadline = began + module.params["timeout"]
    state = settled(module, began if module.check_mode else deadline)
    consumed, digest = os.path.exists(DIGEST), ""
    if consumed:
        with open(DIGEST, encoding="utf-8") as stream:
            digest = stream.read().strip()
    if state in GONE or (consumed and digest == module.params["digest"]):
        module.exit_json(changed=False, running=[], seconds=0.0)
    if module.check_mode:
        module.exit_json(changed=consumed, running=[], seconds=0.0)
    if state != "active":
        module.fail_json(msg=f"{UNIT} is still {state}, so its tasks may run", changed=False,
                         running=[f"{UNIT} is {state}"], seconds=round(time.monotonic() - began, 1))
    if consumed:
        os.unlink(DIGEST)
    try:
        for variables in environments(module.params):
            rest = max(0.0, deadline - time.monotonic())
            request = {"worker": worker, "timeout": rest}
            left = _release.run(DRAIN, release, user, variables, request, timeout=int(rest) + 120)
            if "silent" not in left:
                break
    except (_release.ReleaseError, FileNotFoundError) as error:
        module.fail_json(msg=f"The worker could not be asked: {error}", changed=consumed, silent=False)
    if "silent" in left:
        module.fail_json(msg="The worker could not be drained: {silent}".format(**left), changed=consumed, silent=True)
    result = {"changed": consumed, "running": left["running"], "seconds": round(time.monotonic() - began, 1)}
    if left["consumed"]:
        module.fail_json(msg="{} still consumes {}".format(worker, ", ".join(left["consumed"])), **result)
    if left["running"]:
        module.fail_json(msg="{} consumes nothing more, but these still run: {}".format(
            worker, ", ".join(left["running"])), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
