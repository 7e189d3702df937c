#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: worker_info
short_description: What Celery says about workers and queues
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Asks all workers by Celery's control API, and the broker how many messages wait, from a host that runs a worker.
  - Needs neither the metadata database nor the API. Never fails because nobody answers.
extends_documentation_fragment:
  - windward.airflow.release
options:
  queues:
    description: Queues whose waiting messages are counted.
    type: list
    elements: str
    default: [default]
attributes:
  check_mode:
    support: full
    description: The same, since nothing is changed.
  diff_mode:
    support: none
    description: Nothing is changed.
"""

EXAMPLES = r"""
- name: Look
  windward.airflow.worker_info:
    release: /opt/airflow/current
    user: airflow-dag
    queues: [default, heavy]
"""

RETURN = r"""
available:
  description: Whether the broker answered.
  type: bool
  returned: always
reason:
  description: Why it did not.
  type: str
  returned: when it did not
workers:
  description: The workers that answered, by Celery's name.
  type: dict
  returned: when it answered
  sample:
    celery@10.0.0.21: {queues: [default], active: 3, reserved: 0, concurrency: 16}
queues:
  description: How many messages wait in each queue.
  type: dict
  returned: when it answered
  sample: {default: 0, heavy: 12}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _release

LOOK = """
import json, sys
from airflow.providers.celery.executors.celery_executor import app
request = json.load(sys.stdin)
inspect = app.control.inspect(timeout=3)
queues, stats = inspect.active_queues() or {}, inspect.stats() or {}
active, reserved = inspect.active() or {}, inspect.reserved() or {}
workers = {
    name: {
        "queues": sorted(queue["name"] for queue in consumed), "active": len(active.get(name, [])),
        "reserved": len(reserved.get(name, [])),
        "concurrency": stats.get(name, {}).get("pool", {}).get("max-concurrency"),
    }
    for name, consumed in queues.items()
}


def length(connection, queue):
    try:
        with connection.channel() as channel:
            return channel.queue_declare(queue=queue, passive=True).message_count
    except connection.channel_errors:
        return 0  # there was no message yet, so there is no queue

with app.connection_for_read() as connection:
    connection.ensure_connection(max_retries=1, timeout=5)
    waiting = {queue: length(connection, queue) for queue in request["queues"]}
json.dump({"workers": workers, "queues": waiting}, open(int(sys.argv[1]), "w"))
"""


def main() -> None:
    module = AnsibleModule(
        argument_spec={**_release.OPTIONS, "queues": {"type": "list", "elements": "str", "default": ["default"]}},
        supports_check_mode=True,
    )
    try:
        variables = _release.environment(module.params, "worker")
        found = _release.run(LOOK, module.params["release"], module.params["user"], variables,
                             {"queues": module.params["queues"]}, timeout=60)
    except (_release.ReleaseError, FileNotFoundError) as error:
        module.exit_json(changed=False, available=False, reason=str(error).strip().splitlines()[-1])
    module.exit_json(changed=False, available=True, **found)


if __name__ == "__main__":
    main()
