"""Time the first and the idle run of site.yml on Kind against a bare helm of the same chart with its own jobs.

`make bench-kind` runs it. The images are on the nodes; both begin with an empty namespace. What is printed: the
figures, their ratios, and where the time of both runs went by step and by task, as Markdown tables.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / one) for one in (".collections", "tests/unit", "tests/deployment", "tests/chart")]

from archive import archive  # noqa: E402
from bench import play, profile, show  # noqa: E402
from cluster import Cluster  # noqa: E402

OURS = (
    "env", "extraVolumes", "extraVolumeMounts", "podAnnotations", "serviceAccount", "waitForMigrations",
    "livenessProbe", "startupProbe", "readinessProbe", "apiServerConfig",
)  # fmt: skip
NAMES = ("config", "enableBuiltInSecretEnvVars", "rbac", "allowPodLaunching", "allowJobLaunching", "logs", "data")


def bare(values: dict[str, Any]) -> dict[str, Any]:
    """The values without what is ours: the chart's own secrets, jobs, rights and probes."""
    own = {name: value for name, value in values.items() if name not in NAMES and not name.endswith("SecretName")}
    for section in ("apiServer", "scheduler", "dagProcessor", "triggerer"):
        own[section] = {name: value for name, value in own[section].items() if name not in OURS}
    own["apiServer"].pop("service", None)
    kubernetes = own["workers"]["kubernetes"]
    own["workers"] = {"kubernetes": {name: value for name, value in kubernetes.items() if name not in OURS}}
    job = {"enabled": True, "useHelmHooks": False, "applyCustomEnv": False}
    place = {"host": "postgresql", "db": "postgres", "sslmode": "disable"}
    database = {"user": "postgres", "pass": "of-the-bench", **place}
    return {**own, "migrateDatabaseJob": job, "createUserJob": job, "data": {"metadataConnection": database}}


def postgresql(image: str) -> str:
    """A server as guides show it: without a volume."""
    about = {"name": "postgresql", "labels": {"app": "postgresql"}}
    server = {
        "name": "postgresql", "image": image, "env": [{"name": "POSTGRES_PASSWORD", "value": "of-the-bench"}],
        "readinessProbe": {"exec": {"command": ["pg_isready", "-h", "127.0.0.1"]}, "periodSeconds": 1},
    }  # fmt: skip
    service = {"selector": {"app": "postgresql"}, "ports": [{"port": 5432}]}
    return yaml.safe_dump_all([
        {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": {"containers": [server]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": service},
    ])


def main() -> None:
    cluster = Cluster("kind")
    images = os.environ.get("AIRFLOW_KIND_VARS", "")
    more = ["-e", images] if images else []
    os.environ["MOLECULE_PROJECT_DIRECTORY"] = str(HERE.parents[1])
    play("molecule/machines.yml", *more, inventory=cluster.inventory)
    first, first_said = play("site.yml", *more, inventory=cluster.inventory)
    idle, idle_said = play("site.yml", *more, inventory=cluster.inventory)
    values = json.loads(cluster.run("helm", "get", "values", cluster.name, "-n", cluster.name, "-ojson"))
    (image,) = {
        one["image"] for pod in cluster.running() for one in pod["spec"]["containers"] if one["name"] == "postgresql"
    }
    clean = ["-e", f"airflow_confirm={cluster.name}", "--tags", "airflow,data"]
    play("playbooks/cleanup.yml", *clean, *more, inventory=cluster.inventory)

    cluster.run("kubectl", "create", "namespace", cluster.name)
    started = time.monotonic()
    cluster.kubectl("apply", "-f", "-", stdin=postgresql(image))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/postgresql", "--timeout=100s")
    helm = ["helm", "upgrade", "--install", cluster.name, str(archive()), "-n", cluster.name]
    cluster.run(*helm, "--wait", "--timeout", "10m", "--values", "-", stdin=json.dumps(bare(values)), timeout=700)
    rival = time.monotonic() - started
    cluster.run("kubectl", "delete", "namespace", cluster.name, timeout=200)
    print("| what | s |\n|---|---|")
    print(f"| site.yml, first run, images on the nodes | {first:.1f} |\n| site.yml, nothing changed | {idle:.1f} |")
    print(f"| bare helm, PostgreSQL included | {rival:.1f} |")
    print(f"| nothing changed / first run | {idle / first:.2f} |\n| first run / bare helm | {first / rival:.2f} |")
    show(profile(first_said), profile(idle_said))


if __name__ == "__main__":
    main()
