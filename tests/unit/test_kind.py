# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What follows from the declaration of a Kind cluster, by tables. tests/kind has the real ones."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.windward.airflow.plugins.module_utils import _kind as kd
from ansible_collections.windward.airflow.plugins.module_utils._kind import (
    Cluster,
    Engine,
    KindError,
    Mount,
    Node,
    Port,
)
from ansible_collections.windward.airflow.plugins.modules.kind_cluster import DECLARATION

ROOT = Path(__file__).parents[2]
DIR = "/home/op/.local/state/windward.airflow/kind/airflow/certs.d"
PORT = {"container_port": 30080, "host_port": 8080, "listen_address": "127.0.0.1", "protocol": "TCP"}
CONTROL = {
    "role": "control-plane",
    "labels": {"tier": "Front"},
    "port_mappings": [PORT],
    "extra_mounts": [{"host_path": "/srv/x", "container_path": "/x", "read_only": True}],
}
WORKER: dict[str, Any] = {"role": "worker", "labels": {}, "port_mappings": [], "extra_mounts": []}
OPTIONS: dict[str, Any] = {
    "name": "airflow",
    "kubernetes_version": "1.33.13",
    "node_image": None,
    "nodes": [CONTROL, WORKER, WORKER],
    "registry_mirrors": {"docker.io": ["http://172.18.0.1:5000", "https://mirror.example.org"]},
    "feature_gates": {"SomeGate": True},
}
CLUSTER = Cluster.of(OPTIONS, DIR)

KUBEADM = """
apiVersion: kubeadm.k8s.io/v1beta3
kind: InitConfiguration
nodeRegistration:
  kubeletExtraArgs: {node-labels: "tier=Front", node-ip: 172.18.0.2}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
featureGates: {SomeGate: true}
---
"""
# Kubernetes 1.36 and later: a list of names and values.
NEW_KUBEADM = KUBEADM.replace(
    '{node-labels: "tier=Front", node-ip: 172.18.0.2}',
    '[{name: node-labels, value: "tier=Front"}, {name: node-ip, value: 172.18.0.2}]',
)


def container(**differs: Any) -> dict[str, Any]:
    """The first node as `docker inspect` shows it."""
    host = {
        "PortBindings": {
            "6443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "39555"}],
            "30080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
        },
        "Binds": ["/lib/modules:/lib/modules:ro", "/srv/x:/x:ro", f"{DIR}:/etc/containerd/certs.d:ro"],
        **differs,
    }
    labels = {"io.x-k8s.kind.cluster": "airflow", "io.x-k8s.kind.role": "control-plane"}
    return {
        "HostConfig": host,
        "Config": {"Image": "kindest/node:v1.33.13", "Labels": labels},
        "State": {"Running": True},
    }


def seen(**differs: Any) -> dict[str, Node]:
    """The declared cluster, running, but for what differs in its first node."""
    first = dataclasses.replace(CLUSTER.nodes["airflow-control-plane"], **differs)
    return {**CLUSTER.nodes, "airflow-control-plane": first}


def test_nodes_have_the_names_that_kind_gives() -> None:
    assert list(CLUSTER.nodes) == ["airflow-control-plane", "airflow-worker", "airflow-worker2"]


def test_kind_is_given_the_whole_declaration() -> None:
    config = json.loads(CLUSTER.config)
    assert config["featureGates"] == {"SomeGate": True}
    assert [node["role"] for node in config["nodes"]] == ["control-plane", "worker", "worker"]
    assert {node["image"] for node in config["nodes"]} == {"kindest/node:v1.33.13"}
    mirrors = {"hostPath": DIR, "containerPath": "/etc/containerd/certs.d", "readOnly": True}
    assert config["nodes"][0] == {
        "role": "control-plane",
        "image": "kindest/node:v1.33.13",
        "labels": {"tier": "Front"},
        "extraPortMappings": [
            {"containerPort": 30080, "hostPort": 8080, "listenAddress": "127.0.0.1", "protocol": "TCP"}
        ],
        "extraMounts": [mirrors, {"hostPath": "/srv/x", "containerPath": "/x", "readOnly": True}],
    }


def test_an_image_goes_before_a_version() -> None:
    own = Cluster.of({**OPTIONS, "kubernetes_version": None, "node_image": "mirror.example.org/node:v1"}, DIR)
    assert {node.image for node in own.nodes.values()} == {"mirror.example.org/node:v1"}


def test_mirrors_are_asked_in_their_order() -> None:
    (name, text), = CLUSTER.mirror_files.items()
    assert name == "docker.io/hosts.toml"
    assert text.index("172.18.0.1:5000") < text.index("mirror.example.org")
    assert text.count('capabilities = ["pull", "resolve"]') == 2


@pytest.mark.parametrize("kubeadm", [KUBEADM, NEW_KUBEADM], ids=["arguments as dictionary", "arguments as list"])
def test_a_node_that_was_made_as_declared_is_found_as_declared(kubeadm: str) -> None:
    node = kd.found(container(), yaml.safe_load_all(kubeadm))
    assert node == CLUSTER.nodes["airflow-control-plane"]
    assert node.address == "172.18.0.2"


def test_a_node_without_a_kubeadm_configuration_is_none_of_a_whole_cluster() -> None:
    assert kd.found(container(PortBindings=None, Binds=None), []) == Node("control-plane", "kindest/node:v1.33.13")


@pytest.mark.parametrize(
    ("differs", "told"),
    [
        ({}, ""),
        ({"image": "kindest/node:v1.32.0"}, "kindest/node:v1.32.0, declared kindest/node:v1.33.13"),
        ({"labels": {}}, "labels of airflow-control-plane: none, declared tier=Front"),
        ({"labels": {"tier": "front"}}, "tier=front, declared tier=Front"),
        ({"gates": {"SomeGate": False}}, "SomeGate=false, declared SomeGate=true"),
        ({"ports": frozenset()}, "ports of airflow-control-plane: none, declared 127.0.0.1:8080->30080/TCP"),
        ({"ports": frozenset({Port(30080, 8080, "0.0.0.0")})}, "0.0.0.0:8080->30080/TCP, declared 127.0.0.1:8080"),
        ({"mounts": frozenset({Mount(DIR, kd.MIRRORS, True)})}, "declared " + f"{DIR}:{kd.MIRRORS}:ro /srv/x:/x:ro"),
        ({"running": False}, ""),
    ],
)
def test_what_differs_is_said(differs: dict[str, Any], told: str) -> None:
    found = "; ".join(kd.differences(CLUSTER, seen(**differs)))
    assert told in found
    assert bool(told) == bool(found)


def test_nodes_are_started_in_the_order_of_their_addresses() -> None:
    places = {"a": "172.18.0.10", "b": "172.18.0.9,fc00::9", "c": "172.18.0.2", "d": "", "e": "172.18.0.3"}
    nodes = {name: Node("worker", "x", running=name == "c", address=place) for name, place in places.items()}
    assert kd.start_order(nodes) == ["e", "b", "a", "d"]


def test_nodes_too_many_and_too_few_are_said() -> None:
    nodes = seen()
    del nodes["airflow-worker2"]
    nodes["airflow-worker3"] = nodes["airflow-worker"]
    assert kd.differences(CLUSTER, nodes) == [
        "there is no node airflow-worker2",
        "there is a node airflow-worker3, which is not declared",
    ]


def test_the_balancer_of_several_control_planes_is_no_difference() -> None:
    nodes = {**seen(), "airflow-external-load-balancer": Node("external-load-balancer", "x")}
    assert kd.differences(CLUSTER, nodes) == []


STOPPED = {"running": False}
OTHER = {"image": "kindest/node:v1.32.0"}
FOREIGN = {name: dataclasses.replace(node, mounts=frozenset()) for name, node in CLUSTER.nodes.items()}


@pytest.mark.parametrize(
    ("nodes", "unfinished", "recreate", "steps"),
    [
        ({}, False, False, ["create"]),
        ({}, True, False, ["create"]),  # killed before Docker had anything
        (seen(), False, False, []),
        (seen(), False, True, []),  # it need not be made anew
        (seen(**STOPPED), False, False, ["start"]),
        (seen(), True, False, ["delete", "create"]),
        (seen(**OTHER), True, False, ["delete", "create"]),  # nothing is lost: it never was a cluster
        (seen(**OTHER), False, True, ["delete", "create"]),
        (seen(**OTHER), False, False, "is not as declared: image of airflow-control-plane"),
        (seen(**OTHER), False, False, "-e airflow_kind_recreate=true"),
        (FOREIGN, False, False, "a Kind cluster airflow is there that this user has not made"),
        (FOREIGN, False, True, "a Kind cluster airflow is there that this user has not made"),
        (FOREIGN, True, True, "a Kind cluster airflow is there that this user has not made"),
    ],
)
def test_steps(nodes: dict[str, Node], unfinished: bool, recreate: bool, steps: Any) -> None:
    if isinstance(steps, list):
        assert kd.plan(CLUSTER, nodes, DIR, unfinished, recreate) == steps
    else:
        with pytest.raises(KindError, match=steps):
            kd.plan(CLUSTER, nodes, DIR, unfinished, recreate)


@pytest.mark.parametrize(
    ("nodes", "unfinished", "state"),
    [
        ({}, False, "absent"),
        (seen(), False, "running"),
        (seen(**STOPPED), False, "stopped"),
        (seen(), True, "unfinished"),
    ],
)
def test_states(nodes: dict[str, Node], unfinished: bool, state: str) -> None:
    assert kd.state(nodes, unfinished) == state


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        (Engine(), ""),
        (Engine(docker=False), "there is no program docker on PATH: install it"),
        (Engine(problem="permission denied"), "let your user use it (group docker). It says: permission denied"),
    ],
)
def test_unusable_engines(engine: Engine, told: str) -> None:
    assert told in kd.unusable(engine)
    assert bool(told) == bool(kd.unusable(engine))


V135 = Cluster.of({**OPTIONS, "kubernetes_version": "1.35.0"}, DIR)
TAKEN = {Port(30080, 8080): "process 12 (nginx)"}


@pytest.mark.parametrize(
    ("engine", "cluster", "told"),
    [
        (Engine(), CLUSTER, ""),
        (Engine(cgroup="1"), CLUSTER, ""),
        (Engine(cgroup="2"), V135, ""),
        (Engine(cgroup="1"), V135, "cgroup v1, which kindest/node:v1.35.0 refuses"),
        (Engine(inotify_instances=64), CLUSTER, "sysctl fs.inotify.max_user_instances=512"),
        (Engine(inotify_instances=128), CLUSTER, ""),
        (Engine(inotify_instances=128, nodes=("other", "other")), CLUSTER, "sysctl fs.inotify.max_user_instances=640"),
        (Engine(inotify_instances=128, nodes=(CLUSTER.name,)), CLUSTER, ""),
        (Engine(inotify_instances=512, nodes=("other",) * 4), CLUSTER, ""),
        (Engine(inotify_watches=8192), CLUSTER, "sysctl fs.inotify.max_user_watches=524288"),
        (Engine(free_mb=2000), CLUSTER, "2000 MB free, 8500 MB are needed"),
        (Engine(taken=TAKEN), CLUSTER, "port 8080, for 127.0.0.1:8080->30080/TCP, is taken by process 12 (nginx)"),
    ],
)
def test_refusals_before_a_cluster_is_made(engine: Engine, cluster: Cluster, told: str) -> None:
    found = "; ".join(kd.refusals(engine, cluster))
    assert told in found
    assert bool(told) == bool(found)


@pytest.mark.parametrize(
    ("cgroup", "code", "out", "error", "told"),
    [
        ("2", 0, "v1.35.0", "", ""),
        ("1", 0, "v1.33.13", "", ""),
        ("1", 0, "v1.36.1\n", "", "cgroup v1, which v1.36.1 refuses"),
        ("2", 125, "", "manifest for kindest/node:v1.33.13 not found", "node:v1.33.13 can't be had: manifest for"),
        ("2", 125, "", "pull access denied for kindest/node", "can't be had"),
        ("2", 126, "", "OCI runtime: unable to apply caps", "can't run a privileged container, which a node is: OCI"),
    ],
)
def test_the_trial_of_a_node(cgroup: str, code: int, out: str, error: str, told: str) -> None:
    found = kd.trial(CLUSTER, Engine(cgroup=cgroup), code, out, error)
    assert told in found
    assert bool(told) == bool(found)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("kindest/node:v1.33.13", (1, 33)),
        ("mirror.example.org:5000/kindest/node:v1.35.0@sha256:12.34", (1, 35)),
        ("kindest/node:latest", (0, 0)),
        ("localhost:5000/node", (0, 0)),
    ],
)
def test_minor_version_of_an_image(image: str, version: tuple[int, int]) -> None:
    assert kd.minor(image) == version


UP = {name: True for name in CLUSTER.nodes}


@pytest.mark.parametrize(
    ("api", "allowed", "nodes", "services", "told"),
    [
        ("", True, UP, {"airflow-worker": ""}, ""),
        ("HTTP 503", True, {}, {}, "its API does not answer yet (HTTP 503)"),
        ("", False, {}, {}, "its RBAC rules are not loaded yet"),
        ("", True, {**UP, "airflow-worker": False}, {}, "not ready: node airflow-worker"),
        ("", True, {"airflow-worker": True}, {}, "not ready: node airflow-control-plane, airflow-worker2"),
        ("", True, UP, {"airflow-worker": "late"}, "the service network does not work on airflow-worker (late)"),
    ],
)
def test_what_is_not_ready(api: str, allowed: bool, nodes: dict, services: dict, told: str) -> None:
    assert kd.unready(api, allowed, nodes, CLUSTER.nodes, services) == told


def options(spec: dict[str, Any]) -> dict[str, Any]:
    """Names and types of options, with those inside them."""
    return {
        name: (one["type"], one.get("elements"), one.get("choices"), options(one.get("options") or {}))
        for name, one in spec.items()
    }


def test_the_contract_declares_what_the_module_takes() -> None:
    text = (ROOT / "roles" / "preflight" / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    contract = yaml.safe_load(text)["argument_specs"]["main"]["options"]["airflow_kind_cluster"]["options"]
    assert options(contract) == options(DECLARATION)


def test_the_role_passes_on_every_option() -> None:
    (task,) = (
        task["windward.airflow.kind_cluster"]
        for task in yaml.safe_load((ROOT / "roles/kind_cluster/tasks/state.yml").read_text(encoding="utf-8"))
        if "windward.airflow.kind_cluster" in task
    )
    assert set(DECLARATION) <= set(task)
