# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Local VMs: one VM.

Private to this collection. Needs root.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import _local_vm as lv
from ._local_vm import LocalVmError, Seen, Site, Vm
from ._local_vm_host import (
    command_line,
    detach,
    end,
    foreign,
    forwarders,
    install_authorities,
    listeners,
    processes,
    read,
    remove_tree,
    run,
    stale_authorities,
    under_systemd,
    until,
    write_in,
)
from ._local_vm_image import image_path

BOOT_SECONDS = 120
START_SECONDS = 30  # of a process that takes a moment
STOP_SECONDS = 30

# $1 is the PID file, then control groups up to "--", then the command. The PID and its start time are written before
# the command runs, so there is no moment in which a VM runs unknown.
LAUNCH = r"""
set -eu
pid_file=$1; shift
while [ "$1" != -- ]; do mkdir -p "$1"; echo $$ > "$1/cgroup.procs"; shift; done; shift
set -- "$pid_file" "$(cut -d ' ' -f 22 /proc/$$/stat)" "$@"
echo "$$ $2" > "$1.partial"; mv "$1.partial" "$1"; shift 2
exec "$@"
"""

# $1 is the VM's PID. The loop ends with the forwarder, and the forwarder with the VM, whatever ends it: also where
# nobody reaps it and it stays a zombie.
FORWARD = r"""
setpriv --pdeathsig KILL sh -c '
  while read -r stat 2>/dev/null < "/proc/$1/stat" && [ "${stat#*) Z}" = "$stat" ]; do sleep 0.5; done
  kill "$2"' sh "$1" "$$" &
exec systemd-socket-activate --listen="$2" /lib/systemd/systemd-socket-proxyd "$3"
"""


@dataclass(frozen=True)
class Inputs:
    """What a VM is given of the controller."""

    bundle: str  # the CAs it trusts, PEM
    resolv_conf: str
    public_key: str


class Machine:
    """One VM. The steps that plan() names are methods."""

    def __init__(self, vm: Vm, site: Site, inputs: Inputs) -> None:
        self.vm, self.site, self.inputs = vm, site, inputs
        self.directory = Path(site.path("vms", vm.name))
        self.partial = self.directory.with_name(vm.name + ".partial")
        self.root = self.directory / "root"
        self.pid_file = self.directory / "pid"
        self.unit = f"airflow-local-vm-{vm.name}"

    @property
    def pid(self) -> int:
        """The running VM's systemd-nspawn, or 0."""
        recorded = read(self.pid_file)
        pid = recorded.partition(" ")[0]
        return int(pid) if pid and lv.is_same_process(recorded, read(f"/proc/{pid}/stat")) else 0

    @property
    def cgroups(self) -> list[Path]:
        """On a controller that runs systemd, the VM's unit is its control group."""
        return [] if under_systemd() else [Path(path) for path in lv.cgroups(read("/proc/self/mounts"), self.vm.name)]

    def own_forwarders(self) -> dict[tuple[int, int], int]:
        return {(here, there): pid for pid, here, address, there in forwarders() if address == self.vm.address}

    def serving(self) -> dict[tuple[int, int], int]:
        """Without those of before a reboot: they are about to end, as they would have with the VM."""
        recorded = read(self.pid_file)
        found = self.own_forwarders().items()
        return {pair: pid for pair, pid in found if not lv.is_older(read(f"/proc/{pid}/stat"), recorded)}

    @property
    def files(self) -> dict[str, str]:
        return lv.own_files(self.vm, self.site, self.inputs.resolv_conf, self.inputs.public_key)

    def stale_files(self) -> list[str]:
        found = [name for name, text in self.files.items() if read(self.root / name) != text]
        return found + stale_authorities(self.root, self.inputs.bundle)

    def see(self) -> Seen:
        pid, exists = self.pid, self.directory.is_dir()
        as_wanted = command_line(pid) == lv.nspawn(self.vm, self.site)
        bridged = Path("/sys/class/net", self.site.bridge).exists()
        return Seen(
            exists=exists,
            partial=self.partial.exists(),
            running=bool(pid),
            outdated=bool(pid) and not (as_wanted and bridged),
            stale_files=frozenset(self.stale_files() if exists else ()),
            forwarded=frozenset(self.serving()),
            leftovers=any(path.exists() for path in self.cgroups),
        )

    def problems(self) -> list[str]:
        """What stands in the way of this VM, before anything is made."""
        name, found = self.vm.name, []
        taken = set(listeners()) - {here for here, _there in self.own_forwarders()}
        for here, _there in self.vm.forward:
            if here in taken:
                found.append(f"port {here} of this computer, to be forwarded to {name}, is taken by {foreign(here)}")
        for pid in processes():
            words = command_line(pid)
            if words[:1] == ["systemd-nspawn"] and f"--machine={name}" in words and pid != self.pid:
                found.append(f"another VM named {name} runs already (process {pid})")
        suite = lv.suite_of(read(self.root / "etc/apt/sources.list"))
        if suite not in ("", self.site.suite):
            found.append(
                f"{name} was made from {suite}, not {self.site.suite}: remove it first (playbooks/cleanup.yml)"
            )
        return found

    def discard(self) -> None:
        remove_tree(self.partial)

    def create(self) -> None:
        root = self.partial / "root"
        key = root / "etc/ssh/ssh_host_ed25519_key"
        self.partial.mkdir()
        run("cp", "--archive", "--reflink=auto", str(image_path(self.site)), str(root))
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.vm.name, "-f", str(key))
        write_in(root, "etc/machine-id", uuid.uuid4().hex + "\n")
        self.install(root)
        self.partial.rename(self.directory)

    def configure(self) -> None:
        self.install(self.root)

    def install(self, root: Path) -> None:
        for name, text in self.files.items():
            if read(root / name) != text:
                write_in(root, name, text)
        install_authorities(root, self.inputs.bundle)

    def start(self) -> None:
        self.end_remains()
        self.seed_packages()
        self.pid_file.unlink(missing_ok=True)
        groups = [str(path) for path in self.cgroups]
        command = lv.nspawn(self.vm, self.site)
        detach(self.unit, LAUNCH, str(self.pid_file), *groups, "--", *command, log=self.directory / "console.log")
        if not until(self.pid_file.exists, START_SECONDS):
            raise LocalVmError(f"{self.vm.name} did not start: {self.console()}")

    def seed_packages(self) -> None:
        """Gives the VM what other VMs have downloaded, by a second name of the same file."""
        for package in Path(self.site.path("cache", "apt")).glob("[!.]*.deb"):
            with contextlib.suppress(FileExistsError):
                os.link(package, self.root / "var/cache/apt/archives" / package.name)

    def end_surplus_forwarders(self) -> None:
        for pair, pid in self.own_forwarders().items():
            if pair not in self.vm.forward:
                end(pid)

    def forward(self) -> None:
        pid, target, serving = str(self.pid), self.vm.address, self.serving()
        for pair, former in self.own_forwarders().items():
            if pair not in serving:
                if under_systemd():
                    run("systemctl", "stop", f"{self.unit}-{pair[0]}", check=False)  # the name is free afterwards
                end(former)
        for here, there in set(self.vm.forward) - set(serving):
            detach(f"{self.unit}-{here}", FORWARD, pid, f"127.0.0.1:{here}", f"{target}:{there}")
            if not until(partial(answers, here), START_SECONDS):
                raise LocalVmError(f"the forwarder from port {here} to {self.vm.name} did not start")

    def wait(self) -> list[str]:
        """Returns when sshd answers and systemd has started everything; tells which units failed."""
        deadline = time.monotonic() + BOOT_SECONDS
        state = "no answer from sshd"
        while time.monotonic() < deadline:
            if not self.pid:
                raise LocalVmError(f"{self.vm.name} ended while it booted: {self.console()}")
            if greets(self.vm.address):
                state = self.systemctl("is-system-running", "--wait").strip()
                if state in ("running", "degraded"):
                    failed = self.systemctl("list-units", "--failed", "--plain", "--no-legend")
                    return [line.split()[0] for line in failed.splitlines() if line.strip()]
            time.sleep(0.05)
        raise LocalVmError(f"{self.vm.name} is not ready after {BOOT_SECONDS} s ({state}): {self.console()}")

    def systemctl(self, *words: str) -> str:
        """Asks the VM's systemd as the VM's root: a log-in would take ten times as long."""
        init = (self.children or ["0"])[0]
        command = ("nsenter", "--target", init, "--all", "systemctl", *words)
        return run(*command, check=False, timeout=BOOT_SECONDS).stdout

    @property
    def children(self) -> list[str]:
        """The VM's first process, by its number here."""
        pid = self.pid
        return read(f"/proc/{pid}/task/{pid}/children").split() if pid else []

    def console(self) -> str:
        return "\n".join(line for line in read(self.directory / "console.log").splitlines()[-30:] if line.strip())

    def stop(self) -> None:
        """An orderly shutdown. A VM that takes too long for it, such as one that drains a task, is ended."""
        pid = self.pid
        if pid:
            os.kill(pid, signal.SIGTERM)
        if not until(lambda: not self.pid, STOP_SECONDS):
            self.kill()
        self.end_remains()

    def kill(self) -> None:
        """Ends the VM's first process: systemd-nspawn then takes its interface and mounts away before it ends too."""
        pid = self.pid
        if pid:
            for child in self.children or [str(pid)]:
                os.kill(int(child), signal.SIGKILL)
            until(lambda: not self.pid, STOP_SECONDS)

    def remove(self) -> None:
        """What is being removed is called .partial, so that the next run goes on where this one is killed."""
        self.kill()
        self.end_remains()
        for directory in (self.partial, self.directory):
            if directory.exists():
                directory.rename(self.partial)
                self.discard()

    def end_remains(self) -> None:
        """Ends what may outlive systemd-nspawn. ssh's shared connections too would else wait a while for an answer."""
        for pid in self.own_forwarders().values():
            end(pid)
        for top in self.cgroups:
            end_group(top)
        with contextlib.suppress(OSError):
            Path("/run/systemd/nspawn/propagate", self.vm.name).rmdir()
        run("ip", "link", "delete", f"vb-{self.vm.name}", check=False)
        run("ss", "--kill", "dst", self.vm.address, check=False)


def greets(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def answers(port: int) -> bool:
    return port in listeners()


def end_group(top: Path) -> None:
    """Ends all processes in a control group and removes it."""
    for listed in top.glob("**/cgroup.procs"):
        for pid in filter(None, map(int, read(listed).split())):  # 0 would be this process's own group
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for group in sorted(top.glob("**/"), reverse=True):
        until(partial(vanished, group), 5)


def vanished(group: Path) -> bool:
    """A control group can be removed a moment after its last process."""
    try:
        group.rmdir()
    except OSError:
        return not group.exists()
    return True
