#!/usr/bin/python
# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_image
short_description: An image from ECR, or another registry, in the containerd of every node
version_added: 0.1.0
author: Windward contributors (@windward)
description:
  - Brings one platform of an image to the nodes of a Kind cluster, or to the containerd of the host that it runs on.
    No Docker engine keeps the image on its way, and no node needs a log-in or a way to the registry.
  - Each node is asked which blobs it has. The others are read from the registry once, checked, and streamed into all
    nodes that lack them at the same time; nothing is written in between.
  - A node ends as after a pull of its own. The image's target is the digest that the tag stands for, it is known by tag
    and by digest, and its layers are unpacked. A tag names an image when that is whole, not before.
  - The log-in at ECR is done on the controller, which alone needs boto3 and AWS credentials. The host that this runs on
    gets a token of the registry, in memory only; that needs a connection with pipelining.
  - Hosts get the image by themselves, so each of them needs a way to the registry.
  - Environment variables of proxies (E(HTTPS_PROXY), E(NO_PROXY)) are followed.
extends_documentation_fragment:
  - windward.airflow.registry
options:
  cluster:
    description: Name of a Kind cluster, all of whose nodes get the image.
    type: str
  nodes:
    description: Names of the Docker containers that are the nodes, in place of O(cluster).
    type: list
    elements: str
  docker_host:
    description:
      - Socket of the Docker engine in which the nodes run. Without O(cluster) and O(nodes) none is asked.
      - Unset means E(DOCKER_HOST), else V(unix:///var/run/docker.sock).
    type: str
  platform:
    description: Platform of the image, such as V(linux/arm64). Unset means that of the nodes.
    type: str
  pinned:
    description:
      - Whether the kubelet may not remove the image when it runs short of disk.
      - If a tag stood for another pinned image before, that one is for the kubelet to remove.
    type: bool
    default: true
  release_others:
    description:
      - Whether images of the repository's other tags, which were pinned before, are for the kubelet to remove when it
        runs short of disk. It never removes what a container uses.
    type: bool
    default: false
  namespace:
    description: Namespace of containerd, which is another thing than that of Kubernetes.
    type: str
    default: k8s.io
  address:
    description: Socket of containerd on the node.
    type: path
    default: /run/containerd/containerd.sock
  snapshotter:
    description:
      - Snapshotter that the nodes use. Unset means that of CRI in a node's C(/etc/containerd/config.toml), else
        V(overlayfs).
    type: str
  ctr:
    description: containerd's program C(ctr) on the node.
    type: str
    default: ctr
  node_timeout:
    description: Seconds that a node may take nothing, or may unpack after all was sent.
    type: float
    default: 600
  progress:
    description: File for lines about the progress. Set by the controller's half.
    type: path
requirements:
  - boto3 (on the controller, for ECR)
  - containerd 1.7 or later (on the nodes)
attributes:
  check_mode:
    support: full
    description: Tells which node lacks what. The registry is asked for documents, not for layers.
  diff_mode:
    support: full
    description: Shows which nodes have the image.
seealso:
  - module: windward.airflow.kind_cluster
"""

EXAMPLES = r"""
- name: An image of ECR for all nodes of the Kind cluster airflow
  windward.airflow.ecr_image:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/airflow:20261122080000
    cluster: airflow

- name: The same, by a role of another account
  windward.airflow.ecr_image:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/airflow:20261122080000
    cluster: airflow
    aws_profile: build
    aws_role_arn: arn:aws:iam::123456789012:role/pull-airflow

- name: An image of another registry for a host of a Kubernetes cluster that exists
  windward.airflow.ecr_image:
    image: registry.example.org/team/airflow:1.4
    registry_username: reader
    registry_password: "{{ vault_registry_password }}"
  become: true
"""

RETURN = r"""
image:
  description: The image as Kubernetes writes it out.
  type: str
  returned: success
  sample: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/airflow:20261122080000
digest:
  description: What the tag stands for, an index or a manifest.
  type: str
  returned: success
  sample: sha256:0f3c...
manifest_digest:
  description: The platform's manifest.
  type: str
  returned: success
  sample: sha256:5a1e...
config_digest:
  description: The platform's configuration, which Docker calls the image's ID.
  type: str
  returned: success
  sample: sha256:be07...
platform:
  description: The platform.
  type: str
  returned: success
  sample: linux/amd64
size:
  description: Bytes of the image's blobs, as the registry keeps them.
  type: int
  returned: success
  sample: 498713423
seconds:
  description: What the module took, without its start.
  type: float
  returned: success
  sample: 17.9
nodes:
  description: What was done on each node, or would be in check mode.
  type: dict
  returned: when the nodes were asked
  contains:
    changed:
      description: Whether the node was changed. That of a node on which the module failed is V(false).
      type: bool
    steps:
      description: What was done, of V(import), V(tag), V(label) and V(release).
      type: list
      elements: str
    lacks:
      description: Digests of the blobs that the node lacked.
      type: list
      elements: str
    bytes:
      description: Bytes of blobs that were sent to it.
      type: int
    seconds:
      description: Seconds until it was done.
      type: float
  sample:
    airflow-worker: {changed: true, steps: [import, tag, label], lacks: [sha256:9d31...], bytes: 31337, seconds: 0.31}
"""

import os
import shutil
import time
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _registry_options
from ..module_utils._containerd import Node, door
from ..module_utils._docker import Docker
from ..module_utils._ecr_image import Delivery
from ..module_utils._image import normal, parse
from ..module_utils._registry import ImageError

SPEC = {
    **_registry_options.SPEC,
    "cluster": {"type": "str"},
    "nodes": {"type": "list", "elements": "str"},
    "docker_host": {"type": "str"},
    "platform": {"type": "str"},
    "pinned": {"type": "bool", "default": True},
    "release_others": {"type": "bool", "default": False},
    "namespace": {"type": "str", "default": "k8s.io"},
    "address": {"type": "path", "default": "/run/containerd/containerd.sock"},
    "snapshotter": {"type": "str"},
    "ctr": {"type": "str", "default": "ctr"},
    "node_timeout": {"type": "float", "default": 600},
    "progress": {"type": "path"},
}


def nodes(options: dict[str, Any]) -> list[Node]:
    docker, names = None, options["nodes"] or []
    for name in ("cluster", "nodes"):
        if options[name] in ("", []):
            raise ImageError(f"{name} is empty: leave it out where the task runs on the node")
    if options["cluster"] or names:
        host = options["docker_host"] or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        docker = Docker(host, options["node_timeout"])
        names = names or docker.nodes(options["cluster"])
    elif not shutil.which(options["ctr"]):
        raise ImageError(f"there is no program {options['ctr']} here: is this a node? Else give cluster, or nodes")
    where = {key: options[key] or "" for key in ("ctr", "address", "namespace", "snapshotter")}
    return [Node(name, door(docker, name, options["node_timeout"]), **where) for name in names or [os.uname().nodename]]


def reporter(path: str | None) -> Callable[..., None]:
    """Lines for the controller's half, which looks at them now and then."""
    last = [0.0]

    def say(line: str, at_once: bool = False) -> None:
        if path and (at_once or time.monotonic() - last[0] > 1):
            last[0] = time.monotonic()
            try:
                with open(path, "w") as stream:
                    stream.write(line)
            except OSError:  # of another user
                last[0] = float("inf")

    return say


def main() -> None:
    module = AnsibleModule(
        argument_spec=SPEC,
        mutually_exclusive=[("cluster", "nodes")],
        required_together=_registry_options.TOGETHER,
        supports_check_mode=True,
    )
    options, began = module.params, time.monotonic()
    delivery: Delivery | None = None
    try:
        reference = parse(options["image"])
        delivery = Delivery(
            _registry_options.registry(reference, options), reference, nodes(options),
            platform=normal(options["platform"]) if options["platform"] else "",
            pinned=options["pinned"], alone=options["release_others"], say=reporter(options["progress"]),
        )
        image, rows = delivery.run(module.check_mode), delivery.rows
    except ImageError as error:
        told = {"nodes": delivery.rows} if delivery and delivery.rows else {}
        changed = any(row["changed"] for row in told.get("nodes", {}).values())
        module.fail_json(msg=str(error), changed=changed, **told, **error.result)
    before = "".join(f"{name}: {'lacks it' if row['changed'] else 'has it'}\n" for name, row in rows.items())
    module.exit_json(
        changed=any(row["changed"] for row in rows.values()),
        diff={"before": before, "after": before.replace("lacks it", "has it")},
        image=str(reference),
        digest=image.target.digest,
        manifest_digest=image.manifest.digest,
        config_digest=image.config.digest,
        platform=image.platform,
        size=image.size,
        seconds=round(time.monotonic() - began, 3),
        nodes=rows,
    )


if __name__ == "__main__":
    main()
