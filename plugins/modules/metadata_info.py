#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: metadata_info
short_description: What the metadata database says, without the API
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Reads migration heads and import errors from the metadata database with the release's driver, so it also tells about
    a deployment whose api-server is down.
  - A database that can't be read is an answer, not an error.
  - Uses the environment of the operator, which hosts with an api-server or a scheduler have. It leads straight to
    PostgreSQL.
extends_documentation_fragment:
  - windward.airflow.release
options:
  pooler:
    description:
      - The PgBouncer before PostgreSQL, which is asked about its pools.
      - That it can't be asked is an answer too.
    type: dict
    suboptions:
      host:
        description: Its host.
        type: str
        required: true
      port:
        description: Its port.
        type: int
        required: true
      sslmode:
        description: How it is connected to, in libpq's words.
        type: str
        default: prefer
attributes:
  check_mode:
    support: full
    description: The same, since nothing is changed.
  diff_mode:
    support: none
    description: Nothing is changed.
"""

EXAMPLES = r"""
- name: Look at the database
  windward.airflow.metadata_info:
    release: /opt/airflow/current
    user: airflow
"""

RETURN = r"""
available:
  description: Whether the database answered.
  type: bool
  returned: always
reason:
  description: Why it did not.
  type: str
  returned: when it did not
heads:
  description: Migration heads of the database by version table.
  type: dict
  returned: when it answered
wanted_heads:
  description: Migration heads of the release by version table.
  type: dict
  returned: when it answered
import_errors:
  description: Files that Airflow could not import.
  type: list
  elements: dict
  returned: when it answered
  contains:
    bundle:
      description: Name of the DAG bundle.
      type: str
    filename:
      description: Path in the bundle.
      type: str
    message:
      description: Last line of the error.
      type: str
jobs:
  description: Airflow's running jobs, of which each scheduler, DAG processor and triggerer has one.
  type: list
  elements: dict
  returned: when it answered
  contains:
    type:
      description: The kind of job.
      type: str
    hostname:
      description: Address of its host.
      type: str
    age:
      description: Seconds since its last heartbeat.
      type: float
  sample:
    - {type: SchedulerJob, hostname: 10.0.0.5, age: 3.2}
pools:
  description: Airflow's pools.
  type: list
  elements: dict
  returned: when it answered
  contains:
    name:
      description: Name of the pool.
      type: str
    slots:
      description: Its slots, -1 for any number.
      type: int
    used:
      description: Slots that queued and running tasks take.
      type: int
  sample:
    - {name: default_pool, slots: 128, used: 4}
pooler:
  description: PgBouncer's pools, or C(reason), why it could not be asked.
  type: dict
  returned: when the database answered and O(pooler) is given
  sample:
    pools:
      - {database: airflow, size: 20, used: 2, clients: 2, waiting: 0, longest_wait: 0}
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _release

ERRORS = "SELECT bundle_name, filename, stacktrace FROM import_error ORDER BY 1, 2"
# An older heartbeat is that of a job whose end nobody wrote down.
JOBS = """
SELECT job_type, hostname, extract(epoch FROM now() - latest_heartbeat)::float FROM job
WHERE state = 'running' AND latest_heartbeat > now() - interval '1 day' ORDER BY latest_heartbeat"""
POOLS = """
SELECT pool, slots, (SELECT coalesce(sum(pool_slots), 0)::int FROM task_instance
                     WHERE task_instance.pool = slot_pool.pool AND state IN ('queued', 'running'))
FROM slot_pool ORDER BY pool"""

# Its console knows no transactions, so no BEGIN may be sent. The user and the password are those of the database.
POOLER = """
import json, os, sys
import psycopg2
from psycopg2.extras import RealDictCursor
request = json.load(sys.stdin)
url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg2:", "postgresql:", 1)
connection = psycopg2.connect(url, dbname="pgbouncer", sslrootcert="", connect_timeout=5, **request)
connection.autocommit = True
with connection.cursor(cursor_factory=RealDictCursor) as cursor:
    found = []
    for name in ("DATABASES", "POOLS"):
        cursor.execute("SHOW " + name)
        found.append([dict(row) for row in cursor.fetchall()])
json.dump(found, open(int(sys.argv[1]), "w"))
"""


def usage(databases: list[dict[str, Any]], pools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry for each database but PgBouncer's own. Who was refused there has left a pool of no size."""
    sums = {"used": "sv_active", "clients": "cl_active", "waiting": "cl_waiting"}
    found = []
    for database in databases:
        here = [pool for pool in pools if pool["database"] == database["name"]]
        if database["name"] != "pgbouncer":
            found.append({
                "database": database["name"], "size": database["pool_size"],
                **{name: sum(pool[column] for pool in here) for name, column in sums.items()},
                "longest_wait": max((pool["maxwait"] for pool in here), default=0),
            })
    return found


def ask_pooler(
    pooler: dict[str, Any], release: str | None, user: str | None, variables: dict[str, str]
) -> dict[str, Any]:
    """Return what PgBouncer says of its pools, or why it says nothing."""
    try:
        return {"pools": usage(*_release.run(POOLER, release, user, variables, pooler, timeout=60))}
    except _release.ReleaseError as error:
        return {"reason": sentence(str(error))}


def sentence(said: str) -> str:
    """Return the line that names the error, which libpq goes on to explain in further lines."""
    lines = [line.strip() for line in said.strip().splitlines()]
    return next((line for line in reversed(lines) if "Error" in line), lines[-1])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_release.OPTIONS,
            "pooler": {"type": "dict", "options": {
                "host": {"type": "str", "required": True},
                "port": {"type": "int", "required": True},
                "sslmode": {"type": "str", "default": "prefer"},
            }},
        },
        supports_check_mode=True,
    )
    release, user = module.params["release"] and os.path.realpath(module.params["release"]), module.params["user"]
    try:
        variables = _release.environment(module.params)
        wanted, found = _release.wanted_heads(release), _release.heads(release, user, variables)
        errors, jobs, pools = ([_release.query(sql, [], release, user, variables) for sql in (ERRORS, JOBS, POOLS)]
                               if found else ([], [], []))
        pooler = module.params["pooler"]
        more = {"pooler": ask_pooler(pooler, release, user, variables)} if pooler else {}
    except (_release.ReleaseError, FileNotFoundError, KeyError) as error:
        module.exit_json(changed=False, available=False, reason=sentence(str(error)))
    module.exit_json(
        changed=False, available=True, heads=found, wanted_heads=wanted,
        import_errors=[{"bundle": bundle, "filename": filename, "message": (text or "").strip().split("\n")[-1]}
                       for bundle, filename, text in errors],
        jobs=[{"type": kind, "hostname": hostname, "age": round(age, 1)} for kind, hostname, age in jobs],
        pools=[{"name": name, "slots": slots, "used": used} for name, slots, used in pools], **more)


if __name__ == "__main__":
    main()
