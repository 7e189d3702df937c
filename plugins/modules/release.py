#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Build a release of Airflow beside the one that runs
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - A release is a virtual environment of its own, named by Airflow's version and the digest of everything that it is
    made of. It is built under a lock as C(.partial-<id>), tested, and renamed when it is whole.
  - The installer is C(uv), itself installed from a pinned wheel. Every requirement is checked against its hash.
  - "The test imports the executor, the FAB auth manager and every installed provider, since an environment that
    resolves can still be broken: U(https://github.com/apache/airflow/issues)."
extends_documentation_fragment:
  - windward.airflow.release.install
options:
  version:
    description: Version of Airflow.
    type: str
    required: true
  keep:
    description: How many releases stay, the one that O(root)C(/current) points to and this one included.
    type: int
    default: 2
attributes:
  check_mode:
    support: full
    description: Says whether the release would be built.
  diff_mode:
    support: none
    description: The release's name is the difference.
"""

EXAMPLES = r"""
- name: Build the release
  windward.airflow.release:
    root: /opt/airflow
    version: 3.3.2
    lock: /opt/airflow/locks/0f5c1c9a4f2b0f5c1c9a4f2b/requirements.txt
    uv_lock: /opt/airflow/locks/5b1a3c9d2e7f5b1a3c9d2e7f/requirements.txt
"""

RETURN = r"""
id:
  description: Name of the release.
  type: str
  returned: always
  sample: 3.3.2-6c1f0d2a9b31
path:
  description: Where it stands.
  type: str
  returned: always
  sample: /opt/airflow/releases/3.3.2-6c1f0d2a9b31
seconds:
  description: How long each part of the build took.
  type: dict
  returned: when the release was built
  sample: {install of the release: 14.2, test of the release: 3.1}
removed:
  description: Releases that were removed, or would be.
  type: list
  elements: str
  returned: always
  sample: []
"""

import fcntl
import hashlib
import json
import os
import shutil

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _uv

# Runs in the new environment. Providers are asked for by their own registry of executors, auth managers and hooks.
SMOKE_TEST = """
import importlib, importlib.metadata, json, sys
from airflow.version import version
from airflow.executors.executor_loader import ExecutorLoader
from airflow.providers.fab.auth_manager.models.db import FABDBManager
for name in ("LocalExecutor", "CeleryExecutor", "KubernetesExecutor"):
    module, attribute = ExecutorLoader.executors[name].rsplit(".", 1)
    getattr(importlib.import_module(module), attribute)
importlib.import_module("airflow.providers.fab.auth_manager.fab_auth_manager")
names = sorted(d.metadata["Name"] for d in importlib.metadata.distributions()
               if d.metadata["Name"].startswith("apache-airflow-providers-"))
for name in names:
    importlib.import_module("airflow.providers." + name[len("apache-airflow-providers-"):].replace("-", "."))
from airflow.utils.db import _get_script_object
from alembic.config import Config
from alembic.script import ScriptDirectory
config = Config(FABDBManager.alembic_file)
config.set_main_option("script_location", FABDBManager.migration_dir)
heads = {"alembic_version": _get_script_object().get_heads(),
         FABDBManager.version_table_name: ScriptDirectory.from_config(config).get_heads()}
print(json.dumps({"airflow": version, "providers": names, "heads": heads}))
"""


class Build:
    """One release: its name, and how it is made."""

    def __init__(self, module: AnsibleModule) -> None:
        self.params = module.params
        self.uv = _uv.Uv(module)
        python = self.uv.command([self.params["python"], "-c", "import sys; print(sys.version)"])
        inputs = [self.params["lock"], python, self.params["python"], "recipe 1"]
        digest = hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:12]
        self.id = "{}-{}".format(self.params["version"], digest)
        self.releases = os.path.join(self.params["root"], "releases")
        self.path = os.path.join(self.releases, self.id)

    def present(self) -> bool:
        return os.path.exists(os.path.join(self.path, "release.json"))

    def make(self) -> None:
        partial = os.path.join(self.releases, ".partial-" + self.id)
        python = os.path.join(partial, "bin", "python")
        shutil.rmtree(partial, ignore_errors=True)
        self.uv.run("venv", "--quiet", "--relocatable", "--python", self.params["python"], partial,
                    part="environment of the release")
        self.uv.run(*_uv.INSTALL, "--python", python, "-r", self.params["lock"], part="install of the release")
        scratch = os.path.join(partial, ".home")
        tested = self.uv.command([python, "-c", SMOKE_TEST], part="test of the release", AIRFLOW_HOME=scratch,
                                 AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="sqlite:////nonexistent/airflow.db",
                                 AIRFLOW__LOGGING__LOGGING_LEVEL="ERROR")
        shutil.rmtree(scratch, ignore_errors=True)
        with open(os.path.join(partial, "release.json"), "w", encoding="utf-8") as stream:
            json.dump(dict(json.loads(tested.splitlines()[-1]), id=self.id), stream, indent=1)
        # A directory without release.json was never finished: the rename below had not happened.
        shutil.rmtree(self.path, ignore_errors=True)
        os.rename(partial, self.path)

    def stale(self) -> list[str]:
        """Return the releases that nobody needs: not this, not the current one, beyond ``keep``; and leftovers."""
        if not os.path.isdir(self.releases):
            return []
        names = os.listdir(self.releases)
        current = os.path.basename(os.path.realpath(os.path.join(self.params["root"], "current")))
        whole = sorted((name for name in names if not name.startswith(".") and name not in (self.id, current)),
                       key=lambda name: os.stat(os.path.join(self.releases, name)).st_mtime, reverse=True)
        spared = self.params["keep"] - len({self.id, current} & set(names))
        return whole[max(spared, 0):] + [name for name in names if name.startswith(".partial-")]


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            _uv.OPTIONS, version={"type": "str", "required": True}, keep={"type": "int", "default": 2}),
        supports_check_mode=True,
    )
    build = Build(module)
    changed = not build.present()
    if not module.check_mode:
        os.makedirs(build.releases, mode=0o755, exist_ok=True)
        with open(os.path.join(module.params["root"], ".lock"), "w", encoding="utf-8") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            if not build.present():
                build.make()
            removed = build.stale()
            for name in removed:
                shutil.rmtree(os.path.join(build.releases, name))
    else:
        removed = build.stale()
    module.exit_json(changed=changed or bool(removed), id=build.id, path=build.path, removed=removed,
                     seconds=build.uv.seconds)


if __name__ == "__main__":
    main()
