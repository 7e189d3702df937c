# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The objects of Kubernetes that are ours: what they may, and that they hold no secret."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils import _kubernetes_objects as ko
from chart_case import DEPLOYMENT, EXECUTORS, SECRETS, release

EVERYTHING = [
    one
    for here in (release(), release(executor="CeleryExecutor"))
    for one in [*ko.data(here, SECRETS), *ko.support(here), ko.migration(here, SECRETS)]
]
PODS = {one["metadata"]["name"]: one["spec"]["template"] for one in EVERYTHING if "template" in one.get("spec", {})}


def test_no_object_holds_a_secret() -> None:
    assert "5ecret" not in json.dumps(EVERYTHING)
    assert "Secret" not in {one["kind"] for one in EVERYTHING}


def test_every_object_says_whose_it_is() -> None:
    for one in EVERYTHING:
        assert one["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "windward.airflow"
        assert one["metadata"]["namespace"] == "airflow"


@pytest.mark.parametrize("name", PODS)
def test_pods_pass_the_restricted_level(name: str) -> None:
    spec = PODS[name]["spec"]
    assert spec["automountServiceAccountToken"] is False
    whole = spec["securityContext"]
    assert whole["runAsNonRoot"] and whole["runAsUser"] and whole["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        context = container["securityContext"]
        assert (context["allowPrivilegeEscalation"], context["capabilities"]) == (False, {"drop": ["ALL"]})
        assert container["resources"]["requests"] and container["resources"]["limits"]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_only_the_scheduler_may_make_pods(executor: str) -> None:
    objects = ko.rights({**DEPLOYMENT, "executor": executor})
    may = {
        (one["metadata"]["name"], verb, resource)
        for one in objects
        if one["kind"] == "Role"
        for rule in one["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }
    assert bool(may) == (executor == "KubernetesExecutor")
    assert {name for name, verb, _resource in may if verb not in ("get", "list")} <= {"airflow-scheduler"}
    assert {resource for _name, _verb, resource in may} <= {"pods", "pods/log", "events"}
    bound = {one["metadata"]["name"]: one["subjects"] for one in objects if one["kind"] == "RoleBinding"}
    for name, subjects in bound.items():
        assert subjects == [{"kind": "ServiceAccount", "name": name, "namespace": "airflow"}]


def test_tasks_may_launch_pods_by_an_option_and_elsewhere() -> None:
    assert all(one["metadata"]["namespace"] == "airflow" for one in ko.rights(DEPLOYMENT))
    for executor in EXECUTORS:
        deployment = {"executor": executor, "task_pods_namespace": "jobs"}
        there = [one for one in ko.rights({**DEPLOYMENT, **deployment}) if one["metadata"]["namespace"] == "jobs"]
        assert [one["kind"] for one in there] == ["Role", "RoleBinding"]
        assert {(one["name"], one["namespace"]) for one in there[1]["subjects"]} == {
            ("airflow-worker", "airflow"), ("airflow-triggerer", "airflow"),
        }  # fmt: skip
        values = release(**deployment).values
        assert values["triggerer"]["serviceAccount"]["automountServiceAccountToken"]
        kind = "kubernetes" if executor == "KubernetesExecutor" else "celery"
        assert values["workers"][kind]["serviceAccount"]["automountServiceAccountToken"]
        assert not values["dagProcessor"]["serviceAccount"]["automountServiceAccountToken"]


def test_the_comparison_is_the_migration_but_for_what_it_is_told() -> None:
    migration = ko.migration(release(), SECRETS)
    whole = ko.comparison(migration)
    assert whole["metadata"].pop("name") != migration["metadata"].pop("name")
    (container,) = whole["spec"]["template"]["spec"]["containers"]
    assert container["env"].pop() == {"name": "COMPARE", "value": "1"}
    assert whole == migration


def test_the_longest_name_fits() -> None:
    """Kubernetes makes a label of a Job's name, and one of a StatefulSet's with eleven letters more."""
    here = release(name="a" * 40, executor="CeleryExecutor")
    migration = ko.migration(here, SECRETS)
    for one in (migration, ko.comparison(migration), *ko.data(here, SECRETS)):
        more = 11 if one["kind"] == "StatefulSet" else 0
        assert len(one["metadata"]["name"]) + more <= 63, one["metadata"]["name"]


def test_roles_are_for_the_accounts_of_the_chart() -> None:
    names = {one["metadata"]["name"] for one in ko.rights(DEPLOYMENT)}
    values = release().values
    assert names == {values[section]["serviceAccount"]["name"] for section in ("scheduler", "apiServer")}


@pytest.mark.parametrize(
    ("differs", "same"),
    [
        ({}, True),
        ({"config": {"core": {"parallelism": 8}}}, True),
        ({"version": "3.3.3"}, False),
        ({"image": "apache/airflow:3.3.2-1"}, False),
        ({"executor": "CeleryExecutor"}, False),
        ({"environment": {"MY": "x"}}, True),
    ],
)
def test_a_migration_is_named_by_what_it_migrates_to(differs: dict[str, Any], same: bool) -> None:
    first, other = ko.migration(release(), SECRETS), ko.migration(release(**differs), SECRETS)
    assert (first["metadata"]["name"] == other["metadata"]["name"]) is same


@pytest.mark.parametrize(
    ("storage", "modes", "name"),
    [
        ({"class": "", "access_mode": "ReadWriteOnce"}, ["ReadWriteOnce"], None),
        ({"class": "shared", "access_mode": "ReadWriteMany"}, ["ReadWriteMany"], "shared"),
    ],
)
def test_claims_have_the_access_mode_of_their_class(storage: dict[str, str], modes: list[str], name: str) -> None:
    spec = ko.claim({**DEPLOYMENT, "storage": storage}, "logs")["spec"]
    assert (spec["accessModes"], spec.get("storageClassName")) == (modes, name)
    # The database's volume is its own alone, whatever the class gives.
    (template,) = ko.postgresql(release(storage=storage))[1]["spec"]["volumeClaimTemplates"]
    assert template["spec"]["accessModes"] == ["ReadWriteOnce"]


def environment(objects: list[dict[str, Any]]) -> dict[str, str]:
    (container,) = objects[1]["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def test_servers_listen_where_they_are_asked() -> None:
    """The service has no address of its own, so nothing leads from its port to another one of the pod's."""
    here = release(database={**DEPLOYMENT["database"], "port": 5433}, redis_port=6380)
    for objects, variable, port in (
        (ko.postgresql(here), "PGPORT", "5433"),
        (ko.redis(here, SECRETS), "REDIS_PORT", "6380"),
    ):
        assert environment(objects)[variable] == port
        assert [str(one["port"]) for one in objects[0]["spec"]["ports"]] == [port]


def test_redis_takes_any_password(tmp_path: Path) -> None:
    """What its start leaves in the file that it reads, with Redis itself left out."""
    password = "correct horse \"battery\\ staple #1"
    (tmp_path / "redis-server").write_text('#!/bin/sh\ncat "$1"\n')
    (tmp_path / "redis-server").chmod(0o755)
    own = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDISCLI_AUTH": password, "REDIS_PORT": "6379"}
    start = ["sh", "-euc", ko.REDIS_START.replace("/run/redis", str(tmp_path))]
    done = subprocess.run(start, env=own, capture_output=True, text=True, check=True)
    assert done.stdout == f"user default on #{hashlib.sha256(password.encode()).hexdigest()} ~* &* +@all\n"
