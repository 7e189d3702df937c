# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The values of the chart against its own schema, and who gets which secret. tests/chart renders them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ansible_collections.windward.airflow.plugins.module_utils import _chart_values as cv
from chart_case import BROKER, COMPONENTS, EXECUTORS, SECRETS, release

# The chart's own, of 1.22.0.
SCHEMA = json.loads(gzip.decompress((Path(__file__).parent / "data/chart-1.22.0-values.schema.json.gz").read_bytes()))
each_executor = pytest.mark.parametrize("executor", EXECUTORS)
# What a secret is called in the contract's matrix, and which texts show that a component has it.
TEXTS = {
    "database": SECRETS["database_password"],
    "results_database": SECRETS["results_database_password"],
    "broker": BROKER,
    **{name: SECRETS[name] for name in ("fernet_key", "jwt_secret", "api_secret_key")},
}


def pods(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the chart is told of each component's pod."""
    workers = values["workers"].get("celery") or values["workers"]["kubernetes"]
    return {**{name: values[section] for name, section in cv.SECTIONS.items()}, "worker": workers}


def schema_errors(values: dict[str, Any]) -> list[str]:
    found = jsonschema.Draft7Validator(SCHEMA).iter_errors(values)
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in found]


@each_executor
def test_the_chart_takes_the_values(executor: str) -> None:
    assert schema_errors(release(executor=executor).values) == []


@pytest.mark.parametrize(
    "differs",
    [
        {"image": "r:5000/a@sha256:0", "pull_secrets": ["registry"]},
        {"node_port": 30080},
        {"config": {"core": {"parallelism": 8}, "logging": {"log_format": "{{ x }} %(message)s"}}},
        {"replicas": {"api-server": 2, "triggerer": 0}},
        {"dags_volume": False},
        {"environment": {"MY": "x"}},
    ],
)
def test_the_chart_takes_what_can_be_declared(differs: dict[str, Any]) -> None:
    assert schema_errors(release(**differs).values) == []


def test_the_schema_would_see_a_mistake() -> None:
    values = release().values
    values["scheduler"]["replica"] = values["scheduler"].pop("replicas")
    assert schema_errors(values) == [
        "scheduler: Additional properties are not allowed ('replica' was unexpected)"
    ]


@each_executor
def test_the_values_hold_no_secret(executor: str) -> None:
    config = {"smtp": {"smtp_password": "5ecret-smtp", "smtp_host": "mail.example.org"}}
    text = json.dumps(release(executor=executor, config=config, environment={"TOKEN": "5ecret-own"}).values)
    assert "5ecret" not in text
    assert "mail.example.org" in text


@each_executor
def test_each_component_gets_the_secrets_of_the_matrix_and_no_other(executor: str) -> None:
    here = release(executor=executor)
    celery = {"broker", "results_database"} if executor == "CeleryExecutor" else set()
    for component, pod in pods(here.values).items():
        content = here.secrets[f"airflow-{component}-environment"]
        has = {name for name, text in TEXTS.items() if any(text in value for value in content.values())}
        assert has == set(COMPONENTS[component]["secrets"]) - ({"broker", "results_database"} - celery)
        # Its environment is its image's name and all of its own Secret, and nothing of another's.
        image, *own = pod["env"]
        assert image == {"name": "WINDWARD_IMAGE", "value": here.image}
        assert [one["name"] for one in own] == sorted(content)
        references = [(one["name"], one["valueFrom"]["secretKeyRef"]) for one in own]
        assert all(ref == {"name": f"airflow-{component}-environment", "key": name} for name, ref in references)


@each_executor
def test_nothing_comes_by_the_charts_own_ways(executor: str) -> None:
    values = release(executor=executor).values
    assert set(values["enableBuiltInSecretEnvVars"].values()) == {False}
    known = SCHEMA["properties"]["enableBuiltInSecretEnvVars"]["properties"]
    assert values["enableBuiltInSecretEnvVars"].keys() == known.keys()
    assert not {"env", "secret", "extraEnv", "extraEnvFrom"} & values.keys()
    assert not any(values[name]["enabled"] for name in ("createUserJob", "migrateDatabaseJob", "postgresql", "redis"))
    waits = [pod["waitForMigrations"] for name, pod in pods(values).items() if "waitForMigrations" in pod]
    assert waits == [{"enabled": False}] * (5 if executor == "CeleryExecutor" else 4)


def test_a_worker_has_no_database_to_wait_for() -> None:
    assert release().secrets["airflow-worker-environment"]["CONNECTION_CHECK_MAX_COUNT"] == "0"


@pytest.mark.parametrize(
    ("executor", "asks"), [("KubernetesExecutor", {"scheduler", "api-server"}), ("CeleryExecutor", set())]
)
def test_only_who_asks_kubernetes_has_a_token(executor: str, asks: set[str]) -> None:
    values = release(executor=executor).values
    accounts = {name: pod["serviceAccount"] for name, pod in pods(values).items()}
    assert {name for name, account in accounts.items() if account["automountServiceAccountToken"]} == asks
    assert len({account["name"] for account in accounts.values()}) == len(accounts)
    assert values["rbac"] == {"create": False}
    assert values["allowPodLaunching"] is values["allowJobLaunching"] is False


def annotations(**differs: Any) -> dict[str, str]:
    return {
        name: pod["podAnnotations"]["windward.airflow/environment"]
        for name, pod in pods(release(**differs).values).items()
    }


@pytest.mark.parametrize(
    ("changed", "restarted"),
    [
        ({}, set()),
        ({"jwt_secret": "other"}, {"api-server", "scheduler"}),
        ({"database_password": "other"}, {"api-server", "scheduler", "dag-processor", "triggerer"}),
        ({"api_secret_key": "other"}, {"api-server", "scheduler", "triggerer", "worker"}),
        ({"fingerprint_key": "other"}, set()),
    ],
)
def test_a_changed_secret_restarts_those_who_have_it(changed: dict[str, str], restarted: set[str]) -> None:
    before, after = annotations(), annotations(secrets=changed)
    assert {name for name in before if before[name] != after[name]} == restarted


def test_a_digest_says_nothing_without_the_key() -> None:
    before, after = annotations(), annotations(secrets={"fernet_key": "other"})
    assert before["worker"] != after["worker"], "a worker has no Fernet key: only the key of the digest changed"


@each_executor
def test_dags_are_only_with_those_who_run_them(executor: str) -> None:
    with_dags = {
        name
        for name, pod in pods(release(executor=executor).values).items()
        if any(volume["name"] == "dags" for volume in pod["extraVolumes"])
    }
    assert with_dags == {"dag-processor", "triggerer", "worker"}


def test_dags_in_the_image() -> None:
    """No pod mounts anything over them, and a run whose release is gone has the one that is there."""
    made = release(dags_volume=False)
    config = json.loads(made.values["config"]["dag_processor"]["dag_bundle_config_list"].replace('{{ "{{" }}', "{{"))
    assert {one["name"]: one["kwargs"].get("lasting") for one in config} == {"canary": None, "dags": False}
    assert "/opt/airflow/dags\"" not in json.dumps([made.pod(name)["extraVolumeMounts"] for name in made.running])


def test_source_of_the_image_is_found() -> None:
    paths = {one["PYTHONPATH"] for one in release().granted.values()}
    assert paths == {"/opt/airflow/windward:/opt/airflow/pythonpath"}


def test_queues_become_sets_of_workers() -> None:
    celery = release(executor="CeleryExecutor").values["workers"]["celery"]
    assert celery["enableDefault"] is False
    assert celery["sets"] == [
        {"name": "default", "replicas": 1, "queue": "default", "serviceAccount": {"create": True}},
        {"name": "heavy", "replicas": 2, "queue": "heavy,default", "serviceAccount": {"create": False}},
    ]


def test_airflows_own_options_win() -> None:
    config = release(config={"workers": {"execution_api_retries": 3}, "core": {"parallelism": 8}}).values["config"]
    assert (config["workers"]["execution_api_retries"], config["core"]["parallelism"]) == ("3", "8")
    assert config["core"]["load_examples"] == "False"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("plain", "plain"), ("a {{ ti.x }} b", 'a {{ "{{" }} ti.x }} b'), ('[{"a": {}}]', '[{"a": {}}]')],
)
def test_templates_are_for_airflow(text: str, escaped: str) -> None:
    assert cv.escaped(text) == escaped


def test_a_component_can_be_left_out() -> None:
    here = release(replicas={"triggerer": 0})
    assert here.values["triggerer"] == {"enabled": False}
    assert "airflow-triggerer-environment" not in here.secrets


@pytest.mark.parametrize(
    ("image", "repository", "tag", "digest"),
    [
        ("apache/airflow:3.3.2", "apache/airflow", "3.3.2", ""),
        ("apache/airflow", "apache/airflow", "", ""),
        ("r:5000/a", "r:5000/a", "", ""),
        ("r:5000/a:1", "r:5000/a", "1", ""),
        ("r:5000/a:1@sha256:0f", "r:5000/a", "1", "sha256:0f"),
        ("r:5000/a@sha256:0f", "r:5000/a", "", "sha256:0f"),
    ],
)
def test_parts_of_an_image(image: str, repository: str, tag: str, digest: str) -> None:
    assert cv.image_parts(image) == {"repository": repository, "tag": tag, "digest": digest}
