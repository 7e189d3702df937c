# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A deployment on Kubernetes, as the role hands it to _chart_values.py, and what tests change about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.windward.airflow.plugins.module_utils._chart_values import Release
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.contract import Contract

COMPONENTS = Contract.load().components
LOCAL_SETTINGS = Path(__file__).parents[2] / "roles/kubernetes/files/airflow_local_settings.py"
EXECUTORS = ("KubernetesExecutor", "CeleryExecutor")
# Each can be told from every other text, so that a test sees where it is.
SECRETS = {
    "fernet_key": "5ecret-fernet-key",
    "jwt_secret": "5ecret-jwt-secret",
    "api_secret_key": "5ecret-api-secret-key",
    "database_password": "5ecret-database",
    "results_database_password": "5ecret-results",
    "fingerprint_key": "5ecret-fingerprint",
    "admin_password": "5ecret-admin",
    "broker_password": "5ecret-broker",
    "postgresql_password": "5ecret-postgresql",
}
BROKER = "redis://airflow:5ecret-broker@airflow-redis:6379/0"
RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
POSTGRESQL = {
    "host": "airflow-postgresql",
    "port": 5432,
    "name": "airflow",
    "user": "airflow",
    "sslmode": "disable",
    "ca_path": "",
    "pooled": False,
}
DEPLOYMENT: dict[str, Any] = {
    "name": "airflow",
    "namespace": "airflow",
    "version": "3.3.2",
    "executor": "KubernetesExecutor",
    "image": "apache/airflow:3.3.2",
    "chart": "1.22.0 sha256:0f",
    "pull_secrets": [],
    "referred": [],
    "claims": ["airflow-logs", "airflow-dags", "data-airflow-postgresql-0", "data-airflow-redis-0"],
    "task_pods_namespace": "",
    "config": {},
    "environment": {},
    "base_url": "http://localhost:8080",
    "queues": ["default", "heavy"],
    "node_port": 0,
    "replicas": {},
    "resources": dict.fromkeys([*COMPONENTS, "task", "log-groomer", "migrate", "postgresql", "redis"], RESOURCES),
    "dags_volume": True,
    "library": {"bundle.py": "x = 1"},
    "canary": {"canary.py": "x = 1"},
    "log_retention_days": 30,
    "webserver_config": "AUTH_TYPE = 1\n",
    "drain_timeout": 600,
    "workers": [
        {"name": "default"},
        {"name": "heavy", "queues": ["heavy", "default"], "replicas": 2},
    ],
    "worker_concurrency": 4,
    "database": POSTGRESQL,
    "results_database": {**POSTGRESQL, "name": "airflow_results", "user": "airflow_results"},
    "broker_url": BROKER,
    "broker_options": {},
    "external_database": False,
    "external_broker": False,
    "storage": {"class": "", "access_mode": "ReadWriteOnce"},
    "sizes": {"postgresql": "8Gi", "redis": "1Gi", "logs": "10Gi", "dags": "1Gi"},
    "store": "airflow-secrets",
    "postgresql_image": "postgres:17",
    "redis_image": "redis:8",
    "redis_port": 6379,
    "migrate": "print('migrated')",
    "local_settings": LOCAL_SETTINGS.read_text(encoding="utf-8"),
    "accounts": [{"username": "admin", "email": "admin@example.com", "role": "Admin", "update_password": "on_create"}],
}


def release(secrets: dict[str, str] | None = None, **differs: Any) -> Release:
    return Release(COMPONENTS, {**DEPLOYMENT, **differs}, {**SECRETS, **(secrets or {})})
