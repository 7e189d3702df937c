# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Local VMs, the part that looks at this machine and changes it. What to do is decided in _local_vm.py.

Private to this collection. Needs root.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import _local_vm as lv
from ._local_vm import LocalVmError, Seen, Site, Vm

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
BOOT_SECONDS = 120
STOP_SECONDS = 30


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess:
    try:
        done = subprocess.run(
            command, env={"PATH": PATH, "LANG": "C.UTF-8"}, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except FileNotFoundError:
        done = subprocess.CompletedProcess(command, 127, "", "not installed")
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-15:]
        raise LocalVmError("%s failed (%d): %s" % (command[0], done.returncode, "\n".join(said)))
    return done


def read(path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
        return ""


def write(path: Path, text: str, mode: int = 0o644, owner: int = 0) -> None:
    """Replaces a file at once, so that a killed run never leaves half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".partial")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(new, mode)
    os.chown(new, owner, pwd.getpwuid(owner).pw_gid)
    os.replace(new, path)


def remove_tree(path: Path) -> None:
    """Removes a root file system, but nothing that a killed run left mounted in it."""
    points = (line.split()[1].encode().decode("unicode_escape") for line in read("/proc/self/mounts").splitlines())
    for point in sorted((point for point in points if point.startswith(f"{path}/")), reverse=True):
        run("umount", "--lazy", point)
    shutil.rmtree(path)


def detach(unit: str, script: str, *arguments: str, log: Path | None = None) -> None:
    """Starts what outlives this run: as a unit of the controller's systemd, else in a session of its own."""
    command = ["sh", "-c", script, unit, *arguments]
    if os.path.isdir("/run/systemd/system"):
        run("systemd-run", "--quiet", "--collect", "--unit=" + unit, "--property=Delegate=yes", *command)
        return
    with open(log or os.devnull, "ab") as output:
        subprocess.Popen(
            command,
            cwd="/",
            env={"PATH": PATH},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def until(condition, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def controller() -> lv.Controller:
    status = dict(line.split(":", 1) for line in read("/proc/self/status").splitlines() if ":" in line)
    limits = {kind: read(f"/proc/sys/user/max_{kind}_namespaces").strip() for kind in lv.NAMESPACES}
    commands = {tool for tool in (*lv.TOOLS, "sudo") if shutil.which(tool, path=PATH)}
    return lv.Controller(
        system=platform.system(),
        architecture=platform.machine(),
        uid=os.getuid(),
        commands=frozenset(commands | {lv.KEYRING} if os.path.exists(lv.KEYRING) else commands),
        debian=os.path.exists("/etc/debian_version"),
        bounding=int(status.get("CapBnd", "f" * 16), 16),
        no_new_privileges=status.get("NoNewPrivs", "0").strip() == "1",
        namespace_limits={kind: int(limit) for kind, limit in limits.items() if limit},
    )


def listeners() -> dict[int, set[str]]:
    """Ports that something listens on, reachable at 127.0.0.1, with the sockets' inodes."""
    found: dict[int, set[str]] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read(table).splitlines()[1:]:
            words = line.split()
            address, port = words[1].split(":")
            if words[3] == "0A" and (address == "0100007F" or not address.strip("0")):
                found.setdefault(int(port, 16), set()).add(words[9])
    return found


def sockets(pid: str) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for descriptor in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(descriptor.path)
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


def command_line(pid: str) -> list[str]:
    return read(f"/proc/{pid}/cmdline").split("\0")[:-1]


def processes() -> list[str]:
    return [pid for pid in os.listdir("/proc") if pid.isdigit()]


def forwarders() -> list[tuple[int, int, str, int]]:
    """Live forwarders as (PID, port here, address there, port there)."""
    ports = {inode: port for port, inodes in listeners().items() for inode in inodes}
    found = []
    for pid in processes():
        words = command_line(pid)
        if words and os.path.basename(words[0]) in ("systemd-socket-activate", "systemd-socket-proxyd"):
            address, dummy, port = words[-1].rpartition(":")
            found += [(int(pid), ports[inode], address, int(port)) for inode in sockets(pid) if inode in ports]
    return found


def foreign(port: int) -> str:
    """Who has a port."""
    inodes = listeners().get(port, set())
    for pid in processes():
        if inodes & sockets(pid):
            return f"process {pid} ({shlex.join(command_line(pid))})"
    return "another process"


class Network:
    """The bridge, forwarding and the firewall rules. They vanish with a reboot and are derived again at each run."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.port_dir = Path("/sys/class/net", site.bridge, "brif")

    def problems(self) -> list[str]:
        """Another network in our place."""
        site, found = self.site, []
        for link in json.loads(run("ip", "-json", "-4", "address", check=False).stdout or "[]"):
            for item in link.get("addr_info", ()):
                address = "%s/%d" % (item["local"], item["prefixlen"])
                if link["ifname"] == site.bridge and address != site.gateway:
                    found.append(f"interface {site.bridge} exists with address {address}, not {site.gateway}")
                elif link["ifname"] != site.bridge and lv.in_network(item["local"], site.network):
                    found.append("interface {} has {}, in {}".format(link["ifname"], address, site.network))
        if os.path.exists("/sys/class/net/" + site.bridge) and not self.port_dir.is_dir():
            found.append(f"interface {site.bridge} exists and is no bridge")
        return found

    def missing(self) -> list[list[str]]:
        """Commands that are still to be run."""
        site = self.site
        link = json.loads(run("ip", "-json", "address", "show", "dev", site.bridge, check=False).stdout or "[]")
        addresses = [item["local"] for item in link[0]["addr_info"]] if link else []
        commands = []
        if not link:
            commands.append(["ip", "link", "add", site.bridge, "type", "bridge", "forward_delay", "0"])
        if str(site.subnet[1]) not in addresses:
            commands.append(["ip", "address", "add", site.gateway, "dev", site.bridge])
        if not link or "UP" not in link[0]["flags"]:
            commands.append(["ip", "link", "set", site.bridge, "up"])
        if read("/proc/sys/net/ipv4/ip_forward").strip() != "1":
            commands.append(["sysctl", "-q", "net.ipv4.ip_forward=1"])
        docker = not run("iptables", "-w", "-n", "-L", "DOCKER-USER", check=False).returncode
        for table, chain, *match in lv.rules(site, docker):
            if run("iptables", "-w", "-t", table, "-C", chain, *match, check=False).returncode:
                commands.append(["iptables", "-w", "-t", table, "-I", chain, *match])
        return commands

    def idle(self) -> bool:
        return not self.port_dir.is_dir() or not any(self.port_dir.iterdir())

    def leftovers(self) -> list[list[str]]:
        """Commands that remove all of it, found by the rules' comment."""
        commands = []
        for table in ("nat", "filter"):
            for line in run("iptables", "-w", "-t", table, "-S", check=False).stdout.splitlines():
                if line.startswith("-A ") and self.site.comment in shlex.split(line):
                    commands.append(["iptables", "-w", "-t", table, "-D", *shlex.split(line)[1:]])
        if self.port_dir.is_dir():
            commands.append(["ip", "link", "delete", self.site.bridge])
        return commands


@dataclass(frozen=True)
class Inputs:
    """What a VM is given of the controller."""

    bundle: str  # the CAs it trusts, PEM
    resolv_conf: str
    public_key: str

    @classmethod
    def of(cls, site: Site, ca_bundle: str) -> Inputs:
        bundle = ca_bundle or next(filter(os.path.exists, BUNDLES), "")
        resolved = "/run/systemd/resolve/resolv.conf"
        resolv_conf = read(resolved) or read("/etc/resolv.conf")
        return cls(read(bundle), resolv_conf, read(site.path("id_ed25519.pub")))


def authorities(root: Path, bundle: str) -> dict[str, str]:
    """Files with the certificates of the bundle that Debian does not have anyway."""
    debian = "".join(map(read, (root / "usr/share/ca-certificates/mozilla").glob("*.crt")))
    extra = set(lv.certificates(bundle)) - set(lv.certificates(debian))
    return {f"{lv.CA_DIRECTORY}/local-vm-{key[:16]}.crt": lv.certificates(bundle)[key] for key in sorted(extra)}


def stale(root: Path, wanted: dict[str, str]) -> list[str]:
    """Files of ours in a root file system that differ from what is wanted, and CAs that are no longer."""
    there = {str(path.relative_to(root)) for path in (root / lv.CA_DIRECTORY).glob("local-vm-*.crt")}
    return [name for name, text in wanted.items() if read(root / name) != text] + sorted(there - set(wanted))


def install(root: Path, wanted: dict[str, str]) -> None:
    names = stale(root, wanted)
    for name in names:
        path = root / name
        if root.resolve() not in path.parent.resolve().parents:
            raise LocalVmError(f"{path} leads out of the VM through a link")
        if name in wanted:
            write(path, wanted[name])
        else:
            path.unlink()
    if any(name.startswith(lv.CA_DIRECTORY) for name in names):
        run("chroot", str(root), "update-ca-certificates")


class Machine:
    """One VM."""

    def __init__(self, vm: Vm, site: Site, inputs: Inputs) -> None:
        self.vm, self.site, self.inputs = vm, site, inputs
        self.directory = Path(site.path("vms", vm.name))
        self.partial = self.directory.with_name(vm.name + ".partial")
        self.root = self.directory / "root"
        self.pid_file = self.directory / "pid"
        self.unit = "airflow-local-vm-" + vm.name

    @property
    def pid(self) -> int:
        """The running VM's systemd-nspawn, or 0."""
        recorded = read(self.pid_file)
        stat = read(f"/proc/{recorded.split()[0]}/stat") if recorded.strip() else ""
        return int(recorded.split()[0]) if lv.is_same_process(recorded, stat) else 0

    @property
    def cgroups(self) -> list[Path]:
        return [Path(path) for path in lv.cgroups(read("/proc/self/mounts"), self.vm.name)]

    def own_forwarders(self) -> dict[tuple[int, int], int]:
        return {(here, there): pid for pid, here, address, there in forwarders() if address == self.vm.address}

    def see(self) -> Seen:
        pid, exists = self.pid, self.directory.is_dir()
        current = command_line(str(pid)) == lv.nspawn(self.vm, self.site) and Path(
            "/sys/class/net", self.site.bridge
        ).exists()
        return Seen(
            exists=exists,
            partial=self.partial.exists(),
            running=bool(pid),
            outdated=bool(pid) and not current,
            stale_files=frozenset(stale(self.root, self.wanted_files(self.root)) if exists else ()),
            forwarded=frozenset(self.own_forwarders()),
            leftovers=any(path.exists() for path in self.cgroups),
        )

    def problems(self) -> list[str]:
        """What stands in the way of this VM, before anything is made."""
        vm, found = self.vm, []
        taken, own = listeners(), self.own_forwarders()
        for here, there in vm.forward:
            if here in taken and here not in {port for port, dummy in own}:
                found.append(
                    "port %d of this computer, to be forwarded to %s, is taken by %s" % (here, vm.name, foreign(here))
                )
        suites = [line.split()[2] for line in read(self.root / "etc/apt/sources.list").splitlines() if line[:4] == "deb "]
        if suites and self.site.suite not in suites:
            found.append(
                f"{vm.name} was made from {suites[0]}, not {self.site.suite}: remove it first (playbooks/cleanup.yml)"
            )
        return found

    def wanted_files(self, root: Path) -> dict[str, str]:
        return {**lv.own_files(self.vm, self.site, self.inputs.resolv_conf, self.inputs.public_key), **authorities(root, self.inputs.bundle)}

    def configure(self) -> None:
        install(self.root, self.wanted_files(self.root))

    def discard(self) -> None:
        remove_tree(self.partial)

    def create(self) -> None:
        root = self.partial / "root"
        self.partial.mkdir(parents=True)
        run("cp", "--archive", "--reflink=auto", self.site.path("images", self.site.image), str(root))
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.vm.name, "-f", str(root / "etc/ssh/ssh_host_ed25519_key"))
        write(root / "etc/machine-id", uuid.uuid4().hex + "\n", 0o444)
        install(root, self.wanted_files(root))
        self.partial.rename(self.directory)

    def start(self) -> None:
        self.end_remains()
        self.seed_packages()
        groups = [] if os.path.isdir("/run/systemd/system") else [str(path) for path in self.cgroups]
        command = lv.nspawn(self.vm, self.site)
        self.pid_file.unlink(missing_ok=True)
        detach(self.unit, lv.LAUNCH, str(self.pid_file), *groups, "--", *command, log=self.directory / "console.log")
        if not until(self.pid_file.exists, 10):
            raise LocalVmError(f"{self.vm.name} did not start: {self.console()}")

    def seed_packages(self) -> None:
        """Gives the VM what other VMs have downloaded, by a second name of the same file."""
        for package in Path(self.site.path("cache", "apt")).glob("[!.]*.deb"):
            with contextlib.suppress(FileExistsError):
                os.link(package, self.root / "var/cache/apt/archives" / package.name)

    def forward(self) -> None:
        """Makes the live forwarders those that are declared."""
        pid, own = self.pid, self.own_forwarders()
        for pair, forwarder in own.items():
            if pair not in self.vm.forward:
                end(forwarder)
        for here, there in set(self.vm.forward) - set(own):
            detach(
                "%s-%d" % (self.unit, here),
                lv.FORWARD,
                str(pid),
                "127.0.0.1:%d" % here,
                "%s:%d" % (self.vm.address, there),
            )
            if not until(lambda port=here: port in listeners(), 5):
                raise LocalVmError("the forwarder from port %d to %s did not start" % (here, self.vm.name))

    def wait(self) -> list[str]:
        """Returns when somebody can log in and systemd has started everything; tells which units failed."""
        ask = "systemctl is-system-running --wait; systemctl list-units --failed --plain --no-legend"
        address = (self.vm.address, 22)
        deadline = time.monotonic() + BOOT_SECONDS
        answer = ""
        while time.monotonic() < deadline:
            if not self.pid:
                raise LocalVmError(f"{self.vm.name} ended while it booted: {self.console()}")
            try:
                socket.create_connection(address, timeout=1).close()
            except OSError:
                time.sleep(0.05)
                continue
            said = run(*ssh(self.site), f"{lv.LOGIN}@{self.vm.address}", ask, check=False)
            state, *failed = said.stdout.splitlines() or [""]
            if state in ("running", "degraded"):
                return [line.split()[0] for line in failed if line.strip()]
            answer = said.stderr.strip() or state
            time.sleep(0.1)
        raise LocalVmError("%s does not answer after %d s: %s" % (self.vm.name, BOOT_SECONDS, answer or self.console()))

    def console(self) -> str:
        return "\n".join(read(self.directory / "console.log").splitlines()[-15:])

    def stop(self) -> None:
        """An orderly shutdown; a VM that takes too long for it is ended."""
        pid = self.pid
        if pid:
            os.kill(pid, signal.SIGTERM)
            if not until(lambda: not self.pid, STOP_SECONDS):
                os.kill(pid, signal.SIGKILL)
                until(lambda: not self.pid, STOP_SECONDS)
        self.end_remains()

    def remove(self) -> None:
        self.stop()
        if self.directory.exists():
            if self.partial.exists():
                self.discard()
            self.directory.rename(self.partial)
        if self.partial.exists():
            self.discard()

    def end_remains(self) -> None:
        """Ends what may outlive a VM: ssh's shared connections too would else wait a while for an answer."""
        for forwarder in self.own_forwarders().values():
            end(forwarder)
        run("ss", "--kill", "dst", self.vm.address, check=False)
        for top in self.cgroups:
            for path in sorted(top.glob("**/"), reverse=True) if top.exists() else ():
                until(lambda group=path: removed(group), 5)


def removed(group: Path) -> bool:
    """A control group can be removed a moment after its last process."""
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    until(lambda: not os.path.exists("/proc/%d/fd/0" % pid), 5)


def ssh(site: Site) -> list[str]:
    """Logs in as the operator will: with the key that was made, to the host key that was pinned."""
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": "5",
        "IdentitiesOnly": "yes",
        "IdentityFile": '"{}"'.format(site.path("id_ed25519")),
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": '"{}"'.format(site.path("known_hosts")),
    }
    return ["ssh", "-F", "none", *(word for item in options.items() for word in ("-o", "{}={}".format(*item)))]


class Store:
    """The state directory: the operator's key and known hosts, and root's images and VMs."""

    def __init__(self, site: Site, owner: int) -> None:
        self.site, self.owner = site, owner
        self.directory = Path(site.state_dir)
        self.image = Path(site.path("images", site.image))

    def problems(self) -> list[str]:
        parent = next(path for path in (self.directory, *self.directory.parents) if path.exists())
        if os.statvfs(parent).f_flag & (os.ST_NOSUID | os.ST_NOEXEC):
            return [f"{parent} is mounted nosuid or noexec: let XDG_STATE_HOME name a directory elsewhere"]
        return []

    @contextlib.contextmanager
    def locked(self):
        """One run at a time; and whatever is missing of the directory is made, for the operator."""
        for path in reversed((self.directory, *self.directory.parents)):
            if not path.exists():
                path.mkdir()
                os.chown(path, self.owner, pwd.getpwuid(self.owner).pw_gid)
        for name, mode in (("images", 0o700), ("vms", 0o700), ("cache", 0o755), ("cache/apt", 0o755), ("cache/uv", 0o755)):
            (self.directory / name).mkdir(mode, exist_ok=True)
        with open(self.directory / "lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def make_key(self) -> None:
        key, new = self.directory / "id_ed25519", self.directory / "new_key"
        if not key.with_suffix(".pub").exists():
            for path in (new, new.with_suffix(".pub")):
                path.unlink(missing_ok=True)
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "windward.airflow", "-f", str(new))
            for path, mode in ((new, 0o600), (new.with_suffix(".pub"), 0o644)):
                write(key.with_suffix(path.suffix), read(path), mode, self.owner)
                path.unlink()

    def build_image(self, bundle: str) -> None:
        """Makes the root file system that VMs are copied from, in a mount namespace: a killed build leaves no mounts."""
        partial = self.image.with_name(self.image.name + ".partial")
        if partial.exists():
            remove_tree(partial)
        run(
            *("unshare", "--mount", "mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"),
            *("--include=" + ",".join(lv.PACKAGES), "--keyring=" + lv.KEYRING, "--skip=cleanup/apt/lists"),
            *(self.site.suite, str(partial), *self.site.sources),
        )
        run("chroot", str(partial), "sh", "-c", lv.RECIPE)
        install(partial, authorities(partial, bundle))
        partial.rename(self.image)

    def pin_host_keys(self) -> None:
        """known_hosts is what the VMs that exist say of themselves."""
        lines = []
        for root in sorted((self.directory / "vms").glob("*/root")):
            address = lv.address_of(read(root / lv.NETWORK_FILE))
            key = read(root / "etc/ssh/ssh_host_ed25519_key.pub").split()
            if root.parent.suffix != ".partial" and address and len(key) > 1:
                lines.append(f"{address} {key[0]} {key[1]}\n")
        known_hosts = self.directory / "known_hosts"
        if read(known_hosts) != "".join(lines):
            write(known_hosts, "".join(lines), 0o644, self.owner)


class LocalVms:
    """All VMs of one declaration."""

    def __init__(self, vms: list[Vm], site: Site, ca_bundle: str, owner: int) -> None:
        self.site = site
        self.ca_bundle = ca_bundle
        self.store, self.network = Store(site, owner), Network(site)
        self.declared = vms

    def ensure(self, wanted: str, check_mode: bool) -> dict:
        """Brings the VMs to the wanted state and tells what that took, or would take."""
        self.refuse(lv.problems(self.declared, self.site.network))
        refusal = lv.refusal(controller())
        if refusal:
            raise LocalVmError(refusal)
        with contextlib.nullcontext() if check_mode else self.store.locked():
            return self._ensure(wanted, check_mode)

    def _ensure(self, wanted: str, check_mode: bool) -> dict:
        site, up = self.site, wanted == "running"
        machines = [Machine(vm, site, Inputs.of(site, self.ca_bundle)) for vm in self.declared]
        if up:
            found = self.store.problems() + self.network.problems()
            self.refuse(found + [problem for machine in machines for problem in machine.problems()])
        seen = [machine.see() for machine in machines]
        steps = [lv.plan(wanted, machine.vm, one) for machine, one in zip(machines, seen)]
        image = any("create" in some for some in steps) and not self.store.image.exists()
        network = self.network.missing() if up and machines else []
        result = {
            "changed": bool(image or network or any(steps)),
            "image": {"name": site.image, "built": image},
            "network": [shlex.join(command) for command in network],
            "vms": [
                {"name": m.vm.name, "address": m.vm.address, "was": one.state, "steps": some, "failed_units": []}
                for m, one, some in zip(machines, seen, steps)
            ],
        }
        if not check_mode:
            self.apply(wanted, machines, steps, image, network, result)
        return result

    def apply(self, wanted, machines, steps, image, network, result) -> None:
        seconds = result["seconds"] = {}
        if wanted == "running":
            self.store.make_key()
        inputs = Inputs.of(self.site, self.ca_bundle)
        for machine in machines:
            machine.inputs = inputs
        if any("start" in some for some in steps):
            self.test_namespaces()
        if image:
            with measured(seconds, "image"):
                self.store.build_image(inputs.bundle)
        for command in network:
            run(*command)
        with ThreadPoolExecutor(max(len(machines), 1)) as pool:
            with measured(seconds, "steps"):
                list(pool.map(lambda pair: [getattr(pair[0], step)() for step in pair[1]], zip(machines, steps)))
            self.store.pin_host_keys()
            if wanted == "running":
                with measured(seconds, "ready"):
                    for told, failed in zip(result["vms"], pool.map(Machine.wait, machines)):
                        told["failed_units"] = failed
        if wanted != "running":
            self.tidy(result)

    def tidy(self, result: dict) -> None:
        """The network goes with its last VM; the kernel takes a moment to remove a VM's interface."""
        running = [path for path in Path(self.site.path("vms")).glob("*/pid") if self.lives(path.parent.name)]
        if self.network.idle() or (not running and until(self.network.idle, 3)):
            for command in self.network.leftovers():
                run(*command)
                result["network"].append(shlex.join(command))
                result["changed"] = True

    def lives(self, name: str) -> bool:
        return bool(Machine(Vm(name, ""), self.site, Inputs("", "", "")).pid)

    @staticmethod
    def test_namespaces() -> None:
        done = run("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "true", check=False)
        if done.returncode:
            raise LocalVmError(
                f"A local VM cannot be made here: namespaces are forbidden ({done.stderr.strip()}){lv.INSTEAD}."
            )

    @staticmethod
    def refuse(found: list[str]) -> None:
        if found:
            raise LocalVmError("; ".join(found) + ".")


@contextlib.contextmanager
def measured(seconds: dict, name: str):
    began = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - began, 2)
