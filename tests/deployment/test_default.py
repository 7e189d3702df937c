# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one whole deployment promises. The tests run in the order in which they stand; the last one removes it."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from deployment import PLAIN, ROOT, Deployment, deploy

COMPONENTS = ["api-server", "dag-processor", "scheduler", "triggerer"]
# With LocalExecutor the scheduler runs DAG code.
LIMITS = {"api-server": 1.5, "dag-processor": 2.0, "scheduler": 2.0, "triggerer": 2.0}
SLOW = """
import os, time
from datetime import datetime
from airflow.sdk import DAG, task
from answer import ANSWER
with DAG("slow", schedule=None, start_date=datetime(2026, 1, 1), is_paused_upon_creation=False):
    @task
    def wait():
        while not os.path.exists("/var/lib/airflow/dag/go"):
            time.sleep(1)
    @task
    def tell():
        from answer import ANSWER
        print("the answer is " + ANSWER)
    wait() >> tell()
"""
SLEEPER = """
import os, time
from datetime import datetime
from airflow.sdk import DAG, task
with DAG("sleeper", schedule=None, start_date=datetime(2026, 1, 1), is_paused_upon_creation=False):
    @task
    def sleep():
        while not os.path.exists("/var/lib/airflow/dag/awake"):
            time.sleep(1)
    sleep()
"""
# Ends that task a while after somebody began to wait for it, however long the play takes until then.
AWAKE = """
for _second in $(seq 200); do
  [ "$(systemctl show --property=ActiveState --value airflow-scheduler)" = deactivating ] && break
  sleep 1
done
sleep 15
touch /var/lib/airflow/dag/awake
"""


@pytest.fixture(scope="module")
def vm() -> Deployment:
    return Deployment("default")


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    """A directory of DAGs of a test's own."""
    return Path(shutil.copytree(ROOT / "dags", tmp_path / "dags"))


def served(vm: Deployment) -> str:
    return vm.shell("basename $(readlink /var/lib/airflow/dags/current)").strip()


def test_check_mode_changes_nothing_on_what_is_deployed(vm: Deployment) -> None:
    assert deploy(vm, "--check").changed == []


def test_units_are_hardened(vm: Deployment) -> None:
    for component, limit in LIMITS.items():
        said = vm.shell(f"systemd-analyze security --no-pager airflow-{component} | tail -1")
        assert float(re.search(r": ([0-9.]+) ", said)[1]) <= limit, said


@pytest.mark.parametrize(
    ("variables", "restarted"),
    [
        ({"airflow_drain_timeout": 1800}, ["scheduler", "triggerer"]),
        ({"airflow_config": {"triggerer": {"capacity": 500}}}, COMPONENTS),
        ({}, COMPONENTS),
    ],
    ids=["of some", "of all", "taken back"],
)
def test_check_mode_predicts_what_is_restarted(vm: Deployment, variables: dict[str, Any], restarted: list[str]) -> None:
    predicted = deploy(vm, "--check", "--tags", "airflow", **variables).restarted()
    before = vm.shell("systemctl show -p MainPID airflow-{api-server,dag-processor,scheduler,triggerer}")
    run = deploy(vm, "--tags", "airflow", **variables)
    after = vm.shell("systemctl show -p MainPID airflow-{api-server,dag-processor,scheduler,triggerer}")
    assert predicted == run.restarted() == restarted
    pairs = zip(COMPONENTS, before.split(), after.split(), strict=False)
    assert [name for name, old, new in pairs if old != new] == restarted


def test_the_administrator_logs_in_with_the_declared_password(vm: Deployment) -> None:
    """Also after somebody has given the account another one."""
    declared = {"airflow_admin_password": "declared-when-it-ran-long"}
    assert deploy(vm, "--check", "--tags", "airflow", **declared).restarted() == []
    assert deploy(vm, "--tags", "airflow", **declared).restarted() == []
    assert vm.secrets()["admin_password"] == declared["airflow_admin_password"]
    with vm.api() as api:
        assert api.get("/api/v2/pools")["pools"]
    vm.shell("airflow users reset-password --username admin --password another-of-somebody")
    assert deploy(vm, "--tags", "airflow").changed == [], "one that is not declared is the account's own matter"
    (changed,) = deploy(vm, "--tags", "airflow", **declared).changed
    assert changed.endswith("Make the administrator and the collection's own service account")
    with vm.api() as api:
        assert api.get("/api/v2/pools")["pools"]
    assert deploy(vm, "--tags", "airflow", **declared).changed == []


def test_broken_dags_are_refused_and_the_old_ones_stay(vm: Deployment, dags: Path) -> None:
    before = served(vm)
    (dags / "broken.py").write_text("from airflow.sdk import DAG\n\nDAG('x', schedule=1 / 0)\n")
    run = vm.play("site.yml", "--tags", "dags", airflow_dags=str(dags))
    assert run.code == 2
    assert "broken.py:3: ZeroDivisionError: division by zero" in run.failures[0]
    assert served(vm) == before
    with vm.api() as api:
        assert api.get("/api/v2/dags/example_dag")["bundle_version"] == before


def test_a_folder_and_a_link_to_it_are_refused_in_a_sentence(vm: Deployment, dags: Path) -> None:
    """Airflow takes them for a loop."""
    (dags / "shared").mkdir()
    (dags / "shared" / "code.py").touch()
    (dags / "again").symlink_to("shared")
    run = vm.play("site.yml", "--tags", "dags", airflow_dags=str(dags))
    assert run.code == 2
    assert "shared has appeared more than once" in run.failures[0] and "Traceback" not in run.failures[0]


def test_a_plugin_that_cannot_be_loaded_is_refused_before_it_runs(vm: Deployment, tmp_path: Path) -> None:
    (tmp_path / "bad_plugin.py").write_text("import nothing_of_this_name\n")
    pids = vm.shell("systemctl show -p MainPID airflow-{api-server,dag-processor,scheduler,triggerer}")
    for _time in ("at first", "also when all is delivered already"):
        run = vm.play("site.yml", "--tags", "airflow", airflow_plugins=str(tmp_path))
        assert run.code == 2
        assert "bad_plugin.py: this plugin can't be loaded: No module named 'nothing_of_this_name'" in run.failures[0]
        assert vm.shell("systemctl show -p MainPID airflow-{api-server,dag-processor,scheduler,triggerer}") == pids
    assert deploy(vm, "--tags", "airflow,dags").restarted() == []


def test_a_database_of_a_newer_release_is_refused(vm: Deployment) -> None:
    psql = "cd / && sudo -u postgres psql -qAt airflow"
    head = vm.shell(f"{psql} -c 'select version_num from alembic_version'").strip()
    vm.shell(f"{psql} -c \"update alembic_version set version_num = 'fffffffffff0'\"")
    run = vm.play("site.yml", "--tags", "airflow")
    vm.shell(f"{psql} -c \"update alembic_version set version_num = '{head}'\"")
    assert run.code == 2
    assert "is at fffffffffff0, which" in run.failures[0] and "Traceback" not in run.failures[0]


@pytest.mark.parametrize(("held", "said"), [("[", "secrets.json is damaged"), ('{"admin_password": "x"}', "lacks")])
def test_what_is_wrong_with_the_secrets_is_said_though_they_are_hidden(vm: Deployment, held: str, said: str) -> None:
    vm.shell(f"cd /etc/airflow && cp -p secrets.json kept && echo '{held}' > secrets.json")
    run = vm.play("site.yml", "--tags", "airflow")
    vm.shell("mv /etc/airflow/kept /etc/airflow/secrets.json")
    assert run.code == 2 and not run.changed
    assert said in run.failures[0], run.failures


def test_a_configuration_that_breaks_the_dags_is_refused_before_it_runs(vm: Deployment, dags: Path) -> None:
    (dags / "asks.py").write_text(
        "import os\nfrom airflow.sdk import DAG\nif 'BREAK' in os.environ:\n    raise RuntimeError('no')\nDAG('asks')\n"
    )
    deploy(vm, "--tags", "dags", airflow_dags=str(dags))
    pids = vm.shell("systemctl show -p MainPID airflow-{api-server,dag-processor,scheduler,triggerer}")
    run = vm.play("site.yml", "--tags", "airflow", airflow_dags=str(dags), airflow_environment={"BREAK": "1"})
    assert run.code == 2
    assert "asks.py:4: RuntimeError: no" in run.failures[0]
    assert vm.shell("systemctl show -p MainPID airflow-{api-server,dag-processor,scheduler,triggerer}") == pids
    assert deploy(vm, "--tags", "airflow,dags").restarted() == []


def test_a_component_that_dies_again_and_again_is_not_waited_for(vm: Deployment) -> None:
    """The play's end says which, and why; the next run with what is right completes it."""
    missing = {"ssl_cert": "/nonexistent", "ssl_key": "/nonexistent"}
    run = vm.play("site.yml", "--tags", "airflow", airflow_config={"api": missing}, airflow_health_timeout=900)
    assert run.code != 0
    assert "api-server died 4 times" in run.failures[0] and "/nonexistent" in run.failures[0]
    assert run.seconds < 600
    assert deploy(vm).restarted() == ["api-server"]  # the others wait until it is up, so they never had it


def test_a_dag_run_keeps_its_release_and_a_former_one_comes_back(vm: Deployment, dags: Path) -> None:
    (dags / "slow.py").write_text(SLOW)
    (dags / "answer.py").write_text("ANSWER = 'one'\n")
    deploy(vm, "--tags", "dags", airflow_dags=str(dags))
    first = served(vm)
    with vm.api() as api:
        run = api.request("POST", "/api/v2/dags/slow/dagRuns", body={"logical_date": None})
        (dags / "answer.py").write_text("ANSWER = 'two'\n")
        deploy(vm, "--tags", "dags", airflow_dags=str(dags))
        assert served(vm) != first
        path = f"/api/v2/dags/slow/dagRuns/{quote(run['dag_run_id'])}"
        vm.shell("touch /var/lib/airflow/dag/go")
        deadline = time.monotonic() + 300
        while api.get(path)["state"] in ("queued", "running") and time.monotonic() < deadline:
            time.sleep(1)
        ended = api.get(path)
        assert ended["state"] == "success" and ended["bundle_version"] == first
        log = str(api.get(f"{path}/taskInstances/tell/logs/1"))
        assert "the answer is one" in log and "the answer is two" not in log
        deploy(vm, "--tags", "dags", airflow_dags_release=first)
        assert served(vm) == first
        assert api.get("/api/v2/dags/slow")["bundle_version"] == first
    vm.shell("rm /var/lib/airflow/dag/go")
    deploy(vm, "--tags", "dags")


@pytest.fixture
def stopped(vm: Deployment, component: str) -> Iterator[str]:
    vm.shell(f"systemctl stop airflow-{component}")
    yield component
    vm.shell(f"systemctl start airflow-{component}")


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_stopped_service_is_named(vm: Deployment, stopped: str) -> None:
    last_line = vm.shell(
        f"journalctl --namespace=airflow --unit airflow-{stopped} --lines 1 --output=cat --no-pager --quiet"
    ).strip()
    run = vm.play("site.yml", "--tags", "verify")
    assert run.code == 2 and run.seconds < 60
    words = "\n".join(run.failures)
    assert f"{stopped} is " in words and "last words" in words, words
    assert last_line and last_line[:40].replace('"', '\\"') in words
    state = vm.play("playbooks/status.yml")
    assert state.code != 0 and stopped in "\n".join(state.failures)
    assert state.changed == []
    if stopped in ("scheduler", "api-server"):  # a run would start it, and then prove it
        check = deploy(vm, "--check", airflow_pools=[{"name": "p", "slots": 1}])
        assert check.restarted() == [stopped] and f"A run would first start or put back: {stopped}" in check.out


def test_a_database_that_is_killed_comes_back(vm: Deployment) -> None:
    server, deadline = "postgresql@15-main", time.monotonic() + 180
    vm.shell(f"systemctl kill --signal=KILL --kill-whom=all {server}")
    while vm.shell(f"sleep 1; systemctl is-active {server}; true").strip() != "active":
        assert time.monotonic() < deadline


def test_status_of_a_healthy_deployment(vm: Deployment) -> None:
    deadline = time.monotonic() + 300
    while (run := vm.play("playbooks/status.yml")).code and time.monotonic() < deadline:
        time.sleep(2)
    assert (run.code, run.changed) == (0, []), run.failures


def test_a_browser_sees_the_canary_green(vm: Deployment) -> None:
    where = {"AIRFLOW_TEST_INVENTORY": str(vm.inventory), "AIRFLOW_TEST_URL": vm.url()}
    run = vm.said(["pytest", "-q", "-p", "no:cacheprovider", "tests/browser"], {**PLAIN, **where})
    assert run.code == 0, run.out[-6000:]


def test_a_restart_says_which_tasks_it_waited_for(vm: Deployment, dags: Path) -> None:
    (dags / "sleeper.py").write_text(SLEEPER)
    deploy(vm, "--tags", "dags", airflow_dags=str(dags))
    with vm.api() as api:
        path = "/api/v2/dags/sleeper/dagRuns"
        run = api.request("POST", path, body={"logical_date": None})
        path = f"{path}/{quote(run['dag_run_id'])}"
        deadline = time.monotonic() + 180
        while (state := api.get(f"{path}/taskInstances/sleep")["state"]) != "running":
            assert time.monotonic() < deadline, state
            time.sleep(0.5)
        with ThreadPoolExecutor() as pool:
            waking = pool.submit(vm.shell, AWAKE)
            run = deploy(vm, "--tags", "airflow", airflow_dags=str(dags), airflow_drain_timeout=1802)
        waking.result()
        (result,) = [result for _task, _host, result in run.results("Run the components")]
        assert 10 < result["drained"]["scheduler"] < 120
        said = result["warnings"][0]
        assert "what runs tasks lets them end first" in said and "sleeper.sleep" in said
        deadline = time.monotonic() + 180
        while (state := api.get(path)["state"]) in ("queued", "running") and time.monotonic() < deadline:
            time.sleep(0.5)
        assert state == "success"
    vm.shell("rm /var/lib/airflow/dag/awake")


def test_nothing_leaks(vm: Deployment) -> None:
    """Secrets are in no output, journal, process list or file that everybody may read."""
    mail = "sm'tp \"quoted\" secret\\"
    secrets = [*vm.secrets().values(), mail]
    words = sorted({form for secret in secrets for form in (secret, quote(secret, safe=""))})
    config = {"smtp": {"smtp_password": mail}}
    command = vm.command("site.yml", "-vvv", "--diff", airflow_drain_timeout=1801, airflow_config=config)
    run = vm.said(command, PLAIN)
    assert run.code == 0 and "TimeoutStopSec=1801s" in run.out
    assert [line[:60] for line in (run.out + run.error).splitlines() for word in words if word in line] == []
    patterns = "\n".join(words)
    found = vm.shell(f"""umask 077
cat > /root/words <<'END'
{patterns}
END
trap 'rm -f /root/words' EXIT
for namespace in "" --namespace=airflow; do
  journalctl $namespace --no-pager | grep --quiet --fixed-strings --file=/root/words && echo "journal $namespace"
done
for line in /proc/[0-9]*/cmdline; do
  tr '\\0' ' ' < "$line" 2> /dev/null | grep --quiet --fixed-strings --file=/root/words && echo "$line"
done
find / -xdev -type f -perm -o+r -not -path '/usr/*' -not -path '/opt/airflow/releases/*' -not -path '/proc/*' -print0 |
  xargs -0 grep --files-with-matches --fixed-strings --file=/root/words 2> /dev/null
echo end""")
    assert found == "end\n"
    assert vm.shell("grep --count fernet_key /etc/airflow/secrets.json").strip() == "1", "the search has words"


def test_the_artefact_works_installed(vm: Deployment, tmp_path: Path) -> None:
    """From an empty directory, with Ansible's default configuration."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "ansible.cfg").touch()
    environment = {
        **PLAIN,
        "ANSIBLE_CONFIG": str(elsewhere / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(elsewhere / "collections"),
        "ANSIBLE_PIPELINING": "false",
    }
    built = vm.said(["ansible-galaxy", "collection", "build", "--output-path", str(elsewhere)], PLAIN)
    assert built.code == 0, built.error
    (artefact,) = elsewhere.glob("windward-airflow-*.tar.gz")
    install = ["ansible-galaxy", "collection", "install", "--offline", "--no-deps", str(artefact), "-p"]
    done = vm.said([*install, str(elsewhere / "collections")], environment, elsewhere)
    assert done.code == 0, done.error
    deploy(vm)
    run = vm.said(vm.command("windward.airflow.site"), environment, elsewhere)
    assert run.code == 0, run.out[-3000:] + run.error[-3000:]
    assert re.search(r"changed=(\d+)", run.out)[1] == "0", run.out[-6000:]


@pytest.mark.parametrize("tags", [[], ["--tags", "airflow"], ["--tags", "data"], ["--tags", "machines"]])
def test_cleanup_asks(vm: Deployment, tags: list[str]) -> None:
    run = vm.play("playbooks/cleanup.yml", *tags, airflow_confirm="nonsense")
    assert run.code != 0 and run.changed == []
    assert "airflow_confirm=airflow" in run.failures[0]


def test_cleanup_removes_what_was_made_and_it_can_be_made_again(vm: Deployment) -> None:
    """Somebody else's database has the name of the one for results; later, one has that of the metadata."""
    psql = "cd / && sudo -u postgres psql -Atq"
    vm.shell(f"{psql} -c 'create role airflow_results' -c 'create database airflow_results owner airflow_results'")
    run = vm.play("playbooks/cleanup.yml", "--skip-tags", "machines", airflow_confirm="airflow")
    assert run.code == 0, run.failures
    said = [result["msg"] for _task, _host, result in run.results("Say what others made")]
    assert ["database airflow_results, role airflow_results" in message for message in said] == [True]
    left = vm.shell(f"""
ls -d /opt/airflow /etc/airflow /var/lib/airflow /var/log/airflow /usr/local/sbin/airflow /etc/systemd/system/airflow* \
  /etc/tmpfiles.d/airflow.conf /etc/systemd/journald@airflow.conf 2> /dev/null
getent passwd airflow airflow-dag
getent group airflow
{psql} -c "select datname from pg_database where datname like 'airflow%'"
{psql} -c "select 'role', rolname from pg_roles where rolname like 'airflow%'"
pgrep --list-full --full airflow/
true""")
    assert left == "airflow_results\nrole|airflow_results\n"
    again = vm.play("playbooks/cleanup.yml", "--skip-tags", "machines", airflow_confirm="airflow")
    assert (again.code, again.changed) == (0, []), again.failures
    vm.shell(f"{psql} -c 'create database airflow'")
    deploy(vm)
    assert deploy(vm).changed == []
    ours = vm.shell(f"""
{psql} -c "select datname from pg_database where shobj_description(oid, 'pg_database') like 'Made by windward%'"
{psql} -c "select 'role', rolname from pg_roles where shobj_description(oid, 'pg_authid') like 'Made by windward%'"
""")
    assert ours == "role|airflow\n", "what was there before is used without the mark"
