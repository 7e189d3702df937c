# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A row per refusal of what was found on a host."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight import engine, registry
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.deployment import Finding
from preflight_case import BROKER, CELERY, CONTRACT, ONE, given

FOUND: dict[str, Any] = {
    "system": {"id": "debian", "version": "12", "codename": "bookworm", "architecture": "x86_64"},
    "python": {"path": "/usr/bin/python3", "version": "3.11.2"},
    "systemd": {"version": "252", "running": True},
    "memory_mb": 4000,
    "cpus": 2,
    "disks": {
        "/opt/airflow": {"device": "1", "free_mb": 9000},
        "/etc/airflow": {"device": "1", "free_mb": 9000},
        "/var/lib/airflow": {"device": "2", "free_mb": 9000},
        "/var/log/airflow": {"device": "2", "free_mb": 9000},
    },
    "ports": {},
    "resolved": {"10.0.0.10": ["10.0.0.10"]},
    "release": {},
    "postgresql": [],
    "packages": [],
    "units": [],
    "queues": [],
    "broker": {},
    "time": 0.0,
    "clock_skew": 0.0,
}


def found(
    changes: dict[str, Any],
    variables: dict[str, Any] | None = None,
    groups: dict[str, list[str]] = ONE,
    name: str = "a",
) -> list[Finding]:
    deployment, wrong = engine.deployment(CONTRACT, groups, given(variables or {}, groups, {}))
    assert not wrong
    return engine.found(deployment.hosts[name], {**copy.deepcopy(FOUND), **changes})


def system(name: str, version: str, architecture: str = "x86_64") -> dict[str, Any]:
    return {"system": {"id": name, "version": version, "codename": "", "architecture": architecture}}


def port(number: int, process: str, unit: str = "", pid: int = 512) -> dict[str, Any]:
    return {"ports": {str(number): {"process": process, "pid": pid, "unit": unit}}}


def free(install_mb: int, state_mb: int, device: str = "2") -> dict[str, Any]:
    disks = copy.deepcopy(FOUND["disks"])
    disks["/opt/airflow"]["free_mb"] = install_mb
    for path in ("/var/lib/airflow", "/var/log/airflow"):
        disks[path] = {"device": device, "free_mb": state_mb}
    return {"disks": disks}


def broker(problem: str = "", anybody: bool = False, policy: str = "noeviction") -> dict[str, Any]:
    return {"broker": {"problem": problem, "open": anybody, "policy": policy}}


REFUSED: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    (
        "unknown_names",
        "airflow_address: 'edge.example.org' - this host can't resolve it",
        {"resolved": {"10.0.0.10": ["10.0.0.10"], "edge.example.org": []}},
        {},
    ),
    (
        "system",
        "ansible_host: 'alpine 3.20' - its operating system is not supported; use one of debian 12",
        system("alpine", "3.20"),
        {},
    ),
    ("system", "ansible_host: 'debian 11'", system("debian", "11"), {}),
    ("system", "ansible_host: 'ubuntu 22.10'", system("ubuntu", "22.10"), {}),
    ("system", "ansible_host: 'rhel 91'", system("rhel", "91"), {}),
    (
        "python",
        "airflow_python: '/usr/bin/python3' - is no Python on this host",
        {"python": {"path": "", "version": ""}},
        {},
    ),
    ("python", "is Python 3.9.18, Airflow 3.3.2 needs >=3.10,<3.14", {"python": {"path": "", "version": "3.9.18"}}, {}),
    ("python", "is Python 3.14.0", {"python": {"path": "", "version": "3.14.0"}}, {}),
    (
        "systemd",
        "ansible_host: '10.0.0.10' - systemd does not run there",
        {"systemd": {"version": "252", "running": False}},
        {},
    ),
    (
        "port_taken",
        "airflow_config.api.port: 8080 - nginx (pid 512) of nginx.service has this port, api-server needs it",
        port(8080, "nginx", "nginx.service"),
        {},
    ),
    (
        "port_taken",
        "airflow_config.api.port: 9090 - java (pid 512) has this port",
        port(9090, "java"),
        {"airflow_config": {"api": {"port": 9090}}},
    ),
    ("port_taken", "8794 - a process of another user has this port, triggerer needs it", port(8794, "", "", 0), {}),
    (
        "port_taken",
        "airflow_database_port: 5432 - python3 (pid 512) has this port, postgresql needs it",
        port(5432, "python3"),
        {},
    ),
    (
        "port_taken",
        "postgres (pid 512) of postgresql@15-main.service has this port, api-server",
        port(8080, "postgres", "postgresql@15-main.service"),
        {},
    ),
    (
        "disk",
        "airflow_install_dir: '/opt/airflow' - 1100 MB are free there, 1200 MB are needed: make room",
        free(1100, 9000),
        {},
    ),
    (
        "disk",
        "airflow_state_dir: '/var/lib/airflow' - 700 MB are free there, 800 MB are needed (with airflow_log_dir)",
        free(9000, 700),
        {},
    ),
    (
        "disk",
        "1900 MB are free there, 2000 MB are needed (with airflow_state_dir, airflow_log_dir)",
        free(1900, 1900, "1"),
        {},
    ),
    (
        "downgrade",
        "airflow_version: '3.3.2' - Airflow 3.4.0 is there",
        {"release": {"path": "/x", "airflow": "3.4.0"}},
        {},
    ),
    ("broker_found", "airflow_broker_url: it asks for a password: mend it", broker("it asks for a password"), BROKER),
    ("broker_found", "airflow_broker_url: it lets in whoever connects", broker(anybody=True), BROKER),
    ("broker_found", "its maxmemory-policy is allkeys-lru, and a full", broker(policy="allkeys-lru"), BROKER),
]

WARNED = [
    (
        "system",
        "ansible_host: 'debian 13' - this operating system should work but was not run here",
        system("debian", "13"),
    ),
    ("system", "ansible_host: 'rocky 9.4' - this operating system", system("rocky", "9.4")),
    ("system", "ansible_host: 'aarch64' - this architecture", system("debian", "12", "aarch64")),
    ("memory", "ansible_host: '10.0.0.10' - has 900 MB of memory", {"memory_mb": 900}),
    ("broker_found", "its maxmemory-policy is volatile-lru", broker(policy="volatile-lru")),
    ("broker_found", "it doesn't tell its maxmemory-policy", broker(policy="")),
    ("clock", "ansible_host: its clock is -8 s off the controller's", {"clock_skew": -8.2}),
]

ACCEPTED: list[dict[str, Any]] = [
    {},
    port(8080, "python3.11", "airflow-api-server.service"),
    port(5432, "postgres", "postgresql@15-main.service"),
    port(8793, "airflow", "airflow-scheduler.service"),  # with LocalExecutor the scheduler serves its tasks' logs
    port(5555, "python3"),  # Flower's, and no Flower runs here
    {"release": {"path": "/x", "airflow": "3.3.2"}, **free(150, 9000)},  # nothing to build
    {"release": {"path": "/x", "airflow": "3.3.1"}},
    {"release": {"path": "/x", "airflow": ""}},
    {"clock_skew": 4.9},
    broker(),
]


@pytest.mark.parametrize(("rule", "says", "changes", "variables"), REFUSED, ids=lambda value: str(value)[:40])
def test_refused(rule: str, says: str, changes: dict[str, Any], variables: dict[str, Any]) -> None:
    lines = [str(finding) for finding in found(changes, variables) if finding.rule == rule and not finding.warning]
    assert len(lines) == 1 and says in lines[0], lines


@pytest.mark.parametrize(("rule", "says", "changes"), WARNED, ids=lambda value: str(value)[:40])
def test_warned(rule: str, says: str, changes: dict[str, Any]) -> None:
    assert [(f.rule, f.warning, says in str(f)) for f in found(changes, BROKER)] == [(rule, True, True)]


@pytest.mark.parametrize("changes", ACCEPTED, ids=lambda value: str(value)[:40])
def test_accepted(changes: dict[str, Any]) -> None:
    assert [str(finding) for finding in found(changes)] == []


def test_with_local_executor_the_scheduler_serves_logs() -> None:
    assert [f.rule for f in found(port(8793, "java"))] == ["port_taken"]


def test_a_worker_needs_its_port_and_no_database() -> None:
    assert [f.rule for f in found(port(8793, "java"), groups=CELERY, name="w")] == ["port_taken"]
    assert found(port(5432, "java"), groups=CELERY, name="w") == []


def test_a_queue_that_nobody_will_consume_is_named() -> None:
    """By a worker that leaves a queue which no other one has."""
    two = {**CELERY, "airflow": ["a", "w", "v"], "airflow_worker": ["w", "v"]}
    deployment, _wrong = engine.deployment(CONTRACT, two, given({}, two, {"v": {"airflow_worker_queues": ["heavy"]}}))

    def lines(*queues: str) -> list[str]:
        return [str(one) for one in engine.found(deployment.hosts["w"], {**FOUND, "queues": list(queues)})]

    assert lines("default", "heavy") == []
    (line,) = lines("default", "gpu")
    assert line.startswith("airflow_worker_queues: nobody will consume gpu any more, and what waits there")


def test_a_queue_is_named_too_when_its_worker_moves_to_another_group() -> None:
    """Its unit is still there, and ends in step 4."""
    moved = {**CELERY, "airflow": ["a", "w", "v"], "airflow_worker": ["v"], "airflow_triggerer": ["a", "w"]}
    (line,) = (str(one) for one in found({"queues": ["default", "heavy"]}, BROKER, moved, "w"))
    assert "nobody will consume heavy any more" in line
    assert found({"queues": ["default"]}, BROKER, moved, "w") == []
    assert found({"queues": ["default"]}, {"airflow_executor": "LocalExecutor"}) == [], "nothing is sent any more"


def test_an_own_name_that_leads_to_the_host_itself_is_refused_where_others_need_it() -> None:
    def lines(groups: dict[str, list[str]], addresses: list[str], name: str = "d") -> list[str]:
        variables = {"airflow_broker_url": ""}
        hosts = {"d": {"ansible_host": "data.example.org"}}
        deployment, _wrong = engine.deployment(CONTRACT, groups, given(variables, groups, hosts))
        found = {**copy.deepcopy(FOUND), "resolved": {"data.example.org": addresses, "10.0.0.10": ["10.0.0.10"]}}
        return [str(one) for one in engine.found(deployment.hosts[name], found) if one.rule == "own_name"]

    for group in ("airflow_redis", "airflow_pgbouncer", "airflow_postgresql"):
        apart = {**CELERY, "airflow": ["a", "d", "w"], "airflow_postgresql": [], group: ["d"]}
        (line,) = lines(apart, ["10.0.0.5", "127.0.1.1"])
        assert f"so others would not reach its {group.removeprefix('airflow_')}: mend" in line
        assert line.startswith("airflow_address: 'data.example.org' - leads to 127.0.1.1 on this host itself"), line
        assert lines(apart, ["10.0.0.5"]) == [] and lines(apart, []) == []
        assert lines(apart, ["127.0.1.1"], "a") == [], "only its own host is asked"
    alone = {group: ["d"] for group in ONE}
    assert lines({**alone, "airflow_pgbouncer": ["d"]}, ["127.0.1.1"]) == [], "nobody else comes there"
    proxied = {**alone, "airflow": ["d", "p"], "airflow_proxy": ["p"]}
    assert lines(proxied, ["127.0.1.1"]) == [], "a proxy asks api-servers, which listen everywhere"
    pooled = {**alone, "airflow": ["d", "p"], "airflow_pgbouncer": ["p"]}
    assert len(lines(pooled, ["127.0.1.1"])) == 1, "the pooler comes there"


def test_every_rule_has_a_row() -> None:
    assert {rule.__name__ for rule in registry.FOUND_RULES} == {"forgotten_queue", "own_name"} | {
        case[0] for case in [*REFUSED, *WARNED]
    }
