#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: metadata
short_description: Bring the metadata database to the schema of a release
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Compares the migration heads of the database (Airflow's own and those of the FAB provider) with those of the release
    and migrates when they differ, with the release's own code.
  - A database that a newer release migrated is refused.
options:
  release:
    description: Directory of the release.
    type: path
    required: true
  config_dir:
    description: Directory of the environment files. That of the api-server is used, else that of the scheduler.
    type: path
    default: /etc/airflow
  user:
    description: User that runs the migration.
    type: str
    required: true
  timeout:
    description: Seconds that the migration may take.
    type: int
    default: 3600
attributes:
  check_mode:
    support: full
    description: Says whether the database would be migrated.
  diff_mode:
    support: full
    description: Shows the heads.
"""

EXAMPLES = r"""
- name: Migrate the metadata database
  windward.airflow.metadata:
    release: /opt/airflow/releases/3.3.2-6c1f0d2a9b31
    user: airflow
  run_once: true
"""

RETURN = r"""
heads:
  description: Migration heads of the database by version table.
  type: dict
  returned: always
  sample: {alembic_version: [d2f4e1b3c5a7], alembic_version_fab: [02ca36b0235b]}
"""

import json
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _release

MIGRATE = """
import json, sys
from airflow.utils import db
known = json.load(sys.stdin)
script = db._get_script_object()
for head in known:
    if script.get_revision(head) is None:
        raise SystemExit("unknown " + head)
db.upgradedb()
json.dump(True, open(int(sys.argv[1]), "w"))
"""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "release": {"type": "path", "required": True},
            "config_dir": {"type": "path", "default": "/etc/airflow"},
            "user": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    release, user = module.params["release"], module.params["user"]
    config_dir = module.params["config_dir"]
    try:
        with open(os.path.join(release, "release.json"), encoding="utf-8") as stream:
            wanted = json.load(stream)["heads"]
        component = next(name for name in ("api-server", "scheduler")
                         if os.path.exists(os.path.join(config_dir, "environment", name)))
        variables = _release.environment(config_dir, component)
    except (FileNotFoundError, StopIteration):
        if module.check_mode:
            module.exit_json(changed=True, heads={}, msg="The release is not there yet; it would migrate the database.")
        module.fail_json(msg=f"There is no release in {release}, or no environment of a component in {config_dir}.")

    def heads() -> dict[str, list[str]]:
        """Return the heads of the version tables that are there."""
        there = _release.query("SELECT tablename FROM pg_tables WHERE tablename = ANY(%s) AND schemaname = "
                               "current_schema()", [sorted(wanted)], release, user, variables)
        tables = [row[0] for row in there]
        union = " UNION ALL ".join(f"SELECT '{table}', version_num FROM {table}" for table in tables)
        rows = _release.query(union, [], release, user, variables) if tables else []
        return {table: sorted(head for name, head in rows if name == table) for table in tables}

    try:
        before = heads()
        changed = before != wanted
        if changed and not module.check_mode:
            _release.run(MIGRATE, release, user, variables, before.get("alembic_version", []), module.params["timeout"])
            after = heads()
            if after != wanted:
                module.fail_json(msg=f"The migration ended, but the heads are {after} instead of {wanted}.")
    except _release.ReleaseError as error:
        module.fail_json(msg=f"The metadata database could not be brought to the schema of {release}: {error}")
    module.exit_json(changed=changed, heads=wanted,
                     diff={"before": json.dumps(before) + "\n", "after": json.dumps(wanted) + "\n"})


if __name__ == "__main__":
    main()
