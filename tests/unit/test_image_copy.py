# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A push that another controller's push of the same tag overtakes: the registry is asked, and the engine refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._registry import INDEXES, ImageError
from ansible_collections.windward.airflow.plugins.modules import image_copy
from api_script import ScriptedApi, run_module

PLACE = "/v2/team/airflow/manifests/inputs-0f"
ABSENT: dict[str, Any] = {"status": 404, "answer": {"errors": [{"code": "MANIFEST_UNKNOWN"}]}}
THERE: dict[str, Any] = {"answer": {"manifests": []}, "headers": {"Content-Type": INDEXES[0]}}


class Engine:
    """As one that pushes to a repository of ECR whose tags can't be moved."""

    def __init__(self, *_options: Any) -> None: ...

    def push(self, *_options: Any) -> None:
        raise ImageError("the Docker engine says: tag invalid: The image tag 'inputs-0f' already exists")

    def digest(self, _image: str) -> str:
        return "sha256:of-its-own"


@pytest.mark.parametrize(("after", "says"), [(THERE, ""), (ABSENT, "already exists")])
def test_a_tag_that_is_there_meanwhile_is_taken(
    after: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(image_copy, "Docker", Engine)
    monkeypatch.setenv("no_proxy", "*")
    with ScriptedApi() as api:
        api.expect("GET", PLACE, **ABSENT).expect("GET", PLACE, **after)
        options = {"image": "registry.example.org/team/airflow:inputs-0f", "to": "registry", "registry_url": api.url}
        done = run_module("image_copy", options, capsys)
    assert says in done.get("msg", "") and done.get("changed", False) is False
    assert bool(done.get("failed")) == bool(says)


@pytest.mark.parametrize("same", [True, False])
def test_a_tag_that_is_another_image(same: bool, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """As of two controllers that build in the same second: who deployed by it would deploy the other one's."""
    monkeypatch.setattr(image_copy, "Docker", Engine)
    monkeypatch.setenv("no_proxy", "*")
    with ScriptedApi() as api:
        for _ask in range(1 + same):
            api.expect("GET", PLACE, **THERE)
        options = {"image": "registry.example.org/team/airflow:inputs-0f", "to": "registry", "registry_url": api.url}
        done = run_module("image_copy", {**options, "same": same}, capsys)
    assert bool(done.get("failed")) is same and ("another image by this tag" in done.get("msg", "")) is same
