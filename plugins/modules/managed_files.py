#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: managed_files
short_description: Write a set of small files and directories in one run
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Makes each directory and writes each file of a set, atomically one by one, with owner, group and mode.
  - Removes what is not declared any more from the directories and patterns in O(exclusive).
options:
  files:
    description: The files, and the directories that they need, in the order in which they are made.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      content:
        description: The file's text. It is shown in the diff.
        type: str
      secret:
        description: The file's text is in O(secrets). The diff says only that it differs.
        type: bool
        default: false
      directory:
        description: Make a directory instead of a file.
        type: bool
        default: false
      owner:
        description: Name of the user that owns it.
        type: str
        default: root
      group:
        description: Name of its group.
        type: str
        default: root
      mode:
        description: Its mode in octal digits.
        type: str
        required: true
  secrets:
    description:
      - Text by path of the files that are O(files[].secret). It is never shown and never logged.
      - An option of its own, since Ansible logs a list as text, in which it does not recognise a secret of several
        lines.
    type: dict
    default: {}
  exclusive:
    description: Shell patterns of absolute paths. A file that matches one and is not in O(files) is removed.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: Says what would change and changes nothing.
  diff_mode:
    support: full
    description: Shows the lines that change, except those of secret files.
"""

EXAMPLES = r"""
- name: Write a unit and its environment, and remove those of components that left
  windward.airflow.managed_files:
    files:
      - path: /etc/airflow/environment
        directory: true
        mode: "0700"
      - path: /etc/airflow/environment/scheduler
        secret: true
        mode: "0600"
    secrets:
      /etc/airflow/environment/scheduler: "{{ environment_text }}"
    exclusive:
      - /etc/airflow/environment/*
"""

RETURN = r"""
paths:
  description: Paths that were written or removed, or would be in check mode.
  type: list
  elements: str
  returned: always
  sample: [/etc/airflow/environment/scheduler]
"""

import glob
import grp
import os
import pwd
import tempfile
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule


def identity(module: AnsibleModule, name: str, lookup: Callable[[str], Any], kind: str) -> int:
    """Return the number of a user or group, or -1 where check mode comes before it is made."""
    try:
        return lookup(name)[2]
    except KeyError:
        if not module.check_mode:
            module.fail_json(msg=f"There is no {kind} '{name}' on this host.")
        return -1


def current(path: str) -> str | None:
    """Return the text of a file, or None."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


def differs(path: str, wanted: dict[str, Any], uid: int, gid: int) -> bool:
    """Tell whether the thing at ``path`` has another kind, owner or mode than wanted."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    kind = 0o040000 if wanted["directory"] else 0o100000
    return (status.st_mode, status.st_uid, status.st_gid) != (kind | int(wanted["mode"], 8), uid, gid)


def write(path: str, text: str, wanted: dict[str, Any], uid: int, gid: int) -> None:
    """Replace a file by rename, so that no reader ever sees half of it."""
    handle, partial = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".partial-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            os.fchown(handle, uid, gid)
            os.fchmod(handle, int(wanted["mode"], 8))
            stream.flush()
            os.fsync(handle)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def apply(module: AnsibleModule, wanted: dict[str, Any]) -> dict[str, str] | None:
    """Bring one entry to its state; return None, or the entry's diff when it changes."""
    path = wanted["path"]
    uid = identity(module, wanted["owner"], pwd.getpwnam, "user")
    gid = identity(module, wanted["group"], grp.getgrnam, "group")
    secret = wanted["secret"]
    if secret and path not in module.params["secrets"]:
        module.fail_json(msg=f"{path} is secret, but 'secrets' has no text for it. It was left as it is.")
    text = module.params["secrets"][path] if secret else wanted["content"]
    before = None if wanted["directory"] else current(path)
    same_text = wanted["directory"] or before == text
    if same_text and not differs(path, wanted, uid, gid):
        return None
    if not module.check_mode:
        if wanted["directory"]:
            os.makedirs(path, mode=0o700, exist_ok=True)
            os.chown(path, uid, gid)
            os.chmod(path, int(wanted["mode"], 8))
        else:
            write(path, text, wanted, uid, gid)
    if same_text:
        return {"before_header": path, "after_header": path, "before": "", "after": "owner, group or mode\n"}
    if secret:
        shown = ("" if before is None else "(secret)\n", "(another secret)\n")
    else:
        shown = (before or "", text)
    return {"before_header": path, "after_header": path, "before": shown[0], "after": shown[1]}


def main() -> None:
    entry = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str"},
        "secret": {"type": "bool", "default": False, "no_log": False},
        "directory": {"type": "bool", "default": False},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
        "mode": {"type": "str", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": entry,
            },
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "exclusive": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    declared = {wanted["path"] for wanted in module.params["files"]}
    diffs, paths = [], []
    for wanted in module.params["files"]:
        diff = apply(module, wanted)
        if diff:
            diffs.append(diff)
            paths.append(wanted["path"])
    for stale in sorted({path for pattern in module.params["exclusive"] for path in glob.glob(pattern)} - declared):
        if not module.check_mode:
            os.unlink(stale)
        diffs.append({"before_header": stale, "after_header": stale, "before": "present\n", "after": ""})
        paths.append(stale)
    module.exit_json(changed=bool(paths), paths=paths, diff=diffs)


if __name__ == "__main__":
    main()
