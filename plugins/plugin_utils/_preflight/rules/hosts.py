# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. Hosts: addresses, ports, directories, numbers, and ways to the outside world."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from ..._ports import Listener, listeners
from ..deployment import Deployment, Finding, Host
from ..registry import each_host, whole
from ..types import near

DIRECTORIES = ("airflow_install_dir", "airflow_config_dir", "airflow_state_dir", "airflow_log_dir")
PATHS = (*DIRECTORIES, "airflow_python", "airflow_database_ca_path")
# The units cannot see these (ProtectHome, PrivateTmp), or they do not outlive a boot.
HIDDEN = ("/home", "/root", "/tmp", "/var/tmp", "/run", "/dev", "/proc", "/sys")
DAY = 86400
NUMBERS = {
    "airflow_database_port": (1, 65535),
    "airflow_pgbouncer_port": (1, 65535),
    "airflow_redis_port": (1, 65535),
    "airflow_proxy_port": (1, 65535),
    "airflow_worker_concurrency": (1, 1000),
    "airflow_worker_batch": (1, 1000),
    "airflow_releases_keep": (2, 50),  # the running one and the one to go back to
    "airflow_dags_releases_keep": (1, 1000),
    "airflow_drain_timeout": (1, 7 * DAY),
    "airflow_dags_timeout": (5, DAY),
    "airflow_verify_timeout": (10, DAY),
    "airflow_health_timeout": (10, DAY),
    "airflow_task_log_retention_days": (1, 36500),
}
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")


def is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
        return True
    except ValueError:
        return False


def is_host(value: str) -> bool:
    # What looks like an IPv4 address but is none is no name either.
    label = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
    name = re.fullmatch(rf"{label}(\.{label})*\.?", value) and not re.fullmatch(r"[0-9.]+", value)
    return is_address(value) or bool(name)


def is_loopback(value: str) -> bool:
    try:
        return ipaddress.ip_address(value).is_loopback or ipaddress.ip_address(value).is_unspecified
    except ValueError:
        return value == "localhost" or value.endswith(".localhost")


def reached_at(host: Host) -> str:
    """Where the other hosts reach this one; empty `airflow_address` means ansible_host, else its name."""
    return host["airflow_address"] or host.address or host.name


@each_host
def address(host: Host) -> Iterator[Finding]:
    """`airflow_address` is a name or IPv4 address by which the other hosts reach this one."""
    value = reached_at(host)
    if not is_host(value):
        yield host.refuse("airflow_address", "is no host name and no IP address", value)
    elif is_loopback(value) and len(host.deployment.targets) > 1:
        yield host.refuse("airflow_address", "the other hosts can't reach it there: give the host's own address", value)
    elif is_address(value) and ":" in value and host.name not in host.deployment.members("airflow_cluster"):
        # Airflow itself puts it into the URL of a task's log as it is, without brackets.
        problem = "Airflow's URLs can't have an IPv6 address in them: give airflow_address a name that resolves to it"
        yield host.refuse("airflow_address", problem, value)


@whole
def same_address(deployment: Deployment) -> Iterator[Finding]:
    """No two hosts are reached at the same address, by us or by each other."""
    for variable, ask in (("ansible_host", lambda host: host.address), ("airflow_address", reached_at)):
        seen: dict[str, str] = {}
        for host in deployment.targets:
            value = ask(host)
            other = seen.setdefault(value, host.name)
            # Where airflow_address merely follows ansible_host, that one has the finding.
            if value and other != host.name and (variable == "ansible_host" or host["airflow_address"]):
                yield host.refuse(variable, f"{other} has the same: give each host its own", value)


def listening(host: Host) -> list[Listener]:
    """What will listen here."""
    deployment = host.deployment
    contract = deployment.contract
    return list(
        listeners(host.name, reached_at(host), host, deployment.groups, contract.components, contract.services)
    )


def ports(host: Host) -> dict[str, tuple[int, str]]:
    """The ports that will be listened on here: `variable path: (port, what for)`."""
    return {one.variable: (one.port, one.what) for one in listening(host)}


@each_host
def port_twice(host: Host) -> Iterator[Finding]:
    """No two services of a host want the same port."""
    seen: dict[int, tuple[str, str]] = {}
    for variable, (port, what) in ports(host).items():
        first, path = seen.setdefault(port, (what, variable))
        if path != variable:
            yield host.refuse(variable, f"{what} and {first} ({path}) can't both have it; change one", port)


@each_host
def port_range(host: Host) -> Iterator[Finding]:
    """Airflow's ports are numbers from 1024, because its components are not root."""
    for component in host.components():
        for section, option, _default in host.deployment.contract.components[component]["ports"]:
            value = host.option(section, option)
            if value is not None and not (str(value).isdigit() and 1024 <= int(value) <= 65535):
                yield host.refuse(f"airflow_config.{section}.{option}", "must be a port from 1024 to 65535", value)


@each_host
def number(host: Host) -> Iterator[Finding]:
    """Numbers are in their range."""
    for variable, value in host.items(*NUMBERS):
        low, high = NUMBERS[variable]
        if not low <= value <= high:
            yield host.refuse(variable, f"must be from {low} to {high}")


@each_host
def size(host: Host) -> Iterator[Finding]:
    """`airflow_journal_max_size` is a size as journald reads it."""
    if not re.fullmatch(r"[1-9][0-9]*[KMGT]?", host["airflow_journal_max_size"]):
        yield host.refuse("airflow_journal_max_size", "must be a size such as 500M or 1G")


@each_host
def path(host: Host) -> Iterator[Finding]:
    """Paths on the hosts are absolute and plain."""
    for variable, value in host.items(*PATHS):
        if not value and variable == "airflow_database_ca_path":
            continue
        if not re.fullmatch(r"(/[A-Za-z0-9._+-]+)+", value) or ".." in PurePosixPath(value).parts:
            yield host.refuse(variable, "must be an absolute path of letters, digits and . _ + - only")


@each_host
def directory(host: Host) -> Iterator[Finding]:
    """The directories are the collection's alone (cleanup removes them), apart from each other, and units see them."""
    for variable, value in host.items(*DIRECTORIES):
        here = PurePosixPath(value)
        hidden = next((top for top in HIDDEN if here.is_relative_to(top)), None)
        if hidden:
            yield host.refuse(variable, f"the units can't use what is under {hidden}: choose another place")
        elif not any("airflow" in part or part == host["airflow_name"] for part in here.parts[2:]):
            yield host.refuse(
                variable, "is removed by cleanup, so its name must show that it is ours: have airflow in it, below /*/"
            )
        for other, there in host.items(*DIRECTORIES):
            outer = PurePosixPath(there)
            if outer in here.parents or (here == outer and variable < other):
                yield host.refuse(variable, f"must not be in {other} ({there})")


@each_host
def url(host: Host) -> Iterator[Finding]:
    """Mirrors and indexes are URLs."""
    for variable, value in host.items("airflow_package_index_url", "airflow_debian_mirror", "airflow_download_mirror"):
        if (value or variable != "airflow_download_mirror") and not is_url(value, ("http", "https")):
            yield host.refuse(variable, "must be a URL that begins with https:// or http://")


@each_host
def proxy(host: Host) -> Iterator[Finding]:
    """`airflow_proxy_environment` holds proxy variables, and their values are URLs."""
    for key, value in host["airflow_proxy_environment"].items():
        variable = f"airflow_proxy_environment.{key}"
        if str(key).lower() not in PROXIES:
            meant = near(str(key).lower(), PROXIES)
            yield host.refuse(variable, f"did you mean {meant}?" if meant else f"is none of {', '.join(PROXIES)}", None)
        elif not isinstance(value, str):
            yield host.refuse(variable, "must be a string", None)
        elif str(key).lower() != "no_proxy" and not is_url(value, ("http", "https", "socks5", "socks5h")):
            yield host.refuse(variable, "must be a URL such as http://proxy.example.org:3128", None)


@each_host
def local_vm(host: Host) -> Iterator[Finding]:
    """What a local VM needs: a private network, an address in it that is free, a bridge that the kernel can name."""
    try:
        network = ipaddress.IPv4Network(host["airflow_local_vm_network"])
    except ValueError:
        yield host.refuse("airflow_local_vm_network", "must be an IPv4 network such as 10.203.0.0/24")
        return
    if not network.is_private or network.prefixlen > 29:
        yield host.refuse("airflow_local_vm_network", "must be a private network of /29 or larger")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,14}", host["airflow_local_vm_bridge"]):
        yield host.refuse("airflow_local_vm_bridge", "use 1 to 15 letters, digits, dots and dashes, a letter first")
    if not re.fullmatch(r"[a-z]{2,20}", host["airflow_local_vm_suite"]):
        yield host.refuse("airflow_local_vm_suite", "must be the name of a Debian suite such as bookworm")
    if host["airflow_local_vm"] is None or not re.fullmatch(r"[0-9.]+", host.address) or not is_host(host.address):
        return
    taken = {network.network_address: "the network", network.broadcast_address: "its broadcasts"}
    taken[network.network_address + 1] = "the bridge"
    what = taken.get(ipaddress.IPv4Address(host.address))
    if what:
        yield host.refuse("ansible_host", f"is the address of {what}: choose another in {network}", host.address)


@whole
def forward_twice(deployment: Deployment) -> Iterator[Finding]:
    """No two VMs want the same port of the controller, and ports are ports."""
    seen: dict[int, str] = {}
    for host in deployment.targets:
        for index, forward in enumerate((host["airflow_local_vm"] or {}).get("forward", ())):
            for key in ("host_port", "port"):
                value = forward[key]
                if not 1 <= int(value) <= 65535:
                    yield host.refuse(f"airflow_local_vm.forward[{index}].{key}", "must be from 1 to 65535", value)
            port = int(forward["host_port"])
            if port in seen:
                path = f"airflow_local_vm.forward[{index}].host_port"
                yield host.refuse(path, f"{seen[port]} has this port of the controller already; change one", port)
            seen.setdefault(port, host.name)


def is_url(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(value)
        port = parts.port or 1  # asking for it refuses what is no port
        return parts.scheme in schemes and bool(parts.hostname) and port > 0 and not re.search(r"\s", value)
    except ValueError:
        return False
