# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: it may change without notice.

"""From the contract to what each component of a host reads: airflow.cfg, environment, unit and their digest.

Everything here is a pure function of its arguments. ``deployment`` is the dictionary that role ``systemd`` builds
from the contract (``roles/systemd/vars/main.yml``), ``components`` the data in ``roles/airflow/vars/main``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Any
from urllib.parse import quote, urlencode

from . import _environment_file

# Whose X-Forwarded-* an api-server believes: that of the proxy, or one that the user names in airflow_environment.
BELIEVED = "FORWARDED_ALLOW_IPS"

Settings = dict[str, dict[str, Any]]

# Options that hold a secret by Airflow's own list (`sensitive: true` in its config.yml) or by their name.
_SENSITIVE_NAME = re.compile(r"passw|secret|token|_key$|_dsn$|_conn|credential|broker_url|result_backend|_kwargs|auth$")
# https://airflow.apache.org/docs/apache-airflow/stable/security/security_model.html: who may have which of them.
_READERS = {
    ("secrets", "backend_kwargs"): {"scheduler", "dag-processor", "triggerer"},
    ("workers", "secrets_backend_kwargs"): {"worker"},
    ("logging", "remote_task_handler_kwargs"): {"scheduler", "triggerer", "worker"},
}


def is_sensitive(section: str, option: str) -> bool:
    """Tell whether an option of airflow.cfg is kept out of the file that every component reads."""
    base = option.lower()
    for suffix in ("_cmd", "_secret"):
        base = base[: -len(suffix)] if base.endswith(suffix) and base != "jwt_secret" else base
    return (section, base) in _READERS or bool(_SENSITIVE_NAME.search(base))


def runs_dags(component: str, components: dict[str, Any], executor: str) -> bool:
    """Tell whether a component runs code that DAG authors wrote; with LocalExecutor the scheduler does."""
    return components[component]["runs_dags"] or (component == "scheduler" and executor == "LocalExecutor")


def runs_tasks(component: str, executor: str) -> bool:
    """Tell whether a component starts tasks, which then ask the execution API; the others have one in themselves."""
    return component == ("scheduler" if executor == "LocalExecutor" else "worker")


def serves_logs(component: str, components: dict[str, Any], executor: str) -> bool:
    """Tell whether a component has a log server, which binds every address and answers whom our firewall lets in."""
    ports = components[component]["ports"] + (components["worker"]["ports"] if runs_tasks(component, executor) else [])
    return any(section == "logging" for section, _option, _default in ports)


def remote_log_variable(config: Settings) -> str:
    """Return the name of the variable that is the connection to the store of remote logs, or nothing."""
    section = config.get("logging")
    name = section.get("remote_log_conn_id") if isinstance(section, dict) else ""
    return "AIRFLOW_CONN_" + str(name).upper() if name else ""


def handles_logs(component: str, executor: str) -> bool:
    """Tell whether a component writes logs of tasks or triggers, or reads them for people."""
    return component in ("api-server", "triggerer") or runs_tasks(component, executor)


def dsn(driver: str, database: dict[str, Any], password: str) -> str:
    """Return the SQLAlchemy URL of ``database`` for psycopg2 or asyncpg, which names the TLS mode differently.

    Behind a pooler SQLAlchemy's cache of asyncpg's prepared statements is off (asyncpg's own: ``environment``).
    """
    options = {"ssl" if driver == "asyncpg" else "sslmode": database["sslmode"]}
    if driver == "asyncpg" and database["pooled"]:
        options["prepared_statement_cache_size"] = "0"
    user, secret = quote(database["user"], safe=""), quote(password, safe="")
    host = "[{}]".format(database["host"]) if ":" in database["host"] else database["host"]
    return "postgresql+{}://{}:{}@{}:{}/{}?{}".format(
        driver, user, secret, host, database["port"], quote(database["name"], safe=""), urlencode(options)
    )


def everywhere(deployment: dict[str, Any]) -> Settings:
    """Return the settings that do not depend on where a component runs."""
    bundles = [
        {
            "name": name,
            "classpath": "windward_airflow.bundle.ReleaseBundle",
            "kwargs": {
                "root": bundle["root"],
                "release": bundle.get("release"),
                "refresh_interval": 5,
                **{key: bundle[key] for key in ("lasting",) if key in bundle},
            },
        }
        for name, bundle in sorted(deployment["bundles"].items())
    ]
    computed: Settings = {
        "core": {
            "executor": deployment["executor"],
            "auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            "load_examples": False,
        },
        "api": {"base_url": deployment["base_url"], "instance_name": deployment["name"]},
        "dag_processor": {
            "dag_bundle_config_list": json.dumps(bundles),
            # Releases are pruned by the step `dags`, which knows the unfinished runs.
            "stale_bundle_cleanup_interval": 0,
        },
        "logging": {"colored_console_log": False},
        # A task outlives five minutes without an api-server, as long as the scheduler waits (docs/many-machines.md).
        "workers": {"execution_api_retries": 60, "execution_api_retry_wait_max": 10, "max_failed_heartbeats": 20},
        "operators": {"default_queue": deployment["queues"][0]},
        # A scheduler misses dead tasks only among its own: those of one that was killed are its own after this look.
        "scheduler": {"orphaned_tasks_check_interval": 60},
        "usage_data_collection": {"enabled": False},
    }
    if deployment["executor"] == "CeleryExecutor":
        computed.update(celery(deployment))
    return computed


def declared(computed: Settings, config: Settings) -> Settings:
    """Return the settings with what the user declares over them, but for what holds a secret."""
    for section, options in config.items():
        for option, value in options.items():
            if not is_sensitive(section, option):
                computed.setdefault(section, {})[option] = value
    return computed


def settings(deployment: dict[str, Any]) -> Settings:
    """Return the settings that every component of the host shares; no secret is among them."""
    computed = everywhere(deployment)
    here: Settings = {
        "core": {
            "dags_folder": deployment["state_dir"] + "/dags/current",
            "plugins_folder": deployment["plugins"],
            "hostname_callable": "windward_airflow.host.address",
            "execution_api_server_url": deployment["execution_api_url"],
        },
        "dag_processor": {"dag_bundle_storage_path": deployment["state_dir"] + "/bundles"},
        "logging": {
            "base_log_folder": deployment["log_dir"] + "/tasks",
            "dag_processor_child_process_log_directory": deployment["log_dir"] + "/dag-processor",
            "file_task_handler_new_folder_permissions": "0o750",
            "file_task_handler_new_file_permissions": "0o640",
        },
        "fab": {"config_file": deployment["webserver_config"]},
    }
    for section, options in here.items():
        computed.setdefault(section, {}).update(options)
    return declared(computed, deployment["config"])


def celery(deployment: dict[str, Any]) -> Settings:
    """Return the settings with which Celery loses no task (docs/many-machines.md has the reason of each)."""
    retry = {"max_retries": 100, "interval_start": 0.2, "interval_step": 0.2, "interval_max": 1}
    return {
        "celery": {
            "task_publish_max_retries": retry["max_retries"],
            "extra_celery_config": json.dumps({"task_publish_retry_policy": retry}),
        },
        "celery_broker_transport_options": {
            "visibility_timeout": max(86400, 2 * deployment["drain_timeout"]), **deployment["broker_options"],
        },
    }


def command(component: str, components: dict[str, Any], deployment: dict[str, Any]) -> str:
    """Return what the unit of a component runs, below ``airflow``."""
    words: str = components[component]["command"]
    if component == "worker":
        words += " --queues {} --celery-hostname celery@{}".format(
            ",".join(deployment["worker_queues"]), deployment["address"])
    if component == "api-server" and (deployment["proxy"]["addresses"] or BELIEVED in deployment["environment"]):
        words += " --proxy-headers"
    return words


def cfg_text(value: Any) -> str:
    """Return a value as airflow.cfg has it; `%` is doubled because Airflow interpolates the file's values."""
    return str(value).replace("%", "%%").replace("\n", "\n    ")


def render_cfg(shared: Settings) -> str:
    """Return airflow.cfg."""
    blocks = []
    for section, options in sorted(shared.items()):
        lines = [f"{option} = {cfg_text(value)}" for option, value in sorted(options.items())]
        blocks.append("[{}]\n{}\n".format(section, "\n".join(lines)))
    return "# Written by windward.airflow; change airflow_config in the inventory.\n" + "\n".join(blocks)


def account(component: str, components: dict[str, Any], deployment: dict[str, Any]) -> dict[str, str]:
    """Return name and home of the Unix user that runs a component: DAG code never shares one with the control plane."""
    return deployment["users"]["dag" if runs_dags(component, components, deployment["executor"]) else "control"]


def environment(
    component: str, components: dict[str, Any], deployment: dict[str, Any], secrets: dict[str, str]
) -> dict[str, str]:
    """Return the environment of a component on a host: where things are there, and what it is granted."""
    granted = components[component]["secrets"]
    home = account(component, components, deployment)["home"]
    variables = {
        "AIRFLOW_HOME": home,
        "AIRFLOW_CONFIG": deployment["config_dir"] + "/airflow.cfg",
        "AIRFLOW_HOST_ADDRESS": deployment["address"],
        "PYTHONPATH": ":".join(deployment["pythonpath"]),
        "PATH": deployment["install_dir"] + "/current/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "PYTHONNOUSERSITE": "1",
    }
    if deployment["database"]["ca_path"] and {"database", "results_database"} & set(granted):
        variables["PGSSLROOTCERT"] = deployment["database"]["ca_path"]
    if component == "api-server" and deployment["proxy"]["addresses"]:
        # Nobody else may say for whom he asks.
        variables[BELIEVED] = ",".join(deployment["proxy"]["addresses"])
    if deployment["proxy"]["ca"] and runs_tasks(component, deployment["executor"]):
        # In the api-server's environment this option would be about a TLS of its own.
        variables["AIRFLOW__API__SSL_CERT"] = deployment["proxy"]["ca_path"]
    return {**variables, **grants(component, components, deployment, secrets)}


def grants(
    component: str, components: dict[str, Any], deployment: dict[str, Any], secrets: dict[str, str]
) -> dict[str, str]:
    """Return the settings of a component's own, wherever it runs: the secrets that it needs, and no other."""
    granted = components[component]["secrets"]
    metadata, results = deployment["database"], deployment["results_database"]
    variables: dict[str, str] = {}
    if "database" in granted:
        password = secrets["database_password"]
        variables["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = dsn("psycopg2", metadata, password)
        variables["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"] = dsn("asyncpg", metadata, password)
        if metadata["pooled"]:
            variables["AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC"] = "windward_airflow.database.POOLED"
    if "fernet_key" in granted:
        variables["AIRFLOW__CORE__FERNET_KEY"] = secrets["fernet_key"]
    if "jwt_secret" in granted:
        variables["AIRFLOW__API_AUTH__JWT_SECRET"] = secrets["jwt_secret"]
    if "api_secret_key" in granted:
        variables["AIRFLOW__API__SECRET_KEY"] = secrets["api_secret_key"]
    if deployment["executor"] == "CeleryExecutor":
        if "broker" in granted:
            variables["AIRFLOW__CELERY__BROKER_URL"] = deployment["broker_url"]
        if "results_database" in granted:
            backend = dsn("psycopg2", results, secrets["results_database_password"])
            variables["AIRFLOW__CELERY__RESULT_BACKEND"] = "db+" + backend
    if component == "worker":
        variables["AIRFLOW__CELERY__WORKER_CONCURRENCY"] = str(deployment["worker_concurrency"])
    for section, options in components[component]["settings"].items():
        for option in options.keys() - deployment["config"].get(section, {}).keys():
            variables[f"AIRFLOW__{section.upper()}__{option.upper()}"] = str(options[option])
    for section, options in deployment["config"].items():
        for option, value in options.items():
            readers = _READERS.get((section, option), {component})
            if is_sensitive(section, option) and component in readers:
                variables[f"AIRFLOW__{section.upper()}__{option.upper()}"] = str(value)
    kept = set() if handles_logs(component, deployment["executor"]) else {remote_log_variable(deployment["config"])}
    variables.update({name: str(value) for name, value in deployment["environment"].items() if name not in kept})
    return variables


def operator_environment(
    components: dict[str, Any], deployment: dict[str, Any], secrets: dict[str, str]
) -> dict[str, str]:
    """Return what the operator's commands and the play's own work run with: the keys of the control plane.

    It leads straight to PostgreSQL: migrations take locks of a session, which a pooler of transactions can't keep.
    """
    keys = {"secrets": components["api-server"]["secrets"], "settings": {}, "runs_dags": False}
    direct = {**deployment, "database": deployment["operator_database"]}
    return environment("operator", {"operator": keys}, direct, secrets)


def digest(parts: list[str], key: str) -> str:
    """Return a keyed digest, so that a unit file that anybody may read says nothing about a secret."""
    return hmac.new(key.encode(), "\0".join(parts).encode(), hashlib.sha256).hexdigest()[:24]


def plan(
    host_components: list[str],
    components: dict[str, Any],
    deployment: dict[str, Any],
    secrets: dict[str, str],
    render_unit: Any,
) -> dict[str, Any]:
    """Return what a host gets: ``files`` to write, ``secrets``, the text of some of them, and ``units`` with digests.

    ``render_unit`` turns the context of one component into the text of its unit.
    """
    cfg = render_cfg(settings(deployment))
    files, units, secret_texts = [], [], {}
    if any("jwt_secret" in components[name]["secrets"] for name in host_components):
        path = deployment["config_dir"] + "/environment/operator"
        files.append({"path": path, "secret": True, "mode": "0600"})
        secret_texts[path] = _environment_file.render(operator_environment(components, deployment, secrets))
    for name in host_components:
        variables = _environment_file.render(environment(name, components, deployment, secrets))
        context = {
            "component": name,
            "command": command(name, components, deployment),
            "runs_dags": runs_dags(name, components, deployment["executor"]),
            "fence": deployment["fence"] if serves_logs(name, components, deployment["executor"]) else "",
            **account(name, components, deployment),
            **{key: deployment[key] for key in ("install_dir", "config_dir", "state_dir", "log_dir", "drain_timeout")},
        }
        body = render_unit({**context, "digest": ""})
        trusted = deployment["proxy"]["ca"] if runs_tasks(name, deployment["executor"]) else ""
        mark = digest([deployment["release"], cfg, variables, body, deployment["webserver_config_text"], trusted],
                      secrets["fernet_key"])
        environment_path = "{}/environment/{}".format(deployment["config_dir"], name)
        files.append({"path": environment_path, "secret": True, "mode": "0600"})
        secret_texts[environment_path] = variables
        files.append({"path": f"/etc/systemd/system/airflow-{name}.service", "mode": "0644",
                      "content": render_unit({**context, "digest": mark})})
        units.append({"component": name, "digest": mark, "job": components[name]["job"],
                      "page": components[name]["page"], "tasks": runs_tasks(name, deployment["executor"])})
    files.append({"path": deployment["config_dir"] + "/airflow.cfg", "content": cfg, "mode": "0640",
                  "group": deployment["group"]})
    if any(runs_dags(name, components, deployment["executor"]) for name in host_components):
        # Read by the canary in each of its processes, so that a new queue restarts nothing.
        files.append({"path": deployment["config_dir"] + "/canary_queues", "mode": "0644",
                      "content": "".join(f"{queue}\n" for queue in deployment["queues"])})
    if deployment["proxy"]["ca"]:
        files.append({"path": deployment["proxy"]["ca_path"], "content": deployment["proxy"]["ca"], "mode": "0644"})
    return {"files": files, "secrets": secret_texts, "units": units}
