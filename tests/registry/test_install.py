# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The step of a build that installs requirements, as it is, with a virtual environment in the place of the base."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._image_build import Declared, stages
from package_index import PackageIndex

UV = Path(__file__).parents[2] / "roles/systemd/files/locks/uv/requirements.txt"
Install = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    server = PackageIndex()
    yield server
    server.stop()


@pytest.fixture
def base(tmp_path: Path, index: PackageIndex) -> Path:
    """It has a library, and what needs just that version of it, as the official image has of boto3 and others."""
    index.add("base-lib", "1.0")
    index.add("keeper", "1.0", "base-lib<2")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "base")], check=True)
    pip = [str(tmp_path / "base" / "bin" / "pip"), "install", "--quiet", "--index-url", index.url]
    subprocess.run([*pip, "keeper"], check=True)
    return tmp_path / "base" / "bin"


@pytest.fixture
def install(tmp_path: Path, base: Path, index: PackageIndex) -> Install:
    """Airflow's lock wants a newer one of the library, and something that the base lacks."""
    lock = index.add("base-lib", "2.0") + index.add("lacking", "1.0")
    index.add("lacking", "2.0")
    index.add("acme", "1.5", "base-lib", "lacking")

    def run(*requirements: str) -> subprocess.CompletedProcess[str]:
        (stage,) = stages(Declared("example.org/a", "b:1", "linux/amd64", lock, UV.read_text(), requirements)).values()
        files = {**stage.files, "secrets/environment": f"UV_DEFAULT_INDEX='{index.url}'; PIP_INDEX_URL='{index.url}'"}
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(re.sub("/run/|/opt/airflow/|/var/cache/airflow/|/tmp/|/(?=packages/)",
                                                f"{tmp_path}/", text))  # fmt: skip
        return subprocess.run(
            ["sh", str(tmp_path / "packages" / "install.sh")], capture_output=True, text=True, check=False, timeout=300,
            env={**os.environ, "PATH": f"{base}:{os.environ['PATH']}"},
        )  # fmt: skip

    return run


def has(base: Path) -> set[str]:
    said = subprocess.run([str(base / "pip"), "freeze"], capture_output=True, text=True, check=True).stdout
    return set(said.split())


def test_what_the_base_has_stays_and_what_it_lacks_is_of_the_lock(
    base: Path, install: Install, tmp_path: Path
) -> None:
    done = install("acme")
    assert done.returncode == 0, done.stdout + done.stderr
    assert has(base) == {"base-lib==1.0", "keeper==1.0", "acme==1.5", "lacking==1.0"}
    assert (tmp_path / "requirements.txt").read_text().count("--hash=") == 3


def test_a_requirement_that_would_move_it_is_refused(base: Path, install: Install) -> None:
    done = install("base-lib>=2")
    assert done.returncode and "unsatisfiable" in done.stderr and "base-lib" in done.stderr
    assert has(base) == {"base-lib==1.0", "keeper==1.0"}
