# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventories that the docs and the collection show are accepted by preflight, as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight import engine
from preflight_case import CONTRACT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "topologies.md").read_text(encoding="utf-8")
SHOWN = dict(re.findall(r"^## (.+?)$.*?```yaml\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL))


def lines(inventory: dict[str, Any]) -> list[str]:
    """All that preflight says. What a variable is made of is not asked: a template is a string to it."""
    airflow = inventory["airflow"]
    groups = {name: list(group["hosts"]) for name, group in airflow["children"].items()}
    given = {}
    for name, variables in airflow["hosts"].items():
        mine = {**airflow.get("vars", {}), **(variables or {})}
        given[name] = engine.Given(mine, mine.pop("ansible_host"))
    return [str(one) for one in engine.declared(CONTRACT, {**groups, "airflow": list(given)}, given)]


@pytest.mark.parametrize("title", SHOWN)
def test_what_the_docs_show_is_accepted(title: str) -> None:
    assert lines(yaml.safe_load(SHOWN[title])) == []


def test_the_docs_show_four_with_a_picture_each() -> None:
    assert list(SHOWN) == ["One host", "The database elsewhere", "Six hosts", "Managed services"]
    assert len(re.findall(r"!\[.+\]\(images/\w+\.svg\)", PAGE)) == len(SHOWN)


def test_the_six_hosts_are_those_of_the_example() -> None:
    def placed(inventory: dict[str, Any]) -> dict[str, list[str]]:
        return {name: list(group["hosts"]) for name, group in inventory["airflow"]["children"].items()}

    example = yaml.safe_load((ROOT / "inventories" / "vms" / "hosts.yml").read_text(encoding="utf-8"))
    assert placed(yaml.safe_load(SHOWN["Six hosts"])) == placed(example)


def test_what_is_left_out_is_missed() -> None:
    inventory = yaml.safe_load(SHOWN["Six hosts"])
    del inventory["airflow"]["children"]["airflow_redis"]
    assert [line for line in lines(inventory) if "no broker" in line]
