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
  - Uses the environment of the operator, which hosts with an api-server or a scheduler have. It leads straight to
    PostgreSQL.
extends_documentation_fragment:
  - windward.airflow.release
options:
  state:
    description:
      - V(absent) drops the tables of Airflow and of the FAB provider, and nothing else of the database.
    type: str
    choices: [present, absent]
    default: present
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

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _release

# Answers with the heads that the release does not know; migrates when it knows all.
MIGRATE = """
import json, sys
from airflow.utils import db
from alembic.util import CommandError
script = db._get_script_object()
def known(head):
    try:
        return script.get_revision(head) is not None
    except CommandError:
        return False
unknown = [head for head in json.load(sys.stdin) if not known(head)]
if not unknown:
    db.upgradedb()
json.dump({"unknown": unknown}, open(int(sys.argv[1]), "w"))
"""


DROP = """
import json, sys
from airflow.utils import db
db.resetdb(skip_init=True)
json.dump({"unknown": []}, open(int(sys.argv[1]), "w"))
"""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **_release.OPTIONS,
            "timeout": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    release, user = module.params["release"], module.params["user"]
    try:
        wanted = _release.wanted_heads(release)
        variables = _release.environment(module.params)
    except FileNotFoundError as error:
        if module.params["state"] == "absent":
            module.exit_json(changed=False, heads={}, msg=f"Nothing can be dropped: {error}")
        if module.check_mode:
            module.exit_json(changed=True, heads={}, msg="The release is not there yet; it would migrate the database.")
        module.fail_json(msg=f"The metadata database can't be asked: {error}")

    absent = module.params["state"] == "absent"
    if absent:
        wanted = {}
    try:
        before = _release.heads(release, user, variables)
        changed = before != wanted
        if changed and not module.check_mode:
            known = before.get("alembic_version", [])
            program = DROP if absent else MIGRATE
            told = _release.run(program, release, user, variables, known, module.params["timeout"])
            if told["unknown"]:
                module.fail_json(
                    msg=f"The metadata database is at {', '.join(told['unknown'])}, which {release} does not know: a "
                        "newer Airflow has migrated it, and it can't go back. Deploy that version again, or restore a "
                        "backup. Nothing was changed in the database.")
            after = _release.heads(release, user, variables)
            if after != wanted:
                module.fail_json(msg=f"The migration ended, but the heads are {after} instead of {wanted}.")
    except _release.ReleaseError as error:
        module.fail_json(msg=f"The metadata database could not be brought to the schema of {release}: {error}")
    module.exit_json(changed=changed, heads=wanted,
                     diff={"before": json.dumps(before) + "\n", "after": json.dumps(wanted) + "\n"})


if __name__ == "__main__":
    main()
