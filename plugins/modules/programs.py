#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: programs
short_description: Programs of known versions, from PATH or downloaded
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Uses a program that is on C(PATH) if its version fits, else downloads a pinned version of it, checks its checksum
    and keeps it in a directory of its own. C(PATH) and the system's directories are left alone.
options:
  programs:
    description: The programs, each for Linux on the architectures of C(sha256).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the program.
        type: str
        required: true
      ask:
        description: Words with which it prints its version.
        type: list
        elements: str
        required: true
      minimum:
        description: The oldest version that is used.
        type: str
        required: true
      below:
        description: The first version that is not used any more. Empty means that there is none.
        type: str
        default: ""
      version:
        description: The version that is downloaded.
        type: str
        required: true
      url:
        description: Where that is. C({arch}) stands for V(amd64) or V(arm64).
        type: str
        required: true
      member:
        description: The program in an archive, with C({arch}), too. Empty means that the program itself is downloaded.
        type: str
        default: ""
      sha256:
        description: The checksum of what is downloaded, by architecture as C(uname -m) names it.
        type: dict
        required: true
  mirror:
    description: URL below which each site of O(programs[].url) has a folder of its name. Empty means the sites.
    type: str
    default: ""
  directory:
    description: Where downloaded programs are kept. Unset means C(programs) in the operator's state directory.
    type: path
attributes:
  check_mode:
    support: full
    description: Tells what would be downloaded.
  diff_mode:
    support: none
    description: Programs are not shown.
"""

EXAMPLES = r"""
- name: Find kind, or download it
  windward.airflow.programs:
    programs:
      - name: kind
        ask: [version]
        minimum: 0.27.0
        version: 0.33.0
        url: https://kind.sigs.k8s.io/dl/v0.33.0/kind-linux-{arch}
        sha256: {x86_64: aee6151561422756b764a4ae28e7f44cda5af5a9eead3cc9985112b1de8d8e0d}
  register: found
"""

RETURN = r"""
paths:
  description: Where each program is, or will be.
  type: dict
  returned: success
  sample: {kind: /usr/local/bin/kind}
downloaded:
  description: URLs that were, or would be, downloaded.
  type: list
  elements: str
  returned: success
  sample: []
"""

import os
import platform
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

from ..module_utils import _programs as pg
from ..module_utils._local_vm import state_dir
from ..module_utils._programs import ProgramError


def place(one: dict[str, Any], directory: Path) -> str:
    """Where a program that fits is; empty if there is none."""
    kept = directory / f"{one['name']}-{one['version']}"
    on_path = shutil.which(one["name"])
    if on_path and pg.fits(pg.ask(on_path, one["ask"]), one["minimum"], one["below"]):
        return on_path
    return str(kept) if kept.exists() else ""


def download(one: dict[str, Any], machine: str, url: str, path: Path) -> None:
    try:
        content = open_url(url, timeout=60).read()
    except Exception as error:  # each of several libraries has errors of its own
        raise ProgramError(f"{one['name']} {one['version']} can't be downloaded from {url}: {error}") from error
    pg.install(path, pg.unpacked(one["name"], content, one["sha256"][machine], pg.named(one["member"], machine)))


def main() -> None:
    text = {"type": "str", "required": True}
    optional = {"type": "str", "default": ""}
    options = {
        "name": text,
        "ask": {"type": "list", "elements": "str", "required": True},
        "minimum": text,
        "below": optional,
        "version": text,
        "url": text,
        "member": optional,
        "sha256": {"type": "dict", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "programs": {"type": "list", "elements": "dict", "required": True, "options": options},
            "mirror": optional,
            "directory": {"type": "path"},
        },
        supports_check_mode=True,
    )
    directory = Path(module.params["directory"] or state_dir(os.environ) + "/programs")
    machine, paths, downloaded = platform.machine(), {}, []
    try:
        for one in module.params["programs"]:
            paths[one["name"]] = place(one, directory)
            if not paths[one["name"]]:
                if platform.system() != "Linux" or machine not in one["sha256"]:
                    raise ProgramError(
                        f"{one['name']} {one['minimum']} or later is not on PATH, and none is known for "
                        f"{platform.system()} on {machine}: install it"
                    )
                url = pg.source(pg.named(one["url"], machine), module.params["mirror"])
                path = directory / f"{one['name']}-{one['version']}"
                if not module.check_mode:
                    download(one, machine, url, path)
                paths[one["name"]] = str(path)
                downloaded.append(url)
    except ProgramError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(downloaded), paths=paths, downloaded=downloaded)


if __name__ == "__main__":
    main()
