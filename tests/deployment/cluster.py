# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A deployment on Kubernetes under test: what kubectl and helm say of it, and how a person logs in."""

from __future__ import annotations

import base64
import http.cookiejar
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.windward.airflow.plugins.module_utils._client import Client
from ansible_collections.windward.airflow.plugins.module_utils._kind_host import kubeconfig
from ansible_collections.windward.airflow.plugins.module_utils._local_vm import state_dir
from deployment import PLAIN, ROOT, Deployment


class Cluster(Deployment):
    """One inventory of molecule/ that is a Kind cluster."""

    def __init__(self, scenario: str) -> None:
        self.inventory = ROOT / "molecule" / scenario / "inventory"
        groups = yaml.safe_load((self.inventory / "hosts.yml").read_text())["airflow"]["children"]
        self.kind = groups["airflow_cluster"]["hosts"]["localhost"]["airflow_kind_cluster"]
        variables = self.inventory / "group_vars" / "airflow.yml"
        self.declared = yaml.safe_load(variables.read_text().replace("!unsafe ", "")) if variables.exists() else {}
        self.name, self.executor = (self.declared.get(f"airflow_{name}", "") for name in ("name", "executor"))
        kept = str(kubeconfig(state_dir(os.environ), self.kind["name"]))
        self.kubeconfig, self.environment = kept, {**os.environ, "KUBECONFIG": kept}

    def command(self, book: str | Path, *arguments: str, **variables: Any) -> list[str]:
        images = os.environ.get("AIRFLOW_KIND_VARS", "")  # what stands in for images that can't be pulled
        return super().command(book, *(["-e", images] if images else []), *arguments, **variables)

    def run(self, *command: str, stdin: str = "", check: bool = True, timeout: int = 120) -> str:
        done = subprocess.run(
            command, input=stdin, env=self.environment, capture_output=True, text=True, check=False, timeout=timeout
        )
        assert not check or not done.returncode, done.stderr
        return done.stdout + ("" if not done.returncode else done.stderr)

    def kubectl(self, *words: str, **options: Any) -> str:
        return self.run("kubectl", "-n", self.name, *words, **options)

    def inside(self, pod: str, container: str, *command: str, check: bool = True) -> str:
        return self.kubectl("exec", pod, "-c", container, "--", *command, check=check)

    def get(self, kind: str) -> list[dict[str, Any]]:
        return list(json.loads(self.kubectl("get", kind, "-ojson"))["items"])

    def running(self) -> list[dict[str, Any]]:
        """The pods that run for good."""
        return [
            one for one in self.get("pods")
            if one["status"]["phase"] == "Running" and not one["metadata"].get("deletionTimestamp")
            and "dag_id" not in one["metadata"].get("labels", {})
        ]

    def pods(self) -> dict[str, str]:
        """What each of them is, by what it can be told from its successor."""
        return {
            one["metadata"]["uid"]: one["metadata"]["labels"].get("component", one["metadata"]["name"])
            for one in self.running()
        }

    def secrets(self) -> dict[str, str]:
        held = json.loads(self.kubectl("get", "secret", f"{self.name}-secrets", "-ojson"))["data"]
        return {name: base64.b64decode(value).decode() for name, value in held.items()}

    def url(self) -> str:
        (port,) = self.kind["nodes"][0]["port_mappings"]
        return f"http://localhost:{port['host_port']}"

    def api(self) -> Client:
        """The way that needs nothing to be exposed."""
        service = f"http://{self.name}-api-server.{self.name}:8080"
        secrets = self.secrets()
        return Client(service, username="admin", password=secrets["admin_password"], kubeconfig=self.kubeconfig)

    def kill(self, reached: Callable[[], bool], log: Path, *words: str, **variables: Any) -> None:
        """Run the play, and kill it with all that it started as soon as a state of the cluster is reached."""
        with log.open("w") as stream:
            process = subprocess.Popen(
                self.command("site.yml", *words, **variables), cwd=ROOT, env={**os.environ, **PLAIN},
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            )
        deadline = time.monotonic() + 900
        while not reached():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.3)
        for pid in descendants(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
        assert reached(), "it had gone on before it was killed"

    def records(self) -> str:
        """The status of each revision that helm knows."""
        path = "jsonpath={.items[*].metadata.labels.status}"
        return self.kubectl("get", "secrets", "-l", "owner=helm", "-o", path, check=False)


def descendants(pid: int) -> list[int]:
    """A process and all that it started, which need not be of its group."""
    told = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = [tuple(map(int, line.split())) for line in told.splitlines()]
    found = [pid]
    for one in found:
        found += [child for child, parent in parents if parent == one]
    return found


def log_in(url: str, username: str, password: str) -> str:
    """Log in as a browser does, and say where that led to."""
    jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    browser = urllib.request.build_opener(jar)
    page = browser.open(f"{url}/auth/login/", timeout=60).read().decode()
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert token, page
    form = {"username": username, "password": password, "csrf_token": token[1]}
    sent = urllib.parse.urlencode(form).encode()
    return str(browser.open(f"{url}/auth/login/", sent, timeout=60).url)
