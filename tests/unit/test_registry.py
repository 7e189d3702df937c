# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Answers of registries other than the one that tests/registry runs, and options that can't be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._ecr_image import fetch
from ansible_collections.windward.airflow.plugins.module_utils._image import parse
from ansible_collections.windward.airflow.plugins.module_utils._registry import INDEXES, ImageError, Registry
from api_script import ScriptedApi, run_module

PLACE = "/v2/team/airflow/manifests/1"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedApi]:
    monkeypatch.setenv("no_proxy", "*")
    with ScriptedApi() as script:
        yield script


@pytest.fixture
def registry(api: ScriptedApi) -> Registry:
    return Registry(api.url, "team/airflow", username="reader", password="pw-of-the-reader", retry_timeout=0)


@pytest.mark.parametrize("parameter", ["; charset=utf-8", " ;charset=UTF-8", ""])
def test_a_type_with_parameters(api: ScriptedApi, registry: Registry, parameter: str) -> None:
    """As some registries, or proxies before them, add a charset; containerd leaves that out likewise."""
    api.expect("GET", PLACE, answer={"manifests": []}, headers={"Content-Type": INDEXES[0] + parameter})
    target, text = registry.manifest("1")
    assert target.media_type == INDEXES[0] and json.loads(text) == {"manifests": []}


@pytest.mark.parametrize("realm", ["", "http://[token", "ftp://127.0.0.1/token", "http:///token", "http://h:x/token"])
def test_a_token_server_that_is_none(api: ScriptedApi, registry: Registry, realm: str) -> None:
    api.expect("GET", PLACE, 401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})
    with pytest.raises(ImageError, match=r"names a token server that can't be asked|broke off"):
        registry.manifest("1")


@pytest.mark.parametrize("token", ["secret\nX: 1", "secret\u20ac", "secret ", "", None, 5, ["secret"]])
def test_a_token_that_is_none(api: ScriptedApi, registry: Registry, token: Any) -> None:
    """It is no header's value, and not shown."""
    api.expect("GET", PLACE, 401, headers={"WWW-Authenticate": f'Bearer realm="{api.url}/token"'})
    api.expect("GET", "/token", answer={"token": token})
    with pytest.raises(ImageError, match=r"/token answers 200 without a token$"):
        registry.manifest("1")


@pytest.mark.parametrize(("host", "says"), [
    ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "has no such repository, in eu-west-1: is that its region?"),
    ("registry.example.org", "has no such repository"),
])  # fmt: skip
def test_a_repository_of_another_region(api: ScriptedApi, registry: Registry, host: str, says: str) -> None:
    api.expect("GET", PLACE, 404, answer={"errors": [{"code": "NAME_UNKNOWN", "message": "does not exist"}]})
    with pytest.raises(ImageError, match=f"{re.escape(says)}$") as caught:
        fetch(registry, parse(f"{host}/team/airflow:1"), "linux/amd64")
    assert caught.value.result == {"absent": True}


@pytest.mark.parametrize("url", ["https://reader:pw-x@registry.example.org", "reader:pw-x@registry.example.org/a"])
def test_a_log_in_in_the_url(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It would be in messages, and no registry would get it."""
    said = run_module("image_info", {"image": "registry.example.org/a:1", "registry_url": url}, capsys)["msg"]
    assert said == "registry_url holds a log-in: give registry_username and registry_password instead"


@pytest.mark.parametrize("url", ["https://", "https://[x", "http:///v2", "https://:5000"])
def test_a_url_without_a_host(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = run_module("image_info", {"image": "registry.example.org/a:1", "registry_url": url}, capsys)["msg"]
    assert said == f"registry_url {url} names no host"


@pytest.mark.parametrize(("module", "options"), [
    ("image_info", {"timeout": 0}),
    ("image_info", {"timeout": "inf"}),
    ("image_info", {"retry_timeout": -1}),
    ("image_info", {"retry_timeout": "nan"}),
    ("image_copy", {"to": "engine", "engine_timeout": -1}),
    ("ecr_image", {"cluster": "a", "node_timeout": -1}),
    ("ecr_image", {"cluster": "a", "node_timeout": 1e9}),
])  # fmt: skip
def test_seconds_that_cannot_be(module: str, options: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    said = run_module(module, {"image": "registry.example.org/a:1", **options}, capsys)["msg"]
    (name,) = set(options) - {"to", "cluster"}
    assert said == f"{name} must be from {0 if name.startswith('retry') else 0.1} to 604800 seconds"


@pytest.mark.parametrize("options", [{"cluster": ""}, {"nodes": []}])
def test_nobody_is_not_this_host(options: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    said = run_module("ecr_image", {"image": "registry.example.org/a:1", "ctr": "true", **options}, capsys)["msg"]
    (name,) = options
    assert said == f"{name} is empty: leave it out where the task runs on the node"
