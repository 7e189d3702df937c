# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A row per refusal of what was found in a cluster."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._kubernetes_objects import RIGHTS, TASKS_RIGHTS
from ansible_collections.windward.airflow.plugins.modules.cluster_found import helms, room
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight import engine, registry
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.deployment import Finding
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.rules.cluster import amount
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.rules.cluster_found import (
    pods,
    rights,
    rights_elsewhere,
    to_remove,
)
from preflight_case import CONTRACT, EXTERNAL, given

GROUPS = {"airflow": ["c"], "airflow_cluster": ["c"]}
FOUND: dict[str, Any] = {
    "version": "1.33.13",
    "namespace": "Active",
    "pod_security": "restricted",
    "denied": {},
    "elsewhere": {},
    "refused": [],
    "storage_classes": {"standard": True, "fast": False},
    "nodes": 1,
    "claims": {},
    "volumes": {},
    "helms": [],
    "images": {},
    "quotas": {},
}


def found(changes: dict[str, Any], variables: dict[str, Any] | None = None) -> list[Finding]:
    declared = {"airflow_executor": "KubernetesExecutor", **(variables or {})}
    deployment, wrong = engine.deployment(CONTRACT, GROUPS, given(declared, GROUPS, {}))
    assert not wrong
    return engine.cluster_found(deployment.hosts["c"], {**copy.deepcopy(FOUND), **changes})


def quota(hard: str, used: str = "0", resource: str = "pods") -> dict[str, Any]:
    return {"quotas": {"team": {"hard": {resource: hard}, "used": {resource: used}}}}


# (rule, what its line says, what was found, public variables)
ROWS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("kubernetes_version", "airflow_kubeconfig: is Kubernetes 1.29.4, and", {"version": "1.29.4"}, {}),
    ("namespace_phase", "airflow_namespace: 'airflow' - is being removed", {"namespace": "Terminating"}, {}),
    (
        "missing_rights",
        "airflow_kubeconfig: its user may not create, patch statefulsets.apps",
        {"denied": {"statefulsets.apps": ["create", "patch"]}},
        {},
    ),
    (
        "task_pods_place",
        "airflow_task_pods_namespace: 'jobs' - is not there",
        {"elsewhere": {"jobs": {"namespace": "", "denied": {"pods": ["create"]}}}},
        {},
    ),
    (
        "task_pods_rights",
        "airflow_task_pods_namespace: 'jobs' - there your user may not create, watch pods",
        {"elsewhere": {"jobs": {"namespace": "Active", "denied": {"pods": ["create", "watch"]}}}},
        {},
    ),
    ("storage_class", "airflow_storage_class: 'slow' - there is no", {}, {"airflow_storage_class": "slow"}),
    ("storage_class", "airflow_storage_class: must be given", {"storage_classes": {"fast": False}}, {}),
    ("storage_class", "airflow_storage_class: the cluster has no class: install", {"storage_classes": {}}, {}),
    (
        "volume_kind",
        "airflow_storage_class: 'fast' - the volume data-airflow-postgresql-0 is of class standard, and",
        {"volumes": {"data-airflow-postgresql-0": {"class": "standard", "modes": ["ReadWriteOnce"]}}},
        {"airflow_storage_class": "fast"},
    ),
    (
        "volume_kind",
        "airflow_storage_access_mode: 'ReadWriteMany' - the volume airflow-logs has ReadWriteOnce, and",
        {"volumes": {"airflow-logs": {"class": "standard", "modes": ["ReadWriteOnce"]}}},
        {"airflow_storage_access_mode": "ReadWriteMany"},
    ),
    ("volumes_on_one_node", "logs and DAGs would be on one of 3 nodes", {"nodes": 3}, {}),
    ("volumes_on_one_node", " logs would be on one of 3 nodes", {"nodes": 3}, {"airflow_image_dags": True}),
    (
        "volume_changed",
        "airflow_volume_sizes.logs: '20Gi' - the volume airflow-logs has 10Gi",
        {"claims": {"airflow-logs": "10Gi"}},
        {"airflow_volume_sizes": {"logs": "20Gi"}},
    ),
    (
        "volume_changed",
        "the volume data-airflow-postgresql-0 has 8Gi",
        {"claims": {"data-airflow-postgresql-0": "8Gi"}},
        {"airflow_volume_sizes": {"postgresql": "4Gi"}},
    ),
    ("volume_changed", "the volume airflow-logs has 100Gi", {"claims": {"airflow-logs": "100Gi"}}, {}),
    ("quota", "airflow_namespace: 'airflow' - quota team leaves 2 pods, and 6 are needed", quota("10", "8"), {}),
    ("quota", "leaves 2 pods", {**quota("10", "8"), "claims": {"somebody-elses": "1Gi"}}, {}),
    ("quota", "quota team leaves 4 count/pods, and 5 are needed", quota("4", resource="count/pods"), EXTERNAL),
    ("quota", "leaves 7 pods, and 8 are needed", quota("7"), {"airflow_executor": "CeleryExecutor"}),
    ("quota", "leaves 0.5 requests.cpu, and 0.61 are needed", quota("500m", resource="requests.cpu"), {}),
    ("quota", "leaves 4.0Gi limits.memory, and 11.2Gi are needed", quota("4Gi", resource="limits.memory"), {}),
    (
        "quota",
        "leaves 20.0Gi limits.memory, and 20.5Gi are needed",
        quota("20Gi", resource="limits.memory"),
        {"airflow_replicas": {"scheduler": 2}, "airflow_container_resources": {"task": {"limits": {"memory": "9Gi"}}}},
    ),
    ("quota", "leaves 2 persistentvolumeclaims, and 3 are", quota("5", "3", "persistentvolumeclaims"), {}),
    ("quota", "leaves 10.0Gi requests.storage, and 11.0Gi are", quota("10Gi", resource="requests.storage"), EXTERNAL),
    (
        "refused_pods",
        "airflow_namespace: takes no pod of ours: Kubernetes refuses: must specify limits.cpu",
        {"refused": ["Kubernetes refuses: must specify limits.cpu"], "claims": {"somebody-elses": "1Gi"}},
        {},
    ),
    (
        "postgresql_major",
        "airflow_postgresql_image: 'postgres:18' - can't read what PostgreSQL 17 has written",
        {"images": {"airflow-postgresql": "r:5000/postgres:17.2-bookworm@sha256:0f"}},
        {"airflow_postgresql_image": "postgres:18"},
    ),
    (
        "helms_own",
        "airflow_name: 'airflow' - a release of helm's has StatefulSet airflow-redis, and would lose it",
        {"helms": ["StatefulSet airflow-redis"]},
        {},
    ),
]


@pytest.mark.parametrize(("rule", "says", "changes", "variables"), ROWS)
def test_a_refusal(rule: str, says: str, changes: dict[str, Any], variables: dict[str, Any]) -> None:
    (finding,) = found(changes, variables)
    assert (finding.rule, says in str(finding), finding.warning) == (rule, True, False), str(finding)


def test_every_rule_speaks() -> None:
    assert {rule.__name__ for rule in registry.CLUSTER_RULES} == {*(row[0] for row in ROWS), "pod_security"}


def test_a_removal_asks_for_the_rights_that_it_needs_and_no_more() -> None:
    deployment, _wrong = engine.deployment(CONTRACT, GROUPS, given({"airflow_executor": "CeleryExecutor"}, GROUPS, {}))
    host = deployment.hosts["c"]
    wanted = to_remove(rights(host))
    assert wanted["secrets"] == ["delete", "get", "list"] and wanted["replicasets.apps"] == ["list"]
    assert not {"roles.rbac.authorization.k8s.io", "pods/exec", "deployments/scale.apps"} & wanted.keys()
    seen = {**copy.deepcopy(FOUND), "version": "1.29.4", "storage_classes": {}, "denied": {"secrets": ["delete"]}}
    (refused,) = engine.cluster_removable(host, seen)
    assert "may not delete secrets" in str(refused)
    assert engine.cluster_removable(host, {**seen, "namespace": ""}) == []


@pytest.mark.parametrize(
    ("rule", "says", "changes"),
    [
        ("pod_security", "enforces baseline", {"pod_security": "baseline"}),
        ("volumes_on_one_node", "no node was seen", {"nodes": 0}),
    ],
)
def test_what_is_told(rule: str, says: str, changes: dict[str, Any]) -> None:
    (finding,) = found(changes)
    assert (finding.rule, finding.warning) == (rule, True) and says in str(finding)


def tried(variables: dict[str, Any]) -> list[dict[str, Any]]:
    deployment, _wrong = engine.deployment(CONTRACT, GROUPS, given(variables, GROUPS, {}))
    return pods(deployment.hosts["c"])


@pytest.mark.parametrize(
    ("variables", "images"),
    [
        ({"airflow_version": "3.3.2", "airflow_postgresql_image": "p:17"}, ["apache/airflow:3.3.2", "p:17"]),
        ({"airflow_image": "r.example.org/a:1", **EXTERNAL}, ["r.example.org/a:1"]),
        ({"airflow_image_repository": "r.example.org/b", "airflow_image_tag": "2", **EXTERNAL}, ["r.example.org/b:2"]),
    ],
)
def test_images_that_are_tried_are_those_to_come(variables: dict[str, Any], images: list[str]) -> None:
    """A policy may take those of some registries only."""
    assert [pod["spec"]["containers"][0]["image"] for pod in tried(variables)] == images


def test_pods_that_are_tried_are_as_ours() -> None:
    for pod in tried({}):
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]} and pod["spec"]["securityContext"]
        assert container["resources"]["limits"] == {"memory": "2Gi"}


@pytest.mark.parametrize(
    ("changes", "variables"),
    [
        ({}, {}),
        ({"namespace": ""}, {}),
        ({"storage_classes": None}, {}),  # a user of one namespace does not see them
        ({"storage_classes": {}, "claims": {"airflow-logs": "10Gi"}}, {}),  # volumes were made before
        ({"volumes": {"airflow-logs": {"class": "gp2", "modes": ["ReadWriteOnce"]}}}, {}),  # once the default
        (
            {"volumes": {"data-airflow-redis-0": {"class": "fast", "modes": ["ReadWriteOnce"]}}},
            {"airflow_storage_class": "fast", "airflow_storage_access_mode": "ReadWriteMany"},
        ),
        ({"nodes": 3}, {"airflow_storage_access_mode": "ReadWriteMany"}),
        ({"claims": {"airflow-logs": "1Gi"}}, {"airflow_volume_sizes": {"logs": "1024Mi"}}),
        # It is there, and stays within it.
        ({"claims": {"airflow-logs": "10Gi"}, "refused": ["exceeded quota: team"], **quota("6", "6")}, {}),
        (quota("6"), {}),
        ({"images": {"airflow-postgresql": "postgres:17.2"}}, {}),
        ({"images": {"airflow-postgresql": "r:5000/postgres"}}, {}),  # nobody knows
        ({"images": {"airflow-postgresql": "postgres:16"}}, EXTERNAL),
    ],
)
def test_accepted(changes: dict[str, Any], variables: dict[str, Any]) -> None:
    assert [str(finding) for finding in found(changes, variables)] == []


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        ("10", 10),
        ("500m", 0.5),
        ("2k", 2000),
        ("1Ki", 1024),
        ("1.5Gi", 1.5 * 2**30),
        ("1Pi", 2.0**50),
        ("2e3", 2000),
        ("1E", 1e18),
    ],
)
def test_quantities(quantity: str, number: float) -> None:
    assert amount(quantity) == number


def rights_of(**variables: Any) -> tuple[dict[str, list[str]], dict[str, dict[str, list[str]]]]:
    deployment, _wrong = engine.deployment(CONTRACT, GROUPS, given(variables, GROUPS, {}))
    return rights(deployment.hosts["c"]), rights_elsewhere(deployment.hosts["c"])


def test_who_grants_a_right_has_it() -> None:
    """Else Kubernetes would refuse the Role, in the middle of the play."""
    here, elsewhere = rights_of(airflow_executor="KubernetesExecutor", airflow_task_pods_namespace="jobs")
    for rules, held in ((RIGHTS["scheduler"], here), (RIGHTS["api-server"], here), (TASKS_RIGHTS, elsewhere["jobs"])):
        assert "create" in held["rolebindings.rbac.authorization.k8s.io"]
        for resources, verbs in rules:
            assert all(set(verbs) <= set(held[one]) for one in resources)


def test_rights_of_roles_are_needed_where_pods_are_launched() -> None:
    here, elsewhere = rights_of(airflow_executor="CeleryExecutor")
    assert not [one for one in here if "rbac" in one] and elsewhere == {}
    assert "get" in here["pods/portforward"]


def test_whose_an_object_is() -> None:
    """As Kubernetes gives them: what is empty it leaves out."""

    def one(name: str, manager: str | None, **annotations: str) -> Any:
        about: dict[str, Any] = {"name": name, **({"annotations": annotations} if annotations else {})}
        return {"metadata": {**about, **({"labels": {"app.kubernetes.io/managed-by": manager}} if manager else {})}}

    kept = one("a-dags", "Helm", **{"helm.sh/resource-policy": "keep"})
    there = [one("a-logs", "Helm"), one("a-redis", "windward.airflow"), one("other", "Helm"), one("a-x", None), kept]
    assert helms("Claim", there, ["a-logs", "a-redis", "a-x", "a-dags"]) == ["Claim a-logs"]


def test_a_quota_of_other_pods_says_nothing() -> None:
    """Such as are to end by a deadline."""
    some = {"metadata": {"name": "jobs"}, "spec": {"scopes": ["Terminating"]}, "status": {"hard": {"pods": "1"}}}
    young = {"metadata": {"name": "all"}, "spec": {}}
    assert room([some, young]) == {"all": {"hard": {}, "used": {}}}
