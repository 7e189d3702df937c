# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Real Kind clusters. The tests run in the order in which they stand: each goes on where one ended."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._kind import unusable
from ansible_collections.windward.airflow.plugins.module_utils._kind_host import Kind, engine
from ansible_collections.windward.airflow.plugins.modules import kind_cluster
from test_modules_host import run

ROOT = Path(__file__).parents[2]
NO_KIND = unusable(engine()) or ("" if shutil.which("kind") else "there is no program kind on PATH")
pytestmark = pytest.mark.skipif(bool(NO_KIND), reason=f"makes Kind clusters (tests/kind-bed/bed.sh): {NO_KIND}")

NAME, PORT = "wwtest", 18443
NODES = [f"{NAME}-control-plane", f"{NAME}-worker"]
VERSION = os.environ.get("AIRFLOW_KIND_KUBERNETES", "1.34.3")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state directory, and an own kubeconfig of the operator. Whatever happens, no cluster stays."""
    directory = tmp_path_factory.mktemp("kind")
    (directory / "data").mkdir()
    (directory / "data" / "hello").write_text("from here")
    bring(directory, state="absent")
    yield directory
    bring(directory, state="absent")
    assert containers() == []


def options(directory: Path, **differs: Any) -> dict[str, Any]:
    return {
        "name": NAME,
        "kubernetes_version": VERSION,
        "nodes": [
            {
                "role": "control-plane",
                "port_mappings": [{"container_port": 30080, "host_port": PORT}],
                "extra_mounts": [{"host_path": str(directory / "data"), "container_path": "/data", "read_only": True}],
            },
            {"role": "worker", "labels": {"tier": "Batch"}},
        ],
        "feature_gates": {"AllAlpha": False},
        "registry_mirrors": {"docker.io": ["http://mirror.example.org:5000"]},
        "state_dir": str(directory / "state"),
        **differs,
    }


def start(directory: Path, check: bool = False, **differs: Any) -> subprocess.Popen:
    """The module by itself: Ansible around it would add a second to each run."""
    arguments = {"ANSIBLE_MODULE_ARGS": {**options(directory, **differs), "_ansible_check_mode": check}}
    code = "import sys; from ansible.module_utils import basic; basic._ANSIBLE_PROFILE = 'legacy'; "
    code += f"basic._ANSIBLE_ARGS = {json.dumps(arguments).encode()!r}; "
    code += "from ansible_collections.windward.airflow.plugins.modules import kind_cluster; kind_cluster.main()"
    own = {"PYTHONPATH": str(ROOT / ".collections"), "KUBECONFIG": str(directory / "own-kubeconfig")}
    environment = {**os.environ, **own}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def bring(directory: Path, **differs: Any) -> dict[str, Any]:
    with start(directory, **differs) as process:
        return json.loads(process.communicate(timeout=400)[0])


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True, timeout=120).stdout


def containers() -> list[str]:
    """IDs of the nodes, running or not."""
    return sorted(docker("ps", "-aq", "--no-trunc", "--filter", f"label=io.x-k8s.kind.cluster={NAME}").split())


def kubectl(directory: Path, *words: str) -> str:
    config = directory / "state" / "kind" / NAME / "kubeconfig"
    command = ["kubectl", "--kubeconfig", str(config), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_a_check_before_there_is_anything(place: Path) -> None:
    foreseen = bring(place, check=True)
    assert (foreseen["changed"], foreseen["was"], foreseen["steps"]) == (True, "absent", ["set_mirrors", "create"])
    assert containers() == [] and not (place / "state").exists()


def test_a_port_that_is_taken_is_said(place: Path) -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", PORT))
        holder.listen()
        refused, foretold = bring(place), bring(place, _ansible_check_mode=True)
    assert refused["msg"] == foretold["msg"]
    assert f"port {PORT}, for 127.0.0.1:{PORT}->30080/TCP, is taken by process {os.getpid()}" in refused["msg"]
    assert containers() == []


def test_an_image_that_is_not_to_be_had_is_said(place: Path) -> None:
    refused = bring(place, kubernetes_version="0.0.1")
    assert "the node image kindest/node:v0.0.1 can't be had" in refused["msg"]
    assert containers() == []


def test_a_cluster_whose_making_was_killed_is_made_anew(place: Path) -> None:
    """Killed with everything that it started, when the first node is there and has no Kubernetes yet."""
    with start(place) as process:
        deadline = time.monotonic() + 60
        while len(containers()) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        half_made = containers()
        os.killpg(process.pid, signal.SIGKILL)
    assert len(half_made) == 2
    assert (place / "state" / "kind" / NAME / "unfinished").exists()
    assert bring(place, check=True)["steps"] == ["delete", "create"]
    made = bring(place)
    assert (made["changed"], made["was"], made["steps"]) == (True, "unfinished", ["delete", "create"])
    assert not set(half_made) & set(containers())
    assert not (place / "state" / "kind" / NAME / "unfinished").exists()


def test_the_cluster_is_as_declared(place: Path) -> None:
    """By Kubernetes' and the nodes' own word, which the module does not ask."""
    nodes = {one["metadata"]["name"]: one for one in json.loads(kubectl(place, "get", "nodes", "-ojson"))["items"]}
    assert sorted(nodes) == NODES
    assert nodes[NODES[1]]["metadata"]["labels"]["tier"] == "Batch"
    assert {one["status"]["nodeInfo"]["kubeletVersion"] for one in nodes.values()} == {f"v{VERSION}"}
    assert docker("exec", NODES[0], "cat", "/data/hello") == "from here"
    assert f"127.0.0.1:{PORT}" in docker("port", NODES[0], "30080/tcp")
    for node in NODES:
        assert "mirror.example.org:5000" in docker("exec", node, "cat", "/etc/containerd/certs.d/docker.io/hosts.toml")
    config = kubectl(place, "get", "--raw", f"/api/v1/nodes/{NODES[1]}/proxy/configz")
    assert json.loads(config)["kubeletconfig"]["featureGates"] == {"AllAlpha": False}


def test_the_kubeconfig_is_the_operators_alone(place: Path) -> None:
    result = bring(place)
    assert result["kubeconfig"] == str(place / "state" / "kind" / NAME / "kubeconfig")
    assert stat.S_IMODE(os.stat(result["kubeconfig"]).st_mode) == 0o600
    assert kubectl(place, "config", "current-context").strip() == result["context"] == f"kind-{NAME}"
    assert not (place / "own-kubeconfig").exists()


def test_a_second_run_changes_nothing(place: Path) -> None:
    before = containers()
    for check in (True, False):
        again = bring(place, check=check)
        assert (again["changed"], again["was"], again["steps"]) == (False, "running", [])
    assert containers() == before


def test_mirrors_are_changed_in_place(place: Path) -> None:
    mirrors = {"quay.io": ["https://mirror.example.org/quay"]}
    foreseen, changed = bring(place, check=True, registry_mirrors=mirrors), bring(place, registry_mirrors=mirrors)
    assert foreseen["steps"] == changed["steps"] == ["set_mirrors"]
    assert docker("exec", NODES[1], "ls", "/etc/containerd/certs.d").split() == ["quay.io"]
    assert bring(place)["steps"] == ["set_mirrors"]


@pytest.mark.parametrize(
    ("differs", "says"),
    [
        ({"kubernetes_version": "1.30.0"}, f"kindest/node:v{VERSION}, declared kindest/node:v1.30.0"),
        ({"feature_gates": {}}, f"feature gates of {NODES[0]}: AllAlpha=false, declared none"),
        ({"nodes": [{"role": "control-plane"}]}, f"there is a node {NODES[1]}, which is not declared"),
        ({"nodes": [{"role": "control-plane"}]}, f"ports of {NODES[0]}: 127.0.0.1:{PORT}->30080/TCP, declared none"),
    ],
)
def test_another_declaration_is_refused_with_what_differs(place: Path, differs: dict[str, Any], says: str) -> None:
    before = containers()
    for check in (True, False):
        refused = bring(place, check=check, **differs)
        assert refused["failed"] and says in refused["msg"]
        assert "-e airflow_kind_recreate=true" in refused["msg"]
    assert containers() == before
    assert bring(place)["changed"] is False


def test_another_operators_cluster_is_left_alone(place: Path, tmp_path: Path) -> None:
    before = containers()
    for differs in ({}, {"recreate": True}):
        refused = bring(place, state_dir=str(tmp_path), **differs)
        assert "that this user has not made by this collection" in refused["msg"]
    assert bring(place, state_dir=str(tmp_path), state="absent")["changed"] is False
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "kind"])
    assert containers() == before


def test_a_stopped_cluster_is_started(place: Path) -> None:
    docker("stop", "--time", "2", *NODES)
    assert bring(place, check=True)["steps"] == ["start"]
    started = bring(place)
    assert (started.get("was"), started.get("steps")) == ("stopped", ["start"]), started
    assert kubectl(place, "get", "--raw", "/readyz") == "ok"
    assert bring(place)["changed"] is False


def test_a_lost_kubeconfig_is_written_again(place: Path) -> None:
    (place / "state" / "kind" / NAME / "kubeconfig").unlink()
    assert bring(place, check=True)["steps"] == ["write_kubeconfig"]
    assert bring(place)["steps"] == ["write_kubeconfig"]
    assert kubectl(place, "get", "--raw", "/readyz") == "ok"


def test_the_operators_own_kubeconfig_is_changed_when_asked(place: Path) -> None:
    own = place / "own-kubeconfig"
    own.write_text("apiVersion: v1\nkind: Config\ncontexts:\n- context: {cluster: c, user: u}\n  name: another\n")
    assert bring(place, check=True, merge_kubeconfig=True)["steps"] == ["merge_kubeconfig"]
    assert bring(place, merge_kubeconfig=True)["steps"] == ["merge_kubeconfig"]
    assert bring(place, merge_kubeconfig=True)["changed"] is False
    assert sorted(re.findall(r"name: (another|kind-wwtest)$", own.read_text(), re.MULTILINE))[0] == "another"
    assert f"kind-{NAME}" in own.read_text()


def kind(directory: Path) -> Kind:
    spec = {name: one.get("default") for name, one in {**kind_cluster.NODE, **kind_cluster.DECLARATION}.items()}
    given = {**spec, "timeout": 5, "kind": "kind", **options(directory)}
    nodes = [{**{name: one.get("default") for name, one in kind_cluster.NODE.items()}, **one} for one in given["nodes"]]
    for node in nodes:
        node["port_mappings"] = [{"listen_address": "127.0.0.1", "protocol": "TCP", **p} for p in node["port_mappings"]]
    return Kind({**given, "nodes": nodes})


def said(directory: Path, expected: Callable[[str], bool]) -> None:
    """What is said of the cluster, before long: DNS goes away once more after nodes were stopped, and that is told."""
    deadline = time.monotonic() + 60
    while not expected(told := kind(directory).unready()):
        assert time.monotonic() < deadline, told
        time.sleep(0.5)


def test_a_broken_service_network_is_seen(place: Path) -> None:
    """One service is not translated on one node any more; the API and the nodes know nothing of it."""
    address = json.loads(kubectl(place, "-nkube-system", "get", "service", "kube-dns", "-ojson"))["spec"]["clusterIP"]
    rule = ["OUTPUT", "-d", address, "-j", "ACCEPT"]
    said(place, lambda told: told == "")
    docker("exec", NODES[1], "iptables", "-t", "nat", "-I", *rule)
    try:
        said(place, lambda told: told.startswith(f"the service network does not work on {NODES[1]} "))
    finally:
        docker("exec", NODES[1], "iptables", "-t", "nat", "-D", *rule)
    said(place, lambda told: told == "")


def test_objects_are_applied_by_the_cluster(place: Path) -> None:
    def objects(*definition: dict[str, Any], check: bool = False, **more: Any) -> dict[str, Any]:
        config = str(place / "state" / "kind" / NAME / "kubeconfig")
        return run("kubernetes_objects", check, kubeconfig=config, namespace="site", definition=definition, **more)

    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "site"}}
    file = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "f"}, "data": {"a": "1", "b": "2"}}
    assert objects(space, check=True)["applied"] == ["Namespace site"] == objects(space)["applied"]
    assert objects(space, file, check=True)["applied"] == ["ConfigMap f"] == objects(space, file)["applied"]
    assert objects(space, file)["changed"] is objects(space, file, check=True)["changed"] is False
    kubectl(place, "-nsite", "patch", "configmap", "f", "-p", '{"data": {"theirs": "3", "a": "drifted"}}')
    foreseen = objects(file, check=True)
    assert foreseen["diff"]["before"][0]["data"] == {"a": "drifted", "b": "2", "theirs": "3"}
    del file["data"]["b"]  # ours to take away; what others have set beside stays
    assert objects(file)["diff"]["after"][0]["data"] == {"a": "1", "theirs": "3"}
    assert json.loads(kubectl(place, "-nsite", "get", "configmap", "f", "-ojson"))["data"] == {"a": "1", "theirs": "3"}
    container = {"name": "c", "image": "registry.k8s.io/nothing:1", "imagePullPolicy": "Never"}
    template = {"metadata": {"labels": {"a": "s"}}, "spec": {"containers": [container]}}
    about = {"replicas": 1, "serviceName": "s", "selector": {"matchLabels": {"a": "s"}}, "template": template}
    server = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": about}
    said = objects(server, timeout=20)["msg"]
    assert "StatefulSet s is not ready in time: 0 of 1 pods are ready. s-0 is ErrImageNeverPull." in said, said
    assert objects(server)["changed"] is False
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    kept = {**about, "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": claim}]}
    with_data = {**server, "metadata": {"name": "d"}, "spec": kept}
    assert objects(with_data)["changed"] is True
    claim["resources"] = {"requests": {"storage": "2Gi"}}  # which was grown by hand
    assert objects(with_data)["changed"] is objects(with_data, check=True)["changed"] is False
    assert objects({**file, "kind": "Confmap"})["msg"] == "Kubernetes knows no Confmap of v1"
    assert "spec.replicaz" in objects({**server, "spec": {**about, "replicaz": 2}})["msg"]
    assert "is for module kubernetes_secrets" in objects({**file, "kind": "Secret"})["msg"]
    assert 'namespaces "site2" not found' in objects({**file, "metadata": {"name": "f", "namespace": "site2"}})["msg"]


def test_a_cluster_that_differs_is_made_anew_when_asked(place: Path) -> None:
    before = containers()
    one_node = [{"role": "control-plane"}]
    anew = bring(place, nodes=one_node, recreate=True)
    assert (anew["was"], anew["steps"], anew["nodes"]) == ("running", ["delete", "create"], NODES[:1])
    assert len(containers()) == 1 and not set(before) & set(containers())
    assert bring(place, nodes=one_node, recreate=True)["changed"] is False


def test_removal_leaves_nothing(place: Path) -> None:
    volumes = docker("volume", "ls", "-q")
    assert bring(place, check=True, state="absent")["steps"] == ["delete", "forget"]
    assert len(containers()) == 1
    removed = bring(place, state="absent")
    assert (removed["changed"], removed["was"]) == (True, "running")
    assert containers() == [] and not (place / "state" / "kind" / NAME).exists()
    assert f"kind-{NAME}" not in (place / "own-kubeconfig").read_text()
    assert "another" in (place / "own-kubeconfig").read_text()
    assert len(docker("volume", "ls", "-q").split()) < len(volumes.split())
    assert bring(place, state="absent")["changed"] is False
