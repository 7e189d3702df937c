# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Modules that work on files of a host, each run as Ansible runs it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from ansible_collections.windward.airflow.plugins.action import worker_drain
from ansible_collections.windward.airflow.plugins.callback import steps as callback_steps
from ansible_collections.windward.airflow.plugins.module_utils import _tree
from ansible_collections.windward.airflow.plugins.modules import api_token, component_info
from ansible_collections.windward.airflow.plugins.modules.release import Build

ROOT = Path(__file__).parents[2]


def run(name: str, /, check: bool = False, **options: Any) -> dict[str, Any]:
    """Run a module in a process of its own and return its result."""
    arguments = {"ANSIBLE_MODULE_ARGS": {**options, "_ansible_check_mode": check}}
    code = (
        "import sys; from ansible.module_utils import basic; basic._ANSIBLE_PROFILE = 'legacy'; "
        "basic._ANSIBLE_ARGS = sys.stdin.buffer.read(); "
        f"from ansible_collections.windward.airflow.plugins.modules import {name}; {name}.main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".collections")}
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(arguments), capture_output=True, text=True, env=environment,
        check=False,
    )
    assert done.stdout.strip().startswith("{"), done.stdout + done.stderr
    return json.loads(done.stdout)


NAMES = ["fernet_key", "jwt_secret", "admin_password"]


def test_secrets_are_generated_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "secrets.json"
    checked = run("secret_store", check=True, path=str(path), names=NAMES, generate=True)
    assert checked["changed"] and not path.exists()
    first = run("secret_store", path=str(path), names=NAMES, generate=True)
    assert first["changed"] and sorted(first["secrets"]) == sorted(NAMES)
    assert len(base64.urlsafe_b64decode(first["secrets"]["fernet_key"])) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first["secrets"]["fernet_key"] not in json.dumps(first["diff"])
    second = run("secret_store", path=str(path), names=NAMES, generate=True)
    assert not second["changed"] and second["secrets"] == first["secrets"]
    given = run("secret_store", path=str(path), names=NAMES, given={"jwt_secret": "mine", "other": "x"})
    assert given["changed"] and given["secrets"] == {**first["secrets"], "jwt_secret": "mine"}


def test_an_old_deployment_gets_no_new_secrets(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    result = run("secret_store", path=str(path), names=NAMES)
    assert result["failed"] and "fernet_key" in result["msg"] and not path.exists()
    young = run("secret_store", path=str(path), names=["later"], expendable=["later"])
    assert young["changed"] and len(young["secrets"]["later"]) > 32
    assert run("secret_store", path=str(path), names=["later"])["secrets"] == young["secrets"]
    path.write_text("[]")
    assert "damaged" in run("secret_store", path=str(path), state="read")["msg"]


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="gives files to root")


@needs_root
def test_files_are_written_repaired_and_removed(tmp_path: Path) -> None:
    folder, plain, secret, stale = (tmp_path / name for name in ("d", "d/plain", "d/secret", "d/stale"))
    files: list[dict[str, Any]] = [
        {"path": str(folder), "directory": True, "mode": "0700"},
        {"path": str(plain), "content": "a\n", "mode": "0644"},
        {"path": str(secret), "secret": True, "mode": "0600"},
    ]
    options = {"files": files, "secrets": {str(secret): "SECRET\n"}, "exclusive": [f"{folder}/*"]}
    assert run("managed_files", check=True, **options)["changed"] and not folder.exists()
    assert len(run("managed_files", **options)["paths"]) == 3
    assert not run("managed_files", **options)["changed"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, plain, secret)] == [0o700, 0o644, 0o600]
    secret.write_text("OLDSECRET\n")
    plain.chmod(0o666)
    stale.touch()
    checked = run("managed_files", check=True, **options)
    assert checked["paths"] == [str(plain), str(secret), str(stale)] and stale.exists()
    result = run("managed_files", **options)
    assert result["paths"] == checked["paths"]
    assert "SECRET" not in json.dumps({key: value for key, value in result.items() if key != "invocation"})
    assert not stale.exists() and secret.read_text() == "SECRET\n" and stat.S_IMODE(plain.stat().st_mode) == 0o644


@needs_root
def test_a_secret_without_a_text_is_no_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("KEPT\n")
    assert "has no text" in run("managed_files", files=[{"path": str(path), "secret": True, "mode": "0600"}])["msg"]
    assert path.read_text() == "KEPT\n"


def test_an_unknown_owner_is_told(tmp_path: Path) -> None:
    entry = {"path": str(tmp_path / "x"), "content": "", "mode": "0644", "owner": "nobody-of-this-name"}
    assert "nobody-of-this-name" in run("managed_files", files=[entry])["msg"]
    assert run("managed_files", check=True, files=[entry])["changed"]


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_releases_in_use_stay(tmp_path: Path, keep: int) -> None:
    (tmp_path / "current").symlink_to("releases/served")
    root = tmp_path / "releases"
    root.mkdir()
    for name in ("oldest", "older", "old", "served", ".partial-x"):
        (root / name).mkdir()
        time.sleep(0.02)
    paths = [str(root), str(tmp_path / "absent")]
    result = run("tree_pruned", paths=paths, current=str(tmp_path / "current"), in_use=["oldest"], keep=keep)
    # A delivery that was begun a moment ago may still be under way.
    left = {"oldest", "served", ".partial-x", *["old", "older"][:keep]}
    assert {path.name for path in root.iterdir()} == left
    assert result["changed"] == (keep < 2)


def stale(root: Path, keep: int, own: str) -> list[str]:
    build = Build.__new__(Build)
    build.params, build.id, build.releases = {"root": str(root), "keep": keep}, own, str(root / "releases")
    return build.stale()


def test_releases_that_nobody_needs(tmp_path: Path) -> None:
    assert stale(tmp_path, 2, "new") == []
    for number, name in enumerate(("a", "b", "c", "new", ".partial-z")):
        (tmp_path / "releases" / name).mkdir(parents=True)
        os.utime(tmp_path / "releases" / name, (number, number))
    (tmp_path / "current").symlink_to("releases/a")
    assert stale(tmp_path, 2, "new") == ["c", "b", ".partial-z"]
    assert stale(tmp_path, 3, "new") == ["b", ".partial-z"]


def test_a_token_is_what_airflow_reads() -> None:
    key = "k" * 64
    claims = {"sub": "1", "aud": "apache-airflow", "exp": int(time.time()) + 60}
    token = api_token.sign(claims, key)
    assert jwt.decode(token, key, algorithms=["HS512"], audience="apache-airflow") == claims
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, "x" * 64, algorithms=["HS512"], audience="apache-airflow")


def test_steps_add_up(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(callback_steps, "time", SimpleNamespace(monotonic=lambda: now[0]))

    class Play:
        def __init__(self, name: str) -> None:
            self.name = name

        def get_name(self) -> str:
            return self.name

    steps = callback_steps.CallbackModule()
    for name, seconds in (("1 one | A", 1.0), ("2 two | B", 2.0), ("1 one | C", 4.0), ("no step", 8.0)):
        steps.v2_playbook_on_play_start(Play(name))
        now[0] += seconds
    steps.v2_playbook_on_stats(None)
    assert steps.steps == {"1 one": 5.0, "2 two": 2.0}
    assert "1 one" in capsys.readouterr().out


def test_a_drain_goes_on_until_nothing_runs_or_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(worker_drain, "time", SimpleNamespace(monotonic=lambda: now[0]))
    asked: list[float] = []

    def execute(arguments: dict[str, Any]) -> dict[str, Any]:
        asked.append(arguments["timeout"])
        now[0] += arguments["timeout"]
        running = ["sales.load r1"] if now[0] < 40 else []
        first = {"changed": len(asked) == 1, "running": running, "seconds": arguments["timeout"]}
        return {**first, "failed": True, "msg": "still runs"} if running else {**first, "changed": False}

    said: list[str] = []
    done = worker_drain.follow(execute, {"worker": "celery@w"}, 100.0, said.append)
    assert not done.get("failed") and done["changed"] and done["seconds"] == 45.0
    assert said == ["celery@w: sales.load r1 (15 s)", "celery@w: sales.load r1 (30 s)"]
    now[0], asked[:] = 0.0, []
    late = worker_drain.follow(execute, {"worker": "celery@w"}, 20.0, said.append)
    assert late["failed"] and late["changed"] and asked == [15.0, 5.0]


def test_a_drain_ends_at_once_when_the_worker_cannot_be_asked() -> None:
    refused = {"failed": True, "msg": "the worker does not answer"}
    assert worker_drain.follow(lambda _arguments: dict(refused), {"worker": "w"}, 100.0, print)["failed"]


def test_the_unit_that_runs_is_told_of_when_a_name_has_several() -> None:
    def told(said: str) -> dict[str, Any]:
        return component_info.units(SimpleNamespace(run_command=lambda _argv, **_: (0, said, "")), "postgresql@*")

    block = "LoadState=loaded\nActiveState={}\nStateChangeTimestamp=Sat 2026-11-21 11:13:11 UTC\nNRestarts=2\n"
    assert told("") == {"state": "absent", "since": "", "restarts": 0}, "no unit has such a name"
    assert told(block.format("failed")) == {"state": "failed", "since": "2026-11-21T11:13:11Z", "restarts": 2}
    assert told(block.format("failed") + "\n" + block.format("active"))["state"] == "active"
    assert component_info.memory()["total"] >= component_info.memory()["available"] > 0


def test_a_host_tells_what_its_components_cannot_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("systemctl", "journalctl"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "environment").mkdir()
    (tmp_path / "environment/scheduler").write_text('AIRFLOW__CELERY__BROKER_URL="amqp://u:p@127.0.0.1:9//"\n')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    told = run("component_info", components=["scheduler", "triggerer"], config_dir=str(tmp_path))["components"]
    assert list(told["scheduler"]["unreached"]) == ["the broker at 127.0.0.1:9"]
    assert told["triggerer"]["unreached"] == {}


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    """A release of DAGs, delivered."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags/a.py").write_text("x = 1\n")
    release = tmp_path / "releases" / _tree.digest(str(tmp_path / "dags"))
    shutil.copytree(tmp_path / "dags", release)
    return release


def gate(release: Path, **more: Any) -> dict[str, Any]:
    root = str(release.parents[1])
    return run("dag_gate", check=True, path=str(release), memory=root, config_dir=root, **more)


def test_the_gate_of_dags_tells_what_is_there_and_what_is_served(dags: Path) -> None:
    """It is the only look at a volume."""
    link = dags.parents[1] / "current"
    assert gate(dags, link=str(link))["served"] == ""
    link.symlink_to("releases/b")
    told = gate(dags, link=str(link))
    assert (told["present"], told["served"]) == (True, "releases/b")
    (dags / "a.py").unlink()
    assert not gate(dags)["present"]
    shutil.rmtree(dags)
    assert not gate(dags)["present"]


def test_a_release_that_nobody_delivers_is_refused_by_a_check(dags: Path) -> None:
    (dags.parents[1] / "airflow.cfg").touch()
    (dags / "a.py").write_text("x = 2\n")
    assert "something in it was changed since" in gate(dags, delivered=True)["msg"]
    absent = gate(dags.parent / "absent", delivered=True)
    assert absent["failed"] and "There is no DAG release" in absent["msg"]
    assert not gate(dags.parent / "absent").get("failed")


@needs_root
def test_a_release_in_which_something_was_changed_is_delivered_anew(dags: Path) -> None:
    source = dags.parents[1] / "dags"
    (dags / "a.py").unlink()
    archive = dags.parents[1] / "archive"
    archive.write_bytes(_tree.pack(str(source)))
    wanted = {"src": str(source), "dest": str(dags.parent), "digest": dags.name, "archive": str(archive)}
    for check, changed, there in ((True, True, False), (False, True, True), (False, False, True)):
        result = run("tree", check=check, trees=[wanted], group="root")
        assert (result["changed"], result["trees"][0]["present"]) == (changed, there)
        assert (dags / "a.py").exists() == there
    assert [path.name for path in dags.parent.iterdir()] == [dags.name]
