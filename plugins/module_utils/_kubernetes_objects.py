# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: it may change without notice.

"""The objects of a deployment that are ours and not the chart's, as data.

Everything here is a pure function of its arguments. ``deployment`` is the dictionary of _chart_values.py. No object
here holds a secret.
"""

from __future__ import annotations

import json
from typing import Any

from ._chart_values import CONTAINER, LAUNCHES_PODS, POD, Release, claim_name
from ._components import digest, dsn

Object = dict[str, Any]
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
# What a task does that launches a pod, and a triggerer that waits for one; in a namespace of its own, where it may.
TASKS_RIGHTS: list[tuple[list[str], list[str]]] = [
    (["pods"], ["create", "delete", "get", "list", "patch", "watch"]),
    (["pods/exec"], ["create", "get"]),  # how an answer is fetched
    (["pods/log"], ["get"]),
    (["events"], ["list"]),
]
# The official images' user of both, and where their data is.
SERVICE_USER, POSTGRES_DATA, REDIS_DATA = 999, "/var/lib/postgresql/data", "/data"
# The server's own administrator: Airflow's user owns its database and no more.
SUPERUSER = "postgres"
# The password comes by a file, since a command line can be read by everybody on the node; and as a digest, since that
# file has rules of its own about blanks and quotes.
REDIS_START = """umask 077
digest=$(printf %s "$REDISCLI_AUTH" | sha256sum)
echo "user default on #${digest%% *} ~* &* +@all" > /run/redis/redis.conf
exec redis-server /run/redis/redis.conf --port "$REDIS_PORT" --dir /data --appendonly yes --maxmemory-policy noeviction
"""


def labels(deployment: dict[str, Any], component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/part-of": deployment["name"],
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/managed-by": MANAGER,
    }


def _object(deployment: dict[str, Any], version: str, kind: str, name: str, component: str, **content: Any) -> Object:
    about = {"name": name, "namespace": deployment["namespace"], "labels": labels(deployment, component)}
    return {"apiVersion": version, "kind": kind, "metadata": about, **content}


def _claim(deployment: dict[str, Any], volume: str, access_mode: str) -> Object:
    spec: Object = {
        "accessModes": [access_mode], "resources": {"requests": {"storage": deployment["sizes"][volume]}},
    }
    if deployment["storage"]["class"]:
        spec["storageClassName"] = deployment["storage"]["class"]
    return spec


def claim(deployment: dict[str, Any], volume: str) -> Object:
    """A volume that several pods mount."""
    spec = _claim(deployment, volume, deployment["storage"]["access_mode"])
    return _object(deployment, "v1", "PersistentVolumeClaim", claim_name(deployment, volume), volume, spec=spec)


def _role(
    deployment: dict[str, Any], name: str, rules: list[Any], accounts: list[str], place: str = ""
) -> list[Object]:
    """A Role, bound to accounts of ours."""
    version, space = "rbac.authorization.k8s.io/v1", deployment["namespace"]
    allowed = [{"apiGroups": [""], "resources": resources, "verbs": verbs} for resources, verbs in rules]
    whole = f"{deployment['name']}-{name}"
    binding = {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": whole},
        "subjects": [
            {"kind": "ServiceAccount", "name": f"{deployment['name']}-{account}", "namespace": space}
            for account in accounts
        ],
    }
    made = [
        _object(deployment, version, "Role", whole, name, rules=allowed),
        _object(deployment, version, "RoleBinding", whole, name, **binding),
    ]
    for one in made:
        one["metadata"]["namespace"] = place or space
    return made


def rights(deployment: dict[str, Any]) -> list[Object]:
    """Roles for who asks Kubernetes, bound to one account each. Tasks have none but by an option, and elsewhere."""
    found = []
    if deployment["executor"] == "KubernetesExecutor":
        for component, rules in RIGHTS.items():
            found += _role(deployment, component, rules, [component])
    if deployment["task_pods_namespace"]:
        found += _role(deployment, "tasks", TASKS_RIGHTS, sorted(LAUNCHES_PODS), deployment["task_pods_namespace"])
    return found


def files(deployment: dict[str, Any], what: str) -> Object:
    """Files of the collection that pods mount: the `library` on PYTHONPATH, and the `canary`."""
    return _object(deployment, "v1", "ConfigMap", f"{deployment['name']}-{what}", what, data=deployment[what])


def _from_store(deployment: dict[str, Any], variable: str, key: str) -> Object:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": deployment["store"], "key": key}}}


def _service(deployment: dict[str, Any], what: str, port: int, container: Object, data: str, mark: str) -> list[Object]:
    """A server of one pod with a volume, and its name in the network."""
    name, about = f"{deployment['name']}-{what}", labels(deployment, what)
    writable = [one["name"] for one in container["volumeMounts"]]
    whole = {
        "name": what,
        **container,
        "ports": [{"name": what, "containerPort": port}],
        "resources": deployment["resources"][what],
        "securityContext": {**CONTAINER, "readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "data", "mountPath": data}, *container["volumeMounts"]],
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {**POD, "runAsUser": SERVICE_USER, "fsGroup": SERVICE_USER},
        "terminationGracePeriodSeconds": 60,
        "imagePullSecrets": [{"name": one} for one in deployment["pull_secrets"]],
        "containers": [whole],
        "volumes": [{"name": one, "emptyDir": {}} for one in writable],
    }
    metadata = {"labels": about, "annotations": {"windward.airflow/environment": mark}}
    volume = {"metadata": {"name": "data"}, "spec": _claim(deployment, what, "ReadWriteOnce")}
    spec = {
        "serviceName": name,
        "replicas": 1,
        "selector": {"matchLabels": about},
        "template": {"metadata": metadata, "spec": pod},
        "volumeClaimTemplates": [volume],
    }
    ports = [{"name": what, "port": port, "targetPort": what}]
    return [
        _object(deployment, "v1", "Service", name, what, spec={"clusterIP": "None", "selector": about, "ports": ports}),
        _object(deployment, "apps/v1", "StatefulSet", name, what, spec=spec),
    ]


def _probes(command: list[str]) -> Object:
    """Patient ones: a server that is slow on a busy machine is not mended by killing it."""
    ask = {"exec": {"command": command}}
    return {
        "readinessProbe": {**ask, "periodSeconds": 5, "timeoutSeconds": 20},
        "livenessProbe": {**ask, "periodSeconds": 30, "timeoutSeconds": 30, "failureThreshold": 10},
        "startupProbe": {**ask, "periodSeconds": 2, "timeoutSeconds": 20, "failureThreshold": 150},
    }


def postgresql(release: Release) -> list[Object]:
    """PostgreSQL of ours, from the official image. A Job makes roles and databases in it."""
    deployment = release.deployment
    container = {
        "image": deployment["postgresql_image"],
        "env": [
            {"name": "POSTGRES_USER", "value": SUPERUSER},
            {"name": "PGDATA", "value": f"{POSTGRES_DATA}/pgdata"},
            {"name": "PGPORT", "value": str(deployment["database"]["port"])},
            _from_store(deployment, "POSTGRES_PASSWORD", "postgresql_password"),
        ],
        **_probes(["pg_isready", "-h", "127.0.0.1", "-U", SUPERUSER]),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "run", "mountPath": "/var/run/postgresql"},
        ],
    }
    # Its password is read when the data is made, and never again.
    return _service(deployment, "postgresql", deployment["database"]["port"], container, POSTGRES_DATA, "")


def redis(release: Release, secrets: dict[str, str]) -> list[Object]:
    """Redis of ours, from the official image."""
    deployment, port = release.deployment, release.deployment["redis_port"]
    container = {
        "image": deployment["redis_image"],
        "command": ["sh", "-euc", REDIS_START],
        "env": [
            {"name": "REDIS_PORT", "value": str(port)},
            _from_store(deployment, "REDISCLI_AUTH", "broker_password"),
        ],
        **_probes(["sh", "-c", 'test "$(redis-cli -p "$REDIS_PORT" ping)" = PONG']),
        "volumeMounts": [{"name": "run", "mountPath": "/run/redis"}],
    }
    mark = digest([secrets["broker_password"]], release.key)
    return _service(deployment, "redis", port, container, REDIS_DATA, mark)


def data(release: Release, secrets: dict[str, str]) -> list[Object]:
    """What keeps something: volumes, and the servers of ours."""
    deployment = release.deployment
    ours = [claim(deployment, "logs")]
    if deployment["dags_volume"]:
        ours.append(claim(deployment, "dags"))
    if not deployment["external_database"]:
        ours += postgresql(release)
    if deployment["executor"] == "CeleryExecutor" and not deployment["external_broker"]:
        ours += redis(release, secrets)
    return ours


def support(release: Release) -> list[Object]:
    """What the chart's pods need beside it."""
    return [files(release.deployment, "library"), files(release.deployment, "canary"), *rights(release.deployment)]


def migration_environment(release: Release, secrets: dict[str, str]) -> dict[str, str]:
    """What the Job knows: it makes roles, databases, schema and accounts."""
    deployment = release.deployment
    kept = {"passwords": {deployment["accounts"][0]["username"]: secrets["admin_password"]}, "databases": []}
    variables = {
        "AIRFLOW__CORE__AUTH_MANAGER": release.config["core"]["auth_manager"],
        **{
            name: value
            for name, value in release.granted["scheduler"].items()
            if name.startswith(("AIRFLOW__DATABASE__", "AIRFLOW__CORE__FERNET_KEY"))
        },
        # The official image would look for a database first, which may be yet to be made.
        "CONNECTION_CHECK_MAX_COUNT": "0",
    }
    if not deployment["external_database"]:
        wanted = [(deployment["database"], secrets["database_password"])]
        if deployment["executor"] == "CeleryExecutor":
            wanted.append((deployment["results_database"], secrets["results_database_password"]))
        kept["databases"] = [{"name": one["name"], "user": one["user"], "password": key} for one, key in wanted]
        server = {**deployment["database"], "user": SUPERUSER, "name": SUPERUSER}
        variables["SERVER"] = dsn("psycopg2", server, secrets["postgresql_password"])
    return {**variables, "ACCOUNTS": json.dumps(deployment["accounts"]), "GIVEN": json.dumps(kept, sort_keys=True)}


def migration(release: Release, secrets: dict[str, str]) -> Object:
    """The Job that migrates. It is named by all that it works with: one that has succeeded says that this is done."""
    deployment = release.deployment
    environment, name = migration_environment(release, secrets), release.secret("migrate")
    image = release.image
    mark = digest(
        [image, deployment["version"], deployment["migrate"], *(f"{k}={v}" for k, v in sorted(environment.items()))],
        release.key,
    )
    container = {
        "name": "migrate",
        "image": image,
        "command": ["python", "-c", deployment["migrate"]],
        "env": [
            {"name": one, "valueFrom": {"secretKeyRef": {"name": name, "key": one}}} for one in sorted(environment)
        ],
        "resources": deployment["resources"]["migrate"],
        "securityContext": CONTAINER,
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD,
        "imagePullSecrets": [{"name": one} for one in deployment["pull_secrets"]],
        "containers": [container],
    }
    template = {"metadata": {"labels": labels(deployment, "migrate")}, "spec": spec}
    job = {"backoffLimit": 0, "template": template}
    return _object(deployment, "batch/v1", "Job", f"{deployment['name']}-migrate-{mark[:10]}", "migrate", spec=job)


def comparison(migration: Object) -> Object:
    """The same Job, but it only tells whether there is something to migrate: what runs is stopped before that."""
    name, _migrate, mark = migration["metadata"]["name"].rpartition("-migrate-")
    template = migration["spec"]["template"]
    (container,) = template["spec"]["containers"]
    asked = {**container, "env": [*container["env"], {"name": "COMPARE", "value": "1"}]}
    template = {**template, "spec": {**template["spec"], "containers": [asked]}}
    metadata = {**migration["metadata"], "name": f"{name}-compare-{mark}"}
    return {**migration, "metadata": metadata, "spec": {**migration["spec"], "template": template}}
