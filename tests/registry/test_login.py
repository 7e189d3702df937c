# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's half: the log-in at a stand-in for ECR, and what of it reaches the host, its disk and the output."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._image import parse
from ansible_collections.windward.airflow.plugins.module_utils._registry import ImageError
from ansible_collections.windward.airflow.plugins.plugin_utils import _ecr
from fault_proxy import FaultProxy, answer
from images import Deliver, Layer, Made, Pusher
from moto.server import ThreadedMotoServer
from servers import ECR_LOGIN, Containerd, DockerRegistry

ROOT = Path(__file__).parents[2]
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
NAME = parse(f"{HOST}/team/airflow:1.0")
KEYS = {"aws_access_key": "AKIAOFTHETESTS", "aws_secret_key": "secret-of-the-tests"}
EXPIRED = b'{"errors": [{"code": "DENIED", "message": "Your authorization token has expired."}]}'


@pytest.fixture(scope="module")
def aws() -> Iterator[FaultProxy]:
    """The APIs of ECR and STS, and what they were asked."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    proxy = FaultProxy("http://{}:{}".format(*server.get_host_and_port()))
    yield proxy
    proxy.stop()
    server.stop()


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, aws: FaultProxy) -> None:
    """No credentials of this computer; and a stand-in that lives in 2015, as its clock then says."""
    aws.reset()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(_ecr, "now", lambda: datetime(2014, 12, 31, tzinfo=UTC))


def login(aws: FaultProxy, **options: Any) -> tuple[str, str]:
    return _ecr.login(NAME, {"aws_endpoint_url": aws.url, "aws_sts_endpoint_url": aws.url, **options})


def test_by_keys(aws: FaultProxy) -> None:
    assert login(aws, **KEYS) == ECR_LOGIN
    assert "/us-east-1/ecr/" in aws.seen[0].headers["Authorization"]


def test_by_environment_and_by_profile(aws: FaultProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHEENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    login(aws)
    (tmp_path / "credentials").write_text("[build]\naws_access_key_id=AKIAOFTHEPROFILE\naws_secret_access_key=x\n")
    login(aws, aws_profile="build")
    assert [one.headers["Authorization"].split("/")[0].split("=")[1] for one in aws.seen] == [
        "AKIAOFTHEENVIRONMENT", "AKIAOFTHEPROFILE",
    ]  # fmt: skip


def test_by_a_role(aws: FaultProxy) -> None:
    assert login(aws, **KEYS, aws_role_arn="arn:aws:iam::123456789012:role/pull") == ECR_LOGIN
    first, second = aws.seen
    assert "/sts/" in first.headers["Authorization"] and "AKIAOFTHETESTS" in first.headers["Authorization"]
    assert "/ecr/" in second.headers["Authorization"] and "AKIAOFTHETESTS" not in second.headers["Authorization"]


def test_no_login(aws: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(**options: Any) -> str:
        with pytest.raises(ImageError) as caught:
            login(aws, **options)
        assert str(caught.value).startswith(f"no log-in at {HOST}: ")
        assert "secret-of-the-tests" not in str(caught.value)
        return str(caught.value)

    assert "Unable to locate credentials" in said()
    assert "The config profile (nobody) could not be found" in said(aws_profile="nobody")
    assert "Could not connect to the endpoint URL" in said(**KEYS, aws_endpoint_url="http://127.0.0.1:1")
    assert "Invalid endpoint" in said(**KEYS, aws_endpoint_url="nowhere")
    denied = b'{"__type": "AccessDeniedException", "message": "User x is not authorized to perform: ecr:Get"}'
    aws.spoil("POST", "/", answer(400, denied, "application/x-amz-json-1.1"))
    assert "not authorized to perform: ecr:Get" in said(**KEYS)


def test_a_login_that_has_ended_already(aws: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ecr, "now", lambda: datetime(2015, 1, 1, tzinfo=UTC))
    with pytest.raises(ImageError, match=r"ended at 2015-01-01 00:00:00 UTC: is this computer's clock right\?"):
        login(aws, **KEYS)


def test_without_boto3(aws: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ecr, "boto3", None)
    with pytest.raises(ImageError, match=rf"the required Python library \(boto3\).* to log in at {HOST}"):
        login(aws, **KEYS)


# -- a whole play ------------------------------------------------------------------------------------------------------

# Only the clock of the controller's process is another one.
CLI = """
import sys
from datetime import UTC, datetime
from ansible.cli.playbook import main
from ansible.utils.collection_loader import _collection_finder
import ansible.plugins.loader as loader
loader.init_plugin_loader(sys.argv[1:2])
from ansible_collections.windward.airflow.plugins.plugin_utils import _ecr
_ecr.now = lambda: datetime(2014, 12, 31, tzinfo=UTC)
main(["ansible-playbook", *sys.argv[2:]])
"""


@pytest.fixture
def made(push: Pusher, layers: list[Layer]) -> Made:
    return push.image("1.0", layers)


@pytest.fixture
def shielded(ecr_registry: DockerRegistry) -> Iterator[FaultProxy]:
    proxy = FaultProxy(ecr_registry.url)
    yield proxy
    proxy.stop()


@pytest.fixture
def play(tmp_path: Path, node: Containerd, aws: FaultProxy, shielded: FaultProxy, repository: str) -> Any:
    """One task in a play; the answer is what was printed, and every file that Ansible wrote while it ran."""

    def run(*words: str, environment: dict[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess:
        task = {"windward.airflow.ecr_image": {
            "image": f"{HOST}/{repository}:1.0", "registry_url": shielded.url, "aws_endpoint_url": aws.url, **KEYS,
            **node.options, "retry_timeout": 3, **options,
        }}  # fmt: skip
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        plays = [{"hosts": "localhost", "gather_facts": False, "vars": here, "tasks": [task]}]
        (tmp_path / "play.yml").write_text(json.dumps(plays))
        own = {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
            "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote"), "TMPDIR": str(tmp_path), "ANSIBLE_PIPELINING": "false",
            **(environment or {}),
        }  # fmt: skip
        command = [sys.executable, "-c", CLI, str(ROOT / ".collections"), *words, "-i", "localhost,"]
        return subprocess.run(
            [*command, str(tmp_path / "play.yml")], env={**os.environ, **own}, cwd=ROOT, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip

    return run


def test_a_play(
    play: Any, node: Containerd, made: Made, repository: str, tmp_path: Path, shielded: FaultProxy
) -> None:
    """What ECR gave is in the memory of the module's process, and nowhere else while it runs."""
    found: list[str] = []
    looked: list[bool] = []

    def look(handler: Any, body: bytes) -> None:
        places = ("/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ", f"{tmp_path}/**")
        for path in [path for place in places for path in glob.glob(place, recursive=True)]:
            with contextlib.suppress(OSError):  # a directory, or of a process that ended meanwhile
                if ECR_LOGIN[1].encode() in Path(path).read_bytes():
                    found.append(path)
        looked.append(True)
        handler.give(*handler.forward(body))

    shielded.spoil("GET", f"/v2/.*/blobs/{made.layers[0]}", look)
    done = play("-vvv")
    assert done.returncode == 0 and "changed=1" in done.stdout, done.stdout + done.stderr
    assert looked and not found
    assert node.unpacked(f"{HOST}/{repository}:1.0")
    for secret in (KEYS["aws_secret_key"], ECR_LOGIN[1]):
        assert secret not in done.stdout + done.stderr
    again = play()
    assert "changed=0" in again.stdout, again.stdout


def test_check_and_diff(play: Any, node: Containerd, made: Made) -> None:
    done = play("--check", "--diff")
    assert "changed=1" in done.stdout and "lacks it" in done.stdout, done.stdout + done.stderr
    assert not node.images()


def test_a_password_never_becomes_a_file(play: Any, node: Containerd, made: Made) -> None:
    done = play(environment={"ANSIBLE_KEEP_REMOTE_FILES": "true"})
    assert done.returncode and "would be written to the host's disk" in done.stdout + done.stderr
    assert not node.images()


def test_a_login_that_ends_in_the_middle_is_made_anew_once(
    play: Any, node: Containerd, made: Made, aws: FaultProxy, shielded: FaultProxy, repository: str
) -> None:
    blobs = "/v2/.*/blobs/.*"
    shielded.spoil("GET", blobs, answer(403, EXPIRED), first=2, last=2)
    done = play()
    assert "changed=1" in done.stdout and len(aws.seen) == 2, done.stdout + done.stderr
    assert node.unpacked(f"{HOST}/{repository}:1.0")
    node.empty()
    aws.reset()
    shielded.reset().spoil("GET", blobs, answer(403, EXPIRED), first=2, last=99)
    done = play()
    assert "refuses the log-in" in done.stdout + done.stderr and len(aws.seen) == 2
    assert not node.images()


def test_a_login_that_ends_before_the_last_question_is_made_anew(
    play: Any, node: Containerd, made: Made, aws: FaultProxy, shielded: FaultProxy, repository: str
) -> None:
    """Whether the tag has moved. An answer to HEAD has no words."""
    manifests = "/v2/.*/manifests/.*"
    shielded.spoil("HEAD", manifests, answer(403))
    shielded.spoil("GET", manifests, answer(403, EXPIRED), first=4, last=4)  # the third is all that it needs before
    done = play()
    assert "changed=1" in done.stdout and len(aws.seen) == 2, done.stdout + done.stderr
    assert node.unpacked(f"{HOST}/{repository}:1.0")


def test_what_the_controller_refuses(play: Any, node: Containerd, made: Made, aws: FaultProxy) -> None:
    assert "go together" in play(aws_secret_key=None).stdout
    aws.spoil("POST", "/", answer(400, b"{}", "application/x-amz-json-1.1"))
    assert f"no log-in at {HOST}" in play().stdout
    assert "is no name of an image" in play(image="A:1").stdout
    assert not node.images()


def test_progress_is_told(play: Any, node: Containerd, made: Made, shielded: FaultProxy) -> None:
    def slowly(handler: Any, body: bytes) -> None:
        status, headers, content = handler.forward(body)
        time.sleep(12)
        handler.give(status, headers, content)

    shielded.spoil("GET", f"/v2/.*/blobs/{made.layers[-1]}", slowly)
    done = play()
    assert "changed=1" in done.stdout and " of 3 MB" in done.stderr, done.stdout + done.stderr


def test_deliver_knows_no_aws(deliver: Deliver, node: Containerd, made: Made, shielded: FaultProxy) -> None:
    """The module by itself logs in nowhere."""
    said = deliver(image=f"{HOST}/x:1", registry_url=shielded.url, **KEYS)["msg"]
    assert "give registry_username and registry_password" in said
