# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every component dies, machines too, and each is rebooted: no task is lost."""

from __future__ import annotations

import faults
import pytest
from deployment import Deployment
from ledger import HEARTBEAT, LANES, Ledger, Load

BOOT = "cat /proc/sys/kernel/random/boot_id"


@pytest.fixture(scope="module")
def vms() -> Deployment:
    return Deployment("vms")


@pytest.fixture(scope="module")
def ledger(vms: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger(vms, tmp_path_factory.mktemp("ledger"))


def test_reboots_lose_nothing(vms: Deployment, ledger: Ledger) -> None:
    before = {host: vms.shell(BOOT, host) for host in vms.addresses}
    with Load(ledger) as load:
        load.wait(3)
        run = vms.play("playbooks/reboot.yml")
        assert run.code == 0, run.failures
    after = {host: vms.shell(BOOT, host) for host in vms.addresses}
    assert not set(before.values()) & set(after.values()), "every host was rebooted"


def test_no_fault_loses_a_task(vms: Deployment, ledger: Ledger) -> None:
    assert faults.heartbeat_timeout(vms) == HEARTBEAT
    everything = [faults.SCHEDULERS, faults.BROKER, faults.API, *faults.OTHERS]
    faults.survive(ledger, [faults.WORKER, faults.WORKER_VM], everything, (*LANES, "deferred", "deferred"))
