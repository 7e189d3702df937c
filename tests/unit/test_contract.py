# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The contract is whole: what is documented is what there is."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.windward.airflow.docs import role_readmes
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.contract import Contract
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.deployment import Deployment
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.rules.found import MEMORY_MB
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.rules.topology import (
    NOT_BUILT,
    REQUIRED,
    SHARED,
)
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
CONTRACT = Contract.load()
# Declared by a host, so there is nothing that could be the default.
NO_DEFAULT = {"airflow_local_vm", "airflow_kind_cluster"}
SECRETS = {"database", "jwt_secret", "fernet_key", "api_secret_key", "broker", "results_database"}


def variables(folder: Path) -> dict[str, Any]:
    return {
        name: value
        for path in sorted(folder.rglob("*.yml"))
        for name, value in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).items()
    }


def test_defaults_of_the_argument_spec_are_the_role_defaults() -> None:
    documented = {name: option["default"] for name, option in CONTRACT.options.items() if "default" in option}
    assert documented == variables(ROOT / "roles" / "airflow" / "defaults")
    assert CONTRACT.options.keys() - documented.keys() == NO_DEFAULT


@pytest.mark.parametrize("name", CONTRACT.options)
def test_every_public_variable_is_documented(name: str) -> None:
    option = CONTRACT.options[name]
    assert name.startswith("airflow_")
    assert option["type"] and all(line.endswith(".") for line in option["description"])
    assert option["type"] != "list" or option["elements"]


@pytest.mark.parametrize("name", CONTRACT.options)
def test_names_that_sound_secret_are_marked(name: str) -> None:
    sounds = re.search(r"(password|secret|secret_key|fernet_key|fingerprint_key|token|broker_url|environment)$", name)
    assert bool(CONTRACT.options[name].get("no_log")) == bool(sounds)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_only_the_contract_has_public_variables(role: Path) -> None:
    if role.name != "airflow":
        assert not (role / "defaults").exists(), "public variables are those of role airflow"
    # `__airflow_*` of role airflow are read by the others; everything else is a role's own.
    assert [name for name in variables(role / "vars") if not name.startswith(f"__{role.name}_")] == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_role_has_a_readme_that_is_up_to_date(role: Path) -> None:
    assert (role / "README.md").read_text(encoding="utf-8") == role_readmes.rendered(role), (
        "python docs/role_readmes.py"
    )


def test_what_all_depend_on_has_no_specification_of_variables() -> None:
    """Ansible would read it, and check them, for each role in each play."""
    for role in ROLES:
        needs = yaml.safe_load((role / "meta" / "main.yml").read_text(encoding="utf-8"))["dependencies"]
        assert all(one["role"] == "windward.airflow.airflow" for one in needs)
    assert "main" not in role_readmes.specification(ROOT / "roles" / "airflow")


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_entry_point_has_its_tasks(role: Path) -> None:
    described = role_readmes.specification(role)
    assert [name for name in described if not (role / "tasks" / f"{name}.yml").is_file()] == []
    assert [
        name for name, entry in described.items() if not entry["short_description"] or not entry["description"]
    ] == []
    assert [name for name, entry in described.items() if role.name != "preflight" and entry.get("options")] == []


def test_defaults_alone_are_accepted() -> None:
    """Every default is right, so a finding is about something that was given."""
    from preflight_case import declared

    assert declared() == []


@pytest.mark.parametrize("version", CONTRACT.releases)
def test_every_release_is_whole(version: str) -> None:
    release = CONTRACT.releases[version]
    assert set(release) == {"released", "python"}
    assert datetime.fromisoformat(release["released"].replace("Z", "+00:00")).tzinfo
    assert SpecifierSet(",".join(release["python"]))
    pins = CONTRACT.pins(version)
    assert pins["apache-airflow-core"] == {version} and len(pins) > 100
    lock = ROOT / "roles" / "systemd" / "files" / "locks" / version
    assert ",".join(release["python"]) in (lock / "pyproject.toml").read_text(encoding="utf-8")


def test_every_lock_has_its_release() -> None:
    locks = [path.name for path in (ROOT / "roles" / "systemd" / "files" / "locks").iterdir() if path.is_dir()]
    assert sorted(set(locks) - {"uv"}) == sorted(CONTRACT.releases)


def test_the_default_release_is_supported() -> None:
    assert CONTRACT.defaults["airflow_version"] in CONTRACT.releases


@pytest.mark.parametrize("name", CONTRACT.components)
def test_every_component_is_whole(name: str) -> None:
    component = CONTRACT.components[name]
    keys = {"group", "command", "runs_dags", "secrets", "database_pools", "ports", "job", "page", "settings"}
    assert set(component) == keys
    assert component["group"] == f"airflow_{name.replace('-', '_')}"
    assert component["command"] and isinstance(component["runs_dags"], bool)
    assert set(component["secrets"]) <= SECRETS
    assert bool(component["database_pools"]) == ("database" in component["secrets"])
    assert all(len(port) == 3 and isinstance(port[2], int) for port in component["ports"])
    assert name in MEMORY_MB


def test_no_two_components_have_the_same_port_or_group() -> None:
    components = CONTRACT.components.values()
    ports = [port[2] for component in components for port in component["ports"]]
    assert len(set(ports)) == len(ports)
    assert len(set(CONTRACT.groups)) == len(CONTRACT.groups)


def test_rules_name_what_exists() -> None:
    assert set(REQUIRED) <= set(CONTRACT.components)
    assert set(NOT_BUILT) <= set(CONTRACT.groups)
    assert set(SHARED) <= set(CONTRACT.options)
    assert Deployment(CONTRACT, {}).targets == []


@pytest.mark.parametrize("system", CONTRACT.systems, ids=lambda system: f"{system['id']} {system['version']}")
def test_every_system_is_whole(system: dict[str, Any]) -> None:
    assert set(system) == {"id", "version", "run"}
    assert isinstance(system["version"], str) and isinstance(system["run"], bool)


@pytest.mark.parametrize("path", sorted(ROOT.glob("roles/**/*.yml")), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_sets_give_is_sorted(path: Path) -> None:
    """Ansible's filters of sets give their elements in another order in each run, and so changed files."""
    text = path.read_text(encoding="utf-8")
    for found in re.finditer(r"\b(?:difference|symmetric_difference|union|intersect)\(", text):
        depth, end = 1, found.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        assert re.match(r"\s*\|\s*(sort|length)\b", text[end:]), text[found.start() : end]
