# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From source to pods: an image is built, pushed, brought to Kind's nodes, its DAGs parsed, run and proved; and back.

The tests run in the order in which they stand.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from deployment import Run, deploy
from servers import ECR_LOGIN, HTPASSWD, REGISTRY, DockerRegistry

DAG = '''
import os, time
import cowsay, own
from airflow.sdk import DAG, Variable, get_current_context, task

with DAG("told", schedule=None, catchup=False, is_paused_upon_creation=False):
    @task
    def first():
        waits = (get_current_context()["dag_run"].conf or {{}}).get("waits")
        while waits and not Variable.get("go_on", default=None):
            time.sleep(2)
    @task
    def second():
        assert cowsay.__version__ == "6.1" and own.value == "of the source", own.value
        print("told {version} by", os.environ["WINDWARD_IMAGE"])
    first() >> second()
'''


class Image(Cluster):
    """A source, and a registry that wants a log-in."""

    def __init__(self, work: Path) -> None:
        super().__init__("image")
        (work / "htpasswd").write_text(HTPASSWD)
        auth = {"htpasswd": {"realm": "tests", "path": str(work / "htpasswd")}}
        self.registry = DockerRegistry(work / "data", work, "registry", auth)
        self.dags, self.source = work / "dags", work / "source"
        for directory in (self.dags, self.source):
            directory.mkdir()
        (self.source / "own.py").write_text('value = "of the source"\n')
        self.write("one")
        self.variables = {
            "airflow_dags": str(self.dags), "airflow_pythonpath": str(self.source), "airflow_image": "",
            "airflow_image_load": True, "airflow_image_repository": f"127.0.0.1:{self.registry.port}/airflow",
            "airflow_image_registry_url": self.registry.url, "airflow_image_registry_username": ECR_LOGIN[0],
            "airflow_image_registry_password": ECR_LOGIN[1],
        }  # fmt: skip
        if os.environ.get("AIRFLOW_KIND_VARS"):  # what stands in for the official image
            self.variables["airflow_image_base"] = "kind-bed.local/airflow:{{ airflow_version }}"
        if subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode:
            plugins = REGISTRY.parents[1] / "libexec" / "docker" / "cli-plugins"
            (work / "config.json").write_text(json.dumps({"cliPluginsExtraDirs": [str(plugins)]}))
            os.environ["DOCKER_CONFIG"] = str(work)

    def write(self, version: str) -> None:
        (self.dags / "told.py").write_text(DAG.format(version=version))

    def command(self, book: str | Path, *arguments: str, **variables: Any) -> list[str]:
        return super().command(book, *arguments, **{**self.variables, **variables})

    def quickly(self, **variables: Any) -> Run:
        """The playbook that this is about."""
        run = self.play("playbooks/image.yml", **variables)
        assert run.code == 0, run.failures or run.error
        return run

    def images(self) -> set[str]:
        """What the pods of Airflow run."""
        return {
            one["spec"]["containers"][0]["image"] for one in self.running() if one["metadata"]["labels"].get("tier")
        }

    def tag(self) -> str:
        (image,) = self.images()
        return image.rpartition(":")[2]

    def start(self, **conf: Any) -> str:
        with self.api() as api:
            run = api.request("POST", "/api/v2/dags/told/dagRuns", body={"logical_date": None, "conf": conf})
        return f"/api/v2/dags/told/dagRuns/{urllib.parse.quote(run['dag_run_id'])}"

    def told(self, path: str) -> tuple[str, str]:
        """The release that a run began with, and what its second task said."""
        with self.api() as api:
            deadline = time.monotonic() + 400
            while (run := api.get(path))["state"] in ("queued", "running") and time.monotonic() < deadline:
                time.sleep(2)
            assert run["state"] == "success", run
            log = str(api.get(f"{path}/taskInstances/second/logs/1"))
        return run["bundle_version"], log


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if not REGISTRY.exists():
        pytest.skip("needs Debian's docker-registry: tests/registry/prepare.sh")
    one = Image(tmp_path_factory.mktemp("image"))
    yield one
    one.registry.stop()


@pytest.fixture(scope="module")
def kept() -> dict[str, str]:
    """What a test leaves to those after it."""
    return {}


def test_an_image_for_nothing_is_not_built(image: Image) -> None:
    run = image.play("playbooks/image.yml")
    assert run.code and "nothing was deployed there" in "\n".join(run.failures), run.failures
    assert run.changed == [] and image.name not in image.run("kubectl", "get", "namespaces", "-oname")


def test_a_whole_run_and_a_second_one(image: Image, kept: dict[str, str]) -> None:
    run = deploy(image)
    print(f"from source to a proved deployment: {run.seconds:.0f} s")
    kept["tag"] = image.tag()
    assert kept["tag"].startswith("20") and len(kept["tag"]) == 14
    kept["release"], log = image.told(image.start())
    assert f"told one by 127.0.0.1:{image.registry.port}/airflow:{kept['tag']}" in log
    assert f"{image.name}-dags" not in {one["metadata"]["name"] for one in image.get("persistentvolumeclaims")}
    again = deploy(image)
    assert again.changed == []
    print(f"nothing changed: {again.seconds:.0f} s")


def test_one_line_of_a_dag(image: Image, kept: dict[str, str]) -> None:
    """A run that is under way meanwhile goes on, with what is there then."""
    under_way = image.start(waits=True)
    image.write("two")
    run = image.quickly()
    sent = [
        row["bytes"] for _task, _host, result in run.results("Bring the image to the nodes")
        for row in result.get("nodes", {}).values()
    ]  # fmt: skip
    assert len(sent) == 2 and max(sent) < 100_000, "one small layer"
    assert image.tag() != kept["tag"]
    release, log = image.told(image.start())
    assert release != kept["release"] and "told two by " in log and f"/airflow:{image.tag()}" in log
    with image.api() as api:
        api.request("POST", "/api/v2/variables", body={"key": "go_on", "value": "yes"})
    old, log = image.told(under_way)
    assert old == kept["release"] and "told two" in log
    print(f"one line of a DAG, from source to proof: {run.seconds:.0f} s, {max(sent)} bytes to a node")


def test_broken_dags_are_refused_and_the_old_image_stays(image: Image) -> None:
    before = image.pods()
    (image.dags / "broken.py").write_text("import nothing_that_is_there\n")
    run = image.play("playbooks/image.yml")
    assert run.code and "nothing_that_is_there" in "\n".join(run.failures), run.failures
    assert image.pods() == before
    (image.dags / "broken.py").unlink()


def test_back_to_a_former_image(image: Image, kept: dict[str, str]) -> None:
    run = image.quickly(airflow_image_tag=kept["tag"])
    assert image.tag() == kept["tag"]
    log = image.told(image.start())[1]
    assert "told one by " in log and f"/airflow:{kept['tag']}" in log
    assert image.quickly(airflow_image_tag=kept["tag"]).changed == []
    print(f"back to a former image: {run.seconds:.0f} s")


def test_status_and_check(image: Image, kept: dict[str, str]) -> None:
    status = image.play("playbooks/status.yml")
    assert status.code == 0, status.failures
    assert kept["release"][:12] in status.out
    foreseen = image.play("playbooks/image.yml", "--check", airflow_requirements=["cowsay==6.0"])
    assert foreseen.code == 0 and "Foresee it" in " ".join(foreseen.changed), foreseen.failures
    assert image.tag() == kept["tag"]
