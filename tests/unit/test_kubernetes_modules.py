# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules of a cluster decide by themselves; Kubernetes' answers are seen on a real one (molecule/cluster)."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.filter.kubernetes_plan import kubernetes_plan
from ansible_collections.windward.airflow.plugins.module_utils._kubernetes import text
from ansible_collections.windward.airflow.plugins.module_utils._kubernetes_api import Api, KubernetesError, NotThere
from ansible_collections.windward.airflow.plugins.modules import kubernetes_job, kubernetes_objects
from ansible_collections.windward.airflow.plugins.modules.kubernetes_secret_store import referred
from chart_case import COMPONENTS, DEPLOYMENT, SECRETS
from cluster_api import ClusterApi, pod
from test_modules_host import run


class Store:
    def read(self, name: str) -> tuple[dict[str, str] | None, str]:
        held = {"key": b"of the site", "empty": b"", "line": b"of a file\n", "binary": b"\xfe\xed"}
        secret = {"data": {key: base64.b64encode(value).decode() for key, value in held.items()}}
        return (text(secret), "1") if name == "site" else (None, "")


def test_a_secret_that_somebody_else_keeps() -> None:
    assert referred(Store(), {"jwt_secret": {"name": "site", "key": "key"}}) == {"jwt_secret": "of the site"}


@pytest.mark.parametrize(
    ("name", "key", "says"),
    [
        ("other", "key", "jwt_secret is to come from Secret other, which is not there"),
        ("site", "other", "jwt_secret is to come from Secret site, which has no other"),
        ("site", "empty", "which has no empty"),
        ("site", "line", "whose line has white space around it"),  # with it nobody would log in
        ("site", "binary", "whose binary .* is no text"),
    ],
)
def test_one_that_is_not_there(name: str, key: str, says: str) -> None:
    with pytest.raises(KubernetesError, match=says):
        referred(Store(), {"jwt_secret": {"name": name, "key": key}})


def test_another_migration_is_another_release_and_restarts_nothing() -> None:
    """What was stopped for it is started by an upgrade."""

    def plan(**differs: Any) -> dict[str, Any]:
        return kubernetes_plan({**DEPLOYMENT, **differs}, COMPONENTS, SECRETS)

    first, other = plan(), plan(accounts=[{**DEPLOYMENT["accounts"][0], "email": "other@example.com"}])
    annotations = [one["values"]["apiServer"]["service"].pop("annotations") for one in (first, other)]
    assert annotations[0] != annotations[1] and first["values"] == other["values"]


@pytest.mark.parametrize("name", ["K8S_AUTH_HOST", "K8S_AUTH_IMPERSONATE_USER", "HELM_KUBECONTEXT", "HELM_DRIVER"])
def test_one_way_leads_to_the_cluster(monkeypatch: Any, name: str) -> None:
    """kubernetes.core or helm would take another one, or leave its records elsewhere."""
    monkeypatch.setenv(name, "x")
    said = run("cluster_found", namespace="airflow")["msg"]
    assert said.startswith(f"The cluster can't be looked at: {name} in the environment")


@pytest.mark.parametrize("content", ["users: [", "[1, 2]", "token: 5ecret: 5ecret", "\\x00"])
def test_a_file_that_is_no_kubeconfig(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    said = run("cluster_found", namespace="airflow", kubeconfig=str(path))["msg"]
    assert f"there is no way to a cluster: it is no kubeconfig ({path})" in said and "5ecret" not in said


HELM = """#!/bin/sh
grep -q LocalExecutor && { echo "Error: values don't meet the specifications of the schema(s)" >&2; exit 1; }
echo "$*" > "$0.asked"
"""


@pytest.fixture
def chart(tmp_path: Path) -> dict[str, Any]:
    """An archive that is the one that is meant, and a helm that takes one value for wrong."""
    archive, helm, schema = tmp_path / "airflow.tgz", tmp_path / "helm", b'{"properties": {"executor": {}}}'
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in (("values.schema.json", schema), ("Chart.yaml", b"version: 1.22.0")):
            about = tarfile.TarInfo(f"airflow/{name}")
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    helm.write_text(HELM)
    helm.chmod(0o755)
    meant = hashlib.sha256(archive.read_bytes()).hexdigest()
    about = {"path": str(archive), "sha256": meant, "version": "1.22.0"}
    return {**about, "helm": str(helm), "name": "one", "namespace": "two"}


@pytest.mark.parametrize("check", [False, True])
def test_a_chart_that_takes_its_values(chart: dict[str, Any], check: bool) -> None:
    assert run("chart_tried", check, **chart, values={"executor": "CeleryExecutor"})["changed"] is False
    asked = Path(f"{chart['helm']}.asked").read_text().split()
    assert asked == ["template", "one", chart["path"], "--namespace", "two", "--values", "-"]


def test_what_was_accepted_is_not_tried_again(chart: dict[str, Any], tmp_path: Path) -> None:
    """Until the chart, the values or helm itself is another; what was refused is refused again."""
    asked, memory = Path(f"{chart['helm']}.asked"), tmp_path / "cache" / "tried"

    def tried(**values: Any) -> bool:
        asked.unlink(missing_ok=True)
        assert run("chart_tried", True, **chart, memory=str(memory), values=values)["changed"] is False
        return asked.exists()

    assert [tried(executor="a"), tried(executor="a"), tried(executor="b"), tried(executor="b")] == [True, False] * 2
    for _number in range(2):
        assert run("chart_tried", **chart, memory=str(memory), values={"executor": "LocalExecutor"})["failed"]
    assert not tried(executor="b")
    Path(chart["helm"]).write_text(f"{HELM}# newer\n")
    assert tried(executor="b")
    memory.unlink()
    memory.mkdir()
    assert [tried(executor="b"), tried(executor="b")] == [True, True]


@pytest.mark.parametrize(
    ("differs", "says"),
    [
        ({"path": "/nowhere/airflow.tgz"}, "There is no chart /nowhere/airflow.tgz: No such file or directory"),
        ({"sha256": "0" * 64}, f", and the chart that is meant has sha256:{'0' * 64}"),
        ({"version": "1.21.0"}, "airflow.tgz is version 1.22.0 of its chart, and the one that is meant is 1.21.0"),
        ({"values": {"nonsense": 1}}, "airflow.tgz does not know the values nonsense"),
        ({"values": {"executor": "LocalExecutor"}}, "airflow.tgz does not take its values: Error: values don't"),
    ],
)
def test_a_chart_that_is_refused(chart: dict[str, Any], differs: dict[str, Any], says: str) -> None:
    refused = run("chart_tried", True, **{**chart, **differs})
    assert refused["failed"] and says in refused["msg"]


class Batch:
    """A Job that gets a pod and ends well, after a former one of its name got none."""

    def __init__(self) -> None:
        self.jobs: list[Any] = []
        self.events = [("former", "exceeded quota: small")]
        self.pods: list[Any] = []

    def post(self, _path: str, body: Any) -> None:
        self.jobs.append({**body, "metadata": {**body["metadata"], "uid": "later"}})

    def get(self, _path: str) -> Any:
        if not self.jobs:
            raise NotThere("it is not there")
        return self.jobs[0]

    def items(self, path: str, **query: str) -> Any:
        if not path.endswith("/events"):
            return self.pods
        self.jobs[0]["status"] = {"succeeded": 1}  # by the time that it is asked for again
        asked = query["fieldSelector"]
        return [{"reason": "FailedCreate", "message": said} for uid, said in self.events
                if asked == f"involvedObject.uid={uid}" or "name" in asked]  # fmt: skip

    def delete(self, _path: str, **_query: str) -> None:
        self.jobs.clear()


@pytest.mark.parametrize("refused", [False, True])
def test_what_was_said_of_a_former_job_is_not_said_of_this_one(monkeypatch: Any, refused: bool) -> None:
    cluster = Batch()
    cluster.events += [("later", "violates PodSecurity")] * refused
    monkeypatch.setattr(kubernetes_job, "cluster", lambda _module: cluster)
    definition = {"metadata": {"name": "migrate", "labels": {"a": "b"}}}
    job = kubernetes_job.Job(SimpleNamespace(params={"namespace": "airflow", "definition": definition}))
    job.make()
    with pytest.raises(KubernetesError, match="can't start: violates PodSecurity") if refused else nullcontext():
        job.run(10, 10)


@pytest.mark.parametrize("patience", [0, 10])
def test_a_job_that_no_node_takes_is_not_waited_for_as_long_as_it_may_take(monkeypatch: Any, patience: int) -> None:
    """A node may have to be made first."""
    cluster, told = Batch(), {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    cluster.pods = [{"metadata": {"name": "migrate-x"}, "status": {"conditions": [told]}}]
    monkeypatch.setattr(kubernetes_job, "cluster", lambda _module: cluster)
    definition = {"metadata": {"name": "migrate", "labels": {"a": "b"}}}
    job = kubernetes_job.Job(SimpleNamespace(params={"namespace": "airflow", "definition": definition}))
    job.make()
    says = "can't start: 0/1 nodes are available" if not patience else "it took longer than 1 s"
    monkeypatch.setattr(job, "log", lambda: "")
    with pytest.raises(KubernetesError, match=says):
        job.run(1, patience)
    assert bool(cluster.jobs) is bool(patience)


SERVER: dict[str, Any] = {
    "kind": "StatefulSet", "metadata": {"name": "s", "generation": 2},
    "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "s"}}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "lacks"),
    [
        ({"observedGeneration": 2, "readyReplicas": 1, "updatedReplicas": 1}, ""),
        ({"observedGeneration": 1, "readyReplicas": 1, "updatedReplicas": 1}, "its controller has not seen it."),
        ({"observedGeneration": 2, "readyReplicas": 1}, "0 of 1 pods are ready."),  # the pod of before
        ({"observedGeneration": 2, "updatedReplicas": 1}, "0 of 1 pods are ready."),
    ],
)
def test_whether_all_pods_are_ready_and_as_declared(status: dict[str, int], lacks: str) -> None:
    """As Kubernetes gives it: a number that is 0 it leaves out."""
    assert kubernetes_objects.lacks({**SERVER, "status": status}) == lacks


def test_what_keeps_pods_from_being_ready_is_said(tmp_path: Path) -> None:
    waiting = pod("s-0", ready=False)
    told = {"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available."}
    waiting["status"] = {"phase": "Pending", "conditions": [told]}
    with ClusterApi() as cluster, Api(cluster.kubeconfig(tmp_path)) as api:
        cluster.pods = [waiting]
        found = kubernetes_objects.Objects(api, "airflow").why(SERVER)
    assert found == ["s-0 is Pending. 0/2 nodes are available."]


def test_volumes_to_come_stay_as_they_are() -> None:
    """Kubernetes would refuse the whole object, and for ever: the volume itself may have been grown by hand."""
    there, other = ({**SERVER, "spec": {"replicas": n, "volumeClaimTemplates": [n]}} for n in (1, 2))
    assert kubernetes_objects.lasting(other, there)["spec"] == {"replicas": 2, "volumeClaimTemplates": [1]}
    assert kubernetes_objects.lasting(other, {}) == other


def test_a_job_that_does_not_go_is_not_waited_for_without_end(monkeypatch: Any) -> None:
    cluster = Batch()
    monkeypatch.setattr(cluster, "delete", lambda _path, **_query: None)
    monkeypatch.setattr(kubernetes_job, "cluster", lambda _module: cluster)
    monkeypatch.setattr(kubernetes_job, "REMOVAL", 0)
    params = {"namespace": "airflow", "definition": {"metadata": {"name": "migrate"}}}
    job = kubernetes_job.Job(SimpleNamespace(params=params))
    job.make()
    with pytest.raises(KubernetesError, match="migrate was removed, but its pods do not go"):
        job.remove("migrate")
