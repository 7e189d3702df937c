# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The way into a pod, against as much of a cluster as leads there (tests/kind has a real one)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.playbook.play_context import PlayContext
from ansible_collections.windward.airflow.plugins.connection.pod import Connection
from ansible_collections.windward.airflow.plugins.module_utils._client import AirflowApiError, Client
from ansible_collections.windward.airflow.plugins.module_utils._kubernetes_api import KubernetesError
from ansible_collections.windward.airflow.plugins.module_utils._pods import Pods, exit_code
from api_script import ScriptedApi
from cluster_api import ClusterApi, pod

ROOT = Path(__file__).parents[2]
POOL = "/api/v2/things/p"
SELECTOR = {"component": "api-server"}


@pytest.fixture
def cluster() -> Iterator[ClusterApi]:
    with ClusterApi() as server:
        yield server


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        yield server


def serve(cluster: ClusterApi, api: ScriptedApi | None = None) -> None:
    """A Service whose named port leads to the scripted API."""
    port = int(api.url.rpartition(":")[2]) if api else 1
    cluster.services["web"] = {"selector": SELECTOR, "ports": [{"port": 8080, "targetPort": "http"}]}
    named = [{"name": "http", "containerPort": port}]
    cluster.pods = [pod("a", ready=False), pod("b", leaving=True), pod("c", ports=named)]


def client(cluster: ClusterApi, folder: Path, **more: Any) -> Client:
    given = {"token": "t0", "retry_timeout": 0, "kubeconfig": cluster.kubeconfig(folder), **more}
    return Client(given.pop("url", "http://web.airflow:8080"), **given)


def test_requests_reach_a_ready_pod_and_leave_nothing(cluster: ClusterApi, api: ScriptedApi, tmp_path: Path) -> None:
    serve(cluster, api)
    big = {"name": "p", "text": "x" * 300_000}
    api.expect("GET", POOL, 200, {"name": "p"}).expect("GET", POOL, 200, big).expect("POST", POOL, 201, {"name": "q"})
    with client(cluster, tmp_path) as session:
        assert session.get(POOL) == {"name": "p"} and session.get(POOL) == big
        assert [path.rpartition("/")[2] for path in cluster.asked] == ["web", "pods", "portforward"]
        assert cluster.asked[-1] == "/api/v1/namespaces/airflow/pods/c/portforward"
        assert session.request("POST", POOL, body={"text": "y" * 200_000}) == {"name": "q"}
    assert api.requests[0].headers["Authorization"] == "Bearer t0"
    assert api.requests[2].body == {"text": "y" * 200_000}
    patience = time.monotonic() + 5
    while (cluster.open or "port-forward" in str(threading.enumerate())) and time.monotonic() < patience:
        time.sleep(0.01)
    assert cluster.open == 0 and "port-forward" not in str(threading.enumerate())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"url": "http://localhost:8080"}, "api_url must name a Service as pods do, .*, not localhost"),
        ({"url": "http://nope.airflow:8080"}, 'Kubernetes refuses in namespace airflow: services "nope" not found'),
        ({"url": "http://web.airflow:80"}, "Service web of namespace airflow has ports 8080 only, not 80"),
        ({"context": "nope"}, r"there is no way to a cluster: .*nope.* \(api_kubeconfig, api_context\)"),
        ({"kubeconfig": "/nowhere"}, r"there is no way to a cluster: .* \(/nowhere\) \(api_kubeconfig, "),
        ({"kubeconfig": __file__}, rf"there is no way to a cluster: it is no kubeconfig \({__file__}\)"),
    ],
)
def test_what_no_patience_cures_is_said_at_once(
    cluster: ClusterApi, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    serve(cluster)
    began = time.monotonic()
    with client(cluster, tmp_path, retry_timeout=30, **change) as session, pytest.raises(AirflowApiError, match=said):
        session.get(POOL)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("right", ["services", "pods", "pods/portforward"])
def test_a_missing_right_is_named(cluster: ClusterApi, tmp_path: Path, right: str) -> None:
    serve(cluster)
    cluster.forbidden.add(right)
    with client(cluster, tmp_path, retry_timeout=900) as session, pytest.raises(AirflowApiError) as told:
        session.get(POOL)
    assert f"Kubernetes refuses in namespace airflow: {right} is forbidden" in str(told.value)
    assert not told.value.uncertain


def test_a_pod_that_is_not_ready_yet_is_waited_for(cluster: ClusterApi, api: ScriptedApi, tmp_path: Path) -> None:
    serve(cluster, api)
    late = cluster.pods.pop()
    api.expect("GET", POOL, 200, {"name": "p"})
    with client(cluster, tmp_path) as session, pytest.raises(AirflowApiError, match="no pod with component=api-server"):
        session.get(POOL)
    threading.Timer(1, lambda: cluster.pods.append(late)).start()
    with client(cluster, tmp_path, retry_timeout=30) as session:
        assert session.get(POOL) == {"name": "p"}


def test_a_write_is_not_called_uncertain_when_nobody_was_reached(cluster: ClusterApi, tmp_path: Path) -> None:
    serve(cluster)
    cluster.pods.pop()
    with client(cluster, tmp_path) as session, pytest.raises(AirflowApiError) as told:
        session.request("POST", POOL, body={})
    assert not told.value.uncertain


def test_the_package_is_needed_by_whom_it_is_asked_of_only() -> None:
    """The modules go on working on the standard library alone."""
    code = "import sys; sys.modules['kubernetes'] = sys.modules['yaml'] = sys.modules['websocket'] = None\n"
    code += "from ansible_collections.windward.airflow.plugins.modules import pool\n"
    code += "from ansible_collections.windward.airflow.plugins.module_utils import _pods\n"
    code += "try: _pods.Pods('/x', None, 'n')\nexcept OSError as error: print(error, error.lasting)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".collections")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("The Python package PyYAML is needed on this host") and "True" in done.stdout


@pytest.fixture
def pods(cluster: ClusterApi, tmp_path: Path) -> Iterator[Pods]:
    found = Pods(cluster.kubeconfig(tmp_path), None, "airflow", 10)
    yield found
    found.close()


def test_a_command_runs_in_a_pod(pods: Pods) -> None:
    script = 'head -c "$1"; echo to stderr >&2; exit 3'
    stdin = bytes(range(256)) * 5000
    assert pods.execute("c", "main", ["sh", "-c", script, "sh", str(len(stdin))], stdin) == (3, stdin, b"to stderr\n")
    assert pods.execute("c", None, ["true"]) == (0, b"", b"")


def test_how_a_command_ended() -> None:
    assert exit_code(b'{"status": "Success"}', "c") == 0
    with pytest.raises(KubernetesError, match="the connection to pod c broke off"):
        exit_code(b"", "c")
    with pytest.raises(KubernetesError, match="pod c: no such file"):
        exit_code(b'{"status": "Failure", "message": "no such file"}', "c")


def test_a_pod_is_a_host(cluster: ClusterApi, tmp_path: Path) -> None:
    """Modules, files to it and from it: by the connection plugin, as Ansible uses it."""
    about = {"connection": "windward.airflow.pod", "pod_namespace": "airflow", "python_interpreter": sys.executable}
    variables = {f"ansible_{name}": value for name, value in about.items()}
    inventory, playbook, there = (tmp_path / name for name in ("hosts.json", "play.json", "there"))
    inventory.write_text(json.dumps({"all": {"hosts": {"some-pod": variables}}}))
    there.write_bytes(content := b"binary \x00\xff'\n" * 1000)
    tasks = [
        {"ansible.builtin.ping": {}},
        {"ansible.builtin.copy": {"src": str(there), "dest": f"{tmp_path}/copied", "mode": "0600"}},
        {"ansible.builtin.fetch": {"src": f"{tmp_path}/copied", "dest": f"{tmp_path}/back", "flat": True}},
        {"ansible.builtin.raw": "cat /nowhere"},
    ]
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    environment = {**os.environ, "K8S_AUTH_KUBECONFIG": cluster.kubeconfig(tmp_path), "ANSIBLE_FORCE_COLOR": "0"}
    command = ["ansible-playbook", "-i", str(inventory), str(playbook)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "/nowhere: No such file" in done.stdout + done.stderr and "ok=3" in done.stdout
    assert (tmp_path / "copied").read_bytes() == (tmp_path / "back").read_bytes() == content
    assert cluster.asked == ["/api/v1/namespaces/airflow/pods/some-pod/exec"] * len(cluster.asked)


def test_a_module_is_one_request(cluster: ClusterApi, tmp_path: Path) -> None:
    options = {"pod": "p", "namespace": "airflow", "kubeconfig": cluster.kubeconfig(tmp_path)}
    connection = Connection(PlayContext())
    connection.get_option = options.get
    assert connection.exec_command("cat; exit 4", in_data=b"a module") == (4, b"a module", b"")
    assert len(cluster.asked) == 1
    cluster.forbidden.add("pods/exec")
    with pytest.raises(AnsibleConnectionFailure, match="Pod p: Kubernetes refuses in namespace airflow: pods/exec is"):
        connection.exec_command("true")
    connection.close()
