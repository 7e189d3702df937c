# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a deployment on Kubernetes promises, with each executor, seen in its running pods.

The tests run in the order in which they stand; the last one removes the deployment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import urllib.parse
from pathlib import Path

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._client import Client
from chart_case import COMPONENTS
from cluster import Cluster, log_in
from deployment import ROOT, deploy

SCENARIO = os.environ.get("MOLECULE_SCENARIO_NAME", "kind")
CLUSTER = Cluster(SCENARIO)
CELERY = CLUSTER.executor == "CeleryExecutor"
RUNNING = ["api-server", "scheduler", "dag-processor", "triggerer", *(["worker"] if CELERY else [])]
# Which secret of the store stands behind each word of the matrix.
STORED = {
    "fernet_key": "fernet_key", "jwt_secret": "jwt_secret", "api_secret_key": "api_secret_key",
    "database": "database_password",
    **({"broker": "broker_password", "results_database": "results_database_password"} if CELERY else {}),
}  # fmt: skip
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
# What a task sees and may. It succeeds when that is what it ought to be.
PROBE = '''
import json, os, ssl, urllib.error, urllib.request
from airflow.sdk import DAG, task

def refused(path, body):
    """Kubernetes' answer to somebody who has no token."""
    place = "https://kubernetes.default.svc/api/v1/namespaces/NAME/" + path
    asked = urllib.request.Request(place, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        urllib.request.urlopen(asked, context=ssl._create_unverified_context(), timeout=20)
    except urllib.error.HTTPError as error:
        return error.code
    return 0

with DAG("probe", schedule=None, catchup=False, is_paused_upon_creation=False):
    @task
    def look():
        secret = [n for n, v in os.environ.items() if "FERNET" in n or "JWT_SECRET" in n
                  or n.startswith(("AIRFLOW__DATABASE__", "AIRFLOW_CONN_")) and "@" in v]
        assert not secret, secret
        assert os.environ["AIRFLOW__API__SECRET_KEY"] and os.environ["ITS_OWN"] == "{{ not_helms }}"
        assert not os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token")
        try:
            open("/opt/airflow/dags/written", "w")
        except OSError as error:
            assert error.errno == 30, error
        else:
            raise AssertionError("the DAGs can be written to")
        pod = {"metadata": {"name": "own"}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
        assert refused("pods", pod) in (401, 403)
        assert refused("pods/NAME-postgresql-0/exec?command=id", {}) in (401, 403)
        print("probe VERSION: the task looked around on", os.uname().nodename)
    look()
'''

# A task that gets what is harmless, and three that ask for what is the deployment's own.
OVERRIDES = """
import os
from airflow.sdk import DAG, task
from kubernetes.client import models as k8s

def overridden(name, **spec):
    container = k8s.V1Container(
        name="base",
        env=[k8s.V1EnvVar(name="OVERRIDDEN", value=name)],
        volume_mounts=[k8s.V1VolumeMount(name="own", mount_path="/own")] if "volumes" in spec else None,
        resources=k8s.V1ResourceRequirements(
            requests={"cpu": "100m", "memory": "320Mi"}, limits={"memory": "3Gi"}
        ),
    )
    pod = k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(labels={"team": "overrides"}),
        spec=k8s.V1PodSpec(containers=[container], **spec),
    )

    @task(task_id=name, retries=0, executor_config={"pod_override": pod})
    def run():
        assert os.environ["OVERRIDDEN"] == name
    run()

def volume(**source):
    return [k8s.V1Volume(name="own", **source)]

with DAG("overrides", schedule=None, catchup=False, is_paused_upon_creation=False):
    overridden("harmless")
    overridden("store", volumes=volume(secret=k8s.V1SecretVolumeSource(secret_name="NAME-secrets")))
    overridden("account", service_account_name="NAME-scheduler")
    claim = k8s.V1PersistentVolumeClaimVolumeSource(claim_name="data-NAME-postgresql-0")
    overridden("database", volumes=volume(persistent_volume_claim=claim))
"""
REFUSED = {
    "store": f"may not have {CLUSTER.name}-secrets",
    "account": f"may not have the service account {CLUSTER.name}-scheduler",
    "database": f"may not have data-{CLUSTER.name}-postgresql-0",
}
SLEEPER = """
import time
from airflow.sdk import DAG, task
with DAG("sleeper", schedule=None, catchup=False, is_paused_upon_creation=False):
    @task
    def sleep():
        time.sleep(100)
    sleep()
"""
# The last migration of Airflow 3.3, and how it is taken back.
LAST, BEFORE_LAST = "d2f4e1b3c5a7", "9ff64e1c35d3"
UNDO = "ALTER TABLE asset_partition_dag_run DROP COLUMN partition_date"
MORE = {"triggerer": {"requests": {"cpu": "120m"}}}  # what is asked for from the first test that changes it on
IDLE = "trap 'exit 0' TERM; sleep 9999 & wait"


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return CLUSTER


@pytest.fixture(scope="module")
def dags(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's DAGs, one that looks around, and one that asks for more where tasks have pods."""
    directory = Path(shutil.copytree(ROOT / "dags", tmp_path_factory.mktemp("own") / "dags"))
    write(directory, "one")
    if not CELERY:
        (directory / "overrides.py").write_text(OVERRIDES.replace("NAME", CLUSTER.name))
    return directory


def write(dags: Path, version: str) -> None:
    (dags / "probe.py").write_text(PROBE.replace("NAME", CLUSTER.name).replace("VERSION", version))


def test_check_mode_changes_nothing_on_what_is_deployed(cluster: Cluster) -> None:
    before = cluster.pods()
    assert sorted(set(before.values()) & set(COMPONENTS)) == sorted(RUNNING)
    assert deploy(cluster, "--check").changed == []
    assert cluster.pods() == before


@pytest.mark.parametrize("task", ["Look at the cluster", "Have the image in its registry"])
def test_a_run_may_begin_in_the_middle(cluster: Cluster, task: str) -> None:
    run = deploy(cluster, "--start-at-task", task)
    assert run.changed == [] and "Run the canary" in run.out


def test_the_namespace_refuses_a_pod_that_is_not_restricted(cluster: Cluster) -> None:
    """What the next test rests on: a bad pod is refused there."""
    bad = {"containers": [{"name": "x", "image": "x", "securityContext": {"privileged": True}}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"}, "spec": bad}
    said = cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod), check=False)
    assert 'violates PodSecurity "restricted:latest"' in said


def test_nothing_of_ours_was_refused(cluster: Cluster) -> None:
    refused = [one["message"] for one in cluster.get("events") if "PodSecurity" in one.get("message", "")]
    assert refused == []


def test_the_release_holds_no_secret(cluster: Cluster) -> None:
    told = cluster.run("helm", "get", "all", cluster.name, "--namespace", cluster.name)
    assert f"{cluster.name}-scheduler-environment" in told
    assert not [name for name, secret in cluster.secrets().items() if secret and secret in told]


@pytest.mark.parametrize("component", RUNNING)
def test_what_a_running_pod_has(cluster: Cluster, component: str) -> None:
    """Its environment, its token and its files, seen from inside each of its containers."""
    secrets = cluster.secrets()
    granted = {STORED[name] for name in COMPONENTS[component]["secrets"] if name in STORED}
    (pod, *_others) = (one for one in cluster.running() if one["metadata"]["labels"].get("component") == component)
    name = pod["metadata"]["name"]
    for container in (one["name"] for one in pod["spec"]["containers"]):
        shown = cluster.inside(name, container, "env")
        seen = {stored for stored in secrets if secrets[stored] and secrets[stored] in shown}
        assert seen == granted if container == component else seen <= granted, container
        there = cluster.inside(name, container, "ls", TOKEN, check=False)
        asks = not CELERY and component in ("scheduler", "api-server")
        assert ("token" in there.split()) is asks, (container, there)
    own = cluster.inside(name, component, "printenv", "ITS_OWN")
    assert own.strip() == "{{ not_helms }}"
    configuration = cluster.inside(name, component, "cat", "/opt/airflow/airflow.cfg")
    assert not [one for one, secret in secrets.items() if secret and secret in configuration]
    told = CLUSTER.declared.get("airflow_config", {})
    wanted = [f"{option} = {value}" for options in told.values() for option, value in options.items()]
    assert not [one for one in wanted if one.replace("%", "%%") not in configuration]
    runs_dags = COMPONENTS[component]["runs_dags"]
    assert ("current" in cluster.inside(name, component, "ls", "/opt/airflow/dags", check=False)) is runs_dags
    for directory in ["/opt/airflow/windward/windward_airflow", *(["/opt/airflow/dags"] if runs_dags else [])]:
        said = cluster.inside(name, component, "touch", f"{directory}/x", check=False)
        assert "Read-only file system" in said, directory


@pytest.mark.parametrize(
    ("account", "verb", "resource", "with_pods"),
    [
        ("scheduler", "create", "pods", "yes"),
        ("scheduler", "create", "pods/exec", "no"),
        ("scheduler", "get", "secrets", "no"),
        ("api-server", "get", "pods/log", "yes"),
        ("api-server", "create", "pods", "no"),
        ("worker", "create", "pods", "no"),
        ("worker", "create", "pods/exec", "no"),
        ("worker", "get", "secrets", "no"),
        ("dag-processor", "list", "pods", "no"),
        ("triggerer", "list", "pods", "no"),
    ],
)
def test_what_an_account_may(cluster: Cluster, account: str, verb: str, resource: str, with_pods: str) -> None:
    who = f"--as=system:serviceaccount:{cluster.name}:{cluster.name}-{account}"
    kind, _slash, part = resource.partition("/")  # kubectl would take it for a name
    allowed = cluster.kubectl("auth", "can-i", verb, kind, f"--subresource={part}", who, check=False).split()[0]
    assert allowed == ("no" if CELERY else with_pods)


def query(cluster: Cluster, statement: str) -> str:
    """Ask the metadata database."""
    ask = f'PGPASSWORD="$POSTGRES_PASSWORD" psql -h 127.0.0.1 -U postgres -d airflow -tAc "{statement}"'
    return cluster.inside(f"{cluster.name}-postgresql-0", "postgresql", "sh", "-c", ask).strip()


def test_a_person_logs_in(cluster: Cluster) -> None:
    """With the password that playbooks/password.yml shows. A log-in needs the table `session`, which FAB migrates."""
    shown = cluster.play("playbooks/password.yml")
    ((_name, _host, result),) = shown.results("Show the password that the administrator was made with")
    before = int(query(cluster, "SELECT count(*) FROM session"))
    assert "/auth/login" in log_in(cluster.url(), "admin", "wrong")
    assert urllib.parse.urlsplit(log_in(cluster.url(), "admin", result["msg"])).path == "/"
    assert int(query(cluster, "SELECT count(*) FROM session")) > before


def finish(cluster: Cluster, api: Client, dag: str) -> str:
    """Run a DAG until it has ended and its pods are gone; where the API has that run."""
    run = api.request("POST", f"/api/v2/dags/{dag}/dagRuns", body={"logical_date": None})
    path = f"/api/v2/dags/{dag}/dagRuns/{urllib.parse.quote(run['dag_run_id'])}"
    deadline = time.monotonic() + 400
    while api.get(path)["state"] in ("queued", "running") and time.monotonic() < deadline:
        time.sleep(2)
    while tasks_pods(cluster) and time.monotonic() < deadline:
        time.sleep(1)
    assert not tasks_pods(cluster)
    return path


def probe(cluster: Cluster, version: str) -> str:
    """Run the DAG that looks around; its log, read when its pod is gone, and the release that it ran with."""
    with cluster.api() as api:
        path = finish(cluster, api, "probe")
        ended, log = api.get(path), str(api.get(f"{path}/taskInstances/look/logs/1"))
    assert ended["state"] == "success" and f"probe {version}: the task looked around" in log, log
    return str(ended["bundle_version"])


def tasks_pods(cluster: Cluster) -> list[str]:
    return [one["metadata"]["name"] for one in cluster.get("pods") if "dag_id" in one["metadata"].get("labels", {})]


def test_a_task_has_no_rights_and_its_log_outlives_its_pod_and_a_former_release_comes_back(
    cluster: Cluster, dags: Path
) -> None:
    deploy(cluster, "--tags", "dags", airflow_dags=str(dags))
    first = probe(cluster, "one")
    write(dags, "two")
    deploy(cluster, "--tags", "dags", airflow_dags=str(dags))
    assert probe(cluster, "two") != first
    deploy(cluster, "--tags", "dags", airflow_dags_release=first)
    assert probe(cluster, "one") == first
    assert f"{cluster.name}-dags" not in {one["metadata"]["name"] for one in cluster.get("pods")}
    assert deploy(cluster, "--tags", "dags", airflow_dags_release=first).changed == []


@pytest.mark.skipif(CELERY, reason="tasks have pods with the KubernetesExecutor alone")
def test_an_author_of_dags_gets_nothing_of_the_deployments_by_a_pod_override(cluster: Cluster, dags: Path) -> None:
    """What is refused fails its task, and there never was a pod: each would have left events, as the harmless one."""
    with cluster.api() as api:
        path = finish(cluster, api, "overrides")
        states = {name: api.get(f"{path}/taskInstances/{name}")["state"] for name in ("harmless", *REFUSED)}
    assert states == {"harmless": "success", **dict.fromkeys(REFUSED, "failed")}
    told = cluster.kubectl("logs", f"deployment/{cluster.name}-scheduler", "-c", "scheduler", "--tail=-1")
    assert [reason for reason in REFUSED.values() if reason not in told] == []
    pods = {one["involvedObject"]["name"] for one in cluster.get("events") if one["involvedObject"]["kind"] == "Pod"}
    assert {name.split("-")[1] for name in pods if name.startswith("overrides-")} == {"harmless"}


def test_broken_dags_are_refused_and_the_old_ones_stay(cluster: Cluster, dags: Path) -> None:
    (dags / "broken.py").write_text("import nothing_that_is_there\n")
    run = cluster.play("site.yml", "--tags", "dags", airflow_dags=str(dags))
    assert run.code and "nothing_that_is_there" in "\n".join(run.failures), run.failures
    (dags / "broken.py").unlink()
    assert probe(cluster, "one")


def test_what_cannot_be_proved_is_not_called_delivered(cluster: Cluster, dags: Path) -> None:
    cluster.kubectl("scale", f"deployment/{cluster.name}-api-server", "--replicas=0")
    cluster.kubectl("wait", "--for=delete", "pod", "-l", "component=api-server", "--timeout=100s")
    run = cluster.play("site.yml", "--tags", "dags", airflow_dags=str(dags))
    cluster.kubectl("scale", f"deployment/{cluster.name}-api-server", "--replicas=1")
    cluster.kubectl("rollout", "status", f"deployment/{cluster.name}-api-server", "--timeout=110s")
    assert run.code and "it is not proved that Airflow serves" in "\n".join(run.failures), run.failures


@pytest.mark.parametrize("served", [False, True], ids=["before", "after"])
def test_a_killed_delivery_is_completed(cluster: Cluster, dags: Path, tmp_path: Path, served: bool) -> None:
    """Its pod is left, and may still write; also where the DAGs are served and nothing is left to deliver."""
    version = f"killed {'after' if served else 'before'}"
    write(dags, version)
    pod, words, log = f"pod/{cluster.name}-dags", ("--tags", "dags"), tmp_path / "play.log"

    def reached() -> bool:
        said = "Wait until Airflow serves" in log.read_text()
        return said if served else pod in cluster.kubectl("get", "pods", "-oname").split()

    cluster.kill(reached, log, *words, airflow_dags=str(dags))
    assert pod in cluster.kubectl("get", "pods", "-oname").split()
    assert deploy(cluster, *words, airflow_dags=str(dags)).changed
    assert probe(cluster, version)
    assert pod not in cluster.kubectl("get", "pods", "-oname").split()
    assert deploy(cluster, *words, airflow_dags=str(dags)).changed == []


def test_a_killed_change_is_completed_and_touches_what_it_is_about(cluster: Cluster, tmp_path: Path) -> None:
    before = cluster.pods()
    log = tmp_path / "play.log"
    cluster.kill(lambda: "pending-upgrade" in cluster.records(), log, airflow_container_resources=MORE)
    run = deploy(cluster, "--tags", "data,airflow", airflow_container_resources=MORE)
    assert run.changed
    assert {component for uid, component in before.items() if uid not in cluster.pods()} == {"triggerer"}
    (pod,) = (one for one in cluster.running() if one["metadata"]["labels"].get("component") == "triggerer")
    assert pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "120m"
    assert deploy(cluster, "--tags", "data,airflow", airflow_container_resources=MORE).changed == []


def test_a_component_that_does_not_come_is_named_and_the_next_run_mends_it(cluster: Cluster) -> None:
    """Helm itself says no more than that its time is over."""
    before = cluster.pods()
    huge = {"triggerer": {"requests": {"cpu": "500"}, "limits": {"cpu": "500"}}}
    tags = ("--tags", "data,airflow")
    run = cluster.play("site.yml", *tags, airflow_container_resources=huge, airflow_health_timeout=30)
    said = "\n".join(run.failures)
    assert run.code and f"{cluster.name}-triggerer" in said and "Insufficient cpu" in said, said
    assert set(before) <= set(cluster.pods())
    deploy(cluster, *tags, airflow_container_resources=MORE)
    assert {component for uid, component in before.items() if uid not in cluster.pods()} <= {"triggerer"}
    assert deploy(cluster, *tags, airflow_container_resources=MORE).changed == []


def test_what_somebody_has_removed_or_scaled_is_put_back(cluster: Cluster) -> None:
    """Helm's record is still that of what is wanted. A queue without a worker is in no page of Airflow's own."""
    before, tags, scaled = cluster.pods(), ("--tags", "data,airflow"), "worker-heavy" if CELERY else "triggerer"
    gone = {"dag-processor", *(("worker", f"{cluster.name}-redis-0") if CELERY else ("triggerer",))}
    cluster.kubectl("scale", f"deployment/{cluster.name}-{scaled}", "--replicas=0")
    if CELERY:
        cluster.kubectl("wait", "--for=delete", "pod", "-l", "worker-set=heavy", "--timeout=100s")
        verified = cluster.play("site.yml", "--tags", "verify")
        assert verified.code and "Not running: worker-heavy" in "\n".join(verified.failures), verified.failures
    cluster.kubectl("delete", f"deployment/{cluster.name}-dag-processor", "--wait")
    cluster.kubectl("wait", "--for=delete", "pod", "-l", "component=dag-processor", "--timeout=100s")
    status = cluster.play("playbooks/status.yml")
    assert status.code and "No pod of component dag-processor is ready." in "\n".join(status.failures), status.failures
    assert not CELERY or "Nobody consumes queue heavy" in "\n".join(status.failures), status.failures
    if CELERY:
        cluster.kubectl("scale", f"statefulset/{cluster.name}-redis", "--replicas=0")
        cluster.kubectl("wait", "--for=delete", "pod", f"{cluster.name}-redis-0", "--timeout=100s")
        said = "\n".join(cluster.play("site.yml", "--tags", "verify").failures)
        assert re.search("Not running: .*redis", said), said
    check = deploy(cluster, "--check", airflow_container_resources=MORE)
    assert "A run would first start or put back: Deployment" in check.out, check.out
    run = deploy(cluster, *tags, airflow_container_resources=MORE)
    assert f"Deployment {cluster.name}-dag-processor is not there" in run.out
    assert f"Deployment {cluster.name}-{scaled} has 0 replicas and not 1" in run.out
    assert {component for uid, component in before.items() if uid not in cluster.pods()} <= gone
    assert sorted(before.values()) == sorted(cluster.pods().values())
    assert deploy(cluster, *tags, airflow_container_resources=MORE).changed == []


def test_what_somebody_has_edited_is_told_and_put_back(cluster: Cluster) -> None:
    """Kubernetes keeps the old pod beside one that can't start, so Airflow's own page tells nothing."""
    before, tags = cluster.pods(), ("--tags", "data,airflow")
    cluster.kubectl("set", "image", f"deployment/{cluster.name}-api-server", "api-server=absent.local/none:1")
    emptied = json.dumps({"data": {"airflow.cfg": ""}})
    cluster.kubectl("patch", "configmap", f"{cluster.name}-config", "--type=merge", "-p", emptied)
    verified = cluster.play("site.yml", "--tags", "verify")
    said = "\n".join(verified.failures)
    assert verified.code and f"Not running: {cluster.name}-api-server-" in said and "absent.local" in said, said
    # A second port with the node port of the first would come of applying it, so Kubernetes refuses to try that.
    moved = json.dumps([{"op": "replace", "path": "/spec/ports/0/port", "value": 8081}])
    cluster.kubectl("patch", "service", f"{cluster.name}-api-server", "--type=json", "-p", moved)
    check = deploy(cluster, "--check", airflow_container_resources=MORE, airflow_pools=[{"name": "p", "slots": 1}])
    assert "could not be asked" in check.out and "A run would first start or put back" in check.out, check.out
    run = deploy(cluster, *tags, airflow_container_resources=MORE)
    assert f"Service {cluster.name}-api-server has another spec" in run.out, run.out
    edited = r"Deployment \S+-api-server has another spec\.template\.spec\.containers\[\d\]\.image than it was given"
    assert re.search(edited, run.out), run.out
    assert f"ConfigMap {cluster.name}-config has another data.airflow.cfg than it was given" in run.out
    assert cluster.pods() == before
    assert deploy(cluster, *tags, airflow_container_resources=MORE).changed == []


def test_an_image_that_cannot_be_pulled_ends_the_play_before_anything_is_replaced(cluster: Cluster) -> None:
    before = cluster.pods()
    (image,) = {
        one["image"] for pod in cluster.running() for one in pod["spec"]["containers"] if one["name"] == "scheduler"
    }
    absent = f"{image.rpartition(':')[0]}:absent"
    run = cluster.play("site.yml", "--tags", "data,airflow", airflow_image=absent, airflow_image_load=False)
    said = "\n".join(run.failures)
    assert run.code and "its pod can't start: " in said and absent in said and "pull" in said, said
    assert cluster.pods() == before and absent not in cluster.kubectl("get", "jobs,pods", "-oyaml")


def foreign(
    cluster: Cluster, kind: str, version: str, component: str, command: str, **spec: object
) -> dict[str, object]:
    """What a release of the chart that somebody else made has, and ours has not."""
    labels = {"release": cluster.name, "tier": "airflow", "component": component}
    (pod, *_others) = (one for one in cluster.running() if one["metadata"]["labels"].get("component") == "scheduler")
    scheduler = pod["spec"]["containers"][0]
    container = {
        "name": "x", "image": scheduler["image"], "command": ["sh", "-c", command],
        **{key: scheduler[key] for key in ("resources", "securityContext")},
    }  # fmt: skip
    template = {"metadata": {"labels": labels}, "spec": {
        "containers": [container], "securityContext": pod["spec"]["securityContext"],
        **({"restartPolicy": "Never"} if kind == "Job" else {}),
    }}  # fmt: skip
    about = {"name": f"foreign-{component}", "labels": labels}
    return {"apiVersion": version, "kind": kind, "metadata": about, "spec": {"template": template, **spec}}


def test_a_changed_secret_restarts_those_who_have_it_and_what_is_foreign_goes(cluster: Cluster) -> None:
    before = cluster.pods()
    selector = {"matchLabels": {"release": cluster.name, "tier": "airflow", "component": "worker"}}
    workers = foreign(cluster, "StatefulSet", "apps/v1", "worker", IDLE, selector=selector, serviceName="x")
    job = foreign(cluster, "Job", "batch/v1", "create-user-job", "true")
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [workers, job]}))
    cluster.kubectl("wait", "--for=condition=complete", "job/foreign-create-user-job", "--timeout=100s")
    deploy(cluster, "--tags", "data,airflow", airflow_jwt_secret="x" * 40, airflow_container_resources=MORE)
    assert "foreign" not in cluster.kubectl("get", "statefulsets,jobs,pods", "-oname")
    assert cluster.secrets()["jwt_secret"] == "x" * 40
    left = {component for uid, component in before.items() if uid not in cluster.pods()}
    assert left == {"api-server", "scheduler"}


def test_what_runs_is_drained_and_stopped_before_its_schema_changes(cluster: Cluster, dags: Path) -> None:
    """The last migration is taken back, and a task runs on while the play finds that out."""
    (dags / "sleeper.py").write_text(SLEEPER)
    deploy(cluster, "--tags", "dags", airflow_dags=str(dags))
    before = cluster.pods()
    with cluster.api() as api:
        run = api.request("POST", "/api/v2/dags/sleeper/dagRuns", body={"logical_date": None})
        path = f"/api/v2/dags/sleeper/dagRuns/{urllib.parse.quote(run['dag_run_id'])}"
        deadline = time.monotonic() + 200
        while api.get(f"{path}/taskInstances/sleep")["state"] != "running" and time.monotonic() < deadline:
            time.sleep(1)
    # What an Airflow 2 of somebody else has where ours has an api-server.
    selector = {"matchLabels": {"release": cluster.name, "tier": "airflow", "component": "webserver"}}
    webserver = foreign(cluster, "Deployment", "apps/v1", "webserver", IDLE, selector=selector)
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(webserver))
    query(cluster, f"{UNDO}; UPDATE alembic_version SET version_num = '{BEFORE_LAST}'")
    run = deploy(cluster, "--tags", "data,airflow", airflow_admin_email="other@example.org")
    assert "Stop what works with the old schema" in run.out
    assert query(cluster, "SELECT version_num FROM alembic_version") == LAST
    scale = ("get", "deployment", "foreign-webserver", "-o", "jsonpath={.spec.replicas}")
    assert cluster.kubectl(*scale) == "0"
    cluster.kubectl("delete", "deployment", "foreign-webserver")
    assert not set(before) & {uid for uid, component in cluster.pods().items() if component in RUNNING}
    with cluster.api() as api:
        task = api.get(f"{path}/taskInstances/sleep")
    jobs = [one for one in cluster.get("jobs") if "migrate" in one["metadata"]["name"]]
    assert task["state"] == "success" and [task["end_date"] < one["status"]["startTime"] for one in jobs] == [True]
    assert deploy(cluster, "--tags", "data,airflow", airflow_admin_email="other@example.org").changed == []


def test_the_administrator_logs_in_with_the_declared_password(cluster: Cluster) -> None:
    declared = {"airflow_admin_email": "other@example.org", "airflow_admin_password": "declared-when-it-ran-long"}
    deploy(cluster, "--tags", "data,airflow", **declared)
    assert cluster.secrets()["admin_password"] == declared["airflow_admin_password"]
    with cluster.api() as api:
        assert api.get("/api/v2/pools")["pools"]
    assert deploy(cluster, "--tags", "data,airflow", **declared).changed == []


def test_lost_secrets_are_not_made_anew(cluster: Cluster) -> None:
    kept = json.loads(cluster.kubectl("get", "secret", f"{cluster.name}-secrets", "-ojson"))
    cluster.kubectl("delete", "secret", f"{cluster.name}-secrets")
    run = cluster.play("site.yml", "--tags", "data")
    said = "\n".join(run.failures)
    assert run.code and "fernet_key" in said and "restore it" in said, said
    kept["metadata"] = {key: kept["metadata"][key] for key in ("name", "namespace", "labels")}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(kept))
    assert deploy(cluster, "--tags", "data").changed == []


def test_a_computer_that_was_restarted(cluster: Cluster) -> None:
    """Its nodes are containers that stay stopped; what was in them comes up in no order."""
    deploy(cluster)
    label = f"label=io.x-k8s.kind.cluster={cluster.kind['name']}"
    nodes = cluster.run("docker", "ps", "-q", "--filter", label).split()
    cluster.run("docker", "stop", "-t", "20", *nodes)
    deploy(cluster)
    assert deploy(cluster).changed == []


def test_status(cluster: Cluster) -> None:
    run = cluster.play("playbooks/status.yml")
    assert run.code == 0, run.failures
    ((_name, _host, shown),) = run.results("Show the deployment")
    text = "\n".join(shown["msg"])
    assert all(re.search(rf"{cluster.name}-{one}\S* +{one} +Running", text) for one in RUNNING), text
    assert "secrets are 0 days old" in text, text
    assert re.search(rf"{cluster.name}-scheduler\S* .* \d+s ", text), text
    assert not CELERY or all(f"queue {one}: 0 messages wait" in text for one in ("default", "heavy")), text


def ended_task(cluster: Cluster) -> dict[str, object]:
    """The pod of a task that has failed, which is kept to be looked at."""
    pods = [pod["spec"] for pod in cluster.running()]
    like, of = next((pod, one) for pod in pods for one in pod["containers"] if one["name"] == "scheduler")
    about = {"release": cluster.name, "component": "worker", "kubernetes_executor": "True", "dag_id": "d"}
    container = {
        "name": "base", "image": of["image"], "command": ["false"], "securityContext": of["securityContext"],
        "volumeMounts": [{"name": "logs", "mountPath": "/logs"}],
    }  # fmt: skip
    spec = {
        "restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container],
        "securityContext": like["securityContext"],
        "volumes": [{"name": "logs", "persistentVolumeClaim": {"claimName": f"{cluster.name}-logs"}}],
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ended", "labels": about}, "spec": spec}


def test_cleanup_removes_what_was_made(cluster: Cluster) -> None:
    refused = cluster.play("playbooks/cleanup.yml")
    assert refused.code and "Nothing was changed" in "\n".join(refused.failures)
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(ended_task(cluster)))
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/ended", "--timeout=100s")
    tags = ("--tags", "airflow,data")
    run = cluster.play("playbooks/cleanup.yml", *tags, airflow_confirm=cluster.name)
    assert run.code == 0 and run.changed, run.failures
    assert cluster.name not in cluster.run("kubectl", "get", "namespaces", "-oname")
    deadline = time.monotonic() + 60  # the provisioner of volumes takes its time
    while (volumes := cluster.run("kubectl", "get", "persistentvolumes", "-oname")) and time.monotonic() < deadline:
        time.sleep(1)
    assert volumes == ""
    again = cluster.play("playbooks/cleanup.yml", *tags, airflow_confirm=cluster.name)
    assert (again.code, again.changed) == (0, []), again.failures
    run = cluster.play("playbooks/cleanup.yml", airflow_confirm=cluster.name)
    assert run.code == 0 and cluster.kind["name"] not in cluster.run("kind", "get", "clusters"), run.failures
