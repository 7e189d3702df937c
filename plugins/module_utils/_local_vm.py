# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Local VMs, the part that only computes: what follows from a declaration, and what is to be done about what was seen.

Private to this collection. Nothing here looks at the machine; _local_vm_{host,network,image,machine,fleet}.py do.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

INSTEAD = "; to deploy to a real machine instead, set its ansible_host and ansible_user in the inventory"
LOGIN = "ansible"
NETWORK_FILE = "etc/systemd/network/10-host0.network"
CA_DIRECTORY = "usr/local/share/ca-certificates"
CACHE_MOUNT = "/var/cache/airflow"
CACHES = ("apt", "uv")
ARCHITECTURES = ("x86_64", "aarch64", "ppc64le", "s390x")
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_CHROOT": 18, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27}
NAMESPACES = ("mnt", "pid", "net", "uts", "ipc")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# What the controller needs, and the Debian package that has it.
TOOLS = {
    "systemd-nspawn": "systemd-container",
    "systemd-socket-activate": "systemd",
    "mmdebstrap": "mmdebstrap",
    "iptables": "iptables",
    "ip": "iproute2",
    "ssh-keygen": "openssh-client",
    "setpriv": "util-linux",
    KEYRING: "debian-archive-keyring",
}


class LocalVmError(Exception):
    """One sentence for the user."""


@dataclass(frozen=True)
class Vm:
    name: str
    address: str
    forward: tuple[tuple[int, int], ...] = ()  # (port on the controller's loopback, port in the VM)

    @classmethod
    def of(cls, declaration: dict) -> Vm:
        pairs = ((int(item["host_port"]), int(item["port"])) for item in declaration.get("forward") or ())
        return cls(str(declaration["name"]), str(declaration["address"]), tuple(pairs))

    @property
    def declaration(self) -> dict:
        forward = [{"host_port": here, "port": there} for here, there in self.forward]
        return {"name": self.name, "address": self.address, "forward": forward}


@dataclass(frozen=True)
class Site:
    """What all VMs of one run share."""

    network: str
    bridge: str
    suite: str
    mirror: str
    state_dir: str

    @property
    def subnet(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(self.network)

    @property
    def gateway(self) -> str:
        return f"{self.subnet[1]}/{self.subnet.prefixlen}"

    @property
    def comment(self) -> str:
        return "windward.airflow " + self.bridge

    @property
    def sources(self) -> tuple[str, ...]:
        return (
            f"deb {self.mirror} {self.suite} main",
            f"deb {self.mirror} {self.suite}-updates main",
            f"deb {self.mirror}-security {self.suite}-security main",
        )

    def path(self, *parts: str) -> str:
        return "/".join((self.state_dir, *parts))


def declared(hosts: Mapping, network: str) -> list[Vm]:
    """The inventory's local VMs: hosts that ask to be one and have an address in the network."""
    return [
        Vm.of({**hostvars["airflow_local_vm"], "name": name, "address": hostvars["ansible_host"]})
        for name, hostvars in hosts.items()
        if isinstance(hostvars.get("airflow_local_vm"), dict) and in_network(hostvars.get("ansible_host", ""), network)
    ]


def problems(vms: list[Vm], network: str) -> list[str]:
    """What is wrong with a declaration, a sentence each."""
    try:
        subnet = ipaddress.IPv4Network(network)
    except ValueError as error:
        return [f"airflow_local_vm_network {network!r} is no IPv4 network ({error})"]
    found = []
    usable = subnet.num_addresses - 3  # without the network's own address, the gateway and broadcast
    if usable < 1:
        found.append(f"airflow_local_vm_network {network} has no room for a VM")
    for vm in vms:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?", vm.name):
            found.append(f"{vm.name!r} cannot be a VM's name: use up to 60 of a-z, 0-9 and - (not first or last)")
        if usable >= 1 and not in_network(vm.address, network):
            found.append(f"ansible_host {vm.address} of {vm.name} is not an address in {network}")
        elif usable >= 1 and ipaddress.IPv4Address(vm.address) in (subnet[0], subnet[1], subnet[-1]):
            found.append(f"ansible_host {vm.address} of {vm.name} is taken by the network itself")
        for port in (port for pair in vm.forward for port in pair if not 0 < port < 65536):
            found.append(f"airflow_local_vm.forward of {vm.name} has {port}, which is no port")
    for what, values in (
        ("name", [vm.name for vm in vms]),
        ("address", [vm.address for vm in vms]),
        ("host_port", [str(host_port) for vm in vms for host_port, _port in vm.forward]),
    ):
        for value in sorted({value for value in values if values.count(value) > 1}):
            found.append(f"{what} {value} is declared twice")
    return found


def in_network(address: str, network: str) -> bool:
    try:
        return ipaddress.IPv4Address(address) in ipaddress.IPv4Network(network)
    except ValueError:
        return False


@dataclass(frozen=True)
class Controller:
    """What a refusal depends on; all of it can be read without any right."""

    system: str
    architecture: str
    uid: int
    commands: frozenset = frozenset()
    debian: bool = True
    bounding: int = ~0  # CapBnd: what even sudo cannot go beyond
    no_new_privileges: bool = False
    namespace_limits: dict = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        return sorted({package for tool, package in TOOLS.items() if tool not in self.commands})


def refusal(controller: Controller) -> str:
    """Why local VMs cannot work here, in one sentence; empty if they can."""
    reason = ""
    lacking = [name for name, bit in CAPABILITIES.items() if not controller.bounding >> bit & 1]
    forbidden = [kind for kind in NAMESPACES if controller.namespace_limits.get(kind) == 0]
    if controller.system != "Linux":
        reason = f"this computer runs {controller.system}, not Linux"
    elif controller.architecture not in ARCHITECTURES:
        reason = f"Debian is not known to run on {controller.architecture}"
    elif lacking:
        reason = "this computer is itself a container without " + ", ".join(lacking)
    elif forbidden:
        reason = f"the kernel forbids new {', '.join(forbidden)} namespaces (/proc/sys/user)"
    elif controller.uid and "sudo" not in controller.commands:
        reason = "you are not root and there is no sudo"
    elif controller.uid and controller.no_new_privileges:
        reason = "you are not root and this session may not gain privileges (no_new_privs)"
    elif controller.missing and not controller.debian:
        reason = f"this is neither Debian nor Ubuntu, so install {', '.join(controller.missing)} first"
    return f"A local VM cannot be made here: {reason}{INSTEAD}." if reason else ""


def state_dir(environ: Mapping) -> str:
    """The operator's directory for everything about local VMs. A relative XDG path is invalid, says its standard."""
    base = environ.get("XDG_STATE_HOME", "")
    return (base if base.startswith("/") else environ["HOME"] + "/.local/state") + "/windward.airflow"


def ssh_args(directory: str) -> str:
    """Options that make ssh know our VMs and change nothing for another host: the user's own files stay in force."""
    known_hosts = f'"{directory}/known_hosts" ~/.ssh/known_hosts ~/.ssh/known_hosts2'
    keys = [f'"{directory}/id_ed25519"']
    keys += ["~/.ssh/id_" + kind for kind in ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk")]
    options = ["UserKnownHostsFile=" + known_hosts, *("IdentityFile=" + key for key in keys)]
    return " ".join("-o " + shlex.quote(option) for option in options)


def nspawn(vm: Vm, site: Site) -> list[str]:
    caches = (
        "--bind={}:{}/{}".format(site.path("cache", name).replace(":", r"\:"), CACHE_MOUNT, name) for name in CACHES
    )
    return [
        "systemd-nspawn",
        "--quiet",
        "--settings=no",
        "--boot",
        "--register=no",
        "--keep-unit",
        f"--machine={vm.name}",
        "--directory=" + site.path("vms", vm.name, "root"),
        f"--network-bridge={site.bridge}",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        *caches,
    ]


def rules(site: Site, docker: bool) -> list[list[str]]:
    """iptables rules as [table, chain, match...]. Docker drops what is forwarded unless its own chain accepts it."""
    comment = ["-m", "comment", "--comment", site.comment]
    established = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"]
    wanted = [["nat", "POSTROUTING", "-s", site.network, "!", "-o", site.bridge, *comment, "-j", "MASQUERADE"]]
    for chain in ["FORWARD"] + ["DOCKER-USER"] * docker:
        wanted.append(["filter", chain, "-i", site.bridge, *comment, "-j", "ACCEPT"])
        wanted.append(["filter", chain, "-o", site.bridge, *established, *comment, "-j", "ACCEPT"])
    return wanted


def cgroups(mounts: str, name: str) -> list[str]:
    """A VM's own control groups, from the text of /proc/self/mounts: two systemds in one group fight over it."""
    found = []
    for line in mounts.splitlines():
        point, kind, options = line.split()[1:4]
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(f"{point}/vm-{name}")
    return sorted(set(found))


def is_same_process(pid_file: str, stat: str) -> bool:
    """Whether the process with this /proc/PID/stat wrote the PID file, and is not a later one of its number."""
    after_name = stat.rpartition(")")[2].split()  # a process's name may hold blanks and parentheses
    recorded = pid_file.split()
    if len(recorded) != 2 or len(after_name) < 20 or after_name[0] == "Z":
        return False
    return recorded == [stat.split(" ", 1)[0], after_name[19]]


def is_older(stat: str, pid_file: str) -> bool:
    """Whether the process with this /proc/PID/stat began before the one that wrote the PID file."""
    after_name, recorded = stat.rpartition(")")[2].split(), pid_file.split()
    return len(recorded) == 2 and len(after_name) >= 20 and int(after_name[19]) < int(recorded[1])


def network_file(vm: Vm, site: Site) -> str:
    return f"""[Match]
Name=host0

[Network]
Address={vm.address}/{site.subnet.prefixlen}
Gateway={site.subnet[1]}
DHCP=no
LinkLocalAddressing=no
IPv6AcceptRA=no
"""


def address_of(text: str) -> str:
    """The address in a network file."""
    found = re.search(r"^Address=([0-9.]+)/", text, re.MULTILINE)
    return found.group(1) if found else ""


def reachable(server: str) -> bool:
    """Whether a VM can ask this name server: not one of the controller's loopback or of a link."""
    try:
        address = ipaddress.ip_address(server.split("%")[0])
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local)


def resolver(*candidates: str) -> str:
    """The VM's resolv.conf, from the first of the controller's that has a server a VM can ask."""
    for text in candidates:
        lines = [line.split() for line in text.splitlines()]
        servers = [words for words in lines if words[:1] == ["nameserver"] and reachable("".join(words[1:2]))]
        if servers:
            rest = [words for words in lines if words[:1] in (["search"], ["options"])]
            return "".join(" ".join(words) + "\n" for words in servers + rest)
    raise LocalVmError(
        f"A local VM would have no DNS: no name server in /etc/resolv.conf can be reached by it{INSTEAD}."
    )


def suite_of(sources: str) -> str:
    """The suite in a sources.list."""
    words = next((line.split() for line in sources.splitlines() if line.startswith("deb ")), [])
    return words[2] if len(words) > 2 else ""


def certificates(bundle: str) -> dict[str, str]:
    """The certificates of a PEM bundle by their digest."""
    pems = re.findall(r"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", bundle, re.DOTALL)
    bodies = ("".join(pem.splitlines()[1:-1]) for pem in pems)
    return {hashlib.sha256(base64.b64decode(body)).hexdigest(): pem + "\n" for body, pem in zip(bodies, pems)}


def own_files(vm: Vm, site: Site, resolv_conf: str, public_key: str) -> dict[str, str]:
    """The files of a VM's root file system that follow from the declaration and the controller."""
    return {
        NETWORK_FILE: network_file(vm, site),
        "etc/hostname": vm.name + "\n",
        "etc/hosts": f"127.0.0.1 localhost\n::1 localhost\n{vm.address} {vm.name}\n",
        "etc/resolv.conf": resolv_conf,
        f"home/{LOGIN}/.ssh/authorized_keys": public_key,
    }


@dataclass(frozen=True)
class Seen:
    """What there is of one VM."""

    exists: bool = False
    partial: bool = False
    running: bool = False
    outdated: bool = False  # runs with other options than it would be given now
    stale_files: frozenset = frozenset()
    forwarded: frozenset = frozenset()  # pairs that a live forwarder serves
    leftovers: bool = False  # control groups without a VM

    @property
    def state(self) -> str:
        return "running" if self.running else "stopped" if self.exists else "partial" if self.partial else "absent"


def plan(wanted: str, vm: Vm, seen: Seen) -> list[str]:
    """The steps from what is to what is wanted; each is a method of Machine."""
    if wanted == "absent":
        there = seen.exists or seen.partial or seen.running or seen.leftovers or seen.forwarded
        return ["remove"] if there else []
    if wanted == "stopped":
        return ["stop"] if seen.running else []
    steps = ["discard"] if seen.partial else []
    restart = seen.running and (seen.outdated or NETWORK_FILE in seen.stale_files)
    if restart:
        steps.append("stop")
    if not seen.exists:
        steps.append("create")
    elif seen.stale_files:
        steps.append("configure")
    if restart or not seen.running:
        steps.append("start")
    serving = frozenset() if "start" in steps else seen.forwarded
    if serving != set(vm.forward):
        steps.append("forward")
    return steps
