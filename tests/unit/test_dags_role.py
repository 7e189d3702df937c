# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Step 6: what a release of DAGs is called, known by every host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.windward.airflow.plugins.module_utils import _tree
from test_preflight_play import ROOT, ansible


def test_a_host_to_which_no_dags_are_delivered_knows_their_name(tmp_path: Path) -> None:
    """It may be the first of the play, whose variables are those of the tasks that run once."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags/a.py").write_text("x = 1\n")
    inventory = {
        "airflow": {
            "vars": {"ansible_connection": "local", "__airflow_platform": "systemd", "airflow_dags": "dags",
                     "airflow_executor": "CeleryExecutor", "airflow_state_dir": "/x", "airflow_dags_release": "",
                     "airflow_image_dags": False},
            "children": {"airflow_api_server": {"hosts": {"a": None}}, "airflow_worker": {"hosts": {"b": None}}},
        }
    }  # fmt: skip
    told = {"ansible.builtin.debug": {"msg": "{{ inventory_hostname }} {{ __dags_here }} {{ __dags_release }}"}}
    play = {"hosts": "airflow", "gather_facts": False, "tasks": [told]}
    play["vars_files"] = [str(ROOT / "roles/dags/vars/main.yml")]
    (tmp_path / "inventory.json").write_text(json.dumps(inventory))
    (tmp_path / "play.json").write_text(json.dumps([play]))
    code, out, error = ansible(tmp_path, "ansible-playbook", "-i", "inventory.json", "play.json")
    assert code == 0, out + error
    digest = _tree.digest(str(tmp_path / "dags"))
    assert f"a False {digest}" in out
    assert f"b True {digest}" in out


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, out, error = ansible(
        tmp_path, "ansible", "localhost", "-m", "ansible.builtin.debug",
        "-a", "msg={{ lookup('windward.airflow.tree_digest', 'nowhere') }}",
    )  # fmt: skip
    assert code
    assert f"{tmp_path}/nowhere can't be read: No such file or directory" in out + error


@pytest.mark.parametrize(("words", "code"), [([], 2), (["--check"], 0)])
def test_what_is_served_and_not_proved_is_said(tmp_path: Path, words: list[str], code: int) -> None:
    role = {"name": "Prove", "ansible.builtin.import_role": {"name": "windward.airflow.dags", "tasks_from": "unproved"}}
    book = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [role]}]
    (tmp_path / "play.json").write_text(json.dumps(book))
    away = {"available": False, "reason": "there is no api-server here"}
    given = json.dumps({"airflow_dags_release": "x", "__airflow_endpoint": away})
    ended, out, error = ansible(tmp_path, "ansible-playbook", "-i", "localhost,", "play.json", "-e", given, *words)
    assert (ended, "there is no api-server here" in out) == (code, True), out + error
