# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A deployment under test: run plays against it, look into its hosts, ask its API."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.windward.airflow.plugins.module_utils._client import Client
from ansible_collections.windward.airflow.plugins.module_utils._local_vm import ssh_args, state_dir

ROOT = Path(__file__).parents[2]
PLAIN = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
AS_JSON = {**PLAIN, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}


@dataclass
class Run:
    """What a play did and said."""

    code: int
    out: str
    error: str
    seconds: float
    report: dict[str, Any] = field(default_factory=dict)

    def results(self, task: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Task, host and result of each task whose name ends with ``task``."""
        for play in self.report["plays"]:
            for one in play["tasks"]:
                if one["task"]["name"].endswith(task):
                    for host, result in one["hosts"].items():
                        yield one["task"]["name"], host, result

    @property
    def changed(self) -> list[str]:
        return sorted({name for name, _host, result in self.results() if result.get("changed")})

    @property
    def failures(self) -> list[str]:
        results = [result for _name, _host, result in self.results()]
        return [json.dumps(one.get("msg", one)) for one in results if one.get("failed") or one.get("unreachable")]

    def restarted(self) -> list[str]:
        results = [result for _task, _host, result in self.results("Run the components")]
        return sorted(name for result in results for name in result.get("restarted", ()))


class Deployment:
    """One inventory of molecule/."""

    def __init__(self, scenario: str) -> None:
        self.inventory = ROOT / "molecule" / scenario / "inventory"
        declared = yaml.safe_load((self.inventory / "hosts.yml").read_text())["airflow"]
        self.addresses = {name: host["ansible_host"] for name, host in declared["hosts"].items()}
        self.groups = {name: list(group["hosts"]) for name, group in declared["children"].items()}
        self.host = next(iter(self.addresses))

    def command(self, book: str | Path, *arguments: str, **variables: Any) -> list[str]:
        extra = ["-e", json.dumps(variables)] if variables else []
        return ["ansible-playbook", str(book), "-i", str(self.inventory), *arguments, *extra]

    def play(self, book: str | Path, *arguments: str, **variables: Any) -> Run:
        """Run a playbook and read what it reports."""
        run = self.said(self.command(book, *arguments, **variables), AS_JSON)
        start = run.out.find("{\n")
        assert start >= 0, run.out + run.error
        run.report = json.JSONDecoder().raw_decode(run.out, start)[0]  # other callbacks may say something after it
        return run

    def said(self, command: list[str], environment: dict[str, str], cwd: Path = ROOT) -> Run:
        start = time.monotonic()
        done = subprocess.run(
            command, cwd=cwd, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=1800,
        )
        return Run(done.returncode, done.stdout, done.stderr, time.monotonic() - start)

    def kill(self, book: str | Path, *arguments: str, at: str, log: Path, seconds: float = 0.0) -> None:
        """Run a playbook in a process group of its own and kill the group ``seconds`` after it has said ``at``."""
        with log.open("w") as stream:
            process = subprocess.Popen(
                self.command(book, *arguments), cwd=ROOT, env={**os.environ, **PLAIN, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
            )
        deadline = time.monotonic() + 900
        try:
            while at not in log.read_text():
                assert process.poll() is None, f"it ended before '{at}':\n{log.read_text()[-3000:]}"
                assert time.monotonic() < deadline, f"it never said '{at}'"
                time.sleep(0.1)
            time.sleep(seconds)
            assert process.poll() is None, f"it ended within {seconds} s after '{at}'"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def shell(self, script: str, host: str = "", check: bool = True) -> str:
        """Run a script as root on a host; neither the script nor what it holds is on a command line."""
        options = shlex.split(ssh_args(state_dir(os.environ)))
        target = f"ansible@{self.addresses[host or self.host]}"
        done = subprocess.run(
            ["ssh", "-o", "BatchMode=yes", *options, target, "sudo", "bash", "-s"], input=script, capture_output=True,
            text=True, check=False, timeout=300,
        )
        assert not check or done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def secrets(self) -> dict[str, str]:
        return json.loads(self.shell("cat /etc/airflow/secrets.json"))

    def url(self) -> str:
        return f"http://{self.addresses[self.host]}:8080"

    def api(self) -> Client:
        return Client(self.url(), username="admin", password=self.secrets()["admin_password"])


def deploy(deployment: Deployment, *arguments: str, **variables: Any) -> Run:
    """Run the play to its end without a failure."""
    run = deployment.play("site.yml", *arguments, **variables)
    assert run.code == 0, run.failures or run.error
    return run
