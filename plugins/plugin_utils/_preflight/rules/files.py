# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. Files and directories on the controller that users bring.

Asked by os.path, which answers no to what can't be a path, where pathlib raises.
"""

from __future__ import annotations

import ast
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from ..deployment import Finding, Host
from ..registry import each_host

DIRECTORIES = ("airflow_dags", "airflow_plugins", "airflow_pythonpath")
FILES = ("airflow_webserver_config", "airflow_ca_bundle", "airflow_proxy_certificate")


@each_host
def local_path(host: Host) -> Iterator[Finding]:
    """What is delivered from the controller is there, is of the right kind and can be read."""
    for variable, value in host.items(*DIRECTORIES, *FILES):
        if not value:
            continue
        path = Path(value)
        wanted = "directory" if variable in DIRECTORIES else "file"
        if not path.is_absolute():
            yield host.refuse(variable, "must be absolute: begin it with {{ inventory_dir }} or {{ playbook_dir }}")
        elif not os.path.exists(path):
            yield host.refuse(variable, f"there is no such {wanted} on the controller")
        elif not (os.path.isdir(path) if wanted == "directory" else os.path.isfile(path)):
            yield host.refuse(variable, f"is no {wanted}")
        elif not os.access(path, os.R_OK | (os.X_OK if wanted == "directory" else 0)):
            yield host.refuse(variable, "can't be read")


@each_host
def nested(host: Host) -> Iterator[Finding]:
    """DAGs, plugins and PYTHONPATH are apart: who may write one must not reach the others."""
    given = [(name, Path(os.path.realpath(value))) for name, value in host.items(*DIRECTORIES) if value]
    for variable, path in given:
        for other, outer in given:
            if variable != other and path.is_relative_to(outer) and (path != outer or variable > other):
                yield host.refuse(variable, f"must not be in {other}: DAG authors would reach the other components")


@each_host
def dags(host: Host) -> Iterator[Finding]:
    """`airflow_dags` holds DAGs, and not everybody can change them."""
    path = Path(host["airflow_dags"] or "/nonexistent")
    if os.path.isdir(path):
        if not any(path.rglob("*.py")) and not any(path.rglob("*.zip")):
            yield host.warn("airflow_dags", "has no Python file in it, so no DAG")
        if path.stat().st_mode & stat.S_IWOTH:
            yield host.warn("airflow_dags", "can be written by every user of the controller: chmod o-w")


@each_host
def dags_release(host: Host) -> Iterator[Finding]:
    """`airflow_dags_release` is the name of a release, a digest."""
    if not re.fullmatch(r"([0-9a-f]{12,64})?", host["airflow_dags_release"]):
        yield host.refuse("airflow_dags_release", "is no release: they are named by 12 to 64 digits and letters a to f")


@each_host
def paused_and_unpaused(host: Host) -> Iterator[Finding]:
    """A DAG is paused or unpaused, and its ID is one that Airflow takes."""
    for dag in sorted(set(host["airflow_dags_paused"]) & set(host["airflow_dags_unpaused"])):
        yield host.refuse("airflow_dags_paused", f"{dag} is in airflow_dags_unpaused too; keep one")
    for variable in ("airflow_dags_paused", "airflow_dags_unpaused"):
        for index, dag in enumerate(host[variable]):
            if not re.fullmatch(r"[\w.-]{1,250}", dag):
                yield host.refuse(f"{variable}[{index}]", "is no DAG ID: use letters, digits and . _ -", dag)


@each_host
def webserver_config(host: Host) -> Iterator[Finding]:
    """`airflow_webserver_config` is Python."""
    path = Path(host["airflow_webserver_config"] or "/nonexistent")
    if os.path.isfile(path) and os.access(path, os.R_OK):
        try:
            ast.parse(path.read_bytes())
        except SyntaxError as exc:
            yield host.refuse("airflow_webserver_config", f"is no Python: line {exc.lineno}")
        except ValueError:
            yield host.refuse("airflow_webserver_config", "is no Python")


@each_host
def local_settings(host: Host) -> Iterator[Finding]:
    """Where pods are made for tasks, Airflow's module of policies is the collection's."""
    if host["airflow_executor"] != "KubernetesExecutor":
        return
    for variable, value in host.items("airflow_pythonpath", "airflow_plugins"):
        if value and any(os.path.exists(os.path.join(value, f"airflow_local_settings{end}")) for end in ("", ".py")):
            problem = "has airflow_local_settings in it, which keeps tasks' pods from Secrets and is the collection's"
            yield host.refuse(variable, f"{problem}: make it a package with the entry point airflow.policy")


@each_host
def ca_bundle(host: Host) -> Iterator[Finding]:
    """`airflow_ca_bundle` holds certificates, and no private key."""
    path = Path(host["airflow_ca_bundle"] or "/nonexistent")
    if os.path.isfile(path) and os.access(path, os.R_OK):
        text = path.read_bytes()
        if b"-----BEGIN CERTIFICATE-----" not in text:
            yield host.refuse("airflow_ca_bundle", "has no certificate in it: PEM is needed")
        if b"PRIVATE KEY-----" in text:
            yield host.refuse("airflow_ca_bundle", "has a private key in it, and every host would get it: leave it out")
