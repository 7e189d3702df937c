#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_context
short_description: What an Airflow image is to be built of, and the name that says so
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Turns what is declared into the Dockerfiles and contexts of one or two builds, and names each of them by a digest of
    all that goes into it. The same declarations give the same names on every controller.
  - What changes seldom (packages, plugins, Python source) is a build of its own, on which the DAGs are put.
options:
  repository:
    description: Name of the repository, with its registry and without a tag.
    type: str
    required: true
  base:
    description: The image to build on, an official one of Airflow or one that is made alike.
    type: str
    required: true
  platform:
    description: Platform that it is built for, such as V(linux/arm64). Unset means that of the host that this runs on.
    type: str
  requirements:
    description: Python requirements (PEP 508), which are locked together with what O(base) has, and with O(lock).
    type: list
    elements: str
    default: []
  lock:
    description: File with the lock of the Airflow release, by which comes what O(base) lacks of it.
    type: path
    required: true
  uv_lock:
    description: File with the requirement of C(uv) and its hashes.
    type: path
    required: true
  system_packages:
    description: Packages of the image's operating system, by C(apt-get).
    type: list
    elements: str
    default: []
  plugins:
    description: Directory with plugins.
    type: path
  pythonpath:
    description: Directory with Python source.
    type: path
  dags:
    description: Directory with DAGs.
    type: path
  dest:
    description: Directory in which each context gets a directory. Unset means that nothing is written.
    type: path
attributes:
  check_mode:
    support: full
    description: Writes nothing.
  diff_mode:
    support: none
    description: The names are the difference.
"""

EXAMPLES = r"""
- name: Name the image by what it is made of
  windward.airflow.image_context:
    repository: registry.example.org/team/airflow
    base: apache/airflow:3.3.2
    requirements: [pandas]
    lock: roles/systemd/files/locks/3.3.2/requirements.txt
    uv_lock: roles/systemd/files/locks/uv/requirements.txt
    dags: dags
  register: context
"""

RETURN = r"""
stages:
  description: The builds, in their order.
  type: list
  elements: dict
  returned: success
  contains:
    image:
      description: The name of what is built.
      type: str
    base:
      description: The image that it is built on.
      type: str
    path:
      description: Directory of its context. Empty without O(dest).
      type: str
  sample:
    - image: registry.example.org/team/airflow:packages-0f5c1c9a4f2b0f5c1c9a4f2b
      base: apache/airflow:3.3.2
      path: ""
    - image: registry.example.org/team/airflow:inputs-9a4f2b0f5c1c9a4f2b0f5c1c
      base: registry.example.org/team/airflow:packages-0f5c1c9a4f2b0f5c1c9a4f2b
      path: ""
platform:
  description: The platform.
  type: str
  returned: success
  sample: linux/amd64
now:
  description: The time as a tag, in UTC.
  type: str
  returned: success
  sample: "20261122080000"
"""

import os
import shutil
import time

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _image_build, _tree
from ..module_utils._image import normal, own_platform
from ..module_utils._registry import ImageError

DIRECTORIES = ("plugins", "pythonpath", "dags")


def copied(root: str, target: str) -> None:
    """Readable by everybody: in an image nothing is secret from who has it."""
    os.makedirs(target, exist_ok=True)
    for relative, path in _tree.entries(root):
        place = os.path.join(target, relative)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        shutil.copyfile(path, place, follow_symlinks=False)
        if not os.path.islink(path):
            os.chmod(place, 0o755 if os.stat(path).st_mode & 0o100 else 0o644)


def write(stage: _image_build.Stage, folder: str) -> None:
    os.makedirs(folder)
    for name, text in {"Dockerfile": stage.dockerfile, **stage.files}.items():
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
            stream.write(text)
    for name, tree in stage.trees.items():
        copied(tree.path, os.path.join(folder, name))
    for name, target in stage.links.items():
        os.symlink(target, os.path.join(folder, name))


def content(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "repository": {"type": "str", "required": True},
            "base": {"type": "str", "required": True},
            "platform": {"type": "str"},
            "requirements": {"type": "list", "elements": "str", "default": []},
            "lock": {"type": "path", "required": True},
            "uv_lock": {"type": "path", "required": True},
            "system_packages": {"type": "list", "elements": "str", "default": []},
            **{name: {"type": "path"} for name in (*DIRECTORIES, "dest")},
        },
        supports_check_mode=True,
    )
    os.umask(0o022)
    given, now = module.params, time.strftime("%Y%m%d%H%M%S", time.gmtime())
    written = bool(given["dest"]) and not module.check_mode
    try:
        platform = normal(given["platform"]) if given["platform"] else own_platform()
        stages = _image_build.stages(_image_build.Declared(
            given["repository"], given["base"], platform, content(given["lock"]), content(given["uv_lock"]),
            given["requirements"], given["system_packages"],
            **{name: _image_build.Tree(given[name], _tree.digest(given[name])) for name in DIRECTORIES if given[name]},
        ))
        for tag, stage in stages.items() if written else ():
            write(stage, os.path.join(given["dest"], tag))
    except (ImageError, OSError, _tree.TreeError) as error:
        module.fail_json(msg=str(error))
    rows = [
        {
            "image": f"{given['repository']}:{tag}",
            "base": stage.base,
            "path": os.path.join(given["dest"], tag) if written else "",
        }
        for tag, stage in stages.items()
    ]
    module.exit_json(changed=written, stages=rows, platform=platform, now=now)


if __name__ == "__main__":
    main()
