# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: it may change without notice.

"""The objects of a deployment that are ours and not the chart's, as data.

Everything here is a pure function of its arguments. ``deployment`` is the dictionary of _chart_values.py. No object
here holds a secret.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ._chart_values import CONTAINER, LIBRARY, POD, Release

Object = dict[str, Any]
ENFORCE = "pod-security.kubernetes.io/enforce"
MANAGER = "windward.airflow"

# What the KubernetesExecutor does with pods, and what the api-server reads of them while they run.
RIGHTS: dict[str, list[tuple[list[str], list[str]]]] = {
    "scheduler": [
        (["pods"], ["create", "delete", "get", "list", "patch", "watch"]),
        (["pods/log"], ["get"]),
        (["events"], ["list"]),
    ],
    "api-server": [(["pods"], ["get", "list"]), (["pods/log"], ["get"])],
}
# The official image's user of PostgreSQL, and where its data is.
POSTGRES_USER, POSTGRES_DATA = 999, "/var/lib/postgresql/data"


def labels(deployment: dict[str, Any], component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/part-of": deployment["name"],
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/managed-by": MANAGER,
    }


def namespace(deployment: dict[str, Any]) -> Object:
    """A namespace that we make: its API refuses every pod that is not restricted."""
    about = {**labels(deployment, "namespace"), ENFORCE: "restricted", f"{ENFORCE}-version": "latest"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": deployment["namespace"], "labels": about}}


def _object(deployment: dict[str, Any], version: str, kind: str, name: str, component: str, **content: Any) -> Object:
    about = {"name": name, "namespace": deployment["namespace"], "labels": labels(deployment, component)}
    return {"apiVersion": version, "kind": kind, "metadata": about, **content}


def claim(deployment: dict[str, Any], name: str, size: str, component: str) -> Object:
    storage = deployment["storage"]
    spec: dict[str, Any] = {
        "accessModes": [storage["access_mode"]], "resources": {"requests": {"storage": size}},
    }
    if storage["class"]:
        spec["storageClassName"] = storage["class"]
    return _object(deployment, "v1", "PersistentVolumeClaim", name, component, spec=spec)


def rights(deployment: dict[str, Any]) -> list[Object]:
    """Roles for who asks Kubernetes, bound to one account each. Tasks have none."""
    found = []
    for component, rules in RIGHTS.items() if deployment["executor"] == "KubernetesExecutor" else ():
        name = f"{deployment['name']}-{component}"
        allowed = [{"apiGroups": [""], "resources": resources, "verbs": verbs} for resources, verbs in rules]
        found.append(_object(deployment, "rbac.authorization.k8s.io/v1", "Role", name, component, rules=allowed))
        binding = {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": deployment["namespace"]}],
        }
        found.append(
            _object(deployment, "rbac.authorization.k8s.io/v1", "RoleBinding", name, component, **binding)
        )
    return found


def library(deployment: dict[str, Any], files: dict[str, str]) -> Object:
    """What the collection puts on PYTHONPATH of every pod."""
    return _object(deployment, "v1", "ConfigMap", deployment["library"]["name"], "library", data=files)


def digest_of(files: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]


def postgresql(deployment: dict[str, Any]) -> list[Object]:
    """PostgreSQL of ours, from the official image."""
    about, name = deployment["postgresql"], deployment["database"]["host"]
    selector = {"matchLabels": labels(deployment, "postgresql")}
    ready = {"exec": {"command": ["pg_isready", "-h", "127.0.0.1", "-U", deployment["database"]["user"]]}}
    container = {
        "name": "postgresql",
        "image": about["image"],
        "env": [
            {"name": "POSTGRES_USER", "value": deployment["database"]["user"]},
            {"name": "POSTGRES_DB", "value": deployment["database"]["name"]},
            {"name": "PGDATA", "value": f"{POSTGRES_DATA}/pgdata"},
            {
                "name": "POSTGRES_PASSWORD",
                "valueFrom": {"secretKeyRef": {"name": about["secret"], "key": "database_password"}},
            },
        ],
        "ports": [{"name": "postgresql", "containerPort": 5432}],
        "readinessProbe": {**ready, "periodSeconds": 5, "timeoutSeconds": 5},
        "livenessProbe": {**ready, "periodSeconds": 20, "timeoutSeconds": 10, "failureThreshold": 6},
        "startupProbe": {**ready, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 60},
        "resources": about["resources"],
        "securityContext": {**CONTAINER, "readOnlyRootFilesystem": True},
        "volumeMounts": [
            {"name": "data", "mountPath": POSTGRES_DATA},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "run", "mountPath": "/var/run/postgresql"},
        ],
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {**POD, "runAsUser": POSTGRES_USER, "fsGroup": POSTGRES_USER},
        "terminationGracePeriodSeconds": 60,
        "containers": [container],
        "volumes": [{"name": name, "emptyDir": {}} for name in ("tmp", "run")],
    }
    template = claim(deployment, "data", about["size"], "postgresql")
    volume = {"metadata": {"name": "data"}, "spec": {**template["spec"], "accessModes": ["ReadWriteOnce"]}}
    spec = {
        "serviceName": name,
        "replicas": 1,
        "selector": selector,
        "template": {"metadata": {"labels": selector["matchLabels"]}, "spec": pod},
        "volumeClaimTemplates": [volume],
    }
    service = {
        "clusterIP": "None",
        "selector": selector["matchLabels"],
        "ports": [{"name": "postgresql", "port": 5432, "targetPort": "postgresql"}],
    }
    return [
        _object(deployment, "v1", "Service", name, "postgresql", spec=service),
        _object(deployment, "apps/v1", "StatefulSet", name, "postgresql", spec=spec),
    ]


def migration(release: Release) -> Object:
    """The Job that migrates. It is named by what it migrates to: one that has succeeded says that this is done.

    It has the environment of the scheduler, which may have all of it, and waits for no database: the step before has.
    """
    deployment = release.deployment
    image = deployment["image"]
    place = f"@{image['digest']}" if image["digest"] else f":{image['tag']}"
    mark = hashlib.sha256(json.dumps([image, deployment["version"]], sort_keys=True).encode()).hexdigest()[:10]
    pod = release.pod("scheduler")
    container = {
        "name": "migrate",
        "image": image["repository"] + place,
        "command": ["bash", "-euc", "airflow db migrate\nairflow fab-db migrate\n"],
        "env": [*pod["env"], {"name": "CONNECTION_CHECK_MAX_COUNT", "value": "0"}],
        "resources": deployment["resources"]["migrate"],
        "securityContext": CONTAINER,
        "volumeMounts": [{"name": "windward", "mountPath": f"{LIBRARY}/windward_airflow", "readOnly": True}],
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD,
        "imagePullSecrets": [{"name": name} for name in image["pull_secrets"]],
        "containers": [container],
        "volumes": [{"name": "windward", "configMap": {"name": deployment["library"]["name"]}}],
    }
    about = {"labels": labels(deployment, "migrate")}
    job = {"backoffLimit": 0, "template": {"metadata": about, "spec": spec}}
    return _object(deployment, "batch/v1", "Job", f"{deployment['name']}-migrate-{mark}", "migrate", spec=job)
