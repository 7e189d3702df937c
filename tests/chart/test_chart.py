# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the official chart makes of our values, by helm itself, without a cluster."""

from __future__ import annotations

import configparser
import functools
import gzip
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import archive
import pytest
import yaml
from ansible_collections.windward.airflow.plugins.module_utils import _chart_values as cv
from chart_case import EXECUTORS, release
from servers import PATIENCE, REGISTRY, Process, free_port
from test_kubeconfig import Authority
from test_modules_host import run

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "windward.airflow"
HELM = shutil.which("helm") or shutil.which("helm", path=str(CACHE / "kind-bed" / "bin"))
SCHEMA = Path(__file__).parents[1] / "unit" / "data" / "chart-1.22.0-values.schema.json.gz"


try:
    CHART, NONE = archive.archive(), ""
except OSError as error:
    CHART, NONE = Path(), str(error)

pytestmark = [
    pytest.mark.skipif(not HELM, reason="needs helm: tests/kind-bed/bed.sh makes one"),
    pytest.mark.skipif(bool(NONE), reason=NONE),
]
each_executor = pytest.mark.parametrize("executor", EXECUTORS)


@functools.cache
def rendered(executor: str, **differs: Any) -> list[dict[str, Any]]:
    return render({"executor": executor, **differs})


def render(differs: dict[str, Any]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [str(HELM), "template", "airflow", str(CHART), "--namespace", "airflow", "--values", "-"],
        input=json.dumps(release(**differs).values), capture_output=True, text=True, check=False, timeout=120,
    )
    assert not done.returncode, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def pods(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod that the objects make: their templates, and the file from which a task's pod is made."""
    for one in objects:
        if "template" in one.get("spec", {}):
            yield f"{one['kind']} {one['metadata']['name']}", one["spec"]["template"]
        if "pod_template_file.yaml" in one.get("data", {}):
            yield "task", yaml.safe_load(one["data"]["pod_template_file.yaml"])


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]


def test_the_chart_is_the_one_that_is_meant() -> None:
    assert hashlib.sha256(CHART.read_bytes()).hexdigest() == archive.SHA256
    with tarfile.open(CHART) as held:
        own = held.extractfile("airflow/values.schema.json")
        assert own and gzip.decompress(SCHEMA.read_bytes()) == own.read(), "tests/unit/data has another schema"


@pytest.mark.parametrize(
    ("executor", "expected"),
    [
        ("KubernetesExecutor", {"task"}),
        ("CeleryExecutor", {"Deployment airflow-worker", "Deployment airflow-worker-heavy"}),
    ],
)
def test_what_runs(executor: str, expected: set[str]) -> None:
    found = [name for name, _pod in pods(rendered(executor))]
    assert len(found) == len(set(found))
    assert set(found) == {f"Deployment airflow-{component}" for component in cv.SECTIONS} | expected


@pytest.mark.parametrize(("default", "told"), [("default", set()), ("main", {"default", "main"})])
def test_what_workers_consume(default: str, told: set[str]) -> None:
    """A worker that is told of no queue consumes operators.default_queue."""
    sets = [{"name": "one", "queues": ["default"]}, {"name": "two", "queues": [default]}]
    objects = render({"executor": "CeleryExecutor", "workers": sets, "queues": [default, "default"]})
    commands = [pod["spec"]["containers"][0]["args"][2] for name, pod in pods(objects) if "worker" in name]
    assert {queue for command in commands for queue in command.partition(" -q ")[2].split(",") if queue} == told


@each_executor
def test_what_is_made(executor: str) -> None:
    """No Secret, no Role, no Job, no claim: those are ours."""
    made = [(one["kind"], one["metadata"]["name"]) for one in rendered(executor)]
    assert {kind for kind, _name in made} == {"ConfigMap", "Deployment", "Service", "ServiceAccount"}
    assert len(made) == len(set(made)), "helm would not make one twice"


DIGEST = f"@sha256:{'0f' * 32}"


@pytest.mark.parametrize("image", ["r:5000/a", "r:5000/a:1", f"r:5000/a{DIGEST}", f"r:5000/a:1{DIGEST}"])
def test_all_run_the_image_that_is_meant(image: str) -> None:
    """Pods of tasks, too: by their template, which no option overrides."""
    objects = render({"image": image})
    meant = release(image=image).image
    assert {one["image"] for _name, pod in pods(objects) for one in containers(pod)} == {meant}
    assert settings(objects)["kubernetes_executor"]["worker_container_repository"] == ""


@each_executor
def test_every_pod_passes_the_restricted_level(executor: str) -> None:
    for name, pod in pods(rendered(executor)):
        whole = pod["spec"]["securityContext"]
        assert (whole["runAsNonRoot"], whole["seccompProfile"]) == (True, {"type": "RuntimeDefault"}), name
        assert whole["runAsUser"] == 50000
        kinds = {kind for volume in pod["spec"]["volumes"] for kind in volume if kind != "name"}
        assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim"}, name
        for container in containers(pod):
            context = container["securityContext"]
            assert (context["allowPrivilegeEscalation"], context["capabilities"]) == (False, {"drop": ["ALL"]}), name


@each_executor
def test_every_container_says_what_it_needs(executor: str) -> None:
    for name, pod in pods(rendered(executor)):
        for container in containers(pod):
            assert container["resources"].get("requests") and container["resources"].get("limits"), name


@each_executor
def test_each_pod_has_its_own_secret_alone(executor: str) -> None:
    for name, pod in pods(rendered(executor)):
        component = "worker" if name == "task" or "worker" in name else name.partition("airflow-")[2]
        secrets = {
            one["valueFrom"]["secretKeyRef"]["name"]
            for container in containers(pod)
            for one in container.get("env") or ()
            if "valueFrom" in one
        }
        assert secrets == {f"airflow-{component}-environment"}, name
        assert not any(container.get("envFrom") for container in containers(pod))
        assert not pod["spec"].get("initContainers"), name


@pytest.mark.parametrize("namespace", ["", "jobs"])
@each_executor
def test_who_has_a_token(executor: str, namespace: str) -> None:
    objects = rendered(executor, task_pods_namespace=namespace)
    # Kubernetes gives a token where nothing is said.
    found = [one for one in objects if one["kind"] == "ServiceAccount"]
    accounts = {one["metadata"]["name"]: one.get("automountServiceAccountToken", True) for one in found}
    tokens = set()
    for name, pod in pods(objects):
        account = pod["spec"]["serviceAccountName"]
        assert account in accounts, name
        if pod["spec"].get("automountServiceAccountToken", accounts[account]):
            tokens.add(name)
    assert accounts.keys() == {pod["spec"]["serviceAccountName"] for _name, pod in pods(objects)}
    asks = {"Deployment airflow-api-server", "Deployment airflow-scheduler"}
    launch = {name for name, _pod in pods(objects) if name == "task" or "worker" in name or "triggerer" in name}
    assert len(launch) == (2 if executor == "KubernetesExecutor" else 3)
    assert tokens == (asks if executor == "KubernetesExecutor" else set()) | (launch if namespace else set())


def settings(objects: list[dict[str, Any]]) -> configparser.ConfigParser:
    """By the parser that Airflow's own is made of."""
    (text,) = (one["data"]["airflow.cfg"] for one in objects if "airflow.cfg" in one.get("data", ()))
    found = configparser.ConfigParser()
    found.read_string(text)
    return found


@pytest.mark.parametrize(
    "value",
    [
        "{{ ti.dag_id }} {% if x %}",  # what looks like a template of helm's is Airflow's
        "[%(asctime)s] 100 %",
        "one\n[section]\n\n  two = %s",
        1209600,
        12345678901,
        0.5,
        True,
        "",
    ],
)
def test_airflow_reads_what_was_declared(value: Any) -> None:
    found = settings(render({"config": {"core": {"test": value}}}))
    said = found["core"]["test"]
    assert [line.strip() for line in said.splitlines()] == [line.strip() for line in str(value).splitlines()]
    assert found["core"]["executor"] == "KubernetesExecutor"


def test_the_webserver_configuration_is_not_rendered() -> None:
    objects = render({"webserver_config": "X = '{{ not.a.value }}'\n"})
    texts = [one["data"]["webserver_config.py"] for one in objects if "webserver_config.py" in one.get("data", {})]
    assert [text.strip() for text in texts] == ["X = '{{ not.a.value }}'"]


@each_executor
def test_logs_and_dags_are_on_the_claims(executor: str) -> None:
    for name, pod in pods(rendered(executor)):
        claims = {
            volume["name"]: volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"]["volumes"]
            if "persistentVolumeClaim" in volume
        }
        runs_dags = not name.endswith(("api-server", "scheduler"))
        assert claims == {"logs": "airflow-logs", **({"dags": "airflow-dags"} if runs_dags else {})}, name
        assert any(mount["mountPath"] == cv.LOGS for mount in containers(pod)[0]["volumeMounts"])


def test_the_scheduler_refuses_pods_of_tasks_by_the_hook() -> None:
    """First on its PYTHONPATH, before what an image may have. The chart's own pod of a task is made."""
    objects = rendered("KubernetesExecutor")
    ((config, text),) = (
        (one["metadata"]["name"], one["data"][cv.LOCAL_SETTINGS])
        for one in objects if cv.LOCAL_SETTINGS in one.get("data", {})
    )  # fmt: skip
    assert text.strip() == release().local_settings.strip()
    found = dict(pods(objects))
    scheduler = found["Deployment airflow-scheduler"]["spec"]
    assert {"name": "config", "configMap": {"name": config}} in scheduler["volumes"]
    (container,) = (one for one in scheduler["containers"] if one["name"] == "scheduler")
    mounts = {one["mountPath"]: one for one in container["volumeMounts"]}
    first = f"{cv.LIBRARY}/{cv.LOCAL_SETTINGS}"
    for place in (first, f"/opt/airflow/config/{cv.LOCAL_SETTINGS}"):
        expected = {"name": "config", "mountPath": place, "subPath": cv.LOCAL_SETTINGS, "readOnly": True}
        assert mounts[place] == expected
    assert release().granted["scheduler"]["PYTHONPATH"].split(":")[0] == cv.LIBRARY
    settings: dict[str, Any] = {}
    exec(compile(text, cv.LOCAL_SETTINGS, "exec"), settings)
    settings["pod_mutation_hook"](found["task"])
    for name, pod in found.items():
        if name != "task":
            with pytest.raises(ValueError, match="the pod of a task may not have the labels of a component"):
                settings["pod_mutation_hook"]({**found["task"], "metadata": pod["metadata"]})


def test_a_changed_hook_restarts_the_scheduler() -> None:
    scheduler = "Deployment airflow-scheduler"
    one, other = (dict(pods(render(differs)))[scheduler] for differs in ({}, {"referred": ["shared"]}))
    assert one["metadata"]["annotations"] != other["metadata"]["annotations"]
    assert one["spec"] == other["spec"]


def test_where_no_pods_are_made_for_tasks_there_is_no_hook() -> None:
    assert cv.LOCAL_SETTINGS not in json.dumps(rendered("CeleryExecutor"))


def test_rendering_again_gives_the_same() -> None:
    assert render({}) == render({})


def test_values_that_it_does_not_know_are_refused() -> None:
    """By the same call that preflight makes."""
    place = {"path": str(CHART), "sha256": archive.SHA256, "helm": str(HELM), "name": "airflow", "namespace": "airflow"}
    assert "failed" not in run("chart_tried", **place, values=release().values)
    unknown = run("chart_tried", **place, values={**release().values, "nonsense": 1})
    assert "does not know the values nonsense" in unknown["msg"]
    refused = run("chart_tried", **place, values={**release().values, "scheduler": {"nonsense": 1}})
    assert "does not take its values" in refused["msg"] and "nonsense" in refused["msg"]


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    """The chart in a repository of charts, on loopback."""
    folder = tmp_path / "charts"
    folder.mkdir()
    shutil.copy(CHART, folder / "airflow-1.22.0.tgz")
    subprocess.run([str(HELM), "repo", "index", str(folder)], check=True, capture_output=True)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def oci(tmp_path: Path) -> Iterator[str]:
    """The chart in a registry, by TLS."""
    if not REGISTRY.exists():
        pytest.skip("needs Debian's docker-registry: tests/registry/prepare.sh")
    certificate, key = Authority(tmp_path).pair("localhost")
    place = f"localhost:{free_port()}"
    http = {"addr": place, "secret": "of-the-tests", "tls": {"certificate": str(certificate), "key": str(key)}}
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "registry")}}
    (tmp_path / "registry.json").write_text(json.dumps({"version": "0.1", "storage": storage, "http": http}))
    server = Process([str(REGISTRY), "serve", str(tmp_path / "registry.json")], tmp_path / "registry.log")
    push = [str(HELM), "push", str(CHART), f"oci://{place}/charts", "--ca-file", str(tmp_path / "ca.crt")]
    deadline = time.monotonic() + PATIENCE
    while (done := subprocess.run(push, capture_output=True, text=True, check=False)).returncode:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.2)
    yield f"oci://{place}/charts"
    server.stop()


def have(home: Path, source: str, **differs: Any) -> str:
    """What a play says that has the chart and checks it, in a check."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = {"airflow": {"children": {"airflow_cluster": {"hosts": {"localhost": local}}}}}
    (home / "inventory.json").write_text(json.dumps(inventory))
    task = {"ansible.builtin.include_role": {"name": "windward.airflow.kubernetes", "tasks_from": "chart"}}
    (home / "play.json").write_text(json.dumps([{"hosts": "airflow", "gather_facts": False, "tasks": [task]}]))
    variables = {"airflow_executor": "KubernetesExecutor", "airflow_chart_source": source, **differs}
    command = ["ansible-playbook", "-i", "inventory.json", "play.json", "--check", "-e", json.dumps(variables)]
    own = {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "HOME": str(home), "PATH": f"{Path(str(HELM)).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    done = subprocess.run(
        command, cwd=home, env={**os.environ, **own}, capture_output=True, text=True, check=False, timeout=120
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["repository", "oci"])
def test_a_chart_comes_from_its_repository_once(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str, tmp_path: Path
) -> None:
    repository = request.getfixturevalue(kind)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    kept = tmp_path / ".cache" / "windward.airflow" / "charts" / "airflow-1.22.0.tgz"
    said = have(tmp_path, repository)
    assert "failed=0" in said and kept.read_bytes() == CHART.read_bytes(), said
    before = kept.stat().st_mtime_ns
    assert "failed=0" in have(tmp_path, repository) and kept.stat().st_mtime_ns == before
    refused = have(tmp_path, repository, airflow_chart_digest=f"sha256:{'0' * 64}")
    assert f"has sha256:{archive.SHA256}, and the chart that is meant has" in refused
