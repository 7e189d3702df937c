# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Role image in whole plays: a real Docker engine builds and pushes to a real registry that wants a log-in."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from api_script import run_module
from fault_proxy import FaultProxy
from moto.server import ThreadedMotoServer
from package_index import PackageIndex
from servers import CACHE, ECR_LOGIN, DockerRegistry, Engine

ROOT = Path(__file__).parents[2]
USERLAND = CACHE / "kind-bed" / "img" / "userland.tar"
DOCKERFILE = """FROM userland.example.org/debian:13
RUN python3 -m venv /opt/venv && useradd -u 50000 -g 0 -m airflow && mkdir -p /opt/airflow/dags /opt/airflow/plugins
ENV PATH=/opt/venv/bin:/usr/bin:/bin
LABEL windward.airflow.tag=of-the-base org.opencontainers.image.version=1
USER 50000:0
"""
# What makes pushes slow and is not asked for.
LEFT_OUT = re.compile(r"postgresql|llvm|git-core|redis|mariadb|/perl|libz3|/usr/share/(?!python|zoneinfo)", re.I)
Play = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def engine(work: Path) -> Iterator[Engine]:
    one = Engine(work / "builder")
    yield one
    one.stop()


@pytest.fixture(scope="module")
def base(work: Path, engine: Engine) -> str:
    """Made as the official image is, but for Airflow."""
    (work / "base").mkdir()
    with tarfile.open(USERLAND) as whole, tarfile.open(work / "base.tar", "w") as small:
        for member in whole:
            if not LEFT_OUT.search(member.name):
                small.addfile(member, whole.extractfile(member) if member.isreg() else None)
    engine.docker("import", str(work / "base.tar"), "userland.example.org/debian:13")
    (work / "base" / "Dockerfile").write_text(DOCKERFILE)
    engine.docker("buildx", "build", "--network", "host", "--tag", "base.example.org/airflow:1", str(work / "base"))
    return "base.example.org/airflow:1"


@pytest.fixture(scope="module")
def index() -> Iterator[PackageIndex]:
    server = PackageIndex()
    yield server
    server.stop()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What a user has, and locks that are small."""
    root = tmp_path / "source"
    for name, text in {"dags/a.py": "a = 1\n", "plugins/p.py": "p = 1\n", "src/own/__init__.py": "o = 1\n"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def play(
    tmp_path: Path, source: Path, engine: Engine, base: str, index: PackageIndex, ecr_registry: DockerRegistry,
    repository: str,
) -> Play:
    """The role in a play of its own, as one controller runs it."""
    locks = tmp_path / "locks"
    lock = index.add("base-lib", "1.0")
    index.add("base-lib", "2.0")
    index.add("acme", "1.5", "base-lib>=1")
    defaults = yaml.safe_load((ROOT / "roles/airflow/defaults/main/deployment.yml").read_text())
    uv = (ROOT / "roles/systemd/files/locks/uv/requirements.txt").read_text()
    for name, text in {defaults["airflow_version"]: lock, "uv": uv}.items():
        (locks / name).mkdir(parents=True)
        (locks / name / "requirements.txt").write_text(text)

    def run(*words: str, environment: dict[str, str] | None = None, **variables: Any) -> Any:
        given = {
            "ansible_connection": "local", "ansible_python_interpreter": sys.executable,
            "airflow_image_repository": f"127.0.0.1:{ecr_registry.port}/{repository}", "airflow_image_base": base,
            "airflow_image_registry_url": ecr_registry.url, "airflow_image_registry_username": ECR_LOGIN[0],
            "airflow_image_registry_password": ECR_LOGIN[1], "airflow_image_build_network": "host",
            "airflow_ca_bundle": "/etc/ssl/certs/ca-certificates.crt", "airflow_package_index_url": index.url,
            "airflow_dags": str(source / "dags"), "airflow_image_dags": True,
            **variables,
        }  # fmt: skip
        tasks = [
            {"ansible.builtin.import_role": {"name": "windward.airflow.image"}},
            {"ansible.builtin.debug": {"msg": "DEPLOYED {{ __airflow_image }}"}},
        ]
        plays = [{"hosts": "airflow_cluster", "gather_facts": False, "vars": given, "tasks": tasks}]
        (tmp_path / "play.yml").write_text(json.dumps(plays))
        (tmp_path / "hosts.yml").write_text(json.dumps({"airflow_cluster": {"hosts": {"localhost": None}}}))
        own = {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
            "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote"), "TMPDIR": str(tmp_path), "DOCKER_HOST": engine.host,
            "DOCKER_CONFIG": str(engine.config), "ANSIBLE_PIPELINING": "false", **(environment or {}),
        }  # fmt: skip
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(tmp_path / "hosts.yml"), *words]
        command += ["-e", f"__image_locks={locks}"]
        return subprocess.run(
            [*command, str(tmp_path / "play.yml")], env={**os.environ, **own}, cwd=ROOT, capture_output=True, text=True,
            timeout=600, check=False,
        )  # fmt: skip

    return run


def deployed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return re.findall(r"DEPLOYED (\S+?)\"?$", done.stdout, re.MULTILINE)[0]


def changed(done: subprocess.CompletedProcess[str]) -> bool:
    return "changed=0 " not in done.stdout


@pytest.fixture
def tags(registry: DockerRegistry, repository: str, capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """What the registry has, by the one that shares its directory and wants no log-in."""

    def ask() -> list[str]:
        with contextlib.suppress(OSError):
            import urllib.request

            with urllib.request.urlopen(f"{registry.url}/v2/{repository}/tags/list") as reply:
                return sorted(json.load(reply)["tags"])
        return []

    return ask


def inside(engine: Engine, image: str, command: str) -> str:
    return engine.docker("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-euc", command)


def forget(engine: Engine) -> None:
    """An engine of another controller: it has the base, and nothing that was built."""
    names = engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    if built := [name for name in names if name.startswith("127.")]:
        engine.docker("rmi", "-f", *built)
    engine.docker("builder", "prune", "--all", "--force")


def test_built_once_and_only_what_changed(play: Play, engine: Engine, source: Path, tags: Any) -> None:
    whole = {
        "airflow_requirements": ["acme"], "airflow_plugins": str(source / "plugins"),
        "airflow_pythonpath": str(source / "src"),
    }  # fmt: skip
    foreseen = play("--check", **whole)
    assert changed(foreseen) and re.search(r"is\s+to\s+be\s+built", foreseen.stdout), foreseen.stdout
    assert tags() == []
    first = deployed(play(**whole))
    assert re.fullmatch(r"127\.0\.0\.1:\d+/\S+:20\d{12}", first)
    assert [tag.partition("-")[0] for tag in tags()] == [first[-14:], "inputs", "packages"]
    said = inside(engine, first, """
        id -u; cat /opt/airflow/dags/current/a.py /opt/airflow/plugins/p.py /opt/airflow/pythonpath/own/__init__.py
        python -c 'import acme, base_lib; print(acme.version, base_lib.version)'
        grep -c hash= /opt/airflow/requirements.txt
        ls -A /tmp; if touch /opt/airflow/dags/current/a.py 2>/dev/null; then echo writable; fi""")
    assert said.split("\n") == ["50000", "a = 1", "p = 1", "o = 1", "1.5 1.0", "2", ""]

    again = play(**whole)
    assert deployed(again) == first and not changed(again)
    forget(engine)
    other = play(**whole)
    assert deployed(other) == first and not changed(other) and first not in engine.docker("images")

    (source / "dags" / "a.py").write_text("a = 2\n")
    time.sleep(1)
    before = tags()
    second = deployed(play(**whole))
    new = set(tags()) - set(before)
    assert sorted(tag.partition("-")[0] for tag in new) == [second[-14:], "inputs"]
    layers = [json.loads(engine.docker("inspect", "-f", "{{json .RootFS.Layers}}", one)) for one in (second,)]
    assert inside(engine, second, "cat /opt/airflow/dags/current/a.py") == "a = 2\n"
    lower = next(tag for tag in before if tag.startswith("packages"))
    below = json.loads(engine.docker("inspect", "-f", "{{json .RootFS.Layers}}", f"{second[:-14]}{lower}"))
    assert layers[0][:-1] == below, "the DAGs are one layer on what was pulled"

    back = play(**whole, airflow_image_tag=first[-14:])
    assert deployed(back) == first and not changed(back)
    gone = play(**whole, airflow_image_tag="20200101000000")
    assert gone.returncode and "has no tag 20200101000000" in gone.stdout
    (source / "dags" / "a.py").write_text("a = 1\n")
    assert deployed(play(**whole)) == first, "what was built of the same before"


def test_for_the_nodes_platform(play: Play, engine: Engine) -> None:
    """Another one than the controller's, whose own image of the same is another one."""
    base = "arm.example.org/airflow:1"
    engine.docker("import", "--platform", "linux/arm64", str(engine.directory / "root.tar"), base)
    given = {"airflow_image_base": base, "airflow_image_platform": "linux/arm64"}
    foreseen = play("--check", **given)
    assert re.search(r"to\s+be\s+built\s+for\s+linux/arm64", foreseen.stdout), foreseen.stdout
    done = play(**given)
    image = deployed(done)
    assert " for linux/arm64)" in done.stdout
    assert engine.docker("inspect", "--format", "{{.Os}}/{{.Architecture}}", image) == "linux/arm64\n"
    assert not changed(play(**given))
    own = play(**{**given, "airflow_image_platform": ""})
    assert own.returncode and "the Docker engine" in own.stdout, "what it has is for another platform, and is not taken"


def test_no_password_is_left(play: Play, engine: Engine, index: PackageIndex, tmp_path: Path) -> None:
    """In argv and environments of other programs than buildx, in files and in output: looked for all the while."""
    secrets = [ECR_LOGIN[1].encode(), index.LOGIN[1].encode()]
    found: set[str] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob(f"{tmp_path}/**", recursive=True):
                with contextlib.suppress(OSError):
                    if "play.yml" not in path and any(secret in Path(path).read_bytes() for secret in secrets):
                        found.add(path)
            time.sleep(0.05)

    looker = threading.Thread(target=look, daemon=True)
    looker.start()
    forget(engine)
    proxies = {"NO_PROXY": "127.0.0.1", "SPARE_PROXY": f"http://{index.LOGIN[1]}@nowhere"}
    done = play("-vvv", airflow_requirements=["acme"], airflow_proxy_environment=proxies)
    ended.set()
    looker.join()
    image = deployed(done)
    assert index.asked and not found
    for secret in secrets:
        assert secret.decode() not in done.stdout + done.stderr
    kept = subprocess.run(
        ["grep", "-rlF", *[word for secret in secrets for word in ("-e", secret.decode())], str(engine.directory)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert kept.stdout == ""
    assert "pw-of" not in engine.docker("history", "--no-trunc", image) + engine.docker("inspect", image)


def test_requirements_that_do_not_fit(play: Play, index: PackageIndex, tags: Any) -> None:
    """The resolver's own words, and nothing pushed."""
    done = play(airflow_requirements=["base-lib>=2"])
    assert done.returncode and "unsatisfiable" in done.stdout and "base-lib" in done.stdout
    assert index.LOGIN[1] not in done.stdout + done.stderr
    assert tags() == []


def test_a_wrong_password(play: Play, tags: Any) -> None:
    done = play(airflow_image_registry_password="wrong-password")
    assert done.returncode and "refuses the log-in" in done.stdout and "wrong-password" not in done.stdout
    assert tags() == []


def test_without_an_engine(play: Play, tags: Any) -> None:
    done = play(environment={"DOCKER_HOST": "unix:///nonexistent"})
    assert done.returncode and "the Docker engine at /nonexistent can't be asked: No such file" in done.stdout
    assert tags() == []


def test_a_copy_of_the_base(play: Play, engine: Engine) -> None:
    image = deployed(play(airflow_image_dags=False))
    assert image[-14:].startswith("20"), "the label of the base is not that of the image"


# -- the modules alone -------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(
    engine: Engine, ecr_registry: DockerRegistry, repository: str, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    def run(to: str, check: bool = False, **options: Any) -> dict[str, Any]:
        given = {
            "image": f"127.0.0.1:{ecr_registry.port}/{repository}:1", "to": to, "registry_url": ecr_registry.url,
            "registry_username": ECR_LOGIN[0], "registry_password": ECR_LOGIN[1], "docker_host": engine.host,
            "retry_timeout": 3, **options,
        }  # fmt: skip
        return run_module("image_copy", given, capsys, check=check)

    return run


def test_copy(engine: Engine, copy: Any, ecr_registry: DockerRegistry, repository: str, tags: Any) -> None:
    name = f"127.0.0.1:{ecr_registry.port}/{repository}:1"
    said = copy("registry")
    assert "the Docker engine" in said["msg"] and tags() == []
    engine.docker("tag", "node", name)
    assert copy("registry", check=True)["changed"] and tags() == []
    assert "refuses the log-in" in copy("registry", registry_password="wrong")["msg"]
    assert copy("registry")["changed"] and tags() == ["1"]
    assert not copy("registry")["changed"]
    assert not copy("engine")["changed"]
    engine.docker("rmi", name)
    assert copy("engine", check=True)["changed"]
    wrong = copy("engine", registry_password="wrong")
    assert wrong.get("refused") and "wrong" not in wrong["msg"], wrong
    assert copy("engine")["changed"] and not copy("engine")["changed"]
    assert not copy("registry", same=True)["changed"]
    engine.docker("import", str(engine.directory / "root.tar"), name)
    assert "another image by this tag" in copy("registry", same=True)["msg"]
    assert not copy("registry")["changed"], "unless that is wanted, a tag is taken as it is"
    assert "pushed by its tag" in copy("registry", image=f"127.0.0.1:5000/a@sha256:{'0f' * 32}")["msg"]


def test_a_time_that_another_controller_took(
    play: Play, engine: Engine, copy: Any, ecr_registry: DockerRegistry, repository: str, tags: Any
) -> None:
    """What is found by its inputs would be deployed as the other one's image."""
    taken = f"127.0.0.1:{ecr_registry.port}/{repository}:1"
    engine.docker("tag", "node", taken)
    assert copy("registry")["changed"]
    done = play("-e", f"__image_dated={taken}")
    assert done.returncode and re.search(r"another\s+image\s+by\s+this\s+tag", done.stdout), done.stdout
    assert tags() == ["1"]


def test_info(
    copy: Any, engine: Engine, work: Path, ecr_registry: DockerRegistry, repository: str, capsys: Any
) -> None:
    def info(tag: str, **options: Any) -> dict[str, Any]:
        given = {
            "image": f"127.0.0.1:{ecr_registry.port}/{repository}:{tag}", "registry_url": ecr_registry.url,
            "registry_username": ECR_LOGIN[0], "registry_password": ECR_LOGIN[1], "retry_timeout": 1, **options,
        }  # fmt: skip
        return run_module("image_info", given, capsys)

    absent = {"exists": False, "digest": "", "labels": {}, "changed": False}
    assert {key: info("1")[key] for key in absent} == absent
    (work / "labelled").mkdir()
    (work / "labelled" / "Dockerfile").write_text("FROM node\nLABEL windward.airflow.tag=2026\n")
    name = f"127.0.0.1:{ecr_registry.port}/{repository}:1"
    engine.docker("buildx", "build", "--tag", name, str(work / "labelled"))
    copy("registry")
    found = info("1")
    assert found["exists"] and found["labels"] == {"windward.airflow.tag": "2026"}
    assert info("2")["exists"] is False
    assert "is not there for linux/arm64" in info("1", platform="linux/arm64")["msg"]
    assert "refuses the log-in" in info("1", registry_password="wrong")["msg"]
    assert info("1", registry_url="http://127.0.0.1:1")["failed"]


# -- the repository of ECR ---------------------------------------------------------------------------------------------


def test_the_repository_is_held_as_declared(tmp_path: Path) -> None:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    proxy = FaultProxy("http://{}:{}".format(*server.get_host_and_port()))
    try:
        keys = {"AWS_ACCESS_KEY_ID": "AKIAOFTHETESTS", "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests"}
        name = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/airflow"

        def hold(*words: str, **variables: Any) -> subprocess.CompletedProcess[str]:
            given = {
                "ansible_connection": "local", "ansible_python_interpreter": sys.executable,
                "airflow_image_repository": name, "airflow_image_tag": "20261122080000", **variables,
            }  # fmt: skip
            role = {"name": "windward.airflow.image", "tasks_from": "repository"}
            plays = [{"hosts": "localhost", "gather_facts": False, "vars": given,
                      "tasks": [{"ansible.builtin.import_role": role}]}]  # fmt: skip
            (tmp_path / "play.yml").write_text(json.dumps(plays))
            own = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "AWS_ENDPOINT_URL": proxy.url, **keys}
            command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", *words]
            return subprocess.run(
                [*command, str(tmp_path / "play.yml")], env={**os.environ, **own}, cwd=ROOT, capture_output=True,
                text=True, timeout=120, check=False,
            )  # fmt: skip

        done = hold()
        assert done.returncode == 0 and changed(done), done.stdout + done.stderr
        client = boto3.client(
            "ecr", endpoint_url=proxy.url, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        (made,) = client.describe_repositories()["repositories"]
        assert made["repositoryName"] == "team/airflow" and made["imageTagMutability"] == "IMMUTABLE"
        assert made["imageScanningConfiguration"] == {"scanOnPush": True}
        policy = json.loads(client.get_lifecycle_policy(repositoryName="team/airflow")["lifecyclePolicyText"])
        assert policy["rules"][0]["selection"]["tagPrefixList"] == ["20261122080000"]
        before = len(proxy.seen)
        again = hold("-vvv", airflow_image_aws_role_arn="arn:aws:iam::123456789012:role/push")
        assert again.returncode == 0 and not changed(again), again.stdout + again.stderr
        asked = " ".join(one.headers["Authorization"] for one in proxy.seen[before:])
        users = re.findall(r"Credential=([^/]+)/\S+/(\w+)/aws4_request", asked)
        assert {service for user, service in users if user == "AKIAOFTHETESTS"} == {"sts"}
        assert "ecr" in {service for _user, service in users}
        assert "secret-of-the-tests" not in again.stdout
    finally:
        proxy.stop()
        server.stop()
