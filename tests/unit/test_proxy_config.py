# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the roles' variables and the proxy's template make of the path of base_url."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from test_preflight_play import ROOT, ansible

VARIABLES = [*sorted((ROOT / "roles/airflow/vars/main").glob("*.yml")), ROOT / "roles/systemd/vars/main.yml",
             ROOT / "roles/proxy/vars/main.yml"]  # fmt: skip
SAID = {
    "config": "{{ lookup('ansible.builtin.template', template) }}",
    "execution": "{{ __systemd_execution_url }}",
    "way": "{{ __systemd_endpoint.way.api_url }}",
}


@pytest.mark.parametrize(
    ("base_url", "paths"),
    [
        ("", ["/auth/token", "/auth/login"]),
        ("https://a.example.org/team/x/", ["/auth/token", "/auth/login", "/team/x/auth/token", "/team/x/auth/login"]),
    ],
)
def test_log_ins_are_counted_and_tasks_ask_behind_the_path(base_url: str, paths: list[str], tmp_path: Path) -> None:
    """Airflow's root_path is base_url's path, and Starlette finds what is mounted in an application only below it."""
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_host": "10.0.0.5"}
    groups = {f"airflow_{name}": {"hosts": {"a": {}}} for name in ("api_server", "scheduler", "proxy")}
    variables = {
        "airflow_config": {"api": {"base_url": base_url}} if base_url else {},
        "airflow_proxy_port": 443,
        "airflow_proxy_certificate": "",
        "__airflow_found": {"found": {"ipv6": True, "resolved": {"10.0.0.5": ["10.0.0.5"]}}},
        "__systemd_minted": {"available": True},
        "template": str(ROOT / "roles/proxy/templates/haproxy.cfg.j2"),
    }
    tasks = [{"ansible.builtin.copy": {"dest": str(tmp_path / "told"), "content": "{{ said | to_json }}"}}]
    files = [str(path) for path in VARIABLES]
    book = [{"hosts": "airflow", "gather_facts": False, "vars_files": files, "vars": {**variables, "said": SAID},
             "tasks": tasks}]
    (tmp_path / "inventory.json").write_text(json.dumps({"airflow": {"hosts": {"a": host}, "children": groups}}))
    (tmp_path / "play.json").write_text(json.dumps(book))
    code, out, error = ansible(tmp_path, "ansible-playbook", "-i", "inventory.json", "play.json")
    assert code == 0, out + error
    told = json.loads((tmp_path / "told").read_text())
    assert re.findall(r"acl log_in path,url_dec -i -m beg (.+)", told["config"])[0].split() == paths
    base = "/team/x" if "team" in base_url else ""
    assert told["execution"] == f"https://10.0.0.5{base}/execution/"
    assert told["way"] == f"http://10.0.0.5:8080{base}"
