# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: it may change without notice.

"""From the contract to the values of the official chart, and to the Secrets that they name.

Everything here is a pure function of its arguments, as in _components.py, whose ``components`` and ``deployment`` these
are. What a component is granted stands in a Secret of its own and comes into its environment from there, name by name:
the values hold no secret, and no component has one that it does not need.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ._components import Settings, cfg_text, declared, digest, everywhere, grants
from ._image_build import DAGS, PLUGINS, PYTHONPATH

# The chart's own way with secrets gives each pod all of them, and makes new ones when it finds none: it is off, and the
# names of those that it would otherwise make are ours.
BUILT_IN = (
    "AIRFLOW_CONN_AIRFLOW_DB",
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "AIRFLOW__API__SECRET_KEY",
    "AIRFLOW__CELERY__BROKER_URL",
    "AIRFLOW__CELERY__RESULT_BACKEND",
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__ELASTICSEARCH__HOST",
    "AIRFLOW__OPENSEARCH__HOST",
    "AIRFLOW__WEBSERVER__SECRET_KEY",
)
# What Pod Security's level `restricted` asks of a pod and of a container. The user is the official image's.
POD = {"runAsNonRoot": True, "runAsUser": 50000, "fsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}

LOGS = "/opt/airflow/logs"
LIBRARY = "/opt/airflow/windward"  # what the collection puts on PYTHONPATH, from a ConfigMap
CANARY = "/opt/airflow/canary"
LOCAL_SETTINGS = "airflow_local_settings.py"  # as the chart names it in its ConfigMap

# What is ours, is not built yet, or is a step before the release.
OFF = ("postgresql", "redis", "pgbouncer", "statsd", "flower", "cleanup")
OFF_WITH_ACCOUNT = ("createUserJob", "migrateDatabaseJob")  # the chart would make their accounts all the same
# Where the chart has a component. Workers are below two keys: Celery's, and the pods of tasks.
SECTIONS = {
    "api-server": "apiServer",
    "scheduler": "scheduler",
    "dag-processor": "dagProcessor",
    "triggerer": "triggerer",
}
# Who asks Kubernetes for something: pods are the scheduler's to launch and to look after, their logs the api-server's
# to read while they run. The rights are those of Roles of ours.
ASKS_KUBERNETES: dict[str, set[str]] = {"KubernetesExecutor": {"scheduler", "api-server"}, "CeleryExecutor": set()}
# Who has a token, too, where tasks may launch pods in a namespace of their own.
LAUNCHES_PODS = {"worker", "triggerer"}


class Release:
    """One deployment: `values` for the chart, and the `secrets` that they name."""

    def __init__(self, components: dict[str, Any], deployment: dict[str, Any], secrets: dict[str, str]) -> None:
        self.name, self.executor = deployment["name"], deployment["executor"]
        self.canary = digest_of(deployment["canary"])
        self.components, self.key = components, secrets["fernet_key"]
        self.deployment = {
            **deployment,
            "bundles": {
                "canary": {"root": CANARY, "release": self.canary},
                # An image holds one release.
                "dags": {"root": DAGS, **({} if deployment["dags_volume"] else {"lasting": False})},
            },
        }
        # A pod of the KubernetesExecutor's has what a worker has.
        self.running = [*(name for name in SECTIONS if deployment["replicas"].get(name, 1)), "worker"]
        self.granted = {name: self.environment(name, secrets) for name in self.running}

    def environment(self, component: str, secrets: dict[str, str]) -> dict[str, str]:
        variables = {
            "PYTHONPATH": f"{LIBRARY}:{PYTHONPATH}",  # an image that was built elsewhere may have the latter
            "AIRFLOW_CANARY_QUEUES": ",".join(self.deployment["queues"]),
            **grants(component, self.components, self.deployment, secrets),
        }
        if component == "worker":
            # The official image would look for a database first, and a worker knows of none.
            variables["CONNECTION_CHECK_MAX_COUNT"] = "0"
            if self.executor == "KubernetesExecutor":
                del variables["AIRFLOW__CELERY__WORKER_CONCURRENCY"]
        return variables

    def secret(self, component: str) -> str:
        return f"{self.name}-{component}-environment"

    def account(self, component: str) -> str:
        return f"{self.name}-{component}"

    @property
    def secrets(self) -> dict[str, dict[str, str]]:
        return {self.secret(component): variables for component, variables in self.granted.items()}

    @property
    def image(self) -> str:
        """The image as a pod names it."""
        parts = image_parts(self.deployment["image"])
        tag = parts["tag"] or self.deployment["version"]
        return parts["repository"] + (f"@{parts['digest']}" if parts["digest"] else f":{tag}")

    @property
    def values(self) -> dict[str, Any]:
        """All values, so that a run gives the chart the same ones whatever was given to it before."""
        image, ours = image_parts(self.deployment["image"]), self.secret("scheduler")
        place, _colon, mark = self.image.rpartition(":")
        whole = {
            "useStandardNaming": True,
            "fullnameOverride": self.name,
            "airflowVersion": self.deployment["version"],
            "defaultAirflowRepository": image["repository"],
            "defaultAirflowTag": image["tag"] or self.deployment["version"],
            "defaultAirflowDigest": image["digest"] or None,
            # Of a task's pod the chart knows a tag only, so a digest is written as one.
            "images": {"pod_template": {"repository": place, "tag": mark}},
            "imagePullSecrets": [{"name": name} for name in self.deployment["pull_secrets"]],
            "executor": self.executor,
            "config": self.config,
            "airflowLocalSettings": escaped(self.local_settings),
            # The same values with another chart are another release.
            "airflowConfigAnnotations": {"windward.airflow/chart": self.deployment["chart"]},
            "securityContexts": {"pod": POD, "containers": CONTAINER},
            # Rights are given by Roles of ours.
            "rbac": {"create": False},
            "allowPodLaunching": False,
            "allowJobLaunching": False,
            **{name: {"enabled": False} for name in OFF},
            **{name: {"enabled": False, "serviceAccount": {"create": False}} for name in OFF_WITH_ACCOUNT},
            # No pod reads these: they only keep the chart from making its own.
            "fernetKeySecretName": ours,
            "apiSecretKeySecretName": ours,
            "jwtSecretName": ours,
            "data": dict.fromkeys(("metadataSecretName", "resultBackendSecretName", "brokerUrlSecretName"), ours),
            "enableBuiltInSecretEnvVars": dict.fromkeys(BUILT_IN, False),
            "logs": {"persistence": {"enabled": True, "existingClaim": claim_name(self.deployment, "logs")}},
            "workers": self.workers(),
            **{section: self.component(name) for name, section in SECTIONS.items()},
        }
        whole["scheduler"]["logGroomerSidecar"] = {
            "enabled": True,
            "retentionDays": self.deployment["log_retention_days"],
            "resources": self.deployment["resources"]["log-groomer"],
        }
        if self.local_settings:
            # First on PYTHONPATH, too: a module of that name in the image would take its place.
            own = {"name": "config", "mountPath": f"{LIBRARY}/{LOCAL_SETTINGS}", "subPath": LOCAL_SETTINGS}
            whole["scheduler"]["extraVolumeMounts"].append({**own, "readOnly": True})
        whole["apiServer"]["apiServerConfig"] = escaped(self.deployment["webserver_config"])
        whole["apiServer"]["service"] = self.service()
        return whole

    @property
    def config(self) -> Settings:
        """airflow.cfg as the chart takes it; what it computes itself (addresses, namespace, template) stays its own."""
        computed = everywhere(self.deployment)
        computed["core"]["plugins_folder"] = PLUGINS
        # The name of a pod of a Deployment's can't be resolved, and logs are asked for by this.
        computed["core"]["hostname_callable"] = "airflow.utils.net.get_host_ip_address"
        computed["logging"]["base_log_folder"] = LOGS
        # Else a task's pod would have another image than its template says.
        computed["kubernetes_executor"] = dict.fromkeys(("worker_container_repository", "worker_container_tag"), "")
        return {
            section: {name: chart_text(value) for name, value in options.items()}
            for section, options in declared(computed, self.deployment["config"]).items()
        }

    @property
    def local_settings(self) -> str:
        """The hook by which the scheduler refuses pods of tasks, and the names of what it keeps from them."""
        if self.executor != "KubernetesExecutor":
            return ""
        others = [self.secret(component) for component in (*SECTIONS, "migrate")]
        read = [self.deployment["store"], *self.deployment["referred"], *self.deployment["pull_secrets"]]
        shared = {claim_name(self.deployment, volume) for volume in ("logs", "dags")}
        ours = {
            "name": self.name,
            "components": sorted(SECTIONS),
            "account": self.account("worker"),
            "token": bool(self.deployment["task_pods_namespace"]),
            "kept": sorted({*others, *read, *self.deployment["claims"]} - shared),
            "read_only": claim_name(self.deployment, "dags"),
        }
        return f"{self.deployment['local_settings']}\nOURS = {ours!r}\n"

    def service(self) -> dict[str, Any]:
        port = {"name": "api-server", "port": 8080}
        if not self.deployment["node_port"]:
            return {"type": "ClusterIP", "ports": [port]}
        return {"type": "NodePort", "ports": [{**port, "nodePort": self.deployment["node_port"]}]}

    def component(self, name: str) -> dict[str, Any]:
        if name not in self.running:
            return {"enabled": False}
        groomer = {"logGroomerSidecar": {"enabled": False}} if name != "api-server" else {}
        return {
            "enabled": True,
            "replicas": self.deployment["replicas"].get(name, 1),
            "resources": self.deployment["resources"][name],
            "waitForMigrations": {"enabled": False},
            **groomer,
            **({"persistence": {"enabled": False}} if name == "triggerer" else {}),
            **self.probes(name),
            **self.pod(name),
        }

    def probes(self, name: str) -> dict[str, Any]:
        """Patient ones; the chart's own load all of Airflow each time.

        On a machine that has too much to do, a component that is killed and starts anew makes things worse. One that
        can't start ends by itself.
        """
        patient = {"periodSeconds": 30, "timeoutSeconds": 20, "failureThreshold": 10}
        starting = {"periodSeconds": 2, "timeoutSeconds": 20, "failureThreshold": 450}
        job = self.components[name]["job"]
        ask = {"command": ["python", "-m", "windward_airflow.alive", job]} if job else {}
        if name == "api-server":
            ready = {"initialDelaySeconds": 0, "periodSeconds": 5, "timeoutSeconds": 20, "failureThreshold": 5}
            return {"livenessProbe": patient, "startupProbe": starting, "readinessProbe": ready}
        if name == "scheduler":
            return {"livenessProbe": {**patient, **ask}, "startupProbe": {**starting, **ask}}
        return {"livenessProbe": {"initialDelaySeconds": 300, **patient, **ask}}

    def workers(self) -> dict[str, Any]:
        """Celery's workers, a set for each that is declared, or the pods of the KubernetesExecutor's tasks."""
        drain = {"terminationGracePeriodSeconds": self.deployment["drain_timeout"]}
        if self.executor == "KubernetesExecutor":
            return {"kubernetes": {**self.pod("worker"), **drain, "resources": self.deployment["resources"]["task"]}}
        off = {name: {"enabled": False} for name in ("waitForMigrations", "persistence", "logGroomerSidecar")}
        sets = [
            {
                "name": one["name"],
                "replicas": one.get("replicas", 1),
                "queue": self.queue(one.get("queues", ["default"])),
                # One account for all sets: the chart would write it once for each.
                "serviceAccount": {"create": index == 0},
            }
            for index, one in enumerate(self.deployment["workers"])
        ]
        patient = {"livenessProbe": {"periodSeconds": 300, "timeoutSeconds": 120}}
        own = {**patient, "enableDefault": False, "sets": sets, "resources": self.deployment["resources"]["worker"]}
        return {"celery": {**self.pod("worker"), **drain, **off, **own}}

    def queue(self, names: list[str]) -> str:
        """What a set consumes. The chart does not pass `default` alone on, and Airflow takes its default_queue then."""
        return ",".join(names if names != ["default"] or self.deployment["queues"][0] == "default" else names * 2)

    def pod(self, component: str) -> dict[str, Any]:
        """Environment, volumes and account of a pod. A changed secret restarts just the pods that have it.

        Each component has an account of its own; who asks Kubernetes for nothing has no token. The digest is keyed, so
        that it says nothing about a secret.
        """
        volumes: list[dict[str, Any]] = [{"name": "windward", "configMap": {"name": f"{self.name}-library"}}]
        mounts = [{"name": "windward", "mountPath": f"{LIBRARY}/windward_airflow", "readOnly": True}]
        if self.components[component]["runs_dags"]:
            volumes.append({"name": "canary", "configMap": {"name": f"{self.name}-canary"}})
            # File by file: Airflow takes the links of a whole ConfigMap for a loop.
            mounts += [
                {"name": "canary", "mountPath": f"{CANARY}/releases/{self.canary}/{file}", "subPath": file}
                for file in sorted(self.deployment["canary"])
            ]
        if self.deployment["dags_volume"] and self.components[component]["runs_dags"]:
            claim = claim_name(self.deployment, "dags")
            volumes.append({"name": "dags", "persistentVolumeClaim": {"claimName": claim}})
            mounts.append({"name": "dags", "mountPath": DAGS, "readOnly": True})
        variables, secret = self.granted[component], self.secret(component)
        asks = ASKS_KUBERNETES[self.executor] | (LAUNCHES_PODS if self.deployment["task_pods_namespace"] else set())
        texts = [f"{name}={value}" for name, value in sorted(variables.items())]
        return {
            "env": [
                {"name": "WINDWARD_IMAGE", "value": self.image},  # so that a task can say what it runs in
                *(
                    {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}}
                    for name in sorted(variables)
                ),
            ],
            "extraVolumes": volumes,
            "extraVolumeMounts": mounts,
            "serviceAccount": {
                "create": True,
                "name": self.account(component),
                "automountServiceAccountToken": component in asks,
            },
            "podAnnotations": {
                "windward.airflow/environment": digest(texts, self.key),
                "windward.airflow/library": digest_of(self.deployment["library"]),
            },
        }


def image_parts(image: str) -> dict[str, str]:
    """An image's name as the chart takes it. A port of the registry is no tag."""
    place, _at, mark = image.partition("@")
    repository, colon, tag = place.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = place, ""
    return {"repository": repository, "tag": tag, "digest": mark}


def claim_name(deployment: dict[str, Any], volume: str) -> str:
    return f"{deployment['name']}-{volume}"


def digest_of(content: Any) -> str:
    """A digest of what is no secret."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def escaped(text: str) -> str:
    """A text that the chart's template engine gives back as it is."""
    return text.replace("{{", '{{ "{{" }}')


def chart_text(value: Any) -> str:
    """A value that the chart writes into airflow.cfg, four columns deep. A large number would become a float there."""
    return escaped(cfg_text(value).replace("\n", "\n    "))
