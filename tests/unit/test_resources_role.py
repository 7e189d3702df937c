# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Step 5 where Airflow's API can't be reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_preflight_play import ansible

REASON = "there is no api-server here"
NO_API = {
    "__systemd_minted": {"available": True, "expires": 9999999999},  # so that none is minted
    "__airflow_endpoint": {"available": False, "reason": REASON, "url": "", "token": ""},
}
USER = {"username": "a", "first_name": "A", "last_name": "B", "email": "a@example.org", "roles": ["Viewer"]}


@pytest.mark.parametrize(
    ("users", "words", "code", "said"),
    [([USER], [], 2, True), ([USER], ["--check"], 0, True), ([], [], 0, False)],
)
def test_it_says_why_nothing_was_applied(
    tmp_path: Path, users: list[Any], words: list[str], code: int, said: bool
) -> None:
    role = {"name": "Apply", "ansible.builtin.import_role": {"name": "windward.airflow.resources"}}
    book = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [role]}]
    (tmp_path / "play.json").write_text(json.dumps(book))
    given = json.dumps({**NO_API, "airflow_users": users})
    ended, out, error = ansible(tmp_path, "ansible-playbook", "-i", "localhost,", "play.json", "-e", given, *words)
    assert (ended, REASON in out) == (code, said), out + error
