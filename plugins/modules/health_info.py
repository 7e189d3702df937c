#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: health_info
short_description: Ask Airflow how its components are
version_added: 0.1.0
description:
  - Returns the state of Airflow's components and the age of their heartbeats, and fails if asked to insist on some of
    them.
  - An API server that does not answer is itself one of the components, so the module also reports on a broken
    deployment. It needs no log-in.
author: Windward contributors (@windward)
extends_documentation_fragment:
  - windward.airflow.api
  - windward.airflow.api.interval
  - windward.airflow.attributes.info
options:
  components:
    description:
      - The components that must be healthy, or the module fails and names those that are not.
      - Without it the module never fails because of a component's state; V(api-server) is always looked at.
    type: list
    elements: str
    choices: [api-server, metadatabase, scheduler, dag-processor, triggerer]
    default: []
  newer_than:
    description:
      - A timestamp (ISO 8601, UTC if it names no zone). A component whose last heartbeat is not newer counts as
        unhealthy.
      - Airflow itself calls a component unhealthy only long after its last heartbeat, and one that was restarted is
        healthy by the heartbeat of its predecessor. Give the time of the restart to know better.
      - Where several instances of a component run, Airflow tells the newest of their heartbeats.
    type: str
  timeout:
    description: For how many seconds to wait until the components are healthy.
    type: float
    default: 0.0
notes:
  - O(api_retry_timeout) has no meaning here; O(timeout) says how long to wait.
seealso:
  - module: windward.airflow.component_info
"""

EXAMPLES = r"""
- name: Look
  windward.airflow.health_info:
    api_url: https://airflow.example.org
  register: airflow_health

- name: Wait until the restarted scheduler works
  windward.airflow.health_info:
    api_url: https://airflow.example.org
    components: [scheduler]
    newer_than: "{{ restarted_at }}"
    timeout: 60

- name: Refuse to go on with a sick Airflow
  windward.airflow.health_info:
    api_url: https://airflow.example.org
  register: airflow_health
  failed_when: not airflow_health.healthy
"""

RETURN = r"""
healthy:
  description:
    - Whether every component of O(components) is healthy; without that option, every component that Airflow has.
  returned: always
  type: bool
  sample: false
components:
  description: The components by name. One that Airflow does not have, such as a triggerer never started, has no status.
  returned: always
  type: dict
  sample:
    api-server:
      status: healthy
      reason: null
    scheduler:
      status: healthy
      heartbeat: "2026-11-21T10:03:11.090013+00:00"
      heartbeat_age: 7.9
      reason: null
    triggerer:
      status: unhealthy
      heartbeat: "2026-11-21T09:41:02.318840+00:00"
      heartbeat_age: 1336.7
      reason: last heartbeat 1336.7 s ago
version:
  description: Airflow's version; null while the API server doesn't answer.
  returned: always
  type: str
  sample: 3.3.2
"""

from datetime import datetime
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._client import AirflowApiError, Client, Reply
from ..module_utils._module import looks, moment, run

Component = dict[str, Any]


def component(state: dict[str, Any], now: datetime, newer_than: datetime | None) -> Component:
    """One component of Airflow's answer: status, heartbeat and its age, and the reason if it is not healthy."""
    heartbeat = next((value for key, value in state.items() if key.endswith("_heartbeat")), None)
    found: Component = {"status": state["status"], "reason": None}
    if any(key.endswith("_heartbeat") for key in state):
        age = None if heartbeat is None else round(max(0.0, (now - moment(heartbeat)).total_seconds()), 1)
        found.update(heartbeat=heartbeat, heartbeat_age=age)
        if newer_than and (heartbeat is None or moment(heartbeat) <= newer_than):
            return {**found, "status": "unhealthy", "reason": f"no heartbeat since {newer_than.isoformat()}"}
    if found["status"] != "healthy":
        found["reason"] = "never seen" if heartbeat is None else f"last heartbeat {found['heartbeat_age']} s ago"
        if "heartbeat" not in found:
            found["reason"] = f"Airflow says {found['status']}"
    return found


def survey(reply: Reply, newer_than: datetime | None) -> dict[str, Component]:
    """The components under the names that Airflow's command line gives them. Ages are by the server's clock."""
    found = {
        name.replace("_", "-"): component(state, reply.date(), newer_than)
        for name, state in reply.json().items()
        if state
    }
    return {"api-server": {"status": "healthy", "reason": None}, **found}


def look(client: Client, newer_than: datetime | None) -> tuple[dict[str, Component], str | None]:
    try:
        reply = client.open("/api/v2/monitor/health")
        version = client.open("/api/v2/version").json()["version"]
        return survey(reply, newer_than), version
    except AirflowApiError as exc:
        return {"api-server": {"status": "unhealthy", "reason": str(exc)}}, None
    except (AttributeError, KeyError, TypeError, ValueError):
        return {"api-server": {"status": "unhealthy", "reason": "this is not the API of Airflow 3"}}, None


def faults(components: dict[str, Component], required: list[str]) -> dict[str, str]:
    """What is wrong with what must be healthy. If the API server is silent nothing is known of the others."""
    down = components["api-server"]["reason"]
    if down:
        return {"api-server": down}
    names = required or [name for name, state in components.items() if state["status"] is not None]
    states = {name: components.get(name, {"status": None, "reason": "Airflow has none"}) for name in names}
    return {name: state["reason"] or "unknown" for name, state in states.items() if state["status"] != "healthy"}


def inform(module: AnsibleModule, client: Client) -> dict[str, Any]:
    required = module.params["components"]
    try:
        newer_than = moment(module.params["newer_than"]) if module.params["newer_than"] else None
    except ValueError as exc:
        raise AirflowApiError(f"newer_than: {exc}") from exc
    components: dict[str, Component] = {}
    version, wrong = None, {}
    for _seconds in looks(module.params["timeout"], module.params["interval"]):
        components, version = look(client, newer_than)
        wrong = faults(components, required)
        if not wrong:
            break
    result = {"changed": False, "healthy": not wrong, "components": components, "version": version}
    if wrong and required:
        sentences = "; ".join(f"{name}: {reason}" for name, reason in wrong.items())
        raise AirflowApiError(f"Not healthy: {sentences}", result=result)
    return result


def main() -> None:
    names = ["api-server", "metadatabase", "scheduler", "dag-processor", "triggerer"]
    spec = {
        "components": {"type": "list", "elements": "str", "choices": names, "default": []},
        "newer_than": {"type": "str"},
        "timeout": {"type": "float", "default": 0.0},
        "interval": {"type": "float", "default": 5.0},
    }
    run(spec, inform, log_in=False)


if __name__ == "__main__":
    main()
