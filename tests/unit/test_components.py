# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the contract to what each component reads and runs."""

from __future__ import annotations

import configparser
import copy
import random
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.windward.airflow.plugins.filter.component_plan import component_plan
from ansible_collections.windward.airflow.plugins.module_utils import _components, _environment_file
from ansible_collections.windward.airflow.plugins.modules import worker_drain

ROOT = Path(__file__).parents[2]
COMPONENTS: dict[str, Any] = yaml.safe_load((ROOT / "roles/airflow/vars/main/components.yml").read_text())[
    "__airflow_components"
]
TEMPLATE = (ROOT / "roles/systemd/templates/component.service.j2").read_text()
SECRETS = {
    "fernet_key": "FERNET",
    "jwt_secret": "JWT",
    "api_secret_key": "APISECRET",
    "admin_password": "ADMIN",
    "database_password": "p@ss/w%rd:?#",
    "results_database_password": "RESULTS",
}
# What each component may have (architecture: Airflow's own security model), by the name of its variable.
DATABASE = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"}
FERNET, JWT, API = "AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY"
CONCURRENCY = "AIRFLOW__CELERY__WORKER_CONCURRENCY"
PATTERNS = "AIRFLOW__LOGGING__MIN_LENGTH_MASKED_SECRET"
OWN = {PATTERNS, CONCURRENCY, *(f"AIRFLOW__DATABASE__SQL_ALCHEMY_{name}" for name in ("POOL_SIZE", "MAX_OVERFLOW"))}
BROKER, RESULTS = "AIRFLOW__CELERY__BROKER_URL", "AIRFLOW__CELERY__RESULT_BACKEND"
MATRIX = [
    ("LocalExecutor", "api-server", DATABASE | {FERNET, JWT, API}),
    ("LocalExecutor", "scheduler", DATABASE | {FERNET, JWT, API}),
    ("LocalExecutor", "dag-processor", DATABASE | {FERNET}),
    ("LocalExecutor", "triggerer", DATABASE | {FERNET, API}),
    ("CeleryExecutor", "api-server", DATABASE | {FERNET, JWT, API}),
    ("CeleryExecutor", "scheduler", DATABASE | {FERNET, JWT, API, BROKER, RESULTS}),
    ("CeleryExecutor", "dag-processor", DATABASE | {FERNET}),
    ("CeleryExecutor", "triggerer", DATABASE | {FERNET, API}),
    ("CeleryExecutor", "worker", {API, BROKER, RESULTS}),
    ("CeleryExecutor", "flower", {BROKER}),
]


def deployment(**changes: Any) -> dict[str, Any]:
    direct = {"host": "db", "port": 5432, "sslmode": "require", "ca_path": "/ca.pem", "pooled": False}
    database = {**direct, "name": "airflow", "user": "air flow"}
    return {
        "name": "airflow",
        "executor": "LocalExecutor",
        "config": {},
        "environment": {},
        "release": "3.3.2-0f",
        "queues": ["default"],
        "worker_queues": ["default", "heavy"],
        "worker_concurrency": 4,
        "broker_options": {"global_keyprefix": "airflow_"},
        "address": "10.0.0.5",
        "base_url": "http://10.0.0.5:8080",
        "execution_api_url": "http://10.0.0.5:8080/execution/",
        "install_dir": "/opt/airflow",
        "config_dir": "/etc/airflow",
        "state_dir": "/var/lib/airflow",
        "log_dir": "/var/log/airflow",
        "drain_timeout": 3600,
        "fence": "a_table",
        "users": {
            "control": {"name": "airflow", "home": "/var/lib/airflow/control"},
            "dag": {"name": "airflow-dag", "home": "/var/lib/airflow/dag"},
        },
        "group": "airflow",
        "webserver_config": "/etc/airflow/webserver_config.py",
        "webserver_config_text": "AUTH_TYPE = 1",
        "plugins": "/opt/airflow/plugins/none",
        "pythonpath": ["/opt/airflow/pythonpath/0f"],
        "bundles": {"dags": {"root": "/var/lib/airflow/dags"}},
        "database": database,
        "results_database": {**database, "name": "results", "user": "results"},
        "operator_database": database,
        "proxy": {"addresses": [], "ca": "", "ca_path": "/etc/airflow/proxy-ca.pem"},
        "broker_url": "redis://:BROKERPASS@redis/0",
        **changes,
    }


def environment(component: str, **changes: Any) -> dict[str, str]:
    return _components.environment(component, COMPONENTS, deployment(**changes), SECRETS)


def plan(names: list[str], **changes: Any) -> dict[str, Any]:
    return component_plan(deployment(**changes), names, COMPONENTS, SECRETS, TEMPLATE)


def test_only_the_api_server_makes_no_patterns_of_secrets() -> None:
    assert environment("api-server")[PATTERNS] == "100000"
    assert PATTERNS not in environment("scheduler")


def test_what_the_user_says_of_patterns_wins() -> None:
    config = {"logging": {"min_length_masked_secret": 8}}
    assert PATTERNS not in environment("api-server", config=config)
    assert _components.settings(deployment(config=config))["logging"]["min_length_masked_secret"] == 8


@pytest.mark.parametrize(("executor", "component", "wanted"), MATRIX)
def test_a_component_has_its_secrets_and_no_other(executor: str, component: str, wanted: set[str]) -> None:
    found = environment(component, executor=executor)
    assert {name for name in found if name.startswith("AIRFLOW__")} - OWN == wanted
    text = repr(found)
    held = {name for name, value in (("JWT", "'JWT'"), ("ADMIN", "ADMIN"), ("METADATA", "p%40ss")) if value in text}
    assert held == {name for name, key in (("JWT", JWT), ("METADATA", min(DATABASE))) if key in wanted}


def test_the_matrix_is_whole() -> None:
    assert {component for _executor, component, _wanted in MATRIX} == set(COMPONENTS)


@pytest.mark.parametrize(("executor", "runs"), [("LocalExecutor", "scheduler"), ("CeleryExecutor", "worker")])
def test_the_plan_says_what_runs_tasks(executor: str, runs: str) -> None:
    found = plan(["api-server", "scheduler", "triggerer", "worker"], executor=executor)
    assert [unit["component"] for unit in found["units"] if unit["tasks"]] == [runs]


def test_a_worker_leaves_with_what_it_was_started() -> None:
    """For its drain, which comes when the file is that of the next one."""
    copied = " /etc/airflow/environment/worker " + worker_drain.ENVIRONMENT
    found = plan(["worker", "triggerer"], executor="CeleryExecutor")
    text = {file["path"]: file.get("content", "") for file in found["files"]}
    assert copied in text["/etc/systemd/system/airflow-worker.service"]
    assert copied not in text["/etc/systemd/system/airflow-triggerer.service"]


def test_both_dsns_come_from_one_declaration() -> None:
    found = environment("scheduler", executor="CeleryExecutor")
    place = "air%20flow:p%40ss%2Fw%25rd%3A%3F%23@db:5432/airflow"
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"postgresql+psycopg2://{place}?sslmode=require"
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"] == f"postgresql+asyncpg://{place}?ssl=require"
    assert found[RESULTS] == "db+postgresql+psycopg2://results:RESULTS@db:5432/results?sslmode=require"
    assert found["PGSSLROOTCERT"] == "/ca.pem"
    database = {**deployment()["database"], "host": "fd00::1"}
    assert "@[fd00::1]:5432/" in environment("scheduler", database=database)["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]


STORE = {"logging": {"remote_logging": True, "remote_base_log_folder": "s3://b/logs", "remote_log_conn_id": "store"}}


@pytest.mark.parametrize(
    ("executor", "wanted"),
    [
        ("LocalExecutor", {"api-server", "scheduler", "triggerer"}),
        ("CeleryExecutor", {"api-server", "worker", "triggerer"}),
    ],
)
def test_the_connection_to_the_store_of_logs_goes_to_those_that_write_or_read_logs(
    executor: str, wanted: set[str]
) -> None:
    given = {"AIRFLOW_CONN_STORE": "aws://id:STORE-KEY@", "AIRFLOW_CONN_OTHER": "http://x"}
    found = {name: environment(name, executor=executor, config=STORE, environment=given) for name in COMPONENTS}
    assert {name for name, variables in found.items() if "STORE-KEY" in repr(variables)} == wanted
    assert all(variables["AIRFLOW_CONN_OTHER"] == "http://x" for variables in found.values())
    operator = _components.operator_environment(COMPONENTS, deployment(config=STORE, environment=given), SECRETS)
    assert "STORE-KEY" not in repr(operator)
    for entry in plan(list(COMPONENTS), executor=executor, config=STORE, environment=given)["files"]:
        assert "STORE-KEY" not in entry.get("content", "")


POOLED = {"host": "pooler", "port": 6432, "sslmode": "require", "ca_path": "", "pooled": True}


def test_behind_a_pooler_no_statement_is_kept() -> None:
    plain = deployment()
    behind = {name: {**plain[name], **POOLED} for name in ("database", "results_database")}
    found = environment("scheduler", executor="CeleryExecutor", **behind)
    place = "air%20flow:p%40ss%2Fw%25rd%3A%3F%23@pooler:6432/airflow"
    url = f"postgresql+asyncpg://{place}?ssl=require&prepared_statement_cache_size=0"
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"postgresql+psycopg2://{place}?sslmode=require"
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"] == url
    assert found[RESULTS] == "db+postgresql+psycopg2://results:RESULTS@pooler:6432/results?sslmode=require"
    # With an authority at hand, libpq would verify even where only encryption is asked for.
    assert "PGSSLROOTCERT" not in found
    module, _dot, name = found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC"].rpartition(".")
    source = ROOT / "roles/systemd/files/pythonpath" / (module.replace(".", "/") + ".py")
    assert runpy.run_path(str(source))[name] == {"statement_cache_size": 0}
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC" not in environment("scheduler")
    assert DATABASE & environment("worker", executor="CeleryExecutor", **behind).keys() == set()


@pytest.mark.parametrize(("component", "has"), [("api-server", True), ("scheduler", True), ("triggerer", False)])
def test_the_operator_goes_straight_to_the_database(component: str, has: bool) -> None:
    """Where the keys are, and with nothing that is a component's own."""
    made = plan([component], database={**deployment()["database"], **POOLED})
    text = made["secrets"].get("/etc/airflow/environment/operator", "")
    found = _environment_file.parse(text)
    assert bool(found) == has == ("/etc/airflow/environment/operator" in [entry["path"] for entry in made["files"]])
    if has:
        assert "@db:5432/airflow?sslmode=require" in found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        assert {name for name in found if name.startswith("AIRFLOW__")} == DATABASE | {FERNET, JWT, API}
        assert (found["PGSSLROOTCERT"], found["HOME"]) == ("/ca.pem", "/var/lib/airflow/control")


def test_the_file_that_all_read_holds_no_secret_and_is_read_back() -> None:
    config = {
        "smtp": {"smtp_password": "SMTPPASS", "smtp_host": "mail"},
        "logging": {"log_format": "%(asctime)s 100%", "remote_task_handler_kwargs": "KWARGS"},
        "core": {"parallelism": 7, "load_examples": True},
    }
    text = _components.render_cfg(_components.settings(deployment(config=config)))
    assert not [value for value in ("SMTPPASS", "KWARGS", *SECRETS.values(), "BROKERPASS") if value in text]
    read = configparser.ConfigParser()
    read.read_string(text)
    assert read["logging"]["log_format"] == "%(asctime)s 100%"
    assert (read["core"]["parallelism"], read["core"]["load_examples"]) == ("7", "True")
    variable = "AIRFLOW__LOGGING__REMOTE_TASK_HANDLER_KWARGS"
    readers = {name for name in COMPONENTS if variable in environment(name, config=config)}
    assert readers == {"scheduler", "triggerer", "worker"}
    assert environment("api-server", config=config)["AIRFLOW__SMTP__SMTP_PASSWORD"] == "SMTPPASS"


@pytest.mark.parametrize(("executor", "user"), [("LocalExecutor", "airflow-dag"), ("CeleryExecutor", "airflow")])
def test_dag_code_has_a_user_of_its_own(executor: str, user: str) -> None:
    assert _components.account("scheduler", COMPONENTS, deployment(executor=executor))["name"] == user
    names = {name: _components.account(name, COMPONENTS, deployment(executor=executor))["name"] for name in COMPONENTS}
    assert [name for name in ("dag-processor", "triggerer", "worker") if names[name] != "airflow-dag"] == []
    assert names["api-server"] == "airflow"


ALL = ["api-server", "scheduler", "dag-processor", "triggerer"]


@pytest.mark.parametrize(
    ("changes", "differ"),
    [
        ({}, []),
        ({"release": "3.3.3-0f"}, ALL),
        ({"config": {"core": {"parallelism": 7}}}, ALL),
        ({"webserver_config_text": "AUTH_TYPE = 2"}, ALL),
        ({"environment": {"A": "b"}}, ALL),
        ({"drain_timeout": 60}, ["scheduler", "triggerer"]),
        ({"broker_url": "redis://elsewhere"}, []),
    ],
)
def test_a_digest_changes_exactly_with_what_the_component_runs_with(changes: dict[str, Any], differ: list[str]) -> None:
    def marks(**options: Any) -> dict[str, str]:
        return {unit["component"]: unit["digest"] for unit in plan(ALL, **copy.deepcopy(options))["units"]}

    before, after = marks(), marks(**changes)
    assert [name for name in ALL if before[name] != after[name]] == differ


def test_a_changed_secret_restarts_those_that_hold_it() -> None:
    def marks(**secrets: str) -> dict[str, str]:
        made = component_plan(deployment(), ALL, COMPONENTS, {**SECRETS, **secrets}, TEMPLATE)
        return {unit["component"]: unit["digest"] for unit in made["units"]}

    before, after = marks(), marks(jwt_secret="another")
    assert [name for name in ALL if before[name] != after[name]] == ["api-server", "scheduler"]


def test_only_environment_files_hold_secrets() -> None:
    for entry in plan([*ALL, "worker"], executor="CeleryExecutor")["files"]:
        if entry.get("secret"):
            assert entry["mode"] == "0600"
        else:
            assert not [value for value in (*SECRETS.values(), "BROKERPASS", "p%40ss") if value in entry["content"]]


@pytest.mark.parametrize(
    ("executor", "serving"),
    [("LocalExecutor", {"scheduler", "triggerer"}), ("CeleryExecutor", {"worker", "triggerer"})],
)
def test_a_log_server_does_not_start_without_its_fence(executor: str, serving: set[str]) -> None:
    """And a restart of the fence does not restart it, which Requires= would do."""
    files = plan([*ALL, *(["worker"] if executor == "CeleryExecutor" else [])], executor=executor)["files"]
    units = {Path(entry["path"]).stem.removeprefix("airflow-"): entry["content"]
             for entry in files if entry["path"].endswith(".service")}
    check = "ExecStartPre=+/usr/sbin/nft list table inet a_table\n"
    assert {name for name, text in units.items() if check in text} == serving
    assert {name for name, text in units.items() if text.count("airflow-firewall.service") == 2} == serving
    assert "\nRequires=" not in "".join(units.values())


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this computer has no systemd-analyze")
@pytest.mark.parametrize("executor", ["LocalExecutor", "CeleryExecutor"])
def test_units_are_hardened(executor: str, tmp_path: Path) -> None:
    """By systemd's own measure: 1.5 of 10 for the control plane, 2.0 where DAG code runs."""
    for entry in plan([*ALL, "worker", "flower"], executor=executor)["files"]:
        if not entry["path"].endswith(".service"):
            continue
        unit = tmp_path / Path(entry["path"]).name
        unit.write_text(entry["content"].replace("/opt/airflow/current/bin/airflow", "/bin/true"))
        component = unit.stem.removeprefix("airflow-")
        limit = 20 if _components.runs_dags(component, COMPONENTS, executor) else 15
        command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={limit}", "--no-pager", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{component}: {done.stdout[-300:]}{done.stderr}"


def test_environment_files_are_read_back_as_written() -> None:
    source = random.Random(1)
    letters = "ab \"'\\$`#=;%{}!\t\n\u00e4\u4e2d"
    values = ["", " ", "\\", '"', "$HOME", "`id`", "a\\\"b", "#", "x=y", "\\n", "\n", "a\n\nb", "\\\n"]
    values += ["".join(source.choices(letters, k=source.randint(0, 12))) for _number in range(2000)]
    variables = {f"V{number}": value for number, value in enumerate(values)}
    assert _environment_file.parse(_environment_file.render(variables)) == variables


PROXY = {"addresses": ["10.0.0.9"], "ca": "PEM of the authority", "ca_path": "/etc/airflow/proxy-ca.pem"}
TRUST, BELIEVED = "AIRFLOW__API__SSL_CERT", "FORWARDED_ALLOW_IPS"


@pytest.mark.parametrize(
    ("executor", "trusting"), [("LocalExecutor", {"scheduler"}), ("CeleryExecutor", {"worker"})]
)
def test_only_what_starts_tasks_trusts_the_authority_of_the_proxy(executor: str, trusting: set[str]) -> None:
    found = {name: environment(name, executor=executor, proxy=PROXY) for name in COMPONENTS}
    assert {name for name in found if found[name].get(TRUST) == PROXY["ca_path"]} == trusting
    assert not [name for name in COMPONENTS if TRUST in environment(name, executor=executor)]
    given = {**PROXY, "ca": ""}
    assert not [name for name in COMPONENTS if TRUST in environment(name, executor=executor, proxy=given)]


def test_the_api_server_believes_the_proxy_and_nobody_else() -> None:
    commands = {name: _components.command(name, COMPONENTS, deployment(proxy=PROXY)) for name in COMPONENTS}
    assert commands["api-server"] == "api-server --proxy-headers"
    assert [name for name, words in commands.items() if "--proxy-headers" in words] == ["api-server"]
    assert environment("api-server", proxy=PROXY)[BELIEVED] == "10.0.0.9"
    assert [name for name in COMPONENTS if BELIEVED in environment(name, proxy=PROXY)] == ["api-server"]
    assert "--proxy-headers" not in _components.command("api-server", COMPONENTS, deployment())
    named = deployment(environment={BELIEVED: "10.0.0.9"})  # a load balancer of the user's
    assert "--proxy-headers" in _components.command("api-server", COMPONENTS, named)
    assert BELIEVED not in environment("api-server")
    mine = environment("api-server", proxy=PROXY, environment={BELIEVED: "10.0.0.0/24"})
    assert mine[BELIEVED] == "10.0.0.0/24"


def test_another_authority_restarts_what_starts_tasks_and_nothing_else() -> None:
    def digests(ca: str) -> dict[str, str]:
        made = plan(list(COMPONENTS), executor="CeleryExecutor", proxy={**PROXY, "ca": ca})
        assert [file["content"] for file in made["files"] if file["path"] == PROXY["ca_path"]] == [ca]
        return {unit["component"]: unit["digest"] for unit in made["units"]}

    one, other = digests("one"), digests("other")
    assert [name for name in COMPONENTS if one[name] != other[name]] == ["worker"]


def test_a_new_queue_restarts_nothing_but_what_consumes_it() -> None:
    """The canary reads its queues from a file, so they are in no environment."""
    former, plan_ = (plan(["scheduler", "worker"], queues=names) for names in (["default"], ["default", "new"]))
    path = "/etc/airflow/canary_queues"
    assert [file["content"] for one in (former, plan_) for file in one["files"] if file["path"] == path] == [
        "default\n", "default\nnew\n"
    ]  # fmt: skip
    assert former["units"] == plan_["units"]


@pytest.mark.parametrize(("config", "told"), [({}, "60"), ({"scheduler": {"orphaned_tasks_check_interval": 9}}, "9")])
def test_tasks_of_a_dead_scheduler_are_taken_over_soon(config: dict[str, Any], told: str) -> None:
    cfg = configparser.ConfigParser(interpolation=None)
    cfg.read_string(_components.render_cfg(_components.settings(deployment(config=config))))
    assert cfg["scheduler"]["orphaned_tasks_check_interval"] == told
