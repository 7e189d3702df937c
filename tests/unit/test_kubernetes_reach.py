# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Steps 5 to 7 and status on Kubernetes: pods as hosts, the pod that writes, the table, a port of this computer."""

from __future__ import annotations

import copy
import http.client
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.windward.airflow.plugins.action.service_forward import Forwarder
from ansible_collections.windward.airflow.plugins.filter.cluster_table import (
    cluster_table,
    pods_told,
    running_components,
    unready_pods,
)
from ansible_collections.windward.airflow.plugins.filter.component_pods import component_pods
from ansible_collections.windward.airflow.plugins.filter.writing_pod import writing_pod
from ansible_collections.windward.airflow.plugins.lookup import cluster_way
from ansible_collections.windward.airflow.plugins.module_utils import _release
from ansible_collections.windward.airflow.plugins.module_utils._pods import Pods
from ansible_collections.windward.airflow.plugins.modules.dag_gate import OF_A_POD, context
from api_script import ScriptedApi
from cluster_api import ClusterApi, pod

ROOT = Path(__file__).parents[2]
MOUNTS = [{"name": "dags", "mountPath": "/opt/airflow/dags", "readOnly": True}, {"name": "config", "mountPath": "/c"}]
RESTRICTED = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def one(name: str, component: str = "dag-processor", **labels: str) -> dict[str, Any]:
    """A pod as Kubernetes describes it."""
    about = {"component": component, "release": "airflow", "tier": "airflow", **labels}
    container = {"name": component, "image": "a:1", "env": [{"name": "A"}], "volumeMounts": MOUNTS, "livenessProbe": {}}
    status = {"name": component, "imageID": f"reg/a@sha256:{'1' * 64}", "restartCount": 2, "state": {"running": {}}}
    return {
        "metadata": {"name": name, "namespace": "airflow", "labels": about, "annotations": {"checksum": "1"}},
        "spec": {
            "containers": [container, {"name": "sidecar"}], "nodeName": "node-1", "securityContext": RESTRICTED,
            "volumes": [{"name": "dags"}], "serviceAccountName": "airflow-dag-processor",
        },
        "status": {
            "phase": "Running", "startTime": "2026-11-22T05:00:00Z", "containerStatuses": [status],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
        },
    }  # fmt: skip


def changed(found: dict[str, Any], *path: str, value: Any) -> dict[str, Any]:
    found = copy.deepcopy(found)
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return found


FOUND = {"__kubernetes_found": {"found": {"context": "looked-at"}}}


@pytest.mark.parametrize(
    ("variables", "context"),
    [
        ({"airflow_kube_context": "given", "airflow_kind_cluster": {}, **FOUND}, "given"),
        ({"airflow_kind_cluster": {"name": "small"}}, "kind-small"),
        ({"airflow_kind_cluster": {}, **FOUND}, "kind-one"),
        (FOUND, "looked-at"),
        ({}, ""),  # that of the environment, or the current one
        ({"__kubernetes_found": {"failed": True}}, ""),
    ],
)
def test_a_run_stays_with_one_context(variables: dict[str, Any], context: str) -> None:
    role = DataLoader().load_from_file(str(ROOT / "roles/kubernetes/vars/main.yml"), trusted_as_template=True)
    templar = Templar(
        loader=DataLoader(), variables={"airflow_name": "one", "airflow_kube_context": "", **variables}
    )
    assert templar.template(role["__kubernetes_context"]) == context


KUBECONFIG = {
    "clusters": [{"name": "s", "cluster": {"server": "http://h"}}],
    "contexts": [{"name": "current", "context": {"cluster": "s"}}],
    "current-context": "current",
}


@pytest.mark.parametrize(
    ("given", "environment", "kubeconfig", "context"),
    [
        (("a:~/b", "c"), {}, "{here}/a:{home}/b", "c"),
        (("", ""), {"KUBECONFIG": ":k", "K8S_AUTH_CONTEXT": "theirs"}, "{here}/k", "theirs"),
        (("", ""), {"KUBECONFIG": "a", "K8S_AUTH_KUBECONFIG": "k"}, "{here}/k", "current"),
        (("", ""), {}, "{home}/.kube/config", ""),
    ],
)
def test_the_way_to_a_cluster_in_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: Any, environment: dict[str, str], kubeconfig: str,
    context: str,
) -> None:  # fmt: skip
    """Modules run in another directory, and some ask the cluster that they run in unless they are told a context."""
    (tmp_path / "k").write_text(json.dumps(KUBECONFIG))
    monkeypatch.chdir(tmp_path)
    for name in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG", "K8S_AUTH_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": str(tmp_path / "home"), **environment}.items():
        monkeypatch.setenv(name, value)
    way = kubeconfig.format(here=tmp_path, home=tmp_path / "home")
    assert cluster_way.LookupModule().run(given) == [{"kubeconfig": way, "context": context}]


def test_one_pod_of_each_component_that_is_ready_and_stays() -> None:
    leaving = changed(one("a"), "metadata", "deletionTimestamp", value="now")
    unready = changed(one("b"), "status", "conditions", value=[{"type": "Ready", "status": "False"}])
    task = one("e", "worker", dag_id="d")
    others = [one("f", release="theirs"), one("g", tier="x"), pod("h")]
    found = component_pods([one("d"), one("c"), leaving, unready, task, *others, one("s", "scheduler")], "airflow")
    assert {name: (about["name"], about["container"]) for name, about in found.items()} == {
        "dag-processor": ("c", "dag-processor"), "scheduler": ("s", "scheduler")
    }  # fmt: skip
    assert found["scheduler"]["image"].endswith("1" * 64)


def test_the_mark_changes_with_what_a_pod_runs_with_and_not_with_its_name() -> None:
    def mark(found: dict[str, Any]) -> str:
        return component_pods([found], "airflow")["dag-processor"]["mark"]

    assert mark(one("a")) == mark(one("b"))
    assert mark(one("a")) != mark(changed(one("a"), "metadata", "annotations", value={"checksum": "2"}))
    image = [{"name": "dag-processor", "imageID": "reg/a@sha256:2"}]
    assert mark(one("a")) != mark(changed(one("a"), "status", "containerStatuses", value=image))


def test_the_pod_that_writes_is_the_dag_processor_s_but_for_that() -> None:
    made = writing_pod(one("a"), "airflow-dags")
    spec, (container,) = made["spec"], made["spec"]["containers"]
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("airflow-dags", "airflow")
    assert [(mount["name"], mount["readOnly"]) for mount in container["volumeMounts"]] == [
        ("dags", False), ("config", False)
    ]  # fmt: skip
    assert spec["nodeName"] == "node-1" and spec["securityContext"] == RESTRICTED and "livenessProbe" not in container
    assert (container["image"], container["env"]) == ("a:1", [{"name": "A"}])
    assert spec["restartPolicy"] == "Never" and 0 < spec["activeDeadlineSeconds"] <= 3600
    assert "component" not in made["metadata"]["labels"], "its Deployment would take it for one of its own"


def test_a_pod_of_another_image_has_the_dags_of_that() -> None:
    (container,) = writing_pod(one("a"), "airflow-dags", "a:2")["spec"]["containers"]
    assert container["image"] == "a:2" and [mount["name"] for mount in container["volumeMounts"]] == ["config"]


METADATA: dict[str, Any] = {"available": True, "heads": {"t": ["h"]}, "wanted_heads": {"t": ["h"]}, "import_errors": []}
CLAIM: dict[str, Any] = {
    "metadata": {"name": "airflow-dags"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}},
    "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
}  # fmt: skip


def test_a_healthy_deployment_in_a_table() -> None:
    dags = {"stat": {"lnk_target": "releases/0f5c"}}
    answers = {"metadata": METADATA, "claims": [CLAIM], "dags": dags, "health": {"components": {}}}
    told = cluster_table([one("a")], answers, ["dag-processor"])
    assert told["problems"] == [] and told["verdict"] == "healthy"
    columns = ["a", "dag-processor", "Running", "2026-11-22T05:00:00Z", "2", "sha256:" + "1" * 12]
    assert told["lines"][1].split() == columns
    assert {"DAG release 0f5c", "volume airflow-dags: Bound, 1Gi, no class"} <= set(told["lines"])


def test_workers_and_queues_in_a_table() -> None:
    worker = {"queues": ["default"], "active": 1, "reserved": 0, "concurrency": 4}
    told = {"available": True, "workers": {"celery@w": worker}, "queues": {"default": 2, "heavy": 3}}
    scheduler = changed(one("s", "scheduler"), "status", "podIP", value="10.244.1.7")
    pods = [one("w", "worker", **{"worker-set": "default"}), scheduler]
    metadata = {**METADATA, "jobs": [{"type": "SchedulerJob", "hostname": "10.244.1.7", "age": 4.2}]}
    writes = [datetime.now(UTC) - timedelta(days=days, hours=1) for days in (9, 3)]
    store = {"metadata": {"managedFields": [{"time": one.strftime("%Y-%m-%dT%H:%M:%SZ")} for one in writes]}}
    answers = {"metadata": metadata, "workers": told, "store": store}
    found = cluster_table(pods, answers, ["worker", "worker-heavy"])
    assert "secrets are 3 days old" in found["lines"]
    assert found["problems"] == [
        "No pod of component worker-heavy is ready.", "Nobody consumes queue heavy: its tasks wait for ever."
    ]  # fmt: skip
    assert {"w: consumes default; 1 of 4 tasks run, 0 more are reserved", "queue default: 2 messages wait"} <= set(
        found["lines"]
    )
    assert " 4s " in found["lines"][1]
    assert running_components([*pods, one("h", "worker", **{"worker-set": "heavy"})]) == [
        "scheduler", "worker", "worker-heavy"
    ]  # fmt: skip
    assert "could not be asked: by no worker" in cluster_table([], {"workers": {}})["problems"][-1]


WAITING = {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}
UNSCHEDULED = [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available."}]
UNREADY = [{"type": "Ready", "status": "False"}]
KILLED = {"name": "x", "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"containerStatuses": [{"name": "x", "state": WAITING}]}, "a is ImagePullBackOff. no such tag"),
        ({"initContainerStatuses": [{"name": "x", "state": WAITING}]}, "a is ImagePullBackOff. no such tag"),
        ({"phase": "Pending", "conditions": UNSCHEDULED}, "a is Pending. 0/2 nodes are available."),
        ({"conditions": UNREADY, "containerStatuses": [KILLED]}, "a is NotReady. x ended with 137 (OOMKilled)."),
        ({"phase": "Failed"}, "a is Failed."),
    ],
)
def test_what_is_wrong_with_a_pod_is_said(change: dict[str, Any], said: str) -> None:
    bad = one("a")
    bad["status"].update(change)
    assert pods_told([bad]) == [said]
    told = cluster_table([bad], {"metadata": METADATA}, ["dag-processor"])
    assert told["problems"] == ["No pod of component dag-processor is ready.", said]
    assert told["verdict"] == "not healthy"


def test_pods_of_a_release_that_are_not_ready() -> None:
    def ill(name: str, **labels: str) -> dict[str, Any]:
        return changed(one(name, **labels), "status", "containerStatuses", value=[{"name": "x", "state": WAITING}])

    leaving = changed(one("leaving"), "metadata", "deletionTimestamp", value="now")
    pods = [one("well"), ill("c"), ill("b"), leaving, ill("task", dag_id="d"), ill("theirs", release="theirs")]
    server = {"component": "redis", "release": "", "app.kubernetes.io/part-of": "airflow"}
    servers = [ill("redis", **server), ill("other", **{**server, "app.kubernetes.io/part-of": "other"})]
    assert unready_pods([*pods, *servers], "airflow") == ["b", "c", "redis"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"phase": "Pending"}, []),
        ({"conditions": UNREADY}, []),
        ({"phase": "Pending", "conditions": UNSCHEDULED}, ["t is Pending. 0/2 nodes are available."]),
        ({"containerStatuses": [{"name": "x", "state": WAITING}]}, ["t is ImagePullBackOff. no such tag"]),
    ],
)
def test_a_task_s_pod_that_starts_or_ends_is_no_problem(change: dict[str, Any], said: list[str]) -> None:
    task = one("t", "worker", dag_id="d")
    task["status"].update(change)
    assert cluster_table([task], {"metadata": METADATA})["problems"] == said


def test_a_failed_task_s_pod_is_no_problem_and_an_unbound_volume_is() -> None:
    failed = changed(one("t", "worker", dag_id="d"), "status", "phase", value="Failed")
    pending = changed(CLAIM, "status", value={"phase": "Pending"})
    told = cluster_table([failed], {"metadata": METADATA, "claims": [pending]})
    assert told["problems"] == ["Volume airflow-dags is Pending."]
    assert "task" in told["lines"][1]


def test_nobody_answers() -> None:
    told = cluster_table([], {"health": {"components": {"scheduler": {"status": "unhealthy", "reason": "silent"}}}})
    assert told["problems"][0] == "scheduler is unhealthy: silent" and len(told["problems"]) == 2


def test_without_a_release_a_container_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_CONTAINER", "x")
    variables = _release.environment({"release": None, "config_dir": "/nowhere"})
    assert variables["OF_THE_CONTAINER"] == "x"
    program = "import json, os, sys\njson.dump([sys.executable, os.environ['OF_THE_CONTAINER'], json.load(sys.stdin)], "
    program += "open(int(sys.argv[1]), 'w'))"
    assert _release.run(program, None, None, variables, [1]) == [sys.executable, "x", [1]]


def test_what_is_a_pod_s_own_changes_no_acceptance(tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text("")
    own = ["HOSTNAME", "KUBERNETES_SERVICE_HOST", "KUBERNETES_PORT_443_TCP_ADDR", "AIRFLOW_API_SERVER_SERVICE_PORT_API",
           "AIRFLOW_POSTGRESQL_PORT"]  # fmt: skip
    assert all(OF_A_POD.match(name) for name in own)
    marks = {context("image", str(tmp_path), {"AIRFLOW__A__B": "1", name: "2"}, []) for name in own}
    assert len(marks) == 1
    assert context("image", str(tmp_path), {"AIRFLOW__A__B": "2"}, []) not in marks
    assert context("other", str(tmp_path), {"AIRFLOW__A__B": "1"}, []) not in marks


def test_a_port_of_this_computer_leads_to_a_service_while_it_is_open(tmp_path: Path) -> None:
    said: list[str] = []
    with ClusterApi() as cluster, ScriptedApi() as api:
        port = int(api.url.rpartition(":")[2])
        cluster.services["web"] = {"selector": {"a": "b"}, "ports": [{"port": 8080, "targetPort": port}]}
        cluster.pods = [pod("c")]
        pods = Pods(cluster.kubeconfig(tmp_path), None, "airflow", 10)
        forwarder = Forwarder(pods, "web", 8080, 0, said.append)
        for _again in range(2):
            api.expect("GET", "/page", 200, {"text": "x" * 100_000})
            connection = http.client.HTTPConnection("127.0.0.1", forwarder.port, timeout=20)
            connection.request("GET", "/page")
            assert len(connection.getresponse().read()) > 100_000
            connection.close()
        cluster.pods = []
        connection = http.client.HTTPConnection("127.0.0.1", forwarder.port, timeout=20)
        with pytest.raises((http.client.HTTPException, OSError)):
            connection.request("GET", "/page")
            connection.getresponse()
        connection.close()
        assert said == ["no pod with a=b is ready in namespace airflow"] and forwarder.connections == 2
        forwarder.close()
        with pytest.raises(OSError):
            http.client.HTTPConnection("127.0.0.1", forwarder.port, timeout=5).connect()
        patience = time.monotonic() + 5
        while cluster.open and time.monotonic() < patience:
            time.sleep(0.01)
        assert cluster.open == 0
        pods.close()


def test_the_module_alone_says_who_runs_it() -> None:
    code = "from ansible.module_utils.testing import patch_module_args\n"
    code += "from ansible_collections.windward.airflow.plugins.modules import service_forward\n"
    code += "with patch_module_args({'namespace': 'n', 'service': 's'}): service_forward.main()"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / ".collections")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "is run by its action plugin" in done.stdout
