# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An image on the nodes of a real Kind cluster: a pod starts from it when no registry is there any more."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._kind import unusable
from ansible_collections.windward.airflow.plugins.module_utils._kind_host import engine
from images import Layer, Pusher, noise
from servers import REGISTRY, DockerRegistry

ROOT = Path(__file__).parents[2]
MISSING = [name for name in ("kind", "kubectl", "gcc") if not shutil.which(name)]
REASON = unusable(engine()) or (f"there is no program {', '.join(MISSING)} on PATH" if MISSING else "")
REASON = REASON or ("" if REGISTRY.exists() else "there is no docker-registry (tests/registry/prepare.sh)")
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"brings images to Kind (tests/kind-bed/bed.sh): {REASON}")

CLUSTER = "wwimages"
NODES = [f"{CLUSTER}-control-plane", f"{CLUSTER}-worker"]
VERSION = os.environ.get("AIRFLOW_KIND_KUBERNETES", "1.34.3")
NAME = "registry.example.org/team/probe"
PROGRAM = '#include <stdio.h>\nint main(void) { puts("from the image TAG"); return 0; }\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("images")
    yield directory
    play(directory, "absent", registry="http://127.0.0.1:1", tag="1")


@pytest.fixture(scope="module")
def registry(place: Path) -> Iterator[DockerRegistry]:
    server = DockerRegistry(place / "data", place, "registry")
    push, base = Pusher(server.url, "team/probe"), Layer("base", noise(20))
    for tag in ("1", "2"):
        (place / "probe.c").write_text(PROGRAM.replace("TAG", tag))
        subprocess.run(["gcc", "-static", "-Os", "-s", "-o", place / "probe", place / "probe.c"], check=True)
        push.image(tag, [base, Layer("probe", (place / "probe").read_bytes(), mode=0o755)], others=("linux/arm64",))
    yield server
    server.stop()


def play(place: Path, *tasks_from: str, registry: str, tag: str, check: bool = False) -> subprocess.CompletedProcess:
    """Entry points of role kind_cluster, as site.yml's steps use them."""
    nodes = [{"role": "control-plane"}, {"role": "worker"}]
    host = {
        "ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "airflow_kind_cluster": {"name": CLUSTER, "kubernetes_version": VERSION, "nodes": nodes},
        "airflow_image": f"{NAME}:{tag}", "airflow_image_registry_url": registry,
    }  # fmt: skip
    inventory = {"airflow": {"children": {"airflow_cluster": {"hosts": {"localhost": host}}}}}
    (place / "hosts.yml").write_text(json.dumps(inventory))
    role = "windward.airflow.kind_cluster"
    tasks = [{"ansible.builtin.include_role": {"name": role, "tasks_from": one}} for one in tasks_from]
    (place / "play.yml").write_text(json.dumps([{"hosts": "airflow_cluster", "gather_facts": False, "tasks": tasks}]))
    command = ["ansible-playbook", str(place / "play.yml"), "-i", str(place / "hosts.yml")] + ["--check"] * check
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "XDG_STATE_HOME": str(place / "state")}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600
    )


def changed(done: subprocess.CompletedProcess) -> int:
    assert not done.returncode, done.stdout[-4000:] + done.stderr[-2000:]
    return sum(map(int, re.findall(r"changed=(\d+)", done.stdout)))


def kubectl(place: Path, *words: str) -> str:
    config = place / "state" / "windward.airflow" / "kind" / CLUSTER / "kubeconfig"
    command = ["kubectl", "--kubeconfig", str(config), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert not done.returncode, done.stderr
    return done.stdout


def says(place: Path, node: str, tag: str) -> str:
    """What a pod of the image prints on a node."""
    name = f"probe-{tag}-{node}"
    pod: dict[str, Any] = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"nodeName": node, "restartPolicy": "Never", "containers": [
            {"name": "probe", "image": f"{NAME}:{tag}", "command": ["/probe"], "imagePullPolicy": "IfNotPresent"},
        ]},
    }  # fmt: skip
    (place / "pod.json").write_text(json.dumps(pod))
    kubectl(place, "apply", "-f", str(place / "pod.json"))
    kubectl(place, "wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    return kubectl(place, "logs", name).strip()


def test_a_check_before_there_is_a_cluster(place: Path, registry: DockerRegistry) -> None:
    assert changed(play(place, "main", "image", registry=registry.url, tag="1", check=True)) >= 1


def test_pods_start_without_the_registry(place: Path, registry: DockerRegistry) -> None:
    assert changed(play(place, "main", "image", registry=registry.url, tag="1")) >= 2
    assert changed(play(place, "main", "image", registry=registry.url, tag="1")) == 0
    before = registry.lines()
    assert changed(play(place, "image", registry=registry.url, tag="2", check=True)) == 1
    assert changed(play(place, "image", registry=registry.url, tag="2")) == 1
    assert registry.written(before) < 2e6  # of 20 MB and a program: the base was there
    registry.stop()
    for tag in ("2", "1"):  # and back to the former tag
        assert [says(place, node, tag) for node in NODES] == [f"from the image {tag}"] * 2
