# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""site.yml on a real cluster: what the role promises is true in the running pods.

The tests run in the order in which they stand. A cluster of the tests' own is made; with AIRFLOW_TEST_KUBECONFIG one
that is there is used, and a namespace of its own in it.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.windward.airflow.plugins.module_utils._chart_values import SECTIONS
from ansible_collections.windward.airflow.plugins.module_utils._kind import unusable
from ansible_collections.windward.airflow.plugins.module_utils._kind_host import engine
from chart_case import COMPONENTS

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "windward.airflow"
CHART = Path(os.environ.get("AIRFLOW_CHART") or CACHE / "chart" / "airflow-1.22.0.tgz")
GIVEN = os.environ.get("AIRFLOW_TEST_KUBECONFIG", "")
MISSING = [name for name in ("kind", "kubectl", "helm") if not shutil.which(name)]
REASON = "" if GIVEN else unusable(engine())
REASON = REASON or (f"there is no program {', '.join(MISSING)} on PATH" if MISSING else "")
REASON = REASON or ("" if CHART.is_file() else f"the chart can't be downloaded here: AIRFLOW_CHART or {CHART}")
REASON = REASON or ("" if importlib.util.find_spec("kubernetes") else "needs the Python package kubernetes")
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"runs Airflow on Kind (tests/kind-bed/bed.sh): {REASON}")

CLUSTER, SPACE = "wwairflow", "wwrelease"
VERSION = os.environ.get("AIRFLOW_KIND_KUBERNETES", "1.34.3")
GRANTS = {"fernet_key", "jwt_secret", "api_secret_key", "database_password"}
# What a task sees and may. It succeeds when that is what it ought to be.
DAG = '''
import json, os, ssl, urllib.error, urllib.request
from airflow.sdk import DAG, task

def refused(path, body):
    """Kubernetes' answer to somebody who has no token."""
    place = "https://kubernetes.default.svc/api/v1/namespaces/wwrelease/" + path
    asked = urllib.request.Request(place, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        urllib.request.urlopen(asked, context=ssl._create_unverified_context(), timeout=20)
    except urllib.error.HTTPError as error:
        return error.code
    return 0

with DAG("probe", schedule=None, catchup=False, is_paused_upon_creation=False):
    @task
    def look():
        names = sorted(os.environ)
        secret = [n for n in names if any(w in n for w in ("SQL_ALCHEMY_CONN", "FERNET", "JWT", "AIRFLOW_CONN_"))]
        assert not secret, secret
        assert "AIRFLOW__API__SECRET_KEY" in names and os.environ["ITS_OWN"] == "{{ not helm's }}"
        assert not os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token")
        pod = {"metadata": {"name": "own"}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
        assert refused("pods", pod) in (401, 403)
        assert refused("pods/wwrelease-postgresql-0/exec?command=id", {}) in (401, 403)
        print("probe: the task looked around on", os.uname().nodename)
    look()
'''


class Deployment:
    """One inventory of one deployment, and what kubectl and helm say of it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.dags = directory, directory / "dags"
        self.dags.mkdir()
        (self.dags / "probe.py").write_text(DAG)
        declared = {"name": CLUSTER, "kubernetes_version": VERSION}
        place: dict[str, Any] = {"airflow_kubeconfig": GIVEN} if GIVEN else {"airflow_kind_cluster": declared}
        host = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}", **place}
        variables = {
            "airflow_name": SPACE,
            "airflow_executor": "KubernetesExecutor",
            "airflow_dags": str(self.dags),
            "airflow_environment": {"ITS_OWN": {"__ansible_unsafe": "{{ not helm's }}"}},
            "airflow_volume_sizes": {"postgresql": "1Gi", "logs": "1Gi", "dags": "1Gi"},
            "airflow_health_timeout": 600,
            "airflow_dags_timeout": 400,
            "airflow_verify_timeout": 400,
        }
        inventory = {"airflow": {"children": {"airflow_cluster": {"hosts": {"localhost": host}}}, "vars": variables}}
        text = yaml.safe_dump(inventory).replace("ITS_OWN:\n        __ansible_unsafe:", "ITS_OWN: !unsafe")
        (directory / "hosts.yml").write_text(text)
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "windward.airflow"
        self.kubeconfig = GIVEN or str(state / "kind" / CLUSTER / "kubeconfig")
        self.environment = {**os.environ, "KUBECONFIG": self.kubeconfig, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}

    def command(self, playbook: str, *words: str) -> list[str]:
        own = os.environ.get("AIRFLOW_KIND_VARS")
        images = ["-e", f"@{own}"] if own else []
        return ["ansible-playbook", playbook, "-i", str(self.directory / "hosts.yml"), *images, *words]

    def play(self, *words: str, playbook: str = "site.yml", fails: bool = False) -> tuple[int, str]:
        """How many tasks changed something, and what was said."""
        command = self.command(playbook, *words)
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, timeout=2400
        )
        said = done.stdout + done.stderr
        assert bool(done.returncode) is fails, said[-6000:]
        return sum(map(int, re.findall(r"changed=(\d+)", said))), said

    def run(self, *command: str, stdin: str = "", check: bool = True) -> str:
        done = subprocess.run(
            command, input=stdin, env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert not check or not done.returncode, done.stderr
        return done.stdout + ("" if not done.returncode else done.stderr)

    def kubectl(self, *words: str, **options: Any) -> str:
        return self.run("kubectl", "-n", SPACE, *words, **options)

    def get(self, kind: str) -> list[dict[str, Any]]:
        return list(json.loads(self.kubectl("get", kind, "-ojson"))["items"])

    def pods(self) -> dict[str, str]:
        """Of what runs for good: a pod's name and how it can be told from its successor."""
        return {
            one["metadata"]["uid"]: one["metadata"]["name"]
            for one in self.get("pods")
            if one["status"]["phase"] == "Running" and "dag_id" not in one["metadata"].get("labels", {})
        }

    @property
    def secrets(self) -> dict[str, str]:
        (held,) = (one for one in self.get("secrets") if one["metadata"]["name"] == f"{SPACE}-secrets")
        return {name: base64.b64decode(value).decode() for name, value in held["data"].items()}

    def airflow(self, *words: str) -> str:
        return self.kubectl("exec", f"deploy/{SPACE}-scheduler", "-c", "scheduler", "--", "airflow", *words)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    here = Deployment(tmp_path_factory.mktemp("release"))
    here.play("--tags", "machines")
    if not GIVEN and os.environ.get("AIRFLOW_KIND_VARS"):
        here.run(str(ROOT / "tests/kind-bed/bed.sh"), "load", CLUSTER)
    yield here
    here.play("-e", f"airflow_confirm={SPACE}", playbook="playbooks/cleanup.yml")
    assert SPACE not in here.run("kubectl", "get", "namespaces", "-oname", check=False)


def test_a_check_of_an_empty_cluster(deployed: Deployment) -> None:
    """It ends well, foresees everything and makes nothing."""
    changed, _said = deployed.play("--check")
    assert changed > 5
    assert SPACE not in deployed.run("kubectl", "get", "namespaces", "-oname")


def test_a_run_that_is_killed_in_the_middle_of_the_release_is_completed(deployed: Deployment) -> None:
    """Killed with everything that it started, when helm has begun; the next run ends with a DAG run that succeeded."""
    with subprocess.Popen(
        deployed.command("site.yml"), cwd=ROOT, env=deployed.environment, stdout=subprocess.DEVNULL
    ) as process:
        deadline, status = time.monotonic() + 900, ""
        while status != "pending-install" and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.5)
            record = deployed.kubectl(
                "get", "secrets", "-l", "owner=helm", "-o", "jsonpath={.items[*].metadata.labels.status}", check=False
            )
            status = record.strip()
        assert status == "pending-install"
        for line in deployed.run("ps", "-eo", "pid=,args=").splitlines():
            pid, _space, args = line.strip().partition(" ")
            if str(deployed.directory) in args or f"--namespace={SPACE}" in args or f"/{SPACE} '" in args:
                os.kill(int(pid), signal.SIGKILL)
    _changed, said = deployed.play()
    assert "canary_default" in said and "http://localhost" in said


def test_a_second_run_changes_nothing(deployed: Deployment) -> None:
    before = deployed.pods()
    for check in (["--check"], []):
        changed, said = deployed.play(*check)
        assert changed == 0, said[-6000:]
    assert deployed.pods() == before


def test_the_namespace_refuses_a_pod_that_is_not_restricted(deployed: Deployment) -> None:
    """What the next test rests on: a bad pod is refused there."""
    bad = {"containers": [{"name": "x", "image": "x", "securityContext": {"privileged": True}}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"}, "spec": bad}
    said = deployed.kubectl("apply", "-f", "-", stdin=json.dumps(pod), check=False)
    assert 'violates PodSecurity "restricted:latest"' in said


def test_nothing_of_ours_was_refused(deployed: Deployment) -> None:
    refused = [one["message"] for one in deployed.get("events") if "PodSecurity" in one.get("message", "")]
    assert refused == []


def test_the_release_holds_no_secret(deployed: Deployment) -> None:
    told = deployed.run("helm", "get", "all", SPACE, "--namespace", SPACE)
    assert f"{SPACE}-scheduler-environment" in told
    assert not [name for name, secret in deployed.secrets.items() if secret and secret in told]


@pytest.mark.parametrize("component", SECTIONS)
def test_what_a_running_pod_has(deployed: Deployment, component: str) -> None:
    """Its environment, its token and its files, seen from inside."""
    place = [f"deploy/{SPACE}-{component}", "-c", component]
    shown = deployed.kubectl("exec", *place, "--", "env")
    matrix = COMPONENTS[component]["secrets"]
    granted = {"database_password" if name == "database" else name for name in matrix} & GRANTS
    secrets = deployed.secrets
    assert {name for name in GRANTS if secrets[name] in shown} == granted
    assert secrets["admin_password"] not in shown and secrets["postgresql_password"] not in shown
    assert re.search(r"^ITS_OWN=\{\{ not helm's \}\}$", shown, re.MULTILINE)
    there = deployed.kubectl("exec", *place, "--", "ls", "/var/run/secrets/kubernetes.io/serviceaccount", check=False)
    assert ("token" in there.split()) is (component in ("scheduler", "api-server"))
    configuration = deployed.kubectl("exec", *place, "--", "cat", "/opt/airflow/airflow.cfg")
    assert not [name for name, secret in secrets.items() if secret and secret in configuration]


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
        ("triggerer", "list", "pods", "no"),
    ],
)
def test_what_an_account_may(deployed: Deployment, account: str, verb: str, resource: str, allowed: str) -> None:
    who = f"--as=system:serviceaccount:{SPACE}:{SPACE}-{account}"
    assert deployed.kubectl("auth", "can-i", verb, resource, who, check=False).split()[0] == allowed


def test_a_task_runs_in_a_pod_and_its_log_outlives_that(deployed: Deployment) -> None:
    deployed.airflow("dags", "trigger", "probe", "--run-id", "proof")
    deadline, state = time.monotonic() + 400, ""
    while state not in ("success", "failed") and time.monotonic() < deadline:
        time.sleep(3)
        told = deployed.airflow("dags", "list-runs", "probe", "--output", "json")
        state = json.loads(told[told.index("["):])[0]["state"]
    log = deployed.kubectl("exec", f"deploy/{SPACE}-api-server", "--", "bash", "-c", "cat logs/dag_id=probe/*/*/*")
    assert state == "success", log
    assert "probe: the task looked around" in log
    assert not [one for one in deployed.get("pods") if one["metadata"]["labels"].get("dag_id") == "probe"]


def test_a_changed_secret_restarts_those_who_have_it(deployed: Deployment) -> None:
    before = deployed.pods()
    deployed.play("-e", "airflow_jwt_secret=" + "x" * 40, "--tags", "data,airflow")
    assert deployed.secrets["jwt_secret"] == "x" * 40
    left = {name for uid, name in before.items() if uid not in deployed.pods()}
    assert {re.sub(rf"^{SPACE}-|-[a-z0-9]+-[a-z0-9]+$", "", name) for name in left} == {"api-server", "scheduler"}


def test_lost_secrets_are_not_made_anew(deployed: Deployment) -> None:
    kept = deployed.kubectl("get", "secret", f"{SPACE}-secrets", "-ojson")
    deployed.kubectl("delete", "secret", f"{SPACE}-secrets")
    _changed, said = deployed.play("--tags", "data", fails=True)
    assert "fernet_key" in said and "restore it" in said
    whole = json.loads(kept)
    whole["metadata"] = {key: whole["metadata"][key] for key in ("name", "namespace")}
    deployed.kubectl("apply", "-f", "-", stdin=json.dumps(whole))
    changed, _said = deployed.play("--tags", "data")
    assert changed == 0
