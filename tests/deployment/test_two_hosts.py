# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The database apart: every address comes from the inventory. That the canary is green, the play itself has proved."""

from __future__ import annotations

import re

import pytest
from deployment import Deployment, deploy

APP, DATABASE = "molecule-app", "molecule-db"
DSN = r'SQL_ALCHEMY_CONN(?:_ASYNC)?="postgresql\+(\w+)://airflow:[^@]+@([^/]+)/airflow\?(\w+)='


@pytest.fixture(scope="module")
def hosts() -> Deployment:
    return Deployment("two_hosts")


def test_nothing_of_airflow_is_on_the_database_host(hosts: Deployment) -> None:
    left = hosts.shell("ls -d /opt/airflow /etc/airflow /etc/systemd/system/airflow* 2> /dev/null; true", DATABASE)
    assert left == ""
    assert hosts.shell("ls -d /etc/postgresql 2> /dev/null; true", APP) == ""


def test_components_reach_each_other_by_the_inventory(hosts: Deployment) -> None:
    own, other = hosts.addresses[APP], hosts.addresses[DATABASE]
    configured = hosts.shell("cat /etc/airflow/airflow.cfg", APP)
    assert f"execution_api_server_url = http://{own}:8080/execution/\n" in configured
    for component in ("api-server", "scheduler", "dag-processor", "triggerer"):
        environment = hosts.shell(f"cat /etc/airflow/environment/{component}", APP)
        places = re.findall(DSN, environment)
        assert sorted(places) == [("asyncpg", f"{other}:5432", "ssl"), ("psycopg2", f"{other}:5432", "sslmode")]


def test_the_database_lets_in_that_host_only(hosts: Deployment) -> None:
    rules = hosts.shell("cat /etc/postgresql/*/main/pg_hba.conf", DATABASE)
    ours = rules.partition("# BEGIN windward.airflow")[2].partition("# END windward.airflow")[0]
    lines = [line.split() for line in ours.splitlines() if line and not line.startswith("#")]
    allowed = [line for line in lines if line[-1] != "reject" and line[0] != "local"]
    assert {line[3] for line in allowed} == {"127.0.0.1/32", f"{hosts.addresses[APP]}/32"}
    assert {line[-1] for line in allowed} == {"scram-sha-256"}
    assert {line[1] for line in allowed} == {line[2] for line in allowed} == {"airflow"}
    assert lines[-1][-1] == "reject", "whoever is not named is kept out, whatever else the file says"
    listening = hosts.shell("ss -Hltn 'sport = 5432'", DATABASE).split()
    assert f"{hosts.addresses[DATABASE]}:5432" in listening and "0.0.0.0:5432" not in listening


def test_the_operator_can_work_on_a_part(hosts: Deployment) -> None:
    assert deploy(hosts, "--limit", APP, "--tags", "airflow,verify").changed == []
