# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Two of what can be two: who has which secret, what is refused, and that no task is lost."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import faults
import ports
import proxy
import pytest
import yaml
from ansible_collections.windward.airflow.plugins.module_utils._local_vm import state_dir
from deployment import Deployment, deploy
from ipv6 import ipv6
from ledger import HEARTBEAT, PATIENCE, Ledger, Load, share

CONTROL, WORKERS, DATA = ("vms-control1", "vms-control2"), ("vms-worker1", "vms-worker2"), "vms-data"
PROXY, OPENED = "vms-proxy", 23456


def test_check_mode_changes_nothing_on_what_is_deployed(vms: Deployment) -> None:
    assert deploy(vms, "--check").changed == []


def test_a_worker_has_no_metadata_and_no_keys(vms: Deployment) -> None:
    for host in WORKERS:
        vms.shell("systemctl is-active airflow-worker", host)
        everything = vms.shell("cat /etc/airflow/environment/* /etc/airflow/airflow.cfg", host)
        assert "SQL_ALCHEMY_CONN" not in everything and "JWT_SECRET" not in everything and "FERNET" not in everything
        assert "AIRFLOW__CELERY__RESULT_BACKEND" in everything
        assert vms.shell("ls /etc/airflow/secrets.json 2> /dev/null; true", host) == ""


def test_the_results_role_is_refused_by_the_metadata_database(vms: Deployment) -> None:
    environment = vms.shell("cat /etc/airflow/environment/worker", WORKERS[0])
    backend = re.search(r'RESULT_BACKEND="db\+postgresql\+psycopg2(://[^"]+)"', environment)[1]
    ask = """umask 077; cat > /root/ask.py <<'END'
import sys, psycopg2
for url in sys.stdin.read().split():
    try:
        psycopg2.connect("postgresql" + url).close()
        print("let in")
    except psycopg2.OperationalError as error:
        print("refused", any(one in str(error) for one in ("permission denied", "pg_hba.conf", "login rejected")))
END
/opt/airflow/current/bin/python /root/ask.py <<'END'
{}
END
rm /root/ask.py"""
    pooled = backend.replace("/airflow_results?", "/airflow?")
    direct = pooled.replace(":6432/", ":5432/")
    assert len({backend, pooled, direct}) == 3
    said = vms.shell(ask.format(f"{backend}\n{pooled}\n{direct}"), WORKERS[0]).splitlines()
    assert said == ["let in", "refused True", "refused True"]
    # Whatever the rules of both say, the database itself refuses the role.
    asked = "SELECT has_database_privilege('airflow_results', 'airflow', 'CONNECT')"
    assert vms.shell(f'cd /; runuser -u postgres -- psql -qtAXc "{asked}"', DATA).strip() == "f"


def test_the_broker_keeps_everybody_to_what_is_theirs(vms: Deployment) -> None:
    password = vms.secrets()["broker_password"]
    # The password comes by standard input, as a script.
    said = vms.shell(
        f"""export REDISCLI_AUTH='{password}'
for words in "CONFIG GET dir" "SET other 1" "SET airflow_x 1" "DEL airflow_x" "FLUSHALL" "KEYS *" "PUBLISH other 1"; do
  redis-cli --user airflow --no-auth-warning $words 2>&1 | head -1 | cut -c1-6
done
unset REDISCLI_AUTH; redis-cli PING 2>&1 | cut -c1-6""",
        DATA,
    )
    refused = "NOPERM"
    assert said.split() == [refused, refused, "OK", "1", refused, refused, refused, "NOAUTH"]
    assert vms.shell("ss -Hltn 'sport = 6379' | awk '{print $4}' | sort", DATA).split() == [
        f"{vms.addresses[DATA]}:6379", "127.0.0.1:6379"
    ]  # fmt: skip
    # Debian's own instance does not run.
    assert vms.shell("systemctl is-enabled redis-server; true", DATA).strip() == "masked"


def test_only_what_must_listen_listens(vms: Deployment) -> None:
    each = [CONTROL[0], WORKERS[0], DATA, PROXY]  # of each role
    with ipv6(vms):
        assert ports.differences(vms, [""]) == []
        assert ports.differences(vms, each, each) == []
        # No port that a connection is given by itself: one of PgBouncer's may have it.
        vms.shell(f"systemd-run --quiet --unit=opened python3 -m http.server {OPENED} --directory /run/systemd", DATA)
        try:
            found = ports.differences(vms, [""], [DATA])
        finally:
            vms.shell("systemctl stop opened", DATA)
        assert found and all(str(OPENED) in one and DATA in one for one in found)


def answers(url: str) -> None:
    """Wait until somebody does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(url, timeout=10):
                return
        except OSError:
            assert time.monotonic() < deadline, url
            time.sleep(1)


def test_the_proxy(vms: Deployment) -> None:
    front = proxy.Proxy(vms, PROXY)
    proxy.leads_to_a_healthy_airflow(front)
    proxy.is_trusted_by_its_authority_alone(front)
    proxy.believes_no_client(front, list(CONTROL))
    proxy.limits_requests(front, list(CONTROL))
    for host in CONTROL:
        vms.shell("systemctl stop airflow-api-server", host)
        try:
            assert front.ask("GET", "/api/v2/monitor/health").status == 200, f"{host} is not missed"
        finally:
            vms.shell("systemctl start airflow-api-server", host)
        answers(f"http://{vms.addresses[host]}:8080/api/v2/version")
        proxy.leads_to(front, host)
    proxy.limits_guesses(front)


def test_a_restart_of_the_workers_rolls_and_loses_nothing(vms: Deployment, ledger: Ledger) -> None:
    with Load(ledger) as load:
        load.wait(3)
        assert deploy(vms, "--tags", "airflow", airflow_worker_concurrency=3).restarted() == ["worker", "worker"]
    assert deploy(vms, "--tags", "airflow").restarted() == ["worker", "worker"]


def test_a_drain_that_was_interrupted_is_undone(vms: Deployment, ledger: Ledger, tmp_path: Path) -> None:
    """The play dies while tasks keep the worker from ending: the next one drains on, and the worker consumes again."""
    host = WORKERS[1]
    with Load(ledger, ["long"] * 4) as load:
        load.wait(1, host)
        still = f"celery@{vms.addresses[host]}: ledger_long.long "  # the play says what it waits for
        vms.kill("tests/deployment/drain.yml", "--limit", host, at=still, log=tmp_path / "drain.log")
        assert load.flying(host)
        vms.shell("systemctl is-active airflow-worker && test ! -e /run/airflow/worker.digest", host)
        assert deploy(vms, "--tags", "airflow").restarted() == ["worker"]
        vms.shell("test -e /run/airflow/worker.digest", host)
        load.wait(1, host)


def test_a_value_that_kills_a_component_reaches_one_host(vms: Deployment) -> None:
    state = "systemctl show --property=Id,MainPID 'airflow-*.service'; readlink /opt/airflow/current"
    rest = (CONTROL[1], *WORKERS)
    before = {host: vms.shell(state, host) for host in rest}
    bad = {"scheduler": {"task_queued_timeout": "soon"}}  # a number, which the scheduler alone reads, when it starts
    run = vms.play("site.yml", "--tags", "airflow", airflow_config=bad)
    assert run.code != 0
    ran = {host: result for _task, host, result in run.results("Run the components") if not result.get("skipped")}
    assert list(ran) == [CONTROL[0]] and "scheduler" in ran[CONTROL[0]]["msg"], run.failures
    assert {host: vms.shell(state, host) for host in rest} == before
    deploy(vms, "--tags", "airflow")
    assert {host: vms.shell(state, host) for host in rest} == before, "they run what is wanted again"
    assert vms.shell("systemctl is-active airflow-scheduler", CONTROL[0]).strip() == "active"


@pytest.fixture
def smaller(vms: Deployment, tmp_path: Path) -> Iterator[Path]:
    """The inventory without its second worker, which is to be removed."""
    hosts: dict[str, Any] = yaml.safe_load((vms.inventory / "hosts.yml").read_text())
    leaving = WORKERS[1]
    hosts["airflow_removed"] = {"hosts": {leaving: hosts["airflow"]["hosts"].pop(leaving)}}
    del hosts["airflow"]["children"]["airflow_worker"]["hosts"][leaving]
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (tmp_path / "group_vars").symlink_to(vms.inventory / "group_vars")
    yield tmp_path


def test_a_fault_loses_no_task(vms: Deployment, ledger: Ledger) -> None:
    """Workers die first: it takes Airflow minutes to miss their tasks."""
    assert faults.heartbeat_timeout(vms) == HEARTBEAT
    faults.survive(ledger, [faults.WORKER], [faults.SCHEDULERS, faults.BROKER, faults.API])


def test_a_worker_leaves_when_its_tasks_have_ended(vms: Deployment, ledger: Ledger, smaller: Path) -> None:
    with Load(ledger, ["default"] * 3) as load:
        load.wait(1, WORKERS[1])
        inventory, vms.inventory = vms.inventory, smaller
        try:
            run = vms.play("playbooks/scale.yml", airflow_dags=str(ledger.dags))
        finally:
            vms.inventory = inventory
        assert run.code == 0, run.failures
    # Of a host that is a local VM nothing is left to look at: what was there and is not any more, then the VM itself.
    emptied = {task.rpartition(" : ")[2]: result for task, host, result in run.results() if host == WORKERS[1]}
    assert emptied["Remove the components"]["removed"] == ["worker"]
    paths = emptied["Remove releases, configuration, secrets, state, logs and the command"]["results"]
    gone = {one["item"] for one in paths if one["changed"]}
    assert {"/opt/airflow", "/etc/airflow", "/var/lib/airflow", "/var/log/airflow", "/usr/local/sbin/airflow"} <= gone
    assert not Path(state_dir(os.environ), "vms", WORKERS[1]).exists()


@pytest.fixture
def larger(vms: Deployment, tmp_path: Path) -> Iterator[Path]:
    """The inventory with a queue that nobody else consumes, for its second worker."""
    hosts: dict[str, Any] = yaml.safe_load((vms.inventory / "hosts.yml").read_text())
    hosts["airflow"]["hosts"][WORKERS[1]]["airflow_worker_queues"] = ["default", "a_new_one"]
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (tmp_path / "group_vars").symlink_to(vms.inventory / "group_vars")
    yield tmp_path


def test_a_new_worker_touches_its_host_and_the_rules_about_it(vms: Deployment, ledger: Ledger, larger: Path) -> None:
    inventory, vms.inventory = vms.inventory, larger
    try:
        run = vms.play("playbooks/scale.yml", airflow_dags=str(ledger.dags))
    finally:
        vms.inventory = inventory
    assert run.code == 0, run.failures
    changed = {(host, task.rpartition(" : ")[2]) for task, host, result in run.results() if result.get("changed")}
    elsewhere = {(host, task) for host, task in changed if host != WORKERS[1]}
    assert elsewhere <= {
        (DATA, "Write settings, rules, users and unit"), (DATA, "Run the instance with them"),  # PgBouncer's
        (CONTROL[0], "Run the canary"), (CONTROL[0], "Bring the VMs to the wanted state"),  # its own, on this computer
        *((host, "Write configuration, environments and units") for host in (*CONTROL, WORKERS[0])),  # its queues
    }, elsewhere  # fmt: skip
    assert run.restarted() == ["worker"]
    share(WORKERS[1], ledger.outside / WORKERS[1])
    with Load(ledger, ["default"] * 3) as load:
        load.wait(1, WORKERS[1])
