# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. A Kind cluster that a host declares."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..deployment import Deployment, Finding, Host
from ..registry import each_host, whole
from .hosts import is_address, is_host, is_url

VARIABLE = "airflow_kind_cluster"
OLDEST = (1, 30)  # that the chart works with
NAME = r"[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?"  # a node's name, which is a host name, is longer by some letters
LABEL_KEY = r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
LABEL_VALUE = r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?"


def declaration(host: Host) -> Mapping[str, Any]:
    return host[VARIABLE] or {}


def nodes(host: Host) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for index, node in enumerate(declaration(host).get("nodes", ())):
        yield f"{VARIABLE}.nodes[{index}]", node


def cluster_name(host: Host) -> str:
    return declaration(host).get("name", host["airflow_name"])


@each_host
def kind_name(host: Host) -> Iterator[Finding]:
    """A Kind cluster has a name that its nodes can bear, and is that of a host of group `airflow_cluster`."""
    if host[VARIABLE] is None:
        return
    if host.name not in host.deployment.members("airflow_cluster"):
        yield host.refuse(VARIABLE, "only a host of group airflow_cluster has a Kind cluster: put it there", None)
    if not re.fullmatch(NAME, cluster_name(host)):
        problem = "use up to 40 lower-case letters, digits, dots and dashes"
        yield host.refuse(f"{VARIABLE}.name", problem, cluster_name(host))


@each_host
def kind_kubeconfig(host: Host) -> Iterator[Finding]:
    """A Kind cluster is reached by the kubeconfig that is made with it."""
    if host[VARIABLE] is not None and host["airflow_kubeconfig"]:
        yield host.refuse("airflow_kubeconfig", f"leads elsewhere than to {VARIABLE}, which has its own: keep one")


@each_host
def kind_version(host: Host) -> Iterator[Finding]:
    """A Kind cluster says which Kubernetes it is, one that the chart works with."""
    if host[VARIABLE] is None:
        return
    version, image = declaration(host).get("kubernetes_version"), declaration(host).get("node_image")
    if bool(version) == bool(image):
        yield host.refuse(VARIABLE, "give either kubernetes_version, such as 1.34.3, or node_image", None)
    elif image and not re.fullmatch(r"[a-z0-9][\w.:/-]*[\w](@sha256:[0-9a-f]{64})?", image):
        yield host.refuse(f"{VARIABLE}.node_image", "must be an image such as kindest/node:v1.34.3", image)
    elif version and not re.fullmatch(r"\d+\.\d+\.\d+", version):
        yield host.refuse(f"{VARIABLE}.kubernetes_version", "must be a version of three numbers, as in 1.34.3", version)
    elif version and tuple(map(int, version.split(".")))[:2] < OLDEST:
        yield host.refuse(f"{VARIABLE}.kubernetes_version", "the chart needs Kubernetes 1.30 or later", version)


@each_host
def kind_nodes(host: Host) -> Iterator[Finding]:
    """A Kind cluster has a control plane, and its labels, gates and mounts are such as Kubernetes and Docker take."""
    roles = [node["role"] for _path, node in nodes(host)]
    if "nodes" in declaration(host) and "control-plane" not in roles:
        yield host.refuse(f"{VARIABLE}.nodes", "one of them must have role control-plane", None)
    for path, node in nodes(host):
        for key, value in node.get("labels", {}).items():
            if not re.fullmatch(LABEL_KEY, str(key)) or not re.fullmatch(LABEL_VALUE, str(value)):
                yield host.refuse(f"{path}.labels.{key}", "is no label of Kubernetes", value)
        for index, mount in enumerate(node.get("extra_mounts", ())):
            here = f"{path}.extra_mounts[{index}]"
            for key in ("host_path", "container_path"):
                if not re.fullmatch(r"/[^:,\s]*", mount[key]):
                    yield host.refuse(f"{here}.{key}", "must be an absolute path without colons and blanks", mount[key])
            if mount["host_path"].startswith("/") and not os.path.exists(mount["host_path"]):
                yield host.refuse(f"{here}.host_path", "is not there: make it", mount["host_path"])
    for gate, on in declaration(host).get("feature_gates", {}).items():
        if not isinstance(on, bool) or not re.fullmatch(r"[A-Za-z0-9]+", str(gate)):
            yield host.refuse(f"{VARIABLE}.feature_gates.{gate}", "must be the name of a gate, with true or false", on)


@whole
def kind_ports(deployment: Deployment) -> Iterator[Finding]:
    """No two nodes want the same port of the controller, ports are ports, addresses addresses."""
    seen: dict[tuple[str, int], str] = {}
    for host in deployment.targets:
        for path, node in nodes(host):
            for index, port in enumerate(node.get("port_mappings", ())):
                here = f"{path}.port_mappings[{index}]"
                for key in ("container_port", "host_port"):
                    if not 1 <= int(port[key]) <= 65535:
                        yield host.refuse(f"{here}.{key}", "must be from 1 to 65535", port[key])
                address = port.get("listen_address", "127.0.0.1")
                if not is_address(address):
                    yield host.refuse(f"{here}.listen_address", "must be an address of the controller", address)
                place = (port.get("protocol", "TCP"), int(port["host_port"]))
                first = seen.setdefault(place, here)
                if first != here:
                    problem = f"{first} has this port of the controller already; change one"
                    yield host.refuse(f"{here}.host_port", problem, port["host_port"])


@each_host
def kind_mirrors(host: Host) -> Iterator[Finding]:
    """Mirrors of registries are lists of URLs, by the registry's host."""
    for registry, urls in declaration(host).get("registry_mirrors", {}).items():
        path = f"{VARIABLE}.registry_mirrors.{registry}"
        name, _colon, port = str(registry).partition(":")
        if not is_host(name) or (port and not port.isdigit()):
            yield host.refuse(path, "must be the host of a registry, as in docker.io", None)
        for url in urls if isinstance(urls, list) else [urls]:
            if not isinstance(urls, list) or not isinstance(url, str) or not is_url(url, ("http", "https")):
                yield host.refuse(path, "must be a list of URLs that begin with https:// or http://", url)


@whole
def kind_twice(deployment: Deployment) -> Iterator[Finding]:
    """No two hosts declare the same Kind cluster."""
    seen: dict[str, str] = {}
    for host in deployment.targets:
        if host[VARIABLE] is None:
            continue
        other = seen.setdefault(cluster_name(host), host.name)
        if other != host.name:
            problem = f"{other} has a cluster of this name: give each its own"
            yield host.refuse(f"{VARIABLE}.name", problem, cluster_name(host))
