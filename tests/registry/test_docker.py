# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Nodes in containers of a real Docker engine, as those of a Kind cluster are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils import _image
from api_script import run_module
from fault_proxy import FaultProxy
from images import Layer, Made, Pusher, noise
from servers import PATIENCE, DockerRegistry, Engine

NODES = ["first", "second"]
Load = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def engine(work: Path) -> Iterator[Engine]:
    one = Engine(work / "engine")
    one.run("proxy", "external-load-balancer")
    for name in NODES:
        one.run(name)
    yield one
    one.stop()


@pytest.fixture
def made(push: Pusher, layers: list[Layer]) -> Made:
    return push.image("1.0", layers, others=("linux/arm64",))


def wait(engine: Engine, name: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            engine.ctr(name, "version")
            return
        except AssertionError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.fixture
def load(engine: Engine, registry: DockerRegistry, repository: str, capsys: pytest.CaptureFixture[str]) -> Load:
    for name in NODES:
        wait(engine, name)

    def run(tag: str = "1.0", check: bool = False, **options: Any) -> dict[str, Any]:
        given = {
            "image": f"registry.example.org/{repository}:{tag}", "registry_url": registry.url, "retry_timeout": 3,
            "docker_host": engine.host, "cluster": engine.CLUSTER, **options,
        }  # fmt: skip
        return run_module("ecr_image", {k: v for k, v in given.items() if v is not None}, capsys, check=check)

    return run


def names(engine: Engine, node: str) -> set[str]:
    return set(engine.ctr(node, "images", "ls", "-q").split())


def test_all_nodes_of_a_cluster(
    engine: Engine, load: Load, made: Made, registry: DockerRegistry, repository: str
) -> None:
    foreseen = load(check=True)
    assert foreseen["changed"] and sorted(foreseen["nodes"]) == NODES, foreseen
    before = registry.lines()
    done = load()
    assert done["changed"], done
    assert [row["bytes"] for row in done["nodes"].values()] == [made.size()] * 2
    assert registry.written(before) <= 1.05 * made.size()
    name = f"registry.example.org/{repository}"
    for node in NODES:
        assert {f"{name}:1.0", f"{name}@{made.target}"} <= names(engine, node)
        checked = engine.ctr(node, "images", "check", f"name=={name}:1.0").splitlines()[1].split()
        assert "complete" in checked and checked[-1] == "true"
    assert not load()["changed"]


def test_a_node_with_a_snapshotter_of_its_own(
    engine: Engine, load: Load, made: Made, repository: str, tmp_path: Path
) -> None:
    """As Kind's nodes have it on zfs."""
    table = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd]\n  snapshotter = "native"\n'
    (tmp_path / "config.toml").write_text(table)
    engine.run("native", "worker", "--volume", f"{tmp_path}/config.toml:/etc/containerd/config.toml:ro")
    try:
        wait(engine, "native")
        done = load()
        assert done["nodes"]["native"]["changed"] and not load()["changed"], done
        name = f"registry.example.org/{repository}:1.0"
        for snapshotter, unpacked in (("native", "true"), ("overlayfs", "false")):
            said = engine.ctr("native", "images", "check", "--snapshotter", snapshotter, f"name=={name}")
            assert said.splitlines()[1].split()[-1] == unpacked
    finally:
        engine.docker("rm", "-fv", "native")


def test_one_node_more(engine: Engine, load: Load, made: Made) -> None:
    load(cluster=None, nodes=["first"])
    done = load()
    assert {name: row["changed"] for name, row in done["nodes"].items()} == {"first": False, "second": True}


def test_engines_and_nodes_that_are_not_there(engine: Engine, load: Load, made: Made, tmp_path: Path) -> None:
    assert "there is no Kind cluster nobody in the engine" in load(cluster="nobody")["msg"]
    assert "No such file or directory" in load(docker_host=f"unix://{tmp_path}/sock")["msg"]
    assert "only an engine at a socket of this computer" in load(docker_host="tcp://127.0.0.1:2375")["msg"]
    said = load(cluster=None, nodes=["first", "nobody"])["msg"]
    assert said.startswith("node nobody: the Docker engine answers 404: No such container")
    engine.docker("stop", "-t", "1", "second")
    try:
        assert "node second: the Docker engine answers 409: container" in load()["msg"]
    finally:
        engine.docker("start", "second")


def test_a_node_that_is_stopped_while_it_is_fed(
    engine: Engine, load: Load, registry: DockerRegistry, push: Pusher, repository: str
) -> None:
    made = push.image("1.0", [Layer("big", noise(40)), Layer("small", b"small")])
    proxy = FaultProxy(registry.url)

    def kill(handler: Any, body: bytes) -> None:
        engine.docker("kill", "second")
        handler.give(*handler.forward(body))

    proxy.spoil("GET", f"/v2/.*/blobs/{made.layers[0]}", kill)
    try:
        done = load(registry_url=proxy.url)
        assert done["failed"] and done["msg"].startswith("node second: ") and "first" not in done["msg"], done
        assert f"registry.example.org/{repository}:1.0" in names(engine, "first")
    finally:
        proxy.stop()
        engine.docker("start", "second")


def test_an_import_that_fails(engine: Engine, load: Load, registry: DockerRegistry, push: Pusher) -> None:
    """What ctr says in the container is what the task says."""
    made = push.image("1.0", [Layer("a", b"a")])
    said = load(snapshotter="nobody")["msg"]
    assert "snapshotter" in said and made.target not in said


def test_nodes_of_another_platform_than_this_computer(
    load: Load, push: Pusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    push.image("1.0", [Layer("a", b"a")])
    monkeypatch.setattr(_image.os, "uname", lambda: os.uname_result(("Linux", "n", "r", "v", "aarch64")))
    assert load()["platform"] == "linux/amd64"


def test_the_role(
    engine: Engine, load: Load, registry: DockerRegistry, push: Pusher, repository: str, tmp_path: Path
) -> None:
    """What site.yml does before the release: airflow_image, on the nodes of the cluster that the host declares."""
    made = push.image("1.0", [Layer("a", b"a")])
    root = Path(__file__).parents[2]

    def play(*words: str, **differs: Any) -> int:
        host = {
            "ansible_connection": "local", "ansible_python_interpreter": sys.executable,
            "airflow_kind_cluster": {"name": engine.CLUSTER}, "airflow_image_registry_url": registry.url,
            "airflow_image": f"registry.example.org/{repository}:1.0", **differs,
        }  # fmt: skip
        inventory = {"airflow": {"children": {"airflow_cluster": {"hosts": {"localhost": host}}}}}
        (tmp_path / "hosts.yml").write_text(json.dumps(inventory))
        role = {"name": "windward.airflow.kind_cluster", "tasks_from": "image"}
        plays = [{"hosts": "airflow_cluster", "gather_facts": False, "tasks": [{"ansible.builtin.import_role": role}]}]
        (tmp_path / "play.yml").write_text(json.dumps(plays))
        own = {"ANSIBLE_CONFIG": str(root / "ansible.cfg"), "DOCKER_HOST": engine.host}
        program = str(Path(sys.executable).parent / "ansible-playbook")
        done = subprocess.run(
            [program, str(tmp_path / "play.yml"), "-i", str(tmp_path / "hosts.yml"), *words], cwd=root,
            env={**os.environ, **own}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert not done.returncode, done.stdout + done.stderr
        return sum(map(int, re.findall(r"changed=(\d+)", done.stdout)))

    name = f"registry.example.org/{repository}"
    assert play(airflow_image_load=False) == play(airflow_image="") == 0
    assert play("--check") == 1 and f"{name}:1.0" not in names(engine, "first")
    assert play() == 1 and play() == 0
    assert all({f"{name}:1.0", f"{name}@{made.target}"} <= names(engine, node) for node in NODES)
    # With both, Kubernetes asks for the digest.
    assert play(airflow_image=f"{name}:other@{made.target}") == 0
    # One that was built here lets the former ones go.
    push.image("2.0", [Layer("a", b"2")])
    assert play(airflow_image="", airflow_image_repository=name, airflow_image_tag="2.0") == 1
    for tag, pinned in (("1.0", False), ("2.0", True)):
        row = engine.ctr("first", "images", "ls", f"name=={name}:{tag}").splitlines()[1]
        assert ("pinned=pinned" in row) is pinned
