# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The database apart, behind a pooler: every address comes from the inventory, and nothing notices that it is pooled.

That the canary is green, the play itself has proved.
"""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from deployment import Deployment, deploy

APP, DATABASE = "molecule-app", "molecule-db"
DSN = r'SQL_ALCHEMY_CONN(?:_ASYNC)?="postgresql\+(\w+)://airflow:[^@]+@([^/]+)/airflow\?([^"]+)"'
INI = "/etc/pgbouncer/airflow.ini"
# A role that is no reader of the metadata, as that of Celery's results, tries with the right password.
STRANGER = """set -e
psql() { runuser -u postgres -- psql -qtAX "$@"; }
cd /
psql -c "CREATE ROLE stranger LOGIN PASSWORD 'of-the-test'"
trap 'psql -c "DROP ROLE stranger"' EXIT
psql -c "SELECT datname, has_database_privilege('stranger', datname, 'CONNECT') FROM pg_database
         WHERE datname IN ('airflow', 'postgres') ORDER BY 1"
export PGPASSWORD=of-the-test PGUSER=stranger PGDATABASE=airflow
for host in 127.0.0.1 %(own)s; do
  for port in 5432 6432; do
    command psql -qtAX -h $host -p $port -c "SELECT 'came in'" 2>&1 || true
  done
done
unset PGUSER PGDATABASE PGPASSWORD
"""


@pytest.fixture(scope="module")
def hosts() -> Deployment:
    return Deployment("two_hosts")


def test_nothing_of_airflow_is_on_the_database_host(hosts: Deployment) -> None:
    left = hosts.shell("ls -d /opt/airflow /etc/airflow /etc/systemd/system/airflow* 2> /dev/null; true", DATABASE)
    assert left == ""
    assert hosts.shell("ls -d /etc/postgresql /etc/pgbouncer 2> /dev/null; true", APP) == ""


def test_components_reach_each_other_by_the_inventory(hosts: Deployment) -> None:
    own, other = hosts.addresses[APP], hosts.addresses[DATABASE]
    configured = hosts.shell("cat /etc/airflow/airflow.cfg", APP)
    assert f"execution_api_server_url = http://{own}:8080/execution/\n" in configured
    for component in ("api-server", "scheduler", "dag-processor", "triggerer"):
        environment = hosts.shell(f"cat /etc/airflow/environment/{component}", APP)
        assert sorted(re.findall(DSN, environment)) == [
            ("asyncpg", f"{other}:6432", "ssl=prefer&prepared_statement_cache_size=0"),
            ("psycopg2", f"{other}:6432", "sslmode=prefer"),
        ]
    # Migrations and the root command: their locks are of a session.
    operator = hosts.shell("cat /etc/airflow/environment/operator", APP)
    assert {place for _driver, place, _options in re.findall(DSN, operator)} == {f"{other}:5432"}


def test_the_database_lets_in_that_host_only(hosts: Deployment) -> None:
    rules = hosts.shell("cat /etc/postgresql/*/main/pg_hba.conf", DATABASE)
    ours = rules.partition("# BEGIN windward.airflow")[2].partition("# END windward.airflow")[0]
    lines = [line.split() for line in ours.splitlines() if line and not line.startswith("#")]
    allowed = [line for line in lines if line[-1] != "reject" and line[0] != "local"]
    assert {line[3] for line in allowed} == {"127.0.0.1/32", f"{hosts.addresses[APP]}/32"}
    assert {line[-1] for line in allowed} == {"scram-sha-256"}
    assert {line[1] for line in allowed} == {line[2] for line in allowed} == {"airflow"}
    assert lines[-1][-1] == "reject", "whoever is not named is kept out, whatever else the file says"


def test_both_listen_where_they_must_and_the_distributions_pooler_does_not_run(hosts: Deployment) -> None:
    own = hosts.addresses[DATABASE]
    for port in (5432, 6432):
        said = hosts.shell(f"ss -Hltn 'sport = {port}' | awk '{{print $4}}'", DATABASE)
        assert set(said.split()) - {f"[::1]:{port}"} == {f"127.0.0.1:{port}", f"{own}:{port}"}
    assert hosts.shell("systemctl is-enabled pgbouncer; true", DATABASE).strip() == "masked"
    security = hosts.shell("systemd-analyze security --no-pager pgbouncer-airflow | tail -1", DATABASE)
    assert float(re.search(r": ([0-9.]+) ", security)[1]) <= 1.5, security


def test_a_restart_of_the_pooler_leaves_the_database_alone(hosts: Deployment) -> None:
    """What systemd cleans up after a unit must not be PostgreSQL's: without its shared memory it refuses everybody."""
    ask = "cd /; ls /dev/shm/PostgreSQL.* && runuser -u postgres -- psql -qtAXc 'SELECT 42'"
    before = hosts.shell(ask, DATABASE)
    assert before.endswith("42\n")
    assert hosts.shell(f"systemctl restart pgbouncer-airflow; {ask}", DATABASE) == before


def test_a_role_that_is_no_reader_is_refused(hosts: Deployment) -> None:
    said = hosts.shell(STRANGER % {"own": hosts.addresses[DATABASE]}, DATABASE).splitlines()
    assert said[:2] == ["airflow|f", "postgres|t"]
    assert len([line for line in said[2:] if "FATAL" in line]) >= 4 and "came in" not in said, said


def test_nothing_notices_the_pool_under_load(hosts: Deployment) -> None:
    """Two hundred requests at a time, asynchronous ones beside them, while runs with a deferred task go on."""
    since = hosts.shell("date +%s", APP).strip()
    path = "/api/v2/dags/canary_default/dagRuns"
    with hosts.api() as api:
        runs = [f"load-{since}-{number}" for number in range(2)]
        for run in runs:
            api.request("POST", path, body={"logical_date": None, "dag_run_id": run})
        token = api._token_header()

    def status(target: str) -> int:
        request = urllib.request.Request(hosts.url() + target, headers=token)
        try:
            with urllib.request.urlopen(request, timeout=180) as reply:
                reply.read()
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code

    waits = [f"{path}/{run}/wait?interval=1" for run in runs]
    reads = ["/api/v2/dags", path + "?limit=5", f"{path}/{runs[0]}/taskInstances", "/api/v2/monitor/health"]
    with ThreadPoolExecutor(202) as pool:
        waiting = [pool.submit(status, target) for target in waits]
        answers: list[int] = []
        deadline = time.monotonic() + 15
        while not all(one.done() for one in waiting) and time.monotonic() < deadline:
            answers += pool.map(status, reads * 50)
    assert len(answers) >= 200 and set(answers) == {200} == {one.result() for one in waiting}
    with hosts.api() as api:
        found = [api.get(f"{path}/{run}/taskInstances")["task_instances"] for run in runs]
    assert {task["state"] for tasks in found for task in tasks} == {"success"}
    journal = hosts.shell(f"journalctl --namespace=airflow --since=@{since} --no-pager", APP)
    assert len(journal) > 1000
    assert not re.search(r"prepared statement|QueuePool|no more connections", journal)


def test_the_operator_can_work_on_a_part(hosts: Deployment) -> None:
    assert deploy(hosts, "--limit", APP, "--tags", "airflow,verify").changed == []


def test_pools_change_while_everybody_stays_connected(hosts: Deployment) -> None:
    """What a killed play wrote and did not load is loaded by the next one, and pools are no new start."""
    state = "systemctl show -p MainPID --value pgbouncer-airflow; cat /run/airflow/pgbouncer.digest"
    pid, digest = hosts.shell(state, DATABASE).split()
    start = digest.partition("-")[0]
    killed = f"sed -i s/pool_size=35/pool_size=36/ {INI}; echo {start}-other > /run/airflow/pgbouncer.digest"
    hosts.shell(killed, DATABASE)
    assert len(deploy(hosts, "--check", "--tags", "data").changed) == 2
    assert len(deploy(hosts, "--tags", "data").changed) == 2
    assert hosts.shell(state, DATABASE).split() == [pid, digest]
    assert "pool_size=35" in hosts.shell(f"cat {INI}", DATABASE)
    assert deploy(hosts, "--tags", "data").changed == []
