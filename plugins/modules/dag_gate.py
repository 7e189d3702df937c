#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: dag_gate
short_description: Parse a directory of DAGs as Airflow would, before it is served
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Parses every DAG file with the release's own interpreter, as the user and with the environment of the DAG processor,
    each in a process of its own. Errors are reported with file, line and message, and fail the task.
  - Files that Airflow would skip, because they do not look like DAGs, are imported as the modules that they are, so
    that an error in them is found too. Files that C(.airflowignore) names are left out.
  - A DAG must also survive serialisation, no two files may define the same DAG, and every queue that a task names has a
    worker. A plugin that can't be loaded, of
    which Airflow only tells its journal, is an error too.
  - What was accepted is remembered by the digests of the DAGs and of everything that the DAG processor runs with, so
    a second run is quick.
extends_documentation_fragment:
  - windward.airflow.release
options:
  path:
    description: The directory, named by its digest.
    type: path
    required: true
  delivered:
    description:
      - Whether the directory must be on the host in check mode, too, since nothing is going to deliver it.
    type: bool
    default: false
  memory:
    description: Directory, writable by root only, in which acceptances are kept.
    type: path
    required: true
  queues:
    description: Queues that a worker consumes. Empty where tasks go by other ways.
    type: list
    elements: str
    default: []
  build:
    description: What else the outcome depends on where there is no O(release), such as the image's digest.
    type: str
    default: ""
  link:
    description: A link whose target is told, too.
    type: path
  timeout:
    description: Seconds that all files together may take.
    type: int
    default: 600
attributes:
  check_mode:
    support: full
    description: Parses as well, since that changes nothing. What is not on the host yet can't be parsed.
  diff_mode:
    support: none
    description: Nothing is changed.
"""

EXAMPLES = r"""
- name: Parse the staged DAGs
  windward.airflow.dag_gate:
    path: /var/lib/airflow/dags/releases/0f5c1c9a4f2b0f5c1c9a4f2b
    release: /opt/airflow/current
    user: airflow-dag
    memory: /var/lib/airflow/dags/accepted
"""

RETURN = r"""
dag_ids:
  description: The DAGs that the directory defines.
  type: list
  elements: str
  returned: success
  sample: [example_dag]
parsed:
  description: Whether the files were parsed now. V(false) when they had been accepted before.
  type: bool
  returned: success
  sample: true
present:
  description: Whether the directory is on the host.
  type: bool
  returned: success
  sample: true
served:
  description: Where O(link) leads, empty where it does not.
  type: str
  returned: success
  sample: releases/0f5c1c9a4f2b0f5c1c9a4f2b
errors:
  description: What is wrong.
  type: list
  elements: dict
  returned: failure
  contains:
    file:
      description: Path below the directory. That of a plugin is absolute.
      type: str
    line:
      description: Line, or 0 where there is none.
      type: int
    message:
      description: The error.
      type: str
"""

import hashlib
import json
import os
import re
import sys

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _release, _tree

PARSE = r'''
import importlib, json, multiprocessing, os, re, sys, traceback
os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
request = json.load(sys.stdin)
root, consumed = request["path"], request["queues"]
os.chdir(root)
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.dag_processing.importers import get_importer_registry
from airflow.serialization.serialized_objects import DagSerialization

def where(text, fallback):
    """The last place below the root that a traceback names."""
    places = re.findall(r'File "([^"]+)", line (\d+)', text)
    inside = [(os.path.relpath(path, root), int(line)) for path, line in places if path.startswith(root + os.sep)]
    return inside[-1] if inside else (fallback, 0)

def failed(text, fallback):
    file, line = where(text, fallback)
    return {"file": file, "line": line, "message": text.strip().splitlines()[-1] if text.strip() else "no message"}

def parse(path):
    bag = BundleDagBag(dag_folder=path, bundle_path=root, bundle_name="dags", load_op_links=False)
    relative = os.path.relpath(path, root)
    errors = [failed(text, file if os.path.exists(file) else relative) for file, text in bag.import_errors.items()]
    for dag in bag.dags.values():
        try:
            DagSerialization.to_dict(dag)
        except Exception:
            errors.append(failed(traceback.format_exc(), relative))
        errors += [{"file": relative, "line": 0, "message": text} for text in unserved(dag)]
    return sorted(bag.dags), errors

def unserved(dag):
    """What is said of tasks that no worker would take."""
    queues = {}
    for task in dag.tasks if consumed else []:
        if task.queue not in consumed and not getattr(task, "inherits_from_empty_operator", False):
            queues.setdefault(task.queue, []).append(task.task_id)
    return ["no worker consumes queue %r of task %s in DAG %s" % (queue, ", ".join(tasks), dag.dag_id)
            for queue, tasks in sorted(queues.items())]

def load(path):
    relative = os.path.relpath(path, root)
    sys.path.insert(0, root)
    name = relative[:-3].replace(os.sep, ".")
    if name.endswith(".__init__"):
        name = name[:-9]
    with open(path, "rb") as stream:
        compile(stream.read(), path, "exec")
    if name != "__init__" and all(part.isidentifier() for part in name.split(".")):
        importlib.import_module(name)
    return [], []

def work(action, path, pipe):
    try:
        pipe.send(action(path))
    except BaseException:
        pipe.send(([], [failed(traceback.format_exc(), os.path.relpath(path, root))]))

fork = multiprocessing.get_context("fork")

def ask(action, path):
    """What an action says in a process of its own."""
    ours, theirs = fork.Pipe(False)
    child = fork.Process(target=work, args=(action, path, theirs))
    child.start()
    theirs.close()
    try:
        said = ours.recv()
    except EOFError:
        child.join()
        message = "the parser died (exit %s)" % child.exitcode
        said = [], [{"file": os.path.relpath(path, root), "line": 0, "message": message}]
    child.join()
    return said

def plugins(path):
    from airflow.plugins_manager import get_import_errors
    told = get_import_errors().items()
    return [], [{"file": file, "line": 0, "message": "this plugin can't be loaded: " + text} for file, text in told]

registry = get_importer_registry()
dags, errors = {}, ask(plugins, root)[1]
try:
    looks = set(registry.list_dag_files(root, True))
    every = sorted(set(registry.list_dag_files(root, False)) | looks)
except RuntimeError as error:  # Airflow takes a folder and a link to it for a loop
    looks, every = set(), []
    errors.append({"file": root, "line": 0, "message": str(error).replace(root + os.sep, "")})
for path in every:
    relative = os.path.relpath(path, root)
    ids, wrong = ask(parse if path in looks else load, path)
    errors += wrong
    for dag_id in ids:
        if dag_id in dags:
            message = "DAG %r is defined in %s too" % (dag_id, dags[dag_id])
            errors.append({"file": relative, "line": 0, "message": message})
        dags[dag_id] = relative
json.dump({"dag_ids": sorted(dags), "errors": errors}, open(int(sys.argv[1]), "w"))
'''


# What Kubernetes tells a pod of itself and of the namespace's services.
OF_A_POD = re.compile(r"HOSTNAME$|\w+_SERVICE_(HOST|PORT\w*)$|\w+_PORT(_\d+_\w+)?$")


def context(build: str, config_dir: str, variables: dict[str, str], queues: list[str]) -> str:
    """Return a digest of all that a parse depends on besides the DAGs; among it are keys that nobody can guess."""
    lasting = {name: value for name, value in variables.items() if not OF_A_POD.match(name)}
    with open(os.path.join(config_dir, "airflow.cfg"), encoding="utf-8") as stream:
        parts = [build, stream.read(), json.dumps(lasting, sort_keys=True), ",".join(queues)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def missing(path: str) -> str:
    """What is said of a release that can't be served."""
    if os.path.isdir(path):
        return f"DAG release {path} is not what was delivered: something in it was changed since."
    return f"There is no DAG release {path}."


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            **_release.OPTIONS,
            "delivered": {"type": "bool", "default": False},
            "memory": {"type": "path", "required": True},
            "queues": {"type": "list", "elements": "str", "default": []},
            "build": {"type": "str", "default": ""},
            "link": {"type": "path"},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    path, release = module.params["path"], module.params["release"] and os.path.realpath(module.params["release"])
    config_dir, queues, link = module.params["config_dir"], module.params["queues"], module.params["link"]
    served = os.readlink(link) if link and os.path.islink(link) else ""
    told = {"changed": False, "present": _tree.whole(path), "served": served}
    try:
        variables = _release.environment(module.params, "dag-processor")
        mark = context(release or module.params["build"], config_dir, variables, queues)
        os.stat(release or sys.prefix)
    except FileNotFoundError as error:
        if module.check_mode:
            module.exit_json(**told, parsed=False, dag_ids=[], msg=f"Nothing can parse the DAGs yet: {error}")
        module.fail_json(msg=f"The DAGs could not be parsed: {error}")
    if not told["present"] and (module.params["delivered"] or not module.check_mode):
        module.fail_json(msg=missing(path))
    accepted = os.path.join(module.params["memory"], f"{os.path.basename(path)}-{mark}.json")
    if os.path.exists(accepted):
        with open(accepted, encoding="utf-8") as stream:
            module.exit_json(**told, parsed=False, dag_ids=json.load(stream))
    if not told["present"]:
        module.exit_json(**told, parsed=False, dag_ids=[], msg="The DAGs are not on the host yet.")
    try:
        request = {"path": path, "queues": queues}
        found = _release.run(PARSE, release, module.params["user"], variables, request, module.params["timeout"])
    except _release.ReleaseError as error:
        module.fail_json(msg=f"The DAGs could not be parsed: {error}")
    if found["errors"]:
        lines = [("{file}:{line}: {message}" if error["line"] else "{file}: {message}").format(**error)
                 for error in found["errors"]]
        module.fail_json(
            msg="The DAGs are refused, and those that are served stay:\n{}".format("\n".join(lines)),
            errors=found["errors"])
    if not module.check_mode:
        os.makedirs(module.params["memory"], mode=0o755, exist_ok=True)
        with open(accepted + ".partial", "w", encoding="utf-8") as stream:
            json.dump(found["dag_ids"], stream)
        os.replace(accepted + ".partial", accepted)
        for name in os.listdir(module.params["memory"]):
            if not os.path.isdir(os.path.join(os.path.dirname(path), name.partition("-")[0])):
                os.unlink(os.path.join(module.params["memory"], name))
    module.exit_json(**told, parsed=True, dag_ids=found["dag_ids"])


if __name__ == "__main__":
    main()
