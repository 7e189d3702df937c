# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""inventories/cluster: a namespace, a PostgreSQL and Secrets that a site has, and refusals of what it lacks.

The tests run in the order in which they stand; the last one leaves the namespace as it was.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import pty
import select
import socket
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight import engine
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.rules.cluster_found import (
    rights,
    rights_elsewhere,
)
from cluster import Cluster
from deployment import PLAIN, ROOT, deploy
from preflight_case import CONTRACT, given

PORT = 9400
PASSWORD = "of-the-site-5ecret"
REFERENCES = {"database_password": {"name": "site", "key": "database"}, "fernet_key": {"name": "site", "key": "fernet"}}
FERNET = base64.urlsafe_b64encode(os.urandom(32)).decode()
LAUNCHER = '''
import json, ssl, urllib.error, urllib.request
from airflow.sdk import DAG, task

def ask(path, body=None):
    held = "/var/run/secrets/kubernetes.io/serviceaccount/"
    place = "https://kubernetes.default.svc/api/v1/namespaces/" + path
    headers = {"Content-Type": "application/json", "Authorization": "Bearer " + open(held + "token").read()}
    asked = urllib.request.Request(place, body and json.dumps(body).encode(), headers)
    try:
        return urllib.request.urlopen(asked, context=ssl._create_unverified_context()).status
    except urllib.error.HTTPError as error:
        return error.code

with DAG("launcher", schedule=None, catchup=False, is_paused_upon_creation=False):
    @task
    def launch():
        pod = {"metadata": {"name": "launched"}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
        assert ask("jobs/pods", pod) == 201
        assert ask("airflow/pods", pod) == 403
        assert ask("airflow/secrets") == 403
    launch()
'''


class Site(Cluster):
    """The example's inventory on the cluster of this scenario."""

    def __init__(self) -> None:
        super().__init__("cluster")
        self.inventory, self.name, self.executor = ROOT / "inventories" / "cluster", "airflow", "KubernetesExecutor"

    def apply(self, *objects: dict[str, Any]) -> None:
        text = yaml.safe_dump_all([{"apiVersion": "v1", **one} for one in objects])
        self.run("kubectl", "apply", "-f", "-", stdin=text)

    def space(self, fernet: str = FERNET) -> None:
        """The namespace as the site makes it, with the secrets that are the site's."""
        secret = {"stringData": {"database": PASSWORD, "fernet": fernet}}
        self.apply(
            {"kind": "Namespace", "metadata": {"name": "airflow"}},
            {"kind": "Secret", "metadata": {"name": "site", "namespace": "airflow"}, **secret},
        )

    def kubeconfig_of(self, account: str, directory: Path) -> str:
        """With a token of this account in place of the administrator's certificate."""
        whole = yaml.safe_load(Path(self.kubeconfig).read_text())
        whole["users"][0]["user"] = {"token": self.kubectl("create", "token", account).strip()}
        (directory / "kubeconfig").write_text(json.dumps(whole))
        return str(directory / "kubeconfig")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    here = Site()
    own = os.environ.get("AIRFLOW_KIND_VARS", "")
    image = yaml.safe_load(Path(own[1:]).read_text())["airflow_postgresql_image"] if own else "postgres:17"
    server = {
        "name": "postgresql", "image": image, "ports": [{"containerPort": 5432}],
        "env": [{"name": f"POSTGRES_{key}", "value": value}
                for key, value in (("USER", "airflow"), ("DB", "airflow"), ("PASSWORD", PASSWORD))],
        "readinessProbe": {"exec": {"command": ["pg_isready", "-h", "127.0.0.1"]}},
    }  # fmt: skip
    here.space()
    here.apply(
        *({"kind": "Namespace", "metadata": {"name": name}} for name in ("jobs", "database")),
        {"kind": "Pod", "metadata": {"name": "postgresql", "namespace": "database", "labels": {"app": "postgresql"}},
         "spec": {"containers": [server]}},
        {"kind": "Service", "metadata": {"name": "postgresql", "namespace": "database"},
         "spec": {"selector": {"app": "postgresql"}, "ports": [{"port": 5432}]}},
    )  # fmt: skip
    here.run("kubectl", "-n", "database", "wait", "--for=condition=Ready", "pod/postgresql", "--timeout=100s")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("K8S_AUTH_KUBECONFIG", here.kubeconfig)
        patch.setenv("K8S_AUTH_CONTEXT", f"kind-{here.kind['name']}")
        patch.setenv("AIRFLOW_DATABASE_HOST", "postgresql.database")
        patch.delenv("AIRFLOW_DATABASE_PASSWORD", raising=False)
        yield here


def objects(site: Site) -> str:
    kinds = "pods,jobs,deployments,statefulsets,services,configmaps,secrets,persistentvolumeclaims,roles,rolebindings"
    return site.run("kubectl", "get", kinds, "-n", "airflow", "-oname") + site.run(
        "kubectl", "get", "roles,rolebindings", "-n", "jobs", "-oname")


def tables(site: Site) -> int:
    """How many of two of Airflow's tables the site's database has."""
    query = "SELECT count(*) FROM pg_tables WHERE tablename IN ('dag_run', 'connection')"
    query = f'PGPASSWORD={PASSWORD} psql -h 127.0.0.1 -U airflow -tAc "{query}"'
    return int(site.run("kubectl", "-n", "database", "exec", "postgresql", "--", "sh", "-c", query))


def refused(site: Site, **variables: Any) -> str:
    """What a run that is refused says; it changes nothing."""
    before = objects(site)
    run = site.play("site.yml", airflow_secret_references=REFERENCES, **variables)
    assert run.code and not run.changed and objects(site) == before
    return "\n".join(run.failures)


def test_what_a_site_lacks_is_said_before_anything_changes(site: Site) -> None:
    assert "there is no way to a cluster" in refused(site, airflow_kube_context="not-there")
    assert "there is no such class; known are standard" in refused(site, airflow_storage_class="fast")
    assert "and the chart that is meant has sha256:00" in refused(site, airflow_chart_digest=f"sha256:{'0' * 64}")
    assert "airflow_task_pods_namespace: 'none' - is not there" in refused(site, airflow_task_pods_namespace="none")
    missing = {**REFERENCES, "jwt_secret": {"name": "absent", "key": "x"}}
    run = site.play("site.yml", airflow_secret_references=missing)
    assert run.code and "jwt_secret is to come from Secret absent, which is not there" in "\n".join(run.failures)


def test_a_quota_that_is_too_small_is_refused(site: Site) -> None:
    hard = {"requests.cpu": "300m", "pods": "20"}
    place = {"name": "small", "namespace": "airflow"}
    site.apply({"kind": "ResourceQuota", "metadata": place, "spec": {"hard": hard}})
    deadline = time.monotonic() + 30
    while "requests.cpu" not in site.kubectl("get", "resourcequota", "small", "-o", "jsonpath={.status.hard}"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    said = refused(site)
    site.kubectl("delete", "resourcequota", "small")
    assert "quota small leaves 0.3 requests.cpu" in said, said


def test_a_range_of_limits_that_ours_exceed_is_said_by_kubernetes_itself(site: Site) -> None:
    place = {"name": "narrow", "namespace": "airflow"}
    limits = {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}
    site.apply({"kind": "LimitRange", "metadata": place, "spec": limits})
    said = refused(site)
    site.kubectl("delete", "limitrange", "narrow")
    assert "takes no pod of ours" in said and "maximum memory usage per Container is 1Gi" in said, said


def test_missing_rights_are_listed(site: Site, tmp_path: Path) -> None:
    """With the token of an account that may only look."""
    place = {"name": "looker", "namespace": "airflow"}
    site.apply({"kind": "ServiceAccount", "metadata": place})
    role = ["--clusterrole=view", "--serviceaccount=airflow:looker"]
    site.kubectl("create", "rolebinding", "looker", *role)
    looker = site.kubeconfig_of("looker", tmp_path)
    said = refused(site, airflow_kubeconfig=looker)
    removal = site.play("playbooks/cleanup.yml", airflow_confirm="airflow", airflow_kubeconfig=looker)
    password = site.play("playbooks/password.yml", airflow_kubeconfig=looker)
    site.kubectl("delete", "rolebinding/looker", "serviceaccount/looker")
    why = "\n".join(removal.failures)
    assert removal.code and "can't be removed, and nothing was" in why, why
    assert "may not delete, get, list secrets" in why, why
    why = "\n".join(password.failures)
    assert password.code and "Kubernetes refuses: secrets" in why and "cannot get resource" in why, why
    assert "its user may not create, delete, patch, update deployments.apps" in said, said
    assert "may not create, delete, get, list, patch, update secrets" in said and "create, get pods/exec" in said, said


@pytest.fixture(scope="module")
def deployer(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The kubeconfig of an account that may do what preflight asks for, and nothing else."""
    groups = {"airflow": ["c"], "airflow_cluster": ["c"]}
    declared = {"airflow_executor": site.executor, "airflow_task_pods_namespace": "jobs"}
    host = engine.deployment(CONTRACT, groups, given(declared, groups, {}))[0].hosts["c"]
    site.apply({"kind": "ServiceAccount", "metadata": {"name": "deployer", "namespace": "airflow"}})
    for namespace, wanted in {"airflow": rights(host), **rights_elsewhere(host)}.items():
        about = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "deployer", "namespace": namespace}}
        parts = [(resource.partition("."), verbs) for resource, verbs in wanted.items()]
        rules = [{"apiGroups": [group], "resources": [name], "verbs": verbs} for (name, _dot, group), verbs in parts]
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"}
        who = {"kind": "ServiceAccount", "name": "deployer", "namespace": "airflow"}
        site.apply(
            {"kind": "Role", **about, "rules": rules},
            {"kind": "RoleBinding", **about, "roleRef": role, "subjects": [who]},
        )
    return site.kubeconfig_of("deployer", tmp_path_factory.mktemp("deployer"))


@pytest.fixture(scope="module")
def variables(deployer: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    dags = tmp_path_factory.mktemp("dags")
    (dags / "launcher.py").write_text(LAUNCHER)
    return {
        "airflow_kubeconfig": deployer,
        "airflow_secret_references": REFERENCES,
        "airflow_task_pods_namespace": "jobs",
        # Where a log-in leads a browser back to.
        "airflow_config": {"api": {"base_url": f"http://localhost:{PORT}"}},
        "airflow_dags": str(dags),
        "airflow_volume_sizes": {"logs": "1Gi", "dags": "1Gi"},
        "airflow_health_timeout": 600,
        "airflow_dags_timeout": 400,
        "airflow_verify_timeout": 400,
    }


def test_a_whole_run_and_a_second_one(site: Site, variables: dict[str, Any]) -> None:
    """With an account that has just the rights that are asked for."""
    run = deploy(site, **variables)
    assert "enforces no level of Pod Security" in run.out
    assert deploy(site, **variables).changed == []
    held = site.secrets()
    assert (held["database_password"], held["fernet_key"]) == (PASSWORD, FERNET)
    labels = json.loads(site.run("kubectl", "get", "namespace", "airflow", "-ojson"))["metadata"]["labels"]
    assert not [one for one in labels if "pod-security" in one]
    assert "postgresql" not in " ".join(site.pods().values())


def test_tasks_launch_pods_elsewhere_and_only_there(site: Site) -> None:
    with site.api() as api:
        run = api.request("POST", "/api/v2/dags/launcher/dagRuns", body={"logical_date": None})
        path = f"/api/v2/dags/launcher/dagRuns/{urllib.parse.quote(run['dag_run_id'])}"
        deadline = time.monotonic() + 300
        while api.get(path)["state"] in ("queued", "running") and time.monotonic() < deadline:
            time.sleep(2)
        log = str(api.get(f"{path}/taskInstances/launch/logs/1"))
        assert api.get(path)["state"] == "success", log
    assert "pod/launched" in site.run("kubectl", "get", "pods", "-n", "jobs", "-oname")
    status = site.play("playbooks/status.yml", airflow_task_pods_namespace="jobs")
    assert "Tasks may launch pods in namespace jobs" in status.out, status.failures


def test_a_browser_sees_the_canary_green_until_ctrl_c(site: Site) -> None:
    """By the playbook that leads a port of this computer to the UI, as a person in a terminal runs it."""
    command = site.command("playbooks/ui.yml", airflow_forward_port=PORT)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execvp(command[0], command)
    said, deadline = "", time.monotonic() + 100
    while "Ctrl-C ends this" not in said:
        assert time.monotonic() < deadline, said
        if select.select([terminal], [], [], 1)[0]:
            said += os.read(terminal, 4096).decode(errors="replace")
    assert f"http://localhost:{PORT} is the UI of airflow" in said
    where = {"AIRFLOW_TEST_INVENTORY": str(site.inventory), "AIRFLOW_TEST_URL": f"http://localhost:{PORT}"}
    run = site.said(["pytest", "-q", "-p", "no:cacheprovider", "tests/browser"], {**PLAIN, **where})
    os.write(terminal, b"\x03")
    _pid, status = os.waitpid(pid, 0)
    assert run.code == 0, run.out[-6000:]
    assert os.waitstatus_to_exitcode(status) == 0
    with socket.socket() as nobody:
        assert nobody.connect_ex(("127.0.0.1", PORT)) == errno.ECONNREFUSED


def test_a_lost_namespace_comes_again_with_its_key_and_not_with_another(site: Site, variables: dict[str, Any]) -> None:
    """The database is elsewhere and has stayed: what is encrypted in it would be lost by a new key."""
    del variables["airflow_kubeconfig"]  # its account went with the namespace
    site.run("kubectl", "delete", "namespace", "airflow", "--timeout=200s", timeout=240)
    site.space(base64.urlsafe_b64encode(os.urandom(32)).decode())
    run = site.play("site.yml", **variables)
    assert run.code and "encrypted with another Fernet key" in "\n".join(run.failures), run.failures or run.out[-3000:]
    assert "deployment" not in objects(site)
    run = site.play("playbooks/cleanup.yml", airflow_confirm="airflow", **variables)
    assert run.code == 0 and "No api-server is ready" in run.out and "they stay" in run.out, run.failures
    assert tables(site) == 2
    site.space()
    deploy(site, **variables)
    assert deploy(site, **variables).changed == []


def test_cleanup_leaves_what_is_the_sites(site: Site, variables: dict[str, Any]) -> None:
    run = site.play("playbooks/cleanup.yml", airflow_confirm="airflow", **variables)
    assert run.code == 0, run.failures
    own = [f"{kind}.rbac.authorization.k8s.io/deployer" for kind in ("role", "rolebinding")]  # of namespace jobs
    assert sorted(objects(site).split()) == sorted(["configmap/kube-root-ca.crt", "secret/site", *own])
    assert tables(site) == 0
