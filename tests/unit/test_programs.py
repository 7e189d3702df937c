# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Programs of known versions: which version fits, and what is done with what was downloaded, from a real server."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.windward.airflow.plugins.module_utils import _programs as pg
from ansible_collections.windward.airflow.plugins.module_utils._programs import ProgramError

ROOT = Path(__file__).parents[2]
SCRIPT = b"#!/bin/sh\necho thing v2.3.4\n"


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("kind v0.33.0 go1.26.8 linux/amd64", (0, 33, 0)),
        ("v3.19.5+g1234567", (3, 19, 5)),
        ("Client Version: v1.36.4\nKustomize Version: v5.6.0", (1, 36, 4)),
        ("no version", ()),
        ("", ()),
    ],
)
def test_versions(said: str, version: tuple[int, ...]) -> None:
    assert pg.version(said) == version


@pytest.mark.parametrize(
    ("said", "fits"),
    [("v3.19.0", True), ("v3.21.4", True), ("v3.18.9", False), ("v4.0.0", False), ("v10.0.0", False), ("?", False)],
)
def test_versions_that_fit(said: str, fits: bool) -> None:
    assert pg.fits(said, "3.19.0", "4.0.0") is fits


@pytest.mark.parametrize(
    ("mirror", "source"),
    [
        ("", "https://get.helm.sh/x.tar.gz"),
        ("https://mirror.example.org/", "https://mirror.example.org/get.helm.sh/x.tar.gz"),
        ("http://m/sub", "http://m/sub/get.helm.sh/x.tar.gz"),
    ],
)
def test_mirrors(mirror: str, source: str) -> None:
    assert pg.source("https://get.helm.sh/x.tar.gz", mirror) == source


def archive(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in members.items():
            about = tarfile.TarInfo(name.replace("_", "/"))
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return stream.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_programs_come_out_of_archives() -> None:
    content = archive(README=b"", linux_helm=SCRIPT)
    assert pg.unpacked("helm", content, sha256(content), "linux/helm") == SCRIPT
    with pytest.raises(ProgramError, match="the archive of helm has no linux/kind"):
        pg.unpacked("helm", content, sha256(content), "linux/kind")
    with pytest.raises(ProgramError, match="the archive of helm has no linux/helm"):
        pg.unpacked("helm", SCRIPT, sha256(SCRIPT), "linux/helm")


def test_another_checksum_is_refused() -> None:
    with pytest.raises(ProgramError, match="has the checksum"):
        pg.unpacked("kind", SCRIPT + b" ", sha256(SCRIPT), "")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A mirror with one program."""
    site = tmp_path / "mirror" / "example.org"
    site.mkdir(parents=True)
    arch = pg.ARCHITECTURES[platform.machine()]
    (site / f"thing-{arch}.tar.gz").write_bytes(archive(**{f"{arch}_thing": SCRIPT}))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "mirror"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as here:
        threading.Thread(target=here.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{here.server_port}"
        here.shutdown()


def module(tmp_path: Path, mirror: str, *, check: bool = False, path: str = "", **differs: Any) -> dict[str, Any]:
    """The module by itself, as Ansible runs it."""
    content = (tmp_path / "mirror" / "example.org").glob("thing-*")
    thing = {
        "name": "thing",
        "ask": ["version"],
        "minimum": "2.0.0",
        "version": "2.3.4",
        "url": "https://example.org/thing-{arch}.tar.gz",
        "member": "{arch}/thing",
        "sha256": {platform.machine(): sha256(next(content).read_bytes())},
        **differs,
    }
    options = {"programs": [thing], "mirror": mirror, "directory": str(tmp_path / "state")}
    options["_ansible_check_mode"] = check
    code = "from ansible.module_utils import basic; basic._ANSIBLE_PROFILE = 'legacy'; "
    code += f"basic._ANSIBLE_ARGS = {json.dumps({'ANSIBLE_MODULE_ARGS': options}).encode()!r}; "
    code += "from ansible_collections.windward.airflow.plugins.modules import programs; programs.main()"
    places = {"PYTHONPATH": str(ROOT / ".collections"), "PATH": f"{path}:{os.environ['PATH']}"}
    environment = {**os.environ, "no_proxy": "127.0.0.1", **places}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return json.loads(done.stdout)


def test_what_is_not_on_path_is_downloaded_once(tmp_path: Path, server: str) -> None:
    kept = str(tmp_path / "state" / "thing-2.3.4")
    foreseen = module(tmp_path, server, check=True)
    assert (foreseen["changed"], foreseen["paths"]) == (True, {"thing": kept})
    assert not (tmp_path / "state").exists()
    first, second = module(tmp_path, server), module(tmp_path, server)
    assert (first["changed"], first["paths"], len(first["downloaded"])) == (True, {"thing": kept}, 1)
    assert (second["changed"], second["paths"]) == (False, {"thing": kept})
    assert subprocess.run([kept], capture_output=True, check=True).stdout == b"thing v2.3.4\n"


@pytest.mark.parametrize(("version", "used"), [("2.0.0", True), ("1.9.9", False)])
def test_what_is_on_path_is_used_if_it_fits(tmp_path: Path, server: str, version: str, used: bool) -> None:
    own = tmp_path / "bin" / "thing"
    own.parent.mkdir()
    own.write_text(f"#!/bin/sh\necho thing v{version}\n")
    own.chmod(0o755)
    result = module(tmp_path, server, path=str(own.parent))
    assert (result["paths"]["thing"] == str(own)) is used
    assert result["changed"] is not used


@pytest.mark.parametrize(
    ("differs", "says"),
    [
        ({"sha256": {platform.machine(): "0" * 64}}, "it is not used"),
        ({"sha256": {"vax": "0" * 64}}, f"none is known for Linux on {platform.machine()}: install it"),
        ({"url": "https://example.org/other"}, "thing 2.3.4 can't be downloaded from http://127.0.0.1"),
    ],
)
def test_nothing_is_kept_of_a_download_that_is_not_right(
    tmp_path: Path, server: str, differs: dict[str, Any], says: str
) -> None:
    result = module(tmp_path, server, **differs)
    assert result["failed"] and says in result["msg"]
    assert not (tmp_path / "state").exists()


def test_the_contract_has_whole_programs() -> None:
    text = (ROOT / "roles" / "airflow" / "vars" / "main" / "programs.yml").read_text(encoding="utf-8")
    programs = yaml.safe_load(text)["__airflow_programs"]
    assert [one["name"] for one in programs] == ["kind", "kubectl", "helm"]
    for one in programs:
        assert one["sha256"].keys() == pg.ARCHITECTURES.keys()
        assert all(len(digest) == 64 for digest in one["sha256"].values())
        assert f"v{one['version']}" in one["url"] and pg.fits(one["version"], one["minimum"], one.get("below", ""))
