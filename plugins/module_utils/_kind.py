# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kind clusters, the part that only computes: what follows from a declaration, what is to be done about what was seen.

Private to this collection. Nothing here looks at the machine; _kind_host.py does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

# Where containerd looks for mirrors; node images of kind 0.27 and later are set up for it.
MIRRORS = "/etc/containerd/certs.d"
API_PORT = "6443/tcp"
# The first Kubernetes whose kubelet refuses cgroup v1.
CGROUP_V2_ONLY = (1, 35)
# Of instances of inotify each node takes about 25 and each pod some more; a cluster with Airflow takes (measured) 90,
# and two of two nodes 130. All of them are root's, who has 128 by default: a kubelet that gets none never starts a pod.
INOTIFY_INSTANCES, INOTIFY_NODE = 128, 32
INOTIFY_WATCHES = 16384
# An image of a node takes 0.8 to 1.3 GB, Airflow's as much again on each node, before anything was written.
DISK_MB, NODE_DISK_MB = 4000, 1500

CLUSTER_LABEL, ROLE_LABEL = "io.x-k8s.kind.cluster", "io.x-k8s.kind.role"


class KindError(Exception):
    """One sentence for the user."""


@dataclass(frozen=True, order=True)
class Port:
    """A port of a node that answers at one of this computer's."""

    container: int
    host: int
    address: str = "127.0.0.1"
    protocol: str = "TCP"

    def __str__(self) -> str:
        return f"{self.address}:{self.host}->{self.container}/{self.protocol}"


@dataclass(frozen=True, order=True)
class Mount:
    """A file or directory of this computer in a node."""

    host: str
    container: str
    read_only: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.container}" + (":ro" if self.read_only else "")


@dataclass(frozen=True)
class Node:
    """One node, as declared or as found."""

    role: str
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)
    gates: Mapping[str, bool] = field(default_factory=dict)
    ports: frozenset[Port] = frozenset()
    mounts: frozenset[Mount] = frozenset()
    running: bool = True
    address: str = field(default="", compare=False)  # that it was made with


@dataclass(frozen=True)
class Cluster:
    """A declared cluster; `nodes` by the names that kind gives them."""

    name: str
    image: str
    nodes: Mapping[str, Node]
    mirrors: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, options: Mapping[str, Any], mirrors_dir: str) -> Cluster:
        """`options` are those of module kind_cluster. The mount of `mirrors_dir` also tells whose a cluster is."""
        gates = {name: bool(on) for name, on in (options["feature_gates"] or {}).items()}
        image = options["node_image"] or f"kindest/node:v{options['kubernetes_version']}"
        nodes: dict[str, Node] = {}
        for one in options["nodes"]:
            number = sum(node.role == one["role"] for node in nodes.values()) + 1
            mounts = {Mount(m["host_path"], m["container_path"], bool(m["read_only"])) for m in one["extra_mounts"]}
            nodes[f"{options['name']}-{one['role']}{number if number > 1 else ''}"] = Node(
                role=one["role"],
                image=image,
                labels={key: str(value) for key, value in (one["labels"] or {}).items()},
                gates=gates,
                ports=frozenset(
                    Port(p["container_port"], p["host_port"], p["listen_address"], p["protocol"])
                    for p in one["port_mappings"]
                ),
                mounts=frozenset(mounts | {Mount(mirrors_dir, MIRRORS, True)}),
            )
        mirrors = {host: tuple(urls) for host, urls in (options["registry_mirrors"] or {}).items()}
        return cls(options["name"], image, nodes, mirrors)

    @property
    def config(self) -> str:
        """What kind is given; it reads YAML, of which JSON is a part."""
        nodes = [
            {
                "role": node.role,
                "image": node.image,
                "labels": dict(node.labels),
                "extraPortMappings": [
                    {"containerPort": c, "hostPort": h, "listenAddress": address, "protocol": protocol}
                    for c, h, address, protocol in map(astuple, sorted(node.ports))
                ],
                "extraMounts": [
                    {"hostPath": m.host, "containerPath": m.container, "readOnly": m.read_only}
                    for m in sorted(node.mounts)
                ],
            }
            for node in self.nodes.values()
        ]
        gates = dict(next(iter(self.nodes.values())).gates)
        return json.dumps(
            {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "featureGates": gates, "nodes": nodes}, indent=1
        )

    @property
    def mirror_files(self) -> dict[str, str]:
        """The files below MIRRORS. What no mirror has is still asked for where its name says."""
        return {
            f"{host}/hosts.toml": "".join(f'[host."{url}"]\n  capabilities = ["pull", "resolve"]\n' for url in urls)
            for host, urls in self.mirrors.items()
        }


def found(container: Mapping[str, Any], kubeadm: Iterable[Any]) -> Node:
    """A node from what `docker inspect` says of it and from the documents of the kubeadm.conf that kind wrote in it."""
    host = container["HostConfig"]
    ports = set()
    for inside, places in (host.get("PortBindings") or {}).items():
        number, _slash, protocol = inside.partition("/")
        for place in places or () if inside != API_PORT else ():
            address = place.get("HostIp") or "0.0.0.0"
            ports.add(Port(int(number), int(place["HostPort"] or 0), address, protocol.upper()))
    mounts = set()
    for bind in host.get("Binds") or ():
        source, target, *rest = bind.split(":")
        if target not in ("/lib/modules", "/dev/mapper"):  # kind's own
            mounts.add(Mount(source, target, "ro" in "".join(rest).split(",")))
    gates, arguments = {}, {}
    for document in kubeadm:
        kind = (document or {}).get("kind")
        if kind == "KubeletConfiguration":
            gates = dict(document.get("featureGates") or {})
        if kind in ("InitConfiguration", "JoinConfiguration"):
            arguments.update(_named((document.get("nodeRegistration") or {}).get("kubeletExtraArgs") or {}))
    pairs = (pair.partition("=") for pair in (arguments.get("node-labels") or "").split(",") if pair)
    return Node(
        role=container["Config"]["Labels"].get(ROLE_LABEL, ""),
        image=container["Config"]["Image"],
        labels={key: value for key, _equals, value in pairs},
        gates=gates,
        ports=frozenset(ports),
        mounts=frozenset(mounts),
        running=bool(container["State"]["Running"]),
        address=arguments.get("node-ip") or "",
    )


def _named(arguments: Any) -> dict[str, str]:
    """kubelet's arguments: a dictionary in older kubeadm, a list of names and values in newer."""
    return {one["name"]: one["value"] for one in arguments} if isinstance(arguments, list) else arguments


def start_order(seen: Mapping[str, Node]) -> list[str]:
    """Stopped nodes in the order in which they get the addresses again that they were made with.

    Docker gives the lowest free one, and nodes that changed places don't find each other.
    """

    def place(name: str) -> tuple[int, ...]:
        numbers = re.findall(r"\d+", seen[name].address.partition(",")[0])
        return tuple(map(int, numbers)) if len(numbers) == 4 else (256,)

    return sorted((name for name, node in seen.items() if not node.running), key=lambda name: (place(name), name))


def differences(cluster: Cluster, seen: Mapping[str, Node]) -> list[str]:
    """In what the cluster that is there is not the declared one."""
    nodes = {name: node for name, node in seen.items() if node.role != "external-load-balancer"}
    told = [f"there is no node {name}" for name in cluster.nodes if name not in nodes]
    told += [f"there is a node {name}, which is not declared" for name in nodes if name not in cluster.nodes]
    for name in sorted(cluster.nodes.keys() & nodes.keys()):
        wanted, node = cluster.nodes[name], nodes[name]
        for what, want, have in (
            ("image", wanted.image, node.image),
            ("labels", _pairs(wanted.labels), _pairs(node.labels)),
            ("feature gates", _pairs(wanted.gates), _pairs(node.gates)),
            ("ports", _list(wanted.ports), _list(node.ports)),
            ("mounts", _list(wanted.mounts), _list(node.mounts)),
        ):
            if want != have:
                told.append(f"{what} of {name}: {have or 'none'}, declared {want or 'none'}")
    return told


def _pairs(items: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={str(on).lower() if isinstance(on, bool) else on}" for key, on in sorted(items.items()))


def _list(items: Iterable[Any]) -> str:
    return " ".join(map(str, sorted(items)))


def is_ours(seen: Mapping[str, Node], mirrors_dir: str) -> bool:
    """Whether this operator's state directory is in a node: another's cluster is never touched."""
    return any(Mount(mirrors_dir, MIRRORS, True) in node.mounts for node in seen.values())


def state(seen: Mapping[str, Node], unfinished: bool) -> str:
    if not seen:
        return "absent"
    if unfinished:
        return "unfinished"
    return "running" if all(node.running for node in seen.values()) else "stopped"


def plan(cluster: Cluster, seen: Mapping[str, Node], mirrors_dir: str, unfinished: bool, recreate: bool) -> list[str]:
    """The steps to a cluster that runs; each is a method of _kind_host.Kind. Refuses what would lose a cluster."""
    if not seen:
        return ["create"]
    if not is_ours(seen, mirrors_dir):
        raise KindError(
            f"a Kind cluster {cluster.name} is there that this user has not made by this collection: choose another "
            f"name, or remove it (kind delete cluster --name {cluster.name})"
        )
    if unfinished:
        return ["delete", "create"]
    told = differences(cluster, seen)
    if told and not recreate:
        raise KindError(
            f"the Kind cluster {cluster.name} is not as declared: {'; '.join(told)}. It can't be changed, only made "
            "anew, without anything that is in it: -e airflow_kind_recreate=true"
        )
    if told:
        return ["delete", "create"]
    return [] if state(seen, False) == "running" else ["start"]


@dataclass(frozen=True)
class Engine:
    """What a refusal depends on."""

    docker: bool = True  # the program is there
    problem: str = ""  # what it says when its engine can't be used
    cgroup: str = "2"
    free_mb: int = 1 << 30
    inotify_instances: int = 1 << 30
    inotify_watches: int = 1 << 30
    nodes: tuple[str, ...] = ()  # the cluster of each node that runs
    taken: Mapping[Port, str] = field(default_factory=dict)  # who has a declared port


def unusable(engine: Engine) -> str:
    """Why nothing can be known about clusters here."""
    if not engine.docker:
        return "a Kind cluster needs Docker, and there is no program docker on PATH: install it"
    if engine.problem:
        return f"Docker can't be used here: start it, or let your user use it (group docker). It says: {engine.problem}"
    return ""


def refusals(engine: Engine, cluster: Cluster) -> list[str]:
    """Why no cluster can be made here, as far as one can tell without a container."""
    told = []
    if engine.cgroup == "1" and minor(cluster.image) >= CGROUP_V2_ONLY:
        told.append(_cgroup(cluster.image))
    others = len([name for name in engine.nodes if name != cluster.name])
    if engine.inotify_instances < INOTIFY_INSTANCES + INOTIFY_NODE * others:
        told.append(_limit("fs.inotify.max_user_instances", engine.inotify_instances, 512 + 2 * INOTIFY_NODE * others))
    if engine.inotify_watches < INOTIFY_WATCHES:
        told.append(_limit("fs.inotify.max_user_watches", engine.inotify_watches, 524288))
    need = DISK_MB + NODE_DISK_MB * len(cluster.nodes)
    if engine.free_mb < need:
        told.append(f"Docker's directory has {engine.free_mb} MB free, {need} MB are needed: make room")
    told += [f"port {port.host}, for {port}, is taken by {who}" for port, who in sorted(engine.taken.items())]
    return told


def trial(cluster: Cluster, engine: Engine, code: int, out: str, error: str) -> str:
    """Why there can be no node, by a privileged container of the node image that was to print its version."""
    said = " ".join(error.split())[-300:]
    if code and re.search(r"manifest|not found|pull|registry|denied|no such host", said):
        return f"the node image {cluster.image} can't be had: {said}"
    if code:
        return f"Docker can't run a privileged container, which a node is: {said}"
    if engine.cgroup == "1" and minor(f":{out}") >= CGROUP_V2_ONLY:
        return _cgroup(out.strip())
    return ""


def _cgroup(version: str) -> str:
    return f"this computer has cgroup v1, which {version} refuses: declare a kubernetes_version before 1.35"


def _limit(name: str, value: int, enough: int) -> str:
    return f"{name} is {value}, too few for a cluster: sysctl {name}={enough}"


def minor(image: str) -> tuple[int, int]:
    """(1, 33) of kindest/node:v1.33.13; (0, 0) when the tag is no version."""
    version = re.search(r":v?(\d+)\.(\d+)", image.partition("@")[0])
    return (int(version[1]), int(version[2])) if version else (0, 0)


def unready(
    api: str, allowed: bool, nodes: Mapping[str, bool], expected: Iterable[str], services: Mapping[str, str]
) -> str:
    """What is missing of a cluster that works, or nothing: its API, its RBAC, its nodes, its service network."""
    if api:
        return f"its API does not answer yet ({api})"
    if not allowed:
        return "its RBAC rules are not loaded yet"
    waiting = [name for name in expected if not nodes.get(name)]
    if waiting:
        return f"not ready: node {', '.join(waiting)}"
    broken = [f"{name} ({why})" for name, why in sorted(services.items()) if why]
    return f"the service network does not work on {', '.join(broken)}" if broken else ""
