# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Modules against a real Airflow, in this process: AIRFLOW_API_URL, _USERNAME and _PASSWORD say where it is.

Every test makes objects of its own names only, and removes them, so the Airflow may be one that is in use.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._client import Client
from api_script import run_module

Run = Callable[..., dict[str, Any]]
KEY = "a-key-of-the-live-tests"


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """Asks Airflow without any module."""
    with Client(
        os.environ["AIRFLOW_API_URL"],
        username=os.environ["AIRFLOW_API_USERNAME"],
        password=os.environ["AIRFLOW_API_PASSWORD"],
    ) as one:
        yield one


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a module: `run("pool", name="a", slots=1)`; a second True argument is check mode."""

    def run(name: str, check: bool = False, /, **options: Any) -> dict[str, Any]:
        return run_module(name, options, capsys, check=check)

    return run


@pytest.fixture
def prefix() -> str:
    """What the names of a test's objects begin with."""
    return f"live_{uuid.uuid4().hex[:8]}_"
