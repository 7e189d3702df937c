# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Types, the joining of findings, secrets that are never shown, and whatever users may write."""

from __future__ import annotations

import random
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight import engine, registry
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.contract import shown
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.deployment import Finding, Host
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.types import Unreadable, near
from preflight_case import CONTRACT, ONE, TWO, declared

CANARY = "CNRY7x0f3a9c"
SECRET = [name for name, option in CONTRACT.options.items() if option.get("no_log")]


def test_equal_findings_are_said_once() -> None:
    lines = [str(finding) for finding in declared({"airflow_journal_max_size": "x"}, TWO)]
    assert len(lines) == 1 and lines[0].startswith("airflow_journal_max_size: 'x' - ")


def test_a_finding_of_some_hosts_names_them() -> None:
    lines = [str(finding) for finding in declared({}, TWO, {"b": {"airflow_journal_max_size": "x"}})]
    assert len(lines) == 1 and lines[0].startswith("airflow_journal_max_size (on b): 'x' - ")


def test_many_hosts_are_counted() -> None:
    assert str(Finding("v", "fix", hosts=tuple("abcdefgh"))) == "v (on a, b, c, d and 4 more): fix"


def test_all_findings_come_at_once() -> None:
    findings = declared({"airflow_version": "1", "airflow_executor": "x", "airflow_mine": 1, "airflow_dags": 1})
    assert [finding.variable for finding in findings] == [
        "airflow_dags",
        "airflow_executor",
        "airflow_version",
        "airflow_mine",
    ]
    assert [finding.warning for finding in findings] == [False, False, False, True]


def test_a_variable_of_the_wrong_type_has_one_finding_and_stops_no_other_rule() -> None:
    findings = declared(
        {"airflow_config": "x", "airflow_database_port": "y", "airflow_pools": 1, "airflow_version": "1"}
    )
    assert [(finding.variable, finding.rule) for finding in findings] == [
        ("airflow_config", "types"),
        ("airflow_database_port", "types"),
        ("airflow_pools", "types"),
        ("airflow_version", "version"),
    ]


def test_an_element_that_cannot_be_evaluated_leaves_its_neighbours_to_the_rules() -> None:
    config = {"core": {"a": Unreadable("can't be evaluated"), "load_examples": True}}
    assert [f.variable for f in declared({"airflow_config": config})] == [
        "airflow_config.core.a",
        "airflow_config.core.load_examples",
    ]


def test_the_hosts_of_a_play_do_not_matter_but_those_of_the_group_do() -> None:
    assert [f.rule for f in declared(groups={**ONE, "airflow": []})] == ["stray_hosts"] * 5


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("airflow_exeuctor", "airflow_executor"),
        ("airflow_requirement", "airflow_requirements"),
        ("airflow_database_pasword", "airflow_database_password"),
        ("airflow_local_vm_networks", "airflow_local_vm_network"),
        ("airflow_team", None),
        ("airflow_home", None),
        ("airflow_smtp_host", None),
    ],
)
def test_near(name: str, meant: str | None) -> None:
    assert near(name, CONTRACT.options) == meant


def test_no_known_name_is_taken_for_another() -> None:
    """A new variable must not be so near to an old one that its users are asked what they meant."""
    for name in CONTRACT.options:
        assert near(name, [name, *CONTRACT.options]) == name


def test_shown_is_short_and_without_credentials() -> None:
    assert shown("https://user:pw@host/x") == "'https://***@host/x'"
    assert len(shown("x" * 1000)) == 80 and len(shown([1] * 1000)) <= 81
    assert shown(True) == "True"


@pytest.mark.parametrize("name", SECRET)
@pytest.mark.parametrize(
    "value", [CANARY, f"{CANARY}\n", [CANARY], {CANARY: CANARY}, {"A B": CANARY}, f"redis://{CANARY}@x"]
)
def test_secret_values_are_never_shown(name: str, value: Any) -> None:
    findings = declared({name: value, "airflow_database_host": CANARY, "airflow_version": f"x{CANARY}"})
    assert findings
    values_only = [str(finding).replace(f".{CANARY}", "") for finding in findings]  # a key is a name, not a value
    assert [line for line in values_only if CANARY in line] == []


def test_the_secret_test_can_fail() -> None:
    assert CANARY in str(declared({"airflow_version": CANARY})[0])


@pytest.mark.parametrize(
    ("section", "option"), [("smtp", "smtp_password"), ("secrets", "backend_kwargs"), ("core", "fernet_key")]
)
def test_secret_options_of_airflow_are_never_shown(section: str, option: str) -> None:
    lines = [str(f) for f in declared({"airflow_config": {section: {option: f"%%\0{CANARY}"}}})]
    assert lines and not any(CANARY in line for line in lines)


def scalars(chance: random.Random) -> Any:
    return chance.choice(
        [None, True, False, 0, -1, 2**70, 1.5, float("nan"), "", "x", "x" * 100_000, "\u202e\U0001f600", "\0\n\x1b[31m",
         "../../etc", "; rm -rf /", "{{ x }}", "%(x)s", "::1", "http://[", "http://h:99999", "a@b", "0600", "-0",
         CANARY, f"https://u:{CANARY}@h", Unreadable("can't be evaluated"), b"bytes"]
    )  # fmt: skip


def values(chance: random.Random, depth: int = 0) -> Any:
    if depth > 3 or chance.random() < 0.5:
        return scalars(chance)
    inner = [values(chance, depth + 1) for _element in range(chance.randrange(3))]
    keys = ["name", "slots", "core", "api", "port", "forward", "host_port", 1, None, "a.b", "\0", ("t",)]
    return inner if chance.random() < 0.5 else {chance.choice(keys): element for element in inner}


@pytest.mark.parametrize("seed", range(20))
def test_whatever_users_write_ends_in_findings(seed: int) -> None:
    """Nothing raises, and each line is one short line."""
    chance = random.Random(seed)
    for _case in range(60):
        names = [*chance.sample(sorted(CONTRACT.options), 4), "airflow_any"]
        for finding in declared({name: values(chance) for name in names}, chance.choice([ONE, TWO])):
            assert str(finding).isprintable() and len(str(finding)) <= 500


def test_every_rule_says_in_one_line_what_it_wants() -> None:
    """The README of the role shows it."""
    for rule in [*registry.HOST_RULES, *registry.DEPLOYMENT_RULES, *registry.FOUND_RULES]:
        assert rule.__doc__ and "\n" not in rule.__doc__ and rule.__doc__.endswith(".")


def test_a_host_gives_no_variable_that_has_a_finding_of_its_own() -> None:
    deployment, _wrong = engine.deployment(CONTRACT, ONE, {"a": engine.Given({"airflow_version": 1})})
    host: Host = deployment.hosts["a"]
    with pytest.raises(Exception, match="airflow_version"):
        host["airflow_version"]
