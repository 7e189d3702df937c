# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A module that runs in its task's process, and the same that Ansible starts, give the same result."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_script import ScriptedApi
from cluster_api import ClusterApi, pod
from test_modules_runs import DAG, NO_RUN, RUNS, dag
from test_preflight_play import ansible

ROOT = Path(__file__).parents[2]
HERE = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
STARTED = {**HERE, "ansible_python_interpreter": "{{ ansible_playbook_python | dirname }}/./python"}


def told(tmp: Path, way: dict[str, Any], tasks: list[Any], *words: str) -> tuple[list[Any], int, str]:
    """The result of each task, how many modules of ours were started, and all that was printed."""
    for number, task in enumerate(tasks):
        task |= {"register": f"result_{number}", "ignore_errors": True}
    last = {"copy": {"dest": str(tmp / "told"), "content": "{{ results | to_json }}"}, "check_mode": False}
    last["vars"] = {"results": "{{ [" + ", ".join(f"result_{n}" for n in range(len(tasks))) + "] }}"}
    book = [{"hosts": "here", "gather_facts": False, "tasks": [*tasks, last]}]
    (tmp / "plays").mkdir(exist_ok=True)
    (tmp / "plays" / "play.json").write_text(json.dumps(book))
    (tmp / "hosts.json").write_text(json.dumps({"here": {"hosts": {"one": way}}, "there": {"hosts": {"two": STARTED}}}))
    code, out, error = ansible(tmp, "ansible-playbook", "-i", "hosts.json", "plays/play.json", "-vvv", *words)
    assert code == 0, out + error
    started = re.findall(r"Using module file .*/windward/airflow/", out)
    return json.loads((tmp / "told").read_text()), len(started), out + error


def test_it_makes_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    user = {
        "username": "eve", "first_name": "E", "last_name": "V", "email": "eve@example.org", "active": False,
        "roles": [{"name": "Viewer"}],
    }  # fmt: skip
    with ClusterApi() as cluster, ScriptedApi() as api:
        cluster.pods = [pod("a"), pod("é")]
        there = cluster.kubeconfig(tmp_path)
        look = {"namespace": "airflow"}
        changed = {"username": "eve", "last_name": "W", "api_url": api.url, "api_token": "secret-token"}
        run = {"dag_id": "sales", "run_id": "r1", "wait": False, "api_url": api.url, "api_token": "secret-token"}
        environment = "{{ {'K8S_AUTH_KUBECONFIG': item} if item else {} }}"
        tasks = [
            {"windward.airflow.pods_info": {**look, "kubeconfig": there}},
            {"windward.airflow.pods_info": {**look, "kubeconfig": there}, "no_log": True},
            {"windward.airflow.pods_info": {**look, "kubeconfig": "../kubeconfig"}},  # from the play's directory
            {"windward.airflow.pods_info": {**look, "kubeconfig": there, "strange": True}},
            {"windward.airflow.pods_info": {}},
            {"windward.airflow.pods_info": look, "loop": [there, ""], "environment": environment},
            {"windward.airflow.pods_info": {**look, "kubeconfig": "{{ '/no' ~ 'where' }}"}},
            {"windward.airflow.user": changed, "check_mode": True, "diff": True},
            {"windward.airflow.dag_run": run, "check_mode": True},  # whose action has more to do, and does it once
        ]
        outs = []
        for way, started in ((HERE, 0), (STARTED, 10)):
            api.expect("GET", "/auth/fab/v1/users/eve", 200, user)
            api.expect("GET", DAG, 200, dag()).expect("GET", f"{RUNS}/r1", 404, NO_RUN)
            results, found, out = told(tmp_path, way, tasks)
            assert found == started, out
            outs.append((results, out))
    here, usual = (results for results, _out in outs)
    assert here == usual
    shown, hidden, relative, strange, none, loop, nowhere, eve, triggered = here
    assert [one["metadata"]["name"] for one in shown["resources"]] == ["a", "é"]
    assert hidden["resources"] == relative["resources"] == shown["resources"]
    assert "strange" in strange["msg"] and "namespace" in none["msg"] and "/nowhere" in nowhere["msg"]
    assert [bool(one.get("failed")) for one in loop["results"]] == [False, True]
    assert triggered["changed"] and triggered["run"]["state"] == "queued"
    assert eve["changed"] and eve["warnings"] == ["User eve is not active, and the API can't change that"]
    assert "secret-token" not in json.dumps(here) + outs[0][1]


def test_where_it_is_not_meant_for_this_process_it_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = {"windward.airflow.pods_info": {"namespace": "a", "kubeconfig": "/nowhere"}}
    delegated = {**module, "delegate_to": "two"}  # which has another interpreter
    later = {**module, "async": 60, "poll": 1}
    results, started, out = told(tmp_path, HERE, [delegated, later])
    assert started == 2, out
    monkeypatch.setenv("ANSIBLE_KEEP_REMOTE_FILES", "1")
    monkeypatch.setenv("ANSIBLE_REMOTE_TEMP", str(tmp_path / "remote"))
    kept, started, out = told(tmp_path, HERE, [dict(module)])
    assert started == 1, out
    assert all("/nowhere" in one["msg"] for one in [*results, *kept])


def test_module_defaults_are_found_by_the_modules_own_name(tmp_path: Path) -> None:
    look = {"windward.airflow.pods_info": {"kubeconfig": "/nowhere"}}
    of = {"windward.airflow.pods_info": {"namespace": "a"}, "windward.airflow.helm_recover": {"strange": True}}
    (result,), started, out = told(tmp_path, HERE, [{**look, "module_defaults": of}])
    assert "/nowhere" in result["msg"] and not started, out


def test_the_modules_of_airflows_api_and_of_clusters_are_meant_for_it() -> None:
    group = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]["airflow"]
    modules = {path.stem: path.read_text() for path in (ROOT / "plugins/modules").glob("*.py")}
    clusters = {name for name, text in modules.items() if "_kubernetes import" in text}
    actions = {path.stem: path.read_text() for path in (ROOT / "plugins/action").glob("*.py")}
    here = {name for name, text in actions.items() if re.search("(Here|Module|Registry)Action", text)}
    assert clusters | set(group) <= here | {"service_forward"}
