# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a site brings itself, on machines that are empty at first: the tests below are one story, told in order."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import boto3
import pytest
from ansible_collections.windward.airflow.plugins.module_utils import _logs
from ansible_collections.windward.airflow.plugins.module_utils._client import Client
from ansible_collections.windward.airflow.plugins.modules import server_certificate as made
from deployment import Deployment, Run

CONTROL, WORKER, PROXY = "own-control", "own-worker", "own-proxy"
BRIDGE, STORE_PORT = "10.215.0.1", 5221
KEY = {"login": "AKIAOFTHETEST", "password": "key-of-the-store-CNRY52"}
BUCKET = "logs"
PATIENCE = 300  # seconds
DAG = """
from datetime import datetime, timedelta
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator, task
class Wait(BaseOperator):
    def execute(self, context):
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=1)), method_name="resume")
    def resume(self, context, event=None):
        print("woken")
with DAG("logged", schedule=None, start_date=datetime(2026, 1, 1), is_paused_upon_creation=False):
    @task{queue}
    def say():
        print("said by the worker that will be gone")
    say() >> Wait(task_id="wait")
"""


class Site:
    """The deployment, and all that is given to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts = Deployment("own_services")
        self.dags = folder / "dags"
        self.dags.mkdir()
        self.write("")
        authority = made.ec.generate_private_key(made.ec.SECP256R1())
        self.authority = made.make("authority", "a company", authority, None, [])
        key = made.ec.generate_private_key(made.ec.SECP256R1())
        names = [self.hosts.addresses[PROXY], "airflow.example.org"]
        self.certificate = made.make("server", "its proxy", key, (authority, self.authority), names)
        (folder / "proxy.pem").write_text(made.with_key(key, self.certificate))
        connection = {
            "conn_type": "aws", **KEY,
            "extra": {"region_name": "eu-central-1", "endpoint_url": f"http://{BRIDGE}:{STORE_PORT}"},
        }
        self.variables = {
            "airflow_dags": str(self.dags),
            "airflow_proxy_certificate": str(folder / "proxy.pem"),
            "airflow_config": {
                "logging": {
                    "remote_logging": True,
                    "remote_base_log_folder": f"s3://{BUCKET}/airflow",
                    "remote_log_conn_id": "log_store",
                }
            },
            "airflow_environment": {"AIRFLOW_CONN_LOG_STORE": json.dumps(connection)},
        }

    def write(self, queue: str) -> None:
        (self.dags / "logged.py").write_text(DAG.format(queue=f'(queue="{queue}")' if queue else ""))

    def play(self, book: str, *arguments: str, **more: Any) -> Run:
        (self.folder / "given.json").write_text(json.dumps({**self.variables, **more}))
        return self.hosts.play(book, "-e", f"@{self.folder / 'given.json'}", *arguments)

    def api(self) -> Client:
        return self.hosts.api()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def store(site: Site) -> Iterator[Any]:
    """A store of logs on this computer, which only the machines can reach."""
    program = Path(sys.executable).with_name("moto_server")
    with (site.folder / "store.log").open("wb") as log:
        server = subprocess.Popen([program, "-H", BRIDGE, "-p", str(STORE_PORT)], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with urlopen(f"http://{BRIDGE}:{STORE_PORT}/moto-api/", timeout=5):
                    break
            except OSError:
                assert time.monotonic() < deadline and server.poll() is None, (site.folder / "store.log").read_text()
                time.sleep(0.5)
        client = boto3.client(
            "s3", endpoint_url=f"http://{BRIDGE}:{STORE_PORT}", region_name="eu-central-1",
            aws_access_key_id=KEY["login"], aws_secret_access_key=KEY["password"],
        )
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def foretold(site: Site) -> set[tuple[str, str]]:
    """What a check says that it would change on machines where nothing is yet."""
    run = site.play("site.yml", "--check")
    assert run.code == 0, run.failures or run.error
    for host in site.hosts.addresses:
        there = site.hosts.shell("ls -d /opt/airflow /etc/airflow /etc/haproxy /etc/redis /etc/pgbouncer "
                                 "/etc/postgresql /etc/systemd/system/*airflow* 2> /dev/null; true", host)
        assert there == "", f"the check made {there} on {host}"
    return changes(run)


def changes(run: Run) -> set[tuple[str, str]]:
    """Hosts and tasks. A build that began in the background is one; whoever asks first changes the operator host."""
    found = {(host, task) for task, host, result in run.results() if result.get("changed")}
    found = {(host, task.replace("Begin to build the release", "Build the release")) for host, task in found}
    return {(CONTROL if task.endswith(" on the operator host") else host, task) for host, task in found}


@pytest.fixture(scope="module")
def deployed(site: Site, store: Any, foretold: set[tuple[str, str]]) -> Run:
    authority = made.pem(site.authority)
    for host in (CONTROL, WORKER):  # as an administrator does with a company's authority
        site.hosts.shell(f"""cat > /usr/local/share/ca-certificates/company.crt <<'END'
{authority}
END
update-ca-certificates""", host)
    run = site.play("site.yml")
    assert run.code == 0, run.failures or run.error
    return run


def test_a_check_of_empty_machines_foretells_what_a_run_does(
    deployed: Run, foretold: set[tuple[str, str]]
) -> None:
    assert {host for host, _task in foretold} == {CONTROL, WORKER, PROXY}
    assert foretold - changes(deployed) == set()
    print("not foretold:", *sorted(changes(deployed) - foretold), sep="\n")


def test_a_second_run_changes_nothing(site: Site, deployed: Run) -> None:
    run = site.play("site.yml")
    assert run.code == 0 and run.changed == [], run.changed or run.failures


def test_the_proxy_shows_the_given_certificate(site: Site, deployed: Run) -> None:
    """To whoever trusts the company's authority, and to nobody else; no authority of ours is made."""
    context = ssl.create_default_context(cadata=made.pem(site.authority))
    url = f"https://{site.hosts.addresses[PROXY]}/api/v2/version"
    with urlopen(url, timeout=30, context=context) as reply:
        assert reply.status == 200
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        urlopen(url, timeout=30)
    shown = ssl.get_server_certificate((site.hosts.addresses[PROXY], 443))
    assert shown.split() == made.pem(site.certificate).split()
    assert site.hosts.shell("ls /etc/haproxy/airflow", PROXY).split() == ["haproxy.cfg", "server.pem"]
    # Tasks reach the API through it: the canary of the play has run so.
    for host in (CONTROL, WORKER):
        said = site.hosts.shell("cat /etc/airflow/airflow.cfg /etc/airflow/environment/*", host)
        assert f"execution_api_server_url = https://{site.hosts.addresses[PROXY]}/execution/\n" in said
        assert "API__SSL_CERT" not in said


def test_the_stores_key_is_with_those_that_need_it(site: Site, deployed: Run) -> None:
    find = f"grep -rlF {KEY['password']} /etc /opt/airflow /var/lib/airflow /var/log /run 2> /dev/null | sort; true"
    environment = "/etc/airflow/environment/"
    assert site.hosts.shell(find, CONTROL).split() == [environment + "api-server", environment + "triggerer"]
    # A drain asks the broker that the running worker knows: what it was started with, gone when it stops.
    running = "/run/airflow/worker.environment"
    assert site.hosts.shell(find, WORKER).split() == [environment + "worker", running]
    assert site.hosts.shell(f"stat -c '%a %U' {running}", WORKER).split() == ["600", "root"]
    assert site.hosts.shell(find, PROXY) == ""


def kept(store: Any, run_id: str) -> list[tuple[str, str | None]]:
    """Of which tasks of a run the store has a log, and of what kind."""
    keys = [one["Key"] for one in store.list_objects_v2(Bucket=BUCKET, Prefix="airflow/").get("Contents", ())]
    mine = sorted(key for key in keys if f"run_id={run_id}/" in key)
    return [re.search(r"task_id=(\w+)/attempt=1\.log(\.trigger)?", key).groups() for key in mine]


def test_a_log_outlives_its_worker(site: Site, store: Any, deployed: Run) -> None:
    """And is read back through the API."""
    run_id = f"kept-{time.time():.0f}"
    path = f"/api/v2/dags/logged/dagRuns/{quote(run_id)}"
    with site.api() as api:
        api.request("POST", "/api/v2/dags/logged/dagRuns", body={"logical_date": None, "dag_run_id": run_id})
        deadline = time.monotonic() + PATIENCE
        while (state := api.get(path)["state"]) in ("queued", "running"):
            assert time.monotonic() < deadline, state
            time.sleep(1)
        assert state == "success"
        # A task's end is told before its log is kept.
        while (kinds := kept(store, run_id)) != [("say", None), ("wait", None), ("wait", ".trigger")]:
            assert time.monotonic() < deadline, kinds
            time.sleep(1)
        while (twice := site.hosts.shell(f"cat {LOCAL.format(run_id)}", WORKER)) != "":
            assert time.monotonic() < deadline, f"what was kept is not kept twice: {twice}"
            time.sleep(1)
        site.hosts.shell("systemctl stop airflow-worker; rm -r /var/log/airflow/tasks/*", WORKER)
        site.hosts.shell("rm -rf /var/log/airflow/tasks/*", CONTROL)
        says = {"say": ["said by the worker that will be gone"], "wait": ["woken", "trigger starting"]}
        for task, words in says.items():
            told = _logs.read_log(api, api.get(f"{path}/taskInstances/{task}"))
            assert all(word in told for word in words) and f"s3://{BUCKET}/" in told, told
    site.hosts.shell("systemctl start airflow-worker", WORKER)


LOCAL = "/var/log/airflow/tasks/dag_id=logged/run_id={}/task_id=say/*"


def test_a_queue_without_a_worker_is_refused_before_it_is_served(site: Site, deployed: Run) -> None:
    before = site.hosts.shell("readlink /var/lib/airflow/dags/current", CONTROL)
    site.write("gpu")
    try:
        run = site.play("site.yml", "--tags", "dags")
    finally:
        site.write("")
    assert run.code != 0
    assert "logged.py: no worker consumes queue 'gpu' of task say in DAG logged" in " ".join(run.failures)
    assert site.hosts.shell("readlink /var/lib/airflow/dags/current", CONTROL) == before
    run = site.play("site.yml", "--tags", "dags")
    assert run.code == 0 and run.changed == [], run.changed or run.failures


def test_a_redis_that_is_named_is_looked_at(site: Site, deployed: Run) -> None:
    place, password = site.hosts.addresses[CONTROL], site.hosts.secrets()["broker_password"]
    site.hosts.shell(f"""systemd-run --quiet --unit=other-redis --uid=redis redis-server --port 6390 --bind {place} \
--protected-mode no --save '' --maxmemory 100mb --maxmemory-policy allkeys-lru""", CONTROL)
    try:
        good = site.play("tests/deployment/found.yml", airflow_broker_url=f"redis://airflow:{quote(password)}@{place}:6379/0")
        assert good.code == 0 and "airflow_broker_url" not in good.error, good.failures
        cases = {
            f"redis://airflow:wrong-{password}@{place}:6379/0": ["it refuses this user or password"],
            f"redis://:{password}@{place}:6390/0": ["it lets in whoever connects", "maxmemory-policy is allkeys-lru"],
            f"redis://:{password}@{place}:6391/0": ["this host can't use it (Connection refused)"],
            f"rediss://:{password}@{place}:6379/0": ["it does not answer this host by TLS within 5 s"],
        }
        for url, says in cases.items():
            run = site.play("tests/deployment/found.yml", airflow_broker_url=url)
            assert run.code != 0 and len(run.failures) == 2, f"{says}: {run.failures}"
            for failure in run.failures:
                assert all(f"airflow_broker_url: {word}" in failure or word in failure for word in says), failure
            assert password not in run.out + run.error
    finally:
        site.hosts.shell("systemctl stop other-redis", CONTROL)
