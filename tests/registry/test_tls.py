# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A registry over TLS, whose certificate is signed by nobody whom the system trusts."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_script import run_module
from fault_proxy import FaultProxy
from images import Layer, Pusher
from servers import ECR_LOGIN, DockerRegistry

ROOT = Path(__file__).parents[2]


@pytest.fixture
def authority(tmp_path: Path) -> str:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "ca.pem"],
        check=True, capture_output=True, timeout=30, cwd=tmp_path,
    )  # fmt: skip
    return str(tmp_path / "ca.pem")


@pytest.fixture
def shielded(authority: str, ecr_registry: DockerRegistry, tmp_path: Path) -> Iterator[FaultProxy]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, tmp_path / "key.pem")
    proxy = FaultProxy(ecr_registry.url, tls=context)
    yield proxy
    proxy.stop()


def test_an_authority_of_ones_own(
    shielded: FaultProxy, authority: str, push: Pusher, repository: str, capsys: pytest.CaptureFixture[str]
) -> None:
    push.image("1", [Layer("a", b"a")])

    def info(**options: Any) -> dict[str, Any]:
        given = {
            "image": f"registry.example.org/{repository}:1", "registry_url": shielded.url,
            "registry_username": ECR_LOGIN[0], "registry_password": ECR_LOGIN[1], **options,
        }  # fmt: skip
        return run_module("image_info", given, capsys)

    said = info()["msg"]
    assert "the certificate is not trusted: " in said and said.endswith("(ca_path)") and not shielded.seen
    assert info(ca_path=authority)["exists"]
    assert info(validate_certs=False)["exists"]
    assert info(ca_path="/nonexistent")["msg"] == "ca_path /nonexistent can't be used: No such file or directory"


def test_the_roles_trust_the_bundle(
    shielded: FaultProxy, authority: str, push: Pusher, repository: str, tmp_path: Path
) -> None:
    push.image("20261122080000", [Layer("a", b"a")])
    given = {
        "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "airflow_ca_bundle": authority,
        "airflow_image_repository": f"127.0.0.1:{shielded.port}/{repository}", "airflow_image_tag": "20261122080000",
        "airflow_image_registry_username": ECR_LOGIN[0], "airflow_image_registry_password": ECR_LOGIN[1],
    }  # fmt: skip
    role = {"name": "windward.airflow.image", "tasks_from": "named"}
    tasks = [{"ansible.builtin.import_role": role}]
    play = {"hosts": "localhost", "gather_facts": False, "vars": given, "tasks": tasks}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", str(tmp_path / "play.yml")],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}, cwd=ROOT, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one.status for one in shielded.seen].count(200) == 3
