# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. Logs of tasks that are kept elsewhere than on the hosts."""

from __future__ import annotations

from collections.abc import Iterator

from ....module_utils._components import remote_log_variable
from ..._ports import is_on
from ..deployment import Finding, Host
from ..registry import each_host
from ..versions import canonical
from ..versions import requirement as parsed

PROVIDER = "apache-airflow-providers-"
# How the URL of a store begins, and the provider that knows it (airflow_local_settings.py of Airflow 3.3.2).
STORES = {
    "s3://": "amazon",
    "cloudwatch://": "amazon",
    "gs://": "google",
    "stackdriver://": "google",
    "wasb": "microsoft-azure",
    "oss://": "alibaba",
    "hdfs://": "apache-hdfs",
}
# With these the place is not said by a URL.
ELSEWHERE = (("elasticsearch", "host"), ("opensearch", "host"), ("logging", "logging_config_class"))


@each_host
def remote_logs(host: Host) -> Iterator[Finding]:
    """Logs that are to be kept elsewhere have a place there, and the release can reach it."""
    path = "airflow_config.logging.remote_base_log_folder"
    folder, on = host.option("logging", "remote_base_log_folder"), is_on(host.option("logging", "remote_logging"))
    if not on:
        if folder:
            yield host.warn(path, "nothing is kept there: set airflow_config.logging.remote_logging, too", folder)
        return
    if any(host.option(*elsewhere) for elsewhere in ELSEWHERE):
        return
    if not folder:
        yield host.refuse(path, "must be given, because remote_logging is on: a URL such as s3://bucket/logs", None)
        return
    provider = next((name for start, name in STORES.items() if str(folder).startswith(start)), None)
    if provider is None:
        yield host.refuse(path, f"is no store of logs; begin it with {', '.join(STORES)}", folder)
        return
    brought = {canonical(wanted.name) for text in host["airflow_requirements"] if (wanted := parsed(text))}
    if PROVIDER + provider not in brought | host.deployment.contract.pins(host["airflow_version"]).keys():
        yield host.refuse(path, f"needs {PROVIDER}{provider}: add it to airflow_requirements", folder)


@each_host
def remote_logs_connection(host: Host) -> Iterator[Finding]:
    """Whoever writes or reads logs that are kept elsewhere has a connection to that place."""
    if not is_on(host.option("logging", "remote_logging")) or any(host.option(*elsewhere) for elsewhere in ELSEWHERE):
        return
    path, name = "airflow_config.logging.remote_log_conn_id", host.option("logging", "remote_log_conn_id")
    variable = remote_log_variable(host["airflow_config"])
    if not name:
        problem = "is not given, so each host must have rights to the store by itself (an instance's role)"
        yield host.warn(path, f"{problem}; else name a connection that airflow_environment gives", None)
        return
    declared = {one.get("connection_id") for one in host["airflow_connections"]}
    if variable not in host["airflow_environment"] and not host.option("secrets", "backend") and name not in declared:
        problem = f"no such connection is declared, and without it no log is kept: give airflow_environment.{variable}"
        yield host.warn(path, problem, None)
