# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a component can't reach from its host, asked over real connections."""

from __future__ import annotations

import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils import _environment_file, _reach
from test_redis import PASSWORD, URL, server

BROKER = "AIRFLOW__CELERY__BROKER_URL"
CFG = "[core]\nexecutor = {executor}\nexecution_api_server_url = {url}\n"


class Page(BaseHTTPRequestHandler):
    """The execution API's page of health; nothing is anywhere else."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/execution/health" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words: Any) -> None:
        pass


@pytest.fixture
def api() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where nobody says a word, as behind a firewall that drops what comes."""
    monkeypatch.setattr(_reach, "TIMEOUT", 0.2)
    monkeypatch.setattr(_reach._redis, "TIMEOUT", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def asked(
    tmp: Path, component: str, executor: str = "CeleryExecutor", url: str = "", **variables: str
) -> dict[str, str]:
    """What a component that is configured like this can't reach. A release is an interpreter at its place."""
    python = tmp / "release" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp / "environment").mkdir(exist_ok=True)
    (tmp / "environment" / component).write_text(_environment_file.render(variables))
    (tmp / "airflow.cfg").write_text(CFG.format(executor=executor, url=url))
    return _reach.unreached(component, str(tmp / "release"), str(tmp), None)


def test_nothing_is_wrong(tmp_path: Path, api: str) -> None:
    with server(users=("airflow",)) as port:
        broker = {BROKER: URL.format(user="airflow", port=port)}
        assert asked(tmp_path, "scheduler", url=f"http://{api}/execution/", **broker) == {}
        assert asked(tmp_path, "worker", url=f"http://{api}/execution", **broker) == {}
    assert asked(tmp_path, "triggerer", url="http://127.0.0.1:9/execution/") == {}, "it asks itself"
    assert _reach.unreached("flower", "/nowhere", str(tmp_path), None) == {}, "it is not set up yet"


def test_a_broker_that_is_silent(tmp_path: Path, silent: str) -> None:
    """It is named without the password, whoever asks."""
    for scheme, why in (("redis", "does not answer this host within 0 s"), ("rediss", "by TLS within 0 s")):
        found = asked(tmp_path, "scheduler", **{BROKER: f"{scheme}://airflow:pw-of%25the%2Fbroker@{silent}/0"})
        assert list(found) == [f"the broker at {silent}"] and why in found[f"the broker at {silent}"]
        assert not re.search("pw-of", str(found)) and PASSWORD not in str(found)


def test_a_broker_that_knows_somebody_else(tmp_path: Path) -> None:
    with server(users=("airflow",)) as port:
        found = asked(tmp_path, "scheduler", **{BROKER: URL.format(user="other", port=port)})
    assert found == {f"the broker at 127.0.0.1:{port}": "it refuses this user or password"}


def test_a_broker_of_another_kind_is_connected_to(tmp_path: Path, silent: str) -> None:
    assert asked(tmp_path, "worker", **{BROKER: f"amqp://u:p@{silent}//"}) == {}
    found = asked(tmp_path, "worker", **{BROKER: "amqp://u:p@127.0.0.1:9//"})
    assert found == {"the broker at 127.0.0.1:9": "this host can't connect to it (Connection refused)"}
    one_of_two = f"sentinel://:p@127.0.0.1:9;sentinel://:p@{silent}"
    assert asked(tmp_path, "worker", **{BROKER: one_of_two}) == {}, "one is enough"


def test_an_execution_api_that_is_silent(tmp_path: Path, silent: str) -> None:
    wanted = {f"the execution API at {silent}": "it does not answer this host within 0 s"}
    assert asked(tmp_path, "worker", url=f"http://{silent}/execution/") == wanted
    assert asked(tmp_path, "worker", url=f"https://{silent}/execution/") == wanted
    assert asked(tmp_path, "scheduler", "LocalExecutor", f"http://{silent}/execution/") == wanted, "it starts tasks"
    other = {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://u:secret@{silent}/execution/"}
    assert asked(tmp_path, "worker", url="http://127.0.0.1:9/execution/", **other) == wanted, "as Airflow reads it"


def test_an_execution_api_that_is_none(tmp_path: Path, api: str) -> None:
    assert asked(tmp_path, "worker", url=f"http://{api}/elsewhere/") == {
        f"the execution API at {api}": "it answers with status 404"}
    assert "refused" in str(asked(tmp_path, "worker", url="http://127.0.0.1:9/execution/"))
    trusted = {"AIRFLOW__API__SSL_CERT": str(tmp_path / "absent.pem")}
    assert "No such file" in str(asked(tmp_path, "worker", url=f"http://{api}/execution/", **trusted)), "nor can a task"


def test_without_a_release_others_complain(tmp_path: Path) -> None:
    asked(tmp_path, "worker", url="http://127.0.0.1:9/execution/")
    assert _reach.unreached("worker", "/nowhere", str(tmp_path), None) == {}
