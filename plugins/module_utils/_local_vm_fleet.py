# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Local VMs: all of one declaration, and the directory that they live in.

Private to this collection. Needs root.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from . import _local_vm as lv
from ._local_vm import LocalVmError, Site, Vm
from ._local_vm_host import controller, give, read, run, until, write
from ._local_vm_image import build_image, image_name, image_path
from ._local_vm_machine import Inputs, Machine
from ._local_vm_network import Network

BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


class Store:
    """The state directory: the operator's key and known hosts, root's images, VMs and caches."""

    def __init__(self, site: Site, owner: int) -> None:
        self.directory, self.owner = Path(site.state_dir), owner
        self.key = self.directory / "id_ed25519"

    def problems(self) -> list[str]:
        parent = next(path for path in (self.directory, *self.directory.parents) if path.exists())
        if os.statvfs(parent).f_flag & (os.ST_NOSUID | os.ST_NOEXEC):
            return [f"{parent} is mounted nosuid or noexec: let XDG_STATE_HOME name a directory elsewhere"]
        return []

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One run at a time. What is missing of the directory is made, for the operator."""
        for path in reversed((self.directory, *self.directory.parents)):
            if not path.exists():
                path.mkdir()
                give(path, self.owner)
        for name in ("images", "vms"):
            (self.directory / name).mkdir(0o700, exist_ok=True)
        for name in lv.CACHES:
            (self.directory / "cache" / name).mkdir(parents=True, exist_ok=True)
        with open(self.directory / "lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def make_key(self) -> None:
        """The public key is written last: where it is, the pair is whole."""
        public, new = self.key.with_suffix(".pub"), self.directory / "new_key"
        if not public.exists():
            for path in (new, new.with_suffix(".pub")):
                path.unlink(missing_ok=True)
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "windward.airflow", "-f", str(new))
            write(self.key, read(new), 0o600, self.owner)
            write(public, read(new.with_suffix(".pub")), 0o644, self.owner)
            for path in (new, new.with_suffix(".pub")):
                path.unlink()

    def pin_host_keys(self) -> None:
        """known_hosts is what the VMs that exist say of themselves."""
        lines = []
        for root in sorted(self.directory.glob("vms/*/root")):
            address = lv.address_of(read(root / lv.NETWORK_FILE))
            key = read(root / "etc/ssh/ssh_host_ed25519_key.pub").split()
            if root.parent.suffix != ".partial" and address and len(key) > 1:
                lines.append(f"{address} {key[0]} {key[1]}\n")
        known_hosts = self.directory / "known_hosts"
        if read(known_hosts) != "".join(lines):
            write(known_hosts, "".join(lines), 0o644, self.owner)


@dataclass
class Plan:
    """What one run is to do."""

    machines: list[Machine]
    was: list[str]
    steps: list[list[str]]
    network: list[list[str]] = field(default_factory=list)
    image: bool = False

    def result(self, site: Site) -> dict:
        vms = zip(self.machines, self.was, self.steps)
        return {
            "changed": bool(self.image or self.network or any(self.steps)),
            "image": {"name": image_name(site), "built": self.image},
            "network": [shlex.join(command) for command in self.network],
            "vms": [{"name": one.vm.name, "address": one.vm.address, "was": was, "steps": do} for one, was, do in vms],
        }


class Fleet:
    """All VMs of one declaration."""

    def __init__(self, vms: list[Vm], site: Site, owner: int, ca_bundle: str, proxies: dict[str, str]) -> None:
        self.vms, self.site, self.ca_bundle, self.proxies = vms, site, ca_bundle, proxies
        self.store, self.network = Store(site, owner), Network(site)

    def bring(self, wanted: str, check_mode: bool) -> dict:
        """Brings the VMs to the wanted state and tells what that took, or would take."""
        here = controller()
        refuse(lv.problems(self.vms, self.site.network))
        if lv.refusal(here):
            raise LocalVmError(lv.refusal(here))
        if here.missing and wanted == "running" and not check_mode:
            raise LocalVmError(
                f"Local VMs need {', '.join(here.missing)}; role windward.airflow.local_vm installs them."
            )
        if check_mode:
            return self.plan(wanted).result(self.site)
        with self.store.locked():
            plan = self.plan(wanted)
            result = plan.result(self.site)
            seconds = result["seconds"] = {}
            if wanted == "running":
                failed = self.apply(plan, seconds)
                for told, units in zip(result["vms"], failed):
                    told["failed_units"] = units
            else:
                self.reduce(plan, result)
            return result

    def inputs(self) -> Inputs:
        bundle = self.ca_bundle or next((path for path in BUNDLES if Path(path).exists()), "")
        resolv_conf = lv.resolver(read("/etc/resolv.conf"), read("/run/systemd/resolve/resolv.conf"))
        return Inputs(read(bundle), resolv_conf, read(self.store.key.with_suffix(".pub")))

    def plan(self, wanted: str) -> Plan:
        inputs = self.inputs() if wanted == "running" else Inputs("", "", "")
        machines = [Machine(vm, self.site, inputs) for vm in self.vms]
        if wanted == "running":
            found = self.store.problems() + self.network.problems()
            refuse(found + [problem for machine in machines for problem in machine.problems()])
        seen = [machine.see() for machine in machines]
        plan = Plan(machines, [one.state for one in seen], [lv.plan(wanted, *pair) for pair in zip(self.vms, seen)])
        if wanted == "running" and machines:
            plan.image = any("create" in steps for steps in plan.steps) and not image_path(self.site).exists()
            plan.network = self.network.missing()
        return plan

    def apply(self, plan: Plan, seconds: dict) -> list[list[str]]:
        """Returns the failed units of each VM."""
        if any("start" in steps for steps in plan.steps):
            test_namespaces()
        self.store.make_key()
        inputs = self.inputs()
        if plan.image:
            with measured(seconds, "image"):
                build_image(self.site, inputs.bundle, self.proxies)
        for command in plan.network:
            run(*command)
        for machine in plan.machines:
            machine.inputs = inputs
            machine.end_surplus_forwarders()
        with ThreadPoolExecutor(max(len(plan.machines), 1)) as pool:
            with measured(seconds, "steps"):
                list(pool.map(perform, plan.machines, plan.steps))
            self.store.pin_host_keys()
            with measured(seconds, "ready"):
                return list(pool.map(Machine.wait, plan.machines))

    def reduce(self, plan: Plan, result: dict) -> None:
        """Stops or removes VMs, and the network with its last one; the kernel takes a moment to remove an interface."""
        with ThreadPoolExecutor(max(len(plan.machines), 1)) as pool, measured(result["seconds"], "steps"):
            list(pool.map(perform, plan.machines, plan.steps))
        self.store.pin_host_keys()
        if self.network.idle() or (not self.others_run() and until(self.network.idle, 10)):
            for command in self.network.present():
                run(*command)
                result["network"].append(shlex.join(command))
                result["changed"] = True

    def others_run(self) -> bool:
        names = (path.name for path in self.store.directory.glob("vms/*"))
        return any(Machine(Vm(name, ""), self.site, Inputs("", "", "")).pid for name in names)


def perform(machine: Machine, steps: list[str]) -> None:
    for step in steps:
        getattr(machine, step)()


def refuse(problems: list[str]) -> None:
    if problems:
        raise LocalVmError("; ".join(problems) + ".")


def test_namespaces() -> None:
    done = run("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "true", check=False)
    if done.returncode:
        reason = f"namespaces are forbidden ({done.stderr.strip()})"
        raise LocalVmError(f"A local VM cannot be made here: {reason}{lv.INSTEAD}.")


@contextlib.contextmanager
def measured(seconds: dict, name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - began, 2)
