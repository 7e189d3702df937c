# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which pods of tasks the scheduler refuses. tests/chart gives it the chart's own, tests/deployment a cluster."""

from __future__ import annotations

import builtins
import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.windward.airflow.plugins.filter.kubernetes_plan import kubernetes_plan
from chart_case import COMPONENTS, DEPLOYMENT, EXECUTORS, SECRETS, release
from kubernetes import client as k8s

ROOT = Path(__file__).parents[2]


def hook(**differs: Any) -> Any:
    """As Airflow loads it."""
    settings: dict[str, Any] = {}
    exec(compile(release(**differs).local_settings, "airflow_local_settings.py", "exec"), settings)
    assert settings["__all__"] == ["pod_mutation_hook"]
    return settings["pod_mutation_hook"]


@pytest.fixture(autouse=True)
def scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_IS_K8S_EXECUTOR_POD", raising=False)


def env(name: str = "ours", **source: Any) -> k8s.V1EnvVar:
    return k8s.V1EnvVar(name=name, value_from=k8s.V1EnvVarSource(**source))


def from_secret(name: str) -> k8s.V1EnvVar:
    return env(secret_key_ref=k8s.V1SecretKeySelector(name=name, key="x"))


def claim(volume: str, name: str) -> k8s.V1Volume:
    source = k8s.V1PersistentVolumeClaimVolumeSource(claim_name=name)
    return k8s.V1Volume(name=volume, persistent_volume_claim=source)


def mount(volume: str, path: str, read_only: bool | None = None) -> k8s.V1VolumeMount:
    return k8s.V1VolumeMount(name=volume, mount_path=path, read_only=read_only)


def task() -> k8s.V1Pod:
    """What the template makes, in short."""
    container = k8s.V1Container(
        name="base",
        image="apache/airflow:3.3.2",
        env=[from_secret("airflow-worker-environment"), k8s.V1EnvVar(name="PLAIN", value="airflow-secrets")],
        volume_mounts=[mount("logs", "/opt/airflow/logs"), mount("dags", "/opt/airflow/dags", True)],
    )
    spec = k8s.V1PodSpec(
        containers=[container],
        service_account_name="airflow-worker",
        image_pull_secrets=[k8s.V1LocalObjectReference(name="registry")],
        volumes=[claim("logs", "airflow-logs"), claim("dags", "airflow-dags")],
    )
    labels = {"tier": "airflow", "component": "worker", "release": "airflow", "kubernetes_executor": "True"}
    return k8s.V1Pod(metadata=k8s.V1ObjectMeta(namespace="airflow", labels=labels), spec=spec)


def volume(**source: Any) -> k8s.V1Pod:
    pod = task()
    pod.spec.volumes.append(k8s.V1Volume(name="x", **source))
    return pod


def projected(**source: Any) -> k8s.V1Pod:
    return volume(projected=k8s.V1ProjectedVolumeSource(sources=[k8s.V1VolumeProjection(**source)]))


def ephemeral(**spec: Any) -> k8s.V1Pod:
    template = k8s.V1PersistentVolumeClaimTemplate(spec=k8s.V1PersistentVolumeClaimSpec(**spec))
    return volume(ephemeral=k8s.V1EphemeralVolumeSource(volume_claim_template=template))


def container(kind: str, *variables: k8s.V1EnvVar, **content: Any) -> k8s.V1Pod:
    pod = task()
    made = (k8s.V1EphemeralContainer if kind == "ephemeral_containers" else k8s.V1Container)(
        name="x", env=[*variables], **content
    )
    setattr(pod.spec, kind, [*(getattr(pod.spec, kind) or ()), made])
    return pod


def spec(**differs: Any) -> k8s.V1Pod:
    pod = task()
    for name, value in differs.items():
        setattr(pod.spec, name, value)
    return pod


def labelled(**labels: str) -> k8s.V1Pod:
    pod = task()
    pod.metadata.labels.update(labels)
    return pod


def larger() -> k8s.V1Pod:
    pod = task()
    pod.spec.containers[0].resources = k8s.V1ResourceRequirements(requests={"memory": "2Gi"}, limits={"memory": "4Gi"})
    return pod


def secret(name: str) -> k8s.V1Pod:
    return volume(secret=k8s.V1SecretVolumeSource(secret_name=name))


def held(name: str) -> k8s.V1Pod:
    pod = task()
    pod.spec.volumes.append(claim("x", name))
    return pod


def group(name: str) -> k8s.V1EnvFromSource:
    return k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name=name))


def test_the_pod_of_the_template_is_made() -> None:
    hook()(task())


@pytest.mark.parametrize(
    "pod",
    [
        labelled(team="x"),
        larger(),
        secret("reports"),
        secret("airflow-reports"),  # begins as ours do
        secret("github-token-prod1"),
        container("init_containers", from_secret("reports"), env_from=[group("reports")]),
        projected(secret=k8s.V1SecretProjection(name="reports")),
        volume(config_map=k8s.V1ConfigMapVolumeSource(name="shared")),  # ours is the Secret of that name
        container("containers", env(config_map_key_ref=k8s.V1ConfigMapKeySelector(name="shared", key="x"))),
        spec(volumes=[k8s.V1Volume(name="shared", empty_dir=k8s.V1EmptyDirVolumeSource())]),
        volume(csi=k8s.V1CSIVolumeSource(driver="x", volume_attributes={"class": "reports"})),
        volume(persistent_volume_claim=k8s.V1PersistentVolumeClaimVolumeSource(claim_name="models")),
        ephemeral(storage_class_name="fast"),
        spec(automount_service_account_token=False),
        k8s.V1Pod(metadata=k8s.V1ObjectMeta(), spec=spec().spec),
    ],
)
def test_what_is_not_ours_stays_allowed(pod: k8s.V1Pod) -> None:
    hook(referred=["shared"])(pod)


REFUSED = [
    # Secrets, wherever a pod can have one
    (secret("airflow-secrets"), "may not have airflow-secrets"),
    (secret("shared"), "may not have shared"),
    (secret("registry"), "may not have registry"),
    (secret("airflow-scheduler-environment"), "may not have airflow-scheduler-environment"),
    (secret("airflow-migrate-environment"), "may not have airflow-migrate-environment"),
    (secret("sh.helm.release.v1.other.v3"), "may not have sh.helm.release.v1.other.v3"),
    (secret("anybody-token-x7k2z"), "may not have anybody-token-x7k2z"),
    (container("containers", from_secret("airflow-secrets")), "may not have airflow-secrets"),
    (container("init_containers", from_secret("airflow-secrets")), "may not have airflow-secrets"),
    (container("ephemeral_containers", from_secret("airflow-secrets")), "may not have airflow-secrets"),
    (container("containers", env_from=[group("airflow-secrets")]), "may not have airflow-secrets"),
    (container("init_containers", env_from=[group("airflow-secrets")]), "may not have airflow-secrets"),
    (projected(secret=k8s.V1SecretProjection(name="airflow-secrets")), "may not have airflow-secrets"),
    (
        volume(csi=k8s.V1CSIVolumeSource(
            driver="x", node_publish_secret_ref=k8s.V1LocalObjectReference(name="airflow-secrets")
        )),
        "may not have airflow-secrets",
    ),
    (
        volume(csi=k8s.V1CSIVolumeSource(driver="x", volume_attributes={"secretName": "airflow-secrets"})),
        "may not have airflow-secrets",
    ),
    (
        volume(azure_file=k8s.V1AzureFileVolumeSource(secret_name="airflow-secrets", share_name="x")),
        "may not have airflow-secrets",
    ),
    # accounts and tokens
    (spec(service_account_name="airflow-scheduler"), "may not have the service account airflow-scheduler"),
    (spec(service_account_name="reports"), "may not have the service account reports"),
    (spec(service_account_name=None), "may not have the service account default"),
    (
        spec(service_account_name=None, service_account="airflow-scheduler"),
        "may not have the service account airflow-scheduler",
    ),
    (spec(automount_service_account_token=True), "may not have a token of Kubernetes"),
    (
        projected(service_account_token=k8s.V1ServiceAccountTokenProjection(path="token")),
        "may not have a token of Kubernetes",
    ),
    # volumes
    (spec(volumes=[claim("x", "data-airflow-postgresql-0")]), "may not have data-airflow-postgresql-0"),
    (spec(volumes=[claim("x", "data-airflow-redis-0")]), "may not have data-airflow-redis-0"),
    (container("containers", volume_mounts=[mount("dags", "/x")]), "may not write to airflow-dags"),
    (container("init_containers", volume_mounts=[mount("dags", "/x", False)]), "may not write to airflow-dags"),
    (
        ephemeral(data_source=k8s.V1TypedLocalObjectReference(kind="VolumeSnapshot", name="x")),
        "may not have a copy of a volume",
    ),
    (
        ephemeral(data_source_ref=k8s.V1TypedObjectReference(kind="PersistentVolumeClaim", name="models")),
        "may not have a copy of a volume",
    ),
    # names by which the others are found
    (labelled(component="api-server"), "may not have the labels of a component"),
    (labelled(**{"app.kubernetes.io/part-of": "airflow"}), "may not have the labels of a component"),
]


@pytest.mark.parametrize(("pod", "says"), REFUSED, ids=[f"{index}-{row[1]}" for index, row in enumerate(REFUSED)])
def test_what_is_ours_is_refused(pod: k8s.V1Pod, says: str) -> None:
    with pytest.raises(ValueError, match="executor_config") as told:
        hook(referred=["shared"], pull_secrets=["registry"])(pod)
    assert f"{says}: its executor_config" in str(told.value), "for this and for nothing else"


def test_nothing_that_the_deployment_makes_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets, what its own pods read, and claims, as they are made and as the role knows them."""
    monkeypatch.chdir(ROOT)
    role = DataLoader().load_from_file("roles/kubernetes/vars/main.yml", trusted_as_template=True)
    templar = Templar(loader=DataLoader(), variables={"airflow_name": "airflow"})
    names = templar.template(role["__kubernetes_claim_names"])
    made, seen = set(), hook()
    for executor in EXECUTORS:
        plan = kubernetes_plan({**DEPLOYMENT, "executor": executor}, COMPONENTS, SECRETS)
        made |= {(secret, name) for name in plan["secrets"]}
        for one in [*plan["data"], *plan["support"], plan["migration"]]:
            about, text = one["metadata"]["name"], json.dumps(one)
            made |= {(secret, name) for name in re.findall(r'"secretKeyRef": {"name": "([^"]+)"', text)}
            if one["kind"] == "PersistentVolumeClaim":
                made.add((held, about))
            if one["kind"] == "StatefulSet":
                templates = one["spec"]["volumeClaimTemplates"]
                made |= {(held, f"{each['metadata']['name']}-{about}-0") for each in templates}
    assert {name for make, name in made if make is held} == set(names)
    allowed = set()
    for make, name in made:
        try:
            seen(make(name))
            allowed.add(name)
        except ValueError as error:
            assert f"may not have {name}" in str(error)
    assert allowed == {"airflow-worker-environment", "airflow-logs", "airflow-dags"}


def test_a_second_volume_of_the_dags_is_read_only_too() -> None:
    pod = task()
    pod.spec.volumes.append(claim("again", "airflow-dags"))
    pod.spec.containers[0].volume_mounts.append(mount("again", "/x", True))
    hook()(pod)
    pod.spec.containers[0].volume_mounts[-1].read_only = None
    with pytest.raises(ValueError, match="may not write to airflow-dags"):
        hook()(pod)


def test_tokens_are_for_tasks_that_may_launch_pods() -> None:
    asks = hook(task_pods_namespace="jobs")
    asks(spec(automount_service_account_token=True))
    asks(projected(service_account_token=k8s.V1ServiceAccountTokenProjection(path="token")))
    with pytest.raises(ValueError, match="service account airflow-scheduler"):
        asks(spec(automount_service_account_token=True, service_account_name="airflow-scheduler"))


def test_a_pod_that_a_task_launches_is_a_matter_of_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    """KubernetesPodOperator asks the hook in its task's pod, for any namespace, and any cluster."""
    pod = k8s.V1Pod(metadata=k8s.V1ObjectMeta(namespace="jobs"), spec=k8s.V1PodSpec(containers=[]))
    with pytest.raises(ValueError, match="service account default"):
        hook()(pod)
    monkeypatch.setenv("AIRFLOW_IS_K8S_EXECUTOR_POD", "True")
    hook()(pod)


def test_a_deployment_of_another_name_has_other_names() -> None:
    pod = spec(service_account_name="two-worker")
    here = {"name": "two", "store": "two-secrets", "claims": ["two-logs", "two-dags", "data-two-postgresql-0"]}
    hook(**here)(pod)
    pod.spec.volumes.append(claim("x", "data-two-postgresql-0"))
    with pytest.raises(ValueError, match="may not have data-two-postgresql-0"):
        hook(**here)(pod)


def test_to_load_it_costs_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every component loads it, and most of them don't need the client of Kubernetes."""
    load = builtins.__import__

    def lean(name: str, *arguments: Any, **named: Any) -> Any:
        assert not name.startswith("kubernetes"), name
        return load(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", lean)
    hook()


def test_it_holds_no_secret_and_is_for_pods_of_tasks_alone() -> None:
    assert not [name for name, value in SECRETS.items() if value in release().local_settings]
    assert release(executor="CeleryExecutor").local_settings == ""
