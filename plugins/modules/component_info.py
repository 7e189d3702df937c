#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: component_info
short_description: What systemd and the journal say about the components and services of a host
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Reads state, start time and restarts of each unit, its last words, the release that the link C(current) points to,
    the free space of the directories, the memory that is available and the ages of the deployment's keys.
  - Asks the broker and the execution API as a component of this host would ask them, so it finds a way that is closed
    between two hosts.
  - Needs nothing to work but systemd, so it tells about broken deployments too.
options:
  components:
    description: Names of the components that this host should run.
    type: list
    elements: str
    required: true
  services:
    description: What else this host should run, and how the name of its unit begins.
    type: dict
    default: {}
  install_dir:
    description: Directory of the releases.
    type: path
    default: /opt/airflow
  config_dir:
    description: Directory of the configuration, by which components know the broker and the execution API.
    type: path
    default: /etc/airflow
  user:
    description: Unix user that runs tasks, as whom the execution API is asked. If unset, the one that runs the module.
    type: str
  dags:
    description: Link to the DAG release that is served.
    type: path
    default: /var/lib/airflow/dags/current
  store:
    description: File of the deployment's secrets. Its age is told, nothing of its content.
    type: path
    default: /etc/airflow/secrets.json
  directories:
    description: Directories whose free space is told.
    type: list
    elements: path
    default: []
  lines:
    description: How many lines of the journal are read per component.
    type: int
    default: 10
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
  windward.airflow.component_info:
    components: [api-server, scheduler]
"""

RETURN = r"""
components:
  description: The components by name.
  type: dict
  returned: always
  contains:
    state:
      description: systemd's C(ActiveState), or V(absent) when there is no unit.
      type: str
    since:
      description: When it entered that state (ISO 8601, UTC), or empty.
      type: str
      sample: "2026-11-21T11:13:11Z"
    restarts:
      description: How often systemd restarted it.
      type: int
    digest:
      description: Digest of everything that it runs with, or empty.
      type: str
    journal:
      description: Its last words.
      type: list
      elements: str
    unreached:
      description:
        - What it needs and can't reach from this host, and why. The broker is asked for what sends or takes messages,
          the execution API for what starts tasks.
      type: dict
      sample: {"the broker at 10.0.0.4:6379": it does not answer this host within 5 s}
services:
  description: The services by name, each with C(state), C(since) and C(restarts) as for components.
  type: dict
  returned: always
release:
  description: Name of the release, or empty.
  type: str
  returned: always
dags_release:
  description: Name of the DAG release that is served, or empty.
  type: str
  returned: always
secrets_age_days:
  description: Days since the secrets changed, or null where this host holds none.
  type: int
  returned: always
free_mb:
  description: Free space in MB (2**20 bytes) by directory, of those that exist.
  type: dict
  returned: always
memory_mb:
  description: The memory of the host, C(total) and C(available), in MB.
  type: dict
  returned: always
  sample: {total: 1967, available: 1204}
"""

import os
import shutil
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _reach


def text(path: str) -> str:
    """Return a small file's text, or nothing."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read().strip()
    except FileNotFoundError:
        return ""


def link(path: str) -> str:
    """Return the name that a link points to, or nothing."""
    return os.path.basename(os.readlink(path)) if os.path.islink(path) else ""


def moment(shown: str) -> str:
    """Return a time as systemd shows it, C(Sat 2026-11-21 11:13:11 UTC), without the blanks that break tables."""
    return "T".join(shown.split()[1:3]) + "Z" if shown else ""


def units(module: AnsibleModule, pattern: str) -> dict[str, Any]:
    """Return what systemd says of the unit of that name or pattern, the one that runs if there are several."""
    _code, out, _err = module.run_command(
        ["systemctl", "show", "--property=LoadState,ActiveState,StateChangeTimestamp,NRestarts", pattern],
        environ_update={"TZ": "UTC"})
    shown = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in out.split("\n\n")]
    found = [
        {
            "state": one.get("ActiveState", "unknown") if one.get("LoadState") == "loaded" else "absent",
            "since": moment(one.get("StateChangeTimestamp", "")),
            "restarts": int(one.get("NRestarts") or 0),
        }
        for one in shown
    ]
    return next((one for one in found if one["state"] == "active"), found[0])


def memory() -> dict[str, int]:
    lines = dict(line.split(":", 1) for line in text("/proc/meminfo").splitlines())
    kinds = {"total": "MemTotal", "available": "MemAvailable"}
    return {kind: int(lines[name].split()[0]) >> 10 for kind, name in kinds.items()}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "components": {"type": "list", "elements": "str", "required": True},
            "services": {"type": "dict", "default": {}},
            "install_dir": {"type": "path", "default": "/opt/airflow"},
            "config_dir": {"type": "path", "default": "/etc/airflow"},
            "user": {"type": "str"},
            "dags": {"type": "path", "default": "/var/lib/airflow/dags/current"},
            "store": {"type": "path", "default": "/etc/airflow/secrets.json"},
            "directories": {"type": "list", "elements": "path", "default": []},
            "lines": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    current = os.path.join(module.params["install_dir"], "current")
    components = {}
    for name in module.params["components"]:
        unit = f"airflow-{name}.service"
        _code, said, _err = module.run_command(
            ["journalctl", "--namespace=airflow", "--unit", unit, "--lines", str(module.params["lines"]), "--no-pager",
             "--quiet", "--output=cat"])
        components[name] = {
            **units(module, unit),
            "digest": text(os.path.join("/run/airflow", name + ".digest")),
            "journal": said.splitlines(),
            "unreached": _reach.unreached(name, current, module.params["config_dir"], module.params["user"]),
        }
    store = module.params["store"]
    module.exit_json(
        changed=False,
        components=components,
        services={name: units(module, unit + "*") for name, unit in module.params["services"].items()},
        memory_mb=memory(),
        release=link(current),
        dags_release=link(module.params["dags"]),
        secrets_age_days=int((time.time() - os.stat(store).st_mtime) // 86400) if os.path.exists(store) else None,
        free_mb={path: shutil.disk_usage(path).free >> 20 for path in module.params["directories"]
                 if os.path.isdir(path)},
    )


if __name__ == "__main__":
    main()
