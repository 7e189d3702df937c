# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. Airflow's own settings and the components' environment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from ..._ports import is_on
from ..deployment import Finding, Host
from ..registry import each_host
from ..types import near
from .hosts import is_url

# What the collection sets from the contract; a second way would break isolation or end in two truths.
OWNED = {
    ("core", "fernet_key"): "airflow_fernet_key",
    ("core", "executor"): "airflow_executor",
    ("core", "dags_folder"): "airflow_dags",
    ("core", "plugins_folder"): "airflow_plugins",
    ("core", "hostname_callable"): "airflow_address",
    ("dag_processor", "dag_bundle_config_list"): "airflow_dags",
    ("dag_processor", "dag_bundle_storage_path"): "airflow_state_dir",
    ("database", "sql_alchemy_conn"): "the airflow_database_* variables",
    ("database", "sql_alchemy_conn_async"): "the airflow_database_* variables",
    ("api_auth", "jwt_secret"): "airflow_jwt_secret",
    ("api_auth", "jwt_private_key_path"): "airflow_jwt_secret",
    ("api", "secret_key"): "airflow_api_secret_key",
    ("api", "instance_name"): "airflow_name",
    ("celery", "broker_url"): "airflow_broker_url",
    ("celery", "result_backend"): "the airflow_results_database_* variables",
    ("celery", "worker_concurrency"): "airflow_worker_concurrency",
    ("logging", "base_log_folder"): "airflow_log_dir",
    ("fab", "config_file"): "airflow_webserver_config",
}
OWNED_ENVIRONMENT = {
    "AIRFLOW_HOME": "airflow_state_dir",
    "AIRFLOW_CONFIG": "airflow_config_dir",
    "AIRFLOW_HOST_ADDRESS": "airflow_address",
    "AIRFLOW_CANARY_QUEUES": "",
    "AIRFLOW_IS_K8S_EXECUTOR_POD": "",  # Airflow's own: by it the hook for pods of tasks knows where it runs
    "PYTHONPATH": "airflow_pythonpath",
    "PATH": "",
    "HOME": "",
    "PGSSLROOTCERT": "airflow_database_ca_path",
}
# Sections whose options are handed to a library as they are.
FREE = ("_transport_options", "_configs")
# Options that Airflow 3.3.2, or Celery's provider, reads as a dictionary in JSON. Most of them end a component that
# can't read them, some are left out in silence; those of [dag_processor] are the collection's own.
DICTIONARIES = {
    ("api", "theme"),
    ("celery", "extra_celery_config"),
    ("celery", "result_backend_sqlalchemy_engine_options"),
    ("celery_broker_transport_options", "sentinel_kwargs"),
    ("celery_result_backend_transport_options", "sentinel_kwargs"),
    ("core", "asset_manager_kwargs"),
    ("database", "sql_alchemy_engine_args"),
    ("kubernetes_executor", "api_client_retry_configuration"),
    ("kubernetes_executor", "delete_option_kwargs"),
    ("kubernetes_executor", "kube_client_request_args"),
    ("logging", "remote_task_handler_kwargs"),
    ("sdk", "coordinators"),
    ("sdk", "queue_to_coordinator"),
    ("secrets", "backend_kwargs"),
    ("workers", "secrets_backend_kwargs"),
}
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


def options(host: Host) -> Iterator[tuple[str, str, str, Any]]:
    """Path, section, option and value of everything in `airflow_config` that is shaped as it should be."""
    for section, content in host["airflow_config"].items():
        if isinstance(section, str) and isinstance(content, dict):
            for option, value in content.items():
                if isinstance(option, str):
                    yield f"airflow_config.{section}.{option}", section, option, value


@each_host
def config_shape(host: Host) -> Iterator[Finding]:
    """`airflow_config` is `{section: {option: value}}` with names that a configuration file can hold."""
    for section, content in host["airflow_config"].items():
        path = f"airflow_config.{section}"
        if not isinstance(section, str) or not re.fullmatch(r"[a-z][a-z0-9_.]*", section):
            yield host.refuse(path, "is no section: Airflow's sections are lower-case words such as core", None)
        elif not isinstance(content, dict):
            yield host.refuse(path, "must be a dictionary {option: value}", None)
        else:
            for option in content:
                if not isinstance(option, str) or not re.fullmatch(r"[a-z0-9_][a-z0-9_.-]*", option):
                    yield host.refuse(f"{path}.{option}", "is no option: Airflow's options are lower-case words", None)


@each_host
def config_value(host: Host) -> Iterator[Finding]:
    """Values of `airflow_config` are strings, numbers or booleans, written as they are meant."""
    for path, _section, _option, value in options(host):
        if value is None:
            yield host.refuse(path, "is null: write '' for nothing, or leave it out for Airflow's default", None)
        elif isinstance(value, (dict, list)):
            yield host.refuse(path, "must be one value: write {{ ... | to_json }} where Airflow wants JSON", None)
        elif not isinstance(value, (str, int, float)):
            yield host.refuse(path, "must be a string, a number or a boolean: quote it", None)
        elif isinstance(value, str) and re.search(r"[\x00-\x08\x0b-\x1f\x7f]", value):
            yield host.refuse(path, "has a control character in it", None)
        elif isinstance(value, str) and "%%" in value:
            yield host.refuse(path, "write % once: values are taken as they are, airflow.cfg's %% is not needed", value)


@each_host
def json_option(host: Host) -> Iterator[Finding]:
    """Options that Airflow reads as a dictionary in JSON hold one."""
    for path, section, option, value in options(host):
        if (section, option) not in DICTIONARIES or value in (None, "") or isinstance(value, (dict, list)):
            continue
        try:
            fits = isinstance(json.loads(str(value)), dict)
        except ValueError:
            fits = False
        if not fits:  # the value may hold a secret
            yield host.refuse(path, "must be a dictionary in JSON: write {{ {'name': 1} | to_json }}", None)


@each_host
def owned_option(host: Host) -> Iterator[Finding]:
    """Options that the contract has a variable for are set by that variable."""
    for path, section, option, _value in options(host):
        for suffix in ("", "_cmd", "_secret"):
            if option.endswith(suffix) and (section, option.removesuffix(suffix)) in OWNED:
                use = OWNED[section, option.removesuffix(suffix)]
                yield host.refuse(path, f"is set by the collection; use {use}", None)


@each_host
def unknown_option(host: Host) -> Iterator[Finding]:
    """Options are such as the release and its providers know; of another, Airflow would say nothing."""
    known = host.deployment.contract.airflow_options(host["airflow_version"])
    sections, own = known["sections"], "if it is your own, list {} in airflow_ignore_variables"
    for path, section, option, _value in options(host):
        if path in host["airflow_ignore_variables"] or section.endswith(FREE):
            continue
        name = re.sub("_(cmd|secret)$", "", option)
        if {option, name} & set(sections.get(section, ())):
            continue
        if now := known["moved"].get(f"{section}.{name}"):
            yield host.refuse(path, f"is {now} now", None)
        elif f"{section}.{name}" in known["moved"]:
            yield host.warn(path, f"is gone from Airflow {host['airflow_version']} and changes nothing", None)
        elif section not in sections:
            if meant := near(section, sections):
                text = f"is in no section of Airflow: did you mean {meant}? ({own.format(path)})"
                yield host.refuse(path, text, None)
        elif meant := near(option, sections[section]):
            yield host.refuse(path, f"is no option of Airflow: did you mean {meant}? ({own.format(path)})", None)
        else:
            yield host.warn(path, f"is described neither by Airflow nor by its providers; {own.format(path)}", None)


@each_host
def unsafe_option(host: Host) -> Iterator[Finding]:
    """Options that open the deployment are refused, or warned about where somebody may know better."""
    for path, section, option, value in options(host):
        match section, option:
            case "core", "load_examples" if is_on(value):
                yield host.refuse(path, "the examples let users run commands (CVE-2024-45498, CVE-2025-54550)", value)
            case "core", "simple_auth_manager_all_admins" if is_on(value):
                yield host.refuse(path, "everybody would be administrator without a password; leave it out", value)
            case "core", "auth_manager" if value != FAB:
                yield host.refuse(path, "only FAB's is supported: the collection's own account lives there", value)
            case "api", "access_control_allow_origins" if "*" in str(value).split():
                yield host.refuse(path, "any site could use a user's session: name the origins", value)
            case "api", "expose_config" if str(value).lower() not in ("false", "f", "0"):
                yield host.warn(path, "shows settings to users, at times secrets too (CVE-2023-45348)", value)
            case "core", "test_connection" if str(value).lower() == "enabled":
                yield host.warn(path, "lets users make the server connect anywhere (CVE-2023-37379)", value)


@each_host
def base_url(host: Host) -> Iterator[Finding]:
    """`[api] base_url` is what a browser uses: a whole URL, whose path is plain."""
    value = host.option("api", "base_url")
    if value is None:
        return
    if not isinstance(value, str) or not is_url(value, ("http", "https")):
        yield host.refuse("airflow_config.api.base_url", "must begin with https:// or http:// and name a host", value)
    elif urlsplit(value).query or urlsplit(value).fragment or urlsplit(value).username:
        yield host.refuse("airflow_config.api.base_url", "must have no user, query or fragment", value)
    elif not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?", urlsplit(value).path):
        problem = "may have a path of letters, digits and . _ ~ - between slashes only"
        yield host.refuse("airflow_config.api.base_url", problem, value)


@each_host
def environment(host: Host) -> Iterator[Finding]:
    """`airflow_environment` holds valid names, string values, and nothing that the contract has a variable for."""
    for name, value in host["airflow_environment"].items():
        path = f"airflow_environment.{name}"
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            yield host.refuse(path, "is no name of an environment variable", None)
        elif name.startswith("AIRFLOW__"):
            section, _between, option = name.removeprefix("AIRFLOW__").lower().partition("__")
            use = f"airflow_config: {{{section}: {{{option}: ...}}}}"
            for suffix in ("", "_cmd", "_secret"):
                if option.endswith(suffix):
                    use = OWNED.get((section, option.removesuffix(suffix)), use)
            yield host.refuse(path, f"is an option of Airflow; use {use}", None)
        elif name in OWNED_ENVIRONMENT:
            use = OWNED_ENVIRONMENT[name]
            yield host.refuse(path, f"is set by the collection; {'use ' + use if use else 'leave it out'}", None)
        elif isinstance(value, bool) or not isinstance(value, (str, int)):
            yield host.refuse(path, "must be a string: quote it", None)
        elif re.search(r"[\x00-\x08\x0b-\x1f\x7f]", str(value)):
            yield host.refuse(path, "has a control character in it", None)
