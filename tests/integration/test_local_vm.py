# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Real VMs, on a bridge of their own. The tests run in the order in which they stand: each goes on where one ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils import _local_vm as lv
from ansible_collections.windward.airflow.plugins.module_utils import _local_vm_host as host
from ansible_collections.windward.airflow.plugins.module_utils._local_vm_machine import Inputs, Machine

NO_VM = lv.refusal(host.controller()) or ", ".join(host.controller().missing)
pytestmark = pytest.mark.skipif(bool(os.getuid() or NO_VM), reason=f"makes VMs: needs root. {NO_VM}")

ROOT = Path(__file__).parents[2]
STATE = Path(lv.state_dir(os.environ))
PORT, OTHER_PORT = 18022, 18023
SITE: dict[str, Any] = {
    "network": "10.204.0.0/24",
    "bridge": "wwtest0",
    "suite": "bookworm",
    "mirror": os.environ.get("AIRFLOW_DEBIAN_MIRROR", "http://deb.debian.org/debian"),
    "state_dir": str(STATE),
}
A = {"name": "wwtest-a", "address": "10.204.0.11", "forward": [{"host_port": PORT, "port": 22}]}
B = {"name": "wwtest-b", "address": "10.204.0.12"}
C = {"name": "wwtest-c", "address": "10.204.0.13"}
MOVED = {**A, "address": "10.204.0.21"}


def command(vms: list[dict], **options: Any) -> list[str]:
    """The module by itself: Ansible around it would add a second to each run."""
    arguments = {"ANSIBLE_MODULE_ARGS": {**SITE, "vms": vms, **options}}
    code = "import sys; from ansible.module_utils import basic; basic._ANSIBLE_PROFILE = 'legacy'; "
    code += f"basic._ANSIBLE_ARGS = {json.dumps(arguments).encode()!r}; "
    code += "from ansible_collections.windward.airflow.plugins.modules import local_vm; local_vm.main()"
    return [sys.executable, "-c", code]


def start(vms: list[dict], **options: Any) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".collections")}
    return subprocess.Popen(
        command(vms, **options), env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def bring(*vms: dict, **options: Any) -> dict:
    with start(list(vms), **options) as process:
        output = process.communicate(timeout=300)[0]
    return json.loads(output)


def steps(result: dict) -> dict[str, list[str]]:
    assert not result.get("failed"), result
    return {vm["name"]: vm["steps"] for vm in result["vms"]}


def machine(vm: dict) -> Machine:
    site = lv.Site(*(SITE[name] for name in ("network", "bridge", "suite", "mirror", "state_dir")))
    return Machine(lv.Vm.of(vm), site, Inputs("", "", ""))


def inside(vm: dict, script: str) -> str:
    """Runs a script in a VM, logged in with the options that the lookup gives an inventory."""
    options = f"ssh -o BatchMode=yes -o StrictHostKeyChecking=yes {lv.ssh_args(str(STATE))} ansible@{vm['address']} sh"
    done = subprocess.run(options, shell=True, input=f"set -e; {script}", capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def banner(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.settimeout(5)
        return connection.recv(7)


def traces() -> list[str]:
    """Whatever of these VMs can be found on this computer."""
    found = [str(path) for path in (STATE / "vms").glob("wwtest-*")]
    for hierarchy in ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"):
        found += [str(path) for path in Path(hierarchy).glob("vm-wwtest-*")]
    found += [name for name in os.listdir("/sys/class/net") if "wwtest" in name]
    for table in ("filter", "nat"):
        rules = subprocess.run(["iptables", "-w", "-t", table, "-S"], capture_output=True, text=True, check=True)
        found += [line for line in rules.stdout.splitlines() if "wwtest" in line]
    found += [line for line in host.read(STATE / "known_hosts").splitlines() if line.startswith("10.204.")]
    lines = {pid: " ".join(host.command_line(pid)) for pid in host.processes()}
    found += [line for pid, line in lines.items() if pid != os.getpid() and ("10.204.0." in line or "wwtest-" in line)]
    return found + [str(path) for path in Path("/run/systemd/nspawn/propagate").glob("wwtest-*")]


@pytest.fixture(scope="module", autouse=True)
def nothing_before_and_after() -> Iterator[None]:
    bring(A, B, C, state="absent")
    yield
    bring(A, B, C, state="absent")


def test_check_mode_on_nothing_tells_and_makes_nothing() -> None:
    result = bring(A, B, _ansible_check_mode=True)
    assert steps(result) == {"wwtest-a": ["create", "start", "forward"], "wwtest-b": ["create", "start"]}
    assert result["changed"]
    assert result["network"]
    assert traces() == []


def test_check_of_the_site_ends_well_when_its_vms_are_yet_to_be_made(tmp_path: Path) -> None:
    """On a bridge of its own, so it can be seen that not even that is made."""
    addresses = {"wwtest-a": "10.216.0.11", "wwtest-b": "10.216.0.12"}
    vms = {name: {"ansible_host": address, "airflow_local_vm": {}} for name, address in addresses.items()}
    where = {"airflow_local_vm_network": "10.216.0.0/24", "airflow_local_vm_bridge": "wwtest1"}
    groups = {"airflow_postgresql": "wwtest-b"} | dict.fromkeys(
        ("airflow_api_server", "airflow_scheduler", "airflow_dag_processor", "airflow_triggerer"), "wwtest-a"
    )
    children = {group: {"hosts": {name: None}} for group, name in groups.items()}
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(json.dumps({"airflow": {"hosts": vms, "vars": where, "children": children}}))
    done = subprocess.run(
        ["ansible-playbook", "site.yml", "-i", str(inventory), "--check"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}, timeout=120, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Would be made or started first: wwtest-a, wwtest-b." in done.stdout
    assert done.stdout.count("unreachable=0") == 3  # with localhost, where step 1 runs
    assert "7 verify" in done.stdout
    assert traces() == []


def test_two_vms_come_up() -> None:
    result = bring(A, B)
    assert steps(result) == {"wwtest-a": ["create", "start", "forward"], "wwtest-b": ["create", "start"]}
    assert [vm["failed_units"] for vm in result["vms"]] == [[], []]
    print("seconds", result["seconds"])


def test_second_run_changes_nothing_and_is_fast() -> None:
    began = time.monotonic()
    result = bring(A, B)
    print("no-op run", round(time.monotonic() - began, 2), result["seconds"])
    assert not result["changed"]
    assert steps(result) == {"wwtest-a": [], "wwtest-b": []}
    assert not bring(A, B, _ansible_check_mode=True)["changed"]


@pytest.mark.parametrize("vm", [A, B], ids=["a", "b"])
def test_operator_can_work_in_it(vm: dict) -> None:
    assert inside(vm, "hostname; id -un; sudo id -un").split() == [vm["name"], "ansible", "root"]
    assert inside(vm, "systemctl is-system-running") == "running"
    other = B if vm is A else A
    assert inside(vm, f"bash -c 'head -c 3 < /dev/tcp/{other['address']}/22'") == "SSH"


def test_authorities_of_this_computer_are_trusted() -> None:
    index = os.environ.get("AIRFLOW_PACKAGE_INDEX_URL", "https://pypi.org/simple")
    fetch = f"import urllib.request; print(urllib.request.urlopen('{index}/pip/', timeout=30).status)"
    assert inside(A, f'python3 -c "{fetch}"') == "200"


def test_each_has_its_own_control_group() -> None:
    groups = [host.read(f"/proc/{machine(vm).pid}/cgroup") for vm in (A, B)]
    assert all(f"vm-{vm['name']}" in group for vm, group in zip((A, B), groups, strict=True))


def test_forwarder_leads_into_the_vm_from_loopback_only() -> None:
    assert banner(PORT) == b"SSH-2.0"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("10.204.0.1", PORT), timeout=5)


def test_packages_are_downloaded_once() -> None:
    inside(A, "sudo apt-get install -qq -y --no-install-recommends tree >/dev/null")
    assert list((STATE / "cache/apt").glob("tree_*.deb"))
    assert not list((STATE / "cache/apt").glob(".*.deb.*"))


def test_killed_vm_takes_its_forwarder_along_and_is_started() -> None:
    pid = machine(A).pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert host.until(lambda: not machine(A).own_forwarders(), 30)
    assert steps(bring(A, B, _ansible_check_mode=True)) == {"wwtest-a": ["start", "forward"], "wwtest-b": []}
    assert steps(bring(A, B)) == {"wwtest-a": ["start", "forward"], "wwtest-b": []}
    assert banner(PORT) == b"SSH-2.0"


def test_dead_forwarder_is_repaired_alone() -> None:
    for pid in machine(A).own_forwarders().values():
        os.kill(pid, signal.SIGKILL)
    assert host.until(lambda: not machine(A).own_forwarders(), 30)
    assert steps(bring(A, B)) == {"wwtest-a": ["forward"], "wwtest-b": []}
    assert banner(PORT) == b"SSH-2.0"


def test_vm_that_reboots_comes_back() -> None:
    boot, before = "cat /proc/sys/kernel/random/boot_id", machine(A).pid
    first = inside(A, f"{boot}; sudo systemd-run --quiet --on-active=1 systemctl reboot")
    assert host.until(lambda: machine(A).pid not in (0, before), 180)
    assert steps(bring(A, B)) == {"wwtest-a": ["forward"], "wwtest-b": []}
    assert inside(A, boot) != first


def test_lost_rule_is_repaired() -> None:
    rule = ["POSTROUTING", *lv.rules(machine(A).site, docker=False)[0][2:]]
    subprocess.run(["iptables", "-w", "-t", "nat", "-D", *rule], check=True)
    result = bring(A, B)
    assert result["changed"]
    assert len(result["network"]) == 1
    assert "MASQUERADE" in result["network"][0]


def killed_when(condition: Any, vm: dict) -> None:
    """A run of which all processes are killed as soon as the condition holds."""
    with start([A, B, vm]) as process:
        assert host.until(condition, 60)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_half_made_vm_is_repaired() -> None:
    killed_when((STATE / "vms/wwtest-c.partial/root/usr").exists, C)
    assert steps(bring(A, B, C, _ansible_check_mode=True))["wwtest-c"] == ["discard", "create", "start"]
    assert not (STATE / "vms/wwtest-c").exists()


def test_vm_outlives_the_killed_run_that_started_it() -> None:
    killed_when((STATE / "vms/wwtest-c/pid").exists, C)
    assert steps(bring(A, B, C))["wwtest-c"] == []
    assert inside(C, "systemctl is-system-running") == "running"


def test_new_vm_has_the_packages_of_the_others() -> None:
    assert "tree_" in inside(C, "ls /var/cache/apt/archives")
    assert "Need to get 0 B" in inside(C, "sudo apt-get install --no-install-recommends --assume-no tree || true")


def test_changed_address_and_port_are_applied() -> None:
    moved = {**MOVED, "forward": [{"host_port": OTHER_PORT, "port": 22}]}
    assert steps(bring(moved))["wwtest-a"] == ["stop", "configure", "start", "forward"]
    assert inside(moved, "hostname") == "wwtest-a"
    assert banner(OTHER_PORT) == b"SSH-2.0"
    with pytest.raises(OSError, match="refused"):
        banner(PORT)
    assert steps(bring(A))["wwtest-a"] == ["stop", "configure", "start", "forward"]


def test_port_of_somebody_else_is_refused_by_name() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", OTHER_PORT))):
        result = bring({**B, "forward": [{"host_port": OTHER_PORT, "port": 22}]})
    assert result["failed"]
    assert f"port {OTHER_PORT}" in result["msg"]
    assert f"process {os.getpid()}" in result["msg"]


def test_other_suite_is_refused() -> None:
    assert "was made from bookworm, not trixie" in bring(B, suite="trixie")["msg"]


def test_stopped_vm_is_started() -> None:
    assert steps(bring(B, state="stopped")) == {"wwtest-b": ["stop"]}
    assert not bring(B, state="stopped")["changed"]
    assert steps(bring(B)) == {"wwtest-b": ["start"]}


def test_one_is_removed_and_the_others_stay() -> None:
    result = bring(B, state="absent")
    assert steps(result) == {"wwtest-b": ["remove"]}
    assert result["network"] == []
    assert inside(A, "hostname") == "wwtest-a"
    assert not [trace for trace in traces() if "wwtest-b" in trace or "10.204.0.12" in trace]


def test_removal_leaves_nothing() -> None:
    assert steps(bring(A, C, state="absent", _ansible_check_mode=True)) == {
        "wwtest-a": ["remove"],
        "wwtest-c": ["remove"],
    }
    assert inside(A, "hostname") == "wwtest-a"
    bring(A, C, state="absent")
    assert traces() == []
    assert not bring(A, B, C, state="absent")["changed"]
