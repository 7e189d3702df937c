#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: chart_tried
short_description: Check a chart's archive, and try it with values
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Fails unless the archive is the one that is meant, knows each of the values, and helm renders it with them, by which
    the chart's own schema judges them. No cluster is asked.
  - M(kubernetes.core.helm_template) would leave the values in a directory for temporary files, and does nothing in
    check mode.
options:
  path:
    description: The archive.
    type: path
    required: true
  sha256:
    description: The digest that it must have.
    type: str
    required: true
  version:
    description: The version that it must be of. Unset means any.
    type: str
  helm:
    description: The program helm.
    type: path
    default: helm
  name:
    description: Name that the release would have.
    type: str
    required: true
  namespace:
    description: Its namespace.
    type: str
    required: true
  values:
    description: The values. They hold no secret.
    type: dict
    default: {}
  memory:
    description:
      - A file that keeps the digest of what was accepted last, chart, values and helm together. The same is then not
        tried again, for it would end the same way. Unset means that nothing is kept.
    type: path
attributes:
  check_mode:
    support: full
    description: The same, memory included.
  diff_mode:
    support: none
    description: Nothing is changed.
"""

EXAMPLES = r"""
- name: Check the chart before anything is applied
  windward.airflow.chart_tried:
    path: /srv/charts/airflow-1.22.0.tgz
    sha256: 1f7d1dfe3d58e2c54899950aba907a43625a18c8b6fb3c54760c21592129a5b6
    version: 1.22.0
    name: airflow
    namespace: airflow
    values: {executor: CeleryExecutor}
"""

RETURN = r"""
path:
  description: The archive.
  type: str
  returned: success
  sample: /srv/charts/airflow-1.22.0.tgz
"""

import contextlib
import hashlib
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

try:
    import yaml
except ImportError:  # said by main
    yaml = None  # type: ignore[assignment]

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils._chart import about, member


def unknown(path: str, values: dict[str, Any]) -> list[str]:
    """Sections that the chart does not have, by its schema, which lets them be there all the same."""
    schema = member(path, "values.schema.json")
    known = json.loads(schema).get("properties", values) if schema else values
    return sorted(values.keys() - known)


def digest(module: AnsibleModule) -> str:
    """Of all that helm's answer depends on."""
    helm = shutil.which(module.params["helm"])
    about = os.stat(helm) if helm else None
    program = [helm, about.st_size, about.st_mtime_ns] if about else []
    what = [program, *(module.params[name] for name in ("sha256", "name", "namespace", "values"))]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def main() -> None:
    text = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "sha256": text,
            "version": {"type": "str"},
            "helm": {"type": "path", "default": "helm"},
            "name": text,
            "namespace": text,
            "values": {"type": "dict", "default": {}},
            "memory": {"type": "path"},
        },
        supports_check_mode=True,
    )
    if yaml is None:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    path, wanted, version = module.params["path"], module.params["sha256"], module.params["version"]
    try:
        found = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        module.fail_json(msg=f"There is no chart {path}: {error.strerror}")
    if found != wanted:
        module.fail_json(msg=f"{path} has sha256:{found}, and the chart that is meant has sha256:{wanted}")
    try:
        strange, has = unknown(path, module.params["values"]), about(path).get("version")
    except (tarfile.TarError, ValueError, yaml.YAMLError) as error:
        module.fail_json(msg=f"{path} can't be read: {error}")
    if version and has != version:
        module.fail_json(msg=f"{path} is version {has} of its chart, and the one that is meant is {version}")
    if strange:
        module.fail_json(msg=f"{path} does not know the values {', '.join(strange)}")
    memory, mark = module.params["memory"], digest(module)
    if memory and read(memory) == mark:
        module.exit_json(changed=False, path=path)
    place = [module.params["name"], path, "--namespace", module.params["namespace"]]
    command = [module.params["helm"], "template", *place, "--values", "-"]
    code, _out, said = module.run_command(command, data=json.dumps(module.params["values"]))
    if code:
        module.fail_json(msg=f"{path} does not take its values: {said.strip() or f'helm ended with {code}'}")
    if memory:
        with contextlib.suppress(OSError):  # then it is tried again
            Path(memory).parent.mkdir(parents=True, exist_ok=True)
            Path(memory).write_text(mark)
    module.exit_json(changed=False, path=path)


if __name__ == "__main__":
    main()
