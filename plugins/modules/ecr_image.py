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
options:
  image:
    description:
      - Name of the image with its registry, and a tag or a digest, such as
        V(123456789012.dkr.ecr.eu-central-1.amazonaws.com/airflow:20261122080000).
      - A name without a registry is one of Docker Hub's.
    type: str
    required: true
  registry_url:
    description:
      - Where the registry of the name is asked, such as a mirror. Only a URL that says C(http://) is asked without TLS.
      - Unset means https and the host of the name.
    type: str
  registry_username:
    description: User of the registry. Unset means a log-in by AWS if the registry is one of ECR, else none.
    type: str
  registry_password:
    description: Password of the user, or a token.
    type: str
  ca_path:
    description: File with the certificates of authorities to be trusted, on the host that this runs on.
    type: path
  validate_certs:
    description: Whether the registry's certificate is checked.
    type: bool
    default: true
  timeout:
    description: Seconds that the registry may be silent.
    type: float
    default: 30
  retry_timeout:
    description: Seconds for which a request is tried again that was refused for the moment, as by 429 or 503.
    type: float
    default: 60
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
  namespace:
    description: Namespace of containerd, which is another thing than that of Kubernetes.
    type: str
    default: k8s.io
  address:
    description: Socket of containerd on the node.
    type: path
    default: /run/containerd/containerd.sock
  snapshotter:
    description: Snapshotter that the nodes use.
    type: str
    default: overlayfs
  ctr:
    description: containerd's program C(ctr) on the node.
    type: str
    default: ctr
  node_timeout:
    description: Seconds that a node may take nothing, or may unpack after all was sent.
    type: float
    default: 600
  aws_profile:
    description: Profile of the AWS configuration on the controller.
    type: str
  aws_access_key:
    description: Access key, in place of what boto3 finds on the controller (environment, profile, role of the machine).
    type: str
  aws_secret_key:
    description: Secret of O(aws_access_key).
    type: str
  aws_session_token:
    description: Session token of O(aws_access_key), if that is a temporary one.
    type: str
  aws_role_arn:
    description: Role that is assumed before the log-in.
    type: str
  aws_endpoint_url:
    description: URL of the API of ECR, in place of AWS' own, such as that of an interface endpoint.
    type: str
  aws_sts_endpoint_url:
    description: URL of the API of STS, of which O(aws_role_arn) is asked.
    type: str
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
      description: Whether the node lacked anything.
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

from ..module_utils._containerd import Node, door
from ..module_utils._docker import Docker
from ..module_utils._ecr_image import Delivery
from ..module_utils._image import normal, parse
from ..module_utils._registry import ImageError, Registry

# What never leaves the controller.
AWS = {
    "aws_profile": {"type": "str"},
    "aws_access_key": {"type": "str", "no_log": False},
    "aws_secret_key": {"type": "str", "no_log": True},
    "aws_session_token": {"type": "str", "no_log": True},
    "aws_role_arn": {"type": "str"},
    "aws_endpoint_url": {"type": "str"},
    "aws_sts_endpoint_url": {"type": "str"},
}
SPEC = {
    "image": {"type": "str", "required": True},
    "registry_url": {"type": "str"},
    "registry_username": {"type": "str"},
    "registry_password": {"type": "str", "no_log": True},
    "ca_path": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 30},
    "retry_timeout": {"type": "float", "default": 60},
    "cluster": {"type": "str"},
    "nodes": {"type": "list", "elements": "str"},
    "docker_host": {"type": "str"},
    "platform": {"type": "str"},
    "pinned": {"type": "bool", "default": True},
    "namespace": {"type": "str", "default": "k8s.io"},
    "address": {"type": "path", "default": "/run/containerd/containerd.sock"},
    "snapshotter": {"type": "str", "default": "overlayfs"},
    "ctr": {"type": "str", "default": "ctr"},
    "node_timeout": {"type": "float", "default": 600},
    "progress": {"type": "path"},
    **AWS,
}


def nodes(options: dict[str, Any]) -> list[Node]:
    docker, names = None, options["nodes"] or []
    if options["cluster"] or names:
        host = options["docker_host"] or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        docker = Docker(host, options["node_timeout"])
        names = names or docker.nodes(options["cluster"])
    elif not shutil.which(options["ctr"]):
        raise ImageError(f"there is no program {options['ctr']} here: is this a node? Else give cluster, or nodes")
    where = {key: options[key] for key in ("ctr", "address", "namespace", "snapshotter")}
    return [Node(name, door(docker, name, options["node_timeout"]), **where) for name in names or [os.uname().nodename]]


def reporter(path: str | None) -> Callable[[str], None]:
    """Lines for the controller's half, which looks at them now and then."""
    last = [0.0]

    def say(line: str) -> None:
        if path and time.monotonic() - last[0] > 1:
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
        required_together=[("registry_username", "registry_password"), ("aws_access_key", "aws_secret_key")],
        supports_check_mode=True,
    )
    options, began = module.params, time.monotonic()
    delivery: Delivery | None = None
    try:
        reference = parse(options["image"])
        url = options["registry_url"] or reference.api
        if not url.startswith(("https://", "http://")):
            raise ImageError(f"registry_url {url} begins with neither https:// nor http://")
        registry = Registry(
            url, reference.path, username=options["registry_username"], password=options["registry_password"],
            ca_path=options["ca_path"], validate_certs=options["validate_certs"], timeout=options["timeout"],
            retry_timeout=options["retry_timeout"],
        )
        delivery = Delivery(
            registry, reference, nodes(options), platform=normal(options["platform"]) if options["platform"] else "",
            pinned=options["pinned"], say=reporter(options["progress"]),
        )
        image, rows = delivery.run(module.check_mode), delivery.rows
    except ImageError as error:
        told = {"nodes": delivery.rows} if delivery and delivery.rows else {}
        module.fail_json(msg=str(error), **told, **error.result)
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
