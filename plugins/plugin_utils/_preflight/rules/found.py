# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Private to this collection. What was found on a host; `host.found` is the result of module `found`."""

from __future__ import annotations

from collections.abc import Iterator

from ..deployment import Finding, Host
from ..registry import when_found
from ..versions import fits, newer
from .hosts import is_loopback, listening, ports, reached_at

# A release takes 0.6 GB when it is compiled (measured with 3.3.2), and as much again while uv unpacks beside it.
RELEASE_MB, IDLE_MB = 1200, 100
STATE_MB = 300
LOGS_MB = 500
# Memory of each component at rest (measured with 3.3.2, rounded up: docs/sizing.md), and what the system itself needs.
MEMORY_MB = {"api-server": 250, "scheduler": 180, "dag-processor": 200, "triggerer": 210, "worker": 510, "flower": 150}
SYSTEM_MB = 250
SKEW_SECONDS = 5  # Airflow's tokens tolerate 10 between hosts


@when_found
def system(host: Host) -> Iterator[Finding]:
    """The operating system and the architecture are supported, or at least known."""
    here = host.found["system"]
    name = f"{here['id']} {here['version']}".strip()
    systems = host.deployment.contract.systems
    known = [s for s in systems if s["id"] == here["id"] and _covers(s["version"], here["version"])]
    if not known:
        names = ", ".join(f"{s['id']} {s['version']}" for s in systems)
        yield host.refuse("ansible_host", f"its operating system is not supported; use one of {names}", name)
    elif not known[0]["run"]:
        yield host.warn("ansible_host", "this operating system should work but was not run here", name)
    if here["architecture"] != "x86_64":
        yield host.warn("ansible_host", "this architecture should work but was not run here", here["architecture"])


@when_found
def python(host: Host) -> Iterator[Finding]:
    """`airflow_python` is there, and Airflow supports its version."""
    version = host.found["python"]["version"]
    wanted = ",".join(host.deployment.contract.releases.get(host["airflow_version"], {}).get("python", ()))
    if not version:
        yield host.refuse("airflow_python", "is no Python on this host: install one, or give the path of another")
    elif not fits(version, wanted):
        yield host.refuse(
            "airflow_python", f"is Python {version}, Airflow {host['airflow_version']} needs {wanted}: give another"
        )


@when_found
def systemd(host: Host) -> Iterator[Finding]:
    """The host runs systemd."""
    if not host.found["systemd"]["running"]:
        yield host.refuse("ansible_host", "systemd does not run there: choose a machine that has it", host.address)


@when_found
def port_taken(host: Host) -> Iterator[Finding]:
    """No foreign process listens on a port that a component needs."""
    contract = host.deployment.contract
    components = tuple(f"airflow-{component}." for component in contract.components)
    for variable, (port, what) in ports(host).items():
        holder = host.found["ports"].get(str(port))
        ours = contract.services[what]["unit"] if what in contract.services else components
        if not holder or holder["unit"].startswith(ours):
            continue
        who = holder["process"] or "a process of another user"
        pid = f" (pid {holder['pid']})" if holder["pid"] else ""
        unit = f" of {holder['unit']}" if holder["unit"] else ""
        yield host.refuse(
            variable, f"{who}{pid}{unit} has this port, {what} needs it: stop it or change the port", port
        )


@when_found
def disk(host: Host) -> Iterator[Finding]:
    """There is room for a release beside the running one, and for state and logs."""
    here = host.found["release"].get("airflow") == host["airflow_version"]
    needs: dict[str, int] = {}
    if host.components():
        needs["airflow_install_dir"] = IDLE_MB if here else RELEASE_MB
        needs |= {"airflow_state_dir": STATE_MB, "airflow_log_dir": LOGS_MB}
    disks: dict[str, list[str]] = {}
    for variable in needs:
        disks.setdefault(host.found["disks"][host[variable]]["device"], []).append(variable)
    for variables in disks.values():
        free, need = host.found["disks"][host[variables[0]]]["free_mb"], sum(needs[variable] for variable in variables)
        if free < need:
            also = f" (with {', '.join(variables[1:])})" if variables[1:] else ""
            yield host.refuse(variables[0], f"{free} MB are free there, {need} MB are needed{also}: make room")


@when_found
def memory(host: Host) -> Iterator[Finding]:
    """There is memory for what runs on the host."""
    services = host.deployment.contract.services.values()
    beside = sum(one["memory_mb"] for one in services if host.name in host.deployment.members(one["group"]))
    need = SYSTEM_MB + beside + sum(MEMORY_MB[component] for component in host.components())
    if host.found["memory_mb"] < need:
        yield host.warn(
            "ansible_host", f"has {host.found['memory_mb']} MB of memory, its components take {need} MB", host.address
        )


@when_found
def downgrade(host: Host) -> Iterator[Finding]:
    """The release that is there is not newer: Airflow's database does not go back."""
    here = host.found["release"].get("airflow", "")
    if newer(here, host["airflow_version"]):
        yield host.refuse("airflow_version", f"Airflow {here} is there and its database can't go back: give {here}")


@when_found
def unknown_names(host: Host) -> Iterator[Finding]:
    """The host knows the names of the others."""
    for name, known in host.found["resolved"].items():
        if not known:
            yield host.refuse("airflow_address", "this host can't resolve it: mend its DNS, or give an address", name)


@when_found
def own_name(host: Host) -> Iterator[Finding]:
    """Where other hosts need a service of this one, its own name does not lead to itself only (`127.0.1.1`)."""
    name = reached_at(host)
    here = [address for address in host.found["resolved"].get(name, ()) if is_loopback(address)]
    bound = [one.what for one in listening(host) if name in one.addresses]
    if here and bound:
        problem = f"leads to {here[0]} on this host itself, so others would not reach its {', '.join(bound)}: "
        yield host.refuse("airflow_address", f"{problem}mend /etc/hosts, or give the host's address", name)


@when_found
def forgotten_queue(host: Host) -> Iterator[Finding]:
    """A queue that this host's worker consumes now has a worker afterwards, too."""
    workers = [other for other in host.deployment.targets if other.runs("worker")]
    consumed = {queue for other in workers for queue in other["airflow_worker_queues"]}
    left = [queue for queue in host.found["queues"] if queue not in consumed]
    if left and consumed:  # else nothing is sent to queues any more
        problem = f"nobody will consume {', '.join(left)} any more, and what waits there waits for ever"
        yield host.warn("airflow_worker_queues", f"{problem}: see that it is empty, or keep it", None)


@when_found
def clock(host: Host) -> Iterator[Finding]:
    """The host's clock agrees with the controller's."""
    if abs(host.found["clock_skew"]) > SKEW_SECONDS:
        skew = f"{host.found['clock_skew']:+.0f} s"
        yield host.warn("ansible_host", f"its clock is {skew} off the controller's, tokens fail at 10 s: use NTP")


def _covers(known: str, here: str) -> bool:
    return here == known or here.startswith(known + ".")
