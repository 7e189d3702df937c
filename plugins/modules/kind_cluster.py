#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: kind_cluster
short_description: A Kind cluster on this computer
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Makes, starts and removes a cluster of Kubernetes in Docker, and returns when its API, its RBAC and its service
    network work on every node.
  - A cluster that is there is compared with the declaration. When it differs the module says in what and fails, unless
    O(recreate) is set. Mirrors of registries and kubeconfigs are brought to what is declared without that.
  - Nothing is recorded but a mark while a cluster is made, so that one whose making was killed is made anew.
  - A cluster of the same name that this user has not made by this module is never touched.
  - Needs Docker, and PyYAML for the Python that runs it.
options:
  name:
    description: Name of the cluster.
    type: str
    required: true
  state:
    description:
      - V(running) makes it, or starts it when it is stopped.
      - V(absent) removes it with everything in it, and its kubeconfigs.
    type: str
    choices: [running, absent]
    default: running
  kubernetes_version:
    description: Version of Kubernetes, such as V(1.34.3), for the image that Kind publishes for it.
    type: str
  node_image:
    description: Image of the nodes, in place of O(kubernetes_version).
    type: str
  nodes:
    description: The nodes, the first of them a control plane.
    type: list
    elements: dict
    default:
      - role: control-plane
    suboptions:
      role:
        description: What the node is.
        type: str
        choices: [control-plane, worker]
        required: true
      labels:
        description: Labels of the node.
        type: dict
        default: {}
      port_mappings:
        description: Ports of the node that answer at ports of this computer.
        type: list
        elements: dict
        default: []
        suboptions:
          container_port:
            description: Port of the node, such as that of a service of type NodePort.
            type: int
            required: true
          host_port:
            description: Port of this computer.
            type: int
            required: true
          listen_address:
            description: Address of this computer.
            type: str
            default: 127.0.0.1
          protocol:
            description: Protocol of the port.
            type: str
            choices: [TCP, UDP, SCTP]
            default: TCP
      extra_mounts:
        description: Files and directories of this computer that are in the node, too.
        type: list
        elements: dict
        default: []
        suboptions:
          host_path:
            description: Path on this computer.
            type: str
            required: true
          container_path:
            description: Path in the node.
            type: str
            required: true
          read_only:
            description: Whether the node can only read it.
            type: bool
            default: false
  registry_mirrors:
    description: "For a registry's host the URLs where its images are asked for first, C({docker.io: [http://...]})."
    type: dict
    default: {}
  feature_gates:
    description: "Kubernetes' feature gates, C({name: true})."
    type: dict
    default: {}
  merge_kubeconfig:
    description: Whether the operator's own kubeconfig, C(~/.kube/config), gets the cluster's context, too.
    type: bool
    default: false
  recreate:
    description: Whether a cluster that differs is removed and made anew, without anything that was in it.
    type: bool
    default: false
  kind:
    description: The program kind.
    type: path
    default: kind
  state_dir:
    description:
      - Directory of the kubeconfig and of what the nodes are told of mirrors.
      - Unset means the operator's by the XDG standard, C(~/.local/state/windward.airflow).
    type: path
  timeout:
    description: Seconds that a cluster may take to be ready.
    type: int
    default: 180
attributes:
  check_mode:
    support: full
    description: >-
      Tells what would be done, also before anything exists, and refuses what can't be, as far as that is known without
      a container. Whether a running cluster is ready is not asked.
  diff_mode:
    support: full
    description: Shows the state before and after.
"""

EXAMPLES = r"""
- name: Two nodes, of which a port of the first answers at http://localhost:8080
  windward.airflow.kind_cluster:
    name: airflow
    kubernetes_version: 1.34.3
    nodes:
      - role: control-plane
        port_mappings:
          - {container_port: 30080, host_port: 8080}
      - role: worker
        labels: {tier: batch}
  register: cluster

- name: Remove it
  windward.airflow.kind_cluster:
    name: airflow
    state: absent
"""

RETURN = r"""
name:
  description: Name of the cluster.
  type: str
  returned: success
  sample: airflow
was:
  description: What there was, one of V(absent), V(unfinished), V(stopped), V(running).
  type: str
  returned: success
  sample: absent
steps:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample: [create]
nodes:
  description: Names of the nodes.
  type: list
  elements: str
  returned: when O(state=running)
  sample: [airflow-control-plane, airflow-worker]
kubeconfig:
  description: File with the cluster's kubeconfig.
  type: str
  returned: when O(state=running)
  sample: /home/me/.local/state/windward.airflow/kind/airflow/kubeconfig
context:
  description: The kubeconfig's context.
  type: str
  returned: when O(state=running)
  sample: kind-airflow
seconds:
  description: What took how long.
  type: dict
  returned: when not in check mode
  sample: {steps: 17.2, ready: 5.3}
"""

import contextlib
import os
import shutil
import time
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils import _kind as kd
from ..module_utils._kind import KindError
from ..module_utils._kind_host import Kind, engine, yaml
from ..module_utils._local_vm import state_dir

PORT = {
    "container_port": {"type": "int", "required": True},
    "host_port": {"type": "int", "required": True},
    "listen_address": {"type": "str", "default": "127.0.0.1"},
    "protocol": {"type": "str", "choices": ["TCP", "UDP", "SCTP"], "default": "TCP"},
}
MOUNT = {
    "host_path": {"type": "str", "required": True},
    "container_path": {"type": "str", "required": True},
    "read_only": {"type": "bool", "default": False},
}
NODE = {
    "role": {"type": "str", "choices": ["control-plane", "worker"], "required": True},
    "labels": {"type": "dict", "default": {}},
    "port_mappings": {"type": "list", "elements": "dict", "default": [], "options": PORT},
    "extra_mounts": {"type": "list", "elements": "dict", "default": [], "options": MOUNT},
}
# Also what `airflow_kind_cluster` of the contract takes.
DECLARATION = {
    "name": {"type": "str", "required": True},
    "kubernetes_version": {"type": "str"},
    "node_image": {"type": "str"},
    "nodes": {"type": "list", "elements": "dict", "default": [{"role": "control-plane"}], "options": NODE},
    "registry_mirrors": {"type": "dict", "default": {}},
    "feature_gates": {"type": "dict", "default": {}},
    "merge_kubeconfig": {"type": "bool", "default": False},
}


def running(kind: Kind, recreate: bool, check_mode: bool) -> dict[str, Any]:
    """Brings the cluster up and tells what that took, or would take."""
    docker = usable()
    seen, unfinished = kind.see(), kind.mark.exists()
    steps = kd.plan(kind.cluster, seen, str(kind.mirrors), unfinished, recreate)
    if kind.stale_mirrors():
        steps.insert(0, "set_mirrors")
    result: dict[str, Any] = {
        "was": kd.state(seen, unfinished),
        "nodes": list(kind.cluster.nodes),
        "kubeconfig": str(kind.kubeconfig),
        "context": f"kind-{kind.name}",
        "steps": steps,
    }
    if "create" in steps:  # before one that differs is deleted
        kind.refuse(docker if seen else replace(docker, taken=kind.taken()), look_only=check_mode)
    if check_mode:
        if result["was"] == "running" and shutil.which(kind.program) and "create" not in steps:
            steps += kind.stale_kubeconfigs()
        return result
    began = time.monotonic()
    kind.prepare()
    for step in steps:
        getattr(kind, step)()
    for step in kind.stale_kubeconfigs():
        getattr(kind, step)()
        steps += [step] if "create" not in steps else []
    done = time.monotonic()
    kind.wait()
    result["seconds"] = {"steps": round(done - began, 2), "ready": round(time.monotonic() - done, 2)}
    return result


def absent(kind: Kind, check_mode: bool) -> dict[str, Any]:
    """Removes the cluster, and what there is of it besides."""
    usable()
    seen, unfinished = kind.see(), kind.mark.exists()
    ours = seen if unfinished or kd.is_ours(seen, str(kind.mirrors)) else {}
    result: dict[str, Any] = {"was": kd.state(ours, unfinished), "steps": ["delete"] * bool(ours) + ["forget"]}
    if not check_mode:
        began = time.monotonic()
        for step in result["steps"]:
            getattr(kind, step)()
        result["seconds"] = {"steps": round(time.monotonic() - began, 2)}
    return result


def usable() -> kd.Engine:
    docker = engine()
    if kd.unusable(docker):
        raise KindError(kd.unusable(docker))
    return docker


def bring(kind: Kind, options: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    if options["state"] == "absent" and not kind.directory.exists():
        return {"was": "absent", "steps": []}  # nothing of ours; where there is no Docker there is no cluster either
    with contextlib.nullcontext() if check_mode else kind.locked():
        if options["state"] == "absent":
            return absent(kind, check_mode)
        return running(kind, options["recreate"], check_mode)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **DECLARATION,
            "state": {"type": "str", "choices": ["running", "absent"], "default": "running"},
            "recreate": {"type": "bool", "default": False},
            "kind": {"type": "path", "default": "kind"},
            "state_dir": {"type": "path"},
            "timeout": {"type": "int", "default": 180},
        },
        mutually_exclusive=[("kubernetes_version", "node_image")],
        required_if=[("state", "running", ("kubernetes_version", "node_image"), True)],
        supports_check_mode=True,
    )
    if yaml is None:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    options = module.params
    options["state_dir"] = options["state_dir"] or state_dir(os.environ)
    try:
        result = bring(Kind(options), options, module.check_mode)
    except KindError as error:
        module.fail_json(msg=str(error)[:1].upper() + str(error)[1:])
    changed = bool(result["steps"])
    diff = {"before": result["was"] + "\n", "after": (options["state"] if changed else result["was"]) + "\n"}
    module.exit_json(name=options["name"], changed=changed, diff=diff, **result)


if __name__ == "__main__":
    main()
