# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A real registry behind a proxy that spoils answers, and real containerds, to which the module brings images."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_script import run_module
from fault_proxy import FaultProxy
from images import Deliver, Layer, Pusher, noise
from servers import CONTAINERDS, HTPASSWD, REGISTRY, Containerd, DockerRegistry, TokenServer

NO_SERVERS = (
    "" if REGISTRY.exists() else "there is no docker-registry (tests/registry/prepare.sh)"
) or ("" if os.geteuid() == 0 else "containerd unpacks layers as root only")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if NO_SERVERS and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"runs real registries and nodes: {NO_SERVERS}"))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="session")
def registry(work: Path) -> Iterator[DockerRegistry]:
    """Asks for no log-in."""
    server = DockerRegistry(work / "data", work, "open")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def ecr_registry(work: Path) -> Iterator[DockerRegistry]:
    """Wants Basic, as ECR does."""
    (work / "htpasswd").write_text(HTPASSWD)
    server = DockerRegistry(work / "data", work, "ecr", {"htpasswd": {"realm": "ecr", "path": str(work / "htpasswd")}})
    yield server
    server.stop()


@pytest.fixture(scope="session")
def tokens(work: Path) -> Iterator[TokenServer]:
    server = TokenServer(work)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def token_registry(work: Path, tokens: TokenServer) -> Iterator[DockerRegistry]:
    """Wants tokens of another server, as most registries do."""
    server = DockerRegistry(work / "data", work, "tokens", tokens.auth)
    yield server
    server.stop()


@pytest.fixture
def spoiled(registry: DockerRegistry) -> Iterator[FaultProxy]:
    proxy = FaultProxy(registry.url)
    yield proxy
    proxy.stop()


@pytest.fixture(scope="session", params=sorted(CONTAINERDS))
def containerd(request: pytest.FixtureRequest, work: Path) -> Iterator[Containerd]:
    if not (CONTAINERDS[request.param] / "ctr").exists():
        pytest.skip(f"containerd {request.param} is not here: no Go that can build it")
    server = Containerd(request.param, work / f"containerd-{request.param}")
    yield server
    server.stop()


@pytest.fixture
def node(containerd: Containerd) -> Iterator[Containerd]:
    """One that has nothing yet."""
    containerd.empty()
    yield containerd


@pytest.fixture
def repository() -> str:
    return f"team/airflow-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def push(registry: DockerRegistry, repository: str) -> Pusher:
    return Pusher(registry.url, repository)


@pytest.fixture
def deliver(
    capsys: pytest.CaptureFixture[str], containerd: Containerd, registry: DockerRegistry, repository: str
) -> Deliver:
    """Runs the module for a tag or a digest of the test's repository."""

    def run(reference: str = "1.0", check: bool = False, **options: Any) -> dict[str, Any]:
        given = {
            "image": f"registry.example.org/{repository}{'@' if ':' in reference else ':'}{reference}",
            "registry_url": registry.url, "retry_timeout": 3, **containerd.options, **options,
        }  # fmt: skip
        return run_module("ecr_image", given, capsys, check=check)

    return run


@pytest.fixture
def layers() -> list[Layer]:
    return [Layer("base", noise(3)), Layer("top", b"one line of a DAG")]
