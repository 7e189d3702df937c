# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The chart with our values, on a real cluster of one node: what the values promise is true in the running pods.

What a role will do is done here by kubectl and helm. The tests run in the order in which they stand.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils import _kubernetes_objects as ko
from ansible_collections.windward.airflow.plugins.module_utils._chart_values import SECTIONS, Release
from ansible_collections.windward.airflow.plugins.module_utils._kind import unusable
from ansible_collections.windward.airflow.plugins.module_utils._kind_host import engine
from chart_case import COMPONENTS, DEPLOYMENT

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "windward.airflow"
CHART = Path(os.environ.get("AIRFLOW_CHART") or CACHE / "chart" / "airflow-1.22.0.tgz")
MISSING = [name for name in ("kind", "kubectl", "helm") if not shutil.which(name)]
REASON = unusable(engine()) or (f"there is no program {', '.join(MISSING)} on PATH" if MISSING else "")
REASON = REASON or ("" if CHART.is_file() else f"the chart can't be downloaded here: AIRFLOW_CHART or {CHART}")
REASON = REASON or ("" if importlib.util.find_spec("kubernetes") else "needs the Python package kubernetes")
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"runs Airflow on Kind (tests/kind-bed/bed.sh): {REASON}")

CLUSTER, SPACE = "wwairflow", "airflow"
VERSION = os.environ.get("AIRFLOW_KIND_KUBERNETES", "1.34.3")
NAMES = ["fernet_key", "jwt_secret", "api_secret_key", "fingerprint_key", "database_password"]
PACKAGE = ROOT / "roles" / "systemd" / "files" / "pythonpath" / "windward_airflow"
LIBRARY = {path.name: path.read_text() for path in PACKAGE.glob("*.py")}
LITTLE = {"requests": {"cpu": "10m"}, "limits": {"memory": "1Gi"}}
IMAGES = {"airflow": f"kind-bed.local/airflow:{DEPLOYMENT['version']}", "postgresql": "kind-bed.local/postgres:17"}
DEPLOYED: dict[str, Any] = {
    **DEPLOYMENT,
    "image": {**DEPLOYMENT["image"], "repository": IMAGES["airflow"].rpartition(":")[0]},
    "postgresql": {**DEPLOYMENT["postgresql"], "image": IMAGES["postgresql"], "size": "1Gi"},
    "library": {"name": "airflow-library", "digest": ko.digest_of(LIBRARY)},
    "resources": dict.fromkeys(DEPLOYMENT["resources"], LITTLE),
    "environment": {"ITS_OWN": "{{ not helm's }}"},
}
# What a task sees. It succeeds when that is what it may see.
DAG = '''
import os
from airflow.sdk import DAG, task
with DAG("probe", schedule=None, catchup=False, is_paused_upon_creation=False):
    @task
    def look():
        names = sorted(os.environ)
        secret = [n for n in names if any(w in n for w in ("SQL_ALCHEMY_CONN", "FERNET", "JWT", "AIRFLOW_CONN_"))]
        assert not secret, secret
        assert "AIRFLOW__API__SECRET_KEY" in names and os.environ["ITS_OWN"] == "{{ not helm's }}"
        assert not os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token")
        print("probe: the task looked around on", os.uname().nodename)
    look()
'''


class Cluster:
    """One namespace of a real cluster, by kubectl and helm."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self.kubeconfig = self.state / "kind" / CLUSTER / "kubeconfig"
        self.secrets: dict[str, str] = {}

    def module(self, name: str, **options: Any) -> dict[str, Any]:
        code = "from ansible.module_utils import basic; basic._ANSIBLE_PROFILE = 'legacy'; "
        code += f"basic._ANSIBLE_ARGS = {json.dumps({'ANSIBLE_MODULE_ARGS': options}).encode()!r}; "
        code += f"from ansible_collections.windward.airflow.plugins.modules import {name}; {name}.main()"
        path = f"{ROOT / '.collections'}:{os.environ.get('PYTHONPATH', '')}"
        environment = {**os.environ, "PYTHONPATH": path, "K8S_AUTH_KUBECONFIG": str(self.kubeconfig)}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def run(self, *command: str, stdin: str = "", check: bool = True, timeout: int = 600) -> str:
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(
            command, input=stdin, env=environment, capture_output=True, text=True, check=False, timeout=timeout
        )
        assert not check or not done.returncode, done.stderr
        return done.stdout + ("" if not done.returncode else done.stderr)

    def kubectl(self, *words: str, **options: Any) -> str:
        return self.run("kubectl", "-n", SPACE, *words, **options)

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def get(self, kind: str) -> list[dict[str, Any]]:
        return json.loads(self.kubectl("get", kind, "-ojson"))["items"]

    def airflow(self, *words: str) -> str:
        return self.kubectl("exec", "deploy/airflow-scheduler", "-c", "scheduler", "--", "airflow", *words)

    @property
    def release(self) -> Release:
        return Release(COMPONENTS, DEPLOYED, self.secrets)

    def deploy(self) -> None:
        values = json.dumps(self.release.values)
        words = ["--namespace", SPACE, "--values", "-", "--wait", "--timeout", "9m"]
        self.run("helm", "upgrade", "--install", SPACE, str(CHART), *words, stdin=values)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    here = Cluster(tmp_path_factory.mktemp("release"))
    options = {"name": CLUSTER, "state_dir": str(here.state), "kubernetes_version": VERSION, "timeout": 400}
    made = here.module("kind_cluster", **options)
    assert made.get("kubeconfig"), made
    here.run("kind", "load", "docker-image", "--name", CLUSTER, *IMAGES.values())
    yield here
    assert here.module("kind_cluster", **options, state="absent")["changed"]


def test_the_namespace_refuses_a_pod_that_is_not_restricted(cluster: Cluster) -> None:
    """What the other tests rest on: a bad pod is refused there."""
    cluster.apply(ko.namespace(DEPLOYED))
    bad = {"containers": [{"name": "x", "image": "x", "securityContext": {"privileged": True}}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"}, "spec": bad}
    said = cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod), check=False)
    assert 'violates PodSecurity "restricted:latest"' in said


def test_secrets_are_generated_once(cluster: Cluster) -> None:
    options = {"namespace": SPACE, "name": "airflow-secrets", "names": NAMES}
    refused = cluster.module("kubernetes_secret_store", **options)
    assert "lacks fernet_key" in refused["msg"] and "restore it from a backup" in refused["msg"]
    foreseen = cluster.module("kubernetes_secret_store", **options, generate=True, _ansible_check_mode=True)
    assert foreseen["changed"] and cluster.get("secrets") == []
    first = cluster.module("kubernetes_secret_store", **options, generate=True)
    again = cluster.module("kubernetes_secret_store", **options)
    assert (first["changed"], first["exists"], again["changed"], again["exists"]) == (True, False, False, True)
    assert first["secrets"] == again["secrets"] and sorted(first["secrets"]) == sorted(NAMES)
    cluster.secrets.update(again["secrets"], results_database_password="")
    given = cluster.module("kubernetes_secret_store", **options, given={"jwt_secret": "x" * 32})
    assert given["changed"] and given["secrets"]["fernet_key"] == first["secrets"]["fernet_key"]
    assert cluster.module("kubernetes_secret_store", **options)["secrets"]["jwt_secret"] == "x" * 32
    cluster.secrets["jwt_secret"] = "x" * 32


def test_a_namespace_or_cluster_that_is_not_there_is_said(cluster: Cluster, tmp_path: Path) -> None:
    options = {"name": "airflow-secrets", "names": NAMES, "generate": True}
    nowhere = cluster.module("kubernetes_secret_store", namespace="nowhere", **options)
    assert 'Secret airflow-secrets of namespace nowhere: Kubernetes refuses' in nowhere["msg"]
    context = cluster.module("kubernetes_secret_store", namespace=SPACE, context="nope", **options)
    assert "there is no way to a cluster" in context["msg"] and "nope" in context["msg"]
    secret = cluster.secrets["fernet_key"]
    assert secret not in json.dumps([nowhere, context])


def test_the_database_runs(cluster: Cluster) -> None:
    cluster.apply(*ko.postgresql(DEPLOYED))
    cluster.kubectl("rollout", "status", "statefulset/airflow-postgresql", "--timeout=5m")
    (pod,) = (one for one in cluster.get("pods") if one["metadata"]["name"] == "airflow-postgresql-0")
    assert {one["ready"] for one in pod["status"]["containerStatuses"]} == {True}


def test_environments_are_secrets_and_nothing_shows_them(cluster: Cluster) -> None:
    labels = {**ko.labels(DEPLOYED, "environment")}
    options = {"namespace": SPACE, "labels": labels, "secrets": cluster.release.secrets}
    foreseen = cluster.module("kubernetes_secrets", **options, _ansible_check_mode=True, _ansible_diff=True)
    first = cluster.module("kubernetes_secrets", **options, _ansible_diff=True)
    again = cluster.module("kubernetes_secrets", **options)
    names = sorted(cluster.release.secrets)
    assert foreseen["written"] == first["written"] == names and not again["changed"]
    shown = json.dumps([foreseen, first, again])
    assert not [name for name, secret in cluster.secrets.items() if secret and secret in shown]
    assert "airflow-scheduler-environment: AIRFLOW__CORE__FERNET_KEY" in first["diff"]["after"]
    stray = {**options, "secrets": {**options["secrets"], "airflow-stray-environment": {"A": "b"}}}
    assert cluster.module("kubernetes_secrets", **stray)["written"] == ["airflow-stray-environment"]
    assert cluster.module("kubernetes_secrets", **options)["removed"] == ["airflow-stray-environment"]
    assert "airflow-secrets" in {one["metadata"]["name"] for one in cluster.get("secrets")}


def test_the_migration_is_a_job_of_ours(cluster: Cluster) -> None:
    cluster.apply(
        ko.library(DEPLOYED, LIBRARY),
        ko.claim(DEPLOYED, "airflow-logs", "1Gi", "logs"),
        ko.claim(DEPLOYED, "airflow-dags", "1Gi", "dags"),
        *ko.rights(DEPLOYED),
    )
    job = ko.migration(cluster.release)
    cluster.apply(job)
    cluster.kubectl("wait", "--for=condition=complete", f"job/{job['metadata']['name']}", "--timeout=8m")


def test_dags_are_on_their_volume(cluster: Cluster) -> None:
    """A release as ReleaseBundle reads it, by a short-lived restricted pod."""
    write = 'cd /dags; mkdir -p releases/r1; printf %s "$DAG" > releases/r1/probe.py; ln -sfn releases/r1 current'
    container = {
        "name": "dags",
        "image": IMAGES["airflow"],
        "command": ["bash", "-euc", write],
        "env": [{"name": "DAG", "value": DAG}],
        "securityContext": ko.CONTAINER,
        "volumeMounts": [{"name": "dags", "mountPath": "/dags"}],
    }
    volume = {"name": "dags", "persistentVolumeClaim": {"claimName": "airflow-dags"}}
    spec = {"restartPolicy": "Never", "securityContext": ko.POD, "containers": [container], "volumes": [volume]}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "dags", "namespace": SPACE}, "spec": spec})
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/dags", "--timeout=3m")
    cluster.kubectl("delete", "pod", "dags")


def test_the_release_comes_up(cluster: Cluster) -> None:
    cluster.deploy()
    ready = {
        one["metadata"]["labels"].get("component")
        for one in cluster.get("pods")
        if all(status["ready"] for status in one["status"].get("containerStatuses") or ())
    }
    assert {"api-server", "scheduler", "dag-processor", "triggerer"} <= ready


def test_nothing_was_refused_by_the_namespace(cluster: Cluster) -> None:
    refused = [one["message"] for one in cluster.get("events") if "PodSecurity" in one.get("message", "")]
    assert refused == []


def test_the_release_holds_no_secret(cluster: Cluster) -> None:
    told = cluster.run("helm", "get", "all", SPACE, "--namespace", SPACE)
    assert "airflow-scheduler-environment" in told
    assert not [name for name, secret in cluster.secrets.items() if secret and secret in told]


@pytest.mark.parametrize("component", SECTIONS)
def test_what_a_running_pod_has(cluster: Cluster, component: str) -> None:
    """Its environment and its token, seen from inside."""
    place = [f"deploy/airflow-{component}", "-c", component]
    shown = cluster.kubectl("exec", *place, "--", "env")
    granted = set(COMPONENTS[component]["secrets"]) & {"fernet_key", "jwt_secret", "api_secret_key", "database"}
    texts = {**cluster.secrets, "database": cluster.secrets["database_password"]}
    seen = {name for name in ("fernet_key", "jwt_secret", "api_secret_key", "database") if texts[name] in shown}
    assert seen == granted
    assert re.search(r"^ITS_OWN=\{\{ not helm's \}\}$", shown, re.MULTILINE)
    there = cluster.kubectl("exec", *place, "--", "ls", "/var/run/secrets/kubernetes.io/serviceaccount", check=False)
    assert ("token" in there.split()) is (component in ("scheduler", "api-server"))


@pytest.mark.parametrize(
    ("account", "verb", "resource", "allowed"),
    [
        ("scheduler", "create", "pods", "yes"),
        ("scheduler", "create", "pods/exec", "no"),
        ("scheduler", "get", "secrets", "no"),
        ("api-server", "get", "pods/log", "yes"),
        ("api-server", "create", "pods", "no"),
        ("worker", "create", "pods", "no"),
        ("worker", "get", "secrets", "no"),
        ("dag-processor", "list", "pods", "no"),
    ],
)
def test_what_an_account_may(cluster: Cluster, account: str, verb: str, resource: str, allowed: str) -> None:
    who = f"--as=system:serviceaccount:{SPACE}:airflow-{account}"
    assert cluster.kubectl("auth", "can-i", verb, resource, who, check=False).split()[0] == allowed


def test_a_task_runs_in_a_pod_and_its_log_outlives_that(cluster: Cluster) -> None:
    deadline = time.monotonic() + 240
    while "probe" not in cluster.airflow("dags", "list", "--output", "plain") and time.monotonic() < deadline:
        time.sleep(3)
    cluster.airflow("dags", "trigger", "probe", "--run-id", "proof")
    state = ""
    while state not in ("success", "failed") and time.monotonic() < deadline:
        time.sleep(3)
        told = cluster.airflow("dags", "list-runs", "probe", "--output", "json")
        state = json.loads(told[told.index("["):])[0]["state"]
    log = cluster.kubectl("exec", "deploy/airflow-api-server", "--", "bash", "-c", "cat logs/dag_id=probe/*/*/*")
    assert state == "success", log
    assert "probe: the task looked around" in log
    assert not [one for one in cluster.get("pods") if one["metadata"]["labels"].get("dag_id") == "probe"]


def test_a_second_deployment_restarts_nothing(cluster: Cluster) -> None:
    before = {one["metadata"]["uid"] for one in cluster.get("pods")}
    cluster.deploy()
    assert {one["metadata"]["uid"] for one in cluster.get("pods")} == before
