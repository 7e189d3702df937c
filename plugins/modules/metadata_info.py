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
  - Uses the environment of the api-server, else that of the scheduler.
extends_documentation_fragment:
  - windward.airflow.release
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
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _release


def sentence(said: str) -> str:
    """Return the line that names the error, which libpq goes on to explain in further lines."""
    lines = [line.strip() for line in said.strip().splitlines()]
    return next((line for line in reversed(lines) if "Error" in line), lines[-1])


def main() -> None:
    module = AnsibleModule(
        argument_spec=_release.OPTIONS,
        supports_check_mode=True,
    )
    release, user = os.path.realpath(module.params["release"]), module.params["user"]
    try:
        variables = _release.control_environment(module.params["config_dir"])
        wanted, found = _release.wanted_heads(release), _release.heads(release, user, variables)
        errors = _release.query("SELECT bundle_name, filename, stacktrace FROM import_error ORDER BY 1, 2", [],
                                release, user, variables) if found else []
    except (_release.ReleaseError, FileNotFoundError, KeyError) as error:
        module.exit_json(changed=False, available=False, reason=sentence(str(error)))
    module.exit_json(
        changed=False, available=True, heads=found, wanted_heads=wanted,
        import_errors=[{"bundle": bundle, "filename": filename, "message": (text or "").strip().split("\n")[-1]}
                       for bundle, filename, text in errors])


if __name__ == "__main__":
    main()
